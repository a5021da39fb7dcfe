//! What `up` says: lines for people, or one JSON object per line. The names of the fields are a contract.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use streamkeeper_operator::desired::Desired;

use super::{State, member_dir};
use crate::read::say;

/// Where events go.
pub(super) struct Events {
    json: bool,
}

impl Events {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    fn tell(&self, event: &Value, text: &str) {
        say(&if self.json { event.to_string() } else { text.to_owned() });
    }

    pub(super) fn waiting(&self, what: &str) {
        if !self.json {
            say(&format!("  ... {what}"));
        }
    }

    pub(super) fn ready(&self, state: &State, data: &Path, pids: &BTreeMap<i32, u32>, took: Duration) {
        let members: Vec<Value> = state
            .members
            .iter()
            .map(|m| {
                json!({
                    "id": m.id,
                    "pid": pids.get(&m.id),
                    "zookeeper": m.zookeeper(),
                    "kafka": m.kafka(),
                    "log": member_dir(data, m.id).join("agent.log"),
                })
            })
            .collect();
        let event =
            json!({"event": "ready", "ensemble": state.desired.name, "data": data, "members": members});
        self.tell(&event, &ready_text(state, data, took));
    }

    pub(super) fn member_exited(&self, id: i32, status: &str) {
        let event = json!({"event": "member-exited", "id": id, "status": status});
        self.tell(&event, &format!("member {id} ended ({status}); it is started again"));
    }

    pub(super) fn member_started(&self, id: i32, pid: u32) {
        let event = json!({"event": "member-started", "id": id, "pid": pid});
        self.tell(&event, &format!("member {id} runs as process {pid}"));
    }

    pub(super) fn rebalancing(&self, replicas_max: usize, replicas_min: usize, moving: usize) {
        let event = json!({
            "event": "rebalancing",
            "replicasMax": replicas_max,
            "replicasMin": replicas_min,
            "moving": moving,
        });
        let text = format!(
            "  ... rebalancing: {moving} partitions move; members hold {replicas_min} to {replicas_max} replicas"
        );
        self.tell(&event, &text);
    }

    pub(super) fn balanced(&self) {
        self.tell(&json!({"event": "balanced"}), "balanced");
    }

    pub(super) fn applied(&self, desired: &Desired) {
        let event = json!({"event": "applied", "ensemble": desired.name, "topics": desired.topics.len()});
        self.tell(&event, &format!("applied: {} topics", desired.topics.len()));
    }

    pub(super) fn error(&self, message: &str) {
        let event = json!({"event": "error", "message": message});
        self.tell(&event, &format!("error: {message}"));
    }

    pub(super) fn stopping(&self) {
        if !self.json {
            say("stopping ...");
        }
    }
}

fn ready_text(state: &State, data: &Path, took: Duration) -> String {
    let kafka: Vec<String> = state.members.iter().map(super::MemberState::kafka).collect();
    let zookeeper: Vec<String> = state.members.iter().map(super::MemberState::zookeeper).collect();
    let first = kafka.first().cloned().unwrap_or_default();
    let topic = state
        .desired
        .kafka_topics()
        .keys()
        .next()
        .map(|name| (*name).to_owned())
        .unwrap_or_else(|| "test".to_owned());
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
        data.display(),
        kafka.join(","),
        zookeeper.join(","),
        zookeeper.first().cloned().unwrap_or_default(),
    )
}
