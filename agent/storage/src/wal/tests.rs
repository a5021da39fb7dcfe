//! The log against crashes, torn groups, stale records and rot.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use streamkeeper_base::{Lsn, Random};

use super::{Replayed, Wal, WalError, WalOpenError, WalOptions};
use crate::disk::{BLOCK, Crash, Disk, RealDisk, SimulatedDisk};

const OPTIONS: WalOptions = WalOptions { file_bytes: 8 * BLOCK as u64, files_min: 4, salt_seed: 7 };

fn dir() -> &'static Path {
    Path::new("/data/wal")
}

fn open(disk: &SimulatedDisk) -> (Wal, Vec<Vec<u8>>) {
    let (wal, records) = Wal::open(Arc::new(disk.clone()), dir(), OPTIONS).expect("a good log");
    assert!(records.is_sorted_by(|a, b| a.lsn < b.lsn));
    (wal, records.into_iter().map(|r| r.payload.to_vec()).collect())
}

fn open_error(disk: &SimulatedDisk) -> WalOpenError {
    Wal::open(Arc::new(disk.clone()), dir(), OPTIONS).err().expect("damage is refused")
}

fn prepare_all(wal: &mut Wal) {
    while wal.prepare().expect("a good disk") {}
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
        wal.release(Lsn(lsn.0.saturating_sub(5))).expect("a good disk");
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
                if random.percent(20) {
                    wal.prepare().expect("a good disk");
                }
            }
            wal.commit().expect("a good disk");
            if random.percent(50) {
                wal.append(1, &[b"never committed"]);
            }
            drop(wal);
            disk.crash(Crash::Power);
        }
    }
}

/// What the owner of a log knows of it: the position of each record by its number, and which are needed and
/// committed.
#[derive(Default)]
struct Owner {
    positions: BTreeMap<u64, Lsn>,
    next: u64,
    needed: u64,
    committed: u64,
}

impl Owner {
    /// Appends, commits, releases and prepares until the disk fails.
    fn run(&mut self, wal: &mut Wal, random: &mut Random) -> Result<(), WalError> {
        for _ in 0..60 {
            for _ in 0..=random.below(3) {
                let filler = vec![0; random.below(6000) as usize];
                self.positions.insert(self.next, wal.append(1, &[&self.next.to_be_bytes(), &filler]));
                self.next += 1;
            }
            wal.commit()?;
            self.committed = self.next - 1;
            if random.percent(30) {
                self.needed = self.needed.max(self.committed.saturating_sub(random.below(8)));
                wal.release(self.positions[&self.needed])?;
            }
            for _ in 0..random.below(4) {
                wal.prepare()?;
            }
            if random.percent(10) {
                wal.seal()?;
            }
        }
        Ok(())
    }
}

#[test]
fn a_power_cut_in_the_middle_of_any_operation_is_survived() {
    for seed in 0..400 {
        let disk = SimulatedDisk::new(seed);
        let mut random = Random::new(seed);
        let mut owner = Owner { next: 1, needed: 1, ..Owner::default() };
        for life in 0..5 {
            let (mut wal, records) = Wal::open(Arc::new(disk.clone()), dir(), OPTIONS).expect("a good log");
            let number = |r: &Replayed| u64::from_be_bytes(r.payload[..8].try_into().expect("8 bytes"));
            let numbers: Vec<u64> = records.iter().map(number).collect();
            assert!(
                numbers.windows(2).all(|w| w[0] + 1 == w[1]),
                "seed {seed}.{life}: a hole in {numbers:?}"
            );
            if owner.committed > 0 {
                let (first, last) = (numbers.first().copied(), numbers.last().copied());
                assert!(
                    first.is_some_and(|n| n <= owner.needed),
                    "seed {seed}.{life}: {} is lost",
                    owner.needed
                );
                assert!(last >= Some(owner.committed), "seed {seed}.{life}: {} is lost", owner.committed);
            }
            owner.next = numbers.last().map_or(1, |n| n + 1);
            owner.positions = records.iter().map(|r| (number(r), r.lsn)).collect();
            disk.set_operations_left(Some(1 + random.below(120)));
            let _ = owner.run(&mut wal, &mut random);
            drop(wal);
            disk.crash(if random.percent(80) { Crash::Power } else { Crash::Process });
        }
    }
}

#[test]
fn many_files_released_at_once_leave_no_hole() {
    let disk = SimulatedDisk::new(1);
    let (mut wal, _) = open(&disk);
    for i in 0..60_u64 {
        wal.append(1, &[&i.to_be_bytes(), &[0; 3000]]);
        wal.commit().expect("a good disk");
    }
    let grown = wal.size();
    assert!(grown >= 8 * OPTIONS.file_bytes, "the ring grows while nothing is released");
    wal.release(Lsn(58)).expect("a good disk");
    wal.append(1, &[&60_u64.to_be_bytes(), &[0; 30_000]]);
    wal.commit().expect("a good disk");
    drop(wal);
    let (mut wal, records) = open(&disk);
    assert_eq!(records.last().expect("some")[..8], 60_u64.to_be_bytes());
    prepare_all(&mut wal);
    assert!(wal.size() <= 5 * OPTIONS.file_bytes + BLOCK as u64, "and shrinks afterwards: {}", wal.size());
    drop(wal);
    assert_eq!(open(&disk).1, records);
}

fn five_records(disk: &SimulatedDisk) {
    let (mut wal, _) = open(disk);
    for i in 0..5_u8 {
        wal.append(1, &[&[i; 100]]);
        wal.commit().expect("a good disk");
    }
}

#[test] // the PAR rule: rot below a durable record is not a torn tail
fn rot_is_refused_and_a_torn_tail_is_cut() {
    let disk = SimulatedDisk::new(1);
    five_records(&disk);
    let path = dir().join("00000001.wal");
    // Record 5 is the last: nothing after it knows that it was durable, so it may be cut.
    disk.flip_bit(&path, 5 * BLOCK as u64 + 60, 3);
    assert_eq!(open(&disk).1.len(), 4);
    disk.flip_bit(&path, 2 * BLOCK as u64 + 60, 3);
    let error = open_error(&disk);
    assert!(matches!(error, WalOpenError::Damaged { lsn: Lsn(2), .. }), "{error}");
}

#[test]
fn every_flipped_bit_of_a_sealed_log_is_noticed() {
    for block in 1..=5_u64 {
        for byte in (0..148).step_by(7) {
            let disk = SimulatedDisk::new(1);
            five_records(&disk);
            let (mut wal, records) = open(&disk);
            wal.append(1, &[b"last"]);
            wal.commit().expect("a good disk");
            wal.seal().expect("a good disk");
            wal.seal().expect("nothing more to seal");
            drop(wal);
            disk.flip_bit(&dir().join("00000001.wal"), block * BLOCK as u64 + byte, 3);
            match Wal::open(Arc::new(disk.clone()), dir(), OPTIONS) {
                Err(WalOpenError::Damaged { lsn, .. }) => assert_eq!(lsn.0, block),
                // A few bytes of a header are not used; they are covered by its CRC all the same.
                Err(error) => panic!("{error}"),
                Ok((_, found)) => panic!("{byte}: {} of {} records", found.len(), records.len()),
            }
            let late = dir().join("00000003.wal");
            disk.flip_bit(&dir().join("00000001.wal"), block * BLOCK as u64 + byte, 3);
            disk.flip_bit(&late, BLOCK as u64 + 50, 1);
            assert!(matches!(open_error(&disk), WalOpenError::Damaged { lsn: Lsn(6), .. }));
        }
    }
}

#[test]
fn a_lost_head_or_file_is_noticed() {
    let disk = SimulatedDisk::new(1);
    let (mut wal, _) = open(&disk);
    for i in 0..30_u64 {
        wal.append(1, &[&i.to_be_bytes(), &[0; 3000]]);
        wal.commit().expect("a good disk");
    }
    drop(wal);
    let path = dir().join("00000001.wal");
    disk.flip_bit(&path, 20, 0);
    assert_eq!(open(&disk).1.len(), 30, "a head has a second copy");
    disk.flip_bit(&path, BLOCK as u64 / 2 + 20, 0);
    assert!(matches!(open_error(&disk), WalOpenError::DamagedHead { .. }));
    disk.remove_file(&path).expect("it exists");
    assert!(matches!(open_error(&disk), WalOpenError::Missing { expected: Lsn(1), .. }));
    disk.set_read_failure(&dir().join("00000003.wal"), true);
    assert!(matches!(open_error(&disk), WalOpenError::Io { .. }), "what cannot be read is not cut");
}

#[test]
fn a_full_disk_stops_preparation_and_not_the_log() {
    let disk = SimulatedDisk::new(1);
    let (mut wal, _) = open(&disk);
    wal.append(1, &[b"a"]);
    wal.commit().expect("a good disk");
    disk.set_free_bytes(Some(BLOCK as u64));
    prepare_all(&mut wal);
    for i in 0..3_u8 {
        wal.append(1, &[&[i; 100]]);
        wal.commit().expect("the file was written before");
    }
    assert_eq!(disk.free_bytes(dir()).expect("a figure"), BLOCK as u64, "a half-made file is given back");
}

#[test]
fn a_full_disk_makes_files_smaller_before_it_ends_the_log() {
    let disk = SimulatedDisk::new(1);
    let (mut wal, _) = open(&disk);
    wal.append(1, &[b"a"]);
    wal.commit().expect("a good disk");
    let file = OPTIONS.file_bytes;
    disk.set_free_bytes(Some(file / 2));
    let mut commits = 0;
    let error = loop {
        wal.append(1, &[&[7; 3000]]);
        match wal.commit() {
            Ok(_) => commits += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(commits, 6 + 2, "room for half a file holds records, too");
    assert!(error.to_string().contains("make room"), "{error}");
    assert_eq!(
        open(&disk).1.len() as u64,
        commits + 1,
        "what was committed is there, and it opens on a full disk"
    );
}

#[test]
fn a_record_larger_than_a_file_gets_its_own() {
    let disk = SimulatedDisk::new(1);
    let (mut wal, _) = open(&disk);
    wal.append(1, &[b"a"]);
    wal.append(1, &[&vec![7; 100_000]]);
    wal.append(1, &[b"b"]);
    wal.commit().expect("a good disk");
    let lengths: Vec<usize> = open(&disk).1.iter().map(Vec::len).collect();
    assert_eq!(lengths, [1, 100_000, 1]);
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
    assert!(wal.commit().is_err() && wal.seal().is_err(), "never retried and trusted");
    assert!(wal.release(Lsn(1)).is_err() && wal.prepare().is_err());
}
