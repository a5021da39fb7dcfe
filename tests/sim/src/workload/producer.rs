//! A producer: batches of unique values to one partition, several under way, all of them sent again until they are acknowledged.

use std::collections::VecDeque;

use bytes::Bytes;
use streamkeeper_base::MemberId;
use streamkeeper_wire::kafka::ErrorCode;
use streamkeeper_wire::kafka::codec::{Decoder, Records};
use streamkeeper_wire::kafka::generated::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use streamkeeper_wire::kafka::generated::init_producer_id_request::InitProducerIdRequest;
use streamkeeper_wire::kafka::generated::init_producer_id_response::InitProducerIdResponse;
use streamkeeper_wire::kafka::generated::produce_request::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use streamkeeper_wire::kafka::generated::produce_response::ProduceResponse;
use streamkeeper_wire::record::Builder;

use super::connection::{KafkaConnection, leader_of};
use super::forger::forged;
use super::{Context, TOPIC};
use crate::options::Options;

const PRODUCE_VERSION: i16 = 9;
const INIT_VERSION: i16 = 4;
const CREATE_VERSION: i16 = 7;
/// Bytes that make a batch larger than what the write-ahead log takes whole.
const LARGE_BYTES: usize = 70_000;

#[derive(Clone, Copy, Debug)]
enum Asked {
    Create,
    Metadata,
    Init,
    /// The batch that begins with this value.
    Produce(u64),
    /// A batch that must be refused.
    Forge,
}

/// A batch that is not acknowledged.
#[derive(Clone, Copy, Debug)]
struct Batch {
    first: u64,
    count: u64,
    sequence: i32,
    is_large: bool,
}

pub(crate) struct Producer {
    number: u64,
    partition: i32,
    acks: i16,
    is_idempotent: bool,
    in_flight: usize,
    large_every: u64,
    forged_every: u64,
    topic: (i32, i16, i32),
    connection: KafkaConnection<Asked>,
    leader: Option<MemberId>,
    connected_to: Option<MemberId>,
    producer: Option<(i64, i16)>,
    next_value: u64,
    next_sequence: i32,
    outstanding: VecDeque<Batch>,
}

impl Producer {
    pub(crate) fn new(
        number: u64,
        partition: i32,
        acks: i16,
        is_idempotent: bool,
        options: &Options,
    ) -> Self {
        Self {
            number,
            partition,
            acks,
            is_idempotent,
            in_flight: if is_idempotent { options.in_flight } else { 1 },
            large_every: options.large_every,
            // Without acknowledgements the only answer to it is that the connection ends.
            forged_every: if acks == 0 { 0 } else { options.forged_every },
            topic: (options.partitions, options.replication_factor, options.min_insync),
            connection: KafkaConnection::new(),
            leader: None,
            connected_to: None,
            producer: None,
            next_value: 0,
            next_sequence: 0,
            outstanding: VecDeque::new(),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.outstanding.is_empty()
    }

    pub(crate) fn wake(&mut self, context: &mut Context<'_>) {
        if self.connection.is_stuck(context) {
            self.start_over(context);
        }
        if self.connection.id.is_none() {
            self.begin(context);
        } else if self.connection.under_way() < self.in_flight && self.is_ready() {
            self.produce_new(context);
        }
        let pause = 1_000 + context.random.below(30_000);
        context.wake_after(pause);
    }

    fn is_ready(&self) -> bool {
        self.leader.is_some()
            && self.leader == self.connected_to
            && (self.producer.is_some() || !self.is_idempotent)
    }

    fn start_over(&mut self, context: &mut Context<'_>) {
        self.connection.close(context);
        self.leader = None;
    }

    fn begin(&mut self, context: &mut Context<'_>) {
        let member = self.leader.unwrap_or_else(|| context.any_member());
        self.connected_to = Some(member);
        self.connection.open(context, member);
        if self.leader.is_none() {
            return self.connection.ask_metadata(context, TOPIC, Asked::Metadata);
        }
        if self.is_idempotent && self.producer.is_none() {
            let request = InitProducerIdRequest { producer_id: -1, producer_epoch: -1, ..Default::default() };
            return self.connection.ask(context, 22, INIT_VERSION, Some(Asked::Init), |e| {
                request.encode(e, INIT_VERSION);
            });
        }
        for batch in self.outstanding.clone() {
            self.send(context, batch);
        }
    }

    fn produce_new(&mut self, context: &mut Context<'_>) {
        if context.healing || self.outstanding.len() >= self.in_flight {
            return;
        }
        if self.forged_every > 0 && context.random.below(self.forged_every) == 0 {
            let batch = forged(context.random, timestamp(context));
            self.ask_to_append(context, batch, Some(Asked::Forge));
        }
        let count = 1 + context.random.below(3);
        let is_large = self.large_every > 0 && context.random.below(self.large_every) == 0;
        let batch = Batch { first: self.next_value, count, sequence: self.next_sequence, is_large };
        self.next_value += count;
        self.next_sequence += i32::try_from(count).unwrap_or(1);
        context.history.sent(self.number, batch.first, count);
        if self.acks != 0 {
            self.outstanding.push_back(batch);
        }
        self.send(context, batch);
    }

    fn send(&mut self, context: &mut Context<'_>, batch: Batch) {
        let mut builder = Builder::new(timestamp(context));
        if let Some((id, epoch)) = self.producer {
            builder = builder.producer(id, epoch, batch.sequence);
        }
        for value in batch.first..batch.first + batch.count {
            let mut text = format!("{}-{value}", self.number);
            if batch.is_large {
                text.extend(std::iter::repeat_n('.', LARGE_BYTES / batch.count as usize));
            }
            builder.push(None, Some(text.as_bytes()));
        }
        // Without acknowledgements there is no answer.
        let what = (self.acks != 0).then_some(Asked::Produce(batch.first));
        self.ask_to_append(context, builder.finish().freeze(), what);
    }

    fn ask_to_append(&mut self, context: &mut Context<'_>, batch: Bytes, what: Option<Asked>) {
        let data = PartitionProduceData { index: self.partition, records: Some(Records(vec![batch.into()])) };
        let request = ProduceRequest {
            transactional_id: None,
            acks: self.acks,
            timeout_ms: 1_500,
            topic_data: vec![TopicProduceData {
                name: TOPIC.to_owned(),
                partition_data: vec![data],
                ..TopicProduceData::default()
            }],
        };
        self.connection.ask(context, 0, PRODUCE_VERSION, what, |e| request.encode(e, PRODUCE_VERSION));
    }

    pub(crate) fn received(&mut self, context: &mut Context<'_>, connection: u64, bytes: &Bytes) {
        if self.connection.id != Some(connection) {
            return;
        }
        for (what, answer) in self.connection.answers(context.now_us, bytes) {
            self.answered(context, what, answer);
        }
    }

    fn answered(&mut self, context: &mut Context<'_>, what: Asked, mut answer: Decoder) {
        match what {
            Asked::Create => self.start_over(context),
            Asked::Metadata => match leader_of(answer, self.partition) {
                Some((leader, _)) => {
                    self.connection.close(context);
                    self.leader = Some(leader);
                }
                None => self.create(context),
            },
            Asked::Init => {
                let response =
                    InitProducerIdResponse::decode(&mut answer, INIT_VERSION).expect("a readable answer");
                if response.error_code == 0 {
                    self.producer = Some((response.producer_id, response.producer_epoch));
                } else {
                    self.start_over(context);
                }
            }
            Asked::Produce(first) => self.produced(context, first, answer),
            Asked::Forge => {
                let error = error_of(&mut answer);
                assert_ne!(
                    error,
                    ErrorCode::NONE,
                    "K12: a forged batch is taken by the leader of {}",
                    self.partition
                );
            }
        }
    }

    /// The topic is not there, or nobody leads: whoever comes first makes it.
    fn create(&mut self, context: &mut Context<'_>) {
        let (partitions, factor, min_insync) = self.topic;
        let config = CreatableTopicConfig {
            name: "min.insync.replicas".to_owned(),
            value: Some(min_insync.to_string()),
        };
        let topic = CreatableTopic {
            name: TOPIC.to_owned(),
            num_partitions: partitions,
            replication_factor: factor,
            configs: vec![config],
            ..CreatableTopic::default()
        };
        let request =
            CreateTopicsRequest { topics: vec![topic], timeout_ms: 1_000, ..CreateTopicsRequest::default() };
        self.connection.ask(context, 19, CREATE_VERSION, Some(Asked::Create), |e| {
            request.encode(e, CREATE_VERSION);
        });
    }

    fn produced(&mut self, context: &mut Context<'_>, first: u64, mut answer: Decoder) {
        let response = ProduceResponse::decode(&mut answer, PRODUCE_VERSION).expect("a readable answer");
        let result = &response.responses[0].partition_responses[0];
        let error = ErrorCode(result.error_code);
        if error == ErrorCode::NONE {
            if let Some(at) = self.outstanding.iter().position(|b| b.first == first) {
                let batch = self.outstanding.remove(at).expect("it is there");
                if self.acks == -1 {
                    let (partition, offset) = (self.partition, result.base_offset);
                    context.history.acknowledged(partition, offset, self.number, batch.first, batch.count);
                }
            }
            return;
        }
        let retriable = [
            ErrorCode::NOT_LEADER_OR_FOLLOWER,
            ErrorCode::REQUEST_TIMED_OUT,
            ErrorCode::NOT_ENOUGH_REPLICAS,
            ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode::LEADER_NOT_AVAILABLE,
            ErrorCode::FENCED_LEADER_EPOCH,
            ErrorCode::KAFKA_STORAGE_ERROR,
        ];
        // A batch behind one that failed is out of order, and is sent again behind it.
        let follows_failed = error == ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
            && self.outstanding.front().is_some_and(|b| b.first != first);
        assert!(
            retriable.contains(&error) || follows_failed,
            "K14: producer {} of partition {} is answered {} for value {first}",
            self.number,
            self.partition,
            error.name()
        );
        self.start_over(context);
    }

    pub(crate) fn lost(&mut self, _context: &mut Context<'_>, connection: u64) {
        if self.connection.id == Some(connection) {
            self.connection.forget();
            self.leader = None;
        }
    }
}

/// The time of a record that is made now, milliseconds.
fn timestamp(context: &Context<'_>) -> i64 {
    i64::try_from(context.now_us / 1000).unwrap_or(0) + 1_700_000_000_000
}

/// What a produce request was answered.
fn error_of(answer: &mut Decoder) -> ErrorCode {
    let response = ProduceResponse::decode(answer, PRODUCE_VERSION).expect("a readable answer");
    ErrorCode(response.responses[0].partition_responses[0].error_code)
}
