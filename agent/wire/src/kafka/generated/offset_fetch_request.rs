//! OffsetFetchRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchRequest {
    pub group_id: String,
    pub topics: Option<Vec<OffsetFetchRequestTopic>>,
    pub groups: Vec<OffsetFetchRequestGroup>,
    pub require_stable: bool,
}

impl Default for OffsetFetchRequest {
    fn default() -> Self {
        Self {
            group_id: Default::default(),
            topics: Some(Default::default()),
            groups: Default::default(),
            require_stable: false,
        }
    }
}

impl OffsetFetchRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 6;
        let mut m = Self::default();
        if version <= 7 {
            m.group_id = d.string(flexible)?;
        }
        if version <= 7 {
            m.topics = d.nullable_array(flexible, |d| Ok(OffsetFetchRequestTopic::decode(d, version)?))?;
        }
        if version >= 8 {
            m.groups = d.array(flexible, |d| Ok(OffsetFetchRequestGroup::decode(d, version)?))?;
        }
        if version >= 7 {
            m.require_stable = d.bool()?;
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
            e.string(&self.group_id, flexible);
        }
        if version <= 7 {
            e.nullable_array(self.topics.as_deref(), flexible, |e, v| {
                v.encode(e, version);
            });
        }
        if version >= 8 {
            e.array(&self.groups, flexible, |e, v| {
                v.encode(e, version);
            });
        }
        if version >= 7 {
            e.bool(self.require_stable);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchRequestTopic {
    pub name: String,
    pub partition_indexes: Vec<i32>,
}

impl Default for OffsetFetchRequestTopic {
    fn default() -> Self {
        Self { name: Default::default(), partition_indexes: Default::default() }
    }
}

impl OffsetFetchRequestTopic {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 6;
        let mut m = Self::default();
        if version <= 7 {
            m.name = d.string(flexible)?;
        }
        if version <= 7 {
            m.partition_indexes = d.array(flexible, |d| Ok(d.i32()?))?;
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
            e.array(&self.partition_indexes, flexible, |e, v| {
                e.i32(*v);
            });
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchRequestGroup {
    pub group_id: String,
    pub member_id: Option<String>,
    pub member_epoch: i32,
    pub topics: Option<Vec<OffsetFetchRequestTopics>>,
}

impl Default for OffsetFetchRequestGroup {
    fn default() -> Self {
        Self {
            group_id: Default::default(),
            member_id: None,
            member_epoch: -1,
            topics: Some(Default::default()),
        }
    }
}

impl OffsetFetchRequestGroup {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 6;
        let mut m = Self::default();
        if version >= 8 {
            m.group_id = d.string(flexible)?;
        }
        if version >= 9 {
            m.member_id = d.nullable_string(flexible)?;
        }
        if version >= 9 {
            m.member_epoch = d.i32()?;
        }
        if version >= 8 {
            m.topics = d.nullable_array(flexible, |d| Ok(OffsetFetchRequestTopics::decode(d, version)?))?;
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
        if version >= 9 {
            e.nullable_string(self.member_id.as_deref(), flexible);
        }
        if version >= 9 {
            e.i32(self.member_epoch);
        }
        if version >= 8 {
            e.nullable_array(self.topics.as_deref(), flexible, |e, v| {
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
pub struct OffsetFetchRequestTopics {
    pub name: String,
    pub topic_id: [u8; 16],
    pub partition_indexes: Vec<i32>,
}

impl Default for OffsetFetchRequestTopics {
    fn default() -> Self {
        Self { name: Default::default(), topic_id: Default::default(), partition_indexes: Default::default() }
    }
}

impl OffsetFetchRequestTopics {
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
            m.partition_indexes = d.array(flexible, |d| Ok(d.i32()?))?;
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
            e.array(&self.partition_indexes, flexible, |e, v| {
                e.i32(*v);
            });
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
