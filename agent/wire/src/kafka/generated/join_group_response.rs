//! JoinGroupResponse, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct JoinGroupResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub generation_id: i32,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub leader: String,
    pub skip_assignment: bool,
    pub member_id: String,
    pub members: Vec<JoinGroupResponseMember>,
}

impl Default for JoinGroupResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            error_code: Default::default(),
            generation_id: -1,
            protocol_type: None,
            protocol_name: Some(Default::default()),
            leader: Default::default(),
            skip_assignment: false,
            member_id: Default::default(),
            members: Default::default(),
        }
    }
}

impl JoinGroupResponse {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 6;
        let mut m = Self::default();
        if version >= 2 {
            m.throttle_time_ms = d.i32()?;
        }
        m.error_code = d.i16()?;
        m.generation_id = d.i32()?;
        if version >= 7 {
            m.protocol_type = d.nullable_string(flexible)?;
        }
        m.protocol_name = d.nullable_string(flexible)?;
        m.leader = d.string(flexible)?;
        if version >= 9 {
            m.skip_assignment = d.bool()?;
        }
        m.member_id = d.string(flexible)?;
        m.members = d.array(flexible, |d| Ok(JoinGroupResponseMember::decode(d, version)?))?;
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
        let flexible = version >= 6;
        if version >= 2 {
            e.i32(self.throttle_time_ms);
        }
        e.i16(self.error_code);
        e.i32(self.generation_id);
        if version >= 7 {
            e.nullable_string(self.protocol_type.as_deref(), flexible);
        }
        e.nullable_string(self.protocol_name.as_deref(), flexible);
        e.string(&self.leader, flexible);
        if version >= 9 {
            e.bool(self.skip_assignment);
        }
        e.string(&self.member_id, flexible);
        e.array(&self.members, flexible, |e, v| {
            v.encode(e, version);
        });
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct JoinGroupResponseMember {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub metadata: bytes::Bytes,
}

impl Default for JoinGroupResponseMember {
    fn default() -> Self {
        Self { member_id: Default::default(), group_instance_id: None, metadata: Default::default() }
    }
}

impl JoinGroupResponseMember {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 6;
        let mut m = Self::default();
        m.member_id = d.string(flexible)?;
        if version >= 5 {
            m.group_instance_id = d.nullable_string(flexible)?;
        }
        m.metadata = d.bytes(flexible)?;
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
        let flexible = version >= 6;
        e.string(&self.member_id, flexible);
        if version >= 5 {
            e.nullable_string(self.group_instance_id.as_deref(), flexible);
        }
        e.bytes(&self.metadata, flexible);
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
