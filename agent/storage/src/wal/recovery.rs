//! Reading the log back: what is whole is replayed, a torn tail is cut, damage below what was durable is
//! refused.
//!
//! Heads are durable before records follow them, and files are set free oldest first. So of the needed files
//! none may be missing, each begins where the one before ends, and only the last may have a torn tail.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use streamkeeper_base::Lsn;

use super::file::{Head, Making};
use super::record::{HEADER_BYTES, RecordHeader};
use super::{Kept, Ready, Replayed, SEAL, WalOpenError};
use crate::disk::{Access, BLOCK, Disk, create_dir_durable};

pub(super) struct Recovered {
    pub(super) kept: VecDeque<Kept>,
    pub(super) released: VecDeque<Kept>,
    pub(super) ready: Vec<Ready>,
    pub(super) recorded: Lsn,
    pub(super) next_number: u64,
    pub(super) records: Vec<Replayed>,
    pub(super) next: Lsn,
    pub(super) last_crc: u32,
}

struct Used {
    path: PathBuf,
    size: u64,
    number: u64,
    salt: u64,
    first: Lsn,
    previous_crc: u32,
}

pub(super) fn recover(disk: &dyn Disk, dir: &Path) -> Result<Recovered, WalOpenError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| WalOpenError::Io { path, source }
    };
    create_dir_durable(disk, dir).map_err(at(dir))?;
    let (mut used, mut ready) = (Vec::new(), Vec::new());
    let (mut recorded, mut next_number) = (Lsn(1), 1);
    for path in disk.list(dir).map_err(at(dir))? {
        let number = path.file_stem().and_then(|name| name.to_str()?.parse::<u64>().ok());
        match path.extension().and_then(|e| e.to_str()) {
            // It was never whole, so it was never used.
            Some(Making::EXTENSION) => disk.remove_file(&path).map_err(at(&path))?,
            Some("wal") => {
                let (head, size) = read_head(disk, &path).map_err(at(&path))?;
                let head = head.ok_or_else(|| WalOpenError::DamagedHead { path: path.clone() })?;
                recorded = recorded.max(head.released());
                next_number = next_number.max(number.unwrap_or(0) + 1);
                match head {
                    Head::Free { .. } => ready.push(Ready { path, size }),
                    Head::Used { number, salt, first, previous_crc, .. } => {
                        next_number = next_number.max(number + 1);
                        used.push(Used { path, size, number, salt, first, previous_crc });
                    }
                }
            }
            _ => {}
        }
    }
    // What a killed process wrote can be read though no flush covered it: nothing may be built on it before
    // one does.
    disk.sync_dir(dir).map_err(at(dir))?;
    used.sort_by_key(|file| file.number);
    let mut recovered = Recovered {
        kept: VecDeque::new(),
        released: VecDeque::new(),
        ready,
        recorded,
        next_number,
        records: Vec::new(),
        next: recorded,
        last_crc: 0,
    };
    replay(disk, dir, used, &mut recovered)?;
    Ok(recovered)
}

/// A file's head and size; the whole file is durable when this returns.
fn read_head(disk: &dyn Disk, path: &Path) -> io::Result<(Option<Head>, u64)> {
    let file = disk.open(path, Access::Read)?;
    let size = file.len()?;
    if size < BLOCK as u64 {
        return Ok((None, size));
    }
    let mut block = [0; BLOCK];
    file.sync_data()?;
    file.read_at(&mut block, 0)?;
    Ok((Head::decode(&block), size))
}

fn replay(disk: &dyn Disk, dir: &Path, used: Vec<Used>, to: &mut Recovered) -> Result<(), WalOpenError> {
    let mut files = used.into_iter().peekable();
    // A file was not needed if the next one begins at or below the recorded release.
    while let Some(first) = files.next_if(|_| true) {
        if files.peek().is_some_and(|next| next.first <= to.recorded) {
            to.released.push_back(Kept { path: first.path, size: first.size, first: first.first });
            continue;
        }
        let expected = to.recorded;
        if first.first > expected {
            return Err(WalOpenError::Missing { path: dir.to_owned(), first: first.first, expected });
        }
        to.next = first.first;
        to.last_crc = first.previous_crc;
        return replay_kept(disk, dir, std::iter::once(first).chain(files).collect(), to);
    }
    if to.recorded > Lsn(1) {
        let (first, expected) = (to.recorded, to.recorded);
        return Err(WalOpenError::Missing { path: dir.to_owned(), first, expected });
    }
    Ok(())
}

fn replay_kept(
    disk: &dyn Disk,
    dir: &Path,
    files: Vec<Used>,
    to: &mut Recovered,
) -> Result<(), WalOpenError> {
    let firsts: Vec<Lsn> = files.iter().map(|file| file.first).collect();
    for (index, file) in files.into_iter().enumerate() {
        let io = |source| WalOpenError::Io { path: file.path.clone(), source };
        let content: Bytes = read_all(disk, &file).map_err(io)?.into();
        let limit = firsts.get(index + 1).copied();
        let end = read_records(&content, file.salt, limit, to);
        // The PAR rule: a later record, or the head of a later file, is the witness that a record was
        // durable.
        let durable = match limit {
            Some(first) => Lsn(first.0 - 1),
            None => greatest_durable(&content, file.salt, end),
        };
        if durable >= to.next {
            return Err(WalOpenError::Damaged { path: dir.to_owned(), lsn: to.next, durable });
        }
        to.kept.push_back(Kept { path: file.path, size: file.size, first: file.first });
    }
    Ok(())
}

fn read_all(disk: &dyn Disk, file: &Used) -> io::Result<Vec<u8>> {
    let mut content = vec![0; usize::try_from(file.size).map_err(io::Error::other)?];
    disk.open(&file.path, Access::Read)?.read_at(&mut content, 0)?;
    Ok(content)
}

/// Reads a file's records up to the first that is not whole, or up to what the next file begins with: what an
/// earlier recovery cut stays cut. Gives the position where reading ended.
fn read_records(content: &Bytes, salt: u64, limit: Option<Lsn>, to: &mut Recovered) -> usize {
    let mut at = BLOCK;
    while limit != Some(to.next)
        && let Some(rest) = content.get(at..)
    {
        match RecordHeader::decode(rest, salt) {
            Some((header, crc, range)) if header.lsn == to.next && header.previous_crc == to.last_crc => {
                if header.kind != SEAL {
                    // A copy: a slice would keep the whole file in memory for as long as any record is used.
                    let payload = Bytes::copy_from_slice(&rest[range.clone()]);
                    to.records.push(Replayed { lsn: to.next, kind: header.kind, payload });
                }
                at += range.end;
                to.next = to.next.next();
                to.last_crc = crc;
            }
            // Padding ends a group; the next one begins at a block.
            _ if !at.is_multiple_of(BLOCK) => at = at.next_multiple_of(BLOCK),
            _ => break,
        }
    }
    at
}

/// What any record of this use of the file, at the start of a group from `from` on, knew to be durable.
fn greatest_durable(content: &[u8], salt: u64, from: usize) -> Lsn {
    let starts = (from / BLOCK * BLOCK..content.len()).step_by(BLOCK);
    let heads = starts.filter_map(|at| content.get(at..)?.first_chunk::<HEADER_BYTES>());
    heads
        .filter_map(|head| RecordHeader::decode_head(head, salt))
        .map(|h| h.durable)
        .max()
        .unwrap_or_default()
}
