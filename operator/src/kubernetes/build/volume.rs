//! What is applied to the volumes that the StatefulSet made: they grow with the specification, say whose data they have, and go with
//! the ensemble if that is wanted.
//!
//! What they say is enough to know the members again when the ConfigMap or the Ensemble was deleted and the volumes were kept.
//! Read first: [`build`], [`remembered`].

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Parts;
use crate::crd::DeletionPolicy;
use crate::kubernetes::api::body_of;
use crate::kubernetes::names;
use crate::kubernetes::record::{Member, Memory, Volume};
use crate::plant::{Plant, is_planted};
use crate::quantity;

/// The fields of a member's volume that are the operator's.
pub fn build(parts: &Parts, id: i32, claim: &PersistentVolumeClaim) -> Value {
    let mut annotations = json!({names::CLUSTER: parts.cluster_id});
    if let Some(volume) = parts.memory.volumes.0.get(&id) {
        annotations[names::PLACES] = Value::String(volume.places.to_string());
    }
    // The volume that took a lost one's place does not have its disk. Who leaves is removed for good with its disk, which nobody must take
    // for a member's again.
    let served_with = parts.memory.volumes.0.get(&id).and_then(|volume| volume.claim.as_ref());
    let has_its_disk = served_with.is_some() && served_with == claim.metadata.uid.as_ref();
    let member = parts.memory.record.member(id).filter(|member| member.served && !member.leaving);
    if let Some(member) = member.filter(|_| has_its_disk) {
        annotations[names::PLACE] = Value::String(member.place.to_string());
    }
    let mut metadata = json!({"name": claim.metadata.name, "annotations": annotations});
    if parts.spec.deletion_policy == DeletionPolicy::Delete && !is_planted(Plant::KeptVolumes) {
        let mut owner = super::owner(parts);
        // The StatefulSet may be its controller.
        (owner.controller, owner.block_owner_deletion) = (None, None);
        metadata["ownerReferences"] = json!([owner]);
    }
    let mut body = body_of::<PersistentVolumeClaim>(metadata);
    body["spec"] = json!({"resources": {"requests": {"storage": wanted_size(parts, claim)}}});
    let digest = super::digest(&body);
    body["metadata"]["annotations"][names::APPLIED] = Value::String(digest);
    body
}

/// The size that a volume shall have: a larger one than the specification's stays, because volumes never shrink.
fn wanted_size(parts: &Parts, claim: &PersistentVolumeClaim) -> String {
    let wanted = &parts.spec.storage.size;
    match size(claim) {
        Some(there) if quantity::compare(there, wanted).is_none_or(std::cmp::Ordering::is_ge) => {
            there.to_owned()
        }
        Some(_) | None => wanted.clone(),
    }
}

/// The size that a volume was asked to have.
pub fn size(claim: &PersistentVolumeClaim) -> Option<&str> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    requests.get("storage").map(|size| size.0.as_str())
}

/// Why a volume is smaller than it was asked to be; `None` if it is not, or is not bound yet.
pub fn growing(claim: &PersistentVolumeClaim) -> Option<String> {
    let status = claim.status.as_ref()?;
    let has = &status.capacity.as_ref()?.get("storage")?.0;
    let asked = size(claim)?;
    if quantity::compare(has, asked) != Some(std::cmp::Ordering::Less) {
        return None;
    }
    // What the storage says of it: Resizing, FileSystemResizePending, ControllerResizeError, ...
    let said = status.conditions.iter().flatten().filter(|condition| condition.status == "True");
    let said: Vec<String> = said
        .map(|condition| match condition.message.as_deref() {
            None | Some("") => condition.type_.clone(),
            Some(message) => format!("{}: {message}", condition.type_),
        })
        .collect();
    let said = if said.is_empty() { String::new() } else { format!(" ({})", said.join("; ")) };
    Some(format!("its volume grows from {has} to {asked}{said}"))
}

/// The identity of the data and the members that volumes tell of; `None` where they tell of none.
///
/// # Errors
/// They are of more than one ensemble.
pub fn remembered(
    claims: &BTreeMap<i32, Arc<PersistentVolumeClaim>>,
) -> Result<Option<(String, Memory)>, String> {
    let mut known: Option<String> = None;
    let mut memory = Memory::default();
    let goes = |claim: &PersistentVolumeClaim| {
        claim.metadata.deletion_timestamp.is_some() && !is_planted(Plant::DyingVolumes)
    };
    // What is being deleted does not come back, with the Ensemble that it belonged to or by hand.
    for (id, claim) in claims.iter().filter(|(_, claim)| !goes(claim)) {
        let (Some(cluster), Some(place)) = (annotation(claim, names::CLUSTER), number(claim, names::PLACE)?)
        else {
            continue;
        };
        match &known {
            Some(other) if other != cluster => {
                let name = claim.metadata.name.clone().unwrap_or_default();
                return Err(format!(
                    "volume {name} has data of cluster {cluster}, others have data of {other}; delete or rename those that are not wanted"
                ));
            }
            Some(_) => {}
            None => known = Some(cluster.clone()),
        }
        memory.record.members.push(Member { id: *id, place, served: true, ..Member::default() });
    }
    let Some(cluster) = known else { return Ok(None) };
    for (id, claim) in claims.iter().filter(|(_, claim)| annotation(claim, names::CLUSTER) == Some(&cluster))
    {
        let member = memory.record.member(*id);
        // The disk of a member that left is on its volume still, and must not be the next one's.
        let places =
            number(claim, names::PLACES)?.unwrap_or(1).max(member.map_or(1, |member| member.place + 1));
        let claim = member.and_then(|_| claim.metadata.uid.clone());
        memory.volumes.0.insert(*id, Volume { places, claim });
    }
    Ok(Some((cluster, memory)))
}

fn annotation<'a>(claim: &'a PersistentVolumeClaim, key: &str) -> Option<&'a String> {
    claim.metadata.annotations.as_ref()?.get(key)
}

fn number(claim: &PersistentVolumeClaim, key: &str) -> Result<Option<u32>, String> {
    let Some(text) = annotation(claim, key) else { return Ok(None) };
    let name = claim.metadata.name.clone().unwrap_or_default();
    text.parse().map(Some).map_err(|_| format!("volume {name}: {key}: {text} is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_that_grows_says_what_it_has_and_what_the_storage_says() {
        let claim = |asked: &str, has: Option<&str>, conditions: Value| {
            let capacity = has.map(|has| json!({"storage": has}));
            let claim = json!({
                "metadata": {"name": "data-main-0"}, "spec": {"resources": {"requests": {"storage": asked}}},
                "status": {"capacity": capacity, "conditions": conditions},
            });
            serde_json::from_value::<PersistentVolumeClaim>(claim).expect("a claim")
        };
        for (has, asked) in [(Some("2Gi"), "2Gi"), (Some("2049Mi"), "2Gi"), (None, "2Gi")] {
            assert_eq!(growing(&claim(asked, has, json!([]))), None, "{has:?} of {asked}");
        }
        let said = |conditions| growing(&claim("2Gi", Some("1024Mi"), conditions)).expect("it grows");
        assert_eq!(said(json!([])), "its volume grows from 1024Mi to 2Gi");
        let pending = json!([
            {"type": "Resizing", "status": "False", "message": "old"},
            {"type": "FileSystemResizePending", "status": "True", "message": "Waiting for user to (re-)start a pod"},
        ]);
        let expected = "its volume grows from 1024Mi to 2Gi (FileSystemResizePending: Waiting for user to (re-)start a pod)";
        assert_eq!(said(pending), expected);
    }
}
