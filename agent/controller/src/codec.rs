//! Bytes of deltas and of the whole image.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use streamkeeper_base::codec::{Get, Malformed, put_bytes, put_list, put_option, put_text};
use streamkeeper_base::{
    Address, DiskId, Incarnation, LeaderEpoch, MemberId, Offset, PartitionEpoch, PartitionId, TopicId,
    TopicPartition, WallMillis,
};

use crate::image::{ClusterImage, Delta, LogReport, Member, Partition, Topic};
use crate::rebalance::{Begun, Policy, Run};

/// The version of an image's bytes. Version 1 had no such byte: it began with a count below 2^24, so with 0. Version 2 knew neither
/// disks apart from incarnations nor what partitions must know to recover from a total power loss. Version 3 knew no full disks.
const IMAGE_VERSION: u8 = 4;

type Result<T> = std::result::Result<T, Malformed>;

fn put_members(out: &mut BytesMut, members: &[MemberId]) {
    put_list(out, members.iter(), |out, id| out.put_i32(id.0));
}

fn get_members(get: &mut Get) -> Result<Vec<MemberId>> {
    get.list(|g| Ok(MemberId(g.i32()?)))
}

fn put_member(out: &mut BytesMut, member: &Member) {
    out.put_slice(&member.disk.0);
    out.put_slice(&member.incarnation.0);
    put_bytes(out, &member.address.encode());
    out.put_u8(u8::from(member.live));
    out.put_u8(u8::from(member.cordoned));
    out.put_u8(u8::from(member.resting));
    out.put_u8(u8::from(member.full));
}

fn get_member(get: &mut Get, version: u8) -> Result<Member> {
    let disk = DiskId(get.array()?);
    Ok(Member {
        disk,
        // As long as nothing was restarted uncleanly the disk was all there was to know.
        incarnation: if version < 3 { Incarnation(disk.0) } else { Incarnation(get.array()?) },
        address: Address::decode(get.bytes()?)?,
        live: get.bool()?,
        cordoned: get.bool()?,
        resting: if version == 1 { false } else { get.bool()? },
        full: if version < 4 { false } else { get.bool()? },
    })
}

fn put_policy(out: &mut BytesMut, policy: &Policy) {
    out.put_u8(u8::from(policy.is_set));
    out.put_u8(u8::from(policy.auto));
    out.put_u64(policy.bytes_per_second_max);
}

fn get_policy(get: &mut Get) -> Result<Policy> {
    Ok(Policy { is_set: get.bool()?, auto: get.bool()?, bytes_per_second_max: get.u64()? })
}

fn put_tp(out: &mut BytesMut, tp: TopicPartition) {
    out.put_slice(&tp.topic.0);
    out.put_i32(tp.partition.0);
}

fn get_tp(get: &mut Get) -> Result<TopicPartition> {
    Ok(TopicPartition { topic: TopicId(get.array()?), partition: PartitionId(get.i32()?) })
}

fn put_run(out: &mut BytesMut, run: &Run) {
    put_option(out, run.started, |out, at| out.put_i64(at.0));
    put_option(out, run.ended, |out, at| out.put_i64(at.0));
    out.put_u8(u8::from(run.asked_for));
    out.put_u8(u8::from(run.held));
    out.put_u64(run.moves_done);
    out.put_u64(run.bytes_done);
    put_list(out, run.moving.iter(), |out, (tp, begun)| {
        put_tp(out, *tp);
        put_members(out, &begun.before);
        out.put_u64(begun.bytes);
    });
}

fn get_run(get: &mut Get) -> Result<Run> {
    let wall = |g: &mut Get| Ok(WallMillis(g.i64()?));
    Ok(Run {
        started: get.option(wall)?,
        ended: get.option(wall)?,
        asked_for: get.bool()?,
        held: get.bool()?,
        moves_done: get.u64()?,
        bytes_done: get.u64()?,
        moving: get
            .list(|g| Ok((get_tp(g)?, Begun { before: get_members(g)?, bytes: g.u64()? })))?
            .into_iter()
            .collect(),
    })
}

fn put_partition(out: &mut BytesMut, partition: &Partition) {
    let Partition { replicas, isr, elr, adding, removing, lost, .. } = partition;
    for list in [replicas, isr, elr, adding, removing, lost] {
        put_members(out, list);
    }
    out.put_i32(i32::try_from(partition.flushed_by).unwrap_or(i32::MAX));
    put_list(out, partition.reports.iter(), put_report);
    put_option(out, partition.leader, |out, id| out.put_i32(id.0));
    out.put_i32(partition.leader_epoch.0);
    out.put_i32(partition.partition_epoch.0);
}

pub(crate) fn put_report(out: &mut BytesMut, report: &LogReport) {
    out.put_i32(report.member.0);
    out.put_i32(report.settled.0);
    out.put_i64(report.end.0);
}

pub(crate) fn get_report(get: &mut Get) -> Result<LogReport> {
    Ok(LogReport { member: MemberId(get.i32()?), settled: LeaderEpoch(get.i32()?), end: Offset(get.i64()?) })
}

fn get_partition(get: &mut Get, version: u8) -> Result<Partition> {
    let count = |g: &mut Get| usize::try_from(g.i32()?).map_err(|_| Malformed);
    let is_new = version >= 3;
    Ok(Partition {
        replicas: get_members(get)?,
        isr: get_members(get)?,
        elr: get_members(get)?,
        adding: get_members(get)?,
        removing: get_members(get)?,
        lost: if is_new { get_members(get)? } else { Vec::new() },
        // One flush was the least that anything was acknowledged by.
        flushed_by: if is_new { count(get)? } else { 1 },
        reports: if is_new { get.list(get_report)? } else { Vec::new() },
        leader: get.option(|g| Ok(MemberId(g.i32()?)))?,
        leader_epoch: LeaderEpoch(get.i32()?),
        partition_epoch: PartitionEpoch(get.i32()?),
    })
}

fn put_topic(out: &mut BytesMut, topic: &Topic) {
    out.put_slice(&topic.id.0);
    put_text(out, &topic.name);
    out.put_u8(u8::from(topic.internal));
    put_list(out, topic.configs.iter(), |out, (key, value)| {
        put_text(out, key);
        put_text(out, value);
    });
    put_list(out, topic.partitions.iter(), put_partition);
}

fn get_topic(get: &mut Get, version: u8) -> Result<Topic> {
    Ok(Topic {
        id: TopicId(get.array()?),
        name: get.text()?,
        internal: get.bool()?,
        configs: get.list(|g| Ok((g.text()?, g.text()?)))?.into_iter().collect::<BTreeMap<_, _>>(),
        partitions: get.list(|g| get_partition(g, version))?,
    })
}

impl Delta {
    /// Several changes of one transaction as bytes.
    pub fn encode_all(deltas: &[Self], out: &mut BytesMut) {
        put_list(out, deltas.iter(), |out, delta| delta.encode(out));
    }

    /// Reads what [`Delta::encode_all`] wrote.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode_all(bytes: Bytes) -> Result<Vec<Self>> {
        let mut get = Get(bytes);
        let deltas = get.list(Self::decode)?;
        get.end()?;
        Ok(deltas)
    }

    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::PutMember(id, member) => {
                out.put_u8(17);
                out.put_i32(id.0);
                put_member(out, member);
            }
            Self::RemoveMember(id) => {
                out.put_u8(2);
                out.put_i32(id.0);
            }
            Self::PutTopic(topic) => {
                out.put_u8(15);
                put_topic(out, topic);
            }
            Self::RemoveTopic(id) => {
                out.put_u8(4);
                out.put_slice(&id.0);
            }
            Self::PutPartition(tp, partition) => {
                out.put_u8(16);
                put_tp(out, *tp);
                put_partition(out, partition);
            }
            Self::NextProducerId(next) => {
                out.put_u8(6);
                out.put_i64(*next);
            }
            Self::Policy(policy) => {
                out.put_u8(9);
                put_policy(out, policy);
            }
            Self::Run(run) => {
                out.put_u8(10);
                put_run(out, run);
            }
            Self::FencingToken(token) => {
                out.put_u8(11);
                out.put_i64(*token);
            }
            Self::Request(id) => {
                out.put_u8(12);
                put_text(out, id);
            }
            Self::Removed(id, disk) => {
                out.put_u8(13);
                out.put_i32(id.0);
                out.put_slice(&disk.0);
            }
        }
    }

    fn decode(get: &mut Get) -> Result<Self> {
        Ok(match get.u8()? {
            // As versions 1 and 2 of the image wrote it; logs may still hold it.
            1 => Self::PutMember(MemberId(get.i32()?), get_member(get, 1)?),
            2 => Self::RemoveMember(MemberId(get.i32()?)),
            3 => Self::PutTopic(get_topic(get, 2)?),
            4 => Self::RemoveTopic(TopicId(get.array()?)),
            5 => Self::PutPartition(get_tp(get)?, get_partition(get, 2)?),
            6 => Self::NextProducerId(get.i64()?),
            // Version 1 knew no more of a policy.
            7 => Self::Policy(Policy { auto: get.bool()?, ..Policy::default() }),
            8 => Self::PutMember(MemberId(get.i32()?), get_member(get, 2)?),
            9 => Self::Policy(get_policy(get)?),
            10 => Self::Run(get_run(get)?),
            11 => Self::FencingToken(get.i64()?),
            12 => Self::Request(get.text()?),
            13 => Self::Removed(MemberId(get.i32()?), DiskId(get.array()?)),
            14 => Self::PutMember(MemberId(get.i32()?), get_member(get, 3)?),
            15 => Self::PutTopic(get_topic(get, IMAGE_VERSION)?),
            16 => Self::PutPartition(get_tp(get)?, get_partition(get, IMAGE_VERSION)?),
            17 => Self::PutMember(MemberId(get.i32()?), get_member(get, IMAGE_VERSION)?),
            _ => return Err(Malformed),
        })
    }
}

impl ClusterImage {
    /// The whole image as bytes; equal images give equal bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(IMAGE_VERSION);
        put_list(&mut out, self.members.iter(), |out, (id, member)| {
            out.put_i32(id.0);
            put_member(out, member);
        });
        put_list(&mut out, self.topics.values(), |out, topic| put_topic(out, topic));
        out.put_i64(self.next_producer_id);
        put_policy(&mut out, &self.rebalance.policy);
        put_run(&mut out, &self.rebalance.run);
        out.put_i64(self.fencing_token);
        put_list(&mut out, self.requests.iter(), |out, id| put_text(out, id));
        put_list(&mut out, self.removed.iter(), |out, (id, disk)| {
            out.put_i32(id.0);
            out.put_slice(&disk.0);
        });
        out.freeze()
    }

    /// Reads what [`ClusterImage::encode`] wrote, in this version or an earlier one.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(bytes: Bytes) -> Result<Self> {
        let mut get = Get(bytes);
        let version = match get.0.first() {
            Some(0) => 1,
            Some(2..=IMAGE_VERSION) => get.u8()?,
            Some(_) | None => return Err(Malformed),
        };
        let mut image = Self::default();
        for (id, member) in get.list(|g| Ok((MemberId(g.i32()?), get_member(g, version)?)))? {
            image.members.insert(id, member);
        }
        for topic in get.list(|g| get_topic(g, version))? {
            image.apply(&Delta::PutTopic(topic));
        }
        image.next_producer_id = get.i64()?;
        if version == 1 {
            image.rebalance.policy.auto = get.bool()?;
        } else {
            image.rebalance.policy = get_policy(&mut get)?;
            image.rebalance.run = get_run(&mut get)?;
            image.fencing_token = get.i64()?;
            image.requests = get.list(Get::text)?.into();
            image.removed = get.list(|g| Ok((MemberId(g.i32()?), DiskId(g.array()?))))?.into_iter().collect();
        }
        get.end()?;
        Ok(image)
    }
}
