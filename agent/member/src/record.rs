//! The kinds of write-ahead log records and which machine each belongs to.

/// A record of Zab's log (`zab::LogRecord`): coordination replays it.
pub const ZAB: u8 = 1;
/// Batches appended to a partition: the broker replays it.
pub const PARTITION_APPEND: u8 = 2;
/// A partition was cut at an offset: the broker replays it.
pub const PARTITION_TRUNCATE: u8 = 3;

/// A partition left this member with its files: what was written about it before is void.
pub const PARTITION_GONE: u8 = 4;

/// A partition's log has everything on disk that a term began with.
pub const PARTITION_SETTLED: u8 = 5;

/// Which machine a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The coordination machine.
    Coordination,
    /// The broker machine.
    Broker,
}

/// The machine that wrote records of this kind; `None` for a kind of a newer version.
pub fn owner(kind: u8) -> Option<Owner> {
    match kind {
        ZAB => Some(Owner::Coordination),
        PARTITION_APPEND | PARTITION_TRUNCATE | PARTITION_GONE | PARTITION_SETTLED => Some(Owner::Broker),
        _ => None,
    }
}
