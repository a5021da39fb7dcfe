//! What a leader knows: its phase, its learners, who acknowledged what, sync rounds.

use std::collections::{BTreeMap, BTreeSet};

use streamkeeper_base::{Instant, MemberId, ZabEpoch, Zxid};

use crate::history::EpochEnds;
use crate::peer::Timing;

/// How far a leader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waits for a quorum of promises.
    Discovery,
    /// Waits for a quorum to take over its history.
    Synchronization,
    /// Orders transactions.
    Broadcasting,
}

/// How far a learner is, as its leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Sent FollowerInfo.
    Greeted,
    /// Was sent LeaderInfo.
    Promising,
    /// Needs a state from the owner.
    AwaitingSnapshot,
    /// Was sent its history and NewLeader; every later proposal is forwarded (TLA+ finding 1).
    Syncing,
    /// Acknowledged NewLeader.
    Synced,
    /// Was sent UpToDate.
    UpToDate,
}

/// A learner, as its leader sees it.
#[derive(Debug)]
pub(crate) struct LearnerState {
    pub(crate) stage: Stage,
    pub(crate) promised: ZabEpoch,
    pub(crate) ends: Option<EpochEnds>,
    /// The last zxid sent to it.
    pub(crate) sent: Zxid,
    /// The end of the history that NewLeader closed: durable at the learner once it acknowledges.
    pub(crate) synced_to: Zxid,
    pub(crate) heard: Instant,
    pub(crate) round: u64,
}

/// What a leader knows.
#[derive(Debug)]
pub(crate) struct Leader {
    pub(crate) phase: Phase,
    /// The new epoch, once a quorum's promises are known.
    pub(crate) epoch: Option<ZabEpoch>,
    pub(crate) promise_durable: bool,
    /// (current epoch, last zxid) at the start: no follower may be ahead (D4).
    pub(crate) rank: (ZabEpoch, Zxid),
    pub(crate) learners: BTreeMap<MemberId, LearnerState>,
    pub(crate) epoch_acks: BTreeSet<MemberId>,
    pub(crate) new_leader_acks: BTreeSet<MemberId>,
    /// Cumulative durable zxid of each voter, this one included.
    pub(crate) acked: BTreeMap<MemberId, Zxid>,
    pub(crate) deadline: Instant,
    pub(crate) ping_at: Instant,
    pub(crate) round: u64,
    /// Tokens that the round under way confirms.
    pub(crate) confirming: Vec<u64>,
    /// Tokens for the next round.
    pub(crate) waiting: Vec<u64>,
    pub(crate) handing_over_since: Option<Instant>,
}

impl Leader {
    pub(crate) fn new(now: Instant, timing: Timing, rank: (ZabEpoch, Zxid)) -> Self {
        Self {
            phase: Phase::Discovery,
            epoch: None,
            promise_durable: false,
            rank,
            learners: BTreeMap::new(),
            epoch_acks: BTreeSet::new(),
            new_leader_acks: BTreeSet::new(),
            acked: BTreeMap::new(),
            // A candidate that nobody greets finds out soon that others chose differently.
            deadline: now + timing.sync_limit.min(timing.init_limit),
            ping_at: now,
            round: 0,
            confirming: Vec::new(),
            waiting: Vec::new(),
            handing_over_since: None,
        }
    }

    pub(crate) fn synced(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.learners.iter().filter(|(_, l)| l.stage == Stage::UpToDate).map(|(id, _)| *id)
    }

    pub(crate) fn heard_since(&self, since: Instant) -> impl Iterator<Item = MemberId> + '_ {
        self.learners.iter().filter(move |(_, l)| l.heard >= since).map(|(id, _)| *id)
    }

    pub(crate) fn take_sync_tokens(&mut self) -> Vec<u64> {
        let mut tokens = std::mem::take(&mut self.confirming);
        tokens.append(&mut self.waiting);
        tokens
    }
}
