//! `<offset>.snapshot`: the producers' state at an offset, opaque here, so that it need not be rebuilt from
//! the first record.
//!
//! A snapshot is written after the records that it stands for were flushed, and goes, durably, before others take their place: what a
//! power cut leaves is true of the log that it leaves. Must not know: what the state is. A snapshot that does not read back is
//! skipped: the log has everything. Read first: [`ProducerSnapshots`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use streamkeeper_base::Offset;

use super::flush::Step;
use crate::crc32c;
use crate::disk::{Disk, DiskFile, is_full, read_file, replace_file};

/// Snapshots of a log that stay: the newest, and the one before it in case the newest rots.
const KEPT: usize = 2;

/// The snapshots of one log.
pub struct ProducerSnapshots {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Counts cuts of the log: a snapshot that is written in the background and was begun before one is void.
    cuts: Mutex<u64>,
}

impl ProducerSnapshots {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self { disk, dir: dir.to_owned(), cuts: Mutex::new(0) }
    }

    fn cuts(&self) -> MutexGuard<'_, u64> {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A snapshot to be written among the files of a flush, behind those that hold the records.
    pub(super) fn pending(self: &Arc<Self>, at: Offset, state: Vec<u8>) -> Arc<dyn DiskFile> {
        let (taken_at, snapshots) = (*self.cuts(), self.clone());
        Arc::new(Step(move || {
            let cuts = snapshots.cuts();
            if *cuts != taken_at {
                return Ok(());
            }
            let saved = snapshots.save(at, &state);
            match saved.and_then(|()| snapshots.prune(Offset(i64::MAX), KEPT)) {
                // Without it the next opening reads more.
                Err(error) if is_full(&error) => Ok(()),
                other => other,
            }
        }))
    }

    /// The log ends at an offset, and other records may follow: what stood for more goes before they do.
    pub(super) fn cut(&self, to: Offset) -> io::Result<()> {
        let mut cuts = self.cuts();
        *cuts += 1;
        self.remove_above(to)
    }

    /// The log is deleted: nothing is written beside it any more.
    pub(super) fn void(&self) {
        *self.cuts() += 1;
    }

    fn remove_above(&self, to: Offset) -> io::Result<()> {
        let above: Vec<Offset> = self.offsets()?.into_iter().filter(|offset| *offset > to).collect();
        if above.is_empty() {
            return Ok(());
        }
        above.into_iter().try_for_each(|offset| self.disk.remove_file(&self.path(offset)))?;
        self.disk.sync_dir(&self.dir)
    }

    /// Saves the state after all records below an offset; durable when this returns.
    ///
    /// # Errors
    /// As the disk.
    pub fn save(&self, at: Offset, state: &[u8]) -> io::Result<()> {
        let content = [state, &crc32c(state).to_be_bytes()[..]].concat();
        replace_file(&*self.disk, &self.path(at), &content)
    }

    /// The newest state at or below an offset that reads back, and where it was taken.
    ///
    /// # Errors
    /// As listing the directory.
    pub fn load(&self, at_most: Offset) -> io::Result<Option<(Offset, Bytes)>> {
        for offset in self.offsets()?.into_iter().rev().filter(|offset| *offset <= at_most) {
            if let Ok(Some(content)) = read_file(&*self.disk, &self.path(offset))
                && let Some((state, crc)) = content.split_last_chunk::<4>()
                && crc32c(state).to_be_bytes() == *crc
            {
                return Ok(Some((offset, Bytes::copy_from_slice(state))));
            }
        }
        Ok(None)
    }

    /// Removes snapshots above an offset (after a truncation) and all but the newest `keep` others.
    ///
    /// # Errors
    /// As the disk.
    pub fn prune(&self, above: Offset, keep: usize) -> io::Result<()> {
        let (valid, invalid): (Vec<_>, Vec<_>) =
            self.offsets()?.into_iter().partition(|offset| *offset <= above);
        let old = valid.len().saturating_sub(keep);
        for offset in valid.into_iter().take(old).chain(invalid) {
            self.disk.remove_file(&self.path(offset))?;
        }
        Ok(())
    }

    fn path(&self, at: Offset) -> PathBuf {
        self.dir.join(format!("{:020}.snapshot", at.0))
    }

    fn offsets(&self) -> io::Result<Vec<Offset>> {
        let offset_of = |path: PathBuf| {
            let digits = path.file_name()?.to_str()?.strip_suffix(".snapshot")?.parse().ok()?;
            Some(Offset(digits))
        };
        let mut offsets: Vec<Offset> = self.disk.list(&self.dir)?.into_iter().filter_map(offset_of).collect();
        offsets.sort();
        Ok(offsets)
    }
}
