//! Hand-over, drains, rebalances that are asked for and cancelled, guards of writes, members that left.

use bytes::{BufMut, BytesMut};
use streamkeeper_base::codec::put_bytes;
use streamkeeper_base::{Address, DiskId, MemberId, WallMillis};

use super::{automatic, cluster, incarnation, m, of, proposal, propose, register, run, settle, topic, tp};
use crate::{
    Admitted, ClusterImage, Command, Delta, Guard, Operation, Outcome, leads, next_command, plan, skew,
};

fn operate(image: &mut ClusterImage, operation: Operation) {
    run(image, Command::Operate(operation)).expect("good");
}

fn next(image: &ClusterImage) -> Option<Command> {
    next_command(image, WallMillis(7), |_| 10)
}

/// The rebalancer's next step, which must be there.
fn step(image: &mut ClusterImage, what: &str) {
    let command = next(image).expect(what);
    run(image, command).expect("the rebalancer's own command");
}

/// Three members that hold a dozen partitions, and two more that came later; nothing moves by itself.
fn manual_and_skewed() -> ClusterImage {
    let mut image = ClusterImage::default();
    (0..3).for_each(|id| run(&mut image, register(id, id as u8, "")).expect("new"));
    run(&mut image, topic("t", 12, 3)).expect("good");
    (3..5).for_each(|id| run(&mut image, register(id, id as u8, "")).expect("new"));
    image
}

fn placed(image: &ClusterImage) -> Vec<Vec<MemberId>> {
    image.partitions().map(|(_, _, p)| p.replicas.clone()).collect()
}

#[test]
fn a_member_that_rests_leads_nothing_until_it_starts_again() {
    let mut image = cluster(3);
    run(&mut image, topic("t", 6, 3)).expect("good");
    assert_eq!(leads(&image, m(1)), (2, 0));
    operate(&mut image, Operation::Rest(m(1)));
    assert_eq!(leads(&image, m(1)), (0, 0));
    assert_eq!(next(&image), None, "no preferred leader is put back");
    assert!(skew(&image).is_balanced(), "a restart is no skew");
    // A broken link is no new start.
    run(&mut image, Command::Fence(m(1))).expect("good");
    let address = image.members[&m(1)].address.clone();
    let again = |started| Command::Register {
        member: m(1),
        disk: DiskId([1; 16]),
        incarnation: incarnation(1, 0),
        address: address.clone(),
        started,
    };
    run(&mut image, again(false)).expect("good");
    assert!(image.members[&m(1)].resting);
    run(&mut image, again(true)).expect("good");
    assert!(!image.members[&m(1)].resting);
    (0..6).for_each(|p| {
        let partition = image.topics["t"].partitions[p].clone();
        let isr = partition.replicas.clone();
        let proposed = proposal(&image, tp("t", p as i32), &partition, isr, false);
        run(&mut image, proposed).expect("good");
    });
    settle(&mut image);
    assert_eq!(leads(&image, m(1)), (2, 0), "its leads come back once it is in sync");
}

#[test]
fn a_member_with_a_full_disk_leads_only_where_nobody_else_can_and_gets_no_replicas() {
    let mut image = cluster(4);
    run(&mut image, topic("t", 8, 3)).expect("good");
    assert_eq!(leads(&image, m(1)), (2, 0));
    operate(&mut image, Operation::NoteSpace { member: m(1), full: true });
    assert_eq!(leads(&image, m(1)), (0, 0));
    assert_eq!(next(&image), None, "no preferred leader is put back, and nothing moves");
    let decoded = ClusterImage::decode(image.encode()).expect("an image");
    assert!(decoded == image && decoded.members[&m(1)].full);
    run(&mut image, topic("new", 4, 3)).expect("good");
    let holds = image.topics["new"].partitions.iter().any(|p| p.replicas.contains(&m(1)));
    assert!(!holds, "there is room elsewhere");
    run(&mut image, topic("wide", 1, 4)).expect("it holds a replica where nobody else can");
    operate(&mut image, Operation::NoteSpace { member: m(1), full: false });
    settle(&mut image);
    assert!(leads(&image, m(1)).0 >= 2, "its leads come back");
}

#[test]
fn the_only_replica_in_sync_goes_on_leading_while_it_rests() {
    let mut image = cluster(3);
    run(&mut image, topic("t", 1, 3)).expect("good");
    let leader = of(&image, "t").leader.expect("led");
    propose(&mut image, "t", &[leader.0]).expect("good");
    operate(&mut image, Operation::Rest(leader));
    assert_eq!((of(&image, "t").leader, leads(&image, leader)), (Some(leader), (1, 1)));
}

#[test]
fn a_rebalance_in_manual_mode_begins_when_asked_for_and_counts_what_it_does() {
    let mut image = manual_and_skewed();
    let moves = plan(&image).len() as u64;
    assert!(moves > 0);
    assert_eq!(next(&image), None, "nobody asked");
    operate(&mut image, Operation::StartRebalance { at: WallMillis(3) });
    settle(&mut image);
    let done = &image.rebalance.run;
    assert_eq!((done.moves_done, done.bytes_done % 10), (moves, 0));
    assert!(done.bytes_done > 0 && done.bytes_done <= moves * 10 * 3);
    assert_eq!((done.started, done.ended), (Some(WallMillis(3)), Some(WallMillis(7))));
    assert!(!done.is_active() && !done.asked_for && done.moving.is_empty());
    assert!(skew(&image).is_balanced());
}

#[test]
fn a_new_quorum_leader_goes_on_where_the_old_one_stopped() {
    let mut image = manual_and_skewed();
    operate(&mut image, Operation::StartRebalance { at: WallMillis(3) });
    for _ in 0..3 {
        step(&mut image, "a move");
    }
    let successor = ClusterImage::decode(image.encode()).expect("our own bytes");
    assert_eq!(next(&successor), next(&image));
    assert_eq!(successor.rebalance.run.moving.len() as u64 + successor.rebalance.run.moves_done, 3);
}

#[test] // KIP-455: a cancellation takes back what was added
fn a_cancelled_rebalance_takes_its_moves_back_and_begins_no_others() {
    let mut image = manual_and_skewed();
    let before = placed(&image);
    operate(&mut image, Operation::StartRebalance { at: WallMillis(3) });
    for _ in 0..4 {
        step(&mut image, "a move");
    }
    // A client's own reassignment is its own business.
    let target = vec![m(4), m(3), m(0)];
    let own = image.partitions().find(|(_, _, p)| !p.is_moving()).map(|(tp, _, _)| tp).expect("one rests");
    run(&mut image, Command::Reassign { tp: own, replicas: target.clone() }).expect("good");
    let cancel = Command::Operate(Operation::CancelRebalance { at: WallMillis(5) });
    let (_, outcome) = image.prepare(&cancel).expect("good");
    assert_eq!(outcome, Outcome::TakenBack(4));
    run(&mut image, cancel.clone()).expect("good");
    for ((tp, _, partition), before) in image.partitions().zip(&before) {
        if tp == own {
            assert!(partition.is_moving());
        } else {
            assert_eq!((&partition.replicas, partition.is_moving()), (before, false));
        }
    }
    assert_eq!(image.prepare(&cancel).expect("good").0, [], "cancelled is cancelled");
    assert!(!matches!(next(&image), Some(Command::Operate(Operation::Move { .. }))), "nothing is begun");
    run(&mut image, Command::Cordon(m(2))).expect("good");
    assert!(!matches!(next(&image), Some(Command::Operate(Operation::Move { .. }))), "not even a drain");
    operate(&mut image, Operation::Drain(m(2)));
    settle(&mut image);
    assert_eq!(image.replicas_on(m(2)), 0);
}

#[test]
fn a_cancellation_keeps_a_replica_whose_disk_may_count_until_the_leader_lets_it_go() {
    let mut image = cluster(4);
    run(&mut image, topic("t", 1, 3)).expect("good");
    let before = of(&image, "t").replicas;
    operate(&mut image, Operation::Drain(before[2]));
    step(&mut image, "a move");
    let added = of(&image, "t").adding[0];
    let everyone: Vec<i32> = of(&image, "t").replicas.iter().map(|id| id.0).collect();
    propose(&mut image, "t", &everyone).expect("it caught up");
    operate(&mut image, Operation::CancelRebalance { at: WallMillis(5) });
    let p = of(&image, "t");
    assert_eq!((p.adding, p.removing, p.isr.contains(&added)), (vec![], vec![added], true));
    let old: Vec<i32> = before.iter().map(|id| id.0).collect();
    propose(&mut image, "t", &old).expect("the leader lets it go");
    assert_eq!((of(&image, "t").replicas, image.rebalance.run.moves_done), (before, 0));
}

#[test]
fn a_drain_in_manual_mode_moves_nothing_else() {
    let mut image = manual_and_skewed();
    let others = |image: &ClusterImage| -> usize {
        image.partitions().filter(|(_, _, p)| !p.replicas.contains(&m(2))).count()
    };
    assert_eq!(others(&image), 0);
    operate(&mut image, Operation::Drain(m(2)));
    settle(&mut image);
    assert_eq!((image.replicas_on(m(2)), image.replicas_on(m(0)), image.replicas_on(m(1))), (0, 12, 12));
    run(&mut image, Command::Uncordon(m(2))).expect("good");
    assert_eq!(next(&image), None, "nor does the end of it");
}

#[test]
fn a_move_towards_a_member_that_is_emptied_is_turned_around() {
    let mut image = cluster(4);
    run(&mut image, topic("t", 1, 3)).expect("good");
    let free = (0..4).map(m).find(|id| !of(&image, "t").replicas.contains(id)).expect("one is free");
    let holder = of(&image, "t").replicas[2];
    operate(&mut image, Operation::Drain(holder));
    step(&mut image, "a move");
    assert_eq!(of(&image, "t").adding, [free]);
    run(&mut image, Command::Uncordon(holder)).expect("good");
    operate(&mut image, Operation::Drain(free));
    step(&mut image, "the way back");
    let p = of(&image, "t");
    assert!(!p.replicas.contains(&free) && p.replicas.contains(&holder) && !p.is_moving(), "{p:?}");
}

#[test]
fn moves_of_a_deleted_topic_are_forgotten() {
    let mut image = manual_and_skewed();
    operate(&mut image, Operation::StartRebalance { at: WallMillis(3) });
    step(&mut image, "a move");
    run(&mut image, Command::DeleteTopic(tp("t", 0).topic)).expect("good");
    assert!(image.rebalance.run.moving.is_empty());
    settle(&mut image);
    assert!(!image.rebalance.run.is_active());
}

#[test]
fn what_a_configuration_says_counts_until_somebody_sets_a_policy() {
    let mut image = automatic();
    let set = |auto, initial| Operation::SetPolicy { auto: Some(auto), bytes_per_second_max: None, initial };
    operate(&mut image, set(false, true));
    assert!(!image.rebalance.policy.auto);
    operate(&mut image, set(true, false));
    operate(&mut image, set(false, true));
    assert!(image.rebalance.policy.auto, "the next quorum leader's file does not undo it");
    let limit = Operation::SetPolicy { auto: None, bytes_per_second_max: Some(9), initial: false };
    operate(&mut image, limit);
    assert_eq!((image.rebalance.policy.auto, image.rebalance.policy.bytes_per_second_max), (true, 9));
}

#[test]
fn a_member_that_left_for_good_does_not_come_back_with_its_old_disk() {
    let mut image = cluster(4);
    run(&mut image, Command::Unregister(m(3))).expect("it holds nothing");
    let again = run(&mut image, register(3, 3, ""));
    assert!(again.expect_err("the same disk").message.contains("empty data directory"));
    run(&mut image, Command::Unregister(m(3))).expect("gone already is done");
    run(&mut image, register(3, 77, "")).expect("an empty disk is a new member");
    assert!(image.removed.is_empty());
}

#[test]
fn a_write_counts_once_and_only_under_the_newest_operator() {
    let mut image = cluster(1);
    let guard = |request: &str, fencing_token| Guard { request: request.to_owned(), fencing_token };
    let admit = |image: &mut ClusterImage, guard: &Guard| {
        let admitted = image.admit(guard)?;
        if let Admitted::Now(deltas) = &admitted {
            deltas.iter().for_each(|delta| image.apply(delta));
        }
        Ok::<_, crate::CommandError>(admitted)
    };
    assert_eq!(admit(&mut image, &Guard::default()), Ok(Admitted::Now(vec![])), "a person, without a lease");
    let both = vec![Delta::FencingToken(4), Delta::Request("a".to_owned())];
    assert_eq!(admit(&mut image, &guard("a", 4)), Ok(Admitted::Now(both)));
    assert_eq!(admit(&mut image, &guard("a", 4)), Ok(Admitted::Before));
    assert_eq!(admit(&mut image, &guard("b", 3)).expect_err("an older lease").code, 11);
    assert!(admit(&mut image, &guard(&"x".repeat(65), 4)).is_err());
    for other in 0..300 {
        admit(&mut image, &guard(&other.to_string(), 0)).expect("good");
    }
    assert_eq!(image.requests.len(), 256, "memory is bounded");
    assert_eq!(ClusterImage::decode(image.encode()), Ok(image));
}

#[test]
fn an_image_of_the_version_before_is_read() {
    let mut bytes = BytesMut::new();
    bytes.put_u32(1);
    bytes.put_i32(5);
    bytes.put_slice(&[9; 16]);
    put_bytes(&mut bytes, &Address { host: "h".into(), ..Address::default() }.encode());
    bytes.put_slice(&[1, 0]); // live, not cordoned
    bytes.put_u32(0); // topics
    bytes.put_i64(3000);
    bytes.put_u8(1); // rebalances by itself
    let image = ClusterImage::decode(bytes.freeze()).expect("version 1");
    let member = &image.members[&m(5)];
    assert!(member.live && !member.cordoned && !member.resting && member.incarnation.0 == [9; 16]);
    assert_eq!(member.disk.0, [9; 16]);
    assert!(image.rebalance.policy.auto && !image.rebalance.policy.is_set);
    assert_eq!(image.next_producer_id, 3000);
    assert!(ClusterImage::decode(bytes::Bytes::from_static(&[4])).is_err(), "a later version is refused");
}
