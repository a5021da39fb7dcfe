//! Which of several installations acts for an ensemble, when more than one watches it: the one that `status.operator` names.
//!
//! The Lease decides among the operators of one installation; installations know nothing of each other's Leases, and may have no right to
//! read them. So the first to write its name into the status acts, and keeps it: always by a fresh read, and only into the state that
//! was read. Another one asks once whether who acts is there, by writing its own name beside; who acts takes that away with its next
//! look. What is left there for [`PATIENCE`] is not looked after by anybody, and is taken over. It asks again only for something that
//! stays undone, once for each: two installations that are both there come to rest. Must not know: what is done for an ensemble.
//! Read first: [`judge`], [`Rival`].

use std::time::Duration;

use kube::Resource;
use tokio::time::Instant;

use super::api::{Api, ApiError};
use super::read::{Found, Key};
use super::{facts, report, topics};
use crate::crd::{Ensemble, OperatorStatus};

/// So long an installation may leave a question unanswered, and something undone, before it is taken for gone. A pod that moves to
/// another node needs less.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Another installation that has the ensemble, as this one has seen it, by this one's clock.
#[derive(Clone, Debug)]
pub struct Rival {
    claim: OperatorStatus,
    since: Instant,
    /// It was asked whether it is there, and about what.
    asked: Option<String>,
    undone: Option<(String, Instant)>,
    /// People were told.
    pub told: bool,
}

/// What is done about the claim now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This installation acts, and nobody asks.
    Ours,
    /// Another asks whether this one is there: it is.
    Answer,
    /// Nobody has it, or who has it is gone: it is ours from now on.
    Take,
    /// Another has it: ask whether it is there.
    Ask,
    /// Another has it.
    Leave,
}

/// Decides. `undone` is something that whoever acts would do.
pub fn judge(
    claim: Option<&OperatorStatus>,
    me: &str,
    undone: Option<String>,
    rival: &mut Option<Rival>,
    now: Instant,
) -> Verdict {
    let Some(claim) = claim.filter(|claim| claim.installation != me) else {
        *rival = None;
        return match claim {
            None => Verdict::Take,
            Some(claim) if claim.challenger.is_some() => Verdict::Answer,
            Some(_) => Verdict::Ours,
        };
    };
    let seen = rival.take().filter(|rival| rival.claim.installation == claim.installation);
    let rival = rival.insert(seen.unwrap_or_else(|| Rival::new(claim, now)));
    rival.note(claim, undone, now);
    let waited = now.duration_since(rival.since);
    match claim.challenger.as_deref() {
        Some(challenger) if challenger == me => {
            rival.asked.get_or_insert_default();
            if waited >= PATIENCE { Verdict::Take } else { Verdict::Leave }
        }
        // Whoever asked first may take it, unless it is gone as well.
        Some(_) => {
            if waited >= PATIENCE * 2 {
                Verdict::Ask
            } else {
                Verdict::Leave
            }
        }
        None if rival.asked.is_none() || rival.is_idle(now) => Verdict::Ask,
        None => Verdict::Leave,
    }
}

impl Rival {
    fn new(claim: &OperatorStatus, now: Instant) -> Self {
        Self { claim: claim.clone(), since: now, asked: None, undone: None, told: false }
    }

    /// Who acts.
    pub fn installation(&self) -> &str {
        &self.claim.installation
    }

    /// It was asked.
    pub fn was_asked(&mut self) {
        self.asked = Some(self.undone.as_ref().map(|(what, _)| what.clone()).unwrap_or_default());
    }

    fn note(&mut self, claim: &OperatorStatus, undone: Option<String>, now: Instant) {
        if self.claim != *claim {
            (self.claim, self.since) = (claim.clone(), now);
        }
        self.undone = undone.map(|what| match self.undone.take() {
            Some((same, since)) if same == what => (same, since),
            Some(_) | None => (what, now),
        });
    }

    /// Something stays undone that it was not asked about yet.
    fn is_idle(&self, now: Instant) -> bool {
        self.undone.as_ref().is_some_and(|(what, since)| {
            now.duration_since(*since) >= PATIENCE && self.asked.as_ref() != Some(what)
        })
    }
}

/// What whoever acts would do soon, as far as the caches tell without the agents: report a generation, let a topic go, report pods.
pub fn undone(ensemble: &Ensemble, found: &Found) -> Option<String> {
    let status = ensemble.status.clone().unwrap_or_default();
    let generation = ensemble.metadata.generation;
    if status.observed_generation != generation {
        return Some(format!("generation {} of the Ensemble", generation.unwrap_or(0)));
    }
    let undone = |topic: &&std::sync::Arc<crate::crd::Topic>| {
        let meta = &topic.metadata;
        let goes = meta.deletion_timestamp.is_some();
        let seen = topic.status.as_ref().and_then(|status| status.observed_generation);
        if goes { topics::is_held_back(topic) } else { seen != meta.generation }
    };
    if let Some(topic) = found.topics.iter().find(undone) {
        let name = topic.metadata.name.as_deref().unwrap_or_default();
        return Some(format!("generation {} of Topic {name}", topic.metadata.generation.unwrap_or(0)));
    }
    let ready = found.pods.values().filter(|pod| facts::is_ready(pod)).count();
    let said = usize::try_from(status.ready_replicas).unwrap_or(0);
    (ready != said).then(|| format!("{ready} pods are ready, the status says {said}"))
}

/// Writes who acts, if the caches told the truth.
///
/// # Errors
/// The Ensemble or who acts for it is another one by now, or the API server did not do it.
pub async fn write<A: Api>(
    api: &A,
    key: &Key,
    seen: &Ensemble,
    next: &OperatorStatus,
) -> Result<(), ApiError> {
    let Some(fresh) = fresh(api, key, seen).await? else {
        let (what, message) =
            (format!("claim Ensemble {key}"), "the caches have told of another claim".to_owned());
        return Err(ApiError::Conflict { what, message });
    };
    let mut status = fresh.status.clone().unwrap_or_default();
    status.operator = Some(next.clone());
    report::write_ensemble(api, &fresh, &key.namespace, &status).await
}

/// Whether the claim is still the one that the caches told of.
///
/// # Errors
/// The API server gives no answer.
pub async fn is_confirmed<A: Api>(api: &A, key: &Key, seen: &Ensemble) -> Result<bool, ApiError> {
    Ok(fresh(api, key, seen).await?.is_some())
}

async fn fresh<A: Api>(api: &A, key: &Key, seen: &Ensemble) -> Result<Option<Ensemble>, ApiError> {
    let fresh = api.get::<Ensemble>(&key.namespace, &key.name).await?;
    let claim = |ensemble: &Ensemble| ensemble.status.as_ref().and_then(|status| status.operator.clone());
    Ok(fresh.filter(|fresh| fresh.meta().uid == seen.meta().uid && claim(fresh) == claim(seen)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claim(installation: &str, challenger: Option<&str>) -> OperatorStatus {
        OperatorStatus { installation: installation.to_owned(), challenger: challenger.map(str::to_owned) }
    }

    /// One installation that looks at claims, with its clock.
    struct Observer {
        rival: Option<Rival>,
        began: Instant,
    }

    impl Observer {
        fn new() -> Self {
            Self { rival: None, began: Instant::now() }
        }

        fn sees(&mut self, second: u64, claim: Option<&OperatorStatus>, undone: Option<&str>) -> Verdict {
            let now = self.began + Duration::from_secs(second);
            let verdict = judge(claim, "b", undone.map(str::to_owned), &mut self.rival, now);
            if verdict == Verdict::Ask {
                self.rival.as_mut().expect("a rival").was_asked();
            }
            verdict
        }
    }

    #[test]
    fn the_first_has_it_and_answers() {
        let mut b = Observer::new();
        assert_eq!(b.sees(0, None, None), Verdict::Take);
        assert_eq!(b.sees(1, Some(&claim("b", None)), Some("anything")), Verdict::Ours);
        assert_eq!(b.sees(2, Some(&claim("b", Some("a"))), None), Verdict::Answer);
    }

    #[test]
    fn one_that_is_there_keeps_it_and_is_asked_once() {
        let mut b = Observer::new();
        assert_eq!(b.sees(0, Some(&claim("a", None)), None), Verdict::Ask);
        assert_eq!(b.sees(1, Some(&claim("a", Some("b"))), None), Verdict::Leave);
        for second in (2..100_000).step_by(1000) {
            assert_eq!(b.sees(second, Some(&claim("a", None)), None), Verdict::Leave);
        }
    }

    #[test]
    fn one_that_is_gone_loses_it_after_its_time_by_the_clock_of_the_other() {
        let mut b = Observer::new();
        assert_eq!(b.sees(0, Some(&claim("a", None)), None), Verdict::Ask);
        let asked = claim("a", Some("b"));
        assert_eq!(b.sees(5, Some(&asked), None), Verdict::Leave);
        assert_eq!(b.sees(124, Some(&asked), None), Verdict::Leave);
        assert_eq!(b.sees(125, Some(&asked), None), Verdict::Take);
        // A process that begins anew waits its whole time.
        let mut b = Observer::new();
        assert_eq!(b.sees(125, Some(&asked), None), Verdict::Leave);
        assert_eq!(b.sees(245, Some(&asked), None), Verdict::Take);
    }

    #[test]
    fn one_that_leaves_something_undone_is_asked_once_about_it() {
        let mut b = Observer::new();
        let kept = claim("a", None);
        assert_eq!(b.sees(0, Some(&kept), None), Verdict::Ask);
        assert_eq!(b.sees(10, Some(&kept), Some("generation 2")), Verdict::Leave, "it may be on its way");
        assert_eq!(b.sees(100, Some(&kept), None), Verdict::Leave, "it was");
        assert_eq!(b.sees(200, Some(&kept), Some("generation 3")), Verdict::Leave);
        assert_eq!(b.sees(320, Some(&kept), Some("generation 3")), Verdict::Ask);
        assert_eq!(b.sees(321, Some(&claim("a", Some("b"))), Some("generation 3")), Verdict::Leave);
        assert_eq!(b.sees(322, Some(&kept), Some("generation 3")), Verdict::Leave, "it is there");
        assert_eq!(b.sees(9999, Some(&kept), Some("generation 3")), Verdict::Leave);
    }

    #[test]
    fn whoever_asked_first_may_take_it_unless_it_is_gone_as_well() {
        let mut b = Observer::new();
        let asked = claim("a", Some("c"));
        assert_eq!(b.sees(0, Some(&asked), None), Verdict::Leave);
        assert_eq!(b.sees(239, Some(&asked), None), Verdict::Leave);
        assert_eq!(b.sees(240, Some(&asked), None), Verdict::Ask);
        assert_eq!(b.sees(241, Some(&claim("c", None)), None), Verdict::Ask, "it is another's now");
    }

    #[test]
    fn what_stays_undone_shows_without_the_agents() {
        let ensemble = |generation: i64, observed: i64| -> Ensemble {
            let value = json!({
                "apiVersion": crate::crd::API_VERSION, "kind": "Ensemble",
                "metadata": {"name": "main", "generation": generation},
                "spec": {"replicas": 3},
                "status": {"observedGeneration": observed, "readyReplicas": 1},
            });
            serde_json::from_value(value).expect("an ensemble")
        };
        let pod = |ready: &str| {
            let value = json!({"status": {"conditions": [{"type": "Ready", "status": ready}]}});
            std::sync::Arc::new(serde_json::from_value(value).expect("a pod"))
        };
        let mut found = Found { pods: [(0, pod("True")), (1, pod("False"))].into(), ..Found::default() };
        assert_eq!(undone(&ensemble(2, 2), &found), None);
        assert_eq!(undone(&ensemble(3, 2), &found).as_deref(), Some("generation 3 of the Ensemble"));
        found.pods.insert(0, pod("False"));
        let told = undone(&ensemble(2, 2), &found);
        assert_eq!(told.as_deref(), Some("0 pods are ready, the status says 1"));
    }
}
