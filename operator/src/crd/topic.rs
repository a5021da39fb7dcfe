//! `Topic`: a Kafka topic of an ensemble.
//!
//! Read first: [`TopicSpec`].

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DeletionPolicy;
use super::status::TopicStatus;

/// What a topic shall be.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "streamkeeper.dev",
    version = "v1alpha1",
    kind = "Topic",
    plural = "topics",
    shortname = "ktopic",
    category = "all",
    category = "streamkeeper",
    namespaced,
    status = "TopicStatus",
    derive = "PartialEq",
    doc = "A Kafka topic of an ensemble.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Ensemble", type_ = "string", json_path = ".spec.ensembleRef.name"),
    printcolumn(name = "Partitions", type_ = "integer", json_path = ".status.partitions"),
    printcolumn(name = "RF", type_ = "integer", json_path = ".spec.replicationFactor"),
    printcolumn(name = "UnderReplicated", type_ = "integer", json_path = ".status.underReplicated"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("has(self.spec.topicName) || size(self.metadata.name) <= 249")
        .message("a topic's name has at most 249 characters in Kafka; give a shorter one in spec.topicName")
        .field_path(".spec.topicName"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "has(self.topicName) == has(oldSelf.topicName) && (!has(self.topicName) || self.topicName == oldSelf.topicName)"
    )
    .message("the topic's name in Kafka cannot be changed; make another Topic")
    .field_path(".topicName"),
)]
pub struct TopicSpec {
    /// The ensemble that the topic is in; fixed.
    #[x_kube(validation = Rule::new("self.name == oldSelf.name").message("a topic cannot move to another ensemble").field_path(".name"))]
    pub ensemble_ref: Reference,
    /// The topic's name in Kafka, where the resource's name will not do; fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 249), regex(pattern = "^[a-zA-Z0-9._-]+$"))]
    #[x_kube(
        validation = Rule::new("self != '.' && self != '..'").message("a topic cannot be called . or .."),
        validation = Rule::new("self != '__consumer_offsets' && self != '__transaction_state'")
            .message("the agents keep this topic themselves")
    )]
    pub topic_name: Option<String>,
    /// How many partitions. May grow, never shrinks.
    #[schemars(range(min = 1, max = 10_000))]
    #[x_kube(
        validation = Rule::new("self >= oldSelf").message(Message::Expression(
            "'%d is fewer than the %d there are; partitions may grow, never shrink'.format([self, oldSelf])".to_owned()
        ))
    )]
    pub partitions: i32,
    /// Copies of each partition; at most as many as the ensemble has agents. Fixed.
    #[schemars(range(min = 1, max = 99))]
    #[x_kube(
        validation = Rule::new("self == oldSelf").message(Message::Expression(
            "'the topic has %d copies of each partition; that cannot be changed'.format([oldSelf])".to_owned()
        ))
    )]
    pub replication_factor: i32,
    /// Kafka's topic settings under Kafka's names, values as text. A key that is absent has Kafka's default again, unless the topic had
    /// it before this resource took it on (`status.keptConfig`). `null` leaves the key to others; on a resource that is there already it
    /// takes `kubectl apply --server-side`, as `kubectl apply` and `edit` by themselves leave nulls out.
    #[serde(default)]
    pub config: BTreeMap<String, Option<String>>,
    /// What becomes of the topic when the resource is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// Another resource of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
