//! Bytes of deltas and of the whole image.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use streamkeeper_base::codec::{Get, Malformed, put_bytes, put_list, put_option, put_text};
use streamkeeper_base::{
    Address, Incarnation, LeaderEpoch, MemberId, PartitionEpoch, PartitionId, TopicId, TopicPartition,
};

use crate::image::{ClusterImage, Delta, Member, Partition, Topic};

type Result<T> = std::result::Result<T, Malformed>;

fn put_members(out: &mut BytesMut, members: &[MemberId]) {
    put_list(out, members.iter(), |out, id| out.put_i32(id.0));
}

fn get_members(get: &mut Get) -> Result<Vec<MemberId>> {
    get.list(|g| Ok(MemberId(g.i32()?)))
}

fn put_member(out: &mut BytesMut, member: &Member) {
    out.put_slice(&member.incarnation.0);
    put_bytes(out, &member.address.encode());
    out.put_u8(u8::from(member.live));
    out.put_u8(u8::from(member.cordoned));
}

fn get_member(get: &mut Get) -> Result<Member> {
    Ok(Member {
        incarnation: Incarnation(get.array()?),
        address: Address::decode(get.bytes()?)?,
        live: get.bool()?,
        cordoned: get.bool()?,
    })
}

fn put_partition(out: &mut BytesMut, partition: &Partition) {
    for list in [&partition.replicas, &partition.isr, &partition.elr, &partition.adding, &partition.removing]
    {
        put_members(out, list);
    }
    put_option(out, partition.leader, |out, id| out.put_i32(id.0));
    out.put_i32(partition.leader_epoch.0);
    out.put_i32(partition.partition_epoch.0);
}

fn get_partition(get: &mut Get) -> Result<Partition> {
    Ok(Partition {
        replicas: get_members(get)?,
        isr: get_members(get)?,
        elr: get_members(get)?,
        adding: get_members(get)?,
        removing: get_members(get)?,
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

fn get_topic(get: &mut Get) -> Result<Topic> {
    Ok(Topic {
        id: TopicId(get.array()?),
        name: get.text()?,
        internal: get.bool()?,
        configs: get.list(|g| Ok((g.text()?, g.text()?)))?.into_iter().collect::<BTreeMap<_, _>>(),
        partitions: get.list(get_partition)?,
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
                out.put_u8(1);
                out.put_i32(id.0);
                put_member(out, member);
            }
            Self::RemoveMember(id) => {
                out.put_u8(2);
                out.put_i32(id.0);
            }
            Self::PutTopic(topic) => {
                out.put_u8(3);
                put_topic(out, topic);
            }
            Self::RemoveTopic(id) => {
                out.put_u8(4);
                out.put_slice(&id.0);
            }
            Self::PutPartition(tp, partition) => {
                out.put_u8(5);
                out.put_slice(&tp.topic.0);
                out.put_i32(tp.partition.0);
                put_partition(out, partition);
            }
            Self::NextProducerId(next) => {
                out.put_u8(6);
                out.put_i64(*next);
            }
            Self::AutoRebalance(auto) => {
                out.put_u8(7);
                out.put_u8(u8::from(*auto));
            }
        }
    }

    fn decode(get: &mut Get) -> Result<Self> {
        Ok(match get.u8()? {
            1 => Self::PutMember(MemberId(get.i32()?), get_member(get)?),
            2 => Self::RemoveMember(MemberId(get.i32()?)),
            3 => Self::PutTopic(get_topic(get)?),
            4 => Self::RemoveTopic(TopicId(get.array()?)),
            5 => {
                let tp = TopicPartition { topic: TopicId(get.array()?), partition: PartitionId(get.i32()?) };
                Self::PutPartition(tp, get_partition(get)?)
            }
            6 => Self::NextProducerId(get.i64()?),
            7 => Self::AutoRebalance(get.bool()?),
            _ => return Err(Malformed),
        })
    }
}

impl ClusterImage {
    /// The whole image as bytes; equal images give equal bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        put_list(&mut out, self.members.iter(), |out, (id, member)| {
            out.put_i32(id.0);
            put_member(out, member);
        });
        put_list(&mut out, self.topics.values(), |out, topic| put_topic(out, topic));
        out.put_i64(self.next_producer_id);
        out.put_u8(u8::from(self.auto_rebalance));
        out.freeze()
    }

    /// Reads what [`ClusterImage::encode`] wrote.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(bytes: Bytes) -> Result<Self> {
        let mut get = Get(bytes);
        let mut image = Self::default();
        for (id, member) in get.list(|g| Ok((MemberId(g.i32()?), get_member(g)?)))? {
            image.members.insert(id, member);
        }
        for topic in get.list(get_topic)? {
            image.apply(&Delta::PutTopic(topic));
        }
        image.next_producer_id = get.i64()?;
        image.auto_rebalance = get.bool()?;
        get.end()?;
        Ok(image)
    }
}
