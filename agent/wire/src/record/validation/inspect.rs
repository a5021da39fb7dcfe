//! What the records inside of a batch must be (LogValidator.validateRecord, DefaultRecordBatch's iterators).
//!
//! Nothing is allocated per record, but for those that are refused. Must not know: how they were packed. Read first: [`inspect`].

use streamkeeper_base::batch::BatchHeader;

use super::super::source::{Fault, Flaw, Source};
use super::super::walk;
use super::{LOG_APPEND_TIME_BIT, NO_TIMESTAMP, Refusal, Rules, Timestamps};
use crate::kafka::ErrorCode;

/// Records that are refused by name at most: a packed batch may hold millions, and the answer has to fit.
const NAMED_MAX: usize = 100;

/// What the records of a batch have shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inspected {
    /// The greatest of their timestamps, milliseconds; -1 if none has one.
    pub(super) max_timestamp: i64,
    /// They count their offsets from 0 without a gap.
    pub(super) counts_right: bool,
}

/// Goes over all records.
pub(super) fn inspect(
    source: &mut impl Source,
    header: &BatchHeader,
    rules: &Rules,
    now_ms: i64,
) -> Result<Inspected, Box<Refusal>> {
    let mut refused = Refused::default();
    let mut seen = Inspected { max_timestamp: NO_TIMESTAMP, counts_right: true };
    for index in 0..header.count {
        let record = walk::record(source)?;
        let timestamp = header
            .base_timestamp
            .checked_add(record.timestamp_delta)
            .ok_or(Fault::Malformed(Flaw::Timestamp))?;
        seen.max_timestamp = seen.max_timestamp.max(timestamp);
        seen.counts_right &= record.offset_delta == index;
        if rules.is_compacted && !record.has_key {
            refused.add(index, ErrorCode::INVALID_RECORD, || {
                "a compacted topic takes no record without a key".to_owned()
            });
        } else {
            check_time(timestamp, index, header, rules, now_ms, &mut refused);
        }
    }
    if !source.is_at_end()? {
        return Err(Fault::Malformed(Flaw::BytesLeft).into());
    }
    refused.verdict().map_or(Ok(seen), Err)
}

/// KIP-937. The rule is not asked of a record without a time, nor where the broker's own time counts.
#[inline]
fn check_time(
    timestamp: i64,
    index: i32,
    header: &BatchHeader,
    rules: &Rules,
    now_ms: i64,
    refused: &mut Refused,
) {
    match rules.timestamps {
        Timestamps::CreateTime { before_max_ms, after_max_ms } if timestamp != NO_TIMESTAMP => {
            let (earliest, latest) =
                (now_ms.saturating_sub(before_max_ms), now_ms.saturating_add(after_max_ms));
            if timestamp < earliest || timestamp > latest {
                refused.add(index, ErrorCode::INVALID_TIMESTAMP, || {
                    format!("its timestamp {timestamp} is not within [{earliest}, {latest}]")
                });
            }
        }
        Timestamps::CreateTime { .. } | Timestamps::LogAppendTime
            if header.attributes & LOG_APPEND_TIME_BIT != 0 =>
        {
            refused.add(index, ErrorCode::INVALID_TIMESTAMP, || {
                "a producer must not set the timestamp type to LogAppendTime".to_owned()
            });
        }
        Timestamps::CreateTime { .. } | Timestamps::LogAppendTime => {}
    }
}

/// The records that are refused, the first of them by name.
#[derive(Default)]
struct Refused {
    count: u64,
    is_for_time: bool,
    named: Vec<(i32, String)>,
}

impl Refused {
    #[cold]
    fn add(&mut self, index: i32, code: ErrorCode, what: impl FnOnce() -> String) {
        self.count += 1;
        self.is_for_time |= code == ErrorCode::INVALID_TIMESTAMP;
        if self.named.len() < NAMED_MAX {
            self.named.push((index, what()));
        }
    }

    /// Kafka's order: one wrong time makes the batch one of a wrong time.
    fn verdict(self) -> Option<Box<Refusal>> {
        let (index, what) = self.named.first()?;
        let code = if self.is_for_time { ErrorCode::INVALID_TIMESTAMP } else { ErrorCode::INVALID_RECORD };
        let message =
            format!("{} of the batch's records are refused, the first is record {index}: {what}", self.count);
        Some(Box::new(Refusal { code, message, records: self.named }))
    }
}
