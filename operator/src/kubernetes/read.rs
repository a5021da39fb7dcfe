//! Reads what there is of one ensemble from the API server. The only reader of it, but for the fresh reads before writes.
//!
//! Must not know: what is done about it. Read first: [`Found`], [`read`].

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde_json::Value;

use super::api::{Api, ApiError, Object, Which};
use super::build::Kind;
use super::names;
use crate::crd::{Ensemble, Topic};

/// An ensemble by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// Namespace and name.
    pub fn pair(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An object with the ensemble's labels.
#[derive(Clone, Debug)]
pub struct Live {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// All of it.
    pub value: Value,
}

/// What there is.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The resource; `None` once it is gone.
    pub ensemble: Option<Arc<Ensemble>>,
    /// The topics that name it, in the order in which they were made.
    pub topics: Vec<Arc<Topic>>,
    /// The objects with its labels that are not pods or volumes.
    pub objects: BTreeMap<(Kind, String), Live>,
    /// What agents read.
    pub config_map: Option<Arc<ConfigMap>>,
    /// What keeps pods alive.
    pub stateful_set: Option<Arc<StatefulSet>>,
    /// Pods by member.
    pub pods: BTreeMap<i32, Arc<Pod>>,
    /// Volumes by member.
    pub claims: BTreeMap<i32, Arc<PersistentVolumeClaim>>,
}

/// What there is of an ensemble and its topics.
///
/// # Errors
/// The API server gives no answer.
pub async fn read<A: Api>(api: &A, key: &Key) -> Result<Found, ApiError> {
    let mut found = Found { topics: topics(api, key).await?, ..Found::default() };
    let ensembles = api.list::<Ensemble>(&key.namespace, Which::All).await?;
    found.ensemble = ensembles.into_iter().find(|e| e.metadata.name.as_deref() == Some(&key.name));
    if found.ensemble.is_none() {
        return Ok(found);
    }
    let which = Which::Of(&key.name);
    let maps = api.list::<ConfigMap>(&key.namespace, which).await?;
    let sets = api.list::<StatefulSet>(&key.namespace, which).await?;
    let pods = api.list::<Pod>(&key.namespace, which).await?;
    let claims = api.list::<PersistentVolumeClaim>(&key.namespace, which).await?;
    let uid = found.ensemble.as_ref().and_then(|ensemble| ensemble.metadata.uid.clone()).unwrap_or_default();
    found.config_map = named(&maps, &names::agents(&key.name)).filter(|map| owns(&uid, &map.metadata));
    found.stateful_set = named(&sets, &key.name).filter(|set| owns(&uid, &set.metadata));
    let set = found.stateful_set.as_ref().and_then(|set| set.metadata.uid.as_deref());
    let member = |pod: Arc<Pod>| Some((names::member_of_pod(&key.name, pod.metadata.name.as_deref()?)?, pod));
    // Those of a StatefulSet of before end by themselves, and are no members of this ensemble.
    let is_current =
        |pod: &Pod| names::controller(&pod.metadata).is_some_and(|owner| Some(&*owner.uid) == set);
    let ours = pods.into_iter().filter(|pod| names::is_pod_of(&key.name, &pod.metadata) && is_current(pod));
    found.pods = ours.filter_map(member).collect();
    found.claims = by_member(key, claims);
    found.take(Kind::ConfigMap, &maps);
    found.take(Kind::StatefulSet, &sets);
    found.take(Kind::Service, &api.list::<Service>(&key.namespace, which).await?);
    found.take(Kind::ServiceAccount, &api.list::<ServiceAccount>(&key.namespace, which).await?);
    found.take(Kind::NetworkPolicy, &api.list::<NetworkPolicy>(&key.namespace, which).await?);
    found.take(Kind::PodDisruptionBudget, &api.list::<PodDisruptionBudget>(&key.namespace, which).await?);
    Ok(found)
}

/// The volumes of now: while there is no record of members they alone tell whose data there is, and an old picture of them would give the
/// ensemble another identity than its data have (Sieve's stale state).
///
/// # Errors
/// The API server gives no answer.
pub async fn claims_now<A: Api>(
    api: &A,
    key: &Key,
) -> Result<BTreeMap<i32, Arc<PersistentVolumeClaim>>, ApiError> {
    Ok(by_member(key, api.list_now(&key.namespace, Which::Of(&key.name)).await?))
}

fn by_member(
    key: &Key,
    claims: Vec<Arc<PersistentVolumeClaim>>,
) -> BTreeMap<i32, Arc<PersistentVolumeClaim>> {
    let member = |claim: Arc<PersistentVolumeClaim>| {
        Some((names::member_of_claim(&key.name, claim.metadata.name.as_deref()?)?, claim))
    };
    claims.into_iter().filter_map(member).collect()
}

/// The topics of an ensemble, the oldest first.
///
/// # Errors
/// The API server gives no answer.
pub async fn topics<A: Api>(api: &A, key: &Key) -> Result<Vec<Arc<Topic>>, ApiError> {
    Ok(by_age(key, api.list(&key.namespace, Which::All).await?))
}

/// The topics of now, the oldest first.
///
/// # Errors
/// The API server gives no answer.
pub async fn topics_now<A: Api>(api: &A, key: &Key) -> Result<Vec<Arc<Topic>>, ApiError> {
    Ok(by_age(key, api.list_now(&key.namespace, Which::All).await?))
}

fn by_age(key: &Key, mut topics: Vec<Arc<Topic>>) -> Vec<Arc<Topic>> {
    topics.retain(|topic| topic.spec.ensemble_ref.name == key.name);
    let made = |topic: &Arc<Topic>| {
        let meta = &topic.metadata;
        (meta.creation_timestamp.clone().map(|time| time.0), meta.name.clone())
    };
    topics.sort_by_cached_key(made);
    topics
}

impl Found {
    fn take<K: Object>(&mut self, kind: Kind, objects: &[Arc<K>]) {
        for object in objects {
            let name = object.meta().name.clone().unwrap_or_default();
            // What came as JSON is JSON.
            let value = serde_json::to_value(object.as_ref()).unwrap_or_default();
            self.objects.insert((kind, name), Live { metadata: object.meta().clone(), value });
        }
    }
}

/// The resource of this UID owns the object: one of the same name that is gone is another one.
pub fn owns(uid: &str, metadata: &ObjectMeta) -> bool {
    metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid)
}

fn named<K: Resource>(objects: &[Arc<K>], name: &str) -> Option<Arc<K>> {
    objects.iter().find(|object| object.meta().name.as_deref() == Some(name)).cloned()
}
