//! Record batches to be sent: made once per number of records and sent again and again, so that making them costs nothing.
//!
//! Values are random bytes: what a file system or a network compresses by itself would flatter nobody. Read first: [`Batches`].

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, checksum};
use streamkeeper_base::Random;
use streamkeeper_base::batch::BATCH_CRC_START;
use streamkeeper_wire::record::Builder;

/// Where the CRC and the first sequence stand in a batch.
const CRC_AT: usize = 17;
const SEQUENCE_AT: usize = 53;

/// Batches by their number of records.
pub(super) struct Batches {
    value: Vec<u8>,
    timestamp: i64,
    producer: Option<(i64, i16)>,
    made: BTreeMap<usize, Bytes>,
}

impl Batches {
    /// Records with values of that size; of an idempotent producer if one is given.
    pub(super) fn new(value_bytes: usize, producer: Option<(i64, i16)>) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let mut random = Random::new(now.as_nanos() as u64);
        let value = (0..value_bytes).map(|_| random.next_u64() as u8).collect();
        let timestamp = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        Self { value, timestamp, producer, made: BTreeMap::new() }
    }

    /// Bytes that users put into that many records.
    pub(super) fn value_bytes(&self, records: usize) -> u64 {
        (self.value.len() * records) as u64
    }

    /// A batch of that many records, the first with that sequence.
    pub(super) fn batch(&mut self, records: usize, sequence: i32) -> Bytes {
        let template = self.made.entry(records).or_insert_with(|| {
            let mut builder = Builder::new(self.timestamp);
            if let Some((id, epoch)) = self.producer {
                builder = builder.producer(id, epoch, 0);
            }
            (0..records).for_each(|_| builder.push(None, Some(&self.value)));
            builder.finish().freeze()
        });
        if self.producer.is_none() {
            return template.clone();
        }
        let mut batch = BytesMut::from(&template[..]);
        batch[SEQUENCE_AT..SEQUENCE_AT + 4].copy_from_slice(&sequence.to_be_bytes());
        let crc = checksum(CrcAlgorithm::Crc32Iscsi, &batch[BATCH_CRC_START..]) as u32;
        batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        batch.freeze()
    }
}

#[cfg(test)]
mod tests {
    use streamkeeper_wire::record::{Rules, Validator};

    use super::*;

    #[test]
    fn batches_are_what_a_broker_accepts() {
        let mut plain = Batches::new(100, None);
        let now_ms = plain.timestamp;
        let valid = |batch: Bytes| Validator::default().validate(&batch, &Rules::default(), 9, now_ms);
        let header = valid(plain.batch(3, 0)).expect("a valid batch").header;
        assert_eq!((header.count, header.producer_id.0), (3, -1));
        let mut idempotent = Batches::new(100, Some((7, 1)));
        idempotent.batch(2, 0);
        let header = valid(idempotent.batch(2, 40)).expect("a valid batch").header;
        assert_eq!((header.base_sequence, header.producer_id.0), (40, 7));
    }
}
