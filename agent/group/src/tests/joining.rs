//! Who gets in, who waits, who is refused.

use super::*;

/// Members that joined and synced together; the first leads.
fn stable_of(c: &mut Coordinator, log: &mut Vec<(Bytes, Option<Bytes>)>, joins: Vec<Join>) -> Vec<String> {
    let base = 1000;
    for (n, join) in joins.iter().enumerate() {
        c.join(base + n as u64, join.clone());
    }
    let due = c.now.as_micros() / 1000 + 100;
    at(c, due);
    at(c, due + 100);
    let replies = settle(c, log);
    let found: Vec<_> = (0..joins.len()).map(|n| joined(&replies, base + n as u64)).collect();
    let leader = found.iter().find(|m| m.3 > 0).expect("one leads").2.clone();
    let assignments = found.iter().map(|m| (m.2.clone(), Bytes::copy_from_slice(m.2.as_bytes()))).collect();
    let of = |member: &str| Sync {
        group: "g".into(),
        generation: found[0].1,
        member: member.into(),
        ..Sync::default()
    };
    c.sync(1, Sync { assignments, ..of(&leader) });
    found.iter().filter(|m| m.2 != leader).for_each(|m| c.sync(2, of(&m.2)));
    settle(c, log);
    assert_eq!(c.describe("g").state, "Stable");
    let mut ids: Vec<String> = found.into_iter().map(|m| m.2).collect();
    ids.sort_by_key(|id| *id != leader);
    ids
}

fn old_join(name: &str) -> Join {
    Join { can_require_id: false, client_id: name.into(), ..join("", None) }
}

fn error_of(reply: &Reply) -> i16 {
    match reply {
        Reply::Joined { error, .. }
        | Reply::Synced { error, .. }
        | Reply::Committed { error, .. }
        | Reply::Deleted { error } => *error,
    }
}

#[test]
fn joins_that_are_not_in_order_are_refused() {
    let cases = [
        (Join { group: String::new(), ..join("", None) }, error::INVALID_GROUP_ID),
        (Join { session_timeout_ms: 9, ..join("", None) }, error::INVALID_SESSION_TIMEOUT),
        (Join { session_timeout_ms: 60_001, ..join("", None) }, error::INVALID_SESSION_TIMEOUT),
        (Join { protocols: Vec::new(), ..join("", None) }, error::INCONSISTENT_GROUP_PROTOCOL),
        (Join { protocol_type: String::new(), ..join("", None) }, error::INCONSISTENT_GROUP_PROTOCOL),
        (Join { instance: Some("i".repeat(40_000)), ..join("", None) }, error::INVALID_REQUEST),
        (join("stranger", None), error::UNKNOWN_MEMBER_ID),
        (join("stranger", Some("i")), error::UNKNOWN_MEMBER_ID),
    ];
    for (request, expected) in cases {
        let mut c = coordinator();
        c.join(1, request);
        assert_eq!(error_of(&settle(&mut c, &mut Vec::new())[0].1), expected);
        assert_eq!(c.list(), [], "a refusal leaves nothing");
    }
    let (mut c, mut log) = (coordinator(), Vec::new());
    stable(&mut c, &mut log);
    c.join(9, Join { protocol_type: "connect".into(), ..join("", None) });
    c.join(10, Join { protocols: vec![("other".into(), Bytes::new())], ..join("", None) });
    let errors: Vec<i16> = settle(&mut c, &mut log).iter().map(|(_, r)| error_of(r)).collect();
    assert_eq!(errors, [error::INCONSISTENT_GROUP_PROTOCOL; 2]);
}

#[test] // KIP-389
fn a_full_group_lets_nobody_in_but_its_own() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    let ids = stable_of(&mut c, &mut log, (0..5).map(|n| old_join(&n.to_string())).collect());
    c.join(5, old_join("sixth"));
    let replies = settle(&mut c, &mut log);
    assert_eq!(joined(&replies, 5).0, error::GROUP_MAX_SIZE_REACHED);
    assert_eq!(c.heartbeat("g", 1, &ids[0], None), error::NONE, "and nobody was disturbed");
}

#[test] // KIP-134
fn the_first_rebalance_waits_on_while_members_come() {
    let mut c = coordinator();
    c.join(1, old_join("a"));
    at(&mut c, 50);
    c.join(2, old_join("b"));
    at(&mut c, 100);
    assert_eq!(c.take_actions(), [], "b came in the meantime");
    at(&mut c, 200);
    assert_eq!(settle(&mut c, &mut Vec::new()).len(), 2);
}

#[test] // rule 38: a promised member is waited for, but not for ever
fn a_rebalance_waits_for_promised_members() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    let first = stable(&mut c, &mut log);
    c.join(4, join("", None));
    c.join(5, old_join("b"));
    c.join(6, join(&first, None));
    assert_eq!(settle(&mut c, &mut log).len(), 1, "only the promise itself");
    at(&mut c, 1100);
    let replies = settle(&mut c, &mut log);
    assert_eq!((joined(&replies, 5).0, joined(&replies, 6).0), (0, 0));
}

#[test]
fn who_does_not_rejoin_in_time_is_out() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    let ids = stable_of(&mut c, &mut log, vec![old_join("a"), old_join("b")]);
    c.join(4, join(&ids[0], None));
    assert_eq!(settle(&mut c, &mut log), []);
    for ms in (200..5400).step_by(500) {
        at(&mut c, ms);
        c.heartbeat("g", 1, &ids[1], None);
    }
    let replies = settle(&mut c, &mut log);
    assert_eq!(joined(&replies, 4), (0, 2, ids[0].clone(), 1));
    assert_eq!(c.heartbeat("g", 2, &ids[1], None), error::UNKNOWN_MEMBER_ID);
}

#[test] // Kafka's pending sync
fn who_does_not_sync_in_time_is_out() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    c.join(1, old_join("a"));
    c.join(2, old_join("b"));
    at(&mut c, 100);
    at(&mut c, 200);
    let replies = settle(&mut c, &mut log);
    let (a, b) = (joined(&replies, 1), joined(&replies, 2));
    let (leader, late) = if a.3 > 0 { (a.2, b.2) } else { (b.2, a.2) };
    c.sync(3, Sync { group: "g".into(), generation: 1, member: leader.clone(), ..Sync::default() });
    settle(&mut c, &mut log);
    for ms in (200..5400).step_by(500) {
        at(&mut c, ms);
        c.heartbeat("g", 1, &leader, None);
        c.heartbeat("g", 1, &late, None);
    }
    assert_eq!(c.heartbeat("g", 1, &late, None), error::UNKNOWN_MEMBER_ID);
    assert_eq!(c.heartbeat("g", 1, &leader, None), error::REBALANCE_IN_PROGRESS);
}

#[test] // KIP-814
fn a_static_leader_comes_back_without_a_new_assignment() {
    for skips in [true, false] {
        let (mut c, mut log) = (coordinator(), Vec::new());
        let ids = stable_of(&mut c, &mut log, vec![join("", Some("x")), join("", Some("y"))]);
        let name = c.describe("g").members.iter().find(|m| m.id == ids[0]).and_then(|m| m.instance.clone());
        c.join(9, Join { can_skip_assignment: skips, ..join("", name.as_deref()) });
        assert!(
            matches!(c.take_actions()[..], [Action::Append { token, .. }] if { c.appended(token, true); true })
        );
        let replies = settle(&mut c, &mut log);
        let Reply::Joined { error: 0, generation: 1, leader, member, members, skip_assignment, .. } =
            &replies[0].1
        else {
            panic!("{replies:?}")
        };
        assert_eq!((*skip_assignment, members.len()), if skips { (true, 2) } else { (false, 0) });
        assert_eq!(leader == member, skips);
        c.sync(10, Sync { group: "g".into(), generation: 1, member: member.clone(), ..Sync::default() });
        let replies = settle(&mut c, &mut log);
        assert!(
            matches!(&replies[0].1, Reply::Synced { error: 0, assignment, .. } if !assignment.is_empty())
        );
    }
}

#[test] // KIP-559
fn a_sync_for_another_protocol_is_refused() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    let member = stable(&mut c, &mut log);
    let sync = Sync { group: "g".into(), generation: 1, member, ..Sync::default() };
    c.sync(
        1,
        Sync { protocol_type: Some("consumer".into()), protocol: Some("range".into()), ..sync.clone() },
    );
    c.sync(2, Sync { protocol_type: Some("connect".into()), ..sync.clone() });
    c.sync(3, Sync { protocol: Some("sticky".into()), ..sync });
    let errors: Vec<i16> = settle(&mut c, &mut log).iter().map(|(_, r)| error_of(r)).collect();
    assert_eq!(errors, [0, error::INCONSISTENT_GROUP_PROTOCOL, error::INCONSISTENT_GROUP_PROTOCOL]);
}

#[test]
fn an_assignment_that_is_not_in_the_log_is_nobodys() {
    let mut c = coordinator();
    c.join(1, old_join("a"));
    at(&mut c, 100);
    let (_, _, member, _) = joined(&settle(&mut c, &mut Vec::new()), 1);
    let sync = Sync { group: "g".into(), generation: 1, member: member.clone(), ..Sync::default() };
    c.sync(2, sync.clone());
    let Some(Action::Append { token, .. }) = c.take_actions().pop() else { panic!("it is appended") };
    c.sync(3, sync);
    let replies = settle(&mut c, &mut Vec::new());
    assert_eq!(replies.len(), 1, "a retry replaces the request, it does not append again: {replies:?}");
    assert_eq!(error_of(&replies[0].1), error::REBALANCE_IN_PROGRESS);
    c.appended(token, false);
    let replies = settle(&mut c, &mut Vec::new());
    assert_eq!((replies[0].0, error_of(&replies[0].1)), (3, error::COORDINATOR_NOT_AVAILABLE));
    assert_eq!(c.heartbeat("g", 1, &member, None), error::REBALANCE_IN_PROGRESS);
}

#[test]
fn who_resigns_answers_everyone() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    let member = stable(&mut c, &mut log);
    c.commit(5, commit(1, &member, 1, ""));
    c.join(6, join(&member, None));
    c.join(7, Join { group: "other".into(), ..old_join("b") });
    c.commit(8, Commit { group: "simple".into(), generation: -1, ..commit(-1, "", 1, "") });
    c.take_actions();
    c.resign();
    let mut replies = settle(&mut c, &mut log);
    replies.sort_by_key(|(request, _)| *request);
    let errors: Vec<(u64, i16)> = replies.iter().map(|(request, r)| (*request, error_of(r))).collect();
    let left: Vec<(u64, i16)> = [5, 7, 8].map(|r| (r, error::NOT_COORDINATOR)).to_vec();
    assert_eq!(errors, left, "6 was answered as the only member of its group");
    assert_eq!(c.fetch("g", None), Err(error::NOT_COORDINATOR));
}

#[test]
fn tokens_of_an_earlier_life_mean_nothing() {
    let (mut one, mut two) = (coordinator(), Coordinator::new(config(), 8));
    two.loaded(Instant::ZERO);
    let token = |c: &mut Coordinator| {
        c.commit(1, Commit { generation: -1, member: String::new(), ..commit(-1, "", 1, "") });
        match c.take_actions().pop() {
            Some(Action::Append { token, .. }) => token,
            other => panic!("{other:?}"),
        }
    };
    let old = token(&mut one);
    token(&mut two);
    two.appended(old, true);
    assert_eq!(two.take_actions(), []);
}

#[test] // KIP-345
fn an_operator_removes_static_members_by_name() {
    let (mut c, mut log) = (coordinator(), Vec::new());
    stable_of(&mut c, &mut log, vec![join("", Some("x")), join("", Some("y"))]);
    let by = |member: &str, name: &str| Leave { member: member.into(), instance: Some(name.into()) };
    let leaving = [by("", "x"), by("", "x"), by("", "z"), by("wrong", "y")];
    let expected =
        [error::NONE, error::UNKNOWN_MEMBER_ID, error::UNKNOWN_MEMBER_ID, error::FENCED_INSTANCE_ID];
    assert_eq!(c.leave("g", &leaving), Ok(expected.to_vec()));
}
