//! Kafka's settings that manifests may have: the agents' catalogue (`agent/controller/src/configs/`) once more, because `validate`
//! judges without an agent. A test holds the two against each other.
//!
//! Must not know: what a setting does. Read first: [`topic_error`], [`broker_error`].

/// Kafka's type of a setting (ConfigDef.Type).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Boolean,
    Text,
    Int,
    Long,
    Double,
    List,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    name: &'static str,
    /// The broker's settings that a topic's default comes from, the strongest first.
    broker: &'static [&'static str],
    kind: Type,
    /// The least number.
    min: i64,
    allowed: &'static [&'static str],
}

const fn key(
    name: &'static str,
    broker: &'static [&'static str],
    kind: Type,
    min: i64,
    allowed: &'static [&'static str],
) -> Key {
    Key { name, broker, kind, min, allowed }
}

const COMPRESSIONS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
const TIMESTAMPS: &[&str] = &["CreateTime", "LogAppendTime"];
const POLICIES: &[&str] = &["compact", "delete"];

/// What a topic may set.
const TOPIC: &[Key] = &[
    key("cleanup.policy", &["log.cleanup.policy"], Type::List, i64::MIN, POLICIES),
    key("compression.gzip.level", &["compression.gzip.level"], Type::Int, -1, &[]),
    key("compression.lz4.level", &["compression.lz4.level"], Type::Int, 1, &[]),
    key("compression.type", &["compression.type"], Type::Text, i64::MIN, COMPRESSIONS),
    key("compression.zstd.level", &["compression.zstd.level"], Type::Int, -131072, &[]),
    key("delete.retention.ms", &["log.cleaner.delete.retention.ms"], Type::Long, 0, &[]),
    key("file.delete.delay.ms", &["log.segment.delete.delay.ms"], Type::Long, 0, &[]),
    key("flush.messages", &["log.flush.interval.messages"], Type::Long, 1, &[]),
    key("flush.ms", &["log.flush.interval.ms"], Type::Long, 0, &[]),
    key("follower.replication.throttled.replicas", &[], Type::List, i64::MIN, &[]),
    key("index.interval.bytes", &["log.index.interval.bytes"], Type::Int, 0, &[]),
    key("leader.replication.throttled.replicas", &[], Type::List, i64::MIN, &[]),
    key("local.retention.bytes", &["log.local.retention.bytes"], Type::Long, -2, &[]),
    key("local.retention.ms", &["log.local.retention.ms"], Type::Long, -2, &[]),
    key("max.compaction.lag.ms", &["log.cleaner.max.compaction.lag.ms"], Type::Long, 1, &[]),
    key("max.message.bytes", &["message.max.bytes"], Type::Int, 0, &[]),
    key("message.timestamp.after.max.ms", &["log.message.timestamp.after.max.ms"], Type::Long, 0, &[]),
    key("message.timestamp.before.max.ms", &["log.message.timestamp.before.max.ms"], Type::Long, 0, &[]),
    key("message.timestamp.type", &["log.message.timestamp.type"], Type::Text, i64::MIN, TIMESTAMPS),
    key("min.cleanable.dirty.ratio", &["log.cleaner.min.cleanable.ratio"], Type::Double, i64::MIN, &[]),
    key("min.compaction.lag.ms", &["log.cleaner.min.compaction.lag.ms"], Type::Long, 0, &[]),
    key("min.insync.replicas", &["min.insync.replicas"], Type::Int, 1, &[]),
    key("preallocate", &["log.preallocate"], Type::Boolean, i64::MIN, &[]),
    key("remote.log.copy.disable", &[], Type::Boolean, i64::MIN, &["false"]),
    key("remote.log.delete.on.disable", &[], Type::Boolean, i64::MIN, &["false"]),
    key("remote.storage.enable", &[], Type::Boolean, i64::MIN, &["false"]),
    key("retention.bytes", &["log.retention.bytes"], Type::Long, i64::MIN, &[]),
    key(
        "retention.ms",
        &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
        Type::Long,
        -1,
        &[],
    ),
    key("segment.bytes", &["log.segment.bytes"], Type::Int, 1_048_576, &[]),
    key("segment.index.bytes", &["log.index.size.max.bytes"], Type::Int, 4, &[]),
    key("segment.jitter.ms", &["log.roll.jitter.ms", "log.roll.jitter.hours"], Type::Long, 0, &[]),
    key("segment.ms", &["log.roll.ms", "log.roll.hours"], Type::Long, 1, &[]),
    key(
        "unclean.leader.election.enable",
        &["unclean.leader.election.enable"],
        Type::Boolean,
        i64::MIN,
        &["false"],
    ),
];

/// What the broker may be told, the defaults of topics among it.
const BROKER: &[Key] = &[
    key("auto.create.topics.enable", &[], Type::Boolean, i64::MIN, &[]),
    key("compression.gzip.level", &[], Type::Int, -1, &[]),
    key("compression.lz4.level", &[], Type::Int, 1, &[]),
    key("compression.type", &[], Type::Text, i64::MIN, COMPRESSIONS),
    key("compression.zstd.level", &[], Type::Int, -131072, &[]),
    key("default.replication.factor", &[], Type::Int, 1, &[]),
    key("delete.topic.enable", &[], Type::Boolean, i64::MIN, &["true"]),
    key("group.initial.rebalance.delay.ms", &[], Type::Int, 0, &[]),
    key("group.max.session.timeout.ms", &[], Type::Int, 1, &[]),
    key("group.max.size", &[], Type::Int, 1, &[]),
    key("group.min.session.timeout.ms", &[], Type::Int, 1, &[]),
    key("log.cleaner.delete.retention.ms", &[], Type::Long, 0, &[]),
    key("log.cleaner.max.compaction.lag.ms", &[], Type::Long, 1, &[]),
    key("log.cleaner.min.cleanable.ratio", &[], Type::Double, i64::MIN, &[]),
    key("log.cleaner.min.compaction.lag.ms", &[], Type::Long, 0, &[]),
    key("log.cleanup.policy", &[], Type::List, i64::MIN, POLICIES),
    key("log.flush.interval.messages", &[], Type::Long, 1, &[]),
    key("log.flush.interval.ms", &[], Type::Long, 0, &[]),
    key("log.index.interval.bytes", &[], Type::Int, 0, &[]),
    key("log.index.size.max.bytes", &[], Type::Int, 4, &[]),
    key("log.local.retention.bytes", &[], Type::Long, -2, &[]),
    key("log.local.retention.ms", &[], Type::Long, -2, &[]),
    key("log.message.timestamp.after.max.ms", &[], Type::Long, 0, &[]),
    key("log.message.timestamp.before.max.ms", &[], Type::Long, 0, &[]),
    key("log.message.timestamp.type", &[], Type::Text, i64::MIN, TIMESTAMPS),
    key("log.preallocate", &[], Type::Boolean, i64::MIN, &[]),
    key("log.retention.bytes", &[], Type::Long, i64::MIN, &[]),
    key("log.retention.hours", &[], Type::Int, -1, &[]),
    key("log.retention.minutes", &[], Type::Int, -1, &[]),
    key("log.retention.ms", &[], Type::Long, -1, &[]),
    key("log.roll.hours", &[], Type::Int, 1, &[]),
    key("log.roll.jitter.hours", &[], Type::Int, 0, &[]),
    key("log.roll.jitter.ms", &[], Type::Long, 0, &[]),
    key("log.roll.ms", &[], Type::Long, 1, &[]),
    key("log.segment.bytes", &[], Type::Int, 1_048_576, &[]),
    key("log.segment.delete.delay.ms", &[], Type::Long, 0, &[]),
    key("message.max.bytes", &[], Type::Int, 0, &[]),
    key("min.insync.replicas", &[], Type::Int, 1, &[]),
    key("num.partitions", &[], Type::Int, 1, &[]),
    key("offset.metadata.max.bytes", &[], Type::Int, 0, &[]),
    key("offsets.retention.minutes", &[], Type::Int, 1, &[]),
    key("offsets.topic.num.partitions", &[], Type::Int, 1, &[]),
    key("replica.lag.time.max.ms", &[], Type::Long, 1, &[]),
    key("socket.request.max.bytes", &[], Type::Int, i64::MIN, &["104857600"]),
    key("unclean.leader.election.enable", &[], Type::Boolean, i64::MIN, &["false"]),
];

/// Settings of Kafka's brokers that follow from other fields or that the agents choose; with a full name, or a prefix that ends in a dot.
const OWNED: &[(&str, &str)] = &[
    ("advertised.listeners", "the addresses follow from where the agent runs"),
    ("broker.id", "an agent's id is its number in the ensemble"),
    ("broker.rack", "it follows from spec.scheduling.zoneKey"),
    ("controller.", "there are no separate controllers"),
    ("control.plane.", "there are no separate controllers"),
    ("early.start.listeners", "the listeners follow from where the agent runs"),
    ("inter.broker.", "agents speak to each other in a protocol of their own"),
    ("listener.", "the listeners follow from where the agent runs"),
    ("listeners", "the listeners follow from where the agent runs"),
    ("log.dir", "each agent has one volume, spec.storage"),
    ("log.dirs", "each agent has one volume, spec.storage"),
    ("metadata.log.", "the ensemble keeps the metadata itself"),
    ("node.id", "an agent's id is its number in the ensemble"),
    ("process.roles", "every agent has all roles"),
    ("zookeeper.", "an agent is a member of the ensemble itself"),
];

/// Why a topic cannot have this setting; `None` if it can. Without a value only the name is judged.
pub fn topic_error(name: &str, value: Option<&str>) -> Option<String> {
    let Some(key) = TOPIC.iter().find(|key| key.name == name) else {
        return Some(unknown("topic", name, TOPIC.iter().map(|key| key.name)));
    };
    value.and_then(|value| wrong_value(key, value))
}

/// Why brokers cannot have this setting; `None` if they can.
pub fn broker_error(name: &str, value: &str) -> Option<String> {
    let owns =
        |owned: &&(&str, &str)| name == owned.0 || (owned.0.ends_with('.') && name.starts_with(owned.0));
    if let Some((_, why)) = OWNED.iter().find(owns) {
        return Some(format!("cannot be set: {why}; remove it"));
    }
    if name == "min.insync.replicas" {
        return Some(
            "follows from a topic's replicas (2 of three or more, else 1); set it in a Topic".to_owned(),
        );
    }
    if let Some(key) = BROKER.iter().find(|key| key.name == name) {
        return wrong_value(key, value);
    }
    match TOPIC.iter().find(|key| key.name == name).map(|key| key.broker) {
        Some([]) => {
            Some("is a setting of topics without a default for all of them; set it in a Topic".to_owned())
        }
        Some([broker, ..]) => Some(format!("is a setting of topics; brokers call its default {broker}")),
        None => Some(unknown("broker", name, BROKER.iter().map(|key| key.name))),
    }
}

fn unknown(whose: &str, name: &str, known: impl Iterator<Item = &'static str>) -> String {
    const SIMILAR: f64 = 0.85;
    let similar = known
        .map(|key| (strsim::jaro_winkler(name, key), key))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let hint = similar.map(|(_, key)| format!("; did you mean {key}?")).unwrap_or_default();
    format!("is not a {whose} setting that is known here{hint}")
}

fn wrong_value(key: &Key, value: &str) -> Option<String> {
    let good = match key.kind {
        Type::Boolean => matches!(value, "true" | "false"),
        Type::Int => value.parse::<i32>().is_ok_and(|v| i64::from(v) >= key.min),
        Type::Long => value.parse::<i64>().is_ok_and(|v| v >= key.min),
        Type::Double => value.parse::<f64>().is_ok_and(|v| (0.0..=1.0).contains(&v)),
        Type::Text | Type::List => true,
    };
    let listed = key.allowed.is_empty() || value.split(',').all(|part| key.allowed.contains(&part.trim()));
    if good && listed {
        return None;
    }
    let allowed = match key.kind {
        Type::Boolean if key.allowed.is_empty() => "true or false".to_owned(),
        Type::Int | Type::Long if !key.allowed.is_empty() => key.allowed.join(" or "),
        Type::Int | Type::Long if key.min == i64::MIN => "a whole number".to_owned(),
        Type::Int | Type::Long => format!("a whole number, at least {},", key.min),
        Type::Double => "a number between 0 and 1".to_owned(),
        Type::Boolean | Type::Text | Type::List => key.allowed.join(" or "),
    };
    Some(format!("{value:?} is not possible; {allowed} is"))
}

#[cfg(test)]
mod tests {
    use streamkeeper_controller::{BROKER_CONFIGS, ConfigKey, ConfigType, Rule, TOPIC_CONFIGS};

    use super::*;

    fn same(ours: &Key, theirs: &ConfigKey) -> bool {
        let kind = match theirs.kind {
            ConfigType::Boolean => Type::Boolean,
            ConfigType::Text => Type::Text,
            ConfigType::Int => Type::Int,
            ConfigType::Long => Type::Long,
            ConfigType::Double => Type::Double,
            ConfigType::List => Type::List,
        };
        let (min, allowed): (i64, &[&str]) = match theirs.rule {
            Rule::Any | Rule::Fraction => (i64::MIN, &[]),
            Rule::AtLeast(least) => (least, &[]),
            Rule::OneOf(allowed) => (i64::MIN, allowed),
        };
        let broker = theirs.broker.iter().map(|(name, _)| name);
        (ours.name, ours.kind, ours.min, ours.allowed) == (theirs.name, kind, min, allowed)
            && ours.broker.iter().eq(broker)
    }

    #[test]
    fn the_catalogue_is_that_of_the_agents() {
        for (ours, theirs) in [(TOPIC, TOPIC_CONFIGS), (BROKER, BROKER_CONFIGS)] {
            for their in theirs {
                assert!(
                    ours.iter().any(|our| same(our, their)),
                    "operator/src/kafka_config.rs lacks, or has otherwise: {their:?}"
                );
            }
            assert_eq!(
                ours.len(),
                theirs.len(),
                "operator/src/kafka_config.rs has settings that the agents have not"
            );
        }
    }

    #[test]
    fn settings_are_judged_by_name_and_value() {
        let topic = |name, value| topic_error(name, Some(value)).unwrap_or_default();
        assert_eq!(topic("retention.ms", "1000"), "");
        assert_eq!(topic_error("retention.ms", None), None);
        assert_eq!(
            topic("retention.ms", "long"),
            "\"long\" is not possible; a whole number, at least -1, is"
        );
        assert_eq!(topic("cleanup.policy", "compact,delete"), "");
        assert_eq!(topic("cleanup.policy", "shred"), "\"shred\" is not possible; compact or delete is");
        assert_eq!(
            topic("retention.msec", "1"),
            "is not a topic setting that is known here; did you mean retention.ms?"
        );
        let broker = |name, value| broker_error(name, value).unwrap_or_default();
        assert_eq!(broker("log.retention.hours", "168"), "");
        assert_eq!(broker("log.retention.ms", "1"), "");
        assert_eq!(
            broker("retention.ms", "1"),
            "is a setting of topics; brokers call its default log.retention.ms"
        );
        assert_eq!(
            broker("broker.id", "1"),
            "cannot be set: an agent's id is its number in the ensemble; remove it"
        );
        assert!(broker("listener.name.x.y", "1").starts_with("cannot be set: the listeners"));
        assert_eq!(broker("colour", "blue"), "is not a broker setting that is known here");
    }
}
