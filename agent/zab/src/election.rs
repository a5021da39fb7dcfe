//! Phase 0: find a candidate. An oracle for liveness only; discovery keeps safety.
//!
//! Fast leader election's rules: a vote is (epoch, zxid, id), the greatest wins, a quorum for one vote decides. A member that is
//! settled answers a looking one with its leader and is not disturbed by it, so a flapping member deposes nobody (pre-vote).

use std::collections::{BTreeMap, BTreeSet};

use streamkeeper_base::{Instant, MemberId, ZabEpoch};

use crate::action::Action;
use crate::follower::Learner;
use crate::leader::Leader;
use crate::message::{Message, Notification, NotifierState, Vote};
use crate::peer::{Peer, Role};

/// The state of one search.
#[derive(Debug)]
pub(crate) struct Election {
    /// Whom this peer would follow; `None` for one that has no vote of its own and heard none.
    pub(crate) vote: Option<Vote>,
    /// The last vote of each voter in this round.
    votes: BTreeMap<MemberId, Vote>,
    /// When a quorum for the vote was first seen complete.
    quorum_since: Option<Instant>,
    resend_at: Instant,
    /// Since when the vote names a member that this one has no link to.
    unreachable_since: Option<Instant>,
    /// FollowerInfo of peers that decided for this one before it did.
    pub(crate) early: BTreeMap<MemberId, ZabEpoch>,
    started: bool,
}

impl Election {
    pub(crate) fn idle(now: Instant) -> Self {
        Self {
            vote: None,
            votes: BTreeMap::new(),
            quorum_since: None,
            resend_at: now,
            unreachable_since: None,
            early: BTreeMap::new(),
            started: false,
        }
    }
}

impl Peer {
    /// Gives up the role and searches. Everything speculative is void; the log stays as it is.
    pub(crate) fn look(&mut self, reason: &'static str) {
        self.look_for(reason, None);
    }

    /// As [`Peer::look`]; `successor` names whom a leaving leader recommends.
    pub(crate) fn look_for(&mut self, _reason: &'static str, successor: Option<MemberId>) {
        if let Role::Leading(leader) = &mut self.role {
            let failed = leader.take_sync_tokens();
            self.out.extend(failed.into_iter().map(|token| Action::SyncFailed { token }));
        }
        self.generation += 1;
        self.role = Role::Looking(Election::idle(self.now));
        self.report_role();
        if self.installing.is_none() && !self.leaving {
            self.start_election(successor);
        }
    }

    fn own_vote(&self) -> Option<Vote> {
        let is_candidate = self.history.quorums().may_lead(self.id) && !self.leaving;
        let id = self.deferred_to().unwrap_or(self.id);
        is_candidate.then(|| Vote { epoch: self.rank_epoch(), zxid: self.history.last(), id })
    }

    /// Whom a leader that gave the lead away votes for, as long as that one may still take it: else a tie could go back to it.
    fn deferred_to(&self) -> Option<MemberId> {
        let (id, until) = self.deferring?;
        let fit = self.now < until && self.links.contains(&id) && self.history.quorums().may_lead(id);
        fit.then_some(id)
    }

    /// The epoch part of this peer's rank. A log that holds a prefix of an epoch's transactions holds that epoch's whole initial
    /// history, even if the NewLeader record of it was never written.
    pub(crate) fn rank_epoch(&self) -> ZabEpoch {
        self.current.max(self.history.last().epoch())
    }

    fn start_election(&mut self, successor: Option<MemberId>) {
        self.round += 1;
        let mut vote = self.own_vote();
        if let (Some(own), Some(id)) = (vote, successor)
            && self.history.quorums().may_lead(id)
        {
            // The leaving leader vouches that its successor has everything it had.
            vote = Some(Vote { id, ..own });
        }
        let jitter = std::time::Duration::from_micros(self.random.below(20_000));
        let resend_at = self.now + self.timing.vote_resend + jitter;
        if let Role::Looking(election) = &mut self.role {
            *election = Election { vote, resend_at, started: true, ..Election::idle(self.now) };
        }
        self.notify_all();
        self.check_votes();
    }

    /// Sends this peer's vote, or its leader, to one peer.
    pub(crate) fn notify(&mut self, to: MemberId) {
        if self.leaving {
            return;
        }
        let settled = |id| Vote { epoch: self.current, zxid: self.history.last(), id };
        let (state, vote) = match &self.role {
            Role::Looking(election) => {
                // Without a vote the notification still asks who leads.
                let nobody = Vote { epoch: ZabEpoch(0), zxid: self.history.base(), id: MemberId(-1) };
                (NotifierState::Looking, election.vote.unwrap_or(nobody))
            }
            Role::Learning(learner) => (NotifierState::Following, settled(learner.leader)),
            Role::Leading(_) => (NotifierState::Leading, settled(self.id)),
        };
        let round = self.round;
        self.send(to, Message::Notification(Notification { state, round, vote }));
    }

    fn notify_all(&mut self) {
        let peers: Vec<MemberId> = self.links.iter().copied().collect();
        peers.into_iter().for_each(|peer| self.notify(peer));
    }

    pub(crate) fn notified(&mut self, from: MemberId, notification: &Notification) {
        match (&self.role, notification.state) {
            (Role::Looking(_), NotifierState::Looking) => self.vote_received(from, notification),
            // Only the leader itself is believed (checkLeader).
            (Role::Looking(_), NotifierState::Leading) if notification.vote.id == from => self.follow(from),
            (Role::Looking(_), NotifierState::Leading | NotifierState::Following) => {}
            (Role::Learning(learner), state) => {
                if learner.leader == from && state != NotifierState::Leading {
                    self.look("the leader does not lead any more");
                } else if state == NotifierState::Looking {
                    self.notify(from);
                }
            }
            (Role::Leading(_), NotifierState::Looking) => self.notify(from),
            (Role::Leading(_), NotifierState::Leading | NotifierState::Following) => {}
        }
    }

    fn vote_received(&mut self, from: MemberId, notification: &Notification) {
        if self.installing.is_some() {
            return;
        }
        // Who knows more than this peer may know of a newer configuration, too, in which others vote.
        let knows_more =
            (notification.vote.epoch, notification.vote.zxid) > (self.rank_epoch(), self.history.last());
        let quorums = self.history.quorums();
        let known = quorums.is_voter(from) && quorums.may_lead(notification.vote.id);
        if !known && !knows_more {
            return;
        }
        let own = self.own_vote();
        let round = self.round;
        let Role::Looking(election) = &mut self.role else { return };
        if notification.round < round {
            return self.notify(from);
        }
        let mut changed = false;
        if notification.round > round {
            self.round = notification.round;
            election.votes.clear();
            election.vote = own;
            changed = true;
        }
        if election.vote.is_none_or(|vote| notification.vote > vote) {
            election.vote = Some(notification.vote);
            changed = true;
        }
        election.votes.insert(from, notification.vote);
        if changed {
            election.quorum_since = None;
            self.notify_all();
        }
        self.check_votes();
    }

    /// Decides once a quorum has this peer's vote: at once if nobody reachable differs, else after a last wait for a better one.
    pub(crate) fn check_votes(&mut self) {
        let (own_id, now, finalize) = (self.id, self.now, self.timing.vote_finalize);
        let quorums = self.history.quorums();
        let counts = quorums.is_voter(own_id) && !self.leaving;
        let Role::Looking(election) = &mut self.role else { return };
        let Some(vote) = election.vote.filter(|_| election.started && counts) else { return };
        let agreeing: BTreeSet<MemberId> =
            election.votes.iter().filter(|(_, v)| **v == vote).map(|(id, _)| *id).chain([own_id]).collect();
        if !quorums.hold(&agreeing) || (vote.id != own_id && !self.links.contains(&vote.id)) {
            election.quorum_since = None;
            return;
        }
        let all_agree = quorums.voters().iter().all(|id| agreeing.contains(id) || !self.links.contains(id));
        let since = *election.quorum_since.get_or_insert(now);
        if !all_agree && now.since(since) < finalize {
            return;
        }
        if vote.id == own_id { self.lead() } else { self.follow(vote.id) }
    }

    fn lead(&mut self) {
        let Role::Looking(election) = &mut self.role else { return };
        let early = std::mem::take(&mut election.early);
        self.generation += 1;
        let rank = (self.rank_epoch(), self.history.last());
        self.role = Role::Leading(Leader::new(self.now, self.timing, rank));
        self.report_role();
        self.notify_all();
        self.choose_epoch();
        for (peer, promised) in early {
            self.follower_info(peer, promised);
        }
    }

    fn follow(&mut self, leader: MemberId) {
        if self.installing.is_some() || self.leaving || leader == self.id {
            return;
        }
        self.generation += 1;
        self.role = Role::Learning(Learner::new(leader, self.now, self.timing));
        self.report_role();
        self.send(leader, Message::FollowerInfo { promised: self.promised });
    }

    /// A candidate that died while everyone voted for it would be waited for without end: another round forgets it.
    fn is_vote_in_vain(&mut self) -> bool {
        let (own, now) = (self.id, self.now);
        let Role::Looking(election) = &mut self.role else { return false };
        let reachable = election.vote.is_none_or(|vote| vote.id == own || self.links.contains(&vote.id));
        if reachable {
            election.unreachable_since = None;
            return false;
        }
        let since = *election.unreachable_since.get_or_insert(now);
        now.since(since) >= self.timing.vote_resend * 2
    }

    pub(crate) fn tick_looking(&mut self) {
        if self.installing.is_some() || self.leaving {
            return;
        }
        let Role::Looking(election) = &mut self.role else { return };
        if !election.started {
            return self.start_election(None);
        }
        if self.now >= election.resend_at {
            election.resend_at = self.now + self.timing.vote_resend;
            self.notify_all();
        }
        if self.is_vote_in_vain() {
            return self.start_election(None);
        }
        self.check_votes();
    }
}
