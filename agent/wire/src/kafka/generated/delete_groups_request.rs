//! DeleteGroupsRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct DeleteGroupsRequest {
    pub groups_names: Vec<String>,
}

impl Default for DeleteGroupsRequest {
    fn default() -> Self {
        Self { groups_names: Default::default() }
    }
}

impl DeleteGroupsRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 2;
        let mut m = Self::default();
        m.groups_names = d.array(flexible, |d| Ok(d.string(flexible)?))?;
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
        let flexible = version >= 2;
        e.array(&self.groups_names, flexible, |e, v| {
            e.string(v, flexible);
        });
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
