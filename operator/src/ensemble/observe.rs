//! Asks the agents what there is. The only reader of the agents; the substrate's facts come in as an argument.
//!
//! Must not know: what is done about it. Read first: [`observe`].

use std::collections::BTreeMap;

use futures::future::{join, join_all};
use streamkeeper_proto::v1alpha1 as proto;

use super::observed::{
    Activity, Agent, Blocker, Observed, ObservedMember, ObservedTopic, Partitions, Process, Quorum,
    Rebalance, Removal, Restart,
};
use crate::agents::Agents;

/// What there is, with the processes of the substrate. `replicas` is the wanted number of members: those above it are asked whether
/// they may leave.
pub async fn observe<G: Agents>(agents: &G, processes: BTreeMap<i32, Process>, replicas: i32) -> Observed {
    let mut observed = Observed::default();
    for (id, process) in processes {
        observed.members.insert(id, ObservedMember { process, ..ObservedMember::default() });
    }
    let running = observed.members.iter().filter(|(_, m)| m.process.runs).map(|(id, _)| *id);
    let ask = async |id: i32| {
        let ready = agents.is_ready(id).await;
        // One that does not answer costs its time once.
        let settings = if ready.is_some() { agents.settings_digest(id).await } else { None };
        (id, ready, settings, agents.topics(id).await.ok())
    };
    // Together: one that does not answer costs its time once.
    let (described, answers) = join(agents.describe(), join_all(running.map(ask))).await;
    let mut views = Vec::new();
    for (id, ready, settings, topics) in answers {
        if let Some(member) = observed.members.get_mut(&id) {
            member.settings = settings;
            (member.answers, member.ready) = (ready.is_some(), ready == Some(true));
        }
        views.extend(topics.filter(|_| ready == Some(true)));
    }
    observed.topics = topics(&views);
    if let Ok(described) = described {
        take_in(&mut observed, described);
        ask_leader(agents, &mut observed, replicas).await;
    }
    observed
}

/// What needs more than one question, each to the quorum leader.
async fn ask_leader<G: Agents>(agents: &G, observed: &mut Observed, replicas: i32) {
    if let Ok(progress) = agents.rebalance().await {
        observed.rebalance = rebalance(&progress);
    }
    for (id, member) in &mut observed.members {
        if member.process.outdated {
            member.restart = agents.check_restart(*id).await.ok().map(|answer| Restart {
                blockers: blockers(answer.blockers),
                unavoidable: blockers(answer.unavoidable),
            });
        }
    }
    let mut leaving: Vec<i32> = observed.surplus(replicas).iter().map(|(id, _)| *id).collect();
    if leaving.is_empty() && replicas > 1 {
        leaving.push(replicas - 1);
    }
    // A member that never joined holds nothing, and nobody knows it.
    leaving.retain(|id| observed.members.get(id).is_some_and(|m| m.agent.is_some()));
    observed.scale_in = if leaving.is_empty() {
        Some(Removal::default())
    } else {
        agents.check_remove(&leaving).await.ok().map(|answer| Removal {
            blockers: blockers(answer.blockers),
            remaining: blockers(answer.remaining),
        })
    };
}

fn take_in(observed: &mut Observed, described: proto::DescribeResponse) {
    let quorum = described.quorum.unwrap_or_default();
    observed.quorum = Some(Quorum {
        leader: described.leader,
        zab_epoch: described.zab_epoch,
        zxid: described.zxid,
        voters: quorum.voters,
        synced: quorum.synced_voters,
        margin: quorum.margin,
        changing: quorum.changing,
        fencing_token: described.fencing_token,
    });
    let partitions = described.partitions.unwrap_or_default();
    observed.partitions = Partitions {
        total: partitions.total,
        offline: partitions.offline,
        under_min_insync: partitions.under_min_insync,
        under_replicated: partitions.under_replicated,
    };
    for member in described.members {
        let agent = Agent {
            in_ensemble: member.role() != proto::Role::Unspecified,
            live: member.live,
            cordoned: member.cordoned,
            resting: member.resting,
            leader: member.leader,
            synced: member.synced,
            replicas: member.partitions,
            led: member.partitions_led,
            bytes: member.bytes,
            incarnation: member.incarnation,
            version: member.version,
        };
        observed.members.entry(member.id).or_default().agent = Some(agent);
    }
}

fn rebalance(progress: &proto::Progress) -> Rebalance {
    let activity = match progress.state() {
        proto::progress::State::Running => Activity::Moving,
        proto::progress::State::Waiting => Activity::Waiting,
        proto::progress::State::Skewed => Activity::Unasked,
        proto::progress::State::Cancelled => Activity::Cancelled,
        proto::progress::State::Balanced | proto::progress::State::Unspecified => Activity::Idle,
    };
    let skew = progress.skew.clone().unwrap_or_default();
    let policy = progress.policy.unwrap_or_default();
    Rebalance {
        balanced: progress.balanced,
        activity,
        moves: (progress.moves_done, progress.moves_total),
        bytes: (progress.bytes_done, progress.bytes_total),
        bytes_per_second: progress.bytes_per_second,
        estimated_end_ms: progress.estimated_end_ms,
        replicas: (skew.replicas_max, skew.replicas_min),
        moving: progress.moving.len(),
        waiting_for: progress.waiting_for.clone(),
        auto: policy.auto,
        max_bytes_per_second: policy.max_bytes_per_second,
    }
}

/// One picture out of what each member says: a topic is there as far as every member that serves knows it, because clients ask any.
fn topics(views: &[Vec<proto::Topic>]) -> BTreeMap<String, ObservedTopic> {
    let mut topics: BTreeMap<String, (usize, ObservedTopic)> = BTreeMap::new();
    for topic in views.iter().flatten() {
        let (known_by, merged) = topics.entry(topic.name.clone()).or_insert_with(|| {
            let first = ObservedTopic {
                id: topic.id.clone(),
                partitions: topic.partition_count,
                replication_factor: topic.replication_factor,
                config: topic.configs.clone().into_iter().collect(),
                known_everywhere: true,
                ..ObservedTopic::default()
            };
            (0, first)
        });
        *known_by += 1;
        merged.known_everywhere &= merged.partitions == topic.partition_count && merged.id == topic.id;
        merged.partitions = merged.partitions.min(topic.partition_count);
        merged.offline = merged.offline.max(topic.offline);
        merged.under_replicated = merged.under_replicated.max(topic.under_replicated);
        merged.moving = merged.moving.max(topic.moving);
    }
    let finish = |(name, (known_by, mut topic)): (String, (usize, ObservedTopic))| {
        topic.known_everywhere &= known_by == views.len();
        (name, topic)
    };
    topics.into_iter().map(finish).collect()
}

/// Only too few members for the copies of a topic stays so whatever the agents do.
fn blockers(from: Vec<proto::Blocker>) -> Vec<Blocker> {
    let blocker = |blocker: proto::Blocker| {
        let more =
            if blocker.more > 0 { format!(" (and {} more like it)", blocker.more) } else { String::new() };
        Blocker {
            lasting: blocker.kind() == proto::blocker::Kind::ReplicationFactor,
            message: format!("{}{more}", blocker.message),
        }
    };
    from.into_iter().map(blocker).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, partitions: i32) -> proto::Topic {
        proto::Topic { name: name.to_owned(), partition_count: partitions, ..proto::Topic::default() }
    }

    #[test]
    fn a_topic_is_there_as_far_as_every_member_knows_it() {
        let views = [vec![topic("a", 4), topic("b", 1)], vec![topic("a", 2)]];
        let merged = topics(&views);
        assert_eq!((merged["a"].partitions, merged["a"].known_everywhere), (2, false));
        assert_eq!((merged["b"].partitions, merged["b"].known_everywhere), (1, false));
        assert!(topics(&views[..1])["a"].known_everywhere);
    }

    #[test]
    fn blockers_tell_how_many_more_there_are() {
        let blocker = proto::Blocker {
            kind: proto::blocker::Kind::ReplicationFactor.into(),
            message: "topic orders has 3 copies".to_owned(),
            more: 2,
            ..proto::Blocker::default()
        };
        let expected =
            Blocker { lasting: true, message: "topic orders has 3 copies (and 2 more like it)".to_owned() };
        assert_eq!(blockers(vec![blocker]), [expected]);
    }
}
