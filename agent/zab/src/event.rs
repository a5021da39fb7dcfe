//! What can happen to a peer. Read with [`crate::Action`]: together they are the protocol.

use bytes::Bytes;
use streamkeeper_base::{Durable, MemberId, Zxid};

use crate::message::Message;

/// What can happen to a peer.
#[derive(Clone, Debug)]
pub enum Event {
    /// Time passed.
    Tick,
    /// A link to a peer is up; nothing sent before arrives any more. Every reconnect redoes synchronization.
    LinkUp(MemberId),
    /// The link to a peer is down.
    LinkDown(MemberId),
    /// A peer sent a message over the current link.
    Received {
        /// Who sent it.
        from: MemberId,
        /// What it says.
        message: Message,
    },
    /// Every record up to and including the ticket is on disk.
    Persisted(Durable<u64>),
    /// A client waits for a quorum-confirmed round: its later reads see everything committed before now.
    SyncRequested {
        /// Comes back with [`crate::Action::SyncDone`].
        token: u64,
    },
    /// The owner answers [`crate::Action::SupplySnapshot`].
    SnapshotSupplied {
        /// The learner it is for.
        to: MemberId,
        /// The state's exact zxid: everything delivered so far.
        zxid: Zxid,
        /// The state in chunks, opaque to Zab.
        chunks: Vec<Bytes>,
    },
    /// The state of [`crate::Action::InstallSnapshot`] is the owner's state now and its file is on disk.
    SnapshotInstalled(Zxid),
    /// A snapshot file of the owner's state at the zxid is on disk: older log records are no longer needed.
    SnapshotTaken(Zxid),
    /// SIGTERM: give the lead to a caught-up voter, then take no part any more.
    HandOver,
    /// Give the lead to a caught-up voter and follow it; nothing happens if there is none, or if this member does not lead.
    GiveLead,
}

/// A change of the ensemble, one at a time, through the log (joint quorums until it is committed).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipChange {
    /// A new member, or a new address of an old one; it observes until promoted.
    AddObserver {
        /// The member.
        member: MemberId,
        /// The owner's description of it (addresses), opaque to Zab.
        data: Bytes,
    },
    /// An observer becomes a voter; refused unless it is synchronized and caught up.
    Promote(MemberId),
    /// A voter becomes an observer.
    Demote(MemberId),
    /// A member leaves.
    Remove(MemberId),
}

/// Why a proposal or a change was not taken. Retriable unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This member does not lead; ask the one that does.
    #[error("this member does not lead the ensemble")]
    NotLeading,
    /// The leader has no established quorum yet, or hands over.
    #[error("the quorum leader is not ready; try again")]
    NotReady,
    /// Another membership change is not committed yet.
    #[error("another membership change is in progress; try again when it is done")]
    ChangeInProgress,
    /// The member is unknown. Not retriable.
    #[error("no such member")]
    UnknownMember,
    /// The observer has not caught up with the leader yet.
    #[error("the observer has not caught up yet; try again")]
    NotCaughtUp,
    /// The change would leave no voter. Not retriable.
    #[error("the last voter cannot be demoted or removed")]
    LastVoter,
    /// The voters that would remain are no majority that is up to date: nothing could be committed after the change.
    #[error(
        "the voters that would remain are no majority that is up to date; wait until more of them are, or promote others first"
    )]
    NoMajority,
}
