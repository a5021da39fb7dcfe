//! Carrying a plan out: the quorum leader asks here what to do next. Nothing is remembered outside the image, so a new quorum
//! leader goes on where the old one stopped.

use crate::command::Command;
use crate::image::ClusterImage;
use crate::planner::plan;

/// Partitions that may move at once.
const MOVES_AT_ONCE: usize = 8;

/// The next step towards an even assignment, if one is due: a move, or a preferred leader that can lead again.
pub fn next_command(image: &ClusterImage) -> Option<Command> {
    let moving =
        image.partitions().filter(|(_, _, p)| !p.adding.is_empty() || !p.removing.is_empty()).count();
    let draining = image.members.values().any(|m| m.cordoned);
    if (image.auto_rebalance || draining)
        && moving < MOVES_AT_ONCE
        && let Some(step) = plan(image).into_iter().find(|step| {
            image
                .partition(step.tp)
                .is_some_and(|p| p.adding.is_empty() && p.removing.is_empty() && p.leader.is_some())
        })
    {
        return Some(Command::Reassign { tp: step.tp, replicas: step.replicas });
    }
    image
        .partitions()
        .find(|(_, _, p)| {
            let Some(first) = p.replicas.first() else { return false };
            let ready =
                p.isr.contains(first) && image.members.get(first).is_some_and(|m| m.live && !m.cordoned);
            p.leader.is_some() && p.leader != Some(*first) && ready && p.adding.is_empty()
        })
        .map(|(tp, _, _)| Command::ElectPreferred(tp))
}
