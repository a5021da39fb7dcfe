//! What every member knows of the cluster. Shared as one `Arc`; a change copies only the topics it touches.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use streamkeeper_base::{
    Address, DiskId, Incarnation, LeaderEpoch, MemberId, Offset, PartitionEpoch, PartitionId, TopicId,
    TopicPartition,
};

use crate::rebalance::{Policy, Rebalance, Run};

/// Ids of requests that are remembered; a request that is sent again after so many others is a new one.
pub(crate) const REQUESTS_REMEMBERED: usize = 256;

/// One agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its data directory.
    pub disk: DiskId,
    /// Its data directory since the last unclean restart: what was received and not flushed before may be lost.
    pub incarnation: Incarnation,
    /// Where it is reached.
    pub address: Address,
    /// True while it may lead partitions: it registered and is heard.
    pub live: bool,
    /// True if it is being emptied: nothing new is placed on it.
    pub cordoned: bool,
    /// True if it gave its leads away and takes none until it starts again or is uncordoned.
    pub resting: bool,
    /// True while its disk is full: it appends nothing, so it leads only where nobody else can.
    pub full: bool,
}

impl Member {
    /// True if it is heard and nothing keeps it from leading.
    pub fn may_lead(&self) -> bool {
        self.live && !self.cordoned && !self.resting && !self.full
    }
}

/// One partition's assignment. Every change raises `partition_epoch`; every change of leader raises `leader_epoch`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    /// Who holds it, preferred leader first; during a reassignment the union of old and new.
    pub replicas: Vec<MemberId>,
    /// Who is in sync.
    pub isr: Vec<MemberId>,
    /// Who left the ISR when it fell below min.insync.replicas: nothing was acknowledged since (KIP-966).
    pub elr: Vec<MemberId>,
    /// Every acknowledged record is on the disks of at least this many replicas (`recovery`).
    pub flushed_by: usize,
    /// Replicas whose disk was replaced, and that are not known to have flushed everything again.
    pub lost: Vec<MemberId>,
    /// What replicas hold, reported while nobody can lead.
    pub reports: Vec<LogReport>,
    /// Who leads; nobody while no candidate is safe.
    pub leader: Option<MemberId>,
    /// The leader's term.
    pub leader_epoch: LeaderEpoch,
    /// The version of this state.
    pub partition_epoch: PartitionEpoch,
    /// Replicas that a reassignment adds (KIP-455).
    pub adding: Vec<MemberId>,
    /// Replicas that it removes once all added ones are in sync.
    pub removing: Vec<MemberId>,
}

impl Partition {
    /// True during a reassignment.
    pub fn is_moving(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// Fewer replicas are in sync than it has when nothing moves: one that is being added is not missed yet (KIP-455).
    pub fn is_under_replicated(&self) -> bool {
        self.isr.len() < self.replicas.len() - self.adding.len()
    }

    /// Who will hold it once nothing moves.
    pub fn target(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.replicas.iter().filter(|id| !self.removing.contains(id)).copied()
    }
}

/// What a replica's disk holds of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogReport {
    /// The replica.
    pub member: MemberId,
    /// The last term of which it flushed everything that its leader began with; -1 for none.
    pub settled: LeaderEpoch,
    /// The end of what it flushed.
    pub end: Offset,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its identity (KIP-516).
    pub id: TopicId,
    /// Its name.
    pub name: String,
    /// True for `__consumer_offsets` and its like.
    pub internal: bool,
    /// What was set for it, under Kafka's names.
    pub configs: BTreeMap<String, String>,
    /// By number.
    pub partitions: Vec<Partition>,
}

/// What every member knows of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterImage {
    /// The agents.
    pub members: BTreeMap<MemberId, Member>,
    /// The topics by name.
    pub topics: BTreeMap<String, Arc<Topic>>,
    /// Their names by id.
    pub names: BTreeMap<TopicId, String>,
    /// The first producer id that was not handed out.
    pub next_producer_id: i64,
    /// How replicas are moved, and what moves now.
    pub rebalance: Rebalance,
    /// The greatest fencing token that a write carried.
    pub fencing_token: i64,
    /// Ids of the last requests that changed something, oldest first: sent again, they change nothing.
    pub requests: VecDeque<String>,
    /// Disks of members that left for good: they do not come back.
    pub removed: BTreeMap<MemberId, DiskId>,
}

/// One change of the image, already decided: applying it cannot fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    /// A member is as given.
    PutMember(MemberId, Member),
    /// A member is gone.
    RemoveMember(MemberId),
    /// A topic is as given.
    PutTopic(Topic),
    /// A topic is gone.
    RemoveTopic(TopicId),
    /// One partition of a topic is as given.
    PutPartition(TopicPartition, Partition),
    /// Producer ids below are handed out.
    NextProducerId(i64),
    /// The rebalance policy is as given.
    Policy(Policy),
    /// A rebalance begins, goes on, ends or is held.
    Run(Run),
    /// A write carried a greater fencing token.
    FencingToken(i64),
    /// A request is done.
    Request(String),
    /// A member left for good, with this disk.
    Removed(MemberId, DiskId),
}

impl ClusterImage {
    /// A topic by id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics.get(self.names.get(&id)?)
    }

    /// One partition.
    pub fn partition(&self, tp: TopicPartition) -> Option<&Partition> {
        self.topic_by_id(tp.topic)?.partitions.get(usize::try_from(tp.partition.0).ok()?)
    }

    /// Members that are heard, in order.
    pub fn live_members(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.members.iter().filter(|(_, m)| m.live).map(|(id, _)| *id)
    }

    /// Every partition of every topic.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicPartition, &Topic, &Partition)> {
        self.topics.values().flat_map(|topic| {
            topic.partitions.iter().enumerate().map(|(number, partition)| {
                let partition_id = PartitionId(i32::try_from(number).unwrap_or(i32::MAX));
                (TopicPartition { topic: topic.id, partition: partition_id }, &**topic, partition)
            })
        })
    }

    /// How many replicas a member holds.
    pub fn replicas_on(&self, member: MemberId) -> usize {
        self.partitions().filter(|(_, _, p)| p.replicas.contains(&member)).count()
    }

    /// Applies one change.
    pub fn apply(&mut self, delta: &Delta) {
        match delta {
            Delta::PutMember(id, member) => {
                self.removed.remove(id);
                self.members.insert(*id, member.clone());
            }
            Delta::RemoveMember(id) => {
                self.members.remove(id);
            }
            Delta::PutTopic(topic) => {
                self.names.insert(topic.id, topic.name.clone());
                self.topics.insert(topic.name.clone(), Arc::new(topic.clone()));
            }
            Delta::RemoveTopic(id) => {
                self.rebalance.run.moving.retain(|tp, _| tp.topic != *id);
                if let Some(name) = self.names.remove(id) {
                    self.topics.remove(&name);
                }
            }
            Delta::PutPartition(tp, partition) => {
                let Some(topic) = self.names.get(&tp.topic).and_then(|name| self.topics.get_mut(name)) else {
                    return;
                };
                let number = usize::try_from(tp.partition.0).unwrap_or(usize::MAX);
                if let Some(slot) = Arc::make_mut(topic).partitions.get_mut(number) {
                    *slot = partition.clone();
                }
            }
            Delta::NextProducerId(next) => self.next_producer_id = *next,
            Delta::Policy(policy) => self.rebalance.policy = *policy,
            Delta::Run(run) => self.rebalance.run = run.clone(),
            Delta::FencingToken(token) => self.fencing_token = *token,
            Delta::Request(id) => {
                self.requests.push_back(id.clone());
                if self.requests.len() > REQUESTS_REMEMBERED {
                    self.requests.pop_front();
                }
            }
            Delta::Removed(id, disk) => {
                self.removed.insert(*id, *disk);
            }
        }
    }
}
