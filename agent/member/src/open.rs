//! Bringing a member up from its disk: superblock, snapshot, write-ahead log. The shell and the simulator do it alike.
//!
//! Must not know: threads, sockets. Read first: [`open`], [`Opened`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use streamkeeper_base::{Address, ClusterId, DiskId, Incarnation, Instant, MemberId, Random};
use streamkeeper_controller::ClusterImage;
use streamkeeper_storage::disk::Disk;
use streamkeeper_storage::partition_log::Boot;
use streamkeeper_storage::snapshot_file;
use streamkeeper_storage::superblock::{self, Superblock};
use streamkeeper_storage::wal::{Replayed, Wal, WalOptions};
use streamkeeper_tree::Tree;
use streamkeeper_zab as zab;
pub use streamkeeper_zab::Timing;
use streamkeeper_zab::{LogRecord, Member, MemberRole, Membership, Recovery, SnapshotMeta};

use crate::broker::space::release_reserve_if_low;
use crate::commit::Committer;
use crate::coordination::{Config, Coordination, Recovered, decode_state};
use crate::record::{self, Owner};
use crate::settings::Settings;

/// What a member must be told to start.
#[derive(Clone, Debug)]
pub struct OpenConfig {
    /// The cluster; [`ClusterId::ZERO`] if the configuration does not name it: then whatever the disk says is right.
    pub cluster: ClusterId,
    /// This member.
    pub member: MemberId,
    /// Where it is reached.
    pub address: Address,
    /// True for a member that joins a running ensemble: it asks to be let in as an observer.
    pub joining: bool,
    /// The first voters with their addresses; empty on a member that joins.
    pub bootstrap: Vec<(MemberId, Address)>,
    /// Members that observe from the start.
    pub observers: Vec<(MemberId, Address)>,
    /// Where the write-ahead log is; `wal` in the data directory when absent.
    pub wal_dir: Option<PathBuf>,
    /// The kernel's boot id: another one than before means that the page cache is gone.
    pub boot_id: String,
    /// ZooKeeper's settings.
    pub zookeeper: Settings,
    /// True if a skewed assignment is rebalanced without a command.
    pub auto_rebalance: bool,
    /// Bytes per second that a member sends to replicas that are being added; 0 for no limit.
    pub moves_bytes_per_second_max: u64,
    /// False for a member that runs ZooKeeper's side alone.
    pub is_broker: bool,
    /// Zab's periods.
    pub timing: zab::Timing,
    /// Transactions between two snapshots (ZooKeeper's snapCount).
    pub snapshot_every_txns: u64,
    /// Sizes of the write-ahead log.
    pub wal: WalOptions,
    /// For ids, keys and jitter.
    pub seed: u64,
}

/// A member ready to run.
pub struct Opened {
    /// Its data directory since the last unclean restart.
    pub incarnation: Incarnation,
    /// Its coordination.
    pub coordination: Coordination,
    /// Its log.
    pub committer: Committer,
    /// The broker's records, in order.
    pub broker_records: Vec<Replayed>,
    /// The start of the kernel: what logs of an earlier one hold must be checked.
    pub boot: Boot,
    /// What was noticed and repaired.
    pub notes: Vec<String>,
    superblock: Superblock,
    generation: u64,
}

/// Why a member cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The superblock.
    #[error(transparent)]
    Superblock(#[from] superblock::OpenError),
    /// The write-ahead log.
    #[error(transparent)]
    Wal(#[from] streamkeeper_storage::wal::WalOpenError),
    /// Something else on the disk.
    #[error("{path}: {source}; make the directory writable and see that its disk has room")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What was stored contradicts itself.
    #[error("{path}: {reason}; remove the data directory to refill this member from its peers")]
    Inconsistent {
        /// Where.
        path: PathBuf,
        /// What contradicts what.
        reason: String,
    },
}

/// Brings a member up from its data directory, which may be empty.
///
/// # Errors
/// The disk is another's, damaged, or refuses; the text says what to do.
pub fn open(
    disk: &Arc<dyn Disk>,
    data: &Path,
    config: &OpenConfig,
    now: Instant,
) -> Result<Opened, OpenError> {
    let io = |source| OpenError::Io { path: data.to_owned(), source };
    let mut random = Random::new(config.seed);
    release_reserve_if_low(&**disk, data).map_err(io)?;
    let stored = superblock::read(&**disk, data)?;
    let mut cluster = config.cluster;
    if let Some((found, _)) = &stored {
        cluster = if cluster.is_zero() { found.cluster } else { cluster };
        superblock::check(data, found, cluster, config.member)?;
    }
    let same_boot = stored.as_ref().is_none_or(|(s, _)| s.boot_id == config.boot_id || s.clean);
    let generation = stored.as_ref().map_or(0, |(_, generation)| *generation) + 1;
    // An unclean restart may have lost what was received but not flushed: nothing that relies on it may count this disk.
    let incarnation = stored
        .as_ref()
        .filter(|_| same_boot)
        .map_or_else(|| Incarnation(random.bytes16()), |(s, _)| s.incarnation);
    let disk_id = stored.as_ref().map_or_else(|| DiskId(random.bytes16()), |(s, _)| s.disk);
    let superblock = Superblock {
        cluster,
        member: config.member,
        disk: disk_id,
        incarnation,
        boot_id: config.boot_id.clone(),
        clean: false,
    };
    superblock::write(&**disk, data, &superblock, generation).map_err(io)?;

    let mut notes = Vec::new();
    let newest = snapshot_file::load_newest(&**disk, &data.join("tree"), &mut notes).map_err(io)?;
    let (meta, image, tree) = match newest {
        Some((_, chunks)) => decode_state(&chunks)
            .map_err(|reason| OpenError::Inconsistent { path: data.join("tree"), reason })?,
        None => (SnapshotMeta::default(), ClusterImage::default(), Tree::new()),
    };
    let wal_dir = config.wal_dir.clone().unwrap_or_else(|| data.join("wal"));
    let (wal, records) = Wal::open(disk.clone(), &wal_dir, config.wal)?;
    let (zab, broker_records, positions) = replay(data, config, meta, records, now, random.next_u64())?;
    let session_key = std::array::from_fn(|_| random.next_u64() as u8);
    let machine = Config {
        member: config.member,
        disk: disk_id,
        incarnation,
        address: config.address.clone(),
        zookeeper: config.zookeeper.clone(),
        session_key,
        auto_rebalance: config.auto_rebalance,
        moves_bytes_per_second_max: config.moves_bytes_per_second_max,
        is_broker: config.is_broker,
        joining: config.joining,
        snapshot_every_txns: config.snapshot_every_txns,
    };
    let coordination = Coordination::new(machine, Recovered { tree, image, zab }, now);
    Ok(Opened {
        incarnation,
        coordination,
        committer: Committer::new(wal, positions.into_iter()),
        broker_records,
        boot: Boot::of(&config.boot_id),
        notes,
        superblock,
        generation,
    })
}

type Replay = (zab::Peer, Vec<Replayed>, Vec<(Owner, streamkeeper_base::Lsn)>);

fn replay(
    data: &Path,
    config: &OpenConfig,
    meta: SnapshotMeta,
    records: Vec<Replayed>,
    now: Instant,
    seed: u64,
) -> Result<Replay, OpenError> {
    let inconsistent = |reason: String| OpenError::Inconsistent { path: data.join("wal"), reason };
    let mut recovery = Recovery::new(meta);
    let (mut broker_records, mut positions) = (Vec::new(), Vec::new());
    for record in records {
        let owner = record::owner(record.kind).ok_or_else(|| {
            inconsistent(format!("record {} is of unknown kind {}", record.lsn, record.kind))
        })?;
        positions.push((owner, record.lsn));
        match owner {
            Owner::Coordination => {
                let decoded = LogRecord::decode(record.payload).map_err(|e| inconsistent(e.to_string()))?;
                recovery.replay(decoded).map_err(inconsistent)?;
            }
            Owner::Broker => broker_records.push(record),
        }
    }
    let mut bootstrap =
        Membership::of_voters(config.bootstrap.iter().map(|(id, address)| (*id, address.encode())));
    let observer = |address: &Address| Member { role: MemberRole::Observer, data: address.encode() };
    bootstrap.members.extend(config.observers.iter().map(|(id, address)| (*id, observer(address))));
    let zab_config = zab::Config { id: config.member, bootstrap, timing: config.timing };
    let peer = zab::Peer::new(zab_config, recovery, now, seed).map_err(inconsistent)?;
    Ok((peer, broker_records, positions))
}

/// What is needed to note a stop in good order, after everything else was flushed.
#[derive(Clone, Debug)]
pub struct CleanStop {
    superblock: Superblock,
    generation: u64,
}

impl Opened {
    /// Whose disk it is; [`ClusterId::ZERO`] until that is known.
    pub fn cluster(&self) -> ClusterId {
        self.superblock.cluster
    }

    /// For the end of the run.
    pub fn clean_stop(&self) -> CleanStop {
        CleanStop {
            superblock: Superblock { clean: true, ..self.superblock.clone() },
            generation: self.generation + 1,
        }
    }
}

impl CleanStop {
    /// Notes which cluster the disk belongs to, once that is known.
    ///
    /// # Errors
    /// As the disk.
    pub fn learn(&mut self, disk: &dyn Disk, data: &Path, cluster: ClusterId) -> std::io::Result<()> {
        if self.superblock.cluster == cluster {
            return Ok(());
        }
        let running = Superblock { cluster, clean: false, ..self.superblock.clone() };
        superblock::write(disk, data, &running, self.generation)?;
        self.superblock.cluster = cluster;
        self.generation += 1;
        Ok(())
    }

    /// Notes that the disk was closed in good order.
    ///
    /// # Errors
    /// As the disk.
    pub fn write(&self, disk: &dyn Disk, data: &Path) -> std::io::Result<()> {
        superblock::write(disk, data, &self.superblock, self.generation)
    }
}
