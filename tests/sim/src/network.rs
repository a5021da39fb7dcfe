//! Connections between members and from clients: bytes arrive in order, late, in pieces, or not at all.
//!
//! Must not know: what the bytes mean. Read first: [`Links`], [`Clients`].

use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use streamkeeper_base::MemberId;
use streamkeeper_member::io::Link;
use streamkeeper_member::record::Owner;

/// A connection between two members.
pub(crate) struct Connection {
    /// Dialler and accepter, each with the life of its process and its name for the link.
    pub(crate) ends: [End; 2],
    /// When the last bytes in each direction arrive: nothing overtakes them.
    pub(crate) last_arrival_us: [u64; 2],
    /// Bytes that a cut holds back, by direction.
    pub(crate) held: [Vec<bytes::Bytes>; 2],
}

/// One end of a connection.
pub(crate) struct End {
    pub(crate) member: MemberId,
    pub(crate) life: u64,
    pub(crate) link: Link,
    pub(crate) buffer: BytesMut,
    pub(crate) is_open: bool,
}

/// All connections between members, and the cuts.
#[derive(Default)]
pub(crate) struct Links {
    pub(crate) connections: BTreeMap<u64, Connection>,
    /// Directions that carry nothing.
    pub(crate) cut: BTreeSet<(MemberId, MemberId)>,
    pub(crate) next: u64,
}

impl Links {
    /// True if neither direction is cut: a connection can only be made then.
    pub(crate) fn can_connect(&self, a: MemberId, b: MemberId) -> bool {
        !self.cut.contains(&(a, b)) && !self.cut.contains(&(b, a))
    }
}

/// A client's connection to one machine of a member.
pub(crate) struct ClientConnection {
    pub(crate) client: usize,
    pub(crate) member: MemberId,
    pub(crate) life: u64,
    pub(crate) machine: Owner,
    /// What arrived at the member and is no whole frame yet.
    pub(crate) buffer: BytesMut,
    pub(crate) last_arrival_us: [u64; 2],
    pub(crate) server_open: bool,
    pub(crate) client_open: bool,
}

/// All clients' connections.
#[derive(Default)]
pub(crate) struct Clients {
    pub(crate) connections: BTreeMap<u64, ClientConnection>,
    pub(crate) next: u64,
}
