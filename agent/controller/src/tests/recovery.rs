//! Total power loss, replaced disks, and what min.insync.replicas promises while it changes (broker.md, Replication 4 and 5).

use bytes::BufMut;

use super::*;

/// Three members hold topic `t`.
fn three() -> ClusterImage {
    let mut image = cluster(3);
    run(&mut image, topic("t", 1, 3)).expect("good");
    image
}

fn min_insync(image: &mut ClusterImage, value: Option<&str>) {
    let changes = BTreeMap::from([("min.insync.replicas".to_owned(), value.map(str::to_owned))]);
    run(image, Command::AlterConfigs { topic: "t".into(), changes }).expect("good");
}

/// A member reports what its disk holds, with its incarnation after that many unclean restarts.
fn report(
    image: &mut ClusterImage,
    id: i32,
    restarts: u8,
    settled: i32,
    end: i64,
) -> Result<(), CommandError> {
    let report = LogReport { member: m(id), settled: LeaderEpoch(settled), end: Offset(end) };
    let logs = vec![(tp("t", 0), of(image, "t").leader_epoch, report)];
    run(image, Command::ReportLogs { member: m(id), incarnation: incarnation(id as u8, restarts), logs })
}

fn power_loss(image: &mut ClusterImage, members: &[i32]) {
    for id in members {
        run(image, unclean(*id, *id as u8, 1, "")).expect("good");
    }
}

#[test]
fn after_a_total_power_loss_the_furthest_of_enough_disks_leads() {
    let mut image = three();
    power_loss(&mut image, &[0, 1, 2]);
    let p = of(&image, "t");
    assert_eq!((p.leader, p.isr.len(), p.elr.len(), p.lost.len()), (None, 0, 0, 0));
    report(&mut image, 0, 1, 0, 50).expect("good");
    assert_eq!(of(&image, "t").leader, None, "what it lacks the two others may have flushed");
    assert!(image.leaderless(9)[0].contains("1 of 2 replicas reported"), "{:?}", image.leaderless(9));
    report(&mut image, 2, 1, 0, 60).expect("good");
    let p = of(&image, "t");
    assert_eq!((p.leader, p.isr, p.reports.len()), (Some(m(2)), vec![m(2)], 0));
    assert!(image.leaderless(9).is_empty());
    propose(&mut image, "t", &[2, 1]).expect("it caught up");
}

#[test]
fn a_member_that_lost_no_power_leads_without_reports() {
    let mut image = three();
    power_loss(&mut image, &[0, 2]);
    assert_eq!((of(&image, "t").leader, of(&image, "t").isr), (Some(m(1)), vec![m(1)]));
}

#[test]
fn reports_of_another_disk_or_term_do_not_count() {
    let mut image = three();
    power_loss(&mut image, &[0, 1, 2]);
    assert_eq!(report(&mut image, 0, 0, 0, 50).expect_err("before its restart").code, 77);
    let late = LogReport { member: m(0), settled: LeaderEpoch(0), end: Offset(50) };
    let logs = vec![(tp("t", 0), LeaderEpoch(0), late)];
    let command = Command::ReportLogs { member: m(0), incarnation: incarnation(0, 1), logs };
    run(&mut image, command).expect("it is no error");
    assert!(of(&image, "t").reports.is_empty(), "it still heard a leader then");
    report(&mut image, 0, 1, 0, 50).expect("good");
    run(&mut image, unclean(0, 0, 2, "")).expect("good");
    assert!(of(&image, "t").reports.is_empty(), "it lost power again");
    run(&mut image, register(0, 77, "")).expect("good");
    assert_eq!(of(&image, "t").lost, [m(0)]);
    let logs = vec![(tp("t", 0), of(&image, "t").leader_epoch, late)];
    let command = Command::ReportLogs { member: m(0), incarnation: incarnation(77, 0), logs };
    run(&mut image, command).expect("it is no error");
    assert!(of(&image, "t").reports.is_empty(), "an empty disk holds nothing");
    report(&mut image, 1, 1, 0, 40).expect("good");
    assert_eq!(of(&image, "t").leader, None);
    report(&mut image, 2, 1, 0, 30).expect("good");
    assert_eq!(of(&image, "t").leader, Some(m(1)), "the two disks that were never replaced");
}

#[test]
fn a_replaced_disk_counts_again_once_it_has_flushed_everything() {
    let mut image = three();
    run(&mut image, register(1, 77, "")).expect("good");
    assert_eq!(of(&image, "t").lost, [m(1)]);
    propose(&mut image, "t", &[0, 1, 2]).expect("it caught up");
    assert_eq!(of(&image, "t").lost, [m(1)], "in memory");
    assert!(of(&image, "t").wants_flush(2));
    flushed(&mut image, "t");
    assert!(of(&image, "t").lost.is_empty());
}

#[test]
fn a_raised_min_insync_counts_once_all_is_flushed_and_a_lowered_one_at_once() {
    let mut image = three();
    assert_eq!(of(&image, "t").flushed_by, 2, "two of three by default");
    let before = of(&image, "t").partition_epoch;
    min_insync(&mut image, Some("3"));
    let p = of(&image, "t");
    assert_eq!((p.flushed_by, p.wants_flush(3)), (2, true), "what was acknowledged is on two disks");
    assert!(p.partition_epoch > before, "a leader's word about the state before does not count");
    flushed(&mut image, "t");
    assert_eq!((of(&image, "t").flushed_by, of(&image, "t").wants_flush(3)), (3, false));
    min_insync(&mut image, Some("1"));
    assert_eq!(of(&image, "t").flushed_by, 1);
    min_insync(&mut image, None);
    propose(&mut image, "t", &[0]).expect("good");
    flushed(&mut image, "t");
    assert_eq!(
        (of(&image, "t").flushed_by, of(&image, "t").wants_flush(2)),
        (1, false),
        "one member is not two"
    );
}

#[test] // KIP-966
fn an_isr_that_may_acknowledge_alone_leaves_nobody_electable_outside() {
    let mut image = three();
    propose(&mut image, "t", &[0, 1]).expect("good");
    propose(&mut image, "t", &[0]).expect("good");
    assert_eq!(of(&image, "t").elr, [m(1)], "member 2 left while two remained");
    min_insync(&mut image, Some("1"));
    assert!(of(&image, "t").elr.is_empty(), "member 0 acknowledges alone from now on");
}

#[test]
fn min_insync_is_never_more_than_there_are_replicas() {
    let mut image = cluster(3);
    run(&mut image, topic("t", 1, 1)).expect("good");
    min_insync(&mut image, Some("2"));
    let p = of(&image, "t");
    assert_eq!((p.needed_insync(2), p.flushed_by, p.wants_flush(2)), (1, 1, false));
}

#[test]
fn a_smaller_factor_lowers_the_default_for_the_whole_topic() {
    let mut image = three();
    let keep = of(&image, "t").leader.expect("led");
    run(&mut image, Command::Reassign { tp: tp("t", 0), replicas: vec![keep] }).expect("good");
    assert_eq!((image.topics["t"].min_insync(), of(&image, "t").flushed_by), (1, 1));
    propose(&mut image, "t", &[keep.0]).expect("it has everything on disk");
    assert_eq!(of(&image, "t").replicas, [keep]);
    let more: Vec<MemberId> = (0..3).map(m).collect();
    run(&mut image, Command::Reassign { tp: tp("t", 0), replicas: more }).expect("good");
    assert!(!of(&image, "t").wants_flush(2), "what is added may be taken back");
    propose(&mut image, "t", &[0, 1, 2]).expect("they caught up");
    assert_eq!((image.topics["t"].min_insync(), of(&image, "t").flushed_by), (2, 1));
    assert!(of(&image, "t").wants_flush(2));
    flushed(&mut image, "t");
    assert_eq!(of(&image, "t").flushed_by, 2);
}

#[test]
fn who_was_in_sync_and_stays_away_is_passed_over_only_by_order() {
    let mut image = three();
    let gone = of(&image, "t").leader.expect("led");
    let others: Vec<i32> = (0..3).filter(|id| m(*id) != gone).collect();
    power_loss(&mut image, &others);
    run(&mut image, Command::Fence(gone)).expect("good");
    for id in &others {
        report(&mut image, *id, 1, 0, 50 + i64::from(*id)).expect("good");
    }
    assert_eq!(of(&image, "t").leader, None, "its acks=1 records are on its disk only");
    run(&mut image, Command::Recover(tp("t", 0))).expect("good");
    let p = of(&image, "t");
    assert_eq!((p.leader, p.elr.len()), (Some(m(others[1])), 0));
    run(&mut image, register(gone.0, gone.0 as u8, "")).expect("good");
    assert_eq!(of(&image, "t").isr, [m(others[1])], "it follows when it comes back");
}

#[test]
fn a_partition_of_an_earlier_version_was_acknowledged_by_one_flush_at_least() {
    let mut bytes = BytesMut::new();
    bytes.put_u32(1);
    bytes.put_u8(5); // PutPartition as versions 1 and 2 of the image wrote it
    bytes.put_slice(&tp("t", 0).topic.0);
    bytes.put_i32(0);
    for list in [&[0, 1, 2][..], &[0, 1], &[2], &[], &[]] {
        streamkeeper_base::codec::put_list(&mut bytes, list.iter(), |out, id| out.put_i32(*id));
    }
    bytes.put_slice(&[1, 0, 0, 0, 1]); // led by member 1
    bytes.put_i32(7);
    bytes.put_i32(9);
    let deltas = Delta::decode_all(bytes.freeze()).expect("version 2");
    let [Delta::PutPartition(_, p)] = &deltas[..] else { panic!("{deltas:?}") };
    assert_eq!((p.flushed_by, p.leader, p.leader_epoch.0), (1, Some(m(1)), 7));
    assert!(p.wants_flush(2), "its leader makes sure of more");
}
