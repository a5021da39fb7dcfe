//! What a member's machines and their neighbours (each other, gRPC, the shell) tell one another.

use std::collections::BTreeMap;
use std::sync::Arc;

use streamkeeper_base::{Address, ClusterId, MemberId, SessionId, TopicPartition, Zxid};
use streamkeeper_controller::{Answer, ClusterImage, Command, Guard, Settings};
use streamkeeper_zab::RoleName;

use crate::control::{Change, Facts};

/// What coordination is asked.
#[derive(Debug)]
pub enum ToCoordination {
    /// The broker machine asks the controller, wherever it is; answered by [`FromCoordination::Answered`] with the same token.
    Command {
        /// Chosen by the asker.
        token: u64,
        /// What is wanted.
        command: Command,
    },
    /// Whether what this member knows is current; answered by [`FromCoordination::Answered`] with the same token, behind every image that
    /// was committed before this was asked.
    Confirm {
        /// Chosen by the asker.
        token: u64,
    },
    /// Something from outside; answered likewise.
    Change {
        /// Chosen by the asker.
        token: u64,
        /// What makes it count once.
        guard: Guard,
        /// What is wanted.
        change: Change,
    },
    /// How the ensemble stands; answered by [`FromCoordination::Surveyed`] once this member has applied what the facts are of.
    Survey {
        /// Chosen by the asker.
        token: u64,
        /// True to be told the size of each log too.
        with_sizes: bool,
    },
    /// What the broker machine holds; told when it changes, about once a second.
    Holdings(Holdings),
    /// The broker has written so much into the log that both share, and lets go of what came before: so should coordination, or its
    /// oldest record keeps all of it.
    LogGrew {
        /// Bytes since the last time.
        bytes: u64,
    },
    /// The process is to stop: give away what it leads, then [`FromCoordination::HandedOver`].
    Stop,
}

/// What the broker machine is told.
#[derive(Clone, Debug)]
pub enum ToBroker {
    /// By coordination.
    Coordination(FromCoordination),
    /// By whoever runs the ensemble: the broker's settings that may change while it runs, all of them. They were checked.
    Settings(Settings),
}

/// What a member's disk holds of partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Bytes of each log.
    pub sizes: BTreeMap<TopicPartition, u64>,
    /// Room that is left, bytes.
    pub disk_free_bytes: Option<u64>,
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
    /// How the ensemble stands; `None` if there is no quorum leader to ask.
    Surveyed {
        /// The question's token.
        token: u64,
        /// The leader's facts, and the image that they fit.
        found: Option<(Arc<Facts>, Arc<ClusterImage>)>,
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
    /// Partitions without a leader, and why: a sentence each, the first few.
    pub leaderless: Vec<String>,
}
