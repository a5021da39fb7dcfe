//! Hand-over: a member gives its leads to others in sync before it stops, so that clients never meet a dead leader; or because its disk
//! is full, so that they never wait for one that cannot append.
//!
//! Read first: [`hand_over`].

use streamkeeper_base::MemberId;

use crate::election::{candidate, elect};
use crate::image::{ClusterImage, Delta, Member, Partition};

/// The member is as given, so that it may not lead, and every partition that it leads and another in sync can lead is led by that one.
pub(crate) fn hand_over(image: &ClusterImage, id: MemberId, member: Member) -> Vec<Delta> {
    let mut after = image.clone();
    let mut deltas = Vec::new();
    if image.members.get(&id) != Some(&member) {
        let delta = Delta::PutMember(id, member);
        after.apply(&delta);
        deltas.push(delta);
    }
    for (tp, _, partition) in image.partitions().filter(|(_, _, p)| p.leader == Some(id)) {
        if let Some(successor) = successor(&after, partition, id) {
            let mut next = partition.clone();
            elect(&mut next, Some(successor));
            deltas.push(Delta::PutPartition(tp, next));
        }
    }
    deltas
}

/// Who could take a partition's lead over from a member without a loss: another one of the ISR that may lead.
fn successor(image: &ClusterImage, partition: &Partition, id: MemberId) -> Option<MemberId> {
    let next = candidate(image, partition, Some(id))?;
    let fit = partition.isr.contains(&next) && image.members.get(&next).is_some_and(Member::may_lead);
    fit.then_some(next)
}

/// What a member leads, and how many of these partitions no other member can take over now.
pub fn leads(image: &ClusterImage, id: MemberId) -> (usize, usize) {
    let led = image.partitions().filter(|(_, _, p)| p.leader == Some(id));
    led.fold((0, 0), |(led, stuck), (_, _, partition)| {
        (led + 1, stuck + usize::from(successor(image, partition, id).is_none()))
    })
}
