//! The records of batches that are in a log: they were valid when they were appended, but a disk may lie.
//!
//! Must not know: partitions. Read first: [`records`], [`find`].

use bytes::{Buf, Bytes};
use streamkeeper_base::batch::{BATCH_HEADER_BYTES, BatchHeader};
use streamkeeper_base::limits::INFLATED_BYTES_MAX;

use super::compression::Compression;
use super::inflate::Inflater;
use super::source::{Fault, Flaw, Plain, Source};
use super::varint::{varint, varlong};
use super::walk;
use crate::kafka::ErrorCode;

const LOG_APPEND_TIME_BIT: i16 = 8;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its offset.
    pub offset: i64,
    /// Milliseconds.
    pub timestamp: i64,
    /// Null and empty differ.
    pub key: Option<Bytes>,
    /// Null and empty differ.
    pub value: Option<Bytes>,
}

/// Offset and timestamp (milliseconds) of each record of one whole batch, in order, until `is_found` says that one is the right one: that one.
///
/// Packed records are unpacked a window at a time.
///
/// # Errors
/// The batch is malformed.
pub fn find(
    batch: &Bytes,
    mut is_found: impl FnMut(i64, i64) -> bool,
) -> Result<Option<(i64, i64)>, ErrorCode> {
    let (header, compression, packed) = open(batch)?;
    let found = if compression == Compression::None {
        find_in(&mut Plain::new(&packed), &header, &mut is_found)
    } else {
        let mut inflater = Inflater::default();
        let unpacked = inflater.open(compression, &packed, INFLATED_BYTES_MAX);
        unpacked.and_then(|mut unpacked| find_in(&mut unpacked, &header, &mut is_found))
    };
    found.map_err(|_| ErrorCode::CORRUPT_MESSAGE)
}

fn find_in(
    source: &mut impl Source,
    header: &BatchHeader,
    is_found: &mut impl FnMut(i64, i64) -> bool,
) -> Result<Option<(i64, i64)>, Fault> {
    for _ in 0..header.count {
        let record = walk::record(source)?;
        let offset = header.base_offset.0.saturating_add(i64::from(record.offset_delta));
        let timestamp = timestamp(header, record.timestamp_delta).ok_or(Fault::Malformed(Flaw::Timestamp))?;
        if is_found(offset, timestamp) {
            return Ok(Some((offset, timestamp)));
        }
    }
    Ok(None)
}

/// The records of one whole batch.
///
/// # Errors
/// The batch is malformed, or larger when unpacked than any that is accepted.
pub fn records(batch: &Bytes) -> Result<Vec<Record>, ErrorCode> {
    let (header, compression, packed) = open(batch)?;
    let mut body = match compression {
        Compression::None => packed,
        Compression::Gzip | Compression::Snappy | Compression::Lz4 | Compression::Zstd => {
            let mut inflater = Inflater::default();
            let unpacked = inflater.open(compression, &packed, INFLATED_BYTES_MAX);
            unpacked.and_then(|unpacked| unpacked.collect()).map_err(|_| ErrorCode::CORRUPT_MESSAGE)?
        }
    };
    let mut records = Vec::new();
    for _ in 0..header.count {
        records.push(read_record(&mut body, &header).ok_or(ErrorCode::INVALID_RECORD)?);
    }
    Ok(records)
}

/// A batch's head, and its records as they are packed.
fn open(batch: &Bytes) -> Result<(BatchHeader, Compression, Bytes), ErrorCode> {
    let header =
        BatchHeader::parse(batch).filter(|h| h.size <= batch.len()).ok_or(ErrorCode::CORRUPT_MESSAGE)?;
    let compression = Compression::of(header.attributes).ok_or(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE)?;
    Ok((header, compression, batch.slice(BATCH_HEADER_BYTES..header.size)))
}

/// The type LogAppendTime stamps the whole batch (KIP-32).
fn timestamp(header: &BatchHeader, delta: i64) -> Option<i64> {
    if header.attributes & LOG_APPEND_TIME_BIT != 0 {
        return Some(header.max_timestamp);
    }
    header.base_timestamp.checked_add(delta)
}

fn read_record(body: &mut Bytes, header: &BatchHeader) -> Option<Record> {
    let size = usize::try_from(number(body)?).ok()?;
    if size > body.len() {
        return None;
    }
    let mut record = body.split_to(size);
    let _attributes = record.try_get_u8().ok()?;
    let timestamp_delta = take(&mut record, |source| varlong(source))?;
    let timestamp = timestamp(header, timestamp_delta)?;
    let offset = header.base_offset.0.checked_add(i64::from(number(&mut record)?))?;
    let key = field(&mut record)?;
    let value = field(&mut record)?;
    Some(Record { offset, timestamp, key, value })
}

fn field(record: &mut Bytes) -> Option<Option<Bytes>> {
    let Ok(length) = usize::try_from(number(record)?) else { return Some(None) };
    (length <= record.len()).then(|| Some(record.split_to(length)))
}

fn number(bytes: &mut Bytes) -> Option<i32> {
    take(bytes, |source| varint(source))
}

/// Reads one thing off the front.
fn take<T>(bytes: &mut Bytes, read: impl FnOnce(&mut Plain<'_>) -> Result<T, Fault>) -> Option<T> {
    let mut source = Plain::new(bytes);
    let taken = read(&mut source).ok()?;
    let length = usize::try_from(source.position()).ok()?;
    bytes.advance(length);
    Some(taken)
}
