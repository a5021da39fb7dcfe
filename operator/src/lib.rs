//! Resources, validation and the plan. Two substrates carry the plan out: local processes (`streamkeeper up`), and Kubernetes, which is
//! not built yet.
//!
//! Must not know: processes, sockets. Read first: [`crd`], [`manifest`], [`plan`].
#![forbid(unsafe_code)]

pub mod crd;
pub mod desired;
pub mod ensemble;
pub mod finding;
pub mod kafka_config;
pub mod manifest;
pub mod plan;
pub mod topic;
