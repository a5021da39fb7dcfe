//! As many members vote as wanted. One change at a time: the next one is decided when the one before is committed.

use super::{Next, Plan, Step, WaitFor, Why, member};
use crate::crd::voters_by_default;
use crate::desired::Desired;
use crate::ensemble::observed::{Agent, Observed};
use crate::plant::{Plant, is_planted};

/// Promotes the lowest observer that has the history while too few of the members that stay vote, demotes the highest voter while
/// too many do. Members that leave give up their votes when they are drained (`scale_in`).
pub(super) fn follow(desired: &Desired, observed: &Observed, plan: &mut Plan) -> Next {
    let Some(quorum) = &observed.quorum else { return Next::Stop };
    if quorum.changing {
        plan.wait(WaitFor::ChangeOfEnsemble, member(quorum.leader));
        return Next::Stop;
    }
    let voters = match is_planted(Plant::VotersByDefault) {
        true => voters_by_default(desired.ensemble.replicas),
        false => desired.ensemble.voters(),
    };
    let wanted = usize::try_from(voters).unwrap_or(0);
    let staying = |id: i32| id < desired.ensemble.replicas;
    let voting: Vec<i32> = quorum.voters.iter().copied().filter(|id| staying(*id)).collect();
    if voting.len() > wanted {
        let last = voting.iter().copied().max_by_key(|id| (*id != quorum.leader, *id));
        plan.step(Step::Demote(last.unwrap_or(quorum.leader)), Why::Voters);
        return Next::Stop;
    }
    if voting.len() < wanted {
        let observers: Vec<(i32, &Agent)> = observed
            .staying()
            .filter(|(id, _)| staying(*id) && !observed.votes(*id))
            .filter_map(|(id, m)| Some((id, m.agent.as_ref()?)))
            .filter(|(_, agent)| agent.in_ensemble)
            .collect();
        let may_vote = |agent: &Agent| agent.live && agent.synced && !agent.cordoned;
        if let Some((id, _)) = observers.iter().find(|(_, agent)| may_vote(agent)) {
            plan.step(Step::Promote(*id), Why::Voters);
            return Next::Stop;
        }
        if let Some((id, _)) = observers.first() {
            plan.wait(WaitFor::CatchUp, member(*id));
        }
    }
    Next::Go
}
