//! What the operator reports: conditions of Kubernetes' shape, members, quorum, rebalance, waits.
//!
//! Read first: [`EnsembleStatus`], [`ConditionType`].

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// The conditions that the operator sets. Their names are a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// Everything that was asked for is there and serves.
    Ready,
    /// A change is being carried out. A rollout is progress, not a defect.
    Progressing,
    /// A quorum of the voters is in sync.
    QuorumHealthy,
    /// Members hold alike.
    Balanced,
    /// Fewer replicas than now would be possible.
    ScaleAllowed,
    /// kstatus: the newest generation is not reached yet.
    Reconciling,
    /// kstatus: the newest generation cannot be reached without help.
    Stalled,
}

impl ConditionType {
    /// The name in `status.conditions[].type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Progressing => "Progressing",
            Self::QuorumHealthy => "QuorumHealthy",
            Self::Balanced => "Balanced",
            Self::ScaleAllowed => "ScaleAllowed",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
        }
    }
}

/// Why a condition is as it is. Their names are a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Nothing was looked at yet.
    NotReconciled,
    /// What is there is what is wanted.
    Converged,
    /// Members are started or awaited.
    Starting,
    /// A change is being carried out.
    Changing,
    /// Replicas move.
    Rebalancing,
    /// Members hold unlike numbers, and nobody asked for a rebalance.
    Skewed,
    /// No quorum answers.
    NoQuorum,
    /// A member does not serve.
    MemberDown,
    /// Replicas are out of sync, or partitions have no leader.
    PartitionsUnhealthy,
    /// The agents refuse the next step for now.
    Blocked,
    /// Somebody else has the name of an object that is needed.
    NameTaken,
    /// Many topics are to be deleted, and that waits for a word.
    Held,
    /// The specification cannot be fulfilled.
    InvalidSpec,
    /// The API server does not take what the specification asks for: a quota, a policy, a missing right, a name that is taken.
    Refused,
    /// `spec.paused`.
    Paused,
    /// `spec.suspended`.
    Suspended,
    /// The agents have seen a greater fencing token than the operator's: they refuse its changes.
    Fenced,
}

impl Reason {
    /// The name in `status.conditions[].reason`.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotReconciled => "NotReconciled",
            Self::Converged => "Converged",
            Self::Starting => "Starting",
            Self::Changing => "Changing",
            Self::Rebalancing => "Rebalancing",
            Self::Skewed => "Skewed",
            Self::NoQuorum => "NoQuorum",
            Self::MemberDown => "MemberDown",
            Self::PartitionsUnhealthy => "PartitionsUnhealthy",
            Self::Blocked => "Blocked",
            Self::NameTaken => "NameTaken",
            Self::Held => "Held",
            Self::InvalidSpec => "InvalidSpec",
            Self::Refused => "Refused",
            Self::Paused => "Paused",
            Self::Suspended => "Suspended",
            Self::Fenced => "Fenced",
        }
    }
}

/// A condition; `holds` is `None` when it cannot be said.
pub fn condition(
    kind: ConditionType,
    holds: Option<bool>,
    reason: Reason,
    message: impl Into<String>,
    generation: Option<i64>,
    since: Timestamp,
) -> Condition {
    let status = holds.map_or("Unknown", |holds| if holds { "True" } else { "False" });
    Condition {
        type_: kind.name().to_owned(),
        status: status.to_owned(),
        reason: reason.name().to_owned(),
        message: message.into(),
        observed_generation: generation,
        last_transition_time: Time(since),
    }
}

/// What there is of an ensemble.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnsembleStatus {
    /// The generation of the resource that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Progressing, QuorumHealthy, Balanced, ScaleAllowed, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::pruned::<Vec<Condition>>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
    /// Agents that there are.
    #[serde(default)]
    pub replicas: i32,
    /// Agents that serve.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Serving and wanted agents, as `2/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members_ready: Option<String>,
    /// The pods of the ensemble, for autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Where clients connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
    /// The quorum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<QuorumStatus>,
    /// The agents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".to_owned()]))]
    pub members: Vec<MemberStatus>,
    /// The rebalance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebalance: Option<RebalanceStatus>,
    /// What the operator waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<WaitStatus>,
    /// Which operator acts, if several watch the ensemble.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<OperatorStatus>,
}

/// Which operator acts for an ensemble.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperatorStatus {
    /// The installation that acts: namespace and name of its Lease.
    pub installation: String,
    /// Another installation, which asks whether the one that acts is still there. Without an answer it takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenger: Option<String>,
}

/// Where clients connect: comma-separated `host:port`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// For ZooKeeper's clients.
    pub zookeeper: String,
    /// For Kafka's clients: bootstrap servers.
    pub kafka: String,
}

/// The quorum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuorumStatus {
    /// The member that leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<i32>,
    /// Zab's epoch.
    #[serde(default)]
    pub epoch: i64,
    /// The last committed transaction, as `0x100000003`.
    #[serde(default)]
    pub zxid: String,
    /// How many more voters may fail while a quorum is left.
    #[serde(default)]
    pub margin: i32,
}

/// One agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Its number.
    pub id: i32,
    /// Its pod; its process in a local ensemble.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// `leader`, `follower`, `observer`, `joining`.
    #[serde(default)]
    pub role: String,
    /// `starting`, `serving`, `cordoned`, `leaving`, `stopped`.
    #[serde(default)]
    pub state: String,
    /// It serves clients.
    #[serde(default)]
    pub ready: bool,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Its disk.
    #[serde(default)]
    pub incarnation: String,
    /// Replicas that it holds.
    #[serde(default)]
    pub partitions: i32,
    /// Partitions that it leads.
    #[serde(default)]
    pub leaders: i32,
    /// Bytes of partitions that it holds.
    #[serde(default)]
    pub bytes: i64,
}

/// The rebalance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RebalanceStatus {
    /// `Idle`, `Moving`, `Waiting` (why is in the condition Balanced), `Skewed` (nobody asked for a rebalance), `Cancelled`.
    pub state: String,
    /// Moves that are over.
    #[serde(default)]
    pub moves_done: i32,
    /// Moves of the plan.
    #[serde(default)]
    pub moves_total: i32,
    /// Bytes that were copied.
    #[serde(default)]
    pub bytes_done: i64,
    /// Bytes of the plan.
    #[serde(default)]
    pub bytes_total: i64,
    /// When it is over at the speed of now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_end: Option<String>,
}

/// Something that the operator waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitStatus {
    /// What.
    pub what: String,
    /// Who it depends on.
    pub who: String,
    /// Since when.
    pub since: String,
    /// When it is looked at again.
    pub next: String,
}

/// What there is of a topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicStatus {
    /// The generation of the resource that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::pruned::<Vec<Condition>>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
    /// The topic's id in Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
    /// Its name in Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_name: Option<String>,
    /// Partitions that there are.
    #[serde(default)]
    pub partitions: i32,
    /// Copies of each.
    #[serde(default)]
    pub replication_factor: i32,
    /// Partitions with replicas out of sync.
    #[serde(default)]
    pub under_replicated: i32,
    /// Partitions without a leader.
    #[serde(default)]
    pub offline: i32,
    /// Settings that the topic had already when this resource took it on, and that `spec.config` does not name: they stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept_config: Vec<String>,
}
