//! The end of a reassignment (KIP-455), which only the leader can judge: a replica that leaves takes its files along, so none of the
//! disks behind what was acknowledged may be among those that leave.
//!
//! Must not know: why replicas move. Read first: `Partition::disk_counts`, `Partition::complete_move`.

use streamkeeper_base::MemberId;

use crate::high_watermark::{Progress, high_watermark};
use crate::partition::{Partition, Role};

impl Partition {
    /// True if a replica's disk may stand behind an acknowledgement. One that is being added may be taken back, with its files, by a
    /// cancellation that this leader has not heard of; one that leaves may be gone as soon as the end of the move was proposed.
    pub(crate) fn disk_counts(&self, id: MemberId) -> bool {
        let Role::Leading(leader) = &self.role else { return false };
        let ends = leader.proposed.as_ref().is_some_and(|proposed| self.ends_move(&proposed.isr));
        let may_go = self.assignment.adding.contains(&id) || (ends && self.assignment.removing.contains(&id));
        !may_go
    }

    /// True if the controller ends the reassignment with this ISR.
    fn ends_move(&self, isr: &[MemberId]) -> bool {
        let moves = !self.assignment.adding.is_empty() || !self.assignment.removing.is_empty();
        let has_added = self.assignment.adding.iter().all(|id| isr.contains(id));
        moves && has_added && !self.assignment.removing.iter().any(|id| isr.contains(id))
    }

    /// Proposes another ISR: with the end of the move, if it can end, and never without the condition for that.
    pub(crate) fn propose_isr(&mut self, isr: Vec<MemberId>) {
        if self.complete_move(&isr) {
            return;
        }
        if !self.ends_move(&isr) && isr != self.assignment.isr {
            self.propose(isr, false);
        }
    }

    /// A move whose added replicas are in sync, or that adds none, ends by itself.
    pub(crate) fn maybe_complete_move(&mut self) {
        let isr = self.assignment.isr.clone();
        self.complete_move(&isr);
    }

    /// Proposes the end of the move, if the replicas that stay hold on enough disks everything that may have been acknowledged;
    /// otherwise a later tick tries again. True if it was proposed.
    fn complete_move(&mut self, isr: &[MemberId]) -> bool {
        let staying: Vec<MemberId> =
            isr.iter().filter(|id| !self.assignment.removing.contains(id)).copied().collect();
        let Role::Leading(leader) = &self.role else { return false };
        let acknowledged = self.high_watermark.max(leader.epoch_start);
        let progress: Vec<Progress> = staying.iter().map(|id| self.progress_of(*id)).collect();
        let held = high_watermark(&progress, self.assignment.min_insync);
        let can_end = self.ends_move(&staying) && held.is_some_and(|held| held >= acknowledged);
        if can_end {
            self.propose(staying, false);
        }
        can_end
    }
}
