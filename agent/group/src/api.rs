//! What goes in and what comes out: requests, replies, actions. Together they are the group protocol.
//!
//! Must not know: how a group gets from one to the other. Read first: [`Reply`], [`Action`].

use std::time::Duration;

use bytes::Bytes;

use crate::offsets::OffsetAndMetadata;

/// A request, as the owner numbers it.
pub type RequestId = u64;

/// Times and bounds.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// A group that begins waits this long for more members (`group.initial.rebalance.delay.ms`).
    pub initial_rebalance_delay: Duration,
    /// Session timeouts that members may ask for, milliseconds.
    pub session_timeout_ms: (i32, i32),
    /// Longest metadata of a commit (`offset.metadata.max.bytes`; Kafka counts UTF-16 units in spite of the name).
    pub metadata_bytes_max: usize,
    /// Members of one group (`group.max.size`).
    pub group_size_max: usize,
    /// Offsets of a group outlive its last member by this (`offsets.retention.minutes`, KIP-211).
    pub offsets_retention: Duration,
}

/// A member wants to be in.
#[derive(Clone, Debug, Default)]
pub struct Join {
    /// The group.
    pub group: String,
    /// Empty for a new member.
    pub member: String,
    /// Its static name (KIP-345).
    pub instance: Option<String>,
    /// What it calls itself.
    pub client_id: String,
    /// Where it comes from.
    pub client_host: String,
    /// Milliseconds.
    pub session_timeout_ms: i32,
    /// Milliseconds.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, most often.
    pub protocol_type: String,
    /// By preference.
    pub protocols: Vec<(String, Bytes)>,
    /// False for old versions that cannot be told to come back with an id (before 4).
    pub can_require_id: bool,
    /// True for versions that let a leader skip its assignment (from 9, KIP-814).
    pub can_skip_assignment: bool,
}

/// A member brings, or asks for, assignments.
#[derive(Clone, Debug, Default)]
pub struct Sync {
    /// The group.
    pub group: String,
    /// The generation.
    pub generation: i32,
    /// The member.
    pub member: String,
    /// Its static name.
    pub instance: Option<String>,
    /// What the member believes the protocol's type to be; checked if it says so (from version 5, KIP-559).
    pub protocol_type: Option<String>,
    /// What the member believes the chosen protocol to be; checked if it says so (from version 5, KIP-559).
    pub protocol: Option<String>,
    /// By member; only the leader brings any.
    pub assignments: Vec<(String, Bytes)>,
}

/// One member that leaves.
#[derive(Clone, Debug, Default)]
pub struct Leave {
    /// Its id; may be empty with a static name.
    pub member: String,
    /// Its static name.
    pub instance: Option<String>,
}

/// Offsets to be committed.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The group.
    pub group: String,
    /// -1 for a consumer without a membership.
    pub generation: i32,
    /// The member; empty without a membership.
    pub member: String,
    /// Its static name.
    pub instance: Option<String>,
    /// Topic, partition, what is committed.
    pub offsets: Vec<(String, i32, OffsetAndMetadata)>,
}

/// A committed offset that was asked for: topic, partition, the offset if there is one.
pub type Committed = (String, i32, Option<OffsetAndMetadata>);

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To a join.
    Joined {
        /// Kafka's error number.
        error: i16,
        /// The generation.
        generation: i32,
        /// The protocol's type.
        protocol_type: Option<String>,
        /// The protocol chosen.
        protocol: Option<String>,
        /// The leading member.
        leader: String,
        /// The member's id.
        member: String,
        /// For the leader: all members with their static names and subscriptions.
        members: Vec<(String, Option<String>, Bytes)>,
        /// True if the leader need not assign anew.
        skip_assignment: bool,
    },
    /// To a sync.
    Synced {
        /// Kafka's error number.
        error: i16,
        /// The protocol's type.
        protocol_type: Option<String>,
        /// The protocol chosen.
        protocol: Option<String>,
        /// What the member was given.
        assignment: Bytes,
    },
    /// To a commit: one error for all but those whose metadata is too long.
    Committed {
        /// Kafka's error number.
        error: i16,
        /// Indices into [`Commit::offsets`] of those answered `OFFSET_METADATA_TOO_LARGE`, whatever `error` says.
        too_long: Vec<usize>,
    },
    /// To the deletion of a group.
    Deleted {
        /// Kafka's error number.
        error: i16,
    },
}

/// What the owner must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answer.
    Reply {
        /// Whom.
        request: RequestId,
        /// What.
        reply: Reply,
    },
    /// Append records with acks=all, then [`Coordinator::appended`].
    Append {
        /// Comes back.
        token: u64,
        /// Key and value; no value deletes.
        records: Vec<(Bytes, Option<Bytes>)>,
    },
}

/// A group for `describe`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// Kafka's error number.
    pub error: i16,
    /// Kafka's name of the state.
    pub state: &'static str,
    /// The protocol's type.
    pub protocol_type: String,
    /// The protocol chosen.
    pub protocol: String,
    /// The members.
    pub members: Vec<DescribedMember>,
}

/// A member for `describe`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub id: String,
    /// Its static name.
    pub instance: Option<String>,
    /// What it calls itself.
    pub client_id: String,
    /// Where it comes from.
    pub client_host: String,
    /// What it subscribes to.
    pub subscription: Bytes,
    /// What it was given.
    pub assignment: Bytes,
}

/// A group for `list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The group.
    pub group: String,
    /// The protocol's type.
    pub protocol_type: String,
    /// Kafka's name of the state.
    pub state: &'static str,
}
