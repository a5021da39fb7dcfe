//! Every field of both resources: set, changed, unset, and given what is illegal or at its bounds, as its schema says. What is illegal is
//! refused at the door or in a condition, and then nothing is written but the status; what is legal has an effect; taken back, the effect
//! goes. Nothing is silently ignored.
//!
//! Read first: [`Fields`], [`values`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::run::{Drive, drive};
use super::shape::shape;
use super::store::{Name, name};
use super::user::{self, Wish};
use super::world::{NAME, NAMESPACE, Shared};
use crate::crd;
use crate::manifest::rules::Kind;

/// A hundred members and ten thousand partitions are not made for bounds that nothing here knows but the schema.
const MEMBERS_MAX: i64 = 6;
const PARTITIONS_MAX: i64 = 100;

/// What a field of this schema may be given: good and bad, at its bounds and beyond.
fn values(schema: &Value) -> Vec<Value> {
    if let Some(names) = schema["enum"].as_array() {
        return names.iter().cloned().chain([json!("Nonsense"), json!(1)]).collect();
    }
    match schema["type"].as_str() {
        Some("boolean") => vec![json!(true), json!(false), json!("yes")],
        Some("integer") => {
            let (least, most) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
            #[allow(clippy::cast_possible_truncation, reason = "bounds of the schema are whole numbers")]
            let bounds = [least, most].into_iter().flatten().map(|bound| bound as i64);
            bounds
                .flat_map(|bound| [bound - 1, bound, bound + 1])
                .map(Value::from)
                .chain([json!("1")])
                .collect()
        }
        Some("string") => {
            let long = "x".repeat(2000);
            [
                "",
                "1Gi",
                "20Gi",
                "7Mi",
                "fast",
                "topology.kubernetes.io/zone",
                "main",
                "T.1",
                "..",
                "no such\n",
                &long,
            ]
            .map(Value::from)
            .to_vec()
        }
        Some("array") => {
            let constraint =
                json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"});
            let toleration = json!({"key": "a", "operator": "Exists"});
            vec![
                json!([]),
                json!(["ruok"]),
                json!(["nope!"]),
                json!([toleration]),
                json!([constraint]),
                json!("x"),
            ]
        }
        _ => {
            let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}],
            }}});
            vec![
                json!({}),
                json!({"limits": {"memory": "1Gi"}}),
                affinity,
                json!({"num.partitions": "2"}),
                json!({"num.partitions": "-7"}),
                json!({"node.id": "7"}),
                json!({"no.such.key": "1"}),
                json!({"retention.ms": "5000"}),
                json!({"retention.ms": "x"}),
                json!({"cleanup.policy": null}),
                json!("x"),
            ]
        }
    }
}

/// The fields of a schema that a person sets, with their schemas; types of Kubernetes are one field.
fn fields(schema: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    for (name, below) in schema["properties"].as_object().unwrap_or(&Map::new()) {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let is_ours = below["properties"].is_object() && !matches!(name.as_str(), "resources" | "affinity");
        if is_ours {
            fields(below, &path, found);
        } else {
            found.push((path, below.clone()));
        }
    }
}

fn at<'a>(spec: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.').fold(spec, |value, key| &mut value[key])
}

/// The cases of one kind of resource in one cluster.
struct Fields<'a> {
    drive: &'a Drive<'a>,
    kind: Kind,
    name: Name,
    /// How many values were refused at the door, refused in a condition, and carried out.
    counts: (usize, usize, usize),
    wrong: Vec<String>,
}

impl Fields<'_> {
    fn world(&self) -> &Shared {
        self.drive.world
    }

    fn object(&self) -> Value {
        self.world().borrow().store.get(&self.name).map(|value| value.as_ref().clone()).unwrap_or_default()
    }

    fn shape(&self) -> BTreeMap<String, String> {
        let world = self.world().borrow();
        let mut shape = shape(&world);
        // The resource's own status is what says it, and no effect.
        shape.remove(&format!("{} {}", self.name.0, self.name.2));
        shape
    }

    /// The specification is this from now on; false if the API server does not take it.
    fn put(&self, spec: &Value) -> bool {
        let old = self.object();
        let mut new = old.clone();
        new["spec"] = spec.clone();
        new.as_object_mut().map(|object| object.remove("status"));
        if !self.kind.check(&new, Some(&old)).is_empty() {
            return false;
        }
        self.world().borrow_mut().store.edit(&self.name, |object| object["spec"] = spec.clone())
    }

    async fn rest(&mut self) {
        if !self.drive.still(Duration::from_secs(900)).await {
            self.wrong.push("it does not come to rest".to_owned());
        }
    }

    fn condition(&self, kind: &str) -> Value {
        let conditions = self.object()["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|c| c["type"] == kind).unwrap_or_default()
    }

    /// One field gets one value and is what it was again.
    async fn case(&mut self, path: &str, value: &Value) {
        let (spec, before) = (self.object()["spec"].clone(), self.shape());
        let mut next = spec.clone();
        *at(&mut next, path) = value.clone();
        if !self.put(&next) {
            self.counts.0 += 1;
            return;
        }
        self.rest().await;
        let (stalled, after) = (self.condition("Stalled"), self.shape());
        let says = stalled["message"].as_str().unwrap_or_default().to_owned();
        let what = format!("{} spec.{path} = {value}", self.name.0);
        if stalled["status"] == "True" && stalled["reason"] == "InvalidSpec" {
            self.counts.1 += 1;
            if !says.contains(path) {
                self.wrong.push(format!("{what}: refused, and the field is not named: {says}"));
            }
            if after != before {
                self.wrong.push(format!("{what}: refused, and carried out"));
            }
        } else {
            self.counts.2 += 1;
            let paused = self.condition("Progressing")["reason"] == "Paused";
            if after == before && !paused {
                self.wrong.push(format!("{what}: accepted, and nothing came of it"));
            }
        }
        if self.put(&spec) {
            self.rest().await;
            let again = self.shape();
            let differ = before.iter().find(|(name, text)| again.get(*name) != Some(text));
            if let Some((name, text)) = differ {
                self.wrong.push(format!("{what}, taken back: {name} was {text}, is {:?}", again.get(name)));
            }
        }
    }

    /// The value means what is there already.
    fn is_same(&self, path: &str, value: &Value, schema: &Value) -> bool {
        let mut spec = self.object()["spec"].clone();
        let there = at(&mut spec, path).clone();
        let default = &schema["default"];
        let is_empty = |value: &Value| value.is_null() || *value == json!({}) || *value == json!([]);
        there == *value || there.is_null() && default == value || is_empty(&there) && is_empty(value)
    }

    async fn all(&mut self) {
        let schema = crd::schema_of(&self.name.0).unwrap_or_default();
        let mut found = Vec::new();
        fields(&schema["properties"]["spec"], "", &mut found);
        assert!(found.len() > 5, "{found:?}");
        for (path, schema) in found {
            for value in values(&schema) {
                let too_many = value.as_i64().is_some_and(|n| match path.as_str() {
                    "replicas" => (MEMBERS_MAX..100).contains(&n),
                    "partitions" => (PARTITIONS_MAX..=10_000).contains(&n),
                    _ => false,
                });
                if !too_many && !self.is_same(&path, &value, &schema) {
                    self.case(&path, &value).await;
                }
            }
        }
    }
}

fn run_fields(kind: &'static str, of: &'static str) {
    drive(&[NAME], async |drive: &Drive<'_>| {
        let topic =
            Wish::Topic { name: "t".to_owned(), partitions: 2, copies: 1, retention: 1, deletes: false };
        for wish in [Wish::Create(3), topic] {
            assert!(user::fulfil(&mut drive.world.borrow_mut(), NAME, &wish));
        }
        assert!(drive.still(Duration::from_secs(900)).await);
        let name = name(kind, NAMESPACE, of);
        let rules = Kind::new(kind).expect("a kind");
        let mut fields = Fields { drive, kind: rules, name, counts: (0, 0, 0), wrong: Vec::new() };
        fields.all().await;
        let violations = drive.world.borrow().laws.violations.clone();
        assert!(violations.is_empty() && fields.wrong.is_empty(), "{violations:#?}\n{:#?}", fields.wrong);
        let (at_the_door, in_a_condition, done) = fields.counts;
        assert!(at_the_door > 5 && in_a_condition > 0 && done > 3, "{:?}", fields.counts);
    });
}

#[test]
fn every_field_of_an_ensemble_has_an_effect_or_is_refused() {
    run_fields("Ensemble", NAME);
}

#[test]
fn every_field_of_a_topic_has_an_effect_or_is_refused() {
    run_fields("Topic", "t");
}
