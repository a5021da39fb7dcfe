//! Phase 1: a quorum promises the leader an epoch above every other, and shows that nobody is ahead of its history.

use std::collections::BTreeSet;

use streamkeeper_base::{MemberId, ZabEpoch, Zxid};

use crate::history::EpochEnds;
use crate::leader::{LearnerState, Phase, Stage};
use crate::message::Message;
use crate::peer::{Peer, Role};

impl Peer {
    /// D1.
    pub(crate) fn follower_info(&mut self, from: MemberId, promised: ZabEpoch) {
        if let Role::Looking(election) = &mut self.role {
            election.early.insert(from, promised);
            return;
        }
        let quorums = self.history.quorums();
        let is_voter = quorums.is_voter(from);
        let is_member = quorums.committed.members.contains_key(&from)
            || quorums.proposed.is_some_and(|p| p.members.contains_key(&from));
        let Role::Leading(leader) = &mut self.role else { return };
        if !is_member {
            return;
        }
        if let Some(epoch) = leader.epoch
            && promised > epoch
            && is_voter
        {
            // It promised a later epoch to a candidate that failed; only a later epoch can have it back.
            return self.look("a voter promised a later epoch");
        }
        // A learner that greets again has started anew; what it acknowledged stays true.
        let state = LearnerState {
            stage: Stage::Greeted,
            promised,
            ends: None,
            sent: Zxid::ZERO,
            synced_to: Zxid::ZERO,
            heard: self.now,
            round: 0,
        };
        leader.learners.insert(from, state);
        if leader.epoch.is_none() {
            self.choose_epoch();
        } else if leader.promise_durable {
            self.send_leader_info(from);
        }
    }

    /// D2: with the promises of a quorum, a new epoch; this leader promises it first, durably.
    pub(crate) fn choose_epoch(&mut self) {
        let own = self.promised;
        let Role::Leading(leader) = &mut self.role else { return };
        if leader.epoch.is_some() {
            return;
        }
        let heard: BTreeSet<MemberId> = leader.learners.keys().copied().chain([self.id]).collect();
        if !self.history.quorums().hold(&heard) {
            return;
        }
        let highest = leader.learners.values().map(|l| l.promised).fold(own, ZabEpoch::max);
        leader.epoch = Some(highest.next());
        self.promise(highest.next());
    }

    pub(crate) fn own_promise_durable(&mut self) {
        let id = self.id;
        let Role::Leading(leader) = &mut self.role else { return };
        leader.promise_durable = true;
        leader.epoch_acks.insert(id);
        let greeted: Vec<MemberId> = leader.learners.keys().copied().collect();
        greeted.into_iter().for_each(|learner| self.send_leader_info(learner));
        self.check_epoch_acks();
    }

    fn send_leader_info(&mut self, to: MemberId) {
        let Role::Leading(leader) = &mut self.role else { return };
        let (Some(epoch), Some(learner)) = (leader.epoch, leader.learners.get_mut(&to)) else { return };
        learner.stage = Stage::Promising;
        self.send(to, Message::LeaderInfo { epoch });
    }

    /// D3, at the leader.
    pub(crate) fn ack_epoch(&mut self, from: MemberId, current: ZabEpoch, ends: EpochEnds, counts: bool) {
        let is_voter = self.history.quorums().is_voter(from);
        let now = self.now;
        let Role::Leading(leader) = &mut self.role else { return };
        let Some(learner) = leader.learners.get_mut(&from).filter(|l| l.stage == Stage::Promising) else {
            return;
        };
        learner.heard = now;
        let ahead = (current, ends.last()) > leader.rank;
        learner.ends = Some(ends);
        if leader.phase == Phase::Discovery {
            if ahead && is_voter {
                return self.look("a follower's history is ahead of the leader's");
            }
            if counts && is_voter {
                leader.epoch_acks.insert(from);
            }
            self.check_epoch_acks();
        } else {
            self.synchronize(from);
        }
    }

    /// D4: a quorum promised and none of it is ahead: the history of this leader is the initial history of the epoch.
    fn check_epoch_acks(&mut self) {
        let Role::Leading(leader) = &mut self.role else { return };
        if leader.phase != Phase::Discovery || !self.history.quorums().hold(&leader.epoch_acks) {
            return;
        }
        let Some(epoch) = leader.epoch else { return };
        leader.phase = Phase::Synchronization;
        leader.deadline = self.now + self.timing.init_limit;
        let ready: Vec<MemberId> =
            leader.learners.iter().filter(|(_, l)| l.ends.is_some()).map(|(id, _)| *id).collect();
        self.adopt(epoch);
        ready.into_iter().for_each(|learner| self.synchronize(learner));
    }
}
