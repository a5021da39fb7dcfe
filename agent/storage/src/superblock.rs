//! `DATA/meta`: whose disk this is and how it was left. Two copies, written in turn, so one is always whole.
//!
//! Read first: [`Superblock`], [`OpenError`].

use std::io;
use std::path::{Path, PathBuf};

use streamkeeper_base::{ClusterId, DiskId, Incarnation, MemberId};

use crate::disk::{Access, BLOCK, Disk, create_dir_durable, replace_file};

const MAGIC: &[u8; 8] = b"SKEEPER1";
/// The format this version writes.
pub const FORMAT_VERSION: u32 = 2;
/// The oldest that it reads: version 1 knew no disk apart from its incarnation.
const OLDEST_VERSION: u32 = 1;
/// Where the disk's id stands, behind the longest boot id.
const DISK_AT: usize = 320;

/// Whose disk this is and how it was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// The cluster.
    pub cluster: ClusterId,
    /// The member.
    pub member: MemberId,
    /// The data directory, from its making on.
    pub disk: DiskId,
    /// The data directory since its last unclean restart.
    pub incarnation: Incarnation,
    /// The kernel boot under which the disk was last used.
    pub boot_id: String,
    /// True if it was closed in good order.
    pub clean: bool,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk refuses.
    #[error("{path}: {source}; make the directory writable, or use another --data directory")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another cluster's disk.
    #[error(
        "{path}: belongs to cluster {found}, this member is of {expected}; use another --data \
         directory, or move this one away"
    )]
    ForeignCluster {
        /// Where.
        path: PathBuf,
        /// Whose.
        found: ClusterId,
        /// Ours.
        expected: ClusterId,
    },
    /// Another member's disk.
    #[error(
        "{path}: belongs to member {found}, this is member {expected}; use another --data directory, \
         or move this one away"
    )]
    ForeignMember {
        /// Where.
        path: PathBuf,
        /// Whose.
        found: MemberId,
        /// Ours.
        expected: MemberId,
    },
    /// A format of a later version.
    #[error(
        "{path}: has data format {found}, this version reads up to {FORMAT_VERSION}; start it with the \
         newer version that wrote it"
    )]
    Newer {
        /// Where.
        path: PathBuf,
        /// What was found.
        found: u32,
    },
    /// A format of an earlier version.
    #[error(
        "{path}: has data format {found}, this version reads {OLDEST_VERSION} and later; start it with the \
         version that wrote it, or remove the data directory to refill this member from its peers"
    )]
    Older {
        /// Where.
        path: PathBuf,
        /// What was found.
        found: u32,
    },
    /// Neither copy reads back.
    #[error(
        "{path}: both copies are damaged; restore the file, or remove the data directory to refill \
         this member from its peers"
    )]
    Damaged {
        /// Where.
        path: PathBuf,
    },
}

/// Reads the superblock of a data directory; `None` on an empty disk.
///
/// # Errors
/// The disk refuses, is of another format, or damaged.
pub fn read(disk: &dyn Disk, data: &Path) -> Result<Option<(Superblock, u64)>, OpenError> {
    let path = data.join("meta");
    if !disk.exists(&path) {
        return Ok(None);
    }
    let io = |source| OpenError::Io { path: path.clone(), source };
    let file = disk.open(&path, Access::Read).map_err(io)?;
    let mut newest: Option<(Superblock, u64)> = None;
    for copy in 0..2 {
        let mut block = vec![0; BLOCK];
        if file.read_at(&mut block, copy * BLOCK as u64).is_err() {
            continue;
        }
        if let Some((superblock, generation, version)) = decode(&block) {
            if version > FORMAT_VERSION {
                return Err(OpenError::Newer { path, found: version });
            }
            if version < OLDEST_VERSION {
                return Err(OpenError::Older { path, found: version });
            }
            if newest.as_ref().is_none_or(|(_, g)| *g < generation) {
                newest = Some((superblock, generation));
            }
        }
    }
    newest.map(Some).ok_or(OpenError::Damaged { path })
}

/// Writes the superblock with a generation greater than the last one's; the older copy stays whole meanwhile.
///
/// # Errors
/// As the disk.
pub fn write(disk: &dyn Disk, data: &Path, superblock: &Superblock, generation: u64) -> io::Result<()> {
    create_dir_durable(disk, data)?;
    let path = data.join("meta");
    let block = encode(superblock, generation);
    if !disk.exists(&path) {
        // The first one is there as a whole or not at all.
        return replace_file(disk, &path, &[&block[..], &block[..]].concat());
    }
    let file = disk.open(&path, Access::Buffered)?;
    file.write_at(&block, (generation % 2) * BLOCK as u64)?;
    file.sync_data()?;
    // The name may be there without being durable, if the process died while it was made.
    disk.sync_dir(data)
}

/// Refuses a disk that is not this member's.
///
/// # Errors
/// The variant says whose it is.
pub fn check(path: &Path, found: &Superblock, cluster: ClusterId, member: MemberId) -> Result<(), OpenError> {
    let path = path.to_owned();
    if found.cluster != cluster {
        return Err(OpenError::ForeignCluster { path, found: found.cluster, expected: cluster });
    }
    if found.member != member {
        return Err(OpenError::ForeignMember { path, found: found.member, expected: member });
    }
    Ok(())
}

fn encode(superblock: &Superblock, generation: u64) -> Vec<u8> {
    let mut block = Vec::with_capacity(BLOCK);
    block.extend_from_slice(MAGIC);
    block.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
    block.extend_from_slice(&generation.to_be_bytes());
    block.extend_from_slice(&superblock.cluster.0);
    block.extend_from_slice(&superblock.member.0.to_be_bytes());
    block.extend_from_slice(&superblock.incarnation.0);
    block.push(u8::from(superblock.clean));
    let boot = superblock.boot_id.as_bytes();
    let boot = &boot[..boot.len().min(255)];
    block.push(boot.len() as u8);
    block.extend_from_slice(boot);
    block.resize(DISK_AT, 0);
    block.extend_from_slice(&superblock.disk.0);
    block.resize(BLOCK - 4, 0);
    let crc = crate::crc32c(&block);
    block.extend_from_slice(&crc.to_be_bytes());
    block
}

fn decode(block: &[u8]) -> Option<(Superblock, u64, u32)> {
    let (content, crc) = block.split_at_checked(BLOCK - 4)?;
    if crate::crc32c(content).to_be_bytes() != crc || content.get(..8)? != MAGIC {
        return None;
    }
    let array = |at: usize| -> Option<[u8; 16]> { content.get(at..at + 16)?.try_into().ok() };
    let version = u32::from_be_bytes(content.get(8..12)?.try_into().ok()?);
    let generation = u64::from_be_bytes(content.get(12..20)?.try_into().ok()?);
    let member = i32::from_be_bytes(content.get(36..40)?.try_into().ok()?);
    let boot_len = usize::from(*content.get(57)?);
    let superblock = Superblock {
        cluster: ClusterId(array(20)?),
        member: MemberId(member),
        disk: DiskId(array(if version < 2 { 40 } else { DISK_AT })?),
        incarnation: Incarnation(array(40)?),
        clean: *content.get(56)? == 1,
        boot_id: String::from_utf8(content.get(58..58 + boot_len)?.to_vec()).ok()?,
    };
    Some((superblock, generation, version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Crash, SimulatedDisk};

    fn superblock() -> Superblock {
        Superblock {
            cluster: ClusterId([1; 16]),
            member: MemberId(2),
            disk: DiskId([4; 16]),
            incarnation: Incarnation([3; 16]),
            boot_id: "boot".to_owned(),
            clean: true,
        }
    }

    #[test]
    fn the_newest_whole_copy_is_read() {
        let disk = SimulatedDisk::new(1);
        let data = Path::new("/data");
        assert_eq!(read(&disk, data).expect("an empty disk"), None);
        write(&disk, data, &superblock(), 1).expect("a write");
        let dirty = Superblock { clean: false, ..superblock() };
        write(&disk, data, &dirty, 2).expect("a write");
        assert_eq!(read(&disk, data).expect("a good disk"), Some((dirty, 2)));
        disk.flip_bit(&data.join("meta"), 30, 1);
        assert_eq!(read(&disk, data).expect("one good copy"), Some((superblock(), 1)));
        disk.flip_bit(&data.join("meta"), BLOCK as u64 + 30, 1);
        assert!(matches!(read(&disk, data), Err(OpenError::Damaged { .. })));
    }

    #[test]
    fn a_crash_in_the_middle_of_a_write_leaves_the_old_one_or_the_new_one() {
        let data = Path::new("/data");
        for seed in 0..200 {
            let disk = SimulatedDisk::new(seed);
            let written = seed % 3;
            for generation in 1..=written {
                write(&disk, data, &superblock(), generation).expect("a write");
            }
            disk.set_operations_left(Some(1 + seed % 7));
            let is_done = write(&disk, data, &superblock(), written + 1).is_ok();
            disk.crash(Crash::Power);
            let found = read(&disk, data).expect("never damaged").map_or(0, |(_, generation)| generation);
            assert!(found == written + 1 || (found == written && !is_done), "seed {seed}: {found}");
        }
    }

    #[test]
    fn another_format_is_refused_with_what_to_do() {
        for (version, advice) in
            [(FORMAT_VERSION + 1, "newer version"), (OLDEST_VERSION - 1, "remove the data")]
        {
            let error = read_version(version).expect_err("another format").to_string();
            assert!(error.contains(advice), "{error}");
        }
    }

    #[test]
    fn a_disk_of_the_first_format_is_known_by_its_incarnation() {
        let (found, _) = read_version(1).expect("an earlier format").expect("a superblock");
        assert_eq!(found, Superblock { disk: DiskId([3; 16]), ..superblock() });
    }

    /// A superblock as another version wrote it.
    fn read_version(version: u32) -> Result<Option<(Superblock, u64)>, OpenError> {
        let disk = SimulatedDisk::new(1);
        let data = Path::new("/data");
        let mut block = encode(&superblock(), 1);
        block[8..12].copy_from_slice(&version.to_be_bytes());
        let crc = crate::crc32c(&block[..BLOCK - 4]);
        block[BLOCK - 4..].copy_from_slice(&crc.to_be_bytes());
        create_dir_durable(&disk, data).expect("a directory");
        replace_file(&disk, &data.join("meta"), &[&block[..], &block[..]].concat()).expect("a write");
        read(&disk, data)
    }

    #[test]
    fn a_foreign_disk_is_refused_with_its_owner() {
        let path = Path::new("/data");
        let error = check(path, &superblock(), ClusterId([9; 16]), MemberId(2)).expect_err("another cluster");
        assert!(error.to_string().contains("belongs to cluster 01010101-"), "{error}");
        let error = check(path, &superblock(), ClusterId([1; 16]), MemberId(7)).expect_err("another member");
        assert!(error.to_string().contains("belongs to member 2, this is member 7"), "{error}");
    }
}
