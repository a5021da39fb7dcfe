//! Who is in sync: what a leader proposes to the controller, and what becomes of a proposal.
//!
//! Read first: [`Partition::propose`].

use streamkeeper_base::MemberId;

use super::Proposed;
use crate::partition::{Action, Partition, Role};

impl Partition {
    /// A follower that has everything up to the high watermark, and the begin of this term, may be in sync.
    pub(super) fn maybe_expand(&mut self, id: MemberId) {
        let Role::Leading(leader) = &self.role else { return };
        if self.assignment.isr.contains(&id)
            || leader.proposed.is_some()
            || self.assignment.removing.contains(&id)
        {
            return;
        }
        let Some(follower) = leader.followers.get(&id) else { return };
        let reached = follower.progress.received;
        if follower.synced && reached >= self.high_watermark && reached >= leader.epoch_start {
            let mut isr = self.assignment.isr.clone();
            isr.push(id);
            self.propose_isr(isr);
        }
    }

    pub(crate) fn propose(&mut self, isr: Vec<MemberId>, flushed: bool) {
        let (leader_epoch, partition_epoch) = (self.assignment.leader_epoch, self.assignment.partition_epoch);
        let at = self.now;
        let Role::Leading(leader) = &mut self.role else { return };
        self.proposals += 1;
        let number = self.proposals;
        let attempts = (number, number);
        // What is known of a follower is known of one state of its disk: it may have lost that since, and the link may not tell (KIP-903).
        let known = |id: &MemberId| leader.followers.get(id).and_then(|f| f.incarnation).map(|i| (*id, i));
        let joins: Vec<_> =
            isr.iter().filter(|id| !self.assignment.isr.contains(id)).filter_map(known).collect();
        leader.proposed = Some(Proposed {
            isr: isr.clone(),
            joins: joins.clone(),
            against: partition_epoch,
            at,
            flushed,
            attempts,
            refused: 0,
            withdrawn: false,
        });
        self.out.push(Action::ProposeIsr { isr, joins, leader_epoch, partition_epoch, flushed, number });
    }

    /// The same proposal again: its members count meanwhile, whatever became of the first. Once one attempt was refused, none should
    /// succeed any more: another state of the partition, with the same ISR, is what voids those that nothing was heard of.
    pub(super) fn propose_again(&mut self) {
        let (leader_epoch, partition_epoch) = (self.assignment.leader_epoch, self.assignment.partition_epoch);
        let now = self.now;
        let Role::Leading(leader) = &mut self.role else { return };
        let Some(proposed) = &mut leader.proposed else { return };
        self.proposals += 1;
        let number = self.proposals;
        (proposed.at, proposed.attempts.1) = (now, number);
        let (isr, joins, flushed) = if proposed.withdrawn {
            (self.assignment.isr.clone(), Vec::new(), false)
        } else {
            (proposed.isr.clone(), proposed.joins.clone(), proposed.flushed)
        };
        self.out.push(Action::ProposeIsr { isr, joins, leader_epoch, partition_epoch, flushed, number });
    }

    /// The controller waits for everything acknowledged to be on the disks of the whole ISR. What is acknowledged from now on follows
    /// the state as it is, so what was acknowledged before is what must be flushed: up to the high watermark, or what the term
    /// began with.
    pub(crate) fn await_flush(&mut self) {
        let (high_watermark, wants_flush) = (self.high_watermark, self.assignment.wants_flush);
        if let Role::Leading(leader) = &mut self.role {
            leader.awaits_flush = wants_flush.then_some(leader.epoch_start.max(high_watermark));
        }
    }

    pub(super) fn propose_flushed(&mut self) {
        let Role::Leading(leader) = &self.role else { return };
        let Some(to) = leader.awaits_flush.filter(|_| leader.proposed.is_none()) else { return };
        if self.assignment.isr.iter().all(|id| self.progress_of(*id).durable >= to) {
            self.propose(self.assignment.isr.clone(), true);
        }
    }

    /// Proposed members go on counting until it is certain that no attempt can have its effect any more: an answer that was lost may
    /// have been a yes.
    pub(crate) fn proposal_refused(&mut self, number: u64) {
        let Role::Leading(leader) = &mut self.role else { return };
        let Some(proposed) = &mut leader.proposed else { return };
        let (first, last) = proposed.attempts;
        if number >= first {
            proposed.refused += 1;
            proposed.withdrawn = true;
            if proposed.refused == last - first + 1 {
                leader.proposed = None;
                self.advance();
            }
        }
    }
}
