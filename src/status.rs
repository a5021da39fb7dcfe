//! `status`: one word, then the reasons, and an exit status for scripts.
//!
//! Read first: [`status`].

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::look::{Look, wait_for};
use crate::terminal::{Colour, coloured, say};

/// Exit status of an ensemble that serves, but not with everything it should have.
const DEGRADED: u8 = 3;

/// Says how it is: healthy (exit 0), failed (1), degraded (3).
///
/// # Errors
/// No `up` runs there.
pub(crate) fn status(data: &Path) -> Result<ExitCode> {
    let look = wait_for(Look::at(data))?;
    let (failed, degraded) = judge(&look);
    let verdict = Verdict::of(&failed, &degraded);
    say(&verdict.coloured());
    failed.iter().chain(&degraded).for_each(|reason| say(&format!("  {reason}")));
    Ok(verdict.exit_code())
}

/// How an ensemble is, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Everything that was asked for serves.
    Healthy,
    /// All clients are served, with less to fall back on than was asked for.
    Degraded,
    /// Some client cannot be served.
    Failed,
}

impl Verdict {
    /// The verdict of reasons to call it failed, and to call it degraded.
    pub(crate) fn of(failed: &[String], degraded: &[String]) -> Self {
        match (failed.is_empty(), degraded.is_empty()) {
            (false, _) => Self::Failed,
            (true, false) => Self::Degraded,
            (true, true) => Self::Healthy,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }

    /// The word in a colour that says how good it is.
    pub(crate) fn coloured(self) -> String {
        let colour = match self {
            Self::Healthy => Colour::Good,
            Self::Degraded => Colour::Doubtful,
            Self::Failed => Colour::Bad,
        };
        coloured(self.word(), colour)
    }

    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::Healthy => ExitCode::SUCCESS,
            Self::Degraded => ExitCode::from(DEGRADED),
            Self::Failed => ExitCode::FAILURE,
        }
    }
}

/// Reasons to call it failed, and to call it degraded.
fn judge(look: &Look) -> (Vec<String>, Vec<String>) {
    let observed = &look.observed;
    let partitions = observed.partitions;
    let (mut failed, mut degraded) = (Vec::new(), Vec::new());
    if look.state.desired.ensemble.suspended {
        failed.push("the ensemble is suspended; apply it with suspended: false".to_owned());
    } else if observed.quorum.is_none() {
        failed.push("nobody leads the quorum".to_owned());
    }
    if partitions.offline > 0 {
        failed.push(format!("{} of {} partitions have no leader", partitions.offline, partitions.total));
    }
    if partitions.under_min_insync > 0 {
        let count = partitions.under_min_insync;
        failed.push(format!("{count} partitions have too few replicas in sync for acks=all"));
    }
    for (id, _) in observed.staying().filter(|(_, m)| !m.ready) {
        degraded.push(format!("member {id} does not serve; see {}", look.directory.log(id).display()));
    }
    if partitions.under_replicated > 0 {
        let (count, total) = (partitions.under_replicated, partitions.total);
        degraded.push(format!("{count} of {total} partitions have replicas out of sync"));
    }
    if let Some(quorum) = &observed.quorum
        && quorum.synced.len() < quorum.voters.len()
    {
        degraded.push(format!("{} of {} voters are in sync", quorum.synced.len(), quorum.voters.len()));
    }
    for wait in look.plan.waits.iter().filter(|wait| wait.what.is_lasting()) {
        degraded.push(wait.to_string());
    }
    (failed, degraded)
}
