//! Who leads a partition. Never a member that may lack an acknowledged record.

use streamkeeper_base::{LeaderEpoch, MemberId, PartitionEpoch};

use crate::image::{ClusterImage, Member, Partition};

/// The next leader: of the live ISR the one that stands first among the replicas, else of the live ELR (KIP-966), else nobody. One that
/// rests or is being emptied leads only if nobody else of the ISR can.
pub(crate) fn candidate(
    image: &ClusterImage,
    partition: &Partition,
    except: Option<MemberId>,
) -> Option<MemberId> {
    let live = |id: &&MemberId| image.members.get(id).is_some_and(|m| m.live) && Some(**id) != except;
    let willing = |id: &&MemberId| image.members.get(id).is_some_and(Member::may_lead);
    let of = |set: &[MemberId]| partition.replicas.iter().filter(live).find(|id| set.contains(id)).copied();
    let in_sync =
        partition.replicas.iter().filter(live).filter(willing).find(|id| partition.isr.contains(id));
    in_sync.copied().or_else(|| of(&partition.isr)).or_else(|| of(&partition.elr))
}

/// Gives a partition its next leader, or none.
pub(crate) fn elect(partition: &mut Partition, leader: Option<MemberId>) {
    partition.leader = leader;
    partition.leader_epoch = LeaderEpoch(partition.leader_epoch.0 + 1);
    partition.partition_epoch = PartitionEpoch(partition.partition_epoch.0 + 1);
    if let Some(id) = leader
        && !partition.isr.contains(&id)
    {
        // From the ELR: nothing was acknowledged without it, and it stands alone now.
        partition.isr = vec![id];
        partition.elr.retain(|member| *member != id);
    }
}

/// A member is not heard: it leaves the ISR where others remain, and leads nothing. `None` if nothing changes.
pub(crate) fn without(
    image: &ClusterImage,
    partition: &Partition,
    member: MemberId,
    min_insync: usize,
) -> Option<Partition> {
    let leads = partition.leader == Some(member);
    if !leads && !partition.isr.contains(&member) {
        return None;
    }
    let mut next = partition.clone();
    shrink(&mut next, &[member], min_insync);
    if leads {
        let leader = candidate(image, &next, Some(member));
        elect(&mut next, leader);
    } else {
        next.partition_epoch = PartitionEpoch(next.partition_epoch.0 + 1);
    }
    Some(next)
}

/// Members leave the ISR; those that leave it below min.insync.replicas stay electable, because nothing is acknowledged then.
pub(crate) fn shrink(partition: &mut Partition, leaving: &[MemberId], min_insync: usize) {
    let before = partition.isr.clone();
    partition.isr.retain(|id| !leaving.contains(id));
    if partition.isr.len() < min_insync {
        for id in before {
            if leaving.contains(&id) && !partition.elr.contains(&id) {
                partition.elr.push(id);
            }
        }
    }
}

/// A member came back with another disk: nothing that it held counts.
pub(crate) fn forget(image: &ClusterImage, partition: &Partition, member: MemberId) -> Option<Partition> {
    if !partition.isr.contains(&member)
        && !partition.elr.contains(&member)
        && partition.leader != Some(member)
    {
        return None;
    }
    let mut next = partition.clone();
    next.isr.retain(|id| *id != member);
    next.elr.retain(|id| *id != member);
    if next.leader == Some(member) {
        let leader = candidate(image, &next, Some(member));
        elect(&mut next, leader);
    } else {
        next.partition_epoch = PartitionEpoch(next.partition_epoch.0 + 1);
    }
    Some(next)
}
