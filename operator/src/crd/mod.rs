//! The resources as Kubernetes knows them: types, schema, rules. Types only; nothing here decides or reads anything.
//!
//! The doc comments of the fields are what `kubectl explain` prints. `crds/*.yaml` is generated from here and a test fails when it
//! differs. Must not know: files, agents. Read first: [`Ensemble`], [`Topic`], [`definitions`].
#![allow(
    unreachable_pub,
    reason = "KubeSchema repeats a public type inside of the function that makes its schema"
)]
#![allow(clippy::duplicated_attributes, reason = "columns have types and paths, each its own")]

mod ensemble;
mod schema;
mod status;
mod topic;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::CustomResourceExt;

pub use ensemble::{
    BrokerSpec, CoordinationSpec, DeletionPolicy, Ensemble, EnsembleSpec, RebalanceMode, RebalanceSpec,
    SchedulingSpec, StorageSpec, voters_by_default,
};
pub use status::{
    ConditionType, Endpoints, EnsembleStatus, MemberStatus, OperatorStatus, QuorumStatus, Reason,
    RebalanceStatus, TopicStatus, WaitStatus, condition,
};
pub use topic::{Reference, Topic, TopicSpec};

/// The API group.
pub const GROUP: &str = "streamkeeper.dev";
/// The only API version.
pub const VERSION: &str = "v1alpha1";
/// `GROUP/VERSION`, as manifests write it.
pub const API_VERSION: &str = "streamkeeper.dev/v1alpha1";

/// The definitions of all resources, as they are applied to a cluster.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    [Ensemble::crd(), Topic::crd()].into_iter().map(schema::finish).collect()
}

/// The definition of one kind.
pub fn definition(kind: &str) -> Option<CustomResourceDefinition> {
    definitions().into_iter().find(|crd| crd.spec.names.kind == kind)
}

/// The schema of one kind as JSON, rules included.
pub fn schema_of(kind: &str) -> Option<serde_json::Value> {
    let mut versions = definition(kind)?.spec.versions;
    let schema = versions.pop()?.schema?.open_api_v3_schema?;
    serde_json::to_value(schema).ok()
}

/// Where a definition is kept under `crds/`.
pub fn file_name(definition: &CustomResourceDefinition) -> String {
    format!("{}.yaml", definition.metadata.name.clone().unwrap_or_default())
}

/// A definition as a document of YAML.
///
/// # Errors
/// Never for a definition of ours.
pub fn to_yaml(definition: &CustomResourceDefinition) -> Result<String, serde_saphyr::ser::Error> {
    let text = serde_saphyr::to_string(definition)?;
    Ok(format!("# Made from operator/src/crd; not edited by hand.\n{text}"))
}
