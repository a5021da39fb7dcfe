//! ProduceRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct ProduceRequest {
    pub transactional_id: Option<String>,
    pub acks: i16,
    pub timeout_ms: i32,
    pub topic_data: Vec<TopicProduceData>,
}

impl Default for ProduceRequest {
    fn default() -> Self {
        Self {
            transactional_id: None,
            acks: Default::default(),
            timeout_ms: Default::default(),
            topic_data: Default::default(),
        }
    }
}

impl ProduceRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 9;
        let mut m = Self::default();
        m.transactional_id = d.nullable_string(flexible)?;
        m.acks = d.i16()?;
        m.timeout_ms = d.i32()?;
        m.topic_data = d.array(flexible, |d| Ok(TopicProduceData::decode(d, version)?))?;
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
        let flexible = version >= 9;
        e.nullable_string(self.transactional_id.as_deref(), flexible);
        e.i16(self.acks);
        e.i32(self.timeout_ms);
        e.array(&self.topic_data, flexible, |e, v| {
            v.encode(e, version);
        });
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct TopicProduceData {
    pub name: String,
    pub topic_id: [u8; 16],
    pub partition_data: Vec<PartitionProduceData>,
}

impl Default for TopicProduceData {
    fn default() -> Self {
        Self { name: Default::default(), topic_id: Default::default(), partition_data: Default::default() }
    }
}

impl TopicProduceData {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 9;
        let mut m = Self::default();
        if version <= 12 {
            m.name = d.string(flexible)?;
        }
        if version >= 13 {
            m.topic_id = d.uuid()?;
        }
        m.partition_data = d.array(flexible, |d| Ok(PartitionProduceData::decode(d, version)?))?;
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
        let flexible = version >= 9;
        if version <= 12 {
            e.string(&self.name, flexible);
        }
        if version >= 13 {
            e.uuid(&self.topic_id);
        }
        e.array(&self.partition_data, flexible, |e, v| {
            v.encode(e, version);
        });
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionProduceData {
    pub index: i32,
    pub records: Option<crate::kafka::codec::Records>,
}

impl Default for PartitionProduceData {
    fn default() -> Self {
        Self { index: Default::default(), records: Some(Default::default()) }
    }
}

impl PartitionProduceData {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 9;
        let mut m = Self::default();
        m.index = d.i32()?;
        m.records = d.nullable_records(flexible)?;
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
        let flexible = version >= 9;
        e.i32(self.index);
        e.nullable_records(self.records.as_ref(), flexible);
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
