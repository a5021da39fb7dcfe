//! Containers and TTL nodes: which of them are over (ContainerManager, ZOOKEEPER-2163 and 2169).

use streamkeeper_base::WallMillis;
use streamkeeper_base::znode::Lifetime;

use crate::tree::Tree;

impl Tree {
    /// Containers and TTL nodes whose time has come, by the wall clock of the leader, which also stamped them.
    pub fn over(&self, now: WallMillis) -> impl Iterator<Item = &str> {
        self.expiring.iter().map(String::as_str).filter(move |path| self.is_over(path, now))
    }

    /// A container is over once it is empty again: a fresh one, which never had a child, waits for its first. A TTL node is over
    /// once it is empty and was not changed for its time.
    pub(crate) fn is_over(&self, path: &str, now: WallMillis) -> bool {
        let Some(node) = self.get(path).filter(|node| node.child_count() == 0) else { return false };
        match node.owner.lifetime() {
            Lifetime::Container => node.creates != 0,
            Lifetime::Ttl(ms) => now.0.saturating_sub(node.mtime) > ms,
            Lifetime::Persistent | Lifetime::Ephemeral => false,
        }
    }
}
