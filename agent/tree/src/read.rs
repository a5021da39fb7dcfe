//! Reads: local, of committed state only.

use bytes::Bytes;
use streamkeeper_base::znode::{Acl, ErrorCode, Identity, Stat, perms};

use crate::acl::{mask, may};
use crate::tree::{Node, Slot, Tree};

impl Tree {
    /// exists; READ is checked if the node is there.
    ///
    /// # Errors
    /// `NO_NODE`, `NO_AUTH`.
    pub fn exists(&self, path: &str, who: &[Identity]) -> Result<Stat, ErrorCode> {
        self.readable(path, who).map(Node::stat)
    }

    /// The metadata of a node for the member's own decisions, such as which watches missed something.
    pub fn stat(&self, path: &str) -> Option<Stat> {
        self.get(path).map(Node::stat)
    }

    /// getData; null and empty data differ.
    ///
    /// # Errors
    /// `NO_NODE`, `NO_AUTH`.
    pub fn data(&self, path: &str, who: &[Identity]) -> Result<(Option<Bytes>, Stat), ErrorCode> {
        let node = self.readable(path, who)?;
        Ok((node.data.clone(), node.stat()))
    }

    /// getChildren: names in order.
    ///
    /// # Errors
    /// `NO_NODE`, `NO_AUTH`.
    pub fn children(&self, path: &str, who: &[Identity]) -> Result<(Vec<&str>, Stat), ErrorCode> {
        let node = self.readable(path, who)?;
        let names = node.children.iter().flat_map(|c| c.keys().map(|name| &**name)).collect();
        Ok((names, node.stat()))
    }

    /// getACL; without ADMIN the digests are masked.
    ///
    /// # Errors
    /// `NO_NODE`, `NO_AUTH`.
    pub fn acl_and_stat(&self, path: &str, who: &[Identity]) -> Result<(Vec<Acl>, Stat), ErrorCode> {
        let node = self.get(path).ok_or(ErrorCode::NO_NODE)?;
        let acl = self.acl(node);
        let is_admin = may(acl, perms::ADMIN, who);
        if !is_admin && !may(acl, perms::READ, who) {
            return Err(ErrorCode::NO_AUTH);
        }
        Ok((if is_admin { acl.to_vec() } else { mask(acl) }, node.stat()))
    }

    /// getAllChildrenNumber: every descendant.
    ///
    /// # Errors
    /// `NO_NODE`, `NO_AUTH`.
    pub fn descendants(&self, path: &str, who: &[Identity]) -> Result<i32, ErrorCode> {
        self.readable(path, who)?;
        let mut open: Vec<Slot> = self.find(path).into_iter().collect();
        let mut count = 0_usize;
        while let Some(slot) = open.pop() {
            if let Some(children) = &self.node(slot).children {
                count += children.len();
                open.extend(children.values());
            }
        }
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }

    /// The ACL of a node, for the filter of watches that fire at once.
    pub fn acl_of_path(&self, path: &str) -> &[Acl] {
        self.get(path).map_or(&[], |node| self.acl(node))
    }

    fn readable(&self, path: &str, who: &[Identity]) -> Result<&Node, ErrorCode> {
        let node = self.get(path).ok_or(ErrorCode::NO_NODE)?;
        if may(self.acl(node), perms::READ, who) { Ok(node) } else { Err(ErrorCode::NO_AUTH) }
    }
}
