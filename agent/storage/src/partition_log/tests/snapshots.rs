//! Snapshots of producer state beside the segments: they are true of the log that is there, whatever was cut.

use super::*;

#[test]
fn producer_snapshots_are_kept_beside_the_segments() {
    let disk = SimulatedDisk::new(1);
    let log = filled(&disk, 5);
    let snapshots = log.producer_snapshots();
    for (at, state) in [(1, &b"one"[..]), (3, b"three"), (5, b"five")] {
        snapshots.save(Offset(at), state).expect("a good disk");
    }
    let load = |at| snapshots.load(Offset(at)).expect("a good disk").map(|(o, s)| (o.0, s.to_vec()));
    assert_eq!(
        (load(0), load(4), load(9)),
        (None, Some((3, b"three".to_vec())), Some((5, b"five".to_vec())))
    );
    disk.flip_bit(&dir().join("00000000000000000003.snapshot"), 1, 1);
    assert_eq!(load(4), Some((1, b"one".to_vec())), "a damaged one is skipped");
    snapshots.prune(Offset(4), 1).expect("a good disk");
    assert_eq!((load(9), load(2)), (None, None), "only the damaged one is left");
    assert_eq!(open(&disk, Trust::PageCache).end(), Offset(5));
}

fn at(log: &PartitionLog, at_most: i64) -> Option<(i64, Vec<u8>)> {
    let found = log.producer_snapshots().load(Offset(at_most)).expect("a good disk");
    found.map(|(offset, state)| (offset.0, state.to_vec()))
}

#[test]
fn a_cut_takes_later_snapshots_and_those_that_are_under_way() {
    for is_restart in [false, true] {
        let disk = SimulatedDisk::new(1);
        let mut log = filled(&disk, 5);
        log.producer_snapshots().save(Offset(2), b"two").expect("a good disk");
        log.producer_snapshots().save(Offset(4), b"four").expect("a good disk");
        let (files, _) = log.begin_checkpoint(Some(b"five".to_vec())).expect("nothing is in flight");
        if is_restart { log.restart_at(Offset(9)) } else { log.truncate(Offset(3)) }.expect("a good disk");
        files.iter().for_each(|file| file.sync_data().expect("a good disk"));
        let expected = (!is_restart).then(|| (2, b"two".to_vec()));
        assert_eq!(at(&log, 99), expected, "what was begun before the cut is void");
        disk.crash(Crash::Power);
        assert_eq!(at(&open(&disk, Trust::Nothing), 99), expected, "nor does a power cut bring it back");
    }
}

#[test]
fn a_snapshot_of_more_than_a_power_cut_left_is_not_believed() {
    let disk = SimulatedDisk::new(3);
    let mut log = filled(&disk, 3);
    flush(&mut log).expect("a good disk");
    log.append(&batch_at(3, 1, 0, 939, 0)).expect("a good disk");
    log.producer_snapshots().save(Offset(3), b"three").expect("a good disk");
    // As if it had been written before the records were flushed.
    log.producer_snapshots().save(Offset(4), b"four").expect("a good disk");
    disk.crash(Crash::Power);
    disk.open(&segment_path(0), crate::disk::Access::Buffered)
        .expect("it is there")
        .set_len(3100)
        .expect("torn");
    let mut log = open(&disk, Trust::Nothing);
    assert_eq!((log.end(), at(&log, 99)), (Offset(3), Some((3, b"three".to_vec()))));
    log.append(&batch_at(3, 2, 1, 10, 0)).expect("another record takes its place");
    assert_eq!(at(&log, 99), Some((3, b"three".to_vec())));
}

#[test]
fn a_checkpoint_keeps_two_and_a_full_disk_does_without() {
    let disk = SimulatedDisk::new(1);
    let mut log = open(&disk, Trust::PageCache);
    for i in 0..4 {
        log.append(&batch_at(i, 1, 0, 10, 0)).expect("a good disk");
        let (files, point) = log.begin_checkpoint(Some(vec![i as u8; 100])).expect("nothing is in flight");
        files.iter().for_each(|file| file.sync_data().expect("a good disk"));
        log.finish_flush(point);
    }
    assert_eq!((at(&log, 4).map(|s| s.0), at(&log, 3).map(|s| s.0), at(&log, 2)), (Some(4), Some(3), None));
    log.append(&batch_at(4, 1, 0, 10, 0)).expect("a good disk");
    let (files, point) = log.begin_checkpoint(Some(vec![9; 1000])).expect("nothing is in flight");
    disk.set_free_bytes(Some(500));
    files.iter().for_each(|file| file.sync_data().expect("a snapshot is no more than an aid"));
    log.finish_flush(point);
    assert_eq!(at(&log, 99).map(|s| s.0), Some(4));
}
