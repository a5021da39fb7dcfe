//! Given a state and an event, exactly these actions; and a few replicas together.

mod full;
mod log_start;

use std::time::Duration;

use bytes::Bytes;
use streamkeeper_base::batch::BatchHeader;
use streamkeeper_base::{
    Durable, Incarnation, Instant, LeaderEpoch, MemberId, Offset, PartitionEpoch, ProducerEpoch, ProducerId,
};

use crate::{Action, Assignment, Event, LogView, Message, Partition, ProduceError};

pub(crate) fn header(offset: i64, count: i32, producer: i64, epoch: i16, sequence: i32) -> BatchHeader {
    BatchHeader {
        base_offset: Offset(offset),
        size: 61,
        leader_epoch: LeaderEpoch(0),
        crc: 0,
        attributes: 0,
        last_offset_delta: count - 1,
        base_timestamp: 0,
        max_timestamp: 0,
        producer_id: ProducerId(producer),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: sequence,
        count,
    }
}

struct Log(i64);

impl LogView for Log {
    fn start(&self) -> Offset {
        Offset::ZERO
    }

    fn end(&self) -> Offset {
        Offset(self.0)
    }

    fn epochs(&self) -> Vec<(LeaderEpoch, Offset)> {
        if self.0 == 0 { vec![] } else { vec![(LeaderEpoch(0), Offset::ZERO)] }
    }
}

/// A batch of one record.
fn batch(offset: i64) -> Bytes {
    let mut bytes = vec![0; 61];
    bytes[8..12].copy_from_slice(&49_i32.to_be_bytes());
    bytes[16] = 2;
    streamkeeper_base::batch::assign(&mut bytes, Offset(offset), LeaderEpoch(1));
    bytes.into()
}

const DISK: Incarnation = Incarnation([7; 16]);

fn m(id: i32) -> MemberId {
    MemberId(id)
}

fn assignment(leader: i32, epoch: i32, isr: &[i32]) -> Assignment {
    Assignment {
        leader: Some(m(leader)),
        leader_epoch: LeaderEpoch(epoch),
        partition_epoch: PartitionEpoch(0),
        replicas: vec![m(0), m(1), m(2)],
        isr: isr.iter().map(|id| m(*id)).collect(),
        min_insync: 2,
        ..Assignment::default()
    }
}

fn hello(term: i32, start: i64) -> Message {
    let (leader_epoch, partition_epoch) = (LeaderEpoch(term), PartitionEpoch(0));
    Message::Hello { leader_epoch, partition_epoch, epoch_start: Offset(start) }
}

fn settled(term: i32) -> Event {
    Event::Settled(Durable::flushed(LeaderEpoch(term)))
}

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1000)
}

fn step(p: &mut Partition, ms: u64, event: Event, end: i64) -> Vec<Action> {
    let mut out = Vec::new();
    p.handle(at(ms), event, &Log(end), &mut out);
    out
}

fn partition(id: i32) -> Partition {
    Partition::new(m(id), &Log(0), Offset::ZERO, None, Duration::from_secs(1))
}

fn from(id: i32, message: Message) -> Event {
    Event::Received { from: m(id), message }
}

/// Member 0 leads; both followers are linked and empty.
fn leader() -> Partition {
    let mut p = partition(0);
    step(&mut p, 0, Event::FollowerUp(m(1), DISK), 0);
    step(&mut p, 0, Event::FollowerUp(m(2), DISK), 0);
    let out = step(&mut p, 0, Event::Assigned(assignment(0, 1, &[0, 1, 2])), 0);
    assert_eq!(out[0], Action::Role { leads: true });
    assert!(out.contains(&Action::Settle(LeaderEpoch(1))), "{out:?}");
    step(&mut p, 0, settled(1), 0);
    for id in [1, 2] {
        let position = Message::Position {
            leader_epoch: LeaderEpoch(1),
            epochs: vec![],
            end: Offset(0),
            durable: Offset(0),
        };
        step(&mut p, 0, from(id, position), 0);
    }
    p
}

fn produce(p: &mut Partition, request: u64, at: i64) -> Vec<Action> {
    let event = Event::Appended {
        request: Some(request),
        at: Offset(at),
        end: Offset(at + 1),
        batches: Bytes::from_static(b"batch"),
        deadline: self::at(5000),
    };
    step(p, 0, event, at + 1)
}

fn progress(p: &mut Partition, ms: u64, id: i32, received: i64, durable: i64, end: i64) -> Vec<Action> {
    let message = Message::Progress {
        leader_epoch: LeaderEpoch(1),
        received: Offset(received),
        durable: Offset(durable),
    };
    step(p, ms, from(id, message), end)
}

fn replies(actions: &[Action]) -> Vec<(u64, Result<(), ProduceError>)> {
    let reply = |a: &Action| match a {
        Action::Reply { request, result } => Some((*request, *result)),
        _ => None,
    };
    actions.iter().filter_map(reply).collect()
}

#[test]
fn a_record_is_acknowledged_when_all_have_it_and_two_flushed_it() {
    let mut p = leader();
    let out = produce(&mut p, 7, 0);
    let sent =
        out.iter().filter(|a| matches!(a, Action::Send { message: Message::Append { .. }, .. })).count();
    assert_eq!((sent, replies(&out)), (2, vec![]), "sent at once, acknowledged later");
    assert_eq!(replies(&progress(&mut p, 1, 1, 1, 1, 1)), [], "member 2 does not have it");
    assert_eq!(replies(&progress(&mut p, 1, 2, 1, 0, 1)), [], "one flush is not two");
    let out = step(&mut p, 1, Event::Persisted(Durable::flushed(Offset(1))), 1);
    assert_eq!(replies(&out), [(7, Ok(()))], "member 2's flush is not waited for");
    assert!(out.contains(&Action::HighWatermark(Offset(1))));
    assert_eq!(p.visible_end(), Some(Offset(1)));
}

#[test] // a slow member cannot hold the tail for longer than the lag
fn a_lagging_follower_is_proposed_out_and_back_in() {
    let mut p = leader();
    produce(&mut p, 7, 0);
    step(&mut p, 0, Event::Persisted(Durable::flushed(Offset(1))), 1);
    progress(&mut p, 1, 1, 1, 1, 1);
    for ms in (50..=1000).step_by(50) {
        let out = step(&mut p, ms, Event::Tick, 1);
        assert!(!out.iter().any(|a| matches!(a, Action::ProposeIsr { .. })), "at {ms} ms: {out:?}");
    }
    let out = step(&mut p, 1050, Event::Tick, 1);
    let proposal = Action::ProposeIsr {
        isr: vec![m(0), m(1)],
        joins: Vec::new(),
        leader_epoch: LeaderEpoch(1),
        partition_epoch: PartitionEpoch(0),
        flushed: false,
        number: 1,
    };
    assert!(out.contains(&proposal), "{out:?}");
    assert_eq!(replies(&out), [], "until it is committed the old ISR counts");
    let mut next = assignment(0, 1, &[0, 1]);
    next.partition_epoch = PartitionEpoch(1);
    assert_eq!(replies(&step(&mut p, 1210, Event::Assigned(next), 1)), [(7, Ok(()))]);
    let out = progress(&mut p, 1300, 2, 1, 1, 1);
    assert!(out.iter().any(|a| matches!(a, Action::ProposeIsr { isr, .. } if isr.len() == 3)), "{out:?}");
}

#[test] // replica.lag.time.max.ms, told while it leads
fn another_lag_counts_from_the_next_tick_on() {
    let mut p = leader();
    produce(&mut p, 7, 0);
    step(&mut p, 0, Event::Persisted(Durable::flushed(Offset(1))), 1);
    progress(&mut p, 1, 1, 1, 1, 1);
    let proposes = |out: &[Action]| out.iter().any(|a| matches!(a, Action::ProposeIsr { .. }));
    for ms in (50..=300).step_by(50) {
        assert!(!proposes(&step(&mut p, ms, Event::Tick, 1)), "at {ms} ms");
    }
    p.set_lag_max(std::time::Duration::from_millis(200));
    assert!(proposes(&step(&mut p, 350, Event::Tick, 1)));
}

#[test] // what was said while the leader itself was stopped waits behind the tick
fn a_leader_that_was_stopped_does_not_blame_its_followers() {
    let mut p = leader();
    step(&mut p, 10, Event::Tick, 0);
    produce(&mut p, 7, 0);
    let proposes = |out: &[Action]| out.iter().any(|a| matches!(a, Action::ProposeIsr { .. }));
    assert!(!proposes(&step(&mut p, 3000, Event::Tick, 1)));
    assert!(!proposes(&step(&mut p, 3500, Event::Tick, 1)));
    assert!(!proposes(&step(&mut p, 3990, Event::Tick, 1)));
    assert!(proposes(&step(&mut p, 4020, Event::Tick, 1)), "and from then on they have the usual time");
}

#[test] // KIP-497: members of a proposed ISR count before it is committed
fn a_proposed_member_holds_the_high_watermark() {
    let mut p = leader();
    let mut without = assignment(0, 1, &[0, 1]);
    without.partition_epoch = PartitionEpoch(1);
    step(&mut p, 0, Event::Assigned(without), 0);
    progress(&mut p, 1, 2, 0, 0, 0);
    produce(&mut p, 7, 0);
    step(&mut p, 1, Event::Persisted(Durable::flushed(Offset(1))), 1);
    let out = progress(&mut p, 1, 1, 1, 1, 1);
    assert_eq!(replies(&out), [], "member 2 is proposed and does not have it");
    assert_eq!(replies(&progress(&mut p, 2, 2, 1, 0, 1)), [(7, Ok(()))]);
}

#[test] // rule 32: a timeout does not mean that it was not written
fn a_request_times_out() {
    let mut p = leader();
    produce(&mut p, 7, 0);
    assert_eq!(replies(&step(&mut p, 5001, Event::Tick, 1)), [(7, Err(ProduceError::TimedOut))]);
}

#[test]
fn losing_the_lead_answers_who_waits() {
    let mut p = leader();
    produce(&mut p, 7, 0);
    let out = step(&mut p, 10, Event::Assigned(assignment(1, 2, &[0, 1, 2])), 1);
    assert_eq!(replies(&out), [(7, Err(ProduceError::NotLeader))]);
    assert_eq!(p.visible_end(), None);
}

#[test] // rule 18: a new leader shows nothing before its high watermark is proved
fn a_new_leader_proves_its_high_watermark() {
    let mut p = Partition::new(m(0), &Log(5), Offset(5), None, Duration::from_secs(1));
    step(&mut p, 0, Event::FollowerUp(m(1), DISK), 5);
    step(&mut p, 0, Event::Assigned(assignment(0, 1, &[0, 1])), 5);
    step(&mut p, 0, settled(1), 5);
    assert_eq!(p.visible_end(), None);
    let position = Message::Position {
        leader_epoch: LeaderEpoch(1),
        epochs: vec![(LeaderEpoch(0), Offset(0))],
        end: Offset(5),
        durable: Offset(5),
    };
    step(&mut p, 1, from(1, position), 5);
    assert_eq!(p.visible_end(), Some(Offset(5)));
}

#[test]
fn a_follower_cuts_first_then_appends_and_reports() {
    let mut p = Partition::new(m(1), &Log(5), Offset(4), None, Duration::from_secs(1));
    step(&mut p, 0, Event::Assigned(assignment(0, 1, &[0, 1, 2])), 5);
    let out = step(&mut p, 0, from(0, hello(1, 5)), 5);
    assert!(
        matches!(&out[..], [Action::Send { message: Message::Position { end: Offset(5), .. }, .. }]),
        "{out:?}"
    );
    let truncate = Message::Truncate { leader_epoch: LeaderEpoch(1), to: Offset(3), restart: false };
    let out = step(&mut p, 0, from(0, truncate), 5);
    assert_eq!(out[0], Action::Truncate { to: Offset(3), restart: false });
    let old_term = Message::Truncate { leader_epoch: LeaderEpoch(0), to: Offset(0), restart: false };
    assert_eq!(step(&mut p, 0, from(0, old_term), 3), [], "another term's word does not count");
    assert_eq!(p.progress().received, Offset(3));
}

#[test] // found by hand: a follower whose image lagged was never greeted again, and fell out of the ISR for good
fn a_greeting_that_reached_nobody_is_repeated() {
    let mut p = partition(0);
    step(&mut p, 0, Event::FollowerUp(m(1), DISK), 0);
    step(&mut p, 0, Event::Assigned(assignment(0, 1, &[0, 1])), 0);
    let hello = Action::Send { to: m(1), message: hello(1, 0) };
    assert!(!step(&mut p, 50, Event::Tick, 0).contains(&hello));
    assert!(step(&mut p, 150, Event::Tick, 0).contains(&hello));
    let position = |end| Message::Position {
        leader_epoch: LeaderEpoch(1),
        epochs: vec![],
        end: Offset(end),
        durable: Offset(end),
    };
    step(&mut p, 160, from(1, position(0)), 0);
    assert!(!step(&mut p, 400, Event::Tick, 0).contains(&hello), "it answered");
    produce(&mut p, 7, 0);
    progress(&mut p, 410, 1, 1, 1, 1);
    let out = step(&mut p, 420, from(1, position(0)), 1);
    assert_eq!(out, [], "the answer to the repeated greeting came late and sets nothing back");
}

fn proposed(actions: &[Action]) -> Vec<Vec<MemberId>> {
    let isr = |a: &Action| match a {
        Action::ProposeIsr { isr, .. } => Some(isr.clone()),
        _ => None,
    };
    actions.iter().filter_map(isr).collect()
}

/// Member 2 is added and member 1 leaves, in the leader's first term.
fn moving(isr: &[i32], partition_epoch: i32) -> Event {
    Event::Assigned(Assignment {
        partition_epoch: PartitionEpoch(partition_epoch),
        adding: vec![m(2)],
        removing: vec![m(1)],
        ..assignment(0, 1, isr)
    })
}

#[test] // KIP-455, K16: a replica that leaves takes its files along
fn a_move_ends_when_the_disks_that_stay_hold_what_was_acknowledged() {
    let mut p = leader();
    step(&mut p, 0, moving(&[0, 1], 1), 0);
    produce(&mut p, 7, 0);
    step(&mut p, 1, Event::Persisted(Durable::flushed(Offset(1))), 1);
    assert_eq!(replies(&progress(&mut p, 1, 1, 1, 1, 1)), [(7, Ok(()))], "on the disks of 0 and 1");
    let out = progress(&mut p, 2, 2, 1, 0, 1);
    assert_eq!(proposed(&out), [[m(0), m(1), m(2)]], "member 2 has it, but not on disk: 1 must not leave");
    step(&mut p, 3, moving(&[0, 1, 2], 2), 1);
    assert_eq!(proposed(&step(&mut p, 4, Event::Tick, 1)), [] as [Vec<MemberId>; 0]);
    progress(&mut p, 5, 2, 1, 1, 1);
    assert_eq!(proposed(&step(&mut p, 6, Event::Tick, 1)), [[m(0), m(2)]]);
    // From now on member 1 may be gone at any moment, and the move may yet be taken back.
    produce(&mut p, 8, 1);
    step(&mut p, 7, Event::Persisted(Durable::flushed(Offset(2))), 2);
    let mut out = progress(&mut p, 8, 1, 2, 2, 2);
    out.extend(progress(&mut p, 8, 2, 2, 2, 2));
    assert_eq!(replies(&out), [], "one disk that stays for sure is not two");
    let ended = Assignment {
        partition_epoch: PartitionEpoch(3),
        replicas: vec![m(0), m(2)],
        ..assignment(0, 1, &[0, 2])
    };
    assert_eq!(replies(&step(&mut p, 9, Event::Assigned(ended), 2)), [(8, Ok(()))]);
}

fn proposals(actions: &[Action]) -> Vec<(Vec<i32>, bool, u64)> {
    let proposal = |action: &Action| match action {
        Action::ProposeIsr { isr, flushed, number, .. } => {
            Some((isr.iter().map(|id| id.0).collect(), *flushed, *number))
        }
        _ => None,
    };
    actions.iter().filter_map(proposal).collect()
}

#[test] // Raft's figure 8: what an earlier leader wrote alone must not look later than what was acknowledged since
fn a_replica_counts_once_it_has_everything_on_disk_that_the_term_began_with() {
    let mut p = Partition::new(m(1), &Log(3), Offset(3), Some(LeaderEpoch(0)), Duration::from_secs(1));
    step(&mut p, 0, Event::Assigned(assignment(0, 1, &[0, 1, 2])), 3);
    let out = step(&mut p, 0, from(0, hello(1, 4)), 3);
    let position = |a: &Action| match a {
        Action::Send { message: Message::Position { end, durable, .. }, .. } => Some((end.0, durable.0)),
        _ => None,
    };
    assert_eq!(out.iter().find_map(position), Some((3, 0)), "what is flushed does not count yet");
    let append = |at: i64, bytes: Bytes| Message::Append {
        leader_epoch: LeaderEpoch(1),
        at: Offset(at),
        batches: bytes,
        high_watermark: Offset(0),
        log_start: Offset(0),
    };
    let out = step(&mut p, 0, from(0, append(3, Bytes::new())), 3);
    assert!(
        !out.contains(&Action::Settle(LeaderEpoch(1))),
        "a record of the term's begin is missing: {out:?}"
    );
    step(&mut p, 0, from(0, append(3, batch(3))), 3);
    let out = step(&mut p, 0, Event::Logged(Durable::flushed((Offset(3), Offset(4)))), 4);
    assert!(out.contains(&Action::Settle(LeaderEpoch(1))), "{out:?}");
    assert!(!out.iter().any(|a| matches!(a, Action::Send { .. })), "the note must be durable first: {out:?}");
    let out = step(&mut p, 0, settled(1), 4);
    let told = Message::Progress { leader_epoch: LeaderEpoch(1), received: Offset(4), durable: Offset(4) };
    assert_eq!(out, [Action::Send { to: m(0), message: told }]);
}

#[test]
fn a_log_that_was_not_compared_with_the_leaders_does_not_settle() {
    let mut p = Partition::new(m(1), &Log(5), Offset(5), None, Duration::from_secs(1));
    step(&mut p, 0, Event::Assigned(assignment(0, 1, &[0, 1, 2])), 5);
    let out = step(&mut p, 0, from(0, hello(1, 3)), 5);
    assert!(
        !out.contains(&Action::Settle(LeaderEpoch(1))),
        "its fourth record may be another leader's: {out:?}"
    );
    let truncate = Message::Truncate { leader_epoch: LeaderEpoch(1), to: Offset(3), restart: false };
    let out = step(&mut p, 0, from(0, truncate), 5);
    assert!(out.contains(&Action::Settle(LeaderEpoch(1))), "{out:?}");
}

#[test]
fn a_replica_reports_what_it_has_on_disk_while_nobody_leads() {
    let mut p = Partition::new(m(1), &Log(5), Offset(4), Some(LeaderEpoch(2)), Duration::from_secs(1));
    step(&mut p, 0, Event::Assigned(assignment(0, 3, &[0, 1])), 5);
    assert_eq!(p.report(), None);
    let nobody = Assignment { leader: None, ..assignment(0, 4, &[]) };
    step(&mut p, 0, Event::Assigned(nobody), 5);
    assert_eq!(p.report(), Some((LeaderEpoch(4), LeaderEpoch(2), Offset(4))), "in memory is not on disk");
    assert_eq!(step(&mut p, 0, from(0, hello(3, 0)), 5), [], "an earlier leader is not heard any more");
}

#[test] // KIP-966: who left the ISR may still be electable
fn members_that_are_only_proposed_do_not_make_up_for_a_small_isr() {
    let mut p = leader();
    let mut alone = assignment(0, 1, &[0]);
    alone.partition_epoch = PartitionEpoch(1);
    step(&mut p, 0, Event::Assigned(alone), 0);
    produce(&mut p, 7, 0);
    step(&mut p, 1, Event::Persisted(Durable::flushed(Offset(1))), 1);
    let out = progress(&mut p, 1, 1, 1, 1, 1);
    assert_eq!(
        (proposals(&out).len(), replies(&out)),
        (1, vec![]),
        "member 1 is proposed, and has it on disk"
    );
    let mut two = assignment(0, 1, &[0, 1]);
    two.partition_epoch = PartitionEpoch(2);
    assert_eq!(replies(&step(&mut p, 2, Event::Assigned(two), 1)), [(7, Ok(()))]);
}

#[test]
fn the_leader_says_when_what_was_acknowledged_is_on_all_disks() {
    let mut p = leader();
    produce(&mut p, 7, 0);
    step(&mut p, 1, Event::Persisted(Durable::flushed(Offset(1))), 1);
    progress(&mut p, 1, 1, 1, 1, 1);
    assert_eq!(replies(&progress(&mut p, 1, 2, 1, 0, 1)), [(7, Ok(()))], "two of three flushed it");
    let raised =
        Assignment { partition_epoch: PartitionEpoch(1), wants_flush: true, ..assignment(0, 1, &[0, 1, 2]) };
    assert_eq!(proposals(&step(&mut p, 2, Event::Assigned(raised), 1)), [], "member 2 did not");
    produce(&mut p, 8, 1);
    let out = progress(&mut p, 3, 2, 1, 1, 2);
    assert_eq!(proposals(&out), [(vec![0, 1, 2], true, 1)], "what came since does not matter");
}

#[test] // found by reading: a refused member was waited for as long as it stayed away
fn a_refused_member_counts_until_no_attempt_can_succeed_any_more() {
    let mut p = leader();
    let mut two = assignment(0, 1, &[0, 1]);
    two.partition_epoch = PartitionEpoch(1);
    step(&mut p, 0, Event::Assigned(two), 0);
    let first = proposals(&progress(&mut p, 1, 2, 0, 0, 0));
    assert_eq!(first, [(vec![0, 1, 2], false, 1)]);
    let again = proposals(&step(&mut p, 700, Event::Tick, 0));
    assert_eq!(again, [(vec![0, 1, 2], false, 2)]);
    produce(&mut p, 7, 0);
    step(&mut p, 701, Event::Persisted(Durable::flushed(Offset(1))), 1);
    progress(&mut p, 702, 1, 1, 1, 1);
    assert_eq!(
        replies(&step(&mut p, 703, Event::ProposalRefused { number: 2 }, 1)),
        [],
        "the first is unanswered"
    );
    assert_eq!(replies(&step(&mut p, 704, Event::ProposalRefused { number: 1 }, 1)), [(7, Ok(()))]);
}

#[test] // found by the simulator: the answer to one attempt was lost, and no other could succeed: the disk that it spoke of was gone
fn a_refused_proposal_is_withdrawn_where_an_answer_is_missing() {
    let mut p = leader();
    let mut two = assignment(0, 1, &[0, 1]);
    two.partition_epoch = PartitionEpoch(1);
    step(&mut p, 0, Event::Assigned(two.clone()), 0);
    assert_eq!(proposals(&progress(&mut p, 1, 2, 0, 0, 0)), [(vec![0, 1, 2], false, 1)]);
    assert_eq!(proposals(&step(&mut p, 700, Event::Tick, 0)), [(vec![0, 1, 2], false, 2)]);
    produce(&mut p, 7, 0);
    step(&mut p, 701, Event::Persisted(Durable::flushed(Offset(1))), 1);
    progress(&mut p, 702, 1, 1, 1, 1);
    assert_eq!(replies(&step(&mut p, 703, Event::ProposalRefused { number: 2 }, 1)), []);
    let out = step(&mut p, 1400, Event::Tick, 1);
    assert_eq!((proposals(&out), replies(&out)), (vec![(vec![0, 1], false, 3)], vec![]));
    two.partition_epoch = PartitionEpoch(2);
    assert_eq!(
        replies(&step(&mut p, 1401, Event::Assigned(two), 1)),
        [(7, Ok(()))],
        "the first came too late"
    );
}

#[test] // found by the simulator, seed 590: a replica that was removed and added again was taken for one that still had its log
fn a_replica_that_may_have_lost_its_log_on_the_way_is_asked_again() {
    let mut p = leader();
    let changed = |partition_epoch, isr: &[i32]| {
        Event::Assigned(Assignment {
            partition_epoch: PartitionEpoch(partition_epoch),
            ..assignment(0, 1, isr)
        })
    };
    let greeted = |out: &[Action], id: i32| {
        out.iter().any(|a| matches!(a, Action::Send { to, message: Message::Hello { .. } } if *to == m(id)))
    };
    let out = step(&mut p, 0, changed(1, &[0, 1]), 0);
    assert!(!greeted(&out, 2), "nothing was missed");
    let out = step(&mut p, 0, changed(3, &[0, 1]), 0);
    assert!(greeted(&out, 2) && !greeted(&out, 1), "nobody joins the ISR without its leader: {out:?}");
}

#[test]
fn a_greeting_counts_once_the_state_that_its_leader_saw_is_known() {
    let mut p = Partition::new(m(1), &Log(5), Offset(5), None, Duration::from_secs(1));
    step(&mut p, 0, Event::Assigned(assignment(0, 1, &[0, 1, 2])), 5);
    let later = Message::Hello {
        leader_epoch: LeaderEpoch(1),
        partition_epoch: PartitionEpoch(2),
        epoch_start: Offset(5),
    };
    assert_eq!(step(&mut p, 0, from(0, later), 5), [], "this replica may have been removed in between");
    let seen = Assignment { partition_epoch: PartitionEpoch(2), ..assignment(0, 1, &[0, 1, 2]) };
    let out = step(&mut p, 0, Event::Assigned(seen), 5);
    assert!(
        out.iter().any(|a| matches!(a, Action::Send { message: Message::Position { .. }, .. })),
        "{out:?}"
    );
    let next_term = Message::Hello {
        leader_epoch: LeaderEpoch(2),
        partition_epoch: PartitionEpoch(3),
        epoch_start: Offset(5),
    };
    assert_eq!(step(&mut p, 0, from(2, next_term), 5), []);
    let news = Assignment { partition_epoch: PartitionEpoch(3), ..assignment(2, 2, &[0, 1, 2]) };
    let out = step(&mut p, 0, Event::Assigned(news), 5);
    assert!(
        out.iter()
            .any(|a| matches!(a, Action::Send { to, message: Message::Position { .. } } if *to == m(2)))
    );
}

#[test] // rule 31; found by reading: a retry was answered as a success before what it repeats was acknowledged
fn a_repeated_batch_is_answered_when_the_first_one_is_acknowledged() {
    let mut p = leader();
    produce(&mut p, 7, 0);
    let again = |request| Event::Awaited { request, end: Offset(1), deadline: at(5000) };
    assert_eq!(replies(&step(&mut p, 1, again(8), 1)), []);
    step(&mut p, 1, Event::Persisted(Durable::flushed(Offset(1))), 1);
    progress(&mut p, 2, 1, 1, 1, 1);
    assert_eq!(replies(&progress(&mut p, 2, 2, 1, 0, 1)), [(7, Ok(())), (8, Ok(()))]);
    assert_eq!(replies(&step(&mut p, 3, again(9), 1)), [(9, Ok(()))], "it is acknowledged already");
}
