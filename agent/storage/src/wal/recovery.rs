//! Reading the log back: what is whole is replayed, a torn tail is cut, damage below what was durable is refused.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use streamkeeper_base::Lsn;

use super::file::{Head, WalFile};
use super::record::{HEADER_BYTES, RecordHeader};
use super::{Replayed, WalOpenError};
use crate::disk::{Access, BLOCK, Disk, DiskFile};

pub(super) struct Recovered {
    pub(super) files: VecDeque<WalFile>,
    pub(super) free: Vec<PathBuf>,
    pub(super) records: Vec<Replayed>,
    pub(super) next: Lsn,
    pub(super) last_crc: u32,
}

struct Found {
    path: PathBuf,
    handle: Arc<dyn DiskFile>,
    head: Head,
    content: Bytes,
}

pub(super) fn recover(disk: &dyn Disk, dir: &Path) -> Result<Recovered, WalOpenError> {
    let io = |source| WalOpenError::Io { path: dir.to_owned(), source };
    disk.create_dir_all(dir).map_err(io)?;
    let (mut found, mut free) = (Vec::new(), Vec::new());
    for path in disk.list(dir).map_err(io)? {
        if path.extension().is_none_or(|e| e != "wal") {
            continue;
        }
        let at_path = |source| WalOpenError::Io { path: path.clone(), source };
        let handle = disk.open(&path, Access::Read).map_err(at_path)?;
        let mut content = vec![0; usize::try_from(handle.len().map_err(at_path)?).unwrap_or(usize::MAX)];
        handle.read_at(&mut content, 0).map_err(at_path)?;
        match Head::decode(&content) {
            Some(head) => found.push(Found { path, handle, head, content: content.into() }),
            // Created or recycled, but its first group never arrived.
            None => free.push(path),
        }
    }
    found.sort_by_key(|f| f.head.number);
    replay(dir, found, free)
}

fn replay(dir: &Path, found: Vec<Found>, mut free: Vec<PathBuf>) -> Result<Recovered, WalOpenError> {
    let mut records = Vec::new();
    let mut next = found.first().map_or(Lsn(1), |f| f.head.first);
    let mut last_crc = found.first().map_or(0, |f| f.head.previous_crc);
    let mut files = VecDeque::new();
    let mut torn = false;
    for (index, file) in found.iter().enumerate() {
        if !torn && file.head.first == next && file.head.previous_crc == last_crc {
            read_records(file, &mut next, &mut last_crc, &mut records);
            files.push_back(WalFile::found(file.path.clone(), file.handle.clone(), file.head));
        } else {
            torn = true;
            free.push(file.path.clone());
        }
        let goes_on =
            found.get(index + 1).is_some_and(|f| f.head.first == next && f.head.previous_crc == last_crc);
        if !goes_on {
            torn = true;
        }
    }
    let durable = found.iter().map(|f| greatest_durable(&f.content, f.head.salt)).max().unwrap_or_default();
    if durable >= next {
        return Err(WalOpenError::Damaged { path: dir.to_owned(), lsn: next, durable });
    }
    Ok(Recovered { files, free, records, next, last_crc })
}

fn read_records(file: &Found, next: &mut Lsn, last_crc: &mut u32, records: &mut Vec<Replayed>) {
    let mut at = BLOCK;
    while let Some(rest) = file.content.get(at..) {
        match RecordHeader::decode(rest, file.head.salt) {
            Some((header, crc, range)) if header.lsn == *next && header.previous_crc == *last_crc => {
                let payload = file.content.slice(at + range.start..at + range.end);
                at += range.end;
                records.push(Replayed { lsn: *next, kind: header.kind, payload });
                *next = next.next();
                *last_crc = crc;
            }
            // Padding ends a group; the next one begins at a block.
            _ if !at.is_multiple_of(BLOCK) => at = at.next_multiple_of(BLOCK),
            _ => return,
        }
    }
}

/// The PAR rule's witness: what any record of the file, wherever it stands, knew to be durable.
fn greatest_durable(content: &[u8], salt: u64) -> Lsn {
    let mut greatest = Lsn(0);
    let mut at = BLOCK;
    while let Some(head) = content.get(at..).and_then(<[u8]>::first_chunk::<HEADER_BYTES>) {
        if let Some(header) = RecordHeader::decode_head(head, salt) {
            greatest = greatest.max(header.durable);
        }
        at += BLOCK;
    }
    greatest
}
