//! Where new replicas go: spread over zones first, then over members by how many they hold, leaders evenly. Deterministic.

use std::collections::BTreeMap;

use streamkeeper_base::MemberId;

use crate::image::{ClusterImage, Member};

/// What members hold, for comparing them.
#[derive(Clone, Debug)]
pub(crate) struct Loads {
    /// Replicas by eligible member.
    pub(crate) replicas: BTreeMap<MemberId, usize>,
    /// Partitions that prefer the member as leader.
    pub(crate) preferred: BTreeMap<MemberId, usize>,
}

impl Loads {
    /// Counts what members hold or are about to, of those that may be moved to: live, not cordoned, with room on their disks.
    pub(crate) fn of(image: &ClusterImage) -> Self {
        Self::counted(image, |member| member.live && !member.cordoned && !member.full)
    }

    /// The same of those that may get new replicas. Members that are not heard count as well: a topic that is made while a
    /// member restarts must not have fewer replicas for ever.
    pub(crate) fn registered(image: &ClusterImage) -> Self {
        Self::counted(image, |member| !member.cordoned)
    }

    fn counted(image: &ClusterImage, is_eligible: impl Fn(&Member) -> bool) -> Self {
        let eligible = image.members.iter().filter(|(_, m)| is_eligible(m)).map(|(id, _)| *id);
        let replicas: BTreeMap<MemberId, usize> = eligible.map(|id| (id, 0)).collect();
        let mut loads = Self { preferred: replicas.clone(), replicas };
        for (_, _, partition) in image.partitions() {
            let target: Vec<MemberId> = partition.target().collect();
            loads.count(&target);
        }
        loads
    }

    pub(crate) fn count(&mut self, replicas: &[MemberId]) {
        for id in replicas {
            if let Some(count) = self.replicas.get_mut(id) {
                *count += 1;
            }
        }
        if let Some(count) = replicas.first().and_then(|id| self.preferred.get_mut(id)) {
            *count += 1;
        }
    }
}

/// Replicas for one new partition; fewer than wanted if there are not enough members.
pub(crate) fn place(image: &ClusterImage, loads: &mut Loads, replication_factor: usize) -> Vec<MemberId> {
    let mut chosen: Vec<MemberId> = Vec::new();
    while chosen.len() < replication_factor {
        let zone_of = |id: &MemberId| image.members.get(id).map_or("", |m| m.address.zone.as_str());
        let used = |id: &MemberId| chosen.iter().filter(|c| zone_of(c) == zone_of(id)).count();
        let next = loads
            .replicas
            .iter()
            .filter(|(id, _)| !chosen.contains(id))
            .min_by_key(|(id, count)| {
                // Who is not heard is taken last (StripedReplicaPlacer), and so is who has no room.
                let is_down = !image.members.get(id).is_some_and(|m| m.live && !m.full);
                (is_down, used(id), **count, loads.preferred.get(id).copied(), **id)
            })
            .map(|(id, _)| *id);
        let Some(id) = next else { break };
        chosen.push(id);
    }
    let is_down = |id: &MemberId| !image.members.get(id).is_some_and(|m| m.live);
    chosen.sort_by_key(|id| (is_down(id), loads.preferred.get(id).copied(), *id));
    loads.count(&chosen);
    chosen
}
