//! Fewer members: in two phases, the first of which can be taken back.
//!
//! First the members that leave are cordoned and drained; raising the number again uncordons them. Once they are empty they give up
//! their votes, the last one first, and then it is noted durably that the member leaves for good: only then the ensemble removes it
//! and the substrate ends its process and puts its disk aside. A member that comes back under the number later gets a new disk.

use super::{Next, Plan, Step, WaitFor, Why, member};
use crate::desired::Desired;
use crate::ensemble::observed::{Activity, Agent, Observed, ObservedMember};
use crate::plant::{Plant, is_planted};

/// Ends what was decided before: a member that is marked as leaving leaves, whatever is wanted now, because nothing of it is safe to
/// use again. A member that the agents know and the substrate does not (it asked to be let in once more while it was retired) goes too.
pub(super) fn finish(desired: &Desired, observed: &Observed, plan: &mut Plan) -> Next {
    let stray = |id: i32, m: &ObservedMember| !m.process.kept && id >= desired.ensemble.replicas;
    let leaves = |(id, m): &(&i32, &ObservedMember)| m.process.leaving || stray(**id, m);
    let Some((id, leaving)) = observed.members.iter().rev().find(leaves) else { return Next::Go };
    if observed.quorum.is_none() {
        plan.wait(WaitFor::Quorum, "the voters");
        return Next::Stop;
    }
    let known = leaving.agent.as_ref().filter(|_| !is_planted(Plant::EarlyRetirement));
    if let Some(agent) = known {
        if !agent.cordoned {
            plan.step(Step::Cordon(*id), Why::ScaleIn);
        }
        // It asked to be let in once more and was given replicas before it was cordoned.
        if agent.replicas > 0 {
            drain(&[(*id, agent.clone())], observed, member(*id), plan);
            return Next::Stop;
        }
        // Promoted from a picture that did not have the mark yet.
        if observed.votes(*id) {
            plan.step(Step::Demote(*id), Why::ScaleIn);
            return Next::Stop;
        }
        plan.step(Step::Remove(*id), Why::ScaleIn);
    }
    if leaving.process.kept {
        plan.step(Step::Retire(*id), Why::ScaleIn);
    }
    Next::Stop
}

/// Members that are wanted are not cordoned, and rest only on the way to a restart.
pub(super) fn take_back(desired: &Desired, observed: &Observed, plan: &mut Plan) -> Next {
    for (id, m) in observed.staying().filter(|(id, _)| *id < desired.ensemble.replicas) {
        let Some(agent) = &m.agent else { continue };
        if agent.cordoned || (agent.resting && m.ready && !m.process.outdated) {
            plan.step(Step::Uncordon(id), Why::ScaleInTakenBack);
        }
    }
    Next::Go
}

/// The next step of the members above the wanted number.
pub(super) fn begin(desired: &Desired, observed: &Observed, plan: &mut Plan) -> Next {
    let surplus = observed.surplus(desired.ensemble.replicas);
    let Some((last, _)) = surplus.first() else { return Next::Go };
    let names: Vec<String> = surplus.iter().rev().map(|(id, _)| id.to_string()).collect();
    let who = format!("members {}", names.join(", "));
    // No answer is no permission.
    let verdict = observed.scale_in.clone();
    let blockers = verdict.as_ref().map(|v| v.blockers.clone()).unwrap_or_default();
    if verdict.is_none() || !blockers.is_empty() {
        plan.wait(WaitFor::ScaleInAllowed(blockers), who);
        return Next::Stop;
    }
    // All of them at once, so that nothing moves from one that leaves to another that leaves.
    let agent = |m: &ObservedMember| m.agent.clone();
    for (id, _) in surplus.iter().filter(|(_, m)| agent(m).is_some_and(|a| !a.cordoned)) {
        plan.step(Step::Cordon(*id), Why::ScaleIn);
    }
    if !plan.steps.is_empty() {
        return Next::Stop;
    }
    let full: Vec<(i32, Agent)> = surplus
        .iter()
        .filter_map(|(id, m)| Some((*id, agent(m)?)))
        .filter(|(_, agent)| agent.replicas > 0)
        .collect();
    if !full.is_empty() {
        drain(&full, observed, who, plan);
        return Next::Stop;
    }
    if observed.votes(*last) {
        plan.step(Step::Demote(*last), Why::ScaleIn);
    } else if verdict.is_some_and(|v| surplus.len() == 1 && !v.remaining.is_empty()) {
        // The leader's picture is newer than the one the votes and replicas above were read from.
        plan.wait(WaitFor::ChangeOfEnsemble, member(*last));
    } else {
        plan.step(Step::MarkLeaving(*last), Why::ScaleIn);
    }
    Next::Stop
}

/// Cordoned members are emptied by the rebalance that runs by itself; where none does, it is asked for.
fn drain(full: &[(i32, Agent)], observed: &Observed, who: String, plan: &mut Plan) {
    match observed.rebalance.activity {
        Activity::Moving | Activity::Waiting => {
            let replicas = full.iter().map(|(_, agent)| agent.replicas).sum();
            let stuck = observed.rebalance.waiting_for.clone();
            plan.wait(WaitFor::Drained { replicas, stuck }, who);
        }
        Activity::Idle | Activity::Unasked | Activity::Cancelled => {
            for (id, _) in full {
                plan.step(Step::Drain(*id), Why::ScaleIn);
            }
        }
    }
}
