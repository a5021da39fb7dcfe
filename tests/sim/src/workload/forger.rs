//! Batches that no leader may take. Their records hold a value that nobody sends: whoever reads it has found a violation.
//!
//! Read first: [`forged`].

use bytes::{BufMut, Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, checksum};
use streamkeeper_base::Random;
use streamkeeper_base::batch::BATCH_CRC_START;
use streamkeeper_wire::record::Builder;

const LENGTH_AT: usize = 8;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const LAST_DELTA_AT: usize = 23;
const COUNT_AT: usize = 57;
const RECORDS_AT: usize = 61;

/// One whose head or records lie in a way of its own.
pub(super) fn forged(random: &mut Random, timestamp: i64) -> Bytes {
    let mut builder = Builder::new(timestamp);
    for _ in 0..=random.below(3) {
        builder.push(Some(b"key"), Some(b"forged"));
    }
    let mut batch = builder.finish();
    let count = i32::from_be_bytes([batch[57], batch[58], batch[59], batch[60]]);
    match random.below(9) {
        0 => set_count(&mut batch, count + 1),
        1 => set_count(&mut batch, i32::MAX),
        2 => set(&mut batch, LAST_DELTA_AT, &i32::MAX.to_be_bytes()),
        3 => set(&mut batch, COUNT_AT, &0_i32.to_be_bytes()),
        4 => {
            // It says that it is packed, and is not.
            let codec = i16::try_from(1 + random.below(7)).unwrap_or(1);
            set(&mut batch, ATTRIBUTES_AT, &codec.to_be_bytes());
        }
        5 => set(&mut batch, ATTRIBUTES_AT, &0x20_i16.to_be_bytes()),
        6 => set(&mut batch, RECORDS_AT, &[0x7E]),
        7 => {
            batch.put_u8(0);
            let length = i32::try_from(batch.len() - 12).unwrap_or(i32::MAX);
            set(&mut batch, LENGTH_AT, &length.to_be_bytes());
        }
        _ => {
            let twin = batch.clone();
            batch.extend_from_slice(&twin);
        }
    }
    batch.freeze()
}

/// The count, and the last offset delta that goes with it.
fn set_count(batch: &mut BytesMut, count: i32) {
    set(batch, LAST_DELTA_AT, &(count - 1).to_be_bytes());
    set(batch, COUNT_AT, &count.to_be_bytes());
}

fn set(batch: &mut BytesMut, at: usize, bytes: &[u8]) {
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    // A 32-bit algorithm's result fits.
    let crc = checksum(CrcAlgorithm::Crc32Iscsi, &batch[BATCH_CRC_START..]) as u32;
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
}
