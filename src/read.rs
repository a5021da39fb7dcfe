//! The verbs that only look: `get` and `status`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use streamkeeper_node::admin::{self, Cluster};

use crate::What;
use crate::up::{MemberState, State, running};

/// Exit status of an ensemble that serves, but not with everything it should have.
const DEGRADED: u8 = 3;

/// Speaks to the user.
#[allow(clippy::print_stdout, reason = "the command line speaks to its user")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// One member as it stands.
struct Seen {
    state: MemberState,
    pid: Option<u32>,
    /// `leader`, `follower`, or why not.
    role: String,
    cluster: Option<Cluster>,
}

fn look(state: &State, data: &Path) -> Vec<Seen> {
    let pids: BTreeMap<i32, u32> = std::fs::read_to_string(data.join("pids.json"))
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let members = state.members.iter().map(|member| {
        let role = admin::four_letter_word(&member.zookeeper(), "srvr")
            .ok()
            .and_then(|answer| answer.lines().find_map(|l| l.strip_prefix("Mode: ").map(str::to_owned)))
            .unwrap_or_else(|| "not serving".to_owned());
        Seen {
            state: member.clone(),
            pid: pids.get(&member.id).copied(),
            role,
            cluster: admin::observe(&member.kafka()).ok(),
        }
    });
    members.collect()
}

/// Lists members, topics or the ensemble.
pub(crate) fn get(what: What, data: &Path, as_json: bool) -> Result<()> {
    let state = running(data)?;
    let seen = look(&state, data);
    let rows = match what {
        What::Members => members(&seen),
        What::Topics => topics(&seen)?,
        What::Ensembles => ensembles(&state, &seen),
    };
    if as_json {
        say(&serde_json::to_string(&rows)?);
    } else {
        table(&rows);
    }
    Ok(())
}

fn members(seen: &[Seen]) -> Vec<Value> {
    let cluster = seen.iter().find_map(|s| s.cluster.as_ref());
    let partitions = || cluster.into_iter().flat_map(|c| c.topics.values().flat_map(|t| &t.partitions));
    seen.iter()
        .map(|s| {
            let id = s.state.id;
            json!({
                "id": id,
                "pid": s.pid,
                "role": s.role,
                "zookeeper": s.state.zookeeper(),
                "kafka": s.state.kafka(),
                "partitions": partitions().filter(|p| p.replicas.contains(&id)).count(),
                "leaders": partitions().filter(|p| p.leader == id).count(),
            })
        })
        .collect()
}

fn topics(seen: &[Seen]) -> Result<Vec<Value>> {
    let cluster = seen.iter().find_map(|s| s.cluster.as_ref()).ok_or_else(|| anyhow!("no member answers"))?;
    let row = |(name, topic): (&String, &admin::Topic)| {
        json!({
            "name": name,
            "partitions": topic.partitions.len(),
            "replicationFactor": topic.partitions.first().map_or(0, |p| p.replicas.len()),
            "underReplicated": topic.partitions.iter().filter(|p| p.isr.len() < p.replicas.len()).count(),
            "leaderless": topic.partitions.iter().filter(|p| p.leader < 0).count(),
        })
    };
    Ok(cluster.topics.iter().map(row).collect())
}

fn ensembles(state: &State, seen: &[Seen]) -> Vec<Value> {
    let serving = seen.iter().filter(|s| s.role != "not serving").count();
    let ids: Vec<i32> = state.members.iter().map(|m| m.id).collect();
    let cluster = seen.iter().find_map(|s| s.cluster.as_ref());
    let (most, least) = cluster.map_or((0, 0), |c| c.fullest_and_emptiest(&ids));
    let leader = seen.iter().find(|s| s.role == "leader" || s.role == "standalone").map(|s| s.state.id);
    vec![json!({
        "name": state.desired.name,
        "ready": serving == state.members.len(),
        "members": format!("{serving}/{}", state.members.len()),
        "leader": leader,
        "balanced": most <= least + 1,
        "replicasMax": most,
        "replicasMin": least,
    })]
}

fn table(rows: &[Value]) {
    let Some(Value::Object(first)) = rows.first() else { return say("nothing") };
    let columns: Vec<&String> = first.keys().collect();
    let text = |row: &Value, column: &str| match &row[column] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let width = |c: &str| rows.iter().map(|r| text(r, c).len()).max().unwrap_or(0).max(c.len());
    let line = |cells: Vec<(String, usize)>| {
        let padded: Vec<String> = cells.into_iter().map(|(cell, width)| format!("{cell:width$}")).collect();
        say(padded.join("  ").trim_end());
    };
    line(columns.iter().map(|c| (c.to_uppercase(), width(c))).collect());
    for row in rows {
        line(columns.iter().map(|c| (text(row, c), width(c))).collect());
    }
}

/// One word, then the reasons.
pub(crate) fn status(data: &Path) -> Result<ExitCode> {
    let state = running(data)?;
    let seen = look(&state, data);
    let silent: Vec<i32> = seen.iter().filter(|s| s.role == "not serving").map(|s| s.state.id).collect();
    let cluster = seen.iter().find_map(|s| s.cluster.as_ref());
    let partitions = || cluster.into_iter().flat_map(|c| c.topics.values().flat_map(|t| &t.partitions));
    let leaderless = partitions().filter(|p| p.leader < 0).count();
    let under = partitions().filter(|p| p.isr.len() < p.replicas.len()).count();
    let mut reasons = Vec::new();
    if !silent.is_empty() {
        reasons.push(format!("members not serving: {silent:?}; see their logs under {}", data.display()));
    }
    if leaderless > 0 {
        reasons.push(format!("{leaderless} partitions have no leader"));
    }
    if under > 0 {
        reasons.push(format!("{under} partitions have replicas out of sync"));
    }
    let (word, code) = if cluster.is_none() || silent.len() * 2 >= seen.len() || leaderless > 0 {
        ("failed", ExitCode::FAILURE)
    } else if reasons.is_empty() {
        ("healthy", ExitCode::SUCCESS)
    } else {
        ("degraded", ExitCode::from(DEGRADED))
    };
    say(word);
    reasons.iter().for_each(|reason| say(&format!("  {reason}")));
    Ok(code)
}
