//! The topics' pipeline, one file per step.
//!
//! Read first: [`plan`].

pub mod adopt;
pub(crate) mod plan;
pub mod status;
pub mod validate;
