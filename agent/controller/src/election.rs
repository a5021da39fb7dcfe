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
    // They were made for the term before.
    partition.reports.clear();
    if let Some(id) = leader
        && !partition.isr.contains(&id)
    {
        // From the ELR: nothing was acknowledged without it, and it stands alone now.
        partition.isr = vec![id];
        partition.elr.retain(|member| *member != id);
    }
}

/// Gives a partition the leader that the replicas' reports chose: its ISR begins as itself, and nobody else is known to have
/// everything.
pub(crate) fn elect_reported(partition: &mut Partition, leader: MemberId) {
    partition.isr.clear();
    partition.elr.clear();
    elect(partition, Some(leader));
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
    next.normalize(min_insync);
    Some(next)
}

/// Members leave the ISR; those that leave it below min.insync.replicas stay electable, because nothing is acknowledged then.
pub(crate) fn shrink(partition: &mut Partition, leaving: &[MemberId], min_insync: usize) {
    let before = partition.isr.clone();
    partition.isr.retain(|id| !leaving.contains(id));
    if partition.isr.len() < partition.needed_insync(min_insync) {
        for id in before {
            if leaving.contains(&id) && !partition.elr.contains(&id) {
                partition.elr.push(id);
            }
        }
    }
}

/// A member came back and may lack what it received (K8): it is in sync nowhere, and leads nothing. If its disk was replaced, it
/// does not even hold what it flushed. `None` if nothing changes.
pub(crate) fn forget(
    image: &ClusterImage,
    partition: &Partition,
    member: MemberId,
    min_insync: usize,
    is_replaced: bool,
) -> Option<Partition> {
    let counted = [&partition.isr, &partition.elr].iter().any(|set| set.contains(&member))
        || partition.reports.iter().any(|report| report.member == member)
        || partition.leader == Some(member);
    let loses = is_replaced && partition.replicas.contains(&member) && !partition.lost.contains(&member);
    if !counted && !loses {
        return None;
    }
    let mut next = partition.clone();
    next.isr.retain(|id| *id != member);
    next.elr.retain(|id| *id != member);
    next.reports.retain(|report| report.member != member);
    if loses {
        next.lost.push(member);
    }
    if next.leader == Some(member) {
        let leader = candidate(image, &next, Some(member));
        elect(&mut next, leader);
    } else {
        next.partition_epoch = PartitionEpoch(next.partition_epoch.0 + 1);
    }
    next.normalize(min_insync);
    Some(next)
}
