//! SyncGroupRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct SyncGroupRequest {
    pub group_id: String,
    pub generation_id: i32,
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub assignments: Vec<SyncGroupRequestAssignment>,
}

impl Default for SyncGroupRequest {
    fn default() -> Self {
        Self {
            group_id: Default::default(),
            generation_id: Default::default(),
            member_id: Default::default(),
            group_instance_id: None,
            protocol_type: None,
            protocol_name: None,
            assignments: Default::default(),
        }
    }
}

impl SyncGroupRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 4;
        let mut m = Self::default();
        m.group_id = d.string(flexible)?;
        m.generation_id = d.i32()?;
        m.member_id = d.string(flexible)?;
        if version >= 3 {
            m.group_instance_id = d.nullable_string(flexible)?;
        }
        if version >= 5 {
            m.protocol_type = d.nullable_string(flexible)?;
        }
        if version >= 5 {
            m.protocol_name = d.nullable_string(flexible)?;
        }
        m.assignments = d.array(flexible, |d| Ok(SyncGroupRequestAssignment::decode(d, version)?))?;
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
        e.string(&self.group_id, flexible);
        e.i32(self.generation_id);
        e.string(&self.member_id, flexible);
        if version >= 3 {
            e.nullable_string(self.group_instance_id.as_deref(), flexible);
        }
        if version >= 5 {
            e.nullable_string(self.protocol_type.as_deref(), flexible);
        }
        if version >= 5 {
            e.nullable_string(self.protocol_name.as_deref(), flexible);
        }
        e.array(&self.assignments, flexible, |e, v| {
            v.encode(e, version);
        });
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct SyncGroupRequestAssignment {
    pub member_id: String,
    pub assignment: bytes::Bytes,
}

impl Default for SyncGroupRequestAssignment {
    fn default() -> Self {
        Self { member_id: Default::default(), assignment: Default::default() }
    }
}

impl SyncGroupRequestAssignment {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 4;
        let mut m = Self::default();
        m.member_id = d.string(flexible)?;
        m.assignment = d.bytes(flexible)?;
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
        e.string(&self.member_id, flexible);
        e.bytes(&self.assignment, flexible);
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
