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
use streamkeeper_base::limits::{
    CHECKPOINT_BYTES, DISK_RESERVE_BYTES, PRODUCER_SNAPSHOT_BYTES, SNAPSHOT_EVERY_TXNS,
};
use streamkeeper_base::{Address, ClusterId, Incarnation, MemberId};
use streamkeeper_member::broker::{Broker, BrokerConfig, replay};
use streamkeeper_member::coordination::Coordination;
use streamkeeper_member::io::{ClientFrame, Clocks, ConnectionId, Input, Link, Output};
use streamkeeper_member::message::{FromCoordination, ToBroker, ToCoordination};
use streamkeeper_member::open::{OpenConfig, Opened, open};
use streamkeeper_member::record::Owner;
use streamkeeper_storage::disk::{DirectoryLock, Disk, RealDisk, boot_id, lock_directory};
use streamkeeper_storage::wal::WalOptions;
use streamkeeper_wire::kafka;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;

use crate::config::{AgentConfig, MemberAddress};
use crate::coordination_thread::{Accepted, CoordinationThread, ToBrokerHub, ToHub};
use crate::grpc::{self, Agent, BrokerSettings, Early, Facing, OnReady};
use crate::logs;
use crate::shell::client::{Decoder, Patience, Protocol, serve};
use crate::shell::clock::Clock;
use crate::shell::commit::{self, CommitHandle, Completions};
use crate::shell::hub::{Hub, Inbox, Machine, Remote};
use crate::shell::link::{self, Belonging, Identity, Peers};
use crate::stopper::Stopper;

/// The machines look at the time this often.
pub(crate) const TICK: Duration = Duration::from_millis(50);

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

    fn takes(&self, connection: ConnectionId) -> bool {
        Coordination::takes(self, connection)
    }
}

impl Machine for Broker {
    type Message = ToBroker;
    type Notice = ToCoordination;

    fn handle(&mut self, clocks: Clocks, input: Input<ToBroker>, out: &mut Vec<Output<ToCoordination>>) {
        Broker::handle(self, clocks, input, out);
    }

    fn takes(&self, connection: ConnectionId) -> bool {
        Broker::takes(self, connection)
    }

    fn peers(message: &ToBroker) -> Option<BTreeMap<MemberId, String>> {
        match message {
            ToBroker::Coordination(FromCoordination::Peers(addresses)) => {
                Some(addresses.iter().map(|(id, a)| (*id, a.peer_authority())).collect())
            }
            ToBroker::Coordination(
                FromCoordination::Image(_)
                | FromCoordination::Answered { .. }
                | FromCoordination::Status(_)
                | FromCoordination::Identified(_)
                | FromCoordination::Surveyed { .. }
                | FromCoordination::HandedOver,
            )
            | ToBroker::Settings(_) => None,
        }
    }
}

/// Runs an agent until it is told to stop: by SIGTERM or SIGINT, or, with `with_parent`, by the end of standard input.
///
/// # Errors
/// The configuration, the disk or a port cannot be used, or the member finds that it must not go on.
pub fn run(config: &AgentConfig, with_parent: bool) -> Result<()> {
    let begun = Begun::begin(&config.bind, own_address(config)?.grpc_port, with_parent)?;
    go_on(config, begun, None)
}

/// What an agent has before it opens its disk: it can be told to stop, and its health can be asked for.
pub(crate) struct Begun {
    stopper: Stopper,
    grpc: StdListener,
    pub(crate) early: Early,
}

impl Begun {
    /// # Errors
    /// The port for gRPC cannot be bound, or there are no threads.
    pub(crate) fn begin(host: &str, grpc_port: u16, with_parent: bool) -> Result<Self> {
        let stopper = Stopper::start(with_parent)?;
        let grpc = bind(host, grpc_port, "gRPC")?;
        let early = Early::start(&grpc, "the agent opens its disk")?;
        Ok(Self { stopper, grpc, early })
    }
}

/// Runs an agent that has begun; `on_ready` is called once it serves.
pub(crate) fn go_on(config: &AgentConfig, begun: Begun, on_ready: Option<OnReady>) -> Result<()> {
    let own = own_address(config)?;
    let listeners = Listeners::bind(config, own)?;
    let clock = Clock::start();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let _held = take_directory(&config.data_dir)?;
    let opened = open(&disk, &config.data_dir, &open_config(config, own)?, clock.read().now)?;
    opened.notes.iter().for_each(|note| tracing::warn!("{note}"));
    let clean_stop = opened.clean_stop();
    let result = run_threads(config, opened, listeners, &disk, clock, (begun, on_ready));
    if result.is_ok() {
        clean_stop.write(&*disk, &config.data_dir).context("noting the clean stop")?;
    }
    result
}

fn own_address(config: &AgentConfig) -> Result<&MemberAddress> {
    config.own_address().ok_or_else(|| anyhow!("members: no entry for this agent"))
}

/// Takes a data directory for this process alone, made where it is missing: two members on one disk would void what each acknowledged.
///
/// # Errors
/// It cannot be made or written, or another process has it.
pub(crate) fn take_directory(data: &Path) -> Result<DirectoryLock> {
    let shown = data.display();
    let unusable =
        || format!("{shown}: the data directory cannot be written; make it writable, or use another");
    std::fs::create_dir_all(data).with_context(unusable)?;
    let held = lock_directory(data).with_context(unusable)?;
    held.ok_or_else(|| {
        anyhow!("{shown}: another process works on this data directory; stop it, or use another directory")
    })
}

struct Listeners {
    zookeeper: StdListener,
    peer: StdListener,
    kafka: StdListener,
    http: StdListener,
}

impl Listeners {
    fn bind(config: &AgentConfig, own: &MemberAddress) -> Result<Self> {
        Ok(Self {
            zookeeper: bind(&config.bind, own.zookeeper_port, "ZooKeeper")?,
            peer: bind(&config.bind, own.peer_port, "peer")?,
            kafka: bind(&config.bind, own.kafka_port, "Kafka")?,
            http: bind(&config.bind, own.http_port, "HTTP")?,
        })
    }
}

pub(crate) fn bind(host: &str, port: u16, what: &str) -> Result<StdListener> {
    let listener = StdListener::bind((host, port)).with_context(|| {
        format!("the {what} port {host}:{port} cannot be bound; stop what uses it, or choose another")
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn open_config(config: &AgentConfig, own: &MemberAddress) -> Result<OpenConfig> {
    let address_of = |id: i32| config.members.iter().find(|m| m.id == id).map(|m| address(m, &config.zone));
    let bootstrap =
        config.bootstrap_voters.iter().filter_map(|id| Some((MemberId(*id), address_of(*id)?))).collect();
    let random = uuid::Uuid::new_v4().as_u128();
    Ok(OpenConfig {
        cluster: cluster_id(config)?,
        member: MemberId(config.member_id),
        address: address(own, &config.zone),
        joining: config.joining,
        bootstrap: if config.joining { Vec::new() } else { bootstrap },
        observers: Vec::new(),
        wal_dir: None,
        boot_id: boot_id()?,
        zookeeper: config.coordination.settings(),
        auto_rebalance: config.rebalance.auto,
        moves_bytes_per_second_max: config.rebalance.max_bytes_per_second,
        is_broker: true,
        timing: streamkeeper_member::open::Timing::default(),
        snapshot_every_txns: SNAPSHOT_EVERY_TXNS,
        wal: WalOptions::new(uuid::Uuid::new_v4().as_u128() as u64),
        seed: (random >> 64) as u64 ^ random as u64,
    })
}

fn cluster_id(config: &AgentConfig) -> Result<ClusterId> {
    ClusterId::from_hex(&config.cluster_id).ok_or_else(|| anyhow!("clusterId is malformed"))
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
        client_host: member.host.clone(),
        ..Address::default()
    }
}

fn run_threads(
    config: &AgentConfig,
    opened: Opened,
    listeners: Listeners,
    disk: &Arc<dyn Disk>,
    clock: Clock,
    (begun, on_ready): (Begun, Option<OnReady>),
) -> Result<()> {
    let identity = Identity {
        cluster: Belonging::given(cluster_id(config)?),
        member: MemberId(config.member_id),
        incarnation: opened.incarnation,
    };
    let (to_coordination, coordination_queue) = unbounded_channel();
    let (to_broker, broker_queue) = unbounded_channel();
    let (accepted, replication_links) = unbounded_channel();
    let logs = replay(disk, &config.data_dir, opened.boot, &opened.broker_records)?;
    let settings = broker_config(config, opened.incarnation);
    // A negative number is for ever, as in Kafka.
    let idle = settings.setting("connections.max.idle.ms").parse().ok().map(Duration::from_millis);
    let machine = Broker::new(settings, disk.clone(), logs, clock.read().now);
    let (commit, threads) = commit::start(opened.committer, completions(&to_coordination, &to_broker))?;
    let services = Agent::new(
        identity.member,
        identity.incarnation,
        config.cluster_id.replace('-', ""),
        to_coordination.clone(),
        BrokerSettings::new(&config.broker, to_broker.clone()),
    );
    let broker = BrokerThread {
        machine,
        identity: identity.clone(),
        kafka: listeners.kafka,
        idle,
        clock,
        commit: commit.clone(),
        remote: broker_queue,
        remote_sender: to_broker.clone(),
        to_coordination: to_coordination.clone(),
        accepted: replication_links,
    };
    let coordination = CoordinationThread {
        machine: opened.coordination,
        identity,
        seeds: seeds(config),
        fixed: BTreeMap::new(),
        clients: vec![listeners.zookeeper],
        peer: Some(listeners.peer),
        clock,
        commit: commit.clone(),
        disk: disk.clone(),
        data: config.data_dir.clone(),
        remote: coordination_queue,
        remote_sender: to_coordination.clone(),
        to_broker: to_broker.clone(),
        accepted,
        identified: Box::new(|_| {}),
        services: Some(Facing(services.clone())),
    };
    let stopping = services.clone();
    begun.stopper.stops(&to_coordination, move || stopping.stopping());
    begun.early.end();
    spawn_control((begun.grpc, listeners.http), services, on_ready)?;
    let result = run_to_the_end(coordination, broker);
    commit.stop();
    threads.into_iter().for_each(|thread| drop(thread.join()));
    result
}

fn spawn_control(
    (grpc, http): (StdListener, StdListener),
    services: Arc<Agent>,
    on_ready: Option<OnReady>,
) -> Result<()> {
    std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        if let Err(reason) = grpc::serve(grpc, http, services, on_ready) {
            // Clients of ZooKeeper and Kafka are served without it; its health checks fail, and say so.
            tracing::error!("{reason}");
        }
    })?;
    Ok(())
}

/// Runs both machines until the member stops, or one of them finds that it must not go on.
fn run_to_the_end(coordination: CoordinationThread, broker: BrokerThread) -> Result<()> {
    let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let (to_coordination, to_broker) = (broker.to_coordination.clone(), broker.remote_sender.clone());
    let broker = named("broker").spawn(move || {
        let result = broker.run();
        // Without its broker a member must not go on.
        let _ = to_coordination.send(Remote::Stop);
        result
    })?;
    let coordination = named("coordination").spawn(move || coordination.run())?;
    let result = coordination.join().map_err(|_| anyhow!("the coordination thread panicked"))?;
    // The receiver is gone only if the broker has stopped already.
    let _ = to_broker.send(Remote::Stop);
    let broker_result = broker.join().map_err(|_| anyhow!("the broker thread panicked"))?;
    result.and(broker_result).map_err(|reason| anyhow!(reason))
}

fn broker_config(config: &AgentConfig, incarnation: Incarnation) -> BrokerConfig {
    BrokerConfig {
        member: MemberId(config.member_id),
        incarnation,
        cluster_id: kafka_id(&config.cluster_id),
        data: config.data_dir.clone(),
        settings: config.broker.clone(),
        checkpoint_bytes: CHECKPOINT_BYTES,
        reserve_bytes: DISK_RESERVE_BYTES,
        snapshot_bytes: PRODUCER_SNAPSHOT_BYTES,
        seed: uuid::Uuid::new_v4().as_u128() as u64,
    }
}

/// A cluster's id as Kafka writes it: its 16 bytes in URL-safe base64. What is no id was refused when the configuration was read.
fn kafka_id(cluster: &str) -> String {
    use base64::Engine as _;
    let id = ClusterId::from_hex(cluster).unwrap_or_default();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(id.0)
}

pub(crate) fn completions(to_coordination: &ToHub, to_broker: &ToBrokerHub) -> Completions {
    let (coordination, broker) = (to_coordination.clone(), to_broker.clone());
    Completions {
        // The receivers are gone only when the member stops.
        coordination: Box::new(move |ticket| drop(coordination.send(Remote::Persisted(ticket)))),
        broker: Box::new(move |ticket| drop(broker.send(Remote::Persisted(ticket)))),
        fatal: Box::new(|reason| {
            tracing::error!("{reason}");
            std::process::exit(70);
        }),
    }
}

fn seeds(config: &AgentConfig) -> BTreeMap<MemberId, String> {
    let others = config.members.iter().filter(|m| m.id != config.member_id);
    others.map(|m| (MemberId(m.id), format!("{}:{}", m.host, m.peer_port))).collect()
}

struct BrokerThread {
    machine: Broker,
    identity: Identity,
    kafka: StdListener,
    /// How long a client's connection may carry nothing.
    idle: Option<Duration>,
    clock: Clock,
    commit: CommitHandle,
    remote: UnboundedReceiver<Remote<ToBroker>>,
    remote_sender: ToBrokerHub,
    to_coordination: ToHub,
    accepted: UnboundedReceiver<Accepted>,
}

impl BrokerThread {
    fn run(self) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("the broker thread has no runtime: {error}"))?;
        LocalSet::new().block_on(&runtime, self.serve())
    }

    async fn serve(self) -> Result<(), String> {
        let inbox = Inbox::new();
        let peers = Peers::new(self.identity, Link::ReplicationOut, inbox.clone());
        let kafka = TcpListener::from_std(self.kafka).map_err(|error| error.to_string())?;
        let protocol = Protocol {
            decoder: kafka_frames as Decoder,
            patience: Patience { first: self.idle, idle: self.idle },
            inbox: inbox.clone(),
        };
        tokio::task::spawn_local(serve(kafka, protocol, Rc::new(Cell::new(1))));
        tokio::task::spawn_local(run_accepted(self.accepted, inbox.clone()));
        let to_coordination = self.to_coordination;
        let hub = Hub {
            machine: self.machine,
            owner: Owner::Broker,
            clock: self.clock,
            commit: self.commit,
            inbox,
            remote: self.remote,
            remote_sender: self.remote_sender,
            // Coordination is gone only when the member stops.
            tell: Box::new(move |notice| drop(to_coordination.send(Remote::Message(notice)))),
            write_snapshot: Box::new(|_, _| {}),
            peers: Some(peers),
            tick: TICK,
            clients: BTreeMap::new(),
            held: BTreeMap::new(),
            links: BTreeMap::new(),
            outputs: Vec::new(),
            appends: Vec::new(),
            dirty_clients: std::collections::BTreeSet::new(),
            dirty_links: std::collections::BTreeSet::new(),
        };
        let mut machine = hub.run().await?;
        // The disk may be noted as closed in good order only when the files hold everything.
        machine.close().map_err(|error| error.to_string())
    }
}

/// Runs the replication links that peers dialled.
async fn run_accepted(mut accepted: UnboundedReceiver<Accepted>, inbox: Inbox) {
    while let Some((stream, peer, rest)) = accepted.recv().await {
        let inbox = inbox.clone();
        match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => {
                tokio::task::spawn_local(async move { link::run(stream, rest, peer, &inbox).await });
            }
            Err(error) => {
                tracing::warn!(peer = %peer.member, %error, "a replication link cannot be taken over")
            }
        }
    }
}

fn kafka_frames(bytes: &[u8]) -> Result<Option<(usize, ClientFrame)>, String> {
    let cut = kafka::frame::cut(bytes).map_err(|error| error.to_string())?;
    Ok(cut.map(|(taken, frame)| (taken, ClientFrame::Frame(frame))))
}

/// Reads and checks the configuration file, and sets up the log lines.
///
/// # Errors
/// The file cannot be used.
pub fn load(path: &Path) -> Result<AgentConfig> {
    let config = AgentConfig::load(path)?;
    logs::init(config.log_file.as_deref())?;
    Ok(config)
}
