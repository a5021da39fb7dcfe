//! DescribeConfigs (32): every config with its value, type and source.

use streamkeeper_controller::{BROKER_CONFIGS, ConfigKey, TOPIC_CONFIGS};
use streamkeeper_wire::kafka::ErrorCode;
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
/// Sources of a value (DescribeConfigsResponse.ConfigSource).
const TOPIC_SOURCE: i8 = 1;
const STATIC_BROKER_SOURCE: i8 = 4;
const DEFAULT_SOURCE: i8 = 5;

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
        let mut result = DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..DescribeConfigsResult::default()
        };
        let wanted = |name: &str| {
            resource
                .configuration_keys
                .as_ref()
                .is_none_or(|keys| keys.is_empty() || keys.iter().any(|k| k == name))
        };
        match resource.resource_type {
            TOPIC => match self.image.topics.get(&resource.resource_name) {
                Some(topic) => {
                    let min_insync = topic.min_insync().to_string();
                    result.configs = TOPIC_CONFIGS
                        .iter()
                        .filter(|key| wanted(key.name))
                        .map(|key| {
                            let set = topic.configs.get(key.name);
                            let default =
                                if key.name == "min.insync.replicas" { &min_insync } else { key.default };
                            let source = if set.is_some() { TOPIC_SOURCE } else { DEFAULT_SOURCE };
                            entry(key, set.map_or(default, String::as_str), default, source, request)
                        })
                        .collect();
                }
                None => result.error_code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0,
            },
            BROKER => {
                result.configs = BROKER_CONFIGS
                    .iter()
                    .filter(|key| wanted(key.name))
                    .map(|key| {
                        let set = self.config.settings.get(key.name);
                        let source = if set.is_some() { STATIC_BROKER_SOURCE } else { DEFAULT_SOURCE };
                        entry(key, set.map_or(key.default, String::as_str), key.default, source, request)
                    })
                    .collect();
            }
            _ => {
                result.error_code = ErrorCode::INVALID_REQUEST.0;
                result.error_message = Some("only topics and brokers have configs".to_owned());
            }
        }
        result
    }
}

fn entry(
    key: &ConfigKey,
    value: &str,
    default: &str,
    source: i8,
    request: &DescribeConfigsRequest,
) -> DescribeConfigsResourceResult {
    let synonym = |name: &str, value: &str, source| DescribeConfigsSynonym {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source,
    };
    let mut synonyms = Vec::new();
    if request.include_synonyms {
        if source != DEFAULT_SOURCE {
            synonyms.push(synonym(key.name, value, source));
        }
        if !key.broker.is_empty() {
            synonyms.push(synonym(key.broker, default, DEFAULT_SOURCE));
        }
    }
    DescribeConfigsResourceResult {
        name: key.name.to_owned(),
        value: Some(value.to_owned()),
        read_only: false,
        config_source: source,
        is_sensitive: false,
        synonyms,
        config_type: key.kind as i8,
        documentation: None,
    }
}
