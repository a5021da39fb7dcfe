//! The node `/zookeeper/config`: who the ensemble is, for clients that follow it (ZOOKEEPER-107, getConfig).
//!
//! Must not know: how an ensemble changes. Its content is written by every member when a change is committed, never by clients.

use std::fmt::Write;

use bytes::Bytes;
use streamkeeper_base::Zxid;
use streamkeeper_base::znode::{EventKind, Stat};

use crate::apply::Trigger;
use crate::tree::Tree;

/// Its path.
pub const CONFIG_PATH: &str = "/zookeeper/config";
const VERSION: &str = "version=";

impl Tree {
    /// The ensemble is made of these servers, one line each, from this zxid on, which is also the configuration's version. Nothing
    /// happens if it was so before: then a state that came as a whole holds it already.
    pub fn set_config(&mut self, zxid: Zxid, servers: &[String]) -> Option<Trigger> {
        let known = self.config().0.unwrap_or_default();
        let lines = std::str::from_utf8(&known).unwrap_or_default().lines();
        if lines.filter(|line| !line.starts_with(VERSION)).eq(servers.iter().map(String::as_str)) {
            return None;
        }
        let mut text = servers.iter().fold(String::new(), |text, server| text + server + "\n");
        let _ = write!(text, "{VERSION}{:x}", zxid.0);
        let slot = self.find(CONFIG_PATH).expect("it is there from the start and never deleted");
        let data = Bytes::from(text);
        let node = self.node_mut(slot);
        let before = node.data.as_ref().map_or(0, |d| d.len() as u64);
        let bytes = data.len() as u64;
        node.data = Some(data);
        (node.version, node.mzxid) = (node.version.wrapping_add(1), zxid.0);
        self.data_bytes = self.data_bytes + bytes - before;
        let acl = self.acl_of_path(CONFIG_PATH).to_vec();
        Some(Trigger { kind: EventKind::DataChanged, path: CONFIG_PATH.to_owned(), acl })
    }

    /// The node's content and metadata.
    pub fn config(&self) -> (Option<Bytes>, Stat) {
        self.get(CONFIG_PATH).map(|node| (node.data.clone(), node.stat())).unwrap_or_default()
    }

    /// The version of the configuration: the zxid that made it; 0 before the first.
    pub fn config_version(&self) -> i64 {
        let data = self.config().0.unwrap_or_default();
        let text = std::str::from_utf8(&data).unwrap_or_default();
        let version = text.lines().find_map(|line| line.strip_prefix(VERSION));
        version.and_then(|hex| i64::from_str_radix(hex, 16).ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // 37: server lines, then the version in hexadecimal; a data watch fires
    fn the_config_node_follows_the_ensemble() {
        let mut tree = Tree::new();
        assert_eq!((tree.config_version(), tree.config().0), (0, Some(Bytes::new())));
        let one = ["server.1=a:1:2:participant;0.0.0.0:3".to_owned()];
        let trigger = tree.set_config(Zxid(0x1f), &one).expect("it changed");
        assert_eq!((trigger.kind, trigger.path.as_str()), (EventKind::DataChanged, CONFIG_PATH));
        let (data, stat) = tree.config();
        assert_eq!(data.as_deref(), Some(&b"server.1=a:1:2:participant;0.0.0.0:3\nversion=1f"[..]));
        assert_eq!((stat.mzxid, stat.version, tree.config_version()), (0x1f, 1, 0x1f));
        assert!(tree.set_config(Zxid(0x2f), &one).is_none(), "the same ensemble is no change");
        let two = [one[0].clone(), "server.2=b:1:2:observer;0.0.0.0:3".to_owned()];
        assert!(tree.set_config(Zxid(0x2f), &two).is_some());
        assert!(tree.set_config(Zxid(0x3f), &one).is_some(), "a member less is a change");
        assert_eq!(tree.config_version(), 0x3f);
        assert_eq!(tree.data_bytes(), tree.config().0.map_or(0, |d| d.len() as u64));
    }
}
