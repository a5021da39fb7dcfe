//! Watches of one member's connections: standard ones fire once, persistent and recursive ones until removed.
//!
//! Must not know: sessions elsewhere, how an event travels. Read first: [`Watches`].

use std::collections::{BTreeMap, BTreeSet};

use streamkeeper_base::znode::{EventKind, WatchKind};

use crate::apply::Trigger;

/// A connection, as the owner numbers it.
pub type WatcherId = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Table {
    Data,
    Child,
    Persistent,
    Recursive,
}

/// Who watches what.
#[derive(Debug, Default)]
pub struct Watches {
    by_path: BTreeMap<Table, BTreeMap<String, BTreeSet<WatcherId>>>,
    by_watcher: BTreeMap<WatcherId, BTreeSet<(Table, String)>>,
}

impl Watches {
    /// A data watch: by getData, or by exists, whether the node is there or not.
    pub fn watch_data(&mut self, watcher: WatcherId, path: &str) {
        self.add(Table::Data, watcher, path);
    }

    /// A child watch.
    pub fn watch_children(&mut self, watcher: WatcherId, path: &str) {
        self.add(Table::Child, watcher, path);
    }

    /// A persistent watch (addWatch), recursive or not; the node need not exist.
    pub fn watch_persistently(&mut self, watcher: WatcherId, path: &str, recursive: bool) {
        self.add(if recursive { Table::Recursive } else { Table::Persistent }, watcher, path);
    }

    /// True if such a watch is there.
    pub fn has(&self, watcher: WatcherId, path: &str, kind: WatchKind) -> bool {
        tables(kind).iter().any(|table| self.holders(*table, path).is_some_and(|set| set.contains(&watcher)))
    }

    /// Removes watches; false if there was none.
    pub fn remove(&mut self, watcher: WatcherId, path: &str, kind: WatchKind) -> bool {
        let mut removed = false;
        for table in tables(kind) {
            removed |= self.take(*table, watcher, path);
        }
        removed
    }

    /// The connection is gone.
    pub fn remove_watcher(&mut self, watcher: WatcherId) {
        for (table, path) in self.by_watcher.remove(&watcher).unwrap_or_default() {
            self.forget(table, watcher, &path);
        }
    }

    /// How many watches there are.
    pub fn count(&self) -> usize {
        self.by_watcher.values().map(BTreeSet::len).sum()
    }

    /// Who learns of a trigger: each connection once, however many of its watches it meets. Standard watches are used up, also
    /// for those whom the ACL filter then leaves out.
    pub fn fire(&mut self, trigger: &Trigger) -> BTreeSet<WatcherId> {
        let path = trigger.path.as_str();
        let mut receivers = BTreeSet::new();
        let one_shot: &[Table] = match trigger.kind {
            EventKind::Created | EventKind::DataChanged => &[Table::Data],
            EventKind::Deleted => &[Table::Data, Table::Child],
            EventKind::ChildrenChanged => &[Table::Child],
        };
        for table in one_shot {
            for watcher in self.holders(*table, path).cloned().unwrap_or_default() {
                self.take(*table, watcher, path);
                receivers.insert(watcher);
            }
        }
        receivers.extend(self.holders(Table::Persistent, path).into_iter().flatten());
        if trigger.kind != EventKind::ChildrenChanged {
            for above in self_and_ancestors(path) {
                receivers.extend(self.holders(Table::Recursive, above).into_iter().flatten());
            }
        }
        receivers
    }

    fn holders(&self, table: Table, path: &str) -> Option<&BTreeSet<WatcherId>> {
        self.by_path.get(&table)?.get(path)
    }

    fn add(&mut self, table: Table, watcher: WatcherId, path: &str) {
        self.by_path.entry(table).or_default().entry(path.to_owned()).or_default().insert(watcher);
        self.by_watcher.entry(watcher).or_default().insert((table, path.to_owned()));
    }

    fn take(&mut self, table: Table, watcher: WatcherId, path: &str) -> bool {
        if let Some(own) = self.by_watcher.get_mut(&watcher) {
            own.remove(&(table, path.to_owned()));
            if own.is_empty() {
                self.by_watcher.remove(&watcher);
            }
        }
        self.forget(table, watcher, path)
    }

    fn forget(&mut self, table: Table, watcher: WatcherId, path: &str) -> bool {
        let Some(paths) = self.by_path.get_mut(&table) else { return false };
        let Some(set) = paths.get_mut(path) else { return false };
        let removed = set.remove(&watcher);
        if set.is_empty() {
            paths.remove(path);
        }
        removed
    }
}

fn tables(kind: WatchKind) -> &'static [Table] {
    match kind {
        WatchKind::Children => &[Table::Child],
        WatchKind::Data => &[Table::Data],
        WatchKind::Persistent => &[Table::Persistent],
        WatchKind::PersistentRecursive => &[Table::Recursive],
        WatchKind::Any => &[Table::Child, Table::Data, Table::Persistent, Table::Recursive],
    }
}

fn self_and_ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |p| crate::path::parent(p).map(|(above, _)| above))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fire(watches: &mut Watches, kind: EventKind, path: &str) -> Vec<WatcherId> {
        let trigger = Trigger { kind, path: path.to_owned(), acl: vec![] };
        watches.fire(&trigger).into_iter().collect()
    }

    #[test]
    fn a_standard_watch_fires_once() {
        let mut watches = Watches::default();
        watches.watch_data(1, "/a");
        assert_eq!(fire(&mut watches, EventKind::ChildrenChanged, "/a"), []);
        assert_eq!(fire(&mut watches, EventKind::DataChanged, "/a"), [1]);
        assert_eq!(fire(&mut watches, EventKind::DataChanged, "/a"), []);
        assert_eq!(watches.count(), 0);
    }

    #[test]
    fn a_deletion_reaches_a_connection_once_and_uses_both_watches_up() {
        let mut watches = Watches::default();
        watches.watch_data(1, "/a");
        watches.watch_children(1, "/a");
        watches.watch_children(2, "/a");
        assert_eq!(fire(&mut watches, EventKind::Deleted, "/a"), [1, 2]);
        assert_eq!(watches.count(), 0);
    }

    #[test]
    fn persistent_and_recursive_watches_stay() {
        let mut watches = Watches::default();
        watches.watch_persistently(1, "/a", false);
        watches.watch_persistently(2, "/", true);
        for _ in 0..2 {
            assert_eq!(fire(&mut watches, EventKind::Created, "/a/b"), [2]);
            assert_eq!(fire(&mut watches, EventKind::ChildrenChanged, "/a"), [1], "never for recursive ones");
            assert_eq!(fire(&mut watches, EventKind::DataChanged, "/a"), [1, 2]);
        }
        assert!(watches.has(1, "/a", WatchKind::Persistent) && !watches.has(1, "/a", WatchKind::Data));
        assert!(watches.remove(1, "/a", WatchKind::Any) && !watches.remove(1, "/a", WatchKind::Any));
        watches.remove_watcher(2);
        assert_eq!(watches.count(), 0);
    }
}
