//! One file of the log, and the aligned memory that direct IO wants.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use streamkeeper_base::Lsn;

use super::record::{long, word};
use crate::disk::{Access, BLOCK, Disk, DiskFile};
use crate::wal_crc as crc;

const MAGIC: u32 = 0x534B_5746;

/// One file: a head block, then groups.
pub(super) struct WalFile {
    pub(super) path: PathBuf,
    pub(super) handle: Arc<dyn DiskFile>,
    /// Files are ordered by it; it rises with each use.
    pub(super) number: u64,
    /// Distinguishes this use of the file from earlier ones.
    pub(super) salt: u64,
    /// The first record in it.
    pub(super) first: Lsn,
    /// Where the next group goes.
    pub(super) position: u64,
    size: u64,
}

/// What the head block says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) number: u64,
    pub(super) salt: u64,
    pub(super) first: Lsn,
    /// The CRC that the first record's predecessor has.
    pub(super) previous_crc: u32,
}

impl Head {
    pub(super) fn decode(block: &[u8]) -> Option<Self> {
        let head = block.get(..36)?;
        if word(head, 0) != MAGIC || crc(&head[..32]) != word(head, 32) {
            return None;
        }
        Some(Self {
            number: long(head, 4),
            salt: long(head, 12),
            first: Lsn(long(head, 20)),
            previous_crc: word(head, 28),
        })
    }
}

impl WalFile {
    /// Takes a recycled file, or writes a new one full of zeros, so that later writes change no metadata.
    pub(super) fn create(
        disk: &dyn Disk,
        dir: &Path,
        number: u64,
        first: Lsn,
        recycled: Option<PathBuf>,
        size: u64,
    ) -> io::Result<Self> {
        let path = if let Some(path) = recycled {
            path
        } else {
            let path = dir.join(format!("{number:08}.wal"));
            let file = disk.open(&path, Access::Buffered)?;
            let zeros = vec![0; 1024 * 1024];
            let mut at = 0;
            while at < size {
                let length = zeros.len().min(usize::try_from(size - at).unwrap_or(usize::MAX));
                file.write_at(&zeros[..length], at)?;
                at += length as u64;
            }
            file.sync()?;
            disk.sync_dir(dir)?;
            path
        };
        let handle = disk.open(&path, Access::Synchronous)?;
        // Number and position are unique together: no two uses of a file share a salt.
        let salt = (number << 20) ^ first.0 ^ 0x5EED_0000_0000_0000;
        Ok(Self { path, handle, number, salt, first, position: 0, size })
    }

    /// A file found at recovery; it is never written again until it is recycled.
    pub(super) fn found(path: PathBuf, handle: Arc<dyn DiskFile>, head: Head) -> Self {
        Self { path, handle, number: head.number, salt: head.salt, first: head.first, position: 0, size: 0 }
    }

    /// The head block, in front of the first group.
    pub(super) fn encode_head(&self, previous_crc: u32, out: &mut AlignedBuffer) {
        let mut head = [0; BLOCK];
        head[0..4].copy_from_slice(&MAGIC.to_be_bytes());
        head[4..12].copy_from_slice(&self.number.to_be_bytes());
        head[12..20].copy_from_slice(&self.salt.to_be_bytes());
        head[20..28].copy_from_slice(&self.first.0.to_be_bytes());
        head[28..32].copy_from_slice(&previous_crc.to_be_bytes());
        let own = crc(&head[..32]);
        head[32..36].copy_from_slice(&own.to_be_bytes());
        out.extend(&head);
    }

    /// Bytes that still fit, with `waiting` bytes in the group that is being built.
    pub(super) fn room(&self, waiting: usize) -> usize {
        usize::try_from(self.size.saturating_sub(self.position)).unwrap_or(usize::MAX).saturating_sub(waiting)
    }
}

/// A growing buffer whose content starts at a multiple of [`BLOCK`] in memory, as direct IO wants, without `unsafe`: it holds
/// one block more than it needs and begins where the alignment is right.
pub(super) struct AlignedBuffer {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    pub(super) fn new() -> Self {
        let mut buffer = Self { memory: Vec::new(), start: 0, len: 0 };
        buffer.reserve(16 * BLOCK);
        buffer
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
        if self.memory.len() > 512 * BLOCK {
            // A rare large group must not keep its memory.
            *self = Self::new();
        }
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        let at = self.start + self.len;
        self.memory[at..at + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Fills the last block with zeros; gives whole blocks.
    pub(super) fn pad_to_block(&mut self) -> &[u8] {
        let padded = self.len.next_multiple_of(BLOCK);
        self.reserve(padded - self.len);
        self.memory[self.start + self.len..self.start + padded].fill(0);
        self.len = padded;
        &self.memory[self.start..self.start + padded]
    }

    fn reserve(&mut self, more: usize) {
        let needed = (self.len + more).next_multiple_of(BLOCK) + BLOCK;
        if self.memory.len() >= needed {
            return;
        }
        let mut memory = vec![0; needed.max(self.memory.len() * 2)];
        let start = memory.as_ptr().align_offset(BLOCK);
        memory[start..start + self.len].copy_from_slice(&self.memory[self.start..self.start + self.len]);
        self.memory = memory;
        self.start = start;
    }
}
