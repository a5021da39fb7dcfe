//! The broker's settings while it runs: what is derived from them is derived anew when they change (KIP-226).
//!
//! Everything else reads [`super::BrokerConfig::setting`] where it is used. Must not know: who tells. Read first: [`Broker::settings_told`].

use std::time::Duration;

use streamkeeper_base::TopicPartition;
use streamkeeper_controller::{Settings, Topic, is_read_only};
use streamkeeper_group::Config;

use super::replicas::log_config;
use super::{Broker, BrokerConfig, acceptance};

impl BrokerConfig {
    /// A replica that is behind for longer leaves the in-sync set.
    pub(super) fn lag_max(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.number("replica.lag.time.max.ms")).unwrap_or(1000))
    }

    /// What group coordinators are told.
    pub(super) fn of_groups(&self) -> Config {
        let narrow = |name: &str| i32::try_from(self.number(name)).unwrap_or(i32::MAX);
        let size = |name: &str, otherwise| usize::try_from(self.number(name)).unwrap_or(otherwise);
        let positive = |name: &str| u64::try_from(self.number(name)).unwrap_or(0);
        Config {
            initial_rebalance_delay: Duration::from_millis(positive("group.initial.rebalance.delay.ms")),
            session_timeout_ms: (
                narrow("group.min.session.timeout.ms"),
                narrow("group.max.session.timeout.ms"),
            ),
            metadata_bytes_max: size("offset.metadata.max.bytes", 4096),
            group_size_max: size("group.max.size", usize::MAX),
            offsets_retention: Duration::from_secs(positive("offsets.retention.minutes").saturating_mul(60)),
        }
    }
}

impl Broker {
    /// These settings hold from here on, in place of all that may change; what was read at the start stays as it was read.
    pub(super) fn settings_told(&mut self, told: Settings) {
        let read =
            std::mem::take(&mut self.config.settings).into_iter().filter(|(name, _)| is_read_only(name));
        let read: Settings = read.collect();
        self.config.settings = told.into_iter().filter(|(name, _)| !is_read_only(name)).chain(read).collect();
        let image = self.image.clone();
        let partitions: Vec<TopicPartition> = self.replicas.keys().copied().collect();
        for tp in partitions {
            if let Some(topic) = image.topic_by_id(tp.topic) {
                self.configure_replica(tp, topic);
            }
        }
        let config = self.config.of_groups();
        self.coordinators.values_mut().for_each(|coordinator| coordinator.set_config(config));
    }

    /// What an open partition has of its topic's configs and of the settings.
    pub(super) fn configure_replica(&mut self, tp: TopicPartition, topic: &Topic) {
        let settings = &self.config.settings;
        let (log, rules) = (log_config(topic, settings), acceptance::rules(&topic.configs, settings));
        let lag = self.config.lag_max();
        if let Some(replica) = self.replicas.get_mut(&tp) {
            replica.log.set_config(log);
            replica.rules = rules;
            replica.partition.set_lag_max(lag);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use streamkeeper_base::{Incarnation, Instant, MemberId, PartitionId, TopicId};
    use streamkeeper_controller::{ClusterImage, Member, Partition};
    use streamkeeper_group::Coordinator;
    use streamkeeper_storage::disk::MemoryDisk;
    use streamkeeper_storage::partition_log::{Boot, LogConfig};
    use streamkeeper_wire::record::{Compression, Timestamps};

    use super::super::RecoveredLogs;
    use super::*;
    use crate::io::{Clocks, Input};
    use crate::message::{FromCoordination, ToBroker};

    const OWN: MemberId = MemberId(0);
    const TP: TopicPartition = TopicPartition { topic: TopicId([7; 16]), partition: PartitionId(0) };

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn tell(broker: &mut Broker, message: ToBroker) {
        broker.handle(Clocks::default(), Input::Message(message), &mut Vec::new());
    }

    /// A broker with these settings that holds one partition, of a topic that sets `max.message.bytes` and nothing else.
    fn broker(at_start: &[(&str, &str)]) -> Broker {
        let config = BrokerConfig {
            member: OWN,
            incarnation: Incarnation::default(),
            cluster_id: "c".to_owned(),
            data: "/data".into(),
            settings: settings(at_start),
            checkpoint_bytes: 1 << 20,
            reserve_bytes: 0,
            snapshot_bytes: 1 << 20,
            seed: 1,
        };
        let recovered =
            RecoveredLogs { logs: BTreeMap::new(), voided: BTreeSet::new(), records: 0, boot: Boot::of("b") };
        let mut broker = Broker::new(config, Arc::new(MemoryDisk::default()), recovered, Instant::ZERO);
        let partition = Partition { replicas: vec![OWN], isr: vec![OWN], ..Partition::default() };
        let topic = Topic {
            id: TP.topic,
            name: "t".to_owned(),
            internal: false,
            configs: settings(&[("max.message.bytes", "77")]),
            partitions: vec![partition],
        };
        let image = ClusterImage {
            members: [(OWN, Member { live: true, ..Member::default() })].into(),
            topics: [("t".to_owned(), Arc::new(topic))].into(),
            names: [(TP.topic, "t".to_owned())].into(),
            ..ClusterImage::default()
        };
        tell(&mut broker, ToBroker::Coordination(FromCoordination::Image(Arc::new(image))));
        assert!(broker.replicas.contains_key(&TP), "the partition is open");
        broker
    }

    fn told(broker: &mut Broker, pairs: &[(&str, &str)]) {
        tell(broker, ToBroker::Settings(settings(pairs)));
    }

    #[test] // KIP-226
    fn what_a_partition_has_of_them_changes_while_it_is_open() {
        let mut broker = broker(&[("log.retention.ms", "5")]);
        let log = |broker: &Broker| broker.replicas[&TP].log.config();
        assert_eq!(log(&broker).retention_ms, 5);
        told(
            &mut broker,
            &[
                ("log.retention.hours", "1"),
                ("log.retention.bytes", "9"),
                ("log.segment.bytes", "2000000"),
                ("log.roll.ms", "3"),
                ("log.message.timestamp.type", "LogAppendTime"),
                ("compression.type", "zstd"),
                ("compression.zstd.level", "7"),
                ("message.max.bytes", "1000"),
                ("replica.lag.time.max.ms", "250"),
            ],
        );
        let expected = LogConfig {
            segment_bytes: 2_000_000,
            segment_ms: 3,
            retention_ms: 3_600_000,
            retention_bytes: 9,
        };
        assert_eq!(log(&broker), expected);
        let rules = &broker.replicas[&TP].rules;
        assert_eq!(rules.segment_bytes_max, 2_000_000);
        assert_eq!(rules.timestamps, Timestamps::LogAppendTime);
        assert_eq!(rules.packing.map(|p| (p.compression, p.level)), Some((Compression::Zstd, 7)));
        assert_eq!(rules.batch_bytes_max, 77, "what the topic sets itself is the topic's");
        assert_eq!(broker.replicas[&TP].partition.lag_max(), Duration::from_millis(250));
        told(&mut broker, &[("log.cleanup.policy", "compact")]);
        assert_eq!(log(&broker), LogConfig { retention_ms: -1, retention_bytes: -1, ..LogConfig::default() });
        assert!(broker.replicas[&TP].rules.is_compacted);
        told(&mut broker, &[]);
        assert_eq!(log(&broker), LogConfig::default(), "what is told replaces all that was there");
        assert_eq!(broker.replicas[&TP].partition.lag_max(), Duration::from_secs(1));
    }

    #[test]
    fn groups_and_new_topics_go_by_them_at_once() {
        let mut broker = broker(&[]);
        let coordinator = Coordinator::new(broker.config.of_groups(), 1);
        broker.coordinators.insert(PartitionId(0), coordinator);
        let before = broker.config.of_groups();
        assert_eq!(before.initial_rebalance_delay, Duration::from_secs(3));
        told(
            &mut broker,
            &[
                ("group.initial.rebalance.delay.ms", "10"),
                ("group.min.session.timeout.ms", "20"),
                ("group.max.session.timeout.ms", "30"),
                ("group.max.size", "4"),
                ("offset.metadata.max.bytes", "5"),
                ("offsets.retention.minutes", "6"),
                ("num.partitions", "7"),
                ("default.replication.factor", "2"),
            ],
        );
        let config = broker.coordinators[&PartitionId(0)].config();
        assert_eq!(config.initial_rebalance_delay, Duration::from_millis(10));
        assert_eq!((config.session_timeout_ms, config.group_size_max), ((20, 30), 4));
        assert_eq!((config.metadata_bytes_max, config.offsets_retention), (5, Duration::from_secs(360)));
        assert_eq!((broker.config.number("num.partitions"), broker.default_replication_factor()), (7, 2));
    }

    #[test]
    fn what_was_read_at_the_start_stays_as_it_was_read() {
        let mut broker = broker(&[("connections.max.idle.ms", "5"), ("num.partitions", "2")]);
        told(&mut broker, &[("connections.max.idle.ms", "9")]);
        assert_eq!(broker.config.settings, settings(&[("connections.max.idle.ms", "5")]));
    }
}
