//! What it costs to look at every record of produced batches: CPU seconds per GB of records, by codec and size of record.
//!
//! `cargo run --release -p streamkeeper-bench --example validation`. One thread, no network, no disk. The first column is the checksum
//! alone, which was always computed; what is left of the second one is the walk, and the codec's work.

use std::time::Duration;

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum};
use rustix::time::{ClockId, clock_gettime};
use streamkeeper_base::Random;
use streamkeeper_base::batch::BATCH_CRC_START;
use streamkeeper_base::limits::INFLATED_BYTES_MAX;
use streamkeeper_wire::record::{Builder, Compression, Packing, Rules, Timestamps, Validator};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
const NOW_MS: i64 = 1_700_000_000_000;
const ROUND: Duration = Duration::from_millis(100);
const ROUNDS: usize = 5;

#[allow(clippy::print_stdout, reason = "a program for people")]
fn main() {
    println!(
        "{:<14}{:>8}{:>10}{:>10}{:>8}{:>16}{:>20}",
        "codec", "value", "records", "bytes", "ratio", "checksum s/GB", "validation s/GB"
    );
    for value_bytes in [100, 1024] {
        for batch_bytes in [16 * 1024, 512 * 1024] {
            let plain = batch(value_bytes, batch_bytes / value_bytes);
            for codec in CODECS {
                let packed = packed(&plain, codec);
                let sum = seconds_per_gb(plain.len(), || {
                    std::hint::black_box(checksum(CrcAlgorithm::Crc32Iscsi, &packed[BATCH_CRC_START..]));
                });
                let (mut validator, rules) = (Validator::default(), Rules::default());
                let all = seconds_per_gb(plain.len(), || {
                    let accepted = validator.validate(&packed, &rules, 9, NOW_MS);
                    assert!(accepted.is_ok_and(|accepted| accepted.batch.len() == packed.len()));
                });
                println!(
                    "{:<14}{value_bytes:>8}{:>10}{:>10}{:>8.2}{:>16}{:>20}",
                    codec.name(),
                    batch_bytes / value_bytes,
                    packed.len(),
                    plain.len() as f64 / packed.len() as f64,
                    shown(&sum),
                    shown(&all)
                );
            }
        }
    }
    bombs();
}

/// The longest that one batch can hold its thread up: all bytes are the same, and as many as are looked at.
#[allow(clippy::print_stdout, reason = "a program for people")]
fn bombs() {
    let value = vec![0; usize::try_from(INFLATED_BYTES_MAX).unwrap_or(0) - 1000];
    let mut builder = Builder::new(NOW_MS);
    builder.push(None, Some(&value));
    let plain = builder.finish().freeze();
    for codec in [Compression::Gzip, Compression::Lz4, Compression::Zstd] {
        let packed = packed(&plain, codec);
        let rules = Rules { batch_bytes_max: usize::MAX, ..Rules::default() };
        let start = cpu_time();
        let accepted = Validator::default().validate(&packed, &rules, 9, NOW_MS);
        let seconds = (cpu_time() - start).as_secs_f64();
        assert!(accepted.is_ok());
        println!("{}: {} bytes that become {} take {seconds:.3} s", codec.name(), packed.len(), plain.len());
    }
}

/// Values of words that repeat as in logs or JSON.
fn batch(value_bytes: usize, records: usize) -> Bytes {
    let mut random = Random::new(7);
    let mut builder = Builder::new(NOW_MS);
    for number in 0..records {
        let mut value = Vec::with_capacity(value_bytes);
        while value.len() < value_bytes {
            value.extend(format!("field{}={:x} ", random.below(20), random.next_u64() >> 40).into_bytes());
        }
        value.truncate(value_bytes);
        builder.push(Some(format!("key-{number}").as_bytes()), Some(&value));
    }
    builder.finish().freeze()
}

fn packed(plain: &Bytes, codec: Compression) -> Bytes {
    let packing = Some(Packing::default_of(codec));
    let timestamps = Timestamps::CreateTime { before_max_ms: i64::MAX, after_max_ms: i64::MAX };
    let rules = Rules { packing, timestamps, batch_bytes_max: usize::MAX, ..Rules::default() };
    let accepted = Validator::default().validate(plain, &rules, 9, NOW_MS);
    accepted.unwrap_or_else(|refusal| panic!("{}", refusal.message)).batch
}

/// The least and the greatest of some rounds, per GB of uncompressed bytes.
fn seconds_per_gb(bytes: usize, mut work: impl FnMut()) -> (f64, f64) {
    let mut figures = Vec::new();
    for _ in 0..=ROUNDS {
        let (start, mut times) = (cpu_time(), 0_u32);
        while cpu_time() - start < ROUND {
            for _ in 0..16 {
                work();
            }
            times += 16;
        }
        figures.push((cpu_time() - start).as_secs_f64() / f64::from(times) / bytes as f64 * 1e9);
    }
    // The first round warms caches up.
    figures.remove(0);
    figures.iter().fold((f64::MAX, 0.0), |(least, most), f| (f64::min(least, *f), f64::max(most, *f)))
}

/// CPU time of this thread: what else the machine does is not in it.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

fn shown((least, most): &(f64, f64)) -> String {
    format!("{least:.3}-{most:.3}")
}
