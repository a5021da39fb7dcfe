//! What the broker may be told, and what it shows. Read first: [`BROKER_CONFIGS`].

use super::topic::{
    COMPRESSIONS, FALSE, GZIP_LEVELS, LZ4_LEVELS, MAX_LONG, POLICIES, TIMESTAMPS, ZSTD_LEVELS,
};
use super::{ConfigKey, ConfigType, Rule, UpdateMode};

const fn key(
    name: &'static str,
    kind: ConfigType,
    default: Option<&'static str>,
    rule: Rule,
    doc: &'static str,
) -> ConfigKey {
    ConfigKey { name, kind, default, broker: &[], rule, update: UpdateMode::Dynamic, doc }
}

/// One that an agent reads when it starts, and never again.
const fn at_start(key: ConfigKey) -> ConfigKey {
    ConfigKey { update: UpdateMode::ReadOnly, ..key }
}

/// What is fixed is shown, and may be said, but not otherwise.
const TRUE: Rule = Rule::OneOf(&["true"]);
const FRAME: Rule = Rule::OneOf(&["104857600"]);
const FETCH: Rule = Rule::OneOf(&["57671680"]);

/// What the broker may be told, and what it shows.
pub const BROKER_CONFIGS: &[ConfigKey] = &[
    key(
        "auto.create.topics.enable",
        ConfigType::Boolean,
        Some("true"),
        Rule::Any,
        "Whether a client that names an unknown topic may make it.",
    ),
    key(
        "compression.gzip.level",
        ConfigType::Int,
        Some("-1"),
        GZIP_LEVELS,
        "The default of compression.gzip.level for topics that do not set it.",
    ),
    key(
        "compression.lz4.level",
        ConfigType::Int,
        Some("9"),
        LZ4_LEVELS,
        "The default of compression.lz4.level for topics that do not set it.",
    ),
    key(
        "compression.type",
        ConfigType::Text,
        Some("producer"),
        COMPRESSIONS,
        "The default of compression.type for topics that do not set it.",
    ),
    key(
        "compression.zstd.level",
        ConfigType::Int,
        Some("3"),
        ZSTD_LEVELS,
        "The default of compression.zstd.level for topics that do not set it.",
    ),
    at_start(key(
        "connections.max.idle.ms",
        ConfigType::Long,
        Some("600000"),
        Rule::Any,
        "A client's connection that carries nothing for longer is closed; -1 for never.",
    )),
    key(
        "default.replication.factor",
        ConfigType::Int,
        Some("3"),
        Rule::AtLeast(1),
        "Replicas of a topic that does not say how many; fewer on a smaller ensemble.",
    ),
    key(
        "delete.topic.enable",
        ConfigType::Boolean,
        Some("true"),
        TRUE,
        "Whether topics may be deleted; they may.",
    ),
    key(
        "fetch.max.bytes",
        ConfigType::Int,
        Some("57671680"),
        FETCH,
        "Most bytes of records in one answer, but for its first batch.",
    ),
    key(
        "group.initial.rebalance.delay.ms",
        ConfigType::Int,
        Some("3000"),
        Rule::AtLeast(0),
        "How long an empty group waits for more members before its first assignment.",
    ),
    key(
        "group.max.session.timeout.ms",
        ConfigType::Int,
        Some("1800000"),
        Rule::AtLeast(1),
        "Longest session that a group's member may ask for.",
    ),
    key(
        "group.max.size",
        ConfigType::Int,
        Some("2147483647"),
        Rule::AtLeast(1),
        "Most members of one group.",
    ),
    key(
        "group.min.session.timeout.ms",
        ConfigType::Int,
        Some("6000"),
        Rule::AtLeast(1),
        "Shortest session that a group's member may ask for.",
    ),
    key(
        "log.cleaner.delete.retention.ms",
        ConfigType::Long,
        Some("86400000"),
        Rule::AtLeast(0),
        "The default of delete.retention.ms for topics that do not set it.",
    ),
    key(
        "log.cleaner.max.compaction.lag.ms",
        ConfigType::Long,
        Some(MAX_LONG),
        Rule::AtLeast(1),
        "The default of max.compaction.lag.ms for topics that do not set it.",
    ),
    key(
        "log.cleaner.min.cleanable.ratio",
        ConfigType::Double,
        Some("0.5"),
        Rule::Fraction,
        "The default of min.cleanable.dirty.ratio for topics that do not set it.",
    ),
    key(
        "log.cleaner.min.compaction.lag.ms",
        ConfigType::Long,
        Some("0"),
        Rule::AtLeast(0),
        "The default of min.compaction.lag.ms for topics that do not set it.",
    ),
    key(
        "log.cleanup.policy",
        ConfigType::List,
        Some("delete"),
        POLICIES,
        "The default of cleanup.policy for topics that do not set it.",
    ),
    key(
        "log.flush.interval.messages",
        ConfigType::Long,
        Some(MAX_LONG),
        Rule::AtLeast(1),
        "The default of flush.messages for topics that do not set it.",
    ),
    key(
        "log.flush.interval.ms",
        ConfigType::Long,
        None,
        Rule::AtLeast(0),
        "The default of flush.ms for topics that do not set it.",
    ),
    key(
        "log.index.interval.bytes",
        ConfigType::Int,
        Some("4096"),
        Rule::AtLeast(0),
        "The default of index.interval.bytes for topics that do not set it.",
    ),
    key(
        "log.index.size.max.bytes",
        ConfigType::Int,
        Some("10485760"),
        Rule::AtLeast(4),
        "The default of segment.index.bytes for topics that do not set it.",
    ),
    key(
        "log.local.retention.bytes",
        ConfigType::Long,
        Some("-2"),
        Rule::AtLeast(-2),
        "The default of local.retention.bytes for topics that do not set it.",
    ),
    key(
        "log.local.retention.ms",
        ConfigType::Long,
        Some("-2"),
        Rule::AtLeast(-2),
        "The default of local.retention.ms for topics that do not set it.",
    ),
    key(
        "log.message.timestamp.after.max.ms",
        ConfigType::Long,
        Some("3600000"),
        Rule::AtLeast(0),
        "The default of message.timestamp.after.max.ms for topics that do not set it.",
    ),
    key(
        "log.message.timestamp.before.max.ms",
        ConfigType::Long,
        Some(MAX_LONG),
        Rule::AtLeast(0),
        "The default of message.timestamp.before.max.ms for topics that do not set it.",
    ),
    key(
        "log.message.timestamp.type",
        ConfigType::Text,
        Some("CreateTime"),
        TIMESTAMPS,
        "The default of message.timestamp.type for topics that do not set it.",
    ),
    key(
        "log.preallocate",
        ConfigType::Boolean,
        Some("false"),
        Rule::Any,
        "The default of preallocate for topics that do not set it.",
    ),
    key(
        "log.retention.bytes",
        ConfigType::Long,
        Some("-1"),
        Rule::Any,
        "The default of retention.bytes for topics that do not set it.",
    ),
    key(
        "log.retention.hours",
        ConfigType::Int,
        Some("168"),
        Rule::AtLeast(-1),
        "In hours: the default of retention.ms for topics that do not set it.",
    ),
    key(
        "log.retention.minutes",
        ConfigType::Int,
        None,
        Rule::AtLeast(-1),
        "In minutes: the default of retention.ms for topics that do not set it.",
    ),
    key(
        "log.retention.ms",
        ConfigType::Long,
        None,
        Rule::AtLeast(-1),
        "The default of retention.ms for topics that do not set it.",
    ),
    key(
        "log.roll.hours",
        ConfigType::Int,
        Some("168"),
        Rule::AtLeast(1),
        "In hours: the default of segment.ms for topics that do not set it.",
    ),
    key(
        "log.roll.jitter.hours",
        ConfigType::Int,
        Some("0"),
        Rule::AtLeast(0),
        "In hours: the default of segment.jitter.ms for topics that do not set it.",
    ),
    key(
        "log.roll.jitter.ms",
        ConfigType::Long,
        None,
        Rule::AtLeast(0),
        "The default of segment.jitter.ms for topics that do not set it.",
    ),
    key(
        "log.roll.ms",
        ConfigType::Long,
        None,
        Rule::AtLeast(1),
        "The default of segment.ms for topics that do not set it.",
    ),
    key(
        "log.segment.bytes",
        ConfigType::Int,
        Some("1073741824"),
        Rule::AtLeast(1_048_576),
        "The default of segment.bytes for topics that do not set it.",
    ),
    key(
        "log.segment.delete.delay.ms",
        ConfigType::Long,
        Some("60000"),
        Rule::AtLeast(0),
        "The default of file.delete.delay.ms for topics that do not set it.",
    ),
    key(
        "message.max.bytes",
        ConfigType::Int,
        Some("1048588"),
        Rule::AtLeast(0),
        "The default of max.message.bytes for topics that do not set it.",
    ),
    key(
        "min.insync.replicas",
        ConfigType::Int,
        Some("1"),
        Rule::AtLeast(1),
        "The default of min.insync.replicas for topics that do not set it.",
    ),
    key(
        "num.partitions",
        ConfigType::Int,
        Some("1"),
        Rule::AtLeast(1),
        "Partitions of a topic that does not say how many.",
    ),
    key(
        "offset.metadata.max.bytes",
        ConfigType::Int,
        Some("4096"),
        Rule::AtLeast(0),
        "Longest text that a consumer may commit with an offset.",
    ),
    key(
        "offsets.retention.minutes",
        ConfigType::Int,
        Some("10080"),
        Rule::AtLeast(1),
        "How long an empty group's offsets are kept.",
    ),
    key(
        "offsets.topic.num.partitions",
        ConfigType::Int,
        Some("50"),
        Rule::AtLeast(1),
        "Partitions of __consumer_offsets, when it is made.",
    ),
    key(
        "replica.lag.time.max.ms",
        ConfigType::Long,
        Some("1000"),
        Rule::AtLeast(1),
        "A replica that is behind for longer leaves the in-sync set.",
    ),
    key(
        "socket.request.max.bytes",
        ConfigType::Int,
        Some("104857600"),
        FRAME,
        "Longest request that is read; the connection of a longer one is closed.",
    ),
    key(
        "unclean.leader.election.enable",
        ConfigType::Boolean,
        Some("false"),
        FALSE,
        "The default of unclean.leader.election.enable for topics that do not set it.",
    ),
];

const _: () = assert!(
    streamkeeper_base::limits::KAFKA_FRAME_BYTES_MAX == 104_857_600,
    "socket.request.max.bytes shows the limit in force"
);
const _: () = assert!(
    streamkeeper_base::limits::FETCH_BYTES_MAX == 57_671_680,
    "fetch.max.bytes shows the limit in force"
);
