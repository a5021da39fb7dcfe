//! A follower: it says where it stands, cuts what the leader does not have, then takes what comes.

use bytes::Bytes;
use streamkeeper_base::batch;
use streamkeeper_base::{MemberId, Offset};

use crate::high_watermark::Progress;
use crate::message::Message;
use crate::partition::{Action, LogView, Partition, Role};

impl Partition {
    fn follows(&self, from: MemberId) -> bool {
        matches!(self.role, Role::Following) && self.assignment.leader == Some(from)
    }

    pub(crate) fn hello(&mut self, from: MemberId, log: &dyn LogView) {
        if !self.follows(from) {
            return;
        }
        self.own.received = log.end();
        let message = Message::Position {
            leader_epoch: self.assignment.leader_epoch,
            epochs: log.epochs(),
            end: log.end(),
            durable: self.own.durable,
        };
        self.reported = self.own;
        self.out.push(Action::Send { to: from, message });
    }

    /// Truncation comes before anything else on a link, and before the high watermark rises (KAFKA-14704).
    pub(crate) fn told_to_truncate(&mut self, from: MemberId, to: Offset, restart: bool, log: &dyn LogView) {
        if !self.follows(from) || (!restart && to > log.end()) {
            return;
        }
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
        if !self.follows(from) {
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
        if log_start > log.start() && log_start <= self.own.received {
            self.out.push(Action::MoveLogStart(log_start));
        }
        let known = high_watermark.min(self.own.received);
        if known > self.high_watermark {
            self.high_watermark = known;
            self.out.push(Action::HighWatermark(known));
        }
        self.report_progress();
    }

    pub(crate) fn report_progress(&mut self) {
        let Some(leader) = self.assignment.leader.filter(|_| matches!(self.role, Role::Following)) else {
            return;
        };
        if self.reported == self.own {
            return;
        }
        self.reported = self.own;
        let message = Message::Progress {
            leader_epoch: self.assignment.leader_epoch,
            received: self.own.received,
            durable: self.own.durable,
        };
        self.out.push(Action::Send { to: leader, message });
    }
}
