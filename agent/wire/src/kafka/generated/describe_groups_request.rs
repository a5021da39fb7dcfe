//! DescribeGroupsRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeGroupsRequest {
    pub groups: Vec<String>,
    pub include_authorized_operations: bool,
}

impl Default for DescribeGroupsRequest {
    fn default() -> Self {
        Self { groups: Default::default(), include_authorized_operations: Default::default() }
    }
}

impl DescribeGroupsRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 5;
        let mut m = Self::default();
        m.groups = d.array(flexible, |d| Ok(d.string(flexible)?))?;
        if version >= 3 {
            m.include_authorized_operations = d.bool()?;
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
        let flexible = version >= 5;
        e.array(&self.groups, flexible, |e, v| {
            e.string(v, flexible);
        });
        if version >= 3 {
            e.bool(self.include_authorized_operations);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
