//! The cluster's own controllers, as small as can be: StatefulSets make claims and pods, the kubelet runs agents in them, objects whose
//! owner is gone go too.
//!
//! Each step does a part of what is to be done, by chance, so that everything is seen half done. Must not know: operators.
//! Read first: [`step`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::ensemble::Process;
use super::store::{Name, name};
use super::world::{NAMESPACE, World};
use crate::kafka_config::is_read_only;
use crate::kubernetes::names;
use crate::kubernetes::record::Record;

/// Half a second of everything that is not an operator.
pub(super) fn step(world: &mut World) {
    collect_garbage(world);
    empty_namespace(world);
    for (set, value) in world.store.of_kind("StatefulSet") {
        run_set(world, &set, &value);
    }
    protect_claims(world);
    for (pod, value) in world.store.of_kind("Pod") {
        run_pod(world, &pod, &value);
    }
    for of in world.names.clone() {
        world.ensembles[of].tick(&mut world.chance);
    }
    for (pod, value) in world.store.of_kind("Pod") {
        probe(world, &pod, &value);
    }
}

/// What belongs to somebody who is gone goes.
fn collect_garbage(world: &mut World) {
    let all = world.store.all();
    let there: BTreeSet<String> = all.iter().map(|(_, value)| text(&value["metadata"]["uid"])).collect();
    for (name, value) in all {
        let owners = value["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
        let orphan = !owners.is_empty() && owners.iter().all(|owner| !there.contains(&text(&owner["uid"])));
        if orphan && value["metadata"]["deletionTimestamp"].is_null() && !world.chance.one_in(3) {
            world.tell(format!("garbage {} {}", name.0, name.2));
            // Gone already is what is wanted.
            let _ = world.store.delete(&name, None);
        }
    }
}

/// A namespace that goes: everything in it is deleted, in any order.
fn empty_namespace(world: &mut World) {
    let Some(namespace) = world.store.goes else { return };
    for (name, value) in world.store.all() {
        let is_left = name.1 == namespace && value["metadata"]["deletionTimestamp"].is_null();
        if is_left && !world.chance.one_in(3) {
            // Gone already is what is wanted.
            let _ = world.store.delete(&name, None);
        }
    }
}

/// Parallel, OnDelete: all pods that are wanted at once, and none anew that is there.
fn run_set(world: &mut World, set: &Name, value: &Arc<Value>) {
    // What somebody else's sets do is nothing to anybody here, and nothing is made in a namespace that goes.
    let goes = world.namespace_goes || !value["metadata"]["deletionTimestamp"].is_null();
    if goes || world.strangers.contains_key(set) || world.chance.one_in(3) {
        return;
    }
    let replicas = value["spec"]["replicas"].as_i64().unwrap_or(1);
    let seen = json!({"observedGeneration": value["metadata"]["generation"], "replicas": replicas});
    world.store.edit(set, |value| value["status"] = seen);
    for ordinal in 0..i32::try_from(replicas).unwrap_or(0) {
        let pod = name("Pod", NAMESPACE, &names::pod(&set.2, ordinal));
        if world.store.get(&pod).is_none() && make_claim(world, set, value, ordinal) {
            make_pod(world, &pod, value);
        }
    }
    for (pod, there) in world.store.of_kind("Pod") {
        let ordinal = names::member_of_pod(&set.2, &pod.2).unwrap_or(-1);
        let ours = there["metadata"]["ownerReferences"][0]["uid"] == value["metadata"]["uid"];
        if ours && i64::from(ordinal) >= replicas && there["metadata"]["deletionTimestamp"].is_null() {
            world.tell(format!("the set deletes {}", pod.2));
            let _ = world.store.delete(&pod, None);
        }
    }
}

/// The claim of a pod; false if it is about to go, so that the pod waits.
fn make_claim(world: &mut World, set: &Name, value: &Value, ordinal: i32) -> bool {
    let claim = name("PersistentVolumeClaim", NAMESPACE, &names::claim(&set.2, ordinal));
    if let Some(there) = world.store.get(&claim) {
        return there["metadata"]["deletionTimestamp"].is_null();
    }
    let template = &value["spec"]["volumeClaimTemplates"][0];
    let made = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {
            "labels": template["metadata"]["labels"],
            "finalizers": ["kubernetes.io/pvc-protection"],
        },
        "spec": template["spec"],
    });
    world.tell(format!("claim {} is made", claim.2));
    world.store.create(&claim, made).is_ok()
}

fn make_pod(world: &mut World, pod: &Name, set: &Value) {
    let template = &set["spec"]["template"];
    let made = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "labels": template["metadata"]["labels"],
            "annotations": template["metadata"]["annotations"],
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": set["metadata"]["name"],
                "uid": set["metadata"]["uid"], "controller": true,
            }],
        },
        "spec": template["spec"],
    });
    world.tell(format!("pod {} is made", pod.2));
    let _ = world.store.create(pod, made);
}

/// A claim that goes stays while a pod uses it; then its disks go with it.
fn protect_claims(world: &mut World) {
    for (claim, value) in world.store.of_kind("PersistentVolumeClaim") {
        if value["metadata"]["deletionTimestamp"].is_null() {
            continue;
        }
        let pod = claim.2.trim_start_matches("data-").to_owned();
        if world.store.get(&name("Pod", NAMESPACE, &pod)).is_none() {
            world.tell(format!("claim {} and its disks are gone", claim.2));
            for of in world.names.clone() {
                if world.ensembles[of].lose(&text(&value["metadata"]["uid"])) {
                    world.laws.begin_anew(of);
                }
            }
            world.store.edit(&claim, |value| value["metadata"]["finalizers"] = json!([]));
        }
    }
}

/// The kubelet: an agent runs in each pod, and ends with it.
fn run_pod(world: &mut World, pod: &Name, value: &Value) {
    let Some((of, id)) = member_of(world, value, pod) else {
        if !value["metadata"]["deletionTimestamp"].is_null() {
            world.store.remove(pod);
        }
        return;
    };
    let uid = text(&value["metadata"]["uid"]);
    let runs = world.ensembles[of].processes.get(&id).is_some_and(|process| process.pod == uid);
    if !value["metadata"]["deletionTimestamp"].is_null() {
        if runs {
            world.tell(format!("agent {id} of {of} ends with its pod"));
            world.ensembles[of].end(id);
        } else if !world.chance.one_in(3) {
            world.store.remove(pod);
        }
        return;
    }
    if !runs && !world.chance.one_in(2) {
        let number = world.ensembles[of].next_id();
        let process = Process {
            pod: uid,
            ip: format!("10.{}.{}.{}", number / 65536, number / 256 % 256, number % 256),
            incarnation: None,
            synced: false,
            removed: false,
            settings: BTreeMap::new(),
        };
        let ip = process.ip.clone();
        world.tell(format!("agent {id} of {of} starts at {ip}"));
        world.ensembles[of].processes.insert(id, process);
        world.store.edit(pod, |value| value["status"] = json!({"podIP": ip, "phase": "Running"}));
    } else if runs && !world.chance.one_in(2) {
        let_in(world, of, id);
    }
}

/// The rules of agent/node/src/pod/begin.rs: a waiting agent begins when the record and its volume say so.
fn let_in(world: &mut World, of: &str, id: i32) {
    if world.ensembles[of].processes.get(&id).is_none_or(|process| process.incarnation.is_some()) {
        return;
    }
    let Some(map) = world.store.get(&name("ConfigMap", NAMESPACE, &names::agents(of))) else { return };
    let record: Record = match serde_json::from_str(map["data"]["members.yaml"].as_str().unwrap_or_default())
    {
        Ok(record) => record,
        Err(_) => return,
    };
    let agent: Value = serde_json::from_str(&text(&map["data"]["agent.yaml"])).unwrap_or_default();
    let cluster = text(&agent["clusterId"]);
    let Some(own) = record.member(id) else { return };
    let claim = name("PersistentVolumeClaim", NAMESPACE, &names::claim(of, id));
    let Some(claim) = world.store.get(&claim).map(|claim| text(&claim["metadata"]["uid"])) else { return };
    let held: BTreeSet<u32> =
        world.ensembles[of].disks.keys().filter(|disk| disk.0 == claim).map(|disk| disk.1).collect();
    let (place, founders) = (own.place, record.founders.clone());
    let empty = !held.contains(&place);
    let there = world.ensembles[of].disks.get(&(claim.clone(), place));
    let foreign = there.is_some_and(|there| there.cluster != cluster);
    let waits = foreign || held.iter().any(|held| *held > place) || empty && (own.served || own.leaving);
    if waits {
        return;
    }
    world.tell(format!("agent {id} of {of} begins with disk {place} of {claim}, founders {founders:?}"));
    let settings = brought(world, of, &agent);
    if let Some(process) = world.ensembles[of].processes.get_mut(&id) {
        process.settings = settings;
    }
    world.ensembles[of].begin(id, &(claim, place), &cluster, &founders);
}

/// The broker's settings of the agents' file, or of the one before: a kubelet brings a new file within a minute.
fn brought(world: &mut World, of: &str, agent: &Value) -> BTreeMap<String, String> {
    let mut of_file: BTreeMap<String, String> =
        serde_json::from_value(agent["broker"].clone()).unwrap_or_default();
    of_file.retain(|name, _| !is_read_only(name));
    let before = std::mem::replace(&mut world.ensembles[of].brought, of_file.clone());
    if world.chance.one_in(3) { before } else { of_file }
}

/// The kubelet's word on whether a pod is ready: a little late.
fn probe(world: &mut World, pod: &Name, value: &Value) {
    let Some((of, id)) = member_of(world, value, pod) else { return };
    let uid = text(&value["metadata"]["uid"]);
    let runs = world.ensembles[of].processes.get(&id).is_some_and(|process| process.pod == uid);
    let ready = if runs && world.ensembles[of].is_ready(id) { "True" } else { "False" };
    if value["status"]["conditions"][0]["status"] == ready || world.chance.one_in(3) {
        return;
    }
    let conditions = json!([{"type": "Ready", "status": ready}]);
    world.store.edit(pod, |value| value["status"]["conditions"] = conditions);
}

fn member_of(world: &World, value: &Value, pod: &Name) -> Option<(&'static str, i32)> {
    let of = world.instance(value)?;
    Some((of, names::member_of_pod(of, &pod.2)?))
}

/// A text of a field, empty if there is none.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
