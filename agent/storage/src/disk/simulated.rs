//! Files in memory whose unflushed parts a power cut loses or tears, from one seed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use streamkeeper_base::Random;

use super::{Access, Disk, DiskFile};

/// The unit that is written whole or not at all.
const SECTOR: usize = 512;

/// A disk in memory. Clones share it.
#[derive(Clone)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

struct State {
    /// Current names.
    names: BTreeMap<PathBuf, u64>,
    /// Names as of the last synchronization of each directory.
    durable_names: BTreeMap<PathBuf, u64>,
    files: BTreeMap<u64, Content>,
    next: u64,
    random: Random,
    fail_syncs: bool,
    free_bytes: Option<u64>,
}

#[derive(Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    /// What a power cut keeps for sure.
    durable: Vec<u8>,
    /// Written since, as ranges of bytes.
    dirty: Vec<(usize, usize)>,
}

struct SimulatedFile {
    disk: SimulatedDisk,
    id: u64,
    access: Access,
}

impl SimulatedDisk {
    /// An empty disk; which unflushed sectors survive a power cut follows from the seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            files: BTreeMap::new(),
            next: 0,
            random: Random::new(seed),
            fail_syncs: false,
            free_bytes: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Power goes: each unflushed sector survives or not, names that were not synchronized may be the old ones.
    pub fn power_cut(&self) {
        let state = &mut *self.state();
        for content in state.files.values_mut() {
            content.lose_unflushed(&mut state.random);
        }
        if state.random.percent(50) {
            state.names = state.durable_names.clone();
        } else {
            state.durable_names = state.names.clone();
        }
    }

    /// From now on every flush fails (or works again).
    pub fn set_sync_failure(&self, fail: bool) {
        self.state().fail_syncs = fail;
    }

    /// From now on files may grow by that many bytes in all; `None` for no limit.
    pub fn set_free_bytes(&self, free: Option<u64>) {
        self.state().free_bytes = free;
    }

    /// Flips one bit of a file: rot.
    pub fn flip_bit(&self, path: &Path, offset: usize, bit: u8) {
        let mut state = self.state();
        let Some(id) = state.names.get(path).copied() else { return };
        if let Some(content) = state.files.get_mut(&id) {
            for bytes in [&mut content.bytes, &mut content.durable] {
                if let Some(byte) = bytes.get_mut(offset) {
                    *byte ^= 1 << (bit % 8);
                }
            }
        }
    }
}

impl Content {
    fn lose_unflushed(&mut self, random: &mut Random) {
        let mut survived = std::mem::take(&mut self.durable);
        for (start, end) in self.dirty.drain(..) {
            let mut sector = start / SECTOR * SECTOR;
            while sector < end {
                let from = sector.max(start);
                let to = (sector + SECTOR).min(end).min(self.bytes.len());
                if random.percent(50) && from < to {
                    if survived.len() < to {
                        survived.resize(to, 0);
                    }
                    survived[from..to].copy_from_slice(&self.bytes[from..to]);
                }
                sector += SECTOR;
            }
        }
        self.durable.clone_from(&survived);
        self.bytes = survived;
    }

    fn sync(&mut self) {
        // Only what changed is copied: a file is flushed far more often than it is written whole.
        self.durable.resize(self.bytes.len(), 0);
        for (start, end) in self.dirty.drain(..) {
            let end = end.min(self.bytes.len());
            if start < end {
                self.durable[start..end].copy_from_slice(&self.bytes[start..end]);
            }
        }
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        let id = match state.names.get(path) {
            Some(id) => *id,
            None if access == Access::Read => return Err(io::ErrorKind::NotFound.into()),
            None => {
                let id = state.next;
                state.next += 1;
                state.names.insert(path.to_owned(), id);
                state.files.insert(id, Content::default());
                id
            }
        };
        drop(state);
        Ok(Arc::new(SimulatedFile { disk: self.clone(), id, access }))
    }

    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let moved: Vec<(PathBuf, u64)> =
            state.names.iter().filter(|(p, _)| p.starts_with(from)).map(|(p, id)| (p.clone(), *id)).collect();
        if moved.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        for (path, id) in moved {
            state.names.remove(&path);
            let rest = path.strip_prefix(from).unwrap_or(Path::new(""));
            let target = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            state.names.insert(target, id);
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.state().names.remove(path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.state().names.retain(|p, _| !p.starts_with(path));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state();
        let mut children: Vec<PathBuf> = state
            .names
            .keys()
            .filter_map(|p| p.strip_prefix(path).ok())
            .filter_map(|rest| rest.components().next())
            .map(|first| path.join(first))
            .collect();
        children.dedup();
        Ok(children)
    }

    fn exists(&self, path: &Path) -> bool {
        self.state().names.keys().any(|p| p.starts_with(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let state = &mut *self.state();
        if state.fail_syncs {
            return Err(io::Error::other("injected flush failure"));
        }
        // A directory's names and all below it: a flushed file is useless without its name, so this errs on the kind side
        // only for names of directories, which are created before anything is acknowledged.
        state.durable_names.retain(|p, _| !p.starts_with(path));
        let now = state.names.iter().filter(|(p, _)| p.starts_with(path)).map(|(p, id)| (p.clone(), *id));
        state.durable_names.extend(now);
        Ok(())
    }
}

impl SimulatedFile {
    fn with<T>(&self, act: impl FnOnce(&mut Content) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state();
        act(state.files.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?)
    }
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|content| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let end = start.saturating_add(buffer.len());
            let source = content.bytes.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(source);
            Ok(())
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.access == Access::Read {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let end = start + bytes.len();
        let mut state = self.disk.state();
        let failing = state.fail_syncs;
        let state = &mut *state;
        let content = state.files.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        let grows = end.saturating_sub(content.bytes.len()) as u64;
        if let Some(free) = &mut state.free_bytes {
            *free = free.checked_sub(grows).ok_or(io::ErrorKind::StorageFull)?;
        }
        if content.bytes.len() < end {
            content.bytes.resize(end, 0);
        }
        content.bytes[start..end].copy_from_slice(bytes);
        content.dirty.push((start, end));
        if self.access == Access::Synchronous {
            if failing {
                return Err(io::Error::other("injected flush failure"));
            }
            content.sync();
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.state().fail_syncs {
            return Err(io::Error::other("injected flush failure"));
        }
        self.with(|content| {
            content.sync();
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|content| Ok(content.bytes.len() as u64))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|content| {
            let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
            content.bytes.resize(len, 0);
            // A cut is journalled with the file's metadata; a power cut before the flush may undo nothing of it.
            content.durable.truncate(len);
            Ok(())
        })
    }
}
