//! The StatefulSet: pods with numbers, and a volume for each. It only keeps pods alive; which of them is started anew, and when there
//! are fewer, the plan alone decides (`OnDelete`, `Parallel`).
//!
//! Read first: [`build`], [`template_of`].

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::{Kind, Parts, Wanted, metadata, pod};
use crate::kubernetes::names;

/// The object.
pub fn build(parts: &Parts) -> StatefulSet {
    let keep = || Some("Retain".to_owned());
    let spec = StatefulSetSpec {
        replicas: Some(parts.replicas),
        service_name: Some(names::agents(&parts.name)),
        pod_management_policy: Some("Parallel".to_owned()),
        update_strategy: Some(StatefulSetUpdateStrategy {
            type_: Some("OnDelete".to_owned()),
            ..StatefulSetUpdateStrategy::default()
        }),
        // A volume that goes with its ensemble has it as its owner.
        persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
            when_deleted: keep(),
            when_scaled: keep(),
        }),
        selector: LabelSelector {
            match_labels: Some(names::selector(&parts.name)),
            ..LabelSelector::default()
        },
        template: pod::template(parts),
        volume_claim_templates: Some(vec![claim(parts)]),
        ..StatefulSetSpec::default()
    };
    StatefulSet { metadata: metadata(parts, parts.name.clone()), spec, ..StatefulSet::default() }
}

/// The object as it is applied.
pub fn wanted(parts: &Parts) -> Wanted {
    super::wanted(Kind::StatefulSet, &build(parts))
}

/// Size and class that the template of an existing StatefulSet has.
pub fn template_of(set: &StatefulSet) -> Option<(String, Option<String>)> {
    let claim = set.spec.volume_claim_templates.as_ref()?.first()?.spec.as_ref()?;
    let size = claim.resources.as_ref()?.requests.as_ref()?.get("storage")?;
    Some((size.0.clone(), claim.storage_class_name.clone()))
}

fn claim(parts: &Parts) -> PersistentVolumeClaim {
    let (size, class) = parts.template.clone();
    let spec = PersistentVolumeClaimSpec {
        access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
        resources: Some(VolumeResourceRequirements {
            requests: Some([("storage".to_owned(), Quantity(size))].into()),
            ..VolumeResourceRequirements::default()
        }),
        storage_class_name: class,
        ..PersistentVolumeClaimSpec::default()
    };
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(pod::DATA.to_owned()),
            labels: Some(names::labels(&parts.name)),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        ..PersistentVolumeClaim::default()
    }
}
