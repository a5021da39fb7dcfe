//! Walking over the batches of a file, a chunk at a time, whatever a damaged length claims.

use std::io;

use crc_fast::{CrcAlgorithm, Digest};
use streamkeeper_base::batch::{BATCH_CRC_START, BATCH_HEADER_BYTES, BatchHeader};

use crate::disk::DiskFile;

/// Visits the batches of a file in order. Memory is bounded by the chunk, not by what a header says.
pub(super) struct Walk<'a> {
    file: &'a dyn DiskFile,
    /// Where the next batch begins.
    pub(super) position: u64,
    end: u64,
    chunk: usize,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl<'a> Walk<'a> {
    /// From a batch's position to the end of the file's part that counts. `chunk`: bytes read at once.
    pub(super) fn new(file: &'a dyn DiskFile, position: u64, end: u64, chunk: usize) -> Self {
        Self { file, position, end, chunk, buffer: Vec::new(), buffer_at: position }
    }

    /// The head of the next batch; `None` at the end, or where no whole batch begins.
    pub(super) fn peek(&mut self) -> io::Result<Option<BatchHeader>> {
        let left = self.end.saturating_sub(self.position);
        if left < BATCH_HEADER_BYTES as u64 {
            return Ok(None);
        }
        let header = BatchHeader::parse(self.bytes(self.position, BATCH_HEADER_BYTES)?);
        Ok(header.filter(|header| header.size as u64 <= left))
    }

    /// Goes behind a batch.
    pub(super) fn skip(&mut self, header: &BatchHeader) {
        self.position += header.size as u64;
    }

    /// Adds all bytes of the next batch to `raw`; true if the batch's own CRC is right.
    pub(super) fn digest(&mut self, header: &BatchHeader, raw: &mut Digest) -> io::Result<bool> {
        let mut own = Digest::new(CrcAlgorithm::Crc32Iscsi);
        let mut done = 0;
        while done < header.size {
            let length = self.chunk.min(header.size - done);
            let bytes = self.bytes(self.position + done as u64, length)?;
            raw.update(bytes);
            own.update(&bytes[BATCH_CRC_START.saturating_sub(done).min(length)..]);
            done += length;
        }
        Ok(own.finalize() as u32 == header.crc)
    }

    fn bytes(&mut self, at: u64, length: usize) -> io::Result<&[u8]> {
        let held = self.buffer_at <= at && at + length as u64 <= self.buffer_at + self.buffer.len() as u64;
        if !held {
            let left = usize::try_from(self.end - at).unwrap_or(usize::MAX);
            self.buffer.resize(self.chunk.max(length).min(left), 0);
            self.buffer_at = at;
            self.file.read_at(&mut self.buffer, at)?;
        }
        let start = usize::try_from(at - self.buffer_at).unwrap_or(usize::MAX);
        Ok(&self.buffer[start..start + length])
    }
}
