//! Commands, elections, the planner.

mod operations;
mod recovery;
mod safety;

use std::collections::BTreeMap;

use bytes::BytesMut;
use streamkeeper_base::codec::Get;
use streamkeeper_base::{
    Address, DiskId, Incarnation, LeaderEpoch, MemberId, Offset, PartitionEpoch, PartitionId, Random,
    TopicId, TopicPartition, WallMillis,
};

use crate::{
    ClusterImage, Command, CommandError, Delta, LogReport, NewTopic, Operation, Partition, next_command,
    plan, skew,
};

fn m(id: i32) -> MemberId {
    MemberId(id)
}

fn run(image: &mut ClusterImage, command: Command) -> Result<(), CommandError> {
    let mut bytes = BytesMut::new();
    command.encode(&mut bytes);
    let mut get = Get(bytes.freeze());
    assert_eq!(Command::decode(&mut get), Ok(command.clone()), "our own bytes");
    let (deltas, _) = image.prepare(&command)?;
    let mut bytes = BytesMut::new();
    Delta::encode_all(&deltas, &mut bytes);
    for delta in Delta::decode_all(bytes.freeze()).expect("our own bytes") {
        image.apply(&delta);
    }
    assert_eq!(ClusterImage::decode(image.encode()).as_ref(), Ok(&*image));
    check(image);
    Ok(())
}

/// What must hold of every image.
fn check(image: &ClusterImage) {
    for (tp, _, p) in image.partitions() {
        assert!(p.isr.iter().all(|id| p.replicas.contains(id)), "{tp}: {p:?}");
        assert!(p.elr.iter().all(|id| p.replicas.contains(id) && !p.isr.contains(id)), "{tp}: {p:?}");
        assert!(p.leader.is_none_or(|id| p.isr.contains(&id)), "a leader is in its ISR: {p:?}");
        assert!(p.leader.is_none_or(|id| image.members[&id].live), "a leader is live: {p:?}");
        assert!(p.replicas.len() > p.removing.len(), "{p:?}");
        assert!((1..=p.target().count()).contains(&p.flushed_by), "{p:?}");
        assert!(p.lost.iter().all(|id| p.replicas.contains(id)), "{p:?}");
        assert!(p.reports.is_empty() || p.leader.is_none(), "{p:?}");
    }
}

/// A member comes with a disk and the number of its unclean restarts.
fn unclean(id: i32, disk: u8, restarts: u8, zone: &str) -> Command {
    let address = Address { host: "h".into(), zone: zone.into(), ..Address::default() };
    let incarnation = incarnation(disk, restarts);
    Command::Register { member: m(id), disk: DiskId([disk; 16]), incarnation, address, started: true }
}

fn incarnation(disk: u8, restarts: u8) -> Incarnation {
    Incarnation(std::array::from_fn(|i| if i == 0 { restarts } else { disk }))
}

fn register(id: i32, disk: u8, zone: &str) -> Command {
    unclean(id, disk, 0, zone)
}

/// An empty image that rebalances by itself.
fn automatic() -> ClusterImage {
    let mut image = ClusterImage::default();
    let auto = Operation::SetPolicy { auto: Some(true), bytes_per_second_max: None, initial: true };
    run(&mut image, Command::Operate(auto)).expect("good");
    image
}

fn cluster(members: i32) -> ClusterImage {
    let mut image = automatic();
    (0..members).for_each(|id| run(&mut image, register(id, id as u8, "")).expect("a new member"));
    image
}

fn topic(name: &str, partitions: i32, replication_factor: i16) -> Command {
    let id = TopicId([name.as_bytes()[0]; 16]);
    Command::CreateTopic(NewTopic {
        name: name.into(),
        partitions,
        replication_factor,
        id,
        ..NewTopic::default()
    })
}

fn tp(name: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: TopicId([name.as_bytes()[0]; 16]), partition: PartitionId(partition) }
}

fn of(image: &ClusterImage, name: &str) -> Partition {
    image.topics[name].partitions[0].clone()
}

fn proposal(
    image: &ClusterImage,
    tp: TopicPartition,
    p: &Partition,
    isr: Vec<MemberId>,
    flushed: bool,
) -> Command {
    let joins = isr.iter().filter_map(|id| image.members.get(id).map(|m| (*id, m.incarnation))).collect();
    let leader = p.leader.expect("led");
    let (leader_epoch, partition_epoch) = (p.leader_epoch, p.partition_epoch);
    Command::ProposeIsr { tp, leader, leader_epoch, partition_epoch, isr, joins, flushed }
}

fn propose(image: &mut ClusterImage, name: &str, isr: &[i32]) -> Result<(), CommandError> {
    let p = of(image, name);
    let proposed = proposal(image, tp(name, 0), &p, isr.iter().map(|id| m(*id)).collect(), false);
    run(image, proposed)
}

/// The leader says that everything acknowledged is on the disks of the ISR.
fn flushed(image: &mut ClusterImage, name: &str) {
    let p = of(image, name);
    let proposed = proposal(image, tp(name, 0), &p, p.isr.clone(), true);
    run(image, proposed).expect("good");
}

#[test]
fn topics_are_refused_with_kafkas_codes() {
    let mut image = cluster(3);
    run(&mut image, topic("a.b", 2, -1)).expect("good");
    assert_eq!(of(&image, "a.b").replicas.len(), 3, "the default factor is min(3, members)");
    let configured = |key: &str, value: &str| {
        let configs = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        Command::CreateTopic(NewTopic {
            name: "c".into(),
            partitions: 1,
            replication_factor: 1,
            configs,
            ..NewTopic::default()
        })
    };
    let cases = [
        (topic("a.b", 1, 1), 36),
        (topic("a_b", 1, 1), 17),
        (topic("bad name", 1, 1), 17),
        (topic("x", 0, 1), 37),
        (topic("x", 1, 4), 38),
        (configured("no.such.key", "1"), 40),
        (configured("retention.ms", "soon"), 40),
        (configured("segment.bytes", "1024"), 40),
    ];
    for (command, code) in cases {
        assert_eq!(run(&mut image, command.clone()).expect_err("refused").code, code, "{command:?}");
    }
    assert_eq!(image.topics.len(), 1);
    run(&mut image, more("a.b", 5, None)).expect("good");
    let shrink = run(&mut image, more("a.b", 4, None));
    assert_eq!(shrink.expect_err("refused").code, 37);
}

fn more(topic: &str, total: i32, assignment: Option<&[&[i32]]>) -> Command {
    let ids = |list: &&[i32]| list.iter().map(|id| MemberId(*id)).collect();
    let assignment = assignment.map(|lists| lists.iter().map(ids).collect());
    Command::CreatePartitions { topic: topic.into(), total, assignment }
}

#[test]
fn new_partitions_go_where_the_caller_says() {
    let mut image = cluster(3);
    run(&mut image, topic("t", 1, 2)).expect("good");
    run(&mut image, more("t", 3, Some(&[&[2, 0], &[1, 2]]))).expect("good");
    let replicas = |n: usize| image.topics["t"].partitions[n].replicas.clone();
    assert_eq!((replicas(1), replicas(2)), (vec![MemberId(2), MemberId(0)], vec![MemberId(1), MemberId(2)]));
    let cases: [(&[&[i32]], &str); 4] = [
        (&[], "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified."),
        (&[&[9, 0]], "The manual partition assignment includes broker 9, but no such broker is registered."),
        (&[&[1, 1]], "The manual partition assignment includes the broker 1 more than once."),
        (&[&[1, 2, 0]], "The manual partition assignment includes a partition with 3 replica(s)"),
    ];
    for (extra, message) in cases {
        let assignment: Vec<&[i32]> = std::iter::once(&[0, 1][..]).chain(extra.iter().copied()).collect();
        let refused = run(&mut image, more("t", 5, Some(&assignment))).expect_err("refused");
        assert!(refused.code == 39 && refused.message.starts_with(message), "{refused}");
    }
    assert_eq!(
        run(&mut image, more("t", 3, None)).expect_err("refused").message,
        "Topic already has 3 partition(s)."
    );
}

#[test]
fn a_topic_made_while_a_member_is_down_has_all_its_replicas() {
    let mut image = cluster(3);
    run(&mut image, Command::Fence(MemberId(0))).expect("good");
    run(&mut image, topic("t", 3, -1)).expect("good");
    for partition in &image.topics["t"].partitions {
        assert_eq!((partition.replicas.len(), partition.isr.len()), (3, 2));
        assert_ne!(partition.leader, Some(MemberId(0)));
    }
    assert_eq!(run(&mut image, topic("u", 1, 4)).expect_err("refused").code, 38);
}

#[test]
fn a_fenced_leader_is_replaced_from_the_isr() {
    let mut image = cluster(3);
    run(&mut image, topic("t", 1, 3)).expect("good");
    let first = of(&image, "t").leader.expect("led");
    run(&mut image, Command::Fence(first)).expect("good");
    let p = of(&image, "t");
    assert!(p.leader.is_some() && p.leader != Some(first) && !p.isr.contains(&first));
    assert_eq!((p.leader_epoch, p.isr.len()), (LeaderEpoch(1), 2));
    run(&mut image, register(first.0, first.0 as u8, "")).expect("good");
    assert!(!of(&image, "t").isr.contains(&first), "it comes back by the leader's proposal only");
}

#[test] // KIP-966: the last replica standing does not decide alone
fn members_that_left_below_min_insync_stay_electable() {
    let mut image = cluster(3);
    run(&mut image, topic("t", 1, 3)).expect("good");
    for id in 0..3 {
        run(&mut image, Command::Fence(m(id))).expect("good");
    }
    let p = of(&image, "t");
    assert_eq!((p.leader, p.isr.len()), (None, 0));
    assert_eq!(
        p.elr,
        [m(1), m(2)],
        "member 0 left while two remained: records may have been acknowledged without it"
    );
    run(&mut image, register(0, 0, "")).expect("good");
    assert_eq!(of(&image, "t").leader, None, "it may lack acknowledged records");
    run(&mut image, register(1, 1, "")).expect("good");
    assert_eq!((of(&image, "t").leader, of(&image, "t").isr), (Some(m(1)), vec![m(1)]));
    assert_eq!(of(&image, "t").elr, [m(2)]);
}

#[test] // K8: an unclean restart is a new disk
fn another_disk_holds_nothing() {
    let mut image = cluster(3);
    run(&mut image, topic("t", 1, 3)).expect("good");
    let leader = of(&image, "t").leader.expect("led");
    run(&mut image, register(leader.0, 99, "")).expect("good");
    let p = of(&image, "t");
    assert!(!p.isr.contains(&leader) && !p.elr.contains(&leader) && p.leader != Some(leader));
}

#[test] // KIP-903; found by the simulator: a leader whose link had not broken yet vouched for what a power cut had taken
fn a_follower_joins_only_with_the_disk_that_the_leader_knows() {
    let mut image = cluster(3);
    run(&mut image, topic("t", 1, 3)).expect("good");
    let leader = of(&image, "t").leader.expect("led");
    let (follower, other) = ((leader.0 + 1) % 3, (leader.0 + 2) % 3);
    run(&mut image, unclean(follower, follower as u8, 1, "")).expect("it lost power");
    let p = of(&image, "t");
    assert!(!p.isr.contains(&m(follower)));
    let known = |restarts| {
        let mut command = proposal(&image, tp("t", 0), &p, (0..3).map(m).collect(), false);
        if let Command::ProposeIsr { joins, .. } = &mut command {
            *joins = vec![(m(follower), incarnation(follower as u8, restarts))];
        }
        command
    };
    let (old, new) = (known(0), known(1));
    assert_eq!(run(&mut image, old).expect_err("that state of its disk is gone").code, 107);
    run(&mut image, new).expect("the leader has heard of the new one");
    assert_eq!(of(&image, "t").isr.len(), 3, "{other} stayed");
}

#[test] // KIP-497
fn isr_proposals_are_fenced() {
    let mut image = cluster(3);
    run(&mut image, topic("t", 1, 3)).expect("good");
    let leader = of(&image, "t").leader.expect("led");
    propose(&mut image, "t", &[leader.0, (leader.0 + 1) % 3]).expect("good");
    assert_eq!(of(&image, "t").isr.len(), 2);
    let old = Command::ProposeIsr {
        tp: tp("t", 0),
        leader,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
        isr: vec![leader],
        joins: Vec::new(),
        flushed: false,
    };
    assert_eq!(run(&mut image, old.clone()).expect_err("an old state").code, 95);
    run(&mut image, Command::Fence(leader)).expect("good");
    assert_eq!(run(&mut image, old).expect_err("an old leader").code, 74);
    let fenced = propose(&mut image, "t", &[0, 1, 2]);
    assert_eq!(fenced.expect_err("a fenced member cannot join").code, 107);
}

#[test] // KIP-455, K18
fn a_reassignment_adds_before_it_removes() {
    let mut image = cluster(5);
    run(&mut image, topic("t", 1, 3)).expect("good");
    let before = of(&image, "t");
    let target: Vec<MemberId> = (0..5).map(m).filter(|id| !before.replicas[1..].contains(id)).collect();
    run(&mut image, Command::Reassign { tp: tp("t", 0), replicas: target.clone() }).expect("good");
    let p = of(&image, "t");
    assert_eq!((p.adding.len(), p.removing.len(), p.replicas.len()), (2, 2, 5));
    assert_eq!(p.isr, before.isr, "nobody left yet");
    assert!(!p.is_under_replicated(), "who is only being added is not missed");
    let all: Vec<i32> = (0..5).collect();
    propose(&mut image, "t", &all).expect("all caught up");
    assert_eq!(of(&image, "t").replicas.len(), 5, "who leaves goes when the leader says so");
    let ids: Vec<i32> = target.iter().map(|id| id.0).collect();
    propose(&mut image, "t", &ids).expect("the leader can do without the others");
    let p = of(&image, "t");
    assert_eq!((p.replicas, p.adding, p.removing), (target, vec![], vec![]));
    assert!(p.isr.len() == 3 && p.leader.is_some());
}

/// Replicas catch up at once: each moving partition's leader proposes everyone who stays.
fn settle(image: &mut ClusterImage) -> usize {
    let mut steps = 0;
    while let Some(command) = next_command(image, WallMillis(7), |_| 10) {
        run(image, command).expect("the rebalancer's own command");
        steps += 1;
        assert!(steps < 2000, "it ends");
        let moving: Vec<(TopicPartition, Partition)> =
            image.partitions().filter(|(_, _, p)| p.is_moving()).map(|(tp, _, p)| (tp, p.clone())).collect();
        for (tp, p) in moving {
            let isr = p.target().filter(|id| image.members[id].live).collect();
            let proposed = proposal(image, tp, &p, isr, false);
            run(image, proposed).expect("good");
        }
    }
    steps
}

#[test]
fn a_larger_cluster_evens_itself_out_and_a_drain_empties() {
    let mut image = cluster(3);
    run(&mut image, topic("a", 24, 3)).expect("good");
    run(&mut image, topic("b", 6, 2)).expect("good");
    assert!(skew(&image).is_balanced(), "placement is even from the start: {:?}", skew(&image));
    for id in 3..5 {
        run(&mut image, register(id, id as u8, "")).expect("good");
    }
    assert!(!skew(&image).is_balanced());
    let moves = plan(&image).len();
    settle(&mut image);
    let after = skew(&image);
    assert!(after.is_balanced() && after.replicas_max - after.replicas_min <= 1, "{after:?}");
    assert!(moves <= 24 + 6, "{moves} moves");
    for id in [4, 3] {
        run(&mut image, Command::Cordon(m(id))).expect("good");
        let held = run(&mut image, Command::Unregister(m(id)));
        assert_eq!(held.expect_err("it holds replicas").code, 42);
        settle(&mut image);
        assert_eq!(image.replicas_on(m(id)), 0);
        run(&mut image, Command::Unregister(m(id))).expect("it is empty");
    }
    assert!(skew(&image).is_balanced());
}

#[test]
fn plans_are_deterministic_minimal_and_keep_zones() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let mut image = automatic();
        let zones = ["a", "b", "c"];
        for id in 0..6 {
            run(&mut image, register(id, id as u8, zones[id as usize % 3])).expect("good");
        }
        for name in ["p", "q", "r"] {
            run(&mut image, topic(name, 1 + random.below(12) as i32, 3)).expect("good");
        }
        for (_, _, p) in image.partitions() {
            let spread: std::collections::BTreeSet<_> = p.replicas.iter().map(|id| id.0 % 3).collect();
            assert_eq!(spread.len(), 3, "one replica a zone");
        }
        run(&mut image, register(6, 6, zones[random.below(3) as usize])).expect("good");
        assert_eq!(plan(&image), plan(&image));
        settle(&mut image);
        assert_eq!(plan(&image), [], "a balanced cluster needs nothing");
        assert!(skew(&image).is_balanced());
    }
}
