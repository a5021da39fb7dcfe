//! Phase 3: the leader orders transactions; a quorum's durable acknowledgement commits them. Also pings, sync rounds,
//! membership changes and the hand-over.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use streamkeeper_base::limits::ZXID_COUNTER_BITS;
use streamkeeper_base::{MemberId, Zxid};

use crate::action::Action;
use crate::event::{MembershipChange, ProposeError};
use crate::history::{Entry, Payload};
use crate::leader::{Phase, Stage};
use crate::message::Message;
use crate::peer::{Peer, Role};
use crate::quorum::{Member, MemberRole, Membership};

/// A hand-over that finds no caught-up voter within this time leaves without one.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(2);

impl Peer {
    /// Orders a transaction (B1): it goes to the disk and to the followers at once.
    ///
    /// # Errors
    /// This member does not lead, or not yet, or not any more.
    pub fn propose(&mut self, txn: Bytes, out: &mut Vec<Action>) -> Result<Zxid, ProposeError> {
        self.proposable()?;
        std::mem::swap(&mut self.out, out);
        let result = self.append(Payload::Txn(txn));
        std::mem::swap(&mut self.out, out);
        result
    }

    /// Orders a membership change; both the old and the new voters must agree until it is committed (Z20).
    ///
    /// # Errors
    /// As [`Peer::propose`], or the change is not possible now; the variant says why.
    pub fn change_membership(
        &mut self,
        change: &MembershipChange,
        out: &mut Vec<Action>,
    ) -> Result<Zxid, ProposeError> {
        self.proposable()?;
        if self.history.is_changing() {
            return Err(ProposeError::ChangeInProgress);
        }
        let membership = self.changed(change)?;
        if membership == *self.history.membership() {
            return Ok(self.history.committed());
        }
        std::mem::swap(&mut self.out, out);
        let result = self.append(Payload::Config(membership));
        std::mem::swap(&mut self.out, out);
        result
    }

    /// Writes the membership as it is to the log, so that whoever reads the log learns it from there and not from what it was told at
    /// its first start.
    ///
    /// # Errors
    /// As [`Peer::propose`], or a change is under way.
    pub fn record_membership(&mut self, out: &mut Vec<Action>) -> Result<Zxid, ProposeError> {
        self.proposable()?;
        if self.history.is_changing() {
            return Err(ProposeError::ChangeInProgress);
        }
        let membership = self.history.membership().clone();
        std::mem::swap(&mut self.out, out);
        let result = self.append(Payload::Config(membership));
        std::mem::swap(&mut self.out, out);
        result
    }

    fn proposable(&self) -> Result<(), ProposeError> {
        match &self.role {
            Role::Leading(leader)
                if leader.phase != Phase::Broadcasting || leader.handing_over_since.is_some() =>
            {
                Err(ProposeError::NotReady)
            }
            Role::Leading(_) => Ok(()),
            Role::Looking(_) | Role::Learning(_) => Err(ProposeError::NotLeading),
        }
    }

    fn changed(&self, change: &MembershipChange) -> Result<Membership, ProposeError> {
        let mut membership = self.history.membership().clone();
        let known = |membership: &Membership, id: &MemberId| {
            if membership.members.contains_key(id) { Ok(()) } else { Err(ProposeError::UnknownMember) }
        };
        match change {
            MembershipChange::AddObserver { member, data } => {
                let entry = membership.members.entry(*member);
                entry.or_insert(Member { role: MemberRole::Observer, data: Bytes::new() }).data =
                    data.clone();
            }
            MembershipChange::Promote(id) => {
                known(&membership, id)?;
                if !membership.is_voter(*id) && !self.is_caught_up(*id) {
                    return Err(ProposeError::NotCaughtUp);
                }
                membership.members.entry(*id).and_modify(|m| m.role = MemberRole::Voter);
            }
            MembershipChange::Demote(id) => {
                known(&membership, id)?;
                membership.members.entry(*id).and_modify(|m| m.role = MemberRole::Observer);
            }
            MembershipChange::Remove(id) => {
                known(&membership, id)?;
                membership.members.remove(id);
            }
        }
        if membership.voters().next().is_none() {
            return Err(ProposeError::LastVoter);
        }
        let loses_a_vote = self.history.membership().voters().any(|id| !membership.is_voter(id));
        if loses_a_vote && !membership.is_quorum(&self.synced_with_self()) {
            return Err(ProposeError::NoMajority);
        }
        Ok(membership)
    }

    /// This leader and the learners that have its history.
    fn synced_with_self(&self) -> BTreeSet<MemberId> {
        self.synced_learners().into_iter().chain([self.id]).collect()
    }

    fn is_caught_up(&self, id: MemberId) -> bool {
        let Role::Leading(leader) = &self.role else { return false };
        let committed = self.history.committed();
        leader.learners.get(&id).is_some_and(|l| l.stage == Stage::UpToDate && l.sent >= committed)
    }

    fn append(&mut self, payload: Payload) -> Result<Zxid, ProposeError> {
        let Role::Leading(leader) = &self.role else { return Err(ProposeError::NotLeading) };
        let Some(epoch) = leader.epoch else { return Err(ProposeError::NotReady) };
        let entry = self.next_entry(epoch, payload);
        if entry.zxid.counter() >= (1 << ZXID_COUNTER_BITS) - 1 {
            // The counter is at its end (ZOOKEEPER-1277): a new epoch starts it anew.
            self.look("the zxid counter is used up");
            return Err(ProposeError::NotReady);
        }
        let zxid = entry.zxid;
        self.log(entry);
        self.forward();
        Ok(zxid)
    }

    /// Sends every registered voter what it was not sent yet. Observers wait for the commit.
    fn forward(&mut self) {
        let last = self.history.last();
        let quorums = self.history.quorums();
        let Role::Leading(leader) = &mut self.role else { return };
        for (id, learner) in &mut leader.learners {
            if learner.stage < Stage::Syncing || !quorums.is_voter(*id) || !self.links.contains(id) {
                continue;
            }
            for entry in self.history.after(learner.sent) {
                self.out.push(Action::Send { to: *id, message: Message::Proposal(entry.clone()) });
            }
            learner.sent = last;
        }
    }

    /// B2, at the leader. Acknowledgements before that of NewLeader do not count yet (ZOOKEEPER-4685).
    pub(crate) fn ack(&mut self, from: MemberId, zxid: Zxid) {
        let now = self.now;
        let Role::Leading(leader) = &mut self.role else { return };
        let Some(learner) = leader.learners.get_mut(&from) else { return };
        learner.heard = now;
        if learner.stage < Stage::Synced || zxid > learner.sent {
            return;
        }
        self.acked_by(from, zxid);
    }

    pub(crate) fn acked_by(&mut self, member: MemberId, zxid: Zxid) {
        if !self.history.quorums().is_voter(member) {
            return;
        }
        let Role::Leading(leader) = &mut self.role else { return };
        let acked = leader.acked.entry(member).or_default();
        *acked = (*acked).max(zxid);
        self.advance_commit();
    }

    /// B3: what a quorum of every active configuration has on disk is committed, in order.
    pub(crate) fn advance_commit(&mut self) {
        loop {
            let Role::Leading(leader) = &self.role else { return };
            if leader.phase != Phase::Broadcasting {
                return;
            }
            let Some(reached) = self.history.quorums().reached(&leader.acked) else { return };
            if reached <= self.history.committed() {
                break;
            }
            self.history.commit(reached);
            self.announce_commit();
            self.deliver();
        }
        self.continue_hand_over();
    }

    fn announce_commit(&mut self) {
        let committed = self.history.committed();
        let quorums = self.history.quorums();
        let Role::Leading(leader) = &mut self.role else { return };
        for (id, learner) in &mut leader.learners {
            if learner.stage < Stage::Syncing || !self.links.contains(id) {
                continue;
            }
            if !quorums.is_voter(*id) && learner.sent < committed {
                let entries: Vec<Entry> =
                    self.history.after(learner.sent).take_while(|e| e.zxid <= committed).cloned().collect();
                learner.sent = committed;
                self.out.push(Action::Send { to: *id, message: Message::Inform { entries } });
            } else {
                self.out.push(Action::Send { to: *id, message: Message::Commit { zxid: committed } });
            }
        }
    }

    /// A membership took effect: members that left are let go; a leader that has no vote any more steps down.
    pub(crate) fn membership_delivered(&mut self) {
        let membership = self.history.membership().clone();
        if let Role::Leading(leader) = &mut self.role {
            leader.learners.retain(|id, _| membership.members.contains_key(id));
            leader.acked.retain(|id, _| membership.is_voter(*id));
            if !membership.is_voter(self.id) && leader.handing_over_since.is_none() {
                leader.handing_over_since = Some(self.now);
            }
        }
        self.report_role();
    }

    /// A client's sync: confirmed by the next quorum round, coalesced with all that wait.
    pub(crate) fn sync_requested(&mut self, token: u64) {
        match &mut self.role {
            Role::Leading(leader) if leader.phase == Phase::Broadcasting => leader.waiting.push(token),
            Role::Leading(_) | Role::Looking(_) | Role::Learning(_) => {
                return self.out.push(Action::SyncFailed { token });
            }
        }
        self.start_round();
    }

    fn start_round(&mut self) {
        let Role::Leading(leader) = &mut self.role else { return };
        if !leader.confirming.is_empty() || leader.waiting.is_empty() {
            return;
        }
        leader.confirming = std::mem::take(&mut leader.waiting);
        leader.round += 1;
        self.ping();
        self.check_round();
    }

    pub(crate) fn pong(&mut self, from: MemberId, round: u64) {
        let now = self.now;
        let Role::Leading(leader) = &mut self.role else { return };
        let Some(learner) = leader.learners.get_mut(&from) else { return };
        learner.heard = now;
        if learner.stage >= Stage::Synced {
            learner.round = learner.round.max(round);
            self.check_round();
        }
    }

    fn check_round(&mut self) {
        let (id, zxid) = (self.id, self.history.committed());
        let quorums = self.history.quorums();
        let Role::Leading(leader) = &mut self.role else { return };
        if leader.confirming.is_empty() {
            return;
        }
        let confirmed: BTreeSet<MemberId> = leader
            .learners
            .iter()
            .filter(|(_, l)| l.round >= leader.round)
            .map(|(id, _)| *id)
            .chain([id])
            .collect();
        if !quorums.hold(&confirmed) {
            return;
        }
        let tokens = std::mem::take(&mut leader.confirming);
        self.out.extend(tokens.into_iter().map(|token| Action::SyncDone { token, zxid }));
        self.start_round();
    }

    fn ping(&mut self) {
        let Role::Leading(leader) = &mut self.role else { return };
        let round = leader.round;
        let learners: Vec<MemberId> = leader.learners.keys().copied().collect();
        leader.ping_at = self.now + self.timing.ping;
        learners.into_iter().for_each(|to| self.send(to, Message::Ping { round }));
    }

    pub(crate) fn learner_lost(&mut self, peer: MemberId) {
        let Role::Leading(leader) = &mut self.role else { return };
        leader.learners.remove(&peer);
        self.check_contact();
    }

    /// Check-quorum: a leader that no quorum hears steps down, so its clients go elsewhere.
    fn check_contact(&mut self) {
        let (now, id, limit) = (self.now, self.id, self.timing.sync_limit);
        let quorums = self.history.quorums();
        let Role::Leading(leader) = &mut self.role else { return };
        let in_contact: BTreeSet<MemberId> = leader
            .learners
            .iter()
            .filter(|(_, l)| now.since(l.heard) <= limit)
            .map(|(id, _)| *id)
            .chain([id])
            .collect();
        let expired = leader.phase != Phase::Broadcasting && now >= leader.deadline;
        let alone = !quorums.hold(&in_contact);
        // While promises are still awaited, learners have yet to come.
        if expired || (alone && leader.phase != Phase::Discovery) {
            self.look("no quorum in contact");
        }
    }

    pub(crate) fn tick_leading(&mut self) {
        let (now, limit) = (self.now, self.timing.sync_limit);
        let Role::Leading(leader) = &mut self.role else { return };
        let silent: Vec<MemberId> =
            leader.learners.iter().filter(|(_, l)| now.since(l.heard) > limit).map(|(id, _)| *id).collect();
        for peer in silent {
            leader.learners.remove(&peer);
            self.out.push(Action::Disconnect(peer));
        }
        if now >= leader.ping_at {
            self.ping();
        }
        self.check_contact();
        self.continue_hand_over();
    }

    /// SIGTERM. A leader waits for a caught-up voter, names it and leaves; everyone else just leaves.
    pub(crate) fn hand_over(&mut self) {
        if self.leaving {
            return;
        }
        let now = self.now;
        self.stopping = true;
        match &mut self.role {
            Role::Leading(leader) if leader.phase == Phase::Broadcasting => {
                leader.handing_over_since.get_or_insert(now);
                self.continue_hand_over();
            }
            Role::Leading(_) | Role::Looking(_) | Role::Learning(_) => self.leave(None),
        }
    }

    /// The lead goes to a caught-up voter; this member goes on as its follower.
    pub(crate) fn give_lead(&mut self) {
        let now = self.now;
        let Role::Leading(leader) = &mut self.role else { return };
        if leader.phase == Phase::Broadcasting && !self.leaving {
            leader.handing_over_since.get_or_insert(now);
            self.continue_hand_over();
        }
    }

    fn continue_hand_over(&mut self) {
        let (now, last, id) = (self.now, self.history.last(), self.id);
        let membership = self.history.membership();
        let must_go = self.stopping || !membership.is_voter(id);
        let others = membership.voters().any(|peer| peer != id);
        let Role::Leading(leader) = &mut self.role else { return };
        let Some(since) = leader.handing_over_since else { return };
        let successor = leader
            .acked
            .iter()
            .filter(|(peer, zxid)| **peer != id && **zxid == last && membership.is_voter(**peer))
            .map(|(peer, _)| *peer)
            .find(|peer| leader.learners.get(peer).is_some_and(|l| l.stage == Stage::UpToDate));
        let settled = self.history.committed() == last;
        let in_vain = !others || now.since(since) > HAND_OVER_PATIENCE;
        if (successor.is_some() && settled) || (in_vain && must_go) {
            self.leave(successor);
        } else if in_vain {
            leader.handing_over_since = None;
        }
    }

    fn leave(&mut self, successor: Option<MemberId>) {
        if let Role::Leading(leader) = &self.role {
            let learners: Vec<MemberId> = leader.learners.keys().copied().collect();
            learners.into_iter().for_each(|to| self.send(to, Message::Leaving { successor }));
        }
        self.leaving = self.stopping;
        self.deferring = successor.map(|id| (id, self.now + self.timing.sync_limit));
        self.look("leaving");
        if self.leaving {
            self.out.push(Action::HandedOver);
        }
    }
}
