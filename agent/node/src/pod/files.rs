//! The two files that the operator writes for the agents of an ensemble.
//!
//! Must not know: what is on a disk. Read first: [`AgentFile`], [`Record`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::begin::Place;
use crate::config::{AgentConfig, ConfigError, CoordinationConfig, MemberAddress, RebalanceConfig};

/// `agent.yaml`: what all agents of an ensemble share. Unknown fields are refused by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AgentFile {
    /// The cluster's identity, 32 hexadecimal digits with or without hyphens; a disk of another cluster is refused.
    pub cluster_id: String,
    /// What the pods' host names end with: the host of member N is `PREFIX-N.DOMAIN`.
    pub domain: String,
    /// What the pods' names begin with: the pod of member N is `PREFIX-N`.
    pub pod_prefix: String,
    /// The address that listeners bind to.
    #[serde(default = "any_address")]
    pub bind: String,
    /// The same for all members.
    pub ports: Ports,
    /// Where the volume is mounted.
    #[serde(default = "volume")]
    pub volume: PathBuf,
    /// ZooKeeper's settings under their names in camelCase.
    #[serde(default)]
    pub coordination: CoordinationConfig,
    /// Kafka's broker settings under Kafka's names.
    #[serde(default)]
    pub broker: BTreeMap<String, String>,
    /// The rebalance policy.
    #[serde(default)]
    pub rebalance: RebalanceConfig,
}

/// An agent's ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Ports {
    /// Traffic between agents.
    pub peer: u16,
    /// ZooKeeper's client protocol.
    pub zookeeper: u16,
    /// Kafka's client protocol.
    pub kafka: u16,
    /// gRPC.
    pub grpc: u16,
    /// HTTP.
    pub http: u16,
}

/// `members.yaml`: the operator's record of members. Unknown fields are refused by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Record {
    /// Those that the ensemble began with and that have their first disk still; the first voters.
    #[serde(default)]
    pub founders: Vec<i32>,
    /// Those that may begin, or have begun.
    pub members: Vec<MemberRecord>,
}

/// One member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct MemberRecord {
    /// Its number.
    pub id: i32,
    /// How many disks the number had before this one.
    #[serde(default)]
    pub place: u32,
    /// It served with this disk: from then on a member without its disk is one that lost it.
    #[serde(default)]
    pub served: bool,
    /// It was decided that the member leaves for good.
    #[serde(default)]
    pub leaving: bool,
    /// Its failure domain, where the pod is not told of one.
    #[serde(default)]
    pub zone: String,
    /// Where others reach it, if not by its pod's host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

impl AgentFile {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// It cannot be read, or is not what it must be; the text names file, line and field.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        parse(path, &read(path)?, Self::check)
    }

    /// The number of the member whose pod is called `name`.
    ///
    /// # Errors
    /// It is no pod of this ensemble.
    pub fn member_of(&self, name: &str) -> Result<i32, String> {
        let ordinal = name.strip_prefix(&self.pod_prefix).and_then(|rest| rest.strip_prefix('-'));
        let member = ordinal.and_then(|ordinal| ordinal.parse::<u16>().ok());
        let prefix = &self.pod_prefix;
        member.map(i32::from).ok_or_else(|| {
            format!("{name:?} is no pod of this ensemble; its pods are called {prefix}-0, {prefix}-1, ...")
        })
    }

    /// Where others reach a member.
    pub fn host(&self, member: &MemberRecord) -> String {
        member.host.clone().unwrap_or_else(|| format!("{}-{}.{}", self.pod_prefix, member.id, self.domain))
    }

    /// What the member is told that begins in `place`. `zone` is the pod's own; where it is empty the record's counts.
    ///
    /// # Errors
    /// The record contradicts itself.
    pub fn config(
        &self,
        record: &Record,
        member: i32,
        zone: &str,
        place: Place,
    ) -> Result<AgentConfig, String> {
        let own = record.member(member);
        let recorded_zone = own.map(|own| own.zone.as_str()).unwrap_or_default();
        let config = AgentConfig {
            cluster_id: self.cluster_id.clone(),
            member_id: member,
            data_dir: self.volume.join(place.directory()),
            zone: if zone.is_empty() { recorded_zone } else { zone }.to_owned(),
            joining: !place.founds,
            bootstrap_voters: if place.founds { record.founders.clone() } else { Vec::new() },
            members: record.members.iter().map(|member| self.address(member)).collect(),
            bind: self.bind.clone(),
            coordination: self.coordination.clone(),
            broker: self.broker.clone(),
            rebalance: self.rebalance.clone(),
            log_file: None,
        };
        config.check().map(|()| config)
    }

    fn address(&self, member: &MemberRecord) -> MemberAddress {
        MemberAddress {
            id: member.id,
            host: self.host(member),
            peer_port: self.ports.peer,
            zookeeper_port: self.ports.zookeeper,
            kafka_port: self.ports.kafka,
            grpc_port: self.ports.grpc,
            http_port: self.ports.http,
        }
    }

    fn check(&self) -> Result<(), String> {
        for (field, text) in [("domain", &self.domain), ("podPrefix", &self.pod_prefix), ("bind", &self.bind)]
        {
            if text.is_empty() {
                return Err(format!("{field}: must not be empty"));
            }
        }
        let Ports { peer, zookeeper, kafka, grpc, http } = self.ports;
        let ports =
            [("peer", peer), ("zookeeper", zookeeper), ("kafka", kafka), ("grpc", grpc), ("http", http)];
        for (index, (name, port)) in ports.iter().enumerate() {
            if *port == 0 {
                return Err(format!("ports.{name}: must be 1 to 65535"));
            }
            if let Some((other, _)) = ports[..index].iter().find(|(_, other)| other == port) {
                return Err(format!("ports.{name}: {port} is the port of {other}, too"));
            }
        }
        // The rest is checked as what one agent would be told.
        let alone = Record { founders: Vec::new(), members: vec![MemberRecord::default()] };
        self.config(&alone, 0, "", Place { number: 0, founds: false }).map(drop)
    }
}

impl Record {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// It cannot be read, or is not what it must be; the text names file, line and field.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        parse(path, &read(path)?, Self::check)
    }

    /// The entry of a member.
    pub fn member(&self, id: i32) -> Option<&MemberRecord> {
        self.members.iter().find(|member| member.id == id)
    }

    fn check(&self) -> Result<(), String> {
        for (index, member) in self.members.iter().enumerate() {
            if member.id < 0 {
                return Err(format!("members[{index}].id: {} is no number of a pod", member.id));
            }
            if self.members[..index].iter().any(|other| other.id == member.id) {
                return Err(format!("members[{index}].id: {} has two entries", member.id));
            }
            if member.host.as_ref().is_some_and(String::is_empty) {
                return Err(format!("members[{index}].host: must not be empty"));
            }
        }
        for (index, id) in self.founders.iter().enumerate() {
            let Some(member) = self.member(*id) else {
                return Err(format!("founders[{index}]: {id} is not among members"));
            };
            if member.place != 0 {
                return Err(format!(
                    "founders[{index}]: {id} has not its first disk, but one of place {}",
                    member.place
                ));
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

fn parse<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    check: impl FnOnce(&T) -> Result<(), String>,
) -> Result<T, ConfigError> {
    let malformed = |reason: String| ConfigError::Malformed { path: path.to_owned(), reason };
    let value: T = serde_saphyr::from_str(text).map_err(|error| malformed(error.to_string()))?;
    check(&value).map_err(malformed)?;
    Ok(value)
}

fn any_address() -> String {
    "0.0.0.0".to_owned()
}

fn volume() -> PathBuf {
    PathBuf::from("/var/lib/streamkeeper")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: &str = "clusterId: 0123456789abcdef0123456789abcdef\ndomain: main-agents.prod.svc\npodPrefix: main\n\
        ports: {peer: 7301, zookeeper: 2181, kafka: 9092, grpc: 7401, http: 8401}\n";
    const RECORD: &str = "founders: [0, 1]\nmembers:\n- {id: 0}\n- {id: 1, served: true, zone: a}\n\
        - {id: 3, place: 2, zone: b, leaving: true}\n";

    fn agent(text: &str) -> Result<AgentFile, String> {
        parse(Path::new("/c/agent.yaml"), text, AgentFile::check).map_err(|error| error.to_string())
    }

    fn record(text: &str) -> Result<Record, String> {
        parse(Path::new("/c/members.yaml"), text, Record::check).map_err(|error| error.to_string())
    }

    #[test]
    fn members_are_reached_by_the_names_of_their_pods() {
        let (agent, mut record) = (agent(AGENT).expect("good"), record(RECORD).expect("good"));
        record.members[1].host = Some("10.0.0.9".to_owned());
        let config =
            agent.config(&record, 3, "", Place { number: 2, founds: false }).expect("a configuration");
        let hosts: Vec<&str> = config.members.iter().map(|member| member.host.as_str()).collect();
        assert_eq!(hosts, ["main-0.main-agents.prod.svc", "10.0.0.9", "main-3.main-agents.prod.svc"]);
        assert_eq!((config.bind.as_str(), config.joining), ("0.0.0.0", true));
        assert_eq!(config.data_dir, Path::new("/var/lib/streamkeeper/disk-2"));
        assert_eq!(config.own_address().map(|own| own.kafka_port), Some(9092));
        assert!(config.bootstrap_voters.is_empty(), "only founders vote from the start");
    }

    #[test]
    fn founders_are_the_first_voters() {
        let (agent, record) = (agent(AGENT).expect("good"), record(RECORD).expect("good"));
        let config =
            agent.config(&record, 0, "", Place { number: 0, founds: true }).expect("a configuration");
        assert_eq!((config.bootstrap_voters, config.joining), (vec![0, 1], false));
    }

    #[test]
    fn the_pod_knows_its_zone_better_than_the_record() {
        let (agent, record) = (agent(AGENT).expect("good"), record(RECORD).expect("good"));
        let zone = |pod: &str| {
            let place = Place { number: 0, founds: false };
            agent.config(&record, 1, pod, place).expect("a configuration").zone
        };
        assert_eq!((zone("eu-1").as_str(), zone("").as_str()), ("eu-1", "a"));
    }

    #[test]
    fn the_pods_name_tells_the_member() {
        let agent = agent(AGENT).expect("good");
        assert_eq!((agent.member_of("main-0"), agent.member_of("main-12")), (Ok(0), Ok(12)));
        for foreign in ["", "main", "main-", "other-1", "main-x", "main--1", "main-1-2"] {
            let error = agent.member_of(foreign).expect_err("foreign");
            assert!(error.contains("main-0"), "{error}");
        }
    }

    #[test]
    fn wrong_files_are_refused_by_file_and_field() {
        let agent_cases = [
            (AGENT.replace("0123456789abcdef0123456789abcdef", "xyz"), "clusterId: \"xyz\""),
            (AGENT.replace("grpc: 7401", "grpc: 9092"), "ports.grpc: 9092 is the port of kafka, too"),
            (AGENT.replace("http: 8401", "http: 0"), "ports.http: must be 1 to 65535"),
            (AGENT.replace("domain: main-agents.prod.svc", "domain: ''"), "domain: must not be empty"),
            (format!("{AGENT}colour: red\n"), "colour"),
            (format!("{AGENT}broker: {{no.such.key: \"1\"}}\n"), "broker: no.such.key"),
            (format!("{AGENT}coordination: {{tickTimeMs: 0}}\n"), "coordination.tickTimeMs"),
        ];
        for (text, expected) in agent_cases {
            let error = agent(&text).expect_err(expected);
            assert!(error.starts_with("/c/agent.yaml: ") && error.contains(expected), "{error}");
        }
        let record_cases = [
            ("founders: [4]\nmembers: []\n", "founders[0]: 4 is not among members"),
            ("founders: [1]\nmembers: [{id: 1, place: 1}]\n", "founders[0]: 1 has not its first disk"),
            ("members: [{id: 1}, {id: 1}]\n", "members[1].id: 1 has two entries"),
            ("members: [{id: -1}]\n", "members[0].id: -1"),
            ("members: [{id: 1, size: 4}]\n", "size"),
            ("founders: []\n", "members"),
        ];
        for (text, expected) in record_cases {
            let error = record(text).expect_err(expected);
            assert!(error.starts_with("/c/members.yaml: ") && error.contains(expected), "{error}");
        }
        let missing = Record::load(Path::new("/nowhere/members.yaml")).expect_err("missing").to_string();
        assert!(missing.starts_with("/nowhere/members.yaml: "), "{missing}");
    }
}
