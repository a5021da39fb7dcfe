//! What must hold before members stop together, or leave for good, as far as partitions are concerned. Facts about now, each named.
//!
//! Must not know: quorums (Zab judges those), who asks. Read first: [`restart`], [`removal`].

use std::collections::{BTreeMap, BTreeSet};

use streamkeeper_base::{MemberId, PartitionId};

use crate::image::{ClusterImage, Partition, Topic};

/// Blockers of one kind that are listed one by one; the rest is counted.
const LISTED_MAX: usize = 8;

/// What kind of a reason it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockerKind {
    /// There is no such member.
    UnknownMember,
    /// The voters that remain would be no majority that has everything.
    Quorum,
    /// The partition would have no leader.
    PartitionOffline,
    /// The partition would have fewer replicas in sync than min.insync.replicas.
    PartitionUnderMinInsync,
    /// The members that remain are fewer than the topic's replication factor.
    ReplicationFactor,
    /// The member holds replicas.
    HoldsReplicas,
    /// The member votes.
    Votes,
    /// The member leads the quorum.
    LeadsQuorum,
    /// Another member has not caught up since it was away.
    MemberNotReady,
    /// A member's disk has no room for what would move there.
    DiskSpace,
    /// A change of the ensemble is not finished.
    ChangeInProgress,
}

/// Why something must not be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// What kind of a reason.
    pub kind: BlockerKind,
    /// The member it is about.
    pub member: Option<MemberId>,
    /// The topic it is about.
    pub topic: Option<String>,
    /// The partition it is about.
    pub partition: Option<PartitionId>,
    /// One sentence: what, where, how much.
    pub message: String,
    /// How many more of the kind are not listed.
    pub more: u64,
}

impl Blocker {
    /// A reason that is about a member, or about none.
    pub fn new(kind: BlockerKind, member: Option<MemberId>, message: String) -> Self {
        Self { kind, member, topic: None, partition: None, message, more: 0 }
    }

    fn of_partition(kind: BlockerKind, topic: &Topic, partition: PartitionId, message: String) -> Self {
        let (topic, partition) = (Some(topic.name.clone()), Some(partition));
        Self { kind, member: None, topic, partition, message, more: 0 }
    }
}

/// A judgement: nothing forbids it if `blockers` is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What forbids it now.
    pub blockers: Vec<Blocker>,
    /// Of a restart: what it interrupts whenever it is done. Of a removal: what must be done first.
    pub others: Vec<Blocker>,
}

impl Verdict {
    /// Adds what forbids it.
    pub fn block(&mut self, blocker: Blocker) {
        list(&mut self.blockers, blocker);
    }

    /// Adds what does not forbid it.
    pub fn note(&mut self, blocker: Blocker) {
        list(&mut self.others, blocker);
    }
}

fn list(blockers: &mut Vec<Blocker>, blocker: Blocker) {
    if blockers.iter().filter(|b| b.kind == blocker.kind).count() < LISTED_MAX {
        blockers.push(blocker);
    } else if let Some(last) = blockers.iter_mut().rfind(|b| b.kind == blocker.kind) {
        last.more += 1;
    }
}

/// May these members stop together now and come back? What no waiting can avoid (a single replica; as many replicas as
/// min.insync.replicas asks for) is noted and forbids nothing, or such topics could never be restarted.
pub fn restart(image: &ClusterImage, stopping: &BTreeSet<MemberId>) -> Verdict {
    let mut verdict = Verdict::default();
    let mut catching_up: BTreeMap<MemberId, usize> = BTreeMap::new();
    for (tp, topic, partition) in image.partitions() {
        if !partition.isr.iter().any(|id| stopping.contains(id)) {
            continue;
        }
        judge_restart(&mut verdict, (topic, tp.partition), partition, stopping);
        for id in partition.target().filter(|id| !partition.isr.contains(id) && !stopping.contains(id)) {
            // One that is down may stay so: it forbids nothing by itself. One that is back is worth the wait.
            if image.members.get(&id).is_some_and(|m| m.live) && !partition.adding.contains(&id) {
                *catching_up.entry(id).or_default() += 1;
            }
        }
    }
    for (id, partitions) in catching_up {
        let message =
            format!("member {id} is catching up on {partitions} partitions; wait until it is in sync");
        verdict.block(Blocker::new(BlockerKind::MemberNotReady, Some(id), message));
    }
    verdict
}

fn judge_restart(
    verdict: &mut Verdict,
    (topic, number): (&Topic, PartitionId),
    partition: &Partition,
    stopping: &BTreeSet<MemberId>,
) {
    let min_insync = topic.min_insync();
    let in_sync = partition.isr.iter().filter(|id| !stopping.contains(id)).count();
    let kind = match in_sync {
        0 => BlockerKind::PartitionOffline,
        few if few < min_insync => BlockerKind::PartitionUnderMinInsync,
        _ => return,
    };
    let replicas = partition.target().count();
    let hit = partition.target().filter(|id| stopping.contains(id)).count();
    let always = hit <= 1 && replicas.saturating_sub(1) < if in_sync == 0 { 1 } else { min_insync };
    let name = format!("{}-{}", topic.name, number.0);
    let message = match (in_sync, always) {
        (0, true) => format!("{name} has {replicas} replica and is offline during the restart"),
        (0, false) => format!("{name} would be offline: no other replica is in sync"),
        (_, true) => format!(
            "{name} has {replicas} replicas, and min.insync.replicas is {min_insync}: producers wait during the restart"
        ),
        (_, false) => {
            format!("{name} would have {in_sync} replicas in sync, and min.insync.replicas is {min_insync}")
        }
    };
    let blocker = Blocker::of_partition(kind, topic, number, message);
    if always { verdict.note(blocker) } else { verdict.block(blocker) }
}

/// May these members leave for good? Replicas they hold are noted as what must be drained first.
pub fn removal(image: &ClusterImage, leaving: &BTreeSet<MemberId>) -> Verdict {
    let mut verdict = Verdict::default();
    let remaining =
        image.members.iter().filter(|(id, m)| m.live && !m.cordoned && !leaving.contains(id)).count();
    for topic in image.topics.values() {
        let factor = topic.partitions.iter().map(|p| p.target().count()).max().unwrap_or(0);
        let held = topic.partitions.iter().any(|p| p.replicas.iter().any(|id| leaving.contains(id)));
        if held && factor > remaining {
            let message = format!(
                "topic {} has {factor} replicas of each partition, and {remaining} members would remain to hold them",
                topic.name
            );
            let topic = Some(topic.name.clone());
            verdict.block(Blocker { topic, ..Blocker::new(BlockerKind::ReplicationFactor, None, message) });
        }
    }
    for (tp, topic, partition) in image.partitions() {
        let last = partition.leader.is_none() && partition.replicas.iter().any(|id| leaving.contains(id));
        if last {
            let message =
                format!("{}-{} has no leader, so its replicas cannot move away", topic.name, tp.partition.0);
            verdict.block(Blocker::of_partition(BlockerKind::PartitionOffline, topic, tp.partition, message));
        }
    }
    for id in leaving {
        let held = image.replicas_on(*id);
        if held > 0 {
            let message = format!("member {id} holds {held} replicas; drain it");
            verdict.note(Blocker::new(BlockerKind::HoldsReplicas, Some(*id), message));
        }
    }
    verdict
}
