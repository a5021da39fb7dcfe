//! What only the quorum leader knows of the others: who is in contact, how far each is, how large partitions are.
//!
//! Must not know: what follows from it. Read first: [`Facts`]; members tell the leader their part with a [`Report`].

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use streamkeeper_base::codec::{Get, Malformed, put_bytes, put_list, put_option, put_text};
use streamkeeper_base::{Address, MemberId, PartitionId, TopicId, TopicPartition, Zxid};
use streamkeeper_controller::Partition;

/// How the ensemble stands, as its quorum leader knows after a round that confirmed its lead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The quorum leader.
    pub leader: MemberId,
    /// The Zab epoch.
    pub zab_epoch: u32,
    /// What the leader has applied: the image of a member that has applied it too fits these facts.
    pub zxid: Zxid,
    /// True while a change of the ensemble is not committed.
    pub is_changing: bool,
    /// Bytes per second that moves copied lately.
    pub moved_bytes_per_second: u64,
    /// Everyone of the ensemble, and everyone registered as a broker.
    pub members: BTreeMap<MemberId, MemberFacts>,
    /// Bytes of each log, by member and partition; empty unless asked for.
    pub sizes: BTreeMap<MemberId, BTreeMap<TopicPartition, u64>>,
}

/// How one member stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberFacts {
    /// True for a voter, false for an observer, `None` for one that is not of the ensemble.
    pub is_voter: Option<bool>,
    /// Where the ensemble reaches it.
    pub address: Address,
    /// True if it is in contact and has the history.
    pub is_synced: bool,
    /// Milliseconds since it was last synced; `None` if this leader never saw it so.
    pub last_synced_ms: Option<u64>,
    /// What it said last.
    pub said: Option<Said>,
}

/// What a member says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The Zab epoch it is in.
    pub zab_epoch: u32,
    /// What it has applied.
    pub zxid: Zxid,
    /// The version of its binary.
    pub version: String,
    /// Bytes of its partitions' logs.
    pub bytes: u64,
    /// Room on its data disk, bytes.
    pub disk_free_bytes: Option<u64>,
}

/// A member's message about itself to its quorum leader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// It.
    pub said: Said,
    /// True if `sizes` is everything it holds, false if it is what changed since the report before.
    pub is_whole: bool,
    /// Bytes of its logs; `None` for one that it does not hold any more.
    pub sizes: Vec<(TopicPartition, Option<u64>)>,
}

impl Facts {
    /// Who votes.
    pub fn voters(&self) -> BTreeSet<MemberId> {
        self.members.iter().filter(|(_, m)| m.is_voter == Some(true)).map(|(id, _)| *id).collect()
    }

    /// Who is in contact and has the history.
    pub fn synced(&self) -> BTreeSet<MemberId> {
        self.members.iter().filter(|(_, m)| m.is_synced).map(|(id, _)| *id).collect()
    }

    /// Bytes of one copy of a partition: what its leader says, else the greatest that anyone says; `None` if nobody does.
    pub fn bytes_of(&self, tp: TopicPartition, partition: &Partition) -> Option<u64> {
        let on = |id: MemberId| self.sizes.get(&id).and_then(|sizes| sizes.get(&tp)).copied();
        partition.leader.and_then(on).or_else(|| partition.replicas.iter().filter_map(|id| on(*id)).max())
    }

    /// The facts as bytes.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_i32(self.leader.0);
        out.put_u32(self.zab_epoch);
        out.put_i64(self.zxid.0);
        out.put_u8(u8::from(self.is_changing));
        out.put_u64(self.moved_bytes_per_second);
        put_list(&mut out, self.members.iter(), |out, (id, member)| {
            out.put_i32(id.0);
            put_option(out, member.is_voter, |out, votes| out.put_u8(u8::from(votes)));
            put_bytes(out, &member.address.encode());
            out.put_u8(u8::from(member.is_synced));
            put_option(out, member.last_synced_ms, |out, ms| out.put_u64(ms));
            put_option(out, member.said.as_ref(), put_said);
        });
        put_list(&mut out, self.sizes.iter(), |out, (id, sizes)| {
            out.put_i32(id.0);
            put_list(out, sizes.iter(), |out, (tp, bytes)| {
                put_tp(out, *tp);
                out.put_u64(*bytes);
            });
        });
        out.freeze()
    }

    /// Reads what [`Facts::encode`] wrote.
    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut get = Get(bytes);
        let facts = Self {
            leader: MemberId(get.i32()?),
            zab_epoch: get_u32(&mut get)?,
            zxid: Zxid(get.i64()?),
            is_changing: get.bool()?,
            moved_bytes_per_second: get.u64()?,
            members: get.list(|g| Ok((MemberId(g.i32()?), get_member(g)?)))?.into_iter().collect(),
            sizes: get
                .list(|g| {
                    let id = MemberId(g.i32()?);
                    Ok((id, g.list(|g| Ok((get_tp(g)?, g.u64()?)))?.into_iter().collect()))
                })?
                .into_iter()
                .collect(),
        };
        get.end()?;
        Ok(facts)
    }
}

impl Report {
    /// The report as bytes.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        put_said(&mut out, &self.said);
        out.put_u8(u8::from(self.is_whole));
        put_list(&mut out, self.sizes.iter(), |out, (tp, bytes)| {
            put_tp(out, *tp);
            put_option(out, *bytes, |out, bytes| out.put_u64(bytes));
        });
        out.freeze()
    }

    /// Reads what [`Report::encode`] wrote.
    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut get = Get(bytes);
        let report = Self {
            said: get_said(&mut get)?,
            is_whole: get.bool()?,
            sizes: get.list(|g| Ok((get_tp(g)?, g.option(Get::u64)?)))?,
        };
        get.end()?;
        Ok(report)
    }
}

fn get_member(get: &mut Get) -> Result<MemberFacts, Malformed> {
    Ok(MemberFacts {
        is_voter: get.option(Get::bool)?,
        address: Address::decode(get.bytes()?)?,
        is_synced: get.bool()?,
        last_synced_ms: get.option(Get::u64)?,
        said: get.option(get_said)?,
    })
}

fn put_said(out: &mut BytesMut, said: &Said) {
    out.put_u32(said.zab_epoch);
    out.put_i64(said.zxid.0);
    put_text(out, &said.version);
    out.put_u64(said.bytes);
    put_option(out, said.disk_free_bytes, |out, bytes| out.put_u64(bytes));
}

fn get_said(get: &mut Get) -> Result<Said, Malformed> {
    Ok(Said {
        zab_epoch: get_u32(get)?,
        zxid: Zxid(get.i64()?),
        version: get.text()?,
        bytes: get.u64()?,
        disk_free_bytes: get.option(Get::u64)?,
    })
}

fn get_u32(get: &mut Get) -> Result<u32, Malformed> {
    Ok(u32::from_be_bytes(get.array()?))
}

fn put_tp(out: &mut BytesMut, tp: TopicPartition) {
    out.put_slice(&tp.topic.0);
    out.put_i32(tp.partition.0);
}

fn get_tp(get: &mut Get) -> Result<TopicPartition, Malformed> {
    Ok(TopicPartition { topic: TopicId(get.array()?), partition: PartitionId(get.i32()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_and_reports_read_back() {
        let tp = TopicPartition { topic: TopicId([3; 16]), partition: PartitionId(1) };
        let said =
            Said { zab_epoch: 4, zxid: Zxid(5), version: "0.1.0".into(), bytes: 6, disk_free_bytes: Some(7) };
        let member = MemberFacts {
            is_voter: Some(false),
            last_synced_ms: Some(8),
            said: Some(said.clone()),
            ..MemberFacts::default()
        };
        let facts = Facts {
            leader: MemberId(2),
            members: BTreeMap::from([(MemberId(1), member), (MemberId(2), MemberFacts::default())]),
            sizes: BTreeMap::from([(MemberId(1), BTreeMap::from([(tp, 9)]))]),
            ..Facts::default()
        };
        assert_eq!(Facts::decode(facts.encode()), Ok(facts.clone()));
        let report = Report { said, is_whole: true, sizes: vec![(tp, Some(1)), (tp, None)] };
        assert_eq!(Report::decode(report.encode()), Ok(report));
        let cut = facts.encode().slice(..20);
        assert_eq!(Facts::decode(cut), Err(Malformed));
    }
}
