//! The agents' processes: started, watched, stopped in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use streamkeeper_node::config::{AgentConfig, CoordinationConfig, MemberAddress, RebalanceConfig};

use super::{State, member_dir};

/// An agent that does not stop in this time is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// An agent that dies at once is not started again faster than this.
const RESTART_PAUSE: Duration = Duration::from_millis(200);

/// The processes by member.
pub(crate) struct Agents {
    children: BTreeMap<i32, Child>,
    restart_at: BTreeMap<i32, Instant>,
}

/// An agent that ended and was started again.
pub(crate) struct Exited {
    pub(crate) id: i32,
    pub(crate) status: String,
    pub(crate) pid: u32,
}

impl Agents {
    pub(crate) fn start(state: &State, data: &Path) -> Result<Self> {
        let mut agents = Self { children: BTreeMap::new(), restart_at: BTreeMap::new() };
        for member in &state.members {
            agents.children.insert(member.id, spawn(state, data, member.id)?);
        }
        Ok(agents)
    }

    /// Starts the members that are new in the state.
    pub(crate) fn start_missing(&mut self, state: &State, data: &Path) -> Result<Vec<(i32, u32)>> {
        let mut started = Vec::new();
        for member in &state.members {
            if let std::collections::btree_map::Entry::Vacant(missing) = self.children.entry(member.id) {
                let child = missing.insert(spawn(state, data, member.id)?);
                started.push((member.id, child.id()));
            }
        }
        Ok(started)
    }

    pub(crate) fn pids(&self) -> BTreeMap<i32, u32> {
        self.children.iter().map(|(id, child)| (*id, child.id())).collect()
    }

    /// For `get members`, which is another process.
    pub(crate) fn write_pids(&self, data: &Path) -> Result<()> {
        std::fs::write(data.join("pids.json"), serde_json::to_string(&self.pids())?)?;
        Ok(())
    }

    pub(crate) fn restart_dead(&mut self, state: &State, data: &Path) -> Result<Vec<Exited>> {
        let mut exited = Vec::new();
        for (id, child) in &mut self.children {
            let Some(status) = child.try_wait()? else { continue };
            let now = Instant::now();
            if self.restart_at.get(id).is_some_and(|at| now < *at) {
                continue;
            }
            self.restart_at.insert(*id, now + RESTART_PAUSE);
            *child = spawn(state, data, *id)?;
            exited.push(Exited { id: *id, status: status.to_string(), pid: child.id() });
        }
        Ok(exited)
    }

    /// Followers first, one after the other: each hands over what it leads while the others can take it.
    pub(crate) async fn stop(mut self) -> Result<()> {
        for (_, mut child) in std::mem::take(&mut self.children) {
            // The agent stops in good order when its standard input ends.
            drop(child.stdin.take());
            let until = Instant::now() + STOP_PATIENCE;
            while child.try_wait()?.is_none() {
                if Instant::now() > until {
                    child.kill()?;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }
}

fn spawn(state: &State, data: &Path, id: i32) -> Result<Child> {
    let dir = member_dir(data, id);
    std::fs::create_dir_all(&dir)?;
    let path = dir.join("agent.yaml");
    // YAML holds JSON.
    std::fs::write(&path, serde_json::to_string_pretty(&config(state, data, id))?)?;
    let log = std::fs::File::options().create(true).append(true).open(dir.join("agent.log"))?;
    Command::new(std::env::current_exe()?)
        .args(["agent", "--with-parent", "--config"])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("member {id} cannot be started"))
}

fn config(state: &State, data: &Path, id: i32) -> AgentConfig {
    let address = |m: &super::MemberState| MemberAddress {
        id: m.id,
        host: "127.0.0.1".to_owned(),
        peer_port: m.ports.peer,
        zookeeper_port: m.ports.zookeeper,
        kafka_port: m.ports.kafka,
        grpc_port: m.ports.grpc,
        http_port: m.ports.http,
    };
    let ensemble = &state.desired.ensemble;
    AgentConfig {
        cluster_id: state.cluster_id.clone(),
        member_id: id,
        data_dir: member_dir(data, id).join("data"),
        zone: String::new(),
        joining: !state.voters.contains(&id),
        bootstrap_voters: if state.voters.contains(&id) { state.voters.clone() } else { Vec::new() },
        members: state.members.iter().map(address).collect(),
        bind: "127.0.0.1".to_owned(),
        coordination: CoordinationConfig {
            tick_time_ms: ensemble
                .coordination
                .tick_time_ms
                .map_or(2000, |ms| u64::try_from(ms).unwrap_or(2000)),
            ..CoordinationConfig::default()
        },
        broker: ensemble.broker.config.clone(),
        rebalance: RebalanceConfig::default(),
        log_file: Some(member_dir(data, id).join("agent.log")),
    }
}
