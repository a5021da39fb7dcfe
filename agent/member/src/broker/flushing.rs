//! Flushes of segments in the background, and the checkpoint that lets the write-ahead log forget.

use std::time::Duration;

use streamkeeper_base::TopicPartition;
use streamkeeper_replica::Event;

use super::Broker;
use crate::io::Output;

/// Without much traffic the write-ahead log is released this often.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

impl Broker {
    /// Flushes a partition's files; what is durable is told to its replica when they are.
    pub(super) fn flush_segment(&mut self, tp: TopicPartition) {
        let Some(replica) = self.replicas.get_mut(&tp) else { return };
        if replica.flushing.is_some() {
            // The next flush begins when this one ends, and covers this too.
            return;
        }
        let Some((files, point)) = replica.log.begin_flush() else { return };
        replica.flushing = Some(point);
        replica.dirty = false;
        let token = self.number();
        self.flush_tokens.insert(token, tp);
        self.out.push(Output::SyncFiles { token, files });
    }

    pub(super) fn files_synced(&mut self, token: u64) {
        let Some(tp) = self.flush_tokens.remove(&token) else { return };
        let Some(replica) = self.replicas.get_mut(&tp) else { return self.checkpointed(tp) };
        let Some(point) = replica.flushing.take() else { return };
        let durable = replica.log.finish_flush(point);
        let behind = replica.log.end() > durable.get();
        self.step(tp, Event::Persisted(durable));
        if self.releasing.is_some() {
            self.checkpointed(tp);
        }
        // Large batches that came meanwhile are in no write-ahead log: their flush is what makes them durable.
        let waits = self.replicas.get(&tp).is_some_and(|r| r.partition.progress().durable < r.log.end());
        if behind && waits {
            self.flush_segment(tp);
        }
    }

    /// Begins a checkpoint when it is due: every changed partition is flushed, then older tickets are released.
    pub(super) fn checkpoint(&mut self) {
        let due = self.appended_since_checkpoint >= self.config.checkpoint_bytes
            || (self.appended_since_checkpoint > 0 && self.clocks.now >= self.checkpoint_at);
        if !due || self.releasing.is_some() {
            return;
        }
        self.appended_since_checkpoint = 0;
        self.checkpoint_at = self.clocks.now + CHECKPOINT_EVERY;
        let changed: Vec<TopicPartition> = self
            .replicas
            .iter()
            .filter(|(_, r)| r.dirty && r.flushing.is_none())
            .map(|(tp, _)| *tp)
            .collect();
        let busy = self.replicas.values().any(|r| r.flushing.is_some());
        if busy {
            // A flush under way may not cover what came after it began; wait for a quiet moment.
            self.appended_since_checkpoint = 1;
            return;
        }
        self.releasing = Some((self.next_ticket, changed.iter().copied().collect()));
        changed.iter().for_each(|tp| self.flush_segment(*tp));
        self.finish_checkpoint();
    }

    fn checkpointed(&mut self, tp: TopicPartition) {
        if let Some((_, waiting)) = &mut self.releasing {
            waiting.remove(&tp);
            if let Some(replica) = self.replicas.get_mut(&tp)
                && replica.log.save_checkpoint().is_err()
            {
                // Without the checkpoint a recovery only reads more.
                replica.dirty = true;
            }
        }
        self.finish_checkpoint();
    }

    fn finish_checkpoint(&mut self) {
        if let Some((below, waiting)) = &self.releasing
            && waiting.iter().all(|tp| self.replicas.get(tp).is_none_or(|r| r.flushing.is_none()))
        {
            self.out.push(Output::Release { below: *below });
            self.releasing = None;
        }
    }
}
