//! One file of the log: its head block, how it is made and recycled; and the aligned memory that direct IO
//! wants.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use streamkeeper_base::Lsn;

use super::record::{long, word};
use crate::crc32c;
use crate::disk::{Access, BLOCK, Disk, DiskFile};

const HEAD_MAGIC: u32 = 0x534B_5746;
const FREE_MAGIC: u32 = 0x534B_5745;
/// Bytes of one copy of a head.
const HEAD_BYTES: usize = 44;
/// The head stands twice in its block, in two sectors, so that rot of one does not take a file away.
const COPIES: [usize; 2] = [0, BLOCK / 2];
/// Zeros written at once while a new file is made: what one step may delay a commit by. They are written synchronously, because one
/// flush of a whole file would delay it by far more.
const STEP_BYTES: usize = 256 * 1024;

/// What a file's first block says. It is written durably before any record follows, so a block that says
/// neither is rot, never a torn write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// Records follow.
    Used {
        /// Files are ordered by it; it rises with each use.
        number: u64,
        /// Distinguishes this use of the file from earlier ones.
        salt: u64,
        /// The first record in it.
        first: Lsn,
        /// The CRC of the record before that one.
        previous_crc: u32,
        /// Records below were no longer needed when the file was begun.
        released: Lsn,
    },
    /// Nothing needed is in it.
    Free {
        /// Records below were no longer needed when it was set free.
        released: Lsn,
    },
}

impl Head {
    pub(super) fn decode(block: &[u8]) -> Option<Self> {
        COPIES.iter().find_map(|at| Self::decode_copy(block.get(*at..*at + HEAD_BYTES)?))
    }

    fn decode_copy(head: &[u8]) -> Option<Self> {
        if crc32c(&head[..HEAD_BYTES - 4]) != word(head, HEAD_BYTES - 4) {
            return None;
        }
        let released = Lsn(long(head, 32));
        match word(head, 0) {
            FREE_MAGIC => Some(Self::Free { released }),
            HEAD_MAGIC => Some(Self::Used {
                number: long(head, 4),
                salt: long(head, 12),
                first: Lsn(long(head, 20)),
                previous_crc: word(head, 28),
                released,
            }),
            _ => None,
        }
    }

    pub(super) fn released(&self) -> Lsn {
        match self {
            Self::Used { released, .. } | Self::Free { released } => *released,
        }
    }

    fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        match self {
            Self::Free { .. } => head[0..4].copy_from_slice(&FREE_MAGIC.to_be_bytes()),
            Self::Used { number, salt, first, previous_crc, .. } => {
                head[0..4].copy_from_slice(&HEAD_MAGIC.to_be_bytes());
                head[4..12].copy_from_slice(&number.to_be_bytes());
                head[12..20].copy_from_slice(&salt.to_be_bytes());
                head[20..28].copy_from_slice(&first.0.to_be_bytes());
                head[28..32].copy_from_slice(&previous_crc.to_be_bytes());
            }
        }
        head[32..40].copy_from_slice(&self.released().0.to_be_bytes());
        let own = crc32c(&head[..HEAD_BYTES - 4]);
        head[HEAD_BYTES - 4..].copy_from_slice(&own.to_be_bytes());
        head
    }

    /// The first block of a file.
    fn block(&self) -> AlignedBuffer {
        let mut block = [0; BLOCK];
        for at in COPIES {
            block[at..at + HEAD_BYTES].copy_from_slice(&self.encode());
        }
        let mut buffer = AlignedBuffer::new();
        buffer.extend(&block);
        buffer
    }
}

/// Writes a file's head; durable when this returns. Gives the file for further synchronous writes.
pub(super) fn write_head(disk: &dyn Disk, path: &Path, head: &Head) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.open(path, Access::Synchronous)?;
    file.write_at(head.block().pad_to_block(), 0)?;
    Ok(file)
}

/// A file that is being made: written with zeros step by step under a name that does not count.
pub(super) struct Making {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    zeros: AlignedBuffer,
    written: u64,
    pub(super) size: u64,
}

impl Making {
    /// The extension of files that are not whole yet.
    pub(super) const EXTENSION: &str = "new";

    pub(super) fn start(disk: &dyn Disk, dir: &Path, number: u64, size: u64) -> io::Result<Self> {
        let path = dir.join(format!("{number:08}.{}", Self::EXTENSION));
        let mut zeros = AlignedBuffer::new();
        zeros.extend(&vec![0; STEP_BYTES]);
        Ok(Self { file: disk.open(&path, Access::Synchronous)?, zeros, path, written: 0, size })
    }

    /// One step; gives the file's name when it is whole, free and durable.
    pub(super) fn step(&mut self, disk: &dyn Disk, released: Lsn) -> io::Result<Option<PathBuf>> {
        if self.written < self.size {
            let left = usize::try_from(self.size - self.written).unwrap_or(usize::MAX);
            let zeros = &self.zeros.pad_to_block()[..STEP_BYTES.min(left)];
            self.file.write_at(zeros, self.written)?;
            self.written += zeros.len() as u64;
            return Ok(None);
        }
        self.file.write_at(Head::Free { released }.block().pad_to_block(), 0)?;
        self.file.sync_data()?;
        let path = self.path.with_extension("wal");
        disk.rename(&self.path, &path)?;
        disk.sync_dir(path.parent().unwrap_or(Path::new(".")))?;
        Ok(Some(path))
    }

    /// Gives the space back.
    pub(super) fn abandon(self, disk: &dyn Disk) -> io::Result<()> {
        disk.remove_file(&self.path)
    }
}

/// A growing buffer whose content starts at a multiple of [`BLOCK`] in memory, as direct IO wants, without
/// `unsafe`: it holds one block more than it needs and begins where the alignment is right.
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
