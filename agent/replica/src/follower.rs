//! A follower: it says where it stands, cuts what the leader does not have, then takes what comes.

use bytes::Bytes;
use streamkeeper_base::batch;
use streamkeeper_base::{MemberId, Offset};

use crate::high_watermark::Progress;
use crate::message::Message;
use crate::partition::{Action, Following, LogView, Partition, Role};

impl Partition {
    fn follows(&self, from: MemberId) -> bool {
        matches!(self.role, Role::Following(_)) && self.assignment.leader == Some(from)
    }

    fn is_stalled(&self) -> bool {
        matches!(self.role, Role::Following(Following { stalled: true, .. }))
    }

    /// The disk is full. What the last step promised is taken back: the log is as far as it is, and the leader hears that it must
    /// begin anew. Until there is room no greeting is answered, so the leader takes this replica out of the ISR.
    pub(crate) fn disk_full(&mut self, log: &dyn LogView) {
        self.full = true;
        // The note of the term may have been among what was dropped: it is asked for again. A second one does no harm.
        self.settling.noting = None;
        let leader_epoch = self.assignment.leader_epoch;
        let Role::Following(following) = &mut self.role else { return };
        (following.stalled, following.synced) = (true, false);
        self.own.received = log.end();
        self.own.durable = self.durable.end().min(log.end());
        self.high_watermark = self.high_watermark.min(log.end());
        if let Some(to) = self.assignment.leader {
            self.out.push(Action::Send { to, message: Message::Stalled { leader_epoch } });
        }
    }

    pub(crate) fn hello(&mut self, from: MemberId, epoch_start: Offset, log: &dyn LogView) {
        // A follower without room answers no greeting: it could not take what comes next.
        if !self.follows(from) || self.full {
            return;
        }
        self.role = Role::Following(Following { epoch_start, ..Following::default() });
        self.own.received = log.end();
        let counted = self.counted();
        let message = Message::Position {
            leader_epoch: self.assignment.leader_epoch,
            epochs: log.epochs(),
            end: log.end(),
            durable: counted.durable,
        };
        self.reported = counted;
        self.out.push(Action::Send { to: from, message });
    }

    /// Truncation comes before anything else on a link, and before the high watermark rises (KAFKA-14704).
    pub(crate) fn told_to_truncate(&mut self, from: MemberId, to: Offset, restart: bool, log: &dyn LogView) {
        if !self.follows(from) || self.is_stalled() || (!restart && to > log.end()) {
            return;
        }
        self.synced();
        if restart {
            self.durable.restart(to);
        } else {
            self.durable.cut(to);
        }
        self.own = Progress { received: to, durable: self.durable.end() };
        self.high_watermark = self.high_watermark.min(to);
        self.out.push(Action::Truncate { to, restart });
        self.report_progress();
    }

    pub(crate) fn told_to_append(
        &mut self,
        from: MemberId,
        at: Offset,
        batches: Bytes,
        high_watermark: Offset,
        log_start: Offset,
        log: &dyn LogView,
    ) {
        if !self.follows(from) || self.is_stalled() {
            return;
        }
        if !batches.is_empty() {
            if at != self.own.received {
                // Sent before this follower's log was cut or restarted: the leader greets again.
                return;
            }
            let end = batch::headers(&batches).last().map_or(at, |(_, header)| header.end());
            self.own.received = end;
            self.out.push(Action::Append { at, batches });
        }
        self.synced();
        let known = high_watermark.min(self.own.received);
        if known > self.high_watermark {
            self.high_watermark = known;
            self.out.push(Action::HighWatermark(known));
        }
        // The greater one of both log starts counts, up to what this replica knows to be committed (Kafka's UnifiedLog
        // maybeIncrementLogStartOffset).
        let start = log_start.min(self.high_watermark);
        if start > log.start() {
            self.out.push(Action::MoveLogStart(start));
        }
        self.report_progress();
    }

    /// The leader answered with what it knows of this log: it compared it with its own.
    fn synced(&mut self) {
        if let Role::Following(following) = &mut self.role {
            following.synced = true;
        }
    }

    pub(crate) fn report_progress(&mut self) {
        let is_following = matches!(self.role, Role::Following(_));
        let Some(leader) = self.assignment.leader.filter(|_| is_following && !self.is_stalled()) else {
            return;
        };
        let counted = self.counted();
        if self.reported == counted {
            return;
        }
        self.reported = counted;
        let message = Message::Progress {
            leader_epoch: self.assignment.leader_epoch,
            received: counted.received,
            durable: counted.durable,
        };
        self.out.push(Action::Send { to: leader, message });
    }
}
