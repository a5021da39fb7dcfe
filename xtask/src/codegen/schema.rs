//! What a schema says: fields, their types, and the versions they are in.

use anyhow::{Context, Result};
use serde::Deserialize;

/// A range of versions, both ends included; `None` for no version at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Versions(pub(super) Option<(i16, i16)>);

impl Versions {
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text == "none" || text.is_empty() {
            return Ok(Self(None));
        }
        let range = if let Some(from) = text.strip_suffix('+') {
            (from.parse()?, i16::MAX)
        } else if let Some((from, to)) = text.split_once('-') {
            (from.parse()?, to.parse()?)
        } else {
            (text.parse()?, text.parse()?)
        };
        Ok(Self(Some(range)))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawField {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    versions: String,
    nullable_versions: Option<String>,
    tagged_versions: Option<String>,
    flexible_versions: Option<String>,
    tag: Option<u32>,
    default: Option<serde_json::Value>,
    #[serde(default)]
    fields: Vec<RawField>,
}

#[derive(Deserialize)]
struct RawStruct {
    name: String,
    fields: Vec<RawField>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMessage {
    api_key: Option<i16>,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    valid_versions: String,
    flexible_versions: Option<String>,
    fields: Vec<RawField>,
    #[serde(default)]
    common_structs: Vec<RawStruct>,
}

/// A field.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) versions: Versions,
    pub(super) nullable: Versions,
    pub(super) tagged: Versions,
    /// Overrides the message's: the header's client id is never compact.
    pub(super) never_flexible: bool,
    pub(super) tag: u32,
    pub(super) default: Option<String>,
}

/// A field's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Kind>),
}

/// A structure within a message, or the message itself.
#[derive(Clone, Debug)]
pub(super) struct Struct {
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
}

/// A message.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) name: String,
    pub(super) api_key: Option<i16>,
    pub(super) is_request: bool,
    pub(super) valid: Versions,
    pub(super) flexible: Versions,
    /// The message itself first.
    pub(super) structs: Vec<Struct>,
}

impl Message {
    pub(super) fn parse(text: &str) -> Result<Self> {
        // Schemas are JSON with comments on lines of their own.
        let plain: String =
            text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let raw: RawMessage = serde_json::from_str(&plain).context("a schema that is not JSON")?;
        let mut structs = Vec::new();
        collect(&raw.name, raw.fields, &mut structs)?;
        for common in raw.common_structs {
            collect(&common.name, common.fields, &mut structs)?;
        }
        Ok(Self {
            name: raw.name,
            api_key: raw.api_key,
            is_request: raw.kind == "request",
            valid: Versions::parse(&raw.valid_versions)?,
            flexible: Versions::parse(raw.flexible_versions.as_deref().unwrap_or("none"))?,
            structs,
        })
    }
}

fn collect(name: &str, fields: Vec<RawField>, structs: &mut Vec<Struct>) -> Result<()> {
    let at = structs.len();
    structs.push(Struct { name: name.to_owned(), fields: Vec::new() });
    let mut parsed = Vec::new();
    for raw in fields {
        let kind = kind(&raw.kind);
        if !raw.fields.is_empty() {
            collect(raw.kind.trim_start_matches("[]"), raw.fields, structs)?;
        }
        parsed.push(Field {
            name: raw.name,
            kind,
            versions: Versions::parse(&raw.versions)?,
            nullable: Versions::parse(raw.nullable_versions.as_deref().unwrap_or("none"))?,
            tagged: Versions::parse(raw.tagged_versions.as_deref().unwrap_or("none"))?,
            never_flexible: raw.flexible_versions.as_deref() == Some("none"),
            tag: raw.tag.unwrap_or_default(),
            default: raw.default.map(|value| match value {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            }),
        });
    }
    structs[at].fields = parsed;
    Ok(())
}

fn kind(name: &str) -> Kind {
    if let Some(element) = name.strip_prefix("[]") {
        return Kind::Array(Box::new(kind(element)));
    }
    match name {
        "bool" => Kind::Bool,
        "int8" => Kind::Int8,
        "int16" => Kind::Int16,
        "uint16" => Kind::Uint16,
        "int32" => Kind::Int32,
        "uint32" => Kind::Uint32,
        "int64" => Kind::Int64,
        "float64" => Kind::Float64,
        "uuid" => Kind::Uuid,
        "string" => Kind::String,
        "bytes" => Kind::Bytes,
        "records" => Kind::Records,
        other => Kind::Struct(other.to_owned()),
    }
}
