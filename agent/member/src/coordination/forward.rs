//! What members forward to the quorum leader, and what comes back. Frames of the quorum link.

use bytes::{BufMut, Bytes, BytesMut};
use streamkeeper_base::codec::{Get, Malformed, put_bytes, put_list, put_text};
use streamkeeper_base::znode::{ErrorCode, Identity};
use streamkeeper_base::{Address, DiskId, MemberId, SessionId, Zxid};
use streamkeeper_controller::Guard;

use crate::control::Change;

/// A message of Zab.
pub(super) const ZAB: u8 = 1;
/// A [`Request`] with its number.
pub(super) const REQUEST: u8 = 2;
/// A [`Response`] with its request's number.
pub(super) const RESPONSE: u8 = 3;
/// Sessions that were heard, so that the leader does not let them expire.
pub(super) const TOUCH: u8 = 4;
/// A [`crate::control::Report`] of a member about itself.
pub(super) const REPORT: u8 = 5;

/// What only the quorum leader can decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// A client's write: its type and record as the client sent them.
    Write {
        session: SessionId,
        who: Vec<Identity>,
        op: i32,
        record: Bytes,
    },
    OpenSession {
        session: SessionId,
        timeout_ms: i32,
    },
    /// A client with a session of before came to another member.
    Reattach {
        session: SessionId,
    },
    CloseSession {
        session: SessionId,
    },
    Sync,
    /// For the controller, encoded.
    Command(Bytes),
    /// From outside.
    Change {
        guard: Guard,
        change: Change,
    },
    /// How the ensemble stands; with the size of each log if so asked.
    Survey {
        with_sizes: bool,
    },
    /// A member that the ensemble does not know asks to be let in as an observer.
    Join {
        member: MemberId,
        /// Its disk: one that left for good does not come back.
        disk: DiskId,
        address: Address,
    },
}

/// What comes back when there is no transaction that says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Response {
    /// The write failed; told to the client once everything up to `after` is applied.
    Rejected {
        after: Zxid,
        codes: Vec<ErrorCode>,
    },
    Reattached {
        after: Zxid,
        known: bool,
    },
    /// Reads that see this zxid see everything committed before the sync.
    Synced {
        after: Zxid,
    },
    /// A controller's answer.
    Answered {
        after: Zxid,
        answer: Bytes,
    },
    /// The facts of a survey, encoded.
    Surveyed {
        after: Zxid,
        facts: Bytes,
    },
    /// The leader does not lead any more, or the session is served elsewhere now: the outcome is unknown to the client.
    Lost,
}

impl Response {
    /// What must be applied before it counts.
    pub(super) fn after(&self) -> Zxid {
        match self {
            Self::Rejected { after, .. }
            | Self::Reattached { after, .. }
            | Self::Synced { after }
            | Self::Answered { after, .. }
            | Self::Surveyed { after, .. } => *after,
            Self::Lost => Zxid::ZERO,
        }
    }
}

pub(super) fn encode_request(number: u64, request: &Request) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u64(number);
    match request {
        Request::Write { session, who, op, record } => {
            out.put_u8(1);
            out.put_i64(session.0);
            put_list(&mut out, who.iter(), |out, identity| {
                put_text(out, &identity.scheme);
                put_text(out, &identity.id);
            });
            out.put_i32(*op);
            put_bytes(&mut out, record);
        }
        Request::OpenSession { session, timeout_ms } => {
            out.put_u8(2);
            out.put_i64(session.0);
            out.put_i32(*timeout_ms);
        }
        Request::Reattach { session } => put_session(&mut out, 3, *session),
        Request::CloseSession { session } => put_session(&mut out, 4, *session),
        Request::Sync => out.put_u8(5),
        Request::Command(command) => {
            out.put_u8(6);
            put_bytes(&mut out, command);
        }
        Request::Change { guard, change } => {
            out.put_u8(7);
            guard.encode(&mut out);
            change.encode(&mut out);
        }
        Request::Survey { with_sizes } => {
            out.put_u8(8);
            out.put_u8(u8::from(*with_sizes));
        }
        Request::Join { member, disk, address } => {
            out.put_u8(9);
            out.put_i32(member.0);
            out.put_slice(&disk.0);
            put_bytes(&mut out, &address.encode());
        }
    }
    out.freeze()
}

fn put_session(out: &mut BytesMut, tag: u8, session: SessionId) {
    out.put_u8(tag);
    out.put_i64(session.0);
}

pub(super) fn decode_request(bytes: Bytes) -> Result<(u64, Request), Malformed> {
    let mut get = Get(bytes);
    let number = get.u64()?;
    let request = match get.u8()? {
        1 => Request::Write {
            session: SessionId(get.i64()?),
            who: get.list(|g| {
                let scheme = g.text()?;
                Ok(Identity { scheme, id: g.text()? })
            })?,
            op: get.i32()?,
            record: get.bytes()?,
        },
        2 => Request::OpenSession { session: SessionId(get.i64()?), timeout_ms: get.i32()? },
        3 => Request::Reattach { session: SessionId(get.i64()?) },
        4 => Request::CloseSession { session: SessionId(get.i64()?) },
        5 => Request::Sync,
        6 => Request::Command(get.bytes()?),
        7 => Request::Change { guard: Guard::decode(&mut get)?, change: Change::decode(&mut get)? },
        8 => Request::Survey { with_sizes: get.bool()? },
        9 => Request::Join {
            member: MemberId(get.i32()?),
            disk: DiskId(get.array()?),
            address: Address::decode(get.bytes()?)?,
        },
        _ => return Err(Malformed),
    };
    get.end()?;
    Ok((number, request))
}

pub(super) fn encode_response(number: u64, response: &Response) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u64(number);
    out.put_i64(response.after().0);
    match response {
        Response::Rejected { codes, .. } => {
            out.put_u8(1);
            put_list(&mut out, codes.iter(), |out, code| out.put_i32(code.0));
        }
        Response::Reattached { known, .. } => {
            out.put_u8(2);
            out.put_u8(u8::from(*known));
        }
        Response::Synced { .. } => out.put_u8(3),
        Response::Answered { answer, .. } => {
            out.put_u8(4);
            put_bytes(&mut out, answer);
        }
        Response::Lost => out.put_u8(5),
        Response::Surveyed { facts, .. } => {
            out.put_u8(6);
            put_bytes(&mut out, facts);
        }
    }
    out.freeze()
}

pub(super) fn decode_response(bytes: Bytes) -> Result<(u64, Response), Malformed> {
    let mut get = Get(bytes);
    let number = get.u64()?;
    let after = Zxid(get.i64()?);
    let response = match get.u8()? {
        1 => Response::Rejected { after, codes: get.list(|g| Ok(ErrorCode(g.i32()?)))? },
        2 => Response::Reattached { after, known: get.bool()? },
        3 => Response::Synced { after },
        4 => Response::Answered { after, answer: get.bytes()? },
        5 => Response::Lost,
        6 => Response::Surveyed { after, facts: get.bytes()? },
        _ => return Err(Malformed),
    };
    get.end()?;
    Ok((number, response))
}

pub(super) fn encode_touches(sessions: impl ExactSizeIterator<Item = SessionId>) -> Bytes {
    let mut out = BytesMut::new();
    put_list(&mut out, sessions, |out, session| out.put_i64(session.0));
    out.freeze()
}

pub(super) fn decode_touches(bytes: Bytes) -> Result<Vec<SessionId>, Malformed> {
    let mut get = Get(bytes);
    let sessions = get.list(|g| Ok(SessionId(g.i64()?)))?;
    get.end()?;
    Ok(sessions)
}

#[cfg(test)]
mod tests {
    use streamkeeper_zab::MembershipChange;

    use super::*;

    #[test]
    fn requests_and_responses_read_back() {
        let requests = [
            Request::Write {
                session: SessionId(1),
                who: vec![Identity::new("ip", "::1")],
                op: 1,
                record: Bytes::from_static(b"r"),
            },
            Request::OpenSession { session: SessionId(-2), timeout_ms: 3 },
            Request::Sync,
            Request::Change {
                guard: Guard { request: "r".into(), fencing_token: 2 },
                change: Change::Ensemble(MembershipChange::Promote(MemberId(4))),
            },
            Request::Survey { with_sizes: true },
            Request::Join {
                member: MemberId(3),
                disk: DiskId([2; 16]),
                address: Address { host: "h".into(), ..Address::default() },
            },
        ];
        for request in requests {
            assert_eq!(decode_request(encode_request(7, &request)), Ok((7, request)));
        }
        let after = Zxid(9);
        let responses = [
            Response::Rejected { after, codes: vec![ErrorCode::NO_NODE] },
            Response::Reattached { after, known: true },
            Response::Answered { after, answer: Bytes::from_static(b"a") },
            Response::Surveyed { after, facts: Bytes::from_static(b"f") },
            Response::Lost,
        ];
        for response in responses {
            assert_eq!(decode_response(encode_response(8, &response)), Ok((8, response)));
        }
        assert!(decode_request(Bytes::from_static(&[0; 12])).is_err());
    }
}
