//! The quorum leader's decisions: a command against the image as it will be, into deltas that cannot fail.

use std::collections::BTreeMap;

use streamkeeper_base::limits::{PRODUCER_ID_BLOCK, TOPIC_PARTITIONS_MAX};
use streamkeeper_base::{LeaderEpoch, MemberId, PartitionEpoch, TopicPartition};

use crate::command::{Command, CommandError, NewTopic, Outcome};
use crate::configs;
use crate::election::{candidate, elect, forget, without};
use crate::image::{ClusterImage, Delta, Member, Partition, Topic};
use crate::partitions::{propose_isr, reassign};
use crate::placement::{Loads, place};
use crate::topic::{check_name, metric_name};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_TOPIC: i16 = 17;
const TOPIC_ALREADY_EXISTS: i16 = 36;
const INVALID_PARTITIONS: i16 = 37;
const INVALID_REPLICATION_FACTOR: i16 = 38;
const INVALID_REPLICA_ASSIGNMENT: i16 = 39;
const INVALID_REQUEST: i16 = 42;
const PREFERRED_LEADER_NOT_AVAILABLE: i16 = 80;
const ELECTION_NOT_NEEDED: i16 = 84;
const UNKNOWN_TOPIC_ID: i16 = 100;

type Prepared = Result<(Vec<Delta>, Outcome), CommandError>;

impl ClusterImage {
    /// Decides a command: what changes, and what the caller is told once it is committed.
    ///
    /// # Errors
    /// Kafka's error number and a sentence that says what is allowed; nothing changes then.
    pub fn prepare(&self, command: &Command) -> Prepared {
        let done = |deltas| Ok((deltas, Outcome::Done));
        match command {
            Command::Register { member, incarnation, address, started } => {
                if self.removed.get(member) == Some(incarnation) {
                    let message = format!(
                        "member {member} left for good; give it an empty data directory to join anew"
                    );
                    return Err(CommandError::new(INVALID_REQUEST, message));
                }
                let known = self.members.get(member);
                let entry = Member {
                    incarnation: *incarnation,
                    address: address.clone(),
                    live: true,
                    cordoned: known.is_some_and(|m| m.cordoned),
                    resting: !*started && known.is_some_and(|m| m.resting),
                };
                done(self.register(*member, entry))
            }
            Command::Fence(member) => done(self.fence(*member)),
            Command::Cordon(member) => done(self.with_cordon(*member, true)?),
            Command::Uncordon(member) => done(self.with_cordon(*member, false)?),
            Command::Unregister(member) => self.unregister(*member),
            Command::CreateTopic(topic) => self.create_topic(topic),
            Command::DeleteTopic(id) => match self.topic_by_id(*id) {
                Some(_) => done(vec![Delta::RemoveTopic(*id)]),
                None => Err(CommandError::new(UNKNOWN_TOPIC_ID, "This server does not host this topic ID.")),
            },
            Command::CreatePartitions { topic, total } => self.create_partitions(topic, *total),
            Command::AlterConfigs { topic, changes } => self.alter_configs(topic, changes),
            Command::ProposeIsr { tp, leader, leader_epoch, partition_epoch, isr } => {
                let (topic, partition) = self.known(*tp)?;
                let epochs = (*leader_epoch, *partition_epoch);
                let next = propose_isr(self, partition, topic.min_insync(), *leader, epochs, isr)?;
                let arrived = partition.is_moving() && !next.is_moving();
                let mut deltas = vec![Delta::PutPartition(*tp, next)];
                if arrived && self.rebalance.run.moving.contains_key(tp) {
                    let mut run = self.rebalance.run.clone();
                    run.finished(*tp);
                    deltas.push(Delta::Run(run));
                }
                done(deltas)
            }
            Command::AllocateProducerIds => {
                let next = Delta::NextProducerId(self.next_producer_id + PRODUCER_ID_BLOCK);
                Ok((vec![next], Outcome::ProducerIds(self.next_producer_id)))
            }
            Command::ElectPreferred(tp) => self.elect_preferred(*tp),
            Command::Reassign { tp, replicas } => {
                let (_, partition) = self.known(*tp)?;
                let mut deltas = vec![Delta::PutPartition(*tp, reassign(self, partition, replicas)?)];
                // A client's own reassignment replaces the move under way, which then counts as none.
                let mut run = self.rebalance.run.clone();
                if run.moving.remove(tp).is_some() {
                    deltas.push(Delta::Run(run));
                }
                done(deltas)
            }
            Command::Operate(operation) => self.operate(operation),
        }
    }

    pub(crate) fn known(&self, tp: TopicPartition) -> Result<(&Topic, &Partition), CommandError> {
        let topic = self.topic_by_id(tp.topic);
        topic
            .and_then(|t| Some((&**t, t.partitions.get(usize::try_from(tp.partition.0).ok()?)?)))
            .ok_or_else(|| CommandError::new(UNKNOWN_TOPIC_OR_PARTITION, "there is no such partition"))
    }

    fn register(&self, id: MemberId, entry: Member) -> Vec<Delta> {
        let known = self.members.get(&id);
        if known == Some(&entry) {
            return Vec::new();
        }
        let new_disk = known.is_some_and(|m| m.incarnation != entry.incarnation);
        let mut after = self.clone();
        let mut deltas = vec![Delta::PutMember(id, entry)];
        after.apply(&deltas[0]);
        for (tp, _, partition) in self.partitions() {
            let mut next = if new_disk { forget(&after, partition, id) } else { None };
            // Whoever waited for this member may have a leader now.
            let current = next.as_ref().unwrap_or(partition);
            if current.leader.is_none()
                && let Some(leader) = candidate(&after, current, None)
            {
                let mut led = current.clone();
                elect(&mut led, Some(leader));
                next = Some(led);
            }
            deltas.extend(next.map(|p| Delta::PutPartition(tp, p)));
        }
        deltas
    }

    fn fence(&self, id: MemberId) -> Vec<Delta> {
        let Some(member) = self.members.get(&id).filter(|m| m.live) else { return Vec::new() };
        let mut after = self.clone();
        let mut deltas = vec![Delta::PutMember(id, Member { live: false, ..member.clone() })];
        after.apply(&deltas[0]);
        for (tp, topic, partition) in self.partitions() {
            let next = without(&after, partition, id, topic.min_insync());
            deltas.extend(next.map(|p| Delta::PutPartition(tp, p)));
        }
        deltas
    }

    /// Uncordoned is also rested.
    pub(crate) fn with_cordon(&self, id: MemberId, cordoned: bool) -> Result<Vec<Delta>, CommandError> {
        let member = self.member(id)?;
        let next = Member { cordoned, resting: cordoned && member.resting, ..member.clone() };
        Ok(if next == *member { Vec::new() } else { vec![Delta::PutMember(id, next)] })
    }

    /// Gone already is done. The disk is remembered, so that its process does not register again.
    fn unregister(&self, id: MemberId) -> Prepared {
        let held = self.replicas_on(id);
        if held > 0 {
            let message =
                format!("member {id} still holds {held} replicas; drain it and wait until it is empty");
            return Err(CommandError::new(INVALID_REQUEST, message));
        }
        let Some(member) = self.members.get(&id) else { return Ok((Vec::new(), Outcome::Done)) };
        Ok((vec![Delta::RemoveMember(id), Delta::Removed(id, member.incarnation)], Outcome::Done))
    }

    fn create_topic(&self, topic: &NewTopic) -> Prepared {
        check_name(&topic.name)?;
        if self.topics.contains_key(&topic.name) {
            let message = format!("Topic '{}' already exists.", topic.name);
            return Err(CommandError::new(TOPIC_ALREADY_EXISTS, message));
        }
        if let Some(other) = self.topics.keys().find(|name| metric_name(name) == metric_name(&topic.name)) {
            let message = format!("Topic '{}' collides with existing topic: {other}", topic.name);
            return Err(CommandError::new(INVALID_TOPIC, message));
        }
        topic.configs.iter().try_for_each(|(key, value)| configs::check(key, value))?;
        let assignments = self.assignments(topic)?;
        let factor = assignments.first().map_or(0, Vec::len);
        let partitions: Vec<Partition> = assignments.into_iter().map(|a| self.new_partition(a)).collect();
        let count = i32::try_from(partitions.len()).unwrap_or(i32::MAX);
        let made = Topic {
            id: topic.id,
            name: topic.name.clone(),
            internal: topic.name.starts_with("__"),
            configs: topic.configs.clone(),
            partitions,
        };
        let replication_factor = i16::try_from(factor).unwrap_or(i16::MAX);
        Ok((
            vec![Delta::PutTopic(made)],
            Outcome::Topic { id: topic.id, partitions: count, replication_factor },
        ))
    }

    fn assignments(&self, topic: &NewTopic) -> Result<Vec<Vec<MemberId>>, CommandError> {
        if !topic.assignment.is_empty() {
            let known = |ids: &Vec<MemberId>| {
                !ids.is_empty()
                    && ids.iter().all(|id| self.members.contains_key(id))
                    && (1..ids.len()).all(|i| !ids[..i].contains(&ids[i]))
            };
            return if topic.assignment.iter().all(known) {
                Ok(topic.assignment.clone())
            } else {
                let message = "each partition needs different, existing members as replicas";
                Err(CommandError::new(INVALID_REPLICA_ASSIGNMENT, message))
            };
        }
        let count = if topic.partitions == -1 { 1 } else { topic.partitions };
        if !(1..=TOPIC_PARTITIONS_MAX).contains(&count) {
            let message = format!(
                "Number of partitions was set to an invalid value: it must be 1 to {TOPIC_PARTITIONS_MAX}."
            );
            return Err(CommandError::new(INVALID_PARTITIONS, message));
        }
        let mut loads = Loads::of(self);
        let available = loads.replicas.len();
        let factor = match topic.replication_factor {
            -1 => available.min(3),
            set => usize::try_from(set).unwrap_or(0),
        };
        if factor == 0 || factor > available {
            let message = format!(
                "Unable to replicate the partition {} time(s): there are {available} members that can hold replicas.",
                topic.replication_factor
            );
            return Err(CommandError::new(INVALID_REPLICATION_FACTOR, message));
        }
        Ok((0..count).map(|_| place(self, &mut loads, factor)).collect())
    }

    fn new_partition(&self, replicas: Vec<MemberId>) -> Partition {
        let live: Vec<MemberId> =
            replicas.iter().filter(|id| self.members.get(id).is_some_and(|m| m.live)).copied().collect();
        Partition { leader: live.first().copied(), isr: live, replicas, ..Partition::default() }
    }

    fn create_partitions(&self, name: &str, total: i32) -> Prepared {
        let unknown = || {
            CommandError::new(UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.")
        };
        let topic = self.topics.get(name).ok_or_else(unknown)?;
        let current = topic.partitions.len();
        let wanted = usize::try_from(total).unwrap_or(0);
        if wanted <= current || total > TOPIC_PARTITIONS_MAX {
            let message = format!(
                "The topic {name} currently has {current} partition(s); {total} would not be an increase, or is above {TOPIC_PARTITIONS_MAX}."
            );
            return Err(CommandError::new(INVALID_PARTITIONS, message));
        }
        let mut loads = Loads::of(self);
        let wanted_factor = topic.partitions.first().map_or(1, |p| p.replicas.len() - p.adding.len());
        let factor = wanted_factor.min(loads.replicas.len());
        let mut next = Topic::clone(topic);
        next.partitions
            .extend((current..wanted).map(|_| self.new_partition(place(self, &mut loads, factor))));
        Ok((vec![Delta::PutTopic(next)], Outcome::Done))
    }

    fn alter_configs(&self, name: &str, changes: &BTreeMap<String, Option<String>>) -> Prepared {
        let unknown = || {
            CommandError::new(UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.")
        };
        let mut topic = Topic::clone(self.topics.get(name).ok_or_else(unknown)?);
        for (key, value) in changes {
            match value {
                Some(value) => {
                    configs::check(key, value)?;
                    topic.configs.insert(key.clone(), value.clone());
                }
                None => {
                    topic.configs.remove(key);
                }
            }
        }
        Ok((vec![Delta::PutTopic(topic)], Outcome::Done))
    }

    fn elect_preferred(&self, tp: TopicPartition) -> Prepared {
        let (_, partition) = self.known(tp)?;
        let Some(first) = partition.replicas.first().copied() else {
            return Err(CommandError::new(PREFERRED_LEADER_NOT_AVAILABLE, "the partition has no replicas"));
        };
        if partition.leader == Some(first) {
            return Err(CommandError::new(ELECTION_NOT_NEEDED, "the preferred replica leads already"));
        }
        if !partition.isr.contains(&first) || !self.members.get(&first).is_some_and(|m| m.live) {
            let message = format!("the preferred replica {first} is not in sync");
            return Err(CommandError::new(PREFERRED_LEADER_NOT_AVAILABLE, message));
        }
        let mut next = partition.clone();
        next.leader = Some(first);
        next.leader_epoch = LeaderEpoch(next.leader_epoch.0 + 1);
        next.partition_epoch = PartitionEpoch(next.partition_epoch.0 + 1);
        Ok((vec![Delta::PutPartition(tp, next)], Outcome::Done))
    }
}
