//! What is reported: conditions, members, quorum, waits. Pure; the clock is an argument.
//!
//! Must not know: where the status goes. Read first: [`status`].

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;

use super::observed::{Activity, Observed, ObservedMember};
use super::plan::{Plan, Wait, WaitFor};
use crate::crd::{
    ConditionType, Endpoints, EnsembleStatus, MemberStatus, QuorumStatus, Reason, RebalanceStatus,
    WaitStatus, condition,
};
use crate::desired::Desired;

/// What the status is made at: the time, and how the next look and the resource are known.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Now.
    pub now: Timestamp,
    /// When waits are looked at again.
    pub next: Timestamp,
    /// The generation of the specification.
    pub generation: Option<i64>,
}

/// A time of the system's clock as conditions have it: whole seconds.
pub fn timestamp(time: std::time::SystemTime) -> Timestamp {
    let seconds = time.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(seconds).ok().and_then(|s| Timestamp::from_second(s).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The status of an ensemble. What did not change since `previous` keeps the time at which it began.
pub fn status(
    desired: &Desired,
    observed: &Observed,
    plan: &Plan,
    previous: &EnsembleStatus,
    endpoints: Option<Endpoints>,
    moment: &Moment,
) -> EnsembleStatus {
    let spec = &desired.ensemble;
    let wanted = observed.staying().count().max(usize::try_from(spec.replicas).unwrap_or(0));
    let ready = observed.staying().filter(|(_, m)| m.ready).count();
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let conditions = conditions(desired, observed, plan, (ready, wanted), (previous, moment));
    EnsembleStatus {
        observed_generation: moment.generation,
        conditions: keep_times(conditions, &previous.conditions),
        replicas: count(observed.staying().count()),
        ready_replicas: count(ready),
        members_ready: Some(format!("{ready}/{wanted}")),
        selector: previous.selector.clone(),
        endpoints,
        quorum: observed.quorum.as_ref().map(|quorum| QuorumStatus {
            leader: Some(quorum.leader),
            epoch: quorum.zab_epoch.into(),
            zxid: format!("{:#x}", quorum.zxid),
            margin: quorum.margin,
        }),
        members: observed.members.iter().map(|(id, m)| member(*id, m, observed)).collect(),
        rebalance: observed.quorum.as_ref().map(|_| rebalance(observed)),
        waiting: waiting(&plan.waits, &previous.waiting, moment),
        operator: previous.operator.clone(),
    }
}

fn conditions(
    desired: &Desired,
    observed: &Observed,
    plan: &Plan,
    (ready, wanted): (usize, usize),
    (previous, moment): (&EnsembleStatus, &Moment),
) -> Vec<Condition> {
    let make = |kind, (holds, reason, message): (Option<bool>, Reason, String)| {
        condition(kind, holds, reason, message, moment.generation, moment.now)
    };
    let lasting: Vec<String> =
        plan.waits.iter().filter(|w| w.what.is_lasting()).map(ToString::to_string).collect();
    let pending = || {
        let step = plan.steps.first().map(|planned| format!("{}: {}", planned.step, planned.why));
        step.or_else(|| plan.waits.first().map(ToString::to_string)).unwrap_or_default()
    };
    let reconciling = !plan.is_converged() && lasting.is_empty();
    vec![
        make(ConditionType::Ready, is_ready(desired, observed, (ready, wanted), previous)),
        make(
            ConditionType::Progressing,
            if desired.ensemble.paused {
                (Some(false), Reason::Paused, "nothing is changed while spec.paused is true".to_owned())
            } else if plan.is_converged() {
                (Some(false), Reason::Converged, "nothing is to be done".to_owned())
            } else {
                (Some(true), Reason::Changing, pending())
            },
        ),
        make(ConditionType::QuorumHealthy, quorum_healthy(observed)),
        make(ConditionType::Balanced, is_balanced(observed)),
        make(ConditionType::ScaleAllowed, scale_allowed(desired, observed)),
        make(
            ConditionType::Reconciling,
            if reconciling {
                (Some(true), Reason::Changing, pending())
            } else {
                (Some(false), Reason::Converged, String::new())
            },
        ),
        make(
            ConditionType::Stalled,
            if lasting.is_empty() {
                (Some(false), Reason::Converged, String::new())
            } else {
                (Some(true), Reason::Blocked, lasting.join("; "))
            },
        ),
    ]
}

fn is_ready(
    desired: &Desired,
    observed: &Observed,
    (ready, wanted): (usize, usize),
    previous: &EnsembleStatus,
) -> (Option<bool>, Reason, String) {
    let serving = format!("{ready} of {wanted} members serve");
    if desired.ensemble.suspended {
        let running = observed.members.values().any(|m| m.process.runs);
        let members = if running { "members are being stopped" } else { "all members are stopped" };
        return (Some(false), Reason::Suspended, format!("{members}, their data is kept"));
    }
    if observed.quorum.is_none() {
        return (Some(false), Reason::NoQuorum, format!("{serving}; nobody leads the quorum"));
    }
    let partitions = observed.partitions;
    if partitions.offline > 0 {
        let message = format!("{} of {} partitions have no leader", partitions.offline, partitions.total);
        return (Some(false), Reason::PartitionsUnhealthy, message);
    }
    if partitions.under_min_insync > 0 {
        let message = format!(
            "{} of {} partitions refuse writes with acks=all: fewer replicas are in sync than min.insync.replicas",
            partitions.under_min_insync, partitions.total
        );
        return (Some(false), Reason::PartitionsUnhealthy, message);
    }
    if ready < wanted {
        if ready + 1 == wanted && is_rollout(observed, previous) {
            return (Some(true), Reason::Changing, format!("{serving}, the others are started anew"));
        }
        let known = observed.staying().filter(|(_, m)| !m.ready && m.agent.is_some()).count();
        let reason = if known > 0 { Reason::MemberDown } else { Reason::Starting };
        return (Some(false), reason, serving);
    }
    if let Some(object) = observed.obstacles.objects.first() {
        return (Some(false), Reason::NameTaken, format!("{serving}; {object} belongs to somebody else"));
    }
    (Some(true), Reason::Converged, serving)
}

/// A rollout is no fault: an ensemble that was ready stays so while one of its members is exchanged, for as long as that takes when all is
/// well. What the others cannot do without it is looked at before.
fn is_rollout(observed: &Observed, previous: &EnsembleStatus) -> bool {
    let was_ready = previous.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
    let mut missing = observed.staying().filter(|(_, m)| !m.ready);
    let exchanged = |m: &ObservedMember| m.process.renewed && !m.process.lost && m.agent.is_some();
    let one = missing.next().is_some_and(|(_, m)| exchanged(m));
    was_ready && one && missing.next().is_none() && observed.quorum.as_ref().is_some_and(|q| q.margin >= 0)
}

fn quorum_healthy(observed: &Observed) -> (Option<bool>, Reason, String) {
    let Some(quorum) = &observed.quorum else {
        return (Some(false), Reason::NoQuorum, "nobody leads the quorum".to_owned());
    };
    let (synced, voters) = (quorum.synced.len(), quorum.voters.len());
    let reason = if synced == voters { Reason::Converged } else { Reason::MemberDown };
    let message = format!("{synced} of {voters} voters are in sync; {} more may fail", quorum.margin.max(0));
    (Some(quorum.margin >= 0), reason, message)
}

fn is_balanced(observed: &Observed) -> (Option<bool>, Reason, String) {
    if observed.quorum.is_none() {
        return (None, Reason::NoQuorum, "nobody leads the quorum".to_owned());
    }
    let rebalance = &observed.rebalance;
    let (most, least) = rebalance.replicas;
    let spread = format!("members hold {least} to {most} replicas");
    if rebalance.balanced {
        return (Some(true), Reason::Converged, spread);
    }
    let (reason, message) = match rebalance.activity {
        Activity::Moving | Activity::Idle => {
            (Reason::Rebalancing, format!("{} partitions move; {spread}", rebalance.moving))
        }
        Activity::Waiting => (Reason::Blocked, format!("{}; {spread}", rebalance.waiting_for)),
        Activity::Unasked => (Reason::Skewed, format!("nobody asked for a rebalance; {spread}")),
        Activity::Cancelled => (Reason::Skewed, format!("the rebalance was cancelled; {spread}")),
    };
    (Some(false), reason, message)
}

fn scale_allowed(desired: &Desired, observed: &Observed) -> (Option<bool>, Reason, String) {
    let fewer = desired.ensemble.replicas - i32::from(observed.surplus(desired.ensemble.replicas).is_empty());
    let Some(verdict) = &observed.scale_in else {
        return (None, Reason::NoQuorum, "no agent could say".to_owned());
    };
    if fewer < 1 {
        return (Some(false), Reason::Blocked, "the last member cannot leave".to_owned());
    }
    let blocked: Vec<&str> = verdict.blockers.iter().map(|b| b.message.as_str()).collect();
    if blocked.is_empty() {
        return (Some(true), Reason::Converged, format!("{fewer} members would do"));
    }
    (Some(false), Reason::Blocked, blocked.join("; "))
}

/// A condition keeps the time of its last change while its status stays.
pub(crate) fn keep_times(mut conditions: Vec<Condition>, previous: &[Condition]) -> Vec<Condition> {
    for condition in &mut conditions {
        let before = previous.iter().find(|p| p.type_ == condition.type_ && p.status == condition.status);
        if let Some(before) = before {
            condition.last_transition_time = before.last_transition_time.clone();
        }
    }
    conditions
}

/// A wait keeps the time at which it began while it is for the same thing; its numbers may change.
fn waiting(waits: &[Wait], previous: &[WaitStatus], moment: &Moment) -> Vec<WaitStatus> {
    let status = |wait: &Wait| {
        let what = wait.what.to_string();
        let same = |p: &&WaitStatus| p.who == wait.who && without_digits(&p.what) == without_digits(&what);
        let since = previous.iter().find(same).map_or_else(|| moment.now.to_string(), |p| p.since.clone());
        WaitStatus { what, who: wait.who.clone(), since, next: moment.next.to_string() }
    };
    waits.iter().map(status).collect()
}

/// A sentence whatever its numbers are.
pub(crate) fn without_digits(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

fn member(id: i32, member: &ObservedMember, observed: &Observed) -> MemberStatus {
    let agent = member.agent.clone().unwrap_or_default();
    let role = match &member.agent {
        Some(agent) if agent.leader => "leader",
        Some(_) if observed.votes(id) => "follower",
        Some(agent) if agent.in_ensemble => "observer",
        Some(_) | None => "joining",
    };
    let state = match member {
        _ if member.process.leaving => "leaving",
        _ if !member.process.runs => "stopped",
        _ if agent.cordoned => "cordoned",
        _ if member.ready => "serving",
        _ => "starting",
    };
    MemberStatus {
        id,
        pod: Some(member.process.name.clone()).filter(|name| !name.is_empty()),
        role: role.to_owned(),
        state: state.to_owned(),
        ready: member.ready,
        version: agent.version,
        incarnation: agent.incarnation,
        partitions: agent.replicas,
        leaders: agent.led,
        bytes: agent.bytes.unwrap_or(0),
    }
}

fn rebalance(observed: &Observed) -> RebalanceStatus {
    let rebalance = &observed.rebalance;
    let narrow = |n: i64| i32::try_from(n).unwrap_or(i32::MAX);
    let state = match rebalance.activity {
        Activity::Idle => "Idle",
        Activity::Moving => "Moving",
        Activity::Waiting => "Waiting",
        Activity::Unasked => "Skewed",
        Activity::Cancelled => "Cancelled",
    };
    RebalanceStatus {
        state: state.to_owned(),
        moves_done: narrow(rebalance.moves.0),
        moves_total: narrow(rebalance.moves.1),
        bytes_done: rebalance.bytes.0,
        bytes_total: rebalance.bytes.1,
        estimated_end: rebalance
            .estimated_end_ms
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .map(|end| end.to_string()),
    }
}

impl WaitFor {
    /// The wait is for replicas to move, which has a progress of its own.
    pub fn is_rebalance(&self) -> bool {
        matches!(self, Self::Balanced { .. } | Self::Drained { .. })
    }
}
