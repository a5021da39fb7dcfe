//! DescribeTopicPartitionsRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeTopicPartitionsRequest {
    pub topics: Vec<TopicRequest>,
    pub response_partition_limit: i32,
    pub cursor: Option<Cursor>,
}

impl Default for DescribeTopicPartitionsRequest {
    fn default() -> Self {
        Self { topics: Default::default(), response_partition_limit: 2000, cursor: None }
    }
}

impl DescribeTopicPartitionsRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = true;
        let mut m = Self::default();
        m.topics = d.array(flexible, |d| Ok(TopicRequest::decode(d, version)?))?;
        m.response_partition_limit = d.i32()?;
        m.cursor = if d.i8()? < 0 { None } else { Some(Cursor::decode(d, version)?) };
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
        let flexible = true;
        e.array(&self.topics, flexible, |e, v| {
            v.encode(e, version);
        });
        e.i32(self.response_partition_limit);
        match &self.cursor {
            None => e.i8(-1),
            Some(v) => {
                e.i8(1);
                v.encode(e, version);
            }
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct TopicRequest {
    pub name: String,
}

impl Default for TopicRequest {
    fn default() -> Self {
        Self { name: Default::default() }
    }
}

impl TopicRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = true;
        let mut m = Self::default();
        m.name = d.string(flexible)?;
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
        let flexible = true;
        e.string(&self.name, flexible);
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    pub topic_name: String,
    pub partition_index: i32,
}

impl Default for Cursor {
    fn default() -> Self {
        Self { topic_name: Default::default(), partition_index: Default::default() }
    }
}

impl Cursor {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = true;
        let mut m = Self::default();
        m.topic_name = d.string(flexible)?;
        m.partition_index = d.i32()?;
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
        let flexible = true;
        e.string(&self.topic_name, flexible);
        e.i32(self.partition_index);
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
