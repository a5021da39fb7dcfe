//! Rules of an ensemble that a schema cannot say: which of Kafka's settings exist, and which follow from other fields.
//!
//! Must not know: files; the manifest adds lines. Read first: [`check`].

use crate::crd::EnsembleSpec;
use crate::finding::{Finding, Path};
use crate::kafka_config;

/// All that is wrong with the specification.
pub fn check(spec: &EnsembleSpec) -> Vec<Finding> {
    let config = Path::fields("spec.broker.config");
    let wrong = |(key, value): (&String, &String)| {
        let message = kafka_config::broker_error(key, value)?;
        Some(Finding::new(&config.field(key), message))
    };
    spec.broker.config.iter().filter_map(wrong).collect()
}

/// The fields that are set and mean nothing to local processes.
pub fn of_kubernetes_only(spec: &EnsembleSpec) -> Vec<&'static str> {
    let scheduling = &spec.scheduling;
    let set = [
        (spec.image.is_some(), "spec.image"),
        (spec.storage != Default::default(), "spec.storage"),
        (spec.resources.is_some(), "spec.resources"),
        (*scheduling != Default::default(), "spec.scheduling"),
    ];
    set.into_iter().filter(|(is_set, _)| *is_set).map(|(_, field)| field).collect()
}
