//! DescribeGroupsResponse, generated from its schema by `cargo xtask codegen`; never edited by hand.

use crate::kafka::codec::{Decoder, Encoder, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeGroupsResponse {
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup>,
}

impl Default for DescribeGroupsResponse {
    fn default() -> Self {
        Self { throttle_time_ms: Default::default(), groups: Default::default() }
    }
}

impl DescribeGroupsResponse {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 5;
        let mut m = Self::default();
        if version >= 1 {
            m.throttle_time_ms = d.i32()?;
        }
        m.groups = d.array(flexible, |d| Ok(DescribedGroup::decode(d, version)?))?;
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
        if version >= 1 {
            e.i32(self.throttle_time_ms);
        }
        e.array(&self.groups, flexible, |e, v| {
            v.encode(e, version);
        });
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribedGroup {
    pub error_code: i16,
    pub error_message: Option<String>,
    pub group_id: String,
    pub group_state: String,
    pub protocol_type: String,
    pub protocol_data: String,
    pub members: Vec<DescribedGroupMember>,
    pub authorized_operations: i32,
}

impl Default for DescribedGroup {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            error_message: None,
            group_id: Default::default(),
            group_state: Default::default(),
            protocol_type: Default::default(),
            protocol_data: Default::default(),
            members: Default::default(),
            authorized_operations: -2147483648,
        }
    }
}

impl DescribedGroup {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 5;
        let mut m = Self::default();
        m.error_code = d.i16()?;
        if version >= 6 {
            m.error_message = d.nullable_string(flexible)?;
        }
        m.group_id = d.string(flexible)?;
        m.group_state = d.string(flexible)?;
        m.protocol_type = d.string(flexible)?;
        m.protocol_data = d.string(flexible)?;
        m.members = d.array(flexible, |d| Ok(DescribedGroupMember::decode(d, version)?))?;
        if version >= 3 {
            m.authorized_operations = d.i32()?;
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
        e.i16(self.error_code);
        if version >= 6 {
            e.nullable_string(self.error_message.as_deref(), flexible);
        }
        e.string(&self.group_id, flexible);
        e.string(&self.group_state, flexible);
        e.string(&self.protocol_type, flexible);
        e.string(&self.protocol_data, flexible);
        e.array(&self.members, flexible, |e, v| {
            v.encode(e, version);
        });
        if version >= 3 {
            e.i32(self.authorized_operations);
        }
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribedGroupMember {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub member_metadata: bytes::Bytes,
    pub member_assignment: bytes::Bytes,
}

impl Default for DescribedGroupMember {
    fn default() -> Self {
        Self {
            member_id: Default::default(),
            group_instance_id: None,
            client_id: Default::default(),
            client_host: Default::default(),
            member_metadata: Default::default(),
            member_assignment: Default::default(),
        }
    }
}

impl DescribedGroupMember {
    pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {
        let flexible = version >= 5;
        let mut m = Self::default();
        m.member_id = d.string(flexible)?;
        if version >= 4 {
            m.group_instance_id = d.nullable_string(flexible)?;
        }
        m.client_id = d.string(flexible)?;
        m.client_host = d.string(flexible)?;
        m.member_metadata = d.bytes(flexible)?;
        m.member_assignment = d.bytes(flexible)?;
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
        e.string(&self.member_id, flexible);
        if version >= 4 {
            e.nullable_string(self.group_instance_id.as_deref(), flexible);
        }
        e.string(&self.client_id, flexible);
        e.string(&self.client_host, flexible);
        e.bytes(&self.member_metadata, flexible);
        e.bytes(&self.member_assignment, flexible);
        if flexible {
            e.no_tags();
        }
        let _ = (version, e);
    }
}
