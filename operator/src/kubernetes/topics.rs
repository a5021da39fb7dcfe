//! Topics as resources: what becomes of a topic when its resource goes.
//!
//! A finalizer holds back only a resource whose topic shall go with it, and lets go by itself when the ensemble is gone or going, or
//! the namespace is. A resource takes only the topic with it that its status names by id: not one that it could never describe, and not
//! another one of the same name. Many deletions at once wait for a word. Must not know: partitions. Read first: [`decide`], [`Claim`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::api::{Api, ApiError, Part, body_of};
use super::build::Parts;
use super::events::Happening;
use super::read::{Found, Key, topics_now};
use super::reconcile::{AT_ONCE, Operator};
use super::substrate::Pods;
use super::validate::{Validated, sentence};
use super::{names, report};
use crate::agents::Agents;
use crate::crd::{DeletionPolicy, Reason, Topic, TopicStatus};
use crate::ensemble::observed::Observed;
use crate::ensemble::status::{Moment, timestamp};
use crate::plant::{Plant, is_planted};
use crate::topic::plan::impossible;

/// This many topics go without a word within [`WINDOW_SECONDS`](super::record::WINDOW_SECONDS), whatever share of all they are: of a few
/// topics most may go, that is no accident; of a thousand, six are one as well.
const HANDFUL: usize = 5;
/// A deletion waits this long in seconds, so that it is seen together with those that come with it.
const TOGETHER_SECONDS: i64 = 3;

/// What a resource has to say about the topic of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: another resource has the topic, or this one describes none that could be it. Why.
    None(String),
    /// It cannot be said which topics there are.
    Unknown,
    /// There is no such topic, and this resource never had one.
    Missing,
    /// The topic with this id is there; whose it is was not noted yet.
    Unnoted(String),
    /// The topic with this id is noted as its own.
    Noted(String),
}

/// What is done about a Topic beside its topic's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Nothing,
    /// The resource is held back until its topic is gone.
    Hold,
    /// The resource is let go. Why its topic stays, where its policy says otherwise.
    Release(Option<String>),
    /// It is noted in the status that this topic goes with the resource.
    Note(String),
    /// Which topic goes cannot be said before somebody tells of them.
    Wait,
    /// The topic with this id is deleted, then the resource is let go.
    Delete(String),
}

/// `claim` is `None` where the ensemble is gone or going: there will be nobody to delete a topic of.
pub fn decide(topic: &Topic, claim: Option<&Claim>) -> Decision {
    let held = is_held_back(topic);
    let deletes = topic.spec.deletion_policy == DeletionPolicy::Delete;
    let goes = topic.metadata.deletion_timestamp.is_some();
    let Some(claim) = claim.filter(|_| deletes) else {
        return if held { Decision::Release(None) } else { Decision::Nothing };
    };
    match (goes, held, claim) {
        // Before the topic is made: nothing that is made for a resource is left without one.
        (false, false, Claim::Missing | Claim::Unnoted(_) | Claim::Noted(_)) => Decision::Hold,
        (false, false, Claim::None(_) | Claim::Unknown) | (true, false, _) => Decision::Nothing,
        (false, true, Claim::None(_)) => Decision::Release(None),
        (false, true, _) => Decision::Nothing,
        (true, true, Claim::None(why)) => Decision::Release(Some(why.clone())),
        (true, true, Claim::Unknown) => Decision::Wait,
        (true, true, Claim::Missing) => Decision::Release(None),
        (true, true, Claim::Unnoted(id)) => Decision::Note(id.clone()),
        (true, true, Claim::Noted(id)) => Decision::Delete(id.clone()),
    }
}

/// What the resource has to say about the topic `name`, by what is there and what its status notes.
pub fn claim(topic: &Topic, name: &str, validated: &Validated, observed: &Observed) -> Claim {
    let resource = topic.metadata.name.as_deref().unwrap_or_default();
    if let Some(findings) = validated.refused.get(resource) {
        return Claim::None(sentence(findings));
    }
    let noted = topic.status.as_ref().and_then(|status| status.topic_id.clone());
    let there = observed.topics.get(name);
    if let Some(why) = there.and_then(|there| impossible(&topic.spec, there)) {
        return Claim::None(format!("topic {name} {why}"));
    }
    match (noted, there) {
        (Some(noted), Some(there)) if noted == there.id || is_planted(Plant::DeletedByName) => {
            Claim::Noted(there.id.clone())
        }
        // A client made it anew.
        (Some(noted), Some(there)) if topic.metadata.deletion_timestamp.is_some() => {
            Claim::None(format!("topic {name} has the id {}, and this resource had {noted}", there.id))
        }
        (_, Some(there)) => Claim::Unnoted(there.id.clone()),
        // Who knows of no topic may lag: the quorum leader is asked by the deletion.
        (Some(noted), None) => Claim::Noted(noted),
        (None, None) if observed.knows_topics() => Claim::Missing,
        (None, None) => Claim::Unknown,
    }
}

/// Up to which time deletions that were asked for are permitted, if somebody said so. What is asked for later needs another word, so a
/// time that is still to come permits nothing.
pub fn permitted(annotations: Option<&BTreeMap<String, String>>, now: Timestamp) -> Option<Timestamp> {
    let annotation = annotations?.get(names::CONFIRM_DELETIONS)?;
    annotation.parse().ok().filter(|until| *until <= now)
}

fn asked(topic: &Topic) -> Option<Timestamp> {
    topic.metadata.deletion_timestamp.as_ref().map(|time| time.0)
}

/// It was said of this deletion that it waits for a word; then it does, however few others wait with it by now.
fn is_held(topic: &Topic) -> bool {
    let conditions = topic.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|c| c.reason == Reason::Held.name())
}

/// Whether a deletion has waited for those that come with it.
pub fn is_due(topic: &Topic, now: Timestamp) -> bool {
    let asked = topic.metadata.deletion_timestamp.as_ref().map(|time| time.0.as_second());
    asked.is_some_and(|asked| now.as_second() >= asked + TOGETHER_SECONDS)
}

/// What may be done about the topics of an ensemble.
#[derive(Clone, Copy, Debug)]
pub enum Hands<'a, G> {
    /// The ensemble is gone or going: there is nobody to ask, and everything is let go.
    Empty,
    /// Nothing is changed for this reason, but what has nothing to do with data is let go.
    Tied(Sight<'a>, Reason, &'a str),
    /// Everything.
    Free(Sight<'a>, &'a G),
}

/// What is wanted and what there is.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// What is wanted.
    pub validated: &'a Validated,
    /// What there is.
    pub observed: &'a Observed,
    /// The ensemble with its record.
    pub parts: &'a Parts,
}

/// What a resource that goes waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    reason: Reason,
    why: String,
    /// The topic that goes with it.
    note: Option<String>,
}

impl Fate {
    fn new(reason: Reason, why: impl Into<String>) -> Self {
        Self { reason, why: why.into(), note: None }
    }

    /// It goes on without anybody's help.
    pub fn passes(&self) -> bool {
        matches!(self.reason, Reason::Changing | Reason::NoQuorum)
    }

    /// The status that says so.
    pub fn status(&self, previous: &TopicStatus, moment: &Moment) -> TopicStatus {
        let mut next = report::going_topic(previous, (self.reason, &self.why), self.passes(), moment);
        next.topic_id = next.topic_id.or_else(|| self.note.clone());
        next
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Settled {
    /// What resources that go wait for, by their names.
    pub fates: BTreeMap<String, Fate>,
    /// The first thing that failed.
    pub failed: Option<ApiError>,
}

/// Holds back, lets go and deletes what must be.
pub async fn settle<A: Api, G: Agents>(
    operator: &Operator<'_, A>,
    key: &Key,
    found: &Found,
    hands: &Hands<'_, G>,
) -> Settled {
    let mut settled = Settled::default();
    if matches!(hands, Hands::Empty) && is_planted(Plant::HeldForEver) {
        return settled;
    }
    let any_goes = found.topics.iter().any(|topic| topic.metadata.deletion_timestamp.is_some());
    let sight = match hands {
        Hands::Empty => None,
        Hands::Tied(sight, ..) | Hands::Free(sight, _) => Some(*sight),
    };
    let namespace_goes = match any_goes && sight.is_some() {
        true => operator.api.namespace_goes(&key.namespace).await,
        false => Ok(false),
    };
    let sight = match namespace_goes {
        Ok(goes) => sight.filter(|_| !goes),
        Err(error) => {
            settled.failed = Some(error);
            return settled;
        }
    };
    let decided = found.topics.iter().map(|topic| {
        let name = in_kafka(topic);
        let claim = sight.map(|sight| claim(topic, &name, sight.validated, sight.observed));
        (Arc::clone(topic), decide(topic, claim.as_ref()))
    });
    let (deletions, others): (Vec<_>, Vec<_>) =
        decided.partition(|(_, decision)| matches!(decision, Decision::Delete(_)));
    let tied = matches!(hands, Hands::Tied(..));
    let one = async |(topic, decision): (Arc<Topic>, Decision)| {
        let goes = topic.metadata.deletion_timestamp.is_some();
        let done = match &decision {
            Decision::Nothing | Decision::Delete(_) => Ok(None),
            Decision::Hold | Decision::Release(_) if tied && !goes => Ok(None),
            Decision::Hold => hold(operator.api, &key.namespace, &topic).await.map(|()| None),
            Decision::Release(why) => let_go(operator, key, &topic, why.as_deref()).await.map(|()| None),
            Decision::Wait => Ok(Some(waits(hands))),
            Decision::Note(id) => {
                let why = format!("topic {} goes with this resource", in_kafka(&topic));
                Ok(Some(Fate { note: Some(id.clone()), ..Fate::new(Reason::Changing, why) }))
            }
        };
        (topic, done)
    };
    let done: Vec<_> = stream::iter(others).map(one).buffer_unordered(AT_ONCE).collect().await;
    done.into_iter().for_each(|(topic, done)| settled.take(&topic, done));
    if let (Some(sight), false) = (sight, deletions.is_empty()) {
        delete_all(operator, key, found, (hands, sight), deletions, &mut settled).await;
    }
    settled
}

/// Lets all go, if the namespace goes; true then. Its pods end before anything else does (Kubernetes 1.33 on): after them the rights to
/// let go are taken away together with what is to be let go, and so is the operator that runs in it.
///
/// # Errors
/// The API server does not say whether it goes, or did not take something.
pub async fn leave<A: Api, G: Agents>(
    operator: &Operator<'_, A>,
    key: &Key,
    found: &Found,
) -> Result<bool, ApiError> {
    // Not only those that are held: they would be held again.
    let deletes = |topic: &Arc<Topic>| topic.spec.deletion_policy == DeletionPolicy::Delete;
    let concerned = found.topics.iter().any(|topic| deletes(topic) || is_held_back(topic));
    if !concerned || !operator.api.namespace_goes(&key.namespace).await? {
        return Ok(false);
    }
    settle::<A, G>(operator, key, found, &Hands::Empty).await.failed.map_or(Ok(true), Err)
}

/// The resource stays until its topic is gone.
pub fn is_held_back(topic: &Topic) -> bool {
    topic.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == names::FINALIZER)
}

/// Why nothing can be said, or done, about topics.
fn waits<G>(hands: &Hands<'_, G>) -> Fate {
    match hands {
        Hands::Tied(_, reason, why) => Fate::new(*reason, *why),
        Hands::Free(sight, _) if sight.validated.desired.ensemble.suspended => Fate::new(
            Reason::Suspended,
            "the topic is deleted once spec.suspended of the ensemble is false: agents delete it",
        ),
        Hands::Free(..) | Hands::Empty => Fate::new(
            Reason::NoQuorum,
            "the topic is deleted once somebody leads the quorum and a member serves",
        ),
    }
}

/// Deletes the topics whose time has come.
async fn delete_all<A: Api, G: Agents>(
    operator: &Operator<'_, A>,
    key: &Key,
    found: &Found,
    (hands, sight): (&Hands<'_, G>, Sight<'_>),
    deletions: Vec<(Arc<Topic>, Decision)>,
    settled: &mut Settled,
) {
    let now = timestamp((operator.wall)());
    let annotations = found.ensemble.as_ref().and_then(|ensemble| ensemble.metadata.annotations.as_ref());
    let ids = deletions.iter().filter_map(|(_, decision)| decision.id()).collect();
    let recent = sight.parts.memory.deletions.besides(&ids, now.as_second());
    let word = Word { until: permitted(annotations, now), recent, now };
    let asking = deletions.iter().filter(|(topic, _)| !word.permits(topic)).count();
    let (held, deletions): (Vec<_>, Vec<_>) = deletions
        .into_iter()
        .partition(|(topic, _)| !word.permits(topic) && (is_held(topic) || asking + recent > HANDFUL));
    // Said once no more come: what is said names the last.
    if held.iter().all(|(topic, _)| is_due(topic, now)) && !held.is_empty() {
        let fate = Fate::new(Reason::Held, word.asks_for(key, &held));
        wait_all(operator, held, &fate, Happening::DeletionHeld, settled).await;
    }
    let Hands::Free(_, agents) = hands else {
        return wait_all(operator, deletions, &waits(hands), Happening::DeletionWaits, settled).await;
    };
    if !sight.observed.knows_topics() {
        return wait_all(operator, deletions, &waits(hands), Happening::DeletionWaits, settled).await;
    }
    let due: Vec<_> = deletions.into_iter().filter(|(topic, _)| is_due(topic, word.now)).collect();
    if due.is_empty() {
        return;
    }
    if let Err(error) = confirm(operator.api, key, &due, word).await {
        settled.failed.get_or_insert(error);
        return;
    }
    let unasked =
        due.iter().filter(|(topic, _)| !word.permits(topic)).filter_map(|(_, decision)| decision.id());
    let unasked: BTreeSet<String> = unasked.collect();
    if let Err(error) = note(operator.api, sight.parts, found, &unasked, word.now).await {
        settled.failed.get_or_insert(error);
        return;
    }
    let one = async |(topic, decision): (Arc<Topic>, Decision)| {
        let Decision::Delete(id) = decision else { return (topic, Ok(None)) };
        let done = delete(operator, *agents, key, &topic, &id).await;
        (topic, done)
    };
    let done: Vec<_> = stream::iter(due).map(one).buffer_unordered(AT_ONCE).collect().await;
    done.into_iter().for_each(|(topic, done)| settled.take(&topic, done));
}

/// All of them wait for the same, and say so.
async fn wait_all<A: Api>(
    operator: &Operator<'_, A>,
    topics: Vec<(Arc<Topic>, Decision)>,
    fate: &Fate,
    happening: Happening,
    settled: &mut Settled,
) {
    let tell = async |topic: &Arc<Topic>| operator.tell(topic.as_ref(), happening, &fate.why).await;
    let told = stream::iter(topics.iter().map(|(topic, _)| topic)).map(tell).buffer_unordered(AT_ONCE);
    told.collect::<Vec<()>>().await;
    topics.iter().for_each(|(topic, _)| settled.take(topic, Ok(Some(fate.clone()))));
}

impl Settled {
    fn take(&mut self, topic: &Topic, done: Result<Option<Fate>, ApiError>) {
        match done {
            Ok(None) => {}
            Ok(Some(fate)) => {
                self.fates.insert(topic.metadata.name.clone().unwrap_or_default(), fate);
            }
            Err(error) => {
                self.failed.get_or_insert(error);
            }
        }
    }
}

/// What somebody said about deletions, and what went without a word.
#[derive(Clone, Copy, Debug)]
struct Word {
    until: Option<Timestamp>,
    recent: usize,
    now: Timestamp,
}

impl Word {
    fn permits(&self, topic: &Topic) -> bool {
        self.until.zip(asked(topic)).is_some_and(|(until, asked)| asked <= until)
    }

    /// What is asked for, and how it is given: up to the time of the last deletion.
    fn asks_for(&self, key: &Key, held: &[(Arc<Topic>, Decision)]) -> String {
        let last = held.iter().filter_map(|(topic, _)| asked(topic)).max().unwrap_or(self.now);
        let went = match self.recent {
            0 => String::new(),
            recent => format!(" after {recent} that went within minutes"),
        };
        format!(
            "{} topics are to be deleted with their data{went}, which is more than {HANDFUL}; spec.deletionPolicy: Retain keeps one; \
             if that is meant: kubectl annotate ensemble {} --overwrite {}={last}",
            held.len(),
            key.name,
            names::CONFIRM_DELETIONS
        )
    }
}

impl Decision {
    fn id(&self) -> Option<String> {
        match self {
            Self::Delete(id) => Some(id.clone()),
            Self::Nothing | Self::Hold | Self::Release(_) | Self::Note(_) | Self::Wait => None,
        }
    }
}

/// What is deleted cannot be taken back, and an old picture has resources that were let go by hand, whose policy is another one by now,
/// or whose topic another one has, and fewer that go than there are (Sieve's stale state).
async fn confirm<A: Api>(
    api: &A,
    key: &Key,
    due: &[(Arc<Topic>, Decision)],
    word: Word,
) -> Result<(), ApiError> {
    let now = topics_now(api, key).await?;
    let owners = super::validate::owners(now.iter().map(AsRef::as_ref));
    let noted = |topic: &Topic| topic.status.as_ref().and_then(|status| status.topic_id.clone());
    let is_same = |topic: &Topic| {
        let meta = &topic.metadata;
        let fresh = now.iter().find(|fresh| fresh.metadata.uid == meta.uid);
        fresh.is_some_and(|fresh| {
            fresh.metadata.generation == meta.generation
                && noted(fresh) == noted(topic)
                && (word.permits(topic) || !is_held(fresh))
        }) && owners.get(&in_kafka(topic)) == meta.name.as_ref()
    };
    let goes = |topic: &&Arc<Topic>| {
        let deletes = topic.spec.deletion_policy == DeletionPolicy::Delete && is_held_back(topic);
        deletes && asked(topic).is_some() && !word.permits(topic)
    };
    let many = now.iter().filter(goes).count() + word.recent > HANDFUL;
    let other = due.iter().find(|(topic, _)| !is_same(topic) || many && !word.permits(topic));
    let Some((topic, _)) = other else { return Ok(()) };
    Err(lagging(&in_kafka(topic)))
}

fn lagging(topic: &str) -> ApiError {
    let message = "the caches have told of another state of the resources".to_owned();
    ApiError::Conflict { what: format!("delete topic {topic}"), message }
}

/// Notes durably what goes without a word, before it goes: whoever looks next counts it, whatever becomes of this operator (O9).
async fn note<A: Api>(
    api: &A,
    parts: &Parts,
    found: &Found,
    ids: &BTreeSet<String>,
    now: Timestamp,
) -> Result<(), ApiError> {
    if ids.is_empty() || is_planted(Plant::UncountedDeletions) {
        return Ok(());
    }
    let pods = Pods::new(api, parts, &found.pods, BTreeSet::new());
    match pods.note_deletions(ids, now.as_second(), HANDFUL).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(lagging("after others")),
        Err(error) => Err(match error.downcast::<ApiError>() {
            Ok(error) => *error,
            Err(error) => {
                let what = "note deletions of topics".to_owned();
                ApiError::Unavailable { what, message: error.to_string() }
            }
        }),
    }
}

async fn delete<A: Api, G: Agents>(
    operator: &Operator<'_, A>,
    agents: &G,
    key: &Key,
    topic: &Topic,
    id: &str,
) -> Result<Option<Fate>, ApiError> {
    let name = in_kafka(topic);
    let id = if is_planted(Plant::DeletedByName) { "" } else { id };
    if let Err(error) = agents.delete_topic(&name, id).await {
        let fate = Fate::new(Reason::Changing, format!("the agents have not deleted topic {name}: {error}"));
        operator.tell(topic, Happening::DeletionWaits, &fate.why).await;
        return Ok(Some(fate));
    }
    operator.tell(topic, Happening::TopicDeleted, &format!("topic {name} and its data are deleted")).await;
    release(operator.api, &key.namespace, topic).await.map(|()| None)
}

/// Lets a resource go, and says why its topic stays where its policy says otherwise.
async fn let_go<A: Api>(
    operator: &Operator<'_, A>,
    key: &Key,
    topic: &Topic,
    why: Option<&str>,
) -> Result<(), ApiError> {
    release(operator.api, &key.namespace, topic).await?;
    if let Some(why) = why {
        let note = format!("topic {} stays with its data: {why}", in_kafka(topic));
        operator.tell(topic, Happening::TopicKept, &note).await;
    }
    Ok(())
}

/// The name of the topic that a resource is about.
pub fn in_kafka(topic: &Topic) -> String {
    topic.spec.name_in_kafka(topic.metadata.name.as_deref().unwrap_or_default()).to_owned()
}

/// Sets the finalizer.
async fn hold<A: Api>(api: &A, namespace: &str, topic: &Topic) -> Result<(), ApiError> {
    set_finalizers(api, namespace, topic, &[names::FINALIZER]).await
}

/// Takes the finalizer away.
async fn release<A: Api>(api: &A, namespace: &str, topic: &Topic) -> Result<(), ApiError> {
    set_finalizers(api, namespace, topic, &[]).await
}

async fn set_finalizers<A: Api>(
    api: &A,
    namespace: &str,
    topic: &Topic,
    finalizers: &[&str],
) -> Result<(), ApiError> {
    let name = topic.metadata.name.clone().unwrap_or_default();
    let metadata = json!({"name": name, "uid": topic.metadata.uid, "finalizers": finalizers});
    api.apply::<Topic>(namespace, &name, &body_of::<Topic>(metadata), Part::Main).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ensemble::observed::{ObservedMember, ObservedTopic, Quorum};

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
        let own = Claim::Noted("7".to_owned());
        let of = |policy, held, goes, claim: Option<&Claim>| decide(&topic("a", policy, held, goes), claim);
        assert_eq!(of("Retain", false, false, Some(&own)), Decision::Nothing);
        assert_eq!(of("Delete", false, false, Some(&own)), Decision::Hold);
        assert_eq!(of("Delete", false, false, Some(&Claim::Missing)), Decision::Hold, "before it is made");
        assert_eq!(of("Delete", false, false, Some(&Claim::Unknown)), Decision::Nothing);
        assert_eq!(of("Delete", true, false, Some(&own)), Decision::Nothing);
        assert_eq!(of("Retain", true, false, Some(&own)), Decision::Release(None), "the policy was changed");
        assert_eq!(of("Delete", true, true, Some(&own)), Decision::Delete("7".to_owned()));
        assert_eq!(of("Retain", true, true, Some(&own)), Decision::Release(None));
        assert_eq!(of("Retain", true, true, Some(&Claim::Unknown)), Decision::Release(None));
        assert_eq!(of("Delete", true, true, Some(&Claim::Unknown)), Decision::Wait);
        assert_eq!(of("Delete", true, true, None), Decision::Release(None), "the ensemble goes");
        assert_eq!(of("Delete", true, false, None), Decision::Release(None), "so that nothing hangs later");
        assert_eq!(of("Delete", false, true, Some(&own)), Decision::Nothing);
    }

    #[test]
    fn whose_topic_it_is_is_noted_before_it_is_deleted() {
        let of = |claim: Claim| decide(&topic("a", "Delete", true, true), Some(&claim));
        assert_eq!(of(Claim::Unnoted("7".to_owned())), Decision::Note("7".to_owned()));
        let moment = Moment { now: Timestamp::UNIX_EPOCH, next: Timestamp::UNIX_EPOCH, generation: Some(2) };
        let fate = Fate { note: Some("7".to_owned()), ..Fate::new(Reason::Changing, "it goes") };
        let mut status = fate.status(&TopicStatus::default(), &moment);
        assert_eq!((status.topic_id.as_deref(), status.observed_generation), (Some("7"), Some(2)));
        status.topic_id = Some("6".to_owned());
        assert_eq!(fate.status(&status, &moment).topic_id.as_deref(), Some("6"), "never another one");
    }

    /// What there is of topic `t`: its id and copies.
    fn seen(there: Option<(&str, i32)>) -> Observed {
        let mut observed = Observed { quorum: Some(Quorum::default()), ..Observed::default() };
        observed.members.insert(0, ObservedMember { ready: true, ..ObservedMember::default() });
        observed.topics.extend(there.map(|(id, copies)| {
            let topic = ObservedTopic {
                id: id.to_owned(),
                partitions: 1,
                replication_factor: copies,
                known_everywhere: true,
                ..ObservedTopic::default()
            };
            ("t".to_owned(), topic)
        }));
        observed
    }

    fn claim_of(noted: Option<&str>, goes: bool, replicas: i32, observed: &Observed) -> Claim {
        let ensemble: crate::crd::Ensemble = serde_json::from_value(json!({
            "apiVersion": crate::crd::API_VERSION, "kind": "Ensemble", "metadata": {"name": "main"},
            "spec": {"replicas": replicas},
        }))
        .expect("an ensemble");
        let mut topic = topic("a", "Delete", true, goes).as_ref().clone();
        topic.spec.replication_factor = 1;
        topic.status = Some(TopicStatus { topic_id: noted.map(str::to_owned), ..TopicStatus::default() });
        let validated = super::super::validate::validate(&ensemble, [&topic].into_iter(), 0);
        claim(&topic, "t", &validated, observed)
    }

    /// Review: topic `orders` of three copies, made by Kafka's tools, went with a resource that described one copy.
    #[test]
    fn a_resource_takes_no_topic_with_it_that_it_never_had() {
        let wrong = claim_of(Some("7"), true, 3, &seen(Some(("7", 3))));
        let why = "topic t has 3 copies of each partition, 1 are wanted; that cannot be changed".to_owned();
        assert_eq!(wrong, Claim::None(why.clone()));
        assert_eq!(decide(&topic("a", "Delete", true, true), Some(&wrong)), Decision::Release(Some(why)));
        assert_eq!(
            decide(&topic("a", "Delete", false, false), Some(&wrong)),
            Decision::Nothing,
            "nor holds it"
        );
        assert_eq!(claim_of(Some("7"), true, 3, &seen(Some(("7", 1)))), Claim::Noted("7".to_owned()));
        assert_eq!(claim_of(None, true, 3, &seen(Some(("7", 1)))), Claim::Unnoted("7".to_owned()));
    }

    /// Review: a topic that a client made anew between the deletion and the release went as well.
    #[test]
    fn a_topic_that_was_made_anew_stays() {
        let why = "topic t has the id 8, and this resource had 7".to_owned();
        assert_eq!(claim_of(Some("7"), true, 3, &seen(Some(("8", 1)))), Claim::None(why));
        assert_eq!(claim_of(Some("7"), false, 3, &seen(Some(("8", 1)))), Claim::Unnoted("8".to_owned()));
        assert_eq!(
            claim_of(Some("7"), true, 3, &seen(None)),
            Claim::Noted("7".to_owned()),
            "gone, or not seen"
        );
        assert_eq!(claim_of(None, true, 3, &seen(None)), Claim::Missing);
        assert_eq!(claim_of(None, true, 3, &Observed::default()), Claim::Unknown);
    }

    #[test]
    fn a_word_is_given_for_what_was_asked_for_until_then() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let annotations = |text: &str| [(names::CONFIRM_DELETIONS.to_owned(), text.to_owned())].into();
        let until = at(100).to_string();
        assert_eq!(permitted(Some(&annotations(&until)), at(100)), Some(at(100)));
        assert_eq!(permitted(Some(&annotations(&until)), at(99)), None, "it is still to come");
        assert_eq!(permitted(Some(&annotations("8")), at(100)), None);
        assert_eq!(permitted(None, at(100)), None);
        let going = topic("a", "Delete", true, true);
        let asked = asked(&going).expect("a time");
        let word = |second| Word { until: Some(at(asked.as_second() + second)), recent: 0, now: asked };
        assert!(word(0).permits(&going) && !word(-1).permits(&going));
        assert!(!word(0).permits(&topic("a", "Delete", true, false)));
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
