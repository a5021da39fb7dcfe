//! The log against a model: appends, cuts, rolls, restarts, crashes at any operation, rot.

mod full;
mod later;
mod log_start;
mod snapshots;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use streamkeeper_base::batch::{self, BATCH_CRC_START, BatchHeader};
use streamkeeper_base::{LeaderEpoch, Offset, Random, piece};

use super::{Boot, FlushPoint, LogConfig, LogError, PartitionLog, Trust, remove_garbage};
use crate::disk::{Crash, Disk, DiskFile, SimulatedDisk};

const CONFIG: LogConfig =
    LogConfig { segment_bytes: 12_000, segment_ms: i64::MAX, retention_ms: -1, retention_bytes: -1 };

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

/// One record, whose batch claims these timestamps.
fn batch_spanning(offset: i64, base_timestamp: i64, max_timestamp: i64) -> Bytes {
    let mut bytes = batch_at(offset, 1, 0, 10, max_timestamp).to_vec();
    bytes[27..35].copy_from_slice(&base_timestamp.to_be_bytes());
    let crc = crate::crc32c(&bytes[BATCH_CRC_START..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(bytes)
}

fn dir() -> &'static Path {
    Path::new("/data/t/0")
}

fn segment_path(base: i64) -> PathBuf {
    dir().join(format!("{base:020}.log"))
}

fn try_open(disk: &SimulatedDisk, trust: Trust) -> Result<PartitionLog, LogError> {
    PartitionLog::open(Arc::new(disk.clone()), dir(), CONFIG, trust)
}

fn open(disk: &SimulatedDisk, trust: Trust) -> PartitionLog {
    try_open(disk, trust).expect("a good log")
}

fn heads(bytes: &Bytes) -> Vec<BatchHeader> {
    batch::headers(bytes).map(|(_, h)| h).collect()
}

fn read_all(log: &PartitionLog) -> Vec<BatchHeader> {
    let mut found = Vec::new();
    let mut from = log.log_start();
    while from < log.end() {
        let chunk = log.read(from, log.end(), 3000).expect("a good disk");
        assert!(chunk.size > 0, "a read below the end gives something");
        let later = log.read_later(from, log.end(), 3000).expect("a good disk");
        let (now, later) = (chunk.pieces.concat(), piece::joined(later.pieces).expect("a good disk"));
        assert!(!later.is_empty() && (now.starts_with(&later) || later.starts_with(&now)));
        found.extend(chunk.pieces.iter().flat_map(heads));
        from = found.last().expect("something").end();
    }
    found
}

fn flush(log: &mut PartitionLog) -> Result<(), LogError> {
    if let Some((files, point)) = log.begin_flush() {
        assert!(log.begin_flush().is_none(), "one at a time");
        for file in files {
            file.sync_data().map_err(|source| LogError::Io { path: PathBuf::new(), source })?;
        }
        log.finish_flush(point);
    }
    Ok(())
}

fn filled(disk: &SimulatedDisk, batches: i64) -> PartitionLog {
    let mut log = open(disk, Trust::PageCache);
    for i in 0..batches {
        log.append(&batch_at(i, 1, 0, 939, i * 10)).expect("a good disk");
    }
    log
}

/// A log, what it should hold, and what a power cut must keep of it.
struct Pair {
    log: PartitionLog,
    model: Vec<BatchHeader>,
    epoch: i32,
    /// A checkpoint that runs in the background, while other steps go on.
    checkpoint: Option<(Vec<Arc<dyn DiskFile>>, FlushPoint)>,
}

impl Pair {
    fn new(disk: &SimulatedDisk) -> Self {
        Self { log: open(disk, Trust::PageCache), model: Vec::new(), epoch: 0, checkpoint: None }
    }

    fn finish_checkpoint(&mut self) -> Result<(), LogError> {
        let Some((files, point)) = self.checkpoint.take() else { return Ok(()) };
        let synced = files.iter().try_for_each(|file| file.sync_data());
        synced.map_err(|source| LogError::Io { path: PathBuf::new(), source })?;
        self.log.finish_flush(point);
        self.log.checkpoint_result()
    }

    fn step(&mut self, random: &mut Random) -> Result<(), LogError> {
        let (start, end) = (self.log.log_start(), self.log.end());
        let anywhere = start.plus(random.below(1 + (end.0 - start.0) as u64) as i64);
        match random.below(40) {
            0 => {
                self.epoch += 1;
                self.model.retain(|h| h.end() <= anywhere);
                self.log.truncate(anywhere)?;
            }
            1 => {
                self.epoch += 1;
                self.log.begin_epoch(LeaderEpoch(self.epoch))?;
            }
            2 => self.log.move_log_start(anywhere)?,
            3 => self.log.roll()?,
            4 => self.log.save_checkpoint()?,
            5 => self.log.drop_tail(),
            6 if random.percent(10) => {
                self.model.clear();
                self.log.restart_at(Offset(random.below(end.0 as u64 * 2 + 1) as i64))?;
            }
            7..10 => flush(&mut self.log)?,
            10..12 if self.checkpoint.is_none() => self.checkpoint = self.log.begin_checkpoint(None),
            12..14 => self.finish_checkpoint()?,
            _ => {
                let mut bytes = Vec::new();
                let mut at = end;
                for _ in 0..=random.below(3) {
                    let (count, filler) = (1 + random.below(5) as i32, random.below(1500) as usize);
                    let piece = batch_at(at.0, count, self.epoch, filler, random.below(1000) as i64);
                    at = heads(&piece)[0].end();
                    bytes.extend_from_slice(&piece);
                }
                let bytes = Bytes::from(bytes);
                self.model.extend(heads(&bytes));
                self.log.append(&bytes)?;
            }
        }
        Ok(())
    }

    /// The log holds exactly the model's batches that are not wholly below the log start.
    fn check(&mut self, seed: u64) {
        let start = self.log.log_start();
        self.model.retain(|h| h.end() > start);
        assert_eq!(read_all(&self.log), self.model, "seed {seed}");
        let starts = self.log.epochs().to_vec();
        assert!(starts.is_sorted_by(|a, b| a < b), "seed {seed}: {starts:?}");
        for head in &self.model {
            let at = head.base_offset.max(start);
            assert_eq!(self.log.epoch_at(at), Some(head.leader_epoch), "seed {seed} at {at}: {starts:?}");
        }
    }
}

#[test]
fn a_log_behaves_as_its_model() {
    for seed in 0..60 {
        let disk = SimulatedDisk::new(seed);
        let mut random = Random::new(seed);
        let mut pair = Pair::new(&disk);
        for step in 0..150 {
            pair.step(&mut random).expect("a good disk");
            if random.percent(10) {
                let before = (pair.log.log_start(), pair.log.end(), pair.log.last_epoch());
                (pair.log, pair.checkpoint) = (open(&disk, Trust::PageCache), None);
                let log = &pair.log;
                assert_eq!((log.log_start(), log.end(), log.last_epoch()), before, "seed {seed}");
            }
            if step % 5 == 0 {
                pair.check(seed);
            }
        }
    }
}

#[test]
fn a_crash_in_the_middle_of_any_operation_is_survived() {
    for seed in 0..400 {
        let disk = SimulatedDisk::new(seed);
        let mut random = Random::new(seed);
        let mut pair = Pair::new(&disk);
        for life in 0..5 {
            disk.set_operations_left(Some(1 + random.below(150)));
            let (mut sure, mut failed) = (Vec::new(), None);
            while failed.is_none() {
                sure.clone_from(&pair.model);
                // A step that fails may have had its effect or not; what was durable before and after it must
                // stay.
                let durable = pair.log.durable_end().get();
                failed = pair.step(&mut random).err().map(|_| durable);
            }
            let after: Vec<BatchHeader> = pair.model.clone();
            let durable = failed.expect("the power goes").min(pair.log.durable_end().get());
            let start = pair.log.log_start();
            let power = random.percent(70);
            pair.checkpoint = None;
            disk.crash(if power { Crash::Power } else { Crash::Process });
            let trust = if power { Trust::Nothing } else { Trust::PageCache };
            pair.log = try_open(&disk, trust).unwrap_or_else(|e| panic!("seed {seed}.{life}: {e}"));
            let found = read_all(&pair.log);
            for head in
                sure.iter().filter(|h| after.contains(h) && h.end() <= durable && h.base_offset >= start)
            {
                let gone = head.base_offset < pair.log.log_start();
                assert!(gone || found.contains(head), "seed {seed}.{life}: durable {head:?} is lost");
            }
            assert!(pair.log.end() >= pair.log.durable_end().get(), "seed {seed}.{life}");
            pair.model = found;
            pair.epoch = pair.epoch.max(pair.log.last_epoch().map_or(0, |e| e.0)) + 1;
            pair.check(seed);
        }
    }
}

/// What ran in the background and comes late must not undo what the log's owner wrote meanwhile.
#[test]
fn a_checkpoint_that_comes_after_a_cut_is_not_written() {
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 40);
    let (files, point) = log.begin_checkpoint(None).expect("nothing is in flight");
    log.truncate(Offset(7)).expect("a good disk");
    files.iter().for_each(|file| file.sync_data().expect("a good disk"));
    assert_eq!(log.finish_flush(point).get(), Offset(0), "what was flushed is not what is there");
    log.checkpoint_result().expect("a good disk");
    disk.crash(Crash::Power);
    assert_eq!(open(&disk, Trust::Nothing).end(), Offset(7));

    let mut log = open(&disk, Trust::PageCache);
    let (files, _) = log.begin_checkpoint(None).expect("nothing is in flight");
    log.delete().expect("a good disk");
    files.iter().for_each(|file| file.sync_data().expect("a log that is gone is no error"));
    assert!(!disk.exists(dir()));
}

#[test]
fn a_checkpoint_in_the_background_is_a_checkpoint() {
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 20);
    let (files, point) = log.begin_checkpoint(None).expect("nothing is in flight");
    assert!(log.begin_checkpoint(None).is_none(), "one at a time");
    log.append(&batch_at(20, 1, 0, 939, 0)).expect("a good disk");
    files.iter().for_each(|file| file.sync_data().expect("a good disk"));
    assert_eq!(log.finish_flush(point).get(), Offset(20));
    disk.crash(Crash::Power);
    disk.flip_bit(&segment_path(12), 1000, 1);
    let error = try_open(&disk, Trust::Nothing).err().expect("it says that this was durable");
    assert!(matches!(error, LogError::Damaged { durable: Offset(20), .. }), "{error}");
}

/// Found by reading: a deletion wrote a newer checkpoint while a background one's flush ran, and its owner took that for the one it
/// waited for.
#[test]
fn a_checkpoint_that_a_deletion_overtook_does_not_count() {
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 40);
    let told = |log: &mut PartitionLog, deletes: bool| {
        let (files, point) = log.begin_checkpoint(None).expect("nothing is in flight");
        if deletes {
            log.move_log_start(Offset(12)).expect("a good disk");
        }
        files.iter().for_each(|file| file.sync_data().expect("a good disk"));
        log.finish_flush(point);
        let found = super::Checkpoint::load(&disk, dir()).expect("a good disk").expect("it was written");
        (log.is_overtaken(point), found.durable)
    };
    assert_eq!(told(&mut log, true), (true, Offset(12)));
    assert_eq!(told(&mut log, false), (false, Offset(40)));
    log.append(&batch_at(40, 1, 0, 939, 0)).expect("a good disk");
    assert_eq!(told(&mut log, false), (false, Offset(41)));
}

#[test]
fn a_clean_stop_makes_everything_durable_and_reopens_without_reading_batches() {
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 40);
    log.close().expect("a good disk");
    disk.crash(Crash::Power);
    disk.flip_bit(&segment_path(0), 500, 1);
    let log = open(&disk, Trust::PageCache);
    assert_eq!((log.end(), log.durable_end().get()), (Offset(40), Offset(40)));
    let error = log.read(Offset(0), log.end(), 100).expect_err("a cold read checks");
    assert!(matches!(error, LogError::Damaged { offset: Offset(0), .. }), "{error}");
    assert!(log.read(Offset(12), log.end(), 100).is_ok(), "and only what is damaged is refused");
}

/// Opened under a boot of the kernel.
fn boot(disk: &SimulatedDisk, id: &str) -> PartitionLog {
    open(disk, Trust::Boot(Boot::of(id)))
}

#[test] // found by reading: after a second crash, during recovery, nobody checked what a power cut had left
fn a_log_is_checked_after_a_power_cut_whatever_happened_to_other_logs() {
    let disk = SimulatedDisk::new(1);
    let mut log = boot(&disk, "a");
    for i in 0..20 {
        log.append(&batch_at(i, 1, 0, 939, i)).expect("a good disk");
    }
    drop(log);
    disk.crash(Crash::Process);
    // Under the same boot the index is believed; a flipped bit stands for what a torn write leaves.
    disk.flip_bit(&segment_path(0), 5500, 1);
    assert_eq!(boot(&disk, "a").end(), Offset(20), "the process died, nothing else");
    let log = boot(&disk, "b");
    assert_eq!((log.end(), log.durable_end().get()), (Offset(5), Offset(5)), "the power was gone");
    drop(log);
    disk.crash(Crash::Process);
    assert_eq!(boot(&disk, "b").end(), Offset(5));
}

#[test]
fn a_log_that_was_closed_in_good_order_is_trusted_until_something_is_written() {
    for appended in [false, true] {
        let disk = SimulatedDisk::new(1);
        let mut log = boot(&disk, "a");
        for i in 0..20 {
            log.append(&batch_at(i, 1, 0, 939, i)).expect("a good disk");
        }
        log.close().expect("a good disk");
        if appended {
            let mut log = boot(&disk, "b");
            log.append(&batch_at(20, 1, 0, 939, 20)).expect("a good disk");
            flush(&mut log).expect("a good disk");
        }
        disk.crash(Crash::Power);
        disk.flip_bit(&segment_path(12), 500, 1);
        let log = try_open(&disk, Trust::Boot(Boot::of("c")));
        match log {
            Ok(log) => assert!(!appended && log.end() == Offset(20)),
            // The flipped bit is below what the close made durable.
            Err(error) => assert!(appended && matches!(error, LogError::Damaged { .. }), "{error}"),
        }
    }
}

#[test] // the PAR rule (storage.md 7)
fn rot_below_the_durable_end_is_refused_and_above_it_is_cut() {
    for (damaged, durable) in [(2_u64, 3), (2, 13), (30, 31), (39, 40)] {
        let disk = SimulatedDisk::new(1);
        let mut log = filled(&disk, durable);
        log.close().expect("a good disk");
        for i in durable..40 {
            log.append(&batch_at(i, 1, 0, 939, i * 10)).expect("a good disk");
        }
        drop(log);
        let base = damaged / 12 * 12;
        disk.flip_bit(&segment_path(base as i64), (damaged - base) * 1000 + 80, 1);
        let open = try_open(&disk, Trust::Nothing);
        if durable as u64 / 12 * 12 > base {
            // A closed segment that is durable as a whole is not read at open; reads and verification find
            // the damage.
            assert!(open.is_ok());
        } else {
            let error = open.err().expect("rot is refused");
            assert!(
                matches!(error, LogError::Damaged { offset, .. } if offset.0 as u64 == damaged),
                "{error}"
            );
        }
    }
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 5);
    log.close().expect("a good disk");
    for i in 5..40 {
        log.append(&batch_at(i, 1, 0, 939, i * 10)).expect("a good disk");
    }
    drop(log);
    disk.flip_bit(&segment_path(12), 2080, 1);
    let log = open(&disk, Trust::Nothing);
    assert_eq!((log.end(), read_all(&log).len()), (Offset(14), 14));
    assert!(!disk.exists(&segment_path(24)), "nothing behind the cut counts");
}

#[test]
fn a_missing_segment_below_the_durable_end_is_damage() {
    for base in [0, 12, 36] {
        let disk = SimulatedDisk::new(1);
        filled(&disk, 40).close().expect("a good disk");
        disk.remove_file(&segment_path(base)).expect("it exists");
        let error = try_open(&disk, Trust::PageCache).err().expect("damage");
        assert!(matches!(error, LogError::Damaged { offset, .. } if offset.0 == base), "{error}");
        assert!(disk.exists(&segment_path(24)), "nothing is touched");
    }
}

#[test]
fn a_damaged_index_is_made_anew() {
    let disk = SimulatedDisk::new(1);
    filled(&disk, 40).close().expect("a good disk");
    for (base, byte) in [(0, 3), (12, 40), (36, 31)] {
        disk.flip_bit(&segment_path(base).with_extension("idx"), byte, 2);
    }
    disk.remove_file(&segment_path(24).with_extension("idx")).expect("it exists");
    let log = open(&disk, Trust::PageCache);
    assert_eq!(read_all(&log).len(), 40);
    assert_eq!(
        heads(&log.batch_at_timestamp(115).expect("a good disk").expect("some"))[0].base_offset,
        Offset(12)
    );
}

#[test]
fn a_flush_that_ends_after_a_cut_proves_nothing() {
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 5);
    let (_, point) = log.begin_flush().expect("something to flush");
    log.truncate(Offset(2)).expect("a good disk");
    log.append(&batch_at(2, 3, 1, 10, 0)).expect("a good disk");
    assert_eq!(log.finish_flush(point).get(), Offset(0));
    flush(&mut log).expect("a good disk");
    assert_eq!(log.durable_end().get(), Offset(5));
    assert!(log.begin_flush().is_none(), "nothing waits");
}

#[test]
fn a_full_disk_leaves_whole_batches() {
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 3);
    disk.set_free_bytes(Some(500));
    let error = log.append(&batch_at(3, 1, 0, 939, 0)).expect_err("no space");
    assert!(error.is_full(), "{error}");
    disk.set_free_bytes(None);
    log.append(&batch_at(3, 1, 0, 939, 0)).expect("space again");
    assert_eq!(read_all(&log).len(), 4);
}

#[test]
fn what_does_not_continue_the_log_is_refused() {
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 3);
    let gap = batch_at(4, 1, 0, 10, 0);
    let cut = batch_at(3, 1, 0, 10, 0).slice(..70);
    let trailing = Bytes::from([&batch_at(3, 1, 0, 10, 0)[..], b"x"].concat());
    log.append(&Bytes::new()).expect("nothing is no error");
    let fallen = Bytes::from([&batch_at(3, 1, 2, 10, 0)[..], &batch_at(4, 1, 1, 10, 0)].concat());
    for bytes in [gap, cut, trailing, fallen] {
        assert!(matches!(log.append(&bytes), Err(LogError::NotContiguous { expected: Offset(3) })));
    }
    assert_eq!(log.end(), Offset(3));
    assert!(matches!(log.read(Offset(4), Offset(9), 1), Err(LogError::OutOfRange { .. })));
}

#[test]
fn reads_end_at_their_limits() {
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 40);
    for tail in [true, false] {
        if !tail {
            log.drop_tail();
        }
        let size = |from, to, max| log.read(Offset(from), Offset(to), max).expect("a good disk").size;
        assert_eq!(size(0, 40, 1), 1000, "one batch at least");
        assert_eq!(size(0, 40, 3999), 3000, "whole batches only");
        assert_eq!(size(10, 14, 100_000), 4000, "none at or above the limit, over the border of segments");
        assert_eq!(size(5, 5, 100_000), 0);
        assert_eq!(size(40, 40, 100_000), 0);
    }
}

#[test]
fn retention_deletes_whole_closed_segments_below_the_limit() {
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 40);
    log.set_config(LogConfig { retention_ms: 100, ..CONFIG });
    assert!(log.enforce_retention(500, Offset(23)).expect("a good disk"));
    assert_eq!(log.log_start(), Offset(12), "the second segment ends above the limit");
    log.set_config(LogConfig { retention_bytes: 15_000, ..CONFIG });
    log.enforce_retention(0, Offset(40)).expect("a good disk");
    assert_eq!((log.log_start(), log.size()), (Offset(24), 16_000));
    assert!(matches!(log.read(Offset(0), log.end(), 100), Err(LogError::OutOfRange { .. })));
    log.set_config(LogConfig { retention_ms: 100, ..CONFIG });
    assert!(log.enforce_retention(1_000_000, Offset(40)).expect("a good disk"));
    assert_eq!(
        (log.log_start(), log.size()),
        (Offset(40), 0),
        "the last segment is rolled when all is too old"
    );
    assert_eq!(open(&disk, Trust::PageCache).log_start(), Offset(40));
}

#[test]
fn records_without_timestamps_are_not_old() {
    let disk = SimulatedDisk::new(1);
    let mut log = open(&disk, Trust::PageCache);
    log.append(&batch_at(0, 1, 0, 10, -1)).expect("a good disk");
    log.set_config(LogConfig { retention_ms: 100, ..CONFIG });
    assert!(!log.enforce_retention(i64::MAX, Offset(1)).expect("a good disk"));
}

#[test]
fn segments_are_rolled_by_time() {
    let disk = SimulatedDisk::new(1);
    let mut log = open(&disk, Trust::PageCache);
    log.set_config(LogConfig { segment_ms: 100, ..CONFIG });
    for (i, timestamp) in [0, 100, 101, 150].into_iter().enumerate() {
        log.append(&batch_at(i as i64, 1, 0, 10, timestamp)).expect("a good disk");
    }
    assert!(disk.exists(&segment_path(2)) && !disk.exists(&segment_path(3)));
}

/// Found by reading: batches whose first record is old each began a segment of their own, and so did each batch without a timestamp
/// (LogSegment.loadFirstBatchTimestamp).
#[test]
fn the_age_of_a_segment_counts_from_the_newest_record_of_its_first_batch() {
    for (base, max, next) in [(0, 1000, 1050), (-1, -1, 1000)] {
        let disk = SimulatedDisk::new(1);
        let mut log = open(&disk, Trust::PageCache);
        log.set_config(LogConfig { segment_ms: 100, ..CONFIG });
        log.append(&batch_spanning(0, base, max)).expect("a good disk");
        log.append(&batch_spanning(1, base, next)).expect("a good disk");
        let mut log = open(&disk, Trust::PageCache);
        log.set_config(LogConfig { segment_ms: 100, ..CONFIG });
        log.append(&batch_spanning(2, base, next)).expect("a good disk");
        assert!(!disk.exists(&segment_path(1)) && !disk.exists(&segment_path(2)), "{base}..{max}");
    }
}

#[test]
fn timestamps_find_the_first_batch_that_reaches_them() {
    let disk = SimulatedDisk::new(1);
    let mut log = open(&disk, Trust::PageCache);
    let timestamps: Vec<i64> = (0..60).map(|i| (i * 37) % 50 + i * 3).collect();
    for (i, timestamp) in timestamps.iter().enumerate() {
        log.append(&batch_at(i as i64, 1, 0, 900, *timestamp)).expect("a good disk");
    }
    log.move_log_start(Offset(3)).expect("a good disk");
    for wanted in 0..260 {
        let expected = timestamps.iter().skip(3).position(|t| *t >= wanted).map(|i| i as i64 + 3);
        let found = log.batch_at_timestamp(wanted).expect("a good disk").map(|b| heads(&b)[0].base_offset.0);
        assert_eq!(found, expected, "timestamp {wanted}");
    }
    let max = log.batch_of_max_timestamp().expect("a good disk").expect("some");
    assert_eq!(Some(heads(&max)[0].max_timestamp), timestamps.iter().max().copied());
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

#[test] // KAFKA-10706, K12: the cache never knows more than the log
fn truncation_fixes_epochs_even_at_the_end() {
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 5);
    log.begin_epoch(LeaderEpoch(7)).expect("a good disk");
    assert_eq!(open(&disk, Trust::PageCache).last_epoch(), Some(LeaderEpoch(7)), "a process crash keeps it");
    log.truncate(Offset(5)).expect("a good disk");
    assert_eq!(log.epochs(), [(LeaderEpoch(0), Offset(0))]);
}

#[test]
fn a_settled_term_stays_with_the_log_over_cuts_and_restarts() {
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 5);
    assert_eq!(log.settled(), None);
    log.note_settled(LeaderEpoch(3));
    log.note_settled(LeaderEpoch(2));
    log.save_checkpoint().expect("a good disk");
    log.truncate(Offset(2)).expect("a good disk");
    disk.crash(Crash::Power);
    let mut log = open(&disk, Trust::Nothing);
    assert_eq!(log.settled(), Some(LeaderEpoch(3)));
    log.restart_at(Offset(9)).expect("a good disk");
    assert_eq!(open(&disk, Trust::PageCache).settled(), Some(LeaderEpoch(3)));
}

#[test]
fn a_deleted_log_leaves_nothing() {
    let disk = SimulatedDisk::new(1);
    filled(&disk, 5).delete().expect("a good disk");
    let parent = dir().parent().expect("it has one");
    assert!(disk.list(parent).expect("a list").is_empty());
}

#[test] // found by reading: a deletion that was cut short left a log without its first segments, and the member did not start
fn a_deletion_is_whole_or_was_not() {
    for seed in 0..100 {
        let disk = SimulatedDisk::new(seed);
        let log = filled(&disk, 40);
        disk.set_operations_left(Some(1 + seed % 5));
        // The power goes in the middle of it, or just after.
        let _ = log.delete();
        disk.crash(if seed % 2 == 0 { Crash::Power } else { Crash::Process });
        remove_garbage(&disk, dir().parent().expect("it has one")).expect("a good disk");
        let trust = if seed % 2 == 0 { Trust::Nothing } else { Trust::PageCache };
        let end = open(&disk, trust).end();
        assert!(seed % 2 == 0 || matches!(end.0, 0 | 40), "seed {seed}: {end}");
        let garbage = dir().with_added_extension("gone");
        assert!(!disk.exists(&garbage), "seed {seed}");
    }
}

#[test]
fn a_flush_of_a_log_that_was_deleted_meanwhile_is_no_failure() {
    let disk = SimulatedDisk::new(1);
    let mut log = open(&disk, Trust::PageCache);
    log.append(&batch_at(0, 1, 0, 10, 0)).expect("a batch");
    let (files, _) = log.begin_flush().expect("something to flush");
    log.delete().expect("a good disk");
    files.iter().try_for_each(|file| file.sync_data()).expect("nothing is left to keep");
}
