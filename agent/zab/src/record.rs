//! The durable side of a peer: log records, and what replaying them gives.
//!
//! One log carries promises, epochs and transactions, so "history before epoch" is the order of one file
//! (ZOOKEEPER-4643, 4785, 2354 came from separate ones). Read first: [`LogRecord`], [`Recovery`].

use std::collections::VecDeque;

use streamkeeper_base::{ZabEpoch, Zxid};

use crate::history::{Entry, EpochEnds, History, Window};
use crate::quorum::Membership;

/// What a peer appends to its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogRecord {
    /// No leader of a lower epoch will be followed.
    Promise(ZabEpoch),
    /// Everything before this record is the adopted initial history of the epoch.
    NewLeader(ZabEpoch),
    /// An entry of the order.
    Entry(Entry),
    /// Entries after the zxid are void.
    Truncate(Zxid),
    /// The owner's state at this zxid is in a snapshot file: earlier records are not needed.
    Base {
        /// The highest promise.
        promised: ZabEpoch,
        /// The epoch adopted last.
        current: ZabEpoch,
        /// The snapshot.
        snapshot: SnapshotMeta,
        /// True if the log restarts here (SNAP); false if entries after the snapshot stay valid.
        resets: bool,
    },
}

/// What Zab needs to know about a snapshot of the owner's state; stored inside the snapshot file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// The state's exact zxid.
    pub zxid: Zxid,
    /// Where each epoch up to it ends.
    pub ends: EpochEnds,
    /// The ensemble at it.
    pub membership: Membership,
}

/// Rebuilds a peer's durable state from its newest snapshot and its log records, in order.
#[derive(Debug)]
pub struct Recovery {
    pub(crate) promised: ZabEpoch,
    pub(crate) current: ZabEpoch,
    pub(crate) next_ticket: u64,
    snapshot: SnapshotMeta,
    entries: VecDeque<(Entry, u64)>,
}

impl Recovery {
    /// Starts from the newest snapshot file; `SnapshotMeta::default()` without one.
    pub fn new(snapshot: SnapshotMeta) -> Self {
        let epoch = snapshot.zxid.epoch();
        Self { promised: epoch, current: epoch, next_ticket: 1, snapshot, entries: VecDeque::new() }
    }

    /// The next record of the log.
    ///
    /// # Errors
    /// The text says what contradicts what; the log is damaged then and must not be used.
    pub fn replay(&mut self, record: LogRecord) -> Result<(), String> {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        match record {
            LogRecord::Promise(epoch) => self.promised = self.promised.max(epoch),
            LogRecord::NewLeader(epoch) => {
                self.current = self.current.max(epoch);
                self.promised = self.promised.max(epoch);
            }
            LogRecord::Entry(entry) => self.replay_entry(entry, ticket)?,
            LogRecord::Truncate(to) => {
                while self.entries.back().is_some_and(|(e, _)| e.zxid > to) {
                    self.entries.pop_back();
                }
            }
            LogRecord::Base { promised, current, snapshot, resets } => {
                self.promised = self.promised.max(promised);
                self.current = self.current.max(current);
                if snapshot.zxid > self.snapshot.zxid {
                    return Err(format!(
                        "the log begins after snapshot {}, but the newest readable snapshot is {}",
                        snapshot.zxid, self.snapshot.zxid
                    ));
                }
                if resets {
                    self.entries.clear();
                }
            }
        }
        Ok(())
    }

    fn replay_entry(&mut self, entry: Entry, ticket: u64) -> Result<(), String> {
        let snapshot = self.snapshot.zxid;
        if let Some((last, _)) = self.entries.back()
            && !crate::history::follows(last.zxid, entry.zxid)
        {
            // A snapshot that was installed, and whose own record did not make it, was gone on from: what the log lacks is in it.
            let is_covered = last.zxid <= snapshot
                && (entry.zxid <= snapshot || crate::history::follows(snapshot, entry.zxid));
            if !is_covered {
                return Err(format!("the log has {:?} right after {:?}", entry.zxid, last.zxid));
            }
            self.entries.clear();
        }
        self.entries.push_back((entry, ticket));
        Ok(())
    }

    /// True if nothing was ever stored.
    pub fn is_empty(&self) -> bool {
        self.next_ticket == 1 && self.snapshot.zxid == Zxid::ZERO
    }

    /// How many log records were replayed.
    pub fn records(&self) -> u64 {
        self.next_ticket - 1
    }

    /// The log in memory. A snapshot newer than the whole log is legal: an installed one whose log record did not make it
    /// (ZOOKEEPER-2354: that state must recover, not loop).
    pub(crate) fn into_history(self, bootstrap: Membership, window: Window) -> Result<History, String> {
        let Self { snapshot, entries, .. } = self;
        let membership = if snapshot.membership.members.is_empty() { bootstrap } else { snapshot.membership };
        let mut history = History::new(snapshot.zxid, snapshot.ends, membership, window);
        for (entry, ticket) in entries {
            if entry.zxid <= snapshot.zxid {
                continue;
            }
            if !crate::history::follows(history.last(), entry.zxid) && history.last() != Zxid::ZERO {
                return Err(format!("the log goes on with {:?} after {:?}", entry.zxid, history.last()));
            }
            history.append(entry, ticket);
        }
        Ok(history)
    }
}
