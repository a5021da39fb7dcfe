//! FindCoordinator (10), OffsetCommit (8), OffsetFetch (9).

use std::collections::BTreeMap;

use streamkeeper_base::{PartitionId, TopicId};
use streamkeeper_group::{Commit, Committed, OffsetAndMetadata, partition_for};
use streamkeeper_wire::kafka::ErrorCode;
use streamkeeper_wire::kafka::generated::find_coordinator_request::FindCoordinatorRequest;
use streamkeeper_wire::kafka::generated::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use streamkeeper_wire::kafka::generated::offset_commit_request::OffsetCommitRequest;
use streamkeeper_wire::kafka::generated::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use streamkeeper_wire::kafka::generated::offset_fetch_request::OffsetFetchRequest;
use streamkeeper_wire::kafka::generated::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

use crate::broker::Broker;
use crate::kafka::client::Exchange;

/// The topic that holds groups and their offsets.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

impl Broker {
    pub(crate) fn find_coordinator(&mut self, exchange: &Exchange, request: &FindCoordinatorRequest) {
        let keys =
            if exchange.version >= 4 { request.coordinator_keys.clone() } else { vec![request.key.clone()] };
        let found: Vec<Coordinator> =
            keys.into_iter().map(|key| self.coordinator_of(key, request.key_type)).collect();
        let mut response = FindCoordinatorResponse::default();
        if exchange.version >= 4 {
            response.coordinators = found;
        } else if let Some(one) = found.into_iter().next() {
            response.error_code = one.error_code;
            response.error_message = one.error_message;
            response.node_id = one.node_id;
            response.host = one.host;
            response.port = one.port;
        }
        let version = exchange.version;
        self.reply(exchange, |e| response.encode(e, version));
    }

    fn coordinator_of(&mut self, key: String, key_type: i8) -> Coordinator {
        let none = |key: String, error: ErrorCode| Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: error.0,
            error_message: Some(error.name().to_owned()),
            ..Coordinator::default()
        };
        if key_type != 0 {
            // Transactions and share groups are not built yet.
            return none(key, ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        let Some(topic) = self.image.topics.get(OFFSETS_TOPIC) else {
            let partitions = i32::try_from(self.config.number("offsets.topic.num.partitions")).unwrap_or(50);
            let compact = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
            self.make_topic(OFFSETS_TOPIC, partitions, compact);
            return none(key, ErrorCode::COORDINATOR_NOT_AVAILABLE);
        };
        let count = i32::try_from(topic.partitions.len()).unwrap_or(1);
        let partition =
            usize::try_from(partition_for(&key, count)).ok().and_then(|p| topic.partitions.get(p));
        let leader = partition.and_then(|p| p.leader);
        match leader.and_then(|id| Some((id, self.image.members.get(&id)?))) {
            Some((id, member)) => Coordinator {
                key,
                node_id: id.0,
                host: member.address.host.clone(),
                port: i32::from(member.address.kafka_port),
                error_code: 0,
                error_message: None,
            },
            None => none(key, ErrorCode::COORDINATOR_NOT_AVAILABLE),
        }
    }

    /// The partition that a group belongs to.
    pub(crate) fn group_partition(&self, group: &str) -> PartitionId {
        let count = self.image.topics.get(OFFSETS_TOPIC).map_or(1, |t| t.partitions.len());
        PartitionId(partition_for(group, i32::try_from(count).unwrap_or(1)))
    }

    pub(crate) fn offset_commit(&mut self, exchange: &Exchange, request: OffsetCommitRequest) {
        let mut response = OffsetCommitResponse::default();
        let mut offsets = Vec::new();
        // Versions 2 to 4 may say how long the offsets are kept; -1 leaves it to the broker.
        let kept = Some(request.retention_time_ms).filter(|ms| *ms >= 0);
        let expires = kept.map(|ms| self.clocks.wall.0.saturating_add(ms));
        for topic in request.topics {
            let named = self.image.topic_by_id(TopicId(topic.topic_id)).map(|t| t.name.clone());
            let name = if exchange.version >= 10 { named.unwrap_or_default() } else { topic.name.clone() };
            let mut answered = OffsetCommitResponseTopic {
                name: topic.name,
                topic_id: topic.topic_id,
                partitions: Vec::new(),
            };
            for part in topic.partitions {
                let known = self.find_partition(&name, [0; 16], part.partition_index).ok();
                let mut entry = OffsetCommitResponsePartition {
                    partition_index: part.partition_index,
                    ..OffsetCommitResponsePartition::default()
                };
                if let Some(tp) = known {
                    let value = OffsetAndMetadata {
                        offset: part.committed_offset,
                        leader_epoch: part.committed_leader_epoch,
                        metadata: part.committed_metadata.unwrap_or_default(),
                        timestamp: self.clocks.wall.0,
                        topic_id: tp.topic,
                        expires,
                    };
                    offsets.push((name.clone(), part.partition_index, value));
                } else {
                    let by_id = exchange.version >= 10;
                    let error = if by_id {
                        ErrorCode::UNKNOWN_TOPIC_ID
                    } else {
                        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                    };
                    entry.error_code = error.0;
                }
                answered.partitions.push(entry);
            }
            response.topics.push(answered);
        }
        let commit = Commit {
            group: request.group_id,
            generation: request.generation_id_or_member_epoch,
            member: request.member_id,
            instance: request.group_instance_id,
            offsets,
        };
        self.commit_offsets(exchange, commit, response);
    }

    /// A coordinator that was deposed and has not heard it would give old offsets (rule 43).
    pub(crate) fn offset_fetch(&mut self, exchange: &Exchange, request: OffsetFetchRequest) {
        if self.coordinators.is_empty() {
            self.answer_offset_fetch(exchange, request, true);
        } else {
            self.prove_for(exchange.clone(), request);
        }
    }

    /// The committed offsets; or, of a member that cannot prove that it is still the coordinator, that it is none.
    pub(crate) fn answer_offset_fetch(
        &mut self,
        exchange: &Exchange,
        request: OffsetFetchRequest,
        is_proven: bool,
    ) {
        let mut response = OffsetFetchResponse::default();
        let version = exchange.version;
        if version < 8 {
            let wanted = request.topics.map(|topics| {
                let of = |t: &streamkeeper_wire::kafka::generated::offset_fetch_request::OffsetFetchRequestTopic| {
                    t.partition_indexes.iter().map(|p| (t.name.clone(), *p)).collect::<Vec<_>>()
                };
                topics.iter().flat_map(of).collect::<Vec<_>>()
            });
            match self.committed_if(is_proven, &request.group_id, wanted.as_deref()) {
                Ok(found) => response.topics = by_topic(found),
                Err(error) => {
                    response.error_code = error;
                    // Versions before 2 have no error but per partition.
                    let unknown = |(topic, partition): (String, i32)| (topic, partition, None);
                    response.topics = by_topic(wanted.unwrap_or_default().into_iter().map(unknown).collect());
                    for part in response.topics.iter_mut().flat_map(|t| &mut t.partitions) {
                        part.error_code = error;
                    }
                }
            }
            return self.reply(exchange, |e| response.encode(e, version));
        }
        for group in request.groups {
            let mut answered = OffsetFetchResponseGroup {
                group_id: group.group_id.clone(),
                ..OffsetFetchResponseGroup::default()
            };
            let mut ids: BTreeMap<String, [u8; 16]> = BTreeMap::new();
            let wanted = group.topics.map(|topics| {
                let mut keys = Vec::new();
                for topic in topics {
                    let by_id = self.image.topic_by_id(TopicId(topic.topic_id)).map(|t| t.name.clone());
                    let name = if version >= 10 { by_id.unwrap_or_default() } else { topic.name };
                    ids.insert(name.clone(), topic.topic_id);
                    keys.extend(topic.partition_indexes.iter().map(|p| (name.clone(), *p)));
                }
                keys
            });
            match self.committed_if(is_proven, &group.group_id, wanted.as_deref()) {
                Ok(found) => answered.topics = self.by_topic_and_id(found, &ids),
                Err(error) => answered.error_code = error,
            }
            response.groups.push(answered);
        }
        self.reply(exchange, |e| response.encode(e, version));
    }

    fn committed_if(
        &mut self,
        is_proven: bool,
        group: &str,
        wanted: Option<&[(String, i32)]>,
    ) -> Result<Vec<Committed>, i16> {
        if is_proven { self.committed(group, wanted) } else { Err(ErrorCode::NOT_COORDINATOR.0) }
    }

    fn by_topic_and_id(
        &self,
        found: Vec<Committed>,
        ids: &BTreeMap<String, [u8; 16]>,
    ) -> Vec<OffsetFetchResponseTopics> {
        by_topic(found)
            .into_iter()
            .map(|topic| OffsetFetchResponseTopics {
                topic_id: ids
                    .get(&topic.name)
                    .copied()
                    .or_else(|| self.image.topics.get(&topic.name).map(|t| t.id.0))
                    .unwrap_or_default(),
                name: topic.name,
                partitions: topic
                    .partitions
                    .into_iter()
                    .map(|p| OffsetFetchResponsePartitions {
                        partition_index: p.partition_index,
                        committed_offset: p.committed_offset,
                        committed_leader_epoch: p.committed_leader_epoch,
                        metadata: p.metadata,
                        error_code: p.error_code,
                    })
                    .collect(),
            })
            .collect()
    }
}

/// An unknown offset is -1, never 0 (rule 43).
fn by_topic(found: Vec<Committed>) -> Vec<OffsetFetchResponseTopic> {
    let mut topics: BTreeMap<String, Vec<OffsetFetchResponsePartition>> = BTreeMap::new();
    for (topic, partition, offset) in found {
        let entry = match offset {
            Some(value) => OffsetFetchResponsePartition {
                partition_index: partition,
                committed_offset: value.offset,
                committed_leader_epoch: value.leader_epoch,
                metadata: Some(value.metadata),
                error_code: 0,
            },
            None => OffsetFetchResponsePartition {
                partition_index: partition,
                committed_offset: -1,
                committed_leader_epoch: -1,
                metadata: Some(String::new()),
                error_code: 0,
            },
        };
        topics.entry(topic).or_default().push(entry);
    }
    topics.into_iter().map(|(name, partitions)| OffsetFetchResponseTopic { name, partitions }).collect()
}
