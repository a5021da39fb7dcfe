//! The next steps that bring what is there nearer to what is wanted, each with its reason, or what is waited for. Pure.
//!
//! One rule per file, asked in the order of [`plan`]; the first that has steps ends the round, so that one thing happens after the
//! other and every step is decided from facts of now. Two substrates carry the same steps out: local processes and, later, pods.
//! Must not know: how a step is carried out, what was planned before. Read first: [`Step`], [`plan`].

mod rebalance;
mod restart;
mod scale_in;
mod settings;
mod start;
mod storage;
mod voters;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use crate::desired::Desired;
use crate::ensemble::observed::{Blocker, Growth, Observed};
use crate::plant::{Plant, is_planted};
use crate::topic;

pub use rebalance::MAX_BYTES_PER_SECOND;

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The substrate makes the member's process run, with a new disk if it has none.
    Start(i32),
    /// The substrate ends the member's process in good order and starts it again with the wanted configuration.
    Restart(i32),
    /// The substrate ends the member's process in good order; its disk stays.
    Stop(i32),
    /// The substrate remembers that the member leaves for good; from here there is no way back for this disk.
    MarkLeaving(i32),
    /// The substrate ends the process of a member that the ensemble has removed, and puts its disk aside: it is never used again.
    Retire(i32),
    /// The member gives away what it leads.
    HandOver(i32),
    /// Nothing new is placed on the member, and what it holds moves away.
    Cordon(i32),
    /// The member is used again.
    Uncordon(i32),
    /// What the cordoned member holds moves away now, whatever the policy of rebalances is.
    Drain(i32),
    /// The observer votes.
    Promote(i32),
    /// The voter observes.
    Demote(i32),
    /// The member leaves the ensemble.
    Remove(i32),
    /// How agents rebalance by themselves.
    ConfigureRebalance {
        /// Without being asked.
        auto: bool,
        /// Bytes per second on one member.
        max_bytes_per_second: i64,
    },
    /// The member's broker has these settings in place of those that it has, without a restart.
    ConfigureBroker {
        /// Whose.
        member: i32,
        /// All that may change while it runs.
        settings: BTreeMap<String, String>,
    },
    /// The topic is made, grown, or its settings altered: whatever is missing.
    ApplyTopic(Box<TopicStep>),
}

/// A topic as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicStep {
    /// Its name in Kafka.
    pub name: String,
    /// Partitions.
    pub partitions: i32,
    /// Copies of each.
    pub replication_factor: i32,
    /// Exactly what shall be set.
    pub config: BTreeMap<String, String>,
    /// Settings that are left alone.
    pub unmanaged: Vec<String>,
}

/// Why a step is taken; also a label of metrics and of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The member is wanted and does not run.
    Missing,
    /// The member's disk is gone.
    DiskLost,
    /// The member runs with an old configuration.
    ConfigChanged,
    /// Fewer members are wanted.
    ScaleIn,
    /// The member was to leave, and is wanted again.
    ScaleInTakenBack,
    /// The number of voters is another than the wanted one.
    Voters,
    /// The ensemble is suspended.
    Suspended,
    /// The policy of rebalances is another than the wanted one.
    PolicyChanged,
    /// The broker's settings are others than the wanted ones.
    SettingsChanged,
    /// There is no such topic.
    TopicMissing,
    /// The topic has fewer partitions than wanted.
    TopicGrows,
    /// The topic's settings are others than the wanted ones.
    TopicConfig,
}

/// A step with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The step.
    pub step: Step,
    /// Why.
    pub why: Why,
}

/// What is waited for, and who it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What.
    pub what: WaitFor,
    /// Who.
    pub who: String,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// A volume that grows.
    Growth(Growth),
    /// Members that serve.
    Serving {
        /// How many do.
        ready: usize,
        /// How many shall.
        wanted: usize,
    },
    /// A quorum leader.
    Quorum,
    /// The disk of a member, without which there is no quorum.
    DiskBack,
    /// A change of the ensemble that is not committed.
    ChangeOfEnsemble,
    /// An observer that shall vote has the ensemble's history.
    CatchUp,
    /// A member that serves says which broker settings it has.
    Settings,
    /// A member may be restarted.
    RestartAllowed(Vec<Blocker>),
    /// Members may leave.
    ScaleInAllowed(Vec<Blocker>),
    /// Members that leave hold nothing any more.
    Drained {
        /// Replicas that they hold.
        replicas: i32,
        /// Why nothing moves; empty if something does.
        stuck: String,
    },
    /// Replicas are spread evenly.
    Balanced {
        /// Replicas on the fullest member.
        replicas_max: i32,
        /// Replicas on the emptiest.
        replicas_min: i32,
        /// Partitions that move.
        moving: usize,
    },
    /// Enough members for the copies of a topic.
    MembersForTopic {
        /// How many serve.
        live: i32,
        /// How many copies there shall be.
        copies: i32,
    },
    /// A topic's replicas are in sync, and everywhere known.
    InSync {
        /// Partitions that are.
        good: i32,
        /// Partitions that there are.
        total: i32,
    },
    /// A name that the ensemble needs and somebody else has.
    NameFree,
    /// Another specification: the topic that is there cannot become what is wanted.
    Impossible(String),
}

/// The next steps and the waits; none of both when what is there is what is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Steps, in this order.
    pub steps: Vec<Planned>,
    /// What is waited for.
    pub waits: Vec<Wait>,
}

impl Plan {
    /// What is there is what is wanted.
    pub fn is_converged(&self) -> bool {
        self.steps.is_empty() && self.waits.is_empty()
    }

    fn step(&mut self, step: Step, why: Why) {
        self.steps.push(Planned { step, why });
    }

    fn wait(&mut self, what: WaitFor, who: impl Into<String>) {
        self.waits.push(Wait { what, who: who.into() });
    }
}

/// What a rule leaves to the rules after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// They are asked too.
    Go,
    /// They must not do anything before this is over.
    Stop,
}

/// The next steps towards `desired`.
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    // Paused: somebody looks into it by hand; whatever is missing, nothing is done about it.
    if desired.ensemble.paused && !is_planted(Plant::PauseIgnored) {
        return plan;
    }
    let obstacles = &observed.obstacles;
    for object in obstacles.objects.iter().chain(obstacles.members.values()) {
        plan.wait(WaitFor::NameFree, object.clone());
    }
    let rules = [
        start::suspend,
        start::missing,
        scale_in::finish,
        start::serving,
        storage::growing,
        scale_in::take_back,
        voters::follow,
        settings::follow,
        restart::one,
        scale_in::begin,
        rebalance::follow,
    ];
    for rule in rules.into_iter().filter(|_| !obstacles.holds_members) {
        if rule(desired, observed, &mut plan) == Next::Stop || !plan.steps.is_empty() {
            break;
        }
    }
    // Topics neither disturb members nor wait for them: what they need of members they say themselves.
    if !desired.ensemble.suspended && observed.knows_topics() {
        topic::plan::topics(desired, observed, &mut plan);
    }
    plan
}

impl Plan {
    /// For the topics' rules.
    pub(crate) fn topic_step(&mut self, step: TopicStep, why: Why) {
        self.step(Step::ApplyTopic(Box::new(step)), why);
    }

    /// For the topics' rules.
    pub(crate) fn topic_wait(&mut self, what: WaitFor, topic: &str) {
        self.wait(what, format!("topic {topic}"));
    }
}

fn member(id: i32) -> String {
    format!("member {id}")
}

fn sentences(blockers: &[Blocker]) -> String {
    blockers.iter().map(|b| b.message.as_str()).collect::<Vec<_>>().join("; ")
}

impl WaitFor {
    /// It does not pass by itself.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Impossible(_) | Self::NameFree => true,
            Self::Growth(growth) => growth.lasting,
            Self::RestartAllowed(blockers) | Self::ScaleInAllowed(blockers) => {
                blockers.iter().any(|b| b.lasting)
            }
            Self::Serving { .. }
            | Self::Quorum
            | Self::DiskBack
            | Self::ChangeOfEnsemble
            | Self::CatchUp
            | Self::Settings
            | Self::Drained { .. }
            | Self::Balanced { .. }
            | Self::MembersForTopic { .. }
            | Self::InSync { .. } => false,
        }
    }
}

impl fmt::Display for WaitFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serving { ready, wanted } => write!(f, "{ready} of {wanted} members serve"),
            Self::Quorum => f.write_str("nobody leads the quorum yet"),
            Self::DiskBack => f.write_str(
                "its data is gone, and without it there is no quorum yet; put it back if the others do not come up either",
            ),
            Self::ChangeOfEnsemble => f.write_str("a change of the ensemble is not committed yet"),
            Self::CatchUp => f.write_str("shall vote once it has the ensemble's history"),
            Self::Settings => f.write_str("did not say yet which broker settings it has"),
            Self::RestartAllowed(blockers) => write!(f, "cannot be restarted now: {}", sentences(blockers)),
            Self::ScaleInAllowed(blockers) => write!(f, "cannot leave: {}", sentences(blockers)),
            Self::Drained { replicas, stuck } if stuck.is_empty() => {
                write!(f, "{replicas} replicas still move away")
            }
            Self::Drained { replicas, stuck } => write!(f, "{replicas} replicas do not move away: {stuck}"),
            Self::Balanced { replicas_max, replicas_min, moving } => {
                write!(f, "{moving} partitions move; members hold {replicas_min} to {replicas_max} replicas")
            }
            Self::MembersForTopic { live, copies } => {
                write!(f, "needs {copies} members for its copies, {live} serve")
            }
            Self::InSync { good, total } => write!(f, "{good} of {total} partitions in sync"),
            Self::Growth(growth) => f.write_str(&growth.message),
            Self::NameFree => f.write_str(
                "it is there and does not belong to this ensemble; delete it, or give the ensemble another name",
            ),
            Self::Impossible(why) => f.write_str(why),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.who, self.what)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(id) => write!(f, "start member {id}"),
            Self::Restart(id) => write!(f, "restart member {id}"),
            Self::Stop(id) => write!(f, "stop member {id}"),
            Self::MarkLeaving(id) => write!(f, "note that member {id} leaves for good"),
            Self::Retire(id) => write!(f, "stop member {id} for good and put its data aside"),
            Self::HandOver(id) => write!(f, "hand over what member {id} leads"),
            Self::Cordon(id) => write!(f, "cordon member {id}"),
            Self::Uncordon(id) => write!(f, "uncordon member {id}"),
            Self::Drain(id) => write!(f, "drain member {id}"),
            Self::Promote(id) => write!(f, "let member {id} vote"),
            Self::Demote(id) => write!(f, "let member {id} observe"),
            Self::Remove(id) => write!(f, "remove member {id} from the ensemble"),
            Self::ConfigureRebalance { auto, max_bytes_per_second } => {
                let how = if *auto { "by themselves" } else { "when asked" };
                write!(f, "let replicas move {how}, {max_bytes_per_second} bytes a second at most")
            }
            Self::ConfigureBroker { member, .. } => write!(f, "tell member {member} its broker settings"),
            Self::ApplyTopic(topic) => write!(f, "apply topic {}", topic.name),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "it is wanted and does not run",
            Self::DiskLost => "its data is gone",
            Self::ConfigChanged => "its configuration changed",
            Self::ScaleIn => "fewer members are wanted",
            Self::ScaleInTakenBack => "it is wanted again",
            Self::Voters => "another number of voters is wanted",
            Self::Suspended => "the ensemble is suspended",
            Self::PolicyChanged => "another policy is wanted",
            Self::SettingsChanged => "other settings are wanted",
            Self::TopicMissing => "there is no such topic",
            Self::TopicGrows => "more partitions are wanted",
            Self::TopicConfig => "other settings are wanted",
        })
    }
}
