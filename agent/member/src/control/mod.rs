//! What those who run an ensemble ask of it: changes, and how it stands. Pure: gRPC is the shell's.
//!
//! A question goes to the quorum leader as [`Change`] or as a survey; the leader's [`Facts`] together with the cluster image answer
//! everything else, on whichever member was asked. Must not know: gRPC. Read first: [`Change`], [`Facts`], then [`verdict`] for
//! what blocks a restart or a removal, [`progress`] for a rebalance.

mod change;
mod facts;
pub mod progress;
pub mod verdict;

#[cfg(test)]
mod tests;

pub use change::Change;
pub use facts::{Facts, MemberFacts, Report, Said};
pub use streamkeeper_controller::{
    BROKER_CONFIGS, Blocker, BlockerKind, ClusterImage, Command, CommandError, ConfigKey, Guard,
    Member as RegisteredMember, NewTopic, Operation, Outcome, Partition, Policy, TOPIC_CONFIGS, Topic,
    Verdict, leads,
};
pub use streamkeeper_zab::{Membership, MembershipChange, RoleName};
