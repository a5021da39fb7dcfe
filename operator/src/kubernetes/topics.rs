//! Topics as resources: what becomes of a topic when its resource goes.
//!
//! A finalizer holds back only a resource whose topic shall go with it, and lets go by itself when the ensemble is gone or going, or
//! the namespace is. Many deletions at once wait for a word. Must not know: partitions. Read first: [`decide`], [`is_held`].

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::api::{Api, ApiError, Part, body_of};
use super::events::Happening;
use super::read::{Found, Key};
use super::reconcile::{AT_ONCE, Operator};
use super::{names, report};
use crate::agents::Agents;
use crate::crd::{DeletionPolicy, Topic};
use crate::ensemble::status::{Moment, timestamp};

/// This many topics may always be deleted together.
const HANDFUL: usize = 5;
/// A deletion waits this long in seconds, so that it is seen together with those that come with it.
const TOGETHER_SECONDS: i64 = 3;

/// What is done about a Topic beside its topic's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Nothing,
    /// The resource is held back until its topic is gone.
    Hold,
    /// The resource is let go.
    Release,
    /// The topic is deleted, then the resource is let go.
    Delete,
}

/// `owns`: no other resource has the topic. `ensemble_goes`: there will be nobody to delete a topic of.
pub fn decide(topic: &Topic, owns: bool, ensemble_goes: bool) -> Decision {
    let held = topic.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == names::FINALIZER);
    let deletes = topic.spec.deletion_policy == DeletionPolicy::Delete;
    let goes = topic.metadata.deletion_timestamp.is_some();
    match (goes, held) {
        (false, false) if deletes && owns && !ensemble_goes => Decision::Hold,
        (false, true) if !deletes || !owns => Decision::Release,
        (true, true) if ensemble_goes || !deletes || !owns => Decision::Release,
        (true, true) => Decision::Delete,
        (false, true | false) | (true, false) => Decision::Nothing,
    }
}

/// The resource that has each topic: the oldest that stays, else the oldest that goes. `topics` come in the order in which they were made.
pub fn owners(topics: &[Arc<Topic>]) -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    let staying = topics.iter().filter(|topic| topic.metadata.deletion_timestamp.is_none());
    let going = topics.iter().filter(|topic| topic.metadata.deletion_timestamp.is_some());
    for topic in staying.chain(going) {
        let resource = topic.metadata.name.clone().unwrap_or_default();
        owners.entry(topic.spec.name_in_kafka(&resource).to_owned()).or_insert(resource);
    }
    owners
}

/// Whether deletions of `going` topics beside `staying` ones look like an accident: more than a handful, and more than half.
/// `confirmed` is how many may go.
pub fn is_held(going: usize, staying: usize, confirmed: usize) -> bool {
    going > HANDFUL && going > staying && going > confirmed
}

/// How many deletions somebody permitted.
pub fn confirmed(annotations: Option<&BTreeMap<String, String>>) -> usize {
    let annotation = annotations.and_then(|annotations| annotations.get(names::CONFIRM_DELETIONS));
    annotation.and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// Whether a deletion has waited for those that come with it.
pub fn is_due(topic: &Topic, now: Timestamp) -> bool {
    let asked = topic.metadata.deletion_timestamp.as_ref().map(|time| time.0.as_second());
    asked.is_some_and(|asked| now.as_second() >= asked + TOGETHER_SECONDS)
}

/// Holds back, lets go and deletes what must be. Without `agents` the ensemble is gone or going.
///
/// # Errors
/// The API server did not take something, or no agent deleted a topic.
pub async fn settle<A: Api, G: Agents>(
    operator: &Operator<'_, A>,
    key: &Key,
    found: &Found,
    agents: Option<&G>,
) -> Result<(), ApiError> {
    let owners = owners(&found.topics);
    let goes = |topic: &Topic| topic.metadata.deletion_timestamp.is_some();
    let staying = found.topics.iter().filter(|topic| !goes(topic)).count();
    let mut ensemble_goes = agents.is_none();
    if !ensemble_goes && found.topics.iter().any(|topic| goes(topic)) {
        ensemble_goes = operator.api.namespace_goes(&key.namespace).await?;
    }
    let decided = |topic: &Arc<Topic>| {
        let resource = topic.metadata.name.clone().unwrap_or_default();
        let name = topic.spec.name_in_kafka(&resource).to_owned();
        let owns = owners.get(&name) == Some(&resource);
        (Arc::clone(topic), name, decide(topic, owns, ensemble_goes))
    };
    let decisions: Vec<_> = found.topics.iter().map(decided).collect();
    let going = decisions.iter().filter(|(_, _, decision)| *decision == Decision::Delete).count();
    let annotations = found.ensemble.as_ref().and_then(|ensemble| ensemble.metadata.annotations.as_ref());
    let held = is_held(going, staying, confirmed(annotations));
    let settle_one = async |(topic, name, decision): (Arc<Topic>, String, Decision)| match (decision, agents)
    {
        (Decision::Nothing, _) => Ok(()),
        (Decision::Hold, _) => hold(operator.api, &key.namespace, &topic, true).await,
        (Decision::Release, _) => hold(operator.api, &key.namespace, &topic, false).await,
        (Decision::Delete, Some(_)) if held => ask(operator, &topic, going).await,
        (Decision::Delete, Some(agents)) if is_due(&topic, timestamp((operator.wall)())) => {
            delete(operator, agents, key, &topic, &name).await
        }
        (Decision::Delete, _) => Ok(()),
    };
    let settled: Vec<Result<(), ApiError>> =
        stream::iter(decisions).map(settle_one).buffer_unordered(AT_ONCE).collect().await;
    settled.into_iter().collect()
}

/// Says that a deletion waits for a word, and which.
async fn ask<A: Api>(operator: &Operator<'_, A>, topic: &Topic, going: usize) -> Result<(), ApiError> {
    let ensemble = &topic.spec.ensemble_ref.name;
    let why = format!(
        "{going} topics are to be deleted with their data, which is more than half; if that is meant: kubectl annotate ensemble \
         {ensemble} --overwrite {}={going}",
        names::CONFIRM_DELETIONS
    );
    operator.tell(topic, Happening::DeletionHeld, &why).await;
    let now = timestamp((operator.wall)());
    let moment = Moment { now, next: now, generation: topic.metadata.generation };
    let previous = topic.status.clone().unwrap_or_default();
    let next = report::hold_topic(&previous, &why, &moment);
    let namespace = topic.metadata.namespace.clone().unwrap_or_default();
    if next != previous { report::write(operator.api, topic, &namespace, &next).await } else { Ok(()) }
}

async fn delete<A: Api, G: Agents>(
    operator: &Operator<'_, A>,
    agents: &G,
    key: &Key,
    topic: &Topic,
    name: &str,
) -> Result<(), ApiError> {
    let deleted = agents.delete_topic(name).await;
    deleted.map_err(|error| ApiError::Unavailable {
        what: format!("delete topic {name}"),
        message: error.to_string(),
    })?;
    operator.tell(topic, Happening::TopicDeleted, &format!("topic {name} and its data are deleted")).await;
    hold(operator.api, &key.namespace, topic, false).await
}

/// Sets or releases the finalizer.
///
/// # Errors
/// The API server did not take it.
pub async fn hold<A: Api>(api: &A, namespace: &str, topic: &Topic, holds: bool) -> Result<(), ApiError> {
    let name = topic.metadata.name.clone().unwrap_or_default();
    let finalizers: &[&str] = if holds { &[names::FINALIZER] } else { &[] };
    let metadata = json!({"name": name, "uid": topic.metadata.uid, "finalizers": finalizers});
    api.apply::<Topic>(namespace, &name, &body_of::<Topic>(metadata), Part::Main).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, policy: &str, held: bool, goes: bool) -> Arc<Topic> {
        let mut value = json!({
            "apiVersion": crate::crd::API_VERSION, "kind": "Topic", "metadata": {"name": name},
            "spec": {
                "ensembleRef": {"name": "main"}, "topicName": "t", "partitions": 1, "replicationFactor": 1,
                "deletionPolicy": policy,
            },
        });
        if held {
            value["metadata"]["finalizers"] = json!([names::FINALIZER]);
        }
        if goes {
            value["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        Arc::new(serde_json::from_value(value).expect("a topic"))
    }

    #[test]
    fn only_a_topic_that_shall_go_is_held_and_nothing_hangs() {
        let of = |policy, held, goes, owns, ensemble_goes| {
            decide(&topic("a", policy, held, goes), owns, ensemble_goes)
        };
        assert_eq!(of("Retain", false, false, true, false), Decision::Nothing);
        assert_eq!(of("Delete", false, false, true, false), Decision::Hold);
        assert_eq!(of("Delete", true, false, true, false), Decision::Nothing);
        assert_eq!(of("Retain", true, false, true, false), Decision::Release, "the policy was changed");
        assert_eq!(of("Delete", true, true, true, false), Decision::Delete);
        assert_eq!(of("Retain", true, true, true, false), Decision::Release);
        assert_eq!(
            of("Delete", true, true, false, false),
            Decision::Release,
            "another resource has the topic"
        );
        assert_eq!(of("Delete", true, true, true, true), Decision::Release, "the ensemble goes");
        assert_eq!(of("Delete", false, true, true, false), Decision::Nothing);
    }

    #[test]
    fn a_topic_belongs_to_the_oldest_resource_that_stays() {
        let topics = [topic("a", "Delete", true, true), topic("b", "Retain", false, false)];
        assert_eq!(owners(&topics)["t"], "b");
        assert_eq!(owners(&topics[..1])["t"], "a");
    }

    #[test]
    fn a_mass_deletion_waits_for_a_word() {
        assert!(!is_held(5, 0, 0), "a handful");
        assert!(!is_held(6, 6, 0), "half");
        assert!(is_held(6, 5, 0));
        assert!(is_held(8, 5, 7) && !is_held(7, 5, 7));
        let annotations = [(names::CONFIRM_DELETIONS.to_owned(), "7".to_owned())].into();
        assert_eq!((confirmed(Some(&annotations)), confirmed(None)), (7, 0));
    }

    #[test]
    fn a_deletion_waits_for_those_that_come_with_it() {
        let going = topic("a", "Delete", true, true);
        let asked = going.metadata.deletion_timestamp.clone().expect("a time").0.as_second();
        let at = |second| Timestamp::from_second(second).expect("a time");
        assert!(!is_due(&going, at(asked + 2)) && is_due(&going, at(asked + 3)));
        assert!(!is_due(&topic("a", "Delete", true, false), at(asked)));
    }
}
