//! What `up` remembers in its data directory: the cluster's id, what is wanted, each member's ports.
//!
//! Read first: [`State`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use streamkeeper_operator::desired::Desired;

use super::directory::Directory;
use super::ports::{self, FreePorts, HOST, Ports};

/// The form of `ensemble.json`; another one is not guessed at.
const FORMAT: u32 = 2;
const FILE: &str = "ensemble.json";
const CHANGE: &str = "apply.json";

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberState {
    pub(crate) id: i32,
    pub(crate) ports: Ports,
    /// It was decided that the member leaves for good.
    pub(crate) leaving: bool,
    /// It served once: from then on a member without its disk is one that lost it.
    pub(crate) served: bool,
}

impl MemberState {
    pub(crate) fn kafka(&self) -> String {
        format!("{HOST}:{}", self.ports.kafka)
    }

    pub(crate) fn zookeeper(&self) -> String {
        format!("{HOST}:{}", self.ports.zookeeper)
    }

    pub(crate) fn grpc(&self) -> String {
        format!("{HOST}:{}", self.ports.grpc)
    }

    pub(crate) fn http(&self) -> String {
        format!("{HOST}:{}", self.ports.http)
    }
}

/// What is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    format: u32,
    pub(crate) cluster_id: String,
    /// Grows with every change of what is wanted.
    pub(crate) generation: i64,
    /// How often something was asked for while `up` ran, the same as before included.
    #[serde(default)]
    pub(crate) asked: u64,
    /// Ports are taken as they are free, not fixed.
    any_port: bool,
    pub(crate) desired: Desired,
    /// The members that the ensemble began with and that have their first disk still; all others joined it.
    pub(crate) founders: Vec<i32>,
    /// By number.
    pub(crate) members: Vec<MemberState>,
}

impl State {
    /// What was remembered; `None` in a new directory.
    ///
    /// # Errors
    /// The file is of another format, or cannot be read.
    pub(crate) fn load(directory: &Directory) -> Result<Option<Self>> {
        let path = directory.file(FILE);
        let next = "use another --data, or move this one away";
        let broken = || format!("{}: is not an ensemble; {next}", path.display());
        let Some(value) = directory.read::<serde_json::Value>(FILE).with_context(broken)? else {
            return Ok(None);
        };
        let format = value["format"].as_u64().unwrap_or(1);
        if format != u64::from(FORMAT) {
            bail!(
                "{}: has format {format}, this version reads {FORMAT}; {next}, or go on with the version that made it",
                path.display()
            );
        }
        serde_json::from_value(value).map(Some).with_context(broken)
    }

    /// The ensemble of before with what is wanted now, or a new one.
    ///
    /// # Errors
    /// A port is in use.
    pub(crate) fn with(before: Option<Self>, desired: Desired, any_port: bool) -> Result<Self> {
        let mut state = match before {
            Some(state) if state.desired == desired => state,
            Some(state) => Self { generation: state.generation + 1, desired, ..state },
            None => Self {
                format: FORMAT,
                cluster_id: uuid::Uuid::new_v4().simple().to_string(),
                generation: 1,
                asked: 0,
                any_port,
                founders: (0..desired.ensemble.voters()).collect(),
                desired,
                members: Vec::new(),
            },
        };
        for member in state.members.iter().filter(|_| !state.desired.ensemble.suspended) {
            ports::check(member.id, member.ports)?;
        }
        if state.members.is_empty() {
            state.members = state.places(state.desired.ensemble.replicas)?;
        }
        Ok(state)
    }

    /// Places for those of `replicas` members that have none, on ports like those of the others.
    ///
    /// # Errors
    /// A port is in use.
    pub(crate) fn places(&self, replicas: i32) -> Result<Vec<MemberState>> {
        let mut free = FreePorts::new();
        let missing = (0..replicas).filter(|id| self.member(*id).is_none());
        let place = |id: i32| {
            let ports = if self.any_port { free.ports()? } else { Ports::fixed(id)? };
            ports::check(id, ports)?;
            Ok(MemberState { id, ports, leaving: false, served: false })
        };
        missing.map(place).collect()
    }

    pub(crate) fn member(&self, id: i32) -> Option<&MemberState> {
        self.members.iter().find(|member| member.id == id)
    }

    /// Where each agent's gRPC is.
    pub(crate) fn addresses(&self) -> BTreeMap<i32, String> {
        self.members.iter().map(|member| (member.id, member.grpc())).collect()
    }

    /// Remembers who served; true if that is news.
    pub(crate) fn note_served(&mut self, ready: &[i32]) -> bool {
        let news = self.members.iter_mut().filter(|m| !m.served && ready.contains(&m.id));
        news.map(|member| member.served = true).count() > 0
    }

    pub(crate) fn save(&self, directory: &Directory) -> Result<()> {
        directory.write(FILE, self)
    }

    /// What `apply` left for the running `up`, if it left something: the state with it, saved.
    pub(crate) fn take_change(&self, directory: &Directory) -> Result<Option<Self>> {
        let path = directory.file(CHANGE);
        if !path.exists() {
            return Ok(None);
        }
        let mut changed = Self { asked: self.asked + 1, ..self.clone() };
        if let Some(desired) = directory.read(CHANGE)?.filter(|desired| *desired != self.desired) {
            changed.generation += 1;
            changed.desired = desired;
        }
        changed.save(directory)?;
        std::fs::remove_file(&path).with_context(|| path.display().to_string())?;
        Ok(Some(changed))
    }
}

/// Leaves a change for the running `up`, and waits until it has it. Returns its number there, see [`State::asked`].
///
/// # Errors
/// `up` does not take it; then nothing is changed.
pub(crate) fn hand_over(directory: &Directory, desired: &Desired, patience: Duration) -> Result<u64> {
    directory.write(CHANGE, desired)?;
    let until = Instant::now() + patience;
    let path = directory.file(CHANGE);
    while path.exists() {
        if Instant::now() > until {
            // Gone already: it was taken just now.
            if std::fs::remove_file(&path).is_ok() {
                bail!("the running `streamkeeper up` does not take the change; look at its output");
            }
        }
        directory.check_running()?;
        std::thread::sleep(Duration::from_millis(10));
    }
    let state = State::load(directory)?;
    Ok(state.map_or(0, |state| state.asked))
}
