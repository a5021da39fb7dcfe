//! Committed offsets of one group.

/// What a consumer committed for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetAndMetadata {
    /// The next offset to read.
    pub offset: i64,
    /// The leader epoch of the record before it; -1 for none.
    pub leader_epoch: i32,
    /// The consumer's own words.
    pub metadata: String,
    /// When, milliseconds since 1970.
    pub timestamp: i64,
}
