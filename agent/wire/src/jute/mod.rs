//! ZooKeeper's client protocol.
//!
//! Read first: [`Request`], [`frame::decode`].

pub mod frame;
mod io;
mod request;
mod response;

#[cfg(test)]
mod tests;

pub use io::{Reader, put_buffer, put_string};
pub use request::{ConnectRequest, Read, Reconfig, Request, RequestHeader, SetWatches, encode_write, op};
pub use response::{
    ConnectResponse, MultiOutcome, ReplyHeader, put_acls, put_stat, put_strings, read_stat, read_strings,
    watch_event,
};

/// The bytes are not what the protocol says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JuteError {
    /// A record ends before its fields do.
    #[error("a record is cut off")]
    CutOff,
    /// A length or count is negative or larger than what is left.
    #[error("a length or count is larger than the frame")]
    Length,
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    Utf8,
    /// A value that its field cannot have.
    #[error("a field has a value that it cannot have")]
    Value,
    /// The frame is longer than `jute.maxbuffer`.
    #[error("a frame of {0} bytes is longer than jute.maxbuffer")]
    TooLong(i64),
    /// The type of the request is not served.
    #[error("request type {0} is not served")]
    Unimplemented(i32),
}
