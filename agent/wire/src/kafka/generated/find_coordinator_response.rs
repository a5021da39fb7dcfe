//! FindCoordinatorResponse, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct FindCoordinatorResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub coordinators: Vec<Coordinator>,
}

impl Default for FindCoordinatorResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            error_code: Default::default(),
            error_message: Some(Default::default()),
            node_id: Default::default(),
            host: Default::default(),
            port: Default::default(),
            coordinators: Default::default(),
        }
    }
}

impl FindCoordinatorResponse {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 3;
        let mut m = Self::default();
        if version >= 1 {
            m.throttle_time_ms = d.i32()?;
        }
        if version <= 3 {
            m.error_code = d.i16()?;
        }
        if (1..=3).contains(&version) {
            m.error_message = d.nullable_string(flexible)?;
        }
        if version <= 3 {
            m.node_id = d.i32()?;
        }
        if version <= 3 {
            m.host = d.string(flexible)?;
        }
        if version <= 3 {
            m.port = d.i32()?;
        }
        if version >= 4 {
            m.coordinators = d.array(flexible, |d| Ok(Coordinator::decode(d, version)?))?;
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
        let flexible = version >= 3;
        if version >= 1 {
            e.i32(self.throttle_time_ms);
        }
        if version <= 3 {
            e.i16(self.error_code);
        }
        if (1..=3).contains(&version) {
            e.nullable_string(self.error_message.as_deref(), flexible);
        }
        if version <= 3 {
            e.i32(self.node_id);
        }
        if version <= 3 {
            e.string(&self.host, flexible);
        }
        if version <= 3 {
            e.i32(self.port);
        }
        if version >= 4 {
            e.array(&self.coordinators, flexible, |e, v| {
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
pub struct Coordinator {
    pub key: String,
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
}

impl Default for Coordinator {
    fn default() -> Self {
        Self {
            key: Default::default(),
            node_id: Default::default(),
            host: Default::default(),
            port: Default::default(),
            error_code: Default::default(),
            error_message: Some(Default::default()),
        }
    }
}

impl Coordinator {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 3;
        let mut m = Self::default();
        if version >= 4 {
            m.key = d.string(flexible)?;
        }
        if version >= 4 {
            m.node_id = d.i32()?;
        }
        if version >= 4 {
            m.host = d.string(flexible)?;
        }
        if version >= 4 {
            m.port = d.i32()?;
        }
        if version >= 4 {
            m.error_code = d.i16()?;
        }
        if version >= 4 {
            m.error_message = d.nullable_string(flexible)?;
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
        let flexible = version >= 3;
        if version >= 4 {
            e.string(&self.key, flexible);
        }
        if version >= 4 {
            e.i32(self.node_id);
        }
        if version >= 4 {
            e.string(&self.host, flexible);
        }
        if version >= 4 {
            e.i32(self.port);
        }
        if version >= 4 {
            e.i16(self.error_code);
        }
        if version >= 4 {
            e.nullable_string(self.error_message.as_deref(), flexible);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
