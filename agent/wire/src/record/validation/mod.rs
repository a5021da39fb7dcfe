//! What a leader takes from a producer, and what it makes of it (rules 25 to 30; Kafka's LogValidator).
//!
//! In Kafka's order, since clients act on the first thing that is wrong: `framing` (one batch of the current format), `head` (size,
//! checksum, counts), `inspect` (every record inside, unpacked a window at a time), `rewrite` (what the topic wants otherwise).
//! Must not know: partitions, logs, producers' histories. Read first: [`Validator::validate`], [`Rules`].

mod framing;
mod head;
mod inspect;
mod rewrite;
#[cfg(test)]
mod tests;

use bytes::{Bytes, BytesMut};
use streamkeeper_base::batch::{BATCH_HEADER_BYTES, BatchHeader};
use streamkeeper_base::limits::INFLATED_BYTES_MAX;
use streamkeeper_base::plant::{Plant, is_planted};

use super::compression::Compression;
use super::deflate::Packing;
use super::inflate::Inflater;
use super::source::{Fault, Plain};
use crate::kafka::ErrorCode;
use inspect::Inspected;

/// The bit of the attributes that says whose clock the timestamps are (KIP-32).
const LOG_APPEND_TIME_BIT: i16 = 8;
/// The bits of the attributes that mean something: codec, timestamp type, transactional, control, delete horizon.
const KNOWN_BITS: i16 = 0x7F;
/// What a record without a time has.
const NO_TIMESTAMP: i64 = -1;

/// Whose clock counts, and how far a producer's may be off, in milliseconds (KIP-32, KIP-937).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamps {
    /// The producer's.
    CreateTime {
        /// How far back.
        before_max_ms: i64,
        /// How far ahead.
        after_max_ms: i64,
    },
    /// The leader's, at the append.
    LogAppendTime,
}

/// What a topic asks of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Bytes of a batch at most, as it came and as it is kept (`max.message.bytes`).
    pub batch_bytes_max: usize,
    /// Bytes of a segment (`segment.bytes`): a batch is in one.
    pub segment_bytes_max: u64,
    /// Records without a key could not be compacted (`cleanup.policy`).
    pub is_compacted: bool,
    /// `message.timestamp.type` and what belongs to it.
    pub timestamps: Timestamps,
    /// `compression.type`; `None` for the producer's own.
    pub packing: Option<Packing>,
}

impl Default for Rules {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            batch_bytes_max: streamkeeper_base::limits::MESSAGE_BYTES_MAX_DEFAULT,
            segment_bytes_max: streamkeeper_base::limits::SEGMENT_BYTES_DEFAULT,
            is_compacted: false,
            timestamps: Timestamps::CreateTime { before_max_ms: i64::MAX, after_max_ms: 3_600_000 },
            packing: None,
        }
    }
}

/// Why a batch is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Kafka's number for it.
    pub code: ErrorCode,
    /// For people; empty if the number says everything.
    pub message: String,
    /// The records that are to blame, by their number in the batch, if it is theirs alone (KIP-467).
    pub records: Vec<(i32, String)>,
}

impl Refusal {
    fn new(code: ErrorCode, message: impl Into<String>) -> Box<Self> {
        Box::new(Self { code, message: message.into(), records: Vec::new() })
    }

    fn unknown_codec() -> Box<Self> {
        // As Kafka, whose enumeration throws here.
        Self::new(
            ErrorCode::UNKNOWN_SERVER_ERROR,
            "a record batch is compressed by a codec that does not exist",
        )
    }

    fn too_large(bytes: usize, rules: &Rules) -> Box<Self> {
        let most = rules.batch_bytes_max;
        Self::new(
            ErrorCode::MESSAGE_TOO_LARGE,
            format!("a batch of {bytes} bytes; max.message.bytes is {most}"),
        )
    }
}

impl From<ErrorCode> for Box<Refusal> {
    /// A number that says everything.
    fn from(code: ErrorCode) -> Self {
        Refusal::new(code, "")
    }
}

impl From<Fault> for Box<Refusal> {
    fn from(fault: Fault) -> Self {
        let invalid = |what: &str| {
            Refusal::new(ErrorCode::INVALID_RECORD, format!("the batch's records are malformed: {what}"))
        };
        match fault {
            Fault::Ended => invalid("they end too early"),
            Fault::Malformed(flaw) => invalid(flaw.text()),
            // Kafka's number for an exception that is none of its own.
            Fault::Damaged => {
                let what = "the batch's records are not compressed by the codec that its head names";
                Refusal::new(ErrorCode::UNKNOWN_SERVER_ERROR, what)
            }
            // Clients split a batch at this number.
            Fault::TooLong => {
                let what =
                    format!("the batch's records are more than {INFLATED_BYTES_MAX} bytes when uncompressed");
                Refusal::new(ErrorCode::MESSAGE_TOO_LARGE, what)
            }
        }
    }
}

/// A batch that may be appended.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Its head, as it is now.
    pub header: BatchHeader,
    /// All of it: what came, without a copy, if nothing had to change.
    pub batch: Bytes,
    /// The time that was written into it, milliseconds; -1 if its records keep their own.
    pub log_append_time_ms: i64,
}

/// Validates batches; one per thread, because it keeps the codecs' contexts.
#[derive(Default)]
pub struct Validator {
    inflater: Inflater,
}

impl Validator {
    /// Judges what a producer sent for one partition, and makes of it what the topic keeps. `now_ms`: wall clock.
    ///
    /// # Errors
    /// Kafka's error number, and why.
    pub fn validate(
        &mut self,
        records: &Bytes,
        rules: &Rules,
        produce_version: i16,
        now_ms: i64,
    ) -> Result<Accepted, Box<Refusal>> {
        let batch = framing::one_batch(records, produce_version)?;
        let (header, compression) = head::check(&batch, rules)?;
        let packed = batch.slice(BATCH_HEADER_BYTES..);
        let seen = if is_planted(Plant::UnreadRecords) {
            Inspected { max_timestamp: header.max_timestamp, counts_right: true }
        } else {
            self.inspect(&packed, compression, &header, rules, now_ms)?
        };
        let packing = packing(compression, rules, &seen);
        let repacked =
            packing.map(|packing| self.repack(&batch, compression, &header, packing, rules)).transpose()?;
        let accepted = finish(batch, repacked, &header, rules, &seen, now_ms);
        if accepted.batch.len() as u64 > rules.segment_bytes_max {
            let what = format!(
                "a batch of {} bytes; segment.bytes is {}",
                accepted.batch.len(),
                rules.segment_bytes_max
            );
            return Err(Refusal::new(ErrorCode::RECORD_LIST_TOO_LARGE, what));
        }
        Ok(accepted)
    }

    fn inspect(
        &mut self,
        packed: &Bytes,
        compression: Compression,
        header: &BatchHeader,
        rules: &Rules,
        now_ms: i64,
    ) -> Result<Inspected, Box<Refusal>> {
        if compression == Compression::None {
            return inspect::inspect(&mut Plain::new(packed), header, rules, now_ms);
        }
        let mut unpacked = self.inflater.open(compression, packed, INFLATED_BYTES_MAX)?;
        inspect::inspect(&mut unpacked, header, rules, now_ms)
    }

    fn repack(
        &mut self,
        batch: &Bytes,
        compression: Compression,
        header: &BatchHeader,
        packing: Packing,
        rules: &Rules,
    ) -> Result<BytesMut, Box<Refusal>> {
        let packed = batch.slice(BATCH_HEADER_BYTES..);
        let mut unpacked = self.inflater.open(compression, &packed, INFLATED_BYTES_MAX)?;
        let repacked = rewrite::repack(&mut unpacked, batch, header, packing, rules.batch_bytes_max);
        repacked.map_err(|fault| match fault {
            Fault::TooLong => {
                let (name, most) = (packing.compression.name(), rules.batch_bytes_max);
                let what = format!(
                    "the batch is larger than max.message.bytes, {most}, once its compression is {name}"
                );
                Refusal::new(ErrorCode::MESSAGE_TOO_LARGE, what)
            }
            Fault::Ended | Fault::Damaged | Fault::Malformed(_) => fault.into(),
        })
    }
}

/// How the batch is to be packed anew; `None` if it stays as it came.
///
/// A batch whose records count wrongly is counted anew. Kafka does so only with packed ones; readers of others are then shown
/// offsets that the log does not have.
fn packing(compression: Compression, rules: &Rules, seen: &Inspected) -> Option<Packing> {
    match rules.packing {
        Some(packing) if packing.compression != compression || !seen.counts_right => Some(packing),
        None if !seen.counts_right => Some(Packing::default_of(compression)),
        Some(_) | None => None,
    }
}

/// Writes into the head what the topic says about time, if that is not there yet.
fn finish(
    batch: Bytes,
    repacked: Option<BytesMut>,
    header: &BatchHeader,
    rules: &Rules,
    seen: &Inspected,
    now_ms: i64,
) -> Accepted {
    let codec =
        repacked.as_ref().map_or(header.attributes, |bytes| i16::from_be_bytes([bytes[21], bytes[22]]));
    let kept = codec & KNOWN_BITS & !LOG_APPEND_TIME_BIT;
    let (attributes, max_timestamp, log_append_time_ms) = match rules.timestamps {
        Timestamps::CreateTime { .. } => (kept, seen.max_timestamp, NO_TIMESTAMP),
        Timestamps::LogAppendTime => (kept | LOG_APPEND_TIME_BIT, now_ms, now_ms),
    };
    let is_right = header.attributes == attributes && header.max_timestamp == max_timestamp;
    if repacked.is_none() && is_right {
        return Accepted { header: *header, batch, log_append_time_ms };
    }
    let mut bytes = repacked.unwrap_or_else(|| BytesMut::from(&batch[..]));
    rewrite::stamp(&mut bytes, attributes, max_timestamp);
    let header = BatchHeader::fields(&bytes).unwrap_or(*header);
    Accepted { header, batch: bytes.freeze(), log_append_time_ms }
}
