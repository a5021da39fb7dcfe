//! MetadataResponse, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct MetadataResponse {
    pub throttle_time_ms: i32,
    pub brokers: Vec<MetadataResponseBroker>,
    pub cluster_id: Option<String>,
    pub controller_id: i32,
    pub topics: Vec<MetadataResponseTopic>,
    pub cluster_authorized_operations: i32,
    pub error_code: i16,
}

impl Default for MetadataResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            brokers: Default::default(),
            cluster_id: None,
            controller_id: -1,
            topics: Default::default(),
            cluster_authorized_operations: -2147483648,
            error_code: Default::default(),
        }
    }
}

impl MetadataResponse {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 9;
        let mut m = Self::default();
        if version >= 3 {
            m.throttle_time_ms = d.i32()?;
        }
        m.brokers = d.array(flexible, |d| Ok(MetadataResponseBroker::decode(d, version)?))?;
        if version >= 2 {
            m.cluster_id = d.nullable_string(flexible)?;
        }
        if version >= 1 {
            m.controller_id = d.i32()?;
        }
        m.topics = d.array(flexible, |d| Ok(MetadataResponseTopic::decode(d, version)?))?;
        if (8..=10).contains(&version) {
            m.cluster_authorized_operations = d.i32()?;
        }
        if version >= 13 {
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
        let flexible = version >= 9;
        if version >= 3 {
            e.i32(self.throttle_time_ms);
        }
        e.array(&self.brokers, flexible, |e, v| {
            v.encode(e, version);
        });
        if version >= 2 {
            e.nullable_string(self.cluster_id.as_deref(), flexible);
        }
        if version >= 1 {
            e.i32(self.controller_id);
        }
        e.array(&self.topics, flexible, |e, v| {
            v.encode(e, version);
        });
        if (8..=10).contains(&version) {
            e.i32(self.cluster_authorized_operations);
        }
        if version >= 13 {
            e.i16(self.error_code);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct MetadataResponseBroker {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

impl Default for MetadataResponseBroker {
    fn default() -> Self {
        Self { node_id: Default::default(), host: Default::default(), port: Default::default(), rack: None }
    }
}

impl MetadataResponseBroker {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 9;
        let mut m = Self::default();
        m.node_id = d.i32()?;
        m.host = d.string(flexible)?;
        m.port = d.i32()?;
        if version >= 1 {
            m.rack = d.nullable_string(flexible)?;
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
        e.i32(self.node_id);
        e.string(&self.host, flexible);
        e.i32(self.port);
        if version >= 1 {
            e.nullable_string(self.rack.as_deref(), flexible);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct MetadataResponseTopic {
    pub error_code: i16,
    pub name: Option<String>,
    pub topic_id: [u8; 16],
    pub is_internal: bool,
    pub partitions: Vec<MetadataResponsePartition>,
    pub topic_authorized_operations: i32,
}

impl Default for MetadataResponseTopic {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            name: Some(Default::default()),
            topic_id: Default::default(),
            is_internal: false,
            partitions: Default::default(),
            topic_authorized_operations: -2147483648,
        }
    }
}

impl MetadataResponseTopic {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 9;
        let mut m = Self::default();
        m.error_code = d.i16()?;
        m.name = d.nullable_string(flexible)?;
        if version >= 10 {
            m.topic_id = d.uuid()?;
        }
        if version >= 1 {
            m.is_internal = d.bool()?;
        }
        m.partitions = d.array(flexible, |d| Ok(MetadataResponsePartition::decode(d, version)?))?;
        if version >= 8 {
            m.topic_authorized_operations = d.i32()?;
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
        e.i16(self.error_code);
        e.nullable_string(self.name.as_deref(), flexible);
        if version >= 10 {
            e.uuid(&self.topic_id);
        }
        if version >= 1 {
            e.bool(self.is_internal);
        }
        e.array(&self.partitions, flexible, |e, v| {
            v.encode(e, version);
        });
        if version >= 8 {
            e.i32(self.topic_authorized_operations);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct MetadataResponsePartition {
    pub error_code: i16,
    pub partition_index: i32,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub replica_nodes: Vec<i32>,
    pub isr_nodes: Vec<i32>,
    pub offline_replicas: Vec<i32>,
}

impl Default for MetadataResponsePartition {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            partition_index: Default::default(),
            leader_id: Default::default(),
            leader_epoch: -1,
            replica_nodes: Default::default(),
            isr_nodes: Default::default(),
            offline_replicas: Default::default(),
        }
    }
}

impl MetadataResponsePartition {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 9;
        let mut m = Self::default();
        m.error_code = d.i16()?;
        m.partition_index = d.i32()?;
        m.leader_id = d.i32()?;
        if version >= 7 {
            m.leader_epoch = d.i32()?;
        }
        m.replica_nodes = d.array(flexible, |d| Ok(d.i32()?))?;
        m.isr_nodes = d.array(flexible, |d| Ok(d.i32()?))?;
        if version >= 5 {
            m.offline_replicas = d.array(flexible, |d| Ok(d.i32()?))?;
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
        e.i16(self.error_code);
        e.i32(self.partition_index);
        e.i32(self.leader_id);
        if version >= 7 {
            e.i32(self.leader_epoch);
        }
        e.array(&self.replica_nodes, flexible, |e, v| {
            e.i32(*v);
        });
        e.array(&self.isr_nodes, flexible, |e, v| {
            e.i32(*v);
        });
        if version >= 5 {
            e.array(&self.offline_replicas, flexible, |e, v| {
                e.i32(*v);
            });
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
