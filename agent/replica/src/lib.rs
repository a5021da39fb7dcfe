//! One replica of one partition: what it appends, sends, truncates, acknowledges, and who is in sync.
//!
//! Must not know: the log's files, sockets, other partitions. Read first: [`Event`], [`Action`], then [`high_watermark`].
#![forbid(unsafe_code)]

mod durable_end;
mod follower;
pub mod high_watermark;
mod leader;
pub mod message;
mod partition;
pub mod producer_state;
mod reassignment;
mod settling;

#[cfg(test)]
mod tests;

pub use message::Message;
pub use partition::{Action, Assignment, Event, LogView, Partition, ProduceError, RequestId};
pub use producer_state::{Producers, Verdict};
