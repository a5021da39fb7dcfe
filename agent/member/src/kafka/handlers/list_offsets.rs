//! ListOffsets (2) and OffsetForLeaderEpoch (23).

use streamkeeper_base::{LeaderEpoch, Offset, TopicPartition};
use streamkeeper_wire::kafka::ErrorCode;
use streamkeeper_wire::kafka::generated::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use streamkeeper_wire::kafka::generated::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use streamkeeper_wire::kafka::generated::offset_for_leader_epoch_request::OffsetForLeaderEpochRequest;
use streamkeeper_wire::kafka::generated::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use streamkeeper_wire::record::find;

use super::fetch::check_epoch;
use crate::broker::{Broker, Replica};
use crate::kafka::client::Exchange;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

impl Broker {
    pub(crate) fn list_offsets(&mut self, exchange: &Exchange, request: ListOffsetsRequest) {
        let mut response = ListOffsetsResponse::default();
        for topic in request.topics {
            let partitions = topic.partitions.iter().map(|part| {
                let found = self.find_partition(&topic.name, [0; 16], part.partition_index);
                let answer = found.map_err(|(error, _)| error).and_then(|tp| self.offset_at(tp, part));
                let (error, timestamp, offset, epoch) = match answer {
                    Ok((timestamp, offset, epoch)) => (ErrorCode::NONE, timestamp, offset, epoch),
                    Err(error) => (error, -1, -1, -1),
                };
                ListOffsetsPartitionResponse {
                    partition_index: part.partition_index,
                    error_code: error.0,
                    timestamp,
                    offset,
                    leader_epoch: epoch,
                }
            });
            let partitions = partitions.collect();
            response.topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
        }
        let version = exchange.version;
        self.reply(exchange, |e| response.encode(e, version));
    }

    /// Timestamp, offset, and that record's epoch (rule 16).
    fn offset_at(
        &self,
        tp: TopicPartition,
        part: &ListOffsetsPartition,
    ) -> Result<(i64, i64, i32), ErrorCode> {
        let replica = self.leading(tp)?;
        check_epoch(part.current_leader_epoch, replica.partition.assignment().leader_epoch)?;
        let end = replica.partition.visible_end().ok_or(ErrorCode::OFFSET_NOT_AVAILABLE)?;
        let epoch = |offset: Offset| replica.log.epoch_at(offset).map_or(-1, |e| e.0);
        let at = |offset: Offset| (-1, offset.0, epoch(offset));
        match part.timestamp {
            LATEST => {
                let last = if end > replica.log.log_start() { epoch(end.plus(-1)) } else { -1 };
                Ok((-1, end.0, last.max(replica.partition.assignment().leader_epoch.0)))
            }
            EARLIEST | EARLIEST_LOCAL => Ok(at(replica.log.log_start())),
            // Nothing is tiered, nothing waits to be.
            LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok((-1, -1, -1)),
            MAX_TIMESTAMP => {
                let batch =
                    replica.log.batch_of_max_timestamp().map_err(|_| ErrorCode::KAFKA_STORAGE_ERROR)?;
                let mut newest: Option<(i64, i64)> = None;
                if let Some(batch) = batch {
                    find(&batch, |offset, timestamp| {
                        if offset < end.0 && newest.is_none_or(|(_, greatest)| timestamp > greatest) {
                            newest = Some((offset, timestamp));
                        }
                        false
                    })?;
                }
                Ok(newest.map_or((-1, -1, -1), |(at, timestamp)| (timestamp, at, epoch(Offset(at)))))
            }
            timestamp => {
                let batch =
                    replica.log.batch_at_timestamp(timestamp).map_err(|_| ErrorCode::KAFKA_STORAGE_ERROR)?;
                let is_found = |offset: i64, at: i64| offset < end.0 && at >= timestamp;
                let found = batch.map_or(Ok(None), |batch| find(&batch, is_found))?;
                Ok(found.map_or((-1, -1, -1), |(at, timestamp)| (timestamp, at, epoch(Offset(at)))))
            }
        }
    }

    pub(crate) fn leading(&self, tp: TopicPartition) -> Result<&Replica, ErrorCode> {
        self.replicas.get(&tp).filter(|r| r.partition.leads()).ok_or(ErrorCode::NOT_LEADER_OR_FOLLOWER)
    }

    pub(crate) fn offset_for_leader_epoch(
        &mut self,
        exchange: &Exchange,
        request: OffsetForLeaderEpochRequest,
    ) {
        let mut response = OffsetForLeaderEpochResponse::default();
        for topic in request.topics {
            let partitions = topic.partitions.iter().map(|part| {
                let found =
                    self.find_partition(&topic.topic, [0; 16], part.partition).map_err(|(error, _)| error);
                let answer = found.and_then(|tp| {
                    let replica = self.leading(tp)?;
                    check_epoch(part.current_leader_epoch, replica.partition.assignment().leader_epoch)?;
                    let end = replica.log.epoch_end(LeaderEpoch(part.leader_epoch));
                    // Rule 15: unknown is (-1, -1).
                    Ok(end.map_or((-1, -1), |(epoch, offset)| (epoch.0, offset.0)))
                });
                let (error, (leader_epoch, end_offset)) = match answer {
                    Ok(answer) => (ErrorCode::NONE, answer),
                    Err(error) => (error, (-1, -1)),
                };
                EpochEndOffset { error_code: error.0, partition: part.partition, leader_epoch, end_offset }
            });
            let partitions = partitions.collect();
            response.topics.push(OffsetForLeaderTopicResult { topic: topic.topic, partitions });
        }
        let version = exchange.version;
        self.reply(exchange, |e| response.encode(e, version));
    }
}
