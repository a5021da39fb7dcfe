//! Phase 2: every learner gets the leader's history by TRUNC and DIFF, or by SNAP, then adopts the epoch.

use bytes::Bytes;
use streamkeeper_base::plant::{Plant, is_planted};
use streamkeeper_base::{MemberId, Zxid};

use crate::action::Action;
use crate::history::{Entry, Payload};
use crate::leader::{Phase, Stage};
use crate::message::Message;
use crate::peer::{Peer, Role};

/// Bytes of entries in one DIFF message, about.
const DIFF_BYTES: usize = 1024 * 1024;

impl Peer {
    /// S1 and S2 for one learner whose AckEpoch is here. The cut is this moment: every later proposal is forwarded.
    pub(crate) fn synchronize(&mut self, to: MemberId) {
        let Role::Leading(leader) = &mut self.role else { return };
        let Some(learner) = leader.learners.get_mut(&to) else { return };
        let Some(ends) = &learner.ends else { return };
        let theirs = ends.last();
        let common = self.history.ends().common(ends);
        if !self.history.contains(common) {
            learner.stage = Stage::AwaitingSnapshot;
            self.out.push(Action::SupplySnapshot { to });
            return;
        }
        if common != theirs {
            self.send(to, Message::Truncate { to: common });
        }
        self.send_history(to, common);
    }

    /// SNAP: the owner's whole state, then what the log has beyond it.
    pub(crate) fn snapshot_supplied(&mut self, to: MemberId, zxid: Zxid, chunks: Vec<Bytes>) {
        let Role::Leading(leader) = &mut self.role else { return };
        if leader.learners.get(&to).is_none_or(|l| l.stage != Stage::AwaitingSnapshot) {
            return;
        }
        assert_eq!(zxid, self.history.delivered(), "a supplied snapshot is of everything delivered");
        let meta = self.snapshot_meta();
        let total = chunks.len().max(1);
        let pieces = if chunks.is_empty() { vec![Bytes::new()] } else { chunks };
        for (index, chunk) in pieces.into_iter().enumerate() {
            let message = Message::Snapshot {
                zxid,
                ends: meta.ends.clone(),
                membership: meta.membership.clone(),
                chunk,
                last: index + 1 == total,
            };
            self.send(to, message);
        }
        self.send_history(to, zxid);
    }

    fn send_history(&mut self, to: MemberId, after: Zxid) {
        let last = self.history.last();
        let mut entries = Vec::new();
        let mut bytes = 0;
        let pending: Vec<Entry> = self.history.after(after).cloned().collect();
        for entry in pending {
            bytes += entry_bytes(&entry);
            entries.push(entry);
            if bytes >= DIFF_BYTES {
                self.send(to, Message::Diff { entries: std::mem::take(&mut entries) });
                bytes = 0;
            }
        }
        self.send(to, Message::Diff { entries });
        let Role::Leading(leader) = &mut self.role else { return };
        let (Some(epoch), Some(learner)) = (leader.epoch, leader.learners.get_mut(&to)) else { return };
        learner.stage = Stage::Syncing;
        learner.sent = last;
        learner.synced_to = last;
        self.send(to, Message::NewLeader { epoch });
    }

    /// S3, at the leader.
    pub(crate) fn ack_new_leader(&mut self, from: MemberId, epoch: streamkeeper_base::ZabEpoch) {
        let now = self.now;
        let is_voter = self.history.quorums().is_voter(from);
        let Role::Leading(leader) = &mut self.role else { return };
        if leader.epoch != Some(epoch) {
            return;
        }
        let Some(learner) = leader.learners.get_mut(&from).filter(|l| l.stage == Stage::Syncing) else {
            return;
        };
        learner.heard = now;
        learner.stage = Stage::Synced;
        leader.new_leader_acks.insert(from);
        let synced_to = learner.synced_to;
        if is_voter {
            let acked = leader.acked.entry(from).or_default();
            *acked = (*acked).max(synced_to);
        }
        if leader.phase == Phase::Broadcasting {
            self.send_up_to_date(from);
            self.advance_commit();
        } else {
            self.check_new_leader_acks();
        }
    }

    /// The leader's own acknowledgement counts once its epoch is durable. It covers the history that NewLeader closed and no
    /// more: a quorum of others may have begun broadcast meanwhile, and what was logged since has its own flush
    /// (ZOOKEEPER-4646's class).
    pub(crate) fn own_new_leader_durable(&mut self) {
        let (id, last) = (self.id, self.history.last());
        let Role::Leading(leader) = &mut self.role else { return };
        leader.new_leader_acks.insert(id);
        let covered = if is_planted(Plant::OwnFlushCoversAll) { last } else { leader.rank.1 };
        let acked = leader.acked.entry(id).or_default();
        *acked = (*acked).max(covered);
        self.check_new_leader_acks();
    }

    /// S4: a quorum took the history over: it is committed, and broadcast begins (primary integrity, Z8).
    fn check_new_leader_acks(&mut self) {
        let Role::Leading(leader) = &mut self.role else { return };
        if leader.phase != Phase::Synchronization || !self.history.quorums().hold(&leader.new_leader_acks) {
            return;
        }
        let synced: Vec<MemberId> =
            leader.learners.iter().filter(|(_, l)| l.stage == Stage::Synced).map(|(id, _)| *id).collect();
        self.history.commit(self.history.last());
        // The owner has everything before it is told that it leads: it decides against that state.
        self.deliver();
        if let Role::Leading(leader) = &mut self.role {
            leader.phase = Phase::Broadcasting;
        }
        self.report_role();
        synced.into_iter().for_each(|learner| self.send_up_to_date(learner));
    }

    /// S5, with the leader's latest commit (TLA+ finding 3).
    fn send_up_to_date(&mut self, to: MemberId) {
        let committed = self.history.committed();
        let Role::Leading(leader) = &mut self.role else { return };
        let Some(learner) = leader.learners.get_mut(&to) else { return };
        learner.stage = Stage::UpToDate;
        self.send(to, Message::UpToDate { committed });
    }
}

fn entry_bytes(entry: &Entry) -> usize {
    match &entry.payload {
        Payload::Txn(bytes) => 16 + bytes.len(),
        Payload::Config(membership) => 16 + membership.members.len() * 64,
    }
}
