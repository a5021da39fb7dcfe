//! A learner, voter or observer: what it does with its leader's messages.
//!
//! Observers run the same code; they are sent committed entries instead of proposals and never acknowledge them.

use std::collections::VecDeque;

use bytes::Bytes;
use streamkeeper_base::plant::{Plant, is_planted};
use streamkeeper_base::{Durable, Instant, MemberId, ZabEpoch, Zxid};

use crate::action::Action;
use crate::history::{Entry, EpochEnds, follows};
use crate::message::Message;
use crate::peer::{Peer, Pending, Role, Timing};
use crate::quorum::Membership;
use crate::record::{LogRecord, SnapshotMeta};

/// How far a learner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LearnerStage {
    /// Sent FollowerInfo, waits for LeaderInfo.
    Greeting,
    /// Promised the epoch, waits for its history.
    Synchronizing,
    /// Has its history, waits for UpToDate.
    Certifying,
    /// Serves clients.
    Serving,
}

/// A learner's state.
#[derive(Debug)]
pub(crate) struct Learner {
    pub(crate) leader: MemberId,
    stage: LearnerStage,
    /// The leader's epoch once it is known.
    epoch: ZabEpoch,
    heard: Instant,
    deadline: Instant,
    greet_at: Instant,
    /// AckNewLeader is sent: acknowledgements of proposals may follow (ZOOKEEPER-4685).
    certified: bool,
    /// What the leader said is committed; takes effect with UpToDate (ZOOKEEPER-4394).
    commit_to: Zxid,
    chunks: Vec<Bytes>,
    /// What came behind a snapshot that is being installed.
    behind_snapshot: VecDeque<Message>,
}

impl Learner {
    pub(crate) fn new(leader: MemberId, now: Instant, timing: Timing) -> Self {
        Self {
            leader,
            stage: LearnerStage::Greeting,
            epoch: ZabEpoch(0),
            heard: now,
            deadline: now + timing.sync_limit.min(timing.init_limit),
            greet_at: now + timing.vote_resend,
            certified: false,
            commit_to: Zxid::ZERO,
            chunks: Vec::new(),
            behind_snapshot: VecDeque::new(),
        }
    }

    pub(crate) fn serves(&self) -> bool {
        self.stage == LearnerStage::Serving
    }
}

/// The leader said something that does not fit: its view of this learner is not ours.
struct OutOfStep(&'static str);

impl Peer {
    pub(crate) fn leader_says(&mut self, from: MemberId, message: Message) {
        let now = self.now;
        let installing = self.installing.is_some();
        let Role::Learning(learner) = &mut self.role else { return };
        if learner.leader != from {
            return;
        }
        learner.heard = now;
        if let Message::Ping { round } = message {
            return self.send(from, Message::Pong { round });
        }
        if installing {
            learner.behind_snapshot.push_back(message);
            return;
        }
        if let Err(OutOfStep(reason)) = self.learn(message) {
            self.out.push(Action::Disconnect(from));
            self.look(reason);
        }
    }

    fn learn(&mut self, message: Message) -> Result<(), OutOfStep> {
        match message {
            Message::LeaderInfo { epoch } => self.leader_info(epoch),
            Message::Truncate { to } => self.truncate(to),
            Message::Diff { entries } => self.accept(entries),
            Message::Snapshot { zxid, ends, membership, chunk, last } => {
                self.snapshot_chunk(SnapshotMeta { zxid, ends, membership }, chunk, last)
            }
            Message::NewLeader { epoch } => self.new_leader(epoch),
            Message::UpToDate { committed } => self.up_to_date(committed),
            Message::Proposal(entry) => self.accept(vec![entry]),
            Message::Commit { zxid } => self.commit_received(zxid),
            Message::Inform { entries } => {
                let last = entries.last().map(|entry| entry.zxid);
                self.accept(entries)?;
                last.map_or(Ok(()), |zxid| self.commit_received(zxid))
            }
            Message::Leaving { successor } => {
                self.look_for("the leader hands over", successor);
                Ok(())
            }
            Message::Notification(_)
            | Message::FollowerInfo { .. }
            | Message::AckEpoch { .. }
            | Message::AckNewLeader { .. }
            | Message::Ack { .. }
            | Message::Ping { .. }
            | Message::Pong { .. } => Ok(()),
        }
    }

    /// D2: promise the epoch, durably, before saying so; a lower epoch than promised is refused.
    fn leader_info(&mut self, epoch: ZabEpoch) -> Result<(), OutOfStep> {
        let promised = self.promised;
        let Role::Learning(learner) = &mut self.role else { return Ok(()) };
        if learner.stage != LearnerStage::Greeting {
            // A repeated greeting is answered twice.
            let repeated = learner.epoch == epoch && learner.stage == LearnerStage::Synchronizing;
            return if repeated { Ok(()) } else { Err(OutOfStep("LeaderInfo after the greeting")) };
        }
        if epoch < promised {
            return Err(OutOfStep("the leader's epoch is below the promise"));
        }
        learner.stage = LearnerStage::Synchronizing;
        learner.deadline = self.now + self.timing.init_limit;
        learner.epoch = epoch;
        if epoch > promised {
            self.promise(epoch);
        } else {
            // Promised before, to this leader or one that failed: that promise must not count twice.
            self.send_ack_epoch(false);
        }
        Ok(())
    }

    /// D3, once the promise is durable.
    pub(crate) fn promise_durable(&mut self, epoch: ZabEpoch) {
        match &mut self.role {
            Role::Learning(learner) if learner.epoch == epoch => self.send_ack_epoch(true),
            Role::Learning(_) | Role::Looking(_) => {}
            Role::Leading(_) => self.own_promise_durable(),
        }
    }

    fn send_ack_epoch(&mut self, counts: bool) {
        let Role::Learning(learner) = &self.role else { return };
        let leader = learner.leader;
        let ends = self.history.ends().clone();
        let current = self.rank_epoch();
        self.send(leader, Message::AckEpoch { current, ends, counts });
    }

    fn require(&self, from: LearnerStage, to: LearnerStage) -> Result<(), OutOfStep> {
        let Role::Learning(learner) = &self.role else { return Ok(()) };
        if learner.stage < from || learner.stage > to {
            return Err(OutOfStep("a message that does not fit the phase (invariant Z13)"));
        }
        Ok(())
    }

    fn truncate(&mut self, to: Zxid) -> Result<(), OutOfStep> {
        self.require(LearnerStage::Synchronizing, LearnerStage::Synchronizing)?;
        if to < self.history.committed() || !self.history.contains(to) {
            return Err(OutOfStep("told to cut committed entries, or to a zxid that is not in the log"));
        }
        self.history.truncate(to);
        self.persist(LogRecord::Truncate(to), Pending::Other);
        Ok(())
    }

    /// Logs entries; one that is there already came twice around the joining point (TLA+ finding 2).
    fn accept(&mut self, entries: Vec<Entry>) -> Result<(), OutOfStep> {
        self.require(LearnerStage::Synchronizing, LearnerStage::Serving)?;
        for entry in entries {
            if entry.zxid <= self.history.last() && self.history.contains(entry.zxid) {
                continue;
            }
            if !follows(self.history.last(), entry.zxid) {
                return Err(OutOfStep("an entry leaves a hole"));
            }
            let zxid = entry.zxid;
            self.log(entry);
            if is_planted(Plant::AckProposalEarly) {
                self.entries_durable(Durable::flushed(zxid));
            }
        }
        Ok(())
    }

    fn snapshot_chunk(&mut self, meta: SnapshotMeta, chunk: Bytes, last: bool) -> Result<(), OutOfStep> {
        self.require(LearnerStage::Synchronizing, LearnerStage::Synchronizing)?;
        let delivered = self.history.delivered();
        let Role::Learning(learner) = &mut self.role else { return Ok(()) };
        learner.chunks.push(chunk);
        if !last {
            return Ok(());
        }
        if meta.zxid < delivered {
            return Err(OutOfStep("a snapshot older than what was delivered"));
        }
        let chunks = std::mem::take(&mut learner.chunks);
        // The owner's memory and this log change together; the disk follows before anything else is written (2845, 3642).
        self.history.reset(meta.zxid, meta.ends.clone(), meta.membership.clone());
        self.out.push(Action::InstallSnapshot { zxid: meta.zxid, chunks });
        self.out.push(Action::DeliverMembership { zxid: meta.zxid, membership: meta.membership.clone() });
        self.installing = Some(meta);
        Ok(())
    }

    pub(crate) fn snapshot_installed(&mut self, zxid: Zxid) {
        let Some(meta) = self.installing.take_if(|meta| meta.zxid == zxid) else { return };
        let snapshot =
            SnapshotMeta { zxid: meta.zxid, ends: EpochEnds::default(), membership: Membership::default() };
        let record =
            LogRecord::Base { promised: self.promised, current: self.current, snapshot, resets: true };
        self.persist(record, Pending::Base);
        match &mut self.role {
            Role::Learning(learner) => {
                let leader = learner.leader;
                for message in std::mem::take(&mut learner.behind_snapshot) {
                    self.leader_says(leader, message);
                }
            }
            Role::Looking(_) => self.look("a snapshot is installed"),
            Role::Leading(_) => unreachable!("a peer that installs a snapshot does not lead"),
        }
    }

    /// S2: the history is logged; the epoch follows it on the same log, and only then the acknowledgement.
    fn new_leader(&mut self, epoch: ZabEpoch) -> Result<(), OutOfStep> {
        self.require(LearnerStage::Synchronizing, LearnerStage::Synchronizing)?;
        let Role::Learning(learner) = &mut self.role else { return Ok(()) };
        if learner.epoch != epoch {
            return Err(OutOfStep("NewLeader of another epoch"));
        }
        learner.stage = LearnerStage::Certifying;
        self.adopt(epoch);
        if is_planted(Plant::AckNewLeaderEarly) {
            self.new_leader_durable(Durable::flushed(epoch));
        }
        Ok(())
    }

    /// S3: truncation, synchronized entries and the epoch are durable (ZOOKEEPER-3911, 4646).
    pub(crate) fn new_leader_durable(&mut self, epoch: Durable<ZabEpoch>) {
        match &mut self.role {
            Role::Learning(learner) => {
                learner.certified = true;
                let leader = learner.leader;
                self.send(leader, Message::AckNewLeader { epoch: epoch.get() });
            }
            Role::Leading(_) => self.own_new_leader_durable(),
            Role::Looking(_) => {}
        }
    }

    /// S5.
    fn up_to_date(&mut self, committed: Zxid) -> Result<(), OutOfStep> {
        self.require(LearnerStage::Certifying, LearnerStage::Certifying)?;
        let Role::Learning(learner) = &mut self.role else { return Ok(()) };
        learner.stage = LearnerStage::Serving;
        let to = learner.commit_to.max(committed);
        self.history.commit(to);
        self.report_role();
        self.deliver();
        Ok(())
    }

    fn commit_received(&mut self, zxid: Zxid) -> Result<(), OutOfStep> {
        self.require(LearnerStage::Synchronizing, LearnerStage::Serving)?;
        let Role::Learning(learner) = &mut self.role else { return Ok(()) };
        learner.commit_to = learner.commit_to.max(zxid);
        if learner.serves() {
            self.history.commit(zxid);
            self.deliver();
        }
        Ok(())
    }

    /// B2: everything up to the zxid is durable. Observers never count, so they do not speak.
    pub(crate) fn entries_durable(&mut self, zxid: Durable<Zxid>) {
        match &self.role {
            Role::Learning(learner) => {
                let leader = learner.leader;
                if learner.certified && self.history.quorums().is_voter(self.id) {
                    self.send(leader, Message::Ack { zxid: zxid.get() });
                }
            }
            Role::Leading(_) => self.acked_by(self.id, zxid.get()),
            Role::Looking(_) => {}
        }
    }

    pub(crate) fn tick_learning(&mut self) {
        let (now, timing, promised) = (self.now, self.timing, self.promised);
        let Role::Learning(learner) = &mut self.role else { return };
        let leader = learner.leader;
        if learner.serves() {
            if now.since(learner.heard) > timing.sync_limit {
                self.out.push(Action::Disconnect(leader));
                self.look("the leader is silent");
            }
        } else if now >= learner.deadline
            || (now.since(learner.heard) > timing.sync_limit && self.installing.is_none())
        {
            self.out.push(Action::Disconnect(leader));
            self.look("synchronization takes too long");
        } else if learner.stage == LearnerStage::Greeting && now >= learner.greet_at {
            learner.greet_at = now + timing.vote_resend;
            self.send(leader, Message::FollowerInfo { promised });
        }
    }
}
