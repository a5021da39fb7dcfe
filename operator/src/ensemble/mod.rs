//! The ensemble's pipeline, one file per step: observe -> validate -> plan -> execute -> status.
//!
//! Read first: [`observed`], [`plan`].

pub mod observe;
pub mod observed;
pub mod plan;
pub mod status;
pub mod validate;
