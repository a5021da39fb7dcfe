//! `DATA/tree/snap.<zxid>`: a whole state in chunks. Written under a temporary name, so a name means a whole
//! file.
//!
//! Each chunk is compressed and stands behind its lengths and a CRC of both; a footer tells that all are
//! there. A chunk at a time is in memory. Must not know: what the state is. Read first: [`SnapshotWriter`],
//! [`SnapshotReader`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{Access, Disk, DiskFile, create_dir_durable, is_full};

const MAGIC: &[u8; 8] = b"SKSNAP02";
/// Magic and zxid.
const HEAD_BYTES: usize = 16;
/// Length, packed length, CRC of both and of what follows.
const CHUNK_HEAD_BYTES: usize = 12;
/// A length that no chunk has marks the footer; the packed length is then the number of chunks.
const FOOTER: u32 = u32::MAX;
/// One chunk before compression, bytes: what a damaged file can make a reader reserve.
pub const CHUNK_BYTES_MAX: usize = 64 * 1024 * 1024;
const COMPRESSION_LEVEL: i32 = 1;
/// Snapshots that stay: the newest, and the one before it in case the newest rots.
const KEPT: usize = 2;

/// Writes one snapshot. Dropped before [`SnapshotWriter::finish`], it leaves nothing that counts.
pub struct SnapshotWriter {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    zxid: i64,
    file: Arc<dyn DiskFile>,
    position: u64,
    chunks: u32,
}

impl SnapshotWriter {
    /// Begins the snapshot of the state at a zxid. One at a time per directory.
    ///
    /// # Errors
    /// As the disk.
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, zxid: i64) -> io::Result<Self> {
        create_dir_durable(&*disk, dir)?;
        let file = disk.open(&temporary(dir), Access::Buffered)?;
        file.set_len(0)?;
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&zxid.to_be_bytes());
        file.write_at(&head, 0)?;
        Ok(Self { disk, dir: dir.to_owned(), zxid, file, position: HEAD_BYTES as u64, chunks: 0 })
    }

    /// Adds a chunk of at most [`CHUNK_BYTES_MAX`].
    ///
    /// # Errors
    /// As the disk; the snapshot is then to be dropped.
    pub fn push(&mut self, chunk: &[u8]) -> io::Result<()> {
        assert!(chunk.len() <= CHUNK_BYTES_MAX, "a chunk of {} bytes", chunk.len());
        let packed = zstd::bulk::compress(chunk, COMPRESSION_LEVEL)?;
        self.chunks += 1;
        self.put(u32::try_from(chunk.len()).map_err(io::Error::other)?, packed)
    }

    /// Makes it durable under its name; then removes older ones, except the one before.
    ///
    /// # Errors
    /// As the disk; without a name, what was written does not count.
    pub fn finish(mut self) -> io::Result<()> {
        let count = self.chunks;
        let head = chunk_head(FOOTER, count, &[]);
        self.file.write_at(&head, self.position)?;
        self.position += head.len() as u64;
        self.file.sync_data()?;
        self.disk.rename(&temporary(&self.dir), &self.dir.join(name(self.zxid)))?;
        self.disk.sync_dir(&self.dir)?;
        let mut names = names(&*self.disk, &self.dir)?;
        names.truncate(names.len().saturating_sub(KEPT));
        names.iter().try_for_each(|(_, path)| self.disk.remove_file(path))
    }

    fn put(&mut self, length: u32, packed: Vec<u8>) -> io::Result<()> {
        let packed_length = u32::try_from(packed.len()).map_err(io::Error::other)?;
        let mut bytes = chunk_head(length, packed_length, &packed).to_vec();
        bytes.extend_from_slice(&packed);
        self.file.write_at(&bytes, self.position)?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}

/// Reads one snapshot, a chunk at a time.
pub struct SnapshotReader {
    file: Arc<dyn DiskFile>,
    zxid: i64,
    position: u64,
    length: u64,
    chunks: u32,
    is_done: bool,
}

impl SnapshotReader {
    /// Opens a snapshot file.
    ///
    /// # Errors
    /// As the disk, or `InvalidData` if it is none.
    pub fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.open(path, Access::Read)?;
        let length = file.len()?;
        let mut head = [0; HEAD_BYTES];
        if length < HEAD_BYTES as u64 {
            return Err(damaged("head"));
        }
        file.read_at(&mut head, 0)?;
        let (magic, zxid) = head.split_first_chunk::<8>().ok_or_else(|| damaged("head"))?;
        let zxid = i64::from_be_bytes(zxid.try_into().map_err(io::Error::other)?);
        if magic != MAGIC || path.file_name().is_some_and(|n| n.to_str() != Some(&name(zxid))) {
            return Err(damaged("head"));
        }
        Ok(Self { file, zxid, position: HEAD_BYTES as u64, length, chunks: 0, is_done: false })
    }

    /// The zxid up to which the state goes.
    pub fn zxid(&self) -> i64 {
        self.zxid
    }

    /// The next chunk; `None` when all were read and the footer says so.
    ///
    /// # Errors
    /// As the disk, or `InvalidData`: nothing of the snapshot may be used then.
    pub fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        let mut head = [0; CHUNK_HEAD_BYTES];
        if self.is_done {
            return Ok(None);
        }
        if self.length - self.position < CHUNK_HEAD_BYTES as u64 {
            return Err(damaged("end"));
        }
        self.file.read_at(&mut head, self.position)?;
        self.position += CHUNK_HEAD_BYTES as u64;
        let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (length, packed_length) = (word(0), word(4));
        if length == FOOTER {
            let is_whole = packed_length == self.chunks && head == chunk_head(FOOTER, self.chunks, &[]);
            self.is_done = is_whole && self.position == self.length;
            return if self.is_done { Ok(None) } else { Err(damaged("footer")) };
        }
        if u64::from(packed_length) > self.length - self.position || length as usize > CHUNK_BYTES_MAX {
            return Err(damaged("chunk"));
        }
        let mut packed = vec![0; packed_length as usize];
        self.file.read_at(&mut packed, self.position)?;
        if head != chunk_head(length, packed_length, &packed) {
            return Err(damaged("chunk"));
        }
        self.position += packed.len() as u64;
        self.chunks += 1;
        let chunk = zstd::bulk::decompress(&packed, length as usize)?;
        if chunk.len() == length as usize { Ok(Some(Bytes::from(chunk))) } else { Err(damaged("chunk")) }
    }
}

/// Writes a snapshot whose chunks are in memory; as [`SnapshotWriter`].
///
/// # Errors
/// As the disk; a half-written file has no name that counts, and takes no room that is missing.
pub fn write(disk: &Arc<dyn Disk>, dir: &Path, zxid: i64, chunks: &[Bytes]) -> io::Result<()> {
    let written = SnapshotWriter::new(disk.clone(), dir, zxid).and_then(|mut writer| {
        chunks.iter().try_for_each(|chunk| writer.push(chunk))?;
        writer.finish()
    });
    let half = temporary(dir);
    if written.as_ref().is_err_and(is_full) && disk.exists(&half) {
        disk.remove_file(&half)?;
    }
    written
}

/// The newest snapshot that reads back whole: its zxid and chunks. Damaged ones are reported through
/// `skipped`.
///
/// # Errors
/// As listing the directory.
pub fn load_newest(
    disk: &dyn Disk,
    dir: &Path,
    skipped: &mut Vec<String>,
) -> io::Result<Option<(i64, Vec<Bytes>)>> {
    let mut names = names(disk, dir)?;
    while let Some((zxid, path)) = names.pop() {
        match read(disk, &path) {
            Ok(chunks) => return Ok(Some((zxid, chunks))),
            Err(error) => skipped.push(format!("{}: {error}; an older snapshot is used", path.display())),
        }
    }
    Ok(None)
}

/// The snapshots of a directory, oldest first: zxid and path. For readers that go chunk by chunk.
///
/// # Errors
/// As listing the directory.
pub fn names(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let zxid_of = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?.strip_prefix("snap.")?;
        i64::from_str_radix(name, 16).ok()
    };
    let mut names: Vec<(i64, PathBuf)> =
        disk.list(dir)?.into_iter().filter_map(|path| Some((zxid_of(&path)?, path))).collect();
    names.sort();
    Ok(names)
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<Bytes>> {
    let mut reader = SnapshotReader::open(disk, path)?;
    std::iter::from_fn(|| reader.next_chunk().transpose()).collect()
}

fn name(zxid: i64) -> String {
    format!("snap.{zxid:016x}")
}

fn temporary(dir: &Path) -> PathBuf {
    dir.join("snap.tmp")
}

fn chunk_head(length: u32, packed_length: u32, packed: &[u8]) -> [u8; CHUNK_HEAD_BYTES] {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    let mut head = [0; CHUNK_HEAD_BYTES];
    head[0..4].copy_from_slice(&length.to_be_bytes());
    head[4..8].copy_from_slice(&packed_length.to_be_bytes());
    digest.update(&head[..8]);
    digest.update(packed);
    head[8..12].copy_from_slice(&(digest.finalize() as u32).to_be_bytes());
    head
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the snapshot's {what} is damaged"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Crash, SimulatedDisk, read_file};

    fn dir() -> &'static Path {
        Path::new("/data/tree")
    }

    fn put(disk: &SimulatedDisk, zxid: i64) -> io::Result<()> {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        write(&shared, dir(), zxid, &[Bytes::from(vec![zxid as u8; 5000]), Bytes::new()])
    }

    fn load(disk: &SimulatedDisk) -> (Option<(i64, Vec<Bytes>)>, usize) {
        let mut skipped = Vec::new();
        (load_newest(disk, dir(), &mut skipped).expect("a good disk"), skipped.len())
    }

    #[test]
    fn a_snapshot_that_finds_no_room_takes_none_and_changes_nothing() {
        let disk = SimulatedDisk::new(1);
        put(&disk, 1).expect("room");
        for free in 0..400 {
            disk.set_free_bytes(Some(free));
            if put(&disk, 2).is_ok() {
                assert!(free > 40, "{free} bytes are not enough");
                return;
            }
            assert_eq!(disk.list(dir()).expect("a list"), [dir().join(name(1))], "{free} bytes");
            assert_eq!(disk.free_bytes(dir()).expect("a figure"), free);
        }
        panic!("it never found room");
    }

    #[test]
    fn the_newest_whole_snapshot_is_loaded() {
        let disk = SimulatedDisk::new(1);
        assert_eq!(load(&disk), (None, 0), "an empty disk");
        for zxid in 1..=4 {
            put(&disk, zxid).expect("a write");
        }
        assert_eq!(disk.list(dir()).expect("a list").len(), 2, "older ones are removed");
        disk.flip_bit(&dir().join(name(4)), 30, 0);
        let (found, skipped) = load(&disk);
        let (zxid, chunks) = found.expect("one is whole");
        assert_eq!((zxid, chunks.len(), chunks[0][0], skipped), (3, 2, 3, 1));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let disk = SimulatedDisk::new(1);
        put(&disk, 1).expect("a write");
        let path = dir().join(name(1));
        let length = read_file(&disk, &path).expect("a read").expect("a file").len() as u64;
        for byte in 0..length {
            for bit in [0, 3, 7] {
                disk.flip_bit(&path, byte, bit);
                assert_eq!(load(&disk), (None, 1), "byte {byte} bit {bit}");
                disk.flip_bit(&path, byte, bit);
            }
        }
        let file = disk.open(&path, Access::Buffered).expect("a file");
        for end in (0..length).rev() {
            file.set_len(end).expect("a cut");
            assert_eq!(load(&disk), (None, 1), "cut at {end}");
        }
    }

    #[test]
    fn a_crash_in_the_middle_leaves_the_one_before() {
        for operations in 1..20 {
            let disk = SimulatedDisk::new(operations);
            put(&disk, 1).expect("a write");
            disk.set_operations_left(Some(operations));
            let written = put(&disk, 2).is_ok();
            disk.crash(Crash::Power);
            let (found, skipped) = load(&disk);
            let zxid = found.expect("one is whole").0;
            assert!(skipped == 0 && (zxid == 2 || !written) && zxid >= 1, "{operations}: {zxid}");
            put(&disk, 3).expect("leftovers do no harm");
            assert_eq!(load(&disk).0.map(|(zxid, _)| zxid), Some(3));
        }
    }
}
