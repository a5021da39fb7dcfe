//! The coordinator of the groups of one `__consumer_offsets` partition: members, generations, assignments, offsets.
//!
//! Must not know: the wire, the log. A commit is answered when its records are; loading is replaying them.
//! Read first: [`Coordinator`], [`Action`].
#![forbid(unsafe_code)]

mod api;
mod coordinator;
mod describe;
mod group;
mod join;
mod leave;
mod offsets;
pub mod records;
mod subscription;
mod sync;

#[cfg(test)]
mod tests;

pub use api::{
    Action, Commit, Committed, Config, Described, DescribedMember, Join, Leave, Listed, Reply, RequestId,
    Sync,
};
pub use coordinator::{Coordinator, partition_for};
pub use offsets::OffsetAndMetadata;

/// Kafka's error numbers that a coordinator answers with.
pub mod error {
    #![allow(missing_docs, reason = "the names are the protocol's own")]
    pub const NONE: i16 = 0;
    pub const OFFSET_METADATA_TOO_LARGE: i16 = 12;
    pub const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
    pub const COORDINATOR_NOT_AVAILABLE: i16 = 15;
    pub const NOT_COORDINATOR: i16 = 16;
    pub const ILLEGAL_GENERATION: i16 = 22;
    pub const INCONSISTENT_GROUP_PROTOCOL: i16 = 23;
    pub const INVALID_GROUP_ID: i16 = 24;
    pub const UNKNOWN_MEMBER_ID: i16 = 25;
    pub const INVALID_SESSION_TIMEOUT: i16 = 26;
    pub const REBALANCE_IN_PROGRESS: i16 = 27;
    pub const INVALID_REQUEST: i16 = 42;
    pub const NON_EMPTY_GROUP: i16 = 68;
    pub const GROUP_ID_NOT_FOUND: i16 = 69;
    pub const MEMBER_ID_REQUIRED: i16 = 79;
    pub const GROUP_MAX_SIZE_REACHED: i16 = 81;
    pub const FENCED_INSTANCE_ID: i16 = 82;
}
