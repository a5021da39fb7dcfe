//! What a pod's volume holds: a directory for each disk that the member's number has had there.
//!
//! Must not know: what the record says. Read first: [`Volume`], [`Held`].

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use streamkeeper_base::{ClusterId, MemberId};
use streamkeeper_storage::disk::Disk;
use streamkeeper_storage::superblock::{self, OpenError};

use super::begin::directory;

/// What a place holds. A place that holds nothing is not told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// This member's data.
    Own,
    /// Another's, and whose.
    Foreign(String),
    /// Something that cannot be read, and why.
    Damaged(String),
}

/// A pod's volume.
#[derive(Clone)]
pub struct Volume {
    /// What reads it.
    pub disk: Arc<dyn Disk>,
    /// Where it is mounted.
    pub path: PathBuf,
    /// The cluster whose data counts.
    pub cluster: ClusterId,
    /// The member whose data counts.
    pub member: MemberId,
}

impl Volume {
    /// What it holds, by place.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn look(&self) -> io::Result<BTreeMap<u32, Held>> {
        let mut held = BTreeMap::new();
        for path in self.disk.list(&self.path)? {
            if let Some(place) = place(&path)
                && let Some(found) = self.look_into(&path)?
            {
                held.insert(place, found);
            }
        }
        Ok(held)
    }

    /// Removes this member's data of earlier places: the ensemble let it go before it gave the number a new place. Others' is left.
    pub fn remove_below(&self, place: u32) {
        let held = match self.look() {
            Ok(held) => held,
            Err(error) => {
                return tracing::warn!(%error, "the volume cannot be looked through for earlier disks");
            }
        };
        for (earlier, found) in held.range(..place) {
            let path = self.path.join(directory(*earlier));
            match found {
                Held::Own => match self.disk.remove_dir_all(&path) {
                    Ok(()) => {
                        tracing::info!(path = %path.display(), "an earlier disk of this member is removed")
                    }
                    Err(error) => {
                        tracing::warn!(path = %path.display(), %error, "an earlier disk cannot be removed");
                    }
                },
                Held::Foreign(why) | Held::Damaged(why) => {
                    tracing::warn!(path = %path.display(), why, "an earlier disk is left alone");
                }
            }
        }
    }

    fn look_into(&self, path: &Path) -> io::Result<Option<Held>> {
        match superblock::read(&*self.disk, path) {
            Ok(Some((superblock, _))) if superblock.cluster != self.cluster => {
                let (found, own) = (superblock.cluster, self.cluster);
                Ok(Some(Held::Foreign(format!("belongs to cluster {found}, this ensemble is {own}"))))
            }
            Ok(Some((superblock, _))) if superblock.member != self.member => {
                let (found, own) = (superblock.member, self.member);
                Ok(Some(Held::Foreign(format!("belongs to member {found}, this is member {own}"))))
            }
            Ok(Some(_)) => Ok(Some(Held::Own)),
            Ok(None) => {
                let left = self.disk.list(path)?.into_iter().find(|file| !is_before_all_else(file));
                Ok(left.map(|file| {
                    let name = file.file_name().unwrap_or_default().to_string_lossy();
                    Held::Damaged(format!(
                        "holds {name}, and does not say whose it is (the file meta is missing)"
                    ))
                }))
            }
            Err(OpenError::Io { source, .. }) => Err(source),
            Err(error) => Ok(Some(Held::Damaged(error.to_string()))),
        }
    }
}

fn place(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    let number: u32 = name.strip_prefix("disk-")?.parse().ok()?;
    // `disk-007` is not ours.
    (directory(number) == name).then_some(number)
}

/// What an interrupted first start leaves, before it has said whose the disk is.
fn is_before_all_else(path: &Path) -> bool {
    matches!(path.file_name().and_then(|name| name.to_str()), Some("lock" | "meta.tmp"))
}

#[cfg(test)]
mod tests {
    use streamkeeper_base::{DiskId, Incarnation};
    use streamkeeper_storage::disk::{Access, MemoryDisk, create_dir_durable};
    use streamkeeper_storage::superblock::Superblock;

    use super::*;

    fn volume() -> Volume {
        let disk = Arc::new(MemoryDisk::default());
        Volume { disk, path: "/v".into(), cluster: ClusterId([1; 16]), member: MemberId(2) }
    }

    fn format(volume: &Volume, place: &str, cluster: u8, member: i32) {
        let superblock = Superblock {
            cluster: ClusterId([cluster; 16]),
            member: MemberId(member),
            disk: DiskId([4; 16]),
            incarnation: Incarnation([3; 16]),
            boot_id: "boot".to_owned(),
            clean: true,
        };
        superblock::write(&*volume.disk, &volume.path.join(place), &superblock, 1).expect("a write");
    }

    fn touch(volume: &Volume, file: &str) {
        let path = volume.path.join(file);
        create_dir_durable(&*volume.disk, path.parent().expect("a directory")).expect("a directory");
        let file = volume.disk.open(&path, Access::Buffered).expect("a file");
        file.write_at(b"x", 0).expect("a write");
    }

    #[test]
    fn a_volume_tells_own_foreign_and_damaged_disks_apart() {
        let volume = volume();
        assert_eq!(volume.look().expect("an empty volume"), BTreeMap::new());
        format(&volume, "disk-0", 1, 2);
        format(&volume, "disk-1", 9, 2);
        format(&volume, "disk-2", 1, 7);
        touch(&volume, "disk-3/meta");
        touch(&volume, "disk-4/lock");
        touch(&volume, "disk-5/wal");
        touch(&volume, "disk-006/meta");
        touch(&volume, "lost+found/meta");
        let held = volume.look().expect("a volume");
        assert_eq!(held.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 5]);
        assert_eq!(held[&0], Held::Own);
        assert!(matches!(&held[&1], Held::Foreign(whose) if whose.contains("cluster 09090909-")), "{held:?}");
        assert!(matches!(&held[&2], Held::Foreign(whose) if whose.contains("member 7")), "{held:?}");
        assert!(matches!(&held[&3], Held::Damaged(why) if why.contains("both copies")), "{held:?}");
        assert!(matches!(&held[&5], Held::Damaged(why) if why.contains("holds wal")), "{held:?}");
    }

    #[test]
    fn only_own_disks_of_earlier_places_are_removed() {
        let volume = volume();
        format(&volume, "disk-0", 1, 2);
        format(&volume, "disk-1", 9, 2);
        touch(&volume, "disk-2/wal");
        format(&volume, "disk-3", 1, 2);
        format(&volume, "disk-4", 1, 2);
        volume.remove_below(3);
        let left: Vec<u32> = volume.look().expect("a volume").into_keys().collect();
        assert_eq!(left, [1, 2, 3, 4]);
    }
}
