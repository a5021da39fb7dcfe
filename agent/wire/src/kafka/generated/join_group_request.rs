//! JoinGroupRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct JoinGroupRequest {
    pub group_id: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub protocol_type: String,
    pub protocols: Vec<JoinGroupRequestProtocol>,
    pub reason: Option<String>,
}

impl Default for JoinGroupRequest {
    fn default() -> Self {
        Self {
            group_id: Default::default(),
            session_timeout_ms: Default::default(),
            rebalance_timeout_ms: -1,
            member_id: Default::default(),
            group_instance_id: None,
            protocol_type: Default::default(),
            protocols: Default::default(),
            reason: None,
        }
    }
}

impl JoinGroupRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 6;
        let mut m = Self::default();
        m.group_id = d.string(flexible)?;
        m.session_timeout_ms = d.i32()?;
        if version >= 1 {
            m.rebalance_timeout_ms = d.i32()?;
        }
        m.member_id = d.string(flexible)?;
        if version >= 5 {
            m.group_instance_id = d.nullable_string(flexible)?;
        }
        m.protocol_type = d.string(flexible)?;
        m.protocols = d.array(flexible, |d| Ok(JoinGroupRequestProtocol::decode(d, version)?))?;
        if version >= 8 {
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
        let flexible = version >= 6;
        e.string(&self.group_id, flexible);
        e.i32(self.session_timeout_ms);
        if version >= 1 {
            e.i32(self.rebalance_timeout_ms);
        }
        e.string(&self.member_id, flexible);
        if version >= 5 {
            e.nullable_string(self.group_instance_id.as_deref(), flexible);
        }
        e.string(&self.protocol_type, flexible);
        e.array(&self.protocols, flexible, |e, v| {
            v.encode(e, version);
        });
        if version >= 8 {
            e.nullable_string(self.reason.as_deref(), flexible);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct JoinGroupRequestProtocol {
    pub name: String,
    pub metadata: bytes::Bytes,
}

impl Default for JoinGroupRequestProtocol {
    fn default() -> Self {
        Self { name: Default::default(), metadata: Default::default() }
    }
}

impl JoinGroupRequestProtocol {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 6;
        let mut m = Self::default();
        m.name = d.string(flexible)?;
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
        e.string(&self.name, flexible);
        e.bytes(&self.metadata, flexible);
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
