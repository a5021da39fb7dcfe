//! `Ensemble`: a number of agents that are together one ZooKeeper ensemble and one Kafka cluster.
//!
//! Read first: [`EnsembleSpec`].

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, ResourceRequirements, Toleration, TopologySpreadConstraint};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use super::status::EnsembleStatus;
use crate::digest::digest;
use crate::kafka_config;

/// What an ensemble shall be.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "streamkeeper.dev",
    version = "v1alpha1",
    kind = "Ensemble",
    plural = "ensembles",
    shortname = "ens",
    category = "all",
    category = "streamkeeper",
    namespaced,
    status = "EnsembleStatus",
    derive = "PartialEq",
    doc = "A number of agents that are together one ZooKeeper ensemble and one Kafka cluster.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Members", type_ = "string", json_path = ".status.membersReady"),
    printcolumn(name = "Leader", type_ = "integer", json_path = ".status.quorum.leader"),
    printcolumn(
        name = "Balanced",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Balanced\")].status"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Margin",
        type_ = "integer",
        json_path = ".status.quorum.margin",
        description = "How many more voters may fail while a quorum is left",
        priority = 1
    ),
    printcolumn(name = "Zxid", type_ = "string", json_path = ".status.quorum.zxid", priority = 1),
    printcolumn(
        name = "ZooKeeper",
        type_ = "string",
        json_path = ".status.endpoints.zookeeper",
        priority = 1
    ),
    printcolumn(name = "Kafka", type_ = "string", json_path = ".status.endpoints.kafka", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.voters) || self.voters <= self.replicas")
        .message(Message::Expression(
            "'%d voters are not possible with %d replicas; at most as many vote as there are'.format([self.voters, self.replicas])"
                .to_owned()
        ))
        .field_path(".voters"),
)]
pub struct EnsembleSpec {
    /// How many agents there shall be. Raising it adds members and moves replicas to them; lowering it empties the last members
    /// first and stops them only then.
    #[schemars(range(min = 1, max = 99))]
    pub replicas: i32,
    /// How many agents vote; odd, at most `replicas`; the others observe. When absent: 1 of up to 2, 3 of up to 4, 5 from 5 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9))]
    #[x_kube(validation = Rule::new("self % 2 == 1").message("the number of voters must be odd: an even one survives no more failures"))]
    pub voters: Option<i32>,
    /// The agents' image; the operator's own when absent. Local processes have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub image: Option<String>,
    /// The volume of each agent. Local processes use their data directory.
    #[serde(default)]
    pub storage: StorageSpec,
    /// Requests and limits of each agent, as in a pod. Local processes have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::pruned::<Option<ResourceRequirements>>")]
    pub resources: Option<ResourceRequirements>,
    /// ZooKeeper's settings.
    #[serde(default)]
    pub coordination: CoordinationSpec,
    /// Kafka's broker settings.
    #[serde(default)]
    pub broker: BrokerSpec,
    /// How replicas are spread over the agents.
    #[serde(default)]
    pub rebalance: RebalanceSpec,
    /// Where agents run. Local processes run here.
    #[serde(default)]
    pub scheduling: SchedulingSpec,
    /// Only the status is kept up to date; nothing is changed.
    #[serde(default)]
    pub paused: bool,
    /// All agents are stopped in order, their volumes kept.
    #[serde(default)]
    pub suspended: bool,
    /// What becomes of the volumes when the resource is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

impl EnsembleSpec {
    /// How many agents vote, the default filled in.
    pub fn voters(&self) -> i32 {
        self.voters.unwrap_or_else(|| voters_by_default(self.replicas))
    }

    /// The broker settings that may change while an agent runs: it is told of them.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let dynamic = self.broker.config.iter().filter(|(name, _)| !kafka_config::is_read_only(name));
        dynamic.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// A name for the part of the specification that an agent reads at its start and never again: another name, and the agent must be
    /// restarted.
    pub fn revision(&self) -> String {
        let settings = self.broker.config.iter().filter(|(name, _)| kafka_config::is_read_only(name));
        let settings: BTreeMap<&String, &String> = settings.collect();
        let read_at_start = (&self.coordination, settings, &self.resources);
        digest(&serde_json::to_string(&read_at_start).unwrap_or_default())
    }
}

/// How many of `replicas` agents vote unless the manifest says it: the largest of 1, 3, 5 that is at most `replicas`.
pub fn voters_by_default(replicas: i32) -> i32 {
    match replicas {
        ..=2 => 1,
        3..=4 => 3,
        5.. => 5,
    }
}

/// A volume per agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageSpec {
    /// Size of each volume, as Kubernetes writes quantities. May grow, never shrinks.
    #[serde(default = "storage_size_by_default")]
    #[schemars(length(max = 32), regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$"))]
    #[x_kube(
        validation = Rule::new("quantity(self).compareTo(quantity(oldSelf)) >= 0").message(Message::Expression(
            "self + ' is less than the ' + oldSelf + ' there are; storage may grow, never shrinks'".to_owned()
        ))
    )]
    pub size: String,
    /// The storage class; the cluster's default when absent. Fixed once volumes exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the storage class of existing volumes cannot be changed"))]
    pub class: Option<String>,
}

fn storage_size_by_default() -> String {
    "10Gi".to_owned()
}

impl Default for StorageSpec {
    fn default() -> Self {
        Self { size: storage_size_by_default(), class: None }
    }
}

/// ZooKeeper's settings under their names in camelCase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "!has(self.minSessionTimeoutMs) || !has(self.maxSessionTimeoutMs) || self.minSessionTimeoutMs <= self.maxSessionTimeoutMs"
    )
    .message("minSessionTimeoutMs must be at most maxSessionTimeoutMs")
    .field_path(".minSessionTimeoutMs"),
)]
pub struct CoordinationSpec {
    /// ZooKeeper's `tickTime` in milliseconds; 2000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60_000))]
    pub tick_time_ms: Option<i32>,
    /// ZooKeeper's `minSessionTimeout` in milliseconds; 2 ticks when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub min_session_timeout_ms: Option<i32>,
    /// ZooKeeper's `maxSessionTimeout` in milliseconds; 20 ticks when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_session_timeout_ms: Option<i32>,
    /// ZooKeeper's `maxClientCnxns`: connections from one address to one agent; 0, the default, for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_client_cnxns: Option<i32>,
    /// The 4-letter words that are answered (`4lw.commands.whitelist`); `*` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(regex(pattern = r"^(\*|[a-z]{4})$")))]
    pub four_letter_words: Option<Vec<String>>,
}

/// Kafka's broker settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokerSpec {
    /// Under Kafka's names, values as text. Unknown keys, and keys that follow from other fields, are refused by name. Agents are told of
    /// a change and have it at once; only `connections.max.idle.ms` is read when an agent starts, and restarts them one by one.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
}

/// How replicas are spread over the agents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RebalanceSpec {
    /// `Auto`: replicas move by themselves when members hold unlike numbers. `Manual`: only when asked.
    #[serde(default)]
    pub mode: RebalanceMode,
    /// Bytes per second that all moves together may use on one member, as Kubernetes writes quantities; 50Mi when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = r"^[0-9]+(Ki|Mi|Gi|k|M|G)?$"))]
    pub max_bytes_per_second: Option<String>,
}

/// Whether replicas move by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum RebalanceMode {
    /// They do.
    #[default]
    Auto,
    /// Only when asked.
    Manual,
}

/// Where agents run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchedulingSpec {
    /// The node label whose values are failure domains: agents are spread over them. So are the replicas of a partition if it is
    /// `topology.kubernetes.io/zone` or `topology.kubernetes.io/region`, which pods know from Kubernetes 1.35 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 316))]
    pub zone_key: Option<String>,
    /// As in a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::pruned::<Option<Affinity>>")]
    pub affinity: Option<Affinity>,
    /// As in a pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::pruned::<Vec<Toleration>>")]
    pub tolerations: Vec<Toleration>,
    /// As in a pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::pruned::<Vec<TopologySpreadConstraint>>")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// As in a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
}

/// What becomes of data when its resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum DeletionPolicy {
    /// It stays.
    #[default]
    Retain,
    /// It goes too.
    Delete,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voters_are_odd_and_at_most_five_by_default() {
        let voters: Vec<i32> = (1..=8).map(voters_by_default).collect();
        assert_eq!(voters, [1, 1, 3, 3, 5, 5, 5, 5]);
    }

    #[test]
    fn only_what_an_agent_reads_at_its_start_makes_another_revision() {
        let spec: EnsembleSpec = serde_json::from_str(r#"{"replicas": 3}"#).expect("a spec");
        let grown = EnsembleSpec { replicas: 5, paused: true, ..spec.clone() };
        assert_eq!(spec.revision(), grown.revision());
        let with = |name: &str| {
            let mut told = spec.clone();
            told.broker.config.insert(name.to_owned(), "3".to_owned());
            told
        };
        let told = with("num.partitions");
        assert_eq!((told.revision(), told.settings()), (spec.revision(), told.broker.config.clone()));
        let restarted = with("connections.max.idle.ms");
        assert_ne!(restarted.revision(), spec.revision());
        assert_eq!(restarted.settings(), spec.settings());
        let mut slower = spec.clone();
        slower.coordination.tick_time_ms = Some(1000);
        assert_ne!(slower.revision(), spec.revision());
    }
}
