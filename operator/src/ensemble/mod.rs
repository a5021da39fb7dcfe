//! The ensemble's pipeline, one file per step.
//!
//! Read first: [`validate`].

pub mod validate;
