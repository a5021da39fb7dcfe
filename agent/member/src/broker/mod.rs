//! The broker machine: partitions over their logs, replication links, Kafka's clients, group coordinators.
//!
//! Must not know: sockets, threads. The log's page-cache writes and reads happen inline through the `Disk` trait; flushes are asked
//! for and reported. Read first: [`Broker`], `replicas` (partitions), then `crate::kafka` (clients).

mod acceptance;
mod coordinators;
mod flushing;
mod holdings;
mod producers;
mod proving;
mod replay;
mod replicas;
mod reporting;
mod settings;
pub(crate) mod space;
mod throttle;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use streamkeeper_base::{
    Durable, Incarnation, Instant, LeaderEpoch, MemberId, Offset, PartitionId, TopicPartition,
};
use streamkeeper_controller::{Answer, ClusterImage, Command};
use streamkeeper_group::Coordinator;
use streamkeeper_replica::{Action, Event, Partition, Producers};
use streamkeeper_storage::disk::Disk;
use streamkeeper_storage::partition_log::{Boot, FlushPoint, PartitionLog};

use crate::io::{Clocks, ConnectionId, Input, Link, Output, Ticket};
use crate::kafka::client::Exchange;
use crate::kafka::client::KafkaClient;
use crate::kafka::handlers::GroupRequest;
use crate::kafka::pending::{AdminBatch, ParkedFetch, PendingCommand, PendingProduce, ProduceSlot};
use crate::message::{FromCoordination, Holdings, ToBroker, ToCoordination};
use streamkeeper_wire::kafka::ErrorCode;
use streamkeeper_wire::kafka::generated::delete_groups_response::DeleteGroupsResponse;
use streamkeeper_wire::record::{Rules, Validator};

use flushing::Checkpoint;
use proving::Proof;
pub(crate) use proving::Unproven;
use replay::RecoveredLog;
pub use replay::{RecoveredLogs, replay};
use space::Space;
use throttle::Throttle;

/// What a member's broker must be told.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// This member.
    pub member: MemberId,
    /// Its disk, as [`crate::open::Opened`] tells it.
    pub incarnation: Incarnation,
    /// The cluster's id, as clients see it.
    pub cluster_id: String,
    /// The data directory.
    pub data: PathBuf,
    /// Kafka's broker settings under Kafka's names.
    pub settings: BTreeMap<String, String>,
    /// Bytes appended to the write-ahead log between two checkpoints.
    pub checkpoint_bytes: u64,
    /// Bytes that are held on the disk, to be let go when it is full.
    pub reserve_bytes: u64,
    /// A snapshot of a partition's producers is taken when an opening would have to read more of its log than that, bytes.
    pub snapshot_bytes: u64,
    /// For topic ids.
    pub seed: u64,
}

impl BrokerConfig {
    /// A setting in force, or the catalogue's default.
    pub fn setting(&self, name: &str) -> String {
        if let Some(value) = self.settings.get(name) {
            return value.clone();
        }
        streamkeeper_controller::broker_key(name).and_then(|key| key.default).unwrap_or_default().to_owned()
    }

    pub(crate) fn number(&self, name: &str) -> i64 {
        self.setting(name).parse().unwrap_or(0)
    }
}

/// One partition on this member.
pub(crate) struct Replica {
    pub(crate) partition: Partition,
    pub(crate) log: PartitionLog,
    pub(crate) producers: Producers,
    /// Bytes of the log that no snapshot of the producers stands for: what the next opening reads.
    pub(crate) unsnapped_bytes: u64,
    /// A flush of its files under way, with its token.
    pub(crate) flushing: Option<(u64, FlushPoint)>,
    /// The end of the last batches that are in no write-ahead log: only a flush of the files makes them durable.
    pub(crate) flush_to: Offset,
    /// The write-ahead log knows something that no checkpoint of the files, finished or under way, tells.
    pub(crate) dirty: bool,
    /// What it asks of batches.
    pub(crate) rules: Rules,
    /// Replicas that a reassignment adds: what they are fed has a limit.
    pub(crate) adding: Vec<MemberId>,
}

/// What a record of the write-ahead log makes durable.
#[derive(Clone, Copy, Debug)]
enum Logged {
    /// Records from one offset up to another.
    Records(Offset, Offset),
    /// The note of a term.
    Settled(LeaderEpoch),
}

/// A record on its way into the write-ahead log.
#[derive(Debug)]
struct InWal {
    ticket: Ticket,
    tp: TopicPartition,
    what: Logged,
}

/// The machine.
pub struct Broker {
    pub(crate) config: BrokerConfig,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) image: Arc<ClusterImage>,
    pub(crate) replicas: BTreeMap<TopicPartition, Replica>,
    recovered: BTreeMap<TopicPartition, RecoveredLog>,
    /// Partitions whose files are gone while the write-ahead log may still tell of them.
    voided: BTreeSet<TopicPartition>,
    boot: Boot,
    /// The image knows this disk.
    is_registered: bool,
    /// The image named this member among those that live: from then on it answers clients.
    pub(crate) is_serving: bool,
    pub(crate) clients: BTreeMap<ConnectionId, KafkaClient>,
    /// Followers that this member's links reach.
    pub(crate) followers: BTreeMap<MemberId, Incarnation>,
    next_ticket: Ticket,
    /// What becomes durable with which ticket.
    in_wal: VecDeque<InWal>,
    flush_tokens: BTreeMap<u64, TopicPartition>,
    releasing: Option<Checkpoint>,
    checkpoint_at: Instant,
    appended_since_checkpoint: u64,
    pub(crate) next_number: u64,
    pub(crate) produce_slots: BTreeMap<u64, ProduceSlot>,
    pub(crate) produces: BTreeMap<u64, PendingProduce>,
    pub(crate) fetches: BTreeMap<u64, ParkedFetch>,
    pub(crate) commands: BTreeMap<u64, PendingCommand>,
    pub(crate) admin: BTreeMap<u64, AdminBatch>,
    pub(crate) coordinators: BTreeMap<PartitionId, Coordinator>,
    pub(crate) group_requests: BTreeMap<u64, GroupRequest>,
    pub(crate) group_deletions: BTreeMap<u64, (Exchange, DeleteGroupsResponse, usize)>,
    pub(crate) producer_ids: std::ops::Range<i64>,
    pub(crate) advanced: BTreeSet<TopicPartition>,
    pub(crate) validator: Validator,
    pub(crate) random: streamkeeper_base::Random,
    pub(crate) clocks: Clocks,
    retention_at: Instant,
    holdings_at: Instant,
    /// What was told of them last.
    held: Holdings,
    throttle: Throttle,
    space: Space,
    proof: Proof,
    /// Partitions of this member that nobody leads, and when the controller is told again what is there of them.
    leaderless: BTreeSet<TopicPartition>,
    report_at: Instant,
    pub(crate) out: Vec<Output<ToCoordination>>,
}

/// Retention is looked at this often.
const RETENTION_EVERY: Duration = Duration::from_secs(30);

impl Broker {
    /// A machine with what its disk holds.
    pub fn new(config: BrokerConfig, disk: Arc<dyn Disk>, recovered: RecoveredLogs, now: Instant) -> Self {
        let random = streamkeeper_base::Random::new(config.seed);
        Self {
            config,
            disk,
            image: Arc::new(ClusterImage::default()),
            replicas: BTreeMap::new(),
            recovered: recovered.logs,
            voided: recovered.voided,
            boot: recovered.boot,
            is_registered: false,
            is_serving: false,
            clients: BTreeMap::new(),
            followers: BTreeMap::new(),
            next_ticket: Ticket(recovered.records + 1),
            in_wal: VecDeque::new(),
            flush_tokens: BTreeMap::new(),
            releasing: None,
            checkpoint_at: now,
            appended_since_checkpoint: 0,
            next_number: 1,
            produce_slots: BTreeMap::new(),
            produces: BTreeMap::new(),
            fetches: BTreeMap::new(),
            commands: BTreeMap::new(),
            admin: BTreeMap::new(),
            coordinators: BTreeMap::new(),
            group_requests: BTreeMap::new(),
            group_deletions: BTreeMap::new(),
            producer_ids: 0..0,
            advanced: BTreeSet::new(),
            validator: Validator::default(),
            random,
            clocks: Clocks { now, ..Clocks::default() },
            retention_at: now,
            holdings_at: now,
            held: Holdings::default(),
            throttle: Throttle::default(),
            space: Space::new(now),
            proof: Proof::default(),
            leaderless: BTreeSet::new(),
            report_at: now,
            out: Vec::new(),
        }
    }

    /// Handles one input; what must be done is appended to `out`, in order.
    pub fn handle(&mut self, clocks: Clocks, input: Input<ToBroker>, out: &mut Vec<Output<ToCoordination>>) {
        self.clocks = clocks;
        std::mem::swap(&mut self.out, out);
        match input {
            Input::Opened { connection, remote } => {
                self.clients.insert(connection, KafkaClient::new(remote));
            }
            Input::Frame { connection, frame } => self.client_frame(connection, frame),
            Input::Closed { connection } => {
                self.clients.remove(&connection);
                self.fetches.retain(|_, fetch| fetch.connection != connection);
            }
            Input::LinkUp { peer, incarnation, link } => self.link_changed(peer, link, Some(incarnation)),
            Input::LinkDown { peer, link } => self.link_changed(peer, link, None),
            Input::PeerFrame { peer, link, kind, body } => self.peer_frame(peer, link, kind, body),
            Input::Persisted { ticket } => self.persisted(ticket),
            Input::FilesSynced { token } => self.files_synced(token),
            Input::SnapshotWritten { .. } => {}
            Input::Message(ToBroker::Coordination(message)) => self.told(message),
            Input::Message(ToBroker::Settings(settings)) => self.settings_told(settings),
            Input::Tick => self.tick(),
        }
        self.serve_advanced();
        std::mem::swap(&mut self.out, out);
    }

    /// The cluster image as this machine knows it.
    pub fn image(&self) -> &ClusterImage {
        &self.image
    }

    /// A partition's replica on this member, for checkers.
    pub fn replica(&self, tp: TopicPartition) -> Option<(&Partition, &PartitionLog)> {
        self.replicas.get(&tp).map(|r| (&r.partition, &r.log))
    }

    /// Lets go of recent records that are kept in memory, as if much more had come since: who reads them gets them from the disk.
    pub fn drop_tails(&mut self) {
        self.replicas.values_mut().for_each(|replica| replica.log.drop_tail());
    }

    /// All replicas on this member, for checkers.
    pub fn replicas(&self) -> impl Iterator<Item = (TopicPartition, &Partition, &PartitionLog)> {
        self.replicas.iter().map(|(tp, r)| (*tp, &r.partition, &r.log))
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn told(&mut self, message: FromCoordination) {
        match message {
            FromCoordination::Image(image) => self.image_changed(image),
            FromCoordination::Answered { token, answer, .. } => self.answered(token, answer),
            FromCoordination::Peers(_)
            | FromCoordination::Status(_)
            | FromCoordination::Identified(_)
            | FromCoordination::Surveyed { .. }
            | FromCoordination::HandedOver => {}
        }
    }

    /// Asks the controller; the answer finds its way by the pending entry.
    pub(crate) fn command(&mut self, command: Command, pending: PendingCommand) {
        let token = self.number();
        self.commands.insert(token, pending);
        self.out.push(Output::Tell(ToCoordination::Command { token, command }));
    }

    fn answered(&mut self, token: u64, answer: Answer) {
        match self.commands.remove(&token) {
            Some(PendingCommand::Isr(tp, number)) => self.proposal_answered(tp, number, &answer),
            Some(PendingCommand::Proof { asked, waiting }) => self.proof_came(asked, waiting, &answer),
            Some(pending) => self.command_answered(pending, answer),
            None => {}
        }
    }

    fn proposal_answered(&mut self, tp: TopicPartition, number: u64, answer: &Answer) {
        // An answer that was lost on its way says nothing.
        if answer.as_ref().is_err_and(|error| error.code != ErrorCode::NOT_CONTROLLER.0) {
            self.step(tp, Event::ProposalRefused { number });
        }
    }

    fn tick(&mut self) {
        let partitions: Vec<TopicPartition> =
            self.replicas.iter().filter(|(_, r)| r.partition.leads()).map(|(tp, _)| *tp).collect();
        partitions.into_iter().for_each(|tp| self.step(tp, Event::Tick));
        self.prove_again();
        self.look_for_space();
        self.expire_fetches();
        self.tick_coordinators();
        self.checkpoint();
        self.feed_waiting();
        self.tell_holdings();
        self.report_logs();
        if self.clocks.now >= self.retention_at {
            self.retention_at = self.clocks.now + RETENTION_EVERY;
            self.enforce_retention();
        }
    }

    /// Appends to the write-ahead log.
    fn wal(&mut self, kind: u8, payload: Vec<Bytes>) -> Ticket {
        let ticket = self.next_ticket;
        self.next_ticket = ticket.next();
        self.appended_since_checkpoint += payload.iter().map(|p| p.len() as u64).sum::<u64>();
        self.out.push(Output::Append { ticket, kind, payload });
        ticket
    }

    fn persisted(&mut self, ticket: Durable<Ticket>) {
        let mut reached: BTreeMap<TopicPartition, Vec<(Offset, Offset)>> = BTreeMap::new();
        let mut settled = Vec::new();
        while let Some(InWal { tp, what, .. }) =
            self.in_wal.pop_front_if(|entry| entry.ticket <= ticket.get())
        {
            match what {
                Logged::Records(from, to) => {
                    let ranges = reached.entry(tp).or_default();
                    match ranges.last_mut() {
                        Some((_, end)) if *end == from => *end = to,
                        Some(_) | None => ranges.push((from, to)),
                    }
                }
                Logged::Settled(term) => settled.push((tp, term)),
            }
        }
        for (tp, term) in settled {
            if let Some(replica) = self.replicas.get_mut(&tp) {
                replica.log.note_settled(term);
                replica.dirty = true;
            }
            self.step(tp, Event::Settled(Durable::flushed(term)));
        }
        for (tp, ranges) in reached {
            for range in ranges {
                self.step(tp, Event::Logged(Durable::flushed(range)));
            }
        }
    }

    /// One event for one partition, and what follows from it.
    pub(crate) fn step(&mut self, tp: TopicPartition, event: Event) {
        let Some(replica) = self.replicas.get_mut(&tp) else { return };
        let mut actions = Vec::new();
        replica.partition.handle(self.clocks.now, event, &replicas::View(&replica.log), &mut actions);
        self.carry_out(tp, actions);
    }

    fn carry_out(&mut self, tp: TopicPartition, actions: Vec<Action>) {
        for action in actions {
            if !self.carry_out_one(tp, action) {
                // What follows relied on it.
                self.disk_filled();
                return self.step(tp, Event::DiskFull);
            }
        }
    }

    fn link_changed(&mut self, peer: MemberId, link: Link, up: Option<Incarnation>) {
        if link != Link::ReplicationOut {
            return;
        }
        match up {
            Some(incarnation) => drop(self.followers.insert(peer, incarnation)),
            None => drop(self.followers.remove(&peer)),
        }
        let partitions: Vec<TopicPartition> = self.replicas.keys().copied().collect();
        for tp in partitions {
            self.step(
                tp,
                up.map_or(Event::FollowerDown(peer), |incarnation| Event::FollowerUp(peer, incarnation)),
            );
        }
    }
}
