//! The head of a record: everything that tells a whole, current record from a torn, stale or rotten one.

use crc_fast::{CrcAlgorithm, Digest};
use streamkeeper_base::Lsn;

use super::file::AlignedBuffer;
use crate::crc32c as crc;

/// Bytes before a record's payload.
pub(super) const HEADER_BYTES: usize = 48;
const MAGIC: u32 = 0x534B_5752;

/// What precedes a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    /// The generation of the file: records of an earlier use of it do not count.
    pub(super) salt: u64,
    pub(super) lsn: Lsn,
    /// Everything up to here was durable when this record was made.
    pub(super) durable: Lsn,
    pub(super) kind: u8,
    /// The header CRC of the record before: no record can be missing between two good ones.
    pub(super) previous_crc: u32,
}

impl RecordHeader {
    /// Appends the record; gives its header's CRC.
    pub(super) fn encode(&self, pieces: &[&[u8]], out: &mut AlignedBuffer) -> u32 {
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        pieces.iter().for_each(|piece| digest.update(piece));
        let length: usize = pieces.iter().map(|p| p.len()).sum();
        let mut head = [0; HEADER_BYTES];
        head[0..4].copy_from_slice(&MAGIC.to_be_bytes());
        head[4..12].copy_from_slice(&self.salt.to_be_bytes());
        head[12..20].copy_from_slice(&self.lsn.0.to_be_bytes());
        head[20..28].copy_from_slice(&self.durable.0.to_be_bytes());
        head[28] = self.kind;
        head[32..36].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        head[36..40].copy_from_slice(&self.previous_crc.to_be_bytes());
        head[40..44].copy_from_slice(&(digest.finalize() as u32).to_be_bytes());
        let own = crc(&head[..44]);
        head[44..48].copy_from_slice(&own.to_be_bytes());
        out.extend(&head);
        pieces.iter().for_each(|piece| out.extend(piece));
        own
    }

    /// Reads a whole, undamaged record of that generation at the start of `bytes`: header, its CRC, payload
    /// range.
    pub(super) fn decode(bytes: &[u8], salt: u64) -> Option<(Self, u32, std::ops::Range<usize>)> {
        let head: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let header = Self::decode_head(head, salt)?;
        let length = word(head, 32) as usize;
        let payload = bytes.get(HEADER_BYTES..HEADER_BYTES.checked_add(length)?)?;
        (crc(payload) == word(head, 40))
            .then(|| (header, word(head, 44), HEADER_BYTES..HEADER_BYTES + length))
    }

    /// The header alone; its payload may be damaged.
    pub(super) fn decode_head(head: &[u8; HEADER_BYTES], salt: u64) -> Option<Self> {
        if word(head, 0) != MAGIC || long(head, 4) != salt || crc(&head[..44]) != word(head, 44) {
            return None;
        }
        Some(Self {
            salt,
            lsn: Lsn(long(head, 12)),
            durable: Lsn(long(head, 20)),
            kind: head[28],
            previous_crc: word(head, 36),
        })
    }
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    let mut raw = [0; 4];
    raw.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(raw)
}

pub(super) fn long(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    u64::from_be_bytes(raw)
}
