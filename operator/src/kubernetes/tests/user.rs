//! Whoever uses the cluster: what is wished for in one seed, in which order, and how long between.
//!
//! Every wish passes the schema and the CEL rules, as it would at the API server. Read first: [`Wish`], [`wishes`].

use std::sync::Arc;

use serde_json::{Value, json};

use super::store::{Name, name};
use super::world::{NAME, NAMESPACE, OTHER, World};
use crate::chance::Chance;
use crate::crd::API_VERSION;
use crate::kubernetes::names;
use crate::manifest::rules::Kind;

/// The topic that goes with its resource; the others stay.
pub(super) const DELETED: &str = "t2";

/// Something that somebody does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wish {
    /// The Ensemble is made, with so many replicas.
    Create(i64),
    /// A field of its specification is another one; null takes it out.
    Set(&'static str, Value),
    /// A Topic is made or altered. `name` is its name in Kafka.
    Topic { name: String, partitions: i64, copies: i64, retention: u64, deletes: bool },
    /// A Topic's resource is deleted.
    DropTopic(String),
    /// The Ensemble is deleted.
    Delete,
    /// Somebody else makes an object.
    Strange(Stranger),
    /// And takes it away.
    Free(Stranger),
    /// The namespace is deleted, with everything in it.
    DropNamespace,
}

/// A wish, which ensemble it is about, and how long it has until the next one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Act {
    /// The ensemble.
    pub(super) of: &'static str,
    /// What is wished for.
    pub(super) wish: Wish,
    /// Milliseconds; 0: until it is fulfilled.
    pub(super) pause: u64,
}

/// An object of somebody else.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stranger {
    /// Its kind.
    kind: &'static str,
    /// Its name.
    name: String,
    /// What it is labelled with.
    labels: Labels,
}

/// Labels of somebody else's objects.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Labels {
    /// None.
    Bare,
    /// Those of a Helm release that is called as the ensemble.
    Helm,
    /// Those of the ensemble: the object is a copy of one of its own.
    Copied,
}

impl Stranger {
    /// Its name in the store.
    pub(super) fn name(&self) -> Name {
        name(self.kind, NAMESPACE, &self.name)
    }

    /// An object in the place of one that the ensemble needs.
    fn in_the_way(chance: &mut Chance, of: &str) -> Self {
        let member = i32::try_from(chance.below(5)).unwrap_or(0);
        let needed = [
            ("ConfigMap", names::agents(of)),
            ("ServiceAccount", names::agents(of)),
            ("Service", names::agents(of)),
            ("Service", names::zookeeper(of)),
            ("Service", names::kafka(of)),
            ("NetworkPolicy", of.to_owned()),
            ("PodDisruptionBudget", of.to_owned()),
            ("StatefulSet", of.to_owned()),
            ("Pod", names::pod(of, member)),
            ("PersistentVolumeClaim", names::claim(of, member)),
            ("PersistentVolumeClaim", names::claim(of, member)),
        ];
        Self::labelled(chance, chance.clone().pick(&needed).clone())
    }

    /// An object with a name that is nearly one.
    fn beside(chance: &mut Chance, of: &str) -> Self {
        let near = [
            ("Pod", format!("{of}2-0")),
            ("Pod", format!("{of}-x")),
            ("PersistentVolumeClaim", format!("data-{of}-7")),
            ("PersistentVolumeClaim", format!("data-{of}2-0")),
            ("ConfigMap", format!("{of}-agents2")),
            ("Service", format!("{of}-kafka-0")),
            ("StatefulSet", format!("{of}2")),
        ];
        Self::labelled(chance, chance.clone().pick(&near).clone())
    }

    fn labelled(chance: &mut Chance, (kind, name): (&'static str, String)) -> Self {
        // A pod or a volume that is labelled as the ensemble's is the ensemble's: that is how Kubernetes finds them.
        let copied =
            if matches!(kind, "Pod" | "PersistentVolumeClaim") { Labels::Helm } else { Labels::Copied };
        let labels = *chance.pick(&[Labels::Bare, Labels::Helm, copied]);
        Self { kind, name, labels }
    }

    fn object(&self, of: &str) -> Value {
        let labels = match self.labels {
            Labels::Bare => json!({}),
            Labels::Helm => json!({names::INSTANCE: of, names::MANAGED_BY: "Helm"}),
            Labels::Copied => json!(names::labels(of)),
        };
        let api_version = match self.kind {
            "NetworkPolicy" => "networking.k8s.io/v1",
            "PodDisruptionBudget" => "policy/v1",
            "StatefulSet" => "apps/v1",
            _ => "v1",
        };
        let mut object =
            json!({"apiVersion": api_version, "kind": self.kind, "metadata": {"labels": labels}});
        match self.kind {
            "ConfigMap" => object["data"] = json!({"members.yaml": "of somebody else"}),
            "StatefulSet" => {
                object["spec"] = json!({
                    "replicas": 1, "serviceName": "s", "selector": {"matchLabels": {"a": "b"}}, "template": {},
                });
            }
            "ServiceAccount" => {}
            _ => object["spec"] = json!({}),
        }
        object
    }
}

/// What is wished for, in this order.
pub(super) type Plan = Vec<Act>;

/// What one seed wishes for; at the end everything that was stopped or spoiled is mended. Some have two ensembles.
pub(super) fn wishes(seed: u64) -> Plan {
    let mut chance = Chance::of_seed(seed ^ 0xABCD);
    let mut first = Wisher::new(NAME, &mut chance).plan(4, 6);
    let mut second = match chance.one_in(3) {
        true => Wisher::new(OTHER, &mut chance).plan(1, 3),
        false => Plan::new(),
    };
    let mut plan = Plan::new();
    while !first.is_empty() || !second.is_empty() {
        let left = u64::try_from(first.len() + second.len()).unwrap_or(1);
        let next = if chance.below(left) < first.len() as u64 { &mut first } else { &mut second };
        plan.push(next.remove(0));
    }
    if chance.one_in(8) {
        plan.push(Act { of: NAME, wish: Wish::DropNamespace, pause: 1 });
    }
    plan
}

/// Wishes about one ensemble.
struct Wisher<'a> {
    chance: &'a mut Chance,
    of: &'static str,
    replicas: i64,
    voters: Option<i64>,
    size: i64,
    /// What there is of each, with or without a resource: the policy keeps them, and partitions and copies with them.
    topics: Vec<(String, i64, i64)>,
    plan: Plan,
}

impl<'a> Wisher<'a> {
    fn new(of: &'static str, chance: &'a mut Chance) -> Self {
        let replicas = *chance.pick(&[1, 3, 3, 3]);
        Self { chance, of, replicas, voters: None, size: 10, topics: Vec::new(), plan: Plan::new() }
    }

    fn wish(&mut self, wish: Wish) {
        let pause = self.pause();
        self.plan.push(Act { of: self.of, wish, pause });
    }

    fn pause(&mut self) -> u64 {
        match self.chance.below(3) {
            0 => 0,
            1 => 1 + self.chance.below(4000),
            _ => 1 + self.chance.below(40_000),
        }
    }

    fn plan(mut self, least: u64, more: u64) -> Plan {
        match self.chance.one_in(4) {
            true => self.in_the_way(|wisher| wisher.wish(Wish::Create(wisher.replicas))),
            false => self.wish(Wish::Create(self.replicas)),
        }
        for step in 0..least + self.chance.below(more) {
            self.step(step);
        }
        let last = Wish::Set("rebalance", json!({"mode": "Auto"}));
        self.plan.push(Act { of: self.of, wish: last, pause: 1 });
        self.plan
    }

    fn step(&mut self, step: u64) {
        match self.chance.below(16) {
            0..=2 => self.scale(),
            3 => self.wish(Wish::Set("image", json!(format!("image:{step}")))),
            4 => {
                let partitions = 1 + self.chance.below(4);
                self.wish(Wish::Set("broker", json!({"config": {"num.partitions": partitions.to_string()}})));
            }
            5 => self.for_a_while("suspended"),
            6 => {
                self.wish(Wish::Set("broker", json!({"config": {"no.such.key": "1"}})));
                self.wish(Wish::Set("broker", json!({"config": {}})));
            }
            7 => {
                self.size += 10;
                self.wish(Wish::Set("storage", json!({"size": format!("{}Gi", self.size)})));
            }
            8 => match self.topics.is_empty() || self.chance.one_in(2) {
                true => {
                    let mode = *self.chance.pick(&["Auto", "Manual"]);
                    self.wish(Wish::Set("rebalance", json!({"mode": mode})));
                }
                false => {
                    let (name, _, _) = self.chance.pick(&self.topics).clone();
                    self.wish(Wish::DropTopic(name));
                }
            },
            9 if self.chance.one_in(2) => self.make_anew(),
            10 => self.for_a_while("paused"),
            11 => self.vote(),
            12 => {
                let stranger = Stranger::beside(self.chance, self.of);
                self.wish(Wish::Strange(stranger));
            }
            13 => self.in_the_way(Self::scale),
            _ => self.topic(),
        }
    }

    fn scale(&mut self) {
        let copies = self.topics.iter().map(|(_, _, copies)| *copies).max().unwrap_or(1);
        self.replicas = (*self.chance.pick(&[1, 3, 5, 3, 5])).max(copies);
        // The API server takes no more voters than members.
        if self.voters.is_some_and(|voters| voters > self.replicas) {
            self.voters = None;
            self.wish(Wish::Set("voters", Value::Null));
        }
        self.wish(Wish::Set("replicas", json!(self.replicas)));
    }

    /// The Ensemble goes, with its volumes or without, and comes back.
    fn make_anew(&mut self) {
        for _ in 0..self.chance.below(3) {
            let policy = *self.chance.pick(&["Delete", "Delete", "Retain"]);
            self.wish(Wish::Set("deletionPolicy", json!(policy)));
        }
        self.wish(Wish::Delete);
        self.voters = None;
        let create = |wisher: &mut Self| wisher.wish(Wish::Create(wisher.replicas));
        match self.chance.one_in(4) {
            true => self.in_the_way(create),
            false => create(self),
        }
    }

    /// Somebody else is in the way for a while.
    fn in_the_way(&mut self, meanwhile: impl FnOnce(&mut Self)) {
        let stranger = Stranger::in_the_way(self.chance, self.of);
        self.wish(Wish::Strange(stranger.clone()));
        meanwhile(self);
        self.wish(Wish::Free(stranger));
    }

    fn vote(&mut self) {
        let voters = *self.chance.pick(&[None, Some(1), Some(3), Some(5)]);
        self.voters = voters.filter(|voters| *voters <= self.replicas);
        self.wish(Wish::Set("voters", self.voters.map_or(Value::Null, Value::from)));
    }

    /// It is switched on, perhaps something else is wished for meanwhile, and it is switched off again.
    fn for_a_while(&mut self, field: &'static str) {
        self.wish(Wish::Set(field, json!(true)));
        if self.chance.one_in(2) {
            self.scale();
        }
        self.wish(Wish::Set(field, json!(false)));
    }

    fn topic(&mut self) {
        let name = format!("t{}", self.chance.below(3));
        // One of them goes with its resource.
        let deletes = name == DELETED;
        let known = self.topics.iter().position(|(known, _, _)| *known == name);
        let (partitions, copies) = match known {
            Some(at) => {
                self.topics[at].1 += i64::try_from(self.chance.below(3)).unwrap_or(0);
                (self.topics[at].1, self.topics[at].2)
            }
            None => {
                let copies = self.replicas.min(*self.chance.pick(&[1, 3, 3]));
                self.topics.push((name.clone(), 2, copies));
                (2, copies)
            }
        };
        let retention = self.chance.below(5);
        self.wish(Wish::Topic { name, partitions, copies, retention, deletes });
    }
}

/// An Ensemble's name in the store.
pub(super) fn ensemble(of: &str) -> Name {
    name("Ensemble", NAMESPACE, of)
}

/// The resource of a topic; those of the second ensemble have the same topics under other names.
pub(super) fn topic(of: &str, topic: &str) -> Name {
    let resource = if of == NAME { topic.to_owned() } else { format!("{of}-{topic}") };
    name("Topic", NAMESPACE, &resource)
}

/// A resource as somebody writes it.
pub(super) fn resource(kind: &str, of: &str, spec: Value) -> Value {
    json!({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": of}, "spec": spec})
}

/// The volumes of an ensemble that stay as far as it is known.
fn volumes(world: &World, of: &str) -> Vec<(Name, Arc<Value>)> {
    let mut claims = world.store.of_kind("PersistentVolumeClaim");
    claims.retain(|(_, claim)| {
        world.instance(claim) == Some(of) && claim["metadata"]["deletionTimestamp"].is_null()
    });
    claims
}

/// The volumes tell whose they are: before that an Ensemble that is made anew does not know its members again.
pub(super) fn may_be_deleted(world: &World, of: &str) -> bool {
    let claims = volumes(world, of);
    let known = |(_, claim): &&(Name, Arc<Value>)| !claim["metadata"]["annotations"][names::PLACE].is_null();
    let members = world.ensembles[of].members.len();
    members > 0 && claims.iter().filter(known).count() >= members && follows_policy(world, of)
}

/// The volumes go with the Ensemble, or do not, as its policy says.
pub(super) fn follows_policy(world: &World, of: &str) -> bool {
    let Some(resource) = world.resource(of) else { return true };
    let (uid, goes) = (&resource["metadata"]["uid"], resource["spec"]["deletionPolicy"] == "Delete");
    volumes(world, of)
        .iter()
        .all(|(_, claim)| goes == (claim["metadata"]["ownerReferences"][0]["uid"] == *uid))
}

/// Does it; false if the API server would not take it now.
pub(super) fn fulfil(world: &mut World, of: &'static str, wish: &Wish) -> bool {
    world.tell(format!("user: {of}: {wish:?}"));
    match wish {
        Wish::Create(replicas) => {
            let spec = json!({"replicas": replicas, "storage": {"size": "10Gi"}});
            put(world, &ensemble(of), |there| there.is_none().then_some(spec))
        }
        Wish::Set(field, value) => put(world, &ensemble(of), |there| {
            let mut spec = there?.clone();
            spec[*field] = value.clone();
            Some(spec)
        }),
        Wish::Topic { name, partitions, copies, retention, deletes } => {
            let mut config = json!({"retention.ms": format!("{}", 1000 + retention)});
            if *copies > 2 {
                config["min.insync.replicas"] = json!("2");
            }
            let mut spec = json!({
                "ensembleRef": {"name": of}, "partitions": partitions, "replicationFactor": copies,
                "config": config, "deletionPolicy": if *deletes { "Delete" } else { "Retain" },
            });
            if of != NAME {
                spec["topicName"] = json!(name);
            }
            put(world, &topic(of, name), |_| Some(spec))
        }
        Wish::DropTopic(name) => world.store.delete(&topic(of, name), None).is_ok(),
        Wish::Delete => delete(world, of),
        Wish::Strange(stranger) => {
            let made = world.store.create(&stranger.name(), stranger.object(of));
            made.map(|object| world.strangers.insert(stranger.name(), object)).is_ok()
        }
        Wish::Free(stranger) => {
            let is_there = world.strangers.remove(&stranger.name()).is_some();
            is_there && world.store.delete(&stranger.name(), None).is_ok()
        }
        Wish::DropNamespace => {
            world.store.goes = Some(NAMESPACE);
            true
        }
    }
}

/// The Ensemble goes; its volumes stay unless its policy is another.
fn delete(world: &mut World, of: &'static str) -> bool {
    let Some(resource) = world.resource(of) else { return false };
    let keeps = resource["spec"]["deletionPolicy"] != "Delete";
    world.kept.retain(|claim, _| names::member_of_claim(of, &claim.2).is_none());
    if keeps {
        let kept = volumes(world, of);
        world.kept.extend(kept.into_iter().map(|(name, claim)| (name, claim["metadata"]["uid"].clone())));
    }
    world.store.delete(&ensemble(of), None).is_ok()
}

/// Makes or alters a resource by its specification, if schema and rules admit that.
fn put(world: &mut World, name: &Name, spec: impl FnOnce(Option<&Value>) -> Option<Value>) -> bool {
    thread_local! {
        static ENSEMBLE: Kind = Kind::new("Ensemble").expect("a kind");
        static TOPIC: Kind = Kind::new("Topic").expect("a kind");
    }
    let old = world.store.get(name).map(|old| resource(&name.0, &name.2, old["spec"].clone()));
    let Some(spec) = spec(old.as_ref().map(|old| &old["spec"])) else { return old.is_some() };
    let new = resource(&name.0, &name.2, spec.clone());
    let rules = if name.0 == "Topic" { &TOPIC } else { &ENSEMBLE };
    let findings = rules.with(|kind| kind.check(&new, old.as_ref()));
    if !findings.is_empty() {
        world.tell(format!("not admitted: {findings:?}"));
        return false;
    }
    match old {
        Some(_) => world.store.edit(name, |there| there["spec"] = spec),
        None => world.store.create(name, new).is_ok(),
    }
}
