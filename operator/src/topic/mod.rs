//! The topics' pipeline, one file per step.
//!
//! Read first: [`validate`].

pub mod validate;
