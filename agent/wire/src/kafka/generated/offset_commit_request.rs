//! OffsetCommitRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetCommitRequest {
    pub group_id: String,
    pub generation_id_or_member_epoch: i32,
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub retention_time_ms: i64,
    pub topics: Vec<OffsetCommitRequestTopic>,
}

impl Default for OffsetCommitRequest {
    fn default() -> Self {
        Self {
            group_id: Default::default(),
            generation_id_or_member_epoch: -1,
            member_id: Default::default(),
            group_instance_id: None,
            retention_time_ms: -1,
            topics: Default::default(),
        }
    }
}

impl OffsetCommitRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 8;
        let mut m = Self::default();
        m.group_id = d.string(flexible)?;
        m.generation_id_or_member_epoch = d.i32()?;
        m.member_id = d.string(flexible)?;
        if version >= 7 {
            m.group_instance_id = d.nullable_string(flexible)?;
        }
        if version <= 4 {
            m.retention_time_ms = d.i64()?;
        }
        m.topics = d.array(flexible, |d| Ok(OffsetCommitRequestTopic::decode(d, version)?))?;
        if flexible {
            d.tagged(|tag, d| {
                let _ = &d;
                match tag {
                    _ => Ok(false),
                }
            })?;
        }
        let _ = version;
        Ok(m)
    }

    pub fn encode(&self, e: &mut Encoder, version: i16) {
        let flexible = version >= 8;
        e.string(&self.group_id, flexible);
        e.i32(self.generation_id_or_member_epoch);
        e.string(&self.member_id, flexible);
        if version >= 7 {
            e.nullable_string(self.group_instance_id.as_deref(), flexible);
        }
        if version <= 4 {
            e.i64(self.retention_time_ms);
        }
        e.array(&self.topics, flexible, |e, v| {
            v.encode(e, version);
        });
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetCommitRequestTopic {
    pub name: String,
    pub topic_id: [u8; 16],
    pub partitions: Vec<OffsetCommitRequestPartition>,
}

impl Default for OffsetCommitRequestTopic {
    fn default() -> Self {
        Self { name: Default::default(), topic_id: Default::default(), partitions: Default::default() }
    }
}

impl OffsetCommitRequestTopic {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 8;
        let mut m = Self::default();
        if version <= 9 {
            m.name = d.string(flexible)?;
        }
        if version >= 10 {
            m.topic_id = d.uuid()?;
        }
        m.partitions = d.array(flexible, |d| Ok(OffsetCommitRequestPartition::decode(d, version)?))?;
        if flexible {
            d.tagged(|tag, d| {
                let _ = &d;
                match tag {
                    _ => Ok(false),
                }
            })?;
        }
        let _ = version;
        Ok(m)
    }

    pub fn encode(&self, e: &mut Encoder, version: i16) {
        let flexible = version >= 8;
        if version <= 9 {
            e.string(&self.name, flexible);
        }
        if version >= 10 {
            e.uuid(&self.topic_id);
        }
        e.array(&self.partitions, flexible, |e, v| {
            v.encode(e, version);
        });
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetCommitRequestPartition {
    pub partition_index: i32,
    pub committed_offset: i64,
    pub committed_leader_epoch: i32,
    pub committed_metadata: Option<String>,
}

impl Default for OffsetCommitRequestPartition {
    fn default() -> Self {
        Self {
            partition_index: Default::default(),
            committed_offset: Default::default(),
            committed_leader_epoch: -1,
            committed_metadata: Some(Default::default()),
        }
    }
}

impl OffsetCommitRequestPartition {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 8;
        let mut m = Self::default();
        m.partition_index = d.i32()?;
        m.committed_offset = d.i64()?;
        if version >= 6 {
            m.committed_leader_epoch = d.i32()?;
        }
        m.committed_metadata = d.nullable_string(flexible)?;
        if flexible {
            d.tagged(|tag, d| {
                let _ = &d;
                match tag {
                    _ => Ok(false),
                }
            })?;
        }
        let _ = version;
        Ok(m)
    }

    pub fn encode(&self, e: &mut Encoder, version: i16) {
        let flexible = version >= 8;
        e.i32(self.partition_index);
        e.i64(self.committed_offset);
        if version >= 6 {
            e.i32(self.committed_leader_epoch);
        }
        e.nullable_string(self.committed_metadata.as_deref(), flexible);
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
