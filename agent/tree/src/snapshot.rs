//! The whole state as bytes in chunks, and back; and a digest to compare members by.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use streamkeeper_base::SessionId;
use streamkeeper_base::limits::SNAPSHOT_CHUNK_BYTES;

use crate::owner::Owner;
use crate::session::Session;
use crate::tree::{Node, ROOT, Slot, Tree};
use crate::txn::{
    TxnDecodeError, get_acl, get_array, get_data, get_i32, get_i64, get_list, get_text, get_u8, get_u32,
    put_acl, put_data, put_text,
};

/// A snapshot that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a snapshot of the tree is malformed")]
pub struct SnapshotError;

impl From<TxnDecodeError> for SnapshotError {
    fn from(_: TxnDecodeError) -> Self {
        Self
    }
}

impl Tree {
    /// The state in chunks of about [`SNAPSHOT_CHUNK_BYTES`]; equal states give equal bytes.
    pub fn encode_snapshot(&self) -> Vec<Bytes> {
        let mut chunks = Vec::new();
        let mut out = BytesMut::new();
        out.put_u8(u8::from(self.session_key.is_some()));
        out.put_slice(&self.session_key.unwrap_or_default());
        out.put_u32(self.sessions.len() as u32);
        for (id, session) in &self.sessions {
            out.put_i64(id.0);
            out.put_i32(session.timeout_ms);
        }
        // Depth first, names in order; each node is followed by its children's count and then its children.
        let mut open: Vec<(&str, Slot)> = vec![("", ROOT)];
        while let Some((name, slot)) = open.pop() {
            let node = self.node(slot);
            put_text(&mut out, name);
            put_node(&mut out, node);
            put_acl(&mut out, self.acl(node));
            out.put_u32(node.child_count() as u32);
            if let Some(children) = &node.children {
                open.extend(children.iter().rev().map(|(name, slot)| (&**name, *slot)));
            }
            if out.len() >= SNAPSHOT_CHUNK_BYTES {
                chunks.push(out.split().freeze());
            }
        }
        chunks.push(out.freeze());
        chunks
    }

    /// Reads what [`Tree::encode_snapshot`] wrote.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode_snapshot(chunks: &[Bytes]) -> Result<Self, SnapshotError> {
        let mut whole = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
        chunks.iter().for_each(|chunk| whole.put_slice(chunk));
        let mut input = whole.freeze();
        let mut tree = Self::empty();
        let has_key = get_u8(&mut input)? != 0;
        let key = get_array(&mut input)?;
        tree.session_key = has_key.then_some(key);
        let sessions = get_list(&mut input, |i| Ok((SessionId(get_i64(i)?), get_i32(i)?)))?;
        tree.sessions = sessions
            .into_iter()
            .map(|(id, timeout_ms)| (id, Session { timeout_ms, ephemerals: BTreeSet::new() }))
            .collect();
        tree.decode_nodes(&mut input)?;
        if input.is_empty() { Ok(tree) } else { Err(SnapshotError) }
    }

    fn decode_nodes(&mut self, input: &mut Bytes) -> Result<(), SnapshotError> {
        // Ancestors that still miss children: slot, path, how many.
        let mut open: Vec<(Slot, String, u32)> = Vec::new();
        loop {
            let name = get_text(input)?;
            let mut node = get_node(input)?;
            let acl = get_acl(input)?;
            node.acl = self.acl_of(&acl);
            let children = get_u32(input)?;
            let owner = node.owner;
            let (slot, path) = match open.last_mut() {
                None => {
                    self.data_bytes += node.data.as_ref().map_or(0, |d| d.len() as u64);
                    self.nodes.push(Some(node));
                    self.count = 1;
                    (ROOT, String::new())
                }
                Some((parent, parent_path, left)) => {
                    *left -= 1;
                    let (parent, path) = (*parent, format!("{parent_path}/{name}"));
                    let is_new =
                        self.node(parent).children.as_ref().is_none_or(|c| !c.contains_key(name.as_str()));
                    if !is_new || name.is_empty() {
                        return Err(SnapshotError);
                    }
                    (self.insert(parent, &name, node), path)
                }
            };
            self.note_owner(owner, &path, true);
            open.push((slot, path, children));
            while open.last().is_some_and(|(_, _, left)| *left == 0) {
                open.pop();
            }
            if open.is_empty() {
                return Ok(());
            }
        }
    }

    /// A number that differs when states differ, for comparing members at one zxid (invariant Z17).
    pub fn digest(&self) -> u64 {
        self.encode_snapshot()
            .iter()
            .flat_map(|chunk| chunk.iter())
            .fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
            })
    }
}

fn put_node(out: &mut BytesMut, node: &Node) {
    put_data(out, node.data.as_ref());
    for value in [node.czxid, node.mzxid, node.pzxid, node.ctime, node.mtime, node.owner.0] {
        out.put_i64(value);
    }
    for value in [node.version, node.creates, node.aversion] {
        out.put_i32(value);
    }
}

fn get_node(input: &mut Bytes) -> Result<Node, TxnDecodeError> {
    // The data must not keep the whole snapshot's memory alive.
    let data = get_data(input)?.map(|data| Bytes::copy_from_slice(&data));
    Ok(Node {
        data,
        acl: 0,
        czxid: get_i64(input)?,
        mzxid: get_i64(input)?,
        pzxid: get_i64(input)?,
        ctime: get_i64(input)?,
        mtime: get_i64(input)?,
        owner: Owner(get_i64(input)?),
        version: get_i32(input)?,
        creates: get_i32(input)?,
        aversion: get_i32(input)?,
        children: None,
    })
}
