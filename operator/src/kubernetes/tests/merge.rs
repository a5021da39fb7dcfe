//! Server-side apply by one manager, forced: what it applies it owns, and a field that it applied before and does not apply any more
//! goes. Lists are taken as a whole, but for those that Kubernetes merges by key.

use serde_json::{Map, Value};

/// Brings `live` to what `body` says; `before` is what the manager applied last.
pub(super) fn apply(live: &mut Value, before: &Value, body: &Value) {
    if !live.is_object() {
        *live = Value::Object(Map::new());
    }
    let (Some(there), Some(wanted)) = (live.as_object_mut(), body.as_object()) else { return };
    let none = Map::new();
    let owned = before.as_object().unwrap_or(&none);
    for (key, value) in owned.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
        give_up(there, key, value);
    }
    for (key, value) in wanted.iter().filter(|(_, value)| !value.is_null()) {
        let before = owned.get(key).unwrap_or(&Value::Null);
        match value {
            Value::Object(_) => apply(there.entry(key.clone()).or_insert(Value::Null), before, value),
            Value::Array(list) if is_keyed(key) => {
                let others = there.get(key).map(|there| without(there, before)).unwrap_or_default();
                let mut merged: Vec<Value> =
                    others.into_iter().filter(|other| !list.iter().any(|item| same(item, other))).collect();
                merged.extend(list.iter().cloned());
                // The server drops what is empty.
                match merged.is_empty() {
                    true => drop(there.remove(key)),
                    false => drop(there.insert(key.clone(), Value::Array(merged))),
                }
            }
            _ => drop(there.insert(key.clone(), value.clone())),
        }
    }
}

/// A field that is not applied any more goes, but for what others have in it.
fn give_up(there: &mut Map<String, Value>, key: &str, owned: &Value) {
    let Some(value) = there.get_mut(key) else { return };
    let is_empty = match (&mut *value, owned) {
        (Value::Object(fields), Value::Object(owned)) => {
            owned.iter().for_each(|(key, owned)| give_up(fields, key, owned));
            fields.is_empty()
        }
        (Value::Array(_), _) if is_keyed(key) => {
            let others = without(value, owned);
            let is_empty = others.is_empty();
            *value = Value::Array(others);
            is_empty
        }
        _ => true,
    };
    if is_empty {
        there.remove(key);
    }
}

/// Lists of which each item has its own owner.
fn is_keyed(key: &str) -> bool {
    matches!(key, "finalizers" | "ownerReferences")
}

fn same(one: &Value, other: &Value) -> bool {
    if one.is_object() { one["uid"] == other["uid"] } else { one == other }
}

fn without(list: &Value, owned: &Value) -> Vec<Value> {
    let owned = owned.as_array().cloned().unwrap_or_default();
    let items = list.as_array().into_iter().flatten();
    items.filter(|item| !owned.iter().any(|own| same(own, item))).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_applied_any_more_goes_and_what_others_set_stays() {
        let mut live = json!({"spec": {"a": 1, "b": {"c": 2, "other": 3}}, "status": {}});
        let before = json!({"spec": {"a": 1, "b": {"c": 2}}});
        apply(&mut live, &before, &json!({"spec": {"a": 5}}));
        assert_eq!(live, json!({"spec": {"a": 5, "b": {"other": 3}}, "status": {}}));
    }

    #[test]
    fn finalizers_and_owners_are_merged_by_key() {
        let mut live = json!({"finalizers": ["foreign", "ours"], "ownerReferences": [{"uid": "a"}]});
        let before = json!({"finalizers": ["ours"]});
        apply(&mut live, &before, &json!({"finalizers": [], "ownerReferences": [{"uid": "b"}]}));
        assert_eq!(live, json!({"finalizers": ["foreign"], "ownerReferences": [{"uid": "a"}, {"uid": "b"}]}));
    }
}
