//! One whole member without IO: coordination and broker, composed from the cores.
//!
//! Two machines, each with one owner: [`coordination`] (Zab, tree, cluster image, ZooKeeper's clients) and `broker`
//! (partitions, replication, groups, Kafka's clients). They take [`io::Input`]s and give [`io::Output`]s; the shell and the
//! simulator drive them alike. A member is brought up from its disk by [`open`].
#![forbid(unsafe_code)]

pub mod broker;
pub mod commit;
pub mod control;
pub mod coordination;
pub mod io;
mod kafka;
pub mod message;
pub mod open;
pub mod record;
pub mod settings;
mod zookeeper;
