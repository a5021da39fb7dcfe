//! `describe`: everything about one ensemble or topic, for people, or as the resource with its status.
//!
//! Read first: [`describe`].

use std::path::Path;

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};
use streamkeeper_operator::crd::API_VERSION;

use crate::look::{Look, wait_for};
use crate::terminal::{bytes, cell, say, table};

/// What `describe` describes.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Described {
    /// The ensemble.
    Ensemble,
    /// A topic.
    Topic,
}

/// How it is shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// The resource with its status.
    Json,
    /// The resource with its status.
    Yaml,
}

/// Describes an ensemble or a topic, by the name of its resource or, a topic, by its name in Kafka.
///
/// # Errors
/// No `up` runs there, or it has nothing of that name.
pub(crate) fn describe(what: Described, name: &str, data: &Path, form: Form) -> Result<()> {
    wait_for(async {
        let look = Look::at(data).await?;
        match what {
            Described::Ensemble if look.state.desired.name != name => {
                bail!("there is no ensemble {name}; there is {}", look.state.desired.name)
            }
            Described::Ensemble => ensemble(&look, form),
            Described::Topic => topic(&look, name, form).await,
        }
    })
}

fn resource(kind: &str, name: &str, generation: i64, spec: Value, status: Value) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "generation": generation},
        "spec": spec,
        "status": status,
    })
}

fn print(value: &Value, form: Form) -> Result<()> {
    match form {
        Form::Json => say(&serde_json::to_string_pretty(value)?),
        Form::Yaml | Form::Text => say(serde_saphyr::to_string(value)?.trim_end()),
    }
    Ok(())
}

fn ensemble(look: &Look, form: Form) -> Result<()> {
    let desired = &look.state.desired;
    let (spec, status) =
        (serde_json::to_value(&desired.ensemble)?, serde_json::to_value(&look.status.ensemble)?);
    if form != Form::Text {
        return print(&resource("Ensemble", &desired.name, look.state.generation, spec, status), form);
    }
    let quorum = look.status.ensemble.quorum.clone().unwrap_or_default();
    let endpoints = look.status.ensemble.endpoints.clone().unwrap_or_default();
    let rebalance = look.status.ensemble.rebalance.clone().unwrap_or_default();
    fields(&[
        ("Name", desired.name.clone()),
        ("Data", look.directory.path().display().to_string()),
        ("Members", look.status.ensemble.members_ready.clone().unwrap_or_default()),
        ("Voters", desired.ensemble.voters().to_string()),
        ("Leader", quorum.leader.map_or_else(|| "none".to_owned(), |id| id.to_string())),
        ("Epoch", quorum.epoch.to_string()),
        ("Zxid", quorum.zxid),
        ("Margin", format!("{} more voters may fail", quorum.margin.max(0))),
        ("ZooKeeper", endpoints.zookeeper),
        ("Kafka", endpoints.kafka),
        (
            "Rebalance",
            format!(
                "{}, {} of {} moves, {} of {}",
                rebalance.state,
                rebalance.moves_done,
                rebalance.moves_total,
                bytes(rebalance.bytes_done),
                bytes(rebalance.bytes_total)
            ),
        ),
    ]);
    conditions(&status);
    section("Members");
    let member = |m: &streamkeeper_operator::crd::MemberStatus| {
        let log = look.directory.log(m.id).display().to_string();
        let numbers = [m.partitions.to_string(), m.leaders.to_string(), bytes(m.bytes)];
        let [partitions, leaders, size] = numbers;
        let process = m.pod.clone().unwrap_or_else(|| "-".to_owned());
        vec![m.id.to_string(), m.role.clone(), m.state.clone(), partitions, leaders, size, process, log]
    };
    let rows: Vec<Vec<String>> = look.status.ensemble.members.iter().map(member).collect();
    table(&["id", "role", "state", "partitions", "leaders", "bytes", "process", "log"], &rows);
    waiting(look);
    section("Specification");
    say(serde_saphyr::to_string(&spec)?.trim_end());
    Ok(())
}

async fn topic(look: &Look, name: &str, form: Form) -> Result<()> {
    let desired = &look.state.desired;
    let wanted = desired
        .topics
        .iter()
        .find(|(resource, spec)| *resource == name || spec.name_in_kafka(resource) == name);
    let in_kafka = wanted.map_or(name, |(resource, spec)| spec.name_in_kafka(resource));
    let there = look.agents.topic(in_kafka).await?;
    if wanted.is_none() && there.is_none() {
        bail!("there is no topic {name}; see `streamkeeper get topics`");
    }
    let status = wanted.and_then(|(resource, _)| look.status.topics.get(resource));
    let status = serde_json::to_value(status)?;
    let spec = serde_json::to_value(wanted.map(|(_, spec)| spec))?;
    if form != Form::Text {
        let resource_name = wanted.map_or(name, |(resource, _)| resource);
        return print(&resource("Topic", resource_name, look.state.generation, spec, status), form);
    }
    let there = there.unwrap_or_default();
    let config: Vec<String> = there.configs.iter().map(|(key, value)| format!("{key}={value}")).collect();
    fields(&[
        ("Name", in_kafka.to_owned()),
        ("Resource", wanted.map_or_else(|| "none: not in a manifest".to_owned(), |(r, _)| r.clone())),
        ("Ensemble", desired.name.clone()),
        ("Id", there.id.clone()),
        ("Partitions", there.partition_count.to_string()),
        ("Replication factor", there.replication_factor.to_string()),
        ("Under-replicated", there.under_replicated.to_string()),
        ("Without leader", there.offline.to_string()),
        ("Bytes", there.bytes.map_or_else(|| "not known yet".to_owned(), bytes)),
        ("Config", if config.is_empty() { "defaults".to_owned() } else { config.join(", ") }),
    ]);
    conditions(&status);
    section("Partitions");
    let ids = |ids: &[i32]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let row = |p: &streamkeeper_operator::agents::Partition| {
        vec![
            p.partition.to_string(),
            p.leader.map_or_else(|| "none".to_owned(), |id| id.to_string()),
            p.leader_epoch.to_string(),
            ids(&p.replicas),
            ids(&p.in_sync),
            p.bytes.map_or_else(|| "-".to_owned(), bytes),
        ]
    };
    let rows: Vec<Vec<String>> = there.partitions.iter().map(row).collect();
    table(&["partition", "leader", "epoch", "replicas", "in sync", "bytes"], &rows);
    Ok(())
}

fn fields(fields: &[(&str, String)]) {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
    for (name, value) in fields {
        say(format!("{:width$}  {value}", format!("{name}:")).trim_end());
    }
}

fn section(name: &str) {
    say("");
    say(&format!("{name}:"));
}

fn conditions(status: &Value) {
    section("Conditions");
    let columns = ["type", "status", "reason", "lastTransitionTime", "message"];
    let row = |condition: &Value| columns.iter().map(|column| cell(&condition[*column])).collect();
    let rows: Vec<Vec<String>> =
        status["conditions"].as_array().map(|list| list.iter().map(row).collect()).unwrap_or_default();
    table(&["type", "status", "reason", "since", "message"], &rows);
}

fn waiting(look: &Look) {
    let steps = look.plan.steps.iter().map(|p| format!("{} ({})", p.step, p.why));
    let waits =
        look.status.ensemble.waiting.iter().map(|w| format!("{}: {} (since {})", w.who, w.what, w.since));
    let all: Vec<String> = steps.chain(waits).collect();
    if !all.is_empty() {
        section("Under way");
        all.iter().for_each(|line| say(&format!("  {line}")));
    }
}
