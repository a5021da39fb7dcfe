//! The shell of an agent: the only place that does IO.
//!
//! Must not know: what a protocol means; that is `agent/member`'s. Read first: [`config::AgentConfig`], [`compose::run`].

pub mod compose;
pub mod config;
mod coordination_thread;
mod grpc;
mod http;
pub mod logs;
pub mod pod;
mod shell;
mod stopper;
pub mod zoo;
pub mod zoo_cfg;

pub use compose::run;
