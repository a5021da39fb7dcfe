//! Carries out the steps of the plan that are about processes: pods and their disks.
//!
//! Each begins with a fresh read, says which state it read in its write, and may be called again after it was interrupted anywhere.
//! The StatefulSet runs the members below its number of replicas; the record in the ConfigMap says which of them may begin, and with
//! which disk. Must not know: why. Read first: [`Pods`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};

use super::api::{Api, ApiError, Which, identity};
use super::apply::{pinned, write};
use super::build::{Parts, Wanted, config_map, pod, stateful_set};
use super::facts::revision_of;
use super::read::owns;
use super::record::Memory;
use super::{names, taken};
use crate::execute::{Substrate, SubstrateError};
use crate::plant::{Plant, is_planted};

/// Pods as the substrate of one ensemble's plan.
#[derive(Debug)]
pub struct Pods<'a, A> {
    api: &'a A,
    parts: &'a Parts,
    /// The pods as the plan saw them.
    seen: &'a BTreeMap<i32, Arc<Pod>>,
    /// The members whose disks the plan saw to be lost: they do not vote any more.
    lost: BTreeSet<i32>,
}

impl<'a, A: Api> Pods<'a, A> {
    /// The substrate of the ensemble with these parts. `seen` are the pods that the steps were decided from,
    /// `lost` the members without their disks.
    pub fn new(api: &'a A, parts: &'a Parts, seen: &'a BTreeMap<i32, Arc<Pod>>, lost: BTreeSet<i32>) -> Self {
        Self { api, parts, seen, lost }
    }

    /// Remembers that members serve, and with which volumes: those that are there now, because a volume of before that is taken for the
    /// present one is soon missed, and the member's disk given up (seed 6 of the model).
    ///
    /// # Errors
    /// The API server did not take it.
    pub async fn note_served(&mut self, served: &[(i32, String)]) -> Result<(), SubstrateError> {
        let mut now = Vec::new();
        for (id, claim) in served {
            let name = names::claim(&self.parts.name, *id);
            let there = self.api.get::<PersistentVolumeClaim>(&self.parts.namespace, &name).await?;
            let meta = there.map(|there| there.metadata).unwrap_or_default();
            let is_same = meta.deletion_timestamp.is_none() && meta.uid.as_ref() == Some(claim);
            if is_same || is_planted(Plant::CachedVolume) {
                now.push((*id, claim));
            }
        }
        self.remember(|memory| now.iter().for_each(|(id, claim)| memory.note_served(*id, claim))).await
    }

    /// Notes deletions of topics before they are carried out; false, and nothing is noted, if more than `most` would have gone within
    /// minutes.
    ///
    /// # Errors
    /// The API server did not take it.
    pub async fn note_deletions(
        &self,
        ids: &BTreeSet<String>,
        now: i64,
        most: usize,
    ) -> Result<bool, SubstrateError> {
        let mut fits = true;
        self.remember(|memory| fits = memory.note_deletions(ids, now, most)).await?;
        Ok(fits)
    }

    /// Changes the record by `change`, if that changes anything.
    async fn remember(&self, change: impl FnOnce(&mut Memory)) -> Result<(), SubstrateError> {
        let map = self.config_map().await?;
        let before = config_map::memory(&map)?;
        let mut memory = before.clone();
        change(&mut memory);
        if memory == before {
            return Ok(());
        }
        let parts = Parts { memory, ..self.parts.clone() };
        self.put(&config_map::wanted(&parts), &map).await
    }

    async fn config_map(&self) -> Result<ConfigMap, SubstrateError> {
        let name = names::agents(&self.parts.name);
        let map = self.api.get::<ConfigMap>(&self.parts.namespace, &name).await?;
        let ours = map.filter(|map| owns(&self.parts.uid, &map.metadata));
        ours.ok_or_else(|| format!("ConfigMap {name} is gone").into())
    }

    async fn stateful_set(&self) -> Result<StatefulSet, SubstrateError> {
        let name = &self.parts.name;
        let set = self.api.get::<StatefulSet>(&self.parts.namespace, name).await?;
        let ours = set.filter(|set| owns(&self.parts.uid, &set.metadata));
        ours.ok_or_else(|| format!("StatefulSet {name} is gone").into())
    }

    /// The member's pod. One of somebody else that has its name is not touched: the StatefulSet has none until that is gone.
    async fn pod(&self, member: i32) -> Result<Option<Pod>, SubstrateError> {
        let name = names::pod(&self.parts.name, member);
        if is_planted(Plant::CachedPod) {
            let pods = self.api.list::<Pod>(&self.parts.namespace, Which::Of(&self.parts.name)).await?;
            let cached = pods.iter().find(|pod| pod.metadata.name.as_deref() == Some(&name));
            return Ok(cached.map(|pod| pod.as_ref().clone()));
        }
        let pod = self.api.get::<Pod>(&self.parts.namespace, &name).await?;
        let is_ours =
            |pod: &Pod| names::is_pod_of(&self.parts.name, &pod.metadata) || is_planted(Plant::TakesForeign);
        Ok(pod.filter(is_ours))
    }

    async fn put<K: kube::Resource>(&self, wanted: &Wanted, read: &K) -> Result<(), SubstrateError> {
        let body = pinned(&wanted.body, &identity(read.meta()));
        Ok(write(self.api, wanted.kind, &self.parts.namespace, &wanted.name, &body).await?)
    }

    /// Makes the StatefulSet run as many pods as `replicas` says of the present number.
    async fn resize(&self, replicas: impl FnOnce(i32) -> i32) -> Result<(), SubstrateError> {
        let set = self.stateful_set().await?;
        let now = set.spec.replicas.unwrap_or(0);
        let replicas = replicas(now);
        if replicas == now {
            return Ok(());
        }
        let template = stateful_set::template_of(&set).unwrap_or_else(|| self.parts.template.clone());
        let parts = Parts { replicas, template, ..self.parts.clone() };
        self.put(&stateful_set::wanted(&parts), &set).await
    }

    async fn end(&self, pod: &Pod) -> Result<(), SubstrateError> {
        if pod.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let name = pod.metadata.name.clone().unwrap_or_default();
        Ok(self.api.delete::<Pod>(&self.parts.namespace, &name, &identity(&pod.metadata)).await?)
    }

    /// A member that does not answer is restarted unasked. One that only an old picture shows so, at an address that it does not have any
    /// more, may be one that is needed (Sieve's stale state).
    fn confirm_seen(&self, member: i32, pod: &Pod) -> Result<(), ApiError> {
        let seen = self.seen.get(&member).map(|seen| identity(&seen.metadata));
        if seen == Some(identity(&pod.metadata)) {
            return Ok(());
        }
        let what = format!("restart {}", names::pod(&self.parts.name, member));
        Err(ApiError::Conflict {
            what,
            message: "the caches have told of another state of the pod".to_owned(),
        })
    }

    /// The StatefulSet gives whatever has the name of a member's volume to its pod. To an old picture members may run that do not, so
    /// all names that are new to it are looked at (seed 5 of the model).
    async fn confirm_free(&self, member: i32) -> Result<(), SubstrateError> {
        let running = self.stateful_set().await?.spec.replicas.unwrap_or(0);
        for id in running..=member {
            if let Some(there) = taken::of_member(self.api, self.parts, id).await? {
                let (what, message) =
                    (format!("start member {member}"), format!("{there} is somebody else's"));
                return Err(ApiError::Conflict { what, message }.into());
            }
        }
        Ok(())
    }

    /// Whether the volume is another one than the member served with, by a fresh read: a cache that lags must not cost a disk.
    async fn has_lost_its_disk(&self, memory: &Memory, member: i32) -> Result<bool, SubstrateError> {
        let served = memory.record.member(member).is_some_and(|m| m.served);
        let remembered = memory.volumes.0.get(&member).and_then(|volume| volume.claim.clone());
        if !served || remembered.is_none() {
            return Ok(false);
        }
        if is_planted(Plant::CachedLoss) {
            return Ok(true);
        }
        let name = names::claim(&self.parts.name, member);
        let claim = self.api.get::<PersistentVolumeClaim>(&self.parts.namespace, &name).await?;
        Ok(claim.and_then(|claim| claim.metadata.uid) != remembered)
    }
}

impl<A: Api> Substrate for Pods<'_, A> {
    async fn start(&mut self, member: i32) -> Result<(), SubstrateError> {
        let memory = config_map::memory(&self.config_map().await?)?;
        let known = memory.record.member(member).is_some();
        let lost = self.has_lost_its_disk(&memory, member).await?;
        if lost && !self.lost.contains(&member) {
            // It may vote still; the next look sees the loss (seed 115 of the model: lost while the ensemble was suspended).
            let what = format!("start {}", names::pod(&self.parts.name, member));
            return Err(ApiError::Conflict { what, message: "its disk was lost meanwhile".to_owned() }.into());
        }
        if !known && let Some(pod) = self.pod(member).await? {
            // It may run with a disk that was retired; its successor reads the new record.
            self.end(&pod).await?;
        }
        self.confirm_free(member).await?;
        let (replicas, voters) = (self.parts.spec.replicas, self.parts.spec.voters());
        self.remember(|memory| {
            // All new members together, so that each is told of the others.
            if !known {
                memory.place(replicas, voters);
            } else if lost {
                memory.replace_disk(member);
            }
        })
        .await?;
        self.resize(|now| now.max(member + 1)).await
    }

    async fn restart(&mut self, member: i32) -> Result<(), SubstrateError> {
        let set = self.stateful_set().await?;
        let observed = set.status.as_ref().and_then(|status| status.observed_generation);
        if observed != set.metadata.generation {
            // Its successor would be made from the old template.
            return Ok(());
        }
        match self.pod(member).await? {
            Some(pod) if revision_of(&pod) != Some(&pod::revision(self.parts)) => {
                self.confirm_seen(member, &pod)?;
                self.end(&pod).await
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn stop(&mut self, member: i32) -> Result<(), SubstrateError> {
        self.resize(|now| now.min(member)).await
    }

    async fn mark_leaving(&mut self, member: i32) -> Result<(), SubstrateError> {
        self.remember(|memory| memory.mark_leaving(member)).await
    }

    async fn retire(&mut self, member: i32) -> Result<(), SubstrateError> {
        let memory = config_map::memory(&self.config_map().await?)?;
        if !memory.record.member(member).is_some_and(|m| m.leaving) {
            return Ok(());
        }
        let others = memory.record.size_without(Some(member));
        if others > member {
            // The StatefulSet cannot leave one out: what takes the pod's place waits until the number is given again.
            self.remember(|memory| memory.forget(member)).await?;
            return match self.pod(member).await? {
                Some(pod) => self.end(&pod).await,
                None => Ok(()),
            };
        }
        self.resize(|now| now.min(others)).await?;
        // Forgotten only once it has ended: until then it must be seen.
        if self.pod(member).await?.is_none() {
            self.remember(|memory| memory.forget(member)).await?;
        }
        Ok(())
    }
}
