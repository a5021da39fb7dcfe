//! The next steps that bring what is there nearer to what is wanted. Pure: a substrate carries them out.
//!
//! Read first: [`plan`], [`Step`].

use std::collections::BTreeMap;

use crate::crd::TopicSpec;
use crate::desired::Desired;

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Agents that serve Kafka's clients and know each other.
    pub brokers: i32,
    /// Replicas on the fullest and on the emptiest agent.
    pub replicas: (usize, usize),
    /// Partitions that move now.
    pub moving: usize,
    /// Topics: partitions, and how many of them lack a leader or a replica in sync.
    pub topics: BTreeMap<String, ObservedTopic>,
}

/// A topic that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObservedTopic {
    /// Partitions.
    pub partitions: i32,
    /// Partitions without a leader, or with replicas out of sync.
    pub unready: i32,
}

/// One step with its reason, or a wait that says what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A topic is missing.
    CreateTopic {
        /// Its name.
        name: String,
        /// What it shall be.
        topic: TopicSpec,
    },
    /// A topic has fewer partitions than wanted.
    GrowTopic {
        /// The topic.
        name: String,
        /// How many there shall be.
        partitions: i32,
    },
    /// Replicas move by themselves until agents hold alike.
    Rebalancing {
        /// Replicas on the fullest agent.
        replicas_max: usize,
        /// Replicas on the emptiest.
        replicas_min: usize,
        /// Partitions that move now.
        moving: usize,
    },
    /// Nothing can be done now.
    Wait(String),
}

/// The next steps; none when what is there is what is wanted.
pub fn plan(desired: &Desired, observed: &Observed) -> Vec<Step> {
    if observed.brokers < desired.ensemble.replicas {
        let wanted = desired.ensemble.replicas;
        return vec![Step::Wait(format!("{} of {wanted} agents serve", observed.brokers))];
    }
    let mut steps = Vec::new();
    for (name, topic) in desired.kafka_topics() {
        match observed.topics.get(name) {
            None => steps.push(Step::CreateTopic { name: name.to_owned(), topic: topic.clone() }),
            Some(there) if there.partitions < topic.partitions => {
                steps.push(Step::GrowTopic { name: name.to_owned(), partitions: topic.partitions });
            }
            Some(there) if there.unready > 0 => {
                let in_sync = there.partitions - there.unready;
                steps.push(Step::Wait(format!(
                    "{name}: {in_sync} of {} partitions in sync",
                    there.partitions
                )));
            }
            Some(_) => {}
        }
    }
    let (replicas_max, replicas_min) = observed.replicas;
    if observed.moving > 0 || replicas_max > replicas_min + 1 {
        steps.push(Step::Rebalancing { replicas_max, replicas_min, moving: observed.moving });
    }
    steps
}

/// Why a change of what is wanted is refused: what was promised once is not taken back silently.
pub fn refuse_change(before: &Desired, after: &Desired) -> Result<(), String> {
    let (old, new) = (before.ensemble.replicas, after.ensemble.replicas);
    if new < old {
        return Err(format!(
            "spec.replicas: {new} is fewer than the {old} there are; scale-in is not built yet"
        ));
    }
    if new > old && old < 3 {
        return Err(format!("spec.replicas: growing from {old} is not built yet; start with 3 to grow to 5"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest;

    fn desired(partitions: i32) -> Desired {
        let text = format!(
            "apiVersion: streamkeeper.dev/v1alpha1\nkind: Ensemble\nmetadata: {{name: main}}\nspec: {{replicas: 3}}\n---\n\
             apiVersion: streamkeeper.dev/v1alpha1\nkind: Topic\nmetadata: {{name: t}}\n\
             spec: {{ensembleRef: {{name: main}}, partitions: {partitions}, replicationFactor: 3}}\n"
        );
        manifest::parse(&[("m.yaml".into(), text)], None).expect("a manifest")
    }

    #[test]
    fn each_state_has_its_next_step() {
        let wanted = desired(4);
        let topic = wanted.topics["t"].clone();
        let mut observed = Observed::default();
        assert_eq!(plan(&wanted, &observed), [Step::Wait("0 of 3 agents serve".into())]);
        observed.brokers = 3;
        assert_eq!(plan(&wanted, &observed), [Step::CreateTopic { name: "t".into(), topic }]);
        observed.topics.insert("t".into(), ObservedTopic { partitions: 2, unready: 0 });
        assert_eq!(plan(&wanted, &observed), [Step::GrowTopic { name: "t".into(), partitions: 4 }]);
        observed.topics.insert("t".into(), ObservedTopic { partitions: 4, unready: 1 });
        assert_eq!(plan(&wanted, &observed), [Step::Wait("t: 3 of 4 partitions in sync".into())]);
        observed.topics.insert("t".into(), ObservedTopic { partitions: 4, unready: 0 });
        assert_eq!(plan(&wanted, &observed), [], "converged is zero steps");
        observed.replicas = (9, 4);
        let rebalancing = Step::Rebalancing { replicas_max: 9, replicas_min: 4, moving: 0 };
        assert_eq!(plan(&wanted, &observed), [rebalancing]);
    }
}
