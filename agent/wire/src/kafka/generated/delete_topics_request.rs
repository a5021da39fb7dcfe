//! DeleteTopicsRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct DeleteTopicsRequest {
    pub topics: Vec<DeleteTopicState>,
    pub topic_names: Vec<String>,
    pub timeout_ms: i32,
}

impl Default for DeleteTopicsRequest {
    fn default() -> Self {
        Self { topics: Default::default(), topic_names: Default::default(), timeout_ms: Default::default() }
    }
}

impl DeleteTopicsRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 4;
        let mut m = Self::default();
        if version >= 6 {
            m.topics = d.array(flexible, |d| Ok(DeleteTopicState::decode(d, version)?))?;
        }
        if version <= 5 {
            m.topic_names = d.array(flexible, |d| Ok(d.string(flexible)?))?;
        }
        m.timeout_ms = d.i32()?;
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
        let flexible = version >= 4;
        if version >= 6 {
            e.array(&self.topics, flexible, |e, v| {
                v.encode(e, version);
            });
        }
        if version <= 5 {
            e.array(&self.topic_names, flexible, |e, v| {
                e.string(v, flexible);
            });
        }
        e.i32(self.timeout_ms);
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DeleteTopicState {
    pub name: Option<String>,
    pub topic_id: [u8; 16],
}

impl Default for DeleteTopicState {
    fn default() -> Self {
        Self { name: None, topic_id: Default::default() }
    }
}

impl DeleteTopicState {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 4;
        let mut m = Self::default();
        if version >= 6 {
            m.name = d.nullable_string(flexible)?;
        }
        if version >= 6 {
            m.topic_id = d.uuid()?;
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
        let flexible = version >= 4;
        if version >= 6 {
            e.nullable_string(self.name.as_deref(), flexible);
        }
        if version >= 6 {
            e.uuid(&self.topic_id);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
