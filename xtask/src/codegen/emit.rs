//! Rust from a schema: one structure with `decode` and `encode` each, branches only where versions differ.

use std::fmt::Write;

use anyhow::{Context, Result};

use super::schema::{Field, Kind, Message, Struct, Versions};

/// `FetchRequest` -> `fetch_request`; `ISR` -> `isr`.
pub(super) fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        let after_lower = i > 0 && !chars[i - 1].is_uppercase();
        let before_lower = chars.get(i + 1).is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && i > 0 && (after_lower || before_lower) {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    match out.as_str() {
        "type" | "match" | "ref" => format!("r#{out}"),
        _ => out,
    }
}

/// The file of one message.
pub(super) fn message(message: &Message) -> Result<String> {
    let mut out = format!(
        "//! {}, generated from its schema by `cargo xtask codegen`; never edited by hand.\n\n",
        message.name
    );
    out.push_str("use crate::kafka::codec::{Decoder, Encoder, Result};\n\n");
    for structure in &message.structs {
        emit_struct(&mut out, message, structure)?;
    }
    Ok(out)
}

/// The module that lists all files, and the table of API keys.
pub(super) fn index(modules: &[(String, Message)], version: &str) -> String {
    let mut out = format!(
        "//! Kafka's messages, generated from the schemas of kafka-clients {version} by `cargo xtask codegen`.\n\
         #![allow(missing_docs, clippy::all, clippy::pedantic, reason = \"generated: the names are the protocol's own\")]\n\n"
    );
    for (module, _) in modules {
        let _ = writeln!(out, "pub mod {module};");
    }
    out.push_str("\n/// Key, name, least and greatest version, first flexible version of each API.\n");
    out.push_str("pub const APIS: &[(i16, &str, i16, i16, i16)] = &[\n");
    for (_, message) in modules.iter().filter(|(_, m)| m.is_request) {
        let (Some(key), Some((min, max))) = (message.api_key, message.valid.0) else { continue };
        let flexible = message.flexible.0.map_or(i16::MAX, |(from, _)| from);
        let name = message.name.trim_end_matches("Request");
        let _ = writeln!(out, "({key}, {name:?}, {min}, {max}, {flexible}),");
    }
    out.push_str("];\n");
    out
}

fn emit_struct(out: &mut String, message: &Message, structure: &Struct) -> Result<()> {
    let name = &structure.name;
    let _ = writeln!(out, "#[derive(Clone, Debug, PartialEq)]\npub struct {name} {{");
    for field in &structure.fields {
        let _ = writeln!(out, "pub {}: {},", snake(&field.name), rust_type(field));
    }
    let _ = writeln!(out, "}}\n\nimpl Default for {name} {{\nfn default() -> Self {{\nSelf {{");
    for field in &structure.fields {
        let _ = writeln!(out, "{}: {},", snake(&field.name), default(field)?);
    }
    let _ = writeln!(out, "}}\n}}\n}}\n\nimpl {name} {{");
    emit_decode(out, message, structure);
    emit_encode(out, message, structure);
    out.push_str("}\n\n");
    Ok(())
}

fn rust_type(field: &Field) -> String {
    let plain = plain_type(&field.kind);
    if field.nullable.0.is_some() { format!("Option<{plain}>") } else { plain }
}

fn plain_type(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "bool".to_owned(),
        Kind::Int8 => "i8".to_owned(),
        Kind::Int16 => "i16".to_owned(),
        Kind::Uint16 => "u16".to_owned(),
        Kind::Int32 => "i32".to_owned(),
        Kind::Uint32 => "u32".to_owned(),
        Kind::Int64 => "i64".to_owned(),
        Kind::Float64 => "f64".to_owned(),
        Kind::Uuid => "[u8; 16]".to_owned(),
        Kind::String => "String".to_owned(),
        Kind::Bytes => "bytes::Bytes".to_owned(),
        Kind::Records => "crate::kafka::codec::Records".to_owned(),
        Kind::Struct(name) => name.clone(),
        Kind::Array(element) => format!("Vec<{}>", plain_type(element)),
    }
}

fn default(field: &Field) -> Result<String> {
    let is_null = field.default.as_deref() == Some("null");
    if field.nullable.0.is_some() {
        return Ok(match (&field.default, &field.kind) {
            (_, _) if is_null => "None".to_owned(),
            (Some(text), Kind::String) => format!("Some({text:?}.to_owned())"),
            (None | Some(_), Kind::Struct(_)) => "None".to_owned(),
            (None | Some(_), _) => "Some(Default::default())".to_owned(),
        });
    }
    let text = field.default.clone().unwrap_or_default();
    Ok(match field.kind {
        Kind::Int8 | Kind::Int16 | Kind::Uint16 | Kind::Int32 | Kind::Uint32 | Kind::Int64
            if !text.is_empty() =>
        {
            let value = match text.strip_prefix("0x") {
                Some(hex) => i64::from_str_radix(hex, 16),
                None => text.parse(),
            };
            value.with_context(|| format!("default {text} of {}", field.name))?.to_string()
        }
        Kind::Bool if !text.is_empty() => text,
        Kind::String if !text.is_empty() => format!("{text:?}.to_owned()"),
        _ => "Default::default()".to_owned(),
    })
}

/// The condition that a version lies in a range, given that it is valid; `None` if it always does.
fn condition(versions: Versions, valid: Versions) -> Option<String> {
    let Some((from, to)) = versions.0 else { return Some("false".to_owned()) };
    let (least, greatest) = valid.0.unwrap_or((0, i16::MAX));
    match (from > least, to < greatest) {
        (false, false) => None,
        (true, false) if from > greatest => Some("false".to_owned()),
        (true, false) => Some(format!("version >= {from}")),
        (false, true) if to < least => Some("false".to_owned()),
        (false, true) => Some(format!("version <= {to}")),
        (true, true) => Some(format!("({from}..={to}).contains(&version)")),
    }
}

fn guarded(out: &mut String, condition: Option<&str>, body: &str) {
    match condition {
        None => out.push_str(body),
        Some("false") => {}
        Some(condition) => {
            let _ = writeln!(out, "if {condition} {{\n{body}}}");
        }
    }
}

fn flexible_flag(message: &Message) -> String {
    condition(message.flexible, message.valid).unwrap_or_else(|| "true".to_owned())
}

/// Whether a field stands among the tagged ones in every version that has it.
fn is_tagged(field: &Field) -> bool {
    field.tagged.0.is_some()
}

fn emit_decode(out: &mut String, message: &Message, structure: &Struct) {
    out.push_str("pub fn decode(d: &mut Decoder, version: i16) -> Result<Self> {\n");
    let _ = writeln!(out, "let flexible = {};", flexible_flag(message));
    out.push_str("let mut m = Self::default();\n");
    for field in structure.fields.iter().filter(|f| !is_tagged(f)) {
        let flexible = if field.never_flexible { "false" } else { "flexible" };
        let body = format!("m.{} = {};\n", snake(&field.name), decode_field(field, message, flexible));
        guarded(out, condition(field.versions, message.valid).as_deref(), &body);
    }
    out.push_str("if flexible {\nd.tagged(|tag, d| {\nlet _ = &d;\nmatch tag {\n");
    for field in structure.fields.iter().filter(|f| is_tagged(f)) {
        let value = decode_field(field, message, "true");
        let _ = writeln!(out, "{} => {{ m.{} = {value}; Ok(true) }}", field.tag, snake(&field.name));
    }
    out.push_str("_ => Ok(false),\n}\n})?;\n}\nlet _ = version;\nOk(m)\n}\n\n");
}

fn decode_field(field: &Field, message: &Message, flexible: &str) -> String {
    if field.nullable.0.is_none() {
        return decode_plain(&field.kind, flexible);
    }
    match &field.kind {
        Kind::String => format!("d.nullable_string({flexible})?"),
        Kind::Bytes => format!("d.nullable_bytes({flexible})?"),
        Kind::Records => format!("d.nullable_records({flexible})?"),
        Kind::Array(element) => {
            format!("d.nullable_array({flexible}, |d| Ok({}))?", decode_plain(element, flexible))
        }
        other => {
            let some =
                format!("if d.i8()? < 0 {{ None }} else {{ Some({}) }}", decode_plain(other, flexible));
            match condition(field.nullable, message.valid) {
                None => some,
                Some(when) => {
                    format!("if {when} {{ {some} }} else {{ Some({}) }}", decode_plain(other, flexible))
                }
            }
        }
    }
}

fn decode_plain(kind: &Kind, flexible: &str) -> String {
    match kind {
        Kind::Bool => "d.bool()?".to_owned(),
        Kind::Int8 => "d.i8()?".to_owned(),
        Kind::Int16 => "d.i16()?".to_owned(),
        Kind::Uint16 => "d.u16()?".to_owned(),
        Kind::Int32 => "d.i32()?".to_owned(),
        Kind::Uint32 => "d.u32()?".to_owned(),
        Kind::Int64 => "d.i64()?".to_owned(),
        Kind::Float64 => "d.f64()?".to_owned(),
        Kind::Uuid => "d.uuid()?".to_owned(),
        Kind::String => format!("d.string({flexible})?"),
        Kind::Bytes => format!("d.bytes({flexible})?"),
        Kind::Records => format!("d.nullable_records({flexible})?.unwrap_or_default()"),
        Kind::Struct(name) => format!("{name}::decode(d, version)?"),
        Kind::Array(element) => format!("d.array({flexible}, |d| Ok({}))?", decode_plain(element, flexible)),
    }
}

fn emit_encode(out: &mut String, message: &Message, structure: &Struct) {
    out.push_str("pub fn encode(&self, e: &mut Encoder, version: i16) {\n");
    let _ = writeln!(out, "let flexible = {};", flexible_flag(message));
    for field in structure.fields.iter().filter(|f| !is_tagged(f)) {
        let flexible = if field.never_flexible { "false" } else { "flexible" };
        let body = encode_field(field, message, flexible);
        guarded(out, condition(field.versions, message.valid).as_deref(), &body);
    }
    out.push_str("if flexible {\n");
    let tagged: Vec<&Field> = structure.fields.iter().filter(|f| is_tagged(f)).collect();
    if tagged.is_empty() {
        out.push_str("e.no_tags();\n");
    } else {
        out.push_str("let d = Self::default();\nlet mut tags = Vec::new();\n");
        for field in tagged {
            let name = snake(&field.name);
            let body = format!(
                "if self.{name} != d.{name} {{\nlet mut t = Encoder::new();\n{{\nlet e = &mut t;\n{}}}\ntags.push(({}, t));\n}}\n",
                encode_field(field, message, "true"),
                field.tag
            );
            guarded(out, condition(field.tagged, message.valid).as_deref(), &body);
        }
        out.push_str("e.tags(tags);\n");
    }
    out.push_str("}\nlet _ = (version, e);\n}\n");
}

fn encode_field(field: &Field, message: &Message, flexible: &str) -> String {
    let value = format!("self.{}", snake(&field.name));
    if field.nullable.0.is_none() {
        return encode_plain(&field.kind, &value, flexible, true);
    }
    match &field.kind {
        Kind::String => format!("e.nullable_string({value}.as_deref(), {flexible});\n"),
        Kind::Bytes => format!("e.nullable_bytes({value}.as_ref(), {flexible});\n"),
        Kind::Records => format!("e.nullable_records({value}.as_ref(), {flexible});\n"),
        Kind::Array(element) => format!(
            "e.nullable_array({value}.as_deref(), {flexible}, |e, v| {{ {} }});\n",
            encode_plain(element, "v", flexible, false)
        ),
        other => {
            let plain = encode_plain(other, "v", flexible, false);
            let nullable =
                format!("match &{value} {{\nNone => e.i8(-1),\nSome(v) => {{ e.i8(1); {plain} }}\n}}\n");
            match condition(field.nullable, message.valid) {
                None => nullable,
                Some(when) => {
                    format!("if {when} {{\n{nullable}}} else if let Some(v) = &{value} {{\n{plain}}}\n")
                }
            }
        }
    }
}

/// `owned`: the value is a place, not a reference.
fn encode_plain(kind: &Kind, value: &str, flexible: &str, owned: bool) -> String {
    let number = if owned { value.to_owned() } else { format!("*{value}") };
    let reference = if owned { format!("&{value}") } else { value.to_owned() };
    match kind {
        Kind::Bool => format!("e.bool({number});\n"),
        Kind::Int8 => format!("e.i8({number});\n"),
        Kind::Int16 => format!("e.i16({number});\n"),
        Kind::Uint16 => format!("e.u16({number});\n"),
        Kind::Int32 => format!("e.i32({number});\n"),
        Kind::Uint32 => format!("e.u32({number});\n"),
        Kind::Int64 => format!("e.i64({number});\n"),
        Kind::Float64 => format!("e.f64({number});\n"),
        Kind::Uuid => format!("e.uuid({reference});\n"),
        Kind::String => format!("e.string({reference}, {flexible});\n"),
        Kind::Bytes => format!("e.bytes({reference}, {flexible});\n"),
        Kind::Records => format!("e.nullable_records(Some({reference}), {flexible});\n"),
        Kind::Struct(_) => format!("{value}.encode(e, version);\n"),
        Kind::Array(element) => format!(
            "e.array({reference}, {flexible}, |e, v| {{ {} }});\n",
            encode_plain(element, "v", flexible, false)
        ),
    }
}
