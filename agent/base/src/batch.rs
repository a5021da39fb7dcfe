//! The fixed head of a Kafka record batch (magic 2): what storage, replication and the protocol all need of it.
//!
//! Must not know: records, compression. Read first: [`BatchHeader`].

use crate::id::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// Bytes of a batch before its records.
pub const BATCH_HEADER_BYTES: usize = 61;
/// Bytes before the part that the batch's length counts: base offset and the length itself.
pub const BATCH_LENGTH_PREFIX: usize = 12;
/// Where the CRC-covered part begins: at the attributes. Base offset and leader epoch stand before it.
pub const BATCH_CRC_START: usize = 21;
/// The only supported format (KIP-724).
pub const MAGIC: u8 = 2;

/// The fixed head of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Bytes of the whole batch, head included.
    pub size: usize,
    /// The epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// CRC32C of everything from the attributes on.
    pub crc: u32,
    /// Compression (bits 0-2), timestamp type (3), transactional (4), control (5), delete horizon (6).
    pub attributes: i16,
    /// Offset of the last record, relative to the first.
    pub last_offset_delta: i32,
    /// Timestamp of the first record, milliseconds.
    pub base_timestamp: i64,
    /// Greatest timestamp, milliseconds.
    pub max_timestamp: i64,
    /// The idempotent producer; -1 for none.
    pub producer_id: ProducerId,
    /// Its generation; -1 for none.
    pub producer_epoch: ProducerEpoch,
    /// The producer's number of the first record; -1 for none.
    pub base_sequence: i32,
    /// Records in the batch.
    pub count: i32,
}

impl BatchHeader {
    /// Reads the head at the start of `bytes`; `None` if it is too short, of another format, or contradicts itself.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let header = Self::fields(bytes)?;
        let sound = bytes[16] == MAGIC
            && header.size >= BATCH_HEADER_BYTES
            && header.last_offset_delta >= 0
            && header.base_offset.0 >= 0
            && header.base_offset.0.checked_add(i64::from(header.last_offset_delta) + 1).is_some();
        sound.then_some(header)
    }

    /// What stands where this format has its fields, whether or not it makes sense; `None` if `bytes` or its length are too short for that.
    pub fn fields(bytes: &[u8]) -> Option<Self> {
        let head: &[u8; BATCH_HEADER_BYTES] = bytes.first_chunk()?;
        Some(Self {
            base_offset: Offset(i64_at(head, 0)),
            size: usize::try_from(i32_at(head, 8)).ok()?.checked_add(BATCH_LENGTH_PREFIX)?,
            leader_epoch: LeaderEpoch(i32_at(head, 12)),
            crc: i32_at(head, 17).cast_unsigned(),
            attributes: i16_at(head, 21),
            last_offset_delta: i32_at(head, 23),
            base_timestamp: i64_at(head, 27),
            max_timestamp: i64_at(head, 35),
            producer_id: ProducerId(i64_at(head, 43)),
            producer_epoch: ProducerEpoch(i16_at(head, 51)),
            base_sequence: i32_at(head, 53),
            count: i32_at(head, 57),
        })
    }

    /// The offset after the last record.
    pub fn end(&self) -> Offset {
        self.base_offset.plus(i64::from(self.last_offset_delta) + 1)
    }

    /// The producer's number of the last record; wraps at 2^31.
    pub fn last_sequence(&self) -> i32 {
        let sum = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        i32::try_from(sum % (1 << 31)).unwrap_or(0)
    }

    /// True if an idempotent producer wrote it.
    pub fn is_idempotent(&self) -> bool {
        self.producer_id.0 >= 0
    }

    /// True for a transaction marker.
    pub fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }

    /// True for a transaction's records.
    pub fn is_transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }
}

/// Writes what a leader decides into a batch: neither field is covered by its CRC.
pub fn assign(batch: &mut [u8], base_offset: Offset, leader_epoch: LeaderEpoch) {
    batch[0..8].copy_from_slice(&base_offset.0.to_be_bytes());
    batch[12..16].copy_from_slice(&leader_epoch.0.to_be_bytes());
}

/// The heads of consecutive whole batches, with the position of each; ends before the first that is broken or cut off.
pub fn headers(bytes: &[u8]) -> impl Iterator<Item = (usize, BatchHeader)> + '_ {
    let mut position = 0;
    std::iter::from_fn(move || {
        let header = BatchHeader::parse(bytes.get(position..)?)?;
        if header.size > bytes.len() - position {
            return None;
        }
        let at = position;
        position += header.size;
        Some((at, header))
    })
}

fn i64_at(head: &[u8; BATCH_HEADER_BYTES], at: usize) -> i64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&head[at..at + 8]);
    i64::from_be_bytes(raw)
}

fn i32_at(head: &[u8; BATCH_HEADER_BYTES], at: usize) -> i32 {
    let mut raw = [0; 4];
    raw.copy_from_slice(&head[at..at + 4]);
    i32::from_be_bytes(raw)
}

fn i16_at(head: &[u8; BATCH_HEADER_BYTES], at: usize) -> i16 {
    i16::from_be_bytes([head[at], head[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_head_is_refused() {
        let mut head = vec![0u8; BATCH_HEADER_BYTES];
        assert_eq!(BatchHeader::parse(&head), None, "magic 0");
        head[16] = MAGIC;
        assert_eq!(BatchHeader::parse(&head), None, "shorter than a head");
        head[8..12].copy_from_slice(&49i32.to_be_bytes());
        assert!(BatchHeader::parse(&head).is_some());
        head[8..12].copy_from_slice(&(-1i32).to_be_bytes());
        assert_eq!(BatchHeader::parse(&head), None);
        head[8..12].copy_from_slice(&49i32.to_be_bytes());
        head[0..8].copy_from_slice(&i64::MAX.to_be_bytes());
        assert_eq!(BatchHeader::parse(&head), None, "offsets would overflow");
    }
}
