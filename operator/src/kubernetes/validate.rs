//! What is wanted, once every rule held that the API server cannot check: Kafka's settings, and rules between resources. Pure.
//!
//! A mistake in the Ensemble stops everything; one in a Topic, that topic alone. Must not know: what there is beyond the resources.
//! Read first: [`Validated`], [`validate`].

use std::collections::BTreeMap;

use kube::Resource;

use crate::crd::{Ensemble, Topic};
use crate::desired::Desired;
use crate::finding::{Finding, Path};
use crate::{ensemble, topic};

/// Kubernetes names a StatefulSet's revisions after it, in labels of at most 63 characters; pods and Services are longer as well.
const NAME_CHARACTERS_MAX: usize = 50;

/// What is wanted, or why not.
#[derive(Clone, Debug)]
pub struct Validated {
    /// The ensemble, with those of its topics that are good.
    pub desired: Desired,
    /// What is wrong with the ensemble; then nothing is changed.
    pub findings: Vec<Finding>,
    /// What is wrong with topics, by the names of their resources; also with those whose resources go.
    pub refused: BTreeMap<String, Vec<Finding>>,
}

/// The resource that has each topic: the oldest that stays, else the oldest that goes. `topics` come in the order in which they were made.
pub fn owners<'a>(topics: impl Iterator<Item = &'a Topic> + Clone) -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    let goes = |topic: &&Topic| topic.meta().deletion_timestamp.is_some();
    let (staying, going) = (topics.clone().filter(|topic| !goes(topic)), topics.filter(goes));
    for topic in staying.chain(going) {
        let resource = topic.meta().name.clone().unwrap_or_default();
        owners.entry(topic.spec.name_in_kafka(&resource).to_owned()).or_insert(resource);
    }
    owners
}

/// Judges an ensemble and its topics, which come in the order in which they were made. `members` is how many members there are.
pub fn validate<'a>(
    ensemble: &Ensemble,
    topics: impl Iterator<Item = &'a Topic> + Clone,
    members: i32,
) -> Validated {
    let name = ensemble.meta().name.clone().unwrap_or_default();
    let mut findings = check_name(&name);
    findings.extend(ensemble::validate::check(&ensemble.spec));
    let desired = Desired { name, ensemble: ensemble.spec.clone(), topics: BTreeMap::new() };
    let mut validated = Validated { desired, findings, refused: BTreeMap::new() };
    // A topic is judged beside the members that there are: fewer than its copies are refused by the agents, who keep those members.
    let mut beside = validated.desired.clone();
    beside.ensemble.replicas = beside.ensemble.replicas.max(members);
    let owners = owners(topics.clone());
    for topic in topics {
        let resource = topic.meta().name.clone().unwrap_or_default();
        let in_kafka = topic.spec.name_in_kafka(&resource).to_owned();
        let goes = topic.meta().deletion_timestamp.is_some();
        let mut wrong = topic::validate::check(&topic.spec, &beside);
        if let Some(owner) = owners.get(&in_kafka).filter(|owner| **owner != resource) {
            let message = match goes {
                false => format!("Topic {owner} was there first and has {in_kafka}; delete one of both"),
                true => format!("Topic {owner} has {in_kafka}"),
            };
            wrong.push(Finding::new(&Path::fields("spec.topicName"), message));
        }
        if !wrong.is_empty() {
            validated.refused.insert(resource, wrong);
        } else if !goes {
            validated.desired.topics.insert(resource, topic.spec.clone());
        }
    }
    validated
}

/// The class of volumes is that of the StatefulSet's template from its making on. The rule of the definition only compares two classes: one
/// that is set later, or taken away, passes it and would be ignored.
pub fn check_class(wanted: Option<&str>, there: Option<&str>) -> Option<Finding> {
    let said = |class: Option<&str>| {
        class.map_or("the cluster's default class".to_owned(), |c| format!("class {c:?}"))
    };
    (wanted != there).then(|| {
        let message =
            format!("the volumes were made with {}; that cannot be changed to {}", said(there), said(wanted));
        Finding::new(&Path::fields("spec.storage.class"), message)
    })
}

/// Services are named after the ensemble, and their names are stricter than those of other resources.
fn check_name(name: &str) -> Vec<Finding> {
    let legal = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.ends_with('-')
        && name.len() <= NAME_CHARACTERS_MAX;
    if legal {
        return Vec::new();
    }
    let message = format!(
        "{name} cannot name Services; lower-case letters, digits and hyphens can, a letter first, {NAME_CHARACTERS_MAX} characters at most"
    );
    vec![Finding::new(&Path::fields("metadata.name"), message)]
}

/// All findings as one sentence.
pub fn sentence(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ensemble(name: &str) -> Ensemble {
        serde_json::from_value(json!({
            "apiVersion": crate::crd::API_VERSION, "kind": "Ensemble", "metadata": {"name": name}, "spec": {"replicas": 3},
        }))
        .expect("an ensemble")
    }

    fn topic(name: &str, in_kafka: &str, copies: i32) -> Topic {
        serde_json::from_value(json!({
            "apiVersion": crate::crd::API_VERSION, "kind": "Topic", "metadata": {"name": name},
            "spec": {"ensembleRef": {"name": "main"}, "topicName": in_kafka, "partitions": 1, "replicationFactor": copies},
        }))
        .expect("a topic")
    }

    #[test]
    fn the_first_of_two_topics_with_one_name_wins_and_the_other_says_so() {
        let topics = [topic("b", "orders", 3), topic("a", "orders", 3)];
        let validated = validate(&ensemble("main"), topics.iter(), 0);
        assert!(validated.findings.is_empty() && validated.desired.topics.contains_key("b"));
        assert_eq!(
            sentence(&validated.refused["a"]),
            "spec.topicName: Topic b was there first and has orders; delete one of both"
        );
    }

    #[test]
    fn a_topic_that_goes_leaves_its_name_to_the_next() {
        let mut first = topic("b", "orders", 1);
        first.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).expect("a time");
        let topics = [first, topic("a", "orders", 1)];
        let validated = validate(&ensemble("main"), topics.iter(), 0);
        assert!(validated.desired.topics.contains_key("a") && !validated.desired.topics.contains_key("b"));
        assert_eq!(sentence(&validated.refused["b"]), "spec.topicName: Topic a has orders");
        assert_eq!(owners(topics.iter())["orders"], "a");
        assert_eq!(owners(topics[..1].iter())["orders"], "b", "until there is another");
    }

    #[test]
    fn copies_are_held_against_the_members_that_are_there() {
        let topics = [topic("big", "big", 5)];
        assert_eq!(validate(&ensemble("main"), topics.iter(), 3).refused.len(), 1);
        assert_eq!(validate(&ensemble("main"), topics.iter(), 5).refused.len(), 0);
    }

    #[test]
    fn a_class_of_volumes_is_neither_set_nor_taken_away_later() {
        assert_eq!(check_class(Some("fast"), Some("fast")), None);
        assert_eq!(check_class(None, None), None);
        assert!(check_class(None, Some("fast")).is_some());
        let finding = check_class(Some("fast"), None).expect("a finding").to_string();
        assert_eq!(
            finding,
            "spec.storage.class: the volumes were made with the cluster's default class; that cannot be changed to class \"fast\""
        );
    }

    #[test]
    fn names_that_no_service_can_have_are_refused() {
        for name in ["1st", "a.b", &"x".repeat(51), "a-", "A"] {
            assert_eq!(validate(&ensemble(name), [].into_iter(), 0).findings.len(), 1, "{name}");
        }
        assert!(validate(&ensemble("a-1"), [].into_iter(), 0).findings.is_empty());
    }
}
