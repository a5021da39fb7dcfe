//! OffsetFetchResponse, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetFetchResponseTopic>,
    pub error_code: i16,
    pub groups: Vec<OffsetFetchResponseGroup>,
}

impl Default for OffsetFetchResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            topics: Default::default(),
            error_code: 0,
            groups: Default::default(),
        }
    }
}

impl OffsetFetchResponse {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 6;
        let mut m = Self::default();
        if version >= 3 {
            m.throttle_time_ms = d.i32()?;
        }
        if version <= 7 {
            m.topics = d.array(flexible, |d| Ok(OffsetFetchResponseTopic::decode(d, version)?))?;
        }
        if (2..=7).contains(&version) {
            m.error_code = d.i16()?;
        }
        if version >= 8 {
            m.groups = d.array(flexible, |d| Ok(OffsetFetchResponseGroup::decode(d, version)?))?;
        }
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
        let flexible = version >= 6;
        if version >= 3 {
            e.i32(self.throttle_time_ms);
        }
        if version <= 7 {
            e.array(&self.topics, flexible, |e, v| {
                v.encode(e, version);
            });
        }
        if (2..=7).contains(&version) {
            e.i16(self.error_code);
        }
        if version >= 8 {
            e.array(&self.groups, flexible, |e, v| {
                v.encode(e, version);
            });
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchResponseTopic {
    pub name: String,
    pub partitions: Vec<OffsetFetchResponsePartition>,
}

impl Default for OffsetFetchResponseTopic {
    fn default() -> Self {
        Self { name: Default::default(), partitions: Default::default() }
    }
}

impl OffsetFetchResponseTopic {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 6;
        let mut m = Self::default();
        if version <= 7 {
            m.name = d.string(flexible)?;
        }
        if version <= 7 {
            m.partitions = d.array(flexible, |d| Ok(OffsetFetchResponsePartition::decode(d, version)?))?;
        }
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
        let flexible = version >= 6;
        if version <= 7 {
            e.string(&self.name, flexible);
        }
        if version <= 7 {
            e.array(&self.partitions, flexible, |e, v| {
                v.encode(e, version);
            });
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchResponsePartition {
    pub partition_index: i32,
    pub committed_offset: i64,
    pub committed_leader_epoch: i32,
    pub metadata: Option<String>,
    pub error_code: i16,
}

impl Default for OffsetFetchResponsePartition {
    fn default() -> Self {
        Self {
            partition_index: Default::default(),
            committed_offset: Default::default(),
            committed_leader_epoch: -1,
            metadata: Some(Default::default()),
            error_code: Default::default(),
        }
    }
}

impl OffsetFetchResponsePartition {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 6;
        let mut m = Self::default();
        if version <= 7 {
            m.partition_index = d.i32()?;
        }
        if version <= 7 {
            m.committed_offset = d.i64()?;
        }
        if (5..=7).contains(&version) {
            m.committed_leader_epoch = d.i32()?;
        }
        if version <= 7 {
            m.metadata = d.nullable_string(flexible)?;
        }
        if version <= 7 {
            m.error_code = d.i16()?;
        }
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
        let flexible = version >= 6;
        if version <= 7 {
            e.i32(self.partition_index);
        }
        if version <= 7 {
            e.i64(self.committed_offset);
        }
        if (5..=7).contains(&version) {
            e.i32(self.committed_leader_epoch);
        }
        if version <= 7 {
            e.nullable_string(self.metadata.as_deref(), flexible);
        }
        if version <= 7 {
            e.i16(self.error_code);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchResponseGroup {
    pub group_id: String,
    pub topics: Vec<OffsetFetchResponseTopics>,
    pub error_code: i16,
}

impl Default for OffsetFetchResponseGroup {
    fn default() -> Self {
        Self { group_id: Default::default(), topics: Default::default(), error_code: 0 }
    }
}

impl OffsetFetchResponseGroup {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 6;
        let mut m = Self::default();
        if version >= 8 {
            m.group_id = d.string(flexible)?;
        }
        if version >= 8 {
            m.topics = d.array(flexible, |d| Ok(OffsetFetchResponseTopics::decode(d, version)?))?;
        }
        if version >= 8 {
            m.error_code = d.i16()?;
        }
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
        let flexible = version >= 6;
        if version >= 8 {
            e.string(&self.group_id, flexible);
        }
        if version >= 8 {
            e.array(&self.topics, flexible, |e, v| {
                v.encode(e, version);
            });
        }
        if version >= 8 {
            e.i16(self.error_code);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchResponseTopics {
    pub name: String,
    pub topic_id: [u8; 16],
    pub partitions: Vec<OffsetFetchResponsePartitions>,
}

impl Default for OffsetFetchResponseTopics {
    fn default() -> Self {
        Self { name: Default::default(), topic_id: Default::default(), partitions: Default::default() }
    }
}

impl OffsetFetchResponseTopics {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 6;
        let mut m = Self::default();
        if (8..=9).contains(&version) {
            m.name = d.string(flexible)?;
        }
        if version >= 10 {
            m.topic_id = d.uuid()?;
        }
        if version >= 8 {
            m.partitions = d.array(flexible, |d| Ok(OffsetFetchResponsePartitions::decode(d, version)?))?;
        }
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
        let flexible = version >= 6;
        if (8..=9).contains(&version) {
            e.string(&self.name, flexible);
        }
        if version >= 10 {
            e.uuid(&self.topic_id);
        }
        if version >= 8 {
            e.array(&self.partitions, flexible, |e, v| {
                v.encode(e, version);
            });
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchResponsePartitions {
    pub partition_index: i32,
    pub committed_offset: i64,
    pub committed_leader_epoch: i32,
    pub metadata: Option<String>,
    pub error_code: i16,
}

impl Default for OffsetFetchResponsePartitions {
    fn default() -> Self {
        Self {
            partition_index: Default::default(),
            committed_offset: Default::default(),
            committed_leader_epoch: -1,
            metadata: Some(Default::default()),
            error_code: Default::default(),
        }
    }
}

impl OffsetFetchResponsePartitions {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 6;
        let mut m = Self::default();
        if version >= 8 {
            m.partition_index = d.i32()?;
        }
        if version >= 8 {
            m.committed_offset = d.i64()?;
        }
        if version >= 8 {
            m.committed_leader_epoch = d.i32()?;
        }
        if version >= 8 {
            m.metadata = d.nullable_string(flexible)?;
        }
        if version >= 8 {
            m.error_code = d.i16()?;
        }
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
        let flexible = version >= 6;
        if version >= 8 {
            e.i32(self.partition_index);
        }
        if version >= 8 {
            e.i64(self.committed_offset);
        }
        if version >= 8 {
            e.i32(self.committed_leader_epoch);
        }
        if version >= 8 {
            e.nullable_string(self.metadata.as_deref(), flexible);
        }
        if version >= 8 {
            e.i16(self.error_code);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
