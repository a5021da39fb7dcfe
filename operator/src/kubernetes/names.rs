//! How the objects of an ensemble are called, labelled and reached.
//!
//! Must not know: what is in them. Read first: [`agents`], [`labels`].

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// The field manager of every write, and the value of `app.kubernetes.io/managed-by`.
pub const MANAGER: &str = "streamkeeper";
/// The value of `app.kubernetes.io/name`.
pub const APP: &str = "streamkeeper";
/// The label with the ensemble's name.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The label of everything that is the operator's.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The label with the role of a pod.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// The annotation of an Ensemble whose every change restarts all members, one after the other: when that was asked for, by custom.
pub const RESTARTED_AT: &str = "streamkeeper.dev/restarted-at";
/// The annotation with a digest of what was applied, so that a field that is not applied any more is noticed.
pub const APPLIED: &str = "streamkeeper.dev/applied";
/// The annotation of a pod with what it was made from: another one, and the member must be restarted.
pub const REVISION: &str = "streamkeeper.dev/revision";
/// The annotation of a volume with the cluster whose data it has.
pub const CLUSTER: &str = "streamkeeper.dev/cluster-id";
/// The annotation of a volume with the number of its member's disk on it; only of members that served.
pub const PLACE: &str = "streamkeeper.dev/place";
/// The annotation of a volume with how many disks its member's number has had, whether or not there is such a member now.
pub const PLACES: &str = "streamkeeper.dev/places";
/// The finalizer of a Topic whose data shall go with it.
pub const FINALIZER: &str = "streamkeeper.dev/topic";
/// The annotation of an Ensemble that permits deletions of many topics: those that were asked for until this time.
pub const CONFIRM_DELETIONS: &str = "streamkeeper.dev/confirm-topic-deletions";

/// Traffic between agents.
pub const PEER: u16 = 7301;
/// ZooKeeper's clients.
pub const ZOOKEEPER: u16 = 2181;
/// Kafka's clients.
pub const KAFKA: u16 = 9092;
/// The agents' gRPC.
pub const GRPC: u16 = 7401;
/// The agents' HTTP.
pub const HTTP: u16 = 8401;
/// All ports of an agent by their names in pods and Services.
pub const PORTS: [(&str, u16); 5] =
    [("peer", PEER), ("zookeeper", ZOOKEEPER), ("kafka", KAFKA), ("grpc", GRPC), ("http", HTTP)];

/// The ConfigMap, the headless Service and the ServiceAccount of the agents.
pub fn agents(ensemble: &str) -> String {
    format!("{ensemble}-agents")
}

/// The Service for ZooKeeper's clients.
pub fn zookeeper(ensemble: &str) -> String {
    format!("{ensemble}-zookeeper")
}

/// The Service for Kafka's clients.
pub fn kafka(ensemble: &str) -> String {
    format!("{ensemble}-kafka")
}

/// The pod of a member.
pub fn pod(ensemble: &str, id: i32) -> String {
    format!("{ensemble}-{id}")
}

/// The volume of a member, as a StatefulSet calls it.
pub fn claim(ensemble: &str, id: i32) -> String {
    format!("data-{ensemble}-{id}")
}

/// The member that a pod belongs to.
pub fn member_of_pod(ensemble: &str, pod: &str) -> Option<i32> {
    ordinal(pod.strip_prefix(ensemble)?.strip_prefix('-')?)
}

/// Whether a pod is the ensemble's, and not one of somebody else that is only called so: its StatefulSet made it.
pub fn is_pod_of(ensemble: &str, pod: &ObjectMeta) -> bool {
    controller(pod).is_some_and(|owner| owner.kind == "StatefulSet" && owner.name == ensemble)
}

/// Who keeps a pod alive.
pub fn controller(pod: &ObjectMeta) -> Option<&OwnerReference> {
    pod.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// The member that a volume belongs to.
pub fn member_of_claim(ensemble: &str, claim: &str) -> Option<i32> {
    member_of_pod(ensemble, claim.strip_prefix("data-")?)
}

/// A number as Kubernetes writes ordinals: `01` is none.
fn ordinal(text: &str) -> Option<i32> {
    let number: i32 = text.parse().ok()?;
    (number >= 0 && number.to_string() == text).then_some(number)
}

/// The labels that find the agents of an ensemble.
pub fn selector(ensemble: &str) -> BTreeMap<String, String> {
    let label = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    [("app.kubernetes.io/name", APP), (INSTANCE, ensemble), (COMPONENT, "agent")].map(label).into()
}

/// The labels of every object of an ensemble.
pub fn labels(ensemble: &str) -> BTreeMap<String, String> {
    let mut labels = selector(ensemble);
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels
}

/// [`selector`] as `kubectl -l` and `/scale` write it.
pub fn selector_text(ensemble: &str) -> String {
    let labels: Vec<String> =
        selector(ensemble).iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.join(",")
}

/// What finds all objects of an ensemble, as `kubectl -l` writes it.
pub fn owned_text(ensemble: &str) -> String {
    format!("{INSTANCE}={ensemble},{MANAGED_BY}={MANAGER}")
}

/// The domain of the agents' host names.
pub fn domain(ensemble: &str, namespace: &str) -> String {
    format!("{}.{namespace}.svc", agents(ensemble))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_read_from_names_and_from_nothing_like_them() {
        assert_eq!(member_of_pod("main", &pod("main", 12)), Some(12));
        assert_eq!(member_of_claim("main", &claim("main", 0)), Some(0));
        for other in ["main-x", "main-01", "main--1", "other-1", "main", "main-2-3"] {
            assert_eq!(member_of_pod("main", other), None, "{other}");
        }
        assert_eq!(member_of_claim("main", "main-0"), None);
    }

    /// `kubectl run main-0` was there before the ensemble, which once ended it.
    #[test]
    fn a_pod_is_the_ensembles_if_its_stateful_set_made_it() {
        let made_by = |kind: &str, name: &str, controller| {
            let owner =
                json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": "u", "controller": controller});
            serde_json::from_value(json!({"ownerReferences": [owner]})).expect("metadata")
        };
        assert!(is_pod_of("main", &made_by("StatefulSet", "main", true)));
        for other in [made_by("StatefulSet", "other", true), made_by("ReplicaSet", "main", true)] {
            assert!(!is_pod_of("main", &other));
        }
        assert!(!is_pod_of("main", &made_by("StatefulSet", "main", false)));
        assert!(!is_pod_of("main", &ObjectMeta::default()));
    }
}
