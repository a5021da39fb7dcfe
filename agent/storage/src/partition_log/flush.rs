//! What is durable of a log, and what a flush must cover to make the rest so. Flushes run elsewhere; one at a
//! time per log.
//!
//! Read first: [`FlushPoint`], [`PartitionLog::begin_flush`].

use std::io;
use std::sync::Arc;

use streamkeeper_base::{Durable, Offset};

use super::checkpoint::Checkpoint;
use super::{LogError, PartitionLog};
use crate::disk::{DiskFile, is_full};

/// What is not known to be on disk.
#[derive(Default)]
pub(super) struct Flushing {
    /// Files written since the last flush that get no more appends.
    pub(super) closed: Vec<Arc<dyn DiskFile>>,
    /// Files were made whose names no flush covered.
    pub(super) names: bool,
    pub(super) in_flight: Option<FlushPoint>,
    /// Counts what makes a flush in flight say nothing about the log that is there now.
    pub(super) truncations: u64,
}

/// What a flush covers; given back when it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushPoint {
    end: Offset,
    /// The base of the segment that took appends.
    sealed: Offset,
    truncations: u64,
}

impl PartitionLog {
    /// The files to flush so that everything up to [`PartitionLog::end`] is durable. Give the point to
    /// [`PartitionLog::finish_flush`] when all of them are. `None` if nothing waits, or while a flush is in
    /// flight.
    pub fn begin_flush(&mut self) -> Option<(Vec<Arc<dyn DiskFile>>, FlushPoint)> {
        if self.durable >= self.end() && self.flushing.closed.is_empty() {
            return None;
        }
        self.begin()
    }

    /// As [`PartitionLog::begin_flush`], but the last of the files writes down what the others made durable, as
    /// [`PartitionLog::save_checkpoint`] does: for a checkpoint that its owner does not wait for. Files must be flushed in order.
    /// [`PartitionLog::checkpoint_result`] tells how it went. `None` while a flush is in flight.
    ///
    /// `producers`: their state after all records up to the end, to be kept beside the segments.
    pub fn begin_checkpoint(
        &mut self,
        producers: Option<Vec<u8>>,
    ) -> Option<(Vec<Arc<dyn DiskFile>>, FlushPoint)> {
        let (mut files, point) = self.begin()?;
        files.extend(producers.map(|state| self.snapshots.pending(point.end, state)));
        let mut checkpoint = self.next_checkpoint(point.end);
        checkpoint.durable = point.end;
        checkpoint.sealed = self.sealed.max(point.sealed);
        self.told = point.end;
        let file = self.durable_file.clone();
        files.push(Arc::new(Step(move || file.write_in_flush(&checkpoint))));
        Some((files, point))
    }

    /// How the last [`PartitionLog::begin_checkpoint`] ended, once its files are flushed.
    ///
    /// # Errors
    /// The disk is full: the checkpoint before still counts.
    pub fn checkpoint_result(&self) -> Result<(), LogError> {
        self.durable_file.result().map_err(|error| self.io(error))
    }

    /// True if a [`PartitionLog::begin_checkpoint`] that is done was overtaken by a cut or a deletion: what they wrote down meanwhile
    /// is newer, and does not tell what its flush made durable. Another one does.
    pub fn is_overtaken(&self, point: FlushPoint) -> bool {
        self.told < point.end.min(self.end())
    }

    fn begin(&mut self) -> Option<(Vec<Arc<dyn DiskFile>>, FlushPoint)> {
        let end = self.end();
        if self.flushing.in_flight.is_some() {
            return None;
        }
        let mut files = std::mem::take(&mut self.flushing.closed);
        files.push(self.active().log());
        if std::mem::take(&mut self.flushing.names) {
            let (disk, dir) = (self.disk.clone(), self.dir.clone());
            files.push(Arc::new(Step(move || match disk.sync_dir(&dir) {
                // The partition was deleted meanwhile: there is no name left to keep.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                result => result,
            })));
        }
        let sealed = self.active().base;
        let point = FlushPoint { end, sealed, truncations: self.flushing.truncations };
        self.flushing.in_flight = Some(point);
        Some((files, point))
    }

    /// The files of a [`PartitionLog::begin_flush`] are on disk. Gives the durable end.
    pub fn finish_flush(&mut self, point: FlushPoint) -> Durable<Offset> {
        if self.flushing.in_flight == Some(point) {
            self.flushing.in_flight = None;
        }
        // What was cut and written again meanwhile is not what was flushed.
        if point.truncations == self.flushing.truncations {
            self.durable = self.durable.max(point.end);
            self.sealed = self.sealed.max(point.sealed);
        }
        self.check();
        Durable::flushed(self.durable)
    }

    /// Flushes at once and writes down that everything is durable: for a stop in good order.
    ///
    /// # Errors
    /// As the disk; final, as any failed flush.
    pub fn close(&mut self) -> Result<(), LogError> {
        self.flush_all().map_err(|error| self.io(error))?;
        let size = self.active().size;
        let end = self.end();
        let mut checkpoint = self.next_checkpoint(end);
        checkpoint.closed = Some(size);
        self.durable_file.write(&checkpoint).map_err(|error| self.io(error))?;
        self.told = checkpoint.durable;
        Ok(())
    }

    /// Keeps the producers' state after all records, which are flushed, beside the segments. A full disk does without.
    ///
    /// # Errors
    /// As the disk.
    pub fn save_producers(&self, state: &[u8]) -> Result<(), LogError> {
        let pending = self.snapshots.pending(self.end(), state.to_vec());
        pending.sync_data().map_err(|error| self.io(error))
    }

    fn flush_all(&mut self) -> io::Result<()> {
        self.active().seal()?;
        // Files of a flush that is still in flight are among these.
        for segment in self.segments.iter().filter(|s| s.end > self.sealed) {
            segment.files().iter().try_for_each(|file| file.sync_data())?;
        }
        self.disk.sync_dir(&self.dir)?;
        self.durable = self.end();
        self.sealed = self.active().base;
        self.flushing = Flushing { truncations: self.flushing.truncations, ..Flushing::default() };
        Ok(())
    }

    /// Writes down, durably, what the batches do not tell: the durable end, the log start, epochs without
    /// records. What a recovery must check grows with what was flushed since.
    ///
    /// # Errors
    /// As the disk.
    pub fn save_checkpoint(&mut self) -> Result<(), LogError> {
        let end = self.end();
        self.checkpoint_durable_at(end).map_err(|error| self.io(error))
    }

    fn next_checkpoint(&mut self, end: Offset) -> Checkpoint {
        self.checkpoint = Checkpoint {
            generation: self.checkpoint.generation + 1,
            log_start: self.log_start,
            durable: self.durable.min(end),
            sealed: self.sealed.min(end),
            end,
            settled: self.settled,
            boot: self.boot,
            closed: None,
            epochs: self.epochs.clone(),
        };
        self.checkpoint.clone()
    }

    /// Changes what a checkpoint tells, and writes it down. A disk that refuses leaves the log as it was.
    pub(super) fn change(
        &mut self,
        change: impl FnOnce(&mut Self),
        write: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        let before = (self.log_start, self.durable, self.sealed, self.epochs.clone());
        change(self);
        let written = write(self);
        if written.is_err() {
            (self.log_start, self.durable, self.sealed, self.epochs) = before;
        }
        written
    }

    pub(super) fn checkpoint_durable_at(&mut self, end: Offset) -> io::Result<()> {
        let checkpoint = self.next_checkpoint(end);
        self.durable_file.write(&checkpoint)?;
        self.told = checkpoint.durable;
        Ok(())
    }

    pub(super) fn checkpoint_buffered(&mut self) -> io::Result<()> {
        let end = self.end();
        let checkpoint = self.next_checkpoint(end);
        checkpoint.write_buffered(&*self.disk, &self.dir)
    }

    /// As [`PartitionLog::checkpoint_buffered`], for what the files tell as well: a full disk may leave it out.
    pub(super) fn checkpoint_if_room(&mut self) -> io::Result<()> {
        match self.checkpoint_buffered() {
            Err(error) if is_full(&error) => Ok(()),
            other => other,
        }
    }
}

/// Something that is done in the order of a flush, in the place of a file: what it does is its `sync_data`.
pub(super) struct Step<F>(pub(super) F);

impl<F: Fn() -> io::Result<()> + Send + Sync> DiskFile for Step<F> {
    fn read_at(&self, _buffer: &mut [u8], _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        (self.0)()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
