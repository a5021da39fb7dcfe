//! SyncGroupResponse, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct SyncGroupResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub assignment: bytes::Bytes,
}

impl Default for SyncGroupResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            error_code: Default::default(),
            protocol_type: None,
            protocol_name: None,
            assignment: Default::default(),
        }
    }
}

impl SyncGroupResponse {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 4;
        let mut m = Self::default();
        if version >= 1 {
            m.throttle_time_ms = d.i32()?;
        }
        m.error_code = d.i16()?;
        if version >= 5 {
            m.protocol_type = d.nullable_string(flexible)?;
        }
        if version >= 5 {
            m.protocol_name = d.nullable_string(flexible)?;
        }
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
        if version >= 1 {
            e.i32(self.throttle_time_ms);
        }
        e.i16(self.error_code);
        if version >= 5 {
            e.nullable_string(self.protocol_type.as_deref(), flexible);
        }
        if version >= 5 {
            e.nullable_string(self.protocol_name.as_deref(), flexible);
        }
        e.bytes(&self.assignment, flexible);
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
