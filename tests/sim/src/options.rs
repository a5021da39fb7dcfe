//! What one seed chooses. Swarm style: each run leaves a random part of the faults and features out.

use std::fmt;

use streamkeeper_base::Random;

/// Everything that varies between runs; all of it follows from the seed.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seed.
    pub seed: u64,
    /// Voters at the start: 1, 3 or 5.
    pub voters: i32,
    /// Members that join while it runs.
    pub joiners: i32,
    /// Partitions of the replicated topic.
    pub partitions: i32,
    /// Its replicas.
    pub replication_factor: i16,
    /// Its `min.insync.replicas`.
    pub min_insync: i32,
    /// Simulated milliseconds of chaos.
    pub chaos_ms: u64,
    /// Producers with idempotence, each on a partition of its own choice.
    pub idempotent_producers: u64,
    /// Producers without.
    pub plain_producers: u64,
    /// `acks` of the plain ones.
    pub plain_acks: i16,
    /// Batches an idempotent producer has under way at most.
    pub in_flight: usize,
    /// Every so many batches one is larger than what the write-ahead log takes whole; 0 for never.
    pub large_every: u64,
    /// A producer sends a forged batch every so many times; 0 for never.
    pub forged_every: u64,
    /// Consumers.
    pub consumers: u64,
    /// Consumers name no leader epoch, as clients from before KIP-320 do.
    pub without_epochs: bool,
    /// ZooKeeper clients.
    pub zookeeper_clients: u64,
    /// Clients that commit group offsets.
    pub committers: u64,
    /// Mean microseconds of a message on the network.
    pub network_us: u64,
    /// Mean microseconds of a flush.
    pub flush_us: u64,
    /// Which faults happen, by percent of the nemesis' turns.
    pub faults: Faults,
    /// Milliseconds between two turns of the nemesis.
    pub nemesis_every_ms: u64,
    /// Transactions between two snapshots.
    pub snapshot_every_txns: u64,
    /// Transactions that a member keeps to bring others up by DIFF.
    pub window_txns: usize,
    /// Bytes between two checkpoints of the broker.
    pub checkpoint_bytes: u64,
    /// Bytes of a file of the write-ahead log.
    pub wal_file_bytes: u64,
    /// Clocks run at 0.5 to 2 times the true rate.
    pub clock_drift: bool,
}

/// Weights of the faults; 0 leaves one out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// One process dies.
    pub kill: u64,
    /// One machine loses power: what was not flushed may be gone.
    pub power: u64,
    /// All processes die at once.
    pub kill_all: u64,
    /// All machines lose power at once.
    pub power_all: u64,
    /// A process stands still (SIGSTOP).
    pub pause: u64,
    /// A direction of a link stops.
    pub cut: u64,
    /// A member is cut off from all others.
    pub isolate: u64,
    /// A link or client connection breaks.
    pub reset: u64,
    /// A process is told to stop in good order.
    pub stop: u64,
    /// A member is cordoned or used again.
    pub cordon: u64,
    /// A partition is moved by command.
    pub reassign: u64,
    /// A voter is demoted or an observer promoted.
    pub membership: u64,
    /// A disk is full for a while.
    pub full: u64,
}

impl Options {
    /// The options of a seed.
    pub fn of(seed: u64) -> Self {
        let mut r = Random::new(seed ^ 0x5EED_0F0F);
        let r = &mut r;
        let voters = pick(r, &[1, 3, 3, 3, 3, 5]);
        let joiners = if voters > 1 && r.percent(30) { pick(r, &[1, 2]) } else { 0 };
        let replication_factor = if voters == 1 { 1 } else { pick(r, &[2, 3, 3, 3]) };
        let min_insync = if replication_factor == 3 { pick(r, &[1, 2, 2, 2]) } else { 1 };
        let some = |r: &mut Random, percent: u64, weight: u64| if r.percent(percent) { weight } else { 0 };
        let mut faults = Faults {
            kill: some(r, 70, 20),
            power: some(r, 50, 15),
            kill_all: some(r, 25, 3),
            power_all: some(r, 25, 3),
            pause: some(r, 40, 8),
            cut: some(r, 50, 10),
            isolate: some(r, 50, 8),
            reset: some(r, 60, 20),
            stop: some(r, 40, 6),
            cordon: 0,
            reassign: 0,
            membership: 0,
            full: 0,
        };
        if voters > 1 {
            faults.cordon = some(r, 25, 3);
            faults.reassign = some(r, 40, 8);
            faults.membership = some(r, 30, 4);
        }
        let mut options = Self {
            seed,
            voters,
            joiners,
            partitions: 1 + pick(r, &[0, 1, 2, 5]),
            replication_factor,
            min_insync,
            chaos_ms: 2_000 + r.below(9_000),
            idempotent_producers: 1 + r.below(2),
            plain_producers: r.below(2),
            plain_acks: pick(r, &[-1, -1, 1, 0]),
            in_flight: pick(r, &[1, 2, 5]),
            large_every: pick(r, &[0, 0, 9, 40]),
            forged_every: pick(r, &[0, 10, 50]),
            consumers: 1 + r.below(2),
            zookeeper_clients: 1 + r.below(3),
            committers: r.below(2),
            network_us: pick(r, &[50, 200, 200, 2_000, 10_000]),
            flush_us: pick(r, &[50, 500, 500, 3_000, 20_000]),
            faults,
            nemesis_every_ms: pick(r, &[40, 150, 300, 800]),
            snapshot_every_txns: pick(r, &[5, 40, 400, 50_000]),
            window_txns: pick(r, &[50, 100, 20_000]),
            checkpoint_bytes: pick(r, &[2_000, 20_000, 24 << 20]),
            wal_file_bytes: pick(r, &[64 << 10, 256 << 10]),
            clock_drift: r.percent(30),
            without_epochs: r.percent(30),
        };
        // Drawn last, so that the rest of what a seed means stays.
        options.faults.full = some(r, 30, 8);
        options
    }
}

fn pick<T: Copy>(random: &mut Random, choices: &[T]) -> T {
    let index = usize::try_from(random.below(choices.len() as u64)).unwrap_or(0);
    choices[index]
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#?}")
    }
}
