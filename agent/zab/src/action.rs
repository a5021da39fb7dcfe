//! What the owner must do for a peer, in order.

use bytes::Bytes;
use streamkeeper_base::{MemberId, ZabEpoch, Zxid};

use crate::message::Message;
use crate::quorum::Membership;
use crate::record::LogRecord;

/// What the owner must do. Order within one step is the order of effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Append a record to the log; completions come back as [`crate::Event::Persisted`], cumulative.
    Persist {
        /// Rises by one with each record.
        ticket: u64,
        /// What to append.
        record: LogRecord,
    },
    /// Send over the current link to a peer; lost if there is none.
    Send {
        /// The peer.
        to: MemberId,
        /// What to say.
        message: Message,
    },
    /// Cut the link to a peer: what follows on it could not be understood.
    Disconnect(MemberId),
    /// A transaction is committed: apply it. Each comes exactly once per start, in zxid order.
    Deliver {
        /// Its place in the order.
        zxid: Zxid,
        /// The transaction.
        txn: Bytes,
    },
    /// A membership is committed at this place in the order.
    DeliverMembership {
        /// Its place in the order.
        zxid: Zxid,
        /// The ensemble from now on.
        membership: Membership,
    },
    /// The role changed. Speculative state of the old role is void; only delivered state counts (ZOOKEEPER-2845, 3642).
    RoleChanged {
        /// The new role.
        role: RoleName,
        /// Whom this member follows or that it leads itself; only set when it may serve clients.
        leader: Option<MemberId>,
        /// The epoch of that leader.
        epoch: ZabEpoch,
    },
    /// A learner is too far behind for the log: answer with [`crate::Event::SnapshotSupplied`].
    SupplySnapshot {
        /// The learner.
        to: MemberId,
    },
    /// Replace the owner's whole state, make it durable, then report [`crate::Event::SnapshotInstalled`].
    InstallSnapshot {
        /// The state's exact zxid.
        zxid: Zxid,
        /// The state in chunks.
        chunks: Vec<Bytes>,
    },
    /// A quorum confirmed after the request that this member still leads.
    SyncDone {
        /// The request's token.
        token: u64,
        /// Reads that see this zxid see everything committed before the request.
        zxid: Zxid,
    },
    /// The round cannot be confirmed: this member does not lead any more.
    SyncFailed {
        /// The request's token.
        token: u64,
    },
    /// Log records below the ticket are no longer needed.
    Release {
        /// The first ticket that is.
        below: u64,
    },
    /// The hand-over is done: the process may stop.
    HandedOver,
}

/// What a peer is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleName {
    /// Searching for a leader; clients are not served.
    Looking,
    /// Found a leader, not synchronized yet; clients are not served.
    Joining,
    /// Follows a leader as a voter.
    Following,
    /// Follows a leader without a vote.
    Observing,
    /// Leads, but no quorum has taken over its history yet; clients are not served.
    Preparing,
    /// Leads.
    Leading,
}

impl RoleName {
    /// True when clients may be served.
    pub fn serves(self) -> bool {
        matches!(self, Self::Following | Self::Observing | Self::Leading)
    }
}
