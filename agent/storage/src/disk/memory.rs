//! Files in memory, kept for as long as the disk is: for tests that need files and no faults.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Access, Disk, DiskFile};

type Content = Arc<Mutex<Vec<u8>>>;

/// A disk in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<Tree>>);

#[derive(Debug, Default)]
struct Tree {
    directories: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Content>,
}

struct MemoryFile {
    content: Content,
    access: Access,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a path goes when `from` becomes `to`; `None` if it is not below `from`.
pub(super) fn renamed(path: &Path, from: &Path, to: &Path) -> Option<PathBuf> {
    let rest = path.strip_prefix(from).ok()?;
    Some(if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) })
}

/// True for a directory that is there without being made.
pub(super) fn is_root(path: &Path) -> bool {
    path.parent().is_none_or(|parent| parent.as_os_str().is_empty() && path.as_os_str() == ".")
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut tree = lock(&self.0);
        let content = match tree.files.get(path) {
            Some(content) => content.clone(),
            None if access == Access::Read => return Err(io::ErrorKind::NotFound.into()),
            None => {
                let parent = path.parent().unwrap_or(Path::new("/"));
                if !is_root(parent) && !tree.directories.contains(parent) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                tree.files.entry(path.to_owned()).or_default().clone()
            }
        };
        Ok(Arc::new(MemoryFile { content, access }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        lock(&self.0).directories.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = lock(&self.0);
        let files = std::mem::take(&mut tree.files);
        let directories = std::mem::take(&mut tree.directories);
        let found = files.contains_key(from) || directories.contains(from);
        let (moved, kept): (Vec<_>, Vec<_>) = files.into_iter().partition(|(p, _)| p.starts_with(from));
        tree.files.extend(kept);
        // What is moved last replaces what had the name.
        tree.files.extend(moved.into_iter().filter_map(|(p, c)| Some((renamed(&p, from, to)?, c))));
        tree.directories.extend(directories.into_iter().map(|p| renamed(&p, from, to).unwrap_or(p)));
        if found { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        lock(&self.0).files.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut tree = lock(&self.0);
        if !tree.directories.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        tree.files.retain(|p, _| !p.starts_with(path));
        tree.directories.retain(|p| !p.starts_with(path));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let tree = lock(&self.0);
        let all = tree.files.keys().chain(&tree.directories);
        let children: BTreeSet<PathBuf> = all.filter(|p| p.parent() == Some(path)).cloned().collect();
        Ok(children.into_iter().collect())
    }

    fn exists(&self, path: &Path) -> bool {
        let tree = lock(&self.0);
        is_root(path) || tree.files.contains_key(path) || tree.directories.contains(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let there = is_root(path) || lock(&self.0).directories.contains(path);
        if there { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let content = lock(&self.content);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let source =
            content.get(start..start.saturating_add(buffer.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(source);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.access == Access::Read {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let mut content = lock(&self.content);
        let end = start + bytes.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.content).len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.access == Access::Read {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        lock(&self.content).resize(usize::try_from(len).map_err(io::Error::other)?, 0);
        Ok(())
    }
}
