//! A disk whose unflushed parts a power cut loses or tears, with faults on command, all from one seed.
//!
//! The model (reference: ext4 in ordered mode, and worse): reads see every write at once; a power cut keeps,
//! of what was not flushed, a random set of 512-byte sectors and a random length; of names that were not
//! synchronized, a random prefix of the changes. A failed flush loses what it covered: later flushes succeed
//! without it (fsyncgate, ATC'20). Must not know: what the files hold. Read first: [`SimulatedDisk`],
//! `content::Content`.

mod content;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use streamkeeper_base::Random;

use super::memory::{is_root, renamed};
use super::{Access, Disk, DiskFile};
use content::Content;

/// What dies in a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process: everything written stays.
    Process,
    /// The machine: only what was flushed stays for sure.
    Power,
}

/// A disk in memory. Clones share it.
#[derive(Clone)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

struct State {
    names: Names,
    durable: Names,
    /// Changes of names that no `sync_dir` covered yet, oldest first.
    pending: Vec<Change>,
    files: BTreeMap<u64, Content>,
    next_file: u64,
    /// Counts crashes: a file that was opened before one is dead.
    life: u64,
    random: Random,
    faults: Faults,
}

#[derive(Clone, Default)]
struct Names {
    directories: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, u64>,
}

#[derive(Clone, Debug)]
enum Change {
    MakeDirectory(PathBuf),
    Create(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    RemoveFile(PathBuf),
    RemoveDirectory(PathBuf),
}

#[derive(Default)]
struct Faults {
    sync_failure: bool,
    read_failures: BTreeSet<PathBuf>,
    free_bytes: Option<u64>,
    /// Changing operations until the power goes in the middle of one; then everything fails.
    operations_left: Option<u64>,
}

struct SimulatedFile {
    disk: SimulatedDisk,
    path: PathBuf,
    id: u64,
    life: u64,
    access: Access,
}

impl SimulatedDisk {
    /// An empty disk; what survives a power cut follows from the seed and the operations.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            names: Names::default(),
            durable: Names::default(),
            pending: Vec::new(),
            files: BTreeMap::new(),
            next_file: 0,
            life: 0,
            random: Random::new(seed),
            faults: Faults::default(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process or the machine dies: files opened before give errors from now on, and faults end, except
    /// limits of space.
    pub fn crash(&self, crash: Crash) {
        let state = &mut *self.state();
        state.life += 1;
        state.faults.operations_left = None;
        state.faults.sync_failure = false;
        if crash == Crash::Power {
            state.lose_names();
            // Some cuts lose or keep everything: both ends of the range matter as much as its middle.
            let survival = [0, 10, 50, 90, 100][usize::try_from(state.random.below(5)).unwrap_or(0)];
            for content in state.files.values_mut() {
                content.lose_unflushed(&mut state.random, survival);
            }
        }
        state.forget_nameless();
    }

    /// From now on every flush fails (or works again), and what it covered is lost in the next power cut.
    pub fn set_sync_failure(&self, fail: bool) {
        self.state().faults.sync_failure = fail;
    }

    /// From now on reads of a file fail (or work again).
    pub fn set_read_failure(&self, path: &Path, fail: bool) {
        let failures = &mut self.state().faults.read_failures;
        if fail {
            failures.insert(path.to_owned());
        } else {
            failures.remove(path);
        }
    }

    /// From now on files may grow by that many bytes in all; `None` for no limit. What is removed or cut is
    /// free again.
    pub fn set_free_bytes(&self, free: Option<u64>) {
        self.state().faults.free_bytes = free;
    }

    /// The power goes in the middle of that many-th changing operation from now (writes, flushes, changes of
    /// names; 1 is the next): it and all that follow fail until [`SimulatedDisk::crash`]. For crash tests at
    /// every operation.
    pub fn set_operations_left(&self, operations: Option<u64>) {
        self.state().faults.operations_left = operations;
    }

    /// Flips one bit of a file: rot. No effect outside the file.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) {
        let state = &mut *self.state();
        if let Some(content) = state.names.files.get(path).and_then(|id| state.files.get_mut(id)) {
            content.flip_bit(offset, bit);
        }
    }
}

impl Names {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::MakeDirectory(path) => {
                self.directories.insert(path.clone());
            }
            Change::Create(path, id) => {
                self.files.insert(path.clone(), *id);
            }
            Change::Rename(from, to) => {
                let files = std::mem::take(&mut self.files);
                let (moved, kept): (Vec<_>, Vec<_>) =
                    files.into_iter().partition(|(p, _)| p.starts_with(from));
                self.files.extend(kept);
                self.files.extend(moved.into_iter().filter_map(|(p, id)| Some((renamed(&p, from, to)?, id))));
                let directories = std::mem::take(&mut self.directories);
                self.directories.extend(directories.into_iter().map(|p| renamed(&p, from, to).unwrap_or(p)));
            }
            Change::RemoveFile(path) => {
                self.files.remove(path);
            }
            Change::RemoveDirectory(path) => {
                self.files.retain(|p, _| !p.starts_with(path));
                self.directories.retain(|p| !p.starts_with(path));
            }
        }
    }

    fn has_directory(&self, path: &Path) -> bool {
        is_root(path) || self.directories.contains(path)
    }

    /// Drops everything that no chain of directories leads to.
    fn drop_orphans(&mut self) {
        // Ascending order: a directory's parent is decided before it.
        for path in std::mem::take(&mut self.directories) {
            if path.parent().is_none_or(|parent| self.has_directory(parent)) {
                self.directories.insert(path);
            }
        }
        let directories = &self.directories;
        self.files
            .retain(|p, _| p.parent().is_none_or(|parent| is_root(parent) || directories.contains(parent)));
    }
}

impl Change {
    /// The directory whose flush makes the change durable.
    fn directory(&self) -> Option<&Path> {
        match self {
            Self::MakeDirectory(path)
            | Self::Create(path, _)
            | Self::Rename(_, path)
            | Self::RemoveFile(path)
            | Self::RemoveDirectory(path) => path.parent(),
        }
    }
}

impl State {
    fn change(&mut self, change: Change) {
        self.names.apply(&change);
        self.pending.push(change);
    }

    fn lose_names(&mut self) {
        let survivors = self.random.below(self.pending.len() as u64 + 1);
        for change in self.pending.drain(..).take(usize::try_from(survivors).unwrap_or(usize::MAX)) {
            self.durable.apply(&change);
        }
        self.durable.drop_orphans();
        self.names = self.durable.clone();
    }

    /// Content that no name leads to, now or after a power cut, is gone.
    fn forget_nameless(&mut self) {
        let mut named: BTreeSet<u64> = self.names.files.values().copied().collect();
        named.extend(self.durable.files.values());
        named.extend(
            self.pending.iter().filter_map(|c| if let Change::Create(_, id) = c { Some(*id) } else { None }),
        );
        self.files.retain(|id, _| named.contains(id));
    }

    /// Counts a changing operation. `Err` if the power is gone; `Ok(true)` if it goes in the middle of this
    /// one.
    fn count_operation(&mut self) -> io::Result<bool> {
        match &mut self.faults.operations_left {
            None => Ok(false),
            Some(0) => Err(io::Error::other("the power is gone")),
            Some(left) => {
                *left -= 1;
                Ok(*left == 0)
            }
        }
    }

    fn operate(&mut self) -> io::Result<()> {
        if self.count_operation()? { Err(io::Error::other("the power goes")) } else { Ok(()) }
    }

    fn take_space(&mut self, grows: u64) -> io::Result<()> {
        match &mut self.faults.free_bytes {
            Some(free) if *free < grows => Err(io::ErrorKind::StorageFull.into()),
            Some(free) => {
                *free -= grows;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn give_space(&mut self, bytes: u64) {
        if let Some(free) = &mut self.faults.free_bytes {
            *free += bytes;
        }
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let state = &mut *self.state();
        let id = match state.names.files.get(path) {
            Some(id) => *id,
            None if access == Access::Read => return Err(io::ErrorKind::NotFound.into()),
            None => {
                if !state.names.has_directory(path.parent().unwrap_or(Path::new("/"))) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                state.operate()?;
                let id = state.next_file;
                state.next_file += 1;
                state.files.insert(id, Content::default());
                state.change(Change::Create(path.to_owned(), id));
                id
            }
        };
        Ok(Arc::new(SimulatedFile {
            disk: self.clone(),
            path: path.to_owned(),
            id,
            life: state.life,
            access,
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let state = &mut *self.state();
        let missing: Vec<PathBuf> =
            path.ancestors().take_while(|p| !state.names.has_directory(p)).map(Path::to_owned).collect();
        for directory in missing.into_iter().rev() {
            state.operate()?;
            state.change(Change::MakeDirectory(directory));
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let state = &mut *self.state();
        if !state.names.files.contains_key(from) && !state.names.directories.contains(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.operate()?;
        state.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let state = &mut *self.state();
        let id = *state.names.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        state.operate()?;
        let length = state.files.get(&id).map_or(0, |content| content.bytes().len() as u64);
        state.give_space(length);
        state.change(Change::RemoveFile(path.to_owned()));
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let state = &mut *self.state();
        if !state.names.directories.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.operate()?;
        let below = state.names.files.iter().filter(|(p, _)| p.starts_with(path)).map(|(_, id)| *id);
        let freed: usize =
            below.filter_map(|id| state.files.get(&id)).map(|content| content.bytes().len()).sum();
        state.give_space(freed as u64);
        state.change(Change::RemoveDirectory(path.to_owned()));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state();
        let all = state.names.files.keys().chain(&state.names.directories);
        let children: BTreeSet<PathBuf> = all.filter(|p| p.parent() == Some(path)).cloned().collect();
        Ok(children.into_iter().collect())
    }

    fn exists(&self, path: &Path) -> bool {
        let state = self.state();
        state.names.has_directory(path) || state.names.files.contains_key(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let state = &mut *self.state();
        if !state.names.has_directory(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.operate()?;
        if state.faults.sync_failure {
            return Err(io::Error::other("injected flush failure"));
        }
        for change in std::mem::take(&mut state.pending) {
            if change.directory() == Some(path) {
                state.durable.apply(&change);
            } else {
                state.pending.push(change);
            }
        }
        Ok(())
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(self.state().faults.free_bytes.unwrap_or(u64::MAX))
    }
}

impl SimulatedFile {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let state = &mut *self.disk.state();
        if state.life != self.life {
            return Err(io::Error::other("the process that opened this file is dead"));
        }
        act(state)
    }

    fn content<'a>(&self, state: &'a mut State) -> io::Result<&'a mut Content> {
        state.files.get_mut(&self.id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|state| {
            if state.faults.read_failures.contains(&self.path) {
                return Err(io::Error::other("injected read failure"));
            }
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let source = self.content(state)?.bytes().get(start..start.saturating_add(buffer.len()));
            buffer.copy_from_slice(source.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.access == Access::Read {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if self.access == Access::Synchronous {
            // Real direct IO refuses it; the simulation must, too.
            let block = super::BLOCK as u64;
            assert!(
                offset.is_multiple_of(block) && (bytes.len() as u64).is_multiple_of(block),
                "not whole blocks"
            );
        }
        self.with(|state| {
            let torn = state.count_operation()?;
            let end = offset.checked_add(bytes.len() as u64).ok_or(io::ErrorKind::InvalidInput)?;
            let grows = end.saturating_sub(self.content(state)?.bytes().len() as u64);
            state.take_space(grows)?;
            let failing = state.faults.sync_failure;
            let content = self.content(state)?;
            content.write(bytes, usize::try_from(offset).map_err(io::Error::other)?);
            if torn {
                return Err(io::Error::other("the power goes"));
            }
            match (self.access, failing) {
                (Access::Synchronous, true) => {
                    content.fail_sync();
                    Err(io::Error::other("injected flush failure"))
                }
                (Access::Synchronous, false) => {
                    content.sync();
                    Ok(())
                }
                (Access::Read | Access::Buffered, _) => Ok(()),
            }
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|state| {
            state.operate()?;
            let failing = state.faults.sync_failure;
            let content = self.content(state)?;
            if failing {
                content.fail_sync();
                return Err(io::Error::other("injected flush failure"));
            }
            content.sync();
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|state| Ok(self.content(state)?.bytes().len() as u64))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.access == Access::Read {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.with(|state| {
            state.operate()?;
            let before = self.content(state)?.bytes().len() as u64;
            state.take_space(len.saturating_sub(before))?;
            state.give_space(before.saturating_sub(len));
            self.content(state)?.set_len(usize::try_from(len).map_err(io::Error::other)?);
            Ok(())
        })
    }
}
