//! Flushes of segments in the background, and the checkpoint that lets the write-ahead log forget.
//!
//! Read first: [`Checkpoint`].

use std::collections::BTreeMap;
use std::time::Duration;

use streamkeeper_base::TopicPartition;
use streamkeeper_replica::Event;
use streamkeeper_storage::partition_log::LogError;

use super::Broker;
use crate::io::{Output, Ticket};

/// Without much traffic the write-ahead log is released this often.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);
/// A checkpoint that the disk refused is tried again after this time.
const CHECKPOINT_AGAIN: Duration = Duration::from_secs(5);

/// A checkpoint under way: records below the ticket are let go once the files hold what they tell.
pub(super) struct Checkpoint {
    below: Ticket,
    /// Partitions that it waits for, and whether the flush that counts has begun: one that was under way before may not cover all.
    waiting: BTreeMap<TopicPartition, bool>,
}

impl Broker {
    /// Flushes a partition's files; what is durable is told to its replica when they are. False if nothing is to be flushed.
    pub(super) fn flush_segment(&mut self, tp: TopicPartition) -> bool {
        let Some(replica) = self.replicas.get_mut(&tp) else { return false };
        if replica.flushing.is_some() {
            // The next flush begins when this one ends, and covers this too.
            return true;
        }
        replica.dirty = false;
        let Some((files, point)) = replica.log.begin_flush() else { return false };
        replica.flushing = Some(point);
        let token = self.number();
        self.flush_tokens.insert(token, tp);
        self.out.push(Output::SyncFiles { token, files });
        true
    }

    pub(super) fn files_synced(&mut self, token: u64) {
        let Some(tp) = self.flush_tokens.remove(&token) else { return };
        let Some(replica) = self.replicas.get_mut(&tp) else { return };
        // The partition may have been closed and opened again meanwhile.
        let Some(point) = replica.flushing.take() else { return };
        let durable = replica.log.finish_flush(point);
        let behind = replica.log.end() > durable.get();
        self.step(tp, Event::Persisted(durable));
        let waits = self.replicas.get(&tp).is_some_and(|r| r.partition.progress().durable < r.log.end());
        let begun = self.releasing.as_ref().and_then(|checkpoint| checkpoint.waiting.get(&tp).copied());
        if begun == Some(true) {
            self.checkpointed(tp);
        }
        // Large batches that came meanwhile are in no write-ahead log: their flush is what makes them durable.
        if ((behind && waits) || begun == Some(false)) && !self.flush_segment(tp) {
            self.checkpointed(tp);
        } else if begun == Some(false) {
            self.checkpoint_waits_for(tp, true);
        }
    }

    /// Begins a checkpoint when it is due: every changed partition is flushed, then older tickets are released.
    pub(super) fn checkpoint(&mut self) {
        let due = self.appended_since_checkpoint >= self.config.checkpoint_bytes
            || (self.appended_since_checkpoint > 0 && self.clocks.now >= self.checkpoint_at);
        if !due || self.releasing.is_some() || !self.flush_unopened() {
            return;
        }
        self.appended_since_checkpoint = 0;
        self.checkpoint_at = self.clocks.now + CHECKPOINT_EVERY;
        // A settled term counts as told only once it is durable in the write-ahead log: then the checkpoint tells it, too.
        let below = self.in_wal.front().map_or(self.next_ticket, |entry| entry.ticket);
        self.releasing = Some(Checkpoint { below, waiting: BTreeMap::new() });
        let changed: Vec<(TopicPartition, bool)> = self
            .replicas
            .iter()
            .filter(|(_, r)| r.dirty || r.flushing.is_some())
            .map(|(tp, r)| (*tp, r.flushing.is_none() || !r.dirty))
            .collect();
        changed.iter().for_each(|(tp, begun)| self.checkpoint_waits_for(*tp, *begun));
        for (tp, _) in changed {
            if !self.flush_segment(tp) {
                self.checkpointed(tp);
            }
        }
        self.finish_checkpoint();
    }

    fn checkpoint_waits_for(&mut self, tp: TopicPartition, begun: bool) {
        if let Some(checkpoint) = &mut self.releasing {
            checkpoint.waiting.insert(tp, begun);
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
        if let Some(replica) = self.replicas.get_mut(&tp) {
            let result = replica.log.save_checkpoint();
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
        }
        Ok(())
    }
}
