//! One group: its members, where its rebalance stands, when something is due.
//!
//! Must not know: requests in flight elsewhere, records under way. Read first: [`State`], [`Group`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use streamkeeper_base::Instant;

use crate::api::{Commit, Join, RequestId};
use crate::error;
use crate::offsets::Stored;
use crate::records::{GroupRecord, MemberRecord};
use crate::subscription;

/// Type of the groups whose subscriptions can be read.
pub(crate) const CONSUMER: &str = "consumer";

/// Where a group is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// No members; offsets may be there.
    #[default]
    Empty,
    /// Joins are held until everyone came.
    Preparing,
    /// The leader assigns.
    Completing,
    /// Everyone has its assignment.
    Stable,
}

/// One member.
#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session: Duration,
    pub(crate) rebalance: Duration,
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    /// The end of its session unless it shows up.
    pub(crate) deadline: Instant,
    /// Its first join is still held: even that has an end.
    pub(crate) is_new: bool,
    /// It asked for its assignment of this generation.
    pub(crate) synced: bool,
    pub(crate) joining: Option<RequestId>,
    pub(crate) syncing: Option<RequestId>,
}

/// One group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) state: State,
    pub(crate) protocol_type: String,
    pub(crate) protocol: Option<String>,
    pub(crate) generation: i32,
    pub(crate) leader: Option<String>,
    pub(crate) members: BTreeMap<String, Member>,
    /// Ids that were given out and must come back, until when.
    pub(crate) promised: BTreeMap<String, Instant>,
    /// When a held rebalance completes at the latest.
    pub(crate) rebalance_at: Instant,
    /// A new group's first rebalance waits for its time, not for its members; until here at the latest.
    pub(crate) initial_until: Option<Instant>,
    /// Someone came since the first rebalance's wait began.
    pub(crate) is_growing: bool,
    /// Members that have not asked for their assignment until here are out.
    pub(crate) sync_by: Instant,
    /// The append under way that holds this generation's assignment.
    pub(crate) assigning: Option<u64>,
    /// When it became empty, wall-clock milliseconds; not above 0 if that is unknown.
    pub(crate) empty_since_ms: i64,
    pub(crate) offsets: BTreeMap<(String, i32), Stored>,
}

pub(crate) fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

impl Member {
    /// Its session can end: it does not wait for the coordinator, or its first join waits for too long.
    fn can_expire(&self) -> bool {
        self.is_new || (self.joining.is_none() && self.syncing.is_none())
    }

    /// Takes over what a join says. Copies: a slice would keep the whole request's memory.
    pub(crate) fn update(&mut self, join: Join, now: Instant) {
        self.instance = join.instance;
        self.client_id = join.client_id;
        self.client_host = join.client_host;
        self.session = millis(join.session_timeout_ms);
        self.rebalance = millis(join.rebalance_timeout_ms);
        let own = |(name, bytes): (String, Bytes)| (name, Bytes::copy_from_slice(&bytes));
        self.protocols = join.protocols.into_iter().map(own).collect();
        self.deadline = now + self.session;
    }
}

impl Group {
    /// Kafka's name of the state.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::Preparing => "PreparingRebalance",
            State::Completing => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }

    /// The group as it was stored.
    pub(crate) fn restore(&mut self, record: &GroupRecord) {
        self.protocol_type.clone_from(&record.protocol_type);
        self.protocol.clone_from(&record.protocol);
        self.generation = record.generation;
        self.leader.clone_from(&record.leader);
        let restored = |m: &MemberRecord| Member {
            instance: m.instance.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            session: millis(m.session_timeout_ms),
            rebalance: millis(m.rebalance_timeout_ms),
            protocols: vec![(record.protocol.clone().unwrap_or_default(), m.subscription.clone())],
            assignment: m.assignment.clone(),
            synced: true,
            ..Member::default()
        };
        self.members.clear();
        for member in &record.members {
            // What is read is not trusted to be consistent: a static name has one holder.
            if member.instance.as_deref().is_none_or(|name| self.holder(name).is_none()) {
                self.members.insert(member.id.clone(), restored(member));
            }
        }
        if !self.members.is_empty() {
            let known = self.leader.take().filter(|leader| self.members.contains_key(leader));
            self.leader = known.or_else(|| self.members.keys().next().cloned());
            self.generation = self.generation.max(1);
        }
        self.state = if self.members.is_empty() { State::Empty } else { State::Stable };
        self.empty_since_ms = record.timestamp;
    }

    /// Forgets members and generation, as the record's deletion says; offsets have records of their own.
    pub(crate) fn forget_members(&mut self) {
        *self = Self { offsets: std::mem::take(&mut self.offsets), ..Self::default() };
    }

    pub(crate) fn renew_sessions(&mut self, now: Instant) {
        self.members.values_mut().for_each(|m| m.deadline = now + m.session);
    }

    pub(crate) fn touch(&mut self, member: &str, now: Instant) {
        if let Some(member) = self.members.get_mut(member) {
            member.deadline = now + member.session;
        }
    }

    /// Who may commit, by state (rule 39 of Kafka's clients).
    pub(crate) fn check_commit(&self, commit: &Commit) -> i16 {
        // Consumers without membership and admin tools, as long as nobody owns the partitions.
        if commit.generation < 0 && self.state == State::Empty {
            return error::NONE;
        }
        let identity = self.check_identity(&commit.member, commit.instance.as_deref());
        if identity != error::NONE {
            identity
        } else if commit.generation != self.generation {
            error::ILLEGAL_GENERATION
        } else if self.state == State::Completing {
            error::REBALANCE_IN_PROGRESS
        } else {
            error::NONE
        }
    }

    /// A static name belongs to its latest member: older ones are fenced (KIP-345).
    pub(crate) fn check_identity(&self, member: &str, instance: Option<&str>) -> i16 {
        if let Some(instance) = instance {
            return match self.holder(instance) {
                None => error::UNKNOWN_MEMBER_ID,
                Some(holder) if holder != member => error::FENCED_INSTANCE_ID,
                Some(_) => error::NONE,
            };
        }
        if self.members.contains_key(member) { error::NONE } else { error::UNKNOWN_MEMBER_ID }
    }

    /// The member that has a static name.
    pub(crate) fn holder(&self, instance: &str) -> Option<&str> {
        self.members.iter().find(|(_, m)| m.instance.as_deref() == Some(instance)).map(|(id, _)| id.as_str())
    }

    /// True if the group can take this member beside all but `except`, the member itself or whom it replaces.
    pub(crate) fn supports(&self, join: &Join, except: Option<&str>) -> bool {
        if join.protocols.is_empty() || join.protocol_type.is_empty() {
            return false;
        }
        let others: Vec<&Member> =
            self.members.iter().filter(|(id, _)| Some(id.as_str()) != except).map(|(_, m)| m).collect();
        let has = |m: &&Member, name: &str| m.protocols.iter().any(|(known, _)| known == name);
        others.is_empty()
            || join.protocol_type == self.protocol_type
                && join.protocols.iter().any(|(name, _)| others.iter().all(|m| has(m, name)))
    }

    /// True if there is room for one more (`group.max.size`): those that rejoined have the first claim to it.
    pub(crate) fn has_room(&self, size_max: usize) -> bool {
        match self.state {
            State::Empty => true,
            State::Preparing => self.members.values().filter(|m| m.joining.is_some()).count() < size_max,
            State::Completing | State::Stable => self.members.len() < size_max,
        }
    }

    /// Everyone votes for its first choice among those that all have.
    pub(crate) fn choose_protocol(&self) -> Option<String> {
        let names = |m: &Member| m.protocols.iter().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>();
        let common = self.members.values().map(names).reduce(|all, next| &all & &next)?;
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(n, _)| common.contains(n)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.to_owned())
    }

    /// What a member sent for the chosen protocol.
    pub(crate) fn subscription(&self, member: &Member) -> Bytes {
        let chosen = self.protocol.as_deref().unwrap_or_default();
        member.protocols.iter().find(|(n, _)| n == chosen).map(|(_, s)| s.clone()).unwrap_or_default()
    }

    /// True if `new` in the place of `old` changes nothing for an assignor. What cooperative members say they own does
    /// not count: it differs after every restart, and KIP-345 is there to make restarts quiet.
    pub(crate) fn is_same_subscription(&self, old: &Member, new: &Member) -> bool {
        let (old, new) = (self.subscription(old), self.subscription(new));
        old == new
            || self.protocol_type == CONSUMER
                && subscription::topics(&old).is_some_and(|topics| subscription::topics(&new) == Some(topics))
    }

    /// The topics that any member subscribes to; `None` if that cannot be read.
    pub(crate) fn subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if self.protocol_type != CONSUMER {
            return None;
        }
        let mut all = BTreeSet::new();
        for member in self.members.values() {
            all.append(&mut subscription::topics(&self.subscription(member))?);
        }
        Some(all)
    }

    /// Begins a rebalance. Whoever waits for an assignment of the old generation comes back, to be told so.
    #[must_use]
    pub(crate) fn prepare(&mut self, now: Instant, initial_delay: Duration) -> Vec<RequestId> {
        let longest = self.members.values().map(|m| m.rebalance).max().unwrap_or_default();
        match self.state {
            State::Preparing => return Vec::new(),
            State::Empty => {
                self.initial_until = Some(now + longest.max(initial_delay));
                self.rebalance_at = now + initial_delay;
            }
            State::Completing | State::Stable => {
                self.initial_until = None;
                self.rebalance_at = now + longest;
            }
        }
        self.is_growing = false;
        self.assigning = None;
        if self.state == State::Completing {
            self.members.values_mut().for_each(|m| m.assignment.clear());
        }
        self.state = State::Preparing;
        self.members.values_mut().filter_map(|m| m.syncing.take()).collect()
    }

    /// Members whose session is over, or that were to ask for an assignment and did not (Kafka's pending sync).
    pub(crate) fn expired(&self, now: Instant) -> Vec<String> {
        let is_late = self.is_assigning() && self.sync_by <= now;
        let is_out = |m: &Member| (m.can_expire() && m.deadline <= now) || (is_late && !m.synced);
        self.members.iter().filter(|(_, m)| is_out(m)).map(|(id, _)| id.clone()).collect()
    }

    /// When time alone will change something; `None` if never.
    pub(crate) fn due(&self) -> Option<Instant> {
        let sessions = self.members.values().filter(|m| m.can_expire()).map(|m| m.deadline);
        let rebalance = (self.state == State::Preparing).then_some(self.rebalance_at);
        let is_waiting = self.is_assigning() && self.members.values().any(|m| !m.synced);
        let sync = is_waiting.then_some(self.sync_by);
        sessions.chain(rebalance).chain(sync).chain(self.promised.values().copied()).min()
    }

    fn is_assigning(&self) -> bool {
        matches!(self.state, State::Completing | State::Stable)
    }

    /// The group to be stored.
    pub(crate) fn record(&self, wall_ms: i64) -> GroupRecord {
        let millis = |d: Duration| i32::try_from(d.as_millis()).unwrap_or(i32::MAX);
        let member = |(id, m): (&String, &Member)| MemberRecord {
            id: id.clone(),
            instance: m.instance.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            rebalance_timeout_ms: millis(m.rebalance),
            session_timeout_ms: millis(m.session),
            subscription: self.subscription(m),
            assignment: m.assignment.clone(),
        };
        GroupRecord {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            timestamp: wall_ms,
            members: self.members.iter().map(member).collect(),
        }
    }

    /// What must hold after every step.
    pub(crate) fn check(&self) {
        let members = || self.members.values();
        match self.state {
            State::Empty => assert!(self.members.is_empty(), "an empty group has members: {self:?}"),
            State::Preparing => {
                assert!(members().all(|m| m.syncing.is_none()), "a sync is held in a rebalance: {self:?}");
            }
            State::Completing | State::Stable => {
                assert!(
                    members().all(|m| m.joining.is_none()),
                    "a join is held outside a rebalance: {self:?}"
                );
                assert!(self.generation > 0, "an assignment without a generation: {self:?}");
                assert!(self.leader.as_ref().is_some_and(|l| self.members.contains_key(l)), "{self:?}");
            }
        }
        if self.state != State::Completing {
            assert!(self.assigning.is_none() && members().all(|m| m.syncing.is_none()), "{self:?}");
        }
        assert!(self.promised.keys().all(|id| !self.members.contains_key(id)), "{self:?}");
        let names: Vec<&str> = members().filter_map(|m| m.instance.as_deref()).collect();
        let distinct: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(names.len(), distinct.len(), "two members have one static name: {self:?}");
    }
}
