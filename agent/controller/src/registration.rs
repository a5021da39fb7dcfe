//! Members come and go: registration of a disk, fencing, and what replicas report when nobody can lead.
//!
//! Must not know: who is heard, and for how long not. Read first: `ClusterImage::register`; then `recovery` for the rule.

use streamkeeper_base::{Incarnation, LeaderEpoch, MemberId, PartitionEpoch, PartitionId, TopicPartition};

use crate::command::CommandError;
use crate::election::{candidate, elect, elect_reported, forget, without};
use crate::image::{ClusterImage, Delta, LogReport, Member, Partition, Topic};
use crate::recovery::{Recovery, recovery};

const STALE_BROKER_EPOCH: i16 = 77;

impl ClusterImage {
    /// A member is here, with this disk. What relied on another state of its disk is forgotten in the same transaction.
    pub(crate) fn register(&self, id: MemberId, entry: Member) -> Vec<Delta> {
        let known = self.members.get(&id);
        if known == Some(&entry) {
            return Vec::new();
        }
        let is_unclean = known.is_none_or(|m| m.incarnation != entry.incarnation);
        let is_replaced = known.is_none_or(|m| m.disk != entry.disk);
        let mut after = self.clone();
        let mut deltas = vec![Delta::PutMember(id, entry)];
        after.apply(&deltas[0]);
        deltas.extend(self.changed_partitions(|partition, min_insync| {
            let forgotten = if is_unclean || is_replaced {
                forget(&after, partition, id, min_insync, is_replaced)
            } else {
                None
            };
            // Whoever waited for this member may have a leader now.
            let current = forgotten.as_ref().unwrap_or(partition);
            led(&after, current, min_insync).or(forgotten)
        }));
        deltas
    }

    /// A member is not heard any more.
    pub(crate) fn fence(&self, id: MemberId) -> Vec<Delta> {
        let Some(member) = self.members.get(&id).filter(|m| m.live) else { return Vec::new() };
        let mut after = self.clone();
        let mut deltas = vec![Delta::PutMember(id, Member { live: false, ..member.clone() })];
        after.apply(&deltas[0]);
        deltas.extend(
            self.changed_partitions(|partition, min_insync| without(&after, partition, id, min_insync)),
        );
        deltas
    }

    /// A member says what its disk holds. Of partitions that changed meanwhile it does not count.
    pub(crate) fn report(
        &self,
        id: MemberId,
        incarnation: Incarnation,
        logs: &[(TopicPartition, LeaderEpoch, LogReport)],
    ) -> Result<Vec<Delta>, CommandError> {
        if !self.members.get(&id).is_some_and(|m| m.live && m.incarnation == incarnation) {
            return Err(CommandError::new(STALE_BROKER_EPOCH, "the member is not registered with this disk"));
        }
        let mut deltas = Vec::new();
        for (tp, leader_epoch, report) in logs {
            let report = LogReport { member: id, ..*report };
            let Ok((topic, partition)) = self.known(*tp) else { continue };
            let counts = partition.leader.is_none()
                && partition.leader_epoch == *leader_epoch
                && partition.replicas.contains(&id)
                && !partition.lost.contains(&id)
                && !partition.reports.contains(&report);
            if !counts {
                continue;
            }
            let mut next = partition.clone();
            next.reports.retain(|known| known.member != id);
            next.reports.push(report);
            next.partition_epoch = PartitionEpoch(next.partition_epoch.0 + 1);
            let min_insync = topic.min_insync();
            deltas.push(Delta::PutPartition(*tp, led(self, &next, min_insync).unwrap_or(next)));
        }
        Ok(deltas)
    }

    /// Members that were in sync were waited for long enough.
    pub(crate) fn recover(&self, tp: TopicPartition) -> Vec<Delta> {
        let Ok((topic, partition)) = self.known(tp) else { return Vec::new() };
        let Recovery::Elect(leader) = recovery(self, partition, false) else { return Vec::new() };
        let mut next = partition.clone();
        elect_reported(&mut next, leader);
        next.normalize(topic.min_insync());
        vec![Delta::PutPartition(tp, next)]
    }

    fn changed_partitions(
        &self,
        mut change: impl FnMut(&Partition, usize) -> Option<Partition>,
    ) -> Vec<Delta> {
        let mut deltas = Vec::new();
        for topic in self.topics.values() {
            let min_insync = topic.min_insync();
            for (tp, partition) in numbered(topic) {
                deltas.extend(change(partition, min_insync).map(|next| Delta::PutPartition(tp, next)));
            }
        }
        deltas
    }
}

fn numbered(topic: &Topic) -> impl Iterator<Item = (TopicPartition, &Partition)> {
    topic.partitions.iter().enumerate().map(|(number, partition)| {
        let number = PartitionId(i32::try_from(number).unwrap_or(i32::MAX));
        (TopicPartition { topic: topic.id, partition: number }, partition)
    })
}

/// A partition without a leader, with one: who is in sync, else whom the reports choose.
fn led(image: &ClusterImage, partition: &Partition, min_insync: usize) -> Option<Partition> {
    if partition.leader.is_some() {
        return None;
    }
    let mut next = partition.clone();
    match (candidate(image, partition, None), recovery(image, partition, true)) {
        (Some(leader), _) => elect(&mut next, Some(leader)),
        (None, Recovery::Elect(leader)) => elect_reported(&mut next, leader),
        (None, Recovery::Led | Recovery::Wait(_)) => return None,
    }
    next.normalize(min_insync);
    Some(next)
}
