//! The CEL rules of the definitions, evaluated as the API server does: the same text, the same order (the schema first, then the
//! rules), transition rules against the resource as it was.
//!
//! Must not know: what a rule says. Read first: [`Kind`].

use kube_cel::{CompiledSchema, Validator, compile_schema};
use serde_json::{Value, json};

use super::schema;
use crate::crd;
use crate::finding::{Finding, Path};

/// One kind of resource, its rules compiled once for any number of documents.
pub(crate) struct Kind {
    shape: Value,
    rules: CompiledSchema,
    validator: Validator,
}

impl Kind {
    /// `None` if there is no such kind.
    pub(crate) fn new(kind: &str) -> Option<Self> {
        let rules = crd::schema_of(kind)?;
        let mut shape = rules.clone();
        shape["properties"]["apiVersion"] = json!({"type": "string"});
        shape["properties"]["kind"] = json!({"type": "string"});
        shape["properties"]["metadata"] = metadata();
        shape["required"] = json!(["apiVersion", "kind", "metadata", "spec"]);
        Some(Self { shape, rules: compile_schema(&rules), validator: Validator::new() })
    }

    /// All that is wrong with a resource that shall take the place of `old`. The rules are only asked about what has the right shape.
    pub(crate) fn check(&self, resource: &Value, old: Option<&Value>) -> Vec<Finding> {
        let mut findings = Vec::new();
        schema::check(&self.shape, resource, &Path::default(), &mut findings);
        if !findings.is_empty() {
            return findings;
        }
        let mut resource = resource.clone();
        schema::drop_nulls(&self.shape, &mut resource);
        let errors = self.validator.validate_compiled(&self.rules, &resource, old).err();
        let finding =
            |error: kube_cel::ValidationError| Finding::new(&Path::of_rule(&error.field_path), error.message);
        errors.into_iter().flatten().map(finding).collect()
    }
}

/// What Kubernetes takes as metadata; what only it writes is accepted, so that `kubectl get -o yaml` gives a manifest.
fn metadata() -> Value {
    let anything = json!({"x-kubernetes-preserve-unknown-fields": true});
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}, "nullable": true});
    json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {
                "type": "string",
                "minLength": 1,
                "maxLength": 253,
                "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            },
            "namespace": {"type": "string", "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
            "labels": texts,
            "annotations": texts,
            "creationTimestamp": anything,
            "finalizers": anything,
            "generation": anything,
            "managedFields": anything,
            "ownerReferences": anything,
            "resourceVersion": anything,
            "uid": anything,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule that does not compile or does not give true or false would refuse everything; a rule that is gone would refuse nothing.
    #[test]
    fn every_rule_of_the_definitions_is_evaluated() {
        let count = |kind| crd::schema_of(kind).map_or(0, |s| s.to_string().matches("\"rule\"").count());
        assert_eq!(
            (count("Ensemble"), count("Topic")),
            (5, 7),
            "a new rule needs a case in tests/manifests.rs"
        );
        let ensemble = json!({
            "apiVersion": crd::API_VERSION, "kind": "Ensemble", "metadata": {"name": "e"},
            "spec": {
                "replicas": 3,
                "voters": 3,
                "storage": {"size": "1Gi", "class": "fast"},
                "coordination": {"minSessionTimeoutMs": 1, "maxSessionTimeoutMs": 2},
            },
        });
        let topic = json!({
            "apiVersion": crd::API_VERSION, "kind": "Topic", "metadata": {"name": "t"},
            "spec": {
                "ensembleRef": {"name": "e"},
                "topicName": "T",
                "partitions": 1,
                "replicationFactor": 1,
                "config": {"retention.ms": null},
            },
        });
        for (kind, resource) in [("Ensemble", ensemble), ("Topic", topic)] {
            let rules = Kind::new(kind).expect("a kind");
            assert_eq!(rules.check(&resource, None), []);
            assert_eq!(rules.check(&resource, Some(&resource)), []);
        }
    }
}
