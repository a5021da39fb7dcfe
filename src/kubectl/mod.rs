//! The same binary under the name `kubectl-streamkeeper`: what kubectl runs for `kubectl streamkeeper`. One file per verb.
//!
//! It reads Ensembles, Topics and pods with the user's own kubeconfig, and asks agents through a port-forward. What a verb says is made
//! by a function of what was read, without IO, and held by tests; `fetch.rs` and `forward.rs` alone talk to the cluster.
//! Must not know: how the operator decides. Read first: [`cli::Verb`], [`fetch::Cluster`].

mod cli;
mod describe;
mod explain;
mod fetch;
mod forward;
mod logs;
mod pods;
mod rebalance;
mod status;
#[cfg(test)]
mod testing;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::look::wait_for;
use crate::terminal::complain;
use cli::{Kubectl, Verb};
use fetch::Cluster;

/// The name under which kubectl finds a plugin `streamkeeper`.
const NAME: &str = "kubectl-streamkeeper";

/// Whether the program was called as kubectl's plugin.
pub(crate) fn is_called(program: Option<&OsStr>) -> bool {
    program.and_then(|program| Path::new(program).file_stem()).is_some_and(|stem| stem == NAME)
}

/// Runs the plugin; exit status as `streamkeeper status` has it.
pub(crate) fn main() -> ExitCode {
    let kubectl = Kubectl::parse();
    wait_for(run(kubectl)).unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

async fn run(kubectl: Kubectl) -> Result<ExitCode> {
    let cluster = Cluster::connect(&kubectl.access).await?;
    let done = |()| ExitCode::SUCCESS;
    match kubectl.verb {
        Verb::Status { name, output } => status::status(&cluster, name.as_deref(), output).await,
        Verb::Describe { what, name, output } => {
            describe::describe(&cluster, what, &name, output).await.map(done)
        }
        Verb::Explain { name, output } => explain::explain(&cluster, &name, output).await.map(done),
        Verb::Rebalance { action, name, output } => {
            rebalance::rebalance(&cluster, action, &name, output).await.map(done)
        }
        Verb::Logs { name, member, follow, tail, previous } => {
            logs::logs(&cluster, &name, &logs::Options { member, follow, tail, previous }).await.map(done)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_decides() {
        let called = |program: &str| is_called(Some(OsStr::new(program)));
        assert!(called("kubectl-streamkeeper") && called("/usr/local/bin/kubectl-streamkeeper"));
        assert!(
            !called("streamkeeper") && !called("/opt/kubectl-streamkeeper/streamkeeper") && !is_called(None)
        );
    }
}
