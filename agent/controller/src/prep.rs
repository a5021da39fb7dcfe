//! The quorum leader's decisions: a command against the image as it will be, into deltas that cannot fail.

use streamkeeper_base::limits::PRODUCER_ID_BLOCK;
use streamkeeper_base::{LeaderEpoch, MemberId, PartitionEpoch, TopicPartition};

use crate::command::{Command, CommandError, Outcome};
use crate::image::{ClusterImage, Delta, Member, Partition, Topic};
use crate::partitions::{Proposal, propose_isr, reassign};

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
            Command::Register { member, disk, incarnation, address, started } => {
                if self.removed.get(member) == Some(disk) {
                    let message = format!(
                        "member {member} left for good; give it an empty data directory to join anew"
                    );
                    return Err(CommandError::new(INVALID_REQUEST, message));
                }
                let known = self.members.get(member);
                let entry = Member {
                    disk: *disk,
                    incarnation: *incarnation,
                    address: address.clone(),
                    live: true,
                    cordoned: known.is_some_and(|m| m.cordoned),
                    resting: !*started && known.is_some_and(|m| m.resting),
                    // A process that has just started looks at its disk itself.
                    full: !*started && known.is_some_and(|m| m.full),
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
            Command::ProposeIsr { tp, leader, leader_epoch, partition_epoch, isr, joins, flushed } => {
                let (leader, leader_epoch) = (*leader, *leader_epoch);
                let (partition_epoch, flushed) = (*partition_epoch, *flushed);
                let proposal = Proposal { leader, leader_epoch, partition_epoch, isr, joins, flushed };
                done(self.propose_isr(*tp, &proposal)?)
            }
            Command::ReportLogs { member, incarnation, logs } => {
                done(self.report(*member, *incarnation, logs)?)
            }
            Command::Recover(tp) => done(self.recover(*tp)),
            Command::AllocateProducerIds => {
                let next = Delta::NextProducerId(self.next_producer_id + PRODUCER_ID_BLOCK);
                Ok((vec![next], Outcome::ProducerIds(self.next_producer_id)))
            }
            Command::ElectPreferred(tp) => self.elect_preferred(*tp),
            Command::Reassign { tp, replicas } => {
                let mut deltas = vec![self.reassigned(*tp, replicas)?];
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

    fn propose_isr(&self, tp: TopicPartition, proposal: &Proposal<'_>) -> Result<Vec<Delta>, CommandError> {
        let (topic, partition) = self.known(tp)?;
        let next = propose_isr(self, partition, topic.min_insync(), proposal)?;
        let arrived = partition.is_moving() && !next.is_moving();
        let mut deltas = vec![put(topic, tp, next)];
        if arrived && self.rebalance.run.moving.contains_key(&tp) {
            let mut run = self.rebalance.run.clone();
            run.finished(tp);
            deltas.push(Delta::Run(run));
        }
        Ok(deltas)
    }

    /// A partition with another target.
    pub(crate) fn reassigned(&self, tp: TopicPartition, target: &[MemberId]) -> Result<Delta, CommandError> {
        let (topic, partition) = self.known(tp)?;
        Ok(put(topic, tp, reassign(self, partition, target)?))
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
        Ok((vec![Delta::RemoveMember(id), Delta::Removed(id, member.disk)], Outcome::Done))
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

/// One partition as it is to be. If its number of replicas changes the default of min.insync.replicas, the whole topic follows.
fn put(topic: &Topic, tp: TopicPartition, mut next: Partition) -> Delta {
    let mut after = topic.clone();
    if let Some(slot) = usize::try_from(tp.partition.0).ok().and_then(|i| after.partitions.get_mut(i)) {
        *slot = next.clone();
    }
    let min_insync = after.min_insync();
    if min_insync == topic.min_insync() {
        next.normalize(min_insync);
        return Delta::PutPartition(tp, next);
    }
    after.follow_min_insync(topic.min_insync());
    Delta::PutTopic(after)
}
