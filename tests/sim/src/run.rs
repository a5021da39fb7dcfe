//! One seed from begin to end, and what is known of it then.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use streamkeeper_base::batch::headers;
use streamkeeper_base::plant::{self, Plant};
use streamkeeper_base::{MemberId, PartitionId, TopicPartition};
use streamkeeper_wire::record::records;
use streamkeeper_zab::Membership;

use crate::host::address;
use crate::options::Options;
use crate::trace;
use crate::workload::TOPIC;
use crate::world::{Counts, World};

/// Simulated microseconds after the heal in which the cluster must be whole again.
const CONVERGE_US: u64 = 40_000_000;
/// How often it is looked at, microseconds.
const LOOK_US: u64 = 250_000;

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The hash over all events.
    pub hash: u64,
    /// What happened.
    pub counts: Counts,
    /// Records acknowledged with acks=all.
    pub acknowledged: u64,
    /// Records read by consumers.
    pub read: u64,
    /// Answers to ZooKeeper's clients.
    pub znode_answers: u64,
    /// Watches that fired.
    pub watches: u64,
    /// Sessions that expired.
    pub expired: u64,
    /// Zab entries committed.
    pub committed: u64,
    /// Zab epochs led.
    pub epochs: u64,
    /// Terms of partition leaders.
    pub terms: u64,
    /// Group offsets read back.
    pub offsets: u64,
}

/// Runs a seed.
///
/// # Errors
/// The violation, beginning with the invariant's name.
pub fn run(seed: u64, planted: Option<Plant>) -> Result<Report, String> {
    quiet_panics();
    plant::set(planted);
    let result = catch_unwind(AssertUnwindSafe(|| simulate(seed)));
    plant::set(None);
    trace::set(false);
    result.map_err(|_| take_panic())
}

/// As [`run`], telling on standard error what happens.
///
/// # Errors
/// As [`run`].
pub fn trace(seed: u64, planted: Option<Plant>) -> Result<Report, String> {
    trace::set(true);
    run(seed, planted)
}

fn simulate(seed: u64) -> Report {
    let mut world = World::new(Options::of(seed));
    let voters = (0..world.options.voters).map(|id| (MemberId(id), address(MemberId(id)).encode()));
    world.checkers.ensemble.bootstrap(Membership::of_voters(voters));
    let chaos_us = 500_000 + world.options.chaos_ms * 1000;
    world.run_until(chaos_us);
    world.heal();
    converge(&mut world);
    verify(&world);
    report(&world)
}

fn converge(world: &mut World) {
    let until = world.now_us + CONVERGE_US;
    loop {
        let next = world.now_us + LOOK_US;
        world.run_until(next);
        match blocker(world) {
            None => return,
            Some(reason) => assert!(world.now_us < until, "liveness: after the heal, {reason}"),
        }
    }
}

/// Why the cluster is not whole yet.
fn blocker(world: &World) -> Option<String> {
    for host in &world.hosts {
        let Some(process) = &host.process else { return Some(format!("{} does not run", host.id)) };
        let zab = process.coordination.zab();
        if !zab.role().serves() {
            return Some(format!("{} is {:?}", host.id, zab.role()));
        }
        if zab.last_delivered() < world.checkers.ensemble.last_committed() {
            return Some(format!("{} is at {:?} only", host.id, zab.last_delivered()));
        }
    }
    let image = world.checkers.newest_image()?;
    for host in &world.hosts {
        let known = image.members.get(&host.id);
        if known.is_none_or(|m| !m.live) {
            return Some(format!("{} is not registered", host.id));
        }
    }
    for (tp, topic, partition) in image.partitions() {
        if partition.leader.is_none() || partition.isr.len() < partition.replicas.len() {
            return Some(format!("{}-{} is {partition:?}", topic.name, tp.partition));
        }
        let committed = world.checkers.replication.committed_end(tp);
        for id in &partition.replicas {
            let log = world.host(*id).process.as_ref().and_then(|p| p.broker.replica(tp));
            if log.is_none_or(|(p, log)| log.end() < committed || p.high_watermark() < committed) {
                return Some(format!("{id} lags in {}-{}", topic.name, tp.partition));
            }
            if log.is_some_and(|(p, _)| p.progress().durable < committed) {
                return Some(format!("{id} does not flush {}-{}", topic.name, tp.partition));
            }
        }
    }
    let waiting = world.workload.waiting(&world.checkers.history);
    let first = waiting.first()?;
    let name = world.workload.name(*first, &world.checkers.history);
    Some(format!("{} clients still wait, the first is client {first}: {name}", waiting.len()))
}

/// Everything that was acknowledged is on every member that should have it.
fn verify(world: &World) {
    let Some(image) = world.checkers.newest_image() else { return };
    for host in &world.hosts {
        let Some(process) = &host.process else { continue };
        world.checkers.znodes.verify(process.coordination.tree());
        for (tp, _, partition) in image.partitions() {
            if partition.replicas.contains(&host.id)
                && let Some((_, log)) = process.broker.replica(tp)
            {
                world.checkers.replication.verify(host.id, tp, log);
            }
        }
    }
    for number in 0..world.options.partitions {
        let content = content(world, number);
        world.checkers.history.verify(number, &content, world.options.idempotent_producers);
    }
}

/// What the leader of a partition holds, record by record.
fn content(world: &World, number: i32) -> Vec<(i64, Vec<u8>)> {
    let image = world.checkers.newest_image().expect("a cluster that ran has an image");
    let Some(topic) = image.topics.get(TOPIC) else { return Vec::new() };
    let tp = TopicPartition { topic: topic.id, partition: PartitionId(number) };
    let leader = image.partition(tp).and_then(|p| p.leader).expect("a whole cluster has leaders");
    let process = world.host(leader).process.as_ref().expect("a whole cluster runs");
    let (_, log) = process.broker.replica(tp).expect("a leader has its partition");
    let mut found = Vec::new();
    let mut at = log.log_start();
    while at < log.end() {
        let chunk = log.read(at, log.end(), 1 << 20).expect("a readable log");
        let bytes: Bytes = chunk.pieces.concat().into();
        for (start, header) in headers(&bytes) {
            at = header.end();
            let batch = bytes.slice(start..start + header.size);
            for record in records(&batch).expect("a readable batch") {
                found.push((record.offset, record.value.unwrap_or_default().to_vec()));
            }
        }
    }
    found
}

fn report(world: &World) -> Report {
    let checkers = &world.checkers;
    Report {
        hash: world.hash(),
        counts: world.counts(),
        acknowledged: checkers.history.acknowledged_records,
        read: checkers.history.read_records,
        znode_answers: checkers.znodes.answers,
        watches: checkers.znodes.watches_fired,
        expired: checkers.znodes.sessions_expired,
        committed: checkers.ensemble.committed() as u64,
        epochs: checkers.ensemble.epochs_led() as u64,
        terms: checkers.replication.terms,
        offsets: checkers.history.offsets_verified,
    }
}

thread_local! {
    static LAST_PANIC: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

static HOOK: Mutex<bool> = Mutex::new(false);

/// Panics of simulated members are results, not output.
fn quiet_panics() {
    let mut set = HOOK.lock().unwrap_or_else(PoisonError::into_inner);
    if !*set {
        *set = true;
        std::panic::set_hook(Box::new(|info| {
            let location =
                info.location().map(|l| format!(" ({}:{})", l.file(), l.line())).unwrap_or_default();
            let text = info.payload_as_str().unwrap_or("a panic without a text");
            LAST_PANIC.with(|last| *last.borrow_mut() = format!("{text}{location}"));
        }));
    }
}

fn take_panic() -> String {
    LAST_PANIC.with(|last| std::mem::take(&mut *last.borrow_mut()))
}
