//! What every Kafka client of the simulator does alike: requests with correlation ids in order, metadata, patience.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use streamkeeper_base::{MemberId, piece};
use streamkeeper_member::record::Owner;
use streamkeeper_wire::kafka::codec::{Decoder, Encoder};
use streamkeeper_wire::kafka::generated::metadata_request::{MetadataRequest, MetadataRequestTopic};
use streamkeeper_wire::kafka::generated::metadata_response::MetadataResponse;
use streamkeeper_wire::kafka::{api, frame};

use super::Context;

/// Version of Metadata that is spoken.
pub(crate) const METADATA_VERSION: i16 = 12;
/// A client that is not answered for so long starts over, microseconds.
const PATIENCE_US: u64 = 2_500_000;

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<T> {
    correlation_id: i32,
    key: i16,
    version: i16,
    pub(crate) what: T,
}

/// A client's one connection at a time. `T` tells what a request was for.
pub(crate) struct KafkaConnection<T> {
    pub(crate) id: Option<u64>,
    buffer: BytesMut,
    asked: VecDeque<Asked<T>>,
    next_correlation_id: i32,
    waiting_since_us: u64,
}

impl<T: Copy> KafkaConnection<T> {
    pub(crate) fn new() -> Self {
        Self {
            id: None,
            buffer: BytesMut::new(),
            asked: VecDeque::new(),
            next_correlation_id: 1,
            waiting_since_us: 0,
        }
    }

    /// Connects to a member; whatever was under way is given up.
    pub(crate) fn open(&mut self, context: &mut Context<'_>, member: MemberId) {
        self.close(context);
        self.id = Some(context.connect(member, Owner::Broker));
        self.waiting_since_us = context.now_us;
    }

    pub(crate) fn close(&mut self, context: &mut Context<'_>) {
        self.id.take().into_iter().for_each(|id| context.close(id));
        self.forget();
    }

    /// The connection is gone.
    pub(crate) fn forget(&mut self) {
        self.id = None;
        self.asked.clear();
        self.buffer.clear();
    }

    /// Requests that wait for an answer.
    pub(crate) fn under_way(&self) -> usize {
        self.asked.len()
    }

    /// True if an answer is overdue.
    pub(crate) fn is_stuck(&self, context: &Context<'_>) -> bool {
        !self.asked.is_empty() && context.now_us - self.waiting_since_us > PATIENCE_US
    }

    pub(crate) fn ask(
        &mut self,
        context: &mut Context<'_>,
        key: i16,
        version: i16,
        what: Option<T>,
        body: impl FnOnce(&mut Encoder),
    ) {
        let Some(id) = self.id else { return };
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let mut encoder = Encoder::new();
        api::encode_request_header(&mut encoder, key, version, correlation_id, "sim");
        body(&mut encoder);
        context.send(id, piece::joined(frame::finish(encoder).expect("a short request")).expect("in memory"));
        if let Some(what) = what {
            if self.asked.is_empty() {
                self.waiting_since_us = context.now_us;
            }
            self.asked.push_back(Asked { correlation_id, key, version, what });
        }
    }

    /// Takes bytes in; gives the answers that are whole, each with what it was for.
    pub(crate) fn answers(&mut self, now_us: u64, bytes: &Bytes) -> Vec<(T, Decoder)> {
        self.buffer.extend_from_slice(bytes);
        let mut answers = Vec::new();
        while let Some(body) = frame::decode(&mut self.buffer).expect("a member sends whole frames") {
            let asked = self.asked.pop_front().expect("an answer nobody asked for");
            let mut decoder = Decoder(body);
            let id = api::decode_response_header(&mut decoder, asked.key, asked.version)
                .expect("a readable header");
            assert_eq!(id, asked.correlation_id, "answers leave in the order of requests");
            self.waiting_since_us = now_us;
            answers.push((asked.what, decoder));
        }
        answers
    }

    pub(crate) fn ask_metadata(&mut self, context: &mut Context<'_>, topic: &str, what: T) {
        let topic = MetadataRequestTopic { name: Some(topic.to_owned()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        self.ask(context, 3, METADATA_VERSION, Some(what), |e| request.encode(e, METADATA_VERSION));
    }
}

/// Who leads a partition and in which term, as a metadata answer says.
pub(crate) fn leader_of(mut answer: Decoder, partition: i32) -> Option<(MemberId, i32)> {
    let response = MetadataResponse::decode(&mut answer, METADATA_VERSION).expect("a readable answer");
    // librdkafka forgets every broker that is left out, and with the last one how to ask again.
    assert!(!response.brokers.is_empty(), "liveness: a member names no broker at all");
    let topic = response.topics.first()?;
    let found = topic.partitions.iter().find(|p| p.partition_index == partition)?;
    (found.leader_id >= 0).then_some((MemberId(found.leader_id), found.leader_epoch))
}
