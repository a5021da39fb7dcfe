//! Metadata (3) and DescribeCluster (60): from the local image, so every agent answers alike.

use std::collections::BTreeMap;

use streamkeeper_base::{MemberId, TopicId};
use streamkeeper_controller::{ClusterImage, Command, NewTopic, Partition, Topic, check_topic_name};
use streamkeeper_wire::kafka::ErrorCode;
use streamkeeper_wire::kafka::generated::describe_cluster_response::{
    DescribeClusterBroker, DescribeClusterResponse,
};
use streamkeeper_wire::kafka::generated::metadata_request::MetadataRequest;
use streamkeeper_wire::kafka::generated::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};

use crate::broker::Broker;
use crate::kafka::client::Exchange;
use crate::kafka::pending::PendingCommand;

impl Broker {
    pub(crate) fn metadata(&mut self, exchange: &Exchange, request: MetadataRequest) {
        let version = exchange.version;
        let image = self.image.clone();
        // Version 0 has no null: an empty list means all.
        let all =
            request.topics.is_none() || (version == 0 && request.topics.as_ref().is_some_and(Vec::is_empty));
        let mut topics = Vec::new();
        if all {
            topics.extend(image.topics.values().map(|topic| described(&image, topic)));
        }
        for wanted in request.topics.unwrap_or_default() {
            let by_id = wanted.topic_id != [0; 16];
            let known = match (&wanted.name, by_id) {
                (_, true) => image.topic_by_id(TopicId(wanted.topic_id)),
                (Some(name), false) => image.topics.get(name),
                (None, false) => None,
            };
            topics.push(match known {
                Some(topic) => described(&image, topic),
                None => {
                    let may_create = version < 4 || request.allow_auto_topic_creation;
                    self.unknown(wanted.name, wanted.topic_id, may_create)
                }
            });
        }
        let response = MetadataResponse {
            brokers: brokers(&image),
            cluster_id: Some(self.config.cluster_id.clone()),
            // Any live agent takes admin requests (rule 13).
            controller_id: self.config.member.0,
            topics,
            ..MetadataResponse::default()
        };
        self.reply(exchange, |e| response.encode(e, version));
    }

    fn unknown(&mut self, name: Option<String>, id: [u8; 16], may_create: bool) -> MetadataResponseTopic {
        let mut error =
            if id == [0; 16] { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION } else { ErrorCode::UNKNOWN_TOPIC_ID };
        if let Some(name) = &name
            && may_create
            && self.config.setting("auto.create.topics.enable") == "true"
        {
            error = if self.create_by_itself(name) {
                ErrorCode::LEADER_NOT_AVAILABLE
            } else {
                ErrorCode::INVALID_TOPIC_EXCEPTION
            };
        }
        MetadataResponseTopic { error_code: error.0, name, topic_id: id, ..MetadataResponseTopic::default() }
    }

    /// Asks for a topic that a client names; false if it can never exist.
    pub(crate) fn create_by_itself(&mut self, name: &str) -> bool {
        let legal = check_topic_name(name).is_ok();
        if legal {
            let partitions = i32::try_from(self.config.number("num.partitions")).unwrap_or(1);
            self.make_topic(name, partitions, BTreeMap::new());
        }
        legal
    }

    pub(crate) fn make_topic(&mut self, name: &str, partitions: i32, configs: BTreeMap<String, String>) {
        let replication_factor = self.default_replication_factor();
        let topic = NewTopic {
            name: name.to_owned(),
            partitions,
            replication_factor,
            configs,
            id: TopicId(self.random.bytes16()),
            ..NewTopic::default()
        };
        self.command(Command::CreateTopic(topic), PendingCommand::AutoCreate);
    }

    pub(crate) fn describe_cluster(&mut self, exchange: &Exchange) {
        let image = self.image.clone();
        let brokers = image.members.iter().filter(|(_, m)| m.live);
        let response = DescribeClusterResponse {
            cluster_id: self.config.cluster_id.clone(),
            controller_id: self.config.member.0,
            brokers: brokers
                .map(|(id, m)| DescribeClusterBroker {
                    broker_id: id.0,
                    host: m.address.host.clone(),
                    port: i32::from(m.address.kafka_port),
                    rack: rack(&m.address.zone),
                    ..DescribeClusterBroker::default()
                })
                .collect(),
            ..DescribeClusterResponse::default()
        };
        let version = exchange.version;
        self.reply(exchange, |e| response.encode(e, version));
    }
}

fn rack(zone: &str) -> Option<String> {
    (!zone.is_empty()).then(|| zone.to_owned())
}

fn brokers(image: &ClusterImage) -> Vec<MetadataResponseBroker> {
    image
        .members
        .iter()
        .filter(|(_, m)| m.live)
        .map(|(id, m)| MetadataResponseBroker {
            node_id: id.0,
            host: m.address.host.clone(),
            port: i32::from(m.address.kafka_port),
            rack: rack(&m.address.zone),
        })
        .collect()
}

fn described(image: &ClusterImage, topic: &Topic) -> MetadataResponseTopic {
    let partitions = topic.partitions.iter().enumerate();
    MetadataResponseTopic {
        error_code: 0,
        name: Some(topic.name.clone()),
        topic_id: topic.id.0,
        is_internal: topic.internal,
        partitions: partitions.map(|(number, p)| partition(image, number, p)).collect(),
        ..MetadataResponseTopic::default()
    }
}

fn partition(image: &ClusterImage, number: usize, partition: &Partition) -> MetadataResponsePartition {
    let ids = |list: &[MemberId]| list.iter().map(|id| id.0).collect::<Vec<i32>>();
    let offline = partition.replicas.iter().filter(|id| !image.members.get(id).is_some_and(|m| m.live));
    let error = if partition.leader.is_some() { ErrorCode::NONE } else { ErrorCode::LEADER_NOT_AVAILABLE };
    MetadataResponsePartition {
        error_code: error.0,
        partition_index: i32::try_from(number).unwrap_or(i32::MAX),
        leader_id: partition.leader.map_or(-1, |id| id.0),
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: ids(&partition.replicas),
        isr_nodes: ids(&partition.isr),
        offline_replicas: offline.map(|id| id.0).collect(),
    }
}
