//! What the derived schemas need before Kubernetes takes them well: embedded types without their prose, a status that begins as
//! Unknown.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// The schema of an embedded type of Kubernetes without descriptions: a definition must stay below the 256 KiB that client-side
/// apply can remember in an annotation.
pub(super) fn pruned<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut value = T::json_schema(generator).to_value();
    prune(&mut value);
    Schema::try_from(value).unwrap_or_default()
}

fn prune(value: &mut Value) {
    match value {
        Value::Object(map) => {
            // A property may be called "description" too; that one is an object.
            if map.get("description").is_some_and(Value::is_string) {
                map.remove("description");
            }
            map.values_mut().for_each(prune);
        }
        Value::Array(list) => list.iter_mut().for_each(prune),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Gives the status a default: a resource that nobody looked at yet is Unknown, so that `kubectl wait` and kstatus never take it for
/// ready.
pub(super) fn finish(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let waiting = json!({"conditions": [{
        "type": "Ready",
        "status": "Unknown",
        "reason": "NotReconciled",
        "message": "waiting for the operator",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }]});
    for version in &mut crd.spec.versions {
        let properties = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut());
        let status = properties.and_then(|p| p.properties.as_mut()).and_then(|p| p.get_mut("status"));
        if let Some(status) = status {
            status.default = Some(JSON(waiting.clone()));
        }
    }
    crd
}
