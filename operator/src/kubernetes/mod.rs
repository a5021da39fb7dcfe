//! The substrate of the plan on Kubernetes, and the verb `streamkeeper operator`.
//!
//! ```text
//! read -> validate -> build -> apply -> facts and agents -> plan -> substrate -> status
//! ```
//! Each step is a file. `build`, `facts`, `validate`, `record` and `differs` are functions of values; only `read`, `apply`, `substrate`,
//! `topics` and `report` talk to the API server, through [`api::Api`], which is small enough to be modelled. Must not know: how agents
//! work. Read first: [`api`], [`reconcile`].

pub mod api;
pub mod apply;
pub mod build;
pub mod cache;
pub mod claim;
pub mod client;
pub mod differs;
pub mod events;
pub mod facts;
pub mod filling;
pub mod follow;
pub mod http;
pub mod lease;
pub mod metrics;
pub mod names;
pub mod rbac;
pub mod read;
pub mod reconcile;
pub mod record;
pub mod report;
pub mod run;
pub mod substrate;
pub mod taken;
mod topic_state;
pub mod topics;
pub mod validate;

#[cfg(test)]
mod tests;
