//! Transactions: what the leader decided, resolved so that applying needs no decision. Identical on every member.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use streamkeeper_base::SessionId;
use streamkeeper_base::znode::{Acl, Identity};

use crate::owner::Owner;
use crate::session::SESSION_KEY_BYTES;

/// What the leader decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Txn {
    /// The key that session passwords come from; the first transaction of an ensemble.
    SessionKey([u8; SESSION_KEY_BYTES]),
    /// A session begins.
    CreateSession {
        /// The session.
        session: SessionId,
        /// Its timeout, milliseconds.
        timeout_ms: i32,
    },
    /// A session ends and these nodes with it: exactly these, so followers and replay agree.
    CloseSession {
        /// The session.
        session: SessionId,
        /// Its ephemeral nodes.
        paths: Vec<String>,
    },
    /// A node begins.
    Create {
        /// Its final path.
        path: String,
        /// Its data.
        data: Option<Bytes>,
        /// Who may do what.
        acl: Vec<Acl>,
        /// What ends it by itself.
        owner: Owner,
        /// The parent's creates after this one.
        parent_creates: i32,
    },
    /// A node ends.
    Delete {
        /// Its path.
        path: String,
    },
    /// A node's data is set.
    SetData {
        /// Its path.
        path: String,
        /// The new data.
        data: Option<Bytes>,
        /// The new version.
        version: i32,
    },
    /// A node's ACL is set.
    SetAcl {
        /// Its path.
        path: String,
        /// The new ACL.
        acl: Vec<Acl>,
        /// The new ACL version.
        version: i32,
    },
    /// Part of a multi that changes nothing.
    Check,
    /// All of them, at one zxid.
    Multi(Vec<Txn>),
}

/// Bytes that are not a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tree transaction is malformed")]
pub struct TxnDecodeError;

type Result<T> = std::result::Result<T, TxnDecodeError>;

impl Txn {
    /// Appends the transaction's bytes.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::SessionKey(key) => {
                out.put_u8(1);
                out.put_slice(key);
            }
            Self::CreateSession { session, timeout_ms } => {
                out.put_u8(2);
                out.put_i64(session.0);
                out.put_i32(*timeout_ms);
            }
            Self::CloseSession { session, paths } => {
                out.put_u8(3);
                out.put_i64(session.0);
                out.put_u32(paths.len() as u32);
                paths.iter().for_each(|path| put_text(out, path));
            }
            Self::Create { path, data, acl, owner, parent_creates } => {
                out.put_u8(4);
                put_text(out, path);
                put_data(out, data.as_ref());
                put_acl(out, acl);
                out.put_i64(owner.0);
                out.put_i32(*parent_creates);
            }
            Self::Delete { path } => {
                out.put_u8(5);
                put_text(out, path);
            }
            Self::SetData { path, data, version } => {
                out.put_u8(6);
                put_text(out, path);
                put_data(out, data.as_ref());
                out.put_i32(*version);
            }
            Self::SetAcl { path, acl, version } => {
                out.put_u8(7);
                put_text(out, path);
                put_acl(out, acl);
                out.put_i32(*version);
            }
            Self::Check => out.put_u8(8),
            Self::Multi(txns) => {
                out.put_u8(9);
                out.put_u32(txns.len() as u32);
                txns.iter().for_each(|txn| txn.encode(out));
            }
        }
    }

    /// Reads what [`Txn::encode`] wrote.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(input: &mut Bytes) -> Result<Self> {
        Self::decode_at(input, true)
    }

    fn decode_at(input: &mut Bytes, multi_allowed: bool) -> Result<Self> {
        Ok(match get_u8(input)? {
            1 => Self::SessionKey(get_array(input)?),
            2 => Self::CreateSession { session: SessionId(get_i64(input)?), timeout_ms: get_i32(input)? },
            3 => {
                Self::CloseSession { session: SessionId(get_i64(input)?), paths: get_list(input, get_text)? }
            }
            4 => Self::Create {
                path: get_text(input)?,
                data: get_data(input)?,
                acl: get_acl(input)?,
                owner: Owner(get_i64(input)?),
                parent_creates: get_i32(input)?,
            },
            5 => Self::Delete { path: get_text(input)? },
            6 => Self::SetData { path: get_text(input)?, data: get_data(input)?, version: get_i32(input)? },
            7 => Self::SetAcl { path: get_text(input)?, acl: get_acl(input)?, version: get_i32(input)? },
            8 => Self::Check,
            9 if multi_allowed => Self::Multi(get_list(input, |i| Self::decode_at(i, false))?),
            _ => return Err(TxnDecodeError),
        })
    }
}

pub(crate) fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u32(text.len() as u32);
    out.put_slice(text.as_bytes());
}

pub(crate) fn put_data(out: &mut BytesMut, data: Option<&Bytes>) {
    match data {
        None => out.put_u32(u32::MAX),
        Some(data) => {
            out.put_u32(data.len() as u32);
            out.put_slice(data);
        }
    }
}

pub(crate) fn put_acl(out: &mut BytesMut, acl: &[Acl]) {
    out.put_u32(acl.len() as u32);
    for entry in acl {
        out.put_i32(entry.perms);
        put_text(out, &entry.who.scheme);
        put_text(out, &entry.who.id);
    }
}

pub(crate) fn get_array<const N: usize>(input: &mut Bytes) -> Result<[u8; N]> {
    let array = input.first_chunk::<N>().copied().ok_or(TxnDecodeError)?;
    input.advance(N);
    Ok(array)
}

pub(crate) fn get_u8(input: &mut Bytes) -> Result<u8> {
    Ok(get_array::<1>(input)?[0])
}

pub(crate) fn get_i32(input: &mut Bytes) -> Result<i32> {
    Ok(i32::from_be_bytes(get_array(input)?))
}

pub(crate) fn get_u32(input: &mut Bytes) -> Result<u32> {
    Ok(u32::from_be_bytes(get_array(input)?))
}

pub(crate) fn get_i64(input: &mut Bytes) -> Result<i64> {
    Ok(i64::from_be_bytes(get_array(input)?))
}

pub(crate) fn get_text(input: &mut Bytes) -> Result<String> {
    let bytes = get_data(input)?.ok_or(TxnDecodeError)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| TxnDecodeError)
}

pub(crate) fn get_data(input: &mut Bytes) -> Result<Option<Bytes>> {
    let length = get_u32(input)?;
    if length == u32::MAX {
        return Ok(None);
    }
    if length as usize > input.len() {
        return Err(TxnDecodeError);
    }
    Ok(Some(input.split_to(length as usize)))
}

/// Every element must be there: a count reserves nothing.
pub(crate) fn get_list<T>(
    input: &mut Bytes,
    mut element: impl FnMut(&mut Bytes) -> Result<T>,
) -> Result<Vec<T>> {
    let mut list = Vec::new();
    for _ in 0..get_u32(input)? {
        list.push(element(input)?);
    }
    Ok(list)
}

pub(crate) fn get_acl(input: &mut Bytes) -> Result<Vec<Acl>> {
    get_list(input, |i| {
        let perms = get_i32(i)?;
        let scheme = get_text(i)?;
        Ok(Acl { perms, who: Identity { scheme, id: get_text(i)? } })
    })
}
