//! When the whole state is written to disk, so that a restart need not repeat all that ever happened.
//!
//! Must not know: how it is written. Read first: [`is_due`].

use bytes::Bytes;
use streamkeeper_base::Zxid;
use streamkeeper_base::limits::SNAPSHOT_EVERY_BYTES;
use streamkeeper_zab::Event;

use super::Coordination;
use crate::io::Output;

/// What followed the last snapshot.
#[derive(Clone, Copy)]
struct Log {
    txns: u64,
    /// Of these transactions.
    txn_bytes: u64,
    /// Of the broker's records, in the log that both share.
    bytes: u64,
}

/// What a snapshot would hold.
#[derive(Clone, Copy)]
struct State {
    nodes: u64,
    /// Of the last snapshot.
    bytes: u64,
}

/// True when so many transactions followed the last snapshot that a restart takes long (ZooKeeper's `snapCount`), or when the log is
/// kept from being written over by transactions of old: then at the price of half of what the log has grown at most.
///
/// A large state is not written after fewer transactions than it has nodes: to repeat those takes no longer than to read the
/// snapshot, and nobody is served while a snapshot is made. But few large transactions count by their bytes: until there is a snapshot
/// they stay in memory.
fn is_due(log: Log, state: State, every_txns: u64) -> bool {
    log.txns >= every_txns.max(state.nodes)
        || log.txn_bytes > SNAPSHOT_EVERY_BYTES.max(2 * state.bytes)
        || log.bytes > 2 * state.bytes
}

impl Coordination {
    /// The whole state, led by what Zab must know of it.
    pub(super) fn state_chunks(&self) -> Vec<Bytes> {
        let mut chunks = vec![self.zab.snapshot_meta().encode(), self.image.encode()];
        chunks.extend(self.tree.encode_snapshot());
        chunks
    }

    pub(super) fn snapshot_written(&mut self, zxid: Zxid) {
        if self.snapshot_under_way == Some(zxid) {
            self.snapshot_under_way = None;
            self.zab_event(Event::SnapshotTaken(zxid));
        } else {
            self.zab_event(Event::SnapshotInstalled(zxid));
            self.telling.installed(zxid);
        }
    }

    /// Writes a snapshot when one is due, see [`is_due`].
    pub(super) fn maybe_snapshot(&mut self) {
        let (newest, size) = self.snapshot;
        let log = Log {
            txns: self.txns_since_snapshot,
            txn_bytes: self.bytes_since_snapshot,
            bytes: self.log_bytes,
        };
        let state = State { nodes: self.tree.node_count() as u64, bytes: size };
        let due = is_due(log, state, self.config.snapshot_every_txns);
        // A state that is being installed is on disk soon by itself.
        let zxid = self.zab.last_delivered();
        if !due || self.snapshot_under_way.is_some() || zxid != self.applied {
            return;
        }
        (self.txns_since_snapshot, self.bytes_since_snapshot, self.log_bytes) = (0, 0, 0);
        if newest == Some(zxid) {
            // The file says it already; only the log has to say again where it begins.
            return self.zab_event(Event::SnapshotTaken(zxid));
        }
        self.snapshot_under_way = Some(zxid);
        let chunks = self.state_chunks();
        self.snapshot = (Some(zxid), chunks.iter().map(|chunk| chunk.len() as u64).sum());
        self.out.push(Output::WriteSnapshot { zxid: zxid.0, chunks });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_state_is_written_less_often() {
        let due = |txns, nodes| is_due(Log { txns, txn_bytes: 0, bytes: 0 }, State { nodes, bytes: 1 }, 100);
        assert!(!due(99, 5) && due(100, 5));
        assert!(!due(100, 101) && !due(399, 400) && due(400, 400));
    }

    #[test]
    fn a_log_that_grew_to_twice_the_state_is_let_go_whatever_it_holds() {
        let due = |bytes| is_due(Log { txns: 1, txn_bytes: 0, bytes }, State { nodes: 400, bytes: 50 }, 100);
        assert!(!due(100) && due(101));
    }

    #[test]
    fn large_transactions_count_by_their_bytes() {
        let due =
            |txn_bytes, bytes| is_due(Log { txns: 9, txn_bytes, bytes: 0 }, State { nodes: 5, bytes }, 100);
        let few = SNAPSHOT_EVERY_BYTES;
        assert!(!due(few, 1) && due(few + 1, 1));
        assert!(!due(4 * few, 2 * few) && due(4 * few + 1, 2 * few), "a large state is written less often");
    }
}
