//! ApiVersionsRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct ApiVersionsRequest {
    pub client_software_name: String,
    pub client_software_version: String,
}

impl Default for ApiVersionsRequest {
    fn default() -> Self {
        Self { client_software_name: Default::default(), client_software_version: Default::default() }
    }
}

impl ApiVersionsRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 3;
        let mut m = Self::default();
        if version >= 3 {
            m.client_software_name = d.string(flexible)?;
        }
        if version >= 3 {
            m.client_software_version = d.string(flexible)?;
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
        if version >= 3 {
            e.string(&self.client_software_name, flexible);
        }
        if version >= 3 {
            e.string(&self.client_software_version, flexible);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
