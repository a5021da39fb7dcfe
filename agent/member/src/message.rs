//! What a member's machines and their neighbours (each other, gRPC, the shell) tell one another.

use std::collections::BTreeMap;
use std::sync::Arc;

use streamkeeper_base::{Address, ClusterId, MemberId, SessionId, Zxid};
use streamkeeper_controller::{Answer, ClusterImage, Command};
use streamkeeper_zab::{MembershipChange, RoleName};

/// What coordination is asked.
#[derive(Debug)]
pub enum ToCoordination {
    /// Something for the controller, wherever it is; answered by [`FromCoordination::Answered`] with the same token.
    Command {
        /// Chosen by the asker.
        token: u64,
        /// Who gets the answer.
        asker: Asker,
        /// What is wanted.
        command: Command,
    },
    /// A change of the ensemble; answered likewise.
    Membership {
        /// Chosen by the asker.
        token: u64,
        /// Who gets the answer.
        asker: Asker,
        /// What is wanted.
        change: MembershipChange,
    },
    /// The process is to stop: hand over, then [`FromCoordination::HandedOver`].
    Stop,
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The broker machine.
    Broker,
    /// gRPC.
    Control,
}

/// What coordination says.
#[derive(Clone, Debug)]
pub enum FromCoordination {
    /// The cluster image changed.
    Image(Arc<ClusterImage>),
    /// An answer.
    Answered {
        /// The question's token.
        token: u64,
        /// Who asked.
        asker: Asker,
        /// The answer.
        answer: Answer,
    },
    /// Whom to keep links with, and where.
    Peers(BTreeMap<MemberId, Address>),
    /// How things stand; sent when it changes, a few times a second at most.
    Status(Arc<Status>),
    /// Which ensemble this is, told by its own state: for members that were not told by their configuration (`zoo.cfg` names none).
    Identified(ClusterId),
    /// The lead is given away: the process may stop.
    HandedOver,
}

/// How a member's coordination stands, for health, metrics and `describe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This member.
    pub member: MemberId,
    /// What it is.
    pub role: RoleName,
    /// Whom it follows, or itself.
    pub quorum_leader: Option<MemberId>,
    /// The Zab epoch.
    pub zab_epoch: u32,
    /// The last applied transaction.
    pub zxid: Zxid,
    /// The ensemble: who votes.
    pub members: BTreeMap<MemberId, (bool, Address)>,
    /// Learners in contact and up to date, on the quorum leader.
    pub synced: Vec<MemberId>,
    /// Nodes in the tree.
    pub znodes: usize,
    /// Client connections.
    pub connections: usize,
    /// Sessions in the ensemble.
    pub sessions: Vec<SessionId>,
}
