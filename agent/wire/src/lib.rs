//! Wire formats: ZooKeeper's jute, Kafka's protocol, frames between agents.
//!
//! Must not know: what a request does. Bytes from outside give errors, never panics, and memory never follows a claimed length.
#![forbid(unsafe_code)]

pub mod jute;
pub mod kafka;
pub mod peer;
pub mod record;
