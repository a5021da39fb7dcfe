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
    let (verdict, reasons) = judge(&look);
    let (word, colour, code) = match verdict {
        Verdict::Healthy => ("healthy", Colour::Good, ExitCode::SUCCESS),
        Verdict::Degraded => ("degraded", Colour::Doubtful, ExitCode::from(DEGRADED)),
        Verdict::Failed => ("failed", Colour::Bad, ExitCode::FAILURE),
    };
    say(&coloured(word, colour));
    reasons.iter().for_each(|reason| say(&format!("  {reason}")));
    Ok(code)
}

enum Verdict {
    Healthy,
    Degraded,
    Failed,
}

/// Failed: some client cannot be served. Degraded: all are, with less to fall back on than was asked for.
fn judge(look: &Look) -> (Verdict, Vec<String>) {
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
    let verdict = match (failed.is_empty(), degraded.is_empty()) {
        (false, _) => Verdict::Failed,
        (true, false) => Verdict::Degraded,
        (true, true) => Verdict::Healthy,
    };
    (verdict, failed.into_iter().chain(degraded).collect())
}
