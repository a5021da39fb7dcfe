//! DescribeTopicPartitionsResponse, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeTopicPartitionsResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<DescribeTopicPartitionsResponseTopic>,
    pub next_cursor: Option<Cursor>,
}

impl Default for DescribeTopicPartitionsResponse {
    fn default() -> Self {
        Self { throttle_time_ms: Default::default(), topics: Default::default(), next_cursor: None }
    }
}

impl DescribeTopicPartitionsResponse {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = true;
        let mut m = Self::default();
        m.throttle_time_ms = d.i32()?;
        m.topics = d.array(flexible, |d| Ok(DescribeTopicPartitionsResponseTopic::decode(d, version)?))?;
        m.next_cursor = if d.i8()? < 0 { None } else { Some(Cursor::decode(d, version)?) };
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
        e.i32(self.throttle_time_ms);
        e.array(&self.topics, flexible, |e, v| {
            v.encode(e, version);
        });
        match &self.next_cursor {
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
pub struct DescribeTopicPartitionsResponseTopic {
    pub error_code: i16,
    pub name: Option<String>,
    pub topic_id: [u8; 16],
    pub is_internal: bool,
    pub partitions: Vec<DescribeTopicPartitionsResponsePartition>,
    pub topic_authorized_operations: i32,
}

impl Default for DescribeTopicPartitionsResponseTopic {
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

impl DescribeTopicPartitionsResponseTopic {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = true;
        let mut m = Self::default();
        m.error_code = d.i16()?;
        m.name = d.nullable_string(flexible)?;
        m.topic_id = d.uuid()?;
        m.is_internal = d.bool()?;
        m.partitions =
            d.array(flexible, |d| Ok(DescribeTopicPartitionsResponsePartition::decode(d, version)?))?;
        m.topic_authorized_operations = d.i32()?;
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
        e.i16(self.error_code);
        e.nullable_string(self.name.as_deref(), flexible);
        e.uuid(&self.topic_id);
        e.bool(self.is_internal);
        e.array(&self.partitions, flexible, |e, v| {
            v.encode(e, version);
        });
        e.i32(self.topic_authorized_operations);
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeTopicPartitionsResponsePartition {
    pub error_code: i16,
    pub partition_index: i32,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub replica_nodes: Vec<i32>,
    pub isr_nodes: Vec<i32>,
    pub eligible_leader_replicas: Option<Vec<i32>>,
    pub last_known_elr: Option<Vec<i32>>,
    pub offline_replicas: Vec<i32>,
}

impl Default for DescribeTopicPartitionsResponsePartition {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            partition_index: Default::default(),
            leader_id: Default::default(),
            leader_epoch: -1,
            replica_nodes: Default::default(),
            isr_nodes: Default::default(),
            eligible_leader_replicas: None,
            last_known_elr: None,
            offline_replicas: Default::default(),
        }
    }
}

impl DescribeTopicPartitionsResponsePartition {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = true;
        let mut m = Self::default();
        m.error_code = d.i16()?;
        m.partition_index = d.i32()?;
        m.leader_id = d.i32()?;
        m.leader_epoch = d.i32()?;
        m.replica_nodes = d.array(flexible, |d| Ok(d.i32()?))?;
        m.isr_nodes = d.array(flexible, |d| Ok(d.i32()?))?;
        m.eligible_leader_replicas = d.nullable_array(flexible, |d| Ok(d.i32()?))?;
        m.last_known_elr = d.nullable_array(flexible, |d| Ok(d.i32()?))?;
        m.offline_replicas = d.array(flexible, |d| Ok(d.i32()?))?;
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
        e.i16(self.error_code);
        e.i32(self.partition_index);
        e.i32(self.leader_id);
        e.i32(self.leader_epoch);
        e.array(&self.replica_nodes, flexible, |e, v| {
            e.i32(*v);
        });
        e.array(&self.isr_nodes, flexible, |e, v| {
            e.i32(*v);
        });
        e.nullable_array(self.eligible_leader_replicas.as_deref(), flexible, |e, v| {
            e.i32(*v);
        });
        e.nullable_array(self.last_known_elr.as_deref(), flexible, |e, v| {
            e.i32(*v);
        });
        e.array(&self.offline_replicas, flexible, |e, v| {
            e.i32(*v);
        });
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
