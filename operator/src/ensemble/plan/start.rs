//! Members run that are wanted, and nobody runs in a suspended ensemble.

use super::{Next, Plan, Step, WaitFor, Why, member};
use crate::desired::Desired;
use crate::ensemble::observed::Observed;

/// Ends the processes of a suspended ensemble one after the other, the highest number first: a StatefulSet can do no other. Whoever
/// leads the quorum gives the lead away before, as long as another voter is there to take it.
pub(super) fn suspend(desired: &Desired, observed: &Observed, plan: &mut Plan) -> Next {
    if !desired.ensemble.suspended {
        return Next::Go;
    }
    let running = || observed.members.iter().filter(|(_, m)| m.process.runs);
    if let Some((id, last)) = running().next_back() {
        let leads = last.agent.as_ref().is_some_and(|agent| agent.leader);
        if leads && running().filter(|(id, _)| observed.votes(**id)).count() > 1 {
            plan.step(Step::HandOver(*id), Why::Suspended);
        }
        plan.step(Step::Stop(*id), Why::Suspended);
    }
    Next::Stop
}

/// Starts what is wanted or kept and does not run, all at once: they wait for each other. A member that is kept but not wanted runs
/// too, because it is drained and leaves in good order. A voter whose disk is gone must not vote before it has the history again (Zab
/// counts on what a voter acknowledged): it observes from the others' decision on, and only then starts with an empty disk.
pub(super) fn missing(desired: &Desired, observed: &Observed, plan: &mut Plan) -> Next {
    let mut ids: Vec<i32> = observed.staying().filter(|(_, m)| !m.process.runs).map(|(id, _)| id).collect();
    let unknown = |id: &i32| observed.members.get(id).is_none_or(|m| !m.process.kept);
    ids.extend((0..desired.ensemble.replicas).filter(unknown));
    ids.sort_unstable();
    let begins = observed.members.values().all(|m| !m.process.kept);
    for id in ids {
        // A number that the record does not have may be a voter's whose record was lost with its disk: the quorum knows.
        let lost =
            observed.members.get(&id).is_some_and(|m| m.process.lost) || unknown(&id) && observed.votes(id);
        let taken = observed.obstacles.members.contains_key(&id);
        match &observed.quorum {
            _ if taken => {}
            None if unknown(&id) && !begins => {}
            _ if !lost => plan.step(Step::Start(id), Why::Missing),
            Some(_) if observed.votes(id) => plan.step(Step::Demote(id), Why::DiskLost),
            Some(_) => plan.step(Step::Start(id), Why::DiskLost),
            None => plan.wait(WaitFor::DiskBack, member(id)),
        }
    }
    Next::Go
}

/// Members that do not serve: a member that runs with an old configuration and does not even answer is started anew first, because the
/// configuration may be what it dies of; for the others one waits, and for one that ends already. Without a quorum leader nothing else
/// can be done.
pub(super) fn serving(_: &Desired, observed: &Observed, plan: &mut Plan) -> Next {
    let broken = observed.staying().find(|(_, m)| m.process.outdated && !m.process.ending && !m.answers);
    if let Some((id, _)) = broken {
        plan.step(Step::Restart(id), Why::ConfigChanged);
        return Next::Stop;
    }
    let wanted = observed.staying().count();
    let ready = observed.staying().filter(|(_, m)| m.ready).count();
    if ready < wanted {
        let absent: Vec<String> =
            observed.staying().filter(|(_, m)| !m.ready).map(|(id, _)| id.to_string()).collect();
        plan.wait(WaitFor::Serving { ready, wanted }, format!("members {}", absent.join(", ")));
    }
    if observed.quorum.is_none() {
        plan.wait(WaitFor::Quorum, "the voters");
        return Next::Stop;
    }
    Next::Go
}
