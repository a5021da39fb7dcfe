//! `streamkeeper up`: the operator's plan on local processes.
//!
//! Stays in the foreground, starts an agent again that dies, stops all in order on Ctrl-C; agents end by themselves when this
//! process is killed. It looks at what there is, plans, and carries the steps out, again and again: the same loop that runs against
//! Kubernetes. Read first: [`run`], [`state`] (what is remembered), [`processes`] (the substrate).

pub(crate) mod directory;
pub(crate) mod events;
pub(crate) mod ports;
pub(crate) mod processes;
pub(crate) mod state;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use streamkeeper_operator::agents::{Agents, Clients};
use streamkeeper_operator::crd::RebalanceMode;
use streamkeeper_operator::ensemble;
use streamkeeper_operator::ensemble::observe::observe;
use streamkeeper_operator::ensemble::observed::{Activity, Observed};
use streamkeeper_operator::ensemble::plan::{Plan, Step, plan};
use streamkeeper_operator::execute::execute;

use crate::status_file::{self, StatusFile};
use directory::Directory;
use events::Events;
use processes::{Local, Processes};
use state::State;

/// What there is, is looked at this often while something is missing, and when nothing is.
const BUSY: Duration = Duration::from_millis(50);
const QUIET: Duration = Duration::from_secs(2);
/// A step that failed is tried again after this.
const FAILED: Duration = Duration::from_secs(1);
/// Whether an agent died, or a change was left, is looked at this often.
const WATCH: Duration = Duration::from_millis(20);
/// The progress of a rebalance is said this often.
const PROGRESS: Duration = Duration::from_millis(500);

/// Runs until Ctrl-C or SIGTERM.
pub(crate) fn run(files: &[PathBuf], data: &Path, any_port: bool, json: bool) -> Result<ExitCode> {
    let events = Events::new(json);
    let result = prepare(files, data, any_port, &events).and_then(|prepared| {
        let Ok((directory, _lock, state)) = prepared else {
            return Ok(prepared.err().unwrap_or(ExitCode::SUCCESS));
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = tokio::task::LocalSet::new();
        // The agents' clients need the runtime from their making on.
        local.block_on(&runtime, async { Supervisor::new(state, directory, &events).run().await })?;
        Ok(ExitCode::SUCCESS)
    });
    if json && let Err(error) = &result {
        events.error(&format!("{error:#}"));
    }
    result
}

type Prepared = (Directory, std::fs::File, State);

/// Everything that can be refused is refused here, before anything is changed or started.
fn prepare(
    files: &[PathBuf],
    data: &Path,
    any_port: bool,
    events: &Events,
) -> Result<Result<Prepared, ExitCode>> {
    let directory = Directory::new(data);
    // Manifests of a new ensemble are judged before a directory is made for it.
    if !data.exists()
        && let Err(status) = crate::desired(files, None)
    {
        return Ok(Err(status));
    }
    let lock = directory.take()?;
    let before = State::load(&directory)?;
    let desired = match crate::desired(files, before.as_ref().map(|state| &state.desired)) {
        Ok(desired) => desired,
        Err(status) => return Ok(Err(status)),
    };
    for field in ensemble::validate::of_kubernetes_only(&desired.ensemble) {
        events.note(&format!("{field} means nothing to local processes and is left aside"));
    }
    let state = State::with(before, desired, any_port)?;
    state.save(&directory)?;
    // A change that was left for a process that is gone is not of today.
    let _ = std::fs::remove_file(directory.file("apply.json"));
    Ok(Ok((directory, lock, state)))
}

struct Supervisor<'a> {
    state: State,
    directory: Directory,
    events: &'a Events,
    processes: Processes,
    agents: Arc<Clients>,
    status: StatusFile,
    started: Instant,
    /// The ensemble was ready once, and is as the last change asked for.
    ready: (bool, bool),
    rebalancing: bool,
    said: Vec<String>,
    progress_said: Option<Instant>,
    leader: Option<i32>,
}

impl<'a> Supervisor<'a> {
    fn new(state: State, directory: Directory, events: &'a Events) -> Self {
        let agents = Arc::new(Clients::new(&state.addresses(), 0));
        let status = directory.read(status_file::FILE).ok().flatten().unwrap_or_default();
        Self {
            state,
            directory,
            events,
            processes: Processes::default(),
            agents,
            status,
            started: Instant::now(),
            ready: (false, false),
            rebalancing: false,
            said: Vec::new(),
            progress_said: None,
            leader: None,
        }
    }

    async fn run(mut self) -> Result<()> {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let mut look: Option<tokio::task::JoinHandle<Observed>> = None;
        let mut look_at = Instant::now();
        loop {
            self.processes.look_after(&self.state, &self.directory, self.events)?;
            if self.take_change()? {
                // What is seen now was asked about with another wish in mind.
                look = None;
                look_at = Instant::now();
            }
            if look.is_none() && Instant::now() >= look_at {
                look = Some(self.look());
            }
            if look.as_ref().is_some_and(tokio::task::JoinHandle::is_finished)
                && let Some(observed) = look.take()
            {
                let pause = self.act(&observed.await?).await?;
                look_at = Instant::now() + pause;
            }
            tokio::select! {
                _ = tokio::signal::ctrl_c() => break,
                _ = terminate.recv() => break,
                () = tokio::time::sleep(WATCH) => {}
            }
        }
        self.events.stopping();
        self.processes.stop_all(self.leader).await
    }

    /// Looks at what there is, aside: an agent that hangs must not keep the others from being looked after.
    fn look(&mut self) -> tokio::task::JoinHandle<Observed> {
        if let Some(agents) = Arc::get_mut(&mut self.agents) {
            agents.set_addresses(&self.state.addresses());
        } else {
            self.agents = Arc::new(Clients::new(&self.state.addresses(), 0));
        }
        let (agents, facts) = (Arc::clone(&self.agents), self.processes.facts(&self.state, &self.directory));
        let replicas = self.state.desired.ensemble.replicas;
        tokio::task::spawn_local(async move { observe(agents.as_ref(), facts, replicas).await })
    }

    fn take_change(&mut self) -> Result<bool> {
        let Some(changed) = self.state.take_change(&self.directory)? else { return Ok(false) };
        if changed.generation != self.state.generation {
            self.events.applied(&changed.desired, changed.generation);
            self.ready.1 = false;
        }
        self.state = changed;
        Ok(true)
    }

    /// Carries the next steps out and says what changed; returns when to look again.
    async fn act(&mut self, observed: &Observed) -> Result<Duration> {
        let planned = plan(&self.state.desired, observed);
        self.leader = observed.quorum.as_ref().map(|quorum| quorum.leader).or(self.leader);
        let ready: Vec<i32> = observed.members.iter().filter(|(_, m)| m.ready).map(|(id, _)| *id).collect();
        if self.state.note_served(&ready) {
            self.state.save(&self.directory)?;
        }
        let busy = !planned.is_converged() || self.rebalancing;
        let pause = if busy { BUSY } else { QUIET };
        let status = StatusFile::new(&self.state, observed, &planned, &self.status, pause);
        if status != self.status {
            self.directory.write_lightly(status_file::FILE, &status)?;
            self.status = status;
        }
        self.say(observed, &planned);
        for step in &planned.steps {
            // Starts say more when they are done.
            if !matches!(step.step, Step::Start(_) | Step::Retire(_)) {
                self.events.step(&step.step.to_string(), &step.why.to_string());
            }
        }
        let mut local = Local {
            state: &mut self.state,
            processes: &mut self.processes,
            directory: &self.directory,
            events: self.events,
        };
        if let Err(failed) = execute(&planned.steps, self.agents.as_ref(), &mut local).await {
            self.say_error(&failed.to_string());
            return Ok(FAILED);
        }
        Ok(pause)
    }

    fn say(&mut self, observed: &Observed, planned: &Plan) {
        let waits: Vec<String> =
            planned.waits.iter().filter(|wait| !wait.what.is_rebalance()).map(ToString::to_string).collect();
        self.events.waiting(&waits, &self.said);
        self.said = waits;
        self.say_rebalance(observed);
        let settled = planned.steps.is_empty() && self.said.is_empty() && self.status.is_ready();
        if settled && !self.ready.1 {
            let pids = self.processes.pids();
            if self.ready.0 {
                self.events.ready_again(&self.state, &self.directory, &pids);
            } else {
                self.events.ready(&self.state, &self.directory, &pids, self.started.elapsed());
            }
            self.ready = (true, true);
        }
    }

    fn say_rebalance(&mut self, observed: &Observed) {
        let rebalance = &observed.rebalance;
        let auto = self.state.desired.ensemble.rebalance.mode == RebalanceMode::Auto;
        let moves = rebalance.moving > 0 || matches!(rebalance.activity, Activity::Moving);
        if observed.quorum.is_none() || !(self.rebalancing || (moves && !rebalance.balanced)) {
            return;
        }
        if rebalance.balanced || !(moves || auto) {
            self.rebalancing = false;
            if rebalance.balanced {
                self.events.balanced(rebalance);
            }
            return;
        }
        if !self.rebalancing || self.progress_said.is_none_or(|at| at.elapsed() >= PROGRESS) {
            self.events.rebalancing(rebalance);
            self.progress_said = Some(Instant::now());
        }
        self.rebalancing = true;
    }

    /// Each error once, as long as it is the same one.
    fn say_error(&mut self, message: &str) {
        if self.said.last().is_none_or(|said| said != message) {
            self.events.error(message);
        }
        self.said = vec![message.to_owned()];
    }
}
