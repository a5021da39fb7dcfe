//! One batch per partition: where the batch in a Produce request's field ends, by its length alone (ProduceRequest.validateRecords).
//!
//! Must not know: what is in it.

use bytes::Bytes;
use streamkeeper_base::batch::{BATCH_LENGTH_PREFIX, MAGIC};

use super::super::compression::Compression;
use super::Refusal;
use crate::kafka::ErrorCode;

/// The least that the length of a message of any format counts (LegacyRecord.RECORD_OVERHEAD_V0).
const LENGTH_MIN: i32 = 14;
/// Bytes up to the format's number, that number included.
const MAGIC_END: usize = 17;
const ATTRIBUTES_AT: usize = 21;
/// The first version of Produce that may carry zstd (KIP-110).
const PRODUCE_VERSION_OF_ZSTD: i16 = 7;

/// The one batch of the current format that `records` holds. What follows it is cut off if it is less than a batch, as Kafka does.
pub(super) fn one_batch(records: &Bytes, produce_version: i16) -> Result<Bytes, Box<Refusal>> {
    let Some(size) = next_batch(records)? else {
        return Err(Refusal::new(ErrorCode::INVALID_RECORD, "there is no whole record batch"));
    };
    let batch = records.slice(..size);
    if batch[MAGIC_END - 1] != MAGIC {
        return Err(Refusal::new(
            ErrorCode::INVALID_RECORD,
            "only record batches of format 2 are taken (KIP-724)",
        ));
    }
    if produce_version < PRODUCE_VERSION_OF_ZSTD {
        let attributes = i16::from_be_bytes([batch[ATTRIBUTES_AT], batch[ATTRIBUTES_AT + 1]]);
        match Compression::of(attributes) {
            Some(Compression::Zstd) => {
                let what = "zstd needs Produce 7 or later (KIP-110)";
                return Err(Refusal::new(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, what));
            }
            Some(_) => {}
            None => return Err(Refusal::unknown_codec()),
        }
    }
    if next_batch(&records[size..])?.is_some() {
        let what = "there is more than one record batch; Produce takes exactly one per partition";
        return Err(Refusal::new(ErrorCode::INVALID_RECORD, what));
    }
    Ok(batch)
}

/// Bytes of the batch at the start; `None` if they are not all there.
fn next_batch(bytes: &[u8]) -> Result<Option<usize>, Box<Refusal>> {
    let Some(prefix) = bytes.first_chunk::<BATCH_LENGTH_PREFIX>() else { return Ok(None) };
    let length = i32::from_be_bytes([prefix[8], prefix[9], prefix[10], prefix[11]]);
    if length < LENGTH_MIN {
        let what = format!("a record batch says that it is {length} bytes long, less than any can be");
        return Err(Refusal::new(ErrorCode::CORRUPT_MESSAGE, what));
    }
    if bytes.len() < MAGIC_END {
        return Ok(None);
    }
    let magic = bytes[MAGIC_END - 1].cast_signed();
    if !(0..=2).contains(&magic) {
        let what = format!("a record batch has the format {magic}, which does not exist");
        return Err(Refusal::new(ErrorCode::CORRUPT_MESSAGE, what));
    }
    let size = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(BATCH_LENGTH_PREFIX);
    if i32::try_from(size).is_err() {
        // Kafka computes in 32 bits here and ends in an exception of no kind.
        let what = "a record batch says that it is longer than 2 GiB";
        return Err(Refusal::new(ErrorCode::UNKNOWN_SERVER_ERROR, what));
    }
    Ok((bytes.len() >= size).then_some(size))
}
