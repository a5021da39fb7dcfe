//! FetchRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct FetchRequest {
    pub cluster_id: Option<String>,
    pub replica_id: i32,
    pub replica_state: ReplicaState,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub isolation_level: i8,
    pub session_id: i32,
    pub session_epoch: i32,
    pub topics: Vec<FetchTopic>,
    pub forgotten_topics_data: Vec<ForgottenTopic>,
    pub rack_id: String,
}

impl Default for FetchRequest {
    fn default() -> Self {
        Self {
            cluster_id: None,
            replica_id: -1,
            replica_state: Default::default(),
            max_wait_ms: Default::default(),
            min_bytes: Default::default(),
            max_bytes: 2147483647,
            isolation_level: 0,
            session_id: 0,
            session_epoch: -1,
            topics: Default::default(),
            forgotten_topics_data: Default::default(),
            rack_id: Default::default(),
        }
    }
}

impl FetchRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 12;
        let mut m = Self::default();
        if version <= 14 {
            m.replica_id = d.i32()?;
        }
        m.max_wait_ms = d.i32()?;
        m.min_bytes = d.i32()?;
        m.max_bytes = d.i32()?;
        m.isolation_level = d.i8()?;
        if version >= 7 {
            m.session_id = d.i32()?;
        }
        if version >= 7 {
            m.session_epoch = d.i32()?;
        }
        m.topics = d.array(flexible, |d| Ok(FetchTopic::decode(d, version)?))?;
        if version >= 7 {
            m.forgotten_topics_data = d.array(flexible, |d| Ok(ForgottenTopic::decode(d, version)?))?;
        }
        if version >= 11 {
            m.rack_id = d.string(flexible)?;
        }
        if flexible {
            d.tagged(|tag, d| {
                let _ = &d;
                match tag {
                    0 => {
                        m.cluster_id = d.nullable_string(true)?;
                        Ok(true)
                    }
                    1 => {
                        m.replica_state = ReplicaState::decode(d, version)?;
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
        if version <= 14 {
            e.i32(self.replica_id);
        }
        e.i32(self.max_wait_ms);
        e.i32(self.min_bytes);
        e.i32(self.max_bytes);
        e.i8(self.isolation_level);
        if version >= 7 {
            e.i32(self.session_id);
        }
        if version >= 7 {
            e.i32(self.session_epoch);
        }
        e.array(&self.topics, flexible, |e, v| {
            v.encode(e, version);
        });
        if version >= 7 {
            e.array(&self.forgotten_topics_data, flexible, |e, v| {
                v.encode(e, version);
            });
        }
        if version >= 11 {
            e.string(&self.rack_id, flexible);
        }
        if flexible {
            let d = Self::default();
            let mut tags = Vec::new();
            if version >= 12 {
                if self.cluster_id != d.cluster_id {
                    let mut t = Encoder::new();
                    {
                        let e = &mut t;
                        e.nullable_string(self.cluster_id.as_deref(), true);
                    }
                    tags.push((0, t));
                }
            }
            if version >= 15 {
                if self.replica_state != d.replica_state {
                    let mut t = Encoder::new();
                    {
                        let e = &mut t;
                        self.replica_state.encode(e, version);
                    }
                    tags.push((1, t));
                }
            }
            e.tags(tags);
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaState {
    pub replica_id: i32,
    pub replica_epoch: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self { replica_id: -1, replica_epoch: -1 }
    }
}

impl ReplicaState {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 12;
        let mut m = Self::default();
        if version >= 15 {
            m.replica_id = d.i32()?;
        }
        if version >= 15 {
            m.replica_epoch = d.i64()?;
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
        if version >= 15 {
            e.i32(self.replica_id);
        }
        if version >= 15 {
            e.i64(self.replica_epoch);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct FetchTopic {
    pub topic: String,
    pub topic_id: [u8; 16],
    pub partitions: Vec<FetchPartition>,
}

impl Default for FetchTopic {
    fn default() -> Self {
        Self { topic: Default::default(), topic_id: Default::default(), partitions: Default::default() }
    }
}

impl FetchTopic {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 12;
        let mut m = Self::default();
        if version <= 12 {
            m.topic = d.string(flexible)?;
        }
        if version >= 13 {
            m.topic_id = d.uuid()?;
        }
        m.partitions = d.array(flexible, |d| Ok(FetchPartition::decode(d, version)?))?;
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
pub struct FetchPartition {
    pub partition: i32,
    pub current_leader_epoch: i32,
    pub fetch_offset: i64,
    pub last_fetched_epoch: i32,
    pub log_start_offset: i64,
    pub partition_max_bytes: i32,
    pub replica_directory_id: [u8; 16],
    pub high_watermark: i64,
}

impl Default for FetchPartition {
    fn default() -> Self {
        Self {
            partition: Default::default(),
            current_leader_epoch: -1,
            fetch_offset: Default::default(),
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: Default::default(),
            replica_directory_id: Default::default(),
            high_watermark: 9223372036854775807,
        }
    }
}

impl FetchPartition {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 12;
        let mut m = Self::default();
        m.partition = d.i32()?;
        if version >= 9 {
            m.current_leader_epoch = d.i32()?;
        }
        m.fetch_offset = d.i64()?;
        if version >= 12 {
            m.last_fetched_epoch = d.i32()?;
        }
        if version >= 5 {
            m.log_start_offset = d.i64()?;
        }
        m.partition_max_bytes = d.i32()?;
        if flexible {
            d.tagged(|tag, d| {
                let _ = &d;
                match tag {
                    0 => {
                        m.replica_directory_id = d.uuid()?;
                        Ok(true)
                    }
                    1 => {
                        m.high_watermark = d.i64()?;
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
        e.i32(self.partition);
        if version >= 9 {
            e.i32(self.current_leader_epoch);
        }
        e.i64(self.fetch_offset);
        if version >= 12 {
            e.i32(self.last_fetched_epoch);
        }
        if version >= 5 {
            e.i64(self.log_start_offset);
        }
        e.i32(self.partition_max_bytes);
        if flexible {
            let d = Self::default();
            let mut tags = Vec::new();
            if version >= 17 {
                if self.replica_directory_id != d.replica_directory_id {
                    let mut t = Encoder::new();
                    {
                        let e = &mut t;
                        e.uuid(&self.replica_directory_id);
                    }
                    tags.push((0, t));
                }
            }
            if version >= 18 {
                if self.high_watermark != d.high_watermark {
                    let mut t = Encoder::new();
                    {
                        let e = &mut t;
                        e.i64(self.high_watermark);
                    }
                    tags.push((1, t));
                }
            }
            e.tags(tags);
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ForgottenTopic {
    pub topic: String,
    pub topic_id: [u8; 16],
    pub partitions: Vec<i32>,
}

impl Default for ForgottenTopic {
    fn default() -> Self {
        Self { topic: Default::default(), topic_id: Default::default(), partitions: Default::default() }
    }
}

impl ForgottenTopic {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 12;
        let mut m = Self::default();
        if (7..=12).contains(&version) {
            m.topic = d.string(flexible)?;
        }
        if version >= 13 {
            m.topic_id = d.uuid()?;
        }
        if version >= 7 {
            m.partitions = d.array(flexible, |d| Ok(d.i32()?))?;
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
        if (7..=12).contains(&version) {
            e.string(&self.topic, flexible);
        }
        if version >= 13 {
            e.uuid(&self.topic_id);
        }
        if version >= 7 {
            e.array(&self.partitions, flexible, |e, v| {
                e.i32(*v);
            });
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
