//! The log against a model: appends, cuts, rolls, restarts, power cuts.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use streamkeeper_base::batch::{self, BATCH_CRC_START, BatchHeader};
use streamkeeper_base::{LeaderEpoch, Offset, Random};

use super::{LogConfig, PartitionLog, Trust};
use crate::disk::{Crash, SimulatedDisk};

const CONFIG: LogConfig =
    LogConfig { segment_bytes: 2000, segment_ms: i64::MAX, retention_ms: -1, retention_bytes: -1 };

/// A batch of `count` records whose bytes are filler.
fn batch_at(base: i64, count: i32, epoch: i32, filler: usize, timestamp: i64) -> Bytes {
    let mut bytes = vec![0; 61 + filler];
    let length = i32::try_from(bytes.len() - 12).expect("small");
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = 2;
    bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    bytes[27..35].copy_from_slice(&timestamp.to_be_bytes());
    bytes[35..43].copy_from_slice(&timestamp.to_be_bytes());
    bytes[43..51].copy_from_slice(&(-1_i64).to_be_bytes());
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    let crc = crate::crc32c(&bytes[BATCH_CRC_START..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    batch::assign(&mut bytes, Offset(base), LeaderEpoch(epoch));
    Bytes::from(bytes)
}

fn open(disk: &SimulatedDisk, trust: Trust) -> PartitionLog {
    PartitionLog::open(Arc::new(disk.clone()), Path::new("/data/t/0"), CONFIG, trust).expect("a good disk")
}

fn read_all(log: &PartitionLog) -> Vec<BatchHeader> {
    let mut heads = Vec::new();
    let mut from = log.log_start();
    while from < log.end() {
        let chunk = log.read(from, log.end(), 300).expect("a good disk");
        assert!(chunk.size > 0, "a read below the end gives something");
        for piece in chunk.pieces {
            heads.extend(batch::headers(&piece).map(|(_, h)| h));
        }
        from = heads.last().expect("something").end();
    }
    heads
}

#[test]
fn a_log_behaves_as_its_model() {
    for seed in 0..60 {
        let disk = SimulatedDisk::new(seed);
        let mut random = Random::new(seed);
        let mut log = open(&disk, Trust::PageCache);
        let mut model: Vec<BatchHeader> = Vec::new();
        let mut epoch = 0;
        for _ in 0..120 {
            match random.below(20) {
                0 => {
                    let to = log
                        .log_start()
                        .plus(random.below(1 + (log.end().0 - log.log_start().0) as u64) as i64);
                    log.truncate(to).expect("a good disk");
                    model.retain(|h| h.end() <= to);
                    epoch += 1;
                }
                1 => {
                    drop(log);
                    log = open(&disk, Trust::PageCache);
                }
                2 if log.size() > 4000 => {
                    let to =
                        log.log_start().plus(random.below((log.end().0 - log.log_start().0) as u64) as i64);
                    log.move_log_start(to).expect("a good disk");
                    drop(log);
                    log = open(&disk, Trust::PageCache);
                    model.retain(|h| h.base_offset >= log.log_start());
                }
                _ => {
                    let piece = batch_at(
                        log.end().0,
                        1 + random.below(5) as i32,
                        epoch,
                        random.below(400) as usize,
                        random.below(1000) as i64,
                    );
                    log.append(&piece).expect("a good disk");
                    model.extend(batch::headers(&piece).map(|(_, h)| h));
                }
            }
            assert_eq!(read_all(&log), model, "seed {seed}");
            assert!(log.epochs().is_sorted_by_key(|(e, o)| (*e, *o)));
            for head in &model {
                assert_eq!(log.epoch_at(head.base_offset), Some(head.leader_epoch), "seed {seed}");
            }
        }
    }
}

#[test]
fn a_power_cut_leaves_whole_batches_that_were_flushed() {
    for seed in 0..60 {
        let disk = SimulatedDisk::new(seed);
        let mut log = open(&disk, Trust::PageCache);
        for i in 0..10 {
            log.append(&batch_at(i, 1, 0, 300, i)).expect("a good disk");
            if i == 4 {
                for file in log.take_unflushed().iter().chain(log.active_file().iter()) {
                    file.sync_data().expect("a good disk");
                }
                crate::disk::Disk::sync_dir(&disk, Path::new("/data/t/0")).expect("a good disk");
            }
        }
        drop(log);
        disk.crash(Crash::Power);
        let log = open(&disk, Trust::Nothing);
        assert!(log.end() >= Offset(5), "seed {seed}: flushed batches are lost");
        assert_eq!(read_all(&log).len() as i64, log.end().0, "seed {seed}");
    }
}

#[test]
fn a_flipped_bit_ends_the_log_only_where_nothing_is_trusted() {
    let disk = SimulatedDisk::new(1);
    let mut log = open(&disk, Trust::PageCache);
    for i in 0..4 {
        log.append(&batch_at(i, 1, 0, 100, i)).expect("a good disk");
    }
    drop(log);
    disk.flip_bit(Path::new("/data/t/0/00000000000000000000.log"), 161 * 2 + 80, 1);
    assert_eq!(open(&disk, Trust::Nothing).end(), Offset(2));
}

#[test]
fn retention_deletes_whole_closed_segments_below_the_limit() {
    let disk = SimulatedDisk::new(1);
    let mut log = open(&disk, Trust::PageCache);
    for i in 0..40 {
        log.append(&batch_at(i, 1, 0, 339, i * 10)).expect("a good disk");
    }
    log.set_config(LogConfig { retention_ms: 100, ..CONFIG });
    assert!(log.enforce_retention(300, Offset(12)).expect("a good disk"));
    assert_eq!(log.log_start(), Offset(10), "five batches a segment; the third one ends above the limit");
    log.set_config(LogConfig { retention_bytes: 4000, ..CONFIG });
    log.enforce_retention(0, Offset(40)).expect("a good disk");
    assert!(log.size() >= 4000 && log.size() < 6001, "{}", log.size());
    assert!(log.read(Offset(0), log.end(), 100).is_err());
}

#[test]
fn timestamps_find_the_first_batch_that_reaches_them() {
    let disk = SimulatedDisk::new(1);
    let mut log = open(&disk, Trust::PageCache);
    for (i, timestamp) in [10, 50, 30, 70, 60].into_iter().enumerate() {
        log.append(&batch_at(i as i64, 1, 0, 900, timestamp)).expect("a good disk");
    }
    let at = |t| {
        let found = log.batch_at_timestamp(t).expect("a good disk");
        found.and_then(|b| BatchHeader::parse(&b)).map(|h| h.base_offset.0)
    };
    assert_eq!([at(0), at(20), at(55), at(71)], [Some(0), Some(1), Some(3), None]);
    let max = log.batch_of_max_timestamp().expect("a good disk").and_then(|b| BatchHeader::parse(&b));
    assert_eq!(max.expect("some").base_offset, Offset(3));
}

#[test] // KIP-101, KIP-279
fn epoch_ends_answer_the_largest_known_epoch_not_above() {
    let disk = SimulatedDisk::new(1);
    let mut log = open(&disk, Trust::PageCache);
    for (i, epoch) in [1, 1, 4, 4, 6].into_iter().enumerate() {
        log.append(&batch_at(i as i64, 1, epoch, 10, 0)).expect("a good disk");
    }
    let end = |e| log.epoch_end(LeaderEpoch(e)).map(|(known, offset)| (known.0, offset.0));
    assert_eq!(
        [end(0), end(1), end(3), end(4), end(5), end(6), end(9)],
        [None, Some((1, 2)), Some((1, 2)), Some((4, 4)), Some((4, 4)), Some((6, 5)), Some((6, 5))]
    );
}
