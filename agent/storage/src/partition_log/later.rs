//! Batches of a segment that are read when their receiver takes them. Those that this process wrote or has checked before leave from the
//! file as they are; the others go through a small buffer that stays warm, and are checked there.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use streamkeeper_base::batch::{self, BATCH_HEADER_BYTES, BatchHeader};
use streamkeeper_base::piece::Source;

use super::read_buffer::ReadBuffer;
use super::segment::is_good;
use crate::disk::DiskFile;

/// What the reads of one segment have found so far. Positions are bytes of its file.
#[derive(Default)]
pub(super) struct Findings {
    /// A promised batch did not read back: from then on, batches of the segment are checked before they are promised, so that the reader is
    /// told what is damaged instead of losing its connection again.
    doubt: AtomicBool,
    /// Every batch below was good.
    good_below: AtomicU64,
}

impl Findings {
    pub(super) fn has_doubt(&self) -> bool {
        self.doubt.load(Ordering::Relaxed)
    }

    pub(super) fn good_below(&self) -> u64 {
        self.good_below.load(Ordering::Relaxed)
    }

    /// The file was cut.
    pub(super) fn cut(&self, position: u64) {
        self.good_below.fetch_min(position, Ordering::Relaxed);
    }

    /// Batches from one position to another were good.
    fn note_good(&self, start: u64, end: u64) {
        if start <= self.good_below() {
            self.good_below.fetch_max(end, Ordering::Relaxed);
        }
    }
}

/// Whole batches of one file.
pub(super) struct Batches {
    pub(super) file: Arc<dyn DiskFile>,
    /// Where the first one begins, and where the last one ends.
    pub(super) start: u64,
    pub(super) end: u64,
    /// True if they need no check.
    pub(super) known_good: bool,
    pub(super) findings: Arc<Findings>,
}

impl Source for Batches {
    fn read(&self, at: usize, bytes_max: usize) -> io::Result<Bytes> {
        let position = self.start + at as u64;
        let read = self.good_batches(position, bytes_max);
        match &read {
            Ok(bytes) => self.findings.note_good(position, position + bytes.len() as u64),
            Err(_) => self.findings.doubt.store(true, Ordering::Relaxed),
        }
        read
    }

    fn in_file(&self, at: usize) -> Option<(BorrowedFd<'_>, u64)> {
        if !self.known_good {
            return None;
        }
        Some((self.file.descriptor()?, self.start + at as u64))
    }
}

impl Batches {
    fn good_batches(&self, position: u64, bytes_max: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
        let mut buffer = ReadBuffer::take(bytes_max.max(BATCH_HEADER_BYTES).min(left));
        self.file.read_at(buffer.as_mut(), position)?;
        let first = BatchHeader::parse(buffer.as_ref()).filter(|first| first.size <= left);
        let first = first.ok_or_else(|| damaged(position))?;
        if first.size > buffer.as_ref().len() {
            buffer = ReadBuffer::take(first.size);
            self.file.read_at(buffer.as_mut(), position)?;
        }
        let bytes = buffer.as_ref();
        let mut whole = 0;
        for (at, header) in batch::headers(bytes) {
            if !is_good(&bytes[at..at + header.size], &header) {
                return Err(damaged(position + at as u64));
            }
            whole = at + header.size;
        }
        if whole == 0 {
            return Err(damaged(position));
        }
        Ok(buffer.freeze(whole))
    }
}

fn damaged(position: u64) -> io::Error {
    let told = format!("the batch at byte {position} of a segment does not read back");
    io::Error::new(io::ErrorKind::InvalidData, told)
}
