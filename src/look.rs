//! A look at a running `up` from another process: its state, its processes, and what the agents say.
//!
//! The same `observe`, `plan` and `status` as in `up`, so that nobody is told two things. Read first: [`Look`].

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use streamkeeper_operator::agents::Clients;
use streamkeeper_operator::ensemble::observe::observe;
use streamkeeper_operator::ensemble::observed::{Observed, Process};
use streamkeeper_operator::ensemble::plan::{Plan, plan};

use crate::status_file::{self, StatusFile};
use crate::up::directory::Directory;
use crate::up::processes::{self, Told};
use crate::up::state::State;

/// What there is.
pub(crate) struct Look {
    pub(crate) directory: Directory,
    pub(crate) state: State,
    pub(crate) told: BTreeMap<i32, Told>,
    pub(crate) observed: Observed,
    pub(crate) plan: Plan,
    pub(crate) status: StatusFile,
    pub(crate) agents: Arc<Clients>,
}

/// The state of the `up` that runs on a data directory.
///
/// # Errors
/// None runs there.
pub(crate) fn running(data: &Path) -> Result<(Directory, State)> {
    let directory = Directory::new(data);
    directory.check_running()?;
    let state = State::load(&directory)?;
    let state = state.ok_or_else(|| anyhow!("{}: has no ensemble yet; try again", data.display()))?;
    Ok((directory, state))
}

impl Look {
    /// Looks at the `up` that runs on a data directory.
    ///
    /// # Errors
    /// None runs there.
    pub(crate) async fn at(data: &Path) -> Result<Self> {
        let (directory, state) = running(data)?;
        let told: BTreeMap<i32, Told> = directory.read(processes::FILE)?.unwrap_or_default();
        let agents = Arc::new(Clients::new(&state.addresses(), 0));
        let wanted = state.desired.ensemble.revision();
        let process = |id: i32, leaving: bool| {
            let told = told.get(&id).filter(|told| Path::new(&format!("/proc/{}", told.pid)).exists());
            Process {
                kept: true,
                runs: told.is_some(),
                outdated: told.is_some_and(|told| told.revision != wanted),
                lost: false,
                leaving,
                name: told.map(|told| format!("process {}", told.pid)).unwrap_or_default(),
                ..Process::default()
            }
        };
        let facts = state.members.iter().map(|m| (m.id, process(m.id, m.leaving))).collect();
        let observed = observe(agents.as_ref(), facts, state.desired.ensemble.replicas).await;
        let plan = plan(&state.desired, &observed);
        let previous: StatusFile = directory.read(status_file::FILE)?.unwrap_or_default();
        let status = StatusFile::new(&state, &observed, &plan, &previous, Duration::ZERO);
        Ok(Self { directory, state, told, observed, plan, status, agents })
    }
}

/// Runs what a verb awaits.
pub(crate) fn wait_for<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
