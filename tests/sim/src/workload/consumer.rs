//! A consumer of all partitions in turn: from the begin to the end and on, each offset once, nothing skipped.

use std::collections::BTreeMap;

use bytes::Bytes;
use streamkeeper_base::MemberId;
use streamkeeper_base::batch;
use streamkeeper_wire::kafka::ErrorCode;
use streamkeeper_wire::kafka::codec::Decoder;
use streamkeeper_wire::kafka::generated::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use streamkeeper_wire::kafka::generated::fetch_response::FetchResponse;
use streamkeeper_wire::record::records;

use super::connection::{KafkaConnection, leader_of};
use super::{Context, TOPIC};
use crate::checker::history::History;
use crate::trace;

const FETCH_VERSION: i16 = 12;
/// Answers about one partition before the next one's turn.
const TURNS: u32 = 6;

#[derive(Clone, Copy, Debug)]
enum Asked {
    Metadata,
    Fetch,
}

pub(crate) struct Consumer {
    partition: i32,
    partitions: i32,
    positions: BTreeMap<i32, i64>,
    /// The newest term heard of, by partition: a leader of an older one is not asked (KIP-320).
    terms: BTreeMap<i32, i32>,
    leader: Option<MemberId>,
    connection: KafkaConnection<Asked>,
    turns: u32,
    /// It names no leader epoch.
    without_epochs: bool,
}

impl Consumer {
    pub(crate) fn new(first: i32, partitions: i32, without_epochs: bool) -> Self {
        Self {
            partition: first,
            partitions,
            positions: BTreeMap::new(),
            terms: BTreeMap::new(),
            leader: None,
            connection: KafkaConnection::new(),
            turns: 0,
            without_epochs,
        }
    }

    /// True when it has read everything that was acknowledged.
    pub(crate) fn is_done(&self, history: &History) -> bool {
        (0..self.partitions)
            .all(|p| self.positions.get(&p).copied().unwrap_or(0) >= history.acknowledged_end(p))
    }

    /// How far it is, for a report.
    pub(crate) fn progress(&self, history: &History) -> String {
        let ends: Vec<(i64, i64)> = (0..self.partitions)
            .map(|p| (self.positions.get(&p).copied().unwrap_or(0), history.acknowledged_end(p)))
            .collect();
        format!("a consumer, now at partition {}, (position, end) {ends:?}", self.partition)
    }

    fn position(&self) -> i64 {
        self.positions.get(&self.partition).copied().unwrap_or(0)
    }

    pub(crate) fn wake(&mut self, context: &mut Context<'_>) {
        if self.connection.is_stuck(context) {
            self.start_over(context);
        }
        if self.connection.id.is_none() {
            let member = self.leader.unwrap_or_else(|| context.any_member());
            self.connection.open(context, member);
            if self.leader.is_none() {
                self.connection.ask_metadata(context, TOPIC, Asked::Metadata);
            } else {
                self.fetch(context);
            }
        } else if self.connection.under_way() == 0 {
            self.fetch(context);
        }
        let pause = 5_000 + context.random.below(40_000);
        context.wake_after(pause);
    }

    fn start_over(&mut self, context: &mut Context<'_>) {
        self.connection.close(context);
        self.leader = None;
    }

    fn fetch(&mut self, context: &mut Context<'_>) {
        // After the heal it catches up in large steps.
        let choice = if context.healing { 2 } else { context.random.below(3) };
        let max = [1, 200, 1 << 20][usize::try_from(choice).unwrap_or(0)];
        let term = self.terms.get(&self.partition).copied().unwrap_or(-1);
        let part = FetchPartition {
            partition: self.partition,
            fetch_offset: self.position(),
            current_leader_epoch: if self.without_epochs { -1 } else { term },
            partition_max_bytes: max,
            ..FetchPartition::default()
        };
        let topic = FetchTopic { topic: TOPIC.to_owned(), partitions: vec![part], ..FetchTopic::default() };
        let request = FetchRequest {
            max_wait_ms: i32::try_from(context.random.below(300)).unwrap_or(0),
            min_bytes: 1,
            topics: vec![topic],
            ..FetchRequest::default()
        };
        self.connection.ask(context, 1, FETCH_VERSION, Some(Asked::Fetch), |e| {
            request.encode(e, FETCH_VERSION);
        });
    }

    pub(crate) fn received(&mut self, context: &mut Context<'_>, connection: u64, bytes: &Bytes) {
        if self.connection.id != Some(connection) {
            return;
        }
        for (what, answer) in self.connection.answers(context.now_us, bytes) {
            match what {
                Asked::Metadata => {
                    let known = self.terms.get(&self.partition).filter(|_| !self.without_epochs);
                    let known = known.copied().unwrap_or(-1);
                    let found = leader_of(answer, self.partition).filter(|(_, term)| *term >= known);
                    self.leader = found.map(|(leader, _)| leader);
                    self.terms.extend(found.map(|(_, term)| (self.partition, term)));
                    self.connection.close(context);
                }
                Asked::Fetch => self.fetched(context, answer),
            }
        }
    }

    fn fetched(&mut self, context: &mut Context<'_>, mut answer: Decoder) {
        let response = FetchResponse::decode(&mut answer, FETCH_VERSION).expect("a readable answer");
        let data = &response.responses[0].partitions[0];
        let error = ErrorCode(data.error_code);
        let retriable = [
            ErrorCode::NOT_LEADER_OR_FOLLOWER,
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode::OFFSET_NOT_AVAILABLE,
            ErrorCode::LEADER_NOT_AVAILABLE,
            ErrorCode::FENCED_LEADER_EPOCH,
            ErrorCode::UNKNOWN_LEADER_EPOCH,
        ];
        trace::fault(context.now_us, || {
            let (at, end) = (self.position(), data.high_watermark);
            format!("a consumer of {} at {at} gets {}, high watermark {end}", self.partition, error.name())
        });
        if error != ErrorCode::NONE {
            assert!(
                retriable.contains(&error),
                "K9: a consumer of partition {} at {} is answered {}",
                self.partition,
                self.position(),
                error.name()
            );
            return self.next_partition(context);
        }
        let bytes = data.records.clone().unwrap_or_default().joined().expect("in memory");
        if bytes.is_empty() && self.partitions > 1 {
            return self.next_partition(context);
        }
        for (at, header) in batch::headers(&bytes) {
            let whole = bytes.slice(at..at + header.size);
            for record in records(&whole).expect("a readable batch") {
                // A batch is sent whole even if the position is inside it.
                if record.offset < self.position() {
                    continue;
                }
                assert_eq!(
                    record.offset,
                    self.position(),
                    "a consumer of partition {} skips",
                    self.partition
                );
                let value = record.value.unwrap_or_default();
                context.history.read(self.partition, record.offset, &value);
                self.positions.insert(self.partition, record.offset + 1);
            }
        }
        self.turns += 1;
        if self.turns >= TURNS && self.partitions > 1 {
            self.next_partition(context);
        }
    }

    fn next_partition(&mut self, context: &mut Context<'_>) {
        self.turns = 0;
        self.partition = (self.partition + 1) % self.partitions;
        self.start_over(context);
    }

    pub(crate) fn lost(&mut self, _context: &mut Context<'_>, connection: u64) {
        if self.connection.id == Some(connection) {
            self.connection.forget();
            self.leader = None;
        }
    }
}
