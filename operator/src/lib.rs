//! Resources, validation and the plan. Two substrates carry the plan out: local processes (`streamkeeper up`), and Kubernetes, which is
//! not built yet.
//!
//! Must not know: processes, sockets. Read first: [`manifest`], [`plan`].
#![forbid(unsafe_code)]

pub mod manifest;
pub mod plan;
