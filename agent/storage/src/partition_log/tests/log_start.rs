//! Where a log begins, and what goes below.

use super::*;

/// Found on a follower: its leader's log start moved to the end, and the segment that took appends then stayed for ever.
#[test]
fn the_last_segment_goes_once_it_is_old_though_the_start_was_moved_before() {
    let disk = SimulatedDisk::new(1);
    let mut log = filled(&disk, 5);
    log.move_log_start(Offset(5)).expect("a good disk");
    assert!(disk.exists(&segment_path(0)), "it takes appends");
    log.set_config(LogConfig { retention_ms: 100, ..CONFIG });
    let is_moved = log.enforce_retention(1000, Offset(5)).expect("a good disk");
    assert!(!is_moved && !disk.exists(&segment_path(0)) && disk.exists(&segment_path(5)));
    assert_eq!((log.log_start(), log.end()), (Offset(5), Offset(5)));
    log.append(&batch_at(5, 1, 0, 10, 2000)).expect("a good disk");
    assert_eq!(open(&disk, Trust::PageCache).end(), Offset(6));
}
