//! Names that members need and somebody else has: a pod that the StatefulSet did not make, a volume that it would take for a member's.
//!
//! Kubernetes would let an agent write on a volume of somebody else that has the right name, so a member is only started once both
//! names are free or its own, by fresh reads. Must not know: why a member is started. Read first: [`of_members`].

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use super::api::{Api, ApiError};
use super::build::Parts;
use super::cache::is_of;
use super::read::Found;
use super::{facts, names};
use crate::ensemble::observed::Observed;

/// What is in the way of members that do not run, or have no pod.
///
/// # Errors
/// The API server gives no answer.
pub async fn of_members<A: Api>(
    api: &A,
    parts: &Parts,
    found: &Found,
    observed: &Observed,
) -> Result<BTreeMap<i32, String>, ApiError> {
    let runs = |id: &i32| observed.members.get(id).is_some_and(|member| member.process.runs);
    let known = parts.memory.record.members.iter().map(|member| member.id);
    let all = parts.spec.replicas.max(known.max().map_or(0, |id| id + 1));
    let running = facts::replicas(found);
    let mut taken = BTreeMap::new();
    let mut before = None;
    for id in (0..all).filter(|id| !runs(id) || !found.pods.contains_key(id)) {
        let own = of_member(api, parts, id).await?;
        // The StatefulSet leaves none out.
        let in_the_way = own.clone().or_else(|| before.clone().filter(|_| !runs(&id)));
        if id >= running {
            before = in_the_way.clone();
        }
        taken.extend(in_the_way.map(|what| (id, what)));
    }
    Ok(taken)
}

/// What is in the way of one member, by fresh reads.
///
/// # Errors
/// The API server gives no answer.
pub async fn of_member<A: Api>(api: &A, parts: &Parts, id: i32) -> Result<Option<String>, ApiError> {
    let claim = names::claim(&parts.name, id);
    let there = api.get::<PersistentVolumeClaim>(&parts.namespace, &claim).await?;
    if there.is_some_and(|there| !is_of(&there, &parts.name)) {
        return Ok(Some(format!("PersistentVolumeClaim {claim}")));
    }
    let pod = names::pod(&parts.name, id);
    let there = api.get::<Pod>(&parts.namespace, &pod).await?;
    Ok(there.filter(|there| !is_members(there, &parts.name)).map(|_| format!("Pod {pod}")))
}

/// The pod is one of the ensemble's StatefulSet, or about to be taken in by it.
fn is_members(pod: &Pod, ensemble: &str) -> bool {
    let is_orphan = names::controller(&pod.metadata).is_none();
    names::is_pod_of(ensemble, &pod.metadata) || is_orphan && is_of(pod, ensemble)
}
