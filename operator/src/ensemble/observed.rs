//! What is there: the facts that the plan works on. Two sources fill it in, the substrate (processes or pods) and the agents.
//!
//! Must not know: how facts are got. Read first: [`Observed`], [`ObservedMember`].

use std::collections::{BTreeMap, BTreeSet};

/// Everything there is of one ensemble, as seen at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Members by number: those with a process, and those that the agents know.
    pub members: BTreeMap<i32, ObservedMember>,
    /// What the quorum leader says; `None` while nobody leads.
    pub quorum: Option<Quorum>,
    /// All partitions together.
    pub partitions: Partitions,
    /// How evenly replicas are spread.
    pub rebalance: Rebalance,
    /// Topics by name, internal ones left out.
    pub topics: BTreeMap<String, ObservedTopic>,
    /// Whether the members above the wanted number may leave together, or the last one if none is; `None` if nobody could say.
    pub scale_in: Option<Removal>,
    /// What the substrate cannot make because somebody else has the name.
    pub obstacles: Obstacles,
}

/// Objects of somebody else under names that the substrate needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Obstacles {
    /// Those in the place of what the whole ensemble needs.
    pub objects: BTreeSet<String>,
    /// Those in the place of what one member needs.
    pub members: BTreeMap<i32, String>,
    /// Nothing can be done about members: one of them is in the place of what all of them are kept with.
    pub holds_members: bool,
}

impl Observed {
    /// The members that the substrate keeps and that are not on their way out.
    pub fn staying(&self) -> impl Iterator<Item = (i32, &ObservedMember)> {
        self.members.iter().filter(|(_, m)| m.process.kept && !m.process.leaving).map(|(id, m)| (*id, m))
    }

    /// The members above the wanted number, the last first: the order in which they leave.
    pub fn surplus(&self, replicas: i32) -> Vec<(i32, &ObservedMember)> {
        let mut surplus: Vec<_> = self.staying().filter(|(id, _)| *id >= replicas).collect();
        surplus.reverse();
        surplus
    }

    /// Whether it can be said which topics there are: somebody leads, and somebody who serves was asked.
    pub fn knows_topics(&self) -> bool {
        self.quorum.is_some() && self.members.values().any(|m| m.ready)
    }

    /// Whether a member votes.
    pub fn votes(&self, id: i32) -> bool {
        self.quorum.as_ref().is_some_and(|quorum| quorum.voters.contains(&id))
    }
}

/// One member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedMember {
    /// What the substrate says.
    pub process: Process,
    /// What the quorum leader says; `None` if the ensemble does not know the member.
    pub agent: Option<Agent>,
    /// The agent itself answers.
    pub answers: bool,
    /// The agent itself says that it serves clients.
    pub ready: bool,
    /// The digest of the broker settings that it has in force, as the agent itself says; empty if it cannot be told of others.
    pub settings: Option<String>,
    /// Whether it may be restarted now; only asked of members that must.
    pub restart: Option<Restart>,
}

/// A process or a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "they are facts, each by itself")]
pub struct Process {
    /// The substrate has a place and a disk for it.
    pub kept: bool,
    /// It runs.
    pub runs: bool,
    /// It was told to end and did not yet. On a node that is gone it never does.
    pub ending: bool,
    /// It is being exchanged for a new one, as at a rollout, and not for long.
    pub renewed: bool,
    /// It runs with another configuration than the wanted one.
    pub outdated: bool,
    /// Its disk is gone, though it was a member: whatever it acknowledged it does not know any more.
    pub lost: bool,
    /// It was decided that it leaves for good: a durable mark, set before the ensemble removes it.
    pub leaving: bool,
    /// Its volume is smaller than it shall be.
    pub growth: Option<Growth>,
    /// What people find it by: `process 4711`, a pod's name.
    pub name: String,
}

/// A volume that is smaller than it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// It does not grow: another specification is needed, or a hand.
    pub lasting: bool,
    /// What there is, and who says so: a part of a sentence.
    pub message: String,
}

/// A member as the quorum leader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "they are the agents' own answers, each by itself")]
pub struct Agent {
    /// It observes or votes; false: the ensemble does not have it, though partitions are or were placed on it.
    pub in_ensemble: bool,
    /// It is heard and may lead partitions.
    pub live: bool,
    /// It is being emptied.
    pub cordoned: bool,
    /// It gave its leads away and takes none.
    pub resting: bool,
    /// It leads the quorum.
    pub leader: bool,
    /// It has the ensemble's history.
    pub synced: bool,
    /// Replicas that it holds or is about to.
    pub replicas: i32,
    /// Partitions that it leads.
    pub led: i32,
    /// Bytes of its partitions; `None` if it has not said.
    pub bytes: Option<i64>,
    /// Its disk's identity.
    pub incarnation: String,
    /// The version of its binary.
    pub version: String,
}

/// The quorum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quorum {
    /// Who leads.
    pub leader: i32,
    /// Zab's epoch.
    pub zab_epoch: u32,
    /// The last transaction that is applied on the leader.
    pub zxid: i64,
    /// Who votes.
    pub voters: Vec<i32>,
    /// Voters that have the history.
    pub synced: Vec<i32>,
    /// How many more voters may fail while a quorum is left.
    pub margin: i32,
    /// A change of the ensemble is not committed.
    pub changing: bool,
    /// The greatest fencing token that an operator came with.
    pub fencing_token: i64,
}

/// All partitions together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Partitions {
    /// How many.
    pub total: i32,
    /// Without a leader.
    pub offline: i32,
    /// With fewer replicas in sync than `min.insync.replicas`.
    pub under_min_insync: i32,
    /// With fewer replicas in sync than replicas.
    pub under_replicated: i32,
}

/// How evenly replicas are spread, and what is done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebalance {
    /// Nothing to move, nothing moving, every preferred replica leads, no cordoned member holds anything.
    pub balanced: bool,
    /// What the agents do about it.
    pub activity: Activity,
    /// Moves of the rebalance that runs, or of the last one: done and in all.
    pub moves: (i64, i64),
    /// Bytes copied and to copy in all.
    pub bytes: (i64, i64),
    /// Over the last seconds.
    pub bytes_per_second: i64,
    /// Wall clock in milliseconds since 1970; `None` while there is no rate.
    pub estimated_end_ms: Option<i64>,
    /// Replicas on the fullest and on the emptiest member that takes replicas.
    pub replicas: (i32, i32),
    /// Partitions that move now.
    pub moving: usize,
    /// Why nothing moves though something should; empty otherwise.
    pub waiting_for: String,
    /// A skew is repaired without a command.
    pub auto: bool,
    /// Bytes per second that moves may use on one member; 0 for no limit.
    pub max_bytes_per_second: i64,
}

/// What the agents do about an uneven spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activity {
    /// Nothing, there is nothing to do.
    #[default]
    Idle,
    /// Replicas move.
    Moving,
    /// Something should move and cannot.
    Waiting,
    /// Nothing, because nobody asked for it.
    Unasked,
    /// Nothing, because somebody stopped it.
    Cancelled,
}

/// A topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedTopic {
    /// Its id.
    pub id: String,
    /// Partitions; the fewest that any member that serves knows of.
    pub partitions: i32,
    /// Copies of each.
    pub replication_factor: i32,
    /// What was set for it.
    pub config: BTreeMap<String, String>,
    /// Partitions without a leader.
    pub offline: i32,
    /// Partitions with replicas out of sync.
    pub under_replicated: i32,
    /// Partitions whose replicas move.
    pub moving: i32,
    /// Every member that serves knows it.
    pub known_everywhere: bool,
}

/// Why something must not be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// It does not pass by itself: another specification is needed.
    pub lasting: bool,
    /// One sentence: what, where, how much.
    pub message: String,
}

/// Whether a member may be restarted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restart {
    /// What forbids it now.
    pub blockers: Vec<Blocker>,
    /// What will be interrupted whenever it is done.
    pub unavoidable: Vec<Blocker>,
}

/// Whether members may leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// What forbids it, whatever is drained.
    pub blockers: Vec<Blocker>,
    /// What must be done before.
    pub remaining: Vec<Blocker>,
}
