//! The agents' processes: started, started again when they die, stopped in order. The local substrate of the plan.
//!
//! Read first: [`Processes`], [`Local`].

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use streamkeeper_node::config::{AgentConfig, CoordinationConfig, MemberAddress, RebalanceConfig};
use streamkeeper_operator::crd::RebalanceMode;
use streamkeeper_operator::ensemble::observed::Process;
use streamkeeper_operator::execute::{Substrate, SubstrateError};
use streamkeeper_operator::quantity;

use super::directory::Directory;
use super::events::Events;
use super::ports::HOST;
use super::state::{MemberState, State};

/// An agent that does not stop in this time is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
const STOP_LOOK: Duration = Duration::from_millis(10);
/// An agent that ran this long died of something else than its start.
const STARTED: Duration = Duration::from_secs(10);
/// Pauses before an agent that dies at its start is started again: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How much of a log's end is looked at for the last words of an agent.
const LAST_WORDS_BYTES: u64 = 4096;

/// For other processes: `get`, `describe`, `status`.
pub(crate) const FILE: &str = "processes.json";

/// A process as it is told to other processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) pid: u32,
    /// The configuration it was started with.
    pub(crate) revision: String,
}

/// A member that shall run.
struct Kept {
    /// `None` between its death and its new start.
    child: Option<Child>,
    revision: String,
    started: Instant,
    restart_at: Instant,
    /// Starts in a row that it did not survive.
    failures: u32,
}

/// The processes by member.
#[derive(Default)]
pub(super) struct Processes {
    kept: BTreeMap<i32, Kept>,
}

impl Processes {
    /// The substrate's facts for the plan.
    pub(super) fn facts(&self, state: &State, directory: &Directory) -> BTreeMap<i32, Process> {
        let wanted = state.desired.ensemble.revision();
        let fact = |member: &MemberState| {
            let kept = self.kept.get(&member.id);
            let process = Process {
                kept: true,
                runs: kept.is_some(),
                outdated: kept.is_some_and(|kept| kept.revision != wanted),
                lost: kept.is_none() && has_lost_its_disk(directory, member),
                leaving: member.leaving,
                name: kept.map(|kept| kept.name()).unwrap_or_default(),
                ..Process::default()
            };
            (member.id, process)
        };
        state.members.iter().map(fact).collect()
    }

    /// Process numbers by member.
    pub(super) fn pids(&self) -> BTreeMap<i32, u32> {
        self.kept.iter().filter_map(|(id, kept)| Some((*id, kept.child.as_ref()?.id()))).collect()
    }

    fn tell(&self, directory: &Directory) -> Result<()> {
        let told = |kept: &Kept| {
            kept.child.as_ref().map(|child| Told { pid: child.id(), revision: kept.revision.clone() })
        };
        let all: BTreeMap<i32, Told> =
            self.kept.iter().filter_map(|(id, kept)| Some((*id, told(kept)?))).collect();
        directory.write_lightly(FILE, &all)
    }

    /// Says which agents ended, and starts them again; soon the first time, then ever later while they die at their start.
    pub(super) fn look_after(&mut self, state: &State, directory: &Directory, events: &Events) -> Result<()> {
        let mut changed = false;
        for (id, kept) in &mut self.kept {
            let now = Instant::now();
            if let Some(child) = &mut kept.child {
                let Some(status) = child.try_wait()? else { continue };
                let survived = kept.started.elapsed() >= STARTED;
                kept.failures = if survived { 0 } else { kept.failures + 1 };
                kept.restart_at = now + pause(kept.failures);
                kept.child = None;
                let words = if status.success() { None } else { last_words(directory, *id) };
                events.member_exited(*id, &status.to_string(), words.as_deref());
                changed = true;
            }
            if kept.child.is_none() && now >= kept.restart_at {
                let child = spawn(state, directory, *id)?;
                events.member_started(*id, child.id());
                (kept.child, kept.started) = (Some(child), now);
                kept.revision = state.desired.ensemble.revision();
                changed = true;
            }
        }
        if changed { self.tell(directory) } else { Ok(()) }
    }

    /// Ends all, the quorum leader last: until then each can hand over what it leads.
    pub(super) async fn stop_all(&mut self, leader: Option<i32>) -> Result<()> {
        let mut order: Vec<i32> = self.kept.keys().rev().copied().collect();
        order.sort_by_key(|id| Some(*id) == leader);
        for id in order {
            self.stop(id).await?;
        }
        Ok(())
    }

    /// Ends one in good order.
    async fn stop(&mut self, id: i32) -> Result<()> {
        let Some(mut child) = self.kept.remove(&id).and_then(|kept| kept.child) else { return Ok(()) };
        // The agent stops in good order when its standard input ends.
        drop(child.stdin.take());
        let until = Instant::now() + STOP_PATIENCE;
        while child.try_wait()?.is_none() {
            if Instant::now() > until {
                child.kill()?;
            }
            tokio::time::sleep(STOP_LOOK).await;
        }
        Ok(())
    }

    fn start(&mut self, state: &State, directory: &Directory, id: i32) -> Result<u32> {
        let child = spawn(state, directory, id)?;
        let (pid, now) = (child.id(), Instant::now());
        let kept = Kept {
            child: Some(child),
            revision: state.desired.ensemble.revision(),
            started: now,
            restart_at: now,
            failures: 0,
        };
        self.kept.insert(id, kept);
        Ok(pid)
    }
}

impl Kept {
    fn name(&self) -> String {
        self.child.as_ref().map(|child| format!("process {}", child.id())).unwrap_or_default()
    }
}

fn has_lost_its_disk(directory: &Directory, member: &MemberState) -> bool {
    member.served && !directory.member(member.id).join("data").exists()
}

fn pause(failures: u32) -> Duration {
    let (first, longest) = PAUSES;
    match failures {
        0 => Duration::ZERO,
        n => first.saturating_mul(1 << (n - 1).min(8)).min(longest),
    }
}

/// The local substrate: processes, and places in the data directory.
pub(super) struct Local<'a> {
    pub(super) state: &'a mut State,
    pub(super) processes: &'a mut Processes,
    pub(super) directory: &'a Directory,
    pub(super) events: &'a Events,
}

impl Substrate for Local<'_> {
    async fn start(&mut self, member: i32) -> Result<(), SubstrateError> {
        match self.state.member(member) {
            None => self.make_places()?,
            // It joins like a new member: what it voted for as a founder it does not know any more.
            Some(place) if has_lost_its_disk(self.directory, place) => {
                self.state.founders.retain(|id| *id != member);
                self.state.save(self.directory)?;
            }
            Some(_) => {}
        }
        let pid = self.processes.start(self.state, self.directory, member)?;
        self.events.member_started(member, pid);
        Ok(self.processes.tell(self.directory)?)
    }

    async fn restart(&mut self, member: i32) -> Result<(), SubstrateError> {
        self.processes.stop(member).await?;
        let pid = self.processes.start(self.state, self.directory, member)?;
        self.events.member_restarted(member, pid);
        Ok(self.processes.tell(self.directory)?)
    }

    async fn stop(&mut self, member: i32) -> Result<(), SubstrateError> {
        self.processes.stop(member).await?;
        self.events.member_stopped(member, None);
        Ok(self.processes.tell(self.directory)?)
    }

    async fn mark_leaving(&mut self, member: i32) -> Result<(), SubstrateError> {
        self.state.members.iter_mut().filter(|m| m.id == member).for_each(|m| m.leaving = true);
        Ok(self.state.save(self.directory)?)
    }

    async fn retire(&mut self, member: i32) -> Result<(), SubstrateError> {
        self.processes.stop(member).await?;
        let kept = self.directory.retire(member)?;
        self.state.members.retain(|m| m.id != member);
        // Whoever gets this number next is no founder: it joins, with an empty disk.
        self.state.founders.retain(|id| *id != member);
        self.state.save(self.directory)?;
        self.events.member_stopped(member, kept.as_deref());
        Ok(self.processes.tell(self.directory)?)
    }
}

impl Local<'_> {
    /// All new members get their places together, so that each is told of the others. A disk that lies where a new member begins is
    /// another one's: it is put aside.
    fn make_places(&mut self) -> Result<()> {
        let places = self.state.places(self.state.desired.ensemble.replicas)?;
        for place in &places {
            if let Some(kept) = self.directory.retire(place.id)? {
                self.events.old_disk(place.id, &kept);
            }
        }
        self.state.members.extend(places);
        self.state.members.sort_by_key(|member| member.id);
        self.state.save(self.directory)
    }
}

fn spawn(state: &State, directory: &Directory, id: i32) -> Result<Child> {
    let place = directory.member(id);
    std::fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    let path = place.join("agent.yaml");
    // YAML holds JSON.
    let config = serde_json::to_string_pretty(&config(state, directory, id))?;
    std::fs::write(&path, config).with_context(|| path.display().to_string())?;
    let log_path = directory.log(id);
    let log = std::fs::File::options().create(true).append(true).open(&log_path);
    let log = log.with_context(|| log_path.display().to_string())?;
    Command::new(std::env::current_exe()?)
        .args(["agent", "--with-parent", "--config"])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("member {id} cannot be started"))
}

fn config(state: &State, directory: &Directory, id: i32) -> AgentConfig {
    let address = |m: &MemberState| MemberAddress {
        id: m.id,
        host: HOST.to_owned(),
        peer_port: m.ports.peer,
        zookeeper_port: m.ports.zookeeper,
        kafka_port: m.ports.kafka,
        grpc_port: m.ports.grpc,
        http_port: m.ports.http,
    };
    let ensemble = &state.desired.ensemble;
    let founder = state.founders.contains(&id);
    let spec = &ensemble.coordination;
    let defaults = CoordinationConfig::default();
    let positive = |value: i32| u64::try_from(value).unwrap_or(0);
    let speed = ensemble.rebalance.max_bytes_per_second.as_deref().and_then(quantity::bytes);
    let rebalance = RebalanceConfig::default();
    AgentConfig {
        cluster_id: state.cluster_id.clone(),
        member_id: id,
        data_dir: directory.member(id).join("data"),
        zone: String::new(),
        joining: !founder,
        bootstrap_voters: if founder { state.founders.clone() } else { Vec::new() },
        members: state.members.iter().filter(|m| !m.leaving).map(address).collect(),
        bind: HOST.to_owned(),
        coordination: CoordinationConfig {
            tick_time_ms: spec.tick_time_ms.map_or(defaults.tick_time_ms, positive),
            min_session_timeout_ms: spec.min_session_timeout_ms.map(positive),
            max_session_timeout_ms: spec.max_session_timeout_ms.map(positive),
            max_client_cnxns: spec
                .max_client_cnxns
                .map_or(defaults.max_client_cnxns, |n| u32::try_from(n).unwrap_or(0)),
            four_letter_words: spec.four_letter_words.clone().unwrap_or(defaults.four_letter_words),
        },
        broker: ensemble.broker.config.clone(),
        rebalance: RebalanceConfig {
            auto: ensemble.rebalance.mode == RebalanceMode::Auto,
            max_bytes_per_second: speed
                .and_then(|bytes| u64::try_from(bytes).ok())
                .unwrap_or(rebalance.max_bytes_per_second),
        },
        log_file: Some(directory.log(id)),
    }
}

/// The last line of an agent's log that says why it ended.
fn last_words(directory: &Directory, id: i32) -> Option<String> {
    let mut log = std::fs::File::open(directory.log(id)).ok()?;
    let length = log.metadata().ok()?.len();
    log.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS_BYTES))).ok()?;
    let mut end = Vec::new();
    log.read_to_end(&mut end).ok()?;
    let text = String::from_utf8_lossy(&end).into_owned();
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_dies_at_its_start_is_started_ever_later() {
        let pauses: Vec<u128> = (0..9).map(|n| pause(n).as_millis()).collect();
        assert_eq!(pauses, [0, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    }
}
