//! The classic group protocol: join, sync, heartbeat, leave; static members (KIP-345).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use streamkeeper_base::Instant;

use crate::coordinator::{Appending, Commit, Coordinator, Join, Leave, Reply, RequestId, Sync};
use crate::error;
use crate::offsets::OffsetAndMetadata;
use crate::records::{self, GroupRecord, Key, MemberRecord};

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

#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session: Duration,
    pub(crate) rebalance: Duration,
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    pub(crate) deadline: Instant,
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
    /// Ids that were given out and must come back.
    pub(crate) promised: BTreeMap<String, Instant>,
    /// When a held rebalance completes at the latest.
    pub(crate) rebalance_at: Instant,
    /// A new group's first rebalance waits for its time, not for its members.
    pub(crate) is_initial: bool,
    pub(crate) offsets: BTreeMap<(String, i32), OffsetAndMetadata>,
}

impl Group {
    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::Preparing => "PreparingRebalance",
            State::Completing => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }

    pub(crate) fn restore(&mut self, record: &GroupRecord) {
        self.protocol_type.clone_from(&record.protocol_type);
        self.protocol.clone_from(&record.protocol);
        self.generation = record.generation;
        self.leader.clone_from(&record.leader);
        let millis = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let restored = |m: &MemberRecord| Member {
            instance: m.instance.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            session: millis(m.session_timeout_ms),
            rebalance: millis(m.rebalance_timeout_ms),
            protocols: vec![(record.protocol.clone().unwrap_or_default(), m.subscription.clone())],
            assignment: m.assignment.clone(),
            ..Member::default()
        };
        self.members = record.members.iter().map(|m| (m.id.clone(), restored(m))).collect();
        self.state = if self.members.is_empty() { State::Empty } else { State::Stable };
    }

    pub(crate) fn renew_sessions(&mut self, now: Instant) {
        self.members.values_mut().for_each(|m| m.deadline = now + m.session);
    }

    pub(crate) fn touch(&mut self, member: &str, now: Instant) {
        if let Some(member) = self.members.get_mut(member) {
            member.deadline = now + member.session;
        }
    }

    pub(crate) fn check_commit(&self, commit: &Commit) -> i16 {
        if commit.generation < 0 && commit.member.is_empty() {
            return if self.members.is_empty() { error::NONE } else { error::UNKNOWN_MEMBER_ID };
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

    /// A static name belongs to its latest member: older ones are fenced.
    fn check_identity(&self, member: &str, instance: Option<&str>) -> i16 {
        if let Some(instance) = instance {
            return match self.holder(instance) {
                None => error::UNKNOWN_MEMBER_ID,
                Some(holder) if holder != member => error::FENCED_INSTANCE_ID,
                Some(_) => error::NONE,
            };
        }
        if self.members.contains_key(member) { error::NONE } else { error::UNKNOWN_MEMBER_ID }
    }

    fn holder(&self, instance: &str) -> Option<&str> {
        self.members.iter().find(|(_, m)| m.instance.as_deref() == Some(instance)).map(|(id, _)| id.as_str())
    }

    /// Protocols that every member has.
    fn common_protocols(&self) -> BTreeSet<&str> {
        let names = |m: &Member| m.protocols.iter().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>();
        let mut members = self.members.values();
        let Some(first) = members.next() else { return BTreeSet::new() };
        let rest: Vec<BTreeSet<String>> = members.map(names).collect();
        first
            .protocols
            .iter()
            .map(|(n, _)| n.as_str())
            .filter(|n| rest.iter().all(|set| set.contains(*n)))
            .collect()
    }

    fn supports(&self, join: &Join, except: &str) -> bool {
        if self.members.keys().all(|id| id == except) {
            return !join.protocols.is_empty() && !join.protocol_type.is_empty();
        }
        let others = self.members.iter().filter(|(id, _)| *id != except);
        join.protocol_type == self.protocol_type
            && join.protocols.iter().any(|(name, _)| {
                others.clone().all(|(_, m)| m.protocols.iter().any(|(known, _)| known == name))
            })
    }

    /// Everyone votes for its first choice among those that all have.
    fn choose_protocol(&self) -> Option<String> {
        let candidates = self.common_protocols();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(n, _)| candidates.contains(n.as_str())) {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.to_owned())
    }

    pub(crate) fn subscription(&self, member: &Member) -> Bytes {
        let chosen = self.protocol.as_deref().unwrap_or_default();
        member.protocols.iter().find(|(n, _)| n == chosen).map(|(_, s)| s.clone()).unwrap_or_default()
    }

    fn record(&self, wall_ms: i64) -> GroupRecord {
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
}

fn refused(error: i16, member: &str) -> Reply {
    Reply::Joined {
        error,
        generation: -1,
        protocol_type: None,
        protocol: None,
        leader: String::new(),
        member: member.to_owned(),
        members: Vec::new(),
        skip_assignment: false,
    }
}

fn unsynced(error: i16) -> Reply {
    Reply::Synced { error, protocol_type: None, protocol: None, assignment: Bytes::new() }
}

impl Coordinator {
    /// A member joins; answered when the rebalance it starts or finds is complete.
    pub fn join(&mut self, request: RequestId, join: Join) {
        let (least, greatest) = self.config.session_timeout_ms;
        let error = if !self.is_loaded() {
            error::COORDINATOR_LOAD_IN_PROGRESS
        } else if join.group.is_empty() {
            error::INVALID_GROUP_ID
        } else if !(least..=greatest).contains(&join.session_timeout_ms) {
            error::INVALID_SESSION_TIMEOUT
        } else {
            error::NONE
        };
        if error != error::NONE {
            return self.reply(request, refused(error, &join.member));
        }
        if join.member.is_empty() { self.join_new(request, join) } else { self.join_known(request, join) }
    }

    fn join_new(&mut self, request: RequestId, join: Join) {
        let id = self.member_id(&join.client_id);
        let now = self.now;
        let group = self.groups.entry(join.group.clone()).or_default();
        if let Some(instance) = &join.instance {
            let Some(old) = group.holder(instance).map(str::to_owned) else {
                return self.admit(request, id, join);
            };
            return self.replace_static(request, &old, id, join);
        }
        if join.can_require_id {
            // KIP-394: the id must come back, so that a client that retries leaves no ghost behind.
            let session = Duration::from_millis(u64::try_from(join.session_timeout_ms).unwrap_or(0));
            group.promised.insert(id.clone(), now + session);
            return self.reply(request, refused(error::MEMBER_ID_REQUIRED, &id));
        }
        self.admit(request, id, join);
    }

    /// A static member comes back under a new id: it keeps its place, its old id is fenced.
    fn replace_static(&mut self, request: RequestId, old: &str, id: String, join: Join) {
        let now = self.now;
        let Some(group) = self.groups.get_mut(&join.group) else { return };
        let Some(mut member) = group.members.remove(old) else { return };
        let fenced: Vec<RequestId> =
            [member.joining.take(), member.syncing.take()].into_iter().flatten().collect();
        let unchanged = group.state == State::Stable && member.protocols == join.protocols;
        let was_leader = group.leader.as_deref() == Some(old);
        member.deadline = now + member.session;
        group.members.insert(id.clone(), member);
        if was_leader {
            group.leader = Some(id.clone());
        }
        for waiting in fenced {
            self.reply(waiting, refused(error::FENCED_INSTANCE_ID, old));
        }
        if unchanged && !was_leader {
            let group_name = join.group.clone();
            self.answer_join(request, &group_name, &id);
            return self.store(&group_name);
        }
        self.admit(request, id, join);
    }

    fn join_known(&mut self, request: RequestId, join: Join) {
        let Some(group) = self.groups.get_mut(&join.group) else {
            return self.reply(request, refused(error::UNKNOWN_MEMBER_ID, &join.member));
        };
        if group.promised.remove(&join.member).is_some() {
            let id = join.member.clone();
            return self.admit(request, id, join);
        }
        let identity = group.check_identity(&join.member, join.instance.as_deref());
        if identity != error::NONE {
            return self.reply(request, refused(identity, &join.member));
        }
        let same = group.members.get(&join.member).is_some_and(|m| m.protocols == join.protocols);
        let leads = group.leader.as_deref() == Some(join.member.as_str());
        let settled = match group.state {
            State::Stable => same && !leads,
            // The answer to the last join was lost, most likely.
            State::Completing => same,
            State::Empty | State::Preparing => false,
        };
        if settled {
            group.touch(&join.member, self.now);
            let name = join.group.clone();
            return self.answer_join(request, &name, &join.member);
        }
        let id = join.member.clone();
        self.admit(request, id, join);
    }

    fn admit(&mut self, request: RequestId, id: String, join: Join) {
        let (now, delay) = (self.now, self.config.initial_rebalance_delay);
        let Some(group) = self.groups.get_mut(&join.group) else { return };
        if !group.supports(&join, &id) {
            return self.reply(request, refused(error::INCONSISTENT_GROUP_PROTOCOL, &id));
        }
        let millis = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let was_empty = group.members.is_empty();
        group.protocol_type.clone_from(&join.protocol_type);
        let member = group.members.entry(id).or_default();
        let before = member.joining.replace(request);
        member.instance = join.instance;
        member.client_id = join.client_id;
        member.client_host = join.client_host;
        member.session = millis(join.session_timeout_ms);
        member.rebalance = millis(join.rebalance_timeout_ms);
        member.protocols = join.protocols;
        member.deadline = now + member.session;
        if group.state != State::Preparing {
            group.state = State::Preparing;
            group.is_initial = was_empty;
            let longest = group.members.values().map(|m| m.rebalance).max().unwrap_or_default();
            group.rebalance_at = now + if was_empty { delay } else { longest };
        }
        if let Some(old) = before {
            self.reply(old, refused(error::UNKNOWN_MEMBER_ID, ""));
        }
        self.fail_syncing(&join.group);
        self.maybe_complete(&join.group);
    }

    /// Syncs of a generation that is over.
    fn fail_syncing(&mut self, name: &str) {
        let Some(group) = self.groups.get_mut(name) else { return };
        let waiting: Vec<RequestId> = group.members.values_mut().filter_map(|m| m.syncing.take()).collect();
        waiting.into_iter().for_each(|request| self.reply(request, unsynced(error::REBALANCE_IN_PROGRESS)));
    }

    fn maybe_complete(&mut self, name: &str) {
        let now = self.now;
        let Some(group) = self.groups.get_mut(name) else { return };
        if group.state != State::Preparing {
            return;
        }
        let everyone = group.members.values().all(|m| m.joining.is_some());
        let due = now >= group.rebalance_at;
        if due || (everyone && !group.is_initial) {
            self.complete_join(name);
        }
    }

    fn complete_join(&mut self, name: &str) {
        let Some(group) = self.groups.get_mut(name) else { return };
        // Who did not come back is out; a static member keeps its place until its session ends.
        group.members.retain(|_, m| m.joining.is_some() || m.instance.is_some());
        group.is_initial = false;
        group.generation = group.generation.wrapping_add(1).max(1);
        if group.members.is_empty() {
            (group.state, group.protocol, group.leader) = (State::Empty, None, None);
            return self.store(name);
        }
        group.protocol = group.choose_protocol();
        let leader_stays = group.leader.as_ref().is_some_and(|l| group.members.contains_key(l));
        if !leader_stays {
            group.leader = group.members.iter().find(|(_, m)| m.joining.is_some()).map(|(id, _)| id.clone());
        }
        group.state = State::Completing;
        let now = self.now;
        let joined: Vec<(RequestId, String)> = group
            .members
            .iter_mut()
            .filter_map(|(id, m)| {
                m.deadline = now + m.session;
                Some((m.joining.take()?, id.clone()))
            })
            .collect();
        for (request, member) in joined {
            self.answer_join(request, name, &member);
        }
    }

    fn answer_join(&mut self, request: RequestId, name: &str, member: &str) {
        let Some(group) = self.groups.get(name) else { return };
        let leads = group.leader.as_deref() == Some(member);
        let of = |(id, m): (&String, &Member)| (id.clone(), m.instance.clone(), group.subscription(m));
        let members = if leads { group.members.iter().map(of).collect() } else { Vec::new() };
        let reply = Reply::Joined {
            error: error::NONE,
            generation: group.generation,
            protocol_type: Some(group.protocol_type.clone()),
            protocol: group.protocol.clone(),
            leader: group.leader.clone().unwrap_or_default(),
            member: member.to_owned(),
            members,
            skip_assignment: false,
        };
        self.reply(request, reply);
    }

    /// A member syncs; answered when the leader's assignment is in the log.
    pub fn sync(&mut self, request: RequestId, sync: Sync) {
        let now = self.now;
        if !self.is_loaded() {
            return self.reply(request, unsynced(error::COORDINATOR_LOAD_IN_PROGRESS));
        }
        let Some(group) = self.groups.get_mut(&sync.group) else {
            return self.reply(request, unsynced(error::UNKNOWN_MEMBER_ID));
        };
        let mut error = group.check_identity(&sync.member, sync.instance.as_deref());
        if error == error::NONE && sync.generation != group.generation {
            error = error::ILLEGAL_GENERATION;
        }
        if error == error::NONE && matches!(group.state, State::Preparing | State::Empty) {
            error = error::REBALANCE_IN_PROGRESS;
        }
        if error != error::NONE {
            return self.reply(request, unsynced(error));
        }
        group.touch(&sync.member, now);
        if group.state == State::Stable {
            return self.answer_sync(request, &sync.group, &sync.member);
        }
        if let Some(member) = group.members.get_mut(&sync.member) {
            member.syncing = Some(request);
        }
        if group.leader.as_deref() == Some(sync.member.as_str()) {
            for (id, assignment) in sync.assignments {
                if let Some(member) = group.members.get_mut(&id) {
                    // A copy: the slice would keep the whole request's memory.
                    member.assignment = Bytes::copy_from_slice(&assignment);
                }
            }
            let generation = group.generation;
            let record = records::encode_group(&group.record(self.wall_ms));
            let key = records::encode_key(&Key::Group(sync.group.clone()));
            self.append(vec![(key, Some(record))], Appending::Assignment { group: sync.group, generation });
        }
    }

    pub(crate) fn assignment_appended(&mut self, name: &str, generation: i32, acknowledged: bool) {
        let Some(group) = self.groups.get_mut(name) else { return };
        if group.generation != generation || group.state != State::Completing {
            return;
        }
        if acknowledged {
            group.state = State::Stable;
        }
        let waiting: Vec<(RequestId, String)> =
            group.members.iter_mut().filter_map(|(id, m)| Some((m.syncing.take()?, id.clone()))).collect();
        for (request, member) in waiting {
            if acknowledged {
                self.answer_sync(request, name, &member);
            } else {
                self.reply(request, unsynced(error::NOT_COORDINATOR));
            }
        }
    }

    fn answer_sync(&mut self, request: RequestId, name: &str, member: &str) {
        let Some(group) = self.groups.get(name) else { return };
        let reply = Reply::Synced {
            error: error::NONE,
            protocol_type: Some(group.protocol_type.clone()),
            protocol: group.protocol.clone(),
            assignment: group.members.get(member).map(|m| m.assignment.clone()).unwrap_or_default(),
        };
        self.reply(request, reply);
    }

    /// A member is alive; Kafka's error number tells it what to do.
    pub fn heartbeat(&mut self, group: &str, generation: i32, member: &str, instance: Option<&str>) -> i16 {
        let now = self.now;
        if !self.is_loaded() {
            return error::COORDINATOR_LOAD_IN_PROGRESS;
        }
        let Some(group) = self.groups.get_mut(group) else { return error::UNKNOWN_MEMBER_ID };
        let identity = group.check_identity(member, instance);
        if identity != error::NONE {
            return identity;
        }
        if generation != group.generation {
            return error::ILLEGAL_GENERATION;
        }
        group.touch(member, now);
        if group.state == State::Preparing { error::REBALANCE_IN_PROGRESS } else { error::NONE }
    }

    /// Members leave; one error number each.
    pub fn leave(&mut self, name: &str, leaving: &[Leave]) -> Result<Vec<i16>, i16> {
        if !self.is_loaded() {
            return Err(error::COORDINATOR_LOAD_IN_PROGRESS);
        }
        let Some(group) = self.groups.get_mut(name) else {
            return Ok(leaving.iter().map(|_| error::UNKNOWN_MEMBER_ID).collect());
        };
        let mut errors = Vec::new();
        let mut gone = Vec::new();
        for leave in leaving {
            if group.promised.remove(&leave.member).is_some() {
                errors.push(error::NONE);
                continue;
            }
            let by_name = leave.instance.as_deref().filter(|_| leave.member.is_empty());
            let id =
                by_name.and_then(|i| group.holder(i)).map_or_else(|| leave.member.clone(), str::to_owned);
            let error = group.check_identity(&id, leave.instance.as_deref());
            if error == error::NONE {
                gone.push(id);
            }
            errors.push(error);
        }
        self.remove(name, &gone);
        Ok(errors)
    }

    fn remove(&mut self, name: &str, gone: &[String]) {
        let now = self.now;
        let Some(group) = self.groups.get_mut(name) else { return };
        let mut waiting = Vec::new();
        for id in gone {
            if let Some(member) = group.members.remove(id) {
                waiting.extend([member.joining, member.syncing].into_iter().flatten());
            }
        }
        if gone.is_empty() {
            return;
        }
        if matches!(group.state, State::Stable | State::Completing) {
            group.state = State::Preparing;
            group.is_initial = false;
            let longest = group.members.values().map(|m| m.rebalance).max().unwrap_or_default();
            group.rebalance_at = now + longest;
        }
        for request in waiting {
            self.reply(request, refused(error::UNKNOWN_MEMBER_ID, ""));
        }
        self.fail_syncing(name);
        self.maybe_complete(name);
    }

    /// Sessions that ended, rebalances that are due.
    pub fn tick(&mut self) {
        let now = self.now;
        let names: Vec<String> = self.groups.keys().cloned().collect();
        for name in names {
            let Some(group) = self.groups.get_mut(&name) else { continue };
            group.promised.retain(|_, until| *until > now);
            let expired: Vec<String> = group
                .members
                .iter()
                .filter(|(_, m)| m.joining.is_none() && m.deadline <= now)
                .map(|(id, _)| id.clone())
                .collect();
            self.remove(&name, &expired);
            self.maybe_complete(&name);
        }
    }

    /// Writes a group that changed without a sync.
    fn store(&mut self, name: &str) {
        let Some(group) = self.groups.get(name) else { return };
        let record = records::encode_group(&group.record(self.wall_ms));
        let key = records::encode_key(&Key::Group(name.to_owned()));
        self.append(vec![(key, Some(record))], Appending::Other);
    }

    pub(crate) fn fail_waiting(&mut self, name: &str, error: i16) {
        let Some(group) = self.groups.get_mut(name) else { return };
        let joins: Vec<RequestId> = group.members.values_mut().filter_map(|m| m.joining.take()).collect();
        let syncs: Vec<RequestId> = group.members.values_mut().filter_map(|m| m.syncing.take()).collect();
        joins.into_iter().for_each(|request| self.reply(request, refused(error, "")));
        syncs.into_iter().for_each(|request| self.reply(request, unsynced(error)));
    }
}
