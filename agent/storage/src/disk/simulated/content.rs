//! One simulated file: what reads see, and what a power cut would bring back.

use std::collections::BTreeMap;

use streamkeeper_base::Random;

/// The unit that is written whole or not at all, bytes.
const SECTOR: usize = 512;

/// What reads see, and how to undo what was not flushed.
#[derive(Default)]
pub(super) struct Content {
    bytes: Vec<u8>,
    durable_len: usize,
    /// Sectors changed since they were last flushed.
    changed: BTreeMap<usize, Changed>,
}

struct Changed {
    /// What a power cut brings back; zeros beyond the durable length.
    durable: [u8; SECTOR],
    /// A flush of it failed: it is clean in the cache and was never written (no later flush saves it).
    lost: bool,
}

impl Content {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn sector(&self, index: usize) -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        let start = (index * SECTOR).min(self.bytes.len());
        let source = &self.bytes[start..(start + SECTOR).min(self.bytes.len())];
        sector[..source.len()].copy_from_slice(source);
        sector
    }

    /// Remembers what the sectors of a range hold before it changes.
    fn remember(&mut self, start: usize, end: usize) {
        for index in start / SECTOR..end.div_ceil(SECTOR) {
            let before = self.sector(index);
            self.changed.entry(index).or_insert(Changed { durable: before, lost: false }).lost = false;
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8], start: usize) {
        let end = start + bytes.len();
        self.remember(start, end);
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].copy_from_slice(bytes);
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.remember(len.min(self.bytes.len()), self.bytes.len());
        self.bytes.resize(len, 0);
    }

    pub(super) fn sync(&mut self) {
        self.changed.retain(|_, changed| changed.lost);
        self.durable_len = self.bytes.len();
    }

    pub(super) fn fail_sync(&mut self) {
        self.changed.values_mut().for_each(|changed| changed.lost = true);
    }

    pub(super) fn flip_bit(&mut self, offset: u64, bit: u8) {
        let Ok(offset) = usize::try_from(offset) else { return };
        if let Some(byte) = self.bytes.get_mut(offset) {
            *byte ^= 1 << (bit % 8);
        }
        if let Some(changed) = self.changed.get_mut(&(offset / SECTOR)) {
            changed.durable[offset % SECTOR] ^= 1 << (bit % 8);
        }
    }

    /// The power goes: each unflushed sector survives with that probability in 100, and the length is any
    /// that was passed.
    pub(super) fn lose_unflushed(&mut self, random: &mut Random, survival: u64) {
        let now = self.bytes.len();
        let (low, high) = (now.min(self.durable_len), now.max(self.durable_len));
        let length = match survival {
            0 => self.durable_len,
            100 => now,
            _ => low + usize::try_from(random.below((high - low) as u64 + 1)).unwrap_or(0),
        };
        self.bytes.resize(high, 0);
        for (index, changed) in std::mem::take(&mut self.changed) {
            if changed.lost || !random.percent(survival) {
                let start = (index * SECTOR).min(high);
                let end = (start + SECTOR).min(high);
                self.bytes[start..end].copy_from_slice(&changed.durable[..end - start]);
            }
        }
        self.bytes.truncate(length);
        self.durable_len = length;
    }
}
