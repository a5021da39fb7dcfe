//! The quorum leader's decisions: a command against the image as it will be, into deltas that cannot fail.

use streamkeeper_base::limits::PRODUCER_ID_BLOCK;
use streamkeeper_base::{LeaderEpoch, MemberId, PartitionEpoch, TopicPartition};

use crate::command::{Command, CommandError, Outcome};
use crate::election::{candidate, elect, forget, without};
use crate::image::{ClusterImage, Delta, Member, Partition, Topic};
use crate::partitions::{propose_isr, reassign};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_REQUEST: i16 = 42;
const PREFERRED_LEADER_NOT_AVAILABLE: i16 = 80;
const ELECTION_NOT_NEEDED: i16 = 84;
const UNKNOWN_TOPIC_ID: i16 = 100;

pub(crate) type Prepared = Result<(Vec<Delta>, Outcome), CommandError>;

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
            Command::CreatePartitions { topic, total, assignment } => {
                self.create_partitions(topic, *total, assignment.as_deref())
            }
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
