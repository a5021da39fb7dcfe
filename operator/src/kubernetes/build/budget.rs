//! The PodDisruptionBudget: drains of nodes take one member at a time. A member that does not serve may be evicted as long as all others
//! do: then it takes nothing away, and must not hold up a drain. While more than one does not serve none is evicted, because one that is
//! not ready yet may have what the quorum needs.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Parts, metadata};
use crate::kubernetes::names;

/// The object.
pub fn build(parts: &Parts) -> PodDisruptionBudget {
    let spec = PodDisruptionBudgetSpec {
        max_unavailable: Some(IntOrString::Int(1)),
        selector: Some(LabelSelector {
            match_labels: Some(names::selector(&parts.name)),
            ..LabelSelector::default()
        }),
        unhealthy_pod_eviction_policy: Some("IfHealthyBudget".to_owned()),
        ..PodDisruptionBudgetSpec::default()
    };
    PodDisruptionBudget {
        metadata: metadata(parts, parts.name.clone()),
        spec: Some(spec),
        ..PodDisruptionBudget::default()
    }
}
