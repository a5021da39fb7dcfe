//! What ZooKeeper's clients were told: each version of a register has one value, acknowledged writes stay, sequence numbers rise.

use std::collections::BTreeMap;

use streamkeeper_base::znode::Identity;
use streamkeeper_tree::Tree;

/// What was written and read.
#[derive(Default)]
pub(crate) struct Znodes {
    /// By path and version: the value, whoever told it.
    content: BTreeMap<(String, i32), String>,
    acknowledged: BTreeMap<String, i32>,
    sequence: BTreeMap<i32, String>,
    pub(crate) answers: u64,
    pub(crate) watches_fired: u64,
    pub(crate) sessions_expired: u64,
}

impl Znodes {
    /// The greatest version of a register whose write was acknowledged.
    pub(crate) fn acknowledged_version(&self, path: &str) -> i32 {
        self.acknowledged.get(path).copied().unwrap_or(0)
    }

    /// The greatest acknowledged sequence number.
    pub(crate) fn acknowledged_sequence(&self) -> i32 {
        self.sequence.keys().next_back().copied().unwrap_or(-1)
    }

    /// A write is acknowledged with the version that it made.
    pub(crate) fn written(&mut self, path: &str, version: i32, value: &str) {
        self.tell(path, version, value);
        let known = self.acknowledged.entry(path.to_owned()).or_insert(version);
        *known = (*known).max(version);
    }

    /// A read.
    pub(crate) fn read(&mut self, path: &str, version: i32, value: &[u8]) {
        let value = String::from_utf8_lossy(value).into_owned();
        self.tell(path, version, &value);
    }

    fn tell(&mut self, path: &str, version: i32, value: &str) {
        let known = self.content.entry((path.to_owned(), version)).or_insert_with(|| value.to_owned());
        assert_eq!(known, value, "version {version} of {path} has two values");
    }

    /// A sequential node was made; `floor` was acknowledged before it was asked for.
    pub(crate) fn sequence_created(&mut self, path: &str, floor: i32) {
        let number: i32 = path.rsplit('-').next().and_then(|n| n.parse().ok()).expect("a sequence number");
        assert!(number > floor, "sequence number {number} after {floor} was acknowledged");
        let twice = self.sequence.insert(number, path.to_owned());
        assert!(twice.is_none(), "sequence number {number} is given twice");
    }

    /// The tree at the end holds everything that was acknowledged, and no session's ephemerals without the session.
    pub(crate) fn verify(&self, tree: &Tree) {
        let nobody: &[Identity] = &[];
        for (path, acknowledged) in &self.acknowledged {
            let (data, stat) = tree.data(path, nobody).expect("a register stays");
            assert!(
                stat.version >= *acknowledged,
                "version {acknowledged} of {path} was acknowledged, the tree has {}",
                stat.version
            );
            if let Some(value) = self.content.get(&(path.clone(), stat.version)) {
                let data = data.unwrap_or_default();
                assert_eq!(&String::from_utf8_lossy(&data), value, "the value of {path}");
            }
        }
        for path in self.sequence.values() {
            assert!(tree.stat(path).is_some(), "{path} was acknowledged and is lost");
        }
        let owned: usize = tree.sessions().map(|(id, _)| tree.ephemerals(id).count()).sum();
        assert_eq!(owned, tree.ephemeral_count(), "Z18: ephemerals without a live session");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(history: impl FnOnce(&mut Znodes) + std::panic::UnwindSafe) -> bool {
        std::panic::catch_unwind(|| history(&mut Znodes::default())).is_err()
    }

    #[test]
    fn known_bad_histories_are_rejected() {
        assert!(rejected(|z| {
            z.written("/r0", 1, "a");
            z.written("/r0", 1, "b");
        }));
        assert!(rejected(|z| {
            z.written("/r0", 1, "a");
            z.read("/r0", 1, b"b");
        }));
        assert!(rejected(|z| {
            z.sequence_created("/s/n-0000000001", -1);
            z.sequence_created("/s/n-0000000001", -1);
        }));
        assert!(rejected(|z| z.sequence_created("/s/n-0000000001", 1)));
        assert!(rejected(|z| {
            z.sequence_created("/s/n-0000000001", -1);
            z.verify(&Tree::new());
        }));
    }
}
