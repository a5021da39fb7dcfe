//! The transaction log as a peer sees it: what it holds in memory, where epochs end, what is committed and delivered.
//!
//! Must not know: who leads. Read first: [`History`], [`EpochEnds`].

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use streamkeeper_base::{ZabEpoch, Zxid};

use crate::peer::Timing;
use crate::quorum::{Membership, Quorums};

/// One place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The place.
    pub zxid: Zxid,
    /// What is there.
    pub payload: Payload,
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A transaction of the owner.
    Txn(Bytes),
    /// A change of the ensemble.
    Config(Membership),
}

impl Payload {
    /// What it takes in memory, about.
    fn bytes(&self) -> usize {
        match self {
            Self::Txn(bytes) => bytes.len(),
            Self::Config(membership) => membership.members.values().map(|member| member.data.len()).sum(),
        }
    }
}

/// How much of what was delivered is kept for peers that lag behind: as long as both hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) txns: usize,
    pub(crate) bytes: usize,
}

impl Window {
    pub(crate) fn of(timing: &Timing) -> Self {
        Self { txns: timing.committed_window_txns, bytes: timing.committed_window_bytes }
    }
}

/// For each epoch, the last zxid logged in it: lets a leader find where a learner's history left its own (TRUNC across epochs).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochEnds(pub(crate) BTreeMap<ZabEpoch, Zxid>);

impl EpochEnds {
    pub(crate) fn record(&mut self, zxid: Zxid) {
        self.0.insert(zxid.epoch(), zxid);
    }

    pub(crate) fn truncate(&mut self, to: Zxid) {
        self.0.retain(|epoch, _| *epoch <= to.epoch());
        if to != Zxid::ZERO {
            self.0.insert(to.epoch(), to);
        }
    }

    /// The last zxid that both histories hold: within one epoch logs agree up to the shorter one, because one leader wrote both.
    pub(crate) fn common(&self, other: &Self) -> Zxid {
        let shared =
            self.0.iter().rev().find_map(|(epoch, mine)| other.0.get(epoch).map(|theirs| *mine.min(theirs)));
        shared.unwrap_or(Zxid::ZERO)
    }

    pub(crate) fn last(&self) -> Zxid {
        self.0.values().next_back().copied().unwrap_or(Zxid::ZERO)
    }
}

/// A logged entry and the log ticket that carries it.
#[derive(Clone, Debug)]
struct Logged {
    entry: Entry,
    ticket: u64,
}

/// The log. Ordered chain, checked after each step: `base <= delivered <= committed <= last`.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// Everything up to here is only in the owner's state (or trimmed from memory); entries follow it.
    base: Zxid,
    entries: VecDeque<Logged>,
    /// Of their payloads.
    bytes: usize,
    ends: EpochEnds,
    /// The newest zxid known to be committed.
    committed: Zxid,
    /// The newest zxid handed to the owner.
    delivered: Zxid,
    /// The membership as of `delivered`.
    membership: Membership,
    /// Memberships that are logged but not delivered, in order.
    proposed: VecDeque<(Zxid, Membership)>,
    /// The newest snapshot file's zxid: log records up to it are not needed.
    snapshot: Zxid,
    window: Window,
}

impl History {
    pub(crate) fn new(snapshot: Zxid, ends: EpochEnds, membership: Membership, window: Window) -> Self {
        Self {
            base: snapshot,
            entries: VecDeque::new(),
            bytes: 0,
            ends,
            committed: snapshot,
            delivered: snapshot,
            membership,
            proposed: VecDeque::new(),
            snapshot,
            window,
        }
    }

    pub(crate) fn base(&self) -> Zxid {
        self.base
    }

    pub(crate) fn last(&self) -> Zxid {
        self.entries.back().map_or(self.base, |l| l.entry.zxid)
    }

    pub(crate) fn committed(&self) -> Zxid {
        self.committed
    }

    pub(crate) fn delivered(&self) -> Zxid {
        self.delivered
    }

    pub(crate) fn ends(&self) -> &EpochEnds {
        &self.ends
    }

    /// The membership of everything delivered.
    pub(crate) fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The configurations that must agree. A change is only proposed once the one before it is committed, so of several
    /// undelivered ones all but the newest are known to be committed.
    pub(crate) fn quorums(&self) -> Quorums<'_> {
        let newest = self.proposed.back().map(|(_, m)| m);
        let before = self.proposed.len().checked_sub(2).and_then(|i| self.proposed.get(i)).map(|(_, m)| m);
        Quorums { committed: before.unwrap_or(&self.membership), proposed: newest }
    }

    /// True while a membership change is logged but not delivered.
    pub(crate) fn is_changing(&self) -> bool {
        !self.proposed.is_empty()
    }

    /// Appends; the log has no holes (invariant Z11): a zxid follows its predecessor or begins a later epoch.
    pub(crate) fn append(&mut self, entry: Entry, ticket: u64) {
        assert!(
            follows(self.last(), entry.zxid),
            "a hole in the log: {:?} after {:?}",
            entry.zxid,
            self.last()
        );
        self.ends.record(entry.zxid);
        if let Payload::Config(membership) = &entry.payload {
            self.proposed.push_back((entry.zxid, membership.clone()));
        }
        self.bytes += entry.payload.bytes();
        self.entries.push_back(Logged { entry, ticket });
    }

    /// Cuts everything after `to`. Never below what is committed (invariant Z15).
    pub(crate) fn truncate(&mut self, to: Zxid) {
        assert!(
            to >= self.committed && to >= self.base,
            "truncation to {to:?} below committed {:?}",
            self.committed
        );
        while let Some(cut) = self.entries.pop_back_if(|l| l.entry.zxid > to) {
            self.bytes -= cut.entry.payload.bytes();
        }
        while self.proposed.back().is_some_and(|(zxid, _)| *zxid > to) {
            self.proposed.pop_back();
        }
        assert_eq!(self.last(), to, "the log has no entry to truncate to");
        self.ends.truncate(to);
    }

    /// Starts anew from a state that the owner installed.
    pub(crate) fn reset(&mut self, snapshot: Zxid, ends: EpochEnds, membership: Membership) {
        *self = Self::new(snapshot, ends, membership, self.window);
    }

    /// True if the log holds this very entry, or it is the base.
    pub(crate) fn contains(&self, zxid: Zxid) -> bool {
        zxid == self.base || self.position(zxid).is_some()
    }

    /// The entries after `zxid`, which is in the log or its base.
    pub(crate) fn after(&self, zxid: Zxid) -> impl Iterator<Item = &Entry> {
        let start = self.entries.partition_point(|l| l.entry.zxid <= zxid);
        self.entries.range(start..).map(|l| &l.entry)
    }

    fn position(&self, zxid: Zxid) -> Option<usize> {
        self.entries.binary_search_by_key(&zxid, |l| l.entry.zxid).ok()
    }

    /// Learns that everything up to `zxid` is committed, as far as it is logged.
    pub(crate) fn commit(&mut self, zxid: Zxid) {
        self.committed = self.committed.max(zxid.min(self.last()));
    }

    /// The next committed entry that the owner has not seen; it counts as delivered.
    pub(crate) fn deliver_next(&mut self) -> Option<Entry> {
        let start = self.entries.partition_point(|l| l.entry.zxid <= self.delivered);
        let entry = &self.entries.get(start)?.entry;
        if entry.zxid > self.committed {
            return None;
        }
        self.delivered = entry.zxid;
        if let Payload::Config(membership) = &entry.payload {
            self.membership = membership.clone();
            self.proposed.pop_front();
        }
        Some(entry.clone())
    }

    /// Drops delivered entries that no lagging peer is likely to need.
    pub(crate) fn trim(&mut self) {
        while self.entries.len() > self.window.txns || self.bytes > self.window.bytes {
            let Some(front) = self.entries.front() else { return };
            if front.entry.zxid > self.delivered.min(self.snapshot) {
                return;
            }
            self.base = front.entry.zxid;
            self.bytes -= front.entry.payload.bytes();
            self.entries.pop_front();
        }
    }

    /// A snapshot file of the state at `zxid` exists.
    pub(crate) fn snapshot_taken(&mut self, zxid: Zxid) {
        self.snapshot = self.snapshot.max(zxid);
        self.trim();
    }

    pub(crate) fn snapshot(&self) -> Zxid {
        self.snapshot
    }

    /// The ticket of the first record after the snapshot.
    pub(crate) fn first_ticket_after_snapshot(&self) -> Option<u64> {
        let start = self.entries.partition_point(|l| l.entry.zxid <= self.snapshot);
        self.entries.get(start).map(|l| l.ticket)
    }

    /// Openraft's rule: one ordered chain, checked after each step.
    pub(crate) fn check(&self) {
        assert!(
            self.base <= self.delivered && self.delivered <= self.committed && self.committed <= self.last(),
            "base {:?} <= delivered {:?} <= committed {:?} <= last {:?}",
            self.base,
            self.delivered,
            self.committed,
            self.last()
        );
        assert!(self.snapshot <= self.delivered, "a snapshot holds more than was delivered");
    }
}

/// True if `next` may stand right after `last`.
pub(crate) fn follows(last: Zxid, next: Zxid) -> bool {
    if last.epoch() == next.epoch() {
        next.counter() == last.counter() + 1
    } else {
        next > last && next.counter() == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn z(epoch: u32, counter: u64) -> Zxid {
        Zxid::new(ZabEpoch(epoch), counter)
    }

    fn ends(list: &[(u32, u64)]) -> EpochEnds {
        let mut ends = EpochEnds::default();
        list.iter().for_each(|(e, c)| ends.record(z(*e, *c)));
        ends
    }

    #[test]
    fn the_common_point_is_found_across_epochs() {
        let cases = [
            (ends(&[(1, 5)]), ends(&[(1, 3)]), z(1, 3)),
            (ends(&[(1, 5), (3, 2)]), ends(&[(1, 7)]), z(1, 5)),
            (ends(&[(1, 5), (3, 2)]), ends(&[(1, 5), (2, 4)]), z(1, 5)),
            (ends(&[(1, 5), (3, 2)]), ends(&[(2, 4)]), Zxid::ZERO),
            (ends(&[(1, 5), (2, 1), (4, 9)]), ends(&[(1, 5), (2, 3)]), z(2, 1)),
        ];
        for (mine, theirs, expected) in cases {
            assert_eq!(mine.common(&theirs), expected, "{mine:?} {theirs:?}");
        }
    }

    const WINDOW: Window = Window { txns: 10, bytes: 100 };

    /// Twenty thousand transactions of a megabyte each were kept.
    #[test]
    fn large_transactions_leave_the_window_earlier() {
        let mut history = History::new(Zxid::ZERO, EpochEnds::default(), Membership::default(), WINDOW);
        for counter in 1..=6 {
            let payload = Payload::Txn(Bytes::from_static(&[0; 40]));
            history.append(Entry { zxid: z(1, counter), payload }, counter);
        }
        history.truncate(z(1, 5));
        history.commit(z(1, 5));
        while history.deliver_next().is_some() {}
        history.trim();
        assert_eq!(history.base(), Zxid::ZERO, "all of it is needed until there is a snapshot");
        history.snapshot_taken(z(1, 5));
        assert_eq!((history.base(), history.bytes), (z(1, 3), 80));
        history.check();
    }

    #[test] // ZOOKEEPER-4925: a hole in the retained window is refused
    #[should_panic(expected = "a hole in the log")]
    fn a_hole_is_refused() {
        let mut history = History::new(Zxid::ZERO, EpochEnds::default(), Membership::default(), WINDOW);
        history.append(Entry { zxid: z(1, 1), payload: Payload::Txn(Bytes::new()) }, 1);
        history.append(Entry { zxid: z(1, 3), payload: Payload::Txn(Bytes::new()) }, 2);
    }
}
