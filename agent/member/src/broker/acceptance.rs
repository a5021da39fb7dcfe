//! What a topic's configs say about the batches that it takes.
//!
//! Must not know: batches. Read first: [`rules`].

use std::collections::BTreeMap;

use streamkeeper_controller::{Settings, topic_value};
use streamkeeper_wire::record::{Compression, Packing, Rules, Timestamps};

/// The rules of a topic with these configs, on a broker with these settings. Both were checked when they were set.
pub(super) fn rules(configs: &BTreeMap<String, String>, settings: &Settings) -> Rules {
    let text = |name: &str| topic_value(configs, settings, name);
    let number = |name: &str| text(name).trim().parse::<i64>().ok();
    let defaults = Rules::default();
    let bound = |name: &str| number(name).unwrap_or(i64::MAX);
    let timestamps = if text("message.timestamp.type") == "LogAppendTime" {
        Timestamps::LogAppendTime
    } else {
        Timestamps::CreateTime {
            before_max_ms: bound("message.timestamp.before.max.ms"),
            after_max_ms: bound("message.timestamp.after.max.ms"),
        }
    };
    let packing = Compression::named(&text("compression.type")).map(|compression| {
        let level = number(&format!("compression.{}.level", compression.name()));
        let level = level.and_then(|level| i32::try_from(level).ok());
        level.map_or(Packing::default_of(compression), |level| Packing { compression, level })
    });
    let size = |name: &str| number(name).and_then(|n| u64::try_from(n).ok());
    let batch_bytes_max = size("max.message.bytes").and_then(|n| usize::try_from(n).ok());
    Rules {
        batch_bytes_max: batch_bytes_max.unwrap_or(defaults.batch_bytes_max),
        segment_bytes_max: size("segment.bytes").unwrap_or(defaults.segment_bytes_max),
        is_compacted: text("cleanup.policy").split(',').any(|policy| policy.trim() == "compact"),
        timestamps,
        packing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn without_configs_they_are_kafkas_defaults() {
        assert_eq!(rules(&set(&[]), &Settings::new()), Rules::default());
    }

    #[test]
    fn a_topic_sets_its_own_and_inherits_the_brokers() {
        let topic = set(&[
            ("cleanup.policy", "delete,compact"),
            ("max.message.bytes", "1000"),
            ("segment.bytes", "2000000"),
            ("compression.type", "zstd"),
            ("compression.zstd.level", "7"),
            ("message.timestamp.before.max.ms", "5"),
        ]);
        let broker = set(&[("log.message.timestamp.after.max.ms", "9")]);
        let expected = Rules {
            batch_bytes_max: 1000,
            segment_bytes_max: 2_000_000,
            is_compacted: true,
            timestamps: Timestamps::CreateTime { before_max_ms: 5, after_max_ms: 9 },
            packing: Some(Packing { compression: Compression::Zstd, level: 7 }),
        };
        assert_eq!(rules(&topic, &broker), expected);
    }

    #[test]
    fn the_brokers_time_and_no_compression_at_all() {
        let topic = set(&[("message.timestamp.type", "LogAppendTime"), ("compression.type", "uncompressed")]);
        let rules = rules(&topic, &Settings::new());
        assert_eq!(rules.timestamps, Timestamps::LogAppendTime);
        assert_eq!(rules.packing, Some(Packing::default_of(Compression::None)));
    }
}
