//! What a topic may set. Read first: [`TOPIC_CONFIGS`].

use super::{ConfigKey, ConfigType, Rule, UpdateMode};

const fn key(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    broker: &'static [(&'static str, i64)],
    rule: Rule,
    doc: &'static str,
) -> ConfigKey {
    ConfigKey { name, kind, default: Some(default), broker, rule, update: UpdateMode::Dynamic, doc }
}

pub(super) const MAX_LONG: &str = "9223372036854775807";
pub(super) const MINUTE_MS: i64 = 60 * 1000;
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(super) const COMPRESSIONS: Rule =
    Rule::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]);
/// Levels as Kafka numbers them (CompressionType.levelValidator, KIP-390).
pub(super) const GZIP_LEVELS: Rule = Rule::BetweenOr(1, 9, -1);
pub(super) const LZ4_LEVELS: Rule = Rule::Between(1, 17);
pub(super) const ZSTD_LEVELS: Rule = Rule::Between(-131_072, 22);
pub(super) const TIMESTAMPS: Rule = Rule::OneOf(&["CreateTime", "LogAppendTime"]);
/// Not built: the other value would be a promise that nobody keeps.
pub(super) const FALSE: Rule = Rule::OneOf(&["false"]);
pub(super) const POLICIES: Rule = Rule::OneOf(&["compact", "delete"]);

/// What a topic may set.
pub const TOPIC_CONFIGS: &[ConfigKey] = &[
    key(
        "cleanup.policy",
        ConfigType::List,
        "delete",
        &[("log.cleanup.policy", 1)],
        POLICIES,
        "What becomes of old records: delete drops whole segments by age and size, compact keeps the last value of each key.",
    ),
    key(
        "compression.gzip.level",
        ConfigType::Int,
        "-1",
        &[("compression.gzip.level", 1)],
        GZIP_LEVELS,
        "Level of gzip where the broker compresses; -1 is gzip's own default.",
    ),
    key(
        "compression.lz4.level",
        ConfigType::Int,
        "9",
        &[("compression.lz4.level", 1)],
        LZ4_LEVELS,
        "Level of lz4 where the broker compresses.",
    ),
    key(
        "compression.type",
        ConfigType::Text,
        "producer",
        &[("compression.type", 1)],
        COMPRESSIONS,
        "How records are compressed at rest; producer keeps what the producer chose.",
    ),
    key(
        "compression.zstd.level",
        ConfigType::Int,
        "3",
        &[("compression.zstd.level", 1)],
        ZSTD_LEVELS,
        "Level of zstd where the broker compresses.",
    ),
    key(
        "delete.retention.ms",
        ConfigType::Long,
        "86400000",
        &[("log.cleaner.delete.retention.ms", 1)],
        Rule::AtLeast(0),
        "How long a compacted topic keeps the mark of a deleted key, so that readers can see it.",
    ),
    key(
        "file.delete.delay.ms",
        ConfigType::Long,
        "60000",
        &[("log.segment.delete.delay.ms", 1)],
        Rule::AtLeast(0),
        "How long a file stays on disk after it was taken out of the log.",
    ),
    key(
        "flush.messages",
        ConfigType::Long,
        MAX_LONG,
        &[("log.flush.interval.messages", 1)],
        Rule::AtLeast(1),
        "Records between two forced flushes. Records of acks=all are flushed before they are acknowledged whatever is set here.",
    ),
    key(
        "flush.ms",
        ConfigType::Long,
        MAX_LONG,
        &[("log.flush.interval.ms", 1)],
        Rule::AtLeast(0),
        "Time between two forced flushes. Records of acks=all are flushed before they are acknowledged whatever is set here.",
    ),
    key(
        "follower.replication.throttled.replicas",
        ConfigType::List,
        "",
        &[],
        Rule::Any,
        "Replicas whose catching up is throttled on the follower's side.",
    ),
    key(
        "index.interval.bytes",
        ConfigType::Int,
        "4096",
        &[("log.index.interval.bytes", 1)],
        Rule::AtLeast(0),
        "Bytes of log between two entries of its index.",
    ),
    key(
        "leader.replication.throttled.replicas",
        ConfigType::List,
        "",
        &[],
        Rule::Any,
        "Replicas whose catching up is throttled on the leader's side.",
    ),
    key(
        "local.retention.bytes",
        ConfigType::Long,
        "-2",
        &[("log.local.retention.bytes", 1)],
        Rule::AtLeast(-2),
        "Bytes kept on the broker's own disk of a tiered topic; -2 follows retention.bytes.",
    ),
    key(
        "local.retention.ms",
        ConfigType::Long,
        "-2",
        &[("log.local.retention.ms", 1)],
        Rule::AtLeast(-2),
        "Time that a tiered topic's records stay on the broker's own disk; -2 follows retention.ms.",
    ),
    key(
        "max.compaction.lag.ms",
        ConfigType::Long,
        MAX_LONG,
        &[("log.cleaner.max.compaction.lag.ms", 1)],
        Rule::AtLeast(1),
        "Longest time that a record may wait for compaction.",
    ),
    key(
        "max.message.bytes",
        ConfigType::Int,
        "1048588",
        &[("message.max.bytes", 1)],
        Rule::AtLeast(0),
        "Largest batch of records that is accepted, as it comes over the wire.",
    ),
    key(
        "message.timestamp.after.max.ms",
        ConfigType::Long,
        "3600000",
        &[("log.message.timestamp.after.max.ms", 1)],
        Rule::AtLeast(0),
        "How far a record's time may lie in the future.",
    ),
    key(
        "message.timestamp.before.max.ms",
        ConfigType::Long,
        MAX_LONG,
        &[("log.message.timestamp.before.max.ms", 1)],
        Rule::AtLeast(0),
        "How far a record's time may lie in the past.",
    ),
    key(
        "message.timestamp.type",
        ConfigType::Text,
        "CreateTime",
        &[("log.message.timestamp.type", 1)],
        TIMESTAMPS,
        "Whose clock a record's time is: its producer's, or the broker's at the append.",
    ),
    key(
        "min.cleanable.dirty.ratio",
        ConfigType::Double,
        "0.5",
        &[("log.cleaner.min.cleanable.ratio", 1)],
        Rule::Fraction,
        "Share of a compacted log that must be new before it is compacted again.",
    ),
    key(
        "min.compaction.lag.ms",
        ConfigType::Long,
        "0",
        &[("log.cleaner.min.compaction.lag.ms", 1)],
        Rule::AtLeast(0),
        "Shortest time that a record stays as it is before compaction.",
    ),
    key(
        "min.insync.replicas",
        ConfigType::Int,
        "1",
        &[("min.insync.replicas", 1)],
        Rule::AtLeast(1),
        "How many members must have flushed a record before it is acknowledged to acks=all; by default 2 with three replicas or more.",
    ),
    key(
        "preallocate",
        ConfigType::Boolean,
        "false",
        &[("log.preallocate", 1)],
        Rule::Any,
        "Whether a segment's file gets its whole size when it is made.",
    ),
    key(
        "remote.log.copy.disable",
        ConfigType::Boolean,
        "false",
        &[],
        FALSE,
        "Whether a tiered topic stops copying segments.",
    ),
    key(
        "remote.log.delete.on.disable",
        ConfigType::Boolean,
        "false",
        &[],
        FALSE,
        "Whether a tiered topic's remote segments go when tiering is turned off.",
    ),
    key(
        "remote.storage.enable",
        ConfigType::Boolean,
        "false",
        &[],
        FALSE,
        "Whether old segments move to remote storage.",
    ),
    key(
        "retention.bytes",
        ConfigType::Long,
        "-1",
        &[("log.retention.bytes", 1)],
        Rule::Any,
        "Bytes per partition above which the oldest segments go; -1 for no bound.",
    ),
    key(
        "retention.ms",
        ConfigType::Long,
        "604800000",
        &[("log.retention.ms", 1), ("log.retention.minutes", MINUTE_MS), ("log.retention.hours", HOUR_MS)],
        Rule::AtLeast(-1),
        "Age above which whole segments go; -1 for no bound.",
    ),
    key(
        "segment.bytes",
        ConfigType::Int,
        "1073741824",
        &[("log.segment.bytes", 1)],
        Rule::AtLeast(1_048_576),
        "Size at which a new segment is begun.",
    ),
    key(
        "segment.index.bytes",
        ConfigType::Int,
        "10485760",
        &[("log.index.size.max.bytes", 1)],
        Rule::AtLeast(4),
        "Largest index of a segment.",
    ),
    key(
        "segment.jitter.ms",
        ConfigType::Long,
        "0",
        &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", HOUR_MS)],
        Rule::AtLeast(0),
        "Spread taken off segment.ms, so that segments do not all roll at once.",
    ),
    key(
        "segment.ms",
        ConfigType::Long,
        "604800000",
        &[("log.roll.ms", 1), ("log.roll.hours", HOUR_MS)],
        Rule::AtLeast(1),
        "Age at which a new segment is begun although the last one is not full.",
    ),
    key(
        "unclean.leader.election.enable",
        ConfigType::Boolean,
        "false",
        &[("unclean.leader.election.enable", 1)],
        FALSE,
        "Whether a replica that may miss acknowledged records may lead; it may not.",
    ),
];
