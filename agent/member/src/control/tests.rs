//! Restarts, removals, drains and progress, judged from an image and the quorum leader's facts.

use std::collections::{BTreeMap, BTreeSet};

use streamkeeper_base::{Address, DiskId, Incarnation, MemberId, TopicId, WallMillis};
use streamkeeper_controller::{
    BlockerKind, ClusterImage, Command, NewTopic, Operation, Verdict, next_command,
};

use super::facts::{Facts, MemberFacts, Said};
use super::progress::{State, planned, progress};
use super::verdict::{draining, removal, restart};

const MEGABYTE: u64 = 1 << 20;

fn m(id: i32) -> MemberId {
    MemberId(id)
}

fn set(ids: &[i32]) -> BTreeSet<MemberId> {
    ids.iter().map(|id| m(*id)).collect()
}

fn run(image: &mut ClusterImage, command: &Command) {
    let (deltas, _) = image.prepare(command).expect("good");
    deltas.iter().for_each(|delta| image.apply(delta));
}

fn register(id: i32) -> Command {
    let (disk, incarnation) = (DiskId([id as u8; 16]), Incarnation([id as u8; 16]));
    Command::Register { member: m(id), disk, incarnation, address: Address::default(), started: true }
}

/// Brokers without partitions.
fn brokers(count: i32) -> ClusterImage {
    let mut image = ClusterImage::default();
    for id in 0..count {
        run(&mut image, &register(id));
    }
    image
}

fn topic(image: &mut ClusterImage, partitions: i32, replication_factor: i16) {
    let topic = NewTopic {
        name: "t".to_owned(),
        id: TopicId([1; 16]),
        partitions,
        replication_factor,
        ..NewTopic::default()
    };
    run(image, &Command::CreateTopic(topic));
}

/// An ensemble led by member 0 in which all are synced; every log is a megabyte.
fn facts(image: &ClusterImage, voters: &[i32], observers: &[i32]) -> Facts {
    let member = |id: i32, votes| {
        let said = Some(Said { disk_free_bytes: Some(100 * MEGABYTE), ..Said::default() });
        (m(id), MemberFacts { is_voter: Some(votes), is_synced: true, said, ..MemberFacts::default() })
    };
    let mut facts = Facts { leader: m(0), ..Facts::default() };
    facts.members = voters.iter().map(|id| member(*id, true)).collect();
    facts.members.extend(observers.iter().map(|id| member(*id, false)));
    for (tp, _, partition) in image.partitions() {
        for id in &partition.replicas {
            facts.sizes.entry(*id).or_default().insert(tp, MEGABYTE);
        }
    }
    facts
}

fn kinds(verdict: &Verdict) -> (Vec<BlockerKind>, Vec<BlockerKind>) {
    let of = |list: &[streamkeeper_controller::Blocker]| list.iter().map(|b| b.kind).collect();
    (of(&verdict.blockers), of(&verdict.others))
}

#[test]
fn a_restart_leaves_a_majority_of_voters_that_have_everything() {
    let image = brokers(5);
    let mut facts = facts(&image, &[0, 1, 2], &[3, 4]);
    assert_eq!(kinds(&restart(&image, &facts, &set(&[0]))), (vec![], vec![]), "the leader too");
    assert_eq!(kinds(&restart(&image, &facts, &set(&[3, 4]))), (vec![], vec![]), "observers do not count");
    assert_eq!(kinds(&restart(&image, &facts, &set(&[1, 2]))).0, [BlockerKind::Quorum]);
    facts.members.get_mut(&m(1)).expect("it is there").is_synced = false;
    let verdict = restart(&image, &facts, &set(&[2]));
    assert_eq!(kinds(&verdict).0, [BlockerKind::Quorum]);
    assert_eq!(verdict.blockers[0].message, "1 of 3 voters would be there and up to date, and 2 are needed");
    assert_eq!(kinds(&restart(&image, &facts, &set(&[9]))).0, [BlockerKind::UnknownMember]);
    facts.is_changing = true;
    assert_eq!(kinds(&restart(&image, &facts, &set(&[3]))).0, [BlockerKind::ChangeInProgress]);
}

#[test]
fn the_only_voter_may_restart_and_that_is_said() {
    let image = brokers(2);
    let facts = facts(&image, &[0], &[1]);
    assert_eq!(kinds(&restart(&image, &facts, &set(&[0]))), (vec![], vec![BlockerKind::Quorum]));
}

#[test]
fn a_removal_says_what_is_left_to_do() {
    let mut image = brokers(4);
    topic(&mut image, 4, 3);
    let facts = facts(&image, &[0, 1, 2], &[3]);
    let (blockers, remaining) = kinds(&removal(&image, &facts, &set(&[3])));
    assert_eq!((blockers, remaining), (vec![], vec![BlockerKind::HoldsReplicas]));
    let expected = [BlockerKind::HoldsReplicas, BlockerKind::Votes, BlockerKind::LeadsQuorum];
    assert_eq!(kinds(&removal(&image, &facts, &set(&[0]))).1, expected);
    let empty = brokers(4);
    assert_eq!(removal(&empty, &facts, &set(&[3])), Verdict::default());
    assert_eq!(removal(&empty, &facts, &set(&[9])), Verdict::default(), "gone already");
}

#[test]
fn a_removal_never_leaves_a_quorum_that_is_not_there() {
    let image = brokers(3);
    let mut facts = facts(&image, &[0, 1, 2], &[]);
    facts.members.get_mut(&m(1)).expect("it is there").is_synced = false;
    assert_eq!(kinds(&removal(&image, &facts, &set(&[2]))).0, [BlockerKind::Quorum], "1 of {{0, 1}}");
    assert_eq!(kinds(&removal(&image, &facts, &set(&[1]))).0, [], "the one that is down may go");
    assert_eq!(kinds(&removal(&image, &facts, &set(&[0, 1, 2]))).0, [BlockerKind::Quorum], "nobody remains");
}

#[test]
fn a_drain_needs_room_on_the_other_disks() {
    let mut image = brokers(4);
    topic(&mut image, 8, 3);
    let mut facts = facts(&image, &[0, 1, 2], &[3]);
    assert_eq!(kinds(&draining(&image, &facts, &set(&[3]))).0, []);
    let said = facts.members.get_mut(&m(1)).and_then(|member| member.said.as_mut()).expect("it said");
    said.disk_free_bytes = Some(MEGABYTE / 2);
    let verdict = draining(&image, &facts, &set(&[3]));
    assert_eq!(kinds(&verdict).0, [BlockerKind::DiskSpace]);
    assert_eq!(verdict.blockers[0].member, Some(m(1)));
}

#[test]
fn a_plan_is_sized_and_changes_nothing() {
    let mut image = brokers(4);
    topic(&mut image, 8, 3);
    let facts = facts(&image, &[0, 1, 2], &[3]);
    let before = image.clone();
    let held = image.replicas_on(m(3));
    let plan = planned(&image, &facts, &set(&[3]));
    assert_eq!((plan.moves.len(), plan.bytes), (held, held as u64 * MEGABYTE));
    assert_eq!((plan.stuck, plan.after.members[&m(3)].0), (0, 0));
    assert_eq!(image, before);
    let stuck = planned(&image, &facts, &set(&[2, 3])).stuck;
    assert!(stuck > 0, "three replicas do not fit on two members");
}

#[test]
fn progress_is_counted_from_the_image_and_the_sizes() {
    let mut image = brokers(3);
    topic(&mut image, 6, 3);
    let facts_before = facts(&image, &[0, 1, 2], &[3]);
    let now = WallMillis(1_000);
    assert_eq!(progress(&image, &facts_before, now).state, State::Balanced);
    run(&mut image, &register(3));
    assert_eq!(progress(&image, &facts_before, now).state, State::Skewed, "nobody asked");
    run(&mut image, &Command::Operate(Operation::StartRebalance { at: now }));
    let due = planned(&image, &facts_before, &set(&[])).moves.len() as u64;
    let command = next_command(&image, now, |_| MEGABYTE).expect("a move");
    run(&mut image, &command);
    let mut facts = facts_before.clone();
    let moving = *image.rebalance.run.moving.keys().next().expect("it moves");
    facts.sizes.insert(m(3), BTreeMap::from([(moving, MEGABYTE / 4)]));
    facts.moved_bytes_per_second = MEGABYTE;
    let told = progress(&image, &facts, now);
    assert_eq!((told.state.clone(), told.moves), (State::Running, (0, due)));
    assert_eq!(told.bytes, (MEGABYTE / 4, due * MEGABYTE));
    let left_ms = i64::try_from(due * 1000 - 250).expect("small");
    assert_eq!(told.estimated_end, Some(WallMillis(now.0 + left_ms)));
    run(&mut image, &Command::Fence(m(3)));
    let waiting = State::Waiting("member 3 is down and shall get replicas".to_owned());
    assert_eq!(progress(&image, &facts, now).state, waiting);
    run(&mut image, &Command::Operate(Operation::CancelRebalance { at: now }));
    run(&mut image, &register(3));
    assert_eq!(progress(&image, &facts, now).state, State::Cancelled);
}
