//! Applying a transaction: the same on every member, and what it makes watches see.

use bytes::Bytes;
use streamkeeper_base::znode::{Acl, EventKind, Stat};
use streamkeeper_base::{SessionId, WallMillis, Zxid};

use crate::path::parent;
use crate::tree::{Node, Tree};
use crate::txn::Txn;

/// What a transaction gives its requester.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Sessions and keys.
    None,
    /// A node began.
    Created {
        /// Its path.
        path: String,
        /// Its metadata.
        stat: Stat,
    },
    /// A node ended.
    Deleted,
    /// Data or ACL was set.
    Set(Stat),
    /// A check held.
    Checked,
    /// Each of a multi's.
    Multi(Vec<Outcome>),
}

/// Something that watches may wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// What happened.
    pub kind: EventKind,
    /// Where.
    pub path: String,
    /// The ACL that decides who may learn of it: the node's own, or the one it had (CVE-2024-23944).
    pub acl: Vec<Acl>,
}

/// All that one transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// For the requester.
    pub outcome: Outcome,
    /// For watches, in order.
    pub triggers: Vec<Trigger>,
}

impl Tree {
    /// Applies a committed transaction. `time` is the leader's, so all members stamp alike.
    pub fn apply(&mut self, zxid: Zxid, time: WallMillis, txn: &Txn) -> Applied {
        let mut triggers = Vec::new();
        let outcome = self.apply_one(zxid.0, time.0, txn, &mut triggers);
        Applied { outcome, triggers }
    }

    fn apply_one(&mut self, zxid: i64, time: i64, txn: &Txn, triggers: &mut Vec<Trigger>) -> Outcome {
        match txn {
            Txn::SessionKey(key) => {
                self.session_key = Some(*key);
                Outcome::None
            }
            Txn::CreateSession { session, timeout_ms } => {
                let known = self.sessions.entry(*session).or_default();
                known.timeout_ms = *timeout_ms;
                Outcome::None
            }
            Txn::CloseSession { session, paths } => {
                for path in paths {
                    self.delete(zxid, path, triggers);
                }
                self.sessions.remove(session);
                Outcome::None
            }
            Txn::Create { path, data, acl, owner, parent_creates } => {
                let acl = self.acl_of(acl);
                let node = Node {
                    data: own_copy(data),
                    acl,
                    czxid: zxid,
                    mzxid: zxid,
                    pzxid: zxid,
                    ctime: time,
                    mtime: time,
                    version: 0,
                    creates: 0,
                    aversion: 0,
                    owner: *owner,
                    children: None,
                };
                self.create(path, node, *parent_creates, triggers)
            }
            Txn::Delete { path } => {
                self.delete(zxid, path, triggers);
                Outcome::Deleted
            }
            Txn::SetData { path, data, version } => {
                let slot = self.find(path).expect("prepared against this state");
                let bytes = data.as_ref().map_or(0, |d| d.len() as u64);
                let node = self.node_mut(slot);
                let before = node.data.as_ref().map_or(0, |d| d.len() as u64);
                node.data = own_copy(data);
                (node.version, node.mzxid, node.mtime) = (*version, zxid, time);
                let stat = node.stat();
                self.data_bytes = self.data_bytes + bytes - before;
                self.trigger(EventKind::DataChanged, path, triggers);
                Outcome::Set(stat)
            }
            Txn::SetAcl { path, acl, version } => {
                let index = self.acl_of(acl);
                let slot = self.find(path).expect("prepared against this state");
                let node = self.node_mut(slot);
                (node.acl, node.aversion) = (index, *version);
                Outcome::Set(node.stat())
            }
            Txn::Check => Outcome::Checked,
            Txn::Multi(txns) => {
                Outcome::Multi(txns.iter().map(|txn| self.apply_one(zxid, time, txn, triggers)).collect())
            }
        }
    }

    fn create(
        &mut self,
        path: &str,
        node: Node,
        parent_creates: i32,
        triggers: &mut Vec<Trigger>,
    ) -> Outcome {
        let (parent_path, name) = parent(path).expect("the root is never created");
        let parent_slot = self.find(parent_path).expect("prepared against this state");
        let (stat, zxid) = (node.stat(), node.czxid);
        self.note_owner(node.owner, path, true);
        self.insert(parent_slot, name, node);
        let above = self.node_mut(parent_slot);
        (above.creates, above.pzxid) = (parent_creates, zxid);
        self.trigger(EventKind::Created, path, triggers);
        self.trigger(EventKind::ChildrenChanged, parent_path, triggers);
        Outcome::Created { path: path.to_owned(), stat }
    }

    fn delete(&mut self, zxid: i64, path: &str, triggers: &mut Vec<Trigger>) {
        let Some((parent_path, name)) = parent(path) else { return };
        let Some(parent_slot) = self.find(parent_path) else { return };
        let Some(node) = self.remove(parent_slot, name) else { return };
        self.note_owner(node.owner, path, false);
        self.node_mut(parent_slot).pzxid = zxid;
        let acl = self.acl(&node).to_vec();
        triggers.push(Trigger { kind: EventKind::Deleted, path: path.to_owned(), acl });
        self.trigger(EventKind::ChildrenChanged, parent_path, triggers);
    }

    fn trigger(&self, kind: EventKind, path: &str, triggers: &mut Vec<Trigger>) {
        let acl = self.get(path).map(|node| self.acl(node).to_vec()).unwrap_or_default();
        triggers.push(Trigger { kind, path: path.to_owned(), acl });
    }

    /// True if the session exists.
    pub fn has_session(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }
}

/// What the tree keeps must not keep the frame alive that a transaction came in.
fn own_copy(data: &Option<Bytes>) -> Option<Bytes> {
    data.as_ref().map(|data| Bytes::copy_from_slice(data))
}
