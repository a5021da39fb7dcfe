//! The quorum leader's decisions: a request against the state as it will be, so that pipelined requests see each other.
//!
//! A request that fails takes no log entry; its answer waits for the writes it was judged against.
//! Must not know: zxids before Zab gives them. Read first: [`Prep`].

use std::collections::BTreeMap;

use bytes::Bytes;
use streamkeeper_base::znode::{Acl, CreateMode, ErrorCode, Identity, Lifetime, Write, perms};
use streamkeeper_base::{SessionId, WallMillis, Zxid};

use crate::acl::{may, resolve};
use crate::config::CONFIG_PATH;
use crate::owner::Owner;
use crate::path::{is_valid, parent};
use crate::tree::Tree;
use crate::txn::Txn;

/// A node as it will be once everything outstanding is applied.
#[derive(Clone, Debug)]
struct Speculative {
    exists: bool,
    version: i32,
    aversion: i32,
    creates: i32,
    children: usize,
    owner: Owner,
    acl: Vec<Acl>,
    /// The last outstanding transaction that changed it.
    zxid: Zxid,
}

/// What [`Prep::write`] decided; nothing counts until [`Prep::proposed`].
#[derive(Debug)]
pub struct Prepared {
    /// To be ordered by Zab.
    pub txn: Txn,
    changes: BTreeMap<String, Speculative>,
}

/// Outstanding changes on top of the applied tree.
#[derive(Debug, Default)]
pub struct Prep {
    /// `extendedTypesEnabled`: TTL nodes are served.
    extended_types: bool,
    nodes: BTreeMap<String, Speculative>,
    /// Sessions whose close is outstanding, and at which zxid.
    closing: BTreeMap<SessionId, Zxid>,
    /// Sessions whose creation is outstanding.
    opening: BTreeMap<SessionId, Zxid>,
}

/// One request's view: its own changes, then the outstanding ones, then the tree.
struct View<'a> {
    tree: &'a Tree,
    outstanding: &'a BTreeMap<String, Speculative>,
    changes: BTreeMap<String, Speculative>,
    session: SessionId,
    who: &'a [Identity],
    extended_types: bool,
}

impl Prep {
    /// Nothing outstanding. Without `extended_types` TTL nodes are refused (`extendedTypesEnabled`).
    pub fn new(extended_types: bool) -> Self {
        Self { extended_types, ..Self::default() }
    }

    fn view<'a>(&'a self, tree: &'a Tree, session: SessionId, who: &'a [Identity]) -> View<'a> {
        let extended_types = self.extended_types;
        View { tree, outstanding: &self.nodes, changes: BTreeMap::new(), session, who, extended_types }
    }

    /// Decides a client's write.
    ///
    /// # Errors
    /// The code for the reply; for a multi one per operation.
    pub fn write(
        &self,
        tree: &Tree,
        session: SessionId,
        who: &[Identity],
        write: &Write,
    ) -> Result<Prepared, Vec<ErrorCode>> {
        if !self.session_is_live(tree, session) {
            return Err(vec![ErrorCode::SESSION_EXPIRED]);
        }
        let mut view = self.view(tree, session, who);
        let txn = match write {
            Write::Multi(operations) => view.multi(operations)?,
            single => view.one(single).map_err(|code| vec![code])?,
        };
        Ok(Prepared { txn, changes: view.changes })
    }

    /// Decides the end of a session: every ephemeral node of it, also those whose creation is outstanding.
    pub fn close_session(&self, tree: &Tree, session: SessionId) -> Option<Prepared> {
        if !self.session_is_live(tree, session) {
            return None;
        }
        let mut paths: Vec<String> = tree.ephemerals(session).map(str::to_owned).collect();
        let owned = |node: &Speculative| node.exists && node.owner.session() == Some(session);
        paths.retain(|path| self.nodes.get(path).is_none_or(owned));
        for (path, node) in &self.nodes {
            if owned(node) && !paths.contains(path) {
                paths.push(path.clone());
            }
        }
        paths.sort();
        let mut view = self.view(tree, session, &[]);
        paths.iter().for_each(|path| view.vanish(path));
        Some(Prepared { txn: Txn::CloseSession { session, paths }, changes: view.changes })
    }

    /// Decides the end of a container or TTL node whose time has come; `None` if it has not, or a change of it is under way: what
    /// was a candidate when it was looked at may have children by now, or fresh data.
    pub fn expire(&self, tree: &Tree, path: &str, now: WallMillis) -> Option<Prepared> {
        if self.nodes.contains_key(path) || !tree.is_over(path, now) {
            return None;
        }
        let mut view = self.view(tree, SessionId(0), &[]);
        view.vanish(path);
        Some(Prepared { txn: Txn::Delete { path: path.to_owned() }, changes: view.changes })
    }

    /// Decides the begin of a session.
    pub fn create_session(session: SessionId, timeout_ms: i32) -> Prepared {
        Prepared { txn: Txn::CreateSession { session, timeout_ms }, changes: BTreeMap::new() }
    }

    /// True if the session exists, or will, and is not closing.
    pub fn session_is_live(&self, tree: &Tree, session: SessionId) -> bool {
        (tree.has_session(session) || self.opening.contains_key(&session))
            && !self.closing.contains_key(&session)
    }

    /// Zab ordered it: later decisions see it.
    pub fn proposed(&mut self, prepared: Prepared, zxid: Zxid) {
        match &prepared.txn {
            Txn::CloseSession { session, .. } => {
                self.closing.insert(*session, zxid);
            }
            Txn::CreateSession { session, .. } => {
                self.opening.insert(*session, zxid);
            }
            _ => {}
        }
        let changed = prepared.changes.into_iter().map(|(path, node)| (path, Speculative { zxid, ..node }));
        self.nodes.extend(changed);
    }

    /// The tree holds everything up to the zxid now.
    pub fn applied(&mut self, zxid: Zxid) {
        self.nodes.retain(|_, node| node.zxid > zxid);
        self.closing.retain(|_, at| *at > zxid);
        self.opening.retain(|_, at| *at > zxid);
    }

    /// Changes that are decided but not applied.
    pub fn outstanding(&self) -> usize {
        self.nodes.len()
    }
}

impl View<'_> {
    fn multi(&mut self, operations: &[Write]) -> Result<Txn, Vec<ErrorCode>> {
        let mut txns = Vec::new();
        for (index, operation) in operations.iter().enumerate() {
            match self.one(operation) {
                Ok(txn) => txns.push(txn),
                Err(code) => {
                    // Before the failing one 0, after it RUNTIME_INCONSISTENCY; nothing of it counts (ZOOKEEPER-1624).
                    let codes = (0..operations.len()).map(|i| match i.cmp(&index) {
                        std::cmp::Ordering::Less => ErrorCode::OK,
                        std::cmp::Ordering::Equal => code,
                        std::cmp::Ordering::Greater => ErrorCode::RUNTIME_INCONSISTENCY,
                    });
                    return Err(codes.collect());
                }
            }
        }
        Ok(Txn::Multi(txns))
    }

    fn one(&mut self, write: &Write) -> Result<Txn, ErrorCode> {
        match write {
            Write::Create { path, data, acl, mode, .. } => self.create(path, data.as_ref(), acl, *mode),
            Write::Delete { path, version } => self.delete(path, *version),
            Write::SetData { path, data, version } => {
                let node = self.existing(path)?;
                self.permit(&node.acl, perms::WRITE)?;
                if path == CONFIG_PATH {
                    // Only reconfig changes it.
                    return Err(ErrorCode::BAD_ARGUMENTS);
                }
                let next = next_version(node.version, *version)?;
                self.changes.insert(path.clone(), Speculative { version: next, ..node });
                Ok(Txn::SetData { path: path.clone(), data: data.clone(), version: next })
            }
            Write::SetAcl { path, acl, version } => {
                let acl = resolve(acl, self.who)?;
                let node = self.existing(path)?;
                self.permit(&node.acl, perms::ADMIN)?;
                let next = next_version(node.aversion, *version)?;
                self.changes.insert(path.clone(), Speculative { aversion: next, acl: acl.clone(), ..node });
                Ok(Txn::SetAcl { path: path.clone(), acl, version: next })
            }
            Write::Check { path, version } => {
                let node = self.existing(path)?;
                self.permit(&node.acl, perms::READ)?;
                next_version(node.version, *version).map(|_| Txn::Check)
            }
            Write::Multi(_) => Err(ErrorCode::UNIMPLEMENTED),
        }
    }

    fn create(
        &mut self,
        path: &str,
        data: Option<&Bytes>,
        acl: &[Acl],
        mode: CreateMode,
    ) -> Result<Txn, ErrorCode> {
        if !is_valid(path, mode.sequential) {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        if matches!(mode.lifetime, Lifetime::Ttl(_)) && !self.extended_types {
            return Err(ErrorCode::UNIMPLEMENTED);
        }
        let owner = Owner::of(mode.lifetime, self.session)?;
        if path == "/" && !mode.sequential {
            return Err(ErrorCode::NODE_EXISTS);
        }
        let acl = resolve(acl, self.who)?;
        let (parent_path, _) = parent(path).unwrap_or(("/", ""));
        let above = self.node(parent_path).filter(|n| n.exists).ok_or(ErrorCode::NO_NODE)?;
        self.permit(&above.acl, perms::CREATE)?;
        // The suffix counts every create, is never reused, and wraps as a 32-bit number does.
        let path = if mode.sequential { format!("{path}{:010}", above.creates) } else { path.to_owned() };
        if !is_valid(&path, false) {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        if self.node(&path).is_some_and(|n| n.exists) {
            return Err(ErrorCode::NODE_EXISTS);
        }
        if above.owner.session().is_some() {
            return Err(ErrorCode::NO_CHILDREN_FOR_EPHEMERALS);
        }
        let parent_creates = above.creates.wrapping_add(1);
        let parent_path = parent_path.to_owned();
        self.changes.insert(
            parent_path,
            Speculative { creates: parent_creates, children: above.children + 1, ..above },
        );
        let fresh = Speculative {
            exists: true,
            version: 0,
            aversion: 0,
            creates: 0,
            children: 0,
            owner,
            acl: acl.clone(),
            zxid: Zxid::ZERO,
        };
        self.changes.insert(path.clone(), fresh);
        Ok(Txn::Create { path, data: data.cloned(), acl, owner, parent_creates })
    }

    fn delete(&mut self, path: &str, version: i32) -> Result<Txn, ErrorCode> {
        if !is_valid(path, false) || path == "/" || path == "/zookeeper" || path.starts_with("/zookeeper/") {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        let (parent_path, _) = parent(path).ok_or(ErrorCode::BAD_ARGUMENTS)?;
        let above = self.node(parent_path).filter(|n| n.exists).ok_or(ErrorCode::NO_NODE)?;
        let node = self.existing(path)?;
        // DELETE is a permission on the parent; the node's own ACL does not matter.
        self.permit(&above.acl, perms::DELETE)?;
        next_version(node.version, version)?;
        if node.children > 0 {
            return Err(ErrorCode::NOT_EMPTY);
        }
        self.vanish(path);
        Ok(Txn::Delete { path: path.to_owned() })
    }

    fn vanish(&mut self, path: &str) {
        let Some(node) = self.node(path) else { return };
        self.changes.insert(path.to_owned(), Speculative { exists: false, ..node });
        if let Some((parent_path, _)) = parent(path)
            && let Some(above) = self.node(parent_path)
        {
            let children = above.children.saturating_sub(1);
            self.changes.insert(parent_path.to_owned(), Speculative { children, ..above });
        }
    }

    fn existing(&self, path: &str) -> Result<Speculative, ErrorCode> {
        if !is_valid(path, false) {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        self.node(path).filter(|n| n.exists).ok_or(ErrorCode::NO_NODE)
    }

    fn permit(&self, acl: &[Acl], wanted: i32) -> Result<(), ErrorCode> {
        if may(acl, wanted, self.who) { Ok(()) } else { Err(ErrorCode::NO_AUTH) }
    }

    fn node(&self, path: &str) -> Option<Speculative> {
        if let Some(node) = self.changes.get(path).or_else(|| self.outstanding.get(path)) {
            return Some(node.clone());
        }
        self.tree.get(path).map(|node| Speculative {
            exists: true,
            version: node.version,
            aversion: node.aversion,
            creates: node.creates,
            children: node.child_count(),
            owner: node.owner,
            acl: self.tree.acl(node).to_vec(),
            zxid: Zxid::ZERO,
        })
    }
}

/// The version after a change; -1 is skipped, because clients mean "any" by it (ZOOKEEPER-4743).
fn next_version(current: i32, expected: i32) -> Result<i32, ErrorCode> {
    if expected != -1 && expected != current {
        return Err(ErrorCode::BAD_VERSION);
    }
    let next = current.wrapping_add(1);
    Ok(if next == -1 { 0 } else { next })
}
