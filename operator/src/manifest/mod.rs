//! Manifests: files of YAML in, what is wanted out, or everything that is wrong with them, each with file, line and field.
//!
//! A file is split into documents (`document`); each is held against the schema of its kind (`schema`) and its CEL rules (`rules`),
//! both taken from the definitions that Kubernetes gets; then against the other resources ([`crate::ensemble::validate`],
//! [`crate::topic::validate`]). Nothing is wanted of a set of files with a mistake. Read first: [`load`], [`ManifestError`].

mod document;
pub(crate) mod rules;
mod schema;

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::crd::{API_VERSION, EnsembleSpec, TopicSpec};
use crate::desired::Desired;
use crate::finding::{Finding, Path};
use crate::{ensemble, topic};
use document::{Tree, documents};
use rules::Kind;

/// Why a manifest is refused: where, which field, what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {}{message}", if field.is_empty() { String::new() } else { format!("{field}: ") })]
pub struct ManifestError {
    /// The file.
    pub file: String,
    /// The line of the field, counted from 1; 0 for a file that cannot be read.
    pub line: usize,
    /// The field; empty if it is about the whole document.
    pub field: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// Reads manifests; `-` is standard input. `current` is what is wanted so far: resources that are not mentioned stay as they are, and
/// what may only grow is held against it. Without it exactly one Ensemble is needed.
///
/// # Errors
/// Everything that is wrong, in the order of the files.
pub fn load(files: &[PathBuf], current: Option<&Desired>) -> Result<Desired, Vec<ManifestError>> {
    let (mut texts, mut errors) = (Vec::new(), Vec::new());
    for file in files {
        let text = if file.as_os_str() == "-" {
            std::io::read_to_string(std::io::stdin())
        } else {
            std::fs::read_to_string(file)
        };
        match text {
            Ok(text) => texts.push((file.clone(), text)),
            Err(error) => {
                let (file, message) = (file.display().to_string(), format!("cannot be read: {error}"));
                errors.push(ManifestError { file, line: 0, field: String::new(), message });
            }
        }
    }
    if errors.is_empty() { parse(&texts, current) } else { Err(errors) }
}

/// As [`load`], for texts that were read already.
///
/// # Errors
/// Everything that is wrong, in the order of the files.
pub fn parse(texts: &[(PathBuf, String)], current: Option<&Desired>) -> Result<Desired, Vec<ManifestError>> {
    let mut reader = Reader { current, errors: Vec::new(), ensembles: Vec::new(), topics: BTreeMap::new() };
    let kinds = BTreeMap::from(["Ensemble", "Topic"].map(|kind| (kind, Kind::new(kind))));
    for (file, text) in texts {
        for (first_line, document) in documents(text) {
            reader.read(file, first_line, document, &kinds);
        }
    }
    let merged = reader.merge(texts);
    if let Some(desired) = &merged {
        reader.check_together(desired);
    }
    match merged {
        Some(desired) if reader.errors.is_empty() => Ok(desired),
        Some(_) | None => Err(reader.errors),
    }
}

/// Where a document is, with its lines.
#[derive(Clone)]
struct Place<'a> {
    file: &'a FilePath,
    first_line: usize,
    tree: Tree,
}

impl Place<'_> {
    fn error(&self, finding: &Finding) -> ManifestError {
        ManifestError {
            file: self.file.display().to_string(),
            line: self.first_line + self.tree.line_of(&finding.path).saturating_sub(1),
            field: finding.path.to_string(),
            message: finding.message.clone(),
        }
    }
}

/// A specification with its resource's name and place.
struct Given<'a, T> {
    name: String,
    spec: T,
    place: Place<'a>,
}

struct Reader<'a> {
    current: Option<&'a Desired>,
    errors: Vec<ManifestError>,
    ensembles: Vec<Given<'a, EnsembleSpec>>,
    topics: BTreeMap<String, Given<'a, TopicSpec>>,
}

impl<'a> Reader<'a> {
    fn read(
        &mut self,
        file: &'a FilePath,
        first_line: usize,
        text: &str,
        kinds: &BTreeMap<&str, Option<Kind>>,
    ) {
        let tree = match Tree::parse(text) {
            Ok(tree) => tree,
            Err(error) => return self.errors.push(not_yaml(file, first_line, &error)),
        };
        let resource = tree.to_json();
        let place = Place { file, first_line, tree };
        let version = resource["apiVersion"].as_str().unwrap_or_default();
        if version != API_VERSION {
            let message = format!("{version:?} is not known; {API_VERSION} is");
            self.errors.push(place.error(&Finding::new(&Path::fields("apiVersion"), message)));
            return;
        }
        let kind = resource["kind"].as_str().unwrap_or_default();
        let Some(rules) = kinds.get(kind).and_then(Option::as_ref) else {
            let message = format!("{kind:?} is not known; Ensemble and Topic are");
            self.errors.push(place.error(&Finding::new(&Path::fields("kind"), message)));
            return;
        };
        let name = resource["metadata"]["name"].as_str().unwrap_or_default();
        let old = self.current.and_then(|current| as_it_was(current, kind, name));
        let findings = rules.check(&resource, old.as_ref());
        if !findings.is_empty() {
            self.errors.extend(findings.iter().map(|finding| place.error(finding)));
            return;
        }
        match kind {
            "Ensemble" => match given(&resource, &place) {
                Ok(ensemble) => self.ensembles.push(ensemble),
                Err(error) => self.errors.push(error),
            },
            _ => match given(&resource, &place) {
                Ok(topic) => self.add_topic(topic),
                Err(error) => self.errors.push(error),
            },
        }
    }

    fn add_topic(&mut self, topic: Given<'a, TopicSpec>) {
        if let Some(first) = self.topics.get(&topic.name) {
            let first = first.place.error(&Finding::new(&Path::fields("metadata.name"), ""));
            let message = format!("Topic {} is given in {}:{} already", topic.name, first.file, first.line);
            self.errors.push(topic.place.error(&Finding::new(&Path::fields("metadata.name"), message)));
            return;
        }
        self.topics.insert(topic.name.clone(), topic);
    }

    /// What is wanted with these documents: those of before with the new ones in their places. `None` without an ensemble.
    fn merge(&mut self, texts: &[(PathBuf, String)]) -> Option<Desired> {
        if let Some(second) = self.ensembles.get(1) {
            let message = "a second Ensemble; there can be one";
            let error = second.place.error(&Finding::new(&Path::fields("metadata.name"), message));
            self.errors.push(error);
        }
        let mut desired = match (self.ensembles.first(), self.current) {
            (None, Some(current)) => current.clone(),
            (Some(ensemble), None) => Desired {
                name: ensemble.name.clone(),
                ensemble: ensemble.spec.clone(),
                topics: BTreeMap::new(),
            },
            (Some(ensemble), Some(current)) => {
                if ensemble.name != current.name {
                    let message = format!(
                        "the ensemble that runs is called {}; its name cannot be changed",
                        current.name
                    );
                    let finding = Finding::new(&Path::fields("metadata.name"), message);
                    self.errors.push(ensemble.place.error(&finding));
                }
                Desired { ensemble: ensemble.spec.clone(), ..current.clone() }
            }
            (None, None) => {
                // A mistake in the only Ensemble was said already.
                if self.errors.is_empty() {
                    self.errors.push(no_ensemble(texts));
                }
                return None;
            }
        };
        let given = self.topics.iter().map(|(name, topic)| (name.clone(), topic.spec.clone()));
        desired.topics.extend(given);
        Some(desired)
    }

    /// The rules between resources.
    fn check_together(&mut self, desired: &Desired) {
        let mut errors = Vec::new();
        let ensemble = self.ensembles.first();
        if let Some(given) = ensemble {
            errors.extend(ensemble::validate::check(&given.spec).iter().map(|f| given.place.error(f)));
        }
        let mut in_kafka: BTreeMap<&str, &str> = BTreeMap::new();
        for (resource, spec) in &desired.topics {
            let given = self.topics.get(resource);
            if let Some(given) = given {
                errors.extend(topic::validate::check(spec, desired).iter().map(|f| given.place.error(f)));
            } else if let Some(ensemble) =
                ensemble.filter(|_| spec.replication_factor > desired.ensemble.replicas)
            {
                let message = format!(
                    "{} agents are too few for the {} copies of Topic {resource}; at least {} are needed",
                    desired.ensemble.replicas, spec.replication_factor, spec.replication_factor
                );
                errors.push(ensemble.place.error(&Finding::new(&Path::fields("spec.replicas"), message)));
            }
            let name = spec.name_in_kafka(resource);
            if let Some(first) = in_kafka.insert(name, resource) {
                let message = format!("the topics of {first} and {resource} are both called {name} in Kafka");
                let place = given.or_else(|| self.topics.get(first)).map(|given| &given.place);
                let finding = Finding::new(&Path::fields("spec.topicName"), message);
                errors.extend(place.map(|place| place.error(&finding)));
            }
        }
        self.errors.extend(errors);
    }
}

/// A resource of before as the transition rules see it.
fn as_it_was(current: &Desired, kind: &str, name: &str) -> Option<Value> {
    let spec = match kind {
        "Ensemble" if current.name == name => serde_json::to_value(&current.ensemble),
        "Topic" => serde_json::to_value(current.topics.get(name)?),
        _ => return None,
    };
    Some(json!({"metadata": {"name": name}, "spec": spec.ok()?}))
}

fn given<'a, T: DeserializeOwned>(
    resource: &Value,
    place: &Place<'a>,
) -> Result<Given<'a, T>, ManifestError> {
    let name = resource["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    match serde_json::from_value(resource["spec"].clone()) {
        Ok(spec) => Ok(Given { name, spec, place: place.clone() }),
        // The schema is made from the type, so this would be a field whose type says more than its schema.
        Err(error) => Err(place.error(&Finding::new(&Path::fields("spec"), error.to_string()))),
    }
}

/// A parser's error with the line in the whole file.
fn not_yaml(file: &FilePath, first_line: usize, error: &serde_saphyr::Error) -> ManifestError {
    let inside = error.location().map_or(1, |l| usize::try_from(l.line()).unwrap_or(1));
    let text = error.without_snippet().to_string();
    ManifestError {
        file: file.display().to_string(),
        line: first_line + inside.saturating_sub(1),
        field: String::new(),
        message: text.lines().next().unwrap_or_default().to_owned(),
    }
}

fn no_ensemble(texts: &[(PathBuf, String)]) -> ManifestError {
    let file = texts.first().map_or_else(String::new, |(file, _)| file.display().to_string());
    let message = "no Ensemble is given; exactly one is needed".to_owned();
    ManifestError { file, line: 1, field: "kind".to_owned(), message }
}
