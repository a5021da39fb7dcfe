//! The event loop: one queue, one clock, one source of randomness; every step is checked and hashed.
//!
//! Read first: [`World`], [`Event`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use streamkeeper_base::{MemberId, Piece, Random};
use streamkeeper_member::io::{Input, Link};
use streamkeeper_member::message::{ToBroker, ToCoordination};
use streamkeeper_storage::disk::{Disk, DiskFile, is_full};
use streamkeeper_storage::snapshot_file;

use crate::checker::Checkers;
use crate::host::{DATA, Host};
use crate::network::{Clients, Links};
use crate::options::Options;
use crate::trace;
use crate::workload::{Actor, Workload};

/// Feeds one of a member's machines; the inputs have the same name on both and different types.
macro_rules! feed {
    ($world:expr, $member:expr, $machine:expr, $input:expr) => {
        match $machine {
            Owner::Coordination => $world.feed_coordination($member, $input),
            Owner::Broker => $world.feed_broker($member, $input),
        }
    };
}

mod clients;
mod links;
mod processes;

/// The machines look at the time this often, microseconds of their own clock.
const TICK_US: u64 = 50_000;
/// A snapshot that found no room is written again after that long.
const SNAPSHOT_AGAIN_US: u64 = 500_000;
/// A client gives up connecting after that long.
const CONNECT_US: u64 = 3_000;

/// What happens next.
pub(crate) enum Event {
    /// A member looks at the time.
    Tick { member: MemberId, life: u64 },
    /// A group commit ends.
    Commit { member: MemberId, life: u64 },
    /// A background flush ends.
    FilesSynced { member: MemberId, life: u64, token: u64, files: Vec<Arc<dyn DiskFile>> },
    /// A snapshot file is written.
    Snapshot { member: MemberId, life: u64, zxid: i64, chunks: Vec<Bytes> },
    /// Coordination is told.
    ToCoordination { member: MemberId, life: u64, message: ToCoordination },
    /// The broker is told.
    ToBroker { member: MemberId, life: u64, message: ToBroker },
    /// A dead process starts again.
    Start { member: MemberId },
    /// A dialled link is made, or cannot be.
    Linked { from: MemberId, life: u64, to: MemberId, link: Link },
    /// Bytes reach one end of a link.
    LinkBytes { connection: u64, end: usize, bytes: Bytes },
    /// One end of a link learns that it is broken.
    LinkLost { connection: u64, end: usize },
    /// A client's connection reaches the member.
    ClientArrived { connection: u64 },
    /// Bytes of a client reach the member.
    ToServer { connection: u64, bytes: Bytes },
    /// Bytes of a member reach the client.
    ToClient { connection: u64, piece: Piece },
    /// The member learns that a client is gone.
    ServerLost { connection: u64 },
    /// A client learns that its connection is gone.
    ClientLost { connection: u64 },
    /// A client acts.
    Wake { client: usize },
    /// The nemesis acts.
    Nemesis,
    /// A process that stood still goes on.
    Resume { member: MemberId },
    /// Somebody makes room on a disk.
    Freed { member: MemberId },
    /// A cut ends.
    Uncut { from: MemberId, to: MemberId },
}

struct Queued {
    at_us: u64,
    sequence: u64,
    event: Event,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        (self.at_us, self.sequence) == (other.at_us, other.sequence)
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_us, self.sequence).cmp(&(other.at_us, other.sequence))
    }
}

/// What a run did, so that a run that did nothing is seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Events handled.
    pub events: u64,
    /// Processes killed.
    pub kills: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Cuts of the network.
    pub cuts: u64,
    /// Disks that were full for a while.
    pub full_disks: u64,
    /// Processes that ended because their disk was full.
    pub full_ends: u64,
    /// Parts of answers that were read from disk when the client took them.
    pub read_later: u64,
    /// Simulated microseconds.
    pub simulated_us: u64,
}

/// The whole world.
pub struct World {
    pub(crate) options: Options,
    pub(crate) now_us: u64,
    queue: BinaryHeap<Reverse<Queued>>,
    sequence: u64,
    pub(crate) random: Random,
    pub(crate) hosts: Vec<Host>,
    pub(crate) links: Links,
    pub(crate) clients: Clients,
    pub(crate) workload: Workload,
    pub(crate) checkers: Checkers,
    pub(crate) counts: Counts,
    pub(crate) healing: bool,
    hash: u64,
}

impl World {
    /// A world whose members and clients are about to start.
    pub fn new(options: Options) -> Self {
        let mut random = Random::new(options.seed);
        let count = options.voters + options.joiners;
        let hosts = (0..count)
            .map(|id| Host::new(MemberId(id), id >= options.voters, &options, random.next_u64()))
            .collect();
        let workload = Workload::new(&options, &mut random);
        let mut world = Self {
            checkers: Checkers::new(&options),
            options,
            now_us: 0,
            queue: BinaryHeap::new(),
            sequence: 0,
            random,
            hosts,
            links: Links::default(),
            clients: Clients::default(),
            workload,
            counts: Counts::default(),
            healing: false,
            hash: 0,
        };
        for id in 0..count {
            let late = if id >= world.options.voters { world.random.below(3_000_000) + 500_000 } else { 0 };
            world.after(late, Event::Start { member: MemberId(id) });
        }
        for client in 0..world.workload.actors.len() {
            let delay = world.random.below(400_000);
            world.after(delay, Event::Wake { client });
        }
        world.after(500_000, Event::Nemesis);
        world
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        Counts { simulated_us: self.now_us, ..self.counts }
    }

    /// The hash over every event so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn after(&mut self, delay_us: u64, event: Event) {
        self.at(self.now_us + delay_us, event);
    }

    fn at(&mut self, at_us: u64, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse(Queued { at_us, sequence: self.sequence, event }));
    }

    /// Handles events until the time.
    pub(crate) fn run_until(&mut self, until_us: u64) {
        while self.queue.peek().is_some_and(|Reverse(next)| next.at_us <= until_us) {
            let Some(Reverse(Queued { at_us, event, .. })) = self.queue.pop() else { return };
            self.now_us = at_us;
            match self.concerned(&event).filter(|member| self.host(*member).is_paused) {
                Some(member) => self.host_mut(member).held.push(event),
                None => self.step(event),
            }
        }
        self.now_us = until_us;
    }

    fn step(&mut self, event: Event) {
        self.counts.events += 1;
        self.note(&event);
        trace::event(self.now_us, &event);
        self.handle(event);
    }

    /// The member that must run for the event to happen: while it stands still, it is held back.
    fn concerned(&self, event: &Event) -> Option<MemberId> {
        match event {
            Event::Tick { member, .. }
            | Event::Commit { member, .. }
            | Event::FilesSynced { member, .. }
            | Event::Snapshot { member, .. }
            | Event::ToCoordination { member, .. }
            | Event::ToBroker { member, .. } => Some(*member),
            Event::LinkBytes { connection, end, .. } | Event::LinkLost { connection, end } => {
                self.links.connections.get(connection).map(|c| c.ends[*end].member)
            }
            Event::ClientArrived { connection }
            | Event::ToServer { connection, .. }
            | Event::ServerLost { connection } => self.clients.connections.get(connection).map(|c| c.member),
            Event::Start { .. }
            | Event::Linked { .. }
            | Event::ToClient { .. }
            | Event::ClientLost { .. }
            | Event::Wake { .. }
            | Event::Nemesis
            | Event::Uncut { .. }
            | Event::Freed { .. }
            | Event::Resume { .. } => None,
        }
    }

    /// A process goes on: what it missed comes at once, in order.
    fn resume(&mut self, member: MemberId) {
        let host = self.host_mut(member);
        host.is_paused = false;
        let held = std::mem::take(&mut host.held);
        held.into_iter().for_each(|event| self.step(event));
    }

    fn note(&mut self, event: &Event) {
        let (tag, value) = fingerprint(event);
        let mixed = self.hash ^ self.now_us.wrapping_mul(0x9E37_79B9) ^ (tag << 56) ^ value;
        self.hash = Random::new(mixed).next_u64();
    }

    pub(crate) fn host(&self, member: MemberId) -> &Host {
        &self.hosts[usize::try_from(member.0).expect("ids are small")]
    }

    pub(crate) fn host_mut(&mut self, member: MemberId) -> &mut Host {
        &mut self.hosts[usize::try_from(member.0).expect("ids are small")]
    }

    /// The life of a running process.
    pub(crate) fn life(&self, member: MemberId) -> Option<u64> {
        let host = self.host(member);
        host.process.is_some().then_some(host.life)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Tick { member, life } if self.life(member) == Some(life) => self.tick(member, life),
            Event::Commit { member, life } if self.life(member) == Some(life) => self.committed(member),
            Event::FilesSynced { member, life, token, files } if self.life(member) == Some(life) => {
                assert!(files.iter().all(|file| file.sync_data().is_ok()), "a healthy disk flushes");
                self.feed_broker(member, Input::FilesSynced { token });
            }
            Event::Snapshot { member, life, zxid, chunks } if self.life(member) == Some(life) => {
                self.write_snapshot(member, life, zxid, chunks);
            }
            Event::ToCoordination { member, life, message } if self.life(member) == Some(life) => {
                self.feed_coordination(member, Input::Message(message));
            }
            Event::ToBroker { member, life, message } if self.life(member) == Some(life) => {
                self.told_broker(member, message);
            }
            Event::Tick { .. }
            | Event::Commit { .. }
            | Event::FilesSynced { .. }
            | Event::Snapshot { .. }
            | Event::ToCoordination { .. }
            | Event::ToBroker { .. } => {}
            Event::Start { member } => self.start(member),
            Event::Linked { from, life, to, link } => self.linked(from, life, to, link),
            Event::LinkBytes { connection, end, bytes } => self.link_bytes(connection, end, &bytes),
            Event::LinkLost { connection, end } => self.link_lost(connection, end),
            Event::ClientArrived { connection } => self.client_arrived(connection),
            Event::ToServer { connection, bytes } => self.server_bytes(connection, &bytes),
            Event::ToClient { connection, piece } => self.client_bytes(connection, piece),
            Event::ServerLost { connection } => self.server_lost(connection),
            Event::ClientLost { connection } => self.client_lost(connection),
            Event::Wake { client } => self.act(client, Actor::wake),
            Event::Nemesis => self.nemesis(),
            Event::Resume { member } => self.resume(member),
            Event::Uncut { from, to } => self.uncut(from, to),
            Event::Freed { member } => self.host(member).disk.set_free_bytes(None),
        }
    }

    /// A snapshot that finds no room is written again later, as the shell does.
    fn write_snapshot(&mut self, member: MemberId, life: u64, zxid: i64, chunks: Vec<Bytes>) {
        let disk: Arc<dyn Disk> = Arc::new(self.host(member).disk.clone());
        match snapshot_file::write(&disk, &Path::new(DATA).join("tree"), zxid, &chunks) {
            Ok(()) => self.feed_coordination(member, Input::SnapshotWritten { zxid }),
            Err(error) if is_full(&error) => {
                self.after(SNAPSHOT_AGAIN_US, Event::Snapshot { member, life, zxid, chunks });
            }
            Err(error) => panic!("a healthy disk takes a snapshot: {error}"),
        }
    }
}

/// What the hash takes of an event: its kind and what tells it from its like.
fn fingerprint(event: &Event) -> (u64, u64) {
    let id = |member: &MemberId| u64::from(member.0.unsigned_abs());
    let crc = |bytes: &Bytes| crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    match event {
        Event::Tick { member, life } => (1, id(member) << 32 | life),
        Event::Commit { member, life } => (2, id(member) << 32 | life),
        Event::FilesSynced { member, token, .. } => (3, id(member) << 32 | token),
        Event::Snapshot { member, zxid, .. } => (4, id(member) << 48 | zxid.unsigned_abs()),
        Event::ToCoordination { member, .. } => (5, id(member)),
        Event::ToBroker { member, .. } => (6, id(member)),
        Event::Start { member } => (7, id(member)),
        Event::Linked { from, to, .. } => (8, id(from) << 32 | id(to)),
        Event::LinkBytes { connection, bytes, .. } => (9, connection << 32 | crc(bytes)),
        Event::LinkLost { connection, end } => (10, connection << 1 | *end as u64),
        Event::ClientArrived { connection } => (11, *connection),
        Event::ToServer { connection, bytes } => (12, connection << 32 | crc(bytes)),
        Event::ToClient { connection, piece } => {
            let content = match piece {
                Piece::Ready(bytes) => crc(bytes),
                Piece::Later(later) => later.len() as u64,
            };
            (13, connection << 32 | content)
        }
        Event::ServerLost { connection } => (14, *connection),
        Event::ClientLost { connection } => (15, *connection),
        Event::Wake { client } => (16, *client as u64),
        Event::Nemesis => (17, 0),
        Event::Uncut { from, to } => (18, id(from) << 32 | id(to)),
        Event::Resume { member } => (19, id(member)),
        Event::Freed { member } => (20, id(member)),
    }
}
