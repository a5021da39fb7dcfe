//! Zab: atomic broadcast of opaque transactions, as a pure state machine.
//!
//! Must not know: what a transaction means, how frames travel, what a disk is. Read first: [`Event`], [`Action`].
//!
//! The phases are files: [`election`] finds a candidate, [`discovery`] makes a quorum promise its epoch,
//! [`synchronization`] gives everyone its history, [`broadcast`] orders transactions. Safety never rests on the election:
//! a leader refuses to go on when a follower's (current epoch, last zxid) is ahead of its own (Zab phase 1).
#![forbid(unsafe_code)]

mod action;
mod broadcast;
mod codec;
mod discovery;
mod election;
mod event;
mod follower;
mod history;
mod leader;
mod message;
mod peer;
mod quorum;
mod record;
mod synchronization;

#[cfg(test)]
mod tests;

pub use action::{Action, RoleName};
pub use codec::DecodeError;
pub use event::{Event, MembershipChange, ProposeError};
pub use history::{Entry, EpochEnds, Payload};
pub use message::Message;
pub use peer::{Config, Peer, Timing};
pub use quorum::{Member, MemberRole, Membership};
pub use record::{LogRecord, Recovery, SnapshotMeta};

/// How many transactions the in-memory window holds at most, for tests that must overflow it.
#[cfg(test)]
pub(crate) fn history_window_for_tests() -> usize {
    streamkeeper_base::limits::COMMITTED_WINDOW_TXNS_MAX
}
