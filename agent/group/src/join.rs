//! Joining: who gets in under which id, and how a rebalance completes.
//!
//! Must not know: what assignments hold. Read first: [`Coordinator::join`], `maybe_complete`.

use std::time::Duration;

use crate::api::{Join, Reply, RequestId};
use crate::coordinator::{Appending, Coordinator};
use crate::error;
use crate::group::{Group, Member, State, millis};
use crate::records::TEXT_BYTES_MAX;
use crate::sync::unsynced;

/// The first join of a member may be held this long (Kafka: five minutes); its client is gone by then.
const NEW_MEMBER_PATIENCE: Duration = Duration::from_secs(300);
/// Ids that one group may have given out without having them back.
const PROMISED_MAX: usize = 10_000;

/// A join that is not let in.
pub(crate) fn refused(error: i16, member: &str) -> Reply {
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

impl Coordinator {
    /// A member joins; answered when the rebalance it starts or finds is complete.
    pub fn join(&mut self, request: RequestId, join: Join) {
        let error = self.check_join(&join);
        if error != error::NONE {
            return self.reply(request, refused(error, &join.member));
        }
        let name = join.group.clone();
        if join.member.is_empty() {
            self.join_new(request, join)
        } else {
            self.join_known(request, join)
        }
        self.settle(&name);
    }

    fn check_join(&self, join: &Join) -> i16 {
        let (least, greatest) = self.config.session_timeout_ms;
        let is_long = |text: &str| text.len() > TEXT_BYTES_MAX;
        if let Some(error) = self.unavailable() {
            error
        } else if join.group.is_empty() || is_long(&join.group) {
            error::INVALID_GROUP_ID
        } else if !(least..=greatest).contains(&join.session_timeout_ms) {
            error::INVALID_SESSION_TIMEOUT
        } else if join.instance.as_deref().is_some_and(|i| i.is_empty() || is_long(i))
            || is_long(&join.protocol_type)
            || join.protocols.iter().any(|(name, _)| is_long(name))
        {
            error::INVALID_REQUEST
        } else {
            error::NONE
        }
    }

    fn join_new(&mut self, request: RequestId, join: Join) {
        let (now, size_max) = (self.now, self.config.group_size_max);
        let known = self.groups.get(&join.group);
        let old = known.zip(join.instance.as_deref()).and_then(|(g, i)| g.holder(i)).map(str::to_owned);
        let fits = known.map_or_else(
            || Group::default().supports(&join, None),
            |group| group.supports(&join, old.as_deref()),
        );
        if !fits {
            return self.reply(request, refused(error::INCONSISTENT_GROUP_PROTOCOL, ""));
        }
        if let Some(old) = old {
            return self.replace_static(request, &old, join);
        }
        if known.is_some_and(|g| !g.has_room(size_max) || g.promised.len() >= PROMISED_MAX) {
            return self.reply(request, refused(error::GROUP_MAX_SIZE_REACHED, ""));
        }
        let id = self.member_id(join.instance.as_deref().unwrap_or(&join.client_id));
        if join.can_require_id && join.instance.is_none() {
            // KIP-394: the id must come back, so that a client that retries leaves no ghost behind.
            let group = self.groups.entry(join.group).or_default();
            group.promised.insert(id.clone(), now + millis(join.session_timeout_ms));
            return self.reply(request, refused(error::MEMBER_ID_REQUIRED, &id));
        }
        self.admit(request, id, join);
    }

    fn join_known(&mut self, request: RequestId, join: Join) {
        let id = join.member.clone();
        let Some(group) = self.groups.get_mut(&join.group) else {
            return self.reply(request, refused(error::UNKNOWN_MEMBER_ID, &id));
        };
        if join.instance.is_none() && group.promised.contains_key(&id) {
            let has_room = group.has_room(self.config.group_size_max);
            if !has_room || !group.supports(&join, None) {
                let error =
                    if has_room { error::INCONSISTENT_GROUP_PROTOCOL } else { error::GROUP_MAX_SIZE_REACHED };
                return self.reply(request, refused(error, &id));
            }
            group.promised.remove(&id);
            return self.admit(request, id, join);
        }
        let identity = group.check_identity(&id, join.instance.as_deref());
        if identity != error::NONE {
            return self.reply(request, refused(identity, &id));
        }
        if !group.supports(&join, Some(&id)) {
            return self.reply(request, refused(error::INCONSISTENT_GROUP_PROTOCOL, &id));
        }
        let same = group.members.get(&id).is_some_and(|m| m.protocols == join.protocols);
        let leads = group.leader.as_deref() == Some(id.as_str());
        let settled = match group.state {
            // A leader that joins again asks for a new assignment.
            State::Stable => same && !leads,
            // The answer to the last join was lost, most likely.
            State::Completing => same,
            State::Empty | State::Preparing => false,
        };
        if settled {
            group.touch(&id, self.now);
            return self.answer_join(request, &join.group, &id);
        }
        self.admit(request, id, join);
    }

    /// Holds a join that is in order, and begins the rebalance that it calls for.
    fn admit(&mut self, request: RequestId, id: String, join: Join) {
        let (now, delay) = (self.now, self.config.initial_rebalance_delay);
        let name = join.group.clone();
        let group = self.groups.entry(join.group.clone()).or_default();
        group.protocol_type.clone_from(&join.protocol_type);
        let is_new = !group.members.contains_key(&id);
        let member = group.members.entry(id).or_default();
        let before = member.joining.replace(request);
        member.update(join, now);
        if is_new {
            member.is_new = true;
            member.deadline = now + NEW_MEMBER_PATIENCE.max(member.rebalance + delay);
        }
        group.is_growing |= is_new && group.state == State::Preparing;
        let syncing = group.prepare(now, delay);
        if let Some(old) = before {
            // The same member on another connection. Not UNKNOWN_MEMBER_ID: it is known (rule 38).
            self.reply(old, refused(error::REBALANCE_IN_PROGRESS, ""));
        }
        self.refuse_syncs(syncing);
        self.maybe_complete(&name);
    }

    /// KIP-345: a static member comes back under a new id. It keeps its place, its old id is fenced.
    fn replace_static(&mut self, request: RequestId, old: &str, join: Join) {
        let (now, wall_ms, skips) = (self.now, self.wall_ms, join.can_skip_assignment);
        let id = self.member_id(join.instance.as_deref().unwrap_or_default());
        let name = join.group.clone();
        let group = self.groups.get_mut(&name).expect("the holder of a static name is in a group");
        let mut member = group.members.remove(old).expect("a holder is a member");
        let before = member.clone();
        let (joining, syncing) = (member.joining.take(), member.syncing.take());
        let led = group.leader.as_deref() == Some(old);
        if led {
            group.leader = Some(id.clone());
        }
        let is_stable = group.state == State::Stable;
        if is_stable {
            let returning = join.clone();
            member.update(returning, now);
        }
        let keeps = is_stable && group.is_same_subscription(&before, &member);
        group.members.insert(id.clone(), member);
        let keeps = keeps && group.choose_protocol() == group.protocol;
        let record = group.record(wall_ms);
        if let Some(waiting) = joining {
            self.reply(waiting, refused(error::FENCED_INSTANCE_ID, old));
        }
        if let Some(waiting) = syncing {
            self.reply(waiting, unsynced(error::FENCED_INSTANCE_ID));
        }
        if !keeps {
            return self.admit(request, id, join);
        }
        let mut reply = self.joined(&name, &id);
        if let Reply::Joined { leader, members, skip_assignment, .. } = &mut reply
            && led
        {
            if skips {
                // KIP-814: it leads on, and knows the members, but the assignment stands.
                *skip_assignment = true;
            } else {
                // Before version 9 a leader would assign anew: it is told that another leads.
                old.clone_into(leader);
                members.clear();
            }
        }
        // Answered when the new id is in the log: another coordinator must not fence it.
        self.append(vec![record.entry(&name)], Appending::Join { request, reply });
    }

    /// Completes a rebalance that everyone joined or whose time is over.
    pub(crate) fn maybe_complete(&mut self, name: &str) {
        let (now, delay) = (self.now, self.config.initial_rebalance_delay);
        let Some(group) = self.groups.get_mut(name) else { return };
        if group.state != State::Preparing {
            return;
        }
        let is_due = now >= group.rebalance_at;
        if let Some(until) = group.initial_until.filter(|until| is_due && group.is_growing && now < *until) {
            // KIP-134: while members come, the first rebalance waits again, never longer than they allow.
            group.is_growing = false;
            group.rebalance_at = until.min(now + delay);
            if group.rebalance_at > now {
                return;
            }
        }
        let is_whole = group.promised.is_empty() && group.members.values().all(|m| m.joining.is_some());
        if is_due || (is_whole && group.initial_until.is_none()) {
            self.complete_join(name);
        }
    }

    fn complete_join(&mut self, name: &str) {
        let (now, wall_ms) = (self.now, self.wall_ms);
        let Some(group) = self.groups.get_mut(name) else { return };
        // Who did not come back is out; a static member keeps its place until its session ends.
        group.members.retain(|_, m| m.joining.is_some() || m.instance.is_some());
        let longest = group.members.values().map(|m| m.rebalance).max().unwrap_or_default();
        if !group.members.is_empty() {
            let joined = |id: &String| group.members.get(id).is_some_and(|m| m.joining.is_some());
            let elected = group.leader.clone().filter(joined).or_else(|| {
                group.members.iter().find(|(_, m)| m.joining.is_some()).map(|(id, _)| id.clone())
            });
            let Some(leader) = elected else {
                // Only static members, none of them here: the generation begins when one is (Kafka does so, too).
                group.rebalance_at = now + longest.max(Duration::from_millis(1));
                return;
            };
            group.leader = Some(leader);
        }
        group.initial_until = None;
        group.generation = group.generation.checked_add(1).unwrap_or(1);
        if group.members.is_empty() {
            (group.state, group.protocol, group.leader) = (State::Empty, None, None);
            group.empty_since_ms = wall_ms;
            let entry = group.record(wall_ms).entry(name);
            return self.append(vec![entry], Appending::Other);
        }
        group.protocol = group.choose_protocol();
        group.state = State::Completing;
        group.sync_by = now + longest.max(Duration::from_millis(1));
        let mut joined: Vec<(RequestId, String)> = Vec::new();
        for (id, member) in &mut group.members {
            (member.synced, member.is_new) = (false, false);
            if let Some(request) = member.joining.take() {
                member.deadline = now + member.session;
                joined.push((request, id.clone()));
            }
        }
        for (request, member) in joined {
            self.answer_join(request, name, &member);
        }
    }

    fn answer_join(&mut self, request: RequestId, name: &str, member: &str) {
        let reply = self.joined(name, member);
        self.reply(request, reply);
    }

    fn joined(&self, name: &str, member: &str) -> Reply {
        let group = self.groups.get(name).expect("who joined is in a group");
        let leads = group.leader.as_deref() == Some(member);
        let of = |(id, m): (&String, &Member)| (id.clone(), m.instance.clone(), group.subscription(m));
        Reply::Joined {
            error: error::NONE,
            generation: group.generation,
            protocol_type: Some(group.protocol_type.clone()),
            protocol: group.protocol.clone(),
            leader: group.leader.clone().unwrap_or_default(),
            member: member.to_owned(),
            members: if leads { group.members.iter().map(of).collect() } else { Vec::new() },
            skip_assignment: false,
        }
    }
}
