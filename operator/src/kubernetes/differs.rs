//! Whether an object is as it shall be. Only fields that are applied count: what others set, and what the server fills in, is theirs.
//!
//! A field that is not applied any more is noticed by the digest of everything that was. Must not know: kinds. Read first: [`differs`].

use serde_json::Value;

use crate::quantity;

/// The first field in which an object is not as it shall be.
pub fn differs(wanted: &Value, there: &Value) -> Option<String> {
    difference(wanted, there, &mut Vec::new())
}

fn difference(wanted: &Value, there: &Value, path: &mut Vec<String>) -> Option<String> {
    match (wanted, there) {
        (Value::Object(wanted), Value::Object(there)) => wanted.iter().find_map(|(key, value)| {
            inside(path, key.clone(), |path| difference(value, there.get(key).unwrap_or(&Value::Null), path))
        }),
        (Value::Array(wanted), Value::Array(there)) if wanted.len() == there.len() => {
            wanted.iter().zip(there).enumerate().find_map(|(index, (value, other))| {
                inside(path, index.to_string(), |path| difference(value, other, path))
            })
        }
        // The server drops what is empty.
        (wanted, Value::Null) if is_empty(wanted) => None,
        // The server writes quantities in its own form.
        (Value::String(wanted), Value::String(there))
            if wanted == there || quantity::compare(wanted, there).is_some_and(std::cmp::Ordering::is_eq) =>
        {
            None
        }
        (wanted, there) if wanted == there => None,
        _ => Some(path.join(".")),
    }
}

fn inside(
    path: &mut Vec<String>,
    step: String,
    look: impl FnOnce(&mut Vec<String>) -> Option<String>,
) -> Option<String> {
    path.push(step);
    let found = look(path);
    path.pop();
    found
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_empty),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_set_and_what_the_server_fills_in_is_no_difference() {
        let wanted = json!({"a": {"b": [{"c": 1}], "resources": {}}, "cpu": "0.5"});
        let there = json!({"a": {"b": [{"c": 1, "default": true}]}, "cpu": "500m", "status": {}});
        assert_eq!(differs(&wanted, &there), None);
    }

    #[test]
    fn what_was_changed_or_is_missing_is_found() {
        let wanted = json!({"a": {"b": [{"c": 1}, {"c": 2}]}, "d": "x"});
        let cases = [
            (json!({"a": {"b": [{"c": 1}, {"c": 3}]}, "d": "x"}), "a.b.1.c"),
            (json!({"a": {"b": [{"c": 1}]}, "d": "x"}), "a.b"),
            (json!({"a": {"b": [{"c": 1}, {"c": 2}]}}), "d"),
            (json!({"d": "x"}), "a"),
        ];
        for (there, path) in cases {
            assert_eq!(differs(&wanted, &there).as_deref(), Some(path), "{there}");
        }
    }
}
