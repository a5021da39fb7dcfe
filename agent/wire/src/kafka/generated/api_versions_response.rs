//! ApiVersionsResponse, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct ApiVersionsResponse {
    pub error_code: i16,
    pub api_keys: Vec<ApiVersion>,
    pub throttle_time_ms: i32,
    pub supported_features: Vec<SupportedFeatureKey>,
    pub finalized_features_epoch: i64,
    pub finalized_features: Vec<FinalizedFeatureKey>,
    pub zk_migration_ready: bool,
}

impl Default for ApiVersionsResponse {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            api_keys: Default::default(),
            throttle_time_ms: Default::default(),
            supported_features: Default::default(),
            finalized_features_epoch: -1,
            finalized_features: Default::default(),
            zk_migration_ready: false,
        }
    }
}

impl ApiVersionsResponse {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 3;
        let mut m = Self::default();
        m.error_code = d.i16()?;
        m.api_keys = d.array(flexible, |d| Ok(ApiVersion::decode(d, version)?))?;
        if version >= 1 {
            m.throttle_time_ms = d.i32()?;
        }
        if flexible {
            d.tagged(|tag, d| {
                let _ = &d;
                match tag {
                    0 => {
                        m.supported_features =
                            d.array(true, |d| Ok(SupportedFeatureKey::decode(d, version)?))?;
                        Ok(true)
                    }
                    1 => {
                        m.finalized_features_epoch = d.i64()?;
                        Ok(true)
                    }
                    2 => {
                        m.finalized_features =
                            d.array(true, |d| Ok(FinalizedFeatureKey::decode(d, version)?))?;
                        Ok(true)
                    }
                    3 => {
                        m.zk_migration_ready = d.bool()?;
                        Ok(true)
                    }
                    _ => Ok(false),
                }
            })?;
        }
        let _ = version;
        Ok(m)
    }

    pub fn encode(&self, e: &mut Encoder, version: i16) {
        let flexible = version >= 3;
        e.i16(self.error_code);
        e.array(&self.api_keys, flexible, |e, v| {
            v.encode(e, version);
        });
        if version >= 1 {
            e.i32(self.throttle_time_ms);
        }
        if flexible {
            let d = Self::default();
            let mut tags = Vec::new();
            if version >= 3 {
                if self.supported_features != d.supported_features {
                    let mut t = Encoder::new();
                    {
                        let e = &mut t;
                        e.array(&self.supported_features, true, |e, v| {
                            v.encode(e, version);
                        });
                    }
                    tags.push((0, t));
                }
            }
            if version >= 3 {
                if self.finalized_features_epoch != d.finalized_features_epoch {
                    let mut t = Encoder::new();
                    {
                        let e = &mut t;
                        e.i64(self.finalized_features_epoch);
                    }
                    tags.push((1, t));
                }
            }
            if version >= 3 {
                if self.finalized_features != d.finalized_features {
                    let mut t = Encoder::new();
                    {
                        let e = &mut t;
                        e.array(&self.finalized_features, true, |e, v| {
                            v.encode(e, version);
                        });
                    }
                    tags.push((2, t));
                }
            }
            if version >= 3 {
                if self.zk_migration_ready != d.zk_migration_ready {
                    let mut t = Encoder::new();
                    {
                        let e = &mut t;
                        e.bool(self.zk_migration_ready);
                    }
                    tags.push((3, t));
                }
            }
            e.tags(tags);
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ApiVersion {
    pub api_key: i16,
    pub min_version: i16,
    pub max_version: i16,
}

impl Default for ApiVersion {
    fn default() -> Self {
        Self { api_key: Default::default(), min_version: Default::default(), max_version: Default::default() }
    }
}

impl ApiVersion {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 3;
        let mut m = Self::default();
        m.api_key = d.i16()?;
        m.min_version = d.i16()?;
        m.max_version = d.i16()?;
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
        e.i16(self.api_key);
        e.i16(self.min_version);
        e.i16(self.max_version);
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct SupportedFeatureKey {
    pub name: String,
    pub min_version: i16,
    pub max_version: i16,
}

impl Default for SupportedFeatureKey {
    fn default() -> Self {
        Self { name: Default::default(), min_version: Default::default(), max_version: Default::default() }
    }
}

impl SupportedFeatureKey {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 3;
        let mut m = Self::default();
        if version >= 3 {
            m.name = d.string(flexible)?;
        }
        if version >= 3 {
            m.min_version = d.i16()?;
        }
        if version >= 3 {
            m.max_version = d.i16()?;
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
            e.string(&self.name, flexible);
        }
        if version >= 3 {
            e.i16(self.min_version);
        }
        if version >= 3 {
            e.i16(self.max_version);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct FinalizedFeatureKey {
    pub name: String,
    pub max_version_level: i16,
    pub min_version_level: i16,
}

impl Default for FinalizedFeatureKey {
    fn default() -> Self {
        Self {
            name: Default::default(),
            max_version_level: Default::default(),
            min_version_level: Default::default(),
        }
    }
}

impl FinalizedFeatureKey {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 3;
        let mut m = Self::default();
        if version >= 3 {
            m.name = d.string(flexible)?;
        }
        if version >= 3 {
            m.max_version_level = d.i16()?;
        }
        if version >= 3 {
            m.min_version_level = d.i16()?;
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
            e.string(&self.name, flexible);
        }
        if version >= 3 {
            e.i16(self.max_version_level);
        }
        if version >= 3 {
            e.i16(self.min_version_level);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
