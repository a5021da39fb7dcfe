//! How a rebalance stands, and what one would do: the cluster image's plan and counters, with the sizes that the quorum leader knows.
//!
//! Must not know: who asks. Read first: [`planned`], [`progress`].

use std::collections::{BTreeMap, BTreeSet};

use streamkeeper_base::{MemberId, TopicPartition, WallMillis};
use streamkeeper_controller::{ClusterImage, bytes_of, due_moves, plan, plan_drains, skew, with_cordoned};

use super::facts::Facts;

/// A move with what it copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizedMove {
    /// The partition.
    pub tp: TopicPartition,
    /// Its topic's name.
    pub topic: String,
    /// Its replicas now, preferred leader first.
    pub before: Vec<MemberId>,
    /// Its replicas then.
    pub after: Vec<MemberId>,
    /// Bytes to copy.
    pub bytes: u64,
}

/// What members hold once nothing moves any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loads {
    /// Replicas, and partitions that prefer the member as leader.
    pub members: BTreeMap<MemberId, (usize, usize)>,
    /// Replicas on the fullest member that takes replicas.
    pub replicas_max: usize,
    /// And on the emptiest.
    pub replicas_min: usize,
}

/// A plan with what it costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// In order.
    pub moves: Vec<SizedMove>,
    /// Bytes to copy in all.
    pub bytes: u64,
    /// What members hold now, moves under way done.
    pub before: Loads,
    /// And after the plan.
    pub after: Loads,
    /// Replicas on members to be emptied that stay there, because too few others are left.
    pub stuck: usize,
}

/// How a rebalance stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing to do.
    Balanced,
    /// Replicas move.
    Running,
    /// Members do not hold alike, and nobody asked for a rebalance.
    Skewed,
    /// Cancelled.
    Cancelled,
    /// Something should move and cannot: what it waits for.
    Waiting(String),
}

/// How a rebalance stands, in figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// In a word.
    pub state: State,
    /// Moves done, and those together with what moves and what is due.
    pub moves: (u64, u64),
    /// Bytes copied, those under way included, and to copy in all.
    pub bytes: (u64, u64),
    /// When it will be done at the rate of the last seconds.
    pub estimated_end: Option<WallMillis>,
    /// What members hold.
    pub loads: Loads,
    /// What moves.
    pub moving: Vec<SizedMove>,
    /// Members that are being emptied and still hold replicas.
    pub draining: Vec<(MemberId, usize)>,
}

/// The plan as it would be with these members cordoned as well; in manual mode, and with members to empty, only what empties them.
pub fn planned(image: &ClusterImage, facts: &Facts, without: &BTreeSet<MemberId>) -> Planned {
    let then = with_cordoned(image, without);
    let drains_only = !without.is_empty() && !image.rebalance.policy.auto;
    let steps = if drains_only { plan_drains(&then) } else { plan(&then) };
    let mut planned = Planned { before: loads(&then, &BTreeMap::new()), ..Planned::default() };
    let mut after = BTreeMap::new();
    for step in steps {
        let Some((topic, partition)) = image.topic_by_id(step.tp.topic).zip(image.partition(step.tp)) else {
            continue;
        };
        let bytes =
            bytes_of(image, &step, |tp| facts.bytes_of(tp, partition).filter(|_| tp == step.tp).unwrap_or(0));
        planned.bytes += bytes;
        let before = partition.target().collect();
        after.insert(step.tp, step.replicas.clone());
        planned.moves.push(SizedMove {
            tp: step.tp,
            topic: topic.name.clone(),
            before,
            after: step.replicas,
            bytes,
        });
    }
    planned.after = loads(&then, &after);
    let cordoned = then.members.iter().filter(|(_, m)| m.cordoned);
    planned.stuck =
        cordoned.map(|(id, _)| planned.after.members.get(id).map_or(0, |(replicas, _)| *replicas)).sum();
    planned
}

fn loads(image: &ClusterImage, moved: &BTreeMap<TopicPartition, Vec<MemberId>>) -> Loads {
    let members = image.members.keys().map(|id| (*id, (0, 0))).collect();
    let mut loads = Loads { members, ..Loads::default() };
    for (tp, _, partition) in image.partitions() {
        let target = moved.get(&tp).cloned().unwrap_or_else(|| partition.target().collect());
        for (place, id) in target.iter().enumerate() {
            let load = loads.members.entry(*id).or_default();
            load.0 += 1;
            load.1 += usize::from(place == 0);
        }
    }
    let takes = |id: &MemberId| image.members.get(id).is_some_and(|m| m.live && !m.cordoned);
    let held = || loads.members.iter().filter(|(id, _)| takes(id)).map(|(_, (replicas, _))| *replicas);
    (loads.replicas_max, loads.replicas_min) = (held().max().unwrap_or(0), held().min().unwrap_or(0));
    loads
}

/// Bytes that the rebalance which runs, or the last one, has copied: finished moves whole, those under way as far as they are.
pub fn copied_bytes(image: &ClusterImage, sizes: &BTreeMap<MemberId, BTreeMap<TopicPartition, u64>>) -> u64 {
    let run = &image.rebalance.run;
    let under_way = run.moving.iter().map(|(tp, begun)| {
        let adding = image.partition(*tp).map_or(&[][..], |p| &p.adding);
        let there = adding.iter().filter_map(|id| sizes.get(id).and_then(|s| s.get(tp)));
        there.sum::<u64>().min(begun.bytes)
    });
    run.bytes_done + under_way.sum::<u64>()
}

/// How the rebalance stands at a moment.
pub fn progress(image: &ClusterImage, facts: &Facts, now: WallMillis) -> Progress {
    let run = &image.rebalance.run;
    let due: Vec<_> = due_moves(image)
        .into_iter()
        .filter(|step| image.partition(step.tp).is_some_and(|p| !p.is_moving()))
        .collect();
    let due_bytes: u64 = due
        .iter()
        .map(|step| {
            let size = image.partition(step.tp).and_then(|p| facts.bytes_of(step.tp, p)).unwrap_or(0);
            bytes_of(image, step, |_| size)
        })
        .sum();
    let done = copied_bytes(image, &facts.sizes);
    let total = run.bytes_done + run.moving.values().map(|begun| begun.bytes).sum::<u64>() + due_bytes;
    let rate = facts.moved_bytes_per_second;
    let left_ms = (total - done.min(total)).saturating_mul(1000).checked_div(rate);
    let is_running = !run.moving.is_empty() || !due.is_empty();
    Progress {
        state: state(image, !due.is_empty()),
        moves: (run.moves_done, run.moves_done + run.moving.len() as u64 + due.len() as u64),
        bytes: (done, total),
        estimated_end: left_ms
            .filter(|_| is_running)
            .map(|ms| WallMillis(now.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))),
        loads: loads(image, &BTreeMap::new()),
        moving: moving(image),
        draining: image
            .members
            .iter()
            .filter(|(_, m)| m.cordoned)
            .map(|(id, _)| (*id, image.replicas_on(*id)))
            .filter(|(_, held)| *held > 0)
            .collect(),
    }
}

fn moving(image: &ClusterImage) -> Vec<SizedMove> {
    let sized = |(tp, begun): (&TopicPartition, &streamkeeper_controller::Begun)| {
        let (topic, partition) = image.topic_by_id(tp.topic).zip(image.partition(*tp))?;
        Some(SizedMove {
            tp: *tp,
            topic: topic.name.clone(),
            before: begun.before.clone(),
            after: partition.target().collect(),
            bytes: begun.bytes,
        })
    };
    image.rebalance.run.moving.iter().filter_map(sized).collect()
}

fn state(image: &ClusterImage, is_due: bool) -> State {
    let now = skew(image);
    if now.is_balanced() {
        return State::Balanced;
    }
    if let Some(reason) = stalled(image) {
        return State::Waiting(reason);
    }
    if now.moving > 0 || is_due {
        State::Running
    } else if image.rebalance.run.held {
        State::Cancelled
    } else if now.moves > 0 {
        State::Skewed
    } else if now.stranded > 0 {
        State::Waiting(format!("{} replicas on cordoned members have no other member to go to", now.stranded))
    } else {
        State::Waiting(format!("{} partitions wait until their preferred replica is in sync", now.misled))
    }
}

/// Why nothing that moves can arrive, if so.
fn stalled(image: &ClusterImage) -> Option<String> {
    let moving: Vec<_> = image.partitions().filter(|(_, _, p)| p.is_moving()).collect();
    let waits = |id: &&MemberId| image.members.get(id).is_none_or(|m| !m.live);
    let reasons: Option<Vec<String>> = moving
        .iter()
        .map(|(tp, topic, partition)| {
            if partition.leader.is_none() {
                return Some(format!("{}-{} has no leader", topic.name, tp.partition.0));
            }
            partition
                .adding
                .iter()
                .find(waits)
                .map(|id| format!("member {id} is down and shall get replicas"))
        })
        .collect();
    reasons.and_then(|reasons| reasons.into_iter().next())
}
