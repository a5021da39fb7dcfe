//! The coordination machine: Zab, the two replicated states (tree and cluster image), ZooKeeper's clients.
//!
//! Must not know: sockets, threads, files. Read first: [`Coordination`], [`Config`]. The parts: `clients` (frames in, replies
//! out), `leading` (what only the quorum leader decides), `control` (of that, what is asked from outside), `survey` (what it knows of the
//! others), `applying` (what every member does with a committed transaction), `membership` (joining, registering, stopping).

mod applying;
mod authenticating;
mod clients;
mod control;
mod expiring;
mod forward;
mod leading;
mod membership;
mod reconfig;
mod recovering;
mod snapshots;
mod survey;
mod telling;
mod txn;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use streamkeeper_base::{Address, DiskId, Durable, Incarnation, Instant, MemberId, SessionId, Zxid};
use streamkeeper_controller::{Answer, ClusterImage, CommandError, Outcome, decode_answer};
use streamkeeper_tree::{Tree, Watches, cluster_id};
use streamkeeper_zab as zab;
use streamkeeper_zab::{Action, Event, Membership, RoleName, SnapshotMeta};

use crate::control::{Facts, Report};
use crate::io::{Clocks, ConnectionId, Input, Link, Output, Ticket};
use crate::message::{Asker, FromCoordination, Status, ToCoordination};
use crate::record;
use crate::settings::Settings;
use crate::zookeeper::connection::{Addresses, Client};
use forward::{Request, Response};
use leading::Leading;
use survey::Reporting;
use telling::Telling;

/// Kafka's NOT_CONTROLLER: ask again.
const NOT_CONTROLLER: i16 = 41;
/// Touched sessions are told to the leader this often.
const TOUCH_EVERY: Duration = Duration::from_millis(200);

/// What a member's coordination must be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// This member.
    pub member: MemberId,
    /// Its data directory.
    pub disk: DiskId,
    /// Its data directory since the last unclean restart.
    pub incarnation: Incarnation,
    /// Where it is reached.
    pub address: Address,
    /// ZooKeeper's settings.
    pub zookeeper: Settings,
    /// Random bytes: the key of session passwords if this member makes it.
    pub session_key: [u8; 32],
    /// True if a skewed assignment is rebalanced without a command.
    pub auto_rebalance: bool,
    /// Bytes per second that a member sends to replicas that are being added; 0 for no limit.
    pub moves_bytes_per_second_max: u64,
    /// False for a member that runs ZooKeeper's side alone (`--zoo-cfg`).
    pub is_broker: bool,
    /// True for a member that joins a running ensemble.
    pub joining: bool,
    /// Transactions between two snapshots (ZooKeeper's snapCount).
    pub snapshot_every_txns: u64,
}

/// What waits for an answer from the quorum leader, or for its own transaction.
#[derive(Debug)]
enum Pending {
    /// A slot of a client's queue.
    Slot(ConnectionId),
    /// A session being opened.
    Opening { connection: ConnectionId, session: SessionId, timeout_ms: i32 },
    /// A session coming from another member.
    Reattaching { connection: ConnectionId, session: SessionId, timeout_ms: i32 },
    /// A neighbour's question.
    Asked { token: u64, asker: Asker },
    /// Somebody wants to know how the ensemble stands.
    Surveying { token: u64 },
    /// This member makes itself known.
    Registering,
    /// This member gives its leads away before it stops.
    Stopping,
}

/// The machine.
pub struct Coordination {
    config: Config,
    zab: zab::Peer,
    tree: Tree,
    image: Arc<ClusterImage>,
    watches: Watches,
    clients: BTreeMap<ConnectionId, Client>,
    addresses: Addresses,
    /// Which connection of this member serves a session.
    attached: BTreeMap<SessionId, ConnectionId>,
    pending: BTreeMap<u64, Pending>,
    /// Decisions without a transaction that wait until everything they were made against is applied.
    held_back: BTreeMap<(Zxid, u64), Response>,
    next_request: u64,
    next_session: i64,
    touched: BTreeSet<SessionId>,
    touch_at: Instant,
    register_at: Instant,
    /// True once this process has made itself known, however live its member was still thought to be.
    registered: bool,
    reporting: Reporting,
    /// The process shall stop: at the latest then, whatever it still leads.
    stopping: Option<Instant>,
    /// Peers with a quorum link.
    linked: BTreeSet<MemberId>,
    leading: Option<Leading>,
    /// What the state holds: Zab hands committed entries over in batches, and is ahead of it within one.
    applied: Zxid,
    telling: Telling,
    snapshot_under_way: Option<Zxid>,
    txns_since_snapshot: u64,
    bytes_since_snapshot: u64,
    /// The newest snapshot, if this process wrote it, and its size.
    snapshot: (Option<Zxid>, u64),
    /// What the broker wrote into the shared log since the newest snapshot.
    log_bytes: u64,
    received: u64,
    sent: u64,
    reported: Option<Arc<Status>>,
    report_at: Instant,
    clocks: Clocks,
    actions: Vec<Action>,
    out: Vec<Output<FromCoordination>>,
}

/// The state a member starts with.
pub struct Recovered {
    /// The znode tree of the newest snapshot, or a fresh one.
    pub tree: Tree,
    /// The cluster image of the newest snapshot, or an empty one.
    pub image: ClusterImage,
    /// Zab, rebuilt from snapshot and log.
    pub zab: zab::Peer,
}

impl Coordination {
    /// A machine with what its disk holds.
    pub fn new(config: Config, recovered: Recovered, now: Instant) -> Self {
        Self {
            applied: recovered.zab.last_delivered(),
            config,
            zab: recovered.zab,
            tree: recovered.tree,
            image: Arc::new(recovered.image),
            watches: Watches::default(),
            clients: BTreeMap::new(),
            addresses: Addresses::default(),
            attached: BTreeMap::new(),
            pending: BTreeMap::new(),
            held_back: BTreeMap::new(),
            next_request: 1,
            next_session: 0,
            touched: BTreeSet::new(),
            touch_at: now,
            register_at: now,
            registered: false,
            reporting: Reporting::default(),
            stopping: None,
            linked: BTreeSet::new(),
            leading: None,
            telling: Telling::default(),
            snapshot_under_way: None,
            txns_since_snapshot: 0,
            bytes_since_snapshot: 0,
            snapshot: (None, 0),
            log_bytes: 0,
            received: 0,
            sent: 0,
            reported: None,
            report_at: now,
            clocks: Clocks { now, ..Clocks::default() },
            actions: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Handles one input; what must be done is appended to `out`, in order.
    pub fn handle(
        &mut self,
        clocks: Clocks,
        input: Input<ToCoordination>,
        out: &mut Vec<Output<FromCoordination>>,
    ) {
        self.clocks = clocks;
        std::mem::swap(&mut self.out, out);
        match input {
            Input::Opened { connection, remote } => self.client_opened(connection, remote),
            Input::Frame { connection, frame } => self.client_frame(connection, frame),
            Input::Closed { connection } => self.client_closed(connection),
            Input::LinkUp { peer, .. } => {
                self.linked.insert(peer);
                self.zab_event(Event::LinkUp(peer));
            }
            Input::LinkDown { peer, .. } => {
                self.linked.remove(&peer);
                self.forget_told(peer);
                self.zab_event(Event::LinkDown(peer));
            }
            Input::PeerFrame { peer, kind, body, .. } => self.peer_frame(peer, kind, body),
            Input::Persisted { ticket } => {
                self.telling.persisted(ticket.get().0);
                self.zab_event(Event::Persisted(Durable::flushed(ticket.get().0)));
            }
            Input::SnapshotWritten { zxid } => self.snapshot_written(Zxid(zxid)),
            Input::FilesSynced { .. } => {}
            Input::Message(message) => self.told(message),
            Input::Tick => self.tick(),
        }
        self.maybe_snapshot();
        if self.zab.role().serves() && self.telling.in_step() {
            self.telling.tell(FromCoordination::Image(self.image.clone()));
        }
        self.out.extend(self.telling.release().into_iter().map(Output::Tell));
        std::mem::swap(&mut self.out, out);
    }

    /// The znode tree, for checkers.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The cluster image.
    pub fn image(&self) -> &Arc<ClusterImage> {
        &self.image
    }

    /// The identity of this member's disk since its last unclean restart.
    pub fn incarnation(&self) -> Incarnation {
        self.config.incarnation
    }

    /// Zab, for checkers.
    pub fn zab(&self) -> &zab::Peer {
        &self.zab
    }

    /// What neighbours must know before anything happens.
    pub fn announce(&self, out: &mut Vec<Output<FromCoordination>>) {
        out.push(Output::Tell(FromCoordination::Peers(addresses(self.zab.membership()))));
        out.extend(self.identified());
    }

    fn identified(&self) -> Option<Output<FromCoordination>> {
        self.tree.session_key().map(|key| Output::Tell(FromCoordination::Identified(cluster_id(key))))
    }

    fn told(&mut self, message: ToCoordination) {
        match message {
            ToCoordination::Command { token, command } => {
                let mut bytes = bytes::BytesMut::new();
                command.encode(&mut bytes);
                let pending = Pending::Asked { token, asker: Asker::Broker };
                self.ask(pending, Request::Command(bytes.freeze()));
            }
            ToCoordination::Confirm { token } => {
                self.ask(Pending::Asked { token, asker: Asker::Broker }, Request::Sync);
            }
            ToCoordination::Change { token, guard, change } => {
                let pending = Pending::Asked { token, asker: Asker::Control };
                self.ask(pending, Request::Change { guard, change });
            }
            ToCoordination::Survey { token, with_sizes } => {
                self.ask(Pending::Surveying { token }, Request::Survey { with_sizes });
            }
            ToCoordination::Holdings(holdings) => self.holds(holdings),
            ToCoordination::LogGrew { bytes } => self.log_bytes += bytes,
            ToCoordination::Stop => self.stop(),
        }
    }

    /// Puts a request to the quorum leader, here or elsewhere.
    fn ask(&mut self, pending: Pending, request: Request) -> u64 {
        let number = self.next_request;
        self.next_request += 1;
        self.pending.insert(number, pending);
        match self.zab.leader() {
            Some(leader) if leader == self.config.member => {
                self.lead_request(self.config.member, number, request);
            }
            Some(leader) => self.send(leader, forward::REQUEST, forward::encode_request(number, &request)),
            None => self.settle(number, Response::Lost),
        }
        number
    }

    fn send(&mut self, peer: MemberId, kind: u8, body: Bytes) {
        self.out.push(Output::PeerSend { peer, link: Link::Quorum, kind, body: vec![body] });
    }

    fn peer_frame(&mut self, peer: MemberId, kind: u8, body: Bytes) {
        let understood = match kind {
            forward::ZAB => zab::Message::decode(body)
                .map(|message| self.zab_event(Event::Received { from: peer, message }))
                .is_ok(),
            forward::REQUEST => forward::decode_request(body)
                .map(|(number, request)| self.lead_request(peer, number, request))
                .is_ok(),
            forward::RESPONSE => forward::decode_response(body)
                .map(|(number, response)| self.responded(number, response))
                .is_ok(),
            forward::REPORT => Report::decode(body).map(|report| self.reported_by(peer, report)).is_ok(),
            forward::TOUCH => {
                forward::decode_touches(body).map(|sessions| self.touched_at(peer, &sessions)).is_ok()
            }
            _ => false,
        };
        if !understood {
            self.out.push(Output::PeerReset { peer, link: Link::Quorum });
        }
    }

    /// A decision came back: it counts once everything it was made against is applied here.
    fn responded(&mut self, number: u64, response: Response) {
        if response.after() > self.applied {
            self.held_back.insert((response.after(), number), response);
        } else {
            self.settle(number, response);
        }
    }

    fn release_held_back(&mut self) {
        let applied = self.applied;
        while let Some(entry) = self.held_back.first_entry() {
            let (after, number) = *entry.key();
            if after > applied {
                return;
            }
            let response = entry.remove();
            self.settle(number, response);
        }
    }

    /// Tells whoever waits.
    fn settle(&mut self, number: u64, response: Response) {
        match self.pending.remove(&number) {
            Some(Pending::Slot(connection)) => self.slot_decided(connection, number, response),
            Some(Pending::Opening { connection, .. }) => self.drop_client(connection),
            Some(Pending::Reattaching { connection, session, timeout_ms }) => {
                self.reattach_decided(connection, session, timeout_ms, &response);
            }
            Some(Pending::Asked { token, asker }) => {
                let answer = match response {
                    Response::Answered { answer, .. } => decode_answer(answer).unwrap_or_else(|_| lost()),
                    Response::Synced { .. } => Ok(Outcome::Done),
                    Response::Rejected { .. }
                    | Response::Reattached { .. }
                    | Response::Surveyed { .. }
                    | Response::Lost => lost(),
                };
                let answered = FromCoordination::Answered { token, asker, answer };
                match asker {
                    Asker::Broker => self.telling.tell(answered),
                    Asker::Control => self.out.push(Output::Tell(answered)),
                }
            }
            Some(Pending::Surveying { token }) => {
                let facts = match response {
                    Response::Surveyed { facts, .. } => Facts::decode(facts).ok().map(Arc::new),
                    _ => None,
                };
                let found = facts.map(|facts| (facts, self.image.clone()));
                self.out.push(Output::Tell(FromCoordination::Surveyed { token, found }));
            }
            Some(Pending::Registering) => self.registered |= is_done(response),
            // Where nobody moves its leads, waiting for that is in vain.
            Some(Pending::Stopping) if !is_done(response) => self.leave_ensemble(),
            Some(Pending::Stopping) | None => {}
        }
    }

    fn zab_event(&mut self, event: Event) {
        let mut actions = std::mem::take(&mut self.actions);
        self.zab.handle(self.clocks.now, event, &mut actions);
        self.carry_out(actions);
    }

    fn carry_out(&mut self, mut actions: Vec<Action>) {
        let mut without_history = Vec::new();
        for action in actions.drain(..) {
            match action {
                Action::Persist { ticket, record } => {
                    self.telling.appended(ticket);
                    self.out.push(Output::Append {
                        ticket: Ticket(ticket),
                        kind: record::ZAB,
                        payload: vec![record.encode()],
                    });
                }
                Action::Send { to, message } => self.send(to, forward::ZAB, message.encode()),
                Action::Disconnect(peer) => self.out.push(Output::PeerReset { peer, link: Link::Quorum }),
                Action::Deliver { zxid, txn } => self.apply(zxid, txn),
                Action::DeliverMembership { zxid, membership } => {
                    self.membership_committed(zxid, &membership)
                }
                Action::RoleChanged { role, .. } => self.role_changed(role),
                Action::SupplySnapshot { to } => without_history.push(to),
                Action::InstallSnapshot { zxid, chunks } => self.install(zxid, &chunks),
                Action::SyncDone { token, zxid } => self.sync_done(token, Some(zxid)),
                Action::SyncFailed { token } => self.sync_done(token, None),
                Action::Release { below } => self.out.push(Output::Release { below: Ticket(below) }),
                Action::HandedOver => self.out.push(Output::Tell(FromCoordination::HandedOver)),
            }
        }
        // Only now is the state what Zab says was delivered.
        for to in without_history {
            let (zxid, chunks) = (self.applied, self.state_chunks());
            self.zab_event(Event::SnapshotSupplied { to, zxid, chunks });
        }
        // The buffer is used again; a nested event may have left its own.
        if self.actions.capacity() == 0 {
            self.actions = actions;
        }
        self.release_held_back();
    }

    fn role_changed(&mut self, role: RoleName) {
        if role == RoleName::Leading {
            let mut leading =
                Leading::new(self.clocks.now, ClusterImage::clone(&self.image), &self.config.zookeeper);
            self.tree
                .sessions()
                .for_each(|(session, timeout)| leading.expiry.add(session, timeout, self.clocks.now));
            self.leading = Some(leading);
            self.record_membership();
            self.make_session_key();
        } else {
            self.leading = None;
        }
        if !role.serves() {
            self.stop_serving();
        }
        self.report_at = self.clocks.now;
    }

    /// Without a leader the outcome of what is under way is unknown: clients must look for another member.
    fn stop_serving(&mut self) {
        let connections: Vec<ConnectionId> = self.clients.keys().copied().collect();
        connections.into_iter().for_each(|connection| self.drop_client(connection));
        self.held_back.clear();
        let waiting: Vec<u64> = self.pending.keys().copied().collect();
        waiting.into_iter().for_each(|number| self.settle(number, Response::Lost));
    }

    fn tick(&mut self) {
        self.zab_event(Event::Tick);
        if self.clocks.now >= self.touch_at {
            self.touch_at = self.clocks.now + TOUCH_EVERY;
            self.tell_touches();
        }
        self.lead_tick();
        self.tell_report();
        self.ask_to_join();
        self.register();
        self.report();
        self.continue_stop();
    }

    fn tell_touches(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        match self.zab.leader() {
            Some(leader) if leader != self.config.member && !touched.is_empty() => {
                self.send(leader, forward::TOUCH, forward::encode_touches(touched.into_iter()));
            }
            Some(_) | None => {
                let sessions: Vec<SessionId> = touched.into_iter().collect();
                self.touched_at(self.config.member, &sessions);
            }
        }
    }

    fn install(&mut self, zxid: Zxid, chunks: &[Bytes]) {
        match decode_state(chunks) {
            Ok((_, image, tree)) => {
                self.tree = tree;
                self.applied = zxid;
                self.image = Arc::new(image);
                self.telling.installing(zxid);
                self.telling.tell(FromCoordination::Image(self.image.clone()));
                self.out.extend(self.identified());
                let mut written = vec![self.zab.snapshot_meta().encode()];
                written.extend(chunks.iter().skip(1).cloned());
                self.out.push(Output::WriteSnapshot { zxid: zxid.0, chunks: written });
            }
            Err(reason) => self.out.push(Output::Fatal {
                reason: format!("the quorum leader's snapshot {zxid} cannot be read ({reason}); run one version on all members"),
            }),
        }
    }
}

fn is_done(response: Response) -> bool {
    let Response::Answered { answer, .. } = response else { return false };
    decode_answer(answer).is_ok_and(|answer| answer.is_ok())
}

fn lost() -> Answer {
    let message = "there is no quorum leader at the moment; try again".to_owned();
    Err(CommandError { code: NOT_CONTROLLER, message })
}

/// Where the members of an ensemble are reached; one whose description cannot be read is left out.
fn addresses(membership: &Membership) -> BTreeMap<MemberId, Address> {
    let address =
        |(id, member): (&MemberId, &zab::Member)| Some((*id, Address::decode(member.data.clone()).ok()?));
    membership.members.iter().filter_map(address).collect()
}

/// Reads a snapshot's chunks: what Zab knows of it, the image, the tree.
///
/// # Errors
/// Which part cannot be read.
pub fn decode_state(chunks: &[Bytes]) -> Result<(SnapshotMeta, ClusterImage, Tree), String> {
    let [meta, image, tree @ ..] = chunks else { return Err("it has too few chunks".to_owned()) };
    let meta = SnapshotMeta::decode(meta.clone()).map_err(|error| error.to_string())?;
    let image = ClusterImage::decode(image.clone()).map_err(|error| error.to_string())?;
    let tree = Tree::decode_snapshot(tree).map_err(|error| error.to_string())?;
    Ok((meta, image, tree))
}
