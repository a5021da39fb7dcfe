//! CreatePartitionsRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct CreatePartitionsRequest {
    pub topics: Vec<CreatePartitionsTopic>,
    pub timeout_ms: i32,
    pub validate_only: bool,
}

impl Default for CreatePartitionsRequest {
    fn default() -> Self {
        Self { topics: Default::default(), timeout_ms: Default::default(), validate_only: Default::default() }
    }
}

impl CreatePartitionsRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 2;
        let mut m = Self::default();
        m.topics = d.array(flexible, |d| Ok(CreatePartitionsTopic::decode(d, version)?))?;
        m.timeout_ms = d.i32()?;
        m.validate_only = d.bool()?;
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
        let flexible = version >= 2;
        e.array(&self.topics, flexible, |e, v| {
            v.encode(e, version);
        });
        e.i32(self.timeout_ms);
        e.bool(self.validate_only);
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreatePartitionsTopic {
    pub name: String,
    pub count: i32,
    pub assignments: Option<Vec<CreatePartitionsAssignment>>,
}

impl Default for CreatePartitionsTopic {
    fn default() -> Self {
        Self { name: Default::default(), count: Default::default(), assignments: Some(Default::default()) }
    }
}

impl CreatePartitionsTopic {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 2;
        let mut m = Self::default();
        m.name = d.string(flexible)?;
        m.count = d.i32()?;
        m.assignments =
            d.nullable_array(flexible, |d| Ok(CreatePartitionsAssignment::decode(d, version)?))?;
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
        let flexible = version >= 2;
        e.string(&self.name, flexible);
        e.i32(self.count);
        e.nullable_array(self.assignments.as_deref(), flexible, |e, v| {
            v.encode(e, version);
        });
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreatePartitionsAssignment {
    pub broker_ids: Vec<i32>,
}

impl Default for CreatePartitionsAssignment {
    fn default() -> Self {
        Self { broker_ids: Default::default() }
    }
}

impl CreatePartitionsAssignment {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 2;
        let mut m = Self::default();
        m.broker_ids = d.array(flexible, |d| Ok(d.i32()?))?;
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
        let flexible = version >= 2;
        e.array(&self.broker_ids, flexible, |e, v| {
            e.i32(*v);
        });
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
