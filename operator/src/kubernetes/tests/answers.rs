//! What agents answer, from the state of the model ensemble: the picture of the quorum leader and its verdicts.

use streamkeeper_proto::v1alpha1 as proto;

use super::ensemble::{Ensemble, Topic, count};
use super::laws::needed;

/// Who there is.
pub(super) fn describe(ensemble: &Ensemble) -> proto::DescribeResponse {
    let member = |id: i32| {
        let known = &ensemble.members[&id];
        proto::Member {
            id,
            incarnation: format!("{:032x}", known.incarnation),
            role: if known.votes { proto::Role::Voter } else { proto::Role::Observer }.into(),
            live: ensemble.is_live(id),
            cordoned: known.cordoned,
            resting: known.resting,
            leader: ensemble.leader == Some(id),
            synced: ensemble.is_synced(id),
            partitions: ensemble.held(id),
            partitions_led: ensemble.led(id),
            bytes: Some(i64::from(ensemble.held(id)) * 1000),
            version: "1".to_owned(),
            ..proto::Member::default()
        }
    };
    let voters = ensemble.voters();
    let synced: Vec<i32> = voters.iter().copied().filter(|id| ensemble.is_synced(*id)).collect();
    let margin = count(synced.len()) - (count(voters.len()) / 2 + 1);
    let topics = topics(ensemble);
    let sum = |of: fn(&proto::Topic) -> i32| topics.iter().map(of).sum();
    proto::DescribeResponse {
        leader: ensemble.leader.unwrap_or(-1),
        zab_epoch: ensemble.epoch,
        zxid: i64::from(ensemble.epoch) << 32,
        members: ensemble.members.keys().map(|id| member(*id)).collect(),
        quorum: Some(proto::Quorum { voters, synced_voters: synced, margin, ..proto::Quorum::default() }),
        partitions: Some(proto::PartitionSummary {
            total: sum(|t| t.partition_count),
            offline: sum(|t| t.offline),
            under_min_insync: sum(|t| t.under_min_insync),
            under_replicated: sum(|t| t.under_replicated),
        }),
        fencing_token: ensemble.token,
        ..proto::DescribeResponse::default()
    }
}

/// A topic's id as agents write it.
pub(super) fn topic_id(topic: &Topic) -> String {
    format!("{:032x}", topic.id)
}

/// The topics.
pub(super) fn topics(ensemble: &Ensemble) -> Vec<proto::Topic> {
    let of = |(name, topic): (&String, &Topic)| {
        let those = |is: &dyn Fn(&super::ensemble::Partition) -> bool| {
            count(topic.partitions.iter().filter(|p| is(p)).count())
        };
        proto::Topic {
            name: name.clone(),
            id: topic_id(topic),
            partition_count: count(topic.partitions.len()),
            replication_factor: topic.replication_factor,
            configs: topic.config.clone().into_iter().collect(),
            offline: those(&|p| p.leader.is_none()),
            under_min_insync: those(&|p| p.in_sync.len() < super::ensemble::min_in_sync(topic)),
            under_replicated: those(&|p| p.in_sync.len() < p.replicas.len()),
            ..proto::Topic::default()
        }
    };
    ensemble.topics.iter().map(of).collect()
}

fn blocker(kind: proto::blocker::Kind, message: impl Into<String>) -> proto::Blocker {
    proto::Blocker { kind: kind.into(), message: message.into(), ..proto::Blocker::default() }
}

/// May the member stop now and come back?
pub(super) fn check_restart(ensemble: &Ensemble, member: i32) -> proto::CheckRestartResponse {
    let mut answer = proto::CheckRestartResponse::default();
    let absent = ensemble.members.keys().filter(|id| **id != member && !ensemble.is_live(**id));
    for other in absent {
        let message = format!("member {other} is not back");
        answer.blockers.push(blocker(proto::blocker::Kind::Quorum, message));
    }
    if let Some(why) = needed(ensemble, member) {
        answer.blockers.push(blocker(proto::blocker::Kind::Quorum, why));
    }
    let alone = ensemble.partitions().any(|p| p.leader == Some(member) && p.in_sync.len() == 1);
    if alone || ensemble.voters() == [member] {
        let message = format!("nobody can take over from member {member}");
        answer.unavoidable.push(blocker(proto::blocker::Kind::Quorum, message));
    }
    answer.safe = answer.blockers.is_empty();
    answer
}

/// May the members leave?
pub(super) fn check_remove(ensemble: &Ensemble, members: &[i32]) -> proto::CheckRemoveResponse {
    let mut answer = proto::CheckRemoveResponse::default();
    let staying = ensemble.members.keys().filter(|id| !members.contains(id)).count();
    for (name, topic) in &ensemble.topics {
        if topic.replication_factor > count(staying) {
            let message = format!(
                "topic {name} has {} copies, {staying} members would remain",
                topic.replication_factor
            );
            answer.blockers.push(blocker(proto::blocker::Kind::ReplicationFactor, message));
        }
    }
    for id in members.iter().filter(|id| ensemble.members.contains_key(id)) {
        if ensemble.held(*id) > 0 || ensemble.members[id].votes {
            let message = format!("member {id} holds replicas or votes");
            answer.remaining.push(blocker(proto::blocker::Kind::HoldsReplicas, message));
        }
    }
    answer.allowed = answer.blockers.is_empty();
    answer.empty = answer.allowed && answer.remaining.is_empty();
    answer
}

/// How evenly replicas are spread.
pub(super) fn progress(ensemble: &Ensemble) -> proto::Progress {
    use proto::progress::State;
    let eligible = ensemble.eligible();
    let held: Vec<i32> = eligible.iter().map(|id| ensemble.held(*id)).collect();
    let next = ensemble.next_move();
    let full = ensemble.members.iter().any(|(id, m)| m.cordoned && ensemble.held(*id) > 0);
    let moves =
        next.as_ref().is_some_and(|(_, _, from, _)| ensemble.auto || ensemble.draining.contains(from));
    let state = match (&next, full) {
        (Some(_), _) if moves => State::Running,
        (Some(_), _) => State::Skewed,
        (None, true) => State::Waiting,
        (None, false) => State::Balanced,
    };
    proto::Progress {
        state: state.into(),
        balanced: next.is_none() && !full,
        skew: Some(proto::Skew {
            replicas_max: held.iter().max().copied().unwrap_or(0),
            replicas_min: held.iter().min().copied().unwrap_or(0),
            members: Vec::new(),
        }),
        waiting_for: if state == State::Waiting {
            "members to take replicas".to_owned()
        } else {
            String::new()
        },
        policy: Some(proto::Policy { auto: ensemble.auto, max_bytes_per_second: ensemble.bytes_per_second }),
        ..proto::Progress::default()
    }
}
