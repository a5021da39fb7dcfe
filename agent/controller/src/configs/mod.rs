//! Configs under Kafka's names: what a topic or the broker may set, of which type, with which default, and what is in force.
//!
//! Unknown keys and values that a key cannot have are refused in Kafka's words (INVALID_CONFIG), because tools show them.
//! Must not know: requests. Read first: [`ConfigKey`], [`topic_synonyms`], then the catalogues in `topic` and `broker`.

mod broker;
mod topic;

use std::collections::BTreeMap;

pub use broker::BROKER_CONFIGS;
pub use topic::TOPIC_CONFIGS;

use crate::command::CommandError;

/// A config's type, with Kafka's number for it (ConfigDef.Type as DescribeConfigs reports it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigType {
    /// true or false.
    Boolean = 1,
    /// Text.
    Text = 2,
    /// 32 bits.
    Int = 3,
    /// 64 bits.
    Long = 5,
    /// A fraction.
    Double = 6,
    /// Comma-separated.
    List = 7,
}

/// Which values a key takes, beyond its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Any of the type.
    Any,
    /// A number that is not less.
    AtLeast(i64),
    /// A number that is neither less nor greater.
    Between(i64, i64),
    /// As before, or this one.
    BetweenOr(i64, i64, i64),
    /// A number from 0 to 1.
    Fraction,
    /// One of these; of a list each element.
    OneOf(&'static [&'static str]),
}

/// Whether a value may change while an agent runs; Kafka's "update mode" (KIP-226).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateMode {
    /// It is read when the agent starts.
    ReadOnly,
    /// It is read wherever it is used.
    Dynamic,
}

/// One entry of a catalogue.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// Kafka's name.
    pub name: &'static str,
    /// Its type.
    pub kind: ConfigType,
    /// The default as text; `None` where another key stands in.
    pub default: Option<&'static str>,
    /// For a topic's key the broker's keys that give its default, the strongest first, each with the factor to the topic's unit.
    pub broker: &'static [(&'static str, i64)],
    /// What it takes.
    pub rule: Rule,
    /// When it is read.
    pub update: UpdateMode,
    /// What it does, for people.
    pub doc: &'static str,
}

/// Where a value comes from (DescribeConfigsResponse.ConfigSource).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// The topic set it.
    Topic = 1,
    /// A default of the whole cluster.
    DynamicDefaultBroker = 3,
    /// The ensemble's `broker.config`.
    StaticBroker = 4,
    /// The catalogue.
    Default = 5,
}

/// A value that would be in force if those before it were not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The key it was set under.
    pub name: &'static str,
    /// As it was set.
    pub value: String,
    /// Where.
    pub source: ConfigSource,
}

/// What a broker is told beyond the catalogue's defaults, by key.
pub type Settings = BTreeMap<String, String>;

const MIN_INSYNC: &str = "min.insync.replicas";
const INVALID_CONFIG: i16 = 40;

/// A topic's key.
pub(crate) fn topic_key(name: &str) -> Option<&'static ConfigKey> {
    TOPIC_CONFIGS.iter().find(|key| key.name == name)
}

/// A broker's key.
pub fn broker_key(name: &str) -> Option<&'static ConfigKey> {
    BROKER_CONFIGS.iter().find(|key| key.name == name)
}

/// A topic's value in force: what it set, else what the broker was told, else the catalogue's default.
///
/// Not for `min.insync.replicas`, whose default follows from the replicas: see [`crate::Topic::min_insync`].
pub fn topic_value(configs: &BTreeMap<String, String>, settings: &Settings, name: &str) -> String {
    let Some(key) = topic_key(name) else { return String::new() };
    if let Some(value) = configs.get(name) {
        return value.clone();
    }
    let told = key.broker.iter().find_map(|(broker, factor)| Some((settings.get(*broker)?, *factor)));
    match told {
        Some((value, 1)) => value.clone(),
        Some((value, factor)) => value.parse::<i64>().map_or_else(
            |_| value.clone(),
            |units| if units < 0 { units.to_string() } else { units.saturating_mul(factor).to_string() },
        ),
        None => key.default.unwrap_or_default().to_owned(),
    }
}

/// All that would give a topic's value, the strongest first; `cluster_min_insync` is the default that follows from the replicas.
pub fn topic_synonyms(
    key: &ConfigKey,
    configs: &BTreeMap<String, String>,
    settings: &Settings,
    cluster_min_insync: usize,
) -> Vec<Synonym> {
    let set = configs.get(key.name).map(|value| (key.name, value, ConfigSource::Topic));
    let told = key.broker.iter().filter_map(|(name, _)| Some((*name, settings.get(*name)?)));
    let told = told.map(|(name, value)| (name, value, ConfigSource::StaticBroker));
    let mut synonyms: Vec<Synonym> = set
        .into_iter()
        .chain(told)
        .map(|(name, value, source)| Synonym { name, value: value.clone(), source })
        .collect();
    if key.name == MIN_INSYNC {
        let at = usize::from(set.is_some());
        synonyms.splice(at..at, cluster_default(cluster_min_insync));
    }
    // The default belongs to the broker's strongest key, which may have none: then weaker ones stand in, unseen.
    let default = key.broker.first().and_then(|(name, _)| broker_key(name)).and_then(default_synonym);
    synonyms.extend(default);
    synonyms
}

/// All that would give a broker's value, the strongest first.
pub fn broker_synonyms(key: &'static ConfigKey, settings: &Settings) -> Vec<Synonym> {
    let mut synonyms = Vec::new();
    if key.name == MIN_INSYNC {
        synonyms.extend(cluster_default(MIN_INSYNC_OF_THREE));
    }
    synonyms.extend(settings.get(key.name).map(|value| Synonym {
        name: key.name,
        value: value.clone(),
        source: ConfigSource::StaticBroker,
    }));
    synonyms.extend(default_synonym(key));
    synonyms
}

/// `min.insync.replicas` of a topic with three replicas or more that does not set it.
pub const MIN_INSYNC_OF_THREE: usize = 2;

/// The cluster's own default, where it is not the catalogue's.
fn cluster_default(min_insync: usize) -> Option<Synonym> {
    let value = min_insync.to_string();
    let differs = topic_key(MIN_INSYNC).is_some_and(|key| key.default != Some(value.as_str()));
    differs.then_some(Synonym { name: MIN_INSYNC, value, source: ConfigSource::DynamicDefaultBroker })
}

fn default_synonym(key: &'static ConfigKey) -> Option<Synonym> {
    Some(Synonym { name: key.name, value: key.default?.to_owned(), source: ConfigSource::Default })
}

/// Refuses an unknown topic config, or a value that it cannot have.
///
/// # Errors
/// INVALID_CONFIG with Kafka's words.
pub fn check_topic(name: &str, value: &str) -> Result<(), CommandError> {
    match topic_key(name) {
        Some(key) => check(key, value),
        None => Err(CommandError::new(INVALID_CONFIG, format!("Unknown topic config name: {name}"))),
    }
}

/// Refuses a broker setting that is unknown, or a value that it cannot have.
///
/// # Errors
/// INVALID_CONFIG; the text names the key.
pub fn check_broker(name: &str, value: &str) -> Result<(), CommandError> {
    let error = |text: String| Err(CommandError::new(INVALID_CONFIG, text));
    match broker_key(name) {
        _ if name == MIN_INSYNC => error(format!(
            "{name} is {MIN_INSYNC_OF_THREE} for topics with three replicas or more, else 1; set it for a topic instead"
        )),
        Some(key) => check(key, value),
        None => error(format!("Unknown broker config name: {name}")),
    }
}

/// Refuses what a broker that runs cannot be told: what [`check_broker`] refuses, and a key that is read when the agent starts.
///
/// # Errors
/// INVALID_CONFIG; the text names the key.
pub fn check_dynamic(name: &str, value: &str) -> Result<(), CommandError> {
    check_broker(name, value)?;
    if is_read_only(name) {
        let text = format!(
            "Config {name} is read-only: an agent reads it when it starts; restart it with another file"
        );
        return Err(CommandError::new(INVALID_CONFIG, text));
    }
    Ok(())
}

/// An agent reads this key of the broker when it starts.
pub fn is_read_only(name: &str) -> bool {
    broker_key(name).is_some_and(|key| key.update == UpdateMode::ReadOnly)
}

fn check(key: &ConfigKey, value: &str) -> Result<(), CommandError> {
    let name = key.name;
    let error = |shown: &str, text: String| {
        let message = format!("Invalid value {shown} for configuration {name}: {text}");
        Err(CommandError::new(INVALID_CONFIG, message))
    };
    let number = match key.kind {
        ConfigType::Int => value.trim().parse::<i32>().map(i64::from).map_err(|_| "INT"),
        ConfigType::Long => value.trim().parse::<i64>().map_err(|_| "LONG"),
        ConfigType::Boolean | ConfigType::Text | ConfigType::Double | ConfigType::List => Ok(0),
    };
    let number = match number {
        Ok(number) => number,
        Err(kind) => return error(value, format!("Not a number of type {kind}")),
    };
    match (key.kind, key.rule) {
        (ConfigType::Boolean, _) if !matches!(value.trim(), "true" | "false") => {
            error(value, "Expected value to be either true or false".to_owned())
        }
        (ConfigType::Double, _) => match value.trim().parse::<f64>() {
            Err(_) => error(value, "Not a number of type DOUBLE".to_owned()),
            Ok(number) if number < 0.0 => {
                error(&format!("{number:?}"), "Value must be at least 0".to_owned())
            }
            Ok(number) if number > 1.0 => {
                error(&format!("{number:?}"), "Value must be no more than 1".to_owned())
            }
            Ok(_) => Ok(()),
        },
        (_, Rule::AtLeast(least)) if number < least => {
            error(&number.to_string(), format!("Value must be at least {least}"))
        }
        (_, Rule::Between(least, _)) if number < least => {
            error(&number.to_string(), format!("Value must be at least {least}"))
        }
        (_, Rule::Between(_, most)) if number > most => {
            error(&number.to_string(), format!("Value must be no more than {most}"))
        }
        (_, Rule::BetweenOr(least, most, other)) if number != other && !(least..=most).contains(&number) => {
            let text = format!("Value must be between {least} and {most} or equal to {other}");
            error(&number.to_string(), text)
        }
        (ConfigType::List, Rule::OneOf(allowed)) => {
            match value.split(',').map(str::trim).find(|part| !allowed.contains(part)) {
                Some(part) => error(part, format!("String must be one of: {}", allowed.join(", "))),
                None => Ok(()),
            }
        }
        (_, Rule::OneOf(allowed)) if !allowed.contains(&value) => {
            error(value, format!("String must be one of: {}", allowed.join(", ")))
        }
        (
            _,
            Rule::Any
            | Rule::AtLeast(_)
            | Rule::Between(..)
            | Rule::BetweenOr(..)
            | Rule::Fraction
            | Rule::OneOf(_),
        ) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<(), CommandError>) -> String {
        result.expect_err("it must be refused").message
    }

    #[test]
    fn every_default_is_a_value_that_may_be_set() {
        for key in TOPIC_CONFIGS.iter().chain(BROKER_CONFIGS) {
            if let Some(default) = key.default {
                check(key, default).unwrap_or_else(|error| panic!("{error}"));
            }
        }
    }

    #[test]
    fn catalogues_are_sorted_and_every_broker_key_of_a_topic_is_listed() {
        for catalogue in [TOPIC_CONFIGS, BROKER_CONFIGS] {
            assert!(catalogue.is_sorted_by_key(|key| key.name), "tools show them in this order");
        }
        for (name, _) in TOPIC_CONFIGS.iter().flat_map(|key| key.broker) {
            assert!(broker_key(name).is_some(), "{name}");
        }
    }

    #[test]
    fn refusals_are_in_kafkas_words() {
        assert_eq!(
            message(check_topic("retention.ms", "soon")),
            "Invalid value soon for configuration retention.ms: Not a number of type LONG"
        );
        assert_eq!(
            message(check_topic("min.cleanable.dirty.ratio", "2")),
            "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1"
        );
        assert_eq!(
            message(check_topic("cleanup.policy", "delete,keep")),
            "Invalid value keep for configuration cleanup.policy: String must be one of: compact, delete"
        );
        assert_eq!(
            message(check_topic("compression.lz4.level", "18")),
            "Invalid value 18 for configuration compression.lz4.level: Value must be no more than 17"
        );
        assert_eq!(
            message(check_topic("compression.gzip.level", "0")),
            "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1"
        );
        assert_eq!(message(check_topic("no.such", "1")), "Unknown topic config name: no.such");
        assert_eq!(message(check_broker("no.such", "1")), "Unknown broker config name: no.such");
        assert!(message(check_broker("min.insync.replicas", "2")).contains("set it for a topic instead"));
    }

    #[test] // KIP-226
    fn what_is_read_at_the_start_cannot_be_told_later() {
        let told = |name: &str, value: &str| check_dynamic(name, value).map_err(|error| error.message);
        assert_eq!(told("num.partitions", "3"), Ok(()));
        assert_eq!(check_broker("connections.max.idle.ms", "3"), Ok(()));
        let refused = told("connections.max.idle.ms", "3").expect_err("refused");
        assert!(refused.contains("connections.max.idle.ms is read-only"), "{refused}");
        for (name, value) in [("no.such", "1"), ("num.partitions", "0"), ("min.insync.replicas", "2")] {
            assert!(told(name, value).is_err_and(|text| text.contains(name)), "{name}");
        }
    }

    /// Kafka's dynamic broker configs (DynamicBrokerConfig.AllDynamicConfigs), as far as they are here.
    #[test]
    fn what_kafka_changes_at_run_time_changes_here() {
        let dynamic = |key: &&ConfigKey| {
            key.name.starts_with("log.")
                || key.name.starts_with("compression.")
                || key.name == "message.max.bytes"
        };
        let fixed: Vec<&str> = BROKER_CONFIGS
            .iter()
            .filter(dynamic)
            .map(|key| key.name)
            .filter(|name| is_read_only(name))
            .collect();
        assert!(fixed.is_empty(), "{fixed:?}");
    }

    #[test]
    fn a_topic_inherits_what_the_broker_was_told_in_its_unit() {
        let settings = Settings::from([("log.retention.hours".to_owned(), "2".to_owned())]);
        let none = BTreeMap::new();
        assert_eq!(topic_value(&none, &settings, "retention.ms"), "7200000");
        let both = Settings::from([
            ("log.retention.hours".to_owned(), "2".to_owned()),
            ("log.retention.ms".to_owned(), "5".to_owned()),
        ]);
        assert_eq!(topic_value(&none, &both, "retention.ms"), "5", "the finer unit is the stronger one");
        let forever = Settings::from([("log.retention.hours".to_owned(), "-1".to_owned())]);
        assert_eq!(topic_value(&none, &forever, "retention.ms"), "-1");
        let set = BTreeMap::from([("retention.ms".to_owned(), "7".to_owned())]);
        assert_eq!(topic_value(&set, &both, "retention.ms"), "7");
        assert_eq!(topic_value(&none, &Settings::new(), "retention.ms"), "604800000");
    }

    #[test]
    fn synonyms_name_every_source_the_strongest_first() {
        let key = topic_key("min.insync.replicas").expect("it is there");
        let shown = |configs: &[(&str, &str)], min_insync| {
            let configs = configs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let synonyms = topic_synonyms(key, &configs, &Settings::new(), min_insync);
            synonyms.into_iter().map(|s| (s.source, s.value)).collect::<Vec<_>>()
        };
        let default = (ConfigSource::Default, "1".to_owned());
        let cluster = (ConfigSource::DynamicDefaultBroker, "2".to_owned());
        assert_eq!(shown(&[], 2), [cluster.clone(), default.clone()]);
        assert_eq!(shown(&[], 1), std::slice::from_ref(&default));
        let set = (ConfigSource::Topic, "3".to_owned());
        assert_eq!(shown(&[("min.insync.replicas", "3")], 2), [set, cluster, default]);
    }
}
