//! The phases one by one: elections, synchronization, broadcast, membership changes, hand-over.

use std::time::Duration;

use bytes::Bytes;
use streamkeeper_base::{ZabEpoch, Zxid};

use super::harness::{Disk, Net, logged, m};
use crate::{Event, Membership, MembershipChange, ProposeError, RoleName};

const SETTLE: Duration = Duration::from_millis(500);

fn settled(voters: i32, others: i32) -> Net {
    let mut net = Net::new(voters, others, 1);
    net.run(SETTLE);
    assert!(net.leader().is_some());
    net
}

#[test]
fn a_single_voter_leads_and_commits() {
    let mut net = settled(1, 0);
    net.propose(m(0)).expect("it leads");
    net.run(SETTLE);
    assert_eq!(net.node(m(0)).state.len(), 1);
}

#[test]
fn three_members_elect_the_greatest_and_replicate() {
    let mut net = settled(3, 0);
    assert_eq!(net.leader(), Some(m(2)), "equal logs: the greatest id leads");
    assert_eq!(net.propose(m(2)), Ok(Zxid::new(ZabEpoch(1), 1)), "a new epoch starts at counter 1");
    assert_eq!(net.propose(m(0)), Err(ProposeError::NotLeading));
    net.run(SETTLE);
    net.assert_converged();
    assert_eq!(net.acknowledged.len(), 1);
}

#[test]
fn nobody_leads_without_a_quorum() {
    let mut net = settled(3, 0);
    net.crash(m(2), false);
    net.crash(m(1), false);
    net.run(Duration::from_secs(5));
    assert_eq!(net.leader(), None);
    assert_eq!(net.peer(m(0)).role(), RoleName::Looking);
}

#[test]
fn the_longest_log_leads_not_the_greatest_id() {
    let mut net = settled(3, 0);
    net.crash(m(1), false);
    net.propose(m(2)).expect("two of three are a quorum");
    net.run(SETTLE);
    net.crash(m(2), false);
    net.crash(m(0), false);
    net.start(m(0));
    net.start(m(1));
    net.run(SETTLE);
    assert_eq!(net.leader(), Some(m(0)), "it alone has the committed transaction");
    net.assert_converged();
}

#[test]
fn a_leader_loss_is_repaired_fast() {
    let mut net = settled(3, 0);
    net.crash(m(2), false);
    net.run(Duration::from_millis(200));
    assert!(net.leader().is_some(), "a broken link starts the election at once");
}

#[test]
fn a_silent_leader_is_left_and_steps_down() {
    let mut net = settled(3, 0);
    for other in [m(0), m(1)] {
        net.set_cut(m(2), other, true);
    }
    net.run(Duration::from_millis(300));
    assert_eq!(net.leader(), Some(m(1)));
    assert_eq!(net.peer(m(2)).role(), RoleName::Looking, "check-quorum: nobody hears it");
}

#[test]
fn a_flapping_member_deposes_nobody() {
    let mut net = settled(3, 0);
    let epoch = net.peer(m(2)).epoch();
    for _ in 0..5 {
        net.set_cut(m(0), m(1), true);
        net.set_cut(m(0), m(2), true);
        net.run(SETTLE);
        net.set_cut(m(0), m(1), false);
        net.set_cut(m(0), m(2), false);
        net.run(SETTLE);
    }
    assert_eq!((net.leader(), net.peer(m(2)).epoch()), (Some(m(2)), epoch));
    net.assert_converged();
}

#[test]
fn a_divergent_tail_is_truncated_across_epochs() {
    let mut net = settled(3, 0);
    net.propose(m(2)).expect("it leads");
    net.run(SETTLE);
    // The leader logs three more that nobody else ever sees.
    net.set_cut(m(2), m(0), true);
    net.set_cut(m(2), m(1), true);
    net.nodes.get_mut(&m(2)).expect("a node");
    net.run(Duration::from_millis(10));
    net.crash(m(2), false);
    net.run(SETTLE);
    net.propose(m(1)).expect("the rest goes on");
    net.run(SETTLE);
    net.set_cut(m(2), m(0), false);
    net.set_cut(m(2), m(1), false);
    net.start(m(2));
    net.run(SETTLE);
    net.assert_converged();
    assert_eq!(logged(net.peer(m(2))), logged(net.peer(m(1))));
}

#[test]
fn a_member_without_the_log_gets_a_snapshot() {
    let mut net = settled(3, 0);
    net.crash(m(0), false);
    for _ in 0..crate::history_window_for_tests() + 10 {
        net.propose(m(2)).expect("it leads");
    }
    net.run(SETTLE);
    for id in [m(1), m(2)] {
        net.snapshot(id);
    }
    net.propose(m(2)).expect("it leads");
    net.run(SETTLE);
    assert!(net.peer(m(2)).log_base() > Zxid::ZERO, "the window was trimmed");
    net.start(m(0));
    net.run(SETTLE);
    net.assert_converged();
    assert!(net.peer(m(0)).log_base() > Zxid::ZERO, "it came by SNAP");
    net.crash(m(0), true);
    net.start(m(0));
    net.run(SETTLE);
    net.assert_converged();
}

#[test]
fn an_observer_joins_is_promoted_and_removed() {
    let mut net = settled(3, 2);
    net.run(SETTLE);
    assert!(!net.peer(m(3)).role().serves(), "a stranger is not let in");
    net.propose(m(2)).expect("it leads");
    net.change(&MembershipChange::AddObserver { member: m(3), data: Bytes::new() }).expect("a change");
    let second = net.change(&MembershipChange::AddObserver { member: m(4), data: Bytes::new() });
    assert_eq!(second, Err(ProposeError::ChangeInProgress), "Z20: one change at a time");
    net.run(SETTLE);
    assert_eq!(net.peer(m(3)).role(), RoleName::Observing);
    net.change(&MembershipChange::AddObserver { member: m(4), data: Bytes::new() }).expect("a change");
    net.run(SETTLE);
    for id in [m(3), m(4)] {
        net.change(&MembershipChange::Promote(id)).expect("it is caught up");
        net.run(SETTLE);
        assert_eq!(net.peer(id).role(), RoleName::Following);
    }
    net.propose(m(2)).expect("it leads");
    net.crash(m(0), false);
    net.crash(m(1), false);
    net.run(SETTLE);
    net.propose(m(2)).expect("three of five are a quorum");
    net.run(SETTLE);
    net.assert_converged();
    net.start(m(0));
    net.start(m(1));
    net.run(SETTLE);
    net.change(&MembershipChange::Remove(m(2))).expect("a leader can be removed");
    net.run(SETTLE);
    assert_ne!(net.leader(), Some(m(2)));
    assert!(net.leader().is_some());
}

#[test]
fn a_member_that_was_told_of_other_voters_learns_them_from_the_log() {
    let mut net = settled(3, 0);
    net.record_membership().expect("it leads");
    assert_eq!(net.record_membership(), Err(ProposeError::ChangeInProgress));
    net.run(SETTLE);
    net.crash(m(0), true);
    net.node(m(0)).disk = Disk::default();
    net.bootstrap = Membership::of_voters((0..9).map(|id| (m(id), Bytes::new())));
    net.start(m(0));
    net.run(SETTLE);
    net.assert_converged();
    assert_eq!(net.peer(m(0)).membership().voters().count(), 3);
    assert_eq!(net.peer(m(0)).membership(), net.peer(m(2)).membership());
}

#[test]
fn the_last_voter_stays() {
    let mut net = settled(1, 0);
    assert_eq!(net.change(&MembershipChange::Remove(m(0))), Err(ProposeError::LastVoter));
    assert_eq!(net.change(&MembershipChange::Promote(m(9))), Err(ProposeError::UnknownMember));
}

#[test]
fn a_candidate_that_dies_during_the_election_is_not_waited_for() {
    let mut net = Net::new(3, 0, 1);
    [0, 1, 2].map(m).into_iter().for_each(|id| net.feed(id, Event::Tick));
    for voter in [m(0), m(1)] {
        while net.deliver_one(m(2), voter) {}
    }
    net.crash(m(2), false);
    net.run(SETTLE);
    let leader = net.leader().expect("two of three elect one of them");
    net.propose(leader).expect("it leads");
    net.run(SETTLE);
    net.assert_converged();
}

#[test]
fn a_leader_that_stops_hands_over_without_losing_time() {
    let mut net = settled(3, 0);
    net.propose(m(2)).expect("it leads");
    net.run(Duration::from_millis(50));
    net.feed(m(2), Event::HandOver);
    net.run(Duration::from_millis(60));
    let successor = net.leader().expect("a successor leads at once");
    assert_ne!(successor, m(2));
    net.propose(successor).expect("it leads");
    net.crash(m(2), false);
    net.run(SETTLE);
    net.assert_converged();
}

#[test]
fn a_leader_that_gives_the_lead_away_follows_its_successor() {
    let mut net = settled(3, 0);
    net.propose(m(2)).expect("it leads");
    net.run(Duration::from_millis(50));
    net.feed(m(2), Event::GiveLead);
    net.run(Duration::from_millis(100));
    // Its id is the greatest, so that every tie would go back to it.
    let successor = net.leader().expect("a successor leads at once");
    assert_ne!(successor, m(2));
    assert_eq!(net.peer(m(2)).role(), RoleName::Following);
    net.propose(successor).expect("it leads");
    net.run(SETTLE);
    net.assert_converged();
    net.crash(successor, false);
    net.run(SETTLE);
    assert_eq!(net.leader(), Some(m(2)), "later it may lead again");
}

#[test]
fn a_lead_that_nobody_can_take_stays() {
    let mut net = settled(1, 0);
    net.feed(m(0), Event::GiveLead);
    net.propose(m(0)).expect("there is nobody else");
    let mut net = settled(3, 0);
    for other in [m(0), m(1)] {
        net.set_cut(m(2), other, true);
    }
    net.feed(m(2), Event::GiveLead);
    net.set_cut(m(2), m(0), false);
    net.set_cut(m(2), m(1), false);
    net.run(Duration::from_secs(3));
    let leader = net.leader().expect("someone leads");
    net.propose(leader).expect("it leads");
    net.run(SETTLE);
    net.assert_converged();
}

#[test]
fn a_vote_is_given_up_only_if_a_majority_remains_that_is_up_to_date() {
    let mut net = settled(3, 0);
    net.crash(m(0), false);
    net.run(SETTLE);
    assert_eq!(net.change(&MembershipChange::Demote(m(1))), Err(ProposeError::NoMajority));
    assert_eq!(net.change(&MembershipChange::Remove(m(2))), Err(ProposeError::NoMajority));
    net.change(&MembershipChange::Demote(m(0))).expect("two of two remain");
    net.run(SETTLE);
    net.propose(m(2)).expect("it leads");
    net.start(m(0));
    net.run(SETTLE);
    assert_eq!(net.peer(m(0)).role(), RoleName::Observing);
    net.assert_converged();
}

#[test]
fn a_demoted_leader_gives_the_lead_away_and_observes() {
    let mut net = settled(3, 0);
    net.change(&MembershipChange::Demote(m(2))).expect("two of two remain");
    net.run(SETTLE);
    let leader = net.leader().expect("one of the others leads");
    assert_ne!(leader, m(2));
    assert_eq!(net.peer(m(2)).role(), RoleName::Observing);
    net.propose(leader).expect("it leads");
    net.run(SETTLE);
    net.assert_converged();
}

#[test]
fn a_sync_is_confirmed_by_a_quorum_only() {
    let mut net = settled(3, 0);
    let zxid = net.propose(m(2)).expect("it leads");
    net.run(SETTLE);
    net.feed(m(2), Event::SyncRequested { token: 1 });
    net.feed(m(2), Event::SyncRequested { token: 2 });
    assert!(net.node(m(2)).syncs.is_empty(), "nobody confirmed yet");
    net.run(Duration::from_millis(20));
    assert_eq!(net.node(m(2)).syncs, [(1, zxid), (2, zxid)]);
    net.set_cut(m(2), m(0), true);
    net.links.remove(&(m(2), m(1)));
    net.feed(m(2), Event::SyncRequested { token: 3 });
    net.run(Duration::from_millis(20));
    assert_eq!(net.node(m(2)).syncs.len(), 2, "a leader that is cut off confirms nothing");
}

#[test] // members that lack a proposed configuration vote for one that votes in it only
fn a_change_of_voters_that_some_have_not_heard_of_ends() {
    let mut net = settled(3, 0);
    net.change(&MembershipChange::Demote(m(2))).expect("two of two remain");
    net.run(SETTLE);
    let leader = net.leader().expect("one of the others leads");
    let other = m(1 - leader.0);
    net.change(&MembershipChange::Promote(m(2))).expect("it is caught up");
    net.flush(leader);
    while net.deliver_one(leader, m(2)) {}
    net.flush(m(2));
    assert!(net.peer(m(2)).history.last() > net.peer(other).history.last());
    restart(&mut net, &[leader, m(2)]);
    net.run(SETTLE * 4);
    assert!(net.leader().is_some(), "all three reach each other");
    net.assert_converged();
}

#[test] // members with the same log differ in what they know as committed: none may hope for one that no other may vote for
fn a_change_of_voters_that_some_know_as_committed_ends() {
    let mut net = settled(3, 0);
    net.change(&MembershipChange::Demote(m(2))).expect("two of two remain");
    net.run(SETTLE);
    for known in [m(0), m(1)] {
        restart(&mut net, &[m(1 - known.0), m(2)]);
        net.run(SETTLE * 4);
        assert!(net.leader().is_some_and(|id| id != m(2)), "all three reach each other");
        net.assert_converged();
    }
}

fn restart(net: &mut Net, ids: &[streamkeeper_base::MemberId]) {
    ids.iter().for_each(|id| net.crash(*id, false));
    ids.iter().for_each(|id| net.start(*id));
}
