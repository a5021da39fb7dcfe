//! What `up` says: lines for people, or one JSON object per line. The names of events and fields are a contract.
//!
//! Read first: [`Events`].

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use streamkeeper_operator::desired::Desired;
use streamkeeper_operator::ensemble::observed::Rebalance;

use super::directory::Directory;
use super::state::{MemberState, State};
use crate::terminal::{bytes, duration, is_interactive, say};

/// Where events go.
pub(super) struct Events {
    json: bool,
    /// The line that is drawn anew while something goes on; hidden off a terminal.
    line: ProgressBar,
}

impl Events {
    pub(super) fn new(json: bool) -> Self {
        let line = ProgressBar::new_spinner();
        if json || !is_interactive() {
            line.set_draw_target(ProgressDrawTarget::hidden());
        } else {
            line.set_draw_target(ProgressDrawTarget::stdout());
        }
        Self { json, line }
    }

    fn tell(&self, event: &Value, text: &str) {
        self.line.suspend(|| say(&if self.json { event.to_string() } else { text.to_owned() }));
    }

    /// What is waited for now, and what was before. Off a terminal each new wait is a line.
    pub(super) fn waiting(&self, waits: &[String], before: &[String]) {
        if self.json {
            return;
        }
        if self.line.is_hidden() {
            waits.iter().filter(|wait| !before.contains(wait)).for_each(|wait| say(&format!("  ... {wait}")));
            return;
        }
        match waits.first() {
            Some(first) => self.line.set_message(first.clone()),
            None if !before.is_empty() => self.line.set_message(""),
            None => {}
        }
        self.line.tick();
    }

    pub(super) fn ready(
        &self,
        state: &State,
        directory: &Directory,
        pids: &BTreeMap<i32, u32>,
        took: Duration,
    ) {
        let member = |m: &MemberState| {
            json!({
                "id": m.id,
                "pid": pids.get(&m.id),
                "zookeeper": m.zookeeper(),
                "kafka": m.kafka(),
                "grpc": m.grpc(),
                "http": m.http(),
                "log": directory.log(m.id),
            })
        };
        let members: Vec<Value> = state.members.iter().map(member).collect();
        let event = json!({
            "event": "ready",
            "ensemble": state.desired.name,
            "data": directory.path(),
            "members": members,
        });
        self.tell(&event, &ready_text(state, directory, took));
    }

    /// The ensemble is as it was asked for in a later `apply`.
    pub(super) fn ready_again(&self, state: &State, directory: &Directory, pids: &BTreeMap<i32, u32>) {
        if self.json {
            self.ready(state, directory, pids, Duration::ZERO);
        } else {
            let (name, members) = (&state.desired.name, state.members.len());
            self.line.suspend(|| say(&format!("Ensemble {name} is ready: {members} members")));
        }
    }

    pub(super) fn member_exited(&self, id: i32, status: &str, last_words: Option<&str>) {
        let event = json!({"event": "member-exited", "id": id, "status": status, "lastWords": last_words});
        let words = last_words.map(|words| format!(": {words}")).unwrap_or_default();
        self.tell(&event, &format!("member {id} ended ({status}) and is started again{words}"));
    }

    pub(super) fn member_started(&self, id: i32, pid: u32) {
        let event = json!({"event": "member-started", "id": id, "pid": pid});
        self.tell(&event, &format!("member {id} runs as process {pid}"));
    }

    pub(super) fn member_restarted(&self, id: i32, pid: u32) {
        let event = json!({"event": "member-started", "id": id, "pid": pid, "reason": "config-changed"});
        self.tell(&event, &format!("member {id} has the new configuration and runs as process {pid}"));
    }

    pub(super) fn member_stopped(&self, id: i32, retired: Option<&Path>) {
        let event = json!({"event": "member-stopped", "id": id, "retired": retired});
        let place = retired.map(|path| format!(" for good; its data is kept in {}", path.display()));
        self.tell(&event, &format!("member {id} is stopped{}", place.unwrap_or_default()));
    }

    pub(super) fn old_disk(&self, id: i32, kept: &Path) {
        let event = json!({"event": "old-disk", "id": id, "retired": kept});
        let place = kept.display();
        self.tell(&event, &format!("member {id} begins anew; data of an earlier one is kept in {place}"));
    }

    /// Something that people should know and scripts need not.
    pub(super) fn note(&self, text: &str) {
        if !self.json {
            self.line.suspend(|| say(&format!("note: {text}")));
        }
    }

    pub(super) fn step(&self, step: &str, why: &str) {
        let event = json!({"event": "step", "step": step, "reason": why});
        self.tell(&event, &format!("{step}: {why}"));
    }

    pub(super) fn rebalancing(&self, rebalance: &Rebalance) {
        let (most, least) = rebalance.replicas;
        let event = json!({
            "event": "rebalancing",
            "replicasMax": most,
            "replicasMin": least,
            "moving": rebalance.moving,
            "movesDone": rebalance.moves.0,
            "movesTotal": rebalance.moves.1,
            "bytesDone": rebalance.bytes.0,
            "bytesTotal": rebalance.bytes.1,
            "bytesPerSecond": rebalance.bytes_per_second,
            "estimatedEndMs": rebalance.estimated_end_ms,
        });
        let text = progress(rebalance);
        if self.json || self.line.is_hidden() {
            self.tell(&event, &format!("  ... {text}"));
        } else {
            let length = u64::try_from(rebalance.moves.1).unwrap_or(0);
            self.line.set_length(length);
            self.line.set_position(u64::try_from(rebalance.moves.0).unwrap_or(0));
            let style = ProgressStyle::with_template("[{bar:30}] {msg}");
            self.line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.line.set_message(text);
        }
    }

    pub(super) fn balanced(&self, rebalance: &Rebalance) {
        let (most, least) = rebalance.replicas;
        self.line.finish_and_clear();
        self.line.set_style(ProgressStyle::default_spinner());
        let event = json!({"event": "balanced", "replicasMax": most, "replicasMin": least});
        self.tell(&event, &format!("balanced: members hold {least} to {most} replicas"));
    }

    pub(super) fn applied(&self, desired: &Desired, generation: i64) {
        let event = json!({
            "event": "applied",
            "ensemble": desired.name,
            "topics": desired.topics.len(),
            "generation": generation,
        });
        let (replicas, topics) = (desired.ensemble.replicas, desired.topics.len());
        self.tell(&event, &format!("applied: {replicas} members, {topics} topics"));
    }

    pub(super) fn error(&self, message: &str) {
        let event = json!({"event": "error", "message": message});
        self.tell(&event, &format!("error: {message}"));
    }

    pub(super) fn stopping(&self) {
        self.line.finish_and_clear();
        if !self.json {
            say("stopping ...");
        }
    }
}

/// How far a rebalance is, with its speed and the time that is left where those are known.
pub(crate) fn progress(rebalance: &Rebalance) -> String {
    let (most, least) = rebalance.replicas;
    let mut text = format!(
        "rebalancing: {} of {} moves, {} of {}",
        rebalance.moves.0,
        rebalance.moves.1,
        bytes(rebalance.bytes.0),
        bytes(rebalance.bytes.1)
    );
    if rebalance.bytes_per_second > 0 {
        text += &format!(", {}/s", bytes(rebalance.bytes_per_second));
        let left = (rebalance.bytes.1 - rebalance.bytes.0).max(0);
        text += &format!(", {} left", duration(left.saturating_mul(1000) / rebalance.bytes_per_second));
    }
    text + &format!("; members hold {least} to {most} replicas")
}

fn ready_text(state: &State, directory: &Directory, took: Duration) -> String {
    let kafka: Vec<String> = state.members.iter().map(MemberState::kafka).collect();
    let zookeeper: Vec<String> = state.members.iter().map(MemberState::zookeeper).collect();
    let first = kafka.first().cloned().unwrap_or_default();
    let topics = state.desired.kafka_topics();
    let topic = topics.keys().next().map_or_else(|| "test".to_owned(), |name| (*name).to_owned());
    let ensemble = &state.desired.name;
    let members = state.members.len();
    let seconds = took.as_secs_f32();
    format!(
        "Ensemble {ensemble} is ready after {seconds:.1} s: {members} members, data in {}\n\
         \n  Kafka      {}\n  ZooKeeper  {}\n\
         \nTry:\n  echo hello | kcat -P -b {first} -t {topic}\n  kcat -C -b {first} -t {topic} -e\n\
         \x20 kafka-console-consumer --bootstrap-server {first} --topic {topic} --from-beginning\n\
         \x20 zkCli -server {}\n  streamkeeper get members\n\
         \nCtrl-C stops the members in order.",
        directory.path().display(),
        kafka.join(","),
        zookeeper.join(","),
        zookeeper.first().cloned().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_has_bytes_rate_and_time_left() {
        let mut rebalance =
            Rebalance { moves: (2, 8), bytes: (1024, 4096), replicas: (9, 4), ..Rebalance::default() };
        assert_eq!(
            progress(&rebalance),
            "rebalancing: 2 of 8 moves, 1.0 KiB of 4.0 KiB; members hold 4 to 9 replicas"
        );
        rebalance.bytes_per_second = 1024;
        assert_eq!(
            progress(&rebalance),
            "rebalancing: 2 of 8 moves, 1.0 KiB of 4.0 KiB, 1.0 KiB/s, 3.0 s left; members hold 4 to 9 replicas"
        );
    }
}
