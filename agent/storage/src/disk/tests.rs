//! One suite for every disk, and what only the simulated one does.

use std::path::{Path, PathBuf};

use super::{Access, BLOCK, Disk, RealDisk, SimulatedDisk};

fn suite(disk: &dyn Disk, root: &Path) {
    let dir = root.join("a/b");
    disk.create_dir_all(&dir).expect("a directory");
    let path = dir.join("file");
    assert!(disk.open(&path, Access::Read).is_err(), "a missing file cannot be read");
    let file = disk.open(&path, Access::Buffered).expect("a new file");
    file.write_at(b"hello", 3).expect("a write");
    assert_eq!(file.len().expect("a length"), 8);
    let mut buffer = [9; 8];
    file.read_at(&mut buffer, 0).expect("a read");
    assert_eq!(&buffer, b"\0\0\0hello", "a gap reads as zeros");
    assert!(file.read_at(&mut [0; 9], 0).is_err(), "a read past the end fails");
    file.sync().expect("a flush");
    disk.rename(&path, &dir.join("other")).expect("a rename");
    disk.sync_dir(&dir).expect("a flush");
    assert_eq!(disk.list(&dir).expect("a list"), [dir.join("other")]);
    assert!(!disk.exists(&path));
    let block = vec![7; BLOCK];
    let direct = disk.open(&dir.join("direct"), Access::Synchronous).expect("a new file");
    // An unaligned buffer may be refused by direct IO; the write-ahead log aligns its own.
    if direct.write_at(&block, BLOCK as u64).is_ok() {
        assert_eq!(direct.len().expect("a length"), 2 * BLOCK as u64);
    }
    file.set_len(4).expect("a cut");
    assert_eq!(file.len().expect("a length"), 4);
    disk.remove_file(&dir.join("other")).expect("a removal");
    disk.remove_dir_all(&root.join("a")).expect("a removal");
    assert!(disk.list(&dir).expect("an empty list").is_empty());
}

#[test]
fn the_real_disk_passes() {
    let root = tempfile::tempdir().expect("a directory");
    suite(&RealDisk, root.path());
}

#[test]
fn the_simulated_disk_passes() {
    suite(&SimulatedDisk::new(1), Path::new("/data"));
}

#[test]
fn a_power_cut_keeps_what_was_flushed_and_tears_the_rest() {
    let mut torn = 0;
    for seed in 0..50 {
        let disk = SimulatedDisk::new(seed);
        let path = PathBuf::from("/data/file");
        let file = disk.open(&path, Access::Buffered).expect("a file");
        file.write_at(&[1; 4096], 0).expect("a write");
        file.sync().expect("a flush");
        disk.sync_dir(Path::new("/data")).expect("a flush");
        file.write_at(&[2; 4096], 4096).expect("a write");
        disk.power_cut();
        let file = disk.open(&path, Access::Read).expect("the name was flushed");
        let mut bytes = vec![0; usize::try_from(file.len().expect("a length")).expect("small")];
        file.read_at(&mut bytes, 0).expect("a read");
        assert!(bytes[..4096].iter().all(|b| *b == 1), "flushed bytes stay");
        torn += usize::from(bytes.len() > 4096 && bytes[4096..].contains(&0));
    }
    assert!(torn > 10, "unflushed sectors are torn in most seeds, {torn}");
}
