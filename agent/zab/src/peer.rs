//! One peer: its durable promises, its log, its role; every event enters here.
//!
//! Must not know: how to elect, discover, synchronize or broadcast: those are the phases' files. Read first: [`Peer`], [`Role`].

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use streamkeeper_base::limits::{COMMITTED_WINDOW_BYTES_MAX, COMMITTED_WINDOW_TXNS_MAX};
use streamkeeper_base::{Durable, Instant, MemberId, Random, ZabEpoch, Zxid};

use crate::action::{Action, RoleName};
use crate::election::Election;
use crate::event::Event;
use crate::follower::Learner;
use crate::history::{Entry, History, Payload, Window};
use crate::leader::{Leader, Phase};
use crate::message::Message;
use crate::quorum::Membership;
use crate::record::{LogRecord, Recovery, SnapshotMeta};

/// Who a peer is and how patient.
#[derive(Clone, Debug)]
pub struct Config {
    /// This member.
    pub id: MemberId,
    /// The first voters, the same on each of them; empty on a member that joins a running ensemble.
    pub bootstrap: Membership,
    /// Periods and limits.
    pub timing: Timing,
}

/// Periods and limits of a peer.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// A leader pings its learners this often.
    pub ping: Duration,
    /// Leader and learner part when they hear nothing from each other for longer (ZooKeeper's syncLimit; check-quorum).
    pub sync_limit: Duration,
    /// Discovery and synchronization may take this long (ZooKeeper's initLimit).
    pub init_limit: Duration,
    /// A vote is repeated this often while looking.
    pub vote_resend: Duration,
    /// With a quorum for a candidate, a better vote is awaited this long (ZooKeeper's finalizeWait).
    pub vote_finalize: Duration,
    /// Delivered transactions that are kept in memory to bring a lagging peer up by DIFF (ZooKeeper's commitLogCount).
    pub committed_window_txns: usize,
    /// Bytes that they may have.
    pub committed_window_bytes: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ping: Duration::from_millis(100),
            sync_limit: Duration::from_secs(2),
            init_limit: Duration::from_secs(10),
            vote_resend: Duration::from_millis(100),
            vote_finalize: Duration::from_millis(30),
            committed_window_txns: COMMITTED_WINDOW_TXNS_MAX,
            committed_window_bytes: COMMITTED_WINDOW_BYTES_MAX,
        }
    }
}

/// What a flushed record allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    Promise(ZabEpoch),
    NewLeader(ZabEpoch),
    Entry(Zxid),
    Base,
    Other,
}

/// What a peer does at the moment.
#[derive(Debug)]
pub(crate) enum Role {
    Looking(Election),
    Learning(Learner),
    Leading(Leader),
}

/// One member of the ensemble.
#[derive(Debug)]
pub struct Peer {
    pub(crate) id: MemberId,
    pub(crate) timing: Timing,
    pub(crate) now: Instant,
    pub(crate) random: Random,
    pub(crate) history: History,
    /// No leader of a lower epoch is followed; durable before AckEpoch.
    pub(crate) promised: ZabEpoch,
    /// The epoch whose initial history was adopted last; durable before AckNewLeader. `current <= promised` (Z10).
    pub(crate) current: ZabEpoch,
    next_ticket: u64,
    /// Records under way to the disk: ticket, role generation at append, what the flush allows.
    pending: VecDeque<(u64, u64, Pending)>,
    /// Counts role changes; what an earlier role appended allows nothing in a later one.
    pub(crate) generation: u64,
    pub(crate) links: BTreeSet<MemberId>,
    pub(crate) round: u64,
    pub(crate) role: Role,
    /// The last role reported to the owner.
    reported: (RoleName, Option<MemberId>, ZabEpoch),
    /// A state that the owner makes durable now; until then this peer takes no part.
    pub(crate) installing: Option<SnapshotMeta>,
    /// The process stops once the lead is handed over.
    pub(crate) stopping: bool,
    /// Whom this member votes for after it gave the lead away, and until when.
    pub(crate) deferring: Option<(MemberId, Instant)>,
    /// This member left: it takes no part any more.
    pub(crate) leaving: bool,
    pub(crate) out: Vec<Action>,
}

impl Peer {
    /// A peer with what its disk holds; it looks for a leader from the first tick on.
    ///
    /// # Errors
    /// The text says why the recovered log contradicts itself.
    pub fn new(config: Config, recovery: Recovery, now: Instant, seed: u64) -> Result<Self, String> {
        let (promised, current, next_ticket) = (recovery.promised, recovery.current, recovery.next_ticket);
        let history = recovery.into_history(config.bootstrap, Window::of(&config.timing))?;
        Ok(Self {
            id: config.id,
            timing: config.timing,
            now,
            random: Random::new(seed),
            promised,
            current,
            next_ticket,
            pending: VecDeque::new(),
            generation: 0,
            links: BTreeSet::new(),
            round: 0,
            role: Role::Looking(Election::idle(now)),
            reported: (RoleName::Looking, None, ZabEpoch(0)),
            installing: None,
            stopping: false,
            deferring: None,
            leaving: false,
            out: Vec::new(),
            history,
        })
    }

    /// Handles one event; what must be done is appended to `out`, in order.
    pub fn handle(&mut self, now: Instant, event: Event, out: &mut Vec<Action>) {
        assert!(now >= self.now, "time runs backwards");
        self.now = now;
        std::mem::swap(&mut self.out, out);
        match event {
            Event::Tick => self.tick(),
            Event::LinkUp(peer) => self.link_up(peer),
            Event::LinkDown(peer) => self.link_down(peer),
            Event::Received { from, message } => self.received(from, message),
            Event::Persisted(ticket) => self.persisted(ticket),
            Event::SyncRequested { token } => self.sync_requested(token),
            Event::SnapshotSupplied { to, zxid, chunks } => self.snapshot_supplied(to, zxid, chunks),
            Event::SnapshotInstalled(zxid) => self.snapshot_installed(zxid),
            Event::SnapshotTaken(zxid) => self.snapshot_taken(zxid),
            Event::HandOver => self.hand_over(),
            Event::GiveLead => self.give_lead(),
        }
        self.check();
        std::mem::swap(&mut self.out, out);
    }

    /// What this peer is.
    pub fn role(&self) -> RoleName {
        match &self.role {
            Role::Looking(_) => RoleName::Looking,
            Role::Learning(learner) if !learner.serves() => RoleName::Joining,
            Role::Learning(_) if self.history.membership().is_voter(self.id) => RoleName::Following,
            Role::Learning(_) => RoleName::Observing,
            Role::Leading(leader) if leader.phase != Phase::Broadcasting => RoleName::Preparing,
            Role::Leading(_) => RoleName::Leading,
        }
    }

    /// Whom this peer follows, or itself if it leads; `None` unless it may serve clients.
    pub fn leader(&self) -> Option<MemberId> {
        match &self.role {
            Role::Learning(learner) if learner.serves() => Some(learner.leader),
            Role::Leading(leader) if leader.phase == Phase::Broadcasting => Some(self.id),
            Role::Looking(_) | Role::Learning(_) | Role::Leading(_) => None,
        }
    }

    /// The epoch whose history was adopted last.
    pub fn epoch(&self) -> ZabEpoch {
        self.current
    }

    /// The highest promised epoch.
    pub fn promised(&self) -> ZabEpoch {
        self.promised
    }

    /// The last zxid in the log, durable or not.
    pub fn last_logged(&self) -> Zxid {
        self.history.last()
    }

    /// The last zxid known to be committed.
    pub fn last_committed(&self) -> Zxid {
        self.history.committed()
    }

    /// The last zxid handed to the owner.
    pub fn last_delivered(&self) -> Zxid {
        self.history.delivered()
    }

    /// The newest snapshot that log records are measured against.
    pub fn last_snapshot(&self) -> Zxid {
        self.history.snapshot()
    }

    /// The ensemble as of everything delivered.
    pub fn membership(&self) -> &Membership {
        self.history.membership()
    }

    /// True while a membership change is logged and not committed.
    pub fn is_changing(&self) -> bool {
        self.history.is_changing()
    }

    /// Voters and observers that follow this leader and are up to date; empty unless it leads.
    pub fn synced_learners(&self) -> Vec<MemberId> {
        match &self.role {
            Role::Leading(leader) => leader.synced().collect(),
            Role::Looking(_) | Role::Learning(_) => Vec::new(),
        }
    }

    /// Learners of this leader that were heard within the limit; for liveness decisions of the owner.
    pub fn heard_within(&self, limit: Duration) -> Vec<MemberId> {
        match &self.role {
            Role::Leading(leader) => leader.heard_since(self.now - limit).collect(),
            Role::Looking(_) | Role::Learning(_) => Vec::new(),
        }
    }

    /// What a snapshot of the owner's state, taken now, must carry for Zab.
    pub fn snapshot_meta(&self) -> SnapshotMeta {
        let mut ends = self.history.ends().clone();
        ends.truncate(self.history.delivered());
        SnapshotMeta { zxid: self.history.delivered(), ends, membership: self.history.membership().clone() }
    }

    /// The log as far as it is in memory, for checkers.
    pub fn logged_after(&self, zxid: Zxid) -> impl Iterator<Item = &Entry> {
        self.history.after(zxid)
    }

    /// Everything up to here is only in the owner's state, for checkers.
    pub fn log_base(&self) -> Zxid {
        self.history.base()
    }

    pub(crate) fn send(&mut self, to: MemberId, message: Message) {
        if self.links.contains(&to) {
            self.out.push(Action::Send { to, message });
        }
    }

    pub(crate) fn persist(&mut self, record: LogRecord, pending: Pending) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.pending.push_back((ticket, self.generation, pending));
        self.out.push(Action::Persist { ticket, record });
        ticket
    }

    /// Logs an entry: in memory and on its way to the disk.
    pub(crate) fn log(&mut self, entry: Entry) {
        let zxid = entry.zxid;
        let ticket = self.persist(LogRecord::Entry(entry.clone()), Pending::Entry(zxid));
        self.history.append(entry, ticket);
    }

    pub(crate) fn promise(&mut self, epoch: ZabEpoch) {
        assert!(epoch > self.promised, "a promise only rises");
        self.promised = epoch;
        self.persist(LogRecord::Promise(epoch), Pending::Promise(epoch));
    }

    /// Adopts the epoch after its history: one log keeps the order (ZOOKEEPER-4643, 4785).
    pub(crate) fn adopt(&mut self, epoch: ZabEpoch) {
        assert!(epoch <= self.promised, "an epoch is adopted only after its promise");
        self.current = self.current.max(epoch);
        self.persist(LogRecord::NewLeader(epoch), Pending::NewLeader(epoch));
    }

    /// Hands committed entries to the owner.
    pub(crate) fn deliver(&mut self) {
        while let Some(entry) = self.history.deliver_next() {
            match entry.payload {
                Payload::Txn(txn) => self.out.push(Action::Deliver { zxid: entry.zxid, txn }),
                Payload::Config(membership) => {
                    self.out.push(Action::DeliverMembership { zxid: entry.zxid, membership });
                    self.membership_delivered();
                }
            }
        }
        self.history.trim();
    }

    /// Tells the owner when what it may rely on changed.
    pub(crate) fn report_role(&mut self) {
        let epoch = match &self.role {
            Role::Leading(leader) => leader.epoch.unwrap_or_default(),
            Role::Learning(_) | Role::Looking(_) => self.current,
        };
        let now = (self.role(), self.leader(), epoch);
        if now != self.reported {
            self.reported = now;
            self.out.push(Action::RoleChanged { role: now.0, leader: now.1, epoch: now.2 });
        }
    }

    fn tick(&mut self) {
        match &self.role {
            Role::Looking(_) => self.tick_looking(),
            Role::Learning(_) => self.tick_learning(),
            Role::Leading(_) => self.tick_leading(),
        }
    }

    fn link_up(&mut self, peer: MemberId) {
        self.links.insert(peer);
        if matches!(self.role, Role::Looking(_)) {
            self.notify(peer);
        }
    }

    /// A broken link in broadcast leaves broadcast: what was in flight is lost, so synchronization is redone.
    fn link_down(&mut self, peer: MemberId) {
        self.links.remove(&peer);
        match &mut self.role {
            Role::Looking(election) => {
                election.early.remove(&peer);
                self.check_votes();
            }
            Role::Learning(learner) if learner.leader == peer => self.look("the link to the leader broke"),
            Role::Learning(_) => {}
            Role::Leading(_) => self.learner_lost(peer),
        }
    }

    fn received(&mut self, from: MemberId, message: Message) {
        if self.leaving {
            return;
        }
        match message {
            Message::Notification(notification) => self.notified(from, &notification),
            Message::FollowerInfo { promised } => self.follower_info(from, promised),
            Message::AckEpoch { current, ends, counts } => self.ack_epoch(from, current, ends, counts),
            Message::AckNewLeader { epoch } => self.ack_new_leader(from, epoch),
            Message::Ack { zxid } => self.ack(from, zxid),
            Message::Pong { round } => self.pong(from, round),
            from_leader => self.leader_says(from, from_leader),
        }
    }

    fn persisted(&mut self, ticket: Durable<u64>) {
        let mut entries_to = None;
        while let Some((at, generation, pending)) =
            self.pending.pop_front_if(|(at, _, _)| *at <= ticket.get())
        {
            if pending == Pending::Base {
                self.release(at);
            }
            if generation != self.generation {
                continue;
            }
            match pending {
                Pending::Entry(zxid) => entries_to = Some(zxid),
                Pending::Promise(epoch) => self.promise_durable(epoch),
                Pending::NewLeader(epoch) => self.new_leader_durable(Durable::flushed(epoch)),
                Pending::Base | Pending::Other => {}
            }
        }
        if let Some(zxid) = entries_to {
            self.entries_durable(Durable::flushed(zxid));
        }
    }

    /// A snapshot that is known already makes the log begin anew with what it must tell, so that older records of it can go.
    fn snapshot_taken(&mut self, zxid: Zxid) {
        if zxid < self.history.snapshot() || zxid > self.history.delivered() {
            return;
        }
        self.history.snapshot_taken(zxid);
        let mut ends = self.history.ends().clone();
        ends.truncate(zxid);
        // The membership is the file's business; a start reads it from there.
        let snapshot = SnapshotMeta { zxid, ends, membership: Membership::default() };
        let record =
            LogRecord::Base { promised: self.promised, current: self.current, snapshot, resets: false };
        self.persist(record, Pending::Base);
    }

    /// Records before the first entry after the snapshot, and before its `Base`, are not needed any more.
    fn release(&mut self, base: u64) {
        let below = self.history.first_ticket_after_snapshot().map_or(base, |first| first.min(base));
        self.out.push(Action::Release { below });
    }

    fn check(&self) {
        self.history.check();
        assert!(
            self.current <= self.promised,
            "current epoch {} above promise {}",
            self.current,
            self.promised
        );
    }

    /// Entries as the owner's bytes, for a proposal.
    pub(crate) fn next_entry(&self, epoch: ZabEpoch, payload: Payload) -> Entry {
        let last = self.history.last();
        let zxid = if last.epoch() == epoch { last.next() } else { Zxid::new(epoch, 1) };
        Entry { zxid, payload }
    }
}
