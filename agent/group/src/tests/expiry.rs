//! Deletion and expiry of offsets and groups.

use super::*;

fn simple(group: &str, topic: &str, timestamp: i64) -> Commit {
    let mut commit = commit(-1, "", 5, "");
    commit.group = group.into();
    commit.offsets[0].0 = topic.into();
    commit.offsets[0].2.timestamp = timestamp;
    commit
}

fn replayed(log: &[(Bytes, Option<Bytes>)]) -> Coordinator {
    let mut next = Coordinator::new(config(), 99);
    log.iter().for_each(|(key, value)| next.replay(key.clone(), value.clone()));
    next.loaded(Instant::ZERO);
    next
}

/// Ticks at this wall-clock time, late enough for the next look.
fn wall(c: &mut Coordinator, log: &mut Vec<(Bytes, Option<Bytes>)>, wall_ms: i64) {
    let later = c.now + Duration::from_secs(601);
    c.set_time(later, wall_ms);
    c.tick();
    settle(c, log);
}

#[test] // KIP-211
fn offsets_expire_from_when_the_group_emptied() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    let member = stable(&mut c, &mut log);
    c.commit(20, commit(1, &member, 5, "m"));
    settle(&mut c, &mut log);
    c.set_time(c.now, 5_000_000);
    assert_eq!(c.leave("g", &[Leave { member, instance: None }]), Ok(vec![0]));
    settle(&mut c, &mut log);
    wall(&mut c, &mut log, 5_999_999);
    assert_eq!(c.fetch("g", None).expect("loaded").len(), 1, "the commit is old, the emptiness is not");
    let mut successor = replayed(&log);
    for c in [&mut c, &mut successor] {
        wall(c, &mut log, 6_000_000);
        assert_eq!((c.fetch("g", None), c.list()), (Ok(vec![]), vec![]));
    }
    assert_eq!(replayed(&log).list(), []);
}

#[test]
fn offsets_without_members_expire_by_their_commit() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    c.commit(1, simple("s", "old", 0));
    c.commit(2, simple("s", "new", 500_000));
    settle(&mut c, &mut log);
    wall(&mut c, &mut log, 1_200_000);
    let left: Vec<String> =
        c.fetch("s", None).expect("loaded").into_iter().map(|(topic, ..)| topic).collect();
    assert_eq!(left, ["new"]);
    assert_eq!(replayed(&log).fetch("s", None), c.fetch("s", None));
}

#[test] // OffsetCommit 2 to 4: retention_time_ms
fn offsets_with_a_time_of_their_own_expire_by_it() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    for (number, topic, expires) in
        [(1, "short", Some(600_000)), (2, "long", Some(9_000_000)), (3, "as all", None)]
    {
        let mut commit = simple("s", topic, 500_000);
        commit.offsets[0].2.expires = expires;
        c.commit(number, commit);
    }
    settle(&mut c, &mut log);
    let mut successor = replayed(&log);
    for c in [&mut c, &mut successor] {
        let mut left = |wall_ms| -> Vec<String> {
            wall(c, &mut log, wall_ms);
            c.fetch("s", None).expect("loaded").into_iter().map(|(topic, ..)| topic).collect()
        };
        assert_eq!(left(599_999), ["as all", "long", "short"]);
        assert_eq!(left(600_000), ["as all", "long"]);
        assert_eq!(left(8_999_999), ["long"], "longer than all others are kept");
        assert_eq!(left(9_000_000), Vec::<String>::new());
    }
}

#[test] // KIP-211, last part
fn a_stable_group_loses_what_it_does_not_subscribe_to() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    c.commit(1, simple("g", "t", 0));
    c.commit(2, simple("g", "u", 0));
    settle(&mut c, &mut log);
    let subscription = Bytes::from_static(&[0, 1, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 0]);
    let protocols = vec![("range".to_owned(), subscription)];
    c.join(3, Join { can_require_id: false, session_timeout_ms: 60_000, protocols, ..join("", None) });
    at(&mut c, 100);
    let (_, _, member, _) = joined(&settle(&mut c, &mut log), 3);
    c.sync(4, Sync { group: "g".into(), generation: 1, member: member.clone(), ..Sync::default() });
    settle(&mut c, &mut log);
    c.next_expiry = None;
    c.set_time(c.now, 2_000_000);
    c.tick();
    settle(&mut c, &mut log);
    let left: Vec<String> =
        c.fetch("g", None).expect("loaded").into_iter().map(|(topic, ..)| topic).collect();
    assert_eq!(left, ["t"]);
}

#[test]
fn a_deletion_covers_commits_that_were_under_way() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    c.commit(1, simple("s", "a", 0));
    settle(&mut c, &mut log);
    c.commit(2, simple("s", "b", 0));
    c.delete(3, "s");
    c.commit(4, simple("s", "c", 0));
    let replies = settle(&mut c, &mut log);
    assert_eq!(replies, [(2, committed(0)), (3, Reply::Deleted { error: 0 }), (4, committed(0))]);
    let left: Vec<String> =
        c.fetch("s", None).expect("loaded").into_iter().map(|(topic, ..)| topic).collect();
    assert_eq!(left, ["c"]);
    assert_eq!(replayed(&log).fetch("s", None), c.fetch("s", None));
}

#[test]
fn a_member_that_joins_during_a_deletion_stays() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    c.commit(1, simple("g", "a", 0));
    settle(&mut c, &mut log);
    c.delete(2, "g");
    c.join(3, Join { can_require_id: false, ..join("", None) });
    settle(&mut c, &mut log);
    at(&mut c, 100);
    assert_eq!(joined(&settle(&mut c, &mut log), 3).0, 0);
    c.delete(4, "g");
    c.delete(5, "none");
    let replies = settle(&mut c, &mut log);
    let deleted = |error| Reply::Deleted { error };
    assert_eq!(replies, [(4, deleted(error::NON_EMPTY_GROUP)), (5, deleted(error::GROUP_ID_NOT_FOUND))]);
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    c.commit(1, simple("s", "a", 0));
    c.commit(2, simple("s", "b", 0));
    settle(&mut c, &mut log);
    c.topic_deleted("a");
    settle(&mut c, &mut log);
    let left: Vec<String> =
        c.fetch("s", None).expect("loaded").into_iter().map(|(topic, ..)| topic).collect();
    assert_eq!(left, ["b"]);
    assert_eq!(replayed(&log).fetch("s", None), c.fetch("s", None));
}

#[test]
fn acknowledgements_out_of_order_leave_what_the_log_ends_with() {
    let mut c = coordinator();
    let (mut first, mut second) = (simple("s", "a", 0), simple("s", "a", 0));
    (first.offsets[0].2.offset, second.offsets[0].2.offset) = (1, 2);
    c.commit(1, first);
    c.commit(2, second);
    let tokens: Vec<u64> = c
        .take_actions()
        .into_iter()
        .map(|action| match action {
            Action::Append { token, .. } => token,
            Action::Reply { .. } => panic!("nothing is answered yet"),
        })
        .collect();
    tokens.iter().rev().for_each(|token| c.appended(*token, true));
    assert_eq!(c.fetch("s", None).expect("loaded")[0].2.as_ref().expect("there").offset, 2);
}

#[test] // offsets.retention.minutes, told while the coordinator runs
fn another_retention_counts_at_the_next_tick() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    c.commit(1, simple("s", "t", 0));
    settle(&mut c, &mut log);
    c.set_time(c.now, 500_000);
    c.tick();
    settle(&mut c, &mut log);
    assert_eq!(c.fetch("s", None).expect("loaded").len(), 1);
    c.set_config(Config { offsets_retention: Duration::from_millis(400_000), ..config() });
    c.tick();
    settle(&mut c, &mut log);
    assert_eq!(c.fetch("s", None), Ok(vec![]));
}
