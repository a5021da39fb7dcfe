//! One look at one ensemble: what there is, what is wanted, the next steps, what is reported.
//!
//! Level-triggered: a look decides from what it reads and from nothing else; what is kept between looks are connections and what was
//! said last. Must not know: when it is called. Read first: [`look`], [`Operator`].

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::api::{Api, ApiError};
use super::apply;
use super::build::{Parts, config_map, pod, stateful_set, volume};
use super::claim::{self, Rival, Verdict};
use super::events::{Events, Happening};
use super::lease::Leadership;
use super::metrics::{Metrics, State};
use super::read::{Found, Key, claims_now, read};
use super::record::Memory;
use super::report::Refusal;
use super::substrate::Pods;
use super::topic_state::{Fates, adopt, apply_topics, topic_news};
use super::topics::{Fate, Hands, Settled, Sight};
use super::validate::{Validated, check_class, sentence, validate};
use super::{facts, names, report, taken, topics};
use crate::agents::Agents;
use crate::crd::{ConditionType, Ensemble, EnsembleStatus, OperatorStatus, Reason, Topic, TopicStatus};
use crate::ensemble::observe::observe;
use crate::ensemble::observed::{Observed, Obstacles};
use crate::ensemble::plan::{Plan, Planned, Step, WaitFor, plan};
use crate::ensemble::status::{Moment, status, timestamp};
use crate::execute::{StepFailed, SubstrateError, execute};
use crate::plant::{Plant, is_planted};
use crate::quantity;

/// It is looked again this soon while something is missing, and this late when nothing is (a watch tells of changes before).
const BUSY: Duration = Duration::from_millis(700);
const QUIET: Duration = Duration::from_secs(30);
/// A status that was written this lately is known better than the caches know it.
const WRITTEN_LATELY: Duration = Duration::from_secs(2);

/// A token that the agents refuse is a greater one after this time, or somebody must help.
const HEALED: Duration = Duration::from_secs(20);

/// Topics that are worked on at the same time.
pub(super) const AT_ONCE: usize = 16;

/// Why a look did not come to its end; the next one begins from the start.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The API server did not do something.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A step of the plan failed.
    #[error(transparent)]
    Step(#[from] StepFailed),
    /// What is remembered could not be written.
    #[error("the record of members: {0}")]
    Record(SubstrateError),
}

impl LookError {
    /// An object was changed meanwhile: another look will do.
    pub fn is_conflict(&self) -> bool {
        let conflict = |error: &SubstrateError| {
            error.downcast_ref::<ApiError>().is_some_and(|e| matches!(e, ApiError::Conflict { .. }))
        };
        match self {
            Self::Api(error) => matches!(error, ApiError::Conflict { .. }),
            Self::Step(failed) => conflict(&failed.source),
            Self::Record(error) => conflict(error),
        }
    }
}

/// What all looks share.
#[derive(Debug)]
pub struct Operator<'a, A> {
    /// The API server.
    pub api: &'a A,
    /// What is told to people.
    pub events: &'a Events,
    /// What is counted.
    pub metrics: &'a Metrics,
    /// The agents' image where a specification has none.
    pub image: &'a str,
    /// Where the operator runs, if in a cluster.
    pub operator_namespace: Option<&'a str>,
    /// The term of the lease.
    pub token: i64,
    /// The lease.
    pub leadership: &'a Leadership,
    /// The system's clock.
    pub wall: fn() -> SystemTime,
}

/// What is kept between looks at one ensemble.
#[derive(Debug)]
pub struct Kept<G> {
    agents: G,
    token: i64,
    said: Option<(EnsembleStatus, Instant)>,
    refusals: apply::Refusals,
    /// Another installation that has the ensemble.
    rival: Option<Rival>,
    /// Since when the agents refuse our token.
    fenced: Option<Instant>,
}

impl<G: Agents> Kept<G> {
    /// Before the first look. `agents` has no addresses yet.
    pub fn new(agents: G) -> Self {
        let refusals = apply::Refusals::default();
        Self { agents, token: 0, said: None, refusals, rival: None, fenced: None }
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// There is nothing to look at any more.
    Gone,
    /// Another look after this time, and whether something is awaited.
    Again(Duration, bool),
}

/// Looks once.
///
/// # Errors
/// Something failed; what was done before it stays.
pub async fn look<A: Api, G: Agents>(
    operator: &Operator<'_, A>,
    key: &Key,
    kept: &mut Kept<G>,
) -> Result<Look, LookError> {
    let mut found = read(operator.api, key).await?;
    let Some(ensemble) = found.ensemble.clone() else {
        return without_ensemble::<A, G>(operator, key, &found).await;
    };
    if let Some(look) = left_alone(operator, key, (&ensemble, &found), kept).await? {
        return Ok(look);
    }
    if ensemble.metadata.deletion_timestamp.is_some() {
        // Kubernetes deletes what it owns; nothing that is started now would stay.
        let settled = topics::settle::<A, G>(operator, key, &found, &Hands::Empty).await;
        return settled.failed.map_or(Ok(Look::Again(QUIET, true)), |failed| Err(failed.into()));
    }
    if facts::pods_end(&found) && topics::leave::<A, G>(operator, key, &found).await? {
        return Ok(Look::Again(QUIET, true));
    }
    if found.config_map.is_none() {
        found.claims = claims_now(operator.api, key).await?;
    }
    let (parts, mut validated, refusal) = wanted(operator, key, &ensemble, &found);
    let mut refusal = refusal.filter(|_| !is_planted(Plant::RefusedAndDone));
    let paused = ensemble.spec.paused && !is_planted(Plant::PauseIgnored);
    let changes = refusal.is_none() && !paused;
    let mut obstacles = Obstacles::default();
    if changes {
        (obstacles, refusal) = bring_objects(operator, &ensemble, &parts, &found, &mut kept.refusals).await?;
    }
    confirm_losses(operator.api, &parts, &mut found).await?;
    let mut observed = look_at_members(operator, kept, &parts, &found).await;
    if let Some((since, why)) = fenced(operator, key, &ensemble, kept, &observed).await? {
        if since < HEALED {
            return Ok(Look::Again(BUSY, true));
        }
        refusal = refusal.or(Some(Refusal::fenced(why)));
    }
    if changes && refusal.is_none() {
        observed.obstacles =
            look_for_obstacles(operator, &ensemble, (&parts, &found), &observed, obstacles).await?;
    }
    adopt(&mut validated, &found, &observed);
    let planned = if refusal.is_some() { Plan::default() } else { plan(&validated.desired, &observed) };
    let sight = Sight { validated: &validated, observed: &observed, parts: &parts };
    let refused = refusal.as_ref().map(|refusal| refusal.why.clone());
    let scene = Scene { key, found: &found, sight, planned: &planned };
    let (fates, failed) = act(operator, (&ensemble, &parts), kept, &scene, refused.as_deref()).await;
    let passes = fates.values().any(Fate::passes);
    report_all(operator, kept, &ensemble, (&scene, &fates), refusal.as_ref()).await?;
    if let Some(failed) = failed {
        return Err(failed);
    }
    let waits = |t: &Arc<Topic>| {
        let name = t.metadata.name.as_deref().unwrap_or_default();
        t.metadata.deletion_timestamp.is_some() && !fates.contains_key(name)
    };
    let waits = found.topics.iter().any(waits);
    let busy = !planned.is_converged() || passes || waits || kept.fenced.is_some();
    Ok(Look::Again(if busy { BUSY } else { QUIET }, busy))
}

/// Settles what becomes of topics whose resources go, and carries out the plan, as far as anything may be changed.
async fn act<A: Api, G: Agents>(
    operator: &Operator<'_, A>,
    (ensemble, parts): (&Ensemble, &Parts),
    kept: &Kept<G>,
    scene: &Scene<'_>,
    refused: Option<&str>,
) -> (Fates, Option<LookError>) {
    let refused = refused.map(|why| format!("the ensemble cannot be carried out: {why}"));
    let paused = "the topic is deleted once spec.paused of the ensemble is false";
    let hands = match &refused {
        Some(why) => Hands::Tied(scene.sight, Reason::Blocked, why),
        None if ensemble.spec.paused => Hands::Tied(scene.sight, Reason::Paused, paused),
        None => Hands::Free(scene.sight, &kept.agents),
    };
    let Settled { fates, failed } = topics::settle(operator, scene.key, scene.found, &hands).await;
    let mut failed = failed.map(LookError::from);
    if matches!(hands, Hands::Free(..)) {
        let seen = (scene.found, scene.sight.observed);
        let done = carry_out(operator, ensemble, parts, kept, seen, scene.planned).await;
        failed = failed.or(done.err());
    }
    (fates, failed)
}

/// The next look, if another installation acts for the ensemble, or it was only claimed now.
async fn left_alone<A: Api, G: Agents>(
    operator: &Operator<'_, A>,
    key: &Key,
    (ensemble, found): (&Ensemble, &Found),
    kept: &mut Kept<G>,
) -> Result<Option<Look>, LookError> {
    let me = operator.leadership.seat().to_string();
    let there = ensemble.status.as_ref().and_then(|status| status.operator.as_ref());
    let verdict = claim::judge(there, &me, claim::undone(ensemble, found), &mut kept.rival, Instant::now());
    let next = match (verdict, &mut kept.rival) {
        (Verdict::Ours, _) => return Ok(None),
        (Verdict::Leave, Some(rival)) => {
            if !std::mem::replace(&mut rival.told, true) {
                let note = format!(
                    "the operator {} acts for this ensemble, so {me} leaves it alone; let only one of them watch this namespace (the \
                     chart's watchNamespaces, --namespace)",
                    rival.installation()
                );
                operator.tell(ensemble, Happening::LeftToAnother, &note).await;
            }
            operator.metrics.state(key.pair(), Some(State { left: true, ..State::default() }));
            return Ok(Some(Look::Again(QUIET, false)));
        }
        (Verdict::Ask, Some(rival)) => {
            OperatorStatus { installation: rival.installation().to_owned(), challenger: Some(me.clone()) }
        }
        (Verdict::Take | Verdict::Answer, _) => OperatorStatus { installation: me.clone(), challenger: None },
        // There is a rival whenever it is asked or left alone.
        (Verdict::Ask | Verdict::Leave, None) => return Ok(Some(Look::Again(QUIET, false))),
    };
    claim::write(operator.api, key, ensemble, &next).await?;
    kept.said = None;
    match (verdict, &mut kept.rival) {
        (Verdict::Ask, Some(rival)) => rival.was_asked(),
        (Verdict::Take, Some(rival)) => {
            let note = format!("the operator {} did not answer; {me} acts from now on", rival.installation());
            operator.tell(ensemble, Happening::TakenOver, &note).await;
        }
        _ => {}
    }
    Ok(Some(Look::Again(BUSY, true)))
}

/// For how long, and why, the agents refuse our changes: they have seen a greater token. Ours grows, if the ensemble is still ours.
async fn fenced<A: Api, G>(
    operator: &Operator<'_, A>,
    key: &Key,
    ensemble: &Ensemble,
    kept: &mut Kept<G>,
    observed: &Observed,
) -> Result<Option<(Duration, String)>, LookError> {
    let (seen, ours) = (observed.quorum.as_ref().map_or(0, |quorum| quorum.fencing_token), operator.token);
    if seen <= ours {
        kept.fenced = None;
        return Ok(None);
    }
    if claim::is_confirmed(operator.api, key, ensemble).await? {
        operator.leadership.outrun(seen);
    }
    let why = format!(
        "the agents refuse this operator ({}): its token is {ours}, and one came with {seen}. It raises its own within seconds; if it \
         stays so, another operator that does not heed status.operator acts for this ensemble: stop it",
        operator.leadership.seat()
    );
    Ok(Some((kept.fenced.get_or_insert_with(Instant::now).elapsed(), why)))
}

/// What one look saw and decided.
struct Scene<'a> {
    key: &'a Key,
    found: &'a Found,
    sight: Sight<'a>,
    planned: &'a Plan,
}

/// The parts of the objects, what is wanted, and why nothing may be changed if nothing may.
fn wanted<A>(
    operator: &Operator<'_, A>,
    key: &Key,
    ensemble: &Ensemble,
    found: &Found,
) -> (Parts, Validated, Option<Refusal>) {
    let uid = ensemble.metadata.uid.clone().unwrap_or_default();
    let remembered = recollect(found);
    let mut refusal = remembered.as_ref().err().cloned().map(Refusal::refused);
    let (cluster_id, memory) = remembered.unwrap_or_default();
    let members = i32::try_from(memory.record.members.len()).unwrap_or(i32::MAX);
    let storage = &ensemble.spec.storage;
    let template = found.stateful_set.as_ref().and_then(|set| stateful_set::template_of(set));
    let mut validated = validate(ensemble, found.topics.iter().map(AsRef::as_ref), members);
    let class =
        template.as_ref().and_then(|(_, there)| check_class(storage.class.as_deref(), there.as_deref()));
    validated.findings.extend(class);
    if refusal.is_none() && !validated.findings.is_empty() {
        refusal = Some(Refusal::invalid(sentence(&validated.findings)));
    }
    let parts = Parts {
        name: key.name.clone(),
        namespace: key.namespace.clone(),
        cluster_id: cluster_id.unwrap_or_else(|| uid.replace('-', "")),
        uid,
        spec: ensemble.spec.clone(),
        restarted_at: ensemble
            .metadata
            .annotations
            .as_ref()
            .and_then(|a| a.get(names::RESTARTED_AT))
            .cloned(),
        memory,
        replicas: facts::replicas(found),
        template: template.unwrap_or_else(|| (storage.size.clone(), storage.class.clone())),
        image: operator.image.to_owned(),
        operator_namespace: operator.operator_namespace.map(str::to_owned),
    };
    (parts, validated, refusal)
}

/// The identity of the data and the members: from the ConfigMap, and where that is gone from the volumes.
fn recollect(found: &Found) -> Result<(Option<String>, Memory), String> {
    if let Some(map) = &found.config_map {
        return Ok((config_map::cluster_id(map), config_map::memory(map)?));
    }
    Ok(volume::remembered(&found.claims)?.map_or_else(Default::default, |(id, memory)| (Some(id), memory)))
}

/// Applies the objects; returns those that somebody else is in the way of, and why nothing more may be done, if so.
async fn bring_objects<A: Api>(
    operator: &Operator<'_, A>,
    ensemble: &Ensemble,
    parts: &Parts,
    found: &Found,
    kept: &mut apply::Refusals,
) -> Result<(Obstacles, Option<Refusal>), LookError> {
    let (written, obstacles) = match apply::apply(operator.api, parts, found).await {
        Ok(applied) => applied,
        Err(ApiError::Refused { what, message }) => {
            return Ok((Obstacles::default(), Some(Refusal::refused(format!("{what}: {message}")))));
        }
        Err(error) => return Err(error.into()),
    };
    written.iter().for_each(|what| tracing::info!(ensemble = parts.name, "{what}"));
    let written = apply::volumes(operator.api, parts, found, kept).await?;
    written.iter().for_each(|what| tracing::info!(ensemble = parts.name, "{what}"));
    for (id, why) in kept.all() {
        let note = format!("volume {}: {why}", names::claim(&parts.name, id));
        operator.tell(ensemble, Happening::VolumeNotGrown, &note).await;
    }
    for claim in found.claims.values() {
        let wanted = &parts.spec.storage.size;
        let larger = volume::size(claim)
            .filter(|size| quantity::compare(size, wanted).is_some_and(std::cmp::Ordering::is_gt));
        if let Some(size) = larger {
            let name = claim.metadata.name.clone().unwrap_or_default();
            let note =
                format!("volume {name} has {size}, spec.storage.size is {wanted}; volumes never shrink");
            operator.tell(ensemble, Happening::VolumeLarger, &note).await;
        }
    }
    Ok((obstacles, None))
}

/// What somebody else has the names of is said, and waited for.
async fn look_for_obstacles<A: Api>(
    operator: &Operator<'_, A>,
    ensemble: &Ensemble,
    (parts, found): (&Parts, &Found),
    observed: &Observed,
    mut obstacles: Obstacles,
) -> Result<Obstacles, LookError> {
    if !ensemble.spec.suspended {
        obstacles.members = taken::of_members(operator.api, parts, found, observed).await?;
    }
    for object in obstacles.objects.iter().chain(obstacles.members.values()) {
        operator.tell(ensemble, Happening::NameTaken, &format!("{object}: {}", WaitFor::NameFree)).await;
    }
    Ok(obstacles)
}

/// A cache that lags must not make a member look as if it had lost its disk (Sieve's stale state: ZooKeeper operator 312, 314).
async fn confirm_losses<A: Api>(api: &A, parts: &Parts, found: &mut Found) -> Result<(), ApiError> {
    let suspects = facts::processes(found, &parts.memory, "").into_iter().filter(|(_, p)| p.lost);
    let suspects = suspects.filter(|_| !is_planted(Plant::CachedLoss));
    let suspects: Vec<i32> = suspects.map(|(id, _)| id).collect();
    for id in suspects {
        let name = names::claim(&parts.name, id);
        match api.get::<PersistentVolumeClaim>(&parts.namespace, &name).await? {
            Some(claim) => drop(found.claims.insert(id, Arc::new(claim))),
            None => drop(found.claims.remove(&id)),
        }
    }
    Ok(())
}

async fn look_at_members<A: Api, G: Agents>(
    operator: &Operator<'_, A>,
    kept: &mut Kept<G>,
    parts: &Parts,
    found: &Found,
) -> Observed {
    if kept.token != operator.token {
        // Another term begins as another process would.
        kept.agents.set_fencing_token(operator.token);
        (kept.token, kept.said) = (operator.token, None);
    }
    kept.agents.set_cluster(&parts.cluster_id);
    kept.agents.set_addresses(&facts::addresses(found, &parts.memory));
    let processes = facts::processes(found, &parts.memory, &pod::revision(parts));
    let mut observed = observe(&kept.agents, processes, parts.spec.replicas).await;
    for (id, member) in &mut observed.members {
        // An agent that the kubelet hears is not dead because the operator does not hear it.
        member.answers |= found.pods.get(id).is_some_and(|pod| facts::is_ready(pod));
    }
    facts::hold_restarts(&mut observed, found, parts.spec.replicas);
    facts::note_growth(&mut observed, found, &kept.refusals);
    facts::note_renewals(&mut observed, found, timestamp((operator.wall)()));
    observed
}

/// Notes who serves, then carries the steps out up to the first that fails.
async fn carry_out<A: Api, G: Agents>(
    operator: &Operator<'_, A>,
    ensemble: &Ensemble,
    parts: &Parts,
    kept: &Kept<G>,
    (found, observed): (&Found, &Observed),
    planned: &Plan,
) -> Result<(), LookError> {
    let lost = observed.members.iter().filter(|(_, m)| m.process.lost).map(|(id, _)| *id).collect();
    let mut pods = Pods::new(operator.api, parts, &found.pods, lost);
    let served = served(parts, found, observed);
    if !served.is_empty() {
        pods.note_served(&served).await.map_err(LookError::Record)?;
    }
    let (topics, members): (Vec<&Planned>, Vec<&Planned>) =
        planned.steps.iter().partition(|planned| matches!(planned.step, Step::ApplyTopic(_)));
    for planned in members {
        let note = format!("{}: {}", planned.step, planned.why);
        if matches!(planned.step, Step::Remove(_)) {
            // To an old picture whoever was let in since looks like one that nobody keeps (seed 20 of the model).
            apply::confirm_record(operator.api, parts).await?;
        }
        match execute(std::slice::from_ref(planned), &kept.agents, &mut pods).await {
            Ok(()) => operator.tell(ensemble, (&planned.step).into(), &note).await,
            Err(failed) => {
                let failed = LookError::from(failed);
                if !failed.is_conflict() {
                    operator.tell(ensemble, Happening::StepFailed, &failed.to_string()).await;
                }
                return Err(failed);
            }
        }
    }
    apply_topics(operator, found, &kept.agents, &topics).await
}

/// Members that serve, with their volumes, as far as that is not remembered yet.
fn served(parts: &Parts, found: &Found, observed: &Observed) -> Vec<(i32, String)> {
    if found.config_map.is_none() {
        return Vec::new();
    }
    let news = |id: i32| {
        let member = parts.memory.record.member(id)?;
        let claim = found.claims.get(&id).filter(|claim| claim.metadata.deletion_timestamp.is_none());
        let claim = claim?.metadata.uid.clone()?;
        let remembered = parts.memory.volumes.0.get(&id).and_then(|volume| volume.claim.as_ref());
        (!member.served || remembered.is_none()).then_some((id, claim))
    };
    observed.members.iter().filter(|(_, m)| m.ready).filter_map(|(id, _)| news(*id)).collect()
}

/// Writes what is news of the ensemble and of its topics.
async fn report_all<A: Api, G>(
    operator: &Operator<'_, A>,
    kept: &mut Kept<G>,
    ensemble: &Ensemble,
    (scene, fates): (&Scene<'_>, &Fates),
    refusal: Option<&Refusal>,
) -> Result<(), LookError> {
    let now = timestamp((operator.wall)());
    let moment = |generation| Moment {
        now,
        next: now.checked_add(if scene.planned.is_converged() { QUIET } else { BUSY }).unwrap_or(now),
        generation,
    };
    let lately = kept.said.as_ref().filter(|(_, at)| at.elapsed() < WRITTEN_LATELY);
    let previous = lately.map(|(said, _)| said.clone());
    let previous = previous.or_else(|| ensemble.status.clone()).unwrap_or_default();
    let at = moment(ensemble.metadata.generation);
    let endpoints = Some(report::endpoints(scene.key));
    let desired = &scene.sight.validated.desired;
    let mut next = status(desired, scene.sight.observed, scene.planned, &previous, endpoints, &at);
    next.selector = Some(names::selector_text(&scene.key.name));
    next.operator =
        Some(OperatorStatus { installation: operator.leadership.seat().to_string(), challenger: None });
    if let Some(refusal) = refusal {
        report::refuse_ensemble(&mut next, &previous, refusal, &at);
        let happening = match refusal.reason {
            Reason::InvalidSpec => Happening::InvalidSpec,
            Reason::Fenced => Happening::Fenced,
            _ => Happening::Refused,
        };
        operator.tell(ensemble, happening, &refusal.why).await;
    }
    let stalled = report::holds(&next, ConditionType::Stalled) == Some(true);
    let state = State { stalled, paused: ensemble.spec.paused, left: false };
    operator.metrics.state(scene.key.pair(), Some(state));
    let age = kept.said.as_ref().map(|(_, at)| at.elapsed());
    if report::is_news(&previous, &next, age) {
        report::write_ensemble(operator.api, ensemble, &scene.key.namespace, &next).await?;
        kept.said = Some((next.clone(), Instant::now()));
    }
    if report::is_blind(&next, now) {
        return Ok(());
    }
    let news = scene.found.topics.iter();
    let news = news.filter_map(|topic| {
        Some((
            topic,
            topic_news(topic, scene.sight, scene.planned, fates, &moment(topic.metadata.generation))?,
        ))
    });
    let write = async |(topic, next): (&Arc<Topic>, TopicStatus)| {
        let written = report::write(operator.api, topic.as_ref(), &scene.key.namespace, &next).await;
        match written {
            // It is gone by now, and the caches have not told of it yet.
            Err(ApiError::Refused { .. } | ApiError::Conflict { .. })
                if topic.metadata.deletion_timestamp.is_some() =>
            {
                Ok(())
            }
            written => written,
        }
    };
    let written: Vec<Result<(), ApiError>> =
        stream::iter(news).map(write).buffer_unordered(AT_ONCE).collect().await;
    Ok(written.into_iter().collect::<Result<(), ApiError>>()?)
}

/// Topics that name an ensemble that is not there say so, and are let go.
async fn without_ensemble<A: Api, G: Agents>(
    operator: &Operator<'_, A>,
    key: &Key,
    found: &Found,
) -> Result<Look, LookError> {
    // Letting go of topics cannot be taken back, and an old picture has no Ensemble (Sieve's stale state; seed 615 of the model).
    if !found.topics.is_empty() && operator.api.get::<Ensemble>(&key.namespace, &key.name).await?.is_some() {
        let message = "the caches have not told of it yet".to_owned();
        return Err(ApiError::Conflict { what: format!("read Ensemble {}", key.name), message }.into());
    }
    operator.metrics.state(key.pair(), None);
    if let Some(failed) = topics::settle::<A, G>(operator, key, found, &Hands::Empty).await.failed {
        return Err(failed.into());
    }
    let why = format!("spec.ensembleRef.name: there is no Ensemble {:?} in this namespace", key.name);
    let now = timestamp((operator.wall)());
    for topic in found.topics.iter().filter(|topic| topic.metadata.deletion_timestamp.is_none()) {
        let moment = Moment { now, next: now, generation: topic.metadata.generation };
        let previous = topic.status.clone().unwrap_or_default();
        let next = report::refuse_topic(&previous, &why, &moment);
        if next != previous {
            report::write(operator.api, topic.as_ref(), &key.namespace, &next).await?;
        }
    }
    Ok(if found.topics.is_empty() { Look::Gone } else { Look::Again(QUIET, false) })
}

impl<A: Api> Operator<'_, A> {
    /// Says what happened to an object.
    pub async fn tell<K: super::api::Object>(&self, object: &K, happening: Happening, note: &str) {
        // With its fractions: they tell Events of one second apart.
        let now = Timestamp::try_from((self.wall)()).unwrap_or(Timestamp::UNIX_EPOCH);
        self.events.tell(self.api, self.metrics, object, (happening, note), now).await;
    }
}
