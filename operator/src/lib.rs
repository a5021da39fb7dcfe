//! Resources, validation, the plan and its status. Two substrates carry the plan out: local processes (`streamkeeper up`), and
//! Kubernetes ([`kubernetes`], `streamkeeper operator`).
//!
//! Must not know: how processes are run, how agents work inside. Read first: [`crd`], [`manifest`], [`ensemble`], [`execute`].
#![forbid(unsafe_code)]

pub mod agents;
#[cfg(test)]
pub(crate) mod chance;
pub mod crd;
pub mod desired;
mod digest;
pub mod ensemble;
pub mod execute;
pub mod finding;
pub mod kafka_config;
pub mod kubernetes;
pub mod manifest;
mod plant;
pub mod quantity;
pub mod topic;
