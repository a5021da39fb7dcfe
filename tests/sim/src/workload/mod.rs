//! Clients: real bytes of Kafka's and ZooKeeper's protocols, and what they were answered, written into the histories.
//!
//! Read first: [`Actor`], [`Context`].

mod committer;
mod connection;
mod consumer;
mod forger;
mod producer;
mod zookeeper;

use bytes::Bytes;
use streamkeeper_base::{MemberId, Random};
use streamkeeper_member::record::Owner;

use crate::checker::history::History;
use crate::checker::znodes::Znodes;
use crate::options::Options;

use committer::OffsetCommitter;
use consumer::Consumer;
use producer::Producer;
use zookeeper::ZookeeperClient;

/// The topic that clients use.
pub(crate) const TOPIC: &str = "orders";

/// What a client may see and use while it acts.
pub(crate) struct Context<'a> {
    pub(crate) now_us: u64,
    pub(crate) members: i32,
    /// The chaos is over: finish what is under way, begin nothing.
    pub(crate) healing: bool,
    pub(crate) random: &'a mut Random,
    pub(crate) history: &'a mut History,
    pub(crate) znodes: &'a mut Znodes,
    pub(crate) next_connection: &'a mut u64,
    pub(crate) effects: &'a mut Vec<Effect>,
}

/// What a client asks of the world.
pub(crate) enum Effect {
    Connect { connection: u64, member: MemberId, machine: Owner },
    Send { connection: u64, bytes: Bytes },
    Close { connection: u64 },
    WakeAfter { us: u64 },
}

impl Context<'_> {
    pub(crate) fn connect(&mut self, member: MemberId, machine: Owner) -> u64 {
        *self.next_connection += 1;
        let connection = *self.next_connection;
        self.effects.push(Effect::Connect { connection, member, machine });
        connection
    }

    pub(crate) fn send(&mut self, connection: u64, bytes: Bytes) {
        self.effects.push(Effect::Send { connection, bytes });
    }

    pub(crate) fn close(&mut self, connection: u64) {
        self.effects.push(Effect::Close { connection });
    }

    pub(crate) fn wake_after(&mut self, us: u64) {
        self.effects.push(Effect::WakeAfter { us });
    }

    pub(crate) fn any_member(&mut self) -> MemberId {
        MemberId(i32::try_from(self.random.below(u64::from(self.members.unsigned_abs()))).unwrap_or(0))
    }
}

/// A client of some kind.
pub(crate) enum Actor {
    Producer(Producer),
    Consumer(Consumer),
    Committer(OffsetCommitter),
    Zookeeper(ZookeeperClient),
}

impl Actor {
    /// A timer fired.
    pub(crate) fn wake(&mut self, context: &mut Context<'_>) {
        match self {
            Self::Producer(actor) => actor.wake(context),
            Self::Consumer(actor) => actor.wake(context),
            Self::Committer(actor) => actor.wake(context),
            Self::Zookeeper(actor) => actor.wake(context),
        }
    }

    /// Bytes came.
    pub(crate) fn received(&mut self, context: &mut Context<'_>, connection: u64, bytes: &Bytes) {
        match self {
            Self::Producer(actor) => actor.received(context, connection, bytes),
            Self::Consumer(actor) => actor.received(context, connection, bytes),
            Self::Committer(actor) => actor.received(context, connection, bytes),
            Self::Zookeeper(actor) => actor.received(context, connection, bytes),
        }
    }

    /// A connection is gone, or could not be made.
    pub(crate) fn lost(&mut self, context: &mut Context<'_>, connection: u64) {
        match self {
            Self::Producer(actor) => actor.lost(context, connection),
            Self::Consumer(actor) => actor.lost(context, connection),
            Self::Committer(actor) => actor.lost(context, connection),
            Self::Zookeeper(actor) => actor.lost(context, connection),
        }
    }

    /// True when nothing is under way any more; asked after the heal.
    pub(crate) fn is_done(&self, history: &History) -> bool {
        match self {
            Self::Producer(actor) => actor.is_done(),
            Self::Consumer(actor) => actor.is_done(history),
            Self::Committer(actor) => actor.is_done(),
            Self::Zookeeper(actor) => actor.is_done(),
        }
    }
}

/// All clients.
pub(crate) struct Workload {
    /// One is `None` while it acts.
    pub(crate) actors: Vec<Option<Actor>>,
}

impl Workload {
    pub(crate) fn new(options: &Options, random: &mut Random) -> Self {
        let mut actors = Vec::new();
        let partition = |r: &mut Random| {
            i32::try_from(r.below(u64::from(options.partitions.unsigned_abs()))).unwrap_or(0)
        };
        for number in 0..options.idempotent_producers {
            actors.push(Actor::Producer(Producer::new(number, partition(random), -1, true, options)));
        }
        for number in 0..options.plain_producers {
            let number = number + options.idempotent_producers;
            let acks = options.plain_acks;
            actors.push(Actor::Producer(Producer::new(number, partition(random), acks, false, options)));
        }
        for number in 0..options.consumers {
            let first = if number == 0 { 0 } else { partition(random) };
            actors.push(Actor::Consumer(Consumer::new(first, options.partitions, options.without_epochs)));
        }
        for number in 0..options.committers {
            actors.push(Actor::Committer(OffsetCommitter::new(number)));
        }
        for number in 0..options.zookeeper_clients {
            actors.push(Actor::Zookeeper(ZookeeperClient::new(number)));
        }
        Self { actors: actors.into_iter().map(Some).collect() }
    }

    /// Clients that still wait for something.
    pub(crate) fn waiting(&self, history: &History) -> Vec<usize> {
        let waits = |actor: &Option<Actor>| actor.as_ref().is_some_and(|a| !a.is_done(history));
        (0..self.actors.len()).filter(|number| waits(&self.actors[*number])).collect()
    }

    /// What a client is.
    pub(crate) fn name(&self, number: usize, history: &History) -> String {
        match &self.actors[number] {
            Some(Actor::Producer(_)) => "a producer".to_owned(),
            Some(Actor::Consumer(consumer)) => consumer.progress(history),
            Some(Actor::Committer(_)) => "a committer of offsets".to_owned(),
            Some(Actor::Zookeeper(_)) => "a ZooKeeper client".to_owned(),
            None => "a client that acts".to_owned(),
        }
    }
}
