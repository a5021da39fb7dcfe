//! DescribeConfigs (32): every config with its value, type and source (rule 44).

use streamkeeper_controller::{
    BROKER_CONFIGS, ConfigKey, ConfigSource, MIN_INSYNC_OF_THREE, Member, Synonym, TOPIC_CONFIGS, Topic,
    broker_synonyms, check_topic_name, topic_synonyms, topic_value,
};
use streamkeeper_wire::kafka::ErrorCode;
use streamkeeper_wire::kafka::generated::create_topics_response::CreatableTopicConfigs;
use streamkeeper_wire::kafka::generated::describe_configs_request::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use streamkeeper_wire::kafka::generated::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

use crate::broker::Broker;
use crate::kafka::client::Exchange;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const INT: i8 = 3;
const LIST: i8 = 7;
const TEXT: i8 = 2;
const MIN_INSYNC: &str = "min.insync.replicas";

/// One config with its value in force and everything that it could come from.
struct Described {
    name: &'static str,
    kind: i8,
    doc: &'static str,
    value: Option<String>,
    synonyms: Vec<Synonym>,
    read_only: bool,
}

impl Broker {
    pub(crate) fn describe_configs(&mut self, exchange: &Exchange, request: &DescribeConfigsRequest) {
        let results =
            request.resources.iter().map(|resource| self.describe_resource(resource, request)).collect();
        let response = DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() };
        let version = exchange.version;
        self.reply(exchange, |e| response.encode(e, version));
    }

    fn describe_resource(
        &self,
        resource: &DescribeConfigsResource,
        request: &DescribeConfigsRequest,
    ) -> DescribeConfigsResult {
        let described = match resource.resource_type {
            TOPIC => self.describe_topic_configs(&resource.resource_name),
            BROKER if resource.resource_name.is_empty() => Ok(cluster_defaults()),
            BROKER => self.describe_broker_configs(&resource.resource_name),
            other => {
                let message = format!(
                    "Configs of resource type {other} are not served; topics (2) and brokers (4) are."
                );
                Err((ErrorCode::INVALID_REQUEST, message))
            }
        };
        let mut result = DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            error_message: None,
            ..DescribeConfigsResult::default()
        };
        match described {
            Ok(configs) => {
                let keys = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
                let wanted = |d: &Described| keys.is_none_or(|keys| keys.iter().any(|key| key == d.name));
                result.configs = configs.into_iter().filter(wanted).map(|d| entry(d, request)).collect();
            }
            Err((error, message)) => {
                result.error_code = error.0;
                result.error_message = Some(message);
            }
        }
        result
    }

    fn describe_topic_configs(&self, name: &str) -> Result<Vec<Described>, (ErrorCode, String)> {
        check_topic_name(name).map_err(|e| (ErrorCode(e.code), e.message))?;
        let topic = self.image.topics.get(name);
        let topic = topic.ok_or_else(|| (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, String::new()))?;
        Ok(TOPIC_CONFIGS.iter().map(|key| self.topic_config(topic, key)).collect())
    }

    fn topic_config(&self, topic: &Topic, key: &'static ConfigKey) -> Described {
        let settings = &self.config.settings;
        let synonyms = topic_synonyms(key, &topic.configs, settings, topic.default_min_insync());
        let value = if key.name == MIN_INSYNC {
            topic.min_insync().to_string()
        } else {
            topic_value(&topic.configs, settings, key.name)
        };
        let (kind, doc) = (key.kind as i8, key.doc);
        Described { name: key.name, kind, doc, value: Some(value), synonyms, read_only: false }
    }

    /// What a topic has, in the words of CreateTopics.
    pub(crate) fn created_configs(&self, topic: &Topic) -> Vec<CreatableTopicConfigs> {
        let of = |key| {
            let described = self.topic_config(topic, key);
            CreatableTopicConfigs {
                name: described.name.to_owned(),
                config_source: source(&described) as i8,
                value: described.value,
                read_only: false,
                is_sensitive: false,
            }
        };
        TOPIC_CONFIGS.iter().map(of).collect()
    }

    fn describe_broker_configs(&self, name: &str) -> Result<Vec<Described>, (ErrorCode, String)> {
        let error = |message: String| Err((ErrorCode::INVALID_REQUEST, message));
        let own = self.config.member;
        match name.parse::<i32>() {
            Err(_) => return error(format!("Broker id must be an integer, but it is: {name}")),
            Ok(id) if id != own.0 => {
                return error(format!("Unexpected broker id, expected {own}, but received {name}"));
            }
            Ok(_) => {}
        }
        let mut all: Vec<Described> = BROKER_CONFIGS.iter().map(|key| self.broker_config(key)).collect();
        all.extend(self.image.members.get(&own).into_iter().flat_map(|member| identity(own.0, member)));
        all.sort_by_key(|d| d.name);
        Ok(all)
    }

    fn broker_config(&self, key: &'static ConfigKey) -> Described {
        let synonyms = broker_synonyms(key, &self.config.settings);
        let value = synonyms.first().map(|s| s.value.clone());
        Described { name: key.name, kind: key.kind as i8, doc: key.doc, value, synonyms, read_only: true }
    }
}

/// Who a broker is and where it listens: given to it, never a default of anything.
fn identity(id: i32, member: &Member) -> Vec<Described> {
    let address = &member.address;
    let listener = format!("PLAINTEXT://{}:{}", address.host, address.kafka_port);
    let zone = Some(address.zone.clone()).filter(|zone| !zone.is_empty());
    let fixed = |name, kind, doc, value: Option<String>, default: Option<&str>| {
        let of = |value: String, source| Synonym { name, value, source };
        let set = value.clone().map(|value| of(value, ConfigSource::StaticBroker));
        let default = default.map(|value| of(value.to_owned(), ConfigSource::Default));
        Described {
            name,
            kind,
            doc,
            value,
            synonyms: set.into_iter().chain(default).collect(),
            read_only: true,
        }
    };
    vec![
        fixed("advertised.listeners", LIST, "Where clients reach this broker.", Some(listener), None),
        fixed("broker.id", INT, "The member's number.", Some(id.to_string()), Some("-1")),
        fixed("broker.rack", TEXT, "The member's zone.", zone, None),
        fixed("node.id", INT, "The member's number.", Some(id.to_string()), None),
    ]
}

/// What the whole cluster has as its default, where Kafka's is another.
fn cluster_defaults() -> Vec<Described> {
    let of = |key: &'static ConfigKey| {
        let value = MIN_INSYNC_OF_THREE.to_string();
        let source = ConfigSource::DynamicDefaultBroker;
        let synonyms = vec![Synonym { name: key.name, value: value.clone(), source }];
        let (kind, doc) = (key.kind as i8, key.doc);
        Described { name: key.name, kind, doc, value: Some(value), synonyms, read_only: true }
    };
    BROKER_CONFIGS.iter().filter(|key| key.name == MIN_INSYNC).map(of).collect()
}

fn source(described: &Described) -> ConfigSource {
    described.synonyms.first().map_or(ConfigSource::Default, |s| s.source)
}

fn entry(described: Described, request: &DescribeConfigsRequest) -> DescribeConfigsResourceResult {
    let config_source = source(&described) as i8;
    let synonyms = if request.include_synonyms { described.synonyms } else { Vec::new() };
    DescribeConfigsResourceResult {
        name: described.name.to_owned(),
        value: described.value,
        read_only: described.read_only,
        config_source,
        is_sensitive: false,
        synonyms: synonyms
            .into_iter()
            .map(|s| DescribeConfigsSynonym {
                name: s.name.to_owned(),
                value: Some(s.value),
                source: s.source as i8,
            })
            .collect(),
        config_type: described.kind,
        documentation: request.include_documentation.then(|| described.doc.to_owned()),
    }
}
