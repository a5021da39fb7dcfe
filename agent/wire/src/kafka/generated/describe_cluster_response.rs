//! DescribeClusterResponse, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeClusterResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub endpoint_type: i8,
    pub cluster_id: String,
    pub controller_id: i32,
    pub brokers: Vec<DescribeClusterBroker>,
    pub cluster_authorized_operations: i32,
}

impl Default for DescribeClusterResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            error_code: Default::default(),
            error_message: None,
            endpoint_type: 1,
            cluster_id: Default::default(),
            controller_id: -1,
            brokers: Default::default(),
            cluster_authorized_operations: -2147483648,
        }
    }
}

impl DescribeClusterResponse {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = true;
        let mut m = Self::default();
        m.throttle_time_ms = d.i32()?;
        m.error_code = d.i16()?;
        m.error_message = d.nullable_string(flexible)?;
        if version >= 1 {
            m.endpoint_type = d.i8()?;
        }
        m.cluster_id = d.string(flexible)?;
        m.controller_id = d.i32()?;
        m.brokers = d.array(flexible, |d| Ok(DescribeClusterBroker::decode(d, version)?))?;
        m.cluster_authorized_operations = d.i32()?;
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
        let flexible = true;
        e.i32(self.throttle_time_ms);
        e.i16(self.error_code);
        e.nullable_string(self.error_message.as_deref(), flexible);
        if version >= 1 {
            e.i8(self.endpoint_type);
        }
        e.string(&self.cluster_id, flexible);
        e.i32(self.controller_id);
        e.array(&self.brokers, flexible, |e, v| {
            v.encode(e, version);
        });
        e.i32(self.cluster_authorized_operations);
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeClusterBroker {
    pub broker_id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
    pub is_fenced: bool,
}

impl Default for DescribeClusterBroker {
    fn default() -> Self {
        Self {
            broker_id: Default::default(),
            host: Default::default(),
            port: Default::default(),
            rack: None,
            is_fenced: Default::default(),
        }
    }
}

impl DescribeClusterBroker {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = true;
        let mut m = Self::default();
        m.broker_id = d.i32()?;
        m.host = d.string(flexible)?;
        m.port = d.i32()?;
        m.rack = d.nullable_string(flexible)?;
        if version >= 2 {
            m.is_fenced = d.bool()?;
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
        let flexible = true;
        e.i32(self.broker_id);
        e.string(&self.host, flexible);
        e.i32(self.port);
        e.nullable_string(self.rack.as_deref(), flexible);
        if version >= 2 {
            e.bool(self.is_fenced);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
