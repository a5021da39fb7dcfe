//! Changing a batch that was found good: packed anew, counted anew, its head told what its records are (LogValidator.buildRecords…).
//!
//! Must not know: why. Read first: [`repack`], [`stamp`].

use std::io::Write;

use bytes::{BufMut, BytesMut};
use crc_fast::{CrcAlgorithm, checksum};
use streamkeeper_base::batch::{BATCH_CRC_START, BATCH_HEADER_BYTES, BATCH_LENGTH_PREFIX, BatchHeader};

use super::super::deflate::{Bounded, Packing, Sink};
use super::super::source::{Fault, Flaw, Source};
use super::super::varint::{put_varlong, varint, varlong};
use super::super::walk::record_end;

/// Bytes of a record's length, attributes, timestamp and offset at most.
const RECORD_HEAD_BYTES_MAX: usize = 5 + 1 + 10 + 5;
const CODEC_BITS: i16 = 7;

/// The batch with its records packed as `packing` says, their offsets counted from 0 without a gap. Its checksum is for
/// [`stamp`] to set.
///
/// # Errors
/// It would be longer than `bytes_max`.
pub(super) fn repack(
    source: &mut impl Source,
    head: &[u8],
    header: &BatchHeader,
    packing: Packing,
    bytes_max: usize,
) -> Result<BytesMut, Fault> {
    let bytes_max = bytes_max.max(BATCH_HEADER_BYTES);
    let out = Bounded { bytes: head[..BATCH_HEADER_BYTES].to_vec(), bytes_max };
    let mut sink = Sink::new(packing, out)?;
    let (mut prefix, mut length) =
        (BytesMut::with_capacity(RECORD_HEAD_BYTES_MAX), BytesMut::with_capacity(RECORD_HEAD_BYTES_MAX));
    for index in 0..header.count {
        let end = record_end(source)?;
        prefix.clear();
        length.clear();
        prefix.put_u8(source.byte()?);
        put_varlong(&mut prefix, varlong(source)?);
        let _offset_delta = varint(source)?;
        put_varlong(&mut prefix, i64::from(index));
        let rest = end.checked_sub(source.position()).ok_or(Fault::Malformed(Flaw::RecordLength))?;
        put_varlong(&mut length, i64::try_from(prefix.len() as u64 + rest).unwrap_or(i64::MAX));
        sink.write_all(&length)?;
        sink.write_all(&prefix)?;
        source.pass(rest, &mut |piece| sink.write_all(piece).map_err(Fault::from))?;
    }
    let mut batch = BytesMut::from(&sink.finish()?.bytes[..]);
    let length = i32::try_from(batch.len() - BATCH_LENGTH_PREFIX).unwrap_or(i32::MAX);
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let attributes = (header.attributes & !CODEC_BITS) | packing.compression.code();
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    Ok(batch)
}

/// Sets attributes and greatest timestamp, and the checksum over them.
pub(super) fn stamp(batch: &mut [u8], attributes: i16, max_timestamp: i64) {
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    batch[35..43].copy_from_slice(&max_timestamp.to_be_bytes());
    // A 32-bit algorithm's result fits.
    let crc = checksum(CrcAlgorithm::Crc32Iscsi, &batch[BATCH_CRC_START..]) as u32;
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}
