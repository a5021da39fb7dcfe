//! Partitions of this member: opened and closed as the image says, and what their replicas ask for.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use streamkeeper_base::batch;
use streamkeeper_base::codec::Get;
use streamkeeper_base::limits::WAL_INLINE_BATCH_BYTES_MAX;
use streamkeeper_base::{LeaderEpoch, MemberId, Offset, PartitionId, TopicId, TopicPartition};
use streamkeeper_controller::{ClusterImage, Command, Settings, Topic, topic_value};
use streamkeeper_replica::{Action, Assignment, Event, LogView, Message, Partition};
use streamkeeper_storage::partition_log::{LogConfig, LogError, PartitionLog, Trust};

use super::producers::rebuild_producers;
use super::{Broker, InWal, Logged, RecoveredLog, Replica, acceptance};
use crate::io::{Link, Output};
use crate::kafka::pending::PendingCommand;
use crate::record;

/// A frame of a replication link: a partition, then a message about it.
const PARTITION_MESSAGE: u8 = 1;
/// Bytes read for a lagging follower at once.
const FOLLOWER_READ_BYTES: usize = 1024 * 1024;

/// What a replica may see of its log.
pub(super) struct View<'a>(pub(super) &'a PartitionLog);

impl LogView for View<'_> {
    fn start(&self) -> Offset {
        self.0.log_start()
    }

    fn end(&self) -> Offset {
        self.0.end()
    }

    fn epochs(&self) -> Vec<(LeaderEpoch, Offset)> {
        self.0.epochs().to_vec()
    }
}

impl Broker {
    pub(super) fn image_changed(&mut self, image: Arc<ClusterImage>) {
        let old = std::mem::replace(&mut self.image, image.clone());
        if self.may_act(&image) {
            self.follow_image(&old, &image);
        }
        for (name, topic) in &old.topics {
            if image.topics.get(name).is_none_or(|now| now.id != topic.id) {
                self.forget_offsets(name);
            }
        }
        self.wake_all_fetches();
    }

    /// An image counts once it knows this disk: what was decided for the one before relied on records that this one may lack (K8).
    fn may_act(&mut self, image: &ClusterImage) -> bool {
        let own = self.config.member;
        let known = image.members.get(&own).map(|member| member.incarnation);
        if known == Some(self.config.incarnation) {
            self.is_registered = true;
            self.is_serving |= image.members.get(&own).is_some_and(|member| member.live);
        } else if self.is_registered && known.is_some() {
            let reason = format!(
                "member {own} is registered with another data directory now; stop the other process that runs as member {own}"
            );
            self.out.push(Output::Fatal { reason });
            return false;
        }
        self.is_registered
    }

    pub(super) fn follow_image(&mut self, old: &ClusterImage, image: &ClusterImage) {
        let own = self.config.member;
        let mut kept = Vec::new();
        for (tp, topic, partition) in image.partitions() {
            if !partition.replicas.contains(&own) {
                continue;
            }
            kept.push(tp);
            let unchanged = old.partition(tp) == Some(partition)
                && old.topic_by_id(tp.topic).is_some_and(|t| t.configs == topic.configs)
                && self.replicas.contains_key(&tp);
            if unchanged || !self.open_replica(tp, topic) {
                continue;
            }
            if let Some(replica) = self.replicas.get_mut(&tp) {
                replica.adding.clone_from(&partition.adding);
            }
            if partition.leader.is_none() {
                self.leaderless.insert(tp);
                self.report_at = self.clocks.now;
            } else {
                self.leaderless.remove(&tp);
            }
            self.step(tp, Event::Assigned(assignment(topic, partition)));
        }
        let gone: Vec<TopicPartition> =
            self.replicas.keys().filter(|tp| !kept.contains(tp)).copied().collect();
        gone.into_iter().for_each(|tp| self.close_replica(tp));
        self.report_logs();
    }

    /// True if the partition is open now.
    fn open_replica(&mut self, tp: TopicPartition, topic: &Topic) -> bool {
        if self.replicas.contains_key(&tp) {
            self.configure_replica(tp, topic);
            return true;
        }
        let settings = &self.config.settings;
        let config = log_config(topic, settings);
        let rules = acceptance::rules(&topic.configs, settings);
        let (opened, dirty) = match self.recovered.remove(&tp) {
            Some(recovered) => (Ok(recovered), true),
            None => (self.open_log(tp), false),
        };
        let opened = opened.and_then(|known| rebuild_producers(&known.log).map(|state| (known, state)));
        let (RecoveredLog { mut log, durable }, (producers, unsnapped_bytes)) = match opened {
            Ok(opened) => opened,
            Err(error) if error.is_full() => {
                self.unopened(tp);
                return false;
            }
            Err(error) => {
                let reason = format!("partition {tp} of {} cannot be opened: {error}", topic.name);
                self.out.push(Output::Fatal { reason });
                return false;
            }
        };
        log.set_config(config);
        let lag = self.config.lag_max();
        let mut partition = Partition::new(self.config.member, &View(&log), durable, log.settled(), lag);
        let mut actions = Vec::new();
        for (follower, incarnation) in self.followers.clone() {
            let up = Event::FollowerUp(follower, incarnation);
            partition.handle(self.clocks.now, up, &View(&log), &mut actions);
        }
        // A killed process leaves a tail in the page cache that no flush covers.
        let behind = durable < log.end();
        // All of it is to be flushed: a cut meanwhile voids the flush that begins now, and another one must follow.
        let (flushing, flush_to) = (None, if behind { log.end() } else { Offset::ZERO });
        let replica = Replica {
            partition,
            log,
            producers,
            unsnapped_bytes,
            flushing,
            flush_to,
            dirty,
            rules,
            adding: Vec::new(),
        };
        self.replicas.insert(tp, replica);
        if behind {
            self.flush_segment(tp);
        }
        self.carry_out(tp, actions);
        true
    }

    pub(super) fn log_dir(&self, tp: TopicPartition) -> PathBuf {
        self.config.data.join("topics").join(tp.topic.to_string()).join(tp.partition.to_string())
    }

    fn open_log(&mut self, tp: TopicPartition) -> Result<RecoveredLog, LogError> {
        if self.voided.remove(&tp) {
            self.wal(record::PARTITION_GONE, vec![prefix(tp)]);
        }
        let (dir, trust) = (self.log_dir(tp), Trust::Boot(self.boot));
        let log = PartitionLog::open(self.disk.clone(), &dir, LogConfig::default(), trust)?;
        Ok(RecoveredLog { durable: log.durable_end().get(), log })
    }

    /// The topic is gone, or its partition moved away: so do the files.
    fn close_replica(&mut self, tp: TopicPartition) {
        let Some(replica) = self.replicas.remove(&tp) else { return };
        self.coordinator_lost(tp);
        self.in_wal.retain(|entry| entry.tp != tp);
        self.leaderless.remove(&tp);
        self.voided.insert(tp);
        self.checkpointed(tp);
        if let Err(error) = replica.log.delete() {
            // Nothing refers to the files any more; they only take room.
            let _ = error;
        }
    }

    /// Appends a leader's batches, whose offsets are assigned; they are in the page cache when this returns.
    ///
    /// # Errors
    /// The disk refuses. If it is full, a part of them, in whole batches, may be there.
    pub(crate) fn append(&mut self, tp: TopicPartition, batches: &Bytes) -> Result<Offset, LogError> {
        let is_full = self.is_disk_full();
        let Some(replica) = self.replicas.get_mut(&tp) else { return Ok(Offset::ZERO) };
        if is_full {
            return Err(replica.log.full());
        }
        let from = replica.log.end();
        let appended = replica.log.append(batches);
        let end = replica.log.end();
        for (_, header) in batch::headers(batches).take_while(|(_, header)| header.end() <= end) {
            replica.producers.record(&header);
            replica.unsnapped_bytes += header.size as u64;
        }
        replica.dirty |= end > from;
        if let Err(error) = appended {
            // A part that is there is in no write-ahead log: a flush of the files makes it durable.
            replica.flush_to = end;
            if end > from {
                self.flush_segment(tp);
            }
            if error.is_full() {
                self.disk_filled();
            }
            return Err(error);
        }
        if batches.len() < WAL_INLINE_BATCH_BYTES_MAX {
            let ticket = self.wal(record::PARTITION_APPEND, vec![prefix(tp), batches.clone()]);
            self.in_wal.push_back(InWal { ticket, tp, what: Logged::Records(from, end) });
        } else {
            replica.flush_to = end;
            self.flush_segment(tp);
        }
        Ok(end)
    }

    /// False if the disk has no room for it.
    pub(super) fn carry_out_one(&mut self, tp: TopicPartition, action: Action) -> bool {
        match action {
            Action::Send { to, message } => self.send_message(tp, to, &message),
            Action::ReadForFollower { to, from } => self.feed_follower(tp, to, from),
            Action::Append { batches, .. } => {
                let appended = self.append(tp, &batches).map(drop);
                return self.carried_out(tp, "appended to", appended);
            }
            Action::Truncate { to, restart } => {
                let cut = self.truncate(tp, to, restart);
                return self.carried_out(tp, "cut", cut);
            }
            Action::MoveLogStart(offset) => {
                if let Some(replica) = self.replicas.get_mut(&tp) {
                    // A failure leaves old records longer; the next round tries again.
                    let _ = replica.log.move_log_start(offset);
                }
            }
            Action::Reply { request, result } => self.produce_acknowledged(request, result),
            Action::ProposeIsr { isr, joins, leader_epoch, partition_epoch, flushed, number } => {
                let leader = self.config.member;
                let command =
                    Command::ProposeIsr { tp, leader, leader_epoch, partition_epoch, isr, joins, flushed };
                self.command(command, PendingCommand::Isr(tp, number));
            }
            Action::Settle(term) => {
                let note = term.0.to_be_bytes();
                let ticket =
                    self.wal(record::PARTITION_SETTLED, vec![prefix(tp), Bytes::copy_from_slice(&note)]);
                self.in_wal.push_back(InWal { ticket, tp, what: Logged::Settled(term) });
            }
            Action::HighWatermark(_) => {
                self.advanced.insert(tp);
            }
            Action::Role { leads } => {
                if !leads {
                    self.coordinator_lost(tp);
                }
                self.advanced.insert(tp);
            }
        }
        true
    }

    /// False if the disk was full; any other refusal of the disk ends the member.
    fn carried_out(&mut self, tp: TopicPartition, what: &str, result: Result<(), LogError>) -> bool {
        match result {
            Ok(()) => true,
            Err(error) if error.is_full() => false,
            Err(error) => {
                let reason = format!("partition {tp} cannot be {what}: {error}");
                self.out.push(Output::Fatal { reason });
                true
            }
        }
    }

    fn send_message(&mut self, tp: TopicPartition, to: MemberId, message: &Message) {
        if let Message::Append { batches, .. } = message
            && self.replicas.get(&tp).is_some_and(|r| r.adding.contains(&to))
        {
            self.throttle.spend(batches.len());
        }
        let link = match message {
            Message::Hello { .. } | Message::Truncate { .. } | Message::Append { .. } => Link::ReplicationOut,
            Message::Position { .. } | Message::Progress { .. } | Message::Stalled { .. } => {
                Link::ReplicationIn
            }
        };
        let body = message.encode(&prefix(tp));
        self.out.push(Output::PeerSend { peer: to, link, kind: PARTITION_MESSAGE, body });
    }

    pub(super) fn peer_frame(&mut self, peer: MemberId, link: Link, kind: u8, body: Bytes) {
        let mut get = Get(body);
        let decoded = read_prefix(&mut get).and_then(|tp| Some((tp, Message::decode(&mut get).ok()?)));
        match decoded {
            Some((tp, message)) if kind == PARTITION_MESSAGE => {
                self.step(tp, Event::Received { from: peer, message });
            }
            Some(_) | None => self.out.push(Output::PeerReset { peer, link }),
        }
    }

    pub(super) fn read_for_follower(&mut self, tp: TopicPartition, to: MemberId, from: Offset) {
        let Some(replica) = self.replicas.get_mut(&tp) else { return };
        let mut actions = Vec::new();
        match follower_chunk(&replica.log, from) {
            Some((end, batches)) => replica.partition.send_read(to, from, end, batches, &mut actions),
            None => replica.partition.read_failed(to, from, &mut actions),
        }
        self.carry_out(tp, actions);
    }

    fn truncate(&mut self, tp: TopicPartition, to: Offset, restart: bool) -> Result<(), LogError> {
        let Some(replica) = self.replicas.get_mut(&tp) else { return Ok(()) };
        if restart {
            replica.log.restart_at(to)?;
        } else {
            replica.log.truncate(to)?;
        }
        replica.flush_to = replica.flush_to.min(to);
        (replica.producers, replica.unsnapped_bytes) = rebuild_producers(&replica.log)?;
        let mut payload = BytesMut::from(&prefix(tp)[..]);
        payload.put_i64(to.0);
        payload.put_u8(u8::from(restart));
        let kept = if restart { Offset::ZERO } else { to };
        self.in_wal.retain_mut(|entry| match &mut entry.what {
            Logged::Records(from, end) if entry.tp == tp => {
                *end = kept.min(*end);
                *from < *end
            }
            Logged::Records(..) | Logged::Settled(_) => true,
        });
        self.wal(record::PARTITION_TRUNCATE, vec![payload.freeze()]);
        Ok(())
    }

    /// What consumers may see may have moved: parked fetches look again, followers learn it.
    pub(super) fn serve_advanced(&mut self) {
        while let Some(tp) = self.advanced.pop_first() {
            self.coordinator_advanced(tp);
            self.wake_fetches(tp);
            let Some(replica) = self.replicas.get_mut(&tp) else { continue };
            let mut actions = Vec::new();
            replica.partition.flush_high_watermark(&mut actions);
            self.carry_out(tp, actions);
        }
    }

    /// Every replica deletes for itself what is too old or too much, of what it knows to be committed, as Kafka's do; a follower takes
    /// over what its leader deleted besides (DeleteRecords).
    pub(super) fn enforce_retention(&mut self) {
        let now = self.clocks.wall.0;
        for replica in self.replicas.values_mut() {
            let limit = replica.partition.high_watermark();
            // A failure leaves old records longer; the next round tries again.
            let _ = replica.log.enforce_retention(now, limit);
        }
    }
}

/// Whole batches from a follower's end on, and where they end; `None` if they cannot be read. Retention may have overtaken a follower
/// that is fed from the log, or waits for its share of the rate.
fn follower_chunk(log: &PartitionLog, from: Offset) -> Option<(Offset, Bytes)> {
    let chunk = log.read(from, log.end(), FOLLOWER_READ_BYTES).ok()?;
    let batches: Bytes = match chunk.pieces.as_slice() {
        [one] => one.clone(),
        many => many.concat().into(),
    };
    // A follower's end is a batch's end, so the read begins there.
    batch::headers(&batches).next().filter(|(_, first)| first.base_offset == from)?;
    let end = batch::headers(&batches).last().map_or(from, |(_, last)| last.end());
    Some((end, batches))
}

/// What the controller decided, as far as one replica needs it.
fn assignment(topic: &Topic, partition: &streamkeeper_controller::Partition) -> Assignment {
    let min_insync = topic.min_insync();
    Assignment {
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        replicas: partition.replicas.clone(),
        isr: partition.isr.clone(),
        adding: partition.adding.clone(),
        removing: partition.removing.clone(),
        min_insync: partition.needed_insync(min_insync),
        wants_flush: partition.wants_flush(min_insync),
    }
}

/// A partition's name in front of a record or message.
pub(super) fn prefix(tp: TopicPartition) -> Bytes {
    let mut out = BytesMut::with_capacity(20);
    out.put_slice(&tp.topic.0);
    out.put_i32(tp.partition.0);
    out.freeze()
}

pub(super) fn read_prefix(get: &mut Get) -> Option<TopicPartition> {
    Some(TopicPartition { topic: TopicId(get.array().ok()?), partition: PartitionId(get.i32().ok()?) })
}

pub(super) fn log_config(topic: &Topic, settings: &Settings) -> LogConfig {
    let number = |name: &str| topic_value(&topic.configs, settings, name).parse::<i64>().unwrap_or(-1);
    let is_compacted = is_compacted(topic, settings);
    LogConfig {
        segment_bytes: u64::try_from(number("segment.bytes")).unwrap_or(u64::MAX),
        segment_ms: number("segment.ms"),
        // A compacted topic keeps its last values for ever; until compaction is built it keeps everything.
        retention_ms: if is_compacted { -1 } else { number("retention.ms") },
        retention_bytes: if is_compacted { -1 } else { number("retention.bytes") },
    }
}

fn is_compacted(topic: &Topic, settings: &Settings) -> bool {
    !topic_value(&topic.configs, settings, "cleanup.policy").split(',').any(|p| p.trim() == "delete")
}
