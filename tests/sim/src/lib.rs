//! The whole cluster in one thread: real members (`agent/member`) fed with real client bytes on a simulated clock, network and
//! disks, everything from one seed.
//!
//! A seed gives a set of options (printed), a time of chaos in which safety is checked after every event, then a heal after which
//! the cluster must converge and hold everything that it acknowledged. Must not know: how a member does it. Read first:
//! [`run::run`], [`world::World`], then `checker` for what must hold (the names Z.. and K.. are those of ARCHITECTURE.md).
#![forbid(unsafe_code)]

mod checker;
mod host;
mod nemesis;
mod network;
pub mod options;
pub mod run;
mod trace;
mod workload;
pub mod world;
