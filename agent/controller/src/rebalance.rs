//! Carrying a plan out: the quorum leader asks here what to do next. The plan is not stored, because it follows from the image; what moves,
//! what was done and what was forbidden is in the image. So a new quorum leader goes on where the old one stopped.
//!
//! Read first: [`Rebalance`], [`next_command`].

use std::collections::BTreeMap;

use streamkeeper_base::{MemberId, TopicPartition, WallMillis};

use crate::command::Command;
use crate::image::{ClusterImage, Partition};
use crate::operation::Operation;
use crate::planner::{Move, plan, plan_drains};

/// Partitions that may move at once.
const MOVES_AT_ONCE: usize = 8;

/// How replicas are moved, and what moves now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebalance {
    /// What is allowed.
    pub policy: Policy,
    /// The rebalance that runs, or the last one.
    pub run: Run,
}

/// What a rebalance may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// True once somebody set it; before that it follows the configuration of the quorum leader.
    pub is_set: bool,
    /// True: a skew is repaired without a command.
    pub auto: bool,
    /// Bytes per second that a member sends to replicas that are being added; 0 for no limit.
    pub bytes_per_second_max: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { is_set: false, auto: false, bytes_per_second_max: 50 * 1024 * 1024 }
    }
}

/// One rebalance: from the first move until nothing is left to move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// When it began; `None` if there was none yet.
    pub started: Option<WallMillis>,
    /// When it ended; `None` while it runs.
    pub ended: Option<WallMillis>,
    /// True if it was asked for, and so goes on without `Policy::auto`.
    pub asked_for: bool,
    /// True after a cancellation: nothing is moved until the next start or drain.
    pub held: bool,
    /// Moves that are done.
    pub moves_done: u64,
    /// What they copied, bytes as of their begin.
    pub bytes_done: u64,
    /// Moves under way.
    pub moving: BTreeMap<TopicPartition, Begun>,
}

/// A move under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The replicas to go back to.
    pub before: Vec<MemberId>,
    /// What it copies, bytes as of its begin.
    pub bytes: u64,
}

impl Run {
    pub(crate) fn begun(at: WallMillis) -> Self {
        Self { started: Some(at), ..Self::default() }
    }

    /// True from its begin to its end.
    pub fn is_active(&self) -> bool {
        self.started.is_some() && self.ended.is_none()
    }

    pub(crate) fn finished(&mut self, tp: TopicPartition) {
        if let Some(begun) = self.moving.remove(&tp) {
            self.moves_done += 1;
            self.bytes_done += begun.bytes;
        }
    }
}

/// What should move now: everything that evens the image out, or in manual mode what empties cordoned members; nothing after a
/// cancellation.
pub fn due_moves(image: &ClusterImage) -> Vec<Move> {
    let run = &image.rebalance.run;
    if run.held {
        Vec::new()
    } else if image.rebalance.policy.auto || (run.asked_for && run.is_active()) {
        plan(image)
    } else if image.members.values().any(|m| m.cordoned) {
        plan_drains(image)
    } else {
        Vec::new()
    }
}

/// What a move copies: the partition for each member that does not hold it yet. `bytes` gives a partition's size.
pub fn bytes_of(image: &ClusterImage, step: &Move, bytes: impl Fn(TopicPartition) -> u64) -> u64 {
    let held = image.partition(step.tp).map_or(&[][..], |p| &p.replicas);
    let added = step.replicas.iter().filter(|id| !held.contains(id)).count();
    bytes(step.tp) * added as u64
}

/// The next step towards an even assignment, if one is due: a move, the end of a rebalance, or a preferred leader that can lead again.
/// `bytes` gives a partition's size, as far as it is known.
pub fn next_command(
    image: &ClusterImage,
    at: WallMillis,
    bytes: impl Fn(TopicPartition) -> u64,
) -> Option<Command> {
    let moving = image.partitions().filter(|(_, _, p)| p.is_moving()).count();
    let due = due_moves(image);
    if moving < MOVES_AT_ONCE
        && let Some(step) =
            due.iter().find(|step| image.partition(step.tp).is_some_and(|p| can_move(image, p)))
    {
        let bytes = bytes_of(image, step, bytes);
        let (tp, replicas) = (step.tp, step.replicas.clone());
        return Some(Command::Operate(Operation::Move { tp, replicas, bytes, at }));
    }
    let run = &image.rebalance.run;
    if run.is_active() && run.moving.is_empty() && due.is_empty() {
        return Some(Command::Operate(Operation::EndRebalance { at }));
    }
    image
        .partitions()
        .find(|(_, _, p)| {
            let Some(first) = p.replicas.first() else { return false };
            let ready = p.isr.contains(first) && image.members.get(first).is_some_and(|m| m.may_lead());
            p.leader.is_some() && p.leader != Some(*first) && ready && p.adding.is_empty()
        })
        .map(|(tp, _, _)| Command::ElectPreferred(tp))
}

/// One move at a time for each partition, unless the one under way leads to a member that is being emptied.
fn can_move(image: &ClusterImage, partition: &Partition) -> bool {
    let astray = |id: &MemberId| image.members.get(id).is_none_or(|m| m.cordoned);
    partition.leader.is_some() && (!partition.is_moving() || partition.adding.iter().any(astray))
}
