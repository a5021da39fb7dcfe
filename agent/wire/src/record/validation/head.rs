//! What a batch's head must say, before its records are looked at (UnifiedLog.analyzeAndValidateRecords, LogValidator.validateBatch).
//!
//! Must not know: records.

use crc_fast::{CrcAlgorithm, checksum};
use streamkeeper_base::Offset;
use streamkeeper_base::batch::{BATCH_CRC_START, BatchHeader};

use super::super::compression::Compression;
use super::{Refusal, Rules};
use crate::kafka::ErrorCode;

/// The head of a whole batch of the current format, and how its records are packed.
pub(super) fn check(batch: &[u8], rules: &Rules) -> Result<(BatchHeader, Compression), Box<Refusal>> {
    let invalid = |what: String| Err(Refusal::new(ErrorCode::INVALID_RECORD, what));
    let Some(header) = BatchHeader::fields(batch) else {
        return Err(Refusal::new(ErrorCode::CORRUPT_MESSAGE, "a record batch is shorter than its head"));
    };
    if header.base_offset != Offset::ZERO {
        let what = format!(
            "the base offset of a batch must be 0, not {}: its leader assigns it",
            header.base_offset
        );
        return invalid(what);
    }
    if batch.len() > rules.batch_bytes_max {
        return Err(Refusal::too_large(batch.len(), rules));
    }
    // A 32-bit algorithm's result fits.
    if checksum(CrcAlgorithm::Crc32Iscsi, &batch[BATCH_CRC_START..]) as u32 != header.crc {
        return Err(Refusal::new(
            ErrorCode::CORRUPT_MESSAGE,
            "a record batch's checksum does not fit its content",
        ));
    }
    let Some(compression) = Compression::of(header.attributes) else {
        return Err(Refusal::unknown_codec());
    };
    let (delta, count) = (header.last_offset_delta, header.count);
    if count <= 0 || i64::from(delta) + 1 != i64::from(count) {
        let last = i64::from(count) - 1;
        return invalid(format!(
            "a batch of {count} records cannot end at the offset delta {delta}, it must be {last}"
        ));
    }
    if header.is_control() {
        return invalid("clients do not write control batches".to_owned());
    }
    if header.is_idempotent() && header.base_sequence < 0 {
        return invalid(format!(
            "the batch of producer {} begins with the sequence {}, which is none",
            header.producer_id.0, header.base_sequence
        ));
    }
    Ok((header, compression))
}
