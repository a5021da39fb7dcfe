//! What blocks a restart or a removal, rule by rule.

use std::collections::{BTreeMap, BTreeSet};

use streamkeeper_base::MemberId;

use super::{cluster, m, of, propose, run, topic};
use crate::{BlockerKind, ClusterImage, Command, Verdict, removal, restart};

fn set(ids: &[i32]) -> BTreeSet<MemberId> {
    ids.iter().map(|id| m(*id)).collect()
}

fn kinds(verdict: &Verdict) -> (Vec<BlockerKind>, Vec<BlockerKind>) {
    let of = |list: &[crate::Blocker]| list.iter().map(|b| b.kind).collect();
    (of(&verdict.blockers), of(&verdict.others))
}

/// Sets `min.insync.replicas` of a topic.
fn min_insync(image: &mut ClusterImage, name: &str, value: &str) {
    let changes = BTreeMap::from([("min.insync.replicas".to_owned(), Some(value.to_owned()))]);
    run(image, Command::AlterConfigs { topic: name.to_owned(), changes }).expect("good");
}

#[test]
fn one_of_three_in_sync_replicas_may_restart_and_two_may_not() {
    let mut image = cluster(4);
    run(&mut image, topic("t", 1, 3)).expect("good");
    let held: Vec<i32> = of(&image, "t").replicas.iter().map(|id| id.0).collect();
    assert_eq!(kinds(&restart(&image, &set(&held[..1]))), (vec![], vec![]));
    let two = restart(&image, &set(&held[..2]));
    assert_eq!(kinds(&two), (vec![BlockerKind::PartitionUnderMinInsync], vec![]));
    assert_eq!(two.blockers[0].message, "t-0 would have 1 replicas in sync, and min.insync.replicas is 2");
    let all = restart(&image, &set(&held));
    assert_eq!(kinds(&all), (vec![BlockerKind::PartitionOffline], vec![]));
    let free: Vec<i32> = (0..4).filter(|id| !held.contains(id)).collect();
    assert_eq!(kinds(&restart(&image, &set(&free))), (vec![], vec![]));
}

#[test]
fn a_member_that_catches_up_is_waited_for_and_one_that_is_down_is_not() {
    let mut image = cluster(3);
    run(&mut image, topic("t", 1, 3)).expect("good");
    min_insync(&mut image, "t", "1");
    let leader = of(&image, "t").leader.expect("led").0;
    let (back, other) = ((leader + 1) % 3, (leader + 2) % 3);
    propose(&mut image, "t", &[leader, other]).expect("good");
    let verdict = restart(&image, &set(&[other]));
    assert_eq!(kinds(&verdict), (vec![BlockerKind::MemberNotReady], vec![]));
    assert_eq!(verdict.blockers[0].member, Some(m(back)));
    run(&mut image, Command::Fence(m(back))).expect("good");
    assert_eq!(kinds(&restart(&image, &set(&[other]))), (vec![], vec![]));
    assert_eq!(kinds(&restart(&image, &set(&[back]))), (vec![], vec![]), "it is in no ISR");
}

#[test]
fn what_no_waiting_can_avoid_is_noted_and_does_not_block() {
    let mut image = cluster(3);
    run(&mut image, topic("single", 1, 1)).expect("good");
    run(&mut image, topic("pair", 1, 2)).expect("good");
    min_insync(&mut image, "pair", "2");
    let on = of(&image, "single").leader.expect("led").0;
    let offline = restart(&image, &set(&[on]));
    assert!(offline.blockers.is_empty());
    assert!(kinds(&offline).1.contains(&BlockerKind::PartitionOffline));
    let pair: Vec<i32> = of(&image, "pair").replicas.iter().map(|id| id.0).collect();
    let one = restart(&image, &set(&pair[..1]));
    assert!(one.blockers.is_empty() && kinds(&one).1.contains(&BlockerKind::PartitionUnderMinInsync));
    let both = restart(&image, &set(&pair));
    assert!(kinds(&both).0.contains(&BlockerKind::PartitionOffline), "one after the other is better");
}

#[test]
fn many_reasons_are_counted_and_not_all_listed() {
    let mut image = cluster(3);
    run(&mut image, topic("t", 50, 3)).expect("good");
    let verdict = restart(&image, &set(&[0, 1]));
    assert_eq!(verdict.blockers.len(), 8);
    assert_eq!(verdict.blockers.iter().map(|b| b.more).sum::<u64>(), 42);
}

#[test]
fn a_removal_needs_room_for_every_replica() {
    let mut image = cluster(4);
    run(&mut image, topic("t", 2, 3)).expect("good");
    assert_eq!(kinds(&removal(&image, &set(&[3]))).0, []);
    let two = removal(&image, &set(&[2, 3]));
    assert_eq!(kinds(&two).0, [BlockerKind::ReplicationFactor]);
    assert_eq!(
        two.blockers[0].message,
        "topic t has 3 replicas of each partition, and 2 members would remain to hold them"
    );
    let held = [0, 1, 2, 3].map(|id| image.replicas_on(m(id)));
    let notes = removal(&image, &set(&[0])).others;
    assert_eq!((notes.len(), notes[0].kind), (1, BlockerKind::HoldsReplicas));
    assert!(notes[0].message.contains(&format!("holds {} replicas", held[0])));
    // Another member that is emptied takes nothing.
    run(&mut image, Command::Cordon(m(1))).expect("good");
    assert_eq!(kinds(&removal(&image, &set(&[3]))).0, [BlockerKind::ReplicationFactor]);
}

#[test]
fn the_last_copy_of_a_partition_without_a_leader_keeps_its_member() {
    let mut image = cluster(3);
    run(&mut image, topic("t", 1, 1)).expect("good");
    let on = of(&image, "t").leader.expect("led");
    run(&mut image, Command::Fence(on)).expect("good");
    assert_eq!(of(&image, "t").leader, None);
    assert_eq!(kinds(&removal(&image, &set(&[on.0]))).0, [BlockerKind::PartitionOffline]);
    let other = (on.0 + 1) % 3;
    assert_eq!(removal(&image, &set(&[other])), Verdict::default(), "it holds nothing");
    assert_eq!(removal(&image, &set(&[9])), Verdict::default(), "gone already is no reason against it");
}
