//! The log against crashes, torn groups, stale records and rot.

use std::path::Path;
use std::sync::Arc;

use streamkeeper_base::{Lsn, Random};

use super::{Wal, WalOpenError, WalOptions};
use crate::disk::{BLOCK, Disk, RealDisk, SimulatedDisk};

const OPTIONS: WalOptions = WalOptions { file_bytes: 8 * BLOCK as u64 };

fn dir() -> &'static Path {
    Path::new("/data/wal")
}

fn open(disk: &SimulatedDisk) -> (Wal, Vec<Vec<u8>>) {
    let (wal, records) = Wal::open(Arc::new(disk.clone()), dir(), OPTIONS).expect("a good log");
    let expected: Vec<u64> = (0..records.len() as u64).map(|i| records[0].lsn.0 + i).collect();
    assert_eq!(records.iter().map(|r| r.lsn.0).collect::<Vec<_>>(), expected, "no gap");
    (wal, records.into_iter().map(|r| r.payload.to_vec()).collect())
}

#[test]
fn what_is_committed_comes_back_in_order() {
    let disk = SimulatedDisk::new(1);
    let (mut wal, records) = open(&disk);
    assert!(records.is_empty());
    wal.append(1, &[b"one", b"-piece"]);
    wal.append(2, &[b""]);
    assert_eq!(wal.commit().expect("a good disk").get(), Lsn(2));
    wal.append(1, &[b"three"]);
    wal.commit().expect("a good disk");
    let (_, records) = open(&disk);
    assert_eq!(records, [b"one-piece".to_vec(), b"".to_vec(), b"three".to_vec()]);
}

#[test]
fn the_real_disk_takes_the_log() {
    let root = tempfile::tempdir().expect("a directory");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    for round in 0..3_u8 {
        let (mut wal, records) = Wal::open(disk.clone(), root.path(), OPTIONS).expect("a good log");
        assert_eq!(records.len(), usize::from(round) * 10);
        for i in 0..10 {
            wal.append(1, &[&vec![round * 10 + i; 1000]]);
            wal.commit().expect("a good disk");
        }
    }
}

#[test]
fn files_are_recycled_and_their_old_records_stay_dead() {
    let disk = SimulatedDisk::new(1);
    let (mut wal, _) = open(&disk);
    for i in 0..200_u64 {
        let lsn = wal.append(1, &[&i.to_be_bytes(), &[0; 3000]]);
        wal.commit().expect("a good disk");
        wal.release(Lsn(lsn.0.saturating_sub(5)));
    }
    assert!(wal.size() <= 6 * OPTIONS.file_bytes, "{} bytes", wal.size());
    drop(wal);
    let (_, records) = open(&disk);
    assert!(records.len() >= 5 && records.len() < 30);
    assert_eq!(records.last().expect("some")[..8], 199_u64.to_be_bytes());
}

#[test]
fn a_power_cut_loses_only_what_was_not_committed() {
    for seed in 0..300 {
        let disk = SimulatedDisk::new(seed);
        let mut random = Random::new(seed);
        let mut committed: Vec<Vec<u8>> = Vec::new();
        for _ in 0..4 {
            let (mut wal, records) = open(&disk);
            assert!(records.len() >= committed.len(), "seed {seed}: committed records are lost");
            assert_eq!(records[..committed.len()], committed, "seed {seed}");
            committed = records;
            for _ in 0..random.below(20) {
                let payload = vec![random.next_u64() as u8; random.below(9000) as usize];
                wal.append(1, &[&payload]);
                committed.push(payload);
                if random.percent(60) {
                    wal.commit().expect("a good disk");
                }
            }
            wal.commit().expect("a good disk");
            if random.percent(50) {
                wal.append(1, &[b"never committed"]);
            }
            drop(wal);
            disk.power_cut();
        }
    }
}

#[test] // the PAR rule: rot below a durable record is not a torn tail
fn rot_is_refused_and_a_torn_tail_is_cut() {
    let disk = SimulatedDisk::new(1);
    let (mut wal, _) = open(&disk);
    for i in 0..5_u8 {
        wal.append(1, &[&[i; 100]]);
        wal.commit().expect("a good disk");
    }
    drop(wal);
    let path = dir().join("00000001.wal");
    // Record 5 is the last: nothing after it knows that it was durable, so it may be cut.
    disk.flip_bit(&path, 5 * BLOCK + 60, 3);
    assert_eq!(open(&disk).1.len(), 4);
    disk.flip_bit(&path, 2 * BLOCK + 60, 3);
    let error = Wal::open(Arc::new(disk), dir(), OPTIONS).err().expect("damage is refused");
    assert!(matches!(error, WalOpenError::Damaged { lsn: Lsn(2), .. }), "{error}");
}

#[test]
fn a_failed_flush_is_final() {
    let disk = SimulatedDisk::new(1);
    let (mut wal, _) = open(&disk);
    wal.append(1, &[b"a"]);
    disk.set_sync_failure(true);
    assert!(wal.commit().is_err());
    disk.set_sync_failure(false);
    wal.append(1, &[b"b"]);
    assert!(wal.commit().is_err(), "never retried and trusted");
}
