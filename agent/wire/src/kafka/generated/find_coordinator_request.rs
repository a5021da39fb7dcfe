//! FindCoordinatorRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct FindCoordinatorRequest {
    pub key: String,
    pub key_type: i8,
    pub coordinator_keys: Vec<String>,
}

impl Default for FindCoordinatorRequest {
    fn default() -> Self {
        Self { key: Default::default(), key_type: 0, coordinator_keys: Default::default() }
    }
}

impl FindCoordinatorRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 3;
        let mut m = Self::default();
        if version <= 3 {
            m.key = d.string(flexible)?;
        }
        if version >= 1 {
            m.key_type = d.i8()?;
        }
        if version >= 4 {
            m.coordinator_keys = d.array(flexible, |d| Ok(d.string(flexible)?))?;
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
        if version <= 3 {
            e.string(&self.key, flexible);
        }
        if version >= 1 {
            e.i8(self.key_type);
        }
        if version >= 4 {
            e.array(&self.coordinator_keys, flexible, |e, v| {
                e.string(v, flexible);
            });
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
