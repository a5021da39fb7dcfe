//! Rules of a topic that a schema cannot say: they concern its ensemble, or Kafka's settings.
//!
//! Must not know: files; the manifest adds lines. Read first: [`check`].

use crate::crd::TopicSpec;
use crate::desired::Desired;
use crate::finding::{Finding, Path};
use crate::kafka_config;

/// All that is wrong with a topic beside this ensemble.
pub fn check(topic: &TopicSpec, desired: &Desired) -> Vec<Finding> {
    let mut findings = Vec::new();
    if topic.ensemble_ref.name != desired.name {
        let message =
            format!("there is no Ensemble {:?}; there is {:?}", topic.ensemble_ref.name, desired.name);
        findings.push(Finding::new(&Path::fields("spec.ensembleRef.name"), message));
    }
    let replicas = desired.ensemble.replicas;
    if topic.replication_factor > replicas {
        let message = format!(
            "{} copies are not possible with {replicas} agents; 1 to {replicas} are",
            topic.replication_factor
        );
        findings.push(Finding::new(&Path::fields("spec.replicationFactor"), message));
    }
    let config = Path::fields("spec.config");
    let wrong = |(key, value): (&String, &Option<String>)| {
        let message = kafka_config::topic_error(key, value.as_deref())?;
        Some(Finding::new(&config.field(key), message))
    };
    findings.extend(topic.config.iter().filter_map(wrong));
    findings
}
