//! `apply` and `delete`: changes of what a running `up` shall be.
//!
//! A change is judged here, as the API server would, and left for `up` in the data directory; `up` takes it and works towards it.
//! Read first: [`apply`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::Value;
use streamkeeper_operator::agents::Agents;
use streamkeeper_operator::desired::Desired;
use streamkeeper_operator::ensemble::plan::plan;

use crate::look::{Look, running, wait_for};
use crate::status_file::{self, StatusFile};
use crate::terminal::{note, say};
use crate::up::directory::Directory;
use crate::up::state::hand_over;

/// How long `up` may take to notice a change: it may be in the middle of a restart.
const TAKE: Duration = Duration::from_secs(30);
/// How often `--wait` looks.
const LOOK: Duration = Duration::from_millis(100);

/// How far `apply` goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Say what would change, and change nothing.
    pub(crate) dry_run: bool,
    /// Wait until it is done.
    pub(crate) wait: bool,
    /// How long at most.
    pub(crate) timeout: Duration,
}

/// Changes what the running `up` shall be.
///
/// # Errors
/// No `up` runs there, a port of a new member is in use, or with `wait` it does not come to its end.
pub(crate) fn apply(files: &[PathBuf], data: &Path, options: Options) -> Result<ExitCode> {
    let (directory, _) = running(data)?;
    let asked = {
        let _lock = directory.take_for_change(TAKE)?;
        let (_, state) = running(data)?;
        let desired = match crate::desired(files, Some(&state.desired)) {
            Ok(desired) => desired,
            Err(status) => return Ok(status),
        };
        // What cannot be had is said before anything is changed.
        state.places(desired.ensemble.replicas)?;
        changes(&state.desired, &desired, options.dry_run).iter().for_each(|change| say(change));
        if options.dry_run {
            return next_steps(data, &desired).map(|()| ExitCode::SUCCESS);
        }
        hand_over(&directory, &desired, TAKE)?
    };
    if options.wait { wait_done(&directory, asked, options.timeout) } else { Ok(ExitCode::SUCCESS) }
}

/// One line per resource that changes, and one per field.
fn changes(before: &Desired, after: &Desired, dry_run: bool) -> Vec<String> {
    let mut lines = resource("ensemble", &after.name, Some(&before.ensemble), &after.ensemble, dry_run);
    for (name, topic) in &after.topics {
        lines.extend(resource("topic", name, before.topics.get(name), topic, dry_run));
    }
    if lines.is_empty() {
        lines.push("unchanged".to_owned());
    }
    lines
}

fn resource<T: Serialize>(kind: &str, name: &str, old: Option<&T>, new: &T, dry_run: bool) -> Vec<String> {
    let json = |spec: &T| serde_json::to_value(spec).unwrap_or_default();
    let mut lines = Vec::new();
    if let Some(old) = old {
        difference("spec", &json(old), &json(new), &mut lines);
    }
    let word = match old {
        None => "created",
        Some(_) if lines.is_empty() => return lines,
        Some(_) => "configured",
    };
    let suffix = if dry_run { " (dry run)" } else { "" };
    lines.insert(0, format!("{kind}/{name} {word}{suffix}"));
    lines
}

fn difference(path: &str, old: &Value, new: &Value, lines: &mut Vec<String>) {
    if let (Value::Object(old), Value::Object(new)) = (old, new) {
        let keys: BTreeMap<&String, ()> = old.keys().chain(new.keys()).map(|key| (key, ())).collect();
        for key in keys.keys() {
            let (old, new) = (old.get(*key), new.get(*key));
            if old != new {
                let below = format!("{path}.{key}");
                difference(&below, old.unwrap_or(&Value::Null), new.unwrap_or(&Value::Null), lines);
            }
        }
    } else if old != new {
        let shown = |value: &Value| if value.is_null() { "unset".to_owned() } else { value.to_string() };
        lines.push(format!("  {path}: {} -> {}", shown(old), shown(new)));
    }
}

/// What `up` would do first.
fn next_steps(data: &Path, desired: &Desired) -> Result<()> {
    let look = wait_for(Look::at(data))?;
    let planned = plan(desired, &look.observed);
    for step in &planned.steps {
        say(&format!("next: {} ({})", step.step, step.why));
    }
    planned.waits.iter().for_each(|wait| say(&format!("waits: {wait}")));
    Ok(())
}

/// Waits until what was applied is there, members serve, and replicas lie even.
fn wait_done(directory: &Directory, asked: u64, timeout: Duration) -> Result<ExitCode> {
    let until = Instant::now() + timeout;
    let mut said = String::new();
    loop {
        directory.check_running()?;
        let status: StatusFile = directory.read(status_file::FILE)?.unwrap_or_default();
        let current = status.asked >= asked;
        if current && status.holds("Stalled") {
            bail!("cannot be done: {}", status.message("Stalled"));
        }
        if current && status.is_settled() {
            say(&format!("done: {}; {}", status.message("Ready"), status.message("Balanced")));
            return Ok(ExitCode::SUCCESS);
        }
        let pending = status.message("Progressing");
        if current && pending != said {
            note(&format!("  ... {pending}"));
            said = pending;
        }
        if Instant::now() > until {
            bail!(
                "not done within {} s: {said}; it goes on, see `streamkeeper describe ensemble`",
                timeout.as_secs()
            );
        }
        std::thread::sleep(LOOK);
    }
}

/// Deletes a topic and its data, and forgets that it was wanted.
///
/// # Errors
/// No `up` runs there, there is no such topic, or the agents refuse.
pub(crate) fn delete_topic(data: &Path, name: &str, dry_run: bool) -> Result<()> {
    let (directory, _) = running(data)?;
    let _lock = directory.take_for_change(TAKE)?;
    wait_for(async {
        let look = Look::at(data).await?;
        let mut desired = look.state.desired.clone();
        let wanted = desired.topics.len();
        desired.topics.retain(|resource, topic| resource != name && topic.name_in_kafka(resource) != name);
        let in_kafka = look.state.desired.topics.get(name).map_or(name, |topic| topic.name_in_kafka(name));
        let there = look.observed.topics.get(in_kafka).map(|topic| topic.id.clone());
        if there.is_none() && desired.topics.len() == wanted {
            bail!("there is no topic {name}; see `streamkeeper get topics`");
        }
        if dry_run {
            say(&format!("topic {in_kafka} would be deleted with its data (dry run)"));
            return Ok(());
        }
        if desired.topics.len() < wanted {
            // The running `up` must forget the topic before it is gone, or it would make it anew.
            hand_over(&directory, &desired, TAKE)?;
        }
        look.agents.delete_topic(in_kafka, &there.unwrap_or_default()).await?;
        say(&format!("topic {in_kafka} deleted"));
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_said_field_by_field() {
        let text = |replicas: i32, retention: &str| {
            format!(
                "apiVersion: streamkeeper.dev/v1alpha1\nkind: Ensemble\nmetadata: {{name: main}}\nspec: {{replicas: {replicas}}}\n---\n\
                 apiVersion: streamkeeper.dev/v1alpha1\nkind: Topic\nmetadata: {{name: t}}\n\
                 spec: {{ensembleRef: {{name: main}}, partitions: 1, replicationFactor: 1, config: {{{retention}}}}}\n"
            )
        };
        let read = |text: String| {
            streamkeeper_operator::manifest::parse(&[("m.yaml".into(), text)], None).expect("a manifest")
        };
        let (before, mut after) = (read(text(3, "retention.ms: '1'")), read(text(5, "")));
        after.topics.insert("new".to_owned(), after.topics["t"].clone());
        assert_eq!(
            changes(&before, &after, false),
            [
                "ensemble/main configured",
                "  spec.replicas: 3 -> 5",
                "topic/new created",
                "topic/t configured",
                "  spec.config.retention.ms: \"1\" -> unset"
            ]
        );
        assert_eq!(changes(&before, &before, true), ["unchanged"]);
        assert_eq!(changes(&before, &after, true)[0], "ensemble/main configured (dry run)");
    }
}
