//! ProduceResponse, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct ProduceResponse {
    pub responses: Vec<TopicProduceResponse>,
    pub throttle_time_ms: i32,
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl Default for ProduceResponse {
    fn default() -> Self {
        Self { responses: Default::default(), throttle_time_ms: 0, node_endpoints: Default::default() }
    }
}

impl ProduceResponse {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 9;
        let mut m = Self::default();
        m.responses = d.array(flexible, |d| Ok(TopicProduceResponse::decode(d, version)?))?;
        m.throttle_time_ms = d.i32()?;
        if flexible {
            d.tagged(|tag, d| {
                let _ = &d;
                match tag {
                    0 => {
                        m.node_endpoints = d.array(true, |d| Ok(NodeEndpoint::decode(d, version)?))?;
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
        let flexible = version >= 9;
        e.array(&self.responses, flexible, |e, v| {
            v.encode(e, version);
        });
        e.i32(self.throttle_time_ms);
        if flexible {
            let d = Self::default();
            let mut tags = Vec::new();
            if version >= 10 {
                if self.node_endpoints != d.node_endpoints {
                    let mut t = Encoder::new();
                    {
                        let e = &mut t;
                        e.array(&self.node_endpoints, true, |e, v| {
                            v.encode(e, version);
                        });
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
pub struct TopicProduceResponse {
    pub name: String,
    pub topic_id: [u8; 16],
    pub partition_responses: Vec<PartitionProduceResponse>,
}

impl Default for TopicProduceResponse {
    fn default() -> Self {
        Self {
            name: Default::default(),
            topic_id: Default::default(),
            partition_responses: Default::default(),
        }
    }
}

impl TopicProduceResponse {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 9;
        let mut m = Self::default();
        if version <= 12 {
            m.name = d.string(flexible)?;
        }
        if version >= 13 {
            m.topic_id = d.uuid()?;
        }
        m.partition_responses = d.array(flexible, |d| Ok(PartitionProduceResponse::decode(d, version)?))?;
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
        e.array(&self.partition_responses, flexible, |e, v| {
            v.encode(e, version);
        });
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionProduceResponse {
    pub index: i32,
    pub error_code: i16,
    pub base_offset: i64,
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
    pub record_errors: Vec<BatchIndexAndErrorMessage>,
    pub error_message: Option<String>,
    pub current_leader: LeaderIdAndEpoch,
}

impl Default for PartitionProduceResponse {
    fn default() -> Self {
        Self {
            index: Default::default(),
            error_code: Default::default(),
            base_offset: Default::default(),
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Default::default(),
            error_message: None,
            current_leader: Default::default(),
        }
    }
}

impl PartitionProduceResponse {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 9;
        let mut m = Self::default();
        m.index = d.i32()?;
        m.error_code = d.i16()?;
        m.base_offset = d.i64()?;
        m.log_append_time_ms = d.i64()?;
        if version >= 5 {
            m.log_start_offset = d.i64()?;
        }
        if version >= 8 {
            m.record_errors = d.array(flexible, |d| Ok(BatchIndexAndErrorMessage::decode(d, version)?))?;
        }
        if version >= 8 {
            m.error_message = d.nullable_string(flexible)?;
        }
        if flexible {
            d.tagged(|tag, d| {
                let _ = &d;
                match tag {
                    0 => {
                        m.current_leader = LeaderIdAndEpoch::decode(d, version)?;
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
        let flexible = version >= 9;
        e.i32(self.index);
        e.i16(self.error_code);
        e.i64(self.base_offset);
        e.i64(self.log_append_time_ms);
        if version >= 5 {
            e.i64(self.log_start_offset);
        }
        if version >= 8 {
            e.array(&self.record_errors, flexible, |e, v| {
                v.encode(e, version);
            });
        }
        if version >= 8 {
            e.nullable_string(self.error_message.as_deref(), flexible);
        }
        if flexible {
            let d = Self::default();
            let mut tags = Vec::new();
            if version >= 10 {
                if self.current_leader != d.current_leader {
                    let mut t = Encoder::new();
                    {
                        let e = &mut t;
                        self.current_leader.encode(e, version);
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
pub struct BatchIndexAndErrorMessage {
    pub batch_index: i32,
    pub batch_index_error_message: Option<String>,
}

impl Default for BatchIndexAndErrorMessage {
    fn default() -> Self {
        Self { batch_index: Default::default(), batch_index_error_message: None }
    }
}

impl BatchIndexAndErrorMessage {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 9;
        let mut m = Self::default();
        if version >= 8 {
            m.batch_index = d.i32()?;
        }
        if version >= 8 {
            m.batch_index_error_message = d.nullable_string(flexible)?;
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
        if version >= 8 {
            e.i32(self.batch_index);
        }
        if version >= 8 {
            e.nullable_string(self.batch_index_error_message.as_deref(), flexible);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct LeaderIdAndEpoch {
    pub leader_id: i32,
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self { leader_id: -1, leader_epoch: -1 }
    }
}

impl LeaderIdAndEpoch {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 9;
        let mut m = Self::default();
        if version >= 10 {
            m.leader_id = d.i32()?;
        }
        if version >= 10 {
            m.leader_epoch = d.i32()?;
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
        if version >= 10 {
            e.i32(self.leader_id);
        }
        if version >= 10 {
            e.i32(self.leader_epoch);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct NodeEndpoint {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

impl Default for NodeEndpoint {
    fn default() -> Self {
        Self { node_id: Default::default(), host: Default::default(), port: Default::default(), rack: None }
    }
}

impl NodeEndpoint {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 9;
        let mut m = Self::default();
        if version >= 10 {
            m.node_id = d.i32()?;
        }
        if version >= 10 {
            m.host = d.string(flexible)?;
        }
        if version >= 10 {
            m.port = d.i32()?;
        }
        if version >= 10 {
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
        if version >= 10 {
            e.i32(self.node_id);
        }
        if version >= 10 {
            e.string(&self.host, flexible);
        }
        if version >= 10 {
            e.i32(self.port);
        }
        if version >= 10 {
            e.nullable_string(self.rack.as_deref(), flexible);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
