//! A member of a `zoo.cfg` ensemble: ZooKeeper's side alone, without a broker.
//!
//! Read first: [`run`], [`ZooCfg`].

use std::collections::BTreeMap;
use std::net::TcpListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use streamkeeper_base::{ClusterId, MemberId};
use streamkeeper_member::open::{CleanStop, OpenConfig, Opened, Timing, open};
use streamkeeper_storage::disk::{Disk, RealDisk, boot_id};
use streamkeeper_storage::wal::WalOptions;
use tokio::sync::mpsc::unbounded_channel;

use crate::compose::{bind, completions, take_directory};
use crate::coordination_thread::CoordinationThread;
use crate::shell::clock::Clock;
use crate::shell::commit;
use crate::shell::link::{Belonging, Identity};
use crate::stopper::Stopper;
use crate::zoo_cfg::ZooCfg;

/// Our data's place in `dataDir` and `dataLogDir`: ZooKeeper's own is `version-2`.
const OWN_DIRECTORY: &str = "streamkeeper";

/// Runs a member until it is told to stop by SIGTERM or SIGINT.
///
/// # Errors
/// The disk or a port cannot be used, or the member finds that it must not go on.
pub fn run(cfg: &ZooCfg) -> Result<()> {
    cfg.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let listeners = Listeners::bind(cfg)?;
    let clock = Clock::start();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let places = Places::of(cfg);
    places.check(&*disk)?;
    let _held = take_directory(&places.data)?;
    let opened = open(&disk, &places.data, &open_config(cfg, &places)?, clock.read().now)?;
    opened.notes.iter().for_each(|note| tracing::warn!("{note}"));
    let stop = Arc::new(std::sync::Mutex::new(opened.clean_stop()));
    run_threads(cfg, opened, listeners, &disk, &places, clock, &stop)?;
    let stop = stop.lock().map_err(|_| anyhow!("a thread panicked"))?;
    stop.write(&*disk, &places.data).context("noting the clean stop")
}

struct Listeners {
    client: StdListener,
    /// A server without peers listens for none.
    peer: Option<StdListener>,
}

impl Listeners {
    fn bind(cfg: &ZooCfg) -> Result<Self> {
        let own = cfg.own_line();
        let (host, port) = cfg.client.as_ref().ok_or_else(|| anyhow!("clientPort is missing"))?;
        let peer_host = if cfg.quorum_listen_on_all { "" } else { own.host.as_str() };
        let has_peers = cfg.servers.len() > 1;
        let peer = has_peers.then(|| bind_any(peer_host, own.quorum_port, "quorum"));
        Ok(Self { client: bind_any(host, *port, "client")?, peer: peer.transpose()? })
    }
}

/// Binds a host's port; an empty host is every address of both families, where the system has both.
fn bind_any(host: &str, port: u16, what: &str) -> Result<StdListener> {
    match host {
        "" | "0.0.0.0" | "::" => bind("::", port, what).or_else(|_| bind("0.0.0.0", port, what)),
        host => bind(host, port, what),
    }
}

/// Where the member keeps what.
struct Places {
    data: PathBuf,
    wal: PathBuf,
    foreign: PathBuf,
}

impl Places {
    fn of(cfg: &ZooCfg) -> Self {
        let data = cfg.data_dir.join(OWN_DIRECTORY);
        let log = cfg.data_log_dir.as_ref().map_or_else(|| data.clone(), |dir| dir.join(OWN_DIRECTORY));
        Self { data, wal: log.join("wal"), foreign: cfg.data_dir.join("version-2") }
    }

    /// A changed file must not make a member forget what it has promised or stored.
    fn check(&self, disk: &dyn Disk) -> Result<()> {
        let is_known = disk.exists(&self.data.join("meta"));
        if !is_known && has_files(&self.foreign) {
            bail!(
                "{}: Apache ZooKeeper's data, which is not read; give an empty dataDir and copy the nodes with a client",
                self.foreign.display()
            );
        }
        if is_known && !has_files(&self.wal) {
            bail!(
                "{}: the log of this member is not there; set dataLogDir as it was, or move the log, or remove {} to refill \
                 the member from its peers",
                self.wal.display(),
                self.data.display()
            );
        }
        Ok(())
    }
}

fn has_files(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

fn open_config(cfg: &ZooCfg, places: &Places) -> Result<OpenConfig> {
    let listed = |observer: bool| {
        let lines = cfg.servers.iter().filter(move |line| line.observer == observer);
        lines.map(|line| (line.id, line.address())).collect()
    };
    let random = uuid::Uuid::new_v4().as_u128();
    Ok(OpenConfig {
        cluster: ClusterId::ZERO,
        member: cfg.member,
        address: cfg.own_line().address(),
        joining: false,
        bootstrap: listed(false),
        observers: listed(true),
        wal_dir: Some(places.wal.clone()),
        boot_id: boot_id()?,
        zookeeper: cfg.settings.clone(),
        auto_rebalance: false,
        moves_bytes_per_second_max: 0,
        is_broker: false,
        timing: Timing { sync_limit: cfg.sync_limit, init_limit: cfg.init_limit, ..Timing::default() },
        snapshot_every_txns: cfg.snapshot_every_txns,
        wal: WalOptions::new(uuid::Uuid::new_v4().as_u128() as u64),
        seed: (random >> 64) as u64 ^ random as u64,
    })
}

fn run_threads(
    cfg: &ZooCfg,
    opened: Opened,
    listeners: Listeners,
    disk: &Arc<dyn Disk>,
    places: &Places,
    clock: Clock,
    stop: &Arc<std::sync::Mutex<CleanStop>>,
) -> Result<()> {
    let belonging = Belonging::learned(opened.cluster());
    let identity =
        Identity { cluster: belonging.clone(), member: cfg.member, incarnation: opened.incarnation };
    let (to_coordination, queue) = unbounded_channel();
    // There is no broker: what is meant for one goes nowhere.
    let (to_broker, _) = unbounded_channel();
    let (accepted, _) = unbounded_channel();
    let (commit, threads) = commit::start(opened.committer, completions(&to_coordination, &to_broker))?;
    let others = peers(cfg);
    let coordination = CoordinationThread {
        machine: opened.coordination,
        identity,
        seeds: others.clone(),
        fixed: others,
        clients: vec![listeners.client],
        peer: listeners.peer,
        clock,
        commit: commit.clone(),
        disk: disk.clone(),
        data: places.data.clone(),
        remote: queue,
        remote_sender: to_coordination.clone(),
        to_broker,
        accepted,
        identified: learner(belonging, disk.clone(), places.data.clone(), stop.clone()),
        services: None,
    };
    let stopper = Stopper::start(false)?;
    stopper.stops(&to_coordination, || {});
    let thread = std::thread::Builder::new().name("coordination".to_owned());
    let result = thread.spawn(move || coordination.run())?.join();
    commit.stop();
    threads.into_iter().for_each(|thread| drop(thread.join()));
    result.map_err(|_| anyhow!("the coordination thread panicked"))?.map_err(|reason| anyhow!(reason))
}

fn peers(cfg: &ZooCfg) -> BTreeMap<MemberId, String> {
    let others = cfg.servers.iter().filter(|line| line.id != cfg.member);
    others.map(|line| (line.id, line.address().peer_authority())).collect()
}

/// Writes down which ensemble this disk belongs to as soon as the ensemble's state says so; a disk of another one is refused then.
fn learner(
    belonging: Belonging,
    disk: Arc<dyn Disk>,
    data: PathBuf,
    stop: Arc<std::sync::Mutex<CleanStop>>,
) -> Box<dyn FnMut(ClusterId) + Send> {
    Box::new(move |cluster| {
        let Ok(mut stop) = stop.lock() else { return };
        if let Err(error) = stop.learn(&*disk, &data, cluster) {
            // It is told again at the next start.
            tracing::warn!(%error, "the identity of the ensemble cannot be written down");
        }
        if !belonging.learn(cluster) {
            tracing::warn!(%cluster, "the ensemble's identity is another one than before");
        }
    })
}
