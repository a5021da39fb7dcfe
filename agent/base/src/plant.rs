//! Known bugs of the peers, planted on purpose to prove that the simulator finds them. Only builds with the feature `plants`
//! have them (the simulator's); everywhere else [`is_planted`] is a constant `false` that the compiler removes.

macro_rules! plants {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A bug that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Plant {
            $($(#[$doc])* $name,)*
        }

        impl Plant {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name on a command line.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

plants! {
    /// ZOOKEEPER-4646, 3911: NEWLEADER is acknowledged before the history it stands for is on disk.
    AckNewLeaderEarly = "ack-new-leader-early",
    /// ZOOKEEPER-4643's class: a proposal is acknowledged before it is on disk.
    AckProposalEarly = "ack-proposal-early",
    /// ZOOKEEPER-4646's class, at the leader: the flush of its NewLeader record counts for everything it logged since.
    OwnFlushCoversAll = "own-flush-covers-all",
    /// KAFKA's default: acknowledged records need not be on any disk.
    NoFlush = "no-flush",
    /// KIP-101, KAFKA-6361: a follower keeps its log when the leader changes instead of cutting where epochs part.
    NoTruncation = "no-truncation",
    /// KAFKA-9491's class: a new leader shows a high watermark that it has not proved.
    UnprovedHighWatermark = "unproved-high-watermark",
    /// KIP-497 ignored: a member that is proposed into the ISR does not count until it is committed.
    MinimalIsr = "minimal-isr",
    /// A leader believes the head of a batch and does not look at its records.
    UnreadRecords = "unread-records",
}

#[cfg(feature = "plants")]
mod planted {
    use std::cell::Cell;

    use super::Plant;

    thread_local! {
        static PLANTED: Cell<Option<Plant>> = const { Cell::new(None) };
    }

    /// Plants a bug for this thread, or none.
    pub fn set(plant: Option<Plant>) {
        PLANTED.with(|planted| planted.set(plant));
    }

    /// True if the bug is planted.
    pub fn is_planted(plant: Plant) -> bool {
        PLANTED.with(|planted| planted.get() == Some(plant))
    }
}

#[cfg(feature = "plants")]
pub use planted::{is_planted, set};

/// False: this build has no planted bugs.
#[cfg(not(feature = "plants"))]
pub const fn is_planted(_plant: Plant) -> bool {
    false
}
