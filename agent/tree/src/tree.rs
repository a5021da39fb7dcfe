//! The nodes and what is kept beside them: sessions and the key their passwords come from.
//!
//! A node is found by walking names from the root; each name is stored once. Must not know: who asks.
//! Read first: [`Tree`], [`Node`].

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use streamkeeper_base::SessionId;
use streamkeeper_base::znode::{Acl, Stat};

use crate::owner::Owner;
use crate::session::{SESSION_KEY_BYTES, Session};

/// A node's place in the arena.
pub(crate) type Slot = u32;

/// One node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) data: Option<Bytes>,
    /// An index into the table of distinct ACLs.
    pub(crate) acl: u32,
    pub(crate) czxid: i64,
    pub(crate) mzxid: i64,
    pub(crate) pzxid: i64,
    pub(crate) ctime: i64,
    pub(crate) mtime: i64,
    pub(crate) version: i32,
    /// Creates of children so far: the sequence counter, and half of the cversion that clients see.
    pub(crate) creates: i32,
    pub(crate) aversion: i32,
    pub(crate) owner: Owner,
    /// Most nodes have no child: one word then, not a whole map.
    #[allow(clippy::box_collection, reason = "the box makes a leaf smaller")]
    pub(crate) children: Option<Box<BTreeMap<Box<str>, Slot>>>,
}

impl Node {
    pub(crate) fn child_count(&self) -> usize {
        self.children.as_ref().map_or(0, |c| c.len())
    }

    /// cversion on the wire = 2 x creates - children: each create and each delete counts once.
    pub(crate) fn stat(&self) -> Stat {
        let children = i32::try_from(self.child_count()).unwrap_or(i32::MAX);
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.creates.wrapping_mul(2).wrapping_sub(children),
            aversion: self.aversion,
            ephemeral_owner: self.owner.shown(),
            data_length: self.data.as_ref().map_or(0, |d| i32::try_from(d.len()).unwrap_or(i32::MAX)),
            num_children: children,
            pzxid: self.pzxid,
        }
    }
}

/// The replicated state of ZooKeeper's side: equal on all members at equal zxids.
#[derive(Clone, Debug)]
pub struct Tree {
    pub(crate) nodes: Vec<Option<Node>>,
    free: Vec<Slot>,
    /// Distinct ACLs; most nodes share the first.
    pub(crate) acls: Vec<Vec<Acl>>,
    acl_index: BTreeMap<Vec<Acl>, u32>,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) session_key: Option<[u8; SESSION_KEY_BYTES]>,
    /// Containers and TTL nodes: looked at from time to time.
    pub(crate) expiring: BTreeSet<String>,
    pub(crate) count: usize,
    /// Bytes of data in all nodes, for `mntr`.
    pub(crate) data_bytes: u64,
}

pub(crate) const ROOT: Slot = 0;

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// A fresh tree: `/`, `/zookeeper`, `/zookeeper/quota`, `/zookeeper/config`.
    pub fn new() -> Self {
        let mut tree = Self::empty();
        let open = tree.acl_of(&[Acl::open()]);
        let read_only = tree.acl_of(&[Acl { perms: streamkeeper_base::znode::perms::READ, ..Acl::open() }]);
        tree.nodes.push(Some(blank(open)));
        tree.count = 1;
        for (path, acl) in
            [("/zookeeper", open), ("/zookeeper/quota", open), ("/zookeeper/config", read_only)]
        {
            let node = blank(acl);
            let (parent, name) = crate::path::parent(path).expect("not the root");
            let parent = tree.find(parent).expect("made before");
            tree.insert(parent, name, node);
        }
        tree
    }

    pub(crate) fn empty() -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            acls: Vec::new(),
            acl_index: BTreeMap::new(),
            sessions: BTreeMap::new(),
            session_key: None,
            expiring: BTreeSet::new(),
            count: 0,
            data_bytes: 0,
        }
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.count
    }

    /// Bytes of data in all nodes.
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// How many ephemeral nodes there are.
    pub fn ephemeral_count(&self) -> usize {
        self.sessions.values().map(|s| s.ephemerals.len()).sum()
    }

    /// The paths of a session's ephemeral nodes.
    pub fn ephemerals(&self, session: SessionId) -> impl Iterator<Item = &str> {
        self.sessions.get(&session).into_iter().flat_map(|s| s.ephemerals.iter().map(String::as_str))
    }

    /// A session's timeout in milliseconds; `None` if there is no such session.
    pub fn session_timeout_ms(&self, session: SessionId) -> Option<i32> {
        self.sessions.get(&session).map(|s| s.timeout_ms)
    }

    /// All sessions with their timeouts in milliseconds.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, i32)> + '_ {
        self.sessions.iter().map(|(id, s)| (*id, s.timeout_ms))
    }

    /// The key that session passwords come from; `None` until the first leader has made one.
    pub fn session_key(&self) -> Option<&[u8; SESSION_KEY_BYTES]> {
        self.session_key.as_ref()
    }

    pub(crate) fn find(&self, path: &str) -> Option<Slot> {
        let rest = path.strip_prefix('/')?;
        if rest.is_empty() {
            return Some(ROOT);
        }
        rest.split('/').try_fold(ROOT, |slot, name| self.node(slot).children.as_ref()?.get(name).copied())
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Node> {
        self.find(path).map(|slot| self.node(slot))
    }

    pub(crate) fn node(&self, slot: Slot) -> &Node {
        self.nodes[slot as usize].as_ref().expect("a slot that a parent names is in use")
    }

    pub(crate) fn node_mut(&mut self, slot: Slot) -> &mut Node {
        self.nodes[slot as usize].as_mut().expect("a slot that a parent names is in use")
    }

    pub(crate) fn acl(&self, node: &Node) -> &[Acl] {
        &self.acls[node.acl as usize]
    }

    /// The index of an ACL in the table.
    pub(crate) fn acl_of(&mut self, acl: &[Acl]) -> u32 {
        if let Some(index) = self.acl_index.get(acl) {
            return *index;
        }
        let index = u32::try_from(self.acls.len()).expect("fewer distinct ACLs than nodes");
        self.acls.push(acl.to_vec());
        self.acl_index.insert(acl.to_vec(), index);
        index
    }

    pub(crate) fn insert(&mut self, parent: Slot, name: &str, node: Node) -> Slot {
        self.count += 1;
        self.data_bytes += node.data.as_ref().map_or(0, |d| d.len() as u64);
        let slot = if let Some(slot) = self.free.pop() {
            self.nodes[slot as usize] = Some(node);
            slot
        } else {
            self.nodes.push(Some(node));
            u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 nodes")
        };
        let children = self.node_mut(parent).children.get_or_insert_default();
        let replaced = children.insert(name.into(), slot);
        assert!(replaced.is_none(), "two nodes of one name");
        slot
    }

    pub(crate) fn remove(&mut self, parent: Slot, name: &str) -> Option<Node> {
        let siblings = self.node_mut(parent).children.as_mut()?;
        let slot = siblings.remove(name)?;
        if siblings.is_empty() {
            self.node_mut(parent).children = None;
        }
        let node = self.nodes[slot as usize].take()?;
        self.free.push(slot);
        self.count -= 1;
        self.data_bytes -= node.data.as_ref().map_or(0, |d| d.len() as u64);
        Some(node)
    }
}

fn blank(acl: u32) -> Node {
    Node {
        data: Some(Bytes::new()),
        acl,
        czxid: 0,
        mzxid: 0,
        pzxid: 0,
        ctime: 0,
        mtime: 0,
        version: 0,
        creates: 0,
        aversion: 0,
        owner: Owner::NONE,
        children: None,
    }
}

impl Tree {
    /// Keeps beside the nodes which of them end by themselves.
    pub(crate) fn note_owner(&mut self, owner: Owner, path: &str, exists: bool) {
        if owner.expires() {
            if exists {
                self.expiring.insert(path.to_owned());
            } else {
                self.expiring.remove(path);
            }
        }
        let Some(session) = owner.session().and_then(|id| self.sessions.get_mut(&id)) else { return };
        if exists {
            session.ephemerals.insert(path.to_owned());
        } else {
            session.ephemerals.remove(path);
        }
    }
}
