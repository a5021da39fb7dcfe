//! ListGroupsRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct ListGroupsRequest {
    pub states_filter: Vec<String>,
    pub types_filter: Vec<String>,
}

impl Default for ListGroupsRequest {
    fn default() -> Self {
        Self { states_filter: Default::default(), types_filter: Default::default() }
    }
}

impl ListGroupsRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 3;
        let mut m = Self::default();
        if version >= 4 {
            m.states_filter = d.array(flexible, |d| Ok(d.string(flexible)?))?;
        }
        if version >= 5 {
            m.types_filter = d.array(flexible, |d| Ok(d.string(flexible)?))?;
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
            e.array(&self.states_filter, flexible, |e, v| {
                e.string(v, flexible);
            });
        }
        if version >= 5 {
            e.array(&self.types_filter, flexible, |e, v| {
                e.string(v, flexible);
            });
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
