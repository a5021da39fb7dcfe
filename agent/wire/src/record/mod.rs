//! Record batches: validation of what producers send, records inside, batches of our own.
//!
//! Must not know: partitions. Read first: [`validate`], [`records`], [`Builder`].

mod compression;

use bytes::{BufMut, Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, checksum};
use streamkeeper_base::batch::{
    BATCH_CRC_START, BATCH_HEADER_BYTES, BATCH_LENGTH_PREFIX, BatchHeader, MAGIC,
};

pub use compression::Compression;

use crate::kafka::ErrorCode;

/// Bytes that a batch may have uncompressed: a bomb is refused, not inflated.
const INFLATED_BYTES_MAX: usize = 256 * 1024 * 1024;

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

/// Checks what a producer sent for one partition: one whole batch of the current format, undamaged, counting right.
///
/// # Errors
/// Kafka's error number (rules 26, 27, 29).
pub fn validate(records: &Bytes, bytes_max: usize, produce_version: i16) -> Result<BatchHeader, ErrorCode> {
    if records.get(16).is_some_and(|magic| *magic != MAGIC) {
        return Err(ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT);
    }
    let header = BatchHeader::parse(records).ok_or(ErrorCode::CORRUPT_MESSAGE)?;
    if header.size > bytes_max {
        return Err(ErrorCode::MESSAGE_TOO_LARGE);
    }
    if header.size != records.len() {
        // Cut off, or more than one batch.
        return Err(if header.size > records.len() {
            ErrorCode::CORRUPT_MESSAGE
        } else {
            ErrorCode::INVALID_RECORD
        });
    }
    // A 32-bit algorithm's result fits.
    if checksum(CrcAlgorithm::Crc32Iscsi, &records[BATCH_CRC_START..]) as u32 != header.crc {
        return Err(ErrorCode::CORRUPT_MESSAGE);
    }
    let compression = Compression::of(header.attributes).ok_or(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE)?;
    if compression == Compression::Zstd && produce_version < 7 {
        return Err(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE);
    }
    let counts = header.count > 0 && header.count == header.last_offset_delta + 1 && !header.is_control();
    if counts { Ok(header) } else { Err(ErrorCode::INVALID_RECORD) }
}

/// The records of one whole batch.
///
/// # Errors
/// The batch is malformed, or inflates beyond all reason.
pub fn records(batch: &Bytes) -> Result<Vec<Record>, ErrorCode> {
    let header =
        BatchHeader::parse(batch).filter(|h| h.size <= batch.len()).ok_or(ErrorCode::CORRUPT_MESSAGE)?;
    let packed = batch.slice(BATCH_HEADER_BYTES..header.size);
    let compression = Compression::of(header.attributes).ok_or(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE)?;
    let mut body = compression.inflate(packed, INFLATED_BYTES_MAX).ok_or(ErrorCode::CORRUPT_MESSAGE)?;
    let mut records = Vec::new();
    for _ in 0..header.count {
        records.push(read_record(&mut body, &header).ok_or(ErrorCode::INVALID_RECORD)?);
    }
    Ok(records)
}

fn read_record(body: &mut Bytes, header: &BatchHeader) -> Option<Record> {
    let size = usize::try_from(varlong(body)?).ok()?;
    if size > body.len() {
        return None;
    }
    let mut record = body.split_to(size);
    let _attributes = record.split_to_checked(1)?;
    let timestamp = header.base_timestamp.checked_add(varlong(&mut record)?)?;
    let offset = header.base_offset.0.checked_add(varlong(&mut record)?)?;
    let key = field(&mut record)?;
    let value = field(&mut record)?;
    // The type LogAppendTime stamps the whole batch.
    let timestamp = if header.attributes & 8 != 0 { header.max_timestamp } else { timestamp };
    Some(Record { offset, timestamp, key, value })
}

/// A split that cannot panic.
trait SplitChecked: Sized {
    fn split_to_checked(&mut self, at: usize) -> Option<Self>;
}

impl SplitChecked for Bytes {
    fn split_to_checked(&mut self, at: usize) -> Option<Self> {
        (at <= self.len()).then(|| self.split_to(at))
    }
}

fn field(record: &mut Bytes) -> Option<Option<Bytes>> {
    let length = varlong(record)?;
    if length < 0 {
        return Some(None);
    }
    record.split_to_checked(usize::try_from(length).ok()?).map(Some)
}

/// A zigzag number of up to ten bytes.
fn varlong(input: &mut Bytes) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let byte = input.split_to_checked(1)?[0];
        value |= u64::from(byte & 0x7F).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

fn put_varlong(out: &mut BytesMut, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while zigzag >= 0x80 {
        out.put_u8((zigzag & 0x7F) as u8 | 0x80);
        zigzag >>= 7;
    }
    out.put_u8(zigzag as u8);
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Bytes {
        let mut builder = Builder::new(1000).producer(7, 0, 3);
        builder.push(Some(b"k"), Some(b"v"));
        builder.push(None, Some(b""));
        builder.finish().freeze()
    }

    #[test]
    fn a_batch_of_ours_is_valid_and_reads_back() {
        let batch = batch();
        let header = validate(&batch, 1000, 9).expect("our own batch");
        assert_eq!((header.count, header.base_sequence, header.producer_id.0), (2, 3, 7));
        let read = records(&batch).expect("our own batch");
        assert_eq!(read[0].key.as_deref(), Some(&b"k"[..]));
        assert_eq!(
            (read[1].key.clone(), read[1].value.as_deref(), read[1].offset),
            (None, Some(&b""[..]), 1)
        );
    }

    #[test]
    fn what_producers_may_not_send() {
        let good = batch();
        let change = |at: usize, value: u8| {
            let mut bytes = good.to_vec();
            bytes[at] = value;
            validate(&Bytes::from(bytes), 1000, 9)
        };
        assert_eq!(change(16, 1), Err(ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT));
        assert_eq!(change(70, 9), Err(ErrorCode::CORRUPT_MESSAGE));
        assert_eq!(validate(&good, 50, 9), Err(ErrorCode::MESSAGE_TOO_LARGE));
        assert_eq!(validate(&good.slice(..good.len() - 1), 1000, 9), Err(ErrorCode::CORRUPT_MESSAGE));
        let two = Bytes::from([&good[..], &good[..]].concat());
        assert_eq!(validate(&two, 1000, 9), Err(ErrorCode::INVALID_RECORD));
        assert_eq!(validate(&Bytes::new(), 1000, 9), Err(ErrorCode::CORRUPT_MESSAGE));
    }
}
