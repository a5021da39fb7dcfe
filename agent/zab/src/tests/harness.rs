//! A few peers in one thread: FIFO links, disks that lose what was not flushed, and checks after every step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use streamkeeper_base::{Durable, Instant, MemberId, Random, Zxid};

use crate::{
    Action, Config, Event, LogRecord, Membership, Message, Payload, Peer, ProposeError, Recovery, RoleName,
    SnapshotMeta, Timing,
};

/// What a member's owner holds: the delivered transactions in order.
pub(super) type State = Vec<(Zxid, Bytes)>;

/// What survives a crash of one member.
#[derive(Clone, Default)]
pub(super) struct Disk {
    /// Flushed records.
    pub(super) log: Vec<LogRecord>,
    /// The newest snapshot and its state.
    pub(super) snapshot: (SnapshotMeta, State),
}

pub(super) struct Node {
    pub(super) peer: Option<Peer>,
    pub(super) disk: Disk,
    /// Appended, not flushed: ticket and record.
    unflushed: VecDeque<(u64, LogRecord)>,
    /// A snapshot that is not flushed yet.
    installing: Option<(SnapshotMeta, State)>,
    pub(super) state: State,
    pub(super) syncs: Vec<(u64, Zxid)>,
}

pub(super) struct Net {
    pub(super) nodes: BTreeMap<MemberId, Node>,
    pub(super) now: Instant,
    pub(super) random: Random,
    pub(super) bootstrap: Membership,
    /// One queue per direction of an open link.
    pub(super) links: BTreeMap<(MemberId, MemberId), VecDeque<Message>>,
    pub(super) cut: BTreeSet<(MemberId, MemberId)>,
    /// The one order that every delivery must agree with (Z2, Z4, Z5).
    pub(super) order: State,
    /// Acknowledged to a client: delivered at the leader that proposed it.
    pub(super) acknowledged: Vec<Zxid>,
    leaders: BTreeMap<u32, MemberId>,
    pub(super) proposals: u64,
}

pub(super) fn m(id: i32) -> MemberId {
    MemberId(id)
}

impl Net {
    pub(super) fn new(voters: i32, others: i32, seed: u64) -> Self {
        let bootstrap = Membership::of_voters((0..voters).map(|id| (m(id), Bytes::new())));
        let mut net = Self {
            nodes: BTreeMap::new(),
            now: Instant::ZERO,
            random: Random::new(seed),
            bootstrap,
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            order: Vec::new(),
            acknowledged: Vec::new(),
            leaders: BTreeMap::new(),
            proposals: 0,
        };
        for id in 0..voters + others {
            let node = Node {
                peer: None,
                disk: Disk::default(),
                unflushed: VecDeque::new(),
                installing: None,
                state: Vec::new(),
                syncs: Vec::new(),
            };
            net.nodes.insert(m(id), node);
            net.start(m(id));
        }
        net
    }

    /// Starts a member from its disk and opens its links.
    pub(super) fn start(&mut self, id: MemberId) {
        let bootstrap =
            if self.bootstrap.is_voter(id) { self.bootstrap.clone() } else { Membership::default() };
        let node = self.nodes.get_mut(&id).expect("a node of the test");
        assert!(node.peer.is_none());
        let (meta, state) = node.disk.snapshot.clone();
        let mut recovery = Recovery::new(meta);
        for record in &node.disk.log {
            // What was written is what is read.
            let record = LogRecord::decode(record.encode()).expect("our own record");
            recovery.replay(record).expect("a log that recovers");
        }
        node.state = state;
        let config = Config { id, bootstrap, timing: Timing::default() };
        node.peer =
            Some(Peer::new(config, recovery, self.now, self.random.next_u64()).expect("a log that recovers"));
        let others: Vec<MemberId> = self.nodes.keys().copied().filter(|o| *o != id).collect();
        others.into_iter().for_each(|other| self.connect(id, other));
    }

    /// A process that dies: with `power` what was not flushed is gone, up to a random point.
    pub(super) fn crash(&mut self, id: MemberId, power: bool) {
        let keep = if power {
            self.random.below(self.nodes[&id].unflushed.len() as u64 + 1) as usize
        } else {
            self.nodes[&id].unflushed.len()
        };
        let node = self.nodes.get_mut(&id).expect("a node of the test");
        let Node { unflushed, disk, .. } = node;
        disk.log.extend(unflushed.drain(..).take(keep).map(|(_, record)| record));
        node.unflushed.clear();
        node.peer = None;
        node.installing = None;
        let others: Vec<MemberId> = self.nodes.keys().copied().collect();
        others.into_iter().for_each(|other| self.disconnect(id, other));
    }

    pub(super) fn connect(&mut self, a: MemberId, b: MemberId) {
        let up = |id: MemberId| self.nodes[&id].peer.is_some();
        if !up(a) || !up(b) || self.cut.contains(&pair(a, b)) || self.links.contains_key(&(a, b)) {
            return;
        }
        self.links.insert((a, b), VecDeque::new());
        self.links.insert((b, a), VecDeque::new());
        self.feed(a, Event::LinkUp(b));
        self.feed(b, Event::LinkUp(a));
    }

    pub(super) fn disconnect(&mut self, a: MemberId, b: MemberId) {
        if self.links.remove(&(a, b)).is_some() {
            self.links.remove(&(b, a));
            self.feed(a, Event::LinkDown(b));
            self.feed(b, Event::LinkDown(a));
        }
    }

    pub(super) fn feed(&mut self, id: MemberId, event: Event) {
        let now = self.now;
        let Some(peer) = self.nodes.get_mut(&id).and_then(|n| n.peer.as_mut()) else { return };
        let mut out = Vec::new();
        peer.handle(now, event, &mut out);
        self.carry_out(id, out);
    }

    pub(super) fn propose(&mut self, id: MemberId) -> Result<Zxid, ProposeError> {
        self.proposals += 1;
        let txn = Bytes::from(format!("txn-{}", self.proposals));
        let Some(peer) = self.nodes.get_mut(&id).and_then(|n| n.peer.as_mut()) else {
            return Err(ProposeError::NotLeading);
        };
        let mut out = Vec::new();
        let result = peer.propose(txn, &mut out);
        self.carry_out(id, out);
        result
    }

    pub(super) fn change(&mut self, change: &crate::MembershipChange) -> Result<Zxid, ProposeError> {
        let Some(id) = self.leader() else { return Err(ProposeError::NotLeading) };
        let mut out = Vec::new();
        let peer = self.nodes.get_mut(&id).and_then(|n| n.peer.as_mut()).expect("the leader runs");
        let result = peer.change_membership(change, &mut out);
        self.carry_out(id, out);
        result
    }

    pub(super) fn record_membership(&mut self) -> Result<Zxid, ProposeError> {
        let Some(id) = self.leader() else { return Err(ProposeError::NotLeading) };
        let mut out = Vec::new();
        let peer = self.nodes.get_mut(&id).and_then(|n| n.peer.as_mut()).expect("the leader runs");
        let result = peer.record_membership(&mut out);
        self.carry_out(id, out);
        result
    }

    fn carry_out(&mut self, id: MemberId, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Persist { ticket, record } => self.node(id).unflushed.push_back((ticket, record)),
                Action::Send { to, message } => {
                    if let Some(queue) = self.links.get_mut(&(id, to)) {
                        let message = Message::decode(message.encode()).expect("our own message");
                        queue.push_back(message);
                    }
                }
                Action::Disconnect(peer) => self.disconnect(id, peer),
                Action::Deliver { zxid, txn } => self.delivered(id, zxid, txn),
                Action::DeliverMembership { .. } | Action::Release { .. } | Action::HandedOver => {}
                Action::RoleChanged { role, epoch, .. } => {
                    if role == RoleName::Leading {
                        let leader = *self.leaders.entry(epoch.0).or_insert(id);
                        assert_eq!(leader, id, "Z1: two leaders established in epoch {epoch}");
                    }
                }
                Action::SupplySnapshot { to } => {
                    let zxid = self.peer(id).last_delivered();
                    let chunks = encode_state(&self.nodes[&id].state);
                    self.feed(id, Event::SnapshotSupplied { to, zxid, chunks });
                }
                Action::InstallSnapshot { zxid, chunks } => {
                    let state = decode_state(&chunks);
                    let meta = self.peer(id).snapshot_meta();
                    assert_eq!(meta.zxid, zxid);
                    let node = self.node(id);
                    node.state.clone_from(&state);
                    node.installing = Some((meta, state));
                }
                Action::SyncDone { token, zxid } => self.node(id).syncs.push((token, zxid)),
                Action::SyncFailed { .. } => {}
            }
        }
    }

    fn delivered(&mut self, id: MemberId, zxid: Zxid, txn: Bytes) {
        let known = self.order.iter().find(|(z, _)| *z == zxid);
        match known {
            Some((_, other)) => {
                assert_eq!(*other, txn, "Z4, Z16: {id} delivers another transaction at {zxid:?}")
            }
            None => {
                assert!(
                    self.order.last().is_none_or(|(last, _)| *last < zxid),
                    "Z5, Z7: {zxid:?} after {:?}",
                    self.order
                );
                self.order.push((zxid, txn.clone()));
            }
        }
        let leads = self.peer(id).leader() == Some(id);
        let node = self.node(id);
        assert!(node.state.last().is_none_or(|(last, _)| *last < zxid), "{id} delivers {zxid:?} twice");
        node.state.push((zxid, txn));
        if leads {
            self.acknowledged.push(zxid);
        }
        // Z2: what a member delivered is a prefix of the order.
        let state = &self.nodes[&id].state;
        assert_eq!(self.order[state.len() - 1].0, zxid, "{id} delivers with a gap");
    }

    pub(super) fn node(&mut self, id: MemberId) -> &mut Node {
        self.nodes.get_mut(&id).expect("a node of the test")
    }

    pub(super) fn peer(&self, id: MemberId) -> &Peer {
        self.nodes[&id].peer.as_ref().expect("a running member")
    }

    pub(super) fn flush(&mut self, id: MemberId) {
        let node = self.node(id);
        if node.peer.is_none() {
            return;
        }
        if let Some((meta, state)) = node.installing.take() {
            let zxid = meta.zxid;
            node.disk.snapshot = (meta, state);
            self.feed(id, Event::SnapshotInstalled(zxid));
        }
        let node = self.node(id);
        let Some((last, _)) = node.unflushed.back() else { return };
        let last = *last;
        let Node { unflushed, disk, .. } = node;
        disk.log.extend(unflushed.drain(..).map(|(_, record)| record));
        self.feed(id, Event::Persisted(Durable::flushed(last)));
    }

    /// Writes a snapshot of the delivered state, then drops the log records it replaces.
    pub(super) fn snapshot(&mut self, id: MemberId) {
        if self.nodes[&id].peer.is_none() || self.nodes[&id].installing.is_some() {
            return;
        }
        let meta = self.peer(id).snapshot_meta();
        let zxid = meta.zxid;
        let node = self.node(id);
        node.disk.snapshot = (meta, node.state.clone());
        self.feed(id, Event::SnapshotTaken(zxid));
    }

    pub(super) fn deliver_one(&mut self, from: MemberId, to: MemberId) -> bool {
        let Some(message) = self.links.get_mut(&(from, to)).and_then(VecDeque::pop_front) else {
            return false;
        };
        self.feed(to, Event::Received { from, message });
        true
    }

    /// Everything settles for a while: links heal, messages arrive, disks flush, time passes.
    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now = self.now + Duration::from_millis(5);
            let ids: Vec<MemberId> = self.nodes.keys().copied().collect();
            for id in &ids {
                self.feed(*id, Event::Tick);
                for other in &ids {
                    if other > id {
                        self.connect(*id, *other);
                    }
                }
            }
            for _ in 0..8 {
                let open: Vec<(MemberId, MemberId)> = self.links.keys().copied().collect();
                for (from, to) in open {
                    while self.deliver_one(from, to) {}
                }
                ids.iter().for_each(|id| self.flush(*id));
            }
        }
    }

    /// The established leader with the highest epoch.
    pub(super) fn leader(&self) -> Option<MemberId> {
        let leads =
            |id: &&MemberId| self.nodes[*id].peer.as_ref().is_some_and(|p| p.role() == RoleName::Leading);
        self.nodes.keys().filter(leads).max_by_key(|id| self.peer(**id).epoch()).copied()
    }

    /// All running members hold all that was ever acknowledged, and the same.
    pub(super) fn assert_converged(&self) {
        let longest = self.nodes.values().map(|n| n.state.len()).max().unwrap_or(0);
        for (id, node) in &self.nodes {
            let Some(peer) = &node.peer else { continue };
            assert!(peer.role().serves(), "{id} is {:?}", peer.role());
            assert_eq!(node.state.len(), longest, "{id} lags");
        }
        let state = self.nodes.values().find(|n| n.state.len() == longest).map(|n| &n.state).expect("a node");
        for zxid in &self.acknowledged {
            assert!(state.iter().any(|(z, _)| z == zxid), "acknowledged {zxid:?} is lost");
        }
    }
}

fn pair(a: MemberId, b: MemberId) -> (MemberId, MemberId) {
    (a.min(b), a.max(b))
}

impl Net {
    pub(super) fn set_cut(&mut self, a: MemberId, b: MemberId, cut: bool) {
        if cut {
            self.cut.insert(pair(a, b));
            self.disconnect(a, b);
        } else {
            self.cut.remove(&pair(a, b));
        }
    }
}

fn encode_state(state: &State) -> Vec<Bytes> {
    state.iter().map(|(zxid, txn)| Bytes::from([&zxid.0.to_be_bytes()[..], txn].concat())).collect()
}

fn decode_state(chunks: &[Bytes]) -> State {
    let entry = |chunk: &Bytes| {
        let zxid = Zxid(i64::from_be_bytes(chunk[..8].try_into().expect("eight bytes")));
        (zxid, chunk.slice(8..))
    };
    chunks.iter().filter(|chunk| !chunk.is_empty()).map(entry).collect()
}

/// The transactions in a member's log after its base.
pub(super) fn logged(peer: &Peer) -> Vec<Zxid> {
    peer.logged_after(Zxid::ZERO).filter(|e| matches!(e.payload, Payload::Txn(_))).map(|e| e.zxid).collect()
}
