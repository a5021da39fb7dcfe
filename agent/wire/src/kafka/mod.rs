//! Kafka's client protocol: messages (generated), headers, frames, error numbers.
//!
//! Read first: [`codec`], [`api`].

pub mod api;
pub mod codec;
pub mod error;
pub mod frame;
pub mod generated;

#[cfg(test)]
mod tests;

pub use codec::{Decoder, Encoder, KafkaError, Records};
pub use error::ErrorCode;
