//! ZooKeeper's clients: frames in, replies out, in the order the requests came.

use std::net::IpAddr;

use bytes::Bytes;
use streamkeeper_base::SessionId;
use streamkeeper_base::znode::{ErrorCode, Write};
use streamkeeper_tree::{Outcome, password};
use streamkeeper_wire::jute::{
    ConnectRequest, ConnectResponse, JuteError, Reader, ReplyHeader, Request as ClientRequest, RequestHeader,
    put_buffer, put_stat, put_string,
};
use streamkeeper_zab::RoleName;

use super::forward::{Request, Response};
use super::{Coordination, Pending};
use crate::io::{ClientFrame, ConnectionId, Output};
use crate::zookeeper::connection::{Client, Slot, Stage, WaitKind};
use crate::zookeeper::reads::{self, Reader as Who};
use crate::zookeeper::replies;
use crate::zookeeper::words::{self, Facts};

/// Requests of one client that may be under way, the reads behind a write that waits included; more wait in the socket
/// (ZooKeeper's `globalOutstandingLimit`, which counts all clients).
const UNDER_WAY_MAX: usize = 1000;

impl Coordination {
    /// True if another request of this client may be handed in now: not while its session is being opened. A driver asks before each,
    /// and reads no more from the client while it is false, so that memory does not follow what one client asks for.
    pub fn takes(&self, connection: ConnectionId) -> bool {
        let takes = |client: &Client| client.stage != Stage::Opening && client.queue.len() < UNDER_WAY_MAX;
        self.clients.get(&connection).is_none_or(takes)
    }

    pub(super) fn client_opened(&mut self, connection: ConnectionId, remote: IpAddr) {
        if !self.addresses.enter(remote, self.config.zookeeper.max_client_cnxns) {
            return self.out.push(Output::Close { connection });
        }
        self.clients.insert(connection, Client::new(remote));
    }

    pub(super) fn client_closed(&mut self, connection: ConnectionId) {
        self.watches.remove_watcher(connection.0);
        let Some(client) = self.clients.remove(&connection) else { return };
        self.addresses.leave(client.remote);
        if let Some(session) = client.session()
            && self.attached.get(&session) == Some(&connection)
        {
            // The session lives on until it times out: its client may come back.
            self.attached.remove(&session);
        }
    }

    /// Ends a connection from our side.
    pub(super) fn drop_client(&mut self, connection: ConnectionId) {
        if self.clients.contains_key(&connection) {
            self.out.push(Output::Close { connection });
            self.client_closed(connection);
        }
    }

    pub(super) fn send_client(&mut self, connection: ConnectionId, bytes: Bytes) {
        self.sent += 1;
        self.out.push(Output::Send { connection, piece: bytes.into() });
    }

    pub(super) fn client_frame(&mut self, connection: ConnectionId, frame: ClientFrame) {
        self.received += 1;
        let Some(client) = self.clients.get(&connection) else { return };
        match (frame, client.stage) {
            (ClientFrame::Word(word), _) => {
                let text = words::answer(word, &self.facts(), &self.config.zookeeper.words);
                self.send_client(connection, Bytes::from(text));
                self.drop_client(connection);
            }
            (ClientFrame::Frame(body), Stage::New) => match ConnectRequest::decode(body) {
                Ok(request) => self.connect(connection, &request),
                Err(_) => self.drop_client(connection),
            },
            (ClientFrame::Frame(body), Stage::Open(session)) => self.request(connection, session, body),
            (ClientFrame::Frame(_), Stage::Opening) => {}
        }
    }

    fn connect(&mut self, connection: ConnectionId, request: &ConnectRequest) {
        let serves = self.zab.role().serves();
        let Some(key) = self.tree.session_key().copied().filter(|_| serves) else {
            return self.drop_client(connection);
        };
        // A client that has seen more than this member has applied must not read the past here.
        if request.last_zxid_seen > self.applied.0 {
            return self.drop_client(connection);
        }
        let timeout_ms = self.config.zookeeper.session_timeout_ms(request.timeout_ms);
        let Some(client) = self.clients.get_mut(&connection) else { return };
        client.read_only = request.read_only;
        client.stage = Stage::Opening;
        if request.session == 0 {
            let session = self.new_session();
            self.ask(
                Pending::Opening { connection, session, timeout_ms },
                Request::OpenSession { session, timeout_ms },
            );
            return;
        }
        let session = SessionId(request.session);
        if password(&key, session)[..] != request.password[..] {
            return self.refuse_session(connection);
        }
        self.ask(Pending::Reattaching { connection, session, timeout_ms }, Request::Reattach { session });
    }

    /// High byte: the member; then the time; then a counter. Unique while clocks do not jump back by whole sessions.
    fn new_session(&mut self) -> SessionId {
        self.next_session += 1;
        let member = i64::from(self.config.member.0 & 0xFF) << 56;
        let time = (self.clocks.wall.0 & 0xFF_FFFF_FFFF) << 16;
        SessionId(member | time | (self.next_session & 0xFFFF))
    }

    fn refuse_session(&mut self, connection: ConnectionId) {
        let read_only = self.clients.get(&connection).and_then(|c| c.read_only);
        self.send_client(connection, ConnectResponse::expired(read_only).encode());
        self.drop_client(connection);
    }

    pub(super) fn reattach_decided(
        &mut self,
        connection: ConnectionId,
        session: SessionId,
        timeout_ms: i32,
        response: &Response,
    ) {
        match response {
            Response::Reattached { known: true, .. } if self.tree.has_session(session) => {
                if let Some(old) = self.attached.get(&session).copied() {
                    // The same client on a new connection: the old one goes, the session stays.
                    self.drop_client(old);
                }
                let timeout_ms = self.tree.session_timeout_ms(session).unwrap_or(timeout_ms);
                self.session_open(connection, session, timeout_ms);
            }
            Response::Reattached { .. } => self.refuse_session(connection),
            Response::Rejected { .. }
            | Response::Synced { .. }
            | Response::Answered { .. }
            | Response::Surveyed { .. }
            | Response::Lost => {
                self.drop_client(connection);
            }
        }
    }

    pub(super) fn session_open(&mut self, connection: ConnectionId, session: SessionId, timeout_ms: i32) {
        let Some(key) = self.tree.session_key().copied() else { return self.drop_client(connection) };
        let Some(client) = self.clients.get_mut(&connection) else { return };
        client.stage = Stage::Open(session);
        let read_only = client.read_only.map(|_| false);
        self.attached.insert(session, connection);
        self.touched.insert(session);
        let response =
            ConnectResponse { timeout_ms, session: session.0, password: password(&key, session), read_only };
        self.send_client(connection, response.encode());
    }

    fn request(&mut self, connection: ConnectionId, session: SessionId, body: Bytes) {
        self.touched.insert(session);
        let mut reader = Reader::new(body);
        let Ok(header) = RequestHeader::decode(&mut reader) else { return self.drop_client(connection) };
        let record = reader.rest().clone();
        let request = match ClientRequest::decode(header.op, &mut reader) {
            // Handled at once: what comes next is judged by it.
            Ok(ClientRequest::Auth { scheme, credentials }) => {
                return self.authenticate(connection, header.xid, &scheme, &credentials);
            }
            Ok(ClientRequest::Sasl { token }) => return self.sasl(connection, header.xid, &token),
            request => request,
        };
        if !self.may_ask(connection, header.xid) {
            return;
        }
        match request {
            Ok(ClientRequest::Write(write)) => {
                let is_multi = matches!(write, Write::Multi(_));
                let kind = WaitKind::Write { is_multi, with_stat: replies::stats_wanted(&write) };
                self.write(connection, session, header, kind, record);
            }
            Ok(ClientRequest::Reconfig(_)) => {
                self.write(connection, session, header, WaitKind::Reconfig, record);
            }
            Ok(ClientRequest::CloseSession) => {
                let number = self.next_request;
                self.wait(connection, number, header.xid, WaitKind::Close);
                self.ask(Pending::Slot(connection), Request::CloseSession { session });
            }
            Ok(ClientRequest::Sync { path }) => {
                let number = self.next_request;
                self.wait(connection, number, header.xid, WaitKind::Sync { path });
                self.ask(Pending::Slot(connection), Request::Sync);
            }
            Ok(request) => self.defer(connection, header.xid, request),
            Err(JuteError::Unimplemented(_)) => self.fail(connection, header.xid, ErrorCode::UNIMPLEMENTED),
            Err(JuteError::Value) => self.fail(connection, header.xid, ErrorCode::BAD_ARGUMENTS),
            Err(_) => {
                self.fail(connection, header.xid, ErrorCode::MARSHALLING_ERROR);
            }
        }
    }

    fn write(
        &mut self,
        connection: ConnectionId,
        session: SessionId,
        header: RequestHeader,
        kind: WaitKind,
        record: Bytes,
    ) {
        let Some(client) = self.clients.get(&connection) else { return };
        let who = client.who.clone();
        // The slot must be there before the answer, which may come at once on the leader.
        let number = self.next_request;
        self.wait(connection, number, header.xid, kind);
        self.ask(Pending::Slot(connection), Request::Write { session, who, op: header.op, record });
    }

    fn wait(&mut self, connection: ConnectionId, request: u64, xid: i32, kind: WaitKind) {
        let Some(client) = self.clients.get_mut(&connection) else { return };
        client.queue.push_back(Slot::Waiting { request, xid, kind });
    }

    fn fail(&mut self, connection: ConnectionId, xid: i32, error: ErrorCode) {
        let frame = ReplyHeader { xid, zxid: self.applied.0, error }.frame(|_| {});
        if let Some(client) = self.clients.get_mut(&connection) {
            client.queue.push_back(Slot::Ready(frame));
        }
        self.drain(connection);
    }

    fn defer(&mut self, connection: ConnectionId, xid: i32, request: ClientRequest) {
        if let Some(client) = self.clients.get_mut(&connection) {
            client.queue.push_back(Slot::Deferred { xid, request });
        }
        self.drain(connection);
    }

    pub(super) fn slot_committed(&mut self, connection: ConnectionId, number: u64, outcome: &Outcome) {
        let zxid = self.applied.0;
        self.fill(connection, number, |xid, kind| match kind {
            WaitKind::Write { with_stat, .. } => Some(replies::committed(xid, zxid, outcome, with_stat)),
            WaitKind::Close => Some(ReplyHeader { xid, zxid, error: ErrorCode::OK }.frame(|_| {})),
            WaitKind::Sync { .. } | WaitKind::Reconfig => None,
        });
    }

    pub(super) fn slot_decided(&mut self, connection: ConnectionId, number: u64, response: Response) {
        let zxid = self.applied.0;
        match response {
            Response::Rejected { codes, .. } => self.fill(connection, number, |xid, kind| match kind {
                WaitKind::Write { is_multi, .. } => Some(replies::rejected(xid, zxid, &codes, *is_multi)),
                WaitKind::Close | WaitKind::Sync { .. } | WaitKind::Reconfig => {
                    Some(replies::rejected(xid, zxid, &codes, false))
                }
            }),
            Response::Synced { .. } => {
                let (config, stat) = self.tree.config();
                let header = |xid| ReplyHeader { xid, zxid, error: ErrorCode::OK };
                self.fill(connection, number, |xid, kind| match kind {
                    WaitKind::Sync { path } => Some(header(xid).frame(|out| put_string(out, path))),
                    WaitKind::Reconfig => Some(header(xid).frame(|out| {
                        put_buffer(out, config.as_deref());
                        put_stat(out, &stat);
                    })),
                    WaitKind::Write { .. } | WaitKind::Close => None,
                });
            }
            Response::Lost
            | Response::Reattached { .. }
            | Response::Answered { .. }
            | Response::Surveyed { .. } => self.drop_client(connection),
        }
    }

    fn fill(
        &mut self,
        connection: ConnectionId,
        number: u64,
        reply: impl FnOnce(i32, &WaitKind) -> Option<Bytes>,
    ) {
        let Some(client) = self.clients.get_mut(&connection) else { return };
        let slot = client
            .queue
            .iter_mut()
            .find(|s| matches!(s, Slot::Waiting { request, .. } if *request == number));
        let Some(slot) = slot else { return };
        let Slot::Waiting { xid, kind, .. } = &*slot else { return };
        let closes = *kind == WaitKind::Close;
        let Some(frame) = reply(*xid, kind) else { return };
        *slot = Slot::Ready(frame);
        self.drain(connection);
        if closes {
            self.drop_client(connection);
        }
    }

    /// Sends what is ready at the head of the queue; a read executes when its turn comes.
    fn drain(&mut self, connection: ConnectionId) {
        loop {
            let Some(client) = self.clients.get_mut(&connection) else { return };
            if matches!(client.queue.front(), None | Some(Slot::Waiting { .. })) {
                return;
            }
            match client.queue.pop_front() {
                Some(Slot::Ready(frame)) => self.send_client(connection, frame),
                Some(Slot::Deferred { xid, request }) => self.execute(connection, xid, &request),
                Some(Slot::Waiting { .. }) | None => return,
            }
        }
    }

    fn execute(&mut self, connection: ConnectionId, xid: i32, request: &ClientRequest) {
        let zxid = self.applied.0;
        let Some(client) = self.clients.get(&connection) else { return };
        let Some(session) = client.session() else { return };
        let frames = match request {
            ClientRequest::Read(read) => {
                let who = Who { watcher: connection.0, session, who: &client.who };
                reads::execute(&self.tree, &mut self.watches, &who, xid, zxid, read)
            }
            ClientRequest::Ping
            | ClientRequest::CloseSession
            | ClientRequest::Auth { .. }
            | ClientRequest::Sasl { .. }
            | ClientRequest::Sync { .. }
            | ClientRequest::Reconfig(_)
            | ClientRequest::Write(_) => vec![ReplyHeader { xid, zxid, error: ErrorCode::OK }.frame(|_| {})],
        };
        frames.into_iter().for_each(|frame| self.send_client(connection, frame));
    }

    fn facts(&self) -> Facts {
        let role = self.zab.role();
        Facts {
            member: self.config.member.0,
            mode: match role {
                RoleName::Leading if self.zab.membership().members.len() == 1 => "standalone",
                RoleName::Leading => "leader",
                RoleName::Observing => "observer",
                RoleName::Following | RoleName::Looking | RoleName::Joining | RoleName::Preparing => {
                    "follower"
                }
            },
            serves: role.serves(),
            zxid: self.applied.0,
            znodes: self.tree.node_count(),
            data_bytes: self.tree.data_bytes(),
            watches: self.watches.count(),
            sessions: self.tree.session_count(),
            ephemerals: self.tree.ephemeral_count(),
            connections: self.clients.len(),
            outstanding: self.clients.values().map(|c| c.queue.len()).sum(),
            received: self.received,
            sent: self.sent,
            learners: (role == RoleName::Leading).then(|| self.zab.synced_learners().len()),
            clients: self
                .clients
                .values()
                .flat_map(|c| c.who.first())
                .map(|i| format!("/{}", i.id))
                .collect(),
        }
    }
}
