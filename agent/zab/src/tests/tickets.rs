//! ZooKeeper's bugs, each as a test that would fail with it.

use std::time::Duration;

use bytes::Bytes;
use streamkeeper_base::{Durable, Instant, ZabEpoch, Zxid};

use super::harness::m;
use crate::message::{Notification, NotifierState, Vote};
use crate::{
    Action, Config, Entry, EpochEnds, Event, LogRecord, Membership, Message, Payload, Peer, Recovery,
};
use crate::{RoleName, SnapshotMeta, Timing};

fn z(epoch: u32, counter: u64) -> Zxid {
    Zxid::new(ZabEpoch(epoch), counter)
}

fn entry(zxid: Zxid) -> Entry {
    Entry { zxid, payload: Payload::Txn(Bytes::from_static(b"t")) }
}

/// A member of three, linked to the others.
fn member(records: &[LogRecord]) -> Peer {
    let bootstrap = Membership::of_voters([0, 1, 2].map(|id| (m(id), Bytes::new())));
    let mut recovery = Recovery::new(SnapshotMeta::default());
    records.iter().for_each(|record| recovery.replay(record.clone()).expect("a good log"));
    let config = Config { id: m(0), bootstrap, timing: Timing::default() };
    let mut peer = Peer::new(config, recovery, Instant::ZERO, 1).expect("a good log");
    step(&mut peer, Event::LinkUp(m(1)));
    step(&mut peer, Event::LinkUp(m(2)));
    peer
}

fn step(peer: &mut Peer, event: Event) -> Vec<Action> {
    let mut out = Vec::new();
    peer.handle(Instant::ZERO, event, &mut out);
    out
}

fn from_leader(peer: &mut Peer, message: Message) -> Vec<Action> {
    step(peer, Event::Received { from: m(2), message })
}

fn persisted(ticket: u64) -> Event {
    Event::Persisted(Durable::flushed(ticket))
}

fn sent(actions: &[Action]) -> Vec<Message> {
    let message = |action: &Action| match action {
        Action::Send { message, .. } => Some(message.clone()),
        _ => None,
    };
    actions.iter().filter_map(message).collect()
}

/// A follower of member 2 whose promise of `epoch` is durable; returns the next free ticket.
fn promised(peer: &mut Peer, epoch: u32, first_ticket: u64) -> u64 {
    let vote = Vote { epoch: ZabEpoch(0), zxid: Zxid::ZERO, id: m(2) };
    let news = Notification { state: NotifierState::Leading, round: 1, vote };
    from_leader(peer, Message::Notification(news));
    let out = from_leader(peer, Message::LeaderInfo { epoch: ZabEpoch(epoch) });
    assert_eq!(out, [Action::Persist { ticket: first_ticket, record: LogRecord::Promise(ZabEpoch(epoch)) }]);
    let out = step(peer, persisted(first_ticket));
    assert!(matches!(sent(&out)[..], [Message::AckEpoch { counts: true, .. }]));
    first_ticket + 1
}

#[test]
fn a_promise_is_durable_before_it_is_said() {
    let mut peer = member(&[]);
    promised(&mut peer, 1, 1);
}

#[test] // ZOOKEEPER-3911, 3023, 4643, 4785: history, then epoch, then the acknowledgement
fn new_leader_is_acknowledged_after_history_and_epoch_are_durable() {
    let mut peer = member(&[]);
    let ticket = promised(&mut peer, 1, 1);
    let out = from_leader(&mut peer, Message::Diff { entries: vec![entry(z(1, 1))] });
    assert_eq!(out, [Action::Persist { ticket, record: LogRecord::Entry(entry(z(1, 1))) }]);
    let out = from_leader(&mut peer, Message::NewLeader { epoch: ZabEpoch(1) });
    assert_eq!(out, [Action::Persist { ticket: ticket + 1, record: LogRecord::NewLeader(ZabEpoch(1)) }]);
    assert_eq!(sent(&step(&mut peer, persisted(ticket))), [], "the history alone is not enough");
    let out = step(&mut peer, persisted(ticket + 1));
    assert_eq!(sent(&out), [Message::AckNewLeader { epoch: ZabEpoch(1) }]);
    assert_eq!(peer.role(), RoleName::Joining, "clients wait for UpToDate");
}

fn serving(peer: &mut Peer) -> u64 {
    let ticket = promised(peer, 1, 1);
    from_leader(peer, Message::Diff { entries: vec![] });
    from_leader(peer, Message::NewLeader { epoch: ZabEpoch(1) });
    step(peer, persisted(ticket));
    from_leader(peer, Message::UpToDate { committed: Zxid::ZERO });
    assert_eq!(peer.role(), RoleName::Following);
    ticket + 1
}

#[test] // ZOOKEEPER-4646: an ack must not leave before the log has the proposal
fn a_proposal_is_persisted_before_it_is_acked() {
    let mut peer = member(&[]);
    let ticket = serving(&mut peer);
    let out = from_leader(&mut peer, Message::Proposal(entry(z(1, 1))));
    assert_eq!(out, [Action::Persist { ticket, record: LogRecord::Entry(entry(z(1, 1))) }]);
    assert_eq!(
        step(&mut peer, persisted(ticket)),
        [Action::Send { to: m(2), message: Message::Ack { zxid: z(1, 1) } }]
    );
}

#[test] // ZOOKEEPER-2845, 3642: only committed transactions reach the owner
fn a_proposal_is_delivered_only_when_committed() {
    let mut peer = member(&[]);
    let ticket = serving(&mut peer);
    from_leader(&mut peer, Message::Proposal(entry(z(1, 1))));
    from_leader(&mut peer, Message::Proposal(entry(z(1, 2))));
    step(&mut peer, persisted(ticket + 1));
    let out = from_leader(&mut peer, Message::Commit { zxid: z(1, 1) });
    assert_eq!(out, [Action::Deliver { zxid: z(1, 1), txn: Bytes::from_static(b"t") }]);
    step(&mut peer, Event::LinkDown(m(2)));
    assert_eq!(peer.last_delivered(), z(1, 1), "the tail stays a tail");
}

#[test] // ZOOKEEPER-4394: a COMMIT between NEWLEADER and UPTODATE
fn a_commit_before_up_to_date_waits_for_it() {
    let mut peer = member(&[]);
    let ticket = promised(&mut peer, 1, 1);
    from_leader(&mut peer, Message::Diff { entries: vec![entry(z(1, 1))] });
    from_leader(&mut peer, Message::NewLeader { epoch: ZabEpoch(1) });
    let out = from_leader(&mut peer, Message::Proposal(entry(z(1, 2))));
    assert_eq!(out.len(), 1, "logged, not refused");
    assert_eq!(from_leader(&mut peer, Message::Commit { zxid: z(1, 2) }), []);
    step(&mut peer, persisted(ticket + 2));
    let out = from_leader(&mut peer, Message::UpToDate { committed: z(1, 1) });
    assert_eq!(out.iter().filter(|a| matches!(a, Action::Deliver { .. })).count(), 2);
}

#[test] // ZOOKEEPER-4712, 4541: what an old role appended allows nothing in a new one
fn a_flush_for_an_old_role_acknowledges_nothing() {
    let mut peer = member(&[]);
    let ticket = serving(&mut peer);
    from_leader(&mut peer, Message::Proposal(entry(z(1, 1))));
    step(&mut peer, Event::LinkDown(m(2)));
    assert_eq!(
        sent(&step(&mut peer, persisted(ticket))).iter().filter(|s| matches!(s, Message::Ack { .. })).count(),
        0
    );
}

#[test] // ZOOKEEPER-4925: a hole is refused, not served onward
fn a_hole_in_the_proposals_cuts_the_link() {
    let mut peer = member(&[]);
    serving(&mut peer);
    let out = from_leader(&mut peer, Message::Proposal(entry(z(1, 2))));
    assert_eq!(out[0], Action::Disconnect(m(2)));
    assert_eq!(peer.role(), RoleName::Looking);
}

#[test] // ZOOKEEPER-2354: a log whose last zxid is of a later epoch than was adopted is legal
fn entries_of_an_epoch_not_adopted_yet_recover() {
    let records = [
        LogRecord::Promise(ZabEpoch(1)),
        LogRecord::NewLeader(ZabEpoch(1)),
        LogRecord::Entry(entry(z(1, 1))),
        LogRecord::Promise(ZabEpoch(2)),
        LogRecord::Entry(entry(z(2, 1))),
    ];
    let peer = member(&records);
    assert_eq!((peer.epoch(), peer.promised(), peer.last_logged()), (ZabEpoch(1), ZabEpoch(2), z(2, 1)));
}

#[test] // ZOOKEEPER-2354: an installed snapshot whose record the crash took, then entries behind it, then another crash
fn a_log_that_goes_on_from_an_installed_snapshot_recovers() {
    let snapshot = |zxid: Zxid| {
        let mut ends = EpochEnds::default();
        ends.record(zxid);
        SnapshotMeta { zxid, ends, membership: Membership::default() }
    };
    let log = [entry(z(1, 7)), entry(z(2, 5)), entry(z(2, 6))].map(LogRecord::Entry);
    for (at, is_good) in [(z(2, 4), true), (z(2, 5), true), (z(1, 7), false), (z(2, 3), false)] {
        let mut recovery = Recovery::new(snapshot(at));
        let result = log.iter().try_for_each(|record| recovery.replay(record.clone()));
        assert_eq!(result.is_ok(), is_good, "snapshot {at:?}: {result:?}");
        if is_good {
            let bootstrap = Membership::of_voters([0, 1, 2].map(|id| (m(id), Bytes::new())));
            let config = Config { id: m(0), bootstrap, timing: Timing::default() };
            let peer = Peer::new(config, recovery, Instant::ZERO, 1).expect("a good log");
            assert_eq!(peer.last_logged(), z(2, 6));
        }
    }
}

#[test] // without it the record that tells of the last snapshot keeps a log that others write, too
fn a_snapshot_that_is_told_again_lets_all_older_records_go() {
    let mut peer = member(&[]);
    let ticket = serving(&mut peer);
    from_leader(&mut peer, Message::Proposal(entry(z(1, 1))));
    step(&mut peer, persisted(ticket));
    from_leader(&mut peer, Message::Commit { zxid: z(1, 1) });
    for base in [ticket + 1, ticket + 2] {
        let out = step(&mut peer, Event::SnapshotTaken(z(1, 1)));
        let [Action::Persist { ticket: at, record: LogRecord::Base { snapshot, resets: false, .. } }] =
            &out[..]
        else {
            panic!("{out:?}")
        };
        assert_eq!((*at, snapshot.zxid), (base, z(1, 1)));
        assert!(step(&mut peer, persisted(base)).contains(&Action::Release { below: base }));
    }
}

#[test] // Zab phase 1: a lower epoch than promised is refused, also after a restart
fn a_promise_survives_a_restart() {
    let mut peer = member(&[LogRecord::Promise(ZabEpoch(5))]);
    let vote = Vote { epoch: ZabEpoch(0), zxid: Zxid::ZERO, id: m(2) };
    let news = Notification { state: NotifierState::Leading, round: 1, vote };
    from_leader(&mut peer, Message::Notification(news));
    let out = from_leader(&mut peer, Message::LeaderInfo { epoch: ZabEpoch(4) });
    assert_eq!(out[0], Action::Disconnect(m(2)));
}

#[test] // invariant Z15
fn a_leader_cannot_make_a_follower_cut_committed_entries() {
    let mut peer = member(&[]);
    let ticket = serving(&mut peer);
    from_leader(&mut peer, Message::Proposal(entry(z(1, 1))));
    step(&mut peer, persisted(ticket));
    from_leader(&mut peer, Message::Commit { zxid: z(1, 1) });
    step(&mut peer, Event::LinkDown(m(2)));
    step(&mut peer, Event::LinkUp(m(2)));
    promised(&mut peer, 2, ticket + 1);
    let out = from_leader(&mut peer, Message::Truncate { to: Zxid::ZERO });
    assert_eq!(out[0], Action::Disconnect(m(2)));
    assert_eq!(peer.last_logged(), z(1, 1));
}

#[test] // D4: a follower that is ahead makes the leader give up, not the follower truncate
fn a_leader_gives_up_for_a_follower_that_is_ahead() {
    let mut peer = member(&[]);
    let mut clock = Instant::ZERO;
    let mut out = Vec::new();
    peer.handle(clock, Event::Tick, &mut out);
    let vote = Vote { epoch: ZabEpoch(0), zxid: Zxid::ZERO, id: m(0) };
    let news = Notification { state: NotifierState::Looking, round: 1, vote };
    peer.handle(clock, Event::Received { from: m(1), message: Message::Notification(news) }, &mut out);
    clock = clock + Duration::from_millis(100);
    peer.handle(clock, Event::Tick, &mut out);
    assert_eq!(peer.role(), RoleName::Preparing);
    let info = Message::FollowerInfo { promised: ZabEpoch(3) };
    peer.handle(clock, Event::Received { from: m(1), message: info }, &mut out);
    peer.handle(clock, persisted(1), &mut out);
    assert!(sent(&out).contains(&Message::LeaderInfo { epoch: ZabEpoch(4) }));
    let mut ends = EpochEnds::default();
    ends.record(z(3, 7));
    let ack = Message::AckEpoch { current: ZabEpoch(3), ends, counts: true };
    peer.handle(clock, Event::Received { from: m(1), message: ack }, &mut out);
    assert_eq!(peer.role(), RoleName::Looking);
}

fn from(peer: &mut Peer, id: i32, message: Message) -> Vec<Action> {
    step(peer, Event::Received { from: m(id), message })
}

/// Member 0 with one entry of epoch 1, chosen as leader of epoch 2; its NewLeader record is under way as the ticket returned.
fn synchronizing_leader() -> (Peer, u64) {
    let records = [
        LogRecord::Promise(ZabEpoch(1)),
        LogRecord::NewLeader(ZabEpoch(1)),
        LogRecord::Entry(entry(z(1, 1))),
    ];
    let mut peer = member(&records);
    step(&mut peer, Event::Tick);
    let vote = Vote { epoch: ZabEpoch(1), zxid: z(1, 1), id: m(0) };
    for id in [1, 2] {
        let news = Notification { state: NotifierState::Looking, round: 1, vote };
        from(&mut peer, id, Message::Notification(news));
    }
    let mut out = from(&mut peer, 1, Message::FollowerInfo { promised: ZabEpoch(1) });
    out.extend(from(&mut peer, 2, Message::FollowerInfo { promised: ZabEpoch(1) }));
    let ticket_of = |out: &[Action], wanted: &LogRecord| {
        out.iter().find_map(|a| match a {
            Action::Persist { ticket, record } if record == wanted => Some(*ticket),
            _ => None,
        })
    };
    let promise = ticket_of(&out, &LogRecord::Promise(ZabEpoch(2))).expect("the leader promises");
    let mut out = step(&mut peer, persisted(promise));
    for id in [1, 2] {
        let mut ends = EpochEnds::default();
        ends.record(z(1, 1));
        out.extend(from(&mut peer, id, Message::AckEpoch { current: ZabEpoch(1), ends, counts: true }));
    }
    let adopted = ticket_of(&out, &LogRecord::NewLeader(ZabEpoch(2))).expect("the leader adopts its epoch");
    (peer, adopted)
}

#[test] // ZOOKEEPER-4646's class: NewLeader's flush says nothing of entries that were logged behind it
fn a_leaders_own_flush_counts_for_what_it_covers_only() {
    let (mut peer, adopted) = synchronizing_leader();
    from(&mut peer, 1, Message::AckNewLeader { epoch: ZabEpoch(2) });
    from(&mut peer, 2, Message::AckNewLeader { epoch: ZabEpoch(2) });
    assert_eq!(peer.role(), RoleName::Leading, "two of three are enough");
    let mut out = Vec::new();
    let zxid = peer.propose(Bytes::from_static(b"t"), &mut out).expect("it leads");
    step(&mut peer, persisted(adopted));
    from(&mut peer, 1, Message::Ack { zxid });
    assert_eq!(peer.last_committed(), z(1, 1), "one disk of three holds it");
    step(&mut peer, persisted(adopted + 1));
    assert_eq!(peer.last_committed(), zxid);
}

#[test] // Z8: a new primary has delivered what came before it decides anything
fn a_leader_has_its_history_before_it_is_told_that_it_leads() {
    let (mut peer, adopted) = synchronizing_leader();
    step(&mut peer, persisted(adopted));
    let out = from(&mut peer, 1, Message::AckNewLeader { epoch: ZabEpoch(2) });
    let delivered = out.iter().position(|a| matches!(a, Action::Deliver { .. })).expect("its history");
    let leads = |a: &Action| matches!(a, Action::RoleChanged { role: RoleName::Leading, .. });
    assert!(out.iter().position(leads).is_some_and(|leads| leads > delivered), "{out:?}");
}

#[test] // forged counts cost nothing
fn a_forged_count_is_an_error() {
    for tag in [4_u8, 6, 7, 14] {
        let mut bytes = vec![tag];
        bytes.extend([0xFF; 20]);
        assert!(Message::decode(Bytes::from(bytes)).is_err());
    }
    assert!(LogRecord::decode(Bytes::from_static(&[3, 0, 0])).is_err());
}
