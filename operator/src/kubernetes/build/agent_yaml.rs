//! `agent.yaml`: the settings that all agents of an ensemble share. The agents' side of it is `agent/node/src/pod.rs`, which this crate
//! must not depend on; a test of the command line's crate holds the two against each other.
//!
//! Read first: [`text`].

use std::collections::BTreeMap;

use serde::Serialize;

use super::Parts;
use crate::crd::{CoordinationSpec, RebalanceMode};
use crate::ensemble::plan::MAX_BYTES_PER_SECOND;
use crate::kubernetes::names;
use crate::quantity;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentYaml<'a> {
    cluster_id: &'a str,
    domain: String,
    pod_prefix: &'a str,
    bind: &'static str,
    ports: Ports,
    coordination: &'a CoordinationSpec,
    broker: &'a BTreeMap<String, String>,
    rebalance: Rebalance,
}

#[derive(Serialize)]
struct Ports {
    peer: u16,
    zookeeper: u16,
    kafka: u16,
    grpc: u16,
    http: u16,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rebalance {
    auto: bool,
    max_bytes_per_second: i64,
}

/// The file, as JSON, which is YAML.
pub(super) fn text(parts: &Parts) -> String {
    let rebalance = &parts.spec.rebalance;
    let speed = rebalance.max_bytes_per_second.as_deref().and_then(quantity::bytes);
    let file = AgentYaml {
        cluster_id: &parts.cluster_id,
        domain: names::domain(&parts.name, &parts.namespace),
        pod_prefix: &parts.name,
        bind: "0.0.0.0",
        ports: Ports {
            peer: names::PEER,
            zookeeper: names::ZOOKEEPER,
            kafka: names::KAFKA,
            grpc: names::GRPC,
            http: names::HTTP,
        },
        coordination: &parts.spec.coordination,
        broker: &parts.spec.broker.config,
        rebalance: Rebalance {
            auto: rebalance.mode == RebalanceMode::Auto,
            max_bytes_per_second: speed.unwrap_or(MAX_BYTES_PER_SECOND),
        },
    };
    super::config_map::pretty(&file)
}
