//! Bytes of messages, log records and snapshot descriptions. Counts from outside never reserve memory by themselves.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use streamkeeper_base::{MemberId, ZabEpoch, Zxid};

use crate::history::{Entry, EpochEnds, Payload};
use crate::message::{Message, Notification, NotifierState, Vote};
use crate::quorum::{Member, MemberRole, Membership};
use crate::record::{LogRecord, SnapshotMeta};

/// Bytes from a peer or the disk that are not what they must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a Zab {what} is malformed")]
pub struct DecodeError {
    /// Which part.
    pub what: &'static str,
}

type Result<T> = std::result::Result<T, DecodeError>;

fn need(input: &Bytes, bytes: usize, what: &'static str) -> Result<()> {
    if input.remaining() < bytes { Err(DecodeError { what }) } else { Ok(()) }
}

fn get_u8(input: &mut Bytes, what: &'static str) -> Result<u8> {
    need(input, 1, what)?;
    Ok(input.get_u8())
}

fn get_u32(input: &mut Bytes, what: &'static str) -> Result<u32> {
    need(input, 4, what)?;
    Ok(input.get_u32())
}

fn get_u64(input: &mut Bytes, what: &'static str) -> Result<u64> {
    need(input, 8, what)?;
    Ok(input.get_u64())
}

fn get_bytes(input: &mut Bytes, what: &'static str) -> Result<Bytes> {
    let length = get_u32(input, what)? as usize;
    need(input, length, what)?;
    Ok(input.split_to(length))
}

fn put_bytes(out: &mut BytesMut, bytes: &Bytes) {
    out.put_u32(u32::try_from(bytes.len()).expect("a frame bounds every piece"));
    out.put_slice(bytes);
}

fn get_epoch(input: &mut Bytes, what: &'static str) -> Result<ZabEpoch> {
    let epoch = ZabEpoch(get_u32(input, what)?);
    if epoch > ZabEpoch::MAX { Err(DecodeError { what }) } else { Ok(epoch) }
}

fn get_zxid(input: &mut Bytes, what: &'static str) -> Result<Zxid> {
    let raw = get_u64(input, what)?;
    i64::try_from(raw).map(Zxid).map_err(|_| DecodeError { what })
}

fn put_zxid(out: &mut BytesMut, zxid: Zxid) {
    out.put_i64(zxid.0);
}

fn get_member(input: &mut Bytes) -> Result<MemberId> {
    Ok(MemberId(get_u32(input, "member id")?.cast_signed()))
}

fn put_membership(out: &mut BytesMut, membership: &Membership) {
    out.put_u32(membership.members.len() as u32);
    for (id, member) in &membership.members {
        out.put_i32(id.0);
        out.put_u8(u8::from(member.role == MemberRole::Voter));
        put_bytes(out, &member.data);
    }
}

fn get_membership(input: &mut Bytes) -> Result<Membership> {
    let mut membership = Membership::default();
    for _ in 0..get_u32(input, "membership")? {
        let id = get_member(input)?;
        let role = match get_u8(input, "membership")? {
            0 => MemberRole::Observer,
            1 => MemberRole::Voter,
            _ => return Err(DecodeError { what: "membership" }),
        };
        membership.members.insert(id, Member { role, data: get_bytes(input, "membership")? });
    }
    Ok(membership)
}

fn put_ends(out: &mut BytesMut, ends: &EpochEnds) {
    out.put_u32(ends.0.len() as u32);
    ends.0.values().for_each(|zxid| put_zxid(out, *zxid));
}

fn get_ends(input: &mut Bytes) -> Result<EpochEnds> {
    let mut ends = EpochEnds::default();
    for _ in 0..get_u32(input, "epoch ends")? {
        ends.record(get_zxid(input, "epoch ends")?);
    }
    Ok(ends)
}

fn put_entry(out: &mut BytesMut, entry: &Entry) {
    put_zxid(out, entry.zxid);
    match &entry.payload {
        Payload::Txn(bytes) => {
            out.put_u8(0);
            put_bytes(out, bytes);
        }
        Payload::Config(membership) => {
            out.put_u8(1);
            put_membership(out, membership);
        }
    }
}

fn get_entry(input: &mut Bytes) -> Result<Entry> {
    let zxid = get_zxid(input, "entry")?;
    let payload = match get_u8(input, "entry")? {
        0 => Payload::Txn(get_bytes(input, "entry")?),
        1 => Payload::Config(get_membership(input)?),
        _ => return Err(DecodeError { what: "entry" }),
    };
    Ok(Entry { zxid, payload })
}

fn put_entries(out: &mut BytesMut, entries: &[Entry]) {
    out.put_u32(entries.len() as u32);
    entries.iter().for_each(|entry| put_entry(out, entry));
}

fn get_entries(input: &mut Bytes) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for _ in 0..get_u32(input, "entries")? {
        entries.push(get_entry(input)?);
    }
    Ok(entries)
}

fn finished<T>(input: &Bytes, value: T, what: &'static str) -> Result<T> {
    if input.is_empty() { Ok(value) } else { Err(DecodeError { what }) }
}

impl Message {
    /// The message as bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        match self {
            Self::Notification(notification) => put_notification(&mut out, notification),
            Self::FollowerInfo { promised } => put_tagged(&mut out, 2, promised.0),
            Self::LeaderInfo { epoch } => put_tagged(&mut out, 3, epoch.0),
            Self::AckEpoch { current, ends, counts } => {
                put_tagged(&mut out, 4, current.0);
                put_ends(&mut out, ends);
                out.put_u8(u8::from(*counts));
            }
            Self::Truncate { to } => put_tagged_zxid(&mut out, 5, *to),
            Self::Diff { entries } => {
                out.put_u8(6);
                put_entries(&mut out, entries);
            }
            Self::Snapshot { zxid, ends, membership, chunk, last } => {
                put_tagged_zxid(&mut out, 7, *zxid);
                put_ends(&mut out, ends);
                put_membership(&mut out, membership);
                put_bytes(&mut out, chunk);
                out.put_u8(u8::from(*last));
            }
            Self::NewLeader { epoch } => put_tagged(&mut out, 8, epoch.0),
            Self::AckNewLeader { epoch } => put_tagged(&mut out, 9, epoch.0),
            Self::UpToDate { committed } => put_tagged_zxid(&mut out, 10, *committed),
            Self::Proposal(entry) => {
                out.put_u8(11);
                put_entry(&mut out, entry);
            }
            Self::Ack { zxid } => put_tagged_zxid(&mut out, 12, *zxid),
            Self::Commit { zxid } => put_tagged_zxid(&mut out, 13, *zxid),
            Self::Inform { entries } => {
                out.put_u8(14);
                put_entries(&mut out, entries);
            }
            Self::Ping { round } => put_tagged_u64(&mut out, 15, *round),
            Self::Pong { round } => put_tagged_u64(&mut out, 16, *round),
            Self::Leaving { successor } => {
                out.put_u8(17);
                out.put_u8(u8::from(successor.is_some()));
                out.put_i32(successor.unwrap_or_default().0);
            }
        }
        out.freeze()
    }

    /// Reads what [`Message::encode`] wrote.
    ///
    /// # Errors
    /// Any byte that `encode` would not have written.
    pub fn decode(mut input: Bytes) -> Result<Self> {
        let input = &mut input;
        let message = match get_u8(input, "message")? {
            1 => Self::Notification(get_notification(input)?),
            2 => Self::FollowerInfo { promised: get_epoch(input, "FollowerInfo")? },
            3 => Self::LeaderInfo { epoch: get_epoch(input, "LeaderInfo")? },
            4 => {
                let current = get_epoch(input, "AckEpoch")?;
                let ends = get_ends(input)?;
                Self::AckEpoch { current, ends, counts: get_u8(input, "AckEpoch")? != 0 }
            }
            5 => Self::Truncate { to: get_zxid(input, "Truncate")? },
            6 => Self::Diff { entries: get_entries(input)? },
            7 => get_snapshot(input)?,
            8 => Self::NewLeader { epoch: get_epoch(input, "NewLeader")? },
            9 => Self::AckNewLeader { epoch: get_epoch(input, "AckNewLeader")? },
            10 => Self::UpToDate { committed: get_zxid(input, "UpToDate")? },
            11 => Self::Proposal(get_entry(input)?),
            12 => Self::Ack { zxid: get_zxid(input, "Ack")? },
            13 => Self::Commit { zxid: get_zxid(input, "Commit")? },
            14 => Self::Inform { entries: get_entries(input)? },
            15 => Self::Ping { round: get_u64(input, "Ping")? },
            16 => Self::Pong { round: get_u64(input, "Pong")? },
            17 => {
                let named = get_u8(input, "Leaving")? != 0;
                let successor = get_member(input)?;
                Self::Leaving { successor: named.then_some(successor) }
            }
            _ => return Err(DecodeError { what: "message type" }),
        };
        finished(input, message, "message")
    }
}

fn put_tagged(out: &mut BytesMut, tag: u8, value: u32) {
    out.put_u8(tag);
    out.put_u32(value);
}

fn put_tagged_u64(out: &mut BytesMut, tag: u8, value: u64) {
    out.put_u8(tag);
    out.put_u64(value);
}

fn put_tagged_zxid(out: &mut BytesMut, tag: u8, zxid: Zxid) {
    out.put_u8(tag);
    put_zxid(out, zxid);
}

fn put_notification(out: &mut BytesMut, notification: &Notification) {
    out.put_u8(1);
    out.put_u8(match notification.state {
        NotifierState::Looking => 0,
        NotifierState::Following => 1,
        NotifierState::Leading => 2,
    });
    out.put_u64(notification.round);
    out.put_u32(notification.vote.epoch.0);
    put_zxid(out, notification.vote.zxid);
    out.put_i32(notification.vote.id.0);
}

fn get_notification(input: &mut Bytes) -> Result<Notification> {
    let state = match get_u8(input, "Notification")? {
        0 => NotifierState::Looking,
        1 => NotifierState::Following,
        2 => NotifierState::Leading,
        _ => return Err(DecodeError { what: "Notification" }),
    };
    let round = get_u64(input, "Notification")?;
    let epoch = get_epoch(input, "Notification")?;
    let zxid = get_zxid(input, "Notification")?;
    let id = get_member(input)?;
    Ok(Notification { state, round, vote: Vote { epoch, zxid, id } })
}

fn get_snapshot(input: &mut Bytes) -> Result<Message> {
    let zxid = get_zxid(input, "Snapshot")?;
    let ends = get_ends(input)?;
    let membership = get_membership(input)?;
    let chunk = get_bytes(input, "Snapshot")?;
    let last = get_u8(input, "Snapshot")? != 0;
    Ok(Message::Snapshot { zxid, ends, membership, chunk, last })
}

impl SnapshotMeta {
    /// The description as bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        put_meta(&mut out, self);
        out.freeze()
    }

    /// Reads what [`SnapshotMeta::encode`] wrote.
    ///
    /// # Errors
    /// Any byte that `encode` would not have written.
    pub fn decode(mut input: Bytes) -> Result<Self> {
        let meta = get_meta(&mut input)?;
        finished(&input, meta, "snapshot description")
    }
}

fn put_meta(out: &mut BytesMut, meta: &SnapshotMeta) {
    put_zxid(out, meta.zxid);
    put_ends(out, &meta.ends);
    put_membership(out, &meta.membership);
}

fn get_meta(input: &mut Bytes) -> Result<SnapshotMeta> {
    let zxid = get_zxid(input, "snapshot description")?;
    let ends = get_ends(input)?;
    Ok(SnapshotMeta { zxid, ends, membership: get_membership(input)? })
}

impl LogRecord {
    /// The record as bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(32);
        match self {
            Self::Promise(epoch) => put_tagged(&mut out, 1, epoch.0),
            Self::NewLeader(epoch) => put_tagged(&mut out, 2, epoch.0),
            Self::Entry(entry) => {
                out.put_u8(3);
                put_entry(&mut out, entry);
            }
            Self::Truncate(zxid) => put_tagged_zxid(&mut out, 4, *zxid),
            Self::Base { promised, current, snapshot, resets } => {
                put_tagged(&mut out, 5, promised.0);
                out.put_u32(current.0);
                put_meta(&mut out, snapshot);
                out.put_u8(u8::from(*resets));
            }
        }
        out.freeze()
    }

    /// Reads what [`LogRecord::encode`] wrote.
    ///
    /// # Errors
    /// Any byte that `encode` would not have written.
    pub fn decode(mut input: Bytes) -> Result<Self> {
        let input = &mut input;
        let record = match get_u8(input, "log record")? {
            1 => Self::Promise(get_epoch(input, "Promise")?),
            2 => Self::NewLeader(get_epoch(input, "NewLeader")?),
            3 => Self::Entry(get_entry(input)?),
            4 => Self::Truncate(get_zxid(input, "Truncate")?),
            5 => {
                let promised = get_epoch(input, "Base")?;
                let current = get_epoch(input, "Base")?;
                let snapshot = get_meta(input)?;
                Self::Base { promised, current, snapshot, resets: get_u8(input, "Base")? != 0 }
            }
            _ => return Err(DecodeError { what: "log record type" }),
        };
        finished(input, record, "log record")
    }
}
