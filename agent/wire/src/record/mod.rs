//! Record batches: validation of what producers send, records inside, batches of our own.
//!
//! Must not know: partitions. Read first: [`Validator`], [`records`], [`Builder`].

mod builder;
mod compression;
mod deflate;
mod inflate;
mod reading;
mod source;
mod validation;
mod varint;
mod walk;

pub use builder::Builder;
pub use compression::Compression;
pub use deflate::Packing;
pub use reading::{Record, find, records};
pub use validation::{Accepted, Refusal, Rules, Timestamps, Validator};
