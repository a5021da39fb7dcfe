//! What must hold, looked at after every event. The names (Z.., K..) are those of ARCHITECTURE.md's list of invariants.
//!
//! A violation is a panic whose text begins with the invariant's name. Read first: [`Checkers`].

pub(crate) mod ensemble;
pub(crate) mod history;
pub(crate) mod replication;
pub(crate) mod znodes;

use std::sync::Arc;

use streamkeeper_base::MemberId;
use streamkeeper_controller::ClusterImage;
use streamkeeper_member::io::{Output, Ticket};
use streamkeeper_member::message::FromCoordination;
use streamkeeper_storage::disk::Crash;

use crate::host::Host;
use crate::options::Options;
use ensemble::Ensemble;
use history::History;
use replication::Replication;
use znodes::Znodes;

/// All checkers of a run.
pub(crate) struct Checkers {
    pub(crate) ensemble: Ensemble,
    pub(crate) replication: Replication,
    pub(crate) history: History,
    pub(crate) znodes: Znodes,
}

impl Checkers {
    pub(crate) fn new(options: &Options) -> Self {
        let min_insync = usize::try_from(options.min_insync).unwrap_or(1);
        Self {
            ensemble: Ensemble::default(),
            replication: Replication::new(min_insync),
            history: History::default(),
            znodes: Znodes::default(),
        }
    }

    /// A process came up from its disk.
    pub(crate) fn started(&mut self, host: &Host) {
        self.ensemble.started(host);
        self.replication.started(host.id);
    }

    /// A process is gone.
    pub(crate) fn crashed(&mut self, member: MemberId, crash: Crash) {
        self.replication.crashed(member, crash);
    }

    /// A member's coordination log is on disk up to the ticket.
    pub(crate) fn persisted(&mut self, member: MemberId, ticket: Ticket) {
        self.ensemble.persisted(member, ticket);
    }

    pub(crate) fn after_coordination(
        &mut self,
        hosts: &[Host],
        member: MemberId,
        outputs: &[Output<FromCoordination>],
    ) {
        let Some(process) = hosts.iter().find(|h| h.id == member).and_then(|h| h.process.as_ref()) else {
            return;
        };
        self.ensemble.after(member, &process.coordination, outputs);
        self.replication.image(process.coordination.zab().last_delivered(), process.coordination.image());
    }

    pub(crate) fn after_broker(&mut self, hosts: &[Host], member: MemberId) {
        let Some(host) = hosts.iter().find(|h| h.id == member) else { return };
        let Some(process) = &host.process else { return };
        self.replication.after(member, &process.broker, hosts);
    }

    /// The cluster image of the member that is furthest.
    pub(crate) fn newest_image(&self) -> Option<Arc<ClusterImage>> {
        self.replication.newest_image()
    }
}
