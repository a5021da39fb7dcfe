//! What blocks a restart or a removal: the quorum's part, and the room on disks; the partitions' part is the controller's.
//!
//! Must not know: who asks. Read first: [`restart`], [`removal`].

use std::collections::{BTreeMap, BTreeSet};

use streamkeeper_base::MemberId;
use streamkeeper_controller::{Blocker, BlockerKind, ClusterImage, Verdict};

use super::facts::Facts;
use super::progress::planned;

/// May these members stop together now and come back?
pub fn restart(image: &ClusterImage, facts: &Facts, stopping: &BTreeSet<MemberId>) -> Verdict {
    let mut verdict = streamkeeper_controller::restart(image, stopping);
    for id in stopping.iter().filter(|id| !facts.members.contains_key(id)) {
        let message = format!("there is no member {id}");
        verdict.block(Blocker::new(BlockerKind::UnknownMember, Some(*id), message));
    }
    changing(facts, &mut verdict);
    let voters = facts.voters();
    let hit = voters.intersection(stopping).count();
    let left: BTreeSet<MemberId> = facts.synced().difference(stopping).copied().collect();
    if hit > 0 && !is_majority(&voters, &left) {
        let blocker = Blocker::new(BlockerKind::Quorum, None, short_of(&voters, &left));
        // One or two voters are no quorum without one of them, whenever it is.
        if hit == 1 && voters.len() <= 2 { verdict.note(blocker) } else { verdict.block(blocker) }
    }
    verdict
}

/// May these members leave for good, and what must be done first?
pub fn removal(image: &ClusterImage, facts: &Facts, leaving: &BTreeSet<MemberId>) -> Verdict {
    let mut verdict = draining(image, facts, leaving);
    changing(facts, &mut verdict);
    let voters = facts.voters();
    let after: BTreeSet<MemberId> = voters.difference(leaving).copied().collect();
    let left: BTreeSet<MemberId> = facts.synced().difference(leaving).copied().collect();
    let hit: Vec<MemberId> = voters.intersection(leaving).copied().collect();
    if !hit.is_empty() && after.is_empty() && left.is_empty() {
        let message = "nobody would remain who votes or could be promoted".to_owned();
        verdict.block(Blocker::new(BlockerKind::Quorum, None, message));
    } else if !hit.is_empty() && !after.is_empty() && !is_majority(&after, &left) {
        verdict.block(Blocker::new(BlockerKind::Quorum, None, short_of(&after, &left)));
    }
    for id in hit {
        let message = format!("member {id} votes; demote it");
        verdict.note(Blocker::new(BlockerKind::Votes, Some(id), message));
    }
    if leaving.contains(&facts.leader) {
        let id = facts.leader;
        let message = format!("member {id} leads the quorum; hand over, or demote it");
        verdict.note(Blocker::new(BlockerKind::LeadsQuorum, Some(id), message));
    }
    verdict
}

/// Can the others take what these members hold? The quorum does not matter for that.
pub fn draining(image: &ClusterImage, facts: &Facts, leaving: &BTreeSet<MemberId>) -> Verdict {
    let mut verdict = streamkeeper_controller::removal(image, leaving);
    let mut incoming: BTreeMap<MemberId, u64> = BTreeMap::new();
    for step in planned(image, facts, leaving).moves {
        let size = image.partition(step.tp).and_then(|p| facts.bytes_of(step.tp, p)).unwrap_or(0);
        for id in step.after.iter().filter(|id| !step.before.contains(id)) {
            *incoming.entry(*id).or_default() += size;
        }
    }
    for (id, bytes) in incoming {
        let said = facts.members.get(&id).and_then(|m| m.said.as_ref());
        // A tenth stays free for what is written meanwhile.
        if let Some(free) = said.and_then(|s| s.disk_free_bytes)
            && bytes > free / 10 * 9
        {
            let message = format!("member {id} has {free} bytes free and would get {bytes}");
            verdict.block(Blocker::new(BlockerKind::DiskSpace, Some(id), message));
        }
    }
    verdict
}

fn changing(facts: &Facts, verdict: &mut Verdict) {
    if facts.is_changing {
        let message = "a change of the ensemble is not committed yet; wait for it".to_owned();
        verdict.block(Blocker::new(BlockerKind::ChangeInProgress, None, message));
    }
}

fn is_majority(voters: &BTreeSet<MemberId>, present: &BTreeSet<MemberId>) -> bool {
    voters.intersection(present).count() * 2 > voters.len()
}

fn short_of(voters: &BTreeSet<MemberId>, present: &BTreeSet<MemberId>) -> String {
    format!(
        "{} of {} voters would be there and up to date, and {} are needed",
        voters.intersection(present).count(),
        voters.len(),
        voters.len() / 2 + 1
    )
}
