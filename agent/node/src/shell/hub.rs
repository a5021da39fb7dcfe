//! One machine, one thread: feeds it inputs in order and carries out what it asks for.
//!
//! Must not know: any protocol. Read first: [`Hub`], [`Inbox`].

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use streamkeeper_base::{Durable, Incarnation, MemberId};
use streamkeeper_member::io::{ClientFrame, Clocks, ConnectionId, Input, Link, Output, Ticket};
use streamkeeper_member::record::Owner;
use tokio::sync::{Notify, mpsc};

use super::clock::Clock;
use super::commit::{CommitHandle, Record};
use super::link::Peers;
use super::outbox::Outbox;
use super::peer_frame;

/// Inputs handled before sockets are flushed and other tasks run.
const INPUTS_PER_TURN: usize = 512;

/// A machine of `agent/member`.
pub(crate) trait Machine {
    /// What neighbours tell it.
    type Message: Send + 'static;
    /// What it tells neighbours.
    type Notice;

    fn handle(&mut self, clocks: Clocks, input: Input<Self::Message>, out: &mut Vec<Output<Self::Notice>>);

    /// True if the machine takes another frame of this client now; if not, the client is not read from until it does.
    fn takes(&self, _connection: ConnectionId) -> bool {
        true
    }

    /// Whom the message says to keep links with, if it does.
    fn peers(_message: &Self::Message) -> Option<BTreeMap<MemberId, String>> {
        None
    }
}

/// What other threads send to a machine's thread.
pub(crate) enum Remote<M> {
    Persisted(Durable<Ticket>),
    FilesSynced(u64),
    SnapshotWritten(i64),
    Message(M),
    /// Ends the thread.
    Stop,
}

/// What tasks of the machine's own thread put in: sockets' news, in order.
pub(crate) enum Local {
    ClientOpened { connection: ConnectionId, remote: std::net::IpAddr, outbox: Rc<Outbox> },
    ClientFrame { connection: ConnectionId, frame: ClientFrame },
    ClientClosed { connection: ConnectionId },
    LinkUp { peer: MemberId, incarnation: Incarnation, link: Link, outbox: Rc<Outbox> },
    LinkDown { peer: MemberId, link: Link, outbox: Rc<Outbox> },
    PeerFrame { peer: MemberId, link: Link, kind: u8, body: Bytes, outbox: Rc<Outbox> },
}

/// The queue that socket tasks put their news into. Bounded by its users: who put frames in reads no more before they are taken,
/// see [`Outbox::taken`].
#[derive(Clone)]
pub(crate) struct Inbox {
    queue: Rc<RefCell<VecDeque<Local>>>,
    wake: Rc<Notify>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { queue: Rc::default(), wake: Rc::new(Notify::new()) }
    }

    /// Wakes the hub.
    pub(crate) fn wake(&self) -> Rc<Notify> {
        self.wake.clone()
    }

    pub(crate) fn push(&self, event: Local) {
        self.queue.borrow_mut().push_back(event);
        self.wake.notify_one();
    }
}

#[cfg(test)]
impl Inbox {
    /// What waits, taken out.
    pub(crate) fn take(&self) -> VecDeque<Local> {
        self.queue.take()
    }

    /// How much waits.
    pub(crate) fn len(&self) -> usize {
        self.queue.borrow().len()
    }
}

/// Carries out a snapshot write in the background and reports its zxid.
pub(crate) type SnapshotWriter = Box<dyn Fn(i64, Vec<Bytes>)>;

/// A machine and everything its outputs reach.
pub(crate) struct Hub<M: Machine> {
    pub(crate) machine: M,
    pub(crate) owner: Owner,
    pub(crate) clock: Clock,
    pub(crate) commit: CommitHandle,
    pub(crate) inbox: Inbox,
    pub(crate) remote: mpsc::UnboundedReceiver<Remote<M::Message>>,
    /// The sending side of `remote`, for completions.
    pub(crate) remote_sender: mpsc::UnboundedSender<Remote<M::Message>>,
    pub(crate) tell: Box<dyn FnMut(M::Notice)>,
    pub(crate) write_snapshot: SnapshotWriter,
    /// Links that this thread dials itself when it is told of peers.
    pub(crate) peers: Option<Rc<Peers>>,
    pub(crate) tick: Duration,
    pub(crate) clients: BTreeMap<ConnectionId, Rc<Outbox>>,
    /// Frames of clients that must wait before more is begun for them; their sockets are not read from meanwhile.
    pub(crate) held: BTreeMap<ConnectionId, VecDeque<ClientFrame>>,
    pub(crate) links: BTreeMap<(MemberId, Link), Rc<Outbox>>,
    pub(crate) outputs: Vec<Output<M::Notice>>,
    /// Records of this turn for the write-ahead log.
    pub(crate) appends: Vec<Record>,
    pub(crate) dirty_clients: BTreeSet<ConnectionId>,
    pub(crate) dirty_links: BTreeSet<(MemberId, Link)>,
}

impl<M: Machine> Hub<M> {
    /// Runs until it is told to stop, and gives the machine back; the error is a machine that found that it must not go on.
    pub(crate) async fn run(mut self) -> Result<M, String> {
        let mut ticker = tokio::time::interval(self.tick);
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let wake = self.inbox.wake.clone();
            tokio::select! {
                () = wake.notified() => {}
                event = self.remote.recv() => {
                    if !self.handle_remote(event) {
                        return Ok(self.machine);
                    }
                }
                _ = ticker.tick() => self.feed(Input::Tick),
            }
            for _ in 0..INPUTS_PER_TURN {
                let Ok(event) = self.remote.try_recv() else { break };
                if !self.handle_remote(Some(event)) {
                    return Ok(self.machine);
                }
            }
            self.drain_inbox()?;
            self.carry_out()?;
            self.flush();
            if !self.inbox.queue.borrow().is_empty() || self.is_held_ready() {
                self.inbox.wake.notify_one();
                tokio::task::yield_now().await;
            }
        }
    }

    fn drain_inbox(&mut self) -> Result<(), String> {
        self.feed_held()?;
        for _ in 0..INPUTS_PER_TURN {
            let Some(event) = self.inbox.queue.borrow_mut().pop_front() else { return Ok(()) };
            self.handle_local(event)?;
        }
        Ok(())
    }

    /// A client's frame, unless it must wait: for those before it, for the machine, or because the client does not read.
    fn client_frame(&mut self, connection: ConnectionId, frame: ClientFrame) -> Result<(), String> {
        let Some(outbox) = self.clients.get(&connection) else { return Ok(()) };
        outbox.took_one();
        if !self.held.contains_key(&connection) && self.is_ready(connection) {
            self.feed(Input::Frame { connection, frame });
            // The next frame of this turn must see what this one queued.
            return self.carry_out();
        }
        outbox.hold();
        self.held.entry(connection).or_default().push_back(frame);
        Ok(())
    }

    fn is_ready(&self, connection: ConnectionId) -> bool {
        self.clients.get(&connection).is_some_and(|outbox| outbox.is_ready())
            && self.machine.takes(connection)
    }

    /// True if a frame that had to wait need not any more: what was queued may have left with this turn's flush.
    fn is_held_ready(&self) -> bool {
        self.held.keys().any(|connection| self.is_ready(*connection))
    }

    /// Frames that had to wait, of clients that are ready again.
    fn feed_held(&mut self) -> Result<(), String> {
        if self.held.is_empty() {
            return Ok(());
        }
        let waiting: Vec<ConnectionId> = self.held.keys().copied().collect();
        for connection in waiting {
            while self.is_ready(connection) {
                let Some(frame) = self.held.get_mut(&connection).and_then(VecDeque::pop_front) else { break };
                self.feed(Input::Frame { connection, frame });
                self.carry_out()?;
            }
            if self.held.get(&connection).is_some_and(VecDeque::is_empty) {
                self.held.remove(&connection);
                self.clients.get(&connection).into_iter().for_each(|outbox| outbox.release());
            }
        }
        Ok(())
    }

    fn feed(&mut self, input: Input<M::Message>) {
        let clocks = self.clock.read();
        self.machine.handle(clocks, input, &mut self.outputs);
    }

    /// False when it is time to stop.
    fn handle_remote(&mut self, event: Option<Remote<M::Message>>) -> bool {
        match event {
            Some(Remote::Persisted(ticket)) => self.feed(Input::Persisted { ticket }),
            Some(Remote::FilesSynced(token)) => self.feed(Input::FilesSynced { token }),
            Some(Remote::SnapshotWritten(zxid)) => self.feed(Input::SnapshotWritten { zxid }),
            Some(Remote::Message(message)) => {
                if let (Some(peers), Some(addresses)) = (&self.peers, M::peers(&message)) {
                    peers.set(&addresses);
                }
                self.feed(Input::Message(message));
            }
            Some(Remote::Stop) | None => return false,
        }
        true
    }

    fn handle_local(&mut self, event: Local) -> Result<(), String> {
        match event {
            Local::ClientOpened { connection, remote, outbox } => {
                self.clients.insert(connection, outbox);
                self.feed(Input::Opened { connection, remote });
            }
            Local::ClientFrame { connection, frame } => return self.client_frame(connection, frame),
            Local::ClientClosed { connection } => {
                self.held.remove(&connection);
                self.clients.remove(&connection);
                self.feed(Input::Closed { connection });
            }
            Local::LinkUp { peer, incarnation, link, outbox } => {
                if let Some(old) = self.links.insert((peer, link), outbox) {
                    old.shut();
                    self.feed(Input::LinkDown { peer, link });
                }
                self.feed(Input::LinkUp { peer, incarnation, link });
            }
            Local::LinkDown { peer, link, outbox } => {
                if self.is_current(peer, link, &outbox) {
                    self.links.remove(&(peer, link));
                    self.feed(Input::LinkDown { peer, link });
                }
            }
            Local::PeerFrame { peer, link, kind, body, outbox } => {
                outbox.took_one();
                if self.is_current(peer, link, &outbox) {
                    self.feed(Input::PeerFrame { peer, link, kind, body });
                }
            }
        }
        Ok(())
    }

    /// Frames of a connection that a newer one has replaced must not reach the machine.
    fn is_current(&self, peer: MemberId, link: Link, outbox: &Rc<Outbox>) -> bool {
        self.links.get(&(peer, link)).is_some_and(|current| Rc::ptr_eq(current, outbox))
    }

    fn carry_out(&mut self) -> Result<(), String> {
        let mut outputs = std::mem::take(&mut self.outputs);
        for output in outputs.drain(..) {
            self.carry_out_one(output)?;
        }
        if !self.appends.is_empty() {
            self.commit.append(self.owner, std::mem::take(&mut self.appends));
        }
        // A tell may have been answered at once by another thread; its answer comes through `remote`.
        self.outputs = outputs;
        Ok(())
    }

    fn carry_out_one(&mut self, output: Output<M::Notice>) -> Result<(), String> {
        match output {
            Output::Send { connection, piece } => {
                if let Some(outbox) = self.clients.get(&connection) {
                    outbox.push(piece);
                    self.dirty_clients.insert(connection);
                }
            }
            Output::Close { connection } => {
                if let Some(outbox) = self.clients.get(&connection) {
                    outbox.close();
                }
            }
            Output::PeerSend { peer, link, kind, body } => {
                if let Some(outbox) = self.links.get(&(peer, link)) {
                    outbox.push(peer_frame::header(kind, &body).into());
                    body.into_iter().for_each(|piece| outbox.push(piece.into()));
                    self.dirty_links.insert((peer, link));
                }
            }
            Output::PeerReset { peer, link } => {
                if let Some(outbox) = self.links.get(&(peer, link)) {
                    outbox.shut();
                }
            }
            Output::Append { ticket, kind, payload } => self.appends.push(Record { ticket, kind, payload }),
            // Its ticket is below those that wait in `appends`.
            Output::Release { below } => self.commit.release(self.owner, below),
            Output::SyncFiles { token, files } => {
                let sender = self.remote_sender.clone();
                let done = move || {
                    // The receiver is gone only when the member stops.
                    let _ = sender.send(Remote::FilesSynced(token));
                };
                self.commit.sync(files, Box::new(done));
            }
            Output::WriteSnapshot { zxid, chunks } => (self.write_snapshot)(zxid, chunks),
            Output::Tell(notice) => (self.tell)(notice),
            Output::Warn { text } => tracing::warn!("{text}"),
            Output::Fatal { reason } => return Err(reason),
        }
        Ok(())
    }

    fn flush(&mut self) {
        for connection in std::mem::take(&mut self.dirty_clients) {
            if let Some(outbox) = self.clients.get(&connection) {
                outbox.flush();
            }
        }
        for key in std::mem::take(&mut self.dirty_links) {
            if let Some(outbox) = self.links.get(&key) {
                outbox.flush();
            }
        }
    }
}
