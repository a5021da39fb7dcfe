//! The ConfigMap: what agents read (`agent.yaml`, `members.yaml`) and what only the operator does
//! (`claims.json`, `deletions.json`).
//!
//! Read first: [`build`], [`memory`].

use k8s_openapi::api::core::v1::ConfigMap;
use serde::Serialize;

use super::{Kind, Parts, Wanted, agent_yaml, metadata};
use crate::kubernetes::names;
use crate::kubernetes::record::{Deletions, Memory};

/// The key of the shared settings.
pub const AGENT: &str = "agent.yaml";
/// The key of the record of members.
pub const MEMBERS: &str = "members.yaml";
/// The key of the record of volumes.
pub const CLAIMS: &str = "claims.json";
/// The key of the record of deleted topics; there is none while none was deleted.
pub const DELETIONS: &str = "deletions.json";

/// The object.
pub fn build(parts: &Parts) -> ConfigMap {
    let mut data = vec![
        (AGENT, agent_yaml::text(parts)),
        (MEMBERS, pretty(&parts.memory.record)),
        (CLAIMS, pretty(&parts.memory.volumes)),
    ];
    if !parts.memory.deletions.0.is_empty() {
        data.push((DELETIONS, pretty(&parts.memory.deletions)));
    }
    ConfigMap {
        metadata: metadata(parts, names::agents(&parts.name)),
        data: Some(data.into_iter().map(|(key, text)| (key.to_owned(), text)).collect()),
        ..ConfigMap::default()
    }
}

/// The object as it is applied.
pub fn wanted(parts: &Parts) -> Wanted {
    super::wanted(Kind::ConfigMap, &build(parts))
}

/// What a ConfigMap remembers.
///
/// # Errors
/// Somebody wrote into it: which key, and what is wrong there.
pub fn memory(map: &ConfigMap) -> Result<Memory, String> {
    let text = |key: &str| map.data.as_ref().and_then(|data| data.get(key)).map(String::as_str);
    let broken = |key: &str, why: &dyn std::fmt::Display| {
        format!(
            "ConfigMap {}: {key}: {why}; put back what the operator wrote",
            map.metadata.name.as_deref().unwrap_or_default()
        )
    };
    let Some(members) = text(MEMBERS) else { return Err(broken(MEMBERS, &"is missing")) };
    let Some(claims) = text(CLAIMS) else { return Err(broken(CLAIMS, &"is missing")) };
    Ok(Memory {
        record: serde_json::from_str(members).map_err(|error| broken(MEMBERS, &error))?,
        volumes: serde_json::from_str(claims).map_err(|error| broken(CLAIMS, &error))?,
        deletions: match text(DELETIONS) {
            Some(deletions) => serde_json::from_str(deletions).map_err(|error| broken(DELETIONS, &error))?,
            None => Deletions::default(),
        },
    })
}

/// The identity of the data that a ConfigMap was made for.
pub fn cluster_id(map: &ConfigMap) -> Option<String> {
    let text = map.data.as_ref()?.get(AGENT)?;
    let file: serde_json::Value = serde_json::from_str(text).ok()?;
    file["clusterId"].as_str().map(str::to_owned)
}

/// JSON for people, which is YAML as well.
pub(super) fn pretty<T: Serialize>(value: &T) -> String {
    // Nothing in these types fails to become JSON: their keys are text or numbers.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
