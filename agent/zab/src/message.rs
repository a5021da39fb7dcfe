//! What peers say to each other. ZooKeeper's words; own framing.

use bytes::Bytes;
use streamkeeper_base::{MemberId, ZabEpoch, Zxid};

use crate::history::{Entry, EpochEnds};
use crate::quorum::Membership;

/// What peers say to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Election: whom the sender would follow, or whom it does follow.
    Notification(Notification),
    /// D1, learner to leader: "I would follow you"; the highest epoch it promised.
    FollowerInfo {
        /// The highest epoch the learner promised to accept.
        promised: ZabEpoch,
    },
    /// D2, leader to learner: the new epoch, greater than every promise of a quorum.
    LeaderInfo {
        /// The new epoch.
        epoch: ZabEpoch,
    },
    /// D3, learner to leader: the promise is durable; where the learner's history stands.
    AckEpoch {
        /// The epoch whose history it adopted last.
        current: ZabEpoch,
        /// Where each epoch of its log ends.
        ends: EpochEnds,
        /// False if it had promised this epoch before: then it does not count in the quorum.
        counts: bool,
    },
    /// S1: cut the log after this zxid (TRUNC); entries follow.
    Truncate {
        /// The last zxid to keep.
        to: Zxid,
    },
    /// S1: entries the learner lacks, committed and pending (DIFF).
    Diff {
        /// In order, contiguous with the learner's log.
        entries: Vec<Entry>,
    },
    /// S1: one chunk of a whole state that replaces the learner's (SNAP).
    Snapshot {
        /// The state's exact zxid.
        zxid: Zxid,
        /// Where each epoch up to it ends.
        ends: EpochEnds,
        /// The ensemble at it.
        membership: Membership,
        /// The owner's bytes.
        chunk: Bytes,
        /// True on the last chunk.
        last: bool,
    },
    /// S2: the history is complete; adopt the epoch.
    NewLeader {
        /// The epoch.
        epoch: ZabEpoch,
    },
    /// S3: history, then epoch, are durable.
    AckNewLeader {
        /// The epoch.
        epoch: ZabEpoch,
    },
    /// S5: the initial history is committed; serve clients.
    UpToDate {
        /// The leader's latest committed zxid, not the one of the acknowledgement (TLA+ finding 3).
        committed: Zxid,
    },
    /// B1: log this entry.
    Proposal(Entry),
    /// B2: everything up to the zxid is durable.
    Ack {
        /// Cumulative.
        zxid: Zxid,
    },
    /// B3: everything up to the zxid is committed.
    Commit {
        /// Cumulative.
        zxid: Zxid,
    },
    /// B3 for observers: committed entries, whole.
    Inform {
        /// In order.
        entries: Vec<Entry>,
    },
    /// The leader is alive; a learner answers with the same round.
    Ping {
        /// Counts quorum-confirmed rounds.
        round: u64,
    },
    /// Answer to a ping.
    Pong {
        /// The ping's round.
        round: u64,
    },
    /// The leader stops in good order: elect anew at once, the named voter by preference.
    Leaving {
        /// A caught-up voter.
        successor: Option<MemberId>,
    },
}

/// One vote, or the news of a settled leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What the sender is.
    pub state: NotifierState,
    /// The election round the vote belongs to.
    pub round: u64,
    /// The candidate, or the leader.
    pub vote: Vote,
}

/// What the sender of a notification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifierState {
    /// Searches for a leader itself.
    Looking,
    /// Follows or observes the vote's member.
    Following,
    /// Is the leader.
    Leading,
}

/// A candidate and how far its log goes. Ordered as fast leader election orders: epoch, zxid, id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vote {
    /// The epoch whose history the candidate adopted last.
    pub epoch: ZabEpoch,
    /// Its last durable zxid.
    pub zxid: Zxid,
    /// The candidate.
    pub id: MemberId,
}
