//! `<offset>.snapshot`: the producers' state at an offset, opaque here, so that it need not be rebuilt from
//! the first record.
//!
//! Must not know: what the state is. A snapshot that does not read back is skipped: the log has everything.
//! Read first: [`ProducerSnapshots`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use streamkeeper_base::Offset;

use crate::crc32c;
use crate::disk::{Disk, read_file, replace_file};

/// The snapshots of one log.
pub struct ProducerSnapshots {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl ProducerSnapshots {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self { disk, dir: dir.to_owned() }
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
