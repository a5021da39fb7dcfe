//! The cluster image and what the quorum leader decides about it: members, topics, partition states, rebalancing.
//!
//! Must not know: Zab, the wire, the disk. A [`Command`] is prepared against the image into [`Delta`]s, ordered by Zab, and
//! applied by every member. Read first: [`ClusterImage`], [`Command`].
#![forbid(unsafe_code)]

mod codec;
mod command;
mod configs;
mod election;
mod guard;
mod image;
mod operation;
mod partitions;
mod placement;
mod planner;
mod prep;
mod rebalance;
mod recovery;
mod registration;
mod resting;
mod safety;
mod topic;
mod topic_changes;

#[cfg(test)]
mod tests;

pub use command::{Answer, Command, CommandError, NewTopic, Outcome, decode_answer, encode_answer};
pub use configs::{
    BROKER_CONFIGS, ConfigKey, ConfigSource, ConfigType, MIN_INSYNC_OF_THREE, Rule, Settings, Synonym,
    TOPIC_CONFIGS, UpdateMode, broker_key, broker_synonyms, check_broker, check_dynamic, check_topic,
    is_read_only, topic_synonyms, topic_value,
};
pub use guard::{Admitted, Guard, REQUEST_ID_BYTES_MAX};
pub use image::{ClusterImage, Delta, LogReport, Member, Partition, Topic};
pub use operation::Operation;
pub use planner::{Move, Skew, plan, plan_drains, skew, with_cordoned};
pub use rebalance::{Begun, Policy, Rebalance, Run, bytes_of, due_moves, next_command};
pub use recovery::{Recovery, Wait, recovery};
pub use resting::leads;
pub use safety::{Blocker, BlockerKind, Verdict, removal, restart};
pub use topic::check_topic_name;
