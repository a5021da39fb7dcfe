//! An agent's configuration: one YAML file that `streamkeeper up` or the operator writes, read once at start.
//!
//! Must not know: how the settings are used. Read first: [`AgentConfig`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use streamkeeper_member::settings::Settings;
use streamkeeper_member::settings::check_broker_setting;

/// Everything one agent must be told. Unknown fields are refused by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AgentConfig {
    /// The cluster's identity, 32 hexadecimal digits with or without hyphens; a disk of another cluster is refused.
    pub cluster_id: String,
    /// This agent's number.
    pub member_id: i32,
    /// Where everything durable lives.
    pub data_dir: PathBuf,
    /// The failure domain replicas are spread over; empty when there is none.
    #[serde(default)]
    pub zone: String,
    /// True for an agent that joins a running ensemble: it observes until it is told to vote.
    #[serde(default)]
    pub joining: bool,
    /// The first voters; the same list on each of them. Only read on an empty disk.
    #[serde(default)]
    pub bootstrap_voters: Vec<i32>,
    /// Every agent this one may talk to at start, itself included.
    pub members: Vec<MemberAddress>,
    /// The address that listeners bind to.
    #[serde(default = "default_bind")]
    pub bind: String,
    /// ZooKeeper's settings under their names in camelCase.
    #[serde(default)]
    pub coordination: CoordinationConfig,
    /// Kafka's broker settings under Kafka's names.
    #[serde(default)]
    pub broker: BTreeMap<String, String>,
    /// The rebalance policy.
    #[serde(default)]
    pub rebalance: RebalanceConfig,
    /// Where log lines go; standard error when absent.
    #[serde(default)]
    pub log_file: Option<PathBuf>,
}

/// Where one agent is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct MemberAddress {
    /// The agent's number.
    pub id: i32,
    /// The host name or address that peers and clients use.
    pub host: String,
    /// Traffic between agents.
    pub peer_port: u16,
    /// ZooKeeper's client protocol.
    pub zookeeper_port: u16,
    /// Kafka's client protocol.
    pub kafka_port: u16,
    /// gRPC.
    pub grpc_port: u16,
    /// HTTP.
    pub http_port: u16,
}

/// ZooKeeper's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct CoordinationConfig {
    /// ZooKeeper's `tickTime` in milliseconds.
    pub tick_time_ms: u64,
    /// ZooKeeper's `minSessionTimeout` in milliseconds; 2 ticks when absent.
    pub min_session_timeout_ms: Option<u64>,
    /// ZooKeeper's `maxSessionTimeout` in milliseconds; 20 ticks when absent.
    pub max_session_timeout_ms: Option<u64>,
    /// ZooKeeper's `maxClientCnxns`: connections from one address; 0, the default, for no limit (clients share addresses behind NAT).
    pub max_client_cnxns: u32,
    /// The 4-letter words that are answered; `*` for all.
    pub four_letter_words: Vec<String>,
}

impl Default for CoordinationConfig {
    fn default() -> Self {
        Self {
            tick_time_ms: 2000,
            min_session_timeout_ms: None,
            max_session_timeout_ms: None,
            max_client_cnxns: 0,
            four_letter_words: ["srvr", "ruok", "stat", "mntr", "isro"].map(str::to_owned).to_vec(),
        }
    }
}

impl CoordinationConfig {
    /// What the member is told.
    pub fn settings(&self) -> Settings {
        let milliseconds = |ms: u64| i32::try_from(ms).unwrap_or(i32::MAX);
        let defaults = Settings::new(milliseconds(self.tick_time_ms));
        let or = |ms: Option<u64>, default: i32| ms.map_or(default, milliseconds);
        Settings {
            min_session_timeout_ms: or(self.min_session_timeout_ms, defaults.min_session_timeout_ms),
            max_session_timeout_ms: or(self.max_session_timeout_ms, defaults.max_session_timeout_ms),
            max_client_cnxns: self.max_client_cnxns as usize,
            words: self.four_letter_words.clone(),
            extended_types: true,
            ..defaults
        }
    }
}

/// How partitions are rebalanced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct RebalanceConfig {
    /// True: a skewed assignment is rebalanced without a command.
    pub auto: bool,
    /// Bytes per second that all moves together may use on one member.
    pub max_bytes_per_second: u64,
}

impl Default for RebalanceConfig {
    fn default() -> Self {
        Self { auto: true, max_bytes_per_second: 50 * 1024 * 1024 }
    }
}

fn default_bind() -> String {
    "127.0.0.1".to_owned()
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}; give the path of an agent configuration with --config")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what it must be.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, field and what is allowed.
        reason: String,
    },
}

impl AgentConfig {
    /// Reads and checks the file at `path`.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let config: Self = serde_saphyr::from_str(&text)
            .map_err(|error| ConfigError::Malformed { path: path.to_owned(), reason: error.to_string() })?;
        config.check().map_err(|reason| ConfigError::Malformed { path: path.to_owned(), reason })?;
        Ok(config)
    }

    /// The entry of this agent itself; `check` has made sure of it.
    pub fn own_address(&self) -> Option<&MemberAddress> {
        self.members.iter().find(|m| m.id == self.member_id)
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if streamkeeper_base::ClusterId::from_hex(&self.cluster_id).is_none() {
            return Err(format!("clusterId: {:?} is not 32 hexadecimal digits", self.cluster_id));
        }
        if self.own_address().is_none() {
            return Err(format!("members: has no entry for memberId {}", self.member_id));
        }
        if let Some(id) = self.bootstrap_voters.iter().find(|id| !self.members.iter().any(|m| m.id == **id)) {
            return Err(format!("bootstrapVoters: {id} is not among members"));
        }
        if self.joining && self.bootstrap_voters.contains(&self.member_id) {
            return Err(format!("joining: {} is a bootstrap voter and cannot join as well", self.member_id));
        }
        if self.coordination.tick_time_ms == 0 {
            return Err("coordination.tickTimeMs: must be at least 1".to_owned());
        }
        self.broker.iter().try_for_each(|(name, value)| {
            check_broker_setting(name, value).map_err(|reason| format!("broker: {name}: {reason}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_broker(setting: &str) -> Result<(), String> {
        let text = format!(
            "{{clusterId: {}, memberId: 0, dataDir: /d, members: [{{id: 0, host: h, peerPort: 1, zookeeperPort: 2, kafkaPort: 3, \
             grpcPort: 4, httpPort: 5}}], broker: {{{setting}}}}}",
            "0".repeat(32)
        );
        serde_saphyr::from_str::<AgentConfig>(&text).map_err(|error| error.to_string())?.check()
    }

    #[test]
    fn broker_settings_are_refused_by_name() {
        assert_eq!(with_broker("log.retention.hours: \"24\""), Ok(()));
        let unknown = with_broker("log.retention.hour: \"24\"").expect_err("refused");
        assert_eq!(unknown, "broker: log.retention.hour: Unknown broker config name: log.retention.hour");
        let wrong = with_broker("num.partitions: many").expect_err("refused");
        assert!(
            wrong.ends_with("Invalid value many for configuration num.partitions: Not a number of type INT")
        );
    }
}
