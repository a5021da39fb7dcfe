//! Flushes of segments in the background, and the checkpoint that lets the write-ahead log forget.
//!
//! Read first: [`Checkpoint`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use streamkeeper_base::TopicPartition;
use streamkeeper_replica::Event;
use streamkeeper_storage::disk::DiskFile;
use streamkeeper_storage::partition_log::{FlushPoint, LogError};

use super::Broker;
use crate::io::{Output, Ticket};
use crate::message::ToCoordination;

/// Without much traffic the write-ahead log is released this often.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);
/// A checkpoint that the disk refused is tried again after this time.
const CHECKPOINT_AGAIN: Duration = Duration::from_secs(5);

/// A checkpoint under way: records below the ticket are let go once the files hold what they tell.
pub(super) struct Checkpoint {
    below: Ticket,
    /// Partitions that it waits for, and whether the flush that counts has begun: one that was under way before may not cover all,
    /// and does not write the log's checkpoint.
    waiting: BTreeMap<TopicPartition, bool>,
}

impl Broker {
    /// Flushes a partition's files; what is durable is told to its replica when they are.
    pub(super) fn flush_segment(&mut self, tp: TopicPartition) {
        let Some(replica) = self.replicas.get_mut(&tp) else { return };
        if replica.flushing.is_some() {
            // The next flush begins when this one ends, and covers this too.
            return;
        }
        if let Some((files, point)) = replica.log.begin_flush() {
            self.sync_files(tp, files, point);
        }
    }

    fn sync_files(&mut self, tp: TopicPartition, files: Vec<Arc<dyn DiskFile>>, point: FlushPoint) {
        let token = self.number();
        if let Some(replica) = self.replicas.get_mut(&tp) {
            replica.flushing = Some((token, point));
        }
        self.flush_tokens.insert(token, tp);
        self.out.push(Output::SyncFiles { token, files });
    }

    pub(super) fn files_synced(&mut self, token: u64) {
        let Some(tp) = self.flush_tokens.remove(&token) else { return };
        let Some(replica) = self.replicas.get_mut(&tp) else { return };
        // The partition may have been closed and opened again meanwhile: this was a flush of other files then.
        let Some((_, point)) = replica.flushing.take_if(|(under_way, _)| *under_way == token) else { return };
        let durable = replica.log.finish_flush(point);
        // Large batches that came meanwhile are in no write-ahead log: their flush is what makes them durable.
        let is_behind = replica.flush_to > durable.get();
        let is_overtaken = replica.log.is_overtaken(point);
        self.step(tp, Event::Persisted(durable));
        match self.releasing.as_ref().and_then(|checkpoint| checkpoint.waiting.get(&tp).copied()) {
            Some(true) if !is_overtaken => self.checkpointed(tp),
            // The write-ahead log is needed until the files themselves tell what they hold.
            Some(_) => self.flush_for_checkpoint(tp),
            None => {}
        }
        if is_behind {
            self.flush_segment(tp);
        }
    }

    /// Begins a checkpoint when it is due: every changed partition is flushed, then older tickets are released.
    pub(super) fn checkpoint(&mut self) {
        let due = self.appended_since_checkpoint >= self.config.checkpoint_bytes
            || (self.appended_since_checkpoint > 0 && self.clocks.now >= self.checkpoint_at);
        if !due || self.releasing.is_some() || !self.flush_unopened() {
            return;
        }
        let bytes = std::mem::take(&mut self.appended_since_checkpoint);
        self.out.push(Output::Tell(ToCoordination::LogGrew { bytes }));
        self.checkpoint_at = self.clocks.now + CHECKPOINT_EVERY;
        // A settled term counts as told only once it is durable in the write-ahead log: then the checkpoint tells it, too.
        let below = self.in_wal.front().map_or(self.next_ticket, |entry| entry.ticket);
        let changed = self.replicas.iter().filter(|(_, r)| r.dirty || r.flushing.is_some());
        let waiting: BTreeMap<TopicPartition, bool> = changed.map(|(tp, _)| (*tp, false)).collect();
        let partitions: Vec<TopicPartition> = waiting.keys().copied().collect();
        self.releasing = Some(Checkpoint { below, waiting });
        partitions.into_iter().for_each(|tp| self.flush_for_checkpoint(tp));
        self.finish_checkpoint();
    }

    /// Flushes a partition and writes its log's checkpoint, both in the background, unless a flush is under way: then after it.
    fn flush_for_checkpoint(&mut self, tp: TopicPartition) {
        let Some(replica) = self.replicas.get_mut(&tp).filter(|r| r.flushing.is_none()) else { return };
        let snapshot = replica.due_snapshot(self.config.snapshot_bytes);
        let is_taken = snapshot.is_some();
        let Some((files, point)) = replica.log.begin_checkpoint(snapshot) else { return };
        if is_taken {
            replica.unsnapped_bytes = 0;
        }
        replica.dirty = false;
        self.sync_files(tp, files, point);
        if let Some(checkpoint) = &mut self.releasing {
            checkpoint.waiting.insert(tp, true);
        }
    }

    /// Logs of a recovery whose partitions the image has not told of (any more) hold records of the write-ahead log, too.
    fn flush_unopened(&mut self) -> bool {
        let flushed = self.recovered.values_mut().try_for_each(|recovered| {
            recovered.log.close()?;
            recovered.durable = recovered.log.end();
            Ok::<(), LogError>(())
        });
        self.saved(flushed)
    }

    /// The files of a partition hold what the write-ahead log told of it, or it is gone.
    pub(super) fn checkpointed(&mut self, tp: TopicPartition) {
        let Some(checkpoint) = &mut self.releasing else { return };
        if checkpoint.waiting.remove(&tp).is_none() {
            return;
        }
        if let Some(replica) = self.replicas.get(&tp) {
            let result = replica.log.checkpoint_result();
            if !self.saved(result) {
                // The write-ahead log keeps what the files do not tell.
                self.releasing = None;
                return;
            }
        }
        self.finish_checkpoint();
    }

    /// False if a checkpoint cannot be written now.
    fn saved(&mut self, result: Result<(), LogError>) -> bool {
        match result {
            Ok(()) => true,
            Err(error) if error.is_full() => {
                self.disk_filled();
                self.appended_since_checkpoint = 1;
                self.checkpoint_at = self.clocks.now + CHECKPOINT_AGAIN;
                self.replicas.values_mut().for_each(|replica| replica.dirty = true);
                false
            }
            Err(error) => {
                self.out.push(Output::Fatal { reason: format!("a checkpoint cannot be written: {error}") });
                false
            }
        }
    }

    fn finish_checkpoint(&mut self) {
        if let Some(checkpoint) = self.releasing.take_if(|checkpoint| checkpoint.waiting.is_empty()) {
            self.out.push(Output::Release { below: checkpoint.below });
        }
    }

    /// Makes everything durable in the files themselves: for a stop in good order, after which the page cache may go.
    ///
    /// # Errors
    /// As the disk; the stop was not in good order then.
    pub fn close(&mut self) -> Result<(), LogError> {
        for recovered in self.recovered.values_mut() {
            recovered.log.close()?;
        }
        for replica in self.replicas.values_mut() {
            if replica.dirty
                || replica.flushing.is_some()
                || replica.log.durable_end().get() < replica.log.end()
            {
                replica.log.close()?;
            }
            replica.save_snapshot(self.config.snapshot_bytes)?;
        }
        Ok(())
    }
}
