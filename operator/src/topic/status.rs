//! What is reported of a topic. Pure; the clock is an argument.
//!
//! Read first: [`status`].

use super::plan::impossible;
use crate::crd::{ConditionType, Reason, TopicSpec, TopicStatus, condition};
use crate::ensemble::observed::Observed;
use crate::ensemble::plan::{Plan, Step};
use crate::ensemble::status::{Moment, keep_times};

/// The status of the topic `name`. What did not change since `previous` keeps the time at which it began.
pub fn status(
    name: &str,
    spec: &TopicSpec,
    observed: &Observed,
    plan: &Plan,
    previous: &TopicStatus,
    moment: &Moment,
) -> TopicStatus {
    let there = observed.topics.get(name);
    let step = plan.steps.iter().find_map(|planned| match &planned.step {
        Step::ApplyTopic(topic) if topic.name == name => Some(planned.why.to_string()),
        _ => None,
    });
    let who = format!("topic {name}");
    let wait = plan.waits.iter().find(|wait| wait.who == who).map(|wait| wait.what.to_string());
    let stalled = there.and_then(|there| impossible(spec, there));
    let pending = step.or_else(|| wait.clone());
    let ready = match (there, &pending, &stalled) {
        (_, _, Some(why)) => (Some(false), Reason::InvalidSpec, why.clone()),
        (None, _, _) if !observed.knows_topics() => {
            (None, Reason::NoQuorum, "nobody leads the quorum, or no member serves".to_owned())
        }
        (_, Some(why), _) => (Some(false), Reason::Changing, why.clone()),
        (None, None, _) => (Some(false), Reason::Changing, "there is no such topic yet".to_owned()),
        (Some(there), None, None) => {
            (Some(true), Reason::Converged, format!("{} partitions in sync", there.partitions))
        }
    };
    let make = |kind, (holds, reason, message): (Option<bool>, Reason, String)| {
        condition(kind, holds, reason, message, moment.generation, moment.now)
    };
    let progressing = pending.is_some() && stalled.is_none();
    let conditions = vec![
        make(ConditionType::Ready, ready),
        make(ConditionType::Reconciling, (Some(progressing), Reason::Changing, pending.unwrap_or_default())),
        make(
            ConditionType::Stalled,
            (Some(stalled.is_some()), Reason::InvalidSpec, stalled.unwrap_or_default()),
        ),
    ];
    // While nobody can say which topics there are, this is the one that there was.
    let known = if observed.knows_topics() { None } else { previous.topic_id.clone() };
    let there = there.cloned().unwrap_or_default();
    TopicStatus {
        observed_generation: moment.generation,
        conditions: keep_times(conditions, &previous.conditions),
        topic_id: Some(there.id).filter(|id| !id.is_empty()).or(known),
        topic_name: Some(name.to_owned()),
        partitions: there.partitions,
        replication_factor: there.replication_factor,
        under_replicated: there.under_replicated,
        offline: there.offline,
        kept_config: previous.kept_config.clone(),
    }
}
