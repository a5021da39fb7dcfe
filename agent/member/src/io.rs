//! What crosses the border between a member's machines and whatever drives them: the shell (`agent/node`) or the simulator.
//!
//! Must not know: sockets, threads, clocks. Read first: [`Input`], [`Output`].

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use streamkeeper_base::{Durable, Incarnation, Instant, MemberId, Piece, WallMillis};
use streamkeeper_storage::disk::DiskFile;

/// A client's connection, unique for the life of one machine; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// The place of an append among all appends of one machine, rising from 1 (replayed records included). Completions are cumulative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

impl Ticket {
    /// The next append's ticket.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Both clocks, read once per step by the driver.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clocks {
    /// Monotonic: every timeout is decided by it.
    pub now: Instant,
    /// Wall time: only ever stamped into records and transactions.
    pub wall: WallMillis,
}

/// One unit that a client's byte stream was cut into by a decoder of `wire`.
#[derive(Clone, Debug)]
pub enum ClientFrame {
    /// A ZooKeeper 4-letter word, sent raw in place of a length.
    Word([u8; 4]),
    /// The body of a length-prefixed frame.
    Frame(Bytes),
}

/// Which kind of inter-agent connection a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// Zab and forwarded requests: one per unordered pair of members.
    Quorum,
    /// Appends that this member sends as leader of partitions; progress comes back on it.
    ReplicationOut,
    /// Appends that the peer sends as leader of partitions; this member answers progress on it.
    ReplicationIn,
}

/// What can happen to a machine. `M` is what the machine's neighbours tell it (the other machine, gRPC).
#[derive(Debug)]
pub enum Input<M> {
    /// A client connected.
    Opened {
        /// Its connection.
        connection: ConnectionId,
        /// Where it comes from.
        remote: IpAddr,
    },
    /// A client sent a whole frame.
    Frame {
        /// Its connection.
        connection: ConnectionId,
        /// What it sent.
        frame: ClientFrame,
    },
    /// A client's connection is gone.
    Closed {
        /// Its connection.
        connection: ConnectionId,
    },
    /// A link to a peer is up, with nothing in flight on it: whatever an earlier link carried and did not deliver is lost.
    LinkUp {
        /// The peer.
        peer: MemberId,
        /// The state of its disk, as it said when it greeted.
        incarnation: Incarnation,
        /// Which link.
        link: Link,
    },
    /// A link to a peer is down.
    LinkDown {
        /// The peer.
        peer: MemberId,
        /// Which link.
        link: Link,
    },
    /// A frame came in over a link; the frame's CRC was good.
    PeerFrame {
        /// The peer.
        peer: MemberId,
        /// Which link.
        link: Link,
        /// The frame's type byte.
        kind: u8,
        /// The frame's payload.
        body: Bytes,
    },
    /// Every append of this machine up to the ticket is on disk.
    Persisted {
        /// Proof of the flush.
        ticket: Durable<Ticket>,
    },
    /// The files of a [`Output::SyncFiles`] are on disk.
    FilesSynced {
        /// The token of the request.
        token: u64,
    },
    /// A snapshot of [`Output::WriteSnapshot`] is on disk under its name.
    SnapshotWritten {
        /// Its number as given.
        zxid: i64,
    },
    /// A neighbour says something.
    Message(M),
    /// Time passed.
    Tick,
}

/// What the driver must do. Order within one step is the order of effects.
pub enum Output<N> {
    /// Queue bytes to a client; consecutive sends to one client leave in one write.
    Send {
        /// Its connection.
        connection: ConnectionId,
        /// A piece of the stream.
        piece: Piece,
    },
    /// Close a client's connection after what was queued before.
    Close {
        /// Its connection.
        connection: ConnectionId,
    },
    /// Send a frame over a link; dropped if the link is down.
    PeerSend {
        /// The peer.
        peer: MemberId,
        /// Which link.
        link: Link,
        /// The frame's type byte.
        kind: u8,
        /// The frame's payload, in pieces that are sent as one.
        body: Vec<Bytes>,
    },
    /// Cut a link; the driver connects anew and then reports [`Input::LinkUp`].
    PeerReset {
        /// The peer.
        peer: MemberId,
        /// Which link.
        link: Link,
    },
    /// Append to the write-ahead log.
    Append {
        /// Rises by one with each append of this machine.
        ticket: Ticket,
        /// What the record is, see [`crate::record`].
        kind: u8,
        /// The record, in pieces.
        payload: Vec<Bytes>,
    },
    /// Records of this machine below the ticket are no longer needed for recovery.
    Release {
        /// The first ticket that is still needed.
        below: Ticket,
    },
    /// Flush files in the background, then report [`Input::FilesSynced`].
    SyncFiles {
        /// Comes back with the completion.
        token: u64,
        /// What to flush.
        files: Vec<Arc<dyn DiskFile>>,
    },
    /// Write a snapshot file in the background, then report [`Input::SnapshotWritten`].
    WriteSnapshot {
        /// The snapshot's exact zxid, its name.
        zxid: i64,
        /// Its content in chunks.
        chunks: Vec<Bytes>,
    },
    /// Tell a neighbour.
    Tell(N),
    /// Whoever runs the member should know: a sentence that says what and what to do.
    Warn {
        /// The sentence.
        text: String,
    },
    /// The member must stop at once: an invariant that its data depends on cannot be kept. The text says what and what to do.
    Fatal {
        /// What happened and the next step.
        reason: String,
    },
}
