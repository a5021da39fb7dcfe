//! The rebalance planner: which replicas move so that members hold alike. A pure, deterministic function of the image.
//!
//! Moves only what must move: cordoned members are emptied, then replicas go from the fullest to the emptiest member until they
//! differ by one at most, then preferred leaders are evened out by reordering. Never lowers a partition's replication factor or
//! the number of its zones.

use std::collections::BTreeSet;

use streamkeeper_base::{MemberId, TopicPartition};

use crate::image::{ClusterImage, Partition};
use crate::placement::Loads;

/// One step of a plan: the partition's replicas from then on, preferred leader first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The partition.
    pub tp: TopicPartition,
    /// Its replicas.
    pub replicas: Vec<MemberId>,
}

/// How uneven an assignment is. Facts about now, not the memory of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skew {
    /// Replicas on the fullest eligible member.
    pub replicas_max: usize,
    /// Replicas on the emptiest.
    pub replicas_min: usize,
    /// Moves that a plan would make now.
    pub moves: usize,
    /// Partitions that move now.
    pub moving: usize,
    /// Partitions led by another than their preferred replica, or by nobody.
    pub misled: usize,
    /// Replicas on cordoned members.
    pub stranded: usize,
}

impl Skew {
    /// Nothing to move, nothing moving, every preferred replica leads, cordoned members are empty.
    pub fn is_balanced(&self) -> bool {
        self.moves == 0 && self.moving == 0 && self.misled == 0 && self.stranded == 0
    }
}

/// How uneven the image is.
pub fn skew(image: &ClusterImage) -> Skew {
    let loads = Loads::of(image);
    Skew {
        replicas_max: loads.replicas.values().max().copied().unwrap_or(0),
        replicas_min: loads.replicas.values().min().copied().unwrap_or(0),
        moves: plan(image).len(),
        moving: image.partitions().filter(|(_, _, p)| p.is_moving()).count(),
        misled: image.partitions().filter(|(_, _, p)| is_misled(image, p)).count(),
        stranded: image
            .members
            .iter()
            .filter(|(_, m)| m.cordoned)
            .map(|(id, _)| image.replicas_on(*id))
            .sum(),
    }
}

/// Led by another than its preferred replica, which nothing keeps from leading; or by nobody.
fn is_misled(image: &ClusterImage, partition: &Partition) -> bool {
    let preferred = partition.replicas.first();
    let rests =
        preferred.and_then(|id| image.members.get(id)).is_some_and(|m| m.resting || m.cordoned || m.full);
    partition.leader.is_none() || (!rests && partition.leader.as_ref() != preferred)
}

/// The moves that even the image out, in order; empty if it is.
pub fn plan(image: &ClusterImage) -> Vec<Move> {
    let mut planner = Planner::new(image);
    planner.empty_cordoned();
    planner.level_replicas();
    planner.level_leaders();
    planner.moves()
}

/// The moves that empty cordoned members, and no others.
pub fn plan_drains(image: &ClusterImage) -> Vec<Move> {
    let mut planner = Planner::new(image);
    planner.empty_cordoned();
    planner.moves()
}

/// The image as it would be with these members cordoned, to plan a drain before it begins.
pub fn with_cordoned(image: &ClusterImage, members: &BTreeSet<MemberId>) -> ClusterImage {
    let mut next = image.clone();
    for (id, member) in &mut next.members {
        member.cordoned |= members.contains(id);
    }
    next
}

struct Planner<'a> {
    image: &'a ClusterImage,
    loads: Loads,
    /// Target replicas of each partition.
    targets: Vec<(TopicPartition, Vec<MemberId>)>,
}

impl<'a> Planner<'a> {
    fn new(image: &'a ClusterImage) -> Self {
        let targets = image.partitions().map(|(tp, _, p)| (tp, p.target().collect())).collect();
        Self { image, loads: Loads::of(image), targets }
    }

    fn empty_cordoned(&mut self) {
        let cordoned: BTreeSet<MemberId> =
            self.image.members.iter().filter(|(_, m)| m.cordoned).map(|(id, _)| *id).collect();
        for index in 0..self.targets.len() {
            let leaving: Vec<MemberId> =
                self.targets[index].1.iter().filter(|id| cordoned.contains(id)).copied().collect();
            for from in leaving {
                let to = self
                    .loads
                    .replicas
                    .iter()
                    .filter(|(id, _)| !self.targets[index].1.contains(id))
                    .min_by_key(|(id, count)| (self.zone_uses(index, **id, from), **count, **id))
                    .map(|(id, _)| *id);
                if let Some(to) = to {
                    self.replace(index, from, to);
                }
            }
        }
    }

    fn level_replicas(&mut self) {
        // Each round moves one replica downhill, so this ends.
        while let Some((from, to)) = self.extremes() {
            let candidate = (0..self.targets.len()).find(|index| {
                let replicas = &self.targets[*index].1;
                replicas.contains(&from) && !replicas.contains(&to) && self.keeps_zones(*index, from, to)
            });
            let Some(index) = candidate else { return };
            self.replace(index, from, to);
        }
    }

    /// The fullest and the emptiest member, if they differ by more than one replica.
    fn extremes(&self) -> Option<(MemberId, MemberId)> {
        let (from, most) = self.loads.replicas.iter().max_by_key(|(id, count)| (**count, **id))?;
        let (to, least) = self.loads.replicas.iter().min_by_key(|(id, count)| (**count, **id))?;
        (*most > *least + 1).then_some((*from, *to))
    }

    fn level_leaders(&mut self) {
        loop {
            let step = (0..self.targets.len()).find_map(|index| {
                let replicas = &self.targets[index].1;
                let first = *replicas.first()?;
                let led = self.loads.preferred.get(&first).copied()?;
                let (position, id) = replicas
                    .iter()
                    .enumerate()
                    .skip(1)
                    .filter(|(_, id)| self.loads.preferred.contains_key(id))
                    .min_by_key(|(_, id)| self.loads.preferred.get(id).copied())?;
                (self.loads.preferred[id] + 1 < led).then_some((index, position))
            });
            let Some((index, position)) = step else { return };
            let replicas = &mut self.targets[index].1;
            let (old, new) = (replicas[0], replicas[position]);
            replicas.swap(0, position);
            self.shift_preferred(old, new);
        }
    }

    fn replace(&mut self, index: usize, from: MemberId, to: MemberId) {
        let replicas = &mut self.targets[index].1;
        let Some(position) = replicas.iter().position(|id| *id == from) else { return };
        replicas[position] = to;
        if let Some(count) = self.loads.replicas.get_mut(&from) {
            *count -= 1;
        }
        if let Some(count) = self.loads.replicas.get_mut(&to) {
            *count += 1;
        }
        if position == 0 {
            self.shift_preferred(from, to);
        }
    }

    fn shift_preferred(&mut self, from: MemberId, to: MemberId) {
        if let Some(count) = self.loads.preferred.get_mut(&from) {
            *count -= 1;
        }
        if let Some(count) = self.loads.preferred.get_mut(&to) {
            *count += 1;
        }
    }

    fn zone(&self, id: MemberId) -> &str {
        self.image.members.get(&id).map_or("", |m| m.address.zone.as_str())
    }

    /// How many other replicas of the partition share the zone of `to`, with `from` gone.
    fn zone_uses(&self, index: usize, to: MemberId, from: MemberId) -> usize {
        self.targets[index].1.iter().filter(|id| **id != from && self.zone(**id) == self.zone(to)).count()
    }

    fn keeps_zones(&self, index: usize, from: MemberId, to: MemberId) -> bool {
        self.zone_uses(index, to, from) <= self.zone_uses(index, from, from)
    }

    fn moves(self) -> Vec<Move> {
        let current = self.image.partitions();
        current
            .zip(self.targets)
            .filter(|((_, _, partition), (_, target))| !partition.target().eq(target.iter().copied()))
            .map(|(_, (tp, replicas))| Move { tp, replicas })
            .collect()
    }
}
