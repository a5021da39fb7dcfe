//! The objects of an ensemble, one per file. Pure: the same parts give the same objects, byte for byte.
//!
//! `tests/golden/` holds what they look like. Must not know: what is there already, how it is written. Read first: [`Parts`],
//! [`objects`].

mod agent_yaml;
pub mod budget;
pub mod config_map;
pub mod network_policy;
pub mod pod;
pub mod service_account;
pub mod services;
pub mod stateful_set;
pub mod volume;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Serialize;
use serde_json::Value;

use super::names;
use super::record::Memory;
use crate::crd::{API_VERSION, EnsembleSpec};

/// All that the objects of one ensemble are made from.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The ensemble's name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its UID.
    pub uid: String,
    /// The identity of the data: 32 hexadecimal digits.
    pub cluster_id: String,
    /// What it shall be.
    pub spec: EnsembleSpec,
    /// What asks for a restart of all members; another value, and it is done again.
    pub restarted_at: Option<String>,
    /// Its members.
    pub memory: Memory,
    /// How many pods the StatefulSet runs; only steps of the plan change it.
    pub replicas: i32,
    /// Size and class of the StatefulSet's template of volumes, which cannot be changed once it is there.
    pub template: (String, Option<String>),
    /// The agents' image where the specification has none.
    pub image: String,
    /// Where the operator runs, which may call the agents' gRPC; `None` outside of a cluster.
    pub operator_namespace: Option<String>,
}

/// The kinds of objects that an ensemble owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What agents read.
    ConfigMap,
    /// What pods run as.
    ServiceAccount,
    /// Names of pods, and where clients connect.
    Service,
    /// Who may connect.
    NetworkPolicy,
    /// How many pods a drain may take.
    PodDisruptionBudget,
    /// The pods.
    StatefulSet,
}

/// An object as it shall be.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What is applied.
    pub body: Value,
}

/// Everything, in the order in which it is applied: what pods need before the pods.
pub fn objects(parts: &Parts) -> Vec<Wanted> {
    vec![
        config_map::wanted(parts),
        wanted(Kind::ServiceAccount, &service_account::build(parts)),
        wanted(Kind::Service, &services::headless(parts)),
        wanted(Kind::Service, &services::client(parts, services::Protocol::Zookeeper)),
        wanted(Kind::Service, &services::client(parts, services::Protocol::Kafka)),
        wanted(Kind::NetworkPolicy, &network_policy::build(parts)),
        wanted(Kind::PodDisruptionBudget, &budget::build(parts)),
        stateful_set::wanted(parts),
    ]
}

/// An object as it is applied, with the digest of everything in it.
pub(super) fn wanted<K: Serialize>(kind: Kind, object: &K) -> Wanted {
    // Nothing in these types fails to become JSON: their keys are text.
    let mut body = serde_json::to_value(object).unwrap_or_default();
    let digest = digest(&body);
    body["metadata"]["annotations"][names::APPLIED] = Value::String(digest);
    Wanted { kind, name: body["metadata"]["name"].as_str().unwrap_or_default().to_owned(), body }
}

/// 16 digits that stand for a value.
pub(super) fn digest(value: &Value) -> String {
    crate::digest::digest(&value.to_string())
}

/// The metadata of an object of the ensemble.
fn metadata(parts: &Parts, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(parts.namespace.clone()),
        labels: Some(names::labels(&parts.name)),
        owner_references: Some(vec![owner(parts)]),
        ..ObjectMeta::default()
    }
}

/// The ensemble as the owner of an object: the object goes with it.
pub fn owner(parts: &Parts) -> OwnerReference {
    OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: "Ensemble".to_owned(),
        name: parts.name.clone(),
        uid: parts.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

#[cfg(test)]
mod tests;
