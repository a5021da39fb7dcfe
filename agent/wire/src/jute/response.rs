//! Replies and notifications.

use bytes::{BufMut, Bytes, BytesMut};
use streamkeeper_base::znode::{Acl, ErrorCode, EventKind, Stat};

use super::JuteError;
use super::io::{Reader, put_buffer, put_string};
use super::request::{framed, op, put_multi_header};

/// The answer to the first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectResponse {
    /// The session timeout in force, milliseconds; 0 if the session has expired.
    pub timeout_ms: i32,
    /// The session; 0 if it has expired.
    pub session: i64,
    /// Proves later that the session is the client's.
    pub password: [u8; 16],
    /// Echoed to clients that know the field.
    pub read_only: Option<bool>,
}

impl ConnectResponse {
    /// What a client whose session is gone gets.
    pub fn expired(read_only: Option<bool>) -> Self {
        Self { timeout_ms: 0, session: 0, password: [0; 16], read_only }
    }

    /// The frame, length included.
    pub fn encode(&self) -> Bytes {
        framed(|out| {
            out.put_i32(0);
            out.put_i32(self.timeout_ms);
            out.put_i64(self.session);
            put_buffer(out, Some(&self.password));
            if let Some(read_only) = self.read_only {
                out.put_u8(u8::from(read_only));
            }
        })
    }

    /// Reads what [`ConnectResponse::encode`] wrote, as a client.
    ///
    /// # Errors
    /// The frame is something else.
    pub fn decode(body: Bytes) -> Result<Self, JuteError> {
        let mut reader = Reader::new(body);
        let _protocol = reader.i32()?;
        let (timeout_ms, session) = (reader.i32()?, reader.i64()?);
        let password = reader.buffer()?.unwrap_or_default();
        let password = password.as_ref().try_into().map_err(|_| JuteError::Length)?;
        let read_only = if reader.rest().is_empty() { None } else { Some(reader.bool()?) };
        Ok(Self { timeout_ms, session, password, read_only })
    }
}

/// What precedes each reply's record; the record is there only without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyHeader {
    /// The request's; -1 for a notification.
    pub xid: i32,
    /// The last zxid applied at the serving member.
    pub zxid: i64,
    /// Success or why not.
    pub error: ErrorCode,
}

impl ReplyHeader {
    /// The frame of a reply, length included; `record` writes the rest if there is no error.
    pub fn frame(self, record: impl FnOnce(&mut BytesMut)) -> Bytes {
        framed(|out| {
            out.put_i32(self.xid);
            out.put_i64(self.zxid);
            out.put_i32(self.error.0);
            if self.error == ErrorCode::OK {
                record(out);
            }
        })
    }

    /// Reads a reply's header, as a client; the rest is the record.
    ///
    /// # Errors
    /// The frame is too short.
    pub fn decode(reader: &mut Reader) -> Result<Self, JuteError> {
        Ok(Self { xid: reader.i32()?, zxid: reader.i64()?, error: ErrorCode(reader.i32()?) })
    }
}

/// Writes a stat: 68 bytes.
pub fn put_stat(out: &mut BytesMut, stat: &Stat) {
    for value in [stat.czxid, stat.mzxid, stat.ctime, stat.mtime] {
        out.put_i64(value);
    }
    for value in [stat.version, stat.cversion, stat.aversion] {
        out.put_i32(value);
    }
    out.put_i64(stat.ephemeral_owner);
    out.put_i32(stat.data_length);
    out.put_i32(stat.num_children);
    out.put_i64(stat.pzxid);
}

/// Reads a stat, as a client.
///
/// # Errors
/// The record ends.
pub fn read_stat(r: &mut Reader) -> Result<Stat, JuteError> {
    Ok(Stat {
        czxid: r.i64()?,
        mzxid: r.i64()?,
        ctime: r.i64()?,
        mtime: r.i64()?,
        version: r.i32()?,
        cversion: r.i32()?,
        aversion: r.i32()?,
        ephemeral_owner: r.i64()?,
        data_length: r.i32()?,
        num_children: r.i32()?,
        pzxid: r.i64()?,
    })
}

/// Writes an ACL.
pub fn put_acls(out: &mut BytesMut, acls: &[Acl]) {
    out.put_i32(i32::try_from(acls.len()).unwrap_or(i32::MAX));
    for acl in acls {
        out.put_i32(acl.perms);
        put_string(out, &acl.who.scheme);
        put_string(out, &acl.who.id);
    }
}

/// Writes a vector of strings.
pub fn put_strings<'a>(out: &mut BytesMut, strings: impl ExactSizeIterator<Item = &'a str>) {
    out.put_i32(i32::try_from(strings.len()).unwrap_or(i32::MAX));
    strings.for_each(|s| put_string(out, s));
}

/// Reads a vector of strings, as a client.
///
/// # Errors
/// As its elements.
pub fn read_strings(r: &mut Reader) -> Result<Vec<String>, JuteError> {
    r.vector(Reader::string)
}

/// The frame of a notification. SyncConnected is the only state a served client sees.
pub fn watch_event(kind: EventKind, path: &str, zxid: i64) -> Bytes {
    const NOTIFICATION_XID: i32 = -1;
    const SYNC_CONNECTED: i32 = 3;
    ReplyHeader { xid: NOTIFICATION_XID, zxid, error: ErrorCode::OK }.frame(|out| {
        out.put_i32(kind as i32);
        out.put_i32(SYNC_CONNECTED);
        put_string(out, path);
    })
}

/// One operation's part of a multi's reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultiOutcome {
    /// create.
    Created(String),
    /// create2.
    CreatedWithStat(String, Stat),
    /// delete.
    Deleted,
    /// setData.
    Set(Stat),
    /// check.
    Checked,
    /// getData, of a multiRead.
    Data(Option<Bytes>, Stat),
    /// getChildren, of a multiRead.
    Children(Vec<String>),
    /// A multi failed: this operation's code. Or this operation of a multiRead failed.
    Failed(ErrorCode),
}

impl MultiOutcome {
    /// Writes a multi's record.
    pub fn put_all(outcomes: &[Self], out: &mut BytesMut) {
        for outcome in outcomes {
            outcome.put(out);
        }
        put_multi_header(out, op::ERROR, true, -1);
    }

    fn put(&self, out: &mut BytesMut) {
        match self {
            Self::Created(path) => {
                put_multi_header(out, op::CREATE, false, 0);
                put_string(out, path);
            }
            Self::CreatedWithStat(path, stat) => {
                put_multi_header(out, op::CREATE2, false, 0);
                put_string(out, path);
                put_stat(out, stat);
            }
            Self::Deleted => put_multi_header(out, op::DELETE, false, 0),
            Self::Set(stat) => {
                put_multi_header(out, op::SET_DATA, false, 0);
                put_stat(out, stat);
            }
            Self::Checked => put_multi_header(out, op::CHECK, false, 0),
            Self::Data(data, stat) => {
                put_multi_header(out, op::GET_DATA, false, 0);
                put_buffer(out, data.as_deref());
                put_stat(out, stat);
            }
            Self::Children(names) => {
                put_multi_header(out, op::GET_CHILDREN, false, 0);
                put_strings(out, names.iter().map(String::as_str));
            }
            Self::Failed(code) => {
                put_multi_header(out, op::ERROR, false, code.0);
                out.put_i32(code.0);
            }
        }
    }
}
