//! Newtypes for every integer with a unit, so that an offset is never passed where an epoch is meant.

use std::fmt;

use crate::limits::ZXID_COUNTER_BITS;

macro_rules! integer_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

integer_id!(
    /// An agent: its pod ordinal, ZooKeeper's server id and Kafka's node id in one number.
    MemberId(i32)
);
integer_id!(
    /// A Zab epoch, 24 bits: the term of one quorum leader.
    ZabEpoch(u32)
);
integer_id!(
    /// A ZooKeeper client session: never 0 and never `i64::MIN`.
    SessionId(i64)
);
integer_id!(
    /// The offset of a record in a partition; as an end it is exclusive.
    Offset(i64)
);
integer_id!(
    /// The term of one partition leader.
    LeaderEpoch(i32)
);
integer_id!(
    /// The version of a partition's state in the cluster image; fences ISR changes.
    PartitionEpoch(i32)
);
integer_id!(
    /// A partition's number within its topic.
    PartitionId(i32)
);
integer_id!(
    /// An idempotent producer, unique forever in a cluster.
    ProducerId(i64)
);
integer_id!(
    /// The generation of a producer id.
    ProducerEpoch(i16)
);
integer_id!(
    /// A position in an agent's write-ahead log: the count of records ever appended to it.
    Lsn(u64)
);

impl ZabEpoch {
    /// The greatest epoch a zxid can carry.
    pub const MAX: Self = Self((1 << (64 - ZXID_COUNTER_BITS - 1)) - 1);

    /// The next epoch.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Offset {
    /// The first offset of a partition.
    pub const ZERO: Self = Self(0);

    /// The offset `count` records later.
    pub const fn plus(self, count: i64) -> Self {
        Self(self.0 + count)
    }
}

impl Lsn {
    /// The next position.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A transaction's place in Zab's total order: epoch (24 bits) << 40 | counter (40 bits). Clients only compare it.
///
/// ZooKeeper splits 32/32; its counter overflows within hours at high rates (ZOOKEEPER-1277).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zxid(pub i64);

impl Zxid {
    /// Before every transaction.
    pub const ZERO: Self = Self(0);

    /// The `counter`-th transaction of `epoch`; counter 0 names the epoch itself and no transaction.
    pub const fn new(epoch: ZabEpoch, counter: u64) -> Self {
        Self(((epoch.0 as i64) << ZXID_COUNTER_BITS) | counter as i64)
    }

    /// The epoch part.
    pub const fn epoch(self) -> ZabEpoch {
        ZabEpoch((self.0 >> ZXID_COUNTER_BITS) as u32)
    }

    /// The counter part.
    pub const fn counter(self) -> u64 {
        (self.0 & ((1 << ZXID_COUNTER_BITS) - 1)) as u64
    }

    /// The next transaction of the same epoch.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Debug for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.epoch().0, self.counter())
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// The id that names nothing.
            pub const ZERO: Self = Self([0; 16]);

            /// True for the id that names nothing.
            pub fn is_zero(&self) -> bool {
                self.0 == [0; 16]
            }

            /// Reads 32 hexadecimal digits, hyphens ignored.
            pub fn from_hex(text: &str) -> Option<Self> {
                let digits: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
                if digits.len() != 32 {
                    return None;
                }
                let mut out = [0; 16];
                for (byte, pair) in out.iter_mut().zip(digits.chunks(2)) {
                    let pair = std::str::from_utf8(pair).ok()?;
                    *byte = u8::from_str_radix(pair, 16).ok()?;
                }
                Some(Self(out))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for (i, b) in self.0.iter().enumerate() {
                    if matches!(i, 4 | 6 | 8 | 10) {
                        write!(f, "-")?;
                    }
                    write!(f, "{b:02x}")?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

uuid_id!(
    /// A topic's identity: deleting and creating a topic of the same name gives a new one (KIP-516).
    TopicId
);
uuid_id!(
    /// What a disk is known to hold: an empty, foreign or uncleanly restarted disk is a new incarnation.
    Incarnation
);
uuid_id!(
    /// A data directory from its making on: the same over unclean restarts, another one when it is empty or foreign.
    DiskId
);
uuid_id!(
    /// A cluster's identity.
    ClusterId
);

/// One partition of one topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicId,
    /// The partition's number.
    pub partition: PartitionId,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zxid_orders_by_epoch_then_counter() {
        let low = Zxid::new(ZabEpoch(1), (1 << 40) - 1);
        let high = Zxid::new(ZabEpoch(2), 0);
        assert!(low < high);
        assert_eq!((low.epoch(), low.counter()), (ZabEpoch(1), (1 << 40) - 1));
        assert!(Zxid::new(ZabEpoch::MAX, 1).0 > 0, "a zxid stays positive for clients");
    }

    #[test]
    fn a_uuid_reads_what_it_prints() {
        let id = TopicId([7; 16]);
        assert_eq!(TopicId::from_hex(&id.to_string()), Some(id));
        assert_eq!(TopicId::from_hex("07"), None);
        assert_eq!(TopicId::from_hex("zz070707070707070707070707070707"), None);
    }
}
