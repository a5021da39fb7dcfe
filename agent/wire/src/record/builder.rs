//! Batches of our own: of the group coordinators, of the load generator, of tests.
//!
//! Must not know: partitions. Read first: [`Builder`].

use bytes::{BufMut, BytesMut};
use crc_fast::{CrcAlgorithm, checksum};
use streamkeeper_base::batch::{BATCH_CRC_START, BATCH_HEADER_BYTES, BATCH_LENGTH_PREFIX, MAGIC};

use super::varint::put_varlong;

/// Builds a batch of our own: offsets from 0, to be assigned by the leader.
#[derive(Debug, Default)]
pub struct Builder {
    records: BytesMut,
    count: i32,
    timestamp: i64,
    /// Producer id, epoch, first sequence.
    producer: Option<(i64, i16, i32)>,
}

impl Builder {
    /// A batch whose records all carry one timestamp, milliseconds.
    pub fn new(timestamp: i64) -> Self {
        Self { timestamp, ..Self::default() }
    }

    /// Makes it an idempotent producer's.
    pub fn producer(mut self, id: i64, epoch: i16, sequence: i32) -> Self {
        self.producer = Some((id, epoch, sequence));
        self
    }

    /// Adds a record.
    pub fn push(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        let mut body = BytesMut::new();
        body.put_u8(0);
        put_varlong(&mut body, 0);
        put_varlong(&mut body, i64::from(self.count));
        for part in [key, value] {
            match part {
                None => put_varlong(&mut body, -1),
                Some(bytes) => {
                    put_varlong(&mut body, i64::try_from(bytes.len()).unwrap_or(i64::MAX));
                    body.put_slice(bytes);
                }
            }
        }
        put_varlong(&mut body, 0);
        put_varlong(&mut self.records, i64::try_from(body.len()).unwrap_or(i64::MAX));
        self.records.put_slice(&body);
        self.count += 1;
    }

    /// The batch.
    pub fn finish(self) -> BytesMut {
        let (id, epoch, sequence) = self.producer.unwrap_or((-1, -1, -1));
        let mut out = BytesMut::with_capacity(BATCH_HEADER_BYTES + self.records.len());
        out.put_i64(0);
        let length = BATCH_HEADER_BYTES - BATCH_LENGTH_PREFIX + self.records.len();
        out.put_i32(i32::try_from(length).unwrap_or(i32::MAX));
        out.put_i32(-1);
        out.put_u8(MAGIC);
        out.put_u32(0);
        out.put_i16(0);
        out.put_i32(self.count - 1);
        out.put_i64(self.timestamp);
        out.put_i64(self.timestamp);
        out.put_i64(id);
        out.put_i16(epoch);
        out.put_i32(sequence);
        out.put_i32(self.count);
        out.put_slice(&self.records);
        let crc = checksum(CrcAlgorithm::Crc32Iscsi, &out[BATCH_CRC_START..]) as u32;
        out[17..21].copy_from_slice(&crc.to_be_bytes());
        out
    }
}
