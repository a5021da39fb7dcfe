//! The protocol step by step.

mod expiry;
mod joining;
mod random;
mod stored;

use std::time::Duration;

use bytes::Bytes;
use streamkeeper_base::{Instant, TopicId};

use crate::records::{self, Key};
use crate::{
    Action, Commit, Config, Coordinator, Join, Leave, OffsetAndMetadata, Reply, Sync, error, partition_for,
};

fn config() -> Config {
    Config {
        initial_rebalance_delay: Duration::from_millis(100),
        session_timeout_ms: (10, 60_000),
        metadata_bytes_max: 10,
        group_size_max: 5,
        offsets_retention: Duration::from_secs(1000),
    }
}

fn coordinator() -> Coordinator {
    let mut c = Coordinator::new(config(), 7);
    c.loaded(Instant::ZERO);
    c
}

fn at(c: &mut Coordinator, ms: u64) {
    c.set_time(Instant::from_micros(ms * 1000), 1);
    c.tick();
}

fn join(member: &str, instance: Option<&str>) -> Join {
    Join {
        group: "g".into(),
        member: member.into(),
        instance: instance.map(str::to_owned),
        session_timeout_ms: 1000,
        rebalance_timeout_ms: 5000,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::from_static(b"sub"))],
        can_require_id: true,
        ..Join::default()
    }
}

/// Carries appends out at once; gives the replies.
fn settle(c: &mut Coordinator, log: &mut Vec<(Bytes, Option<Bytes>)>) -> Vec<(u64, Reply)> {
    let mut replies = Vec::new();
    loop {
        let actions = c.take_actions();
        if actions.is_empty() {
            return replies;
        }
        for action in actions {
            match action {
                Action::Reply { request, reply } => replies.push((request, reply)),
                Action::Append { token, records } => {
                    log.extend(records);
                    c.appended(token, true);
                }
            }
        }
    }
}

fn joined(replies: &[(u64, Reply)], request: u64) -> (i16, i32, String, usize) {
    match &replies.iter().find(|(r, _)| *r == request).expect("an answer").1 {
        Reply::Joined { error, generation, member, members, .. } => {
            (*error, *generation, member.clone(), members.len())
        }
        other => panic!("{other:?}"),
    }
}

/// One member, stable.
fn stable(c: &mut Coordinator, log: &mut Vec<(Bytes, Option<Bytes>)>) -> String {
    c.join(1, join("", None));
    let replies = settle(c, log);
    let (error, _, member, _) = joined(&replies, 1);
    assert_eq!(error, error::MEMBER_ID_REQUIRED);
    c.join(2, join(&member, None));
    assert_eq!(settle(c, log), [], "the first rebalance waits for more members");
    at(c, 100);
    let replies = settle(c, log);
    assert_eq!(joined(&replies, 2), (0, 1, member.clone(), 1));
    let assignments = vec![(member.clone(), Bytes::from_static(b"all"))];
    c.sync(
        3,
        Sync { group: "g".into(), generation: 1, member: member.clone(), assignments, ..Sync::default() },
    );
    let replies = settle(c, log);
    assert!(matches!(&replies[0].1, Reply::Synced { error: 0, assignment, .. } if &assignment[..] == b"all"));
    member
}

#[test]
fn a_member_joins_syncs_and_is_replaced_by_two() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    let first = stable(&mut c, &mut log);
    assert_eq!(c.heartbeat("g", 1, &first, None), error::NONE);
    assert_eq!(c.heartbeat("g", 2, &first, None), error::ILLEGAL_GENERATION);
    assert_eq!(c.heartbeat("g", 1, "stranger", None), error::UNKNOWN_MEMBER_ID);
    c.join(4, join("", None));
    let (_, _, second, _) = joined(&settle(&mut c, &mut log), 4);
    c.join(5, join(&second, None));
    assert_eq!(settle(&mut c, &mut log), [], "held until the first comes back");
    assert_eq!(c.heartbeat("g", 1, &first, None), error::REBALANCE_IN_PROGRESS);
    c.join(6, join(&first, None));
    let replies = settle(&mut c, &mut log);
    assert_eq!(joined(&replies, 6), (0, 2, first.clone(), 2), "the leader stays and sees both");
    assert_eq!(joined(&replies, 5), (0, 2, second.clone(), 0));
    c.sync(7, Sync { group: "g".into(), generation: 2, member: second.clone(), ..Sync::default() });
    assert_eq!(settle(&mut c, &mut log), [], "followers wait for the leader");
    let assignments =
        vec![(first.clone(), Bytes::from_static(b"a")), (second.clone(), Bytes::from_static(b"b"))];
    c.sync(
        8,
        Sync { group: "g".into(), generation: 2, member: first.clone(), assignments, ..Sync::default() },
    );
    assert_eq!(settle(&mut c, &mut log).len(), 2);
    assert_eq!(c.leave("g", &[Leave { member: second, instance: None }]), Ok(vec![0]));
    assert_eq!(c.heartbeat("g", 2, &first, None), error::REBALANCE_IN_PROGRESS);
}

#[test]
fn a_silent_member_is_put_out() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    let member = stable(&mut c, &mut log);
    at(&mut c, 900);
    assert_eq!(c.heartbeat("g", 1, &member, None), error::NONE);
    at(&mut c, 1899);
    assert_eq!(c.describe("g").members.len(), 1);
    at(&mut c, 1901);
    assert_eq!((c.describe("g").members.len(), c.describe("g").state), (0, "Empty"));
}

#[test] // KIP-345
fn a_static_member_keeps_its_place_and_fences_its_older_self() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    let leader = stable(&mut c, &mut log);
    c.join(10, join("", Some("i")));
    c.join(11, join(&leader, None));
    let (_, _, old, _) = joined(&settle(&mut c, &mut log), 10);
    let assignments = vec![(old.clone(), Bytes::from_static(b"mine"))];
    c.sync(12, Sync { group: "g".into(), generation: 2, member: leader, assignments, ..Sync::default() });
    settle(&mut c, &mut log);
    c.join(13, join("", Some("i")));
    let replies = settle(&mut c, &mut log);
    let (error, generation, new, _) = joined(&replies, 13);
    assert_eq!((error, generation), (0, 2), "no rebalance");
    assert_ne!(new, old);
    assert_eq!(c.heartbeat("g", 2, &old, Some("i")), error::FENCED_INSTANCE_ID);
    assert_eq!(c.heartbeat("g", 2, &new, Some("i")), error::NONE);
}

fn committed(error: i16) -> Reply {
    Reply::Committed { error, too_long: Vec::new() }
}

fn commit(generation: i32, member: &str, offset: i64, metadata: &str) -> Commit {
    let value = OffsetAndMetadata {
        offset,
        leader_epoch: 4,
        metadata: metadata.into(),
        timestamp: 9,
        topic_id: TopicId::ZERO,
        expires: None,
    };
    Commit {
        group: "g".into(),
        generation,
        member: member.into(),
        instance: None,
        offsets: vec![("t".into(), 3, value)],
    }
}

#[test] // rule 39
fn commits_are_fenced_and_keep_metadata_and_epoch() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    let member = stable(&mut c, &mut log);
    let cases = [
        (commit(1, &member, 5, "m"), error::NONE),
        (commit(7, &member, 6, ""), error::ILLEGAL_GENERATION),
        (commit(1, "stranger", 6, ""), error::UNKNOWN_MEMBER_ID),
        (commit(-1, "", 6, ""), error::UNKNOWN_MEMBER_ID),
    ];
    for (request, expected) in cases {
        c.commit(20, request.clone());
        let replies = settle(&mut c, &mut log);
        assert_eq!(replies, [(20, committed(expected))], "{request:?}");
    }
    let mut mixed = commit(1, &member, 6, "far too long");
    mixed.offsets.push(("u".into(), 0, mixed.offsets[0].2.clone()));
    mixed.offsets[1].2.metadata.truncate(3);
    c.commit(21, mixed);
    let replies = settle(&mut c, &mut log);
    assert_eq!(replies, [(21, Reply::Committed { error: error::NONE, too_long: vec![0] })]);
    assert_eq!(
        c.fetch("g", Some(&[("u".into(), 0)])).expect("loaded")[0].2.as_ref().expect("kept").offset,
        6
    );
    let key = ("t".to_owned(), 3);
    let fetched = c.fetch("g", Some(std::slice::from_ref(&key))).expect("loaded");
    let stored = fetched[0].2.as_ref().expect("committed");
    assert_eq!((stored.offset, stored.leader_epoch, stored.metadata.as_str()), (5, 4, "m"));
    assert_eq!(c.fetch("none", Some(&[key])).expect("loaded")[0].2, None);
}

#[test] // a leader change forgets nothing
fn another_coordinator_knows_what_the_log_says() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    let member = stable(&mut c, &mut log);
    c.commit(20, commit(1, &member, 5, "m"));
    settle(&mut c, &mut log);
    let mut next = Coordinator::new(config(), 8);
    assert_eq!(next.fetch("g", None), Err(error::COORDINATOR_LOAD_IN_PROGRESS), "rule 43");
    log.iter().for_each(|(key, value)| next.replay(key.clone(), value.clone()));
    next.loaded(Instant::ZERO);
    assert_eq!(next.fetch("g", None), c.fetch("g", None));
    assert_eq!(next.heartbeat("g", 1, &member, None), error::NONE);
    assert_eq!(next.describe("g"), c.describe("g"));
    next.delete(1, "g");
    assert_eq!(settle(&mut next, &mut log), [(1, Reply::Deleted { error: error::NON_EMPTY_GROUP })]);
}

#[test]
fn hashes_and_keys_are_javas() {
    assert_eq!(partition_for("a", 50), 97 % 50);
    assert_eq!(partition_for("ab", 50), (97 * 31 + 98) % 50);
    assert_eq!(partition_for("", 50), 0);
    let key = Key::Offset { group: "g".into(), topic: "t".into(), partition: 7 };
    assert_eq!(records::encode_key(&key)[..], [0, 1, 0, 1, b'g', 0, 1, b't', 0, 0, 0, 7]);
    assert_eq!(records::decode_key(records::encode_key(&key)), Some(key));
    assert_eq!(records::decode_key(Bytes::from_static(&[0, 9, 0])), None);
}
