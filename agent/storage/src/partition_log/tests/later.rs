//! What is promised and read later: whole, checked, or an error.

use streamkeeper_base::Piece;

use super::*;

/// A log of 12 batches of 1000 bytes in one sealed segment, nothing of it in memory; its first piece read later.
fn promised(disk: &SimulatedDisk) -> (PartitionLog, Piece) {
    let mut log = filled(disk, 12);
    log.roll().expect("a good disk");
    log.drop_tail();
    let chunk = log.read_later(Offset(0), log.end(), 100_000).expect("a good disk");
    assert_eq!(chunk.size, 12_000);
    let [piece] = &chunk.pieces[..] else { panic!("{chunk:?}") };
    assert!(matches!(piece, Piece::Later(_)));
    (log, piece.clone())
}

#[test]
fn it_comes_in_whole_batches_whatever_the_buffer() {
    let disk = SimulatedDisk::new(1);
    let (log, piece) = promised(&disk);
    let all = log.read(Offset(0), log.end(), 100_000).expect("a good disk").pieces.concat();
    for (bytes_max, step) in [(1, 1000), (1999, 1000), (2500, 2000), (50_000, 12_000)] {
        let Piece::Later(mut later) = piece.clone() else { unreachable!() };
        let mut read = Vec::new();
        while !later.is_empty() {
            let bytes = later.read(bytes_max).expect("a good disk");
            assert_eq!(bytes.len(), step);
            read.extend_from_slice(&bytes);
        }
        assert_eq!(read, all);
    }
}

#[test]
fn it_ends_where_the_reader_may_not_see_and_where_the_bytes_end() {
    let disk = SimulatedDisk::new(1);
    let (log, _) = promised(&disk);
    let size = |from, to, max| log.read_later(Offset(from), Offset(to), max).expect("a good disk").size;
    // Strides of five batches; what no stride ends is read at once.
    assert_eq!((size(0, 9, 9000), size(2, 9, 9000), size(6, 9, 9000)), (5000, 3000, 3000));
    assert_eq!((size(0, 12, 9999), size(0, 12, 5000), size(0, 12, 4999)), (5000, 5000, 4000));
    assert_eq!(size(5, 5, 9000), 0);
    assert!(matches!(log.read_later(Offset(13), Offset(13), 1), Err(LogError::OutOfRange { .. })));
}

#[test]
fn damage_is_an_error_before_it_is_sent_and_named_the_next_time() {
    let disk = SimulatedDisk::new(1);
    let (log, piece) = promised(&disk);
    disk.flip_bit(&segment_path(0), 3_500, 1);
    let Piece::Later(mut later) = piece else { unreachable!() };
    assert_eq!(later.read(3000).expect("good ones").len(), 3000);
    let error = later.read(3000).expect_err("the fourth batch");
    assert!(error.to_string().contains("byte 3000"), "{error}");
    let again = log.read_later(Offset(0), log.end(), 100_000).expect("up to there");
    assert_eq!((again.size, matches!(again.pieces[0], Piece::Ready(_))), (3000, true));
    let error = log.read_later(Offset(3), log.end(), 100_000).expect_err("it is known now");
    assert!(matches!(error, LogError::Damaged { offset: Offset(3), .. }), "{error}");
}

#[test]
fn files_that_are_deleted_are_read_to_the_end_and_files_that_are_cut_are_not() {
    let disk = SimulatedDisk::new(1);
    let (mut log, piece) = promised(&disk);
    log.move_log_start(Offset(12)).expect("a good disk");
    assert!(!disk.exists(&segment_path(0)), "the segment is gone");
    assert_eq!(piece.read_all().expect("the file is still open").len(), 12_000);

    let disk = SimulatedDisk::new(1);
    let (mut log, piece) = promised(&disk);
    log.truncate(Offset(7)).expect("a good disk");
    let Piece::Later(mut later) = piece else { unreachable!() };
    assert!(later.read(50_000).is_err(), "the file is shorter now");
}
