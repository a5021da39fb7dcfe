//! A changed configuration reaches the members by restarts: one after the other, each proven safe by the agents, the quorum leader
//! last, and each member only after it has given away what it leads.

use super::{Next, Plan, Step, WaitFor, Why, member};
use crate::desired::Desired;
use crate::ensemble::observed::{Observed, ObservedMember};
use crate::plant::{Plant, is_planted};

/// The next member to restart; members that leave are left as they are. A member that is on its way down (it gave its leads away)
/// goes first: two half-done restarts would be two disruptions. Then one that does not serve: it may be for its configuration. One that
/// ends is restarted already; on a node that is gone it ends only with a hand's help, and holds up nothing but other restarts.
pub(super) fn one(desired: &Desired, observed: &Observed, plan: &mut Plan) -> Next {
    let agent = |m: &ObservedMember| m.agent.clone().unwrap_or_default();
    let staying = |id: i32| id < desired.ensemble.replicas;
    let outdated =
        observed.staying().filter(|(id, m)| staying(*id) && m.process.outdated && !m.process.ending);
    let next = outdated.min_by_key(|(id, m)| (!agent(m).resting, m.ready, agent(m).leader, *id));
    let Some((id, next)) = next else { return Next::Go };
    let verdict = next.restart.clone().unwrap_or_default();
    let is_allowed = next.restart.is_some() && verdict.blockers.is_empty();
    if !is_allowed && !is_planted(Plant::UnprovenRestart) {
        plan.wait(WaitFor::RestartAllowed(verdict.blockers), member(id));
        return Next::Stop;
    }
    let agent = agent(next);
    // What no other member can lead stays with it whatever is asked of it, and is named by the verdict.
    let leads = agent.leader && observed.quorum.as_ref().is_some_and(|q| q.voters.len() > 1)
        || agent.led > 0 && verdict.unavoidable.is_empty();
    let step = if !agent.resting || leads { Step::HandOver(id) } else { Step::Restart(id) };
    plan.step(step, Why::ConfigChanged);
    Next::Stop
}
