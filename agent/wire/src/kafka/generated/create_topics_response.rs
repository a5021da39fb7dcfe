//! CreateTopicsResponse, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct CreateTopicsResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<CreatableTopicResult>,
}

impl Default for CreateTopicsResponse {
    fn default() -> Self {
        Self { throttle_time_ms: Default::default(), topics: Default::default() }
    }
}

impl CreateTopicsResponse {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 5;
        let mut m = Self::default();
        m.throttle_time_ms = d.i32()?;
        m.topics = d.array(flexible, |d| Ok(CreatableTopicResult::decode(d, version)?))?;
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
        let flexible = version >= 5;
        e.i32(self.throttle_time_ms);
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
pub struct CreatableTopicResult {
    pub name: String,
    pub topic_id: [u8; 16],
    pub error_code: i16,
    pub error_message: Option<String>,
    pub topic_config_error_code: i16,
    pub num_partitions: i32,
    pub replication_factor: i16,
    pub configs: Option<Vec<CreatableTopicConfigs>>,
}

impl Default for CreatableTopicResult {
    fn default() -> Self {
        Self {
            name: Default::default(),
            topic_id: Default::default(),
            error_code: Default::default(),
            error_message: Some(Default::default()),
            topic_config_error_code: Default::default(),
            num_partitions: -1,
            replication_factor: -1,
            configs: Some(Default::default()),
        }
    }
}

impl CreatableTopicResult {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 5;
        let mut m = Self::default();
        m.name = d.string(flexible)?;
        if version >= 7 {
            m.topic_id = d.uuid()?;
        }
        m.error_code = d.i16()?;
        m.error_message = d.nullable_string(flexible)?;
        if version >= 5 {
            m.num_partitions = d.i32()?;
        }
        if version >= 5 {
            m.replication_factor = d.i16()?;
        }
        if version >= 5 {
            m.configs = d.nullable_array(flexible, |d| Ok(CreatableTopicConfigs::decode(d, version)?))?;
        }
        if flexible {
            d.tagged(|tag, d| {
                let _ = &d;
                match tag {
                    0 => {
                        m.topic_config_error_code = d.i16()?;
                        Ok(true)
                    }
                    _ => Ok(false),
                }
            })?;
        }
        let _ = version;
        Ok(m)
    }

    pub fn encode(&self, e: &mut Encoder, version: i16) {
        let flexible = version >= 5;
        e.string(&self.name, flexible);
        if version >= 7 {
            e.uuid(&self.topic_id);
        }
        e.i16(self.error_code);
        e.nullable_string(self.error_message.as_deref(), flexible);
        if version >= 5 {
            e.i32(self.num_partitions);
        }
        if version >= 5 {
            e.i16(self.replication_factor);
        }
        if version >= 5 {
            e.nullable_array(self.configs.as_deref(), flexible, |e, v| {
                v.encode(e, version);
            });
        }
        if flexible {
            let d = Self::default();
            let mut tags = Vec::new();
            if version >= 5 {
                if self.topic_config_error_code != d.topic_config_error_code {
                    let mut t = Encoder::new();
                    {
                        let e = &mut t;
                        e.i16(self.topic_config_error_code);
                    }
                    tags.push((0, t));
                }
            }
            e.tags(tags);
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreatableTopicConfigs {
    pub name: String,
    pub value: Option<String>,
    pub read_only: bool,
    pub config_source: i8,
    pub is_sensitive: bool,
}

impl Default for CreatableTopicConfigs {
    fn default() -> Self {
        Self {
            name: Default::default(),
            value: Some(Default::default()),
            read_only: Default::default(),
            config_source: -1,
            is_sensitive: Default::default(),
        }
    }
}

impl CreatableTopicConfigs {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 5;
        let mut m = Self::default();
        if version >= 5 {
            m.name = d.string(flexible)?;
        }
        if version >= 5 {
            m.value = d.nullable_string(flexible)?;
        }
        if version >= 5 {
            m.read_only = d.bool()?;
        }
        if version >= 5 {
            m.config_source = d.i8()?;
        }
        if version >= 5 {
            m.is_sensitive = d.bool()?;
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
        let flexible = version >= 5;
        if version >= 5 {
            e.string(&self.name, flexible);
        }
        if version >= 5 {
            e.nullable_string(self.value.as_deref(), flexible);
        }
        if version >= 5 {
            e.bool(self.read_only);
        }
        if version >= 5 {
            e.i8(self.config_source);
        }
        if version >= 5 {
            e.bool(self.is_sensitive);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
