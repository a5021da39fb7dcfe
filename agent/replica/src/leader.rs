//! A leader: it sends what followers lack, knows how far they are, moves the high watermark and proposes who is in sync.

mod proposing;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use streamkeeper_base::plant::{Plant, is_planted};
use streamkeeper_base::{Incarnation, Instant, LeaderEpoch, MemberId, Offset, PartitionEpoch};

use crate::high_watermark::{Progress, high_watermark};
use crate::message::Message;
use crate::partition::{Action, Assignment, LogView, Partition, ProduceError, RequestId, Role};

/// A proposal that is not answered is made anew after this time.
const PROPOSAL_PATIENCE: Duration = Duration::from_millis(500);
/// A follower that does not say where it stands is asked again after this time: it may not have heard of the term yet.
const GREETING_PATIENCE: Duration = Duration::from_millis(100);
/// Bytes under way to one follower; beyond that it is fed from the log as it answers.
const CREDIT_BYTES: i64 = 8 * 1024 * 1024;

/// A follower, as its leader sees it.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    /// The link is up and its position is known.
    synced: bool,
    linked: bool,
    /// The state of its disk that this position is of.
    pub(super) incarnation: Option<Incarnation>,
    greeted: Instant,
    progress: Progress,
    /// The end of what was sent.
    sent: Offset,
    /// Bytes sent and not confirmed.
    under_way: VecDeque<(Offset, i64)>,
    /// A read of the log for it is asked for.
    reading: bool,
    /// The high watermark and the log start it was told.
    told: (Offset, Offset),
    /// When it was last seen at the leader's end.
    caught_up: Instant,
    /// The leader's end when it last reported: at that point it must arrive to count as caught up.
    end_at_last_report: (Offset, Instant),
}

/// A leader's state for one term.
#[derive(Debug)]
pub(crate) struct Leader {
    /// Where the term begins.
    pub(crate) epoch_start: Offset,
    followers: BTreeMap<MemberId, Follower>,
    waiting: VecDeque<(Offset, RequestId, Instant)>,
    /// When time was last told to pass.
    ticked: Instant,
    /// What was proposed: members of it count before it is committed (KIP-497).
    pub(crate) proposed: Option<Proposed>,
    /// What the whole ISR must have flushed before the controller is told that it has.
    awaits_flush: Option<Offset>,
}

/// An ISR that the controller was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Proposed {
    pub(crate) isr: Vec<MemberId>,
    joins: Vec<(MemberId, Incarnation)>,
    against: PartitionEpoch,
    at: Instant,
    flushed: bool,
    /// The first and the last attempt, and how many were refused.
    attempts: (u64, u64),
    refused: u64,
    /// An attempt was refused while others have no answer: from now on the ISR as it is is proposed, which voids them.
    withdrawn: bool,
}

impl Leader {
    pub(crate) fn new(epoch_start: Offset, now: Instant) -> Self {
        Self {
            epoch_start,
            followers: BTreeMap::new(),
            waiting: VecDeque::new(),
            ticked: now,
            proposed: None,
            awaits_flush: None,
        }
    }
}

impl Partition {
    pub(crate) fn greet_followers(&mut self) {
        let followers: Vec<MemberId> =
            self.assignment.replicas.iter().filter(|id| **id != self.id).copied().collect();
        followers.into_iter().for_each(|id| self.greet(id));
    }

    fn greet(&mut self, id: MemberId) {
        let incarnation = self.links.get(&id).copied();
        let linked = incarnation.is_some();
        let now = self.now;
        let (leader_epoch, partition_epoch) = (self.assignment.leader_epoch, self.assignment.partition_epoch);
        let Role::Leading(leader) = &mut self.role else { return };
        let known = leader.followers.remove(&id);
        let caught_up = known.map_or(now, |f| f.caught_up);
        let follower = Follower {
            linked,
            incarnation,
            greeted: now,
            caught_up,
            end_at_last_report: (Offset(i64::MAX), now),
            ..Follower::default()
        };
        leader.followers.insert(id, follower);
        if linked {
            let message = Message::Hello { leader_epoch, partition_epoch, epoch_start: leader.epoch_start };
            self.out.push(Action::Send { to: id, message });
        }
    }

    pub(crate) fn follower_up(&mut self, id: MemberId, incarnation: Incarnation) {
        self.links.insert(id, incarnation);
        if self.assignment.replicas.contains(&id) {
            self.greet(id);
        }
    }

    pub(crate) fn follower_down(&mut self, id: MemberId) {
        self.links.remove(&id);
        if let Role::Leading(leader) = &mut self.role
            && let Some(follower) = leader.followers.get_mut(&id)
        {
            follower.linked = false;
            follower.synced = false;
        }
    }

    /// The follower's log against ours: it keeps what both have, and is sent the rest.
    pub(crate) fn position(
        &mut self,
        from: MemberId,
        epochs: &[(LeaderEpoch, Offset)],
        end: Offset,
        durable: Offset,
        log: &dyn LogView,
    ) {
        let leader_epoch = self.assignment.leader_epoch;
        let Role::Leading(leader) = &mut self.role else { return };
        // A second answer says where the follower stood before the first one's batches: it must not set it back.
        let Some(follower) = leader.followers.get_mut(&from).filter(|f| f.linked && !f.synced) else {
            return;
        };
        let common = common_end(&log.epochs(), log.end(), epochs, end);
        let restart = common < log.start();
        let keep = if restart { log.start() } else { common };
        follower.synced = true;
        follower.sent = keep;
        follower.progress =
            Progress { received: keep, durable: if restart { keep } else { durable.min(keep) } };
        follower.under_way.clear();
        follower.reading = false;
        follower.told = (Offset(-1), Offset(-1));
        if (keep != end || restart) && !is_planted(Plant::NoTruncation) {
            let message = Message::Truncate { leader_epoch, to: keep, restart };
            self.out.push(Action::Send { to: from, message });
        }
        self.feed(from);
        self.advance();
    }

    pub(crate) fn appended(
        &mut self,
        request: Option<RequestId>,
        at: Offset,
        end: Offset,
        batches: &Bytes,
        deadline: Instant,
    ) {
        self.own.received = end;
        let Role::Leading(leader) = &mut self.role else {
            if let Some(request) = request {
                self.out.push(Action::Reply { request, result: Err(ProduceError::NotLeader) });
            }
            return;
        };
        if let Some(request) = request {
            leader.waiting.push_back((end, request, deadline));
        }
        let at_end: Vec<MemberId> = leader
            .followers
            .iter()
            .filter(|(_, f)| f.synced && f.sent == at && !f.reading && credit(f) > 0)
            .map(|(id, _)| *id)
            .collect();
        for id in at_end {
            self.send_batches(id, at, end, batches.clone());
        }
        self.advance();
    }

    pub(crate) fn awaited(&mut self, request: RequestId, end: Offset, deadline: Instant) {
        let is_acknowledged = end <= self.high_watermark;
        match &mut self.role {
            Role::Leading(_) if is_acknowledged => self.out.push(Action::Reply { request, result: Ok(()) }),
            Role::Leading(leader) => {
                let place = leader.waiting.partition_point(|(other, ..)| *other <= end);
                leader.waiting.insert(place, (end, request, deadline));
            }
            Role::Following(_) | Role::Idle => {
                self.out.push(Action::Reply { request, result: Err(ProduceError::NotLeader) });
            }
        }
    }

    /// The owner read the log for a follower, from where [`Action::ReadForFollower`] said.
    pub fn send_read(
        &mut self,
        to: MemberId,
        from: Offset,
        end: Offset,
        batches: Bytes,
        out: &mut Vec<Action>,
    ) {
        std::mem::swap(&mut self.out, out);
        if self.has_read(to, from) && !batches.is_empty() {
            self.send_batches(to, from, end, batches);
            self.feed(to);
        }
        std::mem::swap(&mut self.out, out);
    }

    /// The owner could not read what [`Action::ReadForFollower`] asked for: most often it was deleted meanwhile. The follower is
    /// greeted again, and begins anew where this log does (Kafka's OFFSET_OUT_OF_RANGE to a follower).
    pub fn read_failed(&mut self, to: MemberId, from: Offset, out: &mut Vec<Action>) {
        std::mem::swap(&mut self.out, out);
        if self.has_read(to, from)
            && let Role::Leading(leader) = &mut self.role
            && let Some(follower) = leader.followers.get_mut(&to)
        {
            // The next tick greets it: a log that can never be read there is not asked in a circle.
            follower.synced = false;
            follower.under_way.clear();
        }
        std::mem::swap(&mut self.out, out);
    }

    /// A read is over. False if the follower needs no more what was read, or another one: that is asked for then.
    fn has_read(&mut self, to: MemberId, from: Offset) -> bool {
        let Role::Leading(leader) = &mut self.role else { return false };
        let Some(follower) = leader.followers.get_mut(&to) else { return false };
        follower.reading = false;
        let is_wanted = follower.synced && follower.sent == from;
        if !is_wanted {
            self.feed(to);
        }
        is_wanted
    }

    fn send_batches(&mut self, to: MemberId, at: Offset, end: Offset, batches: Bytes) {
        let (leader_epoch, high_watermark) = (self.assignment.leader_epoch, self.high_watermark);
        let log_start = self.log_start;
        let Role::Leading(leader) = &mut self.role else { return };
        let Some(follower) = leader.followers.get_mut(&to) else { return };
        follower.sent = end;
        follower.told = (high_watermark, log_start);
        follower.under_way.push_back((end, i64::try_from(batches.len()).unwrap_or(i64::MAX)));
        let message = Message::Append { leader_epoch, at, batches, high_watermark, log_start };
        self.out.push(Action::Send { to, message });
    }

    /// Asks for a read if a follower is behind and has credit: memory under way to it is bounded.
    fn feed(&mut self, id: MemberId) {
        let end = self.own.received;
        let Role::Leading(leader) = &mut self.role else { return };
        let Some(follower) = leader.followers.get_mut(&id) else { return };
        if follower.synced && !follower.reading && follower.sent < end && credit(follower) > 0 {
            follower.reading = true;
            self.out.push(Action::ReadForFollower { to: id, from: follower.sent });
        }
    }

    pub(crate) fn follower_progress(&mut self, from: MemberId, received: Offset, durable: Offset) {
        let (now, end) = (self.now, self.own.received);
        let Role::Leading(leader) = &mut self.role else { return };
        let Some(follower) = leader.followers.get_mut(&from).filter(|f| f.synced) else { return };
        if received > follower.sent {
            return;
        }
        follower.progress.received = received;
        follower.progress.durable = durable.min(received);
        while follower.under_way.front().is_some_and(|(to, _)| *to <= received) {
            follower.under_way.pop_front();
        }
        // Caught up as of the moment when the end it has reached was the end (KIP-537's meaning of lag).
        if received >= end {
            follower.caught_up = now;
            follower.end_at_last_report = (Offset(i64::MAX), now);
        } else if received >= follower.end_at_last_report.0 {
            follower.caught_up = follower.end_at_last_report.1;
            follower.end_at_last_report = (end, now);
        } else if follower.end_at_last_report.0 == Offset(i64::MAX) {
            follower.end_at_last_report = (end, now);
        }
        self.feed(from);
        self.advance();
        self.maybe_expand(from);
    }

    /// The follower's disk is full: it is greeted until it answers, and lags meanwhile.
    pub(crate) fn follower_stalled(&mut self, from: MemberId) {
        let now = self.now;
        let Role::Leading(leader) = &mut self.role else { return };
        if let Some(follower) = leader.followers.get_mut(&from) {
            (follower.synced, follower.greeted) = (false, now);
            follower.under_way.clear();
        }
    }

    /// Members of the ISR that is committed and of the one that is proposed (KIP-497): the controller may elect any of them.
    pub fn maximal_isr(&self) -> Vec<MemberId> {
        let mut members = self.assignment.isr.clone();
        if is_planted(Plant::MinimalIsr) {
            return members;
        }
        if let Role::Leading(leader) = &self.role
            && let Some(proposed) = &leader.proposed
        {
            members.extend(proposed.isr.iter().filter(|id| !self.assignment.isr.contains(id)));
        }
        members
    }

    /// What a replica has, as far as this leader knows, and of it on disk what counts in this term.
    pub(crate) fn progress_of(&self, id: MemberId) -> Progress {
        match &self.role {
            Role::Leading(_) if id == self.id => self.counted(),
            Role::Leading(leader) => leader.followers.get(&id).map_or(Progress::default(), |f| f.progress),
            Role::Following(_) | Role::Idle => Progress::default(),
        }
    }

    /// What may be acknowledged now; `None` if nothing may.
    fn reached(&self) -> Option<Offset> {
        let Assignment { isr, min_insync, .. } = &self.assignment;
        if isr.len() < *min_insync {
            // Those who left may be electable still (KIP-966): members that are only proposed do not make up for them.
            return None;
        }
        let progress = self.maximal_isr().into_iter().map(|id| {
            let known = self.progress_of(id);
            // A disk that may leave with its replica stands behind nothing.
            let durable = if self.disk_counts(id) { known.durable } else { Offset::ZERO };
            Progress { durable, ..known }
        });
        high_watermark(&progress.collect::<Vec<_>>(), *min_insync)
    }

    pub(crate) fn advance(&mut self) {
        self.propose_flushed();
        let Some(reached) = self.reached().filter(|reached| *reached > self.high_watermark) else { return };
        let Role::Leading(leader) = &mut self.role else { return };
        self.high_watermark = reached;
        while let Some((end, request, _)) = leader.waiting.front().copied() {
            if end > reached {
                break;
            }
            leader.waiting.pop_front();
            self.out.push(Action::Reply { request, result: Ok(()) });
        }
        self.out.push(Action::HighWatermark(reached));
    }

    /// Followers that were not told the high watermark or the log start with a batch learn them by a message of their own.
    fn tell_high_watermark(&mut self) {
        let (leader_epoch, high_watermark) = (self.assignment.leader_epoch, self.high_watermark);
        let log_start = self.log_start;
        let Role::Leading(leader) = &mut self.role else { return };
        for (id, follower) in &mut leader.followers {
            let (told_end, told_start) = follower.told;
            if follower.synced && (told_end < high_watermark || told_start < log_start) {
                follower.told = (high_watermark, log_start);
                let message = Message::Append {
                    leader_epoch,
                    at: follower.sent,
                    batches: Bytes::new(),
                    high_watermark,
                    log_start,
                };
                self.out.push(Action::Send { to: *id, message });
            }
        }
    }

    /// The controller changed the partition within the term.
    pub(crate) fn isr_changed(&mut self, before: PartitionEpoch) {
        let partition_epoch = self.assignment.partition_epoch;
        let replicas = self.assignment.replicas.clone();
        // Between states that this leader saw, one that is not in sync may have been removed and added again, without its log.
        let missed = partition_epoch.0 > before.0 + 1;
        let isr = self.assignment.isr.clone();
        let Role::Leading(leader) = &mut self.role else { return };
        if leader.proposed.as_ref().is_some_and(|proposed| proposed.against < partition_epoch) {
            leader.proposed = None;
        }
        leader.followers.retain(|id, _| replicas.contains(id) && (!missed || isr.contains(id)));
        let missing: Vec<MemberId> =
            replicas.into_iter().filter(|id| *id != self.id && !leader.followers.contains_key(id)).collect();
        missing.into_iter().for_each(|id| self.greet(id));
        self.await_flush();
        self.advance();
    }

    /// A greeting reaches nobody while the follower has not opened the partition.
    fn greet_again(&mut self) {
        let now = self.now;
        let (leader_epoch, partition_epoch) = (self.assignment.leader_epoch, self.assignment.partition_epoch);
        let Role::Leading(leader) = &mut self.role else { return };
        let epoch_start = leader.epoch_start;
        for (id, follower) in &mut leader.followers {
            if follower.linked && !follower.synced && now.since(follower.greeted) >= GREETING_PATIENCE {
                follower.greeted = now;
                let message = Message::Hello { leader_epoch, partition_epoch, epoch_start };
                self.out.push(Action::Send { to: *id, message });
            }
        }
    }

    /// A leader that was stopped itself (by its disk, or because the machine is busy) has heard nobody meanwhile: what its followers
    /// said waits behind this tick. That time is not theirs.
    fn forgive_own_stall(&mut self) {
        let (now, lag_max) = (self.now, self.lag_max);
        let Role::Leading(leader) = &mut self.role else { return };
        let stalled = now.since(std::mem::replace(&mut leader.ticked, now));
        if stalled > lag_max / 2 {
            leader.followers.values_mut().for_each(|f| f.caught_up = (f.caught_up + stalled).min(now));
        }
    }

    pub(crate) fn tick(&mut self) {
        self.greet_again();
        self.forgive_own_stall();
        let (now, lag_max) = (self.now, self.lag_max);
        let Role::Leading(leader) = &mut self.role else { return };
        while let Some((_, request, deadline)) = leader.waiting.front().copied() {
            if deadline > now {
                break;
            }
            leader.waiting.pop_front();
            self.out.push(Action::Reply { request, result: Err(ProduceError::TimedOut) });
        }
        if leader.proposed.as_ref().is_some_and(|proposed| now.since(proposed.at) > PROPOSAL_PATIENCE) {
            self.propose_again();
            return self.tell_high_watermark();
        }
        let end = self.own.received;
        let lagging: Vec<MemberId> = self
            .assignment
            .isr
            .iter()
            .filter(|id| **id != self.id)
            .filter(|id| {
                leader.followers.get(id).is_none_or(|f| {
                    let at_end = f.synced && f.progress.received >= end;
                    !at_end && now.since(f.caught_up) > lag_max
                })
            })
            .copied()
            .collect();
        for follower in leader.followers.values_mut() {
            if follower.synced && follower.progress.received >= end {
                follower.caught_up = now;
            }
        }
        if !lagging.is_empty() && leader.proposed.is_none() {
            let isr = self.assignment.isr.iter().filter(|id| !lagging.contains(id)).copied().collect();
            self.propose_isr(isr);
        } else if leader.proposed.is_none() {
            let candidates: Vec<MemberId> =
                leader.followers.keys().filter(|id| !self.assignment.isr.contains(id)).copied().collect();
            candidates.into_iter().for_each(|id| self.maybe_expand(id));
            self.maybe_complete_move();
        }
        self.tell_high_watermark();
    }

    /// The high watermark goes to followers at the end of each round of events, so a busy link needs no message of its own.
    pub fn flush_high_watermark(&mut self, out: &mut Vec<Action>) {
        std::mem::swap(&mut self.out, out);
        self.tell_high_watermark();
        std::mem::swap(&mut self.out, out);
    }

    pub(crate) fn give_up_leading(&mut self) {
        if let Role::Leading(leader) = &mut self.role {
            for (_, request, _) in std::mem::take(&mut leader.waiting) {
                self.out.push(Action::Reply { request, result: Err(ProduceError::NotLeader) });
            }
        }
        self.role = Role::Idle;
    }
}

fn credit(follower: &Follower) -> i64 {
    CREDIT_BYTES - follower.under_way.iter().map(|(_, bytes)| bytes).sum::<i64>()
}

/// Where two logs part: within an epoch they agree up to the shorter one, because one leader wrote both (KIP-101, KIP-279).
fn common_end(
    ours: &[(LeaderEpoch, Offset)],
    our_end: Offset,
    theirs: &[(LeaderEpoch, Offset)],
    their_end: Offset,
) -> Offset {
    let end_of = |list: &[(LeaderEpoch, Offset)], index: usize, end: Offset| {
        list.get(index + 1).map_or(end, |(_, s)| *s)
    };
    for (index, (epoch, _)) in theirs.iter().enumerate().rev() {
        // Its begin may differ: either log may have been deleted up to somewhere inside of it.
        if let Some(position) = ours.iter().position(|(known, _)| known == epoch) {
            return end_of(ours, position, our_end).min(end_of(theirs, index, their_end));
        }
    }
    // No epoch in common: agree on nothing but the begin.
    if theirs.is_empty() { their_end.min(our_end) } else { theirs[0].1.min(our_end) }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn logs_part_where_epochs_say() {
        let e = |list: &[(i32, i64)]| -> Vec<(LeaderEpoch, Offset)> {
            list.iter().map(|(e, o)| (LeaderEpoch(*e), Offset(*o))).collect()
        };
        let cases = [
            (e(&[(0, 0)]), 10, e(&[(0, 0)]), 7, 7),
            (e(&[(0, 0), (2, 8)]), 12, e(&[(0, 0)]), 10, 8),
            (e(&[(0, 0), (2, 8)]), 12, e(&[(0, 0), (1, 9)]), 11, 8),
            (e(&[(0, 0), (2, 8)]), 12, e(&[(0, 0), (2, 8)]), 14, 12),
            (e(&[(3, 0)]), 5, e(&[(1, 0)]), 4, 0),
            // Found by reading: a log that begins inside an epoch had nothing in common with its leader's, at every new link.
            (e(&[(0, 0), (2, 8)]), 20, e(&[(2, 12)]), 15, 15),
            (e(&[(2, 18), (3, 30)]), 40, e(&[(2, 8)]), 25, 25),
            (e(&[(2, 18)]), 40, e(&[(2, 8)]), 10, 10),
            (e(&[(3, 0)]), 5, e(&[]), 0, 0),
        ];
        for (ours, our_end, theirs, their_end, expected) in cases {
            let common = common_end(&ours, Offset(our_end), &theirs, Offset(their_end));
            assert_eq!(common, Offset(expected), "{ours:?} {theirs:?}");
        }
    }
}
