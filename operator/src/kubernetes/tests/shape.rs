//! What there is at the end of a seed, without what may differ between histories: versions, UIDs, places of disks, times.
//!
//! Read first: [`shape`], [`unfinished`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::controllers::text;
use super::store::Name;
use super::world::World;
use crate::crd::voters_by_default;
use crate::kafka_config::is_read_only;
use crate::kubernetes::build::config_map::{AGENT, MEMBERS};
use crate::kubernetes::names;
use crate::kubernetes::record::Record;

/// The end as names and texts that can be compared.
pub(super) fn shape(world: &World) -> BTreeMap<String, String> {
    let mut shape = BTreeMap::new();
    for (name, value) in world.store.all().into_iter().filter(|(name, _)| !world.strangers.contains_key(name))
    {
        if let Some(text) = of(&name, &value, world) {
            shape.insert(format!("{} {}", name.0, name.2), text);
        }
    }
    for of in world.names.iter().copied().filter(|of| world.resource(of).is_some()) {
        let ensemble = &world.ensembles[of];
        let members: Vec<i32> = ensemble.members.keys().copied().collect();
        let (voters, ready) =
            (ensemble.voters().len(), members.iter().filter(|id| ensemble.is_ready(**id)).count());
        let policy = (ensemble.auto, ensemble.bytes_per_second);
        let settings: BTreeSet<_> = ensemble.processes.values().map(|process| &process.settings).collect();
        shape.insert(
            format!("ensemble {of}"),
            format!("members {members:?}, {voters} vote, {ready} serve, {policy:?}, {settings:?}"),
        );
    }
    for (_, value) in world.store.of_kind("Topic") {
        let (topic, of) = (text(&value["metadata"]["name"]), text(&value["spec"]["ensembleRef"]["name"]));
        let in_kafka = value["spec"]["topicName"].as_str().unwrap_or(&topic).to_owned();
        let ensemble = world.names.iter().find(|name| **name == of).map(|of| &world.ensembles[of]);
        let there = ensemble
            .and_then(|ensemble| ensemble.topics.get(&in_kafka))
            .map(|t| (t.partitions.len(), t.config.clone()));
        let held = &value["metadata"]["finalizers"];
        shape.insert(format!("topic {topic}"), format!("{there:?} {held}"));
    }
    shape
}

fn of(name: &Name, value: &Value, world: &World) -> Option<String> {
    let text = match name.0.as_str() {
        "Event" | "Lease" => return None,
        "Ensemble" | "Topic" => conditions(value),
        "ConfigMap" => {
            let mut agent: Value = serde_json::from_str(&text(&value["data"][AGENT])).unwrap_or_default();
            agent.as_object_mut().map(|agent| agent.remove("clusterId"));
            let record: Record = serde_json::from_str(&text(&value["data"][MEMBERS])).unwrap_or_default();
            let members: Vec<_> = record.members.iter().map(|m| (m.id, m.served, m.leaving)).collect();
            format!("{agent} {members:?}")
        }
        "PersistentVolumeClaim" => {
            // Volumes of members that are gone are kept: which there are is history.
            let of = world.instance(value)?;
            let replicas = world.resource(of)?["spec"]["replicas"].as_i64()?;
            let id = names::member_of_claim(of, &name.2)?;
            if i64::from(id) >= replicas {
                return None;
            }
            let owners = value["metadata"]["ownerReferences"].as_array().map_or(0, Vec::len);
            let size = &value["spec"]["resources"]["requests"]["storage"];
            format!("{size} {owners} owners")
        }
        "Pod" => {
            format!("{} {}", value["metadata"]["annotations"][names::REVISION], value["status"]["conditions"])
        }
        _ => {
            let mut spec = value["spec"].clone();
            // A template of volumes keeps the size that it was made with.
            spec.as_object_mut().map(|spec| spec.remove("volumeClaimTemplates"));
            format!("{spec} {}", value["metadata"]["labels"])
        }
    };
    Some(text)
}

fn conditions(value: &Value) -> String {
    let conditions = value["status"]["conditions"].as_array().cloned().unwrap_or_default();
    // Topics whose resources are gone are history, and forbid that members leave.
    let conditions: Vec<Value> = conditions.into_iter().filter(|c| c["type"] != "ScaleAllowed").collect();
    let of = |c: &Value| format!("{}={} {}", text(&c["type"]), text(&c["status"]), text(&c["reason"]));
    let told: Vec<String> = conditions.iter().map(of).collect();
    let is_newest = value["status"]["observedGeneration"] == value["metadata"]["generation"];
    format!("newest: {is_newest}, {}", told.join(", "))
}

/// What is not as it shall be at the end.
pub(super) fn unfinished(world: &World) -> Vec<String> {
    if let Some(namespace) = world.store.goes {
        let left = world.store.all().into_iter().filter(|(name, _)| name.1 == namespace);
        return left
            .map(|(name, value)| format!("O13: {} {} is left over: {value}", name.0, name.2))
            .collect();
    }
    let mut found: Vec<String> = world.names.iter().flat_map(|of| unfinished_of(world, of)).collect();
    for (name, stranger) in &world.strangers {
        let there = world.store.get(name);
        if there.is_none_or(|there| **there != *stranger) {
            found.push(format!("O18: {} {} was {stranger}, is {there:?}", name.0, name.2));
        }
    }
    for (name, uid) in &world.kept {
        if world.store.get(name).is_none_or(|there| there["metadata"]["uid"] != *uid) {
            found.push(format!("O1: the volume {} was to be kept", name.2));
        }
    }
    found
}

fn unfinished_of(world: &World, of: &str) -> Vec<String> {
    let mut found = Vec::new();
    let Some(resource) = world.resource(of) else {
        for (name, value) in world.store.all() {
            let meant = world.instance(&value) == Some(of) || value["spec"]["ensembleRef"]["name"] == of;
            let may_stay = match name.0.as_str() {
                // Those that had an owner go with it.
                "PersistentVolumeClaim" => {
                    value["metadata"]["ownerReferences"].as_array().is_none_or(Vec::is_empty)
                }
                kind => kind == "Topic",
            };
            let meant = meant && !world.strangers.contains_key(&name);
            if meant && (!may_stay || !value["metadata"]["deletionTimestamp"].is_null()) {
                found.push(format!("O13: {} {} is left over", name.0, name.2));
            }
        }
        return found;
    };
    let status = &resource["status"];
    if status["observedGeneration"] != resource["metadata"]["generation"] {
        found.push("O14: the status is of an old generation".to_owned());
    }
    for (kind, holds) in
        [("Ready", "True"), ("Progressing", "False"), ("Balanced", "True"), ("Stalled", "False")]
    {
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let condition = conditions.iter().find(|c| c["type"] == kind).cloned().unwrap_or(json!({}));
        if condition["status"] != holds {
            found.push(format!("the end of {of}: {condition} and not {holds}"));
        }
    }
    found.extend(not_told(world, of, resource));
    let ensemble = &world.ensembles[of];
    let voters = resource["spec"]["voters"].as_i64().or_else(|| {
        let replicas = i32::try_from(resource["spec"]["replicas"].as_i64()?).ok()?;
        Some(voters_by_default(replicas).into())
    });
    if i64::try_from(ensemble.voters().len()).ok() != voters {
        found.push(format!("the end of {of}: {:?} vote, and not {voters:?} members", ensemble.voters()));
    }
    let strays = ensemble.members.values().filter(|m| ensemble.removed.contains(&m.incarnation));
    if strays.count() > 0 {
        found.push("O5: a disk that was removed for good is in the ensemble".to_owned());
    }
    found
}

/// Agents whose broker has other settings than the wanted ones, wherever they had them from.
fn not_told(world: &World, of: &str, resource: &Value) -> Option<String> {
    let mut wanted: BTreeMap<String, String> =
        serde_json::from_value(resource["spec"]["broker"]["config"].clone()).unwrap_or_default();
    wanted.retain(|name, _| !is_read_only(name));
    let other = world.ensembles[of].processes.iter().find(|(_, process)| process.settings != wanted)?;
    Some(format!(
        "the end of {of}: member {} has the settings {:?} and not {wanted:?}",
        other.0, other.1.settings
    ))
}
