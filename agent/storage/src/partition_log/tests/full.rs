//! A full disk in the middle of any operation: it is refused as a whole, or as far as whole batches went, and nothing else changes.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::disk::Access;

/// What may be found after a step that the full disk refused: all that was there before, and of the step's appends whole batches
/// from the first on; or the step's effect.
fn is_allowed(found: &[BatchHeader], before: &[BatchHeader], after: &[BatchHeader], start: Offset) -> bool {
    let visible = |model: &[BatchHeader]| -> Vec<BatchHeader> {
        model.iter().filter(|h| h.end() > start).copied().collect()
    };
    let (before, after) = (visible(before), visible(after));
    let is_prefix = after.starts_with(found) && found.starts_with(&before);
    found == before || found == after || is_prefix
}

#[test]
fn a_full_disk_in_the_middle_of_any_operation_is_survived() {
    let mut refused = 0;
    for seed in 0..300 {
        let disk = SimulatedDisk::new(seed);
        let mut random = Random::new(seed);
        let mut pair = Pair::new(&disk);
        for step in 0..150 {
            if random.percent(10) {
                let free = random.percent(60).then(|| random.below(4000));
                disk.set_free_bytes(free);
            }
            let (before, durable) = (pair.model.clone(), pair.log.durable_end().get());
            if let Err(error) = pair.step(&mut random) {
                refused += 1;
                assert!(error.is_full(), "seed {seed}.{step}: {error}");
                let found = read_all(&pair.log);
                let start = pair.log.log_start();
                assert!(is_allowed(&found, &before, &pair.model, start), "seed {seed}.{step}: {found:?}");
                pair.model = found;
                let end = pair.log.end();
                assert!(pair.log.durable_end().get() >= durable.min(end), "seed {seed}.{step}");
            }
            if random.percent(10) {
                disk.set_free_bytes(None);
                let before = (pair.log.log_start(), pair.log.end(), pair.log.last_epoch());
                let is_power = random.percent(50);
                if is_power {
                    // What a power cut takes is another test's: here everything is flushed before it.
                    pair.checkpoint = None;
                    pair.log.close().expect("space again");
                    disk.crash(Crash::Power);
                }
                (pair.log, pair.checkpoint) =
                    (open(&disk, if is_power { Trust::Nothing } else { Trust::PageCache }), None);
                let log = &pair.log;
                assert_eq!((log.log_start(), log.end(), log.last_epoch()), before, "seed {seed}.{step}");
            }
            pair.check(seed);
        }
    }
    assert!(refused > 1000, "{refused} steps were refused");
}

/// Found by reading: an index entry that could not be written was lost, and with it the way to its stride.
#[test]
fn reads_find_what_was_appended_while_the_index_had_no_room() {
    let disk = SimulatedDisk::new(1);
    let mut log = open(&disk, Trust::PageCache);
    log.set_config(LogConfig { segment_bytes: u64::MAX, ..CONFIG });
    for i in 0..400 {
        // Room for the batch alone: every write of the index fails.
        disk.set_free_bytes(Some(4100));
        log.append(&batch_at(i, 1, 0, 4039, 0)).expect("room for the batch");
    }
    disk.set_free_bytes(None);
    log.drop_tail();
    assert_eq!(read_all(&log).len(), 400);
    log.close().expect("room again");
    disk.crash(Crash::Power);
    assert_eq!(read_all(&open(&disk, Trust::Nothing)).len(), 400);
}

/// Nothing is left of a file that could not be replaced: it would take the room that is missing.
#[test]
fn a_file_that_cannot_be_replaced_leaves_no_temporary_one() {
    let disk = SimulatedDisk::new(1);
    let path = Path::new("/file");
    crate::disk::replace_file(&disk, path, &[1; 10]).expect("room");
    disk.set_free_bytes(Some(5));
    assert!(crate::disk::replace_file(&disk, path, &[2; 10]).is_err());
    assert_eq!(disk.list(Path::new("/")).expect("a listing"), [path]);
    assert_eq!(crate::disk::read_file(&disk, path).expect("a read").as_deref(), Some(&[1; 10][..]));
}

/// A disk that makes no file for a segment while it is told so.
struct NoNewSegments {
    disk: SimulatedDisk,
    refuses: AtomicBool,
}

impl Disk for NoNewSegments {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let is_segment = path.to_string_lossy().contains(".log");
        if is_segment && !self.disk.exists(path) && self.refuses.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.disk.open(path, access)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }
}

/// Found by reading: the old segments were gone when the new one found no room, and the next append had none to go to.
#[test]
fn a_log_that_cannot_begin_anew_stays_as_it_was() {
    type Act = fn(&mut PartitionLog) -> Result<(), LogError>;
    let cases: [(Act, i64); 2] =
        [(|log| log.restart_at(Offset(100)), 100), (|log| log.truncate(Offset(5)), 5)];
    for (act, at) in cases {
        let disk = Arc::new(NoNewSegments { disk: SimulatedDisk::new(1), refuses: AtomicBool::new(false) });
        let mut log = PartitionLog::open(disk.clone(), dir(), CONFIG, Trust::PageCache).expect("a good disk");
        for i in 0..30 {
            log.append(&batch_at(i, 1, 0, 939, 0)).expect("a good disk");
        }
        log.move_log_start(Offset(12)).expect("a good disk");
        disk.refuses.store(true, Ordering::Relaxed);
        assert!(act(&mut log).expect_err("no room").is_full());
        assert_eq!((log.log_start(), log.end(), read_all(&log).len()), (Offset(12), Offset(30), 18));
        disk.refuses.store(false, Ordering::Relaxed);
        act(&mut log).expect("room again");
        log.append(&batch_at(at, 1, 1, 939, 0)).expect("a good disk");
        drop(log);
        let log = PartitionLog::open(disk.clone(), dir(), CONFIG, Trust::PageCache).expect("a good disk");
        assert_eq!((log.log_start(), log.end(), read_all(&log).len()), (Offset(at), Offset(at + 1), 1));
    }
}
