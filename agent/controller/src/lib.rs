//! The cluster image and what the quorum leader decides about it: members, topics, partition states, rebalancing.
//!
//! Must not know: Zab, the wire, the disk. A [`Command`] is prepared against the image into [`Delta`]s, ordered by Zab, and
//! applied by every member. Read first: [`ClusterImage`], [`Command`].
#![forbid(unsafe_code)]

mod codec;
mod command;
mod configs;
mod election;
mod image;
mod partitions;
mod placement;
mod planner;
mod prep;
mod rebalance;
mod topic;

#[cfg(test)]
mod tests;

pub use command::{Answer, Command, CommandError, NewTopic, Outcome, decode_answer, encode_answer};
pub use configs::{BROKER_CONFIGS, ConfigKey, ConfigType, TOPIC_CONFIGS, topic_value};
pub use image::{ClusterImage, Delta, Member, Partition, Topic};
pub use planner::{Move, Skew, plan, skew};
pub use rebalance::next_command;
