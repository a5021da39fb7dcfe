//! A ZooKeeper client: versioned registers, sequential and ephemeral nodes, multi, watches, sync before a read; one session that
//! moves between members as connections break.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use streamkeeper_base::znode::{Acl, CreateMode, ErrorCode, Identity, Lifetime, Write, perms};
use streamkeeper_member::record::Owner;
use streamkeeper_wire::jute::frame::{self, Unit};
use streamkeeper_wire::jute::{
    ConnectRequest, ConnectResponse, Read, Reader, ReplyHeader, Request, SetWatches, read_stat,
};

use super::Context;

/// Registers that all clients read and write.
const REGISTERS: u64 = 3;
const SESSION_MS: i32 = 3_000;
const PATIENCE_US: u64 = 2_000_000;

/// What a request was, and what must hold for its answer.
#[derive(Clone, Debug)]
enum Asked {
    CreateRegister,
    CreateParent,
    Set { path: String, value: String, expected: i32 },
    Get { path: String, floor: i32, watch: bool },
    Sync { path: String, floor: i32 },
    Sequential { floor: i32 },
    Ephemeral,
    Multi,
    SetWatches,
    Ping,
}

pub(crate) struct ZookeeperClient {
    number: u64,
    connection: Option<u64>,
    buffer: BytesMut,
    is_connected: bool,
    session: i64,
    password: Bytes,
    last_zxid: i64,
    xid: i32,
    asked: Option<(i32, Asked)>,
    asked_at_us: u64,
    next_value: u64,
    /// What this session saw of each register: it never reads an older version.
    seen: BTreeMap<String, i32>,
    /// Watches that have not fired: the version at which each was set.
    watches: BTreeMap<String, i32>,
    /// A sync is done: the next read of the path sees at least this version.
    synced: Option<(String, i32)>,
    prepared: u64,
    verified: bool,
}

impl ZookeeperClient {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            connection: None,
            buffer: BytesMut::new(),
            is_connected: false,
            session: 0,
            password: Bytes::from_static(&[0; 16]),
            last_zxid: 0,
            xid: 0,
            asked: None,
            asked_at_us: 0,
            next_value: 0,
            seen: BTreeMap::new(),
            watches: BTreeMap::new(),
            synced: None,
            prepared: 0,
            verified: false,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.verified
    }

    pub(crate) fn wake(&mut self, context: &mut Context<'_>) {
        let waits = self.asked.is_some() || (self.connection.is_some() && !self.is_connected);
        if waits && context.now_us - self.asked_at_us > PATIENCE_US {
            self.drop_connection(context);
        }
        if self.connection.is_none() {
            self.connect(context);
        } else if self.is_connected && self.asked.is_none() {
            self.next_request(context);
        }
        let pause = 2_000 + context.random.below(40_000);
        context.wake_after(pause);
    }

    fn connect(&mut self, context: &mut Context<'_>) {
        let member = context.any_member();
        let id = context.connect(member, Owner::Coordination);
        self.connection = Some(id);
        self.is_connected = false;
        self.buffer.clear();
        self.asked_at_us = context.now_us;
        let request = ConnectRequest {
            last_zxid_seen: self.last_zxid,
            timeout_ms: SESSION_MS,
            session: self.session,
            password: self.password.clone(),
            read_only: Some(false),
        };
        context.send(id, request.encode());
    }

    fn drop_connection(&mut self, context: &mut Context<'_>) {
        self.connection.take().into_iter().for_each(|id| context.close(id));
        self.is_connected = false;
        self.asked = None;
        self.synced = None;
    }

    fn ask(&mut self, context: &mut Context<'_>, asked: Asked, request: &Request) {
        const PING_XID: i32 = -2;
        const SET_WATCHES_XID: i32 = -8;
        let Some(id) = self.connection else { return };
        let xid = match &asked {
            Asked::Ping => PING_XID,
            Asked::SetWatches => SET_WATCHES_XID,
            _ => {
                self.xid += 1;
                self.xid
            }
        };
        context.send(id, request.encode(xid));
        self.asked = Some((xid, asked));
        self.asked_at_us = context.now_us;
    }

    fn next_request(&mut self, context: &mut Context<'_>) {
        if self.prepared <= REGISTERS {
            return self.prepare(context);
        }
        let register = format!("/r{}", context.random.below(REGISTERS));
        if context.healing {
            return self.get(context, register, false);
        }
        if let Some((path, _)) = self.synced.clone() {
            return self.get(context, path, false);
        }
        match context.random.below(100) {
            0..=24 => self.set(context, register),
            25..=49 => {
                let watch = context.random.percent(40);
                self.get(context, register, watch);
            }
            50..=59 => {
                let floor = context.znodes.acknowledged_version(&register);
                let asked = Asked::Sync { path: register.clone(), floor };
                self.ask(context, asked, &Request::Sync { path: register });
            }
            60..=74 => {
                let floor = context.znodes.acknowledged_sequence();
                self.create(context, Asked::Sequential { floor }, "/s/n-", false, true);
            }
            75..=79 => {
                let path = format!("/e-{}-{}", self.number, self.next_value);
                self.next_value += 1;
                self.create(context, Asked::Ephemeral, &path, true, false);
            }
            80..=89 => self.multi(context),
            90..=91 => self.drop_connection(context),
            _ => self.ask(context, Asked::Ping, &Request::Ping),
        }
    }

    /// The registers and the parent of the sequence exist once any client has made them.
    fn prepare(&mut self, context: &mut Context<'_>) {
        let (asked, path) = if self.prepared == REGISTERS {
            (Asked::CreateParent, "/s".to_owned())
        } else {
            (Asked::CreateRegister, format!("/r{}", self.prepared))
        };
        self.create(context, asked, &path, false, false);
    }

    fn create(
        &mut self,
        context: &mut Context<'_>,
        asked: Asked,
        path: &str,
        ephemeral: bool,
        sequential: bool,
    ) {
        let anyone =
            Acl { perms: perms::ALL, who: Identity { scheme: "world".to_owned(), id: "anyone".to_owned() } };
        let write = Write::Create {
            path: path.to_owned(),
            data: Some(Bytes::from_static(b"")),
            acl: vec![anyone],
            mode: CreateMode {
                lifetime: if ephemeral { Lifetime::Ephemeral } else { Lifetime::Persistent },
                sequential,
            },
            with_stat: false,
        };
        self.ask(context, asked, &Request::Write(write));
    }

    fn value(&mut self) -> String {
        self.next_value += 1;
        format!("{}-{}", self.number, self.next_value)
    }

    fn set(&mut self, context: &mut Context<'_>, path: String) {
        let value = self.value();
        let known = self.seen.get(&path).copied().unwrap_or(-1);
        let expected = if context.random.percent(60) { known } else { -1 };
        let data = Some(Bytes::from(value.clone()));
        let write = Write::SetData { path: path.clone(), data, version: expected };
        self.ask(context, Asked::Set { path, value, expected }, &Request::Write(write));
    }

    fn get(&mut self, context: &mut Context<'_>, path: String, watch: bool) {
        let synced = self.synced.take().filter(|(p, _)| *p == path).map_or(-1, |(_, floor)| floor);
        let asked = Asked::Get { path: path.clone(), floor: synced, watch };
        self.ask(context, asked, &Request::Read(Read::GetData { path, watch }));
    }

    /// Both or none: the two nodes always have the same version.
    fn multi(&mut self, context: &mut Context<'_>) {
        let value = Some(Bytes::from(self.value()));
        let set = |path: &str| Write::SetData { path: path.to_owned(), data: value.clone(), version: -1 };
        let impossible = Write::Check { path: "/s".to_owned(), version: 77 };
        let mut operations = vec![set("/s/left"), set("/s/right")];
        if context.random.percent(30) {
            operations.push(impossible);
        }
        self.ask(context, Asked::Multi, &Request::Write(Write::Multi(operations)));
    }

    pub(crate) fn received(&mut self, context: &mut Context<'_>, connection: u64, bytes: &Bytes) {
        if self.connection != Some(connection) {
            return;
        }
        self.buffer.extend_from_slice(bytes);
        while let Some(unit) = frame::decode(&mut self.buffer).expect("a member sends whole frames") {
            let Unit::Frame(body) = unit else { panic!("a member sends a word") };
            if self.is_connected {
                self.answered(context, body);
            } else {
                self.session_answered(context, body);
            }
            if self.connection != Some(connection) {
                return;
            }
        }
    }

    fn session_answered(&mut self, context: &mut Context<'_>, body: Bytes) {
        let response = ConnectResponse::decode(body).expect("a readable answer");
        if response.session == 0 {
            // Expired: a new session sees the tree anew.
            self.session = 0;
            self.password = Bytes::from_static(&[0; 16]);
            self.last_zxid = 0;
            self.seen.clear();
            self.watches.clear();
            context.znodes.sessions_expired += 1;
            return self.drop_connection(context);
        }
        assert!(
            self.session == 0 || self.session == response.session,
            "a session comes back under another id"
        );
        self.session = response.session;
        self.password = Bytes::copy_from_slice(&response.password);
        self.is_connected = true;
        if !self.watches.is_empty() {
            let watches = SetWatches {
                relative_zxid: self.last_zxid,
                data: self.watches.keys().cloned().collect(),
                ..SetWatches::default()
            };
            self.ask(context, Asked::SetWatches, &Request::Read(Read::SetWatches(watches)));
        }
    }

    fn answered(&mut self, context: &mut Context<'_>, body: Bytes) {
        const NOTIFICATION_XID: i32 = -1;
        let mut reader = Reader::new(body);
        let header = ReplyHeader::decode(&mut reader).expect("a readable header");
        if header.xid == NOTIFICATION_XID {
            return self.notified(context, &mut reader);
        }
        let (xid, asked) = self.asked.take().expect("an answer nobody asked for");
        assert_eq!(header.xid, xid, "Z19: answers come in the order of requests");
        if header.zxid > 0 {
            assert!(
                header.zxid >= self.last_zxid,
                "Z19: client {} saw {:x}, then {:x}",
                self.number,
                self.last_zxid,
                header.zxid
            );
            self.last_zxid = header.zxid;
        }
        self.settled(context, asked, header, &mut reader);
    }

    fn notified(&mut self, context: &mut Context<'_>, reader: &mut Reader) {
        let _kind = reader.i32().expect("a readable event");
        let _state = reader.i32().expect("a readable event");
        let path = reader.string().expect("a readable event");
        let watched = self.watches.remove(&path);
        assert!(watched.is_some(), "Z19: a watch of {path} fires that was not set, or fires twice");
        context.znodes.watches_fired += 1;
    }

    fn settled(&mut self, context: &mut Context<'_>, asked: Asked, header: ReplyHeader, reader: &mut Reader) {
        let error = header.error;
        match asked {
            Asked::CreateRegister | Asked::CreateParent => {
                if error == ErrorCode::OK || error == ErrorCode::NODE_EXISTS {
                    self.prepared += 1;
                }
            }
            Asked::Set { path, value, expected } => {
                if error == ErrorCode::OK {
                    let stat = read_stat(reader).expect("a readable stat");
                    assert!(expected == -1 || stat.version == expected + 1, "version {expected} + 1");
                    context.znodes.written(&path, stat.version, &value);
                    self.saw(&path, stat.version);
                } else {
                    assert_eq!(error, ErrorCode::BAD_VERSION, "setData of {path}");
                }
            }
            Asked::Get { path, floor, watch } => self.got(context, &path, floor, watch, error, reader),
            Asked::Sync { path, floor } => {
                if error == ErrorCode::OK {
                    self.synced = Some((path, floor));
                }
            }
            Asked::Sequential { floor } => {
                assert_eq!(error, ErrorCode::OK, "a sequential create");
                let path = reader.string().expect("a readable path");
                context.znodes.sequence_created(&path, floor);
            }
            Asked::Ephemeral => {
                assert!(error == ErrorCode::OK || error == ErrorCode::NODE_EXISTS, "an ephemeral create");
            }
            Asked::Multi | Asked::SetWatches | Asked::Ping => {}
        }
        context.znodes.answers += 1;
    }

    fn got(
        &mut self,
        context: &mut Context<'_>,
        path: &str,
        floor: i32,
        watch: bool,
        error: ErrorCode,
        reader: &mut Reader,
    ) {
        assert_eq!(error, ErrorCode::OK, "getData of {path}");
        let data = reader.buffer().expect("readable data").unwrap_or_default();
        let stat = read_stat(reader).expect("a readable stat");
        assert!(
            stat.version >= floor,
            "sync, then a read of {path} at version {} below {floor}, acknowledged before the sync",
            stat.version
        );
        if let Some(set_at) = self.watches.get(path) {
            assert!(
                stat.version <= *set_at,
                "Z19: {path} is read at version {} before its watch of version {set_at} fires",
                stat.version
            );
        }
        context.znodes.read(path, stat.version, &data);
        self.saw(path, stat.version);
        if watch {
            self.watches.entry(path.to_owned()).or_insert(stat.version);
        }
        if context.healing {
            self.verified = true;
        }
    }

    /// A session's own view never goes back.
    fn saw(&mut self, path: &str, version: i32) {
        let before = self.seen.insert(path.to_owned(), version).unwrap_or(-1);
        assert!(version >= before, "Z19: {path} at version {version} after {before}");
    }

    pub(crate) fn lost(&mut self, context: &mut Context<'_>, connection: u64) {
        if self.connection == Some(connection) {
            self.connection = None;
            self.drop_connection(context);
        }
    }
}
