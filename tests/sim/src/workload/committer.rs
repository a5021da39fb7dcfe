//! A client that keeps its place in a group: rising offsets committed, and read back at least as far as the last acknowledged one.

use std::collections::BTreeSet;

use bytes::Bytes;
use streamkeeper_base::MemberId;
use streamkeeper_wire::kafka::codec::Decoder;
use streamkeeper_wire::kafka::generated::find_coordinator_request::FindCoordinatorRequest;
use streamkeeper_wire::kafka::generated::find_coordinator_response::FindCoordinatorResponse;
use streamkeeper_wire::kafka::generated::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use streamkeeper_wire::kafka::generated::offset_commit_response::OffsetCommitResponse;
use streamkeeper_wire::kafka::generated::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use streamkeeper_wire::kafka::generated::offset_fetch_response::OffsetFetchResponse;

use super::connection::KafkaConnection;
use super::{Context, TOPIC};

const FIND_VERSION: i16 = 4;
const COMMIT_VERSION: i16 = 8;
const FETCH_VERSION: i16 = 8;

#[derive(Clone, Copy, Debug)]
enum Asked {
    Find,
    Commit(i64),
    /// Acknowledged before it was asked.
    Fetch(i64),
}

pub(crate) struct OffsetCommitter {
    group: String,
    connection: KafkaConnection<Asked>,
    coordinator: Option<MemberId>,
    next: i64,
    acknowledged: i64,
    under_way: Option<i64>,
    /// Commits that nobody answered: they may take effect at any later time, as with Apache Kafka.
    late: BTreeSet<i64>,
    /// Reads that followed the last commit.
    verified: bool,
}

impl OffsetCommitter {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            group: format!("group-{number}"),
            connection: KafkaConnection::new(),
            coordinator: None,
            next: 1,
            acknowledged: -1,
            under_way: None,
            late: BTreeSet::new(),
            verified: false,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.verified
    }

    pub(crate) fn wake(&mut self, context: &mut Context<'_>) {
        if self.connection.is_stuck(context) {
            self.start_over(context);
        }
        if self.connection.id.is_none() {
            let member = self.coordinator.unwrap_or_else(|| context.any_member());
            self.connection.open(context, member);
            if self.coordinator.is_none() {
                self.find(context);
            }
        } else if self.connection.under_way() == 0 && self.coordinator.is_some() {
            if context.healing || context.random.percent(40) {
                self.fetch(context);
            } else {
                self.commit(context);
            }
        }
        let pause = 5_000 + context.random.below(60_000);
        context.wake_after(pause);
    }

    fn start_over(&mut self, context: &mut Context<'_>) {
        self.connection.close(context);
        self.coordinator = None;
        self.late.extend(self.under_way.take());
    }

    fn find(&mut self, context: &mut Context<'_>) {
        let request = FindCoordinatorRequest {
            coordinator_keys: vec![self.group.clone()],
            ..FindCoordinatorRequest::default()
        };
        self.connection
            .ask(context, 10, FIND_VERSION, Some(Asked::Find), |e| request.encode(e, FIND_VERSION));
    }

    fn commit(&mut self, context: &mut Context<'_>) {
        let offset = self.next;
        self.next += 1;
        self.verified = false;
        self.under_way = Some(offset);
        let partition = OffsetCommitRequestPartition {
            partition_index: 0,
            committed_offset: offset,
            ..OffsetCommitRequestPartition::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: TOPIC.to_owned(),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        };
        let request = OffsetCommitRequest {
            group_id: self.group.clone(),
            generation_id_or_member_epoch: -1,
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        };
        self.connection.ask(context, 8, COMMIT_VERSION, Some(Asked::Commit(offset)), |e| {
            request.encode(e, COMMIT_VERSION);
        });
    }

    fn fetch(&mut self, context: &mut Context<'_>) {
        let topic = OffsetFetchRequestTopics {
            name: TOPIC.to_owned(),
            partition_indexes: vec![0],
            ..OffsetFetchRequestTopics::default()
        };
        let group = OffsetFetchRequestGroup {
            group_id: self.group.clone(),
            topics: Some(vec![topic]),
            ..OffsetFetchRequestGroup::default()
        };
        let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
        let floor = self.acknowledged;
        self.connection.ask(context, 9, FETCH_VERSION, Some(Asked::Fetch(floor)), |e| {
            request.encode(e, FETCH_VERSION);
        });
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
            Asked::Find => {
                let response =
                    FindCoordinatorResponse::decode(&mut answer, FIND_VERSION).expect("a readable answer");
                let found = &response.coordinators[0];
                self.connection.close(context);
                self.coordinator = (found.error_code == 0).then_some(MemberId(found.node_id));
            }
            Asked::Commit(offset) => {
                let response =
                    OffsetCommitResponse::decode(&mut answer, COMMIT_VERSION).expect("a readable answer");
                if response.topics[0].partitions[0].error_code == 0 {
                    self.under_way = None;
                    self.acknowledged = self.acknowledged.max(offset);
                } else {
                    self.start_over(context);
                }
            }
            Asked::Fetch(floor) => {
                let response =
                    OffsetFetchResponse::decode(&mut answer, FETCH_VERSION).expect("a readable answer");
                let group = &response.groups[0];
                let partition = group.topics.first().and_then(|t| t.partitions.first());
                match partition.filter(|p| group.error_code == 0 && p.error_code == 0) {
                    Some(found) => {
                        let offset = found.committed_offset;
                        assert!(
                            (floor..self.next).contains(&offset) || self.late.contains(&offset),
                            "K19: {} committed {floor}, reads {offset}",
                            self.group
                        );
                        context.history.offsets_verified += 1;
                        self.verified = true;
                    }
                    None => self.start_over(context),
                }
            }
        }
    }

    pub(crate) fn lost(&mut self, _context: &mut Context<'_>, connection: u64) {
        if self.connection.id == Some(connection) {
            self.connection.forget();
            self.coordinator = None;
            self.late.extend(self.under_way.take());
        }
    }
}
