//! The record formats: exact bytes, older versions, bytes that are not records.

use streamkeeper_base::{Random, TopicId};

use super::*;
use crate::records::{GroupRecord, MemberRecord, decode_group, decode_offset, encode_group, encode_offset};

fn group() -> GroupRecord {
    GroupRecord {
        protocol_type: "consumer".into(),
        generation: 3,
        protocol: Some("range".into()),
        leader: Some("m".into()),
        timestamp: 9,
        members: vec![MemberRecord {
            id: "m".into(),
            instance: Some("i".into()),
            client_id: "c".into(),
            client_host: "/h".into(),
            rebalance_timeout_ms: 7,
            session_timeout_ms: 8,
            subscription: Bytes::from_static(b"s"),
            assignment: Bytes::from_static(b"a"),
        }],
    }
}

const ID: TopicId = TopicId([7; 16]);

#[test] // OffsetCommitValue version 4 and GroupMetadataValue version 3
fn values_are_kafkas_byte_for_byte() {
    let offset = OffsetAndMetadata {
        offset: 5,
        leader_epoch: 4,
        metadata: "m".into(),
        timestamp: 9,
        topic_id: ID,
        expires: None,
    };
    let bytes = encode_offset(&offset);
    let head = b"\0\x04\0\0\0\0\0\0\0\x05\0\0\0\x04\x02m\0\0\0\0\0\0\0\x09";
    assert_eq!(bytes[..], [&head[..], b"\x01\0\x10", &[7; 16]].concat());
    assert_eq!(decode_offset(bytes), Some(offset.clone()));
    let nameless = OffsetAndMetadata { topic_id: TopicId::ZERO, ..offset };
    assert_eq!(encode_offset(&nameless)[..], [&head[..], b"\0"].concat());
    assert_eq!(decode_offset(encode_offset(&nameless)), Some(nameless));
    let bytes = encode_group(&group());
    let head = b"\0\x03\0\x08consumer\0\0\0\x03\0\x05range\0\x01m\0\0\0\0\0\0\0\x09\0\0\0\x01";
    let member = b"\0\x01m\0\x01i\0\x01c\0\x02/h\0\0\0\x07\0\0\0\x08\0\0\0\x01s\0\0\0\x01a";
    assert_eq!(bytes[..], [&head[..], &member[..]].concat());
    assert_eq!(decode_group(bytes), Some(group()));
    let empty = GroupRecord { protocol: None, leader: None, members: Vec::new(), ..group() };
    assert_eq!(decode_group(encode_group(&empty)), Some(empty));
}

#[test]
fn older_versions_are_read_and_newer_ones_skipped() {
    let third = Bytes::from_static(b"\0\x03\0\0\0\0\0\0\0\x05\0\0\0\x04\0\x01m\0\0\0\0\0\0\0\x09");
    assert_eq!(decode_offset(third).map(|o| (o.offset, o.leader_epoch, o.timestamp)), Some((5, 4, 9)));
    let old = Bytes::from_static(b"\0\x01\0\0\0\0\0\0\0\x05\0\x01m\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x0a");
    let offset = OffsetAndMetadata {
        offset: 5,
        leader_epoch: -1,
        metadata: "m".into(),
        timestamp: 9,
        topic_id: TopicId::ZERO,
        expires: Some(10),
    };
    assert_eq!(encode_offset(&offset), old, "only version 1 has a time of expiry");
    assert_eq!(decode_offset(old), Some(offset));
    let member = b"\0\x01m\0\x01c\0\x02/h\0\0\0\x08\0\0\0\x01s\0\0\0\x01a";
    let old = [&b"\0\0\0\x08consumer\0\0\0\x03\0\x05range\0\x01m\0\0\0\x01"[..], member].concat();
    let read = decode_group(Bytes::from(old)).expect("version 0");
    assert_eq!((read.timestamp, read.members[0].rebalance_timeout_ms), (-1, 8));
    assert_eq!(decode_offset(Bytes::from_static(b"\0\x05\0")), None);
    assert_eq!(decode_group(Bytes::from_static(b"\0\x04\0")), None);
}

#[test]
fn damaged_records_are_errors_and_cost_nothing() {
    let mut random = Random::new(1);
    let mut c = Coordinator::new(config(), 1);
    let keys = [
        records::encode_key(&Key::Group("g".into())),
        records::encode_key(&Key::Offset { group: "g".into(), topic: "t".into(), partition: 0 }),
    ];
    let offset = OffsetAndMetadata {
        offset: 5,
        leader_epoch: 4,
        metadata: "m".into(),
        timestamp: 9,
        topic_id: ID,
        expires: None,
    };
    for value in [encode_group(&group()), encode_offset(&offset)] {
        for _ in 0..2000 {
            let mut bytes = value.to_vec();
            let at = usize::try_from(random.below(bytes.len() as u64)).expect("small");
            bytes[at] = random.next_u64().to_be_bytes()[0];
            keys.iter().for_each(|key| c.replay(key.clone(), Some(Bytes::from(bytes.clone()))));
        }
    }
    let (whole_group, whole_offset) = (encode_group(&group()), encode_offset(&offset));
    assert!((0..whole_group.len()).all(|length| decode_group(whole_group.slice(..length)).is_none()));
    assert!((0..whole_offset.len()).all(|length| decode_offset(whole_offset.slice(..length)).is_none()));
    let mut claims = encode_group(&GroupRecord { members: Vec::new(), ..group() }).to_vec();
    let count = claims.len() - 4;
    claims[count..].copy_from_slice(&i32::MAX.to_be_bytes());
    assert_eq!(decode_group(Bytes::from(claims)), None, "a claimed count reserves nothing");
    c.loaded(Instant::ZERO);
}

#[test] // a record that contradicts itself must not stop the member
fn inconsistent_groups_are_made_consistent() {
    let mut record = group();
    record.leader = Some("nobody".into());
    record.generation = 0;
    record.members.push(MemberRecord { id: "twin".into(), ..record.members[0].clone() });
    let mut c = Coordinator::new(config(), 1);
    c.replay(records::encode_key(&Key::Group("g".into())), Some(encode_group(&record)));
    c.loaded(Instant::ZERO);
    assert_eq!(c.describe("g").members.len(), 1);
    assert_eq!(c.heartbeat("g", 1, "m", Some("i")), error::NONE);
}
