//! One replica: its role, its ends, and every event that reaches it.
//!
//! The log itself is outside: the partition says what to append or cut, and is told the ends. Ordered chain, checked after each
//! step: `high watermark <= end`, `durable <= end`.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use streamkeeper_base::plant::{Plant, is_planted};
use streamkeeper_base::{Durable, Incarnation, Instant, LeaderEpoch, MemberId, Offset, PartitionEpoch};

use crate::durable_end::DurableEnd;
use crate::high_watermark::Progress;
use crate::leader::Leader;
use crate::message::Message;
use crate::settling::Settling;

/// A producer's request, as the owner numbers it.
pub type RequestId = u64;

/// What the controller decided, as far as one replica needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Who leads.
    pub leader: Option<MemberId>,
    /// Its term.
    pub leader_epoch: LeaderEpoch,
    /// The state's version.
    pub partition_epoch: PartitionEpoch,
    /// Who holds the partition.
    pub replicas: Vec<MemberId>,
    /// Who is in sync.
    pub isr: Vec<MemberId>,
    /// Replicas that a reassignment adds.
    pub adding: Vec<MemberId>,
    /// Replicas that leave, with their files, once the added ones are in sync.
    pub removing: Vec<MemberId>,
    /// How many must be in sync, and have a record on disk, before it is acknowledged.
    pub min_insync: usize,
    /// The controller waits for the word that everything acknowledged is on the disks of the whole ISR.
    pub wants_flush: bool,
}

/// What can happen to a replica. Read with [`Action`]: together they are the protocol.
#[derive(Clone, Debug)]
pub enum Event {
    /// Batches of a producer are in the leader's log up to `end`; the request waits for the high watermark.
    Appended {
        /// Who waits; `None` for acks 0 and 1.
        request: Option<RequestId>,
        /// Where the batches begin.
        at: Offset,
        /// The new end.
        end: Offset,
        /// Them, for followers that are at the end.
        batches: Bytes,
        /// When to give up.
        deadline: Instant,
    },
    /// A producer sent again what is in the log up to `end`: it is answered as the first time, once that is acknowledged (rule 31).
    Awaited {
        /// Who waits.
        request: RequestId,
        /// The end of its batch.
        end: Offset,
        /// When to give up.
        deadline: Instant,
    },
    /// A flush of the log's files covers everything below. Only storage can make the token.
    Persisted(Durable<Offset>),
    /// The write-ahead log holds the records from the first offset up to the second.
    Logged(Durable<(Offset, Offset)>),
    /// The note of [`Action::Settle`] is durable.
    Settled(Durable<LeaderEpoch>),
    /// A peer said something about this partition.
    Received {
        /// Who.
        from: MemberId,
        /// What.
        message: Message,
    },
    /// The replication link to a follower is up; its disk is in this state.
    FollowerUp(MemberId, Incarnation),
    /// It is down.
    FollowerDown(MemberId),
    /// The controller decided.
    Assigned(Assignment),
    /// The controller refused an ISR proposal and changed nothing.
    ProposalRefused {
        /// As [`Action::ProposeIsr`] numbered it.
        number: u64,
    },
    /// The disk is full: the last append or cut was not carried out, nor was what followed it in the same step.
    DiskFull,
    /// There is room again.
    DiskHasRoom,
    /// Time passed.
    Tick,
}

/// Why a produce request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProduceError {
    /// Another replica leads.
    NotLeader,
    /// Appended, but not acknowledged in time: it may or may not survive.
    TimedOut,
}

/// What the owner must do. Order within one step is the order of effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send over the replication link.
    Send {
        /// To whom.
        to: MemberId,
        /// What.
        message: Message,
    },
    /// Read the log for a follower that is behind, then [`Partition::send_read`].
    ReadForFollower {
        /// For whom.
        to: MemberId,
        /// From where.
        from: Offset,
    },
    /// Follower: append these batches at the log's end. If the disk is full, the rest of the step is void: [`Event::DiskFull`].
    Append {
        /// Where they begin.
        at: Offset,
        /// Them.
        batches: Bytes,
    },
    /// Follower: cut the log; as [`Action::Append`] if the disk is full.
    Truncate {
        /// The end to keep.
        to: Offset,
        /// Drop everything and begin there instead.
        restart: bool,
    },
    /// Follower: the leader deleted everything below.
    MoveLogStart(Offset),
    /// Answer a producer.
    Reply {
        /// Who waits.
        request: RequestId,
        /// How it went.
        result: Result<(), ProduceError>,
    },
    /// Ask the controller for another ISR.
    ProposeIsr {
        /// The new ISR.
        isr: Vec<MemberId>,
        /// The states of the disks of those that join it.
        joins: Vec<(MemberId, Incarnation)>,
        /// The term it is proposed in.
        leader_epoch: LeaderEpoch,
        /// The state it is proposed against.
        partition_epoch: PartitionEpoch,
        /// Everything acknowledged is on the disks of this ISR.
        flushed: bool,
        /// For [`Event::ProposalRefused`].
        number: u64,
    },
    /// Note, durably, that this log has everything on disk that a term began with; then [`Event::Settled`].
    Settle(LeaderEpoch),
    /// Consumers may see more.
    HighWatermark(Offset),
    /// A term begins: this replica leads (true) or follows.
    Role {
        /// True if it leads.
        leads: bool,
    },
}

/// What a replica must know of its log.
pub trait LogView {
    /// The first offset.
    fn start(&self) -> Offset;
    /// The end.
    fn end(&self) -> Offset;
    /// Where each epoch begins, ascending.
    fn epochs(&self) -> Vec<(LeaderEpoch, Offset)>;
}

/// A role.
#[derive(Debug)]
pub(crate) enum Role {
    /// No leader, or none that this replica knows of.
    Idle,
    Leading(Leader),
    Following(Following),
}

/// A follower's view of its leader's term.
#[derive(Debug, Default)]
pub(crate) struct Following {
    /// Where the leader's log ended when the term began.
    pub(crate) epoch_start: Offset,
    /// The log was compared with the leader's since its last greeting: it is a part of it.
    pub(crate) synced: bool,
    /// Something that the leader sent was not written: nothing that follows counts before the next greeting.
    pub(crate) stalled: bool,
}

/// One replica of one partition.
#[derive(Debug)]
pub struct Partition {
    pub(crate) id: MemberId,
    pub(crate) assignment: Assignment,
    pub(crate) role: Role,
    pub(crate) own: Progress,
    pub(crate) durable: DurableEnd,
    pub(crate) settling: Settling,
    /// ISR proposals made so far.
    pub(crate) proposals: u64,
    pub(crate) high_watermark: Offset,
    /// The log's first offset, as of the last event.
    pub(crate) log_start: Offset,
    pub(crate) now: Instant,
    pub(crate) lag_max: Duration,
    pub(crate) links: BTreeMap<MemberId, Incarnation>,
    pub(crate) reported: Progress,
    /// The disk is full.
    pub(crate) full: bool,
    /// A greeting by a leader whose state this replica has not seen yet.
    pub(crate) early: Option<(MemberId, Message)>,
    pub(crate) out: Vec<Action>,
}

impl Partition {
    /// A replica with what its log holds: its end received, everything below `durable` flushed, and the last term it settled into.
    pub fn new(
        id: MemberId,
        log: &dyn LogView,
        durable: Offset,
        settled: Option<LeaderEpoch>,
        lag_max: Duration,
    ) -> Self {
        let end = log.end();
        Self {
            id,
            assignment: Assignment { leader_epoch: LeaderEpoch(-1), ..Assignment::default() },
            role: Role::Idle,
            own: Progress { received: end, durable: durable.min(end) },
            durable: DurableEnd::new(durable.min(end)),
            settling: Settling::new(settled.unwrap_or(LeaderEpoch(-1))),
            high_watermark: log.start(),
            log_start: log.start(),
            now: Instant::ZERO,
            lag_max,
            proposals: 0,
            links: BTreeMap::new(),
            reported: Progress::default(),
            full: false,
            early: None,
            out: Vec::new(),
        }
    }

    /// A replica that is behind for longer leaves the in-sync set, from the next tick on.
    pub fn set_lag_max(&mut self, lag_max: Duration) {
        self.lag_max = lag_max;
    }

    /// How long a replica may be behind.
    pub fn lag_max(&self) -> Duration {
        self.lag_max
    }

    /// Handles one event; what must be done is appended to `out`, in order.
    pub fn handle(&mut self, now: Instant, event: Event, log: &dyn LogView, out: &mut Vec<Action>) {
        (self.now, self.log_start) = (now, log.start());
        std::mem::swap(&mut self.out, out);
        match event {
            Event::Appended { request, at, end, batches, deadline } => {
                self.appended(request, at, end, &batches, deadline);
            }
            Event::Awaited { request, end, deadline } => self.awaited(request, end, deadline),
            Event::Persisted(end) => {
                self.durable.flushed(end.get());
                self.persisted();
            }
            Event::Logged(range) => {
                let (from, to) = range.get();
                self.durable.logged(from, to);
                self.persisted();
            }
            Event::Settled(term) => self.settled(term),
            Event::Received { from, message } => self.received(from, message, log),
            Event::FollowerUp(member, incarnation) => self.follower_up(member, incarnation),
            Event::FollowerDown(member) => self.follower_down(member),
            Event::Assigned(assignment) => self.assigned(assignment, log),
            Event::ProposalRefused { number } => self.proposal_refused(number),
            Event::DiskFull => self.disk_full(log),
            Event::DiskHasRoom => self.full = false,
            Event::Tick => self.tick(),
        }
        self.settle();
        self.check(log);
        std::mem::swap(&mut self.out, out);
    }

    /// True if this replica leads.
    pub fn leads(&self) -> bool {
        matches!(self.role, Role::Leading(_))
    }

    /// What the controller decided last.
    pub fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// What consumers may see; `None` on a new leader that has not proved it yet (OFFSET_NOT_AVAILABLE): it never shows less
    /// than the leader before.
    pub fn visible_end(&self) -> Option<Offset> {
        match &self.role {
            Role::Leading(leader) => {
                let is_proved = self.high_watermark >= leader.epoch_start;
                (is_proved || is_planted(Plant::UnprovedHighWatermark)).then_some(self.high_watermark)
            }
            Role::Idle | Role::Following(_) => None,
        }
    }

    /// The high watermark as far as this replica knows it.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Replicas that could acknowledge now.
    pub fn in_sync(&self) -> usize {
        self.assignment.isr.len()
    }

    /// What this replica has written and flushed.
    pub fn progress(&self) -> Progress {
        self.own
    }

    fn assigned(&mut self, assignment: Assignment, log: &dyn LogView) {
        let old = std::mem::replace(&mut self.assignment, assignment);
        let term_changed =
            old.leader_epoch != self.assignment.leader_epoch || old.leader != self.assignment.leader;
        if !term_changed {
            self.isr_changed(old.partition_epoch);
            return self.hear_early(log);
        }
        self.give_up_leading();
        self.own.received = log.end();
        self.role = match self.assignment.leader {
            Some(id) if id == self.id => Role::Leading(Leader::new(log.end(), self.now)),
            Some(_) => Role::Following(Following::default()),
            None => Role::Idle,
        };
        self.reported = Progress::default();
        self.out.push(Action::Role { leads: self.leads() });
        if self.leads() {
            self.greet_followers();
            self.await_flush();
            self.advance();
        }
        self.hear_early(log);
    }

    /// A greeting may have been faster than the controller's news.
    fn hear_early(&mut self, log: &dyn LogView) {
        if let Some((from, message)) = self.early.take() {
            self.received(from, message, log);
        }
    }

    fn received(&mut self, from: MemberId, message: Message, log: &dyn LogView) {
        if let Message::Hello { leader_epoch, partition_epoch, .. } = &message {
            let known = (self.assignment.leader_epoch, self.assignment.partition_epoch);
            if (*leader_epoch, *partition_epoch) > known {
                self.early = Some((from, message));
                return;
            }
        }
        if message.leader_epoch() != self.assignment.leader_epoch {
            // Another term: the controller's news is on its way here or there.
            return;
        }
        match message {
            Message::Position { epochs, end, durable, .. } => self.position(from, &epochs, end, durable, log),
            Message::Progress { received, durable, .. } => self.follower_progress(from, received, durable),
            Message::Stalled { .. } => self.follower_stalled(from),
            Message::Hello { epoch_start, .. } => self.hello(from, epoch_start, log),
            Message::Truncate { to, restart, .. } => self.told_to_truncate(from, to, restart, log),
            Message::Append { at, batches, high_watermark, log_start, .. } => {
                self.told_to_append(from, at, batches, high_watermark, log_start, log);
            }
        }
    }

    fn persisted(&mut self) {
        self.own.durable = self.durable.end().min(self.own.received);
        match self.role {
            Role::Leading(_) => self.advance(),
            Role::Following(_) => self.report_progress(),
            Role::Idle => {}
        }
    }

    fn check(&self, log: &dyn LogView) {
        assert!(self.own.durable <= self.own.received, "flushed what was never written: {self:?}");
        assert!(self.high_watermark <= log.end().max(self.own.received), "K10: {self:?}");
    }
}
