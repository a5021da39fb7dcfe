//! `get`: lists of the ensemble, its members, its topics. One row each; the names of the fields are a contract.
//!
//! Read first: [`get`].

use std::path::Path;

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::look::{Look, wait_for};
use crate::terminal::{cell, say, table};

/// What `get` lists.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// The ensemble.
    #[value(alias = "ensemble", alias = "ens")]
    Ensembles,
    /// The topics.
    #[value(alias = "topic", alias = "ktopic")]
    Topics,
    /// The agents.
    #[value(alias = "member")]
    Members,
}

/// How a list is shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shown {
    /// Columns.
    Table,
    /// More columns.
    Wide,
    /// One array.
    Json,
    /// One list.
    Yaml,
}

/// Columns: the field, and whether only `wide` shows it.
type Columns = &'static [(&'static str, bool)];

const ENSEMBLES: Columns = &[
    ("name", false),
    ("ready", false),
    ("members", false),
    ("leader", false),
    ("balanced", false),
    ("replicasMax", false),
    ("replicasMin", false),
    ("message", false),
    ("margin", true),
    ("zxid", true),
    ("zookeeper", true),
    ("kafka", true),
];
const TOPICS: Columns = &[
    ("name", false),
    ("ready", false),
    ("partitions", false),
    ("replicationFactor", false),
    ("underReplicated", false),
    ("leaderless", false),
    ("message", false),
    ("resource", true),
    ("id", true),
    ("config", true),
];
const MEMBERS: Columns = &[
    ("id", false),
    ("role", false),
    ("state", false),
    ("zookeeper", false),
    ("kafka", false),
    ("partitions", false),
    ("leaders", false),
    ("pid", false),
    ("bytes", true),
    ("version", true),
    ("grpc", true),
    ("http", true),
    ("log", true),
    ("incarnation", true),
];

/// Lists members, topics or the ensemble; one of them by name.
///
/// # Errors
/// No `up` runs there, or it has nothing of that name.
pub(crate) fn get(what: What, name: Option<&str>, data: &Path, shown: Shown) -> Result<()> {
    let look = wait_for(Look::at(data))?;
    let (columns, rows) = match what {
        What::Ensembles => (ENSEMBLES, vec![ensemble(&look)]),
        What::Topics => (TOPICS, topics(&look)),
        What::Members => (MEMBERS, members(&look)),
    };
    let key = columns.first().map_or("", |(key, _)| key);
    let matches = |row: &&Map<String, Value>| name.is_none_or(|name| cell(&row[key]) == name);
    let rows: Vec<Map<String, Value>> = rows.iter().filter(matches).cloned().collect();
    if let Some(name) = name.filter(|_| rows.is_empty()) {
        let kind = ["ensemble", "topic", "member"][what as usize];
        bail!("there is no {kind} {name}; see `streamkeeper get {kind}s`");
    }
    show(columns, &rows, shown)
}

fn show(columns: Columns, rows: &[Map<String, Value>], shown: Shown) -> Result<()> {
    match shown {
        Shown::Json => say(&serde_json::to_string(rows)?),
        Shown::Yaml => say(serde_saphyr::to_string(&rows)?.trim_end()),
        Shown::Table | Shown::Wide => {
            let wide = shown == Shown::Wide;
            let names: Vec<&str> =
                columns.iter().filter(|(_, w)| wide || !w).map(|(name, _)| *name).collect();
            let row = |row: &Map<String, Value>| names.iter().map(|name| cell(&row[*name])).collect();
            table(&names, &rows.iter().map(row).collect::<Vec<_>>());
        }
    }
    Ok(())
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn ensemble(look: &Look) -> Map<String, Value> {
    let (status, quorum) = (&look.status.ensemble, look.observed.quorum.as_ref());
    let (most, least) = look.observed.rebalance.replicas;
    object(json!({
        "name": look.state.desired.name,
        "ready": look.status.is_ready(),
        "members": status.members_ready,
        "leader": quorum.map(|q| q.leader),
        "balanced": look.status.holds("Balanced"),
        "replicasMax": most,
        "replicasMin": least,
        "message": look.status.message("Ready"),
        "margin": quorum.map(|q| q.margin),
        "zxid": status.quorum.as_ref().map(|q| q.zxid.clone()),
        "zookeeper": status.endpoints.as_ref().map(|e| e.zookeeper.clone()),
        "kafka": status.endpoints.as_ref().map(|e| e.kafka.clone()),
    }))
}

/// All topics but internal ones: those that there are, and those that are only wanted yet.
fn topics(look: &Look) -> Vec<Map<String, Value>> {
    let wanted = look.state.desired.kafka_topics();
    let mut names: Vec<&str> = look.observed.topics.keys().map(String::as_str).collect();
    names.extend(wanted.keys());
    names.sort_unstable();
    names.dedup();
    let row = |name: &str| {
        let there = look.observed.topics.get(name);
        let resource =
            look.state.desired.topics.iter().find(|(resource, spec)| spec.name_in_kafka(resource) == name);
        let status = resource.and_then(|(resource, _)| look.status.topics.get(resource));
        let ready = status.and_then(|s| s.conditions.iter().find(|c| c.type_ == "Ready"));
        let config = there.map(|t| {
            t.config.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
        });
        object(json!({
            "name": name,
            "ready": ready.map_or_else(
                || there.is_some_and(|t| t.offline == 0 && t.under_replicated == 0),
                |c| c.status == "True",
            ),
            "partitions": there.map_or(0, |t| t.partitions),
            "replicationFactor": there.map_or(0, |t| t.replication_factor),
            "underReplicated": there.map_or(0, |t| t.under_replicated),
            "leaderless": there.map_or(0, |t| t.offline),
            "message": ready.map_or("not in a manifest", |c| c.message.as_str()),
            "resource": resource.map(|(resource, _)| resource),
            "id": there.map(|t| t.id.clone()),
            "config": config,
        }))
    };
    names.into_iter().map(row).collect()
}

fn members(look: &Look) -> Vec<Map<String, Value>> {
    let row = |member: &crate::up::state::MemberState| {
        let status = look.status.ensemble.members.iter().find(|m| m.id == member.id).cloned();
        let status = status.unwrap_or_default();
        object(json!({
            "id": member.id,
            "role": status.role,
            "state": status.state,
            "ready": status.ready,
            "zookeeper": member.zookeeper(),
            "kafka": member.kafka(),
            "partitions": status.partitions,
            "leaders": status.leaders,
            "pid": look.told.get(&member.id).map(|told| told.pid),
            "bytes": status.bytes,
            "version": status.version,
            "grpc": member.grpc(),
            "http": member.http(),
            "log": look.directory.log(member.id),
            "incarnation": status.incarnation,
        }))
    };
    look.state.members.iter().map(row).collect()
}
