//! FetchResponse, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct FetchResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub session_id: i32,
    pub responses: Vec<FetchableTopicResponse>,
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl Default for FetchResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            error_code: Default::default(),
            session_id: 0,
            responses: Default::default(),
            node_endpoints: Default::default(),
        }
    }
}

impl FetchResponse {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 12;
        let mut m = Self::default();
        m.throttle_time_ms = d.i32()?;
        if version >= 7 {
            m.error_code = d.i16()?;
        }
        if version >= 7 {
            m.session_id = d.i32()?;
        }
        m.responses = d.array(flexible, |d| Ok(FetchableTopicResponse::decode(d, version)?))?;
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
        let flexible = version >= 12;
        e.i32(self.throttle_time_ms);
        if version >= 7 {
            e.i16(self.error_code);
        }
        if version >= 7 {
            e.i32(self.session_id);
        }
        e.array(&self.responses, flexible, |e, v| {
            v.encode(e, version);
        });
        if flexible {
            let d = Self::default();
            let mut tags = Vec::new();
            if version >= 16 {
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
pub struct FetchableTopicResponse {
    pub topic: String,
    pub topic_id: [u8; 16],
    pub partitions: Vec<PartitionData>,
}

impl Default for FetchableTopicResponse {
    fn default() -> Self {
        Self { topic: Default::default(), topic_id: Default::default(), partitions: Default::default() }
    }
}

impl FetchableTopicResponse {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 12;
        let mut m = Self::default();
        if version <= 12 {
            m.topic = d.string(flexible)?;
        }
        if version >= 13 {
            m.topic_id = d.uuid()?;
        }
        m.partitions = d.array(flexible, |d| Ok(PartitionData::decode(d, version)?))?;
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
        let flexible = version >= 12;
        if version <= 12 {
            e.string(&self.topic, flexible);
        }
        if version >= 13 {
            e.uuid(&self.topic_id);
        }
        e.array(&self.partitions, flexible, |e, v| {
            v.encode(e, version);
        });
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionData {
    pub partition_index: i32,
    pub error_code: i16,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    pub diverging_epoch: EpochEndOffset,
    pub current_leader: LeaderIdAndEpoch,
    pub snapshot_id: SnapshotId,
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    pub preferred_read_replica: i32,
    pub records: Option<crate::kafka::codec::Records>,
}

impl Default for PartitionData {
    fn default() -> Self {
        Self {
            partition_index: Default::default(),
            error_code: Default::default(),
            high_watermark: Default::default(),
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: Default::default(),
            current_leader: Default::default(),
            snapshot_id: Default::default(),
            aborted_transactions: Some(Default::default()),
            preferred_read_replica: -1,
            records: Some(Default::default()),
        }
    }
}

impl PartitionData {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 12;
        let mut m = Self::default();
        m.partition_index = d.i32()?;
        m.error_code = d.i16()?;
        m.high_watermark = d.i64()?;
        m.last_stable_offset = d.i64()?;
        if version >= 5 {
            m.log_start_offset = d.i64()?;
        }
        m.aborted_transactions =
            d.nullable_array(flexible, |d| Ok(AbortedTransaction::decode(d, version)?))?;
        if version >= 11 {
            m.preferred_read_replica = d.i32()?;
        }
        m.records = d.nullable_records(flexible)?;
        if flexible {
            d.tagged(|tag, d| {
                let _ = &d;
                match tag {
                    0 => {
                        m.diverging_epoch = EpochEndOffset::decode(d, version)?;
                        Ok(true)
                    }
                    1 => {
                        m.current_leader = LeaderIdAndEpoch::decode(d, version)?;
                        Ok(true)
                    }
                    2 => {
                        m.snapshot_id = SnapshotId::decode(d, version)?;
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
        let flexible = version >= 12;
        e.i32(self.partition_index);
        e.i16(self.error_code);
        e.i64(self.high_watermark);
        e.i64(self.last_stable_offset);
        if version >= 5 {
            e.i64(self.log_start_offset);
        }
        e.nullable_array(self.aborted_transactions.as_deref(), flexible, |e, v| {
            v.encode(e, version);
        });
        if version >= 11 {
            e.i32(self.preferred_read_replica);
        }
        e.nullable_records(self.records.as_ref(), flexible);
        if flexible {
            let d = Self::default();
            let mut tags = Vec::new();
            if version >= 12 {
                if self.diverging_epoch != d.diverging_epoch {
                    let mut t = Encoder::new();
                    {
                        let e = &mut t;
                        self.diverging_epoch.encode(e, version);
                    }
                    tags.push((0, t));
                }
            }
            if version >= 12 {
                if self.current_leader != d.current_leader {
                    let mut t = Encoder::new();
                    {
                        let e = &mut t;
                        self.current_leader.encode(e, version);
                    }
                    tags.push((1, t));
                }
            }
            if version >= 12 {
                if self.snapshot_id != d.snapshot_id {
                    let mut t = Encoder::new();
                    {
                        let e = &mut t;
                        self.snapshot_id.encode(e, version);
                    }
                    tags.push((2, t));
                }
            }
            e.tags(tags);
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct EpochEndOffset {
    pub epoch: i32,
    pub end_offset: i64,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        Self { epoch: -1, end_offset: -1 }
    }
}

impl EpochEndOffset {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 12;
        let mut m = Self::default();
        if version >= 12 {
            m.epoch = d.i32()?;
        }
        if version >= 12 {
            m.end_offset = d.i64()?;
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
        let flexible = version >= 12;
        if version >= 12 {
            e.i32(self.epoch);
        }
        if version >= 12 {
            e.i64(self.end_offset);
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
        let flexible = version >= 12;
        let mut m = Self::default();
        if version >= 12 {
            m.leader_id = d.i32()?;
        }
        if version >= 12 {
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
        let flexible = version >= 12;
        if version >= 12 {
            e.i32(self.leader_id);
        }
        if version >= 12 {
            e.i32(self.leader_epoch);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotId {
    pub end_offset: i64,
    pub epoch: i32,
}

impl Default for SnapshotId {
    fn default() -> Self {
        Self { end_offset: -1, epoch: -1 }
    }
}

impl SnapshotId {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 12;
        let mut m = Self::default();
        m.end_offset = d.i64()?;
        m.epoch = d.i32()?;
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
        let flexible = version >= 12;
        e.i64(self.end_offset);
        e.i32(self.epoch);
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
}

impl Default for AbortedTransaction {
    fn default() -> Self {
        Self { producer_id: Default::default(), first_offset: Default::default() }
    }
}

impl AbortedTransaction {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 12;
        let mut m = Self::default();
        m.producer_id = d.i64()?;
        m.first_offset = d.i64()?;
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
        let flexible = version >= 12;
        e.i64(self.producer_id);
        e.i64(self.first_offset);
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
        let flexible = version >= 12;
        let mut m = Self::default();
        if version >= 16 {
            m.node_id = d.i32()?;
        }
        if version >= 16 {
            m.host = d.string(flexible)?;
        }
        if version >= 16 {
            m.port = d.i32()?;
        }
        if version >= 16 {
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
        let flexible = version >= 12;
        if version >= 16 {
            e.i32(self.node_id);
        }
        if version >= 16 {
            e.string(&self.host, flexible);
        }
        if version >= 16 {
            e.i32(self.port);
        }
        if version >= 16 {
            e.nullable_string(self.rack.as_deref(), flexible);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
