//! Changes of one partition's state: a leader's ISR proposal, a reassignment and its completion.

use streamkeeper_base::{LeaderEpoch, MemberId, PartitionEpoch};

use crate::command::CommandError;
use crate::election::{candidate, elect, shrink};
use crate::image::{ClusterImage, Partition};

const FENCED_LEADER_EPOCH: i16 = 74;
const INVALID_UPDATE_VERSION: i16 = 95;
const INELIGIBLE_REPLICA: i16 = 107;
const INVALID_REPLICA_ASSIGNMENT: i16 = 39;

/// A leader's proposal (KIP-497): fenced by its term and by the state it saw.
pub(crate) fn propose_isr(
    image: &ClusterImage,
    partition: &Partition,
    min_insync: usize,
    leader: MemberId,
    epochs: (LeaderEpoch, PartitionEpoch),
    isr: &[MemberId],
) -> Result<Partition, CommandError> {
    if partition.leader != Some(leader) || partition.leader_epoch != epochs.0 {
        return Err(CommandError::new(FENCED_LEADER_EPOCH, "another leader was elected"));
    }
    if partition.partition_epoch != epochs.1 {
        return Err(CommandError::new(INVALID_UPDATE_VERSION, "the partition changed meanwhile"));
    }
    let joins = isr.iter().filter(|id| !partition.isr.contains(id));
    for id in joins {
        if !partition.replicas.contains(id) || !image.members.get(id).is_some_and(|m| m.live) {
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
    if next.isr.len() >= min_insync {
        next.elr.clear();
    }
    next.partition_epoch = PartitionEpoch(next.partition_epoch.0 + 1);
    if completes {
        complete(image, &mut next);
    }
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
    // Replicas that an unfinished reassignment was adding go at once, unless they are wanted again.
    let base: Vec<MemberId> =
        partition.replicas.iter().filter(|id| !partition.adding.contains(id)).copied().collect();
    let mut next = partition.clone();
    next.adding = target.iter().filter(|id| !base.contains(id)).copied().collect();
    next.removing = base.iter().filter(|id| !target.contains(id)).copied().collect();
    next.replicas = target.iter().chain(&next.removing).copied().collect();
    let replicas = next.replicas.clone();
    next.isr.retain(|id| replicas.contains(id));
    next.elr.retain(|id| replicas.contains(id));
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
    partition.isr.retain(|id| replicas.contains(id));
    partition.elr.retain(|id| replicas.contains(id));
    if partition.leader.is_none_or(|id| !replicas.contains(&id)) {
        let leader = candidate(image, partition, None);
        elect(partition, leader);
    }
}
