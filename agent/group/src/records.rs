//! Kafka's formats of `__consumer_offsets`: keys of an offset (1) and of a group (2), values of an offset (4) and a group (3).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use streamkeeper_base::TopicId;

use crate::offsets::OffsetAndMetadata;

/// Longest text of the formats, which count it in 16 bits.
pub(crate) const TEXT_BYTES_MAX: usize = i16::MAX as usize;

/// What a key names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A committed offset.
    Offset {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// A group's members.
    Group(String),
}

/// A group's members as they are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupRecord {
    /// `consumer`, most often.
    pub protocol_type: String,
    /// The generation.
    pub generation: i32,
    /// The protocol chosen.
    pub protocol: Option<String>,
    /// The leading member.
    pub leader: Option<String>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The members.
    pub members: Vec<MemberRecord>,
}

/// One member as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberRecord {
    /// Its id.
    pub id: String,
    /// Its static name.
    pub instance: Option<String>,
    /// What it calls itself.
    pub client_id: String,
    /// Where it comes from.
    pub client_host: String,
    /// Milliseconds.
    pub rebalance_timeout_ms: i32,
    /// Milliseconds.
    pub session_timeout_ms: i32,
    /// What it subscribes to, opaque.
    pub subscription: Bytes,
    /// What it was given, opaque.
    pub assignment: Bytes,
}

impl GroupRecord {
    /// The record of a group: key and value.
    pub(crate) fn entry(&self, group: &str) -> (Bytes, Option<Bytes>) {
        (encode_key(&Key::Group(group.to_owned())), Some(encode_group(self)))
    }
}

/// A key as bytes.
pub fn encode_key(key: &Key) -> Bytes {
    let mut out = BytesMut::new();
    match key {
        Key::Offset { group, topic, partition } => {
            out.put_i16(1);
            put_text(&mut out, Some(group));
            put_text(&mut out, Some(topic));
            out.put_i32(*partition);
        }
        Key::Group(group) => {
            out.put_i16(2);
            put_text(&mut out, Some(group));
        }
    }
    out.freeze()
}

/// Reads a key; `None` for a version of another kind, which is skipped.
pub fn decode_key(mut bytes: Bytes) -> Option<Key> {
    let input = &mut bytes;
    match get_i16(input)? {
        0 | 1 => Some(Key::Offset {
            group: get_text(input)??,
            topic: get_text(input)??,
            partition: get_i32(input)?,
        }),
        2 => Some(Key::Group(get_text(input)??)),
        _ => None,
    }
}

/// A committed offset as bytes. Version 4 is flexible: it names the topic's id, so that an offset never outlives its topic. Only version 1
/// has a time of expiry.
pub fn encode_offset(value: &OffsetAndMetadata) -> Bytes {
    let mut out = BytesMut::new();
    if let Some(expires) = value.expires {
        out.put_i16(1);
        out.put_i64(value.offset);
        put_text(&mut out, Some(&value.metadata));
        out.put_i64(value.timestamp);
        out.put_i64(expires);
        return out.freeze();
    }
    out.put_i16(4);
    out.put_i64(value.offset);
    out.put_i32(value.leader_epoch);
    put_varint(&mut out, value.metadata.len() + 1);
    out.put_slice(value.metadata.as_bytes());
    out.put_i64(value.timestamp);
    if value.topic_id.is_zero() {
        put_varint(&mut out, 0);
    } else {
        // One tagged field: tag 0, 16 bytes.
        out.put_slice(&[1, 0, 16]);
        out.put_slice(&value.topic_id.0);
    }
    out.freeze()
}

/// Reads a committed offset; `None` for a version that is newer than this, which is skipped.
pub fn decode_offset(mut bytes: Bytes) -> Option<OffsetAndMetadata> {
    let input = &mut bytes;
    let version = get_i16(input)?;
    if !(0..=4).contains(&version) {
        return None;
    }
    let offset = get_i64(input)?;
    let leader_epoch = if version >= 3 { get_i32(input)? } else { -1 };
    if version == 4 {
        let length = get_varint(input)?.checked_sub(1)?;
        let metadata = get_utf8(input, length)?;
        let timestamp = get_i64(input)?;
        return Some(OffsetAndMetadata {
            offset,
            leader_epoch,
            metadata,
            timestamp,
            topic_id: get_topic_id(input)?,
            expires: None,
        });
    }
    let metadata = get_text(input)??;
    let timestamp = get_i64(input)?;
    let expires = if version == 1 { Some(get_i64(input)?).filter(|at| *at >= 0) } else { None };
    Some(OffsetAndMetadata { offset, leader_epoch, metadata, timestamp, topic_id: TopicId::ZERO, expires })
}

/// The tagged fields of an offset: the topic's id, and what newer brokers may add.
fn get_topic_id(input: &mut Bytes) -> Option<TopicId> {
    let mut id = TopicId::ZERO;
    for _ in 0..get_varint(input)? {
        let (tag, size) = (get_varint(input)?, get_varint(input)?);
        let mut field = (size <= input.len()).then(|| input.split_to(size))?;
        if tag == 0 {
            id = TopicId(get_array(&mut field)?);
        }
    }
    Some(id)
}

/// A group as bytes.
pub fn encode_group(group: &GroupRecord) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(3);
    put_text(&mut out, Some(&group.protocol_type));
    out.put_i32(group.generation);
    put_text(&mut out, group.protocol.as_deref());
    put_text(&mut out, group.leader.as_deref());
    out.put_i64(group.timestamp);
    out.put_i32(i32::try_from(group.members.len()).unwrap_or(i32::MAX));
    for member in &group.members {
        put_text(&mut out, Some(&member.id));
        put_text(&mut out, member.instance.as_deref());
        put_text(&mut out, Some(&member.client_id));
        put_text(&mut out, Some(&member.client_host));
        out.put_i32(member.rebalance_timeout_ms);
        out.put_i32(member.session_timeout_ms);
        for bytes in [&member.subscription, &member.assignment] {
            out.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
            out.put_slice(bytes);
        }
    }
    out.freeze()
}

/// Reads a group of any version that was not flexible; `None` for others, which are skipped.
pub fn decode_group(mut bytes: Bytes) -> Option<GroupRecord> {
    let input = &mut bytes;
    let version = get_i16(input)?;
    if !(0..=3).contains(&version) {
        return None;
    }
    let mut group = GroupRecord {
        protocol_type: get_text(input)??,
        generation: get_i32(input)?,
        protocol: get_text(input)?,
        leader: get_text(input)?,
        timestamp: if version >= 2 { get_i64(input)? } else { -1 },
        members: Vec::new(),
    };
    for _ in 0..get_i32(input)? {
        let id = get_text(input)??;
        let instance = if version >= 3 { get_text(input)? } else { None };
        let (client_id, client_host) = (get_text(input)??, get_text(input)??);
        let rebalance = if version >= 1 { Some(get_i32(input)?) } else { None };
        let session_timeout_ms = get_i32(input)?;
        group.members.push(MemberRecord {
            id,
            instance,
            client_id,
            client_host,
            rebalance_timeout_ms: rebalance.unwrap_or(session_timeout_ms),
            session_timeout_ms,
            subscription: get_bytes(input)?,
            assignment: get_bytes(input)?,
        });
    }
    Some(group)
}

fn put_text(out: &mut BytesMut, text: Option<&str>) {
    match text {
        None => out.put_i16(-1),
        Some(text) => {
            // Longer ids and names were refused; what a client calls itself is cut.
            let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
            out.put_i16(i16::try_from(text.len()).expect("it was cut"));
            out.put_slice(text.as_bytes());
        }
    }
}

/// `Some(None)` for null.
pub(crate) fn get_text(input: &mut Bytes) -> Option<Option<String>> {
    let length = get_i16(input)?;
    let Ok(length) = usize::try_from(length) else { return Some(None) };
    get_utf8(input, length).map(Some)
}

fn get_utf8(input: &mut Bytes, length: usize) -> Option<String> {
    let bytes = (length <= input.len()).then(|| input.split_to(length))?;
    String::from_utf8(bytes.to_vec()).ok()
}

fn put_varint(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// A number of at most five bytes.
fn get_varint(input: &mut Bytes) -> Option<usize> {
    let mut value = 0_usize;
    for shift in (0..35).step_by(7) {
        let [byte] = get_array::<1>(input)?;
        value |= usize::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn get_bytes(input: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(get_i32(input)?).ok()?;
    // A copy: the slice would keep the whole chunk's memory.
    (length <= input.len()).then(|| Bytes::copy_from_slice(&input.split_to(length)))
}

fn get_array<const N: usize>(input: &mut Bytes) -> Option<[u8; N]> {
    let array = input.first_chunk::<N>().copied()?;
    input.advance(N);
    Some(array)
}

pub(crate) fn get_i16(input: &mut Bytes) -> Option<i16> {
    get_array(input).map(i16::from_be_bytes)
}

pub(crate) fn get_i32(input: &mut Bytes) -> Option<i32> {
    get_array(input).map(i32::from_be_bytes)
}

fn get_i64(input: &mut Bytes) -> Option<i64> {
    get_array(input).map(i64::from_be_bytes)
}
