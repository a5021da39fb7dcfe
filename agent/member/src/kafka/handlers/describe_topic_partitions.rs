//! DescribeTopicPartitions (75, KIP-966): topics with their eligible leaders, page by page.

use std::collections::BTreeSet;

use streamkeeper_base::MemberId;
use streamkeeper_controller::{ClusterImage, Topic, check_topic_name};
use streamkeeper_wire::kafka::ErrorCode;
use streamkeeper_wire::kafka::codec::{KafkaError, Result};
use streamkeeper_wire::kafka::generated::describe_topic_partitions_request::DescribeTopicPartitionsRequest;
use streamkeeper_wire::kafka::generated::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};

use crate::broker::Broker;
use crate::kafka::client::Exchange;

/// Partitions in one answer at most (`max.request.partition.size.limit`).
const PARTITIONS_MAX: usize = 2000;

impl Broker {
    pub(crate) fn describe_topic_partitions(
        &mut self,
        exchange: &Exchange,
        request: &DescribeTopicPartitionsRequest,
    ) -> Result<()> {
        let first = request.cursor.as_ref().map_or(0, |cursor| cursor.partition_index);
        let first = usize::try_from(first).map_err(|_| KafkaError("a cursor's partition is negative"))?;
        let from = request.cursor.as_ref().map_or("", |cursor| cursor.topic_name.as_str());
        // No topics means all; those that cannot be described are then left out.
        let named: BTreeSet<&str> = request.topics.iter().map(|t| t.name.as_str()).collect();
        let all = named.is_empty();
        let names = if all { self.image.topics.keys().map(String::as_str).collect() } else { named };
        let limit = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, PARTITIONS_MAX);

        let mut response = DescribeTopicPartitionsResponse::default();
        let mut left = limit;
        for name in names.into_iter().filter(|name| *name >= from) {
            if left == 0 {
                response.next_cursor = Some(Cursor { topic_name: name.to_owned(), partition_index: 0 });
                break;
            }
            let start = if name == from { first } else { 0 };
            let Some(topic) = self.image.topics.get(name) else {
                response.topics.push(unknown(name));
                continue;
            };
            let described = described(&self.image, topic, start, left);
            left -= described.partitions.len();
            let next = start + described.partitions.len();
            response.topics.push(described);
            if next < topic.partitions.len() {
                let partition_index = i32::try_from(next).unwrap_or(i32::MAX);
                response.next_cursor = Some(Cursor { topic_name: name.to_owned(), partition_index });
                break;
            }
        }
        let version = exchange.version;
        self.reply(exchange, |e| response.encode(e, version));
        Ok(())
    }
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error = if check_topic_name(name).is_ok() {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    } else {
        ErrorCode::INVALID_TOPIC_EXCEPTION
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: error.0,
        name: Some(name.to_owned()),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn described(
    image: &ClusterImage,
    topic: &Topic,
    start: usize,
    limit: usize,
) -> DescribeTopicPartitionsResponseTopic {
    let ids = |list: &[MemberId]| list.iter().map(|id| id.0).collect::<Vec<i32>>();
    let is_live = |id: &MemberId| image.members.get(id).is_some_and(|m| m.live);
    let partitions = topic.partitions.iter().enumerate().skip(start).take(limit);
    let partitions = partitions.map(|(number, p)| {
        let error = if p.leader.is_some() { ErrorCode::NONE } else { ErrorCode::LEADER_NOT_AVAILABLE };
        let offline: Vec<MemberId> = p.replicas.iter().filter(|id| !is_live(id)).copied().collect();
        DescribeTopicPartitionsResponsePartition {
            error_code: error.0,
            partition_index: i32::try_from(number).unwrap_or(i32::MAX),
            leader_id: p.leader.map_or(-1, |id| id.0),
            leader_epoch: p.leader_epoch.0,
            replica_nodes: ids(&p.replicas),
            isr_nodes: ids(&p.isr),
            eligible_leader_replicas: Some(ids(&p.elr)),
            last_known_elr: Some(Vec::new()),
            offline_replicas: ids(&offline),
        }
    });
    DescribeTopicPartitionsResponseTopic {
        error_code: 0,
        name: Some(topic.name.clone()),
        topic_id: topic.id.0,
        is_internal: topic.internal,
        partitions: partitions.collect(),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}
