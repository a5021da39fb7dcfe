//! Requests, as the server reads them and as clients of ours (simulator, load generator, tests) write them.

use bytes::{BufMut, Bytes, BytesMut};
use streamkeeper_base::znode::{CreateMode, Lifetime, WatchKind, Write};

use super::JuteError;
use super::io::{Reader, put_buffer, put_string};
use super::response::put_acls;

/// Request types (ZooDefs.OpCode).
pub mod op {
    #![allow(missing_docs, reason = "the names are the protocol's own")]
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const EXISTS: i32 = 3;
    pub const GET_DATA: i32 = 4;
    pub const SET_DATA: i32 = 5;
    pub const GET_ACL: i32 = 6;
    pub const SET_ACL: i32 = 7;
    pub const GET_CHILDREN: i32 = 8;
    pub const SYNC: i32 = 9;
    pub const PING: i32 = 11;
    pub const GET_CHILDREN2: i32 = 12;
    pub const CHECK: i32 = 13;
    pub const MULTI: i32 = 14;
    pub const CREATE2: i32 = 15;
    pub const RECONFIG: i32 = 16;
    pub const CHECK_WATCHES: i32 = 17;
    pub const REMOVE_WATCHES: i32 = 18;
    pub const CREATE_CONTAINER: i32 = 19;
    pub const CREATE_TTL: i32 = 21;
    pub const MULTI_READ: i32 = 22;
    pub const AUTH: i32 = 100;
    pub const SET_WATCHES: i32 = 101;
    pub const SASL: i32 = 102;
    pub const GET_EPHEMERALS: i32 = 103;
    pub const GET_ALL_CHILDREN_NUMBER: i32 = 104;
    pub const SET_WATCHES2: i32 = 105;
    pub const ADD_WATCH: i32 = 106;
    pub const WHO_AM_I: i32 = 107;
    pub const CLOSE_SESSION: i32 = -11;
    pub const ERROR: i32 = -1;
}

/// The first frame of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectRequest {
    /// The greatest zxid the client has seen; a member that is behind it must not serve the client.
    pub last_zxid_seen: i64,
    /// The session timeout it asks for, milliseconds.
    pub timeout_ms: i32,
    /// 0 for a new session.
    pub session: i64,
    /// Proves that the session is its own.
    pub password: Bytes,
    /// Whether it accepts a read-only member; `None` from clients that do not know the field.
    pub read_only: Option<bool>,
}

impl ConnectRequest {
    /// Reads the first frame.
    ///
    /// # Errors
    /// The frame is not a connect request.
    pub fn decode(body: Bytes) -> Result<Self, JuteError> {
        let mut reader = Reader::new(body);
        let _protocol = reader.i32()?;
        let last_zxid_seen = reader.i64()?;
        let timeout_ms = reader.i32()?;
        let session = reader.i64()?;
        let password = reader.buffer()?.unwrap_or_default();
        let read_only = if reader.rest().is_empty() { None } else { Some(reader.bool()?) };
        Ok(Self { last_zxid_seen, timeout_ms, session, password, read_only })
    }

    /// The frame, length included.
    pub fn encode(&self) -> Bytes {
        framed(|out| {
            out.put_i32(0);
            out.put_i64(self.last_zxid_seen);
            out.put_i32(self.timeout_ms);
            out.put_i64(self.session);
            put_buffer(out, Some(&self.password));
            if let Some(read_only) = self.read_only {
                out.put_u8(u8::from(read_only));
            }
        })
    }
}

/// What precedes each later request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// Comes back with the reply; -2 ping, -4 auth, -8 setWatches.
    pub xid: i32,
    /// One of [`op`].
    pub op: i32,
}

/// A request that changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the fields are the protocol's own: a path, whether a watch is wanted, a version"
)]
pub enum Read {
    Exists {
        path: String,
        watch: bool,
    },
    GetData {
        path: String,
        watch: bool,
    },
    GetAcl {
        path: String,
    },
    GetChildren {
        path: String,
        watch: bool,
        with_stat: bool,
    },
    GetEphemerals {
        prefix: String,
    },
    GetAllChildrenNumber {
        path: String,
    },
    WhoAmI,
    SetWatches(SetWatches),
    AddWatch {
        path: String,
        recursive: bool,
    },
    CheckWatches {
        path: String,
        kind: WatchKind,
    },
    RemoveWatches {
        path: String,
        kind: WatchKind,
    },
    /// multiRead: getData and getChildren, each with a result of its own.
    Multi(Vec<Read>),
}

/// What a reconnecting client watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetWatches {
    /// The last zxid it saw: changes after it fire at once.
    pub relative_zxid: i64,
    /// Data watches.
    pub data: Vec<String>,
    /// Exists watches.
    pub exist: Vec<String>,
    /// Child watches.
    pub child: Vec<String>,
    /// Persistent watches.
    pub persistent: Vec<String>,
    /// Recursive watches.
    pub recursive: Vec<String>,
}

/// A change of the ensemble by its server lines (ReconfigRequest).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconfig {
    /// Servers that join, or whose addresses or roles change; separated by commas.
    pub joining: String,
    /// The numbers of servers that leave; separated by commas.
    pub leaving: String,
    /// All servers, instead of the two above.
    pub new_members: String,
    /// The version that the change is meant for; -1 for any.
    pub config_version: i64,
}

impl Reconfig {
    /// Reads the record.
    ///
    /// # Errors
    /// It is cut off or not UTF-8.
    pub fn decode(r: &mut Reader) -> Result<Self, JuteError> {
        let (joining, leaving, new_members) = (r.string()?, r.string()?, r.string()?);
        Ok(Self { joining, leaving, new_members, config_version: r.i64()? })
    }

    /// Writes the record.
    pub fn encode(&self, out: &mut BytesMut) {
        [&self.joining, &self.leaving, &self.new_members].into_iter().for_each(|text| put_string(out, text));
        out.put_i64(self.config_version);
    }
}

/// Any request after the first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The client is alive.
    Ping,
    /// The session ends.
    CloseSession,
    /// Credentials.
    Auth {
        /// How they are meant.
        scheme: String,
        /// The credentials.
        credentials: Bytes,
    },
    /// A step of a SASL exchange.
    Sasl {
        /// What the mechanism says.
        token: Bytes,
    },
    /// Later reads see everything committed before.
    Sync {
        /// Comes back.
        path: String,
    },
    /// Changes the ensemble.
    Reconfig(Reconfig),
    /// Changes the tree.
    Write(Write),
    /// Reads it.
    Read(Read),
}

impl RequestHeader {
    /// Reads a frame's header; the rest is the record.
    ///
    /// # Errors
    /// The frame is too short.
    pub fn decode(reader: &mut Reader) -> Result<Self, JuteError> {
        Ok(Self { xid: reader.i32()?, op: reader.i32()? })
    }
}

impl Request {
    /// Reads the record of a request type.
    ///
    /// # Errors
    /// [`JuteError::Unimplemented`] for a type that is not served, internal ones (-10, -1, 20) included; else the record is bad.
    pub fn decode(op: i32, reader: &mut Reader) -> Result<Self, JuteError> {
        Ok(match op {
            op::PING => Self::Ping,
            op::CLOSE_SESSION => Self::CloseSession,
            op::AUTH => {
                let _type = reader.i32()?;
                Self::Auth { scheme: reader.string()?, credentials: reader.buffer()?.unwrap_or_default() }
            }
            op::SASL => Self::Sasl { token: reader.buffer()?.unwrap_or_default() },
            op::RECONFIG => Self::Reconfig(Reconfig::decode(reader)?),
            op::SYNC => Self::Sync { path: reader.string()? },
            op::CREATE
            | op::CREATE2
            | op::CREATE_CONTAINER
            | op::CREATE_TTL
            | op::DELETE
            | op::SET_DATA
            | op::SET_ACL => Self::Write(decode_write(op, reader)?),
            op::MULTI => Self::Write(Write::Multi(decode_multi(reader, decode_write)?)),
            op::MULTI_READ => Self::Read(Read::Multi(decode_multi(reader, decode_one_of_many)?)),
            _ => Self::Read(decode_read(op, reader)?),
        })
    }
}

/// The time of a TTL node whose request does not say one.
const NO_TTL: i64 = -1;

fn decode_write(op: i32, r: &mut Reader) -> Result<Write, JuteError> {
    let path = r.string()?;
    Ok(match op {
        op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => {
            let (data, acl, flags) = (r.buffer()?, r.acls()?, r.i32()?);
            // Only createTTL carries a time; the flags of a TTL node in another create have none, which no node may have.
            let ttl_ms = if op == op::CREATE_TTL { r.i64()? } else { NO_TTL };
            let mode = CreateMode::from_flags(flags, ttl_ms).ok_or(JuteError::Value)?;
            Write::Create { path, data, acl, mode, with_stat: op != op::CREATE }
        }
        op::DELETE => Write::Delete { path, version: r.i32()? },
        op::SET_DATA => Write::SetData { path, data: r.buffer()?, version: r.i32()? },
        op::SET_ACL => Write::SetAcl { path, acl: r.acls()?, version: r.i32()? },
        op::CHECK => Write::Check { path, version: r.i32()? },
        _ => return Err(JuteError::Unimplemented(op)),
    })
}

fn decode_multi<T>(
    r: &mut Reader,
    decode_one: impl Fn(i32, &mut Reader) -> Result<T, JuteError>,
) -> Result<Vec<T>, JuteError> {
    let mut operations = Vec::new();
    loop {
        let (op, done, _error) = (r.i32()?, r.bool()?, r.i32()?);
        if done {
            return Ok(operations);
        }
        operations.push(decode_one(op, r)?);
    }
}

fn decode_one_of_many(op: i32, r: &mut Reader) -> Result<Read, JuteError> {
    match op {
        op::GET_DATA | op::GET_CHILDREN => decode_read(op, r),
        _ => Err(JuteError::Unimplemented(op)),
    }
}

fn decode_read(op: i32, r: &mut Reader) -> Result<Read, JuteError> {
    Ok(match op {
        op::EXISTS => Read::Exists { path: r.string()?, watch: r.bool()? },
        op::GET_DATA => Read::GetData { path: r.string()?, watch: r.bool()? },
        op::GET_ACL => Read::GetAcl { path: r.string()? },
        op::GET_CHILDREN => Read::GetChildren { path: r.string()?, watch: r.bool()?, with_stat: false },
        op::GET_CHILDREN2 => Read::GetChildren { path: r.string()?, watch: r.bool()?, with_stat: true },
        op::GET_EPHEMERALS => Read::GetEphemerals { prefix: r.string()? },
        op::GET_ALL_CHILDREN_NUMBER => Read::GetAllChildrenNumber { path: r.string()? },
        op::WHO_AM_I => Read::WhoAmI,
        op::SET_WATCHES | op::SET_WATCHES2 => Read::SetWatches(decode_set_watches(op, r)?),
        op::ADD_WATCH => {
            let path = r.string()?;
            match r.i32()? {
                0 => Read::AddWatch { path, recursive: false },
                1 => Read::AddWatch { path, recursive: true },
                _ => return Err(JuteError::Value),
            }
        }
        op::CHECK_WATCHES => Read::CheckWatches { path: r.string()?, kind: decode_kind(r)? },
        op::REMOVE_WATCHES => Read::RemoveWatches { path: r.string()?, kind: decode_kind(r)? },
        _ => return Err(JuteError::Unimplemented(op)),
    })
}

fn decode_set_watches(op: i32, r: &mut Reader) -> Result<SetWatches, JuteError> {
    let mut watches = SetWatches {
        relative_zxid: r.i64()?,
        data: r.vector(Reader::string)?,
        exist: r.vector(Reader::string)?,
        child: r.vector(Reader::string)?,
        ..SetWatches::default()
    };
    if op == op::SET_WATCHES2 {
        watches.persistent = r.vector(Reader::string)?;
        watches.recursive = r.vector(Reader::string)?;
    }
    Ok(watches)
}

fn decode_kind(r: &mut Reader) -> Result<WatchKind, JuteError> {
    Ok(match r.i32()? {
        1 => WatchKind::Children,
        2 => WatchKind::Data,
        3 => WatchKind::Any,
        4 => WatchKind::Persistent,
        5 => WatchKind::PersistentRecursive,
        _ => return Err(JuteError::Value),
    })
}

/// A write's type and record, as a client sends them behind the header and as agents forward them.
pub fn encode_write(write: &Write, out: &mut BytesMut) -> i32 {
    match write {
        Write::Create { path, data, acl, mode, with_stat } => {
            put_string(out, path);
            put_buffer(out, data.as_deref());
            put_acls(out, acl);
            out.put_i32(mode.flags());
            match mode.lifetime {
                Lifetime::Ttl(ms) => {
                    out.put_i64(ms);
                    op::CREATE_TTL
                }
                Lifetime::Container if *with_stat => op::CREATE_CONTAINER,
                Lifetime::Persistent | Lifetime::Ephemeral if *with_stat => op::CREATE2,
                Lifetime::Persistent | Lifetime::Ephemeral | Lifetime::Container => op::CREATE,
            }
        }
        Write::Delete { path, version } => {
            put_string(out, path);
            out.put_i32(*version);
            op::DELETE
        }
        Write::SetData { path, data, version } => {
            put_string(out, path);
            put_buffer(out, data.as_deref());
            out.put_i32(*version);
            op::SET_DATA
        }
        Write::SetAcl { path, acl, version } => {
            put_string(out, path);
            put_acls(out, acl);
            out.put_i32(*version);
            op::SET_ACL
        }
        Write::Check { path, version } => {
            put_string(out, path);
            out.put_i32(*version);
            op::CHECK
        }
        Write::Multi(operations) => {
            encode_multi(operations, encode_write, out);
            op::MULTI
        }
    }
}

pub(super) fn put_multi_header(out: &mut BytesMut, op: i32, done: bool, error: i32) {
    out.put_i32(op);
    out.put_u8(u8::from(done));
    out.put_i32(error);
}

/// Builds a frame: its length, then what `fill` writes.
pub(super) fn framed(fill: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::with_capacity(128);
    out.put_i32(0);
    fill(&mut out);
    let length = i32::try_from(out.len() - 4).expect("a frame is bounded by what it is built from");
    out[..4].copy_from_slice(&length.to_be_bytes());
    out.freeze()
}

impl Request {
    /// The frame of a request, length and header included: what clients of ours send.
    pub fn encode(&self, xid: i32) -> Bytes {
        let mut record = BytesMut::new();
        let op = self.encode_record(&mut record);
        framed(|out| {
            out.put_i32(xid);
            out.put_i32(op);
            out.put_slice(&record);
        })
    }

    fn encode_record(&self, out: &mut BytesMut) -> i32 {
        match self {
            Self::Ping => op::PING,
            Self::CloseSession => op::CLOSE_SESSION,
            Self::Auth { scheme, credentials } => {
                out.put_i32(0);
                put_string(out, scheme);
                put_buffer(out, Some(credentials));
                op::AUTH
            }
            Self::Sasl { token } => {
                put_buffer(out, Some(token));
                op::SASL
            }
            Self::Sync { path } => {
                put_string(out, path);
                op::SYNC
            }
            Self::Reconfig(reconfig) => {
                reconfig.encode(out);
                op::RECONFIG
            }
            Self::Write(write) => encode_write(write, out),
            Self::Read(read) => encode_read(read, out),
        }
    }
}

fn encode_read(read: &Read, out: &mut BytesMut) -> i32 {
    let watched = |out: &mut BytesMut, path: &str, watch: bool| {
        put_string(out, path);
        out.put_u8(u8::from(watch));
    };
    match read {
        Read::Exists { path, watch } => {
            watched(out, path, *watch);
            op::EXISTS
        }
        Read::GetData { path, watch } => {
            watched(out, path, *watch);
            op::GET_DATA
        }
        Read::GetAcl { path } => {
            put_string(out, path);
            op::GET_ACL
        }
        Read::GetChildren { path, watch, with_stat } => {
            watched(out, path, *watch);
            if *with_stat { op::GET_CHILDREN2 } else { op::GET_CHILDREN }
        }
        Read::GetEphemerals { prefix } => {
            put_string(out, prefix);
            op::GET_EPHEMERALS
        }
        Read::GetAllChildrenNumber { path } => {
            put_string(out, path);
            op::GET_ALL_CHILDREN_NUMBER
        }
        Read::WhoAmI => op::WHO_AM_I,
        Read::SetWatches(watches) => {
            out.put_i64(watches.relative_zxid);
            for list in
                [&watches.data, &watches.exist, &watches.child, &watches.persistent, &watches.recursive]
            {
                super::response::put_strings(out, list.iter().map(String::as_str));
            }
            op::SET_WATCHES2
        }
        Read::AddWatch { path, recursive } => {
            put_string(out, path);
            out.put_i32(i32::from(*recursive));
            op::ADD_WATCH
        }
        Read::CheckWatches { path, kind } => {
            put_string(out, path);
            out.put_i32(kind_number(*kind));
            op::CHECK_WATCHES
        }
        Read::RemoveWatches { path, kind } => {
            put_string(out, path);
            out.put_i32(kind_number(*kind));
            op::REMOVE_WATCHES
        }
        Read::Multi(reads) => {
            encode_multi(reads, encode_read, out);
            op::MULTI_READ
        }
    }
}

fn encode_multi<T>(operations: &[T], encode_one: fn(&T, &mut BytesMut) -> i32, out: &mut BytesMut) {
    for operation in operations {
        let mut record = BytesMut::new();
        let op = encode_one(operation, &mut record);
        put_multi_header(out, op, false, -1);
        out.put_slice(&record);
    }
    put_multi_header(out, -1, true, -1);
}

fn kind_number(kind: WatchKind) -> i32 {
    match kind {
        WatchKind::Children => 1,
        WatchKind::Data => 2,
        WatchKind::Any => 3,
        WatchKind::Persistent => 4,
        WatchKind::PersistentRecursive => 5,
    }
}
