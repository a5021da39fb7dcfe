//! Produce (0): validate, append, wait for as many acknowledgements as were asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::BytesMut;
use streamkeeper_base::batch::{self, BatchHeader};
use streamkeeper_base::{Instant, Offset, PartitionId, TopicId, TopicPartition};
use streamkeeper_replica::{Event, ProduceError, Verdict};
use streamkeeper_wire::kafka::ErrorCode;
use streamkeeper_wire::kafka::codec::Records;
use streamkeeper_wire::kafka::generated::produce_request::ProduceRequest;
use streamkeeper_wire::kafka::generated::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceResponse,
    TopicProduceResponse,
};
use streamkeeper_wire::record::{Accepted, Refusal, Timestamps};

use crate::broker::Broker;
use crate::kafka::client::Exchange;
use crate::kafka::pending::{PendingProduce, ProduceSlot};

/// Records that one answer names at most (KIP-467): a request may hold any number of batches that are refused.
const NAMED_MAX: usize = 1000;

/// What became of one partition's batch.
enum Appended {
    /// It waits for its acknowledgement.
    Waiting(u64),
    /// It is answered now.
    Done { log_start: i64 },
}

/// Where a partition's batch went.
struct Placed {
    base_offset: i64,
    /// The time that the topic gave it; -1 if its records keep their own.
    log_append_time_ms: i64,
    how: Appended,
}

/// Why a partition's batch went nowhere, and which partition that is, if it is one.
type Failed = (Box<Refusal>, Option<TopicPartition>);

/// Refuses a partition that a request has named before: each has one batch, and so one answer.
fn once(
    seen: &mut BTreeSet<TopicPartition>,
    tp: TopicPartition,
) -> Result<TopicPartition, (ErrorCode, Option<TopicPartition>)> {
    if seen.insert(tp) { Ok(tp) } else { Err((ErrorCode::INVALID_REQUEST, Some(tp))) }
}

impl Broker {
    pub(crate) fn produce(&mut self, exchange: Exchange, request: ProduceRequest) {
        if request.transactional_id.is_some() || !matches!(request.acks, -1..=1) {
            // Transactions are not built yet; acks outside -1, 0, 1 never are.
            let error = if request.transactional_id.is_some() {
                ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            } else {
                ErrorCode::INVALID_REQUIRED_ACKS
            };
            return self.refuse_produce(&exchange, request, error);
        }
        let deadline =
            self.clocks.now + Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
        let produce = self.number();
        let (mut response, mut waiting, mut failed) = (ProduceResponse::default(), 0, false);
        let (mut seen, mut names_left) = (BTreeSet::new(), NAMED_MAX);
        for (topic_at, data) in request.topic_data.into_iter().enumerate() {
            let mut answered = TopicProduceResponse {
                name: data.name.clone(),
                topic_id: data.topic_id,
                ..TopicProduceResponse::default()
            };
            for (partition_at, part) in data.partition_data.into_iter().enumerate() {
                let mut entry = PartitionProduceResponse {
                    index: part.index,
                    base_offset: -1,
                    ..PartitionProduceResponse::default()
                };
                let records = part.records.unwrap_or_default();
                let found = self.find_partition(&data.name, data.topic_id, part.index);
                let result = found.and_then(|tp| once(&mut seen, tp));
                let result = result.map_err(|(error, tp)| (Box::from(error), tp)).and_then(|tp| {
                    self.append_produced(tp, records, request.acks, exchange.version, deadline)
                        .map_err(|refusal| (refusal, Some(tp)))
                });
                match result {
                    Ok(placed) => {
                        entry.base_offset = placed.base_offset;
                        entry.log_append_time_ms = placed.log_append_time_ms;
                        match placed.how {
                            Appended::Waiting(request) => {
                                waiting += 1;
                                let slot =
                                    ProduceSlot::Client { produce, topic: topic_at, partition: partition_at };
                                self.produce_slots.insert(request, slot);
                            }
                            Appended::Done { log_start } => entry.log_start_offset = log_start,
                        }
                    }
                    Err(refused) => {
                        failed = true;
                        self.tell_refusal(refused, &mut entry, &mut response.node_endpoints);
                        entry.record_errors.truncate(names_left);
                        names_left -= entry.record_errors.len();
                    }
                }
                answered.partition_responses.push(entry);
            }
            response.responses.push(answered);
        }
        self.answer_produce(exchange, request.acks, produce, response, waiting, failed);
    }

    /// KIP-467: what is wrong, in words, and with which records.
    fn tell_refusal(
        &self,
        (refusal, tp): Failed,
        entry: &mut PartitionProduceResponse,
        endpoints: &mut Vec<NodeEndpoint>,
    ) {
        entry.error_code = refusal.code.0;
        if refusal.code == ErrorCode::NOT_LEADER_OR_FOLLOWER
            && let Some(tp) = tp
        {
            self.name_leader(tp, entry, endpoints);
        }
        let Refusal { message, records, .. } = *refusal;
        entry.error_message = (!message.is_empty()).then_some(message);
        let blamed = |(batch_index, what)| BatchIndexAndErrorMessage {
            batch_index,
            batch_index_error_message: Some(what),
        };
        entry.record_errors = records.into_iter().map(blamed).collect();
    }

    fn answer_produce(
        &mut self,
        exchange: Exchange,
        acks: i16,
        produce: u64,
        response: ProduceResponse,
        waiting: usize,
        failed: bool,
    ) {
        if acks == 0 {
            // No answer is due; an error can only be shown by closing (rule 7).
            return if failed {
                self.close_client(exchange.connection)
            } else {
                self.reply_nothing(&exchange)
            };
        }
        if waiting > 0 {
            self.produces.insert(produce, PendingProduce { exchange, response, waiting });
            // Nothing is acknowledged within the append itself: a flush comes first, so no slot was settled before this.
            return;
        }
        let version = exchange.version;
        self.reply(&exchange, |e| response.encode(e, version));
    }

    fn refuse_produce(&mut self, exchange: &Exchange, request: ProduceRequest, error: ErrorCode) {
        let mut response = ProduceResponse::default();
        for data in request.topic_data {
            let refused = |index| PartitionProduceResponse {
                index,
                error_code: error.0,
                base_offset: -1,
                ..PartitionProduceResponse::default()
            };
            response.responses.push(TopicProduceResponse {
                name: data.name,
                topic_id: data.topic_id,
                partition_responses: data.partition_data.iter().map(|p| refused(p.index)).collect(),
            });
        }
        let version = exchange.version;
        self.reply(exchange, |e| response.encode(e, version));
    }

    /// A partition by its topic's name or id.
    pub(crate) fn find_partition(
        &self,
        name: &str,
        id: [u8; 16],
        index: i32,
    ) -> Result<TopicPartition, (ErrorCode, Option<TopicPartition>)> {
        let by_id = id != [0; 16];
        let topic = if by_id { self.image.topic_by_id(TopicId(id)) } else { self.image.topics.get(name) };
        let unknown = if by_id { ErrorCode::UNKNOWN_TOPIC_ID } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION };
        let topic = topic.ok_or((unknown, None))?;
        let exists = usize::try_from(index).is_ok_and(|i| i < topic.partitions.len());
        if !exists {
            return Err((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None));
        }
        Ok(TopicPartition { topic: topic.id, partition: PartitionId(index) })
    }

    fn append_produced(
        &mut self,
        tp: TopicPartition,
        records: Records,
        acks: i16,
        version: i16,
        deadline: Instant,
    ) -> Result<Placed, Box<Refusal>> {
        let replica = self.replicas.get(&tp).filter(|r| r.partition.leads());
        let replica = replica.ok_or(ErrorCode::NOT_LEADER_OR_FOLLOWER)?;
        if self.image.topic_by_id(tp.topic).is_some_and(|topic| topic.internal) {
            // Coordinators believe what stands there: it is theirs alone to write (ReplicaManager, internalTopicsAllowed).
            return Err(ErrorCode::INVALID_TOPIC_EXCEPTION.into());
        }
        if acks == -1 && replica.partition.in_sync() < replica.partition.assignment().min_insync {
            return Err(ErrorCode::NOT_ENOUGH_REPLICAS.into());
        }
        let wall_ms = self.clocks.wall.0;
        let records = records.joined().map_err(|_| ErrorCode::KAFKA_STORAGE_ERROR)?;
        let accepted = self.validator.validate(&records, &replica.rules, version, wall_ms)?;
        let Accepted { header, batch, log_append_time_ms } = accepted;
        if header.is_transactional() {
            return Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED.into());
        }
        match replica.producers.check(&header) {
            Verdict::Next => {}
            Verdict::Duplicate(offset) => return Ok(self.repeated(tp, offset, &header, acks, deadline)),
            Verdict::OutOfOrder => return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.into()),
            Verdict::FencedEpoch => return Err(ErrorCode::INVALID_PRODUCER_EPOCH.into()),
        }
        let request = (acks == -1).then(|| self.number());
        let at = self.append_as_leader(tp, BytesMut::from(batch), request, deadline)?;
        let log_start = self.replicas.get(&tp).map_or(0, |r| r.log.log_start().0);
        let how = request.map_or(Appended::Done { log_start }, Appended::Waiting);
        Ok(Placed { base_offset: at.0, log_append_time_ms, how })
    }

    /// A batch that is in the log already, from `offset` on: answered as it was, or should have been, the first time.
    fn repeated(
        &mut self,
        tp: TopicPartition,
        offset: Offset,
        header: &BatchHeader,
        acks: i16,
        deadline: Instant,
    ) -> Placed {
        let end = offset.plus(i64::from(header.last_offset_delta) + 1);
        let (mut log_start, mut is_acknowledged, mut log_append_time_ms) = (0, acks != -1, -1);
        if let Some(replica) = self.replicas.get(&tp) {
            log_start = replica.log.log_start().0;
            is_acknowledged |= replica.partition.high_watermark() >= end;
            if replica.rules.timestamps == Timestamps::LogAppendTime {
                let first = replica.log.read(offset, end, 1).ok();
                let first = first.and_then(|chunk| BatchHeader::parse(chunk.pieces.first()?));
                log_append_time_ms = first.map_or(-1, |batch| batch.max_timestamp);
            }
        }
        let how = if is_acknowledged {
            Appended::Done { log_start }
        } else {
            // What it repeats may still be lost: it is a success only when that one is.
            let request = self.number();
            self.step(tp, Event::Awaited { request, end, deadline });
            Appended::Waiting(request)
        };
        Placed { base_offset: offset.0, log_append_time_ms, how }
    }

    /// Gives batches their offsets, appends them, and tells the replica.
    pub(crate) fn append_as_leader(
        &mut self,
        tp: TopicPartition,
        mut bytes: BytesMut,
        request: Option<u64>,
        deadline: Instant,
    ) -> Result<Offset, ErrorCode> {
        let replica = self.replicas.get(&tp).ok_or(ErrorCode::NOT_LEADER_OR_FOLLOWER)?;
        let (at, leader_epoch) = (replica.log.end(), replica.partition.assignment().leader_epoch);
        batch::assign(&mut bytes, at, leader_epoch);
        let batches = bytes.freeze();
        let end = self.append(tp, &batches).map_err(|_| ErrorCode::KAFKA_STORAGE_ERROR)?;
        self.step(tp, Event::Appended { request, at, end, batches, deadline });
        Ok(at)
    }

    /// A partition's records are acknowledged, or will not be.
    pub(crate) fn produce_acknowledged(&mut self, request: u64, result: Result<(), ProduceError>) {
        match self.produce_slots.remove(&request) {
            Some(ProduceSlot::Client { produce, topic, partition }) => {
                let error = match result {
                    Ok(()) => ErrorCode::NONE,
                    Err(ProduceError::NotLeader) => ErrorCode::NOT_LEADER_OR_FOLLOWER,
                    Err(ProduceError::TimedOut) => ErrorCode::REQUEST_TIMED_OUT,
                };
                let Some(pending) = self.produces.get_mut(&produce) else { return };
                let entry = pending
                    .response
                    .responses
                    .get_mut(topic)
                    .and_then(|t| t.partition_responses.get_mut(partition));
                if let Some(entry) = entry {
                    entry.error_code = error.0;
                    if error != ErrorCode::NONE {
                        (entry.base_offset, entry.log_append_time_ms) = (-1, -1);
                    }
                }
                pending.waiting -= 1;
                if pending.waiting == 0
                    && let Some(done) = self.produces.remove(&produce)
                {
                    let version = done.exchange.version;
                    self.reply(&done.exchange, |e| done.response.encode(e, version));
                }
            }
            Some(ProduceSlot::Coordinator { partition, token }) => {
                self.coordinator_appended(partition, token, result.is_ok());
            }
            None => {}
        }
    }

    /// KIP-951: who leads, and where, so that the client need not ask.
    fn name_leader(
        &self,
        tp: TopicPartition,
        entry: &mut PartitionProduceResponse,
        endpoints: &mut Vec<NodeEndpoint>,
    ) {
        let Some(partition) = self.image.partition(tp) else { return };
        let Some((id, member)) = partition.leader.and_then(|id| Some((id, self.image.members.get(&id)?)))
        else {
            return;
        };
        entry.current_leader = LeaderIdAndEpoch { leader_id: id.0, leader_epoch: partition.leader_epoch.0 };
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
