//! Whoever uses the cluster: what is wished for in one seed, in which order, and how long between.
//!
//! Every wish passes the schema and the CEL rules, as it would at the API server. Read first: [`Wish`], [`wishes`].

use std::sync::Arc;

use serde_json::{Value, json};

use super::store::{Name, name};
use super::world::{NAME, NAMESPACE, World};
use crate::chance::Chance;
use crate::crd::API_VERSION;
use crate::kubernetes::names;

/// The topic that goes with its resource; the others stay.
pub(super) const DELETED: &str = "t2";

/// Something that somebody does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wish {
    /// The Ensemble is made, with so many replicas.
    Create(i64),
    /// A field of its specification is another one.
    Set(&'static str, Value),
    /// A Topic is made or altered.
    Topic { name: String, partitions: i64, copies: i64, retention: u64, deletes: bool },
    /// A Topic's resource is deleted.
    DropTopic(String),
    /// The Ensemble is deleted.
    Delete,
}

/// A wish and how long it has until the next one, in milliseconds; 0: until it is fulfilled.
pub(super) type Plan = Vec<(Wish, u64)>;

/// What one seed wishes for; at the end everything that was stopped or spoiled is mended.
pub(super) fn wishes(seed: u64) -> Plan {
    let mut chance = Chance::of_seed(seed ^ 0xABCD);
    let mut replicas = *chance.pick(&[1, 3, 3, 3]);
    let mut size = 10;
    // What there is of each, with or without a resource: the policy keeps them, and partitions and copies with them.
    let mut topics: Vec<(String, i64, i64)> = Vec::new();
    let mut plan = vec![(Wish::Create(replicas), pause(&mut chance))];
    for step in 0..4 + chance.below(6) {
        let wish = match chance.below(12) {
            0..=2 => {
                let copies = topics.iter().map(|(_, _, copies)| *copies).max().unwrap_or(1);
                replicas = (*chance.pick(&[1, 3, 5, 3, 5])).max(copies);
                Wish::Set("replicas", json!(replicas))
            }
            3 => Wish::Set("image", json!(format!("image:{step}"))),
            4 => {
                Wish::Set("broker", json!({"config": {"num.partitions": (1 + chance.below(4)).to_string()}}))
            }
            5 => {
                plan.push((Wish::Set("suspended", json!(true)), pause(&mut chance)));
                Wish::Set("suspended", json!(false))
            }
            6 => {
                plan.push((Wish::Set("broker", json!({"config": {"no.such.key": "1"}})), pause(&mut chance)));
                Wish::Set("broker", json!({"config": {}}))
            }
            7 => {
                size += 10;
                Wish::Set("storage", json!({"size": format!("{size}Gi")}))
            }
            8 => match topics.is_empty() || chance.one_in(2) {
                true => Wish::Set("rebalance", json!({"mode": chance.pick(&["Auto", "Manual"])})),
                false => {
                    let (name, _, _) = chance.pick(&topics).clone();
                    Wish::DropTopic(name)
                }
            },
            9 if chance.one_in(2) => {
                plan.push((Wish::Delete, pause(&mut chance)));
                Wish::Create(replicas)
            }
            _ => topic(&mut chance, &mut topics, replicas),
        };
        plan.push((wish, pause(&mut chance)));
    }
    plan.push((Wish::Set("rebalance", json!({"mode": "Auto"})), 1));
    plan
}

fn topic(chance: &mut Chance, topics: &mut Vec<(String, i64, i64)>, replicas: i64) -> Wish {
    let name = format!("t{}", chance.below(3));
    // One of them goes with its resource.
    let deletes = name == DELETED;
    let known = topics.iter().position(|(known, _, _)| *known == name);
    let (partitions, copies) = match known {
        Some(at) => {
            topics[at].1 += i64::try_from(chance.below(3)).unwrap_or(0);
            (topics[at].1, topics[at].2)
        }
        None => {
            let copies = replicas.min(*chance.pick(&[1, 3, 3]));
            topics.push((name.clone(), 2, copies));
            (2, copies)
        }
    };
    Wish::Topic { name, partitions, copies, retention: chance.below(5), deletes }
}

fn pause(chance: &mut Chance) -> u64 {
    match chance.below(3) {
        0 => 0,
        1 => 1 + chance.below(4000),
        _ => 1 + chance.below(40_000),
    }
}

/// The Ensemble's name in the store.
pub(super) fn ensemble() -> Name {
    name("Ensemble", NAMESPACE, NAME)
}

/// The Ensemble as somebody writes it.
pub(super) fn ensemble_of(spec: Value) -> Value {
    json!({"apiVersion": API_VERSION, "kind": "Ensemble", "metadata": {"name": NAME}, "spec": spec})
}

/// The volumes tell whose they are: before that an Ensemble that is made anew does not know its members again.
pub(super) fn may_be_deleted(world: &World) -> bool {
    let claims = world.store.of_kind("PersistentVolumeClaim");
    let known = |(_, claim): &(Name, Arc<Value>)| !claim["metadata"]["annotations"][names::PLACE].is_null();
    let members = world.ensemble.members.len();
    members > 0 && claims.iter().filter(|claim| known(claim)).count() >= members
}

/// Does it; false if the API server would not take it now.
pub(super) fn fulfil(world: &mut World, wish: &Wish) -> bool {
    world.tell(format!("user: {wish:?}"));
    match wish {
        Wish::Create(replicas) => {
            let spec = json!({"replicas": replicas, "storage": {"size": "10Gi"}});
            world.resource().is_some() || world.store.create(&ensemble(), ensemble_of(spec)).is_ok()
        }
        Wish::Set(field, value) => {
            world.store.edit(&ensemble(), |there| there["spec"][*field] = value.clone())
        }
        Wish::Topic { name: topic, partitions, copies, retention, deletes } => {
            let name = name("Topic", NAMESPACE, topic);
            let mut config = json!({"retention.ms": format!("{}", 1000 + retention)});
            if *copies > 2 {
                config["min.insync.replicas"] = json!("2");
            }
            let spec = json!({
                "ensembleRef": {"name": NAME}, "partitions": partitions, "replicationFactor": copies,
                "config": config, "deletionPolicy": if *deletes { "Delete" } else { "Retain" },
            });
            if world.store.get(&name).is_some() {
                return world.store.edit(&name, |there| there["spec"] = spec);
            }
            let made = json!({"apiVersion": API_VERSION, "kind": "Topic", "metadata": {}, "spec": spec});
            world.store.create(&name, made).is_ok()
        }
        Wish::DropTopic(topic) => world.store.delete(&name("Topic", NAMESPACE, topic), None).is_ok(),
        Wish::Delete => world.store.delete(&ensemble(), None).is_ok(),
    }
}
