//! Whether a resource has the shape that its schema gives: known fields, types, bounds. What the API server would refuse is refused
//! here, in words that say what is allowed.
//!
//! Knows the part of OpenAPI that structural schemas have. Must not know: the resources. Read first: [`check`].

use regex::Regex;
use serde_json::{Map, Value};

use crate::finding::{Finding, Path};

/// A name that is this like a known one was meant as it.
const SIMILAR: f64 = 0.8;

/// All that is wrong with `value`.
pub(super) fn check(schema: &Value, value: &Value, path: &Path, findings: &mut Vec<Finding>) {
    if value.is_null() {
        if !flag(schema, "nullable") && !flag(schema, "x-kubernetes-preserve-unknown-fields") {
            findings.push(Finding::new(path, format!("is empty; {} is needed", wanted(schema))));
        }
        return;
    }
    if !has_type(schema, value) {
        findings.push(Finding::new(path, format!("{} is not possible; {} is", shown(value), wanted(schema))));
        return;
    }
    match value {
        Value::Object(fields) => check_fields(schema, fields, path, findings),
        Value::Array(items) => check_items(schema, items, path, findings),
        Value::String(text) => check_text(schema, text, path, findings),
        Value::Number(_) => {
            if !in_range(schema, value) {
                let message = format!("{value} is not possible; {} is", wanted(schema));
                findings.push(Finding::new(path, message));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// Takes away the fields that are empty and may be: they are absent to the rules. Entries of maps stay, there `null` means something.
pub(super) fn drop_nulls(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let known = schema["properties"].as_object();
            if known.is_some() {
                fields.retain(|_, value| !value.is_null());
            }
            for (name, value) in fields {
                if let Some(schema) = known.and_then(|known| known.get(name)) {
                    drop_nulls(schema, value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| drop_nulls(&schema["items"], item)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn check_fields(schema: &Value, fields: &Map<String, Value>, path: &Path, findings: &mut Vec<Finding>) {
    let none = Map::new();
    let known = schema["properties"].as_object().unwrap_or(&none);
    for (name, value) in fields {
        let below = path.field(name);
        if let Some(schema) = known.get(name) {
            check(schema, value, &below, findings);
        } else if schema["additionalProperties"].is_object() {
            check(&schema["additionalProperties"], value, &below, findings);
        } else if !flag(schema, "x-kubernetes-preserve-unknown-fields") {
            findings.push(Finding::new(&below, unknown(name, known)));
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            let message = format!("is missing; {} is needed", wanted(&known[name]));
            findings.push(Finding::new(&path.field(name), message));
        }
    }
    if let Some(most) = schema["maxProperties"].as_u64()
        && fields.len() as u64 > most
    {
        findings
            .push(Finding::new(path, format!("has {} entries; {most} at most are possible", fields.len())));
    }
}

fn unknown(name: &str, known: &Map<String, Value>) -> String {
    let similar = known
        .keys()
        .map(|key| (strsim::jaro_winkler(name, key), key))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let hint = similar.map(|(_, key)| format!("did you mean {key}? ")).unwrap_or_default();
    let allowed: Vec<&str> = known.keys().map(String::as_str).collect();
    if allowed.is_empty() {
        return "unknown field; nothing is allowed here".to_owned();
    }
    format!("unknown field; {hint}allowed: {}", allowed.join(", "))
}

fn check_items(schema: &Value, items: &[Value], path: &Path, findings: &mut Vec<Finding>) {
    if let Some(most) = schema["maxItems"].as_u64()
        && items.len() as u64 > most
    {
        findings
            .push(Finding::new(path, format!("has {} elements; {most} at most are possible", items.len())));
    }
    for (index, item) in items.iter().enumerate() {
        check(&schema["items"], item, &path.index(index), findings);
    }
}

fn check_text(schema: &Value, text: &str, path: &Path, findings: &mut Vec<Finding>) {
    let refused = |message: String| Finding::new(path, format!("{text:?} is not possible; {message}"));
    if let Some(allowed) = schema["enum"].as_array() {
        if !allowed.iter().any(|value| value == text) {
            findings.push(refused(format!("{} is", wanted(schema))));
        }
        return;
    }
    let length = text.chars().count() as u64;
    if schema["minLength"].as_u64().is_some_and(|least| length < least)
        || schema["maxLength"].as_u64().is_some_and(|most| length > most)
    {
        let (least, most) = (&schema["minLength"], &schema["maxLength"]);
        let least = least.as_u64().unwrap_or(0);
        findings.push(refused(format!("it has {length} characters, {least} to {most} are allowed")));
        return;
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && !Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
    {
        findings.push(refused(format!("it must match {pattern}")));
    }
}

fn has_type(schema: &Value, value: &Value) -> bool {
    if flag(schema, "x-kubernetes-int-or-string") {
        return value.is_i64() || value.is_u64() || value.is_string();
    }
    match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some(_) | None => true,
    }
}

/// The bounds of a number: what the schema says, within what its format can hold.
fn bounds(schema: &Value) -> (Option<f64>, Option<f64>) {
    let narrow = schema["format"] == "int32";
    let least = schema["minimum"].as_f64().or(narrow.then_some(f64::from(i32::MIN)));
    let most = schema["maximum"].as_f64().or(narrow.then_some(f64::from(i32::MAX)));
    (least, most)
}

fn in_range(schema: &Value, value: &Value) -> bool {
    let number = value.as_f64().unwrap_or(f64::NAN);
    let (least, most) = bounds(schema);
    least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most)
}

fn flag(schema: &Value, name: &str) -> bool {
    schema[name].as_bool() == Some(true)
}

/// What the schema allows, as a noun.
fn wanted(schema: &Value) -> String {
    if flag(schema, "x-kubernetes-int-or-string") {
        return "a whole number or text".to_owned();
    }
    if let Some(allowed) = schema["enum"].as_array() {
        let allowed: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
        return allowed.join(" or ");
    }
    match schema["type"].as_str() {
        Some("object") => "a map".to_owned(),
        Some("array") => "a list".to_owned(),
        Some("string") => "text".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some(kind) => {
            let noun = if kind == "integer" { "a whole number" } else { "a number" };
            match bounds(schema) {
                (Some(least), Some(most)) => format!("{noun} from {least} to {most}"),
                (Some(least), None) => format!("{noun}, at least {least},"),
                (None, Some(most)) => format!("{noun}, at most {most},"),
                (None, None) => noun.to_owned(),
            }
        }
        None => "a value".to_owned(),
    }
}

/// A value as the user wrote it, with what it is where that may surprise.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the text {text:?}"),
        Value::Number(number) => format!("the number {number}"),
        Value::Bool(value) => format!("{value} without quotes"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
        Value::Null => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn findings(schema: &Value, value: &Value) -> Vec<String> {
        let mut found = Vec::new();
        check(schema, value, &Path::fields("f"), &mut found);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_kind_of_mistake_has_its_words() {
        let number = json!({"type": "integer", "format": "int32", "minimum": 1.0, "maximum": 9.0});
        let map = json!({"type": "object", "properties": {"partitions": number}, "required": ["partitions"]});
        let text = json!({"type": "string", "minLength": 1, "maxLength": 3, "pattern": "^[a-z]+$"});
        let cases = [
            (&number, json!("many"), "f: the text \"many\" is not possible; a whole number from 1 to 9 is"),
            (&number, json!(0), "f: 0 is not possible; a whole number from 1 to 9 is"),
            (&number, json!(1.5), "f: the number 1.5 is not possible; a whole number from 1 to 9 is"),
            (&number, Value::Null, "f: is empty; a whole number from 1 to 9 is needed"),
            (&map, json!([]), "f: a list is not possible; a map is"),
            (&map, json!({}), "f.partitions: is missing; a whole number from 1 to 9 is needed"),
            (
                &map,
                json!({"partitions": 1, "partition": 1}),
                "f.partition: unknown field; did you mean partitions? allowed: partitions",
            ),
            (&text, json!(5), "f: the number 5 is not possible; text is"),
            (&text, json!("abcd"), "f: \"abcd\" is not possible; it has 4 characters, 1 to 3 are allowed"),
            (&text, json!("A"), "f: \"A\" is not possible; it must match ^[a-z]+$"),
            (
                &json!({"type": "string", "enum": ["Retain", "Delete"]}),
                json!("Keep"),
                "f: \"Keep\" is not possible; Retain or Delete is",
            ),
            (
                &json!({"type": "boolean"}),
                json!("yes"),
                "f: the text \"yes\" is not possible; true or false is",
            ),
            (
                &json!({"type": "array", "items": number, "maxItems": 1}),
                json!([0, 1]),
                "f: has 2 elements; 1 at most are possible",
            ),
        ];
        for (schema, value, expected) in cases {
            assert_eq!(findings(schema, &value)[0], expected, "{value}");
        }
        assert_eq!(findings(&number, &json!(9)), [""; 0]);
        assert_eq!(findings(&json!({"type": "string", "nullable": true}), &Value::Null), [""; 0]);
    }
}
