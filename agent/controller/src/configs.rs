//! The catalogue of configs under Kafka's names: what a topic or the broker may set, of which type, with which default.
//!
//! Unknown keys are refused by name (INVALID_CONFIG). Read first: [`TOPIC_CONFIGS`], [`topic_value`].

use std::collections::BTreeMap;

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

/// One entry of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// Kafka's name.
    pub name: &'static str,
    /// Its type.
    pub kind: ConfigType,
    /// The default as text.
    pub default: &'static str,
    /// The broker's config that a topic's default comes from; empty without one.
    pub broker: &'static str,
    /// The least value of a number.
    pub min: i64,
    /// The values a text or list may have; empty for any.
    pub allowed: &'static [&'static str],
}

const fn key(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    broker: &'static str,
    min: i64,
    allowed: &'static [&'static str],
) -> ConfigKey {
    ConfigKey { name, kind, default, broker, min, allowed }
}

const MAX_LONG: &str = "9223372036854775807";

/// What a topic may set.
pub const TOPIC_CONFIGS: &[ConfigKey] = &[
    key("cleanup.policy", ConfigType::List, "delete", "log.cleanup.policy", 0, &["delete", "compact"]),
    key(
        "compression.type",
        ConfigType::Text,
        "producer",
        "compression.type",
        0,
        &["producer", "uncompressed", "none", "gzip", "snappy", "lz4", "zstd"],
    ),
    key("delete.retention.ms", ConfigType::Long, "86400000", "log.cleaner.delete.retention.ms", 0, &[]),
    key("file.delete.delay.ms", ConfigType::Long, "60000", "log.segment.delete.delay.ms", 0, &[]),
    key("flush.messages", ConfigType::Long, MAX_LONG, "log.flush.interval.messages", 1, &[]),
    key("flush.ms", ConfigType::Long, MAX_LONG, "log.flush.interval.ms", 0, &[]),
    key("follower.replication.throttled.replicas", ConfigType::List, "", "", 0, &[]),
    key("index.interval.bytes", ConfigType::Int, "4096", "log.index.interval.bytes", 0, &[]),
    key("leader.replication.throttled.replicas", ConfigType::List, "", "", 0, &[]),
    key("local.retention.bytes", ConfigType::Long, "-2", "", -2, &[]),
    key("local.retention.ms", ConfigType::Long, "-2", "", -2, &[]),
    key("max.compaction.lag.ms", ConfigType::Long, MAX_LONG, "log.cleaner.max.compaction.lag.ms", 1, &[]),
    key("max.message.bytes", ConfigType::Int, "1048588", "message.max.bytes", 0, &[]),
    key(
        "message.timestamp.after.max.ms",
        ConfigType::Long,
        "3600000",
        "log.message.timestamp.after.max.ms",
        0,
        &[],
    ),
    key(
        "message.timestamp.before.max.ms",
        ConfigType::Long,
        MAX_LONG,
        "log.message.timestamp.before.max.ms",
        0,
        &[],
    ),
    key(
        "message.timestamp.type",
        ConfigType::Text,
        "CreateTime",
        "log.message.timestamp.type",
        0,
        &["CreateTime", "LogAppendTime"],
    ),
    key("min.cleanable.dirty.ratio", ConfigType::Double, "0.5", "log.cleaner.min.cleanable.ratio", 0, &[]),
    key("min.compaction.lag.ms", ConfigType::Long, "0", "log.cleaner.min.compaction.lag.ms", 0, &[]),
    key("min.insync.replicas", ConfigType::Int, "1", "min.insync.replicas", 1, &[]),
    key("preallocate", ConfigType::Boolean, "false", "log.preallocate", 0, &[]),
    key("remote.storage.enable", ConfigType::Boolean, "false", "", 0, &["false"]),
    key("retention.bytes", ConfigType::Long, "-1", "log.retention.bytes", -1, &[]),
    key("retention.ms", ConfigType::Long, "604800000", "log.retention.ms", -1, &[]),
    key("segment.bytes", ConfigType::Int, "1073741824", "log.segment.bytes", 1_048_576, &[]),
    key("segment.index.bytes", ConfigType::Int, "10485760", "log.index.size.max.bytes", 4, &[]),
    key("segment.jitter.ms", ConfigType::Long, "0", "log.roll.jitter.ms", 0, &[]),
    key("segment.ms", ConfigType::Long, "604800000", "log.roll.ms", 1, &[]),
    key(
        "unclean.leader.election.enable",
        ConfigType::Boolean,
        "false",
        "unclean.leader.election.enable",
        0,
        &["false"],
    ),
];

/// What the broker itself may be told, beyond the topic defaults above.
pub const BROKER_CONFIGS: &[ConfigKey] = &[
    key("auto.create.topics.enable", ConfigType::Boolean, "true", "", 0, &[]),
    key("default.replication.factor", ConfigType::Int, "-1", "", -1, &[]),
    key("group.initial.rebalance.delay.ms", ConfigType::Int, "3000", "", 0, &[]),
    key("group.max.session.timeout.ms", ConfigType::Int, "1800000", "", 0, &[]),
    key("group.max.size", ConfigType::Int, "2147483647", "", 1, &[]),
    key("group.min.session.timeout.ms", ConfigType::Int, "6000", "", 0, &[]),
    key("log.retention.hours", ConfigType::Int, "168", "", -1, &[]),
    key("num.partitions", ConfigType::Int, "1", "", 1, &[]),
    key("offset.metadata.max.bytes", ConfigType::Int, "4096", "", 0, &[]),
    key("offsets.retention.minutes", ConfigType::Int, "10080", "", 1, &[]),
    key("offsets.topic.num.partitions", ConfigType::Int, "50", "", 1, &[]),
    key("replica.lag.time.max.ms", ConfigType::Long, "1000", "", 1, &[]),
];

/// A topic's value in force: what it set, else the catalogue's default.
pub fn topic_value(configs: &BTreeMap<String, String>, name: &str) -> String {
    if let Some(value) = configs.get(name) {
        return value.clone();
    }
    TOPIC_CONFIGS.iter().find(|k| k.name == name).map_or_else(String::new, |k| k.default.to_owned())
}

/// Refuses an unknown key or a value that its key cannot have.
pub(crate) fn check(name: &str, value: &str) -> Result<(), CommandError> {
    const INVALID_CONFIG: i16 = 40;
    let error = |message: String| Err(CommandError::new(INVALID_CONFIG, message));
    let Some(key) = TOPIC_CONFIGS.iter().find(|k| k.name == name) else {
        return error(format!("Unknown topic config name: {name}"));
    };
    let good = match key.kind {
        ConfigType::Boolean => matches!(value, "true" | "false"),
        ConfigType::Int => value.parse::<i32>().is_ok_and(|v| i64::from(v) >= key.min),
        ConfigType::Long => value.parse::<i64>().is_ok_and(|v| v >= key.min),
        ConfigType::Double => value.parse::<f64>().is_ok_and(|v| (0.0..=1.0).contains(&v)),
        ConfigType::Text => true,
        ConfigType::List => true,
    };
    let listed = key.allowed.is_empty() || value.split(',').all(|part| key.allowed.contains(&part.trim()));
    if good && listed {
        return Ok(());
    }
    let allowed = match key.kind {
        ConfigType::Boolean if key.allowed.is_empty() => "true or false".to_owned(),
        ConfigType::Int | ConfigType::Long => format!("a whole number, at least {}", key.min),
        ConfigType::Double => "a number between 0 and 1".to_owned(),
        ConfigType::Boolean | ConfigType::Text | ConfigType::List => {
            format!("one of {}", key.allowed.join(", "))
        }
    };
    error(format!("Invalid value {value} for configuration {name}: it must be {allowed}"))
}
