//! What the controller can be asked, and what it answers. Every agent accepts commands; the quorum leader prepares them.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use streamkeeper_base::codec::{Get, Malformed, put_bytes, put_list, put_option, put_text};
use streamkeeper_base::{
    Address, DiskId, Incarnation, LeaderEpoch, MemberId, PartitionEpoch, PartitionId, TopicId, TopicPartition,
};

use crate::codec::{get_report, put_report};
use crate::image::LogReport;
use crate::operation::Operation;

/// A topic to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; -1 for the default.
    pub partitions: i32,
    /// How many replicas each; -1 for the default.
    pub replication_factor: i16,
    /// Replicas by partition, if the caller chooses them.
    pub assignment: Vec<Vec<MemberId>>,
    /// Kafka's names.
    pub configs: BTreeMap<String, String>,
    /// The id it gets: random, chosen by the agent that was asked.
    pub id: TopicId,
}

/// What the controller can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// An agent is up, with this disk and these addresses; it may lead from now on.
    Register {
        /// The agent.
        member: MemberId,
        /// Its data directory. Another one than before holds nothing.
        disk: DiskId,
        /// Another one than before may lack what was received and not flushed.
        incarnation: Incarnation,
        /// Where it is reached.
        address: Address,
        /// True if its process has just started: whatever it gave away for its stop it may have again.
        started: bool,
    },
    /// An agent is not heard, or stops: it leads nothing and is in no ISR that can do without it.
    Fence(MemberId),
    /// Nothing new is placed on the agent, and what it holds moves away.
    Cordon(MemberId),
    /// The agent is used again.
    Uncordon(MemberId),
    /// The agent is gone for good; it must hold nothing.
    Unregister(MemberId),
    /// A topic is made.
    CreateTopic(NewTopic),
    /// A topic and its data go.
    DeleteTopic(TopicId),
    /// A topic gets more partitions.
    CreatePartitions {
        /// The topic's name.
        topic: String,
        /// How many there shall be.
        total: i32,
        /// Replicas of the new ones, if the caller chooses them.
        assignment: Option<Vec<Vec<MemberId>>>,
    },
    /// A topic's configs are set; `None` removes one.
    AlterConfigs {
        /// The topic's name.
        topic: String,
        /// By key.
        changes: BTreeMap<String, Option<String>>,
    },
    /// A partition's leader proposes who is in sync (AlterPartition).
    ProposeIsr {
        /// The partition.
        tp: TopicPartition,
        /// The leader that proposes.
        leader: MemberId,
        /// Its term: an old leader is refused.
        leader_epoch: LeaderEpoch,
        /// The state it saw: a proposal against an old one is refused.
        partition_epoch: PartitionEpoch,
        /// The new ISR.
        isr: Vec<MemberId>,
        /// The states of the disks of those that join it, as the leader knows them.
        joins: Vec<(MemberId, Incarnation)>,
        /// Everything acknowledged before the state it saw is on the disk of each member of the ISR, and everything since was
        /// acknowledged by the rules of that state.
        flushed: bool,
    },
    /// A member says what its disk holds of partitions that nobody can lead (`recovery`).
    ReportLogs {
        /// The member.
        member: MemberId,
        /// Its disk: a report of an earlier one is refused.
        incarnation: Incarnation,
        /// By partition, with the leaderless term that it saw: it hears no leader of an earlier one any more.
        logs: Vec<(TopicPartition, LeaderEpoch, LogReport)>,
    },
    /// Those who reported elect a leader without waiting for members that were in sync and are away.
    Recover(TopicPartition),
    /// A block of producer ids.
    AllocateProducerIds,
    /// The preferred replica leads again, where it is in sync.
    ElectPreferred(TopicPartition),
    /// A partition gets these replicas (KIP-455).
    Reassign {
        /// The partition.
        tp: TopicPartition,
        /// The target.
        replicas: Vec<MemberId>,
    },
    /// What those who run the ensemble ask, and what the rebalancer does for them.
    Operate(Operation),
}

/// What a command gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// A topic was made.
    Topic {
        /// Its id.
        id: TopicId,
        /// How many partitions.
        partitions: i32,
        /// How many replicas each.
        replication_factor: i16,
    },
    /// The first of a block of producer ids.
    ProducerIds(i64),
    /// How many moves were taken back.
    TakenBack(i32),
}

/// Why a command was refused: Kafka's error number and a sentence that says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    /// Kafka's error number.
    pub code: i16,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl CommandError {
    /// An error with its number and its words.
    pub fn new(code: i16, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

pub(crate) fn put_tp(out: &mut BytesMut, tp: TopicPartition) {
    out.put_slice(&tp.topic.0);
    out.put_i32(tp.partition.0);
}

pub(crate) fn get_tp(get: &mut Get) -> Result<TopicPartition, Malformed> {
    Ok(TopicPartition { topic: TopicId(get.array()?), partition: PartitionId(get.i32()?) })
}

pub(crate) fn put_ids(out: &mut BytesMut, ids: &[MemberId]) {
    put_list(out, ids.iter(), |out, id| out.put_i32(id.0));
}

pub(crate) fn get_ids(get: &mut Get) -> Result<Vec<MemberId>, Malformed> {
    get.list(|g| Ok(MemberId(g.i32()?)))
}

impl Command {
    /// The command as bytes, for its way to the quorum leader.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Register { member, disk, incarnation, address, started } => {
                put_id(out, 1, *member);
                out.put_slice(&disk.0);
                out.put_slice(&incarnation.0);
                put_bytes(out, &address.encode());
                out.put_u8(u8::from(*started));
            }
            Self::Fence(member) => put_id(out, 2, *member),
            Self::Cordon(member) => put_id(out, 3, *member),
            Self::Uncordon(member) => put_id(out, 4, *member),
            Self::Unregister(member) => put_id(out, 5, *member),
            Self::CreateTopic(topic) => {
                out.put_u8(6);
                put_new_topic(out, topic);
            }
            Self::DeleteTopic(id) => {
                out.put_u8(7);
                out.put_slice(&id.0);
            }
            Self::CreatePartitions { topic, total, assignment } => {
                out.put_u8(8);
                put_text(out, topic);
                out.put_i32(*total);
                put_option(out, assignment.as_deref(), |out, lists| {
                    put_list(out, lists.iter(), |out, ids| put_ids(out, ids));
                });
            }
            Self::AlterConfigs { topic, changes } => {
                out.put_u8(9);
                put_text(out, topic);
                put_list(out, changes.iter(), |out, (key, value)| {
                    put_text(out, key);
                    put_option(out, value.as_deref(), put_text);
                });
            }
            Self::ProposeIsr { tp, leader, leader_epoch, partition_epoch, isr, joins, flushed } => {
                out.put_u8(10);
                put_tp(out, *tp);
                out.put_i32(leader.0);
                out.put_i32(leader_epoch.0);
                out.put_i32(partition_epoch.0);
                put_ids(out, isr);
                put_list(out, joins.iter(), |out, (id, incarnation)| {
                    out.put_i32(id.0);
                    out.put_slice(&incarnation.0);
                });
                out.put_u8(u8::from(*flushed));
            }
            Self::AllocateProducerIds => out.put_u8(11),
            Self::ElectPreferred(tp) => {
                out.put_u8(12);
                put_tp(out, *tp);
            }
            Self::Reassign { tp, replicas } => {
                out.put_u8(13);
                put_tp(out, *tp);
                put_ids(out, replicas);
            }
            Self::ReportLogs { member, incarnation, logs } => {
                put_id(out, 100, *member);
                put_logs(out, *incarnation, logs);
            }
            Self::Recover(tp) => {
                out.put_u8(101);
                put_tp(out, *tp);
            }
            Self::Operate(operation) => operation.encode(out),
        }
    }

    /// Reads what [`Command::encode`] wrote.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(get: &mut Get) -> Result<Self, Malformed> {
        Ok(match get.u8()? {
            1 => Self::Register {
                member: MemberId(get.i32()?),
                disk: DiskId(get.array()?),
                incarnation: Incarnation(get.array()?),
                address: Address::decode(get.bytes()?)?,
                started: get.bool()?,
            },
            2 => Self::Fence(MemberId(get.i32()?)),
            3 => Self::Cordon(MemberId(get.i32()?)),
            4 => Self::Uncordon(MemberId(get.i32()?)),
            5 => Self::Unregister(MemberId(get.i32()?)),
            6 => Self::CreateTopic(get_new_topic(get)?),
            7 => Self::DeleteTopic(TopicId(get.array()?)),
            8 => Self::CreatePartitions {
                topic: get.text()?,
                total: get.i32()?,
                assignment: get.option(|g| g.list(get_ids))?,
            },
            9 => Self::AlterConfigs {
                topic: get.text()?,
                changes: get.list(|g| Ok((g.text()?, g.option(Get::text)?)))?.into_iter().collect(),
            },
            10 => Self::ProposeIsr {
                tp: get_tp(get)?,
                leader: MemberId(get.i32()?),
                leader_epoch: LeaderEpoch(get.i32()?),
                partition_epoch: PartitionEpoch(get.i32()?),
                isr: get_ids(get)?,
                joins: get.list(|g| Ok((MemberId(g.i32()?), Incarnation(g.array()?))))?,
                flushed: get.bool()?,
            },
            11 => Self::AllocateProducerIds,
            12 => Self::ElectPreferred(get_tp(get)?),
            13 => Self::Reassign { tp: get_tp(get)?, replicas: get_ids(get)? },
            100 => Self::ReportLogs {
                member: MemberId(get.i32()?),
                incarnation: Incarnation(get.array()?),
                logs: get.list(|g| Ok((get_tp(g)?, LeaderEpoch(g.i32()?), get_report(g)?)))?,
            },
            101 => Self::Recover(get_tp(get)?),
            tag => Self::Operate(Operation::decode(tag, get)?),
        })
    }
}

pub(crate) fn put_id(out: &mut BytesMut, tag: u8, member: MemberId) {
    out.put_u8(tag);
    out.put_i32(member.0);
}

fn put_logs(out: &mut BytesMut, incarnation: Incarnation, logs: &[(TopicPartition, LeaderEpoch, LogReport)]) {
    out.put_slice(&incarnation.0);
    put_list(out, logs.iter(), |out, (tp, leader_epoch, report)| {
        put_tp(out, *tp);
        out.put_i32(leader_epoch.0);
        put_report(out, report);
    });
}

fn put_new_topic(out: &mut BytesMut, topic: &NewTopic) {
    put_text(out, &topic.name);
    out.put_i32(topic.partitions);
    out.put_i32(i32::from(topic.replication_factor));
    put_list(out, topic.assignment.iter(), |out, ids| put_ids(out, ids));
    put_list(out, topic.configs.iter(), |out, (key, value)| {
        put_text(out, key);
        put_text(out, value);
    });
    out.put_slice(&topic.id.0);
}

fn get_new_topic(get: &mut Get) -> Result<NewTopic, Malformed> {
    Ok(NewTopic {
        name: get.text()?,
        partitions: get.i32()?,
        replication_factor: i16::try_from(get.i32()?).map_err(|_| Malformed)?,
        assignment: get.list(get_ids)?,
        configs: get.list(|g| Ok((g.text()?, g.text()?)))?.into_iter().collect(),
        id: TopicId(get.array()?),
    })
}

/// What goes back to the agent that asked.
pub type Answer = Result<Outcome, CommandError>;

/// An answer as bytes.
pub fn encode_answer(answer: &Answer) -> Bytes {
    let mut out = BytesMut::new();
    match answer {
        Ok(Outcome::Done) => out.put_u8(0),
        Ok(Outcome::Topic { id, partitions, replication_factor }) => {
            out.put_u8(1);
            out.put_slice(&id.0);
            out.put_i32(*partitions);
            out.put_i32(i32::from(*replication_factor));
        }
        Ok(Outcome::ProducerIds(first)) => {
            out.put_u8(2);
            out.put_i64(*first);
        }
        Ok(Outcome::TakenBack(moves)) => {
            out.put_u8(4);
            out.put_i32(*moves);
        }
        Err(error) => {
            out.put_u8(3);
            out.put_i32(i32::from(error.code));
            put_text(&mut out, &error.message);
        }
    }
    out.freeze()
}

/// Reads what [`encode_answer`] wrote.
///
/// # Errors
/// Anything else.
pub fn decode_answer(bytes: Bytes) -> Result<Answer, Malformed> {
    let mut get = Get(bytes);
    let narrow = |value: i32| i16::try_from(value).map_err(|_| Malformed);
    Ok(match get.u8()? {
        0 => Ok(Outcome::Done),
        1 => Ok(Outcome::Topic {
            id: TopicId(get.array()?),
            partitions: get.i32()?,
            replication_factor: narrow(get.i32()?)?,
        }),
        2 => Ok(Outcome::ProducerIds(get.i64()?)),
        4 => Ok(Outcome::TakenBack(get.i32()?)),
        3 => Err(CommandError { code: narrow(get.i32()?)?, message: get.text()? }),
        _ => return Err(Malformed),
    })
}
