//! MetadataRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct MetadataRequest {
    pub topics: Option<Vec<MetadataRequestTopic>>,
    pub allow_auto_topic_creation: bool,
    pub include_cluster_authorized_operations: bool,
    pub include_topic_authorized_operations: bool,
}

impl Default for MetadataRequest {
    fn default() -> Self {
        Self {
            topics: Some(Default::default()),
            allow_auto_topic_creation: true,
            include_cluster_authorized_operations: Default::default(),
            include_topic_authorized_operations: Default::default(),
        }
    }
}

impl MetadataRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 9;
        let mut m = Self::default();
        m.topics = d.nullable_array(flexible, |d| Ok(MetadataRequestTopic::decode(d, version)?))?;
        if version >= 4 {
            m.allow_auto_topic_creation = d.bool()?;
        }
        if (8..=10).contains(&version) {
            m.include_cluster_authorized_operations = d.bool()?;
        }
        if version >= 8 {
            m.include_topic_authorized_operations = d.bool()?;
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
        let flexible = version >= 9;
        e.nullable_array(self.topics.as_deref(), flexible, |e, v| {
            v.encode(e, version);
        });
        if version >= 4 {
            e.bool(self.allow_auto_topic_creation);
        }
        if (8..=10).contains(&version) {
            e.bool(self.include_cluster_authorized_operations);
        }
        if version >= 8 {
            e.bool(self.include_topic_authorized_operations);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct MetadataRequestTopic {
    pub topic_id: [u8; 16],
    pub name: Option<String>,
}

impl Default for MetadataRequestTopic {
    fn default() -> Self {
        Self { topic_id: Default::default(), name: Some(Default::default()) }
    }
}

impl MetadataRequestTopic {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 9;
        let mut m = Self::default();
        if version >= 10 {
            m.topic_id = d.uuid()?;
        }
        m.name = d.nullable_string(flexible)?;
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
        if version >= 10 {
            e.uuid(&self.topic_id);
        }
        e.nullable_string(self.name.as_deref(), flexible);
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
