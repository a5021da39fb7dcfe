//! ResponseHeader, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct ResponseHeader {
    pub correlation_id: i32,
}

impl Default for ResponseHeader {
    fn default() -> Self {
        Self { correlation_id: Default::default() }
    }
}

impl ResponseHeader {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 1;
        let mut m = Self::default();
        m.correlation_id = d.i32()?;
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
        let flexible = version >= 1;
        e.i32(self.correlation_id);
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
