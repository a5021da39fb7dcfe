//! The coordination thread: what its machine asks for is done here, and its sockets live here.
//!
//! Must not know: any protocol. Read first: [`CoordinationThread`].

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::TcpListener as StdListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use streamkeeper_base::{ClusterId, MemberId};
use streamkeeper_member::coordination::Coordination;
use streamkeeper_member::io::{ClientFrame, Link};
use streamkeeper_member::message::{Asker, FromCoordination, ToBroker, ToCoordination};
use streamkeeper_member::record::Owner;
use streamkeeper_storage::disk::{Disk, is_full};
use streamkeeper_storage::snapshot_file;
use streamkeeper_wire::jute;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::LocalSet;

use crate::compose::TICK;
use crate::grpc::Facing;
use crate::shell::client::{Decoder, Patience, Protocol, serve};
use crate::shell::clock::Clock;
use crate::shell::commit::CommitHandle;
use crate::shell::hub::{Hub, Inbox, Remote};
use crate::shell::link::{self, Identity, Linked, Peer, Peers};

/// What the coordination thread's hub is sent.
pub(crate) type ToHub = UnboundedSender<Remote<ToCoordination>>;
/// What the broker thread's hub is sent.
pub(crate) type ToBrokerHub = UnboundedSender<Remote<ToBroker>>;
/// A replication link that a peer dialled, on its way to the broker thread.
pub(crate) type Accepted = (std::net::TcpStream, Peer, BytesMut);

/// The coordination thread before it runs.
pub(crate) struct CoordinationThread {
    pub(crate) machine: Coordination,
    pub(crate) identity: Identity,
    /// Where members are reached until the ensemble tells.
    pub(crate) seeds: BTreeMap<MemberId, String>,
    /// Where members are reached whatever the ensemble says: a changed `zoo.cfg` is right before its members have met.
    pub(crate) fixed: BTreeMap<MemberId, String>,
    /// Where ZooKeeper's clients are served.
    pub(crate) clients: Vec<StdListener>,
    /// Where peers are awaited, if there can be any.
    pub(crate) peer: Option<StdListener>,
    pub(crate) clock: Clock,
    pub(crate) commit: CommitHandle,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) data: std::path::PathBuf,
    pub(crate) remote: UnboundedReceiver<Remote<ToCoordination>>,
    pub(crate) remote_sender: ToHub,
    pub(crate) to_broker: ToBrokerHub,
    pub(crate) accepted: UnboundedSender<Accepted>,
    /// Is told which ensemble this is, once its state says so.
    pub(crate) identified: Box<dyn FnMut(ClusterId) + Send>,
    /// The gRPC services, if there are any.
    pub(crate) services: Option<Facing>,
}

/// A connection without a session is closed after this time (ZooKeeper's `zookeeper.nio.sessionlessCnxnTimeout`).
const SESSIONLESS_TIME_MAX: Duration = Duration::from_secs(10);

/// A snapshot that found no room is written again after this time.
const SNAPSHOT_AGAIN: Duration = Duration::from_secs(5);

impl CoordinationThread {
    /// Runs until the member stops, or finds that it must not go on.
    pub(crate) fn run(self) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("the coordination thread has no runtime: {error}"))?;
        LocalSet::new().block_on(&runtime, self.serve())
    }

    async fn serve(self) -> Result<(), String> {
        let inbox = Inbox::new();
        let peers = Peers::new(self.identity.clone(), Link::Quorum, inbox.clone());
        peers.set(&dialled(&self.seeds, &self.fixed));
        let to_listener = |listener| TcpListener::from_std(listener).map_err(|error| error.to_string());
        let next = Rc::new(Cell::new(1));
        for listener in self.clients {
            let listener = to_listener(listener)?;
            let protocol = Protocol {
                decoder: zookeeper_frames as Decoder,
                // Later a session's own timeout holds.
                patience: Patience { first: Some(SESSIONLESS_TIME_MAX), idle: None },
                inbox: inbox.clone(),
            };
            tokio::task::spawn_local(serve(listener, protocol, next.clone()));
        }
        if let Some(peer) = self.peer {
            let peer = to_listener(peer)?;
            tokio::task::spawn_local(accept_peers(
                peer,
                self.identity,
                inbox.clone(),
                peers.linked(),
                self.accepted,
            ));
        }
        let hub = Hub {
            owner: Owner::Coordination,
            clock: self.clock,
            commit: self.commit,
            inbox,
            remote: self.remote,
            tell: Routes {
                peers,
                seeds: self.seeds,
                fixed: self.fixed,
                own: self.remote_sender.clone(),
                to_broker: self.to_broker,
                identified: self.identified,
                services: self.services,
                leaderless: Vec::new(),
            }
            .into_tell(),
            write_snapshot: snapshot_writer(self.disk, self.data, self.remote_sender.clone()),
            peers: None,
            remote_sender: self.remote_sender,
            tick: TICK,
            clients: BTreeMap::new(),
            held: BTreeMap::new(),
            links: BTreeMap::new(),
            appends: Vec::new(),
            outputs: {
                let mut outputs = Vec::new();
                self.machine.announce(&mut outputs);
                outputs
            },
            dirty_clients: std::collections::BTreeSet::new(),
            dirty_links: std::collections::BTreeSet::new(),
            machine: self.machine,
        };
        hub.run().await.map(drop)
    }
}

/// Where what coordination says goes.
struct Routes {
    peers: Rc<Peers>,
    seeds: BTreeMap<MemberId, String>,
    fixed: BTreeMap<MemberId, String>,
    own: ToHub,
    to_broker: ToBrokerHub,
    identified: Box<dyn FnMut(ClusterId) + Send>,
    services: Option<Facing>,
    /// Partitions without a leader, as they were told last.
    leaderless: Vec<String>,
}

impl Routes {
    fn into_tell(mut self) -> Box<dyn FnMut(FromCoordination)> {
        Box::new(move |notice| self.tell(notice))
    }

    fn tell(&mut self, notice: FromCoordination) {
        if let Some(services) = &self.services {
            services.tell(&notice);
        }
        match notice {
            FromCoordination::Peers(addresses) => {
                let known = addresses.iter().map(|(id, a)| (*id, a.peer_authority()));
                // Until the ensemble is known the seeds are all there is; later it alone counts.
                let known = if addresses.is_empty() { self.seeds.clone() } else { known.collect() };
                self.peers.set(&dialled(&known, &self.fixed));
                self.tell_broker(FromCoordination::Peers(addresses));
            }
            FromCoordination::HandedOver => drop(self.own.send(Remote::Stop)),
            FromCoordination::Identified(cluster) => (self.identified)(cluster),
            FromCoordination::Image(_) | FromCoordination::Answered { asker: Asker::Broker, .. } => {
                self.tell_broker(notice);
            }
            FromCoordination::Status(status) => {
                status.leaderless.iter().filter(|why| !self.leaderless.contains(why)).for_each(|why| {
                    tracing::warn!("{why}");
                });
                self.leaderless.clone_from(&status.leaderless);
            }
            FromCoordination::Answered { asker: Asker::Control, .. } | FromCoordination::Surveyed { .. } => {}
        }
    }

    /// The broker is gone only when the member stops, and a member of a `zoo.cfg` has none.
    fn tell_broker(&self, notice: FromCoordination) {
        drop(self.to_broker.send(Remote::Message(ToBroker::Coordination(notice))));
    }
}

fn dialled(
    known: &BTreeMap<MemberId, String>,
    fixed: &BTreeMap<MemberId, String>,
) -> BTreeMap<MemberId, String> {
    known.iter().chain(fixed).map(|(id, address)| (*id, address.clone())).collect()
}

/// Writes snapshot files on a thread of their own, one at a time.
fn snapshot_writer(
    disk: Arc<dyn Disk>,
    data: std::path::PathBuf,
    done: ToHub,
) -> Box<dyn Fn(i64, Vec<bytes::Bytes>)> {
    Box::new(move |zxid, chunks| {
        let (disk, dir, done) = (disk.clone(), data.join("tree"), done.clone());
        let write = move || {
            let mut is_told = false;
            loop {
                match snapshot_file::write(&disk, &dir, zxid, &chunks) {
                    Ok(()) => return drop(done.send(Remote::SnapshotWritten(zxid))),
                    Err(error) if is_full(&error) => {
                        if !std::mem::replace(&mut is_told, true) {
                            tracing::warn!(dir = %dir.display(), "a snapshot finds no room on the disk; it is tried again until there is some");
                        }
                        std::thread::sleep(SNAPSHOT_AGAIN);
                    }
                    Err(error) => {
                        return tracing::error!(%error, dir = %dir.display(), "a snapshot cannot be written");
                    }
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("snapshot".to_owned()).spawn(write) {
            tracing::error!(%error, "a snapshot thread cannot be started");
        }
    })
}

async fn accept_peers(
    listener: TcpListener,
    identity: Identity,
    inbox: Inbox,
    linked: Linked,
    accepted: UnboundedSender<Accepted>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let (identity, inbox, accepted) = (identity.clone(), inbox.clone(), accepted.clone());
                let linked = linked.clone();
                tokio::task::spawn_local(async move {
                    match link::accept(stream, &identity).await {
                        Ok((stream, peer, rest)) if peer.link == Link::Quorum => {
                            let _linked = linked.with(peer.member);
                            link::run(stream, rest, peer, &inbox).await;
                        }
                        Ok((stream, peer, rest)) => {
                            if let Ok(stream) = stream.into_std() {
                                // The broker thread is gone only when the member stops.
                                let _ = accepted.send((stream, peer, rest));
                            }
                        }
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

fn zookeeper_frames(bytes: &[u8]) -> Result<Option<(usize, ClientFrame)>, String> {
    let cut = jute::frame::cut(bytes).map_err(|error| error.to_string())?;
    Ok(cut.map(|(taken, unit)| match unit {
        jute::frame::Unit::Word(word) => (taken, ClientFrame::Word(word)),
        jute::frame::Unit::Frame(frame) => (taken, ClientFrame::Frame(frame)),
    }))
}
