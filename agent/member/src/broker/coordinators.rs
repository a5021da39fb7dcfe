//! The group coordinators of the `__consumer_offsets` partitions that this member leads.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use streamkeeper_base::{Offset, PartitionId, TopicPartition, batch};
use streamkeeper_group::{Action, Commit, Committed, Coordinator, RequestId};
use streamkeeper_wire::kafka::generated::offset_commit_response::OffsetCommitResponse;
use streamkeeper_wire::record::{Builder, records};

use super::Broker;
use crate::kafka::client::Exchange;
use crate::kafka::handlers::{GroupRequest, OFFSETS_TOPIC};
use crate::kafka::pending::ProduceSlot;

/// Bytes replayed at once.
const REPLAY_BYTES: usize = 4 * 1024 * 1024;
/// An append that is not acknowledged in this time has failed.
const APPEND_PATIENCE: Duration = Duration::from_secs(5);

impl Broker {
    fn offsets_partition(&self, tp: TopicPartition) -> Option<PartitionId> {
        let topic = self.image.topics.get(OFFSETS_TOPIC)?;
        (topic.id == tp.topic).then_some(tp.partition)
    }

    /// What is visible of a partition moved: a coordinator that waits for the whole of it may be able to load.
    pub(super) fn coordinator_advanced(&mut self, tp: TopicPartition) {
        let Some(partition) = self.offsets_partition(tp) else { return };
        let Some(replica) = self.replicas.get(&tp) else { return };
        let leads = replica.partition.leads() && replica.partition.visible_end().is_some();
        if !leads || self.coordinators.contains_key(&partition) {
            return;
        }
        let mut coordinator = Coordinator::new(self.config.of_groups(), self.random.next_u64());
        let end = replica.log.end();
        let mut from = replica.log.log_start();
        while from < end {
            let Ok(chunk) = replica.log.read(from, end, REPLAY_BYTES) else { return };
            let next = replay(&mut coordinator, &chunk.pieces).max(from);
            if next == from {
                break;
            }
            from = next;
        }
        coordinator.loaded(self.clocks.now);
        self.coordinators.insert(partition, coordinator);
    }

    /// True while this member leads a partition of `__consumer_offsets` whose groups it has not read: it waits until its high watermark
    /// is proved.
    pub(crate) fn is_coordinator_loading(&self) -> bool {
        let Some(topic) = self.image.topics.get(OFFSETS_TOPIC) else { return false };
        let of_topic = self.replicas.range(
            TopicPartition { topic: topic.id, partition: PartitionId(0) }..=TopicPartition {
                topic: topic.id,
                partition: PartitionId(i32::MAX),
            },
        );
        of_topic
            .filter(|(_, replica)| replica.partition.leads())
            .any(|(tp, _)| !self.coordinators.contains_key(&tp.partition))
    }

    pub(super) fn coordinator_lost(&mut self, tp: TopicPartition) {
        let Some(partition) = self.offsets_partition(tp) else { return };
        if let Some(mut coordinator) = self.coordinators.remove(&partition) {
            coordinator.resign();
            let actions = coordinator.take_actions();
            self.carry_out_group(partition, actions);
        }
    }

    /// A topic is gone, and with it what groups committed for it.
    pub(super) fn forget_offsets(&mut self, topic: &str) {
        let (now, wall) = (self.clocks.now, self.clocks.wall.0);
        let partitions: Vec<PartitionId> = self.coordinators.keys().copied().collect();
        for partition in partitions {
            if let Some(coordinator) = self.coordinators.get_mut(&partition) {
                coordinator.set_time(now, wall);
                coordinator.topic_deleted(topic);
            }
            self.run_partition(partition);
        }
    }

    pub(crate) fn coordinator_for(&mut self, group: &str) -> Option<&mut Coordinator> {
        let partition = self.group_partition(group);
        let (now, wall) = (self.clocks.now, self.clocks.wall.0);
        let coordinator = self.coordinators.get_mut(&partition)?;
        coordinator.set_time(now, wall);
        Some(coordinator)
    }

    /// Puts a request to a group's coordinator; false if it is not here.
    pub(crate) fn with_coordinator(
        &mut self,
        group: &str,
        waiting: GroupRequest,
        ask: impl FnOnce(&mut Coordinator, RequestId),
    ) -> bool {
        let id = self.number();
        let Some(coordinator) = self.coordinator_for(group) else { return false };
        ask(coordinator, id);
        self.group_requests.insert(id, waiting);
        self.run_coordinator(group);
        true
    }

    pub(crate) fn run_coordinator(&mut self, group: &str) {
        let partition = self.group_partition(group);
        self.run_partition(partition);
    }

    fn run_partition(&mut self, partition: PartitionId) {
        if let Some(coordinator) = self.coordinators.get_mut(&partition) {
            let actions = coordinator.take_actions();
            self.carry_out_group(partition, actions);
        }
    }

    fn carry_out_group(&mut self, partition: PartitionId, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Reply { request, reply } => {
                    if let Some(waiting) = self.group_requests.remove(&request) {
                        self.group_answered(waiting, reply);
                    }
                }
                Action::Append { token, records } => self.append_for_group(partition, token, &records),
            }
        }
    }

    fn append_for_group(&mut self, partition: PartitionId, token: u64, entries: &[(Bytes, Option<Bytes>)]) {
        let mut builder = Builder::new(self.clocks.wall.0);
        entries.iter().for_each(|(key, value)| builder.push(Some(key), value.as_deref()));
        let topic = self.image.topics.get(OFFSETS_TOPIC).map(|t| t.id);
        let request = self.number();
        self.produce_slots.insert(request, ProduceSlot::Coordinator { partition, token });
        let deadline = self.clocks.now + APPEND_PATIENCE;
        let appended = topic.is_some_and(|topic| {
            let tp = TopicPartition { topic, partition };
            self.append_as_leader(tp, BytesMut::from(&builder.finish()[..]), Some(request), deadline).is_ok()
        });
        if !appended {
            self.produce_slots.remove(&request);
            self.coordinator_appended(partition, token, false);
        }
    }

    pub(crate) fn coordinator_appended(&mut self, partition: PartitionId, token: u64, acknowledged: bool) {
        if let Some(coordinator) = self.coordinators.get_mut(&partition) {
            coordinator.appended(token, acknowledged);
        }
        self.run_partition(partition);
    }

    pub(super) fn tick_coordinators(&mut self) {
        let (now, wall) = (self.clocks.now, self.clocks.wall.0);
        let partitions: Vec<PartitionId> = self.coordinators.keys().copied().collect();
        for partition in partitions {
            if let Some(coordinator) = self.coordinators.get_mut(&partition) {
                coordinator.set_time(now, wall);
                coordinator.tick();
            }
            self.run_partition(partition);
        }
    }

    pub(crate) fn commit_offsets(
        &mut self,
        exchange: &Exchange,
        commit: Commit,
        mut response: OffsetCommitResponse,
    ) {
        let group = commit.group.clone();
        let waiting = GroupRequest::Commit(exchange.clone(), response.clone());
        if !self.with_coordinator(&group, waiting, |c, id| c.commit(id, commit)) {
            for part in response.topics.iter_mut().flat_map(|t| &mut t.partitions) {
                part.error_code = streamkeeper_group::error::NOT_COORDINATOR;
            }
            let version = exchange.version;
            self.reply(exchange, |e| response.encode(e, version));
        }
    }

    pub(crate) fn committed(
        &mut self,
        group: &str,
        wanted: Option<&[(String, i32)]>,
    ) -> Result<Vec<Committed>, i16> {
        let coordinator = self.coordinator_for(group).ok_or(streamkeeper_group::error::NOT_COORDINATOR)?;
        let mut found = coordinator.fetch(group, wanted)?;
        for (topic, _, offset) in &mut found {
            // What was committed for a topic says nothing about another one of its name (KIP-516).
            let current = self.image.topics.get(topic).map(|t| t.id);
            if offset.as_ref().is_some_and(|o| !o.topic_id.is_zero() && Some(o.topic_id) != current) {
                *offset = None;
            }
        }
        Ok(found)
    }
}

/// Replays whole batches; gives the offset after them.
fn replay(coordinator: &mut Coordinator, pieces: &[Bytes]) -> Offset {
    let mut next = Offset::ZERO;
    for piece in pieces {
        for (at, header) in batch::headers(piece) {
            next = header.end();
            for record in records(&piece.slice(at..at + header.size)).unwrap_or_default() {
                if let Some(key) = record.key {
                    coordinator.replay(key, record.value);
                }
            }
        }
    }
    next
}
