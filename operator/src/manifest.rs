//! The resources as users write them, and what is left of them once every rule held.
//!
//! Read first: [`load`], [`Desired`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The only API version.
pub const API_VERSION: &str = "streamkeeper.dev/v1alpha1";
/// Numbers of agents that an ensemble can have now; every agent votes.
const REPLICAS_ALLOWED: [i32; 3] = [1, 3, 5];
const TOPIC_PARTITIONS_MAX: i32 = 10_000;

/// Why a manifest is refused: where, which field, what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {field}: {message}")]
pub struct ManifestError {
    /// The file.
    pub file: String,
    /// The line that the document begins at, or of the mistake.
    pub line: usize,
    /// The field.
    pub field: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawEnsemble {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    metadata: Metadata,
    spec: EnsembleSpec,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawTopic {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    metadata: Metadata,
    spec: TopicSpec,
}

#[derive(Clone, Debug, Deserialize)]
struct Head {
    #[serde(rename = "apiVersion", default)]
    api_version: String,
    #[serde(default)]
    kind: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: String,
    #[serde(default)]
    #[allow(dead_code, reason = "accepted, as Kubernetes does; the local substrate has no use for it")]
    namespace: Option<String>,
    #[serde(default)]
    #[allow(dead_code, reason = "accepted, as Kubernetes does; the local substrate has no use for it")]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    #[allow(dead_code, reason = "accepted, as Kubernetes does; the local substrate has no use for it")]
    annotations: BTreeMap<String, String>,
}

/// What an ensemble shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EnsembleSpec {
    /// Agents.
    pub replicas: i32,
    /// ZooKeeper's settings.
    #[serde(default)]
    pub coordination: CoordinationSpec,
    /// Kafka's settings.
    #[serde(default)]
    pub broker: BrokerSpec,
}

/// ZooKeeper's settings under their names in camelCase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct CoordinationSpec {
    /// `tickTime`, milliseconds.
    pub tick_time_ms: u64,
}

impl Default for CoordinationSpec {
    fn default() -> Self {
        Self { tick_time_ms: 2000 }
    }
}

/// Kafka's broker settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrokerSpec {
    /// Under Kafka's names.
    pub config: BTreeMap<String, String>,
}

/// What a topic shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TopicSpec {
    /// The ensemble it is in.
    pub ensemble_ref: Reference,
    /// Its name in Kafka; the resource's when absent.
    #[serde(default)]
    pub topic_name: Option<String>,
    /// May grow, never shrinks.
    pub partitions: i32,
    /// Copies of each partition.
    pub replication_factor: i16,
    /// Kafka's names.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
}

/// Another resource's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The name.
    pub name: String,
}

/// A topic that passed every rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredTopic {
    /// Its name in Kafka.
    pub name: String,
    /// Partitions.
    pub partitions: i32,
    /// Copies of each.
    pub replication_factor: i16,
    /// Kafka's names.
    pub config: BTreeMap<String, String>,
}

/// Everything that was asked for and passed every rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The ensemble's name.
    pub name: String,
    /// The ensemble.
    pub ensemble: EnsembleSpec,
    /// Its topics by name.
    pub topics: BTreeMap<String, DesiredTopic>,
}

/// Reads manifests: one ensemble, any number of topics.
///
/// # Errors
/// Every rule that does not hold, with file, line and field.
pub fn load(files: &[PathBuf]) -> Result<Desired, Vec<ManifestError>> {
    let mut texts = Vec::new();
    for file in files {
        match std::fs::read_to_string(file) {
            Ok(text) => texts.push((file.clone(), text)),
            Err(error) => {
                let file = file.display().to_string();
                return Err(vec![ManifestError {
                    file,
                    line: 0,
                    field: "file".to_owned(),
                    message: error.to_string(),
                }]);
            }
        }
    }
    parse(&texts)
}

/// As [`load`], for texts that were read already.
///
/// # Errors
/// Every rule that does not hold, with file, line and field.
pub fn parse(texts: &[(PathBuf, String)]) -> Result<Desired, Vec<ManifestError>> {
    let mut errors = Vec::new();
    let mut ensembles: Vec<(Place, RawEnsemble)> = Vec::new();
    let mut topics: Vec<(Place, RawTopic)> = Vec::new();
    for (file, text) in texts {
        for (line, document) in documents(text) {
            let place = Place { file, line };
            match read(&place, document) {
                Ok(Resource::Ensemble(ensemble)) => ensembles.push((place, *ensemble)),
                Ok(Resource::Topic(topic)) => topics.push((place, *topic)),
                Err(error) => errors.push(error),
            }
        }
    }
    let Some((place, ensemble)) = ensembles.first() else {
        if errors.is_empty() {
            let file = texts.first().map_or_else(String::new, |(f, _)| f.display().to_string());
            let message = "no Ensemble is given; exactly one is needed".to_owned();
            errors.push(ManifestError { file, line: 1, field: "kind".to_owned(), message });
        }
        return Err(errors);
    };
    check_ensemble(place, ensemble, &mut errors);
    if let Some((second, _)) = ensembles.get(1) {
        errors.push(second.error("kind", "a second Ensemble; `up` runs one"));
    }
    let mut desired = Desired {
        name: ensemble.metadata.name.clone(),
        ensemble: ensemble.spec.clone(),
        topics: BTreeMap::new(),
    };
    for (place, topic) in &topics {
        check_topic(place, topic, &desired, &mut errors);
        let name = topic.spec.topic_name.clone().unwrap_or_else(|| topic.metadata.name.clone());
        let wanted = DesiredTopic {
            name: name.clone(),
            partitions: topic.spec.partitions,
            replication_factor: topic.spec.replication_factor,
            config: topic.spec.config.clone(),
        };
        if desired.topics.insert(name.clone(), wanted).is_some() {
            errors.push(
                place.error("metadata.name", &format!("topic {name} is given twice; the first one wins")),
            );
        }
    }
    if errors.is_empty() { Ok(desired) } else { Err(errors) }
}

struct Place<'a> {
    file: &'a Path,
    line: usize,
}

impl Place<'_> {
    fn error(&self, field: &str, message: &str) -> ManifestError {
        let file = self.file.display().to_string();
        ManifestError { file, line: self.line, field: field.to_owned(), message: message.to_owned() }
    }
}

enum Resource {
    Ensemble(Box<RawEnsemble>),
    Topic(Box<RawTopic>),
}

/// The documents of a file with the line that each begins at.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let (mut found, mut start, mut first_line, mut at) = (Vec::new(), 0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_end() == "---" {
            found.push((first_line, &text[start..at]));
            (start, first_line) = (at + line.len(), index + 2);
        }
        at += line.len();
    }
    found.push((first_line, &text[start..]));
    let has_content = |(_, document): &(usize, &str)| {
        document.lines().any(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#'))
    };
    found.into_iter().filter(has_content).collect()
}

fn read(place: &Place<'_>, document: &str) -> Result<Resource, ManifestError> {
    let described = |error: serde_saphyr::Error| located(place, &error);
    let head: Head = serde_saphyr::from_str(document).map_err(described)?;
    if head.api_version != API_VERSION {
        return Err(
            place.error("apiVersion", &format!("{:?} is not known; {API_VERSION} is", head.api_version))
        );
    }
    match head.kind.as_str() {
        "Ensemble" => {
            serde_saphyr::from_str(document).map(|e| Resource::Ensemble(Box::new(e))).map_err(described)
        }
        "Topic" => serde_saphyr::from_str(document).map(|t| Resource::Topic(Box::new(t))).map_err(described),
        other => Err(place.error("kind", &format!("{other:?} is not known; Ensemble and Topic are"))),
    }
}

/// A parser's error with the line in the whole file.
fn located(place: &Place<'_>, error: &serde_saphyr::Error) -> ManifestError {
    let inside = error.location().map_or(1, |l| usize::try_from(l.line()).unwrap_or(1));
    let text = error.without_snippet().to_string();
    let message = text.lines().next().unwrap_or_default().to_owned();
    ManifestError {
        file: place.file.display().to_string(),
        line: place.line + inside.saturating_sub(1),
        field: "spec".to_owned(),
        message,
    }
}

fn check_ensemble(place: &Place<'_>, ensemble: &RawEnsemble, errors: &mut Vec<ManifestError>) {
    let replicas = ensemble.spec.replicas;
    if !REPLICAS_ALLOWED.contains(&replicas) {
        errors.push(place.error("spec.replicas", &format!("{replicas} is not possible yet; 1, 3 or 5 is")));
    }
    if ensemble.spec.coordination.tick_time_ms == 0 {
        errors.push(place.error("spec.coordination.tickTimeMs", "must be at least 1"));
    }
}

fn check_topic(place: &Place<'_>, topic: &RawTopic, desired: &Desired, errors: &mut Vec<ManifestError>) {
    let spec = &topic.spec;
    if spec.ensemble_ref.name != desired.name {
        let message =
            format!("there is no Ensemble {:?}; {:?} is given", spec.ensemble_ref.name, desired.name);
        errors.push(place.error("spec.ensembleRef.name", &message));
    }
    if !(1..=TOPIC_PARTITIONS_MAX).contains(&spec.partitions) {
        let message = format!("{} is not possible; 1 to {TOPIC_PARTITIONS_MAX} is", spec.partitions);
        errors.push(place.error("spec.partitions", &message));
    }
    let replicas = desired.ensemble.replicas;
    if i32::from(spec.replication_factor) > replicas || spec.replication_factor < 1 {
        let message =
            format!("{} is not possible with {replicas} agents; 1 to {replicas} is", spec.replication_factor);
        errors.push(place.error("spec.replicationFactor", &message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
apiVersion: streamkeeper.dev/v1alpha1
kind: Ensemble
metadata: {name: main}
spec: {replicas: 3}
---
# a comment
apiVersion: streamkeeper.dev/v1alpha1
kind: Topic
metadata: {name: orders}
spec:
  ensembleRef: {name: main}
  partitions: 6
  replicationFactor: 3
  config: {retention.ms: \"1000\"}
";

    fn errors(text: &str) -> Vec<String> {
        let files = [(PathBuf::from("m.yaml"), text.to_owned())];
        parse(&files).expect_err("a mistake").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_manifest_is_read() {
        let desired = parse(&[(PathBuf::from("m.yaml"), GOOD.to_owned())]).expect("good");
        assert_eq!((desired.name.as_str(), desired.ensemble.replicas), ("main", 3));
        assert_eq!(desired.topics["orders"].config["retention.ms"], "1000");
    }

    #[test]
    fn mistakes_are_named_with_file_line_and_field() {
        let cases = [
            (
                GOOD.replace("replicas: 3", "replicas: 4"),
                "m.yaml:1: spec.replicas: 4 is not possible yet; 1, 3 or 5 is",
            ),
            (
                GOOD.replace("replicationFactor: 3", "replicationFactor: 5"),
                "m.yaml:6: spec.replicationFactor: 5 is not possible with 3 agents; 1 to 3 is",
            ),
            (
                GOOD.replace("partitions: 6", "partitions: 0"),
                "m.yaml:6: spec.partitions: 0 is not possible; 1 to 10000 is",
            ),
            (
                GOOD.replace("ensembleRef: {name: main}", "ensembleRef: {name: other}"),
                "m.yaml:6: spec.ensembleRef.name: there is no Ensemble \"other\"; \"main\" is given",
            ),
            (
                GOOD.replace("kind: Topic", "kind: Topik"),
                "m.yaml:6: kind: \"Topik\" is not known; Ensemble and Topic are",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(errors(&text), [expected]);
        }
        let unknown = errors(&GOOD.replace("partitions: 6", "partition: 6"));
        assert!(
            unknown[0].starts_with("m.yaml:12: spec: ") && unknown[0].contains("partition"),
            "{unknown:?}"
        );
        let wrong_type = errors(&GOOD.replace("partitions: 6", "partitions: many"));
        assert!(wrong_type[0].starts_with("m.yaml:12: spec: "), "{wrong_type:?}");
    }
}
