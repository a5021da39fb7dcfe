//! JoinGroup (11), Heartbeat (12), LeaveGroup (13), SyncGroup (14), DescribeGroups (15), ListGroups (16), DeleteGroups (42).

use streamkeeper_group::error::{NOT_COORDINATOR, OFFSET_METADATA_TOO_LARGE};
use streamkeeper_group::{Join, Leave, Reply, Sync};
use streamkeeper_wire::kafka::generated::delete_groups_request::DeleteGroupsRequest;
use streamkeeper_wire::kafka::generated::delete_groups_response::{
    DeletableGroupResult, DeleteGroupsResponse,
};
use streamkeeper_wire::kafka::generated::describe_groups_request::DescribeGroupsRequest;
use streamkeeper_wire::kafka::generated::describe_groups_response::{
    DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use streamkeeper_wire::kafka::generated::heartbeat_request::HeartbeatRequest;
use streamkeeper_wire::kafka::generated::heartbeat_response::HeartbeatResponse;
use streamkeeper_wire::kafka::generated::join_group_request::JoinGroupRequest;
use streamkeeper_wire::kafka::generated::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use streamkeeper_wire::kafka::generated::leave_group_request::LeaveGroupRequest;
use streamkeeper_wire::kafka::generated::leave_group_response::{LeaveGroupResponse, MemberResponse};
use streamkeeper_wire::kafka::generated::list_groups_request::ListGroupsRequest;
use streamkeeper_wire::kafka::generated::list_groups_response::{ListGroupsResponse, ListedGroup};
use streamkeeper_wire::kafka::generated::offset_commit_response::OffsetCommitResponse;
use streamkeeper_wire::kafka::generated::sync_group_request::SyncGroupRequest;
use streamkeeper_wire::kafka::generated::sync_group_response::SyncGroupResponse;

use crate::broker::Broker;
use crate::kafka::client::Exchange;

/// A group's request that waits for its coordinator.
pub(crate) enum GroupRequest {
    Plain(Exchange),
    Commit(Exchange, OffsetCommitResponse),
    /// One group of a DeleteGroups request.
    Delete {
        batch: u64,
        index: usize,
    },
}

impl Broker {
    pub(crate) fn join_group(&mut self, exchange: &Exchange, request: JoinGroupRequest) {
        let remote = self.clients.get(&exchange.connection).and_then(|c| c.remote);
        // With a slash, as Java prints an address without a name.
        let client_host = remote.map_or_else(String::new, |address| format!("/{address}"));
        let join = Join {
            group: request.group_id,
            member: request.member_id,
            instance: request.group_instance_id,
            client_id: exchange.client_id.clone(),
            client_host,
            session_timeout_ms: request.session_timeout_ms,
            // Version 0 has one timeout for both.
            rebalance_timeout_ms: if exchange.version == 0 {
                request.session_timeout_ms
            } else {
                request.rebalance_timeout_ms
            },
            protocol_type: request.protocol_type,
            protocols: request.protocols.into_iter().map(|p| (p.name, p.metadata)).collect(),
            can_require_id: exchange.version >= 4,
            can_skip_assignment: exchange.version >= 9,
        };
        let group = join.group.clone();
        let asked =
            self.with_coordinator(&group, GroupRequest::Plain(exchange.clone()), |c, id| c.join(id, join));
        if !asked {
            let response = JoinGroupResponse { error_code: NOT_COORDINATOR, ..JoinGroupResponse::default() };
            let version = exchange.version;
            self.reply(exchange, |e| response.encode(e, version));
        }
    }

    pub(crate) fn sync_group(&mut self, exchange: &Exchange, request: SyncGroupRequest) {
        let sync = Sync {
            group: request.group_id,
            generation: request.generation_id,
            member: request.member_id,
            instance: request.group_instance_id,
            protocol_type: request.protocol_type,
            protocol: request.protocol_name,
            assignments: request.assignments.into_iter().map(|a| (a.member_id, a.assignment)).collect(),
        };
        let group = sync.group.clone();
        let asked =
            self.with_coordinator(&group, GroupRequest::Plain(exchange.clone()), |c, id| c.sync(id, sync));
        if !asked {
            let response = SyncGroupResponse { error_code: NOT_COORDINATOR, ..SyncGroupResponse::default() };
            let version = exchange.version;
            self.reply(exchange, |e| response.encode(e, version));
        }
    }

    /// A coordinator's answer, in the words of the request it belongs to.
    pub(crate) fn group_answered(&mut self, request: GroupRequest, reply: Reply) {
        match (request, reply) {
            (GroupRequest::Plain(exchange), reply @ (Reply::Joined { .. } | Reply::Synced { .. })) => {
                self.answer_member(&exchange, reply);
            }
            (GroupRequest::Commit(exchange, mut response), Reply::Committed { error, too_long }) => {
                // The coordinator got those that had no error yet, in this order.
                let asked = response.topics.iter_mut().flat_map(|t| &mut t.partitions);
                for (index, part) in asked.filter(|p| p.error_code == 0).enumerate() {
                    let is_long = too_long.contains(&index);
                    part.error_code = if is_long { OFFSET_METADATA_TOO_LARGE } else { error };
                }
                let version = exchange.version;
                self.reply(&exchange, |e| response.encode(e, version));
            }
            (GroupRequest::Delete { batch, index }, Reply::Deleted { error }) => {
                self.group_deleted(batch, index, error);
            }
            (GroupRequest::Plain(_) | GroupRequest::Commit(..) | GroupRequest::Delete { .. }, _) => {}
        }
    }

    fn answer_member(&mut self, exchange: &Exchange, reply: Reply) {
        let version = exchange.version;
        match reply {
            Reply::Joined {
                error,
                generation,
                protocol_type,
                protocol,
                leader,
                member,
                members,
                skip_assignment,
            } => {
                // Before version 7 the name may not be null.
                let protocol_name = if version < 7 { Some(protocol.unwrap_or_default()) } else { protocol };
                let response = JoinGroupResponse {
                    error_code: error,
                    generation_id: generation,
                    protocol_type,
                    protocol_name,
                    leader,
                    skip_assignment,
                    member_id: member,
                    members: members
                        .into_iter()
                        .map(|(member_id, group_instance_id, metadata)| JoinGroupResponseMember {
                            member_id,
                            group_instance_id,
                            metadata,
                        })
                        .collect(),
                    ..JoinGroupResponse::default()
                };
                self.reply(exchange, |e| response.encode(e, version));
            }
            Reply::Synced { error, protocol_type, protocol, assignment } => {
                let response = SyncGroupResponse {
                    error_code: error,
                    protocol_type,
                    protocol_name: protocol,
                    assignment,
                    ..SyncGroupResponse::default()
                };
                self.reply(exchange, |e| response.encode(e, version));
            }
            Reply::Committed { .. } | Reply::Deleted { .. } => {}
        }
    }

    pub(crate) fn heartbeat(&mut self, exchange: &Exchange, request: &HeartbeatRequest) {
        let error = self.coordinator_for(&request.group_id).map_or(NOT_COORDINATOR, |c| {
            let instance = request.group_instance_id.as_deref();
            c.heartbeat(&request.group_id, request.generation_id, &request.member_id, instance)
        });
        self.run_coordinator(&request.group_id);
        let response = HeartbeatResponse { error_code: error, ..HeartbeatResponse::default() };
        let version = exchange.version;
        self.reply(exchange, |e| response.encode(e, version));
    }

    pub(crate) fn leave_group(&mut self, exchange: &Exchange, request: LeaveGroupRequest) {
        let leaving: Vec<Leave> = if exchange.version >= 3 {
            request
                .members
                .into_iter()
                .map(|m| Leave { member: m.member_id, instance: m.group_instance_id })
                .collect()
        } else {
            vec![Leave { member: request.member_id, instance: None }]
        };
        let result = self
            .coordinator_for(&request.group_id)
            .map_or(Err(NOT_COORDINATOR), |c| c.leave(&request.group_id, &leaving));
        self.run_coordinator(&request.group_id);
        let mut response = LeaveGroupResponse::default();
        match result {
            Ok(errors) if exchange.version >= 3 => {
                response.members = leaving
                    .into_iter()
                    .zip(errors)
                    .map(|(leave, error_code)| MemberResponse {
                        member_id: leave.member,
                        group_instance_id: leave.instance,
                        error_code,
                    })
                    .collect();
            }
            Ok(errors) => response.error_code = errors.first().copied().unwrap_or(0),
            Err(error) => response.error_code = error,
        }
        let version = exchange.version;
        self.reply(exchange, |e| response.encode(e, version));
    }

    pub(crate) fn describe_groups(&mut self, exchange: &Exchange, request: &DescribeGroupsRequest) {
        let version = exchange.version;
        let mut response = DescribeGroupsResponse::default();
        for name in &request.groups {
            let described = self.coordinator_for(name).map(|c| c.describe(name));
            let Some(group) = described else {
                response.groups.push(DescribedGroup {
                    error_code: NOT_COORDINATOR,
                    group_id: name.clone(),
                    ..DescribedGroup::default()
                });
                continue;
            };
            // Before version 6 an unknown group is Dead without an error.
            let error_code = if version < 6 && group.error == 69 { 0 } else { group.error };
            response.groups.push(DescribedGroup {
                error_code,
                error_message: (error_code != 0).then(|| format!("Group {name} not found.")),
                group_id: name.clone(),
                group_state: group.state.to_owned(),
                protocol_type: group.protocol_type,
                protocol_data: group.protocol,
                members: group
                    .members
                    .into_iter()
                    .map(|m| DescribedGroupMember {
                        member_id: m.id,
                        group_instance_id: m.instance,
                        client_id: m.client_id,
                        client_host: m.client_host,
                        member_metadata: m.subscription,
                        member_assignment: m.assignment,
                    })
                    .collect(),
                ..DescribedGroup::default()
            });
        }
        self.reply(exchange, |e| response.encode(e, version));
    }

    pub(crate) fn list_groups(&mut self, exchange: &Exchange, request: &ListGroupsRequest) {
        let version = exchange.version;
        if self.is_coordinator_loading() {
            // Without the groups that are not read yet the list would be a lie (rule 43).
            let error_code = streamkeeper_wire::kafka::ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.0;
            let response = ListGroupsResponse { error_code, ..ListGroupsResponse::default() };
            return self.reply(exchange, |e| response.encode(e, version));
        }
        let wanted = |list: &[String], value: &str| {
            list.is_empty() || list.iter().any(|w| w.eq_ignore_ascii_case(value))
        };
        let groups = self
            .coordinators
            .values()
            .flat_map(streamkeeper_group::Coordinator::list)
            .filter(|g| wanted(&request.states_filter, g.state) && wanted(&request.types_filter, "classic"))
            .map(|g| ListedGroup {
                group_id: g.group,
                protocol_type: g.protocol_type,
                group_state: g.state.to_owned(),
                group_type: "classic".to_owned(),
            })
            .collect();
        let response = ListGroupsResponse { groups, ..ListGroupsResponse::default() };
        self.reply(exchange, |e| response.encode(e, version));
    }

    pub(crate) fn delete_groups(&mut self, exchange: &Exchange, request: &DeleteGroupsRequest) {
        let batch = self.number();
        let results = request
            .groups_names
            .iter()
            .map(|name| DeletableGroupResult { group_id: name.clone(), ..DeletableGroupResult::default() })
            .collect();
        let response = DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() };
        self.group_deletions.insert(batch, (exchange.clone(), response, request.groups_names.len()));
        for (index, name) in request.groups_names.iter().enumerate() {
            let asked = self
                .with_coordinator(name, GroupRequest::Delete { batch, index }, |c, id| c.delete(id, name));
            if !asked {
                self.group_deleted(batch, index, NOT_COORDINATOR);
            }
        }
    }

    fn group_deleted(&mut self, batch: u64, index: usize, error: i16) {
        let Some((_, response, waiting)) = self.group_deletions.get_mut(&batch) else { return };
        if let Some(result) = response.results.get_mut(index) {
            result.error_code = error;
        }
        *waiting -= 1;
        if *waiting == 0
            && let Some((exchange, response, _)) = self.group_deletions.remove(&batch)
        {
            let version = exchange.version;
            self.reply(&exchange, |e| response.encode(e, version));
        }
    }
}
