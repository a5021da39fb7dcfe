//! Writes the status of the Ensemble and of its Topics, when it says something new.
//!
//! What changes all the time (the zxid, bytes, when something is looked at next) is no news by itself: it is written with the next
//! news, or every few seconds while a change is being carried out, or once a minute while nothing of that goes on; once nothing is to
//! be done, nothing is written. Must not know: where a status comes from. Read first: [`is_news`].

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use serde::Serialize;
use serde_json::json;

use super::api::{Api, ApiError, Object, Part, body_of, identity};
use super::{names, read::Key};
use crate::crd::{
    Condition, ConditionType, Endpoints, Ensemble, EnsembleStatus, Reason, TopicStatus, condition,
};
use crate::ensemble::status::{Moment, keep_times, without_digits};
use crate::plant::{Plant, is_planted};

/// How often numbers alone are written while a change is being carried out.
const NUMBERS: Duration = Duration::from_secs(5);
/// The same where nothing goes on: a member that is awaited for hours, say.
const IDLE_NUMBERS: Duration = Duration::from_secs(60);
/// An election is over after this time, or something is wrong.
const ELECTION_SECONDS: i64 = 15;

/// Whether a status is worth a write. `age` is how long ago the last one was written by this process.
pub fn is_news(previous: &EnsembleStatus, next: &EnsembleStatus, age: Option<Duration>) -> bool {
    if is_planted(Plant::ChattyStatus) {
        return true;
    }
    if previous == next {
        return false;
    }
    // What waits for another specification waits without end: only what is said of it is news, not when it is looked at next.
    let settled = holds(next, ConditionType::Progressing) == Some(false)
        || holds(next, ConditionType::Stalled) == Some(true);
    let pace = if still(previous) == still(next) { IDLE_NUMBERS } else { NUMBERS };
    let numbers_due = !settled && age.is_none_or(|age| age >= pace);
    numbers_due || lasting(previous, settled) != lasting(next, settled)
}

/// The status without what is another one whenever it is looked at.
fn still(status: &EnsembleStatus) -> EnsembleStatus {
    let mut status = status.clone();
    status.waiting.iter_mut().for_each(|wait| wait.next.clear());
    status.members.iter_mut().for_each(|member| member.bytes = 0);
    if let Some(quorum) = &mut status.quorum {
        quorum.zxid.clear();
    }
    status
}

/// The status without what changes all the time; while a change is carried out, also without the numbers in sentences.
fn lasting(status: &EnsembleStatus, settled: bool) -> EnsembleStatus {
    let mut status = still(status);
    status.waiting.iter_mut().for_each(|wait| wait.what = without_digits(&wait.what));
    if !settled {
        status.members.iter_mut().for_each(|m| (m.partitions, m.leaders) = (0, 0));
        status.conditions.iter_mut().for_each(|c| c.message = without_digits(&c.message));
        if let Some(rebalance) = &mut status.rebalance {
            (rebalance.moves_done, rebalance.moves_total) = (0, 0);
        }
    }
    if let Some(rebalance) = &mut status.rebalance {
        (rebalance.bytes_done, rebalance.bytes_total, rebalance.estimated_end) = (0, 0, None);
    }
    status
}

/// What a condition says.
pub fn holds(status: &EnsembleStatus, kind: ConditionType) -> Option<bool> {
    let condition = status.conditions.iter().find(|condition| condition.type_ == kind.name())?;
    match condition.status.as_str() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

/// Nobody leads the quorum, and that since so short a time that it is not told of each topic: a thousand of them would be written for
/// an election.
pub fn is_blind(status: &EnsembleStatus, now: Timestamp) -> bool {
    let kind = ConditionType::QuorumHealthy.name();
    let since = status.conditions.iter().find(|c| c.type_ == kind && c.reason == Reason::NoQuorum.name());
    since.is_some_and(|condition| {
        now.as_second() - condition.last_transition_time.0.as_second() < ELECTION_SECONDS
    })
}

/// Where clients connect first.
pub fn endpoints(key: &Key) -> Endpoints {
    let at = |service: String, port: u16| format!("{service}.{}.svc:{port}", key.namespace);
    Endpoints {
        zookeeper: at(names::zookeeper(&key.name), names::ZOOKEEPER),
        kafka: at(names::kafka(&key.name), names::KAFKA),
    }
}

/// Why nothing of a specification may be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `InvalidSpec`, `Refused` by the API server, or `Fenced` by the agents.
    pub reason: Reason,
    /// For people.
    pub why: String,
}

impl Refusal {
    /// The specification itself is wrong.
    pub fn invalid(why: String) -> Self {
        Self { reason: Reason::InvalidSpec, why }
    }

    /// The agents do not take it: they have seen a newer operator.
    pub fn fenced(why: String) -> Self {
        Self { reason: Reason::Fenced, why }
    }

    /// The API server does not take it.
    pub fn refused(why: String) -> Self {
        Self { reason: Reason::Refused, why }
    }
}

/// The status of a specification that cannot be carried out: what there is stays, and why is said.
pub fn refuse_ensemble(
    status: &mut EnsembleStatus,
    previous: &EnsembleStatus,
    refusal: &Refusal,
    moment: &Moment,
) {
    let why = &refusal.why;
    let mut refused = vec![
        refused(ConditionType::Ready, false, why, moment),
        refused(ConditionType::Progressing, false, "nothing is changed", moment),
        refused(ConditionType::Reconciling, false, "", moment),
        refused(ConditionType::Stalled, true, why, moment),
    ];
    refused.iter_mut().for_each(|condition| condition.reason = refusal.reason.name().to_owned());
    // What serves, serves whoever may change it.
    refused.retain(|condition| {
        refusal.reason != Reason::Fenced || condition.type_ != ConditionType::Ready.name()
    });
    let kept = status.conditions.drain(..).filter(|c| !refused.iter().any(|r| r.type_ == c.type_));
    let mut conditions: Vec<Condition> = kept.collect();
    conditions.extend(refused);
    status.conditions = keep_times(conditions, &previous.conditions);
}

/// The status of a topic that cannot be carried out.
pub fn refuse_topic(previous: &TopicStatus, why: &str, moment: &Moment) -> TopicStatus {
    let conditions = vec![
        refused(ConditionType::Ready, false, why, moment),
        refused(ConditionType::Reconciling, false, "", moment),
        refused(ConditionType::Stalled, true, why, moment),
    ];
    TopicStatus {
        observed_generation: moment.generation,
        conditions: keep_times(conditions, &previous.conditions),
        ..previous.clone()
    }
}

/// The status of a topic whose resource goes and waits for something; `passes`: without anybody's help.
pub fn going_topic(
    previous: &TopicStatus,
    (reason, why): (Reason, &str),
    passes: bool,
    moment: &Moment,
) -> TopicStatus {
    let of = |kind, holds| condition(kind, Some(holds), reason, why, moment.generation, moment.now);
    let conditions = vec![
        of(ConditionType::Ready, false),
        of(ConditionType::Reconciling, passes),
        of(ConditionType::Stalled, !passes),
    ];
    TopicStatus {
        observed_generation: moment.generation,
        conditions: keep_times(conditions, &previous.conditions),
        ..previous.clone()
    }
}

fn refused(kind: ConditionType, holds: bool, why: &str, moment: &Moment) -> Condition {
    condition(kind, Some(holds), Reason::InvalidSpec, why, moment.generation, moment.now)
}

/// Writes the status of the Ensemble, if it is as it was read: another installation may have taken it over since.
///
/// # Errors
/// The API server did not take it.
pub async fn write_ensemble<A: Api>(
    api: &A,
    ensemble: &Ensemble,
    namespace: &str,
    status: &EnsembleStatus,
) -> Result<(), ApiError> {
    let (name, identity) = (ensemble.metadata.name.clone().unwrap_or_default(), identity(&ensemble.metadata));
    let metadata = json!({"name": name, "uid": identity.uid, "resourceVersion": identity.resource_version});
    let mut body = body_of::<Ensemble>(metadata);
    body["status"] = serde_json::to_value(status).unwrap_or_default();
    api.apply::<Ensemble>(namespace, &name, &body, Part::Status).await
}

/// Writes the status of a resource.
///
/// # Errors
/// The API server did not take it.
pub async fn write<A: Api, K: Object>(
    api: &A,
    object: &K,
    namespace: &str,
    status: &impl Serialize,
) -> Result<(), ApiError> {
    let meta = Resource::meta(object);
    let name = meta.name.clone().unwrap_or_default();
    // A resource of the same name that was made since has another UID, and nothing of it is known.
    let mut body = body_of::<K>(json!({"name": name, "uid": meta.uid}));
    body["status"] = serde_json::to_value(status).unwrap_or_default();
    api.apply::<K>(namespace, &name, &body, Part::Status).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::{MemberStatus, QuorumStatus, WaitStatus};

    fn status(progressing: bool, message: &str, zxid: &str) -> EnsembleStatus {
        let now = Timestamp::UNIX_EPOCH;
        let of =
            |kind, holds, message: &str| condition(kind, Some(holds), Reason::Changing, message, None, now);
        EnsembleStatus {
            conditions: vec![
                of(ConditionType::Ready, true, message),
                of(ConditionType::Progressing, progressing, ""),
            ],
            quorum: Some(QuorumStatus { zxid: zxid.to_owned(), ..QuorumStatus::default() }),
            ..EnsembleStatus::default()
        }
    }

    #[test]
    fn numbers_are_no_news_once_nothing_is_to_be_done() {
        let old = Some(Duration::from_secs(3600));
        let settled = status(false, "3 of 3", "0x1");
        assert!(!is_news(&settled, &status(false, "3 of 3", "0x2"), old));
        assert!(is_news(&settled, &status(false, "5 of 5", "0x1"), old), "what is said last is true");
        let mut grown = settled.clone();
        grown.members = vec![MemberStatus { bytes: 5, ..MemberStatus::default() }];
        assert!(is_news(&settled, &grown, old));
    }

    #[test]
    fn numbers_of_a_change_are_written_every_few_seconds() {
        let (before, after) = (status(true, "1 of 3", "0x1"), status(true, "2 of 3", "0x2"));
        assert!(!is_news(&before, &after, Some(Duration::from_secs(1))));
        assert!(is_news(&before, &after, Some(NUMBERS)));
        assert!(is_news(&before, &after, None), "a process that begins says what it sees");
        let mut waits = before.clone();
        waits.waiting = vec![WaitStatus { what: "a quorum".to_owned(), ..WaitStatus::default() }];
        assert!(is_news(&before, &waits, Some(Duration::ZERO)));
        let mut next = waits.clone();
        next.waiting[0].next = "later".to_owned();
        assert!(!is_news(&waits, &next, Some(Duration::ZERO)));
    }

    /// A member that was awaited for hours had the status written every five seconds.
    #[test]
    fn where_nothing_goes_on_numbers_are_written_once_a_minute() {
        let mut waits = status(true, "2 of 3", "0x1");
        waits.waiting = vec![WaitStatus { what: "2 of 3 members serve".to_owned(), ..WaitStatus::default() }];
        let mut later = status(true, "2 of 3", "0x2");
        later.waiting = vec![WaitStatus { next: "later".to_owned(), ..waits.waiting[0].clone() }];
        assert!(!is_news(&waits, &later, Some(NUMBERS)) && is_news(&waits, &later, Some(IDLE_NUMBERS)));
    }

    /// Seed 95 of the model: a topic that cannot become what is wanted had the status written every five seconds for ever.
    #[test]
    fn what_waits_for_another_specification_is_said_once() {
        let mut stalled = status(true, "3 of 3", "0x1");
        stalled.conditions.push(refused(
            ConditionType::Stalled,
            true,
            "no",
            &Moment { now: Timestamp::UNIX_EPOCH, next: Timestamp::UNIX_EPOCH, generation: None },
        ));
        stalled.waiting =
            vec![WaitStatus { what: "another specification".to_owned(), ..WaitStatus::default() }];
        let mut later = stalled.clone();
        later.waiting[0].next = "later".to_owned();
        assert!(!is_news(&stalled, &later, Some(Duration::from_secs(3600))));
        assert!(is_news(&status(true, "3 of 3", "0x1"), &later, Some(Duration::ZERO)));
    }

    #[test]
    fn an_election_is_not_told_of_each_topic() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let mut status = status(true, "", "0x1");
        assert!(!is_blind(&status, at(0)));
        let none = condition(ConditionType::QuorumHealthy, Some(false), Reason::NoQuorum, "", None, at(100));
        status.conditions.push(none);
        assert!(is_blind(&status, at(114)) && !is_blind(&status, at(115)));
    }

    #[test]
    fn a_refused_specification_keeps_what_there_is_and_says_why() {
        let previous = status(false, "3 of 3", "0x1");
        let mut next = previous.clone();
        let moment = Moment { now: Timestamp::UNIX_EPOCH, next: Timestamp::UNIX_EPOCH, generation: Some(7) };
        refuse_ensemble(&mut next, &previous, &Refusal::invalid("spec.broker: no".to_owned()), &moment);
        assert_eq!(holds(&next, ConditionType::Ready), Some(false));
        assert_eq!(holds(&next, ConditionType::Stalled), Some(true));
        assert_eq!(next.conditions.iter().filter(|c| c.type_ == "Ready").count(), 1);
        assert!(next.conditions.iter().any(|c| c.message == "spec.broker: no" && c.reason == "InvalidSpec"));
        assert_eq!(next.quorum, previous.quorum);
    }
}
