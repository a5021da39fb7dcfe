//! `describe`: everything about one ensemble or topic, for people, or as the resource with its status.
//!
//! Read first: [`describe`].

use std::path::Path;

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};
use streamkeeper_operator::crd::{API_VERSION, EnsembleStatus, MemberStatus, WaitStatus};

use crate::look::{Look, wait_for};
use crate::page::Page;
use crate::terminal::{bytes, cell, say};

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

/// Prints a resource as it is, for programs.
pub(crate) fn print(value: &Value, form: Form) -> Result<()> {
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
    let mut page = Page::default();
    let place = ("Data", look.directory.path().display().to_string());
    page.fields(&ensemble_fields(&desired.name, place, desired.ensemble.voters(), &look.status.ensemble));
    conditions(&mut page, &status);
    page.section("Members");
    let log = |id| look.directory.log(id).display().to_string();
    members(&mut page, &look.status.ensemble.members, ["process", "log"], |m| [name_of(m), log(m.id)]);
    waiting(&mut page, look);
    page.section("Specification");
    page.line(&serde_saphyr::to_string(&spec)?);
    say(page.text());
    Ok(())
}

/// The facts about an ensemble; `place` is where it lives.
pub(crate) fn ensemble_fields(
    name: &str,
    place: (&'static str, String),
    voters: i32,
    status: &EnsembleStatus,
) -> Vec<(&'static str, String)> {
    let quorum = status.quorum.clone().unwrap_or_default();
    let endpoints = status.endpoints.clone().unwrap_or_default();
    let rebalance = status.rebalance.clone().unwrap_or_default();
    let moves = format!(
        "{}, {} of {} moves, {} of {}",
        rebalance.state,
        rebalance.moves_done,
        rebalance.moves_total,
        bytes(rebalance.bytes_done),
        bytes(rebalance.bytes_total)
    );
    vec![
        ("Name", name.to_owned()),
        place,
        ("Members", status.members_ready.clone().unwrap_or_default()),
        ("Voters", voters.to_string()),
        ("Leader", quorum.leader.map_or_else(|| "none".to_owned(), |id| id.to_string())),
        ("Epoch", quorum.epoch.to_string()),
        ("Zxid", quorum.zxid),
        ("Margin", format!("{} more voters may fail", quorum.margin.max(0))),
        ("ZooKeeper", endpoints.zookeeper),
        ("Kafka", endpoints.kafka),
        ("Rebalance", moves),
    ]
}

/// A table of the members; the last two columns are the caller's.
pub(crate) fn members(
    page: &mut Page,
    members: &[MemberStatus],
    last: [&str; 2],
    more: impl Fn(&MemberStatus) -> [String; 2],
) {
    let row = |m: &MemberStatus| {
        let numbers = [m.partitions.to_string(), m.leaders.to_string(), bytes(m.bytes)];
        let known = [m.id.to_string(), m.role.clone(), m.state.clone()];
        known.into_iter().chain(numbers).chain(more(m)).collect()
    };
    let rows: Vec<Vec<String>> = members.iter().map(row).collect();
    let columns = ["id", "role", "state", "partitions", "leaders", "bytes", last[0], last[1]];
    page.table(&columns, &rows);
}

/// What a member runs as: its pod or process.
pub(crate) fn name_of(member: &MemberStatus) -> String {
    member.pod.clone().unwrap_or_else(|| "-".to_owned())
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
    let mut page = Page::default();
    page.fields(&[
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
    conditions(&mut page, &status);
    page.section("Partitions");
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
    page.table(&["partition", "leader", "epoch", "replicas", "in sync", "bytes"], &rows);
    say(page.text());
    Ok(())
}

/// A table of the conditions in a status.
pub(crate) fn conditions(page: &mut Page, status: &Value) {
    page.section("Conditions");
    let columns = ["type", "status", "reason", "lastTransitionTime", "message"];
    let row = |condition: &Value| columns.iter().map(|column| cell(&condition[*column])).collect();
    let rows: Vec<Vec<String>> =
        status["conditions"].as_array().map(|list| list.iter().map(row).collect()).unwrap_or_default();
    page.table(&["type", "status", "reason", "since", "message"], &rows);
}

fn waiting(page: &mut Page, look: &Look) {
    let steps = look.plan.steps.iter().map(|p| format!("{} ({})", p.step, p.why));
    let all: Vec<String> = steps.chain(look.status.ensemble.waiting.iter().map(wait)).collect();
    under_way(page, &all);
}

/// What is under way, if anything is.
pub(crate) fn under_way(page: &mut Page, lines: &[String]) {
    if !lines.is_empty() {
        page.section("Under way");
        lines.iter().for_each(|line| page.line(&format!("  {line}")));
    }
}

/// A wait in one line.
pub(crate) fn wait(wait: &WaitStatus) -> String {
    format!("{}: {} (since {})", wait.who, wait.what, wait.since)
}
