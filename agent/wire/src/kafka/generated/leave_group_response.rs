//! LeaveGroupResponse, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct LeaveGroupResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub members: Vec<MemberResponse>,
}

impl Default for LeaveGroupResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            error_code: Default::default(),
            members: Default::default(),
        }
    }
}

impl LeaveGroupResponse {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 4;
        let mut m = Self::default();
        if version >= 1 {
            m.throttle_time_ms = d.i32()?;
        }
        m.error_code = d.i16()?;
        if version >= 3 {
            m.members = d.array(flexible, |d| Ok(MemberResponse::decode(d, version)?))?;
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
        let flexible = version >= 4;
        if version >= 1 {
            e.i32(self.throttle_time_ms);
        }
        e.i16(self.error_code);
        if version >= 3 {
            e.array(&self.members, flexible, |e, v| {
                v.encode(e, version);
            });
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct MemberResponse {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub error_code: i16,
}

impl Default for MemberResponse {
    fn default() -> Self {
        Self {
            member_id: Default::default(),
            group_instance_id: Some(Default::default()),
            error_code: Default::default(),
        }
    }
}

impl MemberResponse {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 4;
        let mut m = Self::default();
        if version >= 3 {
            m.member_id = d.string(flexible)?;
        }
        if version >= 3 {
            m.group_instance_id = d.nullable_string(flexible)?;
        }
        if version >= 3 {
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
        let flexible = version >= 4;
        if version >= 3 {
            e.string(&self.member_id, flexible);
        }
        if version >= 3 {
            e.nullable_string(self.group_instance_id.as_deref(), flexible);
        }
        if version >= 3 {
            e.i16(self.error_code);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
