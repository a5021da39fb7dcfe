//! Syncing and heartbeats: the leader's assignment reaches everyone once it is in the log.
//!
//! Must not know: what assignments hold. Read first: [`Coordinator::sync`], `assignment_appended`.

use bytes::Bytes;

use crate::api::{Reply, RequestId, Sync};
use crate::coordinator::{Appending, Coordinator};
use crate::error;
use crate::group::{Group, State};

/// A sync without an assignment.
pub(crate) fn unsynced(error: i16) -> Reply {
    Reply::Synced { error, protocol_type: None, protocol: None, assignment: Bytes::new() }
}

fn check(group: &Group, sync: &Sync) -> i16 {
    let identity = group.check_identity(&sync.member, sync.instance.as_deref());
    let differs = |said: &Option<String>, known: Option<&str>| said.is_some() && said.as_deref() != known;
    if identity != error::NONE {
        identity
    } else if sync.generation != group.generation {
        error::ILLEGAL_GENERATION
    } else if matches!(group.state, State::Preparing | State::Empty) {
        error::REBALANCE_IN_PROGRESS
    } else if differs(&sync.protocol_type, Some(&group.protocol_type))
        || differs(&sync.protocol, group.protocol.as_deref())
    {
        // KIP-559
        error::INCONSISTENT_GROUP_PROTOCOL
    } else {
        error::NONE
    }
}

impl Coordinator {
    /// A member syncs; answered when the leader's assignment is in the log.
    pub fn sync(&mut self, request: RequestId, sync: Sync) {
        let (now, wall_ms, token) = (self.now, self.wall_ms, self.next_token());
        if let Some(error) = self.unavailable() {
            return self.reply(request, unsynced(error));
        }
        let Some(group) = self.groups.get_mut(&sync.group) else {
            return self.reply(request, unsynced(error::UNKNOWN_MEMBER_ID));
        };
        let error = check(group, &sync);
        if error != error::NONE {
            return self.reply(request, unsynced(error));
        }
        group.touch(&sync.member, now);
        let member = group.members.get_mut(&sync.member).expect("its identity was checked");
        member.synced = true;
        if group.state == State::Stable {
            return self.answer_sync(request, &sync.group, &sync.member);
        }
        let before = member.syncing.replace(request);
        let leads = group.leader.as_deref() == Some(sync.member.as_str());
        if leads && group.assigning.is_none() {
            group.members.values_mut().for_each(|m| m.assignment.clear());
            for (id, assignment) in sync.assignments {
                if let Some(member) = group.members.get_mut(&id) {
                    // A copy: the slice would keep the whole request's memory.
                    member.assignment = Bytes::copy_from_slice(&assignment);
                }
            }
            let entry = group.record(wall_ms).entry(&sync.group);
            group.assigning = Some(token);
            self.append(vec![entry], Appending::Assignment { group: sync.group.clone() });
        }
        self.refuse_syncs(before.into_iter().collect());
        self.settle(&sync.group);
    }

    /// Syncs of a generation that is over, or of a connection that the member left.
    pub(crate) fn refuse_syncs(&mut self, waiting: Vec<RequestId>) {
        waiting.into_iter().for_each(|request| self.reply(request, unsynced(error::REBALANCE_IN_PROGRESS)));
    }

    /// The record with the assignment is in the log, or will not be.
    pub(crate) fn assignment_appended(&mut self, token: u64, name: &str, acknowledged: bool) {
        let (now, delay) = (self.now, self.config.initial_rebalance_delay);
        let Some(group) = self.groups.get_mut(name) else { return };
        if group.assigning != Some(token) {
            // A rebalance began meanwhile; whoever waited was told.
            return;
        }
        group.assigning = None;
        let waiting: Vec<(RequestId, String)> =
            group.members.iter_mut().filter_map(|(id, m)| Some((m.syncing.take()?, id.clone()))).collect();
        if acknowledged {
            group.state = State::Stable;
        } else {
            // Nobody may own what another coordinator would not know of.
            let held = group.prepare(now, delay);
            assert!(held.is_empty(), "all that waited were taken");
        }
        for (request, member) in waiting {
            if acknowledged {
                self.answer_sync(request, name, &member);
            } else {
                self.reply(request, unsynced(error::COORDINATOR_NOT_AVAILABLE));
            }
        }
        self.settle(name);
    }

    fn answer_sync(&mut self, request: RequestId, name: &str, member: &str) {
        let group = self.groups.get(name).expect("who synced is in a group");
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
        if let Some(error) = self.unavailable() {
            return error;
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
}
