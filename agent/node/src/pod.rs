//! An agent in a pod of Kubernetes: who it is comes from the pod's name, what it does from two files that the operator writes.
//!
//! ```text
//! DIR/agent.yaml      what all agents of the ensemble share; read once, a change of it reaches an agent by a restart
//! DIR/members.yaml    the operator's record of members; read again each second until the agent may begin
//! VOLUME/disk-PLACE/  the data; the operator counts a member number's disks, so that nothing is ever taken for its successor
//! POD_NAME            PREFIX-ID
//! STREAMKEEPER_ZONE   the failure domain, taken over at each start; where it is empty the record's
//! ```
//! An agent never begins with an empty disk where a filled one was: the quorum counts on what a voter acknowledged. It waits until the
//! operator lets its number in anew, healthy and not ready meanwhile.
//!
//! SIGTERM and SIGINT are heard from the first moment on. A member gives its leads away within 8 s, then closes its files: 30 s of grace are
//! plenty but for the slowest disks. It starts no processes, so as the first process of a container it has nobody to reap.
//! Must not know: how a member runs. The parts: `files` (what is said), `volume` (what there is), `begin` (the rules).
//! Read first: [`AgentFile`], [`Record`], [`run`].

mod begin;
mod files;
mod volume;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use streamkeeper_base::{ClusterId, MemberId};
use streamkeeper_storage::disk::{RealDisk, lock_directory};

pub use begin::{Place, Verdict, judge};
pub use files::{AgentFile, MemberRecord, Ports, Record};
pub use volume::{Held, Volume};

use crate::compose::{Begun, go_on};
use crate::config::AgentConfig;
use crate::grpc::OnReady;
use crate::logs;

/// A waiting agent reads the record this often.
const LOOK: Duration = Duration::from_secs(1);

/// Runs the agent of this pod until it is told to stop. What goes wrong is told in the log, whose lines are JSON.
pub fn run(dir: &Path) -> ExitCode {
    let name = std::env::var("POD_NAME").unwrap_or_default();
    logs::init_json(name.rsplit('-').next().and_then(|ordinal| ordinal.parse().ok()));
    match run_pod(dir, &name, std::env::var("STREAMKEEPER_ZONE").unwrap_or_default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_pod(dir: &Path, name: &str, zone: String) -> Result<()> {
    let agent = AgentFile::load(&dir.join("agent.yaml"))?;
    let member = agent.member_of(name).map_err(|reason| anyhow!("POD_NAME: {reason}"))?;
    let begun = Begun::begin(&agent.bind, agent.ports.grpc, false)?;
    let volume = Volume {
        disk: Arc::new(RealDisk),
        path: agent.volume.clone(),
        cluster: ClusterId::from_hex(&agent.cluster_id).unwrap_or_default(),
        member: MemberId(member),
    };
    let (config, place) = wait(dir, &agent, member, &zone, &volume, &begun)?;
    tracing::info!(place, zone = config.zone, joining = config.joining, "the agent begins");
    let on_ready: OnReady = Box::new(move || volume.remove_below(place));
    go_on(&config, begun, Some(on_ready))
}

/// Waits until the record lets this member begin on the volume as it is. Says once why it waits, and again when that changes.
fn wait(
    dir: &Path,
    agent: &AgentFile,
    member: i32,
    zone: &str,
    volume: &Volume,
    begun: &Begun,
) -> Result<(AgentConfig, u32)> {
    let path = dir.join("members.yaml");
    let mut told = String::new();
    loop {
        let held = volume.look().with_context(|| format!("{}: cannot be read", volume.path.display()))?;
        let verdict = match Record::load(&path) {
            Ok(record) => begin(agent, &record, member, zone, &held),
            Err(error) => Err(error.to_string()),
        };
        let verdict = verdict.and_then(|begins| free(&begins.0.data_dir).map(|()| begins));
        let why = match verdict {
            Ok(begins) => return Ok(begins),
            Err(why) => why,
        };
        if why != told {
            tracing::warn!("waiting: {why}");
            begun.early.say(&format!("the agent waits: {why}"));
            told = why;
        }
        std::thread::sleep(LOOK);
    }
}

/// A pod that was deleted by force may still run, and lets go of the disk when it ends.
fn free(data: &Path) -> Result<(), String> {
    let shown = data.display();
    if !data.exists() {
        return Ok(());
    }
    match lock_directory(data) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(format!("another process works on {shown}; the member begins when that has ended")),
        Err(error) => Err(format!("{shown} cannot be written: {error}")),
    }
}

/// The configuration with its place, or what is waited for.
fn begin(
    agent: &AgentFile,
    record: &Record,
    member: i32,
    zone: &str,
    held: &std::collections::BTreeMap<u32, Held>,
) -> Result<(AgentConfig, u32), String> {
    match judge(record, member, held) {
        Verdict::Wait(why) => Err(why),
        Verdict::Begin(place) => {
            let config = agent.config(record, member, zone, place)?;
            Ok((config, place.number))
        }
    }
}
