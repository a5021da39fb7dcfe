//! What the tests of the verbs share: resources as the API server gives them, and pages as they shall be (`testdata/`).
//!
//! Read first: [`golden`].

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use streamkeeper_operator::crd::{Ensemble, Topic};

use super::pods::PodFact;

fn directory() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("src/kubectl/testdata")
}

fn resource<T: DeserializeOwned>(file: &str) -> T {
    let path = directory().join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The ensemble of `testdata/ensemble-NAME.yaml`.
pub(super) fn ensemble(name: &str) -> Ensemble {
    resource(&format!("ensemble-{name}.yaml"))
}

/// The topic of `testdata/topic-NAME.yaml`.
pub(super) fn topic(name: &str) -> Topic {
    resource(&format!("topic-{name}.yaml"))
}

/// Pods of `main`: ready, or without a node.
pub(super) fn pods(ready: &[bool]) -> Vec<PodFact> {
    let fact = |(member, &ready): (usize, &bool)| PodFact {
        member: i32::try_from(member).expect("few"),
        name: format!("main-{member}"),
        ready,
        trouble: (!ready).then(|| "finds no node: 0/3 nodes are available".to_owned()),
    };
    ready.iter().enumerate().map(fact).collect()
}

/// The text is that of `testdata/NAME.txt`; `UPDATE_GOLDEN=1` writes it anew.
pub(super) fn golden(name: &str, text: &str) {
    let path = directory().join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{text}\n")).expect("testdata can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected.trim_end(), "{}; UPDATE_GOLDEN=1 writes it anew", path.display());
}
