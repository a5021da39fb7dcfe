//! LeaveGroupRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct LeaveGroupRequest {
    pub group_id: String,
    pub member_id: String,
    pub members: Vec<MemberIdentity>,
}

impl Default for LeaveGroupRequest {
    fn default() -> Self {
        Self { group_id: Default::default(), member_id: Default::default(), members: Default::default() }
    }
}

impl LeaveGroupRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 4;
        let mut m = Self::default();
        m.group_id = d.string(flexible)?;
        if version <= 2 {
            m.member_id = d.string(flexible)?;
        }
        if version >= 3 {
            m.members = d.array(flexible, |d| Ok(MemberIdentity::decode(d, version)?))?;
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
        e.string(&self.group_id, flexible);
        if version <= 2 {
            e.string(&self.member_id, flexible);
        }
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
pub struct MemberIdentity {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub reason: Option<String>,
}

impl Default for MemberIdentity {
    fn default() -> Self {
        Self { member_id: Default::default(), group_instance_id: None, reason: None }
    }
}

impl MemberIdentity {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 4;
        let mut m = Self::default();
        if version >= 3 {
            m.member_id = d.string(flexible)?;
        }
        if version >= 3 {
            m.group_instance_id = d.nullable_string(flexible)?;
        }
        if version >= 5 {
            m.reason = d.nullable_string(flexible)?;
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
        if version >= 5 {
            e.nullable_string(self.reason.as_deref(), flexible);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
