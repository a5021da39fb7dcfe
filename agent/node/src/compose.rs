//! Puts an agent together: opens the disk, starts the threads, binds the ports, and stops in order.
//!
//! Read first: [`run`].

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::TcpListener as StdListener;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::BytesMut;
use streamkeeper_base::{Address, ClusterId, MemberId};
use streamkeeper_member::coordination::Coordination;
use streamkeeper_member::io::{ClientFrame, Clocks, Input, Link, Output, Ticket};
use streamkeeper_member::message::{FromCoordination, ToCoordination};
use streamkeeper_member::open::{OpenConfig, Opened, open};
use streamkeeper_member::record::Owner;
use streamkeeper_storage::disk::{Disk, RealDisk, boot_id};
use streamkeeper_storage::snapshot_file;
use streamkeeper_storage::wal::WalOptions;
use streamkeeper_wire::jute;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

use crate::config::{AgentConfig, MemberAddress};
use crate::shell::client::{Decoder, serve};
use crate::shell::clock::Clock;
use crate::shell::commit::{self, CommitHandle, Completions, Positions};
use crate::shell::hub::{Hub, Inbox, Machine, Remote};
use crate::shell::link::{self, Identity, Peers};

/// The machines look at the time this often.
const TICK: Duration = Duration::from_millis(25);

impl Machine for Coordination {
    type Message = ToCoordination;
    type Notice = FromCoordination;

    fn handle(
        &mut self,
        clocks: Clocks,
        input: Input<ToCoordination>,
        out: &mut Vec<Output<FromCoordination>>,
    ) {
        Coordination::handle(self, clocks, input, out);
    }
}

/// What the coordination thread's hub is sent.
pub(crate) type ToHub = UnboundedSender<Remote<ToCoordination>>;

/// Runs an agent until it is told to stop: by SIGTERM or SIGINT, or, with `with_parent`, by the end of standard input.
///
/// # Errors
/// The configuration, the disk or a port cannot be used, or the member finds that it must not go on.
pub fn run(config: &AgentConfig, with_parent: bool) -> Result<()> {
    let own = config.own_address().ok_or_else(|| anyhow!("members: no entry for this agent"))?;
    let listeners = Listeners::bind(config, own)?;
    let clock = Clock::start();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let opened = open(&disk, &config.data_dir, &open_config(config, own)?, clock.read().now)?;
    opened.notes.iter().for_each(|note| tracing::warn!("{note}"));
    let clean_stop = opened.clean_stop();
    let result = run_threads(config, own, opened, listeners, &disk, clock, with_parent);
    if result.is_ok() {
        clean_stop.write(&*disk, &config.data_dir).context("noting the clean stop")?;
    }
    result
}

struct Listeners {
    zookeeper: StdListener,
    peer: StdListener,
}

impl Listeners {
    fn bind(config: &AgentConfig, own: &MemberAddress) -> Result<Self> {
        Ok(Self {
            zookeeper: bind(&config.bind, own.zookeeper_port, "ZooKeeper")?,
            peer: bind(&config.bind, own.peer_port, "peer")?,
        })
    }
}

fn bind(host: &str, port: u16, what: &str) -> Result<StdListener> {
    let listener = StdListener::bind((host, port))
        .with_context(|| format!("the {what} port {host}:{port} cannot be bound; stop what uses it, or choose another"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn open_config(config: &AgentConfig, own: &MemberAddress) -> Result<OpenConfig> {
    let address_of = |id: i32| config.members.iter().find(|m| m.id == id).map(|m| address(m, &config.zone));
    let bootstrap = config.bootstrap_voters.iter().filter_map(|id| Some((MemberId(*id), address_of(*id)?))).collect();
    let random = uuid::Uuid::new_v4().as_u128();
    Ok(OpenConfig {
        cluster: ClusterId::from_hex(&config.cluster_id).ok_or_else(|| anyhow!("clusterId is malformed"))?,
        member: MemberId(config.member_id),
        address: address(own, &config.zone),
        bootstrap,
        boot_id: boot_id()?,
        tick_time_ms: i32::try_from(config.coordination.tick_time_ms).unwrap_or(i32::MAX),
        words: config.coordination.four_letter_words.clone(),
        auto_rebalance: config.rebalance.auto,
        is_broker: true,
        timing: streamkeeper_member::open::Timing::default(),
        wal: WalOptions::new(uuid::Uuid::new_v4().as_u128() as u64),
        seed: (random >> 64) as u64 ^ random as u64,
    })
}

fn address(member: &MemberAddress, zone: &str) -> Address {
    Address {
        host: member.host.clone(),
        peer_port: member.peer_port,
        zookeeper_port: member.zookeeper_port,
        kafka_port: member.kafka_port,
        grpc_port: member.grpc_port,
        http_port: member.http_port,
        zone: zone.to_owned(),
    }
}

fn run_threads(
    config: &AgentConfig,
    own: &MemberAddress,
    opened: Opened,
    listeners: Listeners,
    disk: &Arc<dyn Disk>,
    clock: Clock,
    with_parent: bool,
) -> Result<()> {
    let identity = Identity {
        cluster: ClusterId::from_hex(&config.cluster_id).ok_or_else(|| anyhow!("clusterId is malformed"))?,
        member: MemberId(config.member_id),
        incarnation: opened.incarnation,
    };
    let (to_coordination, from_others) = unbounded_channel();
    let mut positions = Positions::default();
    let mut tickets = [Ticket::default(); 2];
    for (owner, lsn) in &opened.positions {
        let ticket = &mut tickets[*owner as usize];
        *ticket = ticket.next();
        positions.record(*owner, *ticket, *lsn);
    }
    let completions = completions(&to_coordination);
    let (commit, threads) = commit::start(opened.wal, positions, completions)?;
    let seeds = seeds(config, own.id);
    let coordination = CoordinationThread {
        machine: opened.coordination,
        identity,
        seeds,
        listeners,
        clock,
        commit: commit.clone(),
        disk: disk.clone(),
        data: config.data_dir.clone(),
        remote: from_others,
        remote_sender: to_coordination.clone(),
    };
    spawn_stopper(&to_coordination, with_parent)?;
    let thread = std::thread::Builder::new().name("coordination".to_owned()).spawn(move || coordination.run())?;
    let result = thread.join().map_err(|_| anyhow!("the coordination thread panicked"))?;
    commit.stop();
    threads.into_iter().for_each(|thread| drop(thread.join()));
    result.map_err(|reason| anyhow!(reason))
}

fn completions(to_coordination: &ToHub) -> Completions {
    let coordination = to_coordination.clone();
    Completions {
        // The receiver is gone only when the member stops.
        coordination: Box::new(move |ticket| drop(coordination.send(Remote::Persisted(ticket)))),
        broker: Box::new(|_| {}),
        fatal: Box::new(|reason| {
            tracing::error!("{reason}");
            std::process::exit(70);
        }),
    }
}

fn seeds(config: &AgentConfig, own: i32) -> BTreeMap<MemberId, String> {
    let others = config.members.iter().filter(|m| m.id != own);
    others.map(|m| (MemberId(m.id), format!("{}:{}", m.host, m.peer_port))).collect()
}

/// Turns SIGTERM, SIGINT and the parent's end into a stop in good order.
fn spawn_stopper(to_coordination: &ToHub, with_parent: bool) -> Result<()> {
    let sender = to_coordination.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
                .expect("the process may handle SIGTERM");
            let parent = async {
                if with_parent {
                    let mut byte = [0];
                    // The pipe never carries anything; it ends with the parent.
                    while tokio::io::AsyncReadExt::read(&mut tokio::io::stdin(), &mut byte).await.is_ok_and(|n| n > 0) {}
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c(), if !with_parent => {}
                () = parent => {}
            }
            // The receiver is gone only when the member stops anyway.
            let _ = sender.send(Remote::Message(ToCoordination::Stop));
            tokio::time::sleep(Duration::from_secs(8)).await;
            let _ = sender.send(Remote::Stop);
        });
    })?;
    Ok(())
}

struct CoordinationThread {
    machine: Coordination,
    identity: Identity,
    seeds: BTreeMap<MemberId, String>,
    listeners: Listeners,
    clock: Clock,
    commit: CommitHandle,
    disk: Arc<dyn Disk>,
    data: std::path::PathBuf,
    remote: UnboundedReceiver<Remote<ToCoordination>>,
    remote_sender: ToHub,
}

impl CoordinationThread {
    fn run(self) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("the coordination thread has no runtime: {error}"))?;
        LocalSet::new().block_on(&runtime, self.serve())
    }

    async fn serve(self) -> Result<(), String> {
        let inbox = Inbox::new();
        let peers = Peers::new(self.identity, Link::Quorum, inbox.clone());
        peers.set(&self.seeds);
        let to_listener = |listener| TcpListener::from_std(listener).map_err(|error| error.to_string());
        let zookeeper = to_listener(self.listeners.zookeeper)?;
        let peer = to_listener(self.listeners.peer)?;
        tokio::task::spawn_local(serve(zookeeper, zookeeper_frames as Decoder, inbox.clone(), Rc::new(Cell::new(1))));
        tokio::task::spawn_local(accept_peers(peer, self.identity, inbox.clone()));
        let hub = Hub {
            owner: Owner::Coordination,
            clock: self.clock,
            commit: self.commit,
            inbox,
            remote: self.remote,
            tell: tell(peers, self.seeds, self.remote_sender.clone()),
            write_snapshot: snapshot_writer(self.disk, self.data, self.remote_sender.clone()),
            remote_sender: self.remote_sender,
            tick: TICK,
            clients: BTreeMap::new(),
            links: BTreeMap::new(),
            outputs: {
                let mut outputs = Vec::new();
                self.machine.announce(&mut outputs);
                outputs
            },
            dirty_clients: std::collections::BTreeSet::new(),
            dirty_links: std::collections::BTreeSet::new(),
            machine: self.machine,
        };
        hub.run().await
    }
}

/// Routes what coordination says.
fn tell(
    peers: Rc<Peers>,
    seeds: BTreeMap<MemberId, String>,
    own: ToHub,
) -> Box<dyn FnMut(FromCoordination)> {
    Box::new(move |notice| match notice {
        FromCoordination::Peers(addresses) => {
            let known = addresses.iter().map(|(id, a)| (*id, format!("{}:{}", a.host, a.peer_port)));
            // Until the ensemble is known the seeds are all there is; later it alone counts.
            let dialled: BTreeMap<MemberId, String> =
                if addresses.is_empty() { seeds.clone() } else { known.collect() };
            peers.set(&dialled);
        }
        FromCoordination::HandedOver => drop(own.send(Remote::Stop)),
        FromCoordination::Image(_) | FromCoordination::Answered { .. } | FromCoordination::Status(_) => {}
    })
}

/// Writes snapshot files on a thread of their own, one at a time.
fn snapshot_writer(
    disk: Arc<dyn Disk>,
    data: std::path::PathBuf,
    done: ToHub,
) -> Box<dyn Fn(i64, Vec<bytes::Bytes>)> {
    Box::new(move |zxid, chunks| {
        let (disk, dir, done) = (disk.clone(), data.join("tree"), done.clone());
        let write = move || match snapshot_file::write(&*disk, &dir, zxid, &chunks) {
            Ok(()) => drop(done.send(Remote::SnapshotWritten(zxid))),
            Err(error) => tracing::error!(%error, dir = %dir.display(), "a snapshot cannot be written; see that the disk has room"),
        };
        if let Err(error) = std::thread::Builder::new().name("snapshot".to_owned()).spawn(write) {
            tracing::error!(%error, "a snapshot thread cannot be started");
        }
    })
}

async fn accept_peers(listener: TcpListener, identity: Identity, inbox: Inbox) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let inbox = inbox.clone();
                tokio::task::spawn_local(async move {
                    match link::accept(stream, identity).await {
                        Ok((stream, peer, link, rest)) => link::run(stream, rest, peer, link, &inbox).await,
                        Err(reason) => tracing::warn!(%remote, reason, "a peer's connection is refused"),
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a peer failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn zookeeper_frames(buffer: &mut BytesMut) -> Result<Option<ClientFrame>, String> {
    match jute::frame::decode(buffer) {
        Ok(Some(jute::frame::Unit::Word(word))) => Ok(Some(ClientFrame::Word(word))),
        Ok(Some(jute::frame::Unit::Frame(frame))) => Ok(Some(ClientFrame::Frame(frame))),
        Ok(None) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads and checks the configuration file, and sets up the log lines.
///
/// # Errors
/// The file cannot be used.
pub fn load(path: &Path) -> Result<AgentConfig> {
    let config = AgentConfig::load(path)?;
    init_logs(&config)?;
    Ok(config)
}

fn init_logs(config: &AgentConfig) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    match &config.log_file {
        Some(path) => {
            let file = std::fs::File::options().create(true).append(true).open(path);
            let file = file.with_context(|| format!("{}: the log file cannot be opened", path.display()))?;
            builder.with_writer(Arc::new(file)).init();
        }
        None => builder.with_writer(std::io::stderr).init(),
    }
    Ok(())
}
