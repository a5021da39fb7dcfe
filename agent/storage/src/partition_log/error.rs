//! What can go wrong with a partition's log.

use std::io;
use std::path::PathBuf;

use streamkeeper_base::Offset;

use crate::disk::is_full;

/// Why a log cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk refuses; [`LogError::is_full`] tells the one case that passes.
    #[error("{path}: {source}{}", next_step(source))]
    Io {
        /// The log's directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was durable does not read back: rot, not a torn tail (the PAR rule). Nothing was changed.
    #[error(
        "{path}: the log is damaged at offset {offset}, but everything below {durable} was durable; \
         nothing is cut. Restore the file, or remove the whole data directory, so that this member is \
         known to hold nothing and is refilled from its peers"
    )]
    Damaged {
        /// The log's directory.
        path: PathBuf,
        /// The first offset that does not read back.
        offset: Offset,
        /// What was known to be durable.
        durable: Offset,
    },
    /// An offset that the log does not hold (any more, or yet).
    #[error("offset {offset} is outside the log, which holds {start} to {end}")]
    OutOfRange {
        /// What was asked for.
        offset: Offset,
        /// The first readable offset.
        start: Offset,
        /// The offset after the last one.
        end: Offset,
    },
    /// Bytes that are not whole batches which continue the log, in offsets and epochs. Nothing was appended.
    #[error("the bytes to append are not whole batches from offset {expected} on")]
    NotContiguous {
        /// The log's end.
        expected: Offset,
    },
}

impl LogError {
    /// True if the disk is full: retriable, and nothing is wrong with what the log holds.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full(source))
    }
}

/// What to do about the one refusal that passes.
fn next_step(source: &io::Error) -> &'static str {
    if is_full(source) { "; make room on its file system and start the member again" } else { "" }
}
