//! `<base offset>.idx`: one entry per stride of at least 4 KiB of log, written when the stride is complete.
//!
//! It replaces Kafka's two index files, covers the fields of a batch's head that Kafka's CRC leaves out, and
//! lets recovery and verification go in strides. Read with positioned reads; rebuildable, never trusted
//! without its CRC.

use std::io;
use std::path::Path;
use std::sync::Arc;

use streamkeeper_base::LeaderEpoch;

use crate::crc32c;
use crate::disk::{Access, Disk, DiskFile, is_full};

/// Bytes of one entry.
pub(super) const ENTRY_BYTES: usize = 32;
/// Entries that wait in memory before they are written.
const PENDING_MAX: usize = 64;

/// What is known of one stride. Offsets are relative to the segment's base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The first offset.
    pub(super) first: u32,
    /// The offset after the last.
    pub(super) end: u32,
    /// Where the stride ends in the file; it begins where the one before ends.
    pub(super) end_position: u32,
    /// The greatest timestamp of the segment up to here, milliseconds.
    pub(super) max_timestamp: i64,
    /// The epoch of all batches of the stride.
    pub(super) epoch: LeaderEpoch,
    /// CRC32C of all bytes of the stride.
    pub(super) crc: u32,
}

impl Entry {
    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[0..4].copy_from_slice(&self.first.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.end.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.end_position.to_be_bytes());
        bytes[12..20].copy_from_slice(&self.max_timestamp.to_be_bytes());
        bytes[20..24].copy_from_slice(&self.epoch.0.to_be_bytes());
        bytes[24..28].copy_from_slice(&self.crc.to_be_bytes());
        let own = crc32c(&bytes[..28]);
        bytes[28..32].copy_from_slice(&own.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        if bytes.len() != ENTRY_BYTES || crc32c(&bytes[..28]) != word(28)? {
            return None;
        }
        Some(Self {
            first: word(0)?,
            end: word(4)?,
            end_position: word(8)?,
            max_timestamp: i64::from_be_bytes(bytes.get(12..20)?.try_into().ok()?),
            epoch: LeaderEpoch(word(20)?.cast_signed()),
            crc: word(24)?,
        })
    }
}

/// The entries of one segment, the newest ones still in memory.
pub(super) struct Index {
    file: Arc<dyn DiskFile>,
    written: u64,
    pending: Vec<Entry>,
}

impl Index {
    pub(super) fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.open(path, Access::Buffered)?;
        let written = file.len()? / ENTRY_BYTES as u64;
        Ok(Self { file, written, pending: Vec::new() })
    }

    pub(super) fn len(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    /// An entry; `None` if it is damaged or there is none.
    pub(super) fn get(&self, number: u64) -> io::Result<Option<Entry>> {
        if let Some(waiting) = number.checked_sub(self.written) {
            return Ok(usize::try_from(waiting).ok().and_then(|i| self.pending.get(i)).copied());
        }
        let mut bytes = [0; ENTRY_BYTES];
        self.file.read_at(&mut bytes, number * ENTRY_BYTES as u64)?;
        Ok(Entry::decode(&bytes))
    }

    pub(super) fn last(&self) -> io::Result<Option<Entry>> {
        self.len().checked_sub(1).map_or(Ok(None), |number| self.get(number))
    }

    /// Adds an entry. While the disk has no room for it, it waits in memory: batches that follow it may find room.
    pub(super) fn push(&mut self, entry: Entry) -> io::Result<()> {
        self.pending.push(entry);
        if self.pending.len() < PENDING_MAX {
            return Ok(());
        }
        match self.flush() {
            Err(error) if is_full(&error) => Ok(()),
            other => other,
        }
    }

    /// Writes what waits; not yet durable.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = self.pending.iter().flat_map(Entry::encode).collect();
        self.file.write_at(&bytes, self.written * ENTRY_BYTES as u64)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    pub(super) fn truncate(&mut self, entries: u64) -> io::Result<()> {
        if entries < self.written {
            self.file.set_len(entries * ENTRY_BYTES as u64)?;
            self.written = entries;
        }
        self.pending.truncate(usize::try_from(entries - self.written).unwrap_or(usize::MAX));
        Ok(())
    }

    /// How many entries at the front fulfil a condition that the later ones do not; 0 if a damaged entry is
    /// met: the walk then begins at the segment's start.
    pub(super) fn partition_point(&self, condition: impl Fn(&Entry) -> bool) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle)? {
                Some(entry) if condition(&entry) => low = middle + 1,
                Some(_) => high = middle,
                None => return Ok(0),
            }
        }
        Ok(low)
    }

    /// Where the stride of that number begins.
    pub(super) fn start_of(&self, number: u64) -> io::Result<u64> {
        let before = number.checked_sub(1).map_or(Ok(None), |i| self.get(i))?;
        Ok(before.map_or(0, |entry| u64::from(entry.end_position)))
    }

    pub(super) fn file(&self) -> Arc<dyn DiskFile> {
        self.file.clone()
    }
}
