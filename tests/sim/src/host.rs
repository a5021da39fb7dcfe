//! One machine: its disk outlives its processes, and a process is a whole member without its shell.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use streamkeeper_base::{Address, ClusterId, Instant, MemberId};
use streamkeeper_member::broker::{Broker, BrokerConfig, replay};
use streamkeeper_member::commit::Committer;
use streamkeeper_member::coordination::Coordination;
use streamkeeper_member::io::{Clocks, Link, Ticket};
use streamkeeper_member::open::{CleanStop, OpenConfig, Timing, open};
use streamkeeper_member::record::Owner;
use streamkeeper_member::settings::Settings;
use streamkeeper_storage::disk::{Disk, SimulatedDisk};
use streamkeeper_storage::wal::WalOptions;

use crate::options::Options;
use crate::world::Event;

/// Where the member's data is on its disk.
pub(crate) const DATA: &str = "/data";
/// What a member holds on its disk for the case that it is full.
const RESERVE_BYTES: u64 = 8 << 10;
/// The cluster.
pub(crate) const CLUSTER: ClusterId = ClusterId([7; 16]);

/// A machine.
pub(crate) struct Host {
    pub(crate) id: MemberId,
    pub(crate) disk: SimulatedDisk,
    /// Counts starts of the kernel.
    pub(crate) boot: u64,
    /// Counts starts of the process.
    pub(crate) life: u64,
    pub(crate) process: Option<Process>,
    /// Its clock's rate, per mille.
    clock_rate: u64,
    /// What its clock showed at the world's begin.
    clock_offset_us: u64,
    /// The process stands still (SIGSTOP); what should reach it is held.
    pub(crate) is_paused: bool,
    pub(crate) held: Vec<Event>,
    /// A member that joins a running ensemble.
    pub(crate) is_joiner: bool,
    /// Power was lost and its replicas are not in sync again (the ledger of what theory allows).
    pub(crate) is_lossy: bool,
}

/// What waits for the next group commit.
pub(crate) enum Job {
    Append { owner: Owner, ticket: Ticket, kind: u8, payload: Vec<Bytes> },
    Release { owner: Owner, below: Ticket },
}

/// A running member.
pub(crate) struct Process {
    pub(crate) coordination: Coordination,
    pub(crate) broker: Broker,
    pub(crate) committer: Committer,
    pub(crate) clean_stop: CleanStop,
    pub(crate) queued: Vec<Job>,
    pub(crate) is_committing: bool,
    /// The connection behind each link.
    pub(crate) links: BTreeMap<(MemberId, Link), u64>,
    pub(crate) dialling: BTreeSet<(MemberId, Link)>,
    /// Since when there is no link with whom it is not this one's turn to dial.
    pub(crate) missed_us: BTreeMap<MemberId, u64>,
    /// Whom to keep links with.
    pub(crate) peers: BTreeSet<MemberId>,
    /// When the last message between the machines arrives: to coordination, to the broker.
    pub(crate) last_told_us: [u64; 2],
}

impl Host {
    pub(crate) fn new(id: MemberId, is_joiner: bool, options: &Options, seed: u64) -> Self {
        let rate = if options.clock_drift { [500, 900, 1000, 1100, 2000][seed as usize % 5] } else { 1000 };
        Self {
            id,
            disk: SimulatedDisk::new(seed),
            boot: 1,
            life: 0,
            process: None,
            clock_rate: rate,
            clock_offset_us: seed % 1_000_000_000,
            is_paused: false,
            held: Vec::new(),
            is_joiner,
            is_lossy: false,
        }
    }

    /// What the machine's clocks show.
    pub(crate) fn clocks(&self, now_us: u64) -> Clocks {
        let local = self.clock_offset_us + now_us * self.clock_rate / 1000;
        let wall = 1_700_000_000_000 + i64::try_from(now_us / 1000).unwrap_or(0);
        Clocks { now: Instant::from_micros(local), wall: streamkeeper_base::WallMillis(wall) }
    }

    /// True microseconds in which this clock runs `local_us` on.
    pub(crate) fn true_us(&self, local_us: u64) -> u64 {
        local_us * 1000 / self.clock_rate
    }

    /// Starts the process from its disk. The error is a member that refuses its own disk.
    pub(crate) fn start(&mut self, options: &Options, now_us: u64, seed: u64) -> Result<(), String> {
        assert!(self.process.is_none(), "one process per machine");
        self.life += 1;
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let data = PathBuf::from(DATA);
        disk.create_dir_all(&data).map_err(|e| e.to_string())?;
        let now = self.clocks(now_us).now;
        let opened =
            open(&disk, &data, &self.open_config(options, seed), now).map_err(|error| error.to_string())?;
        let logs =
            replay(&disk, &data, opened.boot, &opened.broker_records).map_err(|error| error.to_string())?;
        let clean_stop = opened.clean_stop();
        let config = BrokerConfig {
            member: self.id,
            incarnation: opened.incarnation,
            cluster_id: "sim".to_owned(),
            data,
            settings: BTreeMap::from([("offsets.topic.num.partitions".to_owned(), "1".to_owned())]),
            checkpoint_bytes: options.checkpoint_bytes,
            reserve_bytes: RESERVE_BYTES,
            snapshot_bytes: options.checkpoint_bytes.min(20_000) / 20,
            seed: seed ^ 1,
        };
        self.process = Some(Process {
            broker: Broker::new(config, disk, logs, now),
            coordination: opened.coordination,
            committer: opened.committer,
            clean_stop,
            queued: Vec::new(),
            is_committing: false,
            links: BTreeMap::new(),
            dialling: BTreeSet::new(),
            missed_us: BTreeMap::new(),
            peers: BTreeSet::new(),
            last_told_us: [0; 2],
        });
        Ok(())
    }

    fn open_config(&self, options: &Options, seed: u64) -> OpenConfig {
        let bootstrap = if self.is_joiner {
            Vec::new()
        } else {
            (0..options.voters).map(|id| (MemberId(id), address(MemberId(id)))).collect()
        };
        OpenConfig {
            cluster: CLUSTER,
            member: self.id,
            address: address(self.id),
            joining: self.is_joiner,
            bootstrap,
            observers: Vec::new(),
            wal_dir: None,
            boot_id: format!("boot-{}", self.boot),
            zookeeper: Settings { max_client_cnxns: 0, words: vec!["*".to_owned()], ..Settings::new(500) },
            auto_rebalance: true,
            moves_bytes_per_second_max: 50 << 20,
            is_broker: true,
            timing: Timing { committed_window_txns: options.window_txns, ..Timing::default() },
            snapshot_every_txns: options.snapshot_every_txns,
            wal: WalOptions { file_bytes: options.wal_file_bytes, files_min: 2, salt_seed: seed },
            seed,
        }
    }
}

/// Where a member is reached: the host's name is its id.
pub(crate) fn address(id: MemberId) -> Address {
    Address {
        host: format!("m{id}"),
        peer_port: 1,
        zookeeper_port: 2,
        kafka_port: 3,
        grpc_port: 4,
        http_port: 5,
        ..Address::default()
    }
}
