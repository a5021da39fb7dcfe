//! Topics: made, grown, their settings altered; or why that cannot be.
//!
//! Must not know: members, beyond how many serve. Read first: [`topics`].

use std::collections::BTreeMap;

use crate::crd::TopicSpec;
use crate::desired::Desired;
use crate::ensemble::observed::{Observed, ObservedTopic};
use crate::ensemble::plan::{Plan, TopicStep, WaitFor, Why};

/// The next step of every topic, or what it waits for. Topics that nobody wants are left alone.
pub(crate) fn topics(desired: &Desired, observed: &Observed, plan: &mut Plan) {
    let able = |m: &&crate::ensemble::observed::ObservedMember| {
        m.agent.as_ref().is_some_and(|agent| agent.live && !agent.cordoned)
    };
    let live = i32::try_from(observed.members.values().filter(able).count()).unwrap_or(i32::MAX);
    for (name, topic) in desired.kafka_topics() {
        match observed.topics.get(name) {
            None if live < topic.replication_factor => {
                let what = WaitFor::MembersForTopic { live, copies: topic.replication_factor };
                plan.topic_wait(what, name);
            }
            None => plan.topic_step(step(name, topic), Why::TopicMissing),
            Some(there) => existing(name, topic, there, plan),
        }
    }
}

fn existing(name: &str, topic: &TopicSpec, there: &ObservedTopic, plan: &mut Plan) {
    if let Some(why) = impossible(topic, there) {
        plan.topic_wait(WaitFor::Impossible(why), name);
    } else if there.partitions < topic.partitions && there.known_everywhere {
        plan.topic_step(step(name, topic), Why::TopicGrows);
    } else if differs(topic, &there.config) {
        plan.topic_step(step(name, topic), Why::TopicConfig);
    } else if there.under_replicated > 0 || there.offline > 0 || !there.known_everywhere {
        let bad = there.under_replicated.max(there.offline).max(i32::from(!there.known_everywhere));
        let what = WaitFor::InSync { good: there.partitions - bad, total: there.partitions };
        plan.topic_wait(what, name);
    }
}

/// Why the topic that is there can never become the wanted one.
pub(crate) fn impossible(topic: &TopicSpec, there: &ObservedTopic) -> Option<String> {
    // While partitions move they have more replicas than they shall.
    if there.replication_factor != topic.replication_factor && there.moving == 0 {
        return Some(format!(
            "has {} copies of each partition, {} are wanted; that cannot be changed",
            there.replication_factor, topic.replication_factor
        ));
    }
    (there.partitions > topic.partitions && there.known_everywhere).then(|| {
        format!(
            "has {} partitions, {} are wanted; partitions may grow, never shrink",
            there.partitions, topic.partitions
        )
    })
}

/// A key that is absent has Kafka's default again; `null` leaves the key to others.
fn differs(topic: &TopicSpec, there: &BTreeMap<String, String>) -> bool {
    let managed = |key: &String| !matches!(topic.config.get(key), Some(None));
    wanted(topic)
        != there.iter().filter(|(key, _)| managed(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn wanted(topic: &TopicSpec) -> BTreeMap<String, String> {
    topic.config.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect()
}

fn step(name: &str, topic: &TopicSpec) -> TopicStep {
    let unmanaged = topic.config.iter().filter(|(_, value)| value.is_none());
    TopicStep {
        name: name.to_owned(),
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        config: wanted(topic),
        unmanaged: unmanaged.map(|(key, _)| key.clone()).collect(),
    }
}
