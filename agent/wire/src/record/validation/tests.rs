//! A test per rule, and random changes of good batches: whatever is accepted must read back as what its head says.

use std::io::Write;

use bytes::{BufMut, Bytes, BytesMut};
use streamkeeper_base::Random;
use streamkeeper_base::batch::{BATCH_CRC_START, BATCH_HEADER_BYTES, BATCH_LENGTH_PREFIX, BatchHeader};

use super::super::varint::put_varlong;
use super::super::{Builder, Compression, Packing, find, records};
use super::*;

const NOW_MS: i64 = 1_700_000_000_000;
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

const LENGTH_AT: usize = 8;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const LAST_DELTA_AT: usize = 23;
const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCER_AT: usize = 43;
const SEQUENCE_AT: usize = 53;
const COUNT_AT: usize = 57;

/// One record's fields as they are written.
#[derive(Clone)]
struct Raw {
    timestamp_delta: i64,
    offset_delta: i64,
    key: Option<&'static [u8]>,
    value: Vec<u8>,
    headers: Vec<(&'static str, Option<&'static [u8]>)>,
}

fn raw(index: i64) -> Raw {
    Raw {
        timestamp_delta: index,
        offset_delta: index,
        key: Some(b"key"),
        value: format!("value {index}").repeat(10).into_bytes(),
        headers: vec![("h", Some(b"v")), ("empty", None)],
    }
}

fn body(records: &[Raw]) -> Vec<u8> {
    let mut out = BytesMut::new();
    for record in records {
        let mut one = BytesMut::new();
        one.put_u8(0);
        put_varlong(&mut one, record.timestamp_delta);
        put_varlong(&mut one, record.offset_delta);
        put_bytes(&mut one, record.key);
        put_bytes(&mut one, Some(&record.value));
        put_varlong(&mut one, record.headers.len() as i64);
        for (key, value) in &record.headers {
            put_bytes(&mut one, Some(key.as_bytes()));
            put_bytes(&mut one, *value);
        }
        put_varlong(&mut out, one.len() as i64);
        out.put_slice(&one);
    }
    out.to_vec()
}

fn put_bytes(out: &mut BytesMut, bytes: Option<&[u8]>) {
    put_varlong(out, bytes.map_or(-1, |bytes| bytes.len() as i64));
    out.put_slice(bytes.unwrap_or_default());
}

/// As producers do it, by other means than the broker's own where there are any.
fn pack(compression: Compression, body: &[u8]) -> Vec<u8> {
    match compression {
        Compression::None => body.to_vec(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Snappy => {
            let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
            for block in body.chunks(100) {
                let block = snap::raw::Encoder::new().compress_vec(block).unwrap();
                out.extend((block.len() as u32).to_be_bytes());
                out.extend(block);
            }
            out
        }
        Compression::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(body, 3).unwrap(),
    }
}

/// A batch of the records, its head in order.
fn batch_of(compression: Compression, records: &[Raw]) -> Vec<u8> {
    sealed(compression, records.len() as i32, &pack(compression, &body(records)))
}

fn sealed(compression: Compression, count: i32, packed: &[u8]) -> Vec<u8> {
    let mut out = Builder::new(NOW_MS).finish().to_vec();
    out.truncate(BATCH_HEADER_BYTES);
    out.extend_from_slice(packed);
    let length = (out.len() - BATCH_LENGTH_PREFIX) as i32;
    let last = NOW_MS + i64::from(count) - 1;
    put(
        &out,
        &[
            (LENGTH_AT, &length.to_be_bytes()),
            (ATTRIBUTES_AT, &compression.code().to_be_bytes()),
            (LAST_DELTA_AT, &(count - 1).to_be_bytes()),
            (MAX_TIMESTAMP_AT, &last.to_be_bytes()),
            (COUNT_AT, &count.to_be_bytes()),
        ],
    )
}

fn good(compression: Compression) -> Vec<u8> {
    batch_of(compression, &[raw(0), raw(1), raw(2)])
}

/// The batch with some bytes changed and its checksum made right again.
fn put(batch: &[u8], changes: &[(usize, &[u8])]) -> Vec<u8> {
    let mut out = batch.to_vec();
    for (at, bytes) in changes {
        out[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &out[BATCH_CRC_START..]) as u32;
    out[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    out
}

fn judge(batch: &[u8], rules: &Rules) -> Result<Accepted, Box<Refusal>> {
    Validator::default().validate(&Bytes::copy_from_slice(batch), rules, 9, NOW_MS)
}

/// The number that the batch is refused with; NONE if it is not.
fn code(batch: &[u8]) -> ErrorCode {
    judge(batch, &Rules::default()).map_or_else(|refusal| refusal.code, |_| ErrorCode::NONE)
}

#[test]
fn good_batches_are_taken_as_they_are() {
    for compression in CODECS {
        let batch = good(compression);
        let accepted = judge(&batch, &Rules::default()).expect("a good batch");
        assert_eq!(accepted.batch, batch, "{compression:?}");
        assert_eq!((accepted.header.count, accepted.log_append_time_ms), (3, -1));
        let read = records(&accepted.batch).expect("its records");
        assert_eq!(read[2].value.as_deref(), Some(&raw(2).value[..]), "{compression:?}");
        assert_eq!(
            read.iter().map(|r| (r.offset, r.timestamp)).collect::<Vec<_>>(),
            [(0, NOW_MS), (1, NOW_MS + 1), (2, NOW_MS + 2)]
        );
        let second = find(&accepted.batch, |_, timestamp| timestamp > NOW_MS).expect("a readable batch");
        assert_eq!(second, Some((1, NOW_MS + 1)));
    }
}

#[test]
fn one_validator_takes_batches_of_all_codecs_one_after_another() {
    let mut validator = Validator::default();
    for round in 0..3 {
        for compression in CODECS {
            let mut taken =
                |batch: Vec<u8>| validator.validate(&batch.into(), &Rules::default(), 9, NOW_MS).is_ok();
            assert!(taken(good(compression)), "{round} {compression:?}");
            let cut = sealed(compression, 3, &pack(compression, &body(&[raw(0), raw(1), raw(2)]))[..40]);
            assert!(!taken(cut), "{round} {compression:?}");
        }
    }
}

#[test]
fn exactly_one_batch_of_format_2_per_partition() {
    let plain = good(Compression::None);
    for short in [0, 10, 40, plain.len() - 1] {
        assert_eq!(code(&plain[..short]), ErrorCode::INVALID_RECORD, "{short} bytes");
    }
    assert_eq!(code(&[&plain[..], &plain[..]].concat()), ErrorCode::INVALID_RECORD);
    for (magic, expected) in [(0, 87), (1, 87), (3, 2), (-1_i8, 2)] {
        assert_eq!(code(&put(&plain, &[(MAGIC_AT, &magic.to_be_bytes())])).0, expected, "magic {magic}");
    }
    for (length, expected) in [(0, 2), (-1, 2), (13, 2), (i32::MAX, -1)] {
        assert_eq!(
            code(&put(&plain, &[(LENGTH_AT, &i32::to_be_bytes(length))])).0,
            expected,
            "length {length}"
        );
    }
    // What is too little for another batch is cut off, as Kafka's trimInvalidBytes does.
    let followed = [&plain[..], &[0, 1, 2]].concat();
    assert_eq!(judge(&followed, &Rules::default()).expect("a batch and a bit").batch, plain);
}

#[test]
fn a_batch_shorter_than_its_head_is_corrupt() {
    let mut short = good(Compression::None)[..50].to_vec();
    short[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&38_i32.to_be_bytes());
    assert_eq!(code(&short), ErrorCode::CORRUPT_MESSAGE);
}

#[test]
fn checksums_and_sizes() {
    let plain = good(Compression::None);
    let mut flipped = plain.clone();
    flipped[70] ^= 1;
    assert_eq!(code(&flipped), ErrorCode::CORRUPT_MESSAGE);
    let least = Rules { batch_bytes_max: plain.len(), ..Rules::default() };
    assert!(judge(&plain, &least).is_ok());
    let less = Rules { batch_bytes_max: plain.len() - 1, ..Rules::default() };
    assert_eq!(judge(&plain, &less).expect_err("too large").code, ErrorCode::MESSAGE_TOO_LARGE);
    let segment = Rules { segment_bytes_max: 10, ..Rules::default() };
    assert_eq!(judge(&plain, &segment).expect_err("too large").code, ErrorCode::RECORD_LIST_TOO_LARGE);
}

#[test]
fn a_head_that_lies_about_its_records_is_refused() {
    for compression in CODECS {
        let batch = good(compression);
        let lie = |count: i32, delta: i32| {
            code(&put(&batch, &[(COUNT_AT, &count.to_be_bytes()), (LAST_DELTA_AT, &delta.to_be_bytes())]))
        };
        for (count, delta) in [
            (0, 2),
            (-1, 2),
            (i32::MAX, 2),
            (i32::MAX, i32::MAX - 1),
            (i32::MIN, i32::MAX),
            (4, 3),
            (2, 1),
            (3, 7),
            (3, -1),
            (0, -1),
        ] {
            assert_eq!(lie(count, delta), ErrorCode::INVALID_RECORD, "{compression:?} {count} {delta}");
        }
    }
}

#[test]
fn what_only_brokers_may_write_is_refused() {
    let plain = good(Compression::None);
    let control = put(&plain, &[(ATTRIBUTES_AT, &0x20_i16.to_be_bytes())]);
    assert_eq!(code(&control), ErrorCode::INVALID_RECORD);
    assert_eq!(code(&put(&plain, &[(7, &[1])])), ErrorCode::INVALID_RECORD, "a base offset");
    let sequence = |sequence: i32| {
        put(&plain, &[(PRODUCER_AT, &7_i64.to_be_bytes()), (SEQUENCE_AT, &sequence.to_be_bytes())])
    };
    assert_eq!(code(&sequence(-1)), ErrorCode::INVALID_RECORD);
    assert_eq!(code(&sequence(0)), ErrorCode::NONE);
}

#[test]
fn codecs_that_are_not_what_they_say() {
    let body = body(&[raw(0), raw(1), raw(2)]);
    for compression in &CODECS[1..] {
        let unpacked = sealed(*compression, 3, &body);
        assert_eq!(code(&unpacked), ErrorCode::UNKNOWN_SERVER_ERROR, "{compression:?}");
        let packed = pack(*compression, &body);
        for length in 0..packed.len() {
            let cut = sealed(*compression, 3, &packed[..length]);
            assert_ne!(code(&cut), ErrorCode::NONE, "{compression:?}, {length} of {} bytes", packed.len());
        }
        let followed = sealed(*compression, 3, &[&packed[..], b"abcde"].concat());
        assert_ne!(code(&followed), ErrorCode::NONE, "{compression:?} with bytes behind it");
    }
    for unknown in 5..8_i16 {
        let batch = put(&good(Compression::None), &[(ATTRIBUTES_AT, &unknown.to_be_bytes())]);
        assert_eq!(code(&batch), ErrorCode::UNKNOWN_SERVER_ERROR);
    }
}

#[test]
fn snappy_without_javas_framing_is_read_as_well() {
    let body = body(&[raw(0), raw(1), raw(2)]);
    let packed = snap::raw::Encoder::new().compress_vec(&body).unwrap();
    let batch = sealed(Compression::Snappy, 3, &packed);
    assert!(judge(&batch, &Rules::default()).is_ok());
    assert_eq!(records(&Bytes::from(batch)).expect("three records").len(), 3);
    // A claim of 2 GiB in a block of a few bytes reserves nothing.
    let liar = sealed(Compression::Snappy, 3, &[0xFF, 0xFF, 0xFF, 0xFF, 0x07, 0, 0]);
    assert_eq!(code(&liar), ErrorCode::UNKNOWN_SERVER_ERROR);
}

#[test]
fn lz4_frames_of_blocks_that_depend_on_one_another_are_refused() {
    // Java's clients cannot read them, so Kafka does not take them.
    let info = lz4_flex::frame::FrameInfo::new()
        .block_mode(lz4_flex::frame::BlockMode::Linked)
        .block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(&body(&[raw(0)])).unwrap();
    let batch = sealed(Compression::Lz4, 1, &encoder.finish().unwrap());
    assert_eq!(code(&batch), ErrorCode::UNKNOWN_SERVER_ERROR);
}

#[test]
fn zstd_before_produce_7_is_refused() {
    let judge = |compression, version| {
        let batch = Bytes::from(good(compression));
        Validator::default()
            .validate(&batch, &Rules::default(), version, NOW_MS)
            .map_err(|refusal| refusal.code)
    };
    assert_eq!(judge(Compression::Zstd, 6).expect_err("zstd").0, 76);
    assert!(judge(Compression::Zstd, 7).is_ok());
    assert!(judge(Compression::Gzip, 3).is_ok());
}

#[test]
fn records_whose_lengths_lie_are_refused() {
    let good = body(&[raw(0)]);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        CODECS.map(|compression| code(&sealed(compression, 1, &pack(compression, &bytes))))
    };
    assert_eq!(with(&|_| {}), [ErrorCode::NONE; 5]);
    // Two bytes of length, attributes, a delta each for time and offset, then the key's length.
    for (at, byte, what) in [
        (0, good[0] + 2, "a record longer than its fields"),
        (0, good[0] - 2, "a record shorter than its fields"),
        (5, 0x7E, "a key that goes on into its value"),
        (5, 0xFF, "a key's length that goes on"),
        (9, 0x7F, "a value of null, and its bytes"),
    ] {
        assert_eq!(with(&|bytes: &mut Vec<u8>| bytes[at] = byte), [ErrorCode::INVALID_RECORD; 5], "{what}");
    }
    let headers = good.len() - 12;
    assert_eq!(good[headers], 4, "two headers");
    for count in [2, 6, 1, 0x7E] {
        assert_eq!(with(&|bytes: &mut Vec<u8>| bytes[headers] = count), [ErrorCode::INVALID_RECORD; 5]);
    }
    assert_eq!(
        with(&|bytes: &mut Vec<u8>| bytes[headers + 1] = 1),
        [ErrorCode::INVALID_RECORD; 5],
        "a key of null"
    );
    assert_eq!(with(&|bytes: &mut Vec<u8>| bytes.push(0)), [ErrorCode::INVALID_RECORD; 5], "a byte behind");
    assert_eq!(with(&|bytes: &mut Vec<u8>| bytes.clear()), [ErrorCode::INVALID_RECORD; 5], "nothing");
}

#[test]
fn wrong_offset_deltas_are_counted_anew() {
    for compression in CODECS {
        let wrong = batch_of(
            compression,
            &[raw(0), raw(5), raw(0)].map(|mut record| {
                record.timestamp_delta = 0;
                record
            }),
        );
        let accepted = judge(&wrong, &Rules::default()).expect("Kafka takes it");
        assert_eq!(accepted.header.end().0, 3);
        let read = records(&accepted.batch).expect("readable");
        assert_eq!(read.iter().map(|r| r.offset).collect::<Vec<_>>(), [0, 1, 2], "{compression:?}");
        assert_eq!(read[1].value.as_deref(), Some(&raw(5).value[..]));
        let again = judge(&accepted.batch, &Rules::default()).expect("a good batch");
        assert_eq!(again.batch, accepted.batch, "and stays as it is from then on");
    }
}

#[test]
fn compacted_topics_take_no_record_without_a_key() {
    let rules = Rules { is_compacted: true, ..Rules::default() };
    let mut keyless = raw(1);
    keyless.key = None;
    for compression in CODECS {
        assert!(judge(&good(compression), &rules).is_ok());
        let refusal =
            judge(&batch_of(compression, &[raw(0), keyless.clone(), raw(2)]), &rules).expect_err("no key");
        assert_eq!(refusal.code, ErrorCode::INVALID_RECORD);
        assert_eq!(refusal.records.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1], "KIP-467");
    }
    let many: Vec<Raw> = (0..1000).map(|index| Raw { key: None, ..raw(index) }).collect();
    let refusal = judge(&batch_of(Compression::Zstd, &many), &rules).expect_err("no keys");
    assert_eq!(refusal.records.len(), 100, "an answer stays small whatever is packed into a batch");
    assert!(refusal.message.starts_with("1000 of"), "{}", refusal.message);
}

#[test]
fn timestamps_have_bounds_on_both_sides() {
    let timestamps = Timestamps::CreateTime { before_max_ms: 1000, after_max_ms: 500 };
    let rules = Rules { timestamps, ..Rules::default() };
    let at = |delta: i64| {
        let mut record = raw(0);
        record.timestamp_delta = delta;
        judge(&batch_of(Compression::None, &[record]), &rules)
            .map_err(|refusal| (refusal.code, refusal.records.len()))
    };
    let invalid = (ErrorCode::INVALID_TIMESTAMP, 1);
    assert!(at(-1000).is_ok() && at(500).is_ok());
    assert_eq!(at(-1001).expect_err("too old"), invalid);
    assert_eq!(at(501).expect_err("too new"), invalid);
    assert!(at(-NOW_MS - 1).is_ok(), "no time at all");
    assert_eq!(at(i64::MAX).expect_err("not a time").0, ErrorCode::INVALID_RECORD);
    assert_eq!(at(i64::MIN).expect_err("long ago"), invalid);
}

#[test]
fn the_head_is_told_the_greatest_timestamp() {
    for compression in CODECS {
        for told in [0, NOW_MS + 1_000_000] {
            let wrong = put(&good(compression), &[(MAX_TIMESTAMP_AT, &i64::to_be_bytes(told))]);
            let accepted = judge(&wrong, &Rules::default()).expect("Kafka takes it");
            assert_eq!(accepted.batch, good(compression));
            assert_eq!(accepted.header.max_timestamp, NOW_MS + 2);
        }
    }
}

#[test]
fn log_append_time_is_the_brokers() {
    let rules = Rules { timestamps: Timestamps::LogAppendTime, ..Rules::default() };
    for compression in CODECS {
        let mut old = raw(0);
        old.timestamp_delta = -NOW_MS;
        let accepted = judge(&batch_of(compression, &[old, raw(1)]), &rules).expect("any time will do");
        assert_eq!((accepted.log_append_time_ms, accepted.header.max_timestamp), (NOW_MS, NOW_MS));
        assert_eq!(accepted.header, BatchHeader::parse(&accepted.batch).expect("a head"));
        let read = records(&accepted.batch).expect("readable");
        assert!(read.iter().all(|record| record.timestamp == NOW_MS));
        assert!(judge(&accepted.batch, &Rules::default()).is_ok(), "its checksum is right");
        let refusal = judge(&accepted.batch, &rules).expect_err("only brokers set it");
        assert_eq!((refusal.code, refusal.records.len()), (ErrorCode::INVALID_TIMESTAMP, 2));
    }
    // A topic of the producers' time takes the bit off.
    let set = put(&good(Compression::None), &[(ATTRIBUTES_AT, &8_i16.to_be_bytes())]);
    assert_eq!(judge(&set, &Rules::default()).expect("Kafka takes it").batch, good(Compression::None));
}

#[test]
fn topics_have_their_own_compression() {
    let levels =
        [(Compression::Gzip, -1), (Compression::Gzip, 1), (Compression::Lz4, 9), (Compression::Lz4, 12)];
    let defaults = CODECS.map(|codec| (codec, Packing::default_of(codec).level));
    for (to, level) in levels.into_iter().chain(defaults) {
        for from in CODECS {
            let rules = Rules { packing: Some(Packing { compression: to, level }), ..Rules::default() };
            let batch = good(from);
            let accepted = judge(&batch, &rules).expect("a good batch");
            assert_eq!(accepted.header.attributes, to.code());
            assert_eq!(from == to, accepted.batch == batch, "{from:?} to {to:?}");
            assert_eq!(records(&accepted.batch), records(&Bytes::from(batch)), "{from:?} to {to:?} {level}");
            assert!(judge(&accepted.batch, &Rules::default()).is_ok(), "{from:?} to {to:?}");
        }
    }
    let many: Vec<Raw> = (0..2000).map(raw).collect();
    let packed = batch_of(Compression::Zstd, &many);
    let unpacked = Packing::default_of(Compression::None);
    let rules = Rules { packing: Some(unpacked), batch_bytes_max: packed.len(), ..Rules::default() };
    assert_eq!(judge(&packed, &rules).expect_err("too large").code, ErrorCode::MESSAGE_TOO_LARGE);
}

#[test]
fn a_bomb_costs_a_window() {
    let mut record = raw(0);
    record.value = vec![0; usize::try_from(INFLATED_BYTES_MAX).expect("64 bits") + 1];
    for compression in [Compression::Gzip, Compression::Zstd] {
        let bomb = batch_of(compression, std::slice::from_ref(&record));
        let mut validator = Validator::default();
        let taken = validator.validate(&bomb.into(), &Rules::default(), 9, NOW_MS);
        assert_eq!(taken.expect_err("a bomb").code, ErrorCode::MESSAGE_TOO_LARGE);
        assert!(validator.inflater.bytes_kept() < 8 * 1024 * 1024, "{compression:?}");
    }
}

/// Its room was taken before its claim was looked at, and kept until the next batch.
#[test]
fn a_snappy_block_that_claims_too_much_costs_nothing() {
    let claimed = usize::try_from(INFLATED_BYTES_MAX).expect("64 bits") + 1;
    let block = snap::raw::Encoder::new().compress_vec(&vec![0; claimed]).expect("it packs");
    let bomb = sealed(Compression::Snappy, 1, &block);
    let mut validator = Validator::default();
    let rules = Rules { batch_bytes_max: usize::MAX, ..Rules::default() };
    let taken = validator.validate(&bomb.into(), &rules, 9, NOW_MS);
    assert_eq!(taken.expect_err("a bomb").code, ErrorCode::MESSAGE_TOO_LARGE);
    assert!(validator.inflater.bytes_kept() < 1024 * 1024);
}

/// A context that had to have a large window is not kept until the next batch; one that would need a larger one than Kafka's is refused.
#[test]
fn zstd_windows_are_bounded_and_given_back() {
    let records = body(&[raw(0)]);
    let packed = |window_log: u32| {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).expect("an encoder");
        encoder.include_contentsize(false).expect("a frame that does not tell its size");
        encoder.window_log(window_log).expect("a window");
        std::io::Write::write_all(&mut encoder, &records).expect("it packs");
        sealed(Compression::Zstd, 1, &encoder.finish().expect("a frame"))
    };
    let mut validator = Validator::default();
    validator.validate(&packed(27).into(), &Rules::default(), 9, NOW_MS).expect("Kafka unpacks it");
    assert!(validator.inflater.bytes_kept() < 8 * 1024 * 1024);
    let refused = validator.validate(&packed(28).into(), &Rules::default(), 9, NOW_MS);
    assert_eq!(refused.expect_err("too large a window").code, ErrorCode::UNKNOWN_SERVER_ERROR);
    validator.validate(&good(Compression::Zstd).into(), &Rules::default(), 9, NOW_MS).expect("a good one");
}

/// Random changes: bytes set, bits flipped, pieces cut out, doubled, put in; the length and the checksum are made right most of the time.
fn mutate(batch: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = batch.to_vec();
    let below = |random: &mut Random, end: usize| usize::try_from(random.below(end.max(1) as u64)).unwrap();
    for _ in 0..=below(random, 3) {
        // Mostly behind what the checks before the checksum look at.
        let from = if random.below(4) == 0 { 0 } else { BATCH_CRC_START.min(out.len()) };
        let at = from + below(random, out.len() - from);
        match random.below(6) {
            0 if at < out.len() => out[at] = random.next_u64() as u8,
            1 if at < out.len() => out[at] ^= 1 << random.below(8),
            2 => out.truncate(at),
            3 => out.insert(at, random.next_u64() as u8),
            4 if at < out.len() => drop(out.drain(at..(at + 1 + below(random, 8)).min(out.len()))),
            _ => {
                let piece = out[at..].iter().copied().take(below(random, 16)).collect::<Vec<_>>();
                out.splice(at..at, piece);
            }
        }
    }
    if out.len() >= BATCH_HEADER_BYTES && random.below(20) > 0 {
        let length = (out.len() - BATCH_LENGTH_PREFIX) as i32;
        out = put(&out, &[(LENGTH_AT, &length.to_be_bytes())]);
    }
    out
}

#[test]
fn whatever_is_accepted_reads_back_as_what_its_head_says() {
    let mut random = Random::new(1);
    let mut validator = Validator::default();
    let (mut accepted_count, mut changed_count) = (0, 0);
    for round in 0..40_000_u64 {
        let compression = CODECS[usize::try_from(round % 5).unwrap()];
        let batch = Bytes::from(mutate(&good(compression), &mut random));
        let packing =
            (round % 3 == 0).then(|| Packing::default_of(CODECS[usize::try_from(round / 5 % 5).unwrap()]));
        let timestamps = if round % 7 == 0 { Timestamps::LogAppendTime } else { Rules::default().timestamps };
        let rules = Rules { packing, timestamps, batch_bytes_max: 2000, ..Rules::default() };
        let Ok(accepted) = validator.validate(&batch, &rules, 9, NOW_MS) else { continue };
        accepted_count += 1;
        changed_count += u64::from(accepted.batch != batch);
        let header = BatchHeader::parse(&accepted.batch).unwrap_or_else(|| panic!("round {round}: no head"));
        assert_eq!(header, accepted.header, "round {round}");
        assert_eq!((header.size, header.base_offset.0), (accepted.batch.len(), 0), "round {round}");
        assert_eq!(header.end().0, i64::from(header.count), "round {round}: the log's end is not its count");
        let read = records(&accepted.batch).unwrap_or_else(|code| panic!("round {round}: {code:?}"));
        let offsets: Vec<i64> = read.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, (0..i64::from(header.count)).collect::<Vec<_>>(), "round {round}");
        let greatest = read.iter().map(|record| record.timestamp).max().unwrap_or(-1);
        assert_eq!(header.max_timestamp, greatest.max(-1), "round {round}");
    }
    assert!(accepted_count > 1000, "the changes leave too little to look at: {accepted_count}");
    assert!(changed_count > 100, "nothing was rewritten: {changed_count}");
}
