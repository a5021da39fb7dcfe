//! DescribeClusterRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeClusterRequest {
    pub include_cluster_authorized_operations: bool,
    pub endpoint_type: i8,
    pub include_fenced_brokers: bool,
}

impl Default for DescribeClusterRequest {
    fn default() -> Self {
        Self {
            include_cluster_authorized_operations: Default::default(),
            endpoint_type: 1,
            include_fenced_brokers: Default::default(),
        }
    }
}

impl DescribeClusterRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = true;
        let mut m = Self::default();
        m.include_cluster_authorized_operations = d.bool()?;
        if version >= 1 {
            m.endpoint_type = d.i8()?;
        }
        if version >= 2 {
            m.include_fenced_brokers = d.bool()?;
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
        e.bool(self.include_cluster_authorized_operations);
        if version >= 1 {
            e.i8(self.endpoint_type);
        }
        if version >= 2 {
            e.bool(self.include_fenced_brokers);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
