//! Settling into a term: having on disk everything that its leader began with, and a durable note that says so.
//!
//! Only then does what a replica flushed count for acknowledgements. If all replicas lose power, the notes tell which log to go on
//! with: without them a log with records that an earlier leader wrote alone would look like the latest (Raft's figure 8).
//! Must not know: how the note is kept. Read first: [`Partition::report`].

use streamkeeper_base::{Durable, LeaderEpoch, Offset};

use crate::high_watermark::Progress;
use crate::partition::{Action, Partition, Role};

/// How far a replica is on the way into terms.
#[derive(Debug)]
pub(crate) struct Settling {
    /// The last term that was settled into, durably.
    settled: LeaderEpoch,
    /// The note of a term is under way.
    pub(crate) noting: Option<LeaderEpoch>,
}

impl Settling {
    pub(crate) fn new(settled: LeaderEpoch) -> Self {
        Self { settled, noting: None }
    }
}

impl Partition {
    /// What this replica's disk holds, for the choice of a leader when nobody in sync can lead: the leaderless term that it saw,
    /// the last term it settled into (-1 for none), and the end of what it flushed. `None` while there is a leader.
    pub fn report(&self) -> Option<(LeaderEpoch, LeaderEpoch, Offset)> {
        let is_idle = matches!(self.role, Role::Idle) && self.assignment.leader.is_none();
        is_idle.then_some((self.assignment.leader_epoch, self.settling.settled, self.own.durable))
    }

    /// What of the own progress counts in this term.
    pub(crate) fn counted(&self) -> Progress {
        let is_settled = self.settling.settled == self.assignment.leader_epoch;
        Progress { durable: if is_settled { self.own.durable } else { Offset::ZERO }, ..self.own }
    }

    /// Asks for the note once everything that the term began with is on disk, and the log is known to be a part of the leader's.
    pub(crate) fn settle(&mut self) {
        let term = self.assignment.leader_epoch;
        let start = match &self.role {
            Role::Leading(leader) => leader.epoch_start,
            Role::Following(following) if following.synced => following.epoch_start,
            Role::Following(_) | Role::Idle => return,
        };
        let is_due = self.settling.settled < term && self.settling.noting != Some(term);
        if is_due && self.own.durable >= start {
            self.settling.noting = Some(term);
            self.out.push(Action::Settle(term));
        }
    }

    /// The note of a term is durable.
    pub(crate) fn settled(&mut self, term: Durable<LeaderEpoch>) {
        self.settling.settled = self.settling.settled.max(term.get());
        match self.role {
            Role::Leading(_) => self.advance(),
            Role::Following(_) => self.report_progress(),
            Role::Idle => {}
        }
    }
}
