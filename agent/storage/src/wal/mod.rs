//! The write-ahead log: one per agent, one flush for all that queued.
//!
//! Files of fixed size, written once with zeros and then recycled, so that a commit changes no file metadata. Records stand in
//! groups padded to [`BLOCK`]; a group is one synchronous write. Must not know: what a record means.
//! Read first: [`Wal`], [`record`].

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
use streamkeeper_base::{Durable, Lsn};

use crate::disk::{BLOCK, Disk};
use file::{AlignedBuffer, WalFile};
use record::{HEADER_BYTES, RecordHeader};

/// Sizes of the log.
#[derive(Clone, Copy, Debug)]
pub struct WalOptions {
    /// Bytes of one file; a multiple of [`BLOCK`]. The largest record is somewhat smaller.
    pub file_bytes: u64,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self { file_bytes: 16 * 1024 * 1024 }
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
        "{path}: record {lsn} is damaged, but record {durable} was durable before it was lost; the member does not start on \
         this log. Restore the file, or remove the data directory to refill this member from its peers"
    )]
    Damaged {
        /// The log's directory.
        path: PathBuf,
        /// The first record that does not read back.
        lsn: Lsn,
        /// What was known to be durable.
        durable: Lsn,
    },
    /// The first files of the log are gone.
    #[error(
        "{path}: the log begins with record {first}, but {expected} was the first one kept; a file is missing"
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
    "the write-ahead log cannot be written ({reason}); the member stops, because what it holds may not be on disk"
)]
pub struct WalError {
    reason: String,
}

/// A record as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Its position.
    pub lsn: Lsn,
    /// What the owner called it.
    pub kind: u8,
    /// Its content.
    pub payload: Bytes,
}

/// The log. Owned by one thread. Ordered chain: `first kept <= durable < next`.
pub struct Wal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: WalOptions,
    /// Files that hold records, oldest first; the last is written to.
    files: VecDeque<WalFile>,
    /// Files that hold nothing needed, to be written again.
    free: Vec<PathBuf>,
    next: Lsn,
    durable: Lsn,
    last_crc: u32,
    group: AlignedBuffer,
    failed: Option<WalError>,
}

impl Wal {
    /// Opens the log in a directory, making it if needed; gives every record that is kept, in order.
    ///
    /// # Errors
    /// The disk refuses, or a durable record is damaged.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: WalOptions,
    ) -> Result<(Self, Vec<Replayed>), WalOpenError> {
        assert!(options.file_bytes.is_multiple_of(BLOCK as u64) && options.file_bytes >= 4 * BLOCK as u64);
        let recovered = recovery::recover(&*disk, dir)?;
        let wal = Self {
            disk,
            dir: dir.to_owned(),
            options,
            files: recovered.files,
            free: recovered.free,
            next: recovered.next,
            durable: Lsn(recovered.next.0 - 1),
            last_crc: recovered.last_crc,
            group: AlignedBuffer::new(),
            failed: None,
        };
        Ok((wal, recovered.records))
    }

    /// Adds a record to the group that the next [`Wal::commit`] makes durable. `pieces` are stored as one.
    pub fn append(&mut self, kind: u8, pieces: &[&[u8]]) -> Lsn {
        let lsn = self.next;
        self.next = lsn.next();
        if self.failed.is_none()
            && let Err(error) = self.add(lsn, kind, pieces)
        {
            self.fail(&error);
        }
        lsn
    }

    /// Makes everything appended durable with one write.
    ///
    /// # Errors
    /// Final: the disk refused once, and nothing may be trusted after that.
    pub fn commit(&mut self) -> Result<Durable<Lsn>, WalError> {
        if self.failed.is_none()
            && let Err(error) = self.write_group()
        {
            self.fail(&error);
        }
        match &self.failed {
            Some(error) => Err(error.clone()),
            None => {
                self.durable = Lsn(self.next.0 - 1);
                Ok(Durable::flushed(self.durable))
            }
        }
    }

    /// Records below the position are not needed any more: their files may be written again.
    pub fn release(&mut self, below: Lsn) {
        while self.files.len() > 1 && self.files[1].first <= below {
            if let Some(file) = self.files.pop_front() {
                self.free.push(file.path);
            }
        }
    }

    /// The next record's position.
    pub fn next_lsn(&self) -> Lsn {
        self.next
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        (self.files.len() + self.free.len()) as u64 * self.options.file_bytes
    }

    fn fail(&mut self, error: &io::Error) {
        self.failed = Some(WalError { reason: error.to_string() });
    }

    fn add(&mut self, lsn: Lsn, kind: u8, pieces: &[&[u8]]) -> io::Result<()> {
        let payload: usize = pieces.iter().map(|p| p.len()).sum();
        let capacity = usize::try_from(self.options.file_bytes).unwrap_or(usize::MAX) - 2 * BLOCK;
        if HEADER_BYTES + payload > capacity {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("a record of {payload} bytes")));
        }
        let room = self.files.back().map_or(0, |file| file.room(self.group.len()));
        if room < HEADER_BYTES + payload {
            self.write_group()?;
            self.roll(lsn)?;
        }
        let Some(file) = self.files.back() else { return Err(io::Error::other("the log has no file")) };
        let header =
            RecordHeader { salt: file.salt, lsn, durable: self.durable, kind, previous_crc: self.last_crc };
        self.last_crc = header.encode(pieces, &mut self.group);
        Ok(())
    }

    fn write_group(&mut self) -> io::Result<()> {
        if self.group.len() == 0 {
            return Ok(());
        }
        let Some(file) = self.files.back_mut() else { return Err(io::Error::other("the log has no file")) };
        let bytes = self.group.pad_to_block();
        file.handle.write_at(bytes, file.position)?;
        file.position += bytes.len() as u64;
        self.group.clear();
        Ok(())
    }

    /// Goes on in another file, a recycled one if there is any. Its head is written with its first group.
    fn roll(&mut self, first: Lsn) -> io::Result<()> {
        let number = self.files.back().map_or(1, |file| file.number + 1);
        let recycled = self.free.pop();
        let file = WalFile::create(&*self.disk, &self.dir, number, first, recycled, self.options.file_bytes)?;
        file.encode_head(self.last_crc, &mut self.group);
        self.files.push_back(file);
        Ok(())
    }
}
