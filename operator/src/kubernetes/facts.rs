//! What the substrate knows of each member, for the plan: whether its pod is wanted and current, whether its volume is still the one it
//! served with. Pure.
//!
//! Must not know: agents. Read first: [`processes`].

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::apply::Refusals;
use super::build::volume;
use super::names;
use super::read::Found;
use super::record::{Member, Memory};
use crate::ensemble::observed::{Blocker, Growth, Observed, Process};

/// A pod that takes longer to end, or to come up, has a fault.
const RENEWAL_SECONDS: i64 = 120;

/// The facts by member, of those that are remembered. `revision` is that of the wanted pods.
pub fn processes(found: &Found, memory: &Memory, revision: &str) -> BTreeMap<i32, Process> {
    let replicas = replicas(found);
    let fact = |member: &Member| {
        let pod = found.pods.get(&member.id);
        let lost = lost(found, memory, member);
        let process = Process {
            kept: true,
            // A pod that ends is a member that still runs, so that the next one is stopped only after it. A pod without its disk waits
            // and does nothing.
            runs: !lost && (member.id < replicas || pod.is_some()),
            ending: pod.is_some_and(|pod| pod.metadata.deletion_timestamp.is_some()),
            outdated: pod.is_some_and(|pod| revision_of(pod) != Some(revision)),
            lost,
            leaving: member.leaving,
            name: pod.and_then(|pod| pod.metadata.name.clone()).unwrap_or_default(),
            ..Process::default()
        };
        (member.id, process)
    };
    memory.record.members.iter().map(fact).collect()
}

/// How many pods the StatefulSet runs.
pub fn replicas(found: &Found) -> i32 {
    found.stateful_set.as_ref().and_then(|set| set.spec.replicas).unwrap_or(0)
}

/// The member served with a volume that is another one now, or gone.
fn lost(found: &Found, memory: &Memory, member: &Member) -> bool {
    let remembered = memory.volumes.0.get(&member.id).and_then(|volume| volume.claim.as_ref());
    let there = found.claims.get(&member.id).and_then(|claim| claim.metadata.uid.as_ref());
    member.served && remembered.is_some() && there != remembered
}

/// What the pod was made from.
pub fn revision_of(pod: &Pod) -> Option<&str> {
    pod.metadata.annotations.as_ref()?.get(names::REVISION).map(String::as_str)
}

/// Says whose pods are being exchanged: gone, ending, or young and without a fall. Older ones that do not serve have a fault.
pub fn note_renewals(observed: &mut Observed, found: &Found, now: Timestamp) {
    let lately = |time: &Option<Time>| {
        time.as_ref().is_some_and(|time| now.as_second() - time.0.as_second() < RENEWAL_SECONDS)
    };
    let fell = |pod: &Pod| {
        let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        containers.into_iter().flatten().any(|container| container.restart_count > 0)
    };
    let renewed = |pod: &Pod| match &pod.metadata.deletion_timestamp {
        Some(_) => lately(&pod.metadata.deletion_timestamp),
        None => lately(&pod.metadata.creation_timestamp) && !fell(pod),
    };
    for (id, member) in &mut observed.members {
        member.process.renewed = found.pods.get(id).is_none_or(|pod| renewed(pod));
    }
}

/// Says which volumes are smaller than they were asked to be, and which cannot be asked.
pub fn note_growth(observed: &mut Observed, found: &Found, refusals: &Refusals) {
    for (id, member) in &mut observed.members {
        let refused =
            refusals.of(*id).map(|why| (true, format!("its volume does not become what is wanted: {why}")));
        let growing =
            || found.claims.get(id).and_then(|claim| volume::growing(claim)).map(|text| (false, text));
        let growth = refused.or_else(growing);
        member.process.growth = growth.map(|(lasting, message)| Growth { lasting, message });
    }
}

/// Where the agents' gRPC is, of those pods that have an address, also of one that ends: its agent may answer yet.
pub fn addresses(found: &Found, memory: &Memory) -> BTreeMap<i32, String> {
    let address = |(id, pod): (&i32, &std::sync::Arc<Pod>)| {
        memory.record.member(*id)?;
        let ip = pod.status.as_ref()?.pod_ip.as_deref().filter(|ip| !ip.is_empty())?;
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        Some((*id, format!("{host}:{}", names::GRPC)))
    };
    found.pods.iter().filter_map(address).collect()
}

/// Pods end, or are not there: somebody stops them, and it may be that the namespace goes.
pub fn pods_end(found: &Found) -> bool {
    let ends = found.pods.values().any(|pod| pod.metadata.deletion_timestamp.is_some());
    ends || found.pods.is_empty() || i32::try_from(found.pods.len()).is_ok_and(|pods| pods < replicas(found))
}

/// The kubelet hears the agent, whether or not the operator does.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = |conditions: &Vec<k8s_openapi::api::core::v1::PodCondition>| {
        conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    pod.metadata.deletion_timestamp.is_none() && conditions.is_some_and(ready)
}

/// No member is restarted before the kubelets hear all others that are wanted: agents hear each other seconds earlier, and to Kubernetes
/// (Services, PodDisruptionBudgets, those who look) two members would be down at once. Those above `replicas` leave after the restarts,
/// and may never have found a node to run on.
pub fn hold_restarts(observed: &mut Observed, found: &Found, replicas: i32) {
    let is_unready = |id: &i32| *id < replicas && found.pods.get(id).is_none_or(|pod| !is_ready(pod));
    let unready: Vec<i32> = observed.staying().map(|(id, _)| id).filter(is_unready).collect();
    for (id, member) in &mut observed.members {
        let Some(restart) = &mut member.restart else { continue };
        let others = unready.iter().filter(|other| *other != id);
        restart.blockers.extend(others.map(|other| Blocker {
            lasting: false,
            message: format!("the pod of member {other} is not ready"),
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::apps::v1::StatefulSet;
    use k8s_openapi::api::core::v1::PersistentVolumeClaim;
    use serde_json::{Value, json};

    use super::*;
    use crate::ensemble::observed::{ObservedMember, Restart};

    fn object<T: serde::de::DeserializeOwned>(value: Value) -> Arc<T> {
        Arc::new(serde_json::from_value(value).expect("an object"))
    }

    fn pod(id: i32, revision: &str) -> Arc<Pod> {
        object(json!({
            "metadata": {"name": names::pod("main", id), "annotations": {names::REVISION: revision}},
            "status": {"podIP": format!("10.0.0.{id}")},
        }))
    }

    /// Three members that served, two of them with pods.
    fn world() -> (Found, Memory) {
        let mut memory = Memory::default();
        memory.place(3, 3);
        let mut found = Found::default();
        let set = json!({"spec": {"replicas": 2, "selector": {}, "template": {}, "serviceName": "s"}});
        found.stateful_set = Some(object::<StatefulSet>(set));
        for id in 0..3 {
            let uid = format!("claim-{id}");
            memory.note_served(id, &uid);
            let claim = json!({"metadata": {"uid": uid}});
            found.claims.insert(id, object::<PersistentVolumeClaim>(claim));
        }
        found.pods = [(0, pod(0, "new")), (2, pod(2, "old"))].into();
        (found, memory)
    }

    #[test]
    fn a_member_runs_while_its_pod_is_wanted_or_there() {
        let (found, memory) = world();
        let facts = processes(&found, &memory, "new");
        let runs: Vec<bool> = facts.values().map(|p| p.runs).collect();
        let outdated: Vec<bool> = facts.values().map(|p| p.outdated).collect();
        assert_eq!((runs, outdated), (vec![true, true, true], vec![false, false, true]));
        assert_eq!(facts[&2].name, "main-2");
        assert_eq!(addresses(&found, &memory)[&2], "10.0.0.2:7401");
    }

    #[test]
    fn a_volume_with_another_uid_or_none_is_a_lost_disk() {
        let (mut found, mut memory) = world();
        found.claims.insert(0, object(json!({"metadata": {"uid": "another"}})));
        found.claims.remove(&1);
        let facts = processes(&found, &memory, "new");
        assert!(facts[&0].lost && !facts[&0].runs && facts[&1].lost && !facts[&2].lost);
        // A member that never served has nothing to lose.
        memory.replace_disk(0);
        assert!(!processes(&found, &memory, "new")[&0].lost);
    }

    /// The agents allowed it some seconds before the kubelet heard the first one.
    #[test]
    fn no_member_is_restarted_while_another_pod_is_not_ready() {
        let (mut found, memory) = world();
        let ready = |pod: &Pod| {
            let mut value = serde_json::to_value(pod).expect("JSON");
            value["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
            object::<Pod>(value)
        };
        found.pods.insert(1, pod(1, "old"));
        found.pods = found
            .pods
            .iter()
            .map(|(id, pod)| (*id, if *id == 1 { pod.clone() } else { ready(pod) }))
            .collect();
        let mut observed = Observed::default();
        for (id, process) in processes(&found, &memory, "new") {
            let restart = Some(Restart::default());
            observed.members.insert(id, ObservedMember { process, restart, ..ObservedMember::default() });
        }
        hold_restarts(&mut observed, &found, 3);
        let blockers = |id: i32| observed.members[&id].restart.clone().unwrap_or_default().blockers;
        assert_eq!(blockers(2)[0].message, "the pod of member 1 is not ready");
        assert!(blockers(1).is_empty(), "the one that is not ready may be restarted");
        // It waited for a pod that nobody wants any more, and that one's departure waited for the restart.
        for member in observed.members.values_mut() {
            member.restart = Some(Restart::default());
        }
        hold_restarts(&mut observed, &found, 1);
        assert!(observed.members.values().all(|m| m.restart == Some(Restart::default())));
    }
}
