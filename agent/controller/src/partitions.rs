//! Changes of one partition's state: a leader's ISR proposal, a reassignment and its completion.
//!
//! Read first: [`Partition::needed_insync`], [`Partition::wants_flush`].

use streamkeeper_base::{Incarnation, LeaderEpoch, MemberId, PartitionEpoch};

use crate::command::CommandError;
use crate::election::{candidate, elect, shrink};
use crate::image::{ClusterImage, Member, Partition};

const FENCED_LEADER_EPOCH: i16 = 74;
const INVALID_UPDATE_VERSION: i16 = 95;
const INELIGIBLE_REPLICA: i16 = 107;
const INVALID_REPLICA_ASSIGNMENT: i16 = 39;

impl Partition {
    /// How many members must be in sync, and have a record on disk, before it is acknowledged: what the topic asks for, but no more
    /// than there are (Kafka's effective minimum).
    pub fn needed_insync(&self, min_insync: usize) -> usize {
        min_insync.min(self.target().count()).max(1)
    }

    /// True if something waits for the leader's word that everything acknowledged is on the disks of the whole ISR: a raised
    /// min.insync.replicas, or a replaced disk.
    pub fn wants_flush(&self, min_insync: usize) -> bool {
        let is_low = self.flushed_by < self.needed_insync(min_insync);
        self.lost.iter().any(|id| self.isr.contains(id)) || (is_low && self.has_enough_disks(min_insync))
    }

    /// True if enough of the ISR is there to stay. What is being added may be taken back with its files, and stands behind nothing.
    fn has_enough_disks(&self, min_insync: usize) -> bool {
        let disks = self.isr.iter().filter(|id| !self.adding.contains(id)).count();
        disks >= self.needed_insync(min_insync)
    }

    /// Brings what follows from the rest in order after any change. A lower min.insync.replicas counts at once, a higher one only when
    /// the leader has said that all is flushed; nobody outside of an ISR that acknowledges is known to have everything (KIP-966).
    pub(crate) fn normalize(&mut self, min_insync: usize) {
        let needed = self.needed_insync(min_insync);
        self.flushed_by = self.flushed_by.min(needed);
        if self.isr.len() >= needed {
            self.elr.clear();
        }
    }

    /// Everything acknowledged is on the disks of the whole ISR, and each later record will be on enough of them.
    fn flushed(&mut self, min_insync: usize) {
        self.lost.retain(|id| !self.isr.contains(id));
        if self.has_enough_disks(min_insync) {
            self.flushed_by = self.needed_insync(min_insync);
        }
    }
}

/// What a partition's leader proposes.
pub(crate) struct Proposal<'a> {
    pub(crate) leader: MemberId,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) partition_epoch: PartitionEpoch,
    pub(crate) isr: &'a [MemberId],
    /// The states of the disks of those that join, as the leader knows them.
    pub(crate) joins: &'a [(MemberId, Incarnation)],
    pub(crate) flushed: bool,
}

/// A leader's proposal (KIP-497): fenced by its term, by the state it saw, and by the states of the disks that it speaks of (KIP-903).
pub(crate) fn propose_isr(
    image: &ClusterImage,
    partition: &Partition,
    min_insync: usize,
    proposal: &Proposal<'_>,
) -> Result<Partition, CommandError> {
    let Proposal { leader, isr, .. } = *proposal;
    if partition.leader != Some(leader) || partition.leader_epoch != proposal.leader_epoch {
        return Err(CommandError::new(FENCED_LEADER_EPOCH, "another leader was elected"));
    }
    if partition.partition_epoch != proposal.partition_epoch {
        return Err(CommandError::new(INVALID_UPDATE_VERSION, "the partition changed meanwhile"));
    }
    let joins = isr.iter().filter(|id| !partition.isr.contains(id));
    for id in joins {
        let is_same = |m: &Member| m.live && proposal.joins.contains(&(*id, m.incarnation));
        if !partition.replicas.contains(id) || !image.members.get(id).is_some_and(is_same) {
            return Err(CommandError::new(INELIGIBLE_REPLICA, format!("member {id} cannot join the ISR")));
        }
    }
    let completes = completes(partition, isr);
    if !isr.contains(&leader) && !completes {
        return Err(CommandError::new(INELIGIBLE_REPLICA, "a leader is in its own ISR"));
    }
    let mut next = partition.clone();
    let leaving: Vec<MemberId> = partition.isr.iter().filter(|id| !isr.contains(id)).copied().collect();
    shrink(&mut next, &leaving, min_insync);
    next.isr = partition.replicas.iter().filter(|id| isr.contains(id)).copied().collect();
    next.elr.retain(|id| !next.isr.contains(id));
    next.partition_epoch = PartitionEpoch(next.partition_epoch.0 + 1);
    // It speaks of the ISR that the leader saw, not of another one that it wishes for.
    if proposal.flushed && leaving.is_empty() && next.isr.len() == partition.isr.len() {
        next.flushed(min_insync);
    }
    if completes {
        complete(image, &mut next);
    }
    next.normalize(min_insync);
    Ok(next)
}

/// Begins a reassignment: new replicas are added first, old ones leave when all new ones are in sync (KIP-455). It ends by the
/// leader's proposal of an ISR that has all of the new ones and none of the old ones: only the leader knows whose disks stand behind
/// what it acknowledged, and a replica that leaves takes its files along.
pub(crate) fn reassign(
    image: &ClusterImage,
    partition: &Partition,
    target: &[MemberId],
) -> Result<Partition, CommandError> {
    let error = |message: String| Err(CommandError::new(INVALID_REPLICA_ASSIGNMENT, message));
    if target.is_empty() {
        return error("a partition needs at least one replica".to_owned());
    }
    if let Some(unknown) = target.iter().find(|id| !image.members.contains_key(id)) {
        return error(format!("there is no member {unknown}"));
    }
    if (1..target.len()).any(|i| target[..i].contains(&target[i])) {
        return error("a member is named twice".to_owned());
    }
    // Replicas that an unfinished reassignment was adding go at once, unless they are wanted again, or in sync already: then their disks
    // may stand behind what was acknowledged, and the leader says when they can be done without.
    let stands = |id: &&MemberId| !partition.adding.contains(id) || partition.isr.contains(id);
    let base: Vec<MemberId> = partition.replicas.iter().filter(stands).copied().collect();
    let mut next = partition.clone();
    next.adding = target.iter().filter(|id| !base.contains(id)).copied().collect();
    next.removing = base.iter().filter(|id| !target.contains(id)).copied().collect();
    next.replicas = target.iter().chain(&next.removing).copied().collect();
    let replicas = next.replicas.clone();
    next.isr.retain(|id| replicas.contains(id));
    next.elr.retain(|id| replicas.contains(id));
    next.lost.retain(|id| replicas.contains(id));
    next.reports.retain(|report| replicas.contains(&report.member));
    next.partition_epoch = PartitionEpoch(next.partition_epoch.0 + 1);
    if next.leader.is_some_and(|id| !replicas.contains(&id)) {
        let leader = candidate(image, &next, None);
        elect(&mut next, leader);
    }
    Ok(next)
}

/// True if a reassignment ends with this ISR.
fn completes(partition: &Partition, isr: &[MemberId]) -> bool {
    let caught_up = partition.adding.iter().all(|id| isr.contains(id));
    let is_free = !partition.removing.iter().any(|id| isr.contains(id));
    partition.is_moving() && caught_up && is_free && !isr.is_empty()
}

/// Ends a reassignment.
fn complete(image: &ClusterImage, partition: &mut Partition) {
    partition.replicas = partition.target().collect();
    partition.adding.clear();
    partition.removing.clear();
    let replicas = partition.replicas.clone();
    for set in [&mut partition.isr, &mut partition.elr, &mut partition.lost] {
        set.retain(|id| replicas.contains(id));
    }
    if partition.leader.is_none_or(|id| !replicas.contains(&id)) {
        let leader = candidate(image, partition, None);
        elect(partition, leader);
    }
}
