//! Fetch (1): what is visible now, or a wait for it.

use std::time::Duration;

use streamkeeper_base::limits::FETCH_BYTES_MAX;
use streamkeeper_base::{LeaderEpoch, Offset, TopicPartition};
use streamkeeper_wire::kafka::ErrorCode;
use streamkeeper_wire::kafka::codec::Records;
use streamkeeper_wire::kafka::generated::fetch_request::{FetchPartition, FetchRequest};
use streamkeeper_wire::kafka::generated::fetch_response::{
    EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};

use crate::broker::Broker;
use crate::kafka::client::Exchange;
use crate::kafka::pending::ParkedFetch;

impl Broker {
    pub(crate) fn fetch(&mut self, exchange: Exchange, request: FetchRequest) {
        let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        let deadline = self.clocks.now + wait;
        let (response, size, settled) = self.read_all(&request);
        let enough = i64::try_from(size).unwrap_or(i64::MAX) >= i64::from(request.min_bytes);
        if settled || enough || wait.is_zero() || request.topics.is_empty() {
            return self.answer_fetch(&exchange, &response);
        }
        let mut partitions = Vec::new();
        for topic in &request.topics {
            for part in &topic.partitions {
                partitions.extend(self.find_partition(&topic.topic, topic.topic_id, part.partition).ok());
            }
        }
        let number = self.number();
        let connection = exchange.connection;
        self.clients.entry(connection).and_modify(|client| client.parked += 1);
        self.fetches.insert(number, ParkedFetch { connection, exchange, request, partitions, deadline });
    }

    fn answer_fetch(&mut self, exchange: &Exchange, response: &FetchResponse) {
        let version = exchange.version;
        self.reply(exchange, |e| response.encode(e, version));
    }

    /// Fetches that wait for a partition look again.
    pub(crate) fn wake_fetches(&mut self, tp: TopicPartition) {
        let woken: Vec<u64> =
            self.fetches.iter().filter(|(_, f)| f.partitions.contains(&tp)).map(|(n, _)| *n).collect();
        woken.into_iter().for_each(|number| self.look_again(number, false));
    }

    /// The image changed: leaders may have moved, topics may be gone.
    pub(crate) fn wake_all_fetches(&mut self) {
        let all: Vec<u64> = self.fetches.keys().copied().collect();
        all.into_iter().for_each(|number| self.look_again(number, false));
    }

    pub(crate) fn expire_fetches(&mut self) {
        let now = self.clocks.now;
        let due: Vec<u64> = self.fetches.iter().filter(|(_, f)| f.deadline <= now).map(|(n, _)| *n).collect();
        due.into_iter().for_each(|number| self.look_again(number, true));
    }

    fn look_again(&mut self, number: u64, due: bool) {
        let Some(fetch) = self.fetches.remove(&number) else { return };
        let (response, size, settled) = self.read_all(&fetch.request);
        let enough = i64::try_from(size).unwrap_or(i64::MAX) >= i64::from(fetch.request.min_bytes);
        if due || settled || enough {
            self.clients.entry(fetch.connection).and_modify(|client| client.parked -= 1);
            self.answer_fetch(&fetch.exchange, &response);
        } else {
            self.fetches.insert(number, fetch);
        }
    }

    /// Everything that is visible; true if something must be told at once (an error).
    fn read_all(&mut self, request: &FetchRequest) -> (FetchResponse, usize, bool) {
        let mut response = FetchResponse::default();
        let (mut size, mut settled) = (0_usize, false);
        let bytes_max = usize::try_from(request.max_bytes).unwrap_or(0).min(FETCH_BYTES_MAX);
        for topic in &request.topics {
            let mut answered = FetchableTopicResponse {
                topic: topic.topic.clone(),
                topic_id: topic.topic_id,
                partitions: Vec::new(),
            };
            for part in &topic.partitions {
                let found = self.find_partition(&topic.topic, topic.topic_id, part.partition);
                let left = bytes_max.saturating_sub(size);
                let data = match found {
                    Ok(tp) => self.read_one(tp, part, left, size == 0).unwrap_or_else(|error| {
                        let mut data = failed(part.partition, error);
                        self.name_fetch_leader(tp, error, &mut data, &mut response.node_endpoints);
                        data
                    }),
                    Err((error, _)) => failed(part.partition, error),
                };
                settled |= data.error_code != 0 || data.diverging_epoch.end_offset >= 0;
                size += data.records.as_ref().map_or(0, Records::len);
                answered.partitions.push(data);
            }
            response.responses.push(answered);
        }
        (response, size, settled)
    }

    fn read_one(
        &mut self,
        tp: TopicPartition,
        part: &FetchPartition,
        left: usize,
        first: bool,
    ) -> Result<PartitionData, ErrorCode> {
        let replica = self.replicas.get(&tp).filter(|r| r.partition.leads());
        let replica = replica.ok_or(ErrorCode::NOT_LEADER_OR_FOLLOWER)?;
        check_epoch(part.current_leader_epoch, replica.partition.assignment().leader_epoch)?;
        let Some(end) = replica.partition.visible_end() else { return Err(ErrorCode::OFFSET_NOT_AVAILABLE) };
        let from = Offset(part.fetch_offset);
        let mut data = PartitionData {
            partition_index: part.partition,
            high_watermark: end.0,
            last_stable_offset: end.0,
            log_start_offset: replica.log.log_start().0,
            aborted_transactions: None,
            records: Some(Records::default()),
            ..PartitionData::default()
        };
        if part.last_fetched_epoch >= 0
            && let Some(diverging) = diverging(replica, part.last_fetched_epoch, from)
        {
            data.diverging_epoch = diverging;
            return Ok(data);
        }
        if from > replica.log.end() && part.current_leader_epoch < 0 && !self.is_proven() {
            // The reader may have it from a leader that this member has not heard of: that one is to be asked.
            self.ask_for_proof();
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        if from < replica.log.log_start() || from > replica.log.end() {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        let wanted = usize::try_from(part.partition_max_bytes).unwrap_or(0);
        // Sizes are soft: the first batch of an answer always comes, however large (KIP-74).
        if from < end && (first || left > 0) {
            let limit = wanted.min(left);
            let chunk =
                replica.log.read_later(from, end, limit).map_err(|_| ErrorCode::KAFKA_STORAGE_ERROR)?;
            if first || chunk.size <= limit {
                data.records = Some(Records(chunk.pieces));
            }
        }
        Ok(data)
    }

    fn name_fetch_leader(
        &self,
        tp: TopicPartition,
        error: ErrorCode,
        data: &mut PartitionData,
        endpoints: &mut Vec<NodeEndpoint>,
    ) {
        let Some(partition) = self.image.partition(tp) else { return };
        let leader = partition.leader.and_then(|id| Some((id, self.image.members.get(&id)?)));
        let Some((id, member)) = leader.filter(|_| error == ErrorCode::NOT_LEADER_OR_FOLLOWER) else {
            return;
        };
        data.current_leader = LeaderIdAndEpoch { leader_id: id.0, leader_epoch: partition.leader_epoch.0 };
        if !endpoints.iter().any(|e| e.node_id == id.0) {
            endpoints.push(NodeEndpoint {
                node_id: id.0,
                host: member.address.host.clone(),
                port: i32::from(member.address.kafka_port),
                rack: None,
            });
        }
    }
}

/// Rule 14: an old term is fenced, a term that this member has not heard of is to be asked again.
pub(crate) fn check_epoch(claimed: i32, current: LeaderEpoch) -> Result<(), ErrorCode> {
    match claimed {
        -1 => Ok(()),
        old if old < current.0 => Err(ErrorCode::FENCED_LEADER_EPOCH),
        new if new > current.0 => Err(ErrorCode::UNKNOWN_LEADER_EPOCH),
        _ => Ok(()),
    }
}

/// Rule 23: what the reader has is not what this log has from there on.
fn diverging(replica: &crate::broker::Replica, epoch: i32, from: Offset) -> Option<EpochEndOffset> {
    let (known, end) = replica.log.epoch_end(LeaderEpoch(epoch))?;
    (known.0 < epoch || end < from).then_some(EpochEndOffset { epoch: known.0, end_offset: end.0 })
}

fn failed(partition: i32, error: ErrorCode) -> PartitionData {
    PartitionData {
        partition_index: partition,
        error_code: error.0,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        records: Some(Records::default()),
        ..PartitionData::default()
    }
}
