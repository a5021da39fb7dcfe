//! `DATA/tree/snap.<zxid>`: a whole state in chunks. Written under a temporary name, so a name means a whole file.
//!
//! Must not know: what the state is. Read first: [`write`], [`load_newest`].

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::crc32c;
use crate::disk::{Access, Disk};

const MAGIC: &[u8; 8] = b"SKSNAP01";
const FOOTER: &[u8; 8] = b"SKSNAPOK";
const COMPRESSION_LEVEL: i32 = 1;

/// Writes a snapshot and makes it durable; older ones are removed afterwards, except the one before.
///
/// # Errors
/// As the disk; a half-written file has no name that counts.
pub fn write(disk: &dyn Disk, dir: &Path, zxid: i64, chunks: &[Bytes]) -> io::Result<()> {
    disk.create_dir_all(dir)?;
    let temporary = dir.join("snap.tmp");
    if disk.exists(&temporary) {
        disk.remove_file(&temporary)?;
    }
    let file = disk.open(&temporary, Access::Buffered)?;
    file.write_at(MAGIC, 0)?;
    let mut at = MAGIC.len() as u64;
    for chunk in chunks {
        let packed = zstd::bulk::compress(chunk, COMPRESSION_LEVEL)?;
        let mut head = Vec::with_capacity(12);
        for word in [chunk.len(), packed.len()] {
            head.extend_from_slice(&u32::try_from(word).map_err(io::Error::other)?.to_be_bytes());
        }
        head.extend_from_slice(&crc32c(&packed).to_be_bytes());
        file.write_at(&head, at)?;
        file.write_at(&packed, at + head.len() as u64)?;
        at += (head.len() + packed.len()) as u64;
    }
    let count = u32::try_from(chunks.len()).map_err(io::Error::other)?;
    file.write_at(&[&[0; 4][..], &count.to_be_bytes(), FOOTER].concat(), at)?;
    file.sync_data()?;
    disk.rename(&temporary, &dir.join(name(zxid)))?;
    disk.sync_dir(dir)?;
    remove_older(disk, dir)
}

/// The newest snapshot that reads back whole: its zxid and chunks. Damaged ones are reported through `skipped`.
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

fn name(zxid: i64) -> String {
    format!("snap.{zxid:016x}")
}

fn names(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let zxid_of = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?.strip_prefix("snap.")?;
        i64::from_str_radix(name, 16).ok()
    };
    let mut names: Vec<(i64, PathBuf)> =
        disk.list(dir)?.into_iter().filter_map(|path| Some((zxid_of(&path)?, path))).collect();
    names.sort();
    Ok(names)
}

fn remove_older(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let mut names = names(disk, dir)?;
    names.truncate(names.len().saturating_sub(2));
    for (_, path) in names {
        disk.remove_file(&path)?;
    }
    Ok(())
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<Bytes>> {
    let damaged =
        |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("the snapshot's {what} is damaged"));
    let file = disk.open(path, Access::Read)?;
    let mut content = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
    file.read_at(&mut content, 0)?;
    let content = Bytes::from(content);
    if content.get(..8) != Some(MAGIC) {
        return Err(damaged("head"));
    }
    let mut at = MAGIC.len();
    let mut chunks = Vec::new();
    loop {
        let word = |at: usize| -> Option<u32> {
            Some(u32::from_be_bytes(content.get(at..at + 4)?.try_into().ok()?))
        };
        let length = word(at).ok_or_else(|| damaged("chunk head"))?;
        if length == 0 && content.get(at + 8..at + 16) == Some(FOOTER) {
            let count = word(at + 4).ok_or_else(|| damaged("footer"))?;
            return if count as usize == chunks.len() { Ok(chunks) } else { Err(damaged("footer")) };
        }
        let packed = word(at + 4).ok_or_else(|| damaged("chunk head"))? as usize;
        let crc = word(at + 8).ok_or_else(|| damaged("chunk head"))?;
        let body = content.get(at + 12..(at + 12).saturating_add(packed)).ok_or_else(|| damaged("chunk"))?;
        if crc32c(body) != crc {
            return Err(damaged("chunk"));
        }
        // The CRC was right, so the length is our own and may be reserved.
        chunks.push(Bytes::from(zstd::bulk::decompress(body, length as usize)?));
        at += 12 + packed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimulatedDisk;

    #[test]
    fn the_newest_whole_snapshot_is_loaded() {
        let disk = SimulatedDisk::new(1);
        let dir = Path::new("/data/tree");
        let mut skipped = Vec::new();
        assert_eq!(load_newest(&disk, dir, &mut skipped).expect("an empty disk"), None);
        for zxid in 1..=4 {
            write(&disk, dir, zxid, &[Bytes::from(vec![zxid as u8; 5000]), Bytes::new()]).expect("a write");
        }
        assert_eq!(disk.list(dir).expect("a list").len(), 2, "older ones are removed");
        disk.flip_bit(&dir.join(name(4)), 30, 0);
        let (zxid, chunks) =
            load_newest(&disk, dir, &mut skipped).expect("a good disk").expect("one is whole");
        assert_eq!((zxid, chunks.len(), chunks[0][0]), (3, 2, 3));
        assert_eq!(skipped.len(), 1);
    }
}
