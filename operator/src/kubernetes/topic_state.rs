//! What topics shall be, and what is said of them, as far as the Kubernetes side of it goes: whose settings stay, which resource an Event is
//! about, and the status of each.
//!
//! Must not know: members, and what becomes of a topic whose resource goes ([`super::topics`]). Read first: [`topic_news`].

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt, stream};

use super::api::Api;
use super::events::Happening;
use super::read::Found;
use super::reconcile::{AT_ONCE, LookError, Operator};
use super::report;
use super::topics::{Fate, Sight, in_kafka};
use super::validate::{Validated, sentence};
use crate::agents::Agents;
use crate::crd::{Topic, TopicStatus};
use crate::ensemble::observed::Observed;
use crate::ensemble::plan::{Plan, Planned, Step};
use crate::ensemble::status::Moment;
use crate::execute::{StepFailed, apply_topic};
use crate::topic::adopt::kept;
use crate::topic::status::status;

/// What topics wait for whose resources go, by their names.
pub(super) type Fates = BTreeMap<String, Fate>;

/// Settings that topics had before their resources are left to others.
pub(super) fn adopt(validated: &mut Validated, found: &Found, observed: &Observed) {
    for topic in &found.topics {
        let resource = topic.metadata.name.clone().unwrap_or_default();
        let Some(spec) = validated.desired.topics.get_mut(&resource) else { continue };
        let there = observed.topics.get(spec.name_in_kafka(&resource));
        let previous = topic.status.clone().unwrap_or_default();
        let kept = kept(spec, there, &previous);
        spec.config.extend(kept.into_iter().map(|key| (key, None)));
    }
}

/// Applies topics, some at the same time; those after one that fails are applied all the same. Returns the first failure.
pub(super) async fn apply_topics<A: Api, G: Agents>(
    operator: &Operator<'_, A>,
    found: &Found,
    agents: &G,
    steps: &[&Planned],
) -> Result<(), LookError> {
    let staying = found.topics.iter().filter(|topic| topic.metadata.deletion_timestamp.is_none());
    // The first of two for one topic has it.
    let resources: BTreeMap<String, &Arc<Topic>> =
        staying.rev().map(|topic| (in_kafka(topic), topic)).collect();
    let one = async |planned: &&Planned| {
        let Step::ApplyTopic(topic) = &planned.step else { return Ok(()) };
        let done = apply_topic(agents, topic).await;
        let resource = resources.get(&topic.name);
        if let (Ok(()), Some(resource)) = (&done, resource) {
            let note = format!("{}: {}", planned.step, planned.why);
            operator.tell(resource.as_ref(), Happening::TopicApplied, &note).await;
        }
        done.map_err(|error| StepFailed { step: planned.step.clone(), source: Box::new(error) })
    };
    let results: Vec<Result<(), StepFailed>> =
        stream::iter(steps).map(one).buffer_unordered(AT_ONCE).collect().await;
    Ok(results.into_iter().collect::<Result<(), StepFailed>>()?)
}

/// The status of a topic, if it is another one than before.
pub(super) fn topic_news(
    topic: &Topic,
    sight: Sight<'_>,
    planned: &Plan,
    fates: &Fates,
    moment: &Moment,
) -> Option<TopicStatus> {
    let resource = topic.metadata.name.clone().unwrap_or_default();
    let previous = topic.status.clone().unwrap_or_default();
    let name = topic.spec.name_in_kafka(&resource);
    if topic.metadata.deletion_timestamp.is_some() {
        let next = fates.get(&resource)?.status(&previous, moment);
        return (next != previous).then_some(next);
    }
    let next = match sight.validated.refused.get(&resource) {
        Some(findings) => report::refuse_topic(&previous, &sentence(findings), moment),
        None => {
            let mut next = status(name, &topic.spec, sight.observed, planned, &previous, moment);
            next.kept_config = kept(&topic.spec, sight.observed.topics.get(name), &previous);
            next
        }
    };
    (next != previous).then_some(next)
}
