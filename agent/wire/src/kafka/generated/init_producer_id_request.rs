//! InitProducerIdRequest, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct InitProducerIdRequest {
    pub transactional_id: Option<String>,
    pub transaction_timeout_ms: i32,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub enable2_pc: bool,
    pub keep_prepared_txn: bool,
}

impl Default for InitProducerIdRequest {
    fn default() -> Self {
        Self {
            transactional_id: Some(Default::default()),
            transaction_timeout_ms: Default::default(),
            producer_id: -1,
            producer_epoch: -1,
            enable2_pc: false,
            keep_prepared_txn: false,
        }
    }
}

impl InitProducerIdRequest {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 2;
        let mut m = Self::default();
        m.transactional_id = d.nullable_string(flexible)?;
        m.transaction_timeout_ms = d.i32()?;
        if version >= 3 {
            m.producer_id = d.i64()?;
        }
        if version >= 3 {
            m.producer_epoch = d.i16()?;
        }
        if version >= 6 {
            m.enable2_pc = d.bool()?;
        }
        if version >= 6 {
            m.keep_prepared_txn = d.bool()?;
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
        let flexible = version >= 2;
        e.nullable_string(self.transactional_id.as_deref(), flexible);
        e.i32(self.transaction_timeout_ms);
        if version >= 3 {
            e.i64(self.producer_id);
        }
        if version >= 3 {
            e.i16(self.producer_epoch);
        }
        if version >= 6 {
            e.bool(self.enable2_pc);
        }
        if version >= 6 {
            e.bool(self.keep_prepared_txn);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
