//! The write-ahead log: one per agent, one flush for all that queued.
//!
//! Files of fixed size, written once with zeros and then recycled, so that a commit changes no file metadata.
//! Records stand in groups padded to [`BLOCK`]; a group is one synchronous write. Must not know: what a
//! record means. Read first: [`Wal`], `record::RecordHeader`; then `recovery` for what a crash may leave.

mod file;
mod record;
mod recovery;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use streamkeeper_base::limits::{WAL_FILE_BYTES, WAL_FILES_MIN};
use streamkeeper_base::{Durable, Lsn, Random};

use crate::disk::{BLOCK, Disk, DiskFile, is_full};
use file::{AlignedBuffer, Head, Making};
use record::{HEADER_BYTES, RecordHeader};

/// The first file ever, bytes: small, so that a new member starts at once.
const FIRST_FILE_BYTES: u64 = 1024 * 1024;
/// A record beyond this is a mistake of the caller, bytes.
const RECORD_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// The kind of the log's own records, which replay does not give.
const SEAL: u8 = 0;

/// Sizes of the log.
#[derive(Clone, Copy, Debug)]
pub struct WalOptions {
    /// Bytes of one file; a multiple of [`BLOCK`]. A larger record gets a larger file.
    pub file_bytes: u64,
    /// Released files beyond that many in all are deleted instead of kept for use.
    pub files_min: usize,
    /// Makes records of an earlier use of a file unmistakable, and forged ones unguessable: new at every
    /// opening.
    pub salt_seed: u64,
}

impl WalOptions {
    /// The usual sizes. `salt_seed`: fresh randomness for every opening of a real log.
    pub fn new(salt_seed: u64) -> Self {
        Self { file_bytes: WAL_FILE_BYTES, files_min: WAL_FILES_MIN, salt_seed }
    }
}

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum WalOpenError {
    /// The disk refuses.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A record that was durable does not read back: rot, not a torn tail (the PAR rule).
    #[error(
        "{path}: record {lsn} is damaged, but record {durable} was durable before it was lost; the \
         member does not start on this log. Restore the file, or remove the data directory to refill \
         this member from its peers"
    )]
    Damaged {
        /// The log's directory.
        path: PathBuf,
        /// The first record that does not read back.
        lsn: Lsn,
        /// What was known to be durable.
        durable: Lsn,
    },
    /// The first block of a file, which is written before its records, does not read back.
    #[error(
        "{path}: the head of this file is damaged; the member does not start on this log. Restore the \
         file, or remove the data directory to refill this member from its peers"
    )]
    DamagedHead {
        /// The file.
        path: PathBuf,
    },
    /// The first files of the log are gone.
    #[error(
        "{path}: the log begins with record {first}, but record {expected} was still needed; a file \
         is missing. Restore it, or remove the data directory to refill this member from its peers"
    )]
    Missing {
        /// The log's directory.
        path: PathBuf,
        /// The first record found.
        first: Lsn,
        /// The first record that must be there.
        expected: Lsn,
    },
}

/// Why the log cannot go on. Final: the member must stop acknowledging.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "the write-ahead log cannot be written, and the member stops, because what it holds may not be on \
     disk: {reason}"
)]
pub struct WalError {
    reason: String,
}

/// A record as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Its position; rises, with gaps where the log wrote records of its own.
    pub lsn: Lsn,
    /// What the owner called it.
    pub kind: u8,
    /// Its content.
    pub payload: Bytes,
}

/// The log. Owned by one thread. Ordered chain: `first kept <= witnessed + 1 <= durable + 1 <= next`.
pub struct Wal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: WalOptions,
    /// Files that hold needed records, oldest first.
    kept: VecDeque<Kept>,
    /// The last of them, if this opening began it.
    current: Option<Current>,
    /// Files whose records are not needed, but which still say otherwise, oldest first.
    released: VecDeque<Kept>,
    /// Files that are marked free, to be written again.
    ready: Vec<Ready>,
    making: Option<Making>,
    /// No new file is made in advance until something changes: the disk is full.
    full: bool,
    /// The greatest release that a head on disk tells.
    recorded: Lsn,
    next_number: u64,
    next: Lsn,
    durable: Lsn,
    /// What a record on disk says to be durable: rot up to there is recognised at recovery.
    witnessed: Lsn,
    last_crc: u32,
    group: AlignedBuffer,
    failed: Option<WalError>,
}

/// A file with records.
struct Kept {
    path: PathBuf,
    size: u64,
    first: Lsn,
}

struct Ready {
    path: PathBuf,
    size: u64,
}

struct Current {
    handle: Arc<dyn DiskFile>,
    salt: u64,
    /// Where the next group goes.
    position: u64,
    size: u64,
}

impl Wal {
    /// Opens the log in a directory, making it if needed; gives every record that is kept, in order. A torn
    /// tail is cut.
    ///
    /// # Errors
    /// The disk refuses, or a durable record is damaged or gone.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: WalOptions,
    ) -> Result<(Self, Vec<Replayed>), WalOpenError> {
        assert!(options.file_bytes.is_multiple_of(BLOCK as u64) && options.file_bytes >= 4 * BLOCK as u64);
        let recovered = recovery::recover(&*disk, dir)?;
        let durable = Lsn(recovered.next.0 - 1);
        let wal = Self {
            disk,
            dir: dir.to_owned(),
            options,
            kept: recovered.kept,
            current: None,
            released: recovered.released,
            ready: recovered.ready,
            making: None,
            full: false,
            recorded: recovered.recorded,
            next_number: recovered.next_number,
            next: recovered.next,
            durable,
            witnessed: Lsn(0),
            last_crc: recovered.last_crc,
            group: AlignedBuffer::new(),
            failed: None,
        };
        Ok((wal, recovered.records))
    }

    /// Adds a record to the group that the next [`Wal::commit`] makes durable. `pieces` are stored as one.
    /// `kind` is not 0.
    pub fn append(&mut self, kind: u8, pieces: &[&[u8]]) -> Lsn {
        assert!(kind != SEAL, "kind 0 is the log's own");
        self.append_any(kind, pieces)
    }

    /// Makes everything appended durable with one write.
    ///
    /// # Errors
    /// Final: the disk refused once, and nothing may be trusted after that.
    pub fn commit(&mut self) -> Result<Durable<Lsn>, WalError> {
        self.attempt(Self::write_group)?;
        self.durable = Lsn(self.next.0 - 1);
        Ok(Durable::flushed(self.durable))
    }

    /// Writes down that all commits so far are durable, if no later record says it yet: rot of the last group
    /// would otherwise look like a torn write. For a stop in good order, and when the log has been idle for a
    /// while.
    ///
    /// # Errors
    /// As [`Wal::commit`].
    pub fn seal(&mut self) -> Result<Durable<Lsn>, WalError> {
        let durable = self.commit()?;
        if self.current.is_none() || self.witnessed >= self.durable {
            return Ok(durable);
        }
        self.append_any(SEAL, &[]);
        self.commit()
    }

    /// Records below the position are not needed any more: their files may be written again.
    ///
    /// # Errors
    /// As [`Wal::commit`].
    pub fn release(&mut self, below: Lsn) -> Result<(), WalError> {
        self.failed.clone().map_or(Ok(()), Err)?;
        while self.kept.get(1).is_some_and(|second| second.first <= below) {
            self.released.extend(self.kept.pop_front());
            self.full = false;
        }
        Ok(())
    }

    /// One step of what makes later commits fast: a released file is set free, or a new one is written with
    /// zeros. For the time in which nothing waits for a commit; true if there is more to do.
    ///
    /// # Errors
    /// As [`Wal::commit`]. A full disk is none: the log goes on in the files it has.
    pub fn prepare(&mut self) -> Result<bool, WalError> {
        self.attempt(|wal| match wal.prepare_step() {
            Err(error) if is_full(&error) => {
                wal.full = true;
                wal.making.take().map_or(Ok(()), |making| making.abandon(&*wal.disk))?;
                Ok(false)
            }
            other => other,
        })
    }

    /// The first record that is kept.
    pub fn first_lsn(&self) -> Lsn {
        self.kept.front().map_or(self.next, |file| file.first)
    }

    /// The next record's position.
    pub fn next_lsn(&self) -> Lsn {
        self.next
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        let kept = self.kept.iter().chain(&self.released).map(|file| file.size);
        kept.chain(self.ready.iter().map(|file| file.size))
            .chain(self.making.iter().map(|file| file.size))
            .sum()
    }

    /// Bytes of the files whose records are still needed: what a restart reads.
    pub fn kept_bytes(&self) -> u64 {
        self.kept.iter().map(|file| file.size).sum()
    }

    /// Does something unless the log failed before; remembers a failure for ever.
    fn attempt<T>(&mut self, act: impl FnOnce(&mut Self) -> io::Result<T>) -> Result<T, WalError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        act(self).map_err(|error| {
            let next = if is_full(&error) {
                "; make room on its file system and start the member again"
            } else {
                ""
            };
            let error = WalError { reason: format!("{error}{next}") };
            self.failed = Some(error.clone());
            error
        })
    }

    fn append_any(&mut self, kind: u8, pieces: &[&[u8]]) -> Lsn {
        let lsn = self.next;
        self.next = lsn.next();
        // A failure is told by the commit that must follow.
        let _ = self.attempt(|wal| wal.add(lsn, kind, pieces));
        lsn
    }

    fn add(&mut self, lsn: Lsn, kind: u8, pieces: &[&[u8]]) -> io::Result<()> {
        let size = HEADER_BYTES + pieces.iter().map(|p| p.len()).sum::<usize>();
        assert!(size <= RECORD_BYTES_MAX, "a record of {size} bytes");
        let waiting = self.group.len() as u64;
        if self.current.as_ref().is_none_or(|file| file.size - file.position < waiting + size as u64) {
            self.write_group()?;
            self.roll(lsn, size)?;
        }
        let Some(file) = &self.current else { return Err(io::Error::other("the log has no file")) };
        let header =
            RecordHeader { salt: file.salt, lsn, durable: self.durable, kind, previous_crc: self.last_crc };
        self.last_crc = header.encode(pieces, &mut self.group);
        Ok(())
    }

    fn write_group(&mut self) -> io::Result<()> {
        if self.group.len() == 0 {
            return Ok(());
        }
        let Some(file) = &mut self.current else { return Err(io::Error::other("the log has no file")) };
        let bytes = self.group.pad_to_block();
        assert!(file.position + bytes.len() as u64 <= file.size, "a group leaves its file");
        file.handle.write_at(bytes, file.position)?;
        file.position += bytes.len() as u64;
        self.group.clear();
        self.witnessed = self.durable;
        Ok(())
    }

    /// Goes on in another file, a recycled one if there is any.
    fn roll(&mut self, first: Lsn, record_bytes: usize) -> io::Result<()> {
        let needed = (BLOCK + record_bytes).next_multiple_of(BLOCK) as u64;
        let Ready { path, size } = self.take_ready(needed)?;
        let number = self.take_number();
        let salt = Random::new(self.options.salt_seed ^ number.rotate_left(32)).next_u64();
        let released = self.kept.front().map_or(first, |file| file.first);
        let head = Head::Used { number, salt, first, previous_crc: self.last_crc, released };
        let handle = file::write_head(&*self.disk, &path, &head)?;
        self.recorded = self.recorded.max(released);
        self.kept.push_back(Kept { path, size, first });
        self.current = Some(Current { handle, salt, position: BLOCK as u64, size });
        Ok(())
    }

    fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// A free file of at least that size, made at once if none was made in advance.
    fn take_ready(&mut self, needed: u64) -> io::Result<Ready> {
        loop {
            if let Some(index) = self.ready.iter().position(|file| file.size >= needed) {
                return Ok(self.ready.remove(index));
            }
            if !self.released.is_empty() {
                self.free_one()?;
                continue;
            }
            if self.making.as_ref().is_none_or(|making| making.size < needed) {
                let usual = self.options.file_bytes;
                let size = if self.kept.is_empty() { usual.min(FIRST_FILE_BYTES) } else { usual };
                self.make(size.max(needed))?;
            }
            match self.make_step() {
                Err(error) if is_full(&error) => self.make_smaller(needed, error)?,
                other => other?,
            }
        }
    }

    /// The disk has no room for the file that is being made: a smaller one may do, as long as a record fits. Coordination writes
    /// little, and goes on in it.
    fn make_smaller(&mut self, needed: u64, full: io::Error) -> io::Result<()> {
        let Some(making) = self.making.take() else { return Err(full) };
        let smaller = (making.size / 8).next_multiple_of(BLOCK as u64).max(needed);
        let is_smallest = smaller >= making.size;
        making.abandon(&*self.disk)?;
        if is_smallest { Err(full) } else { self.make(smaller) }
    }

    fn prepare_step(&mut self) -> io::Result<bool> {
        if !self.released.is_empty() {
            self.free_one()?;
        } else if self.making.is_some() {
            self.make_step()?;
        } else if self.ready.is_empty() && self.current.is_some() && !self.full {
            self.make(self.options.file_bytes)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Marks the oldest released file free, or deletes it if there are enough. Oldest first: what is left has
    /// no hole.
    fn free_one(&mut self) -> io::Result<()> {
        let released = self.first_lsn();
        let Some(file) = self.released.pop_front() else { return Ok(()) };
        let end = self.released.front().map_or(released, |next| next.first);
        let files = self.kept.len() + self.released.len() + self.ready.len() + 1;
        // A file may only vanish when what stays tells that it was not needed.
        if files > self.options.files_min && self.recorded >= end {
            return self.disk.remove_file(&file.path);
        }
        file::write_head(&*self.disk, &file.path, &Head::Free { released })?;
        self.recorded = self.recorded.max(released);
        self.ready.push(Ready { path: file.path, size: file.size });
        Ok(())
    }

    fn make(&mut self, size: u64) -> io::Result<()> {
        if let Some(smaller) = self.making.take() {
            smaller.abandon(&*self.disk)?;
        }
        let number = self.take_number();
        self.making = Some(Making::start(&*self.disk, &self.dir, number, size)?);
        Ok(())
    }

    fn make_step(&mut self) -> io::Result<()> {
        let released = self.kept.front().map_or(self.recorded, |file| file.first);
        let Some(making) = &mut self.making else { return Ok(()) };
        if let Some(path) = making.step(&*self.disk, released)? {
            self.ready.push(Ready { path, size: making.size });
            self.making = None;
        }
        Ok(())
    }
}
