//! `streamkeeper operator`: the operator's loop, as a process.
//!
//! Must not know: what the operator does. Read first: [`run`].

use anyhow::Result;
use streamkeeper_operator::kubernetes::run as operator;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::OperatorArgs;

/// Runs until SIGTERM or Ctrl-C.
pub(crate) fn run(args: OperatorArgs) -> Result<()> {
    streamkeeper_node::compose::init_logs(None)?;
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    // A pod's name is given to one process at a time; elsewhere a number makes it so.
    let instance = variable("POD_NAME").unwrap_or_else(|| format!("process-{}", std::process::id()));
    let options = operator::Options {
        namespaces: args.namespaces,
        image: args.image,
        http: args.http,
        instance,
        namespace: variable("POD_NAMESPACE"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut terminate = signal(SignalKind::terminate())?;
        let stop = async move {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        };
        Ok(operator::run(options, stop).await?)
    })
}
