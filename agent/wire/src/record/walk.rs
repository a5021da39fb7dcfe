//! Going over one record without keeping any of it: every length must lie inside, and nothing may be left over (DefaultRecord).
//!
//! Must not know: batches, rules. Read first: [`record`].

use super::source::{Fault, Flaw, Source};
use super::varint::{varint, varlong};

/// What is asked of a record that is only looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walked {
    /// To the batch's base timestamp, milliseconds.
    pub(super) timestamp_delta: i64,
    /// To the batch's base offset.
    pub(super) offset_delta: i32,
    pub(super) has_key: bool,
}

/// The next record, from its length to its last header.
#[inline]
pub(super) fn record(source: &mut impl Source) -> Result<Walked, Fault> {
    let end = record_end(source)?;
    let _attributes = source.byte()?;
    let timestamp_delta = varlong(source)?;
    let offset_delta = varint(source)?;
    let has_key = field(source, end)?;
    field(source, end)?;
    let headers = varint(source)?;
    if headers != 0 {
        walk_headers(source, headers, end)?;
    }
    if source.position() != end {
        return Err(Fault::Malformed(Flaw::RecordLength));
    }
    Ok(Walked { timestamp_delta, offset_delta, has_key })
}

/// Reads a record's length; where it ends.
#[inline]
pub(super) fn record_end(source: &mut impl Source) -> Result<u64, Fault> {
    let size = u64::try_from(varint(source)?).map_err(|_| Fault::Malformed(Flaw::RecordLength))?;
    Ok(source.position() + size)
}

/// A key or value: false if it is null.
#[inline]
fn field(source: &mut impl Source, end: u64) -> Result<bool, Fault> {
    let Ok(length) = u64::try_from(varint(source)?) else { return Ok(false) };
    if length > end.saturating_sub(source.position()) {
        return Err(Fault::Malformed(Flaw::FieldLength));
    }
    source.skip(length)?;
    Ok(true)
}

fn walk_headers(source: &mut impl Source, headers: i32, end: u64) -> Result<(), Fault> {
    // Each takes two bytes at least.
    let fits = u64::try_from(headers).is_ok_and(|count| count <= end.saturating_sub(source.position()) / 2);
    if !fits {
        return Err(Fault::Malformed(Flaw::HeaderCount));
    }
    for _ in 0..headers {
        if !field(source, end)? {
            return Err(Fault::Malformed(Flaw::HeaderKey));
        }
        field(source, end)?;
    }
    Ok(())
}
