//! Topics made, grown and configured: Kafka's rules and Kafka's words (ReplicationControlManager), because tools show them.
//!
//! Must not know: who asked. Read first: the methods of [`ClusterImage`] here, then `placement`.

use std::collections::BTreeMap;

use streamkeeper_base::MemberId;
use streamkeeper_base::limits::TOPIC_PARTITIONS_MAX;

use crate::command::{CommandError, NewTopic, Outcome};
use crate::configs::check_topic;
use crate::image::{ClusterImage, Delta, Partition, Topic};
use crate::placement::{Loads, place};
use crate::prep::Prepared;
use crate::topic::{check_topic_name, metric_name};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_TOPIC: i16 = 17;
const TOPIC_ALREADY_EXISTS: i16 = 36;
const INVALID_PARTITIONS: i16 = 37;
const INVALID_REPLICATION_FACTOR: i16 = 38;
const INVALID_REPLICA_ASSIGNMENT: i16 = 39;
const INVALID_REQUEST: i16 = 42;

/// Replicas of a topic that does not say how many, if there are as many members.
const DEFAULT_REPLICATION_FACTOR: usize = 3;

impl ClusterImage {
    pub(crate) fn create_topic(&self, topic: &NewTopic) -> Prepared {
        check_topic_name(&topic.name)?;
        if self.topics.contains_key(&topic.name) {
            let message = format!("Topic '{}' already exists.", topic.name);
            return Err(CommandError::new(TOPIC_ALREADY_EXISTS, message));
        }
        if let Some(other) = self.topics.keys().find(|name| metric_name(name) == metric_name(&topic.name)) {
            let message = format!("Topic '{}' collides with existing topic: {other}", topic.name);
            return Err(CommandError::new(INVALID_TOPIC, message));
        }
        topic.configs.iter().try_for_each(|(key, value)| check_topic(key, value.trim()))?;
        let assignments = self.assignments(topic)?;
        let factor = assignments.first().map_or(0, Vec::len);
        let partitions: Vec<Partition> = assignments.into_iter().map(|a| self.new_partition(a)).collect();
        let count = i32::try_from(partitions.len()).unwrap_or(i32::MAX);
        let mut made = Topic {
            id: topic.id,
            name: topic.name.clone(),
            internal: topic.name.starts_with("__"),
            configs: topic
                .configs
                .iter()
                .map(|(key, value)| (key.clone(), value.trim().to_owned()))
                .collect(),
            partitions,
        };
        made.begin_unacknowledged(0);
        let replication_factor = i16::try_from(factor).unwrap_or(i16::MAX);
        Ok((
            vec![Delta::PutTopic(made)],
            Outcome::Topic { id: topic.id, partitions: count, replication_factor },
        ))
    }

    fn assignments(&self, topic: &NewTopic) -> Result<Vec<Vec<MemberId>>, CommandError> {
        if !topic.assignment.is_empty() {
            for (what, given) in [
                ("replicationFactor", i32::from(topic.replication_factor)),
                ("numPartitions", topic.partitions),
            ] {
                if given != -1 {
                    let message =
                        format!("A manual partition assignment was specified, but {what} was not set to -1.");
                    return Err(CommandError::new(INVALID_REQUEST, message));
                }
            }
            self.check_assignment(&topic.assignment, None)?;
            check_count(topic.assignment.len())?;
            return Ok(topic.assignment.clone());
        }
        let count = match topic.partitions {
            -1 => 1,
            count if count < 1 => {
                let message = "Number of partitions was set to an invalid non-positive value.";
                return Err(CommandError::new(INVALID_PARTITIONS, message));
            }
            count => usize::try_from(count).unwrap_or(usize::MAX),
        };
        check_count(count)?;
        let mut loads = Loads::registered(self);
        let factor = match topic.replication_factor {
            -1 => loads.replicas.len().min(DEFAULT_REPLICATION_FACTOR),
            factor if factor < 1 => {
                let message = "Replication factor must be larger than 0, or -1 to use the default value.";
                return Err(CommandError::new(INVALID_REPLICATION_FACTOR, message));
            }
            factor => usize::try_from(factor).unwrap_or(usize::MAX),
        };
        self.placed(&mut loads, count, factor)
    }

    fn placed(
        &self,
        loads: &mut Loads,
        count: usize,
        factor: usize,
    ) -> Result<Vec<Vec<MemberId>>, CommandError> {
        let available = loads.replicas.len();
        let error = |reason: String| {
            let message = format!("Unable to replicate the partition {factor} time(s): {reason}");
            Err(CommandError::new(INVALID_REPLICATION_FACTOR, message))
        };
        if self.live_members().next().is_none() {
            return error("All brokers are currently fenced.".to_owned());
        }
        if factor == 0 || factor > available {
            return error(format!(
                "The target replication factor of {factor} cannot be reached because only {available} broker(s) are registered \
                 or some brokers have all their log directories cordoned."
            ));
        }
        Ok((0..count).map(|_| place(self, loads, factor)).collect())
    }

    /// Refuses replicas that were chosen by hand and cannot be.
    fn check_assignment(
        &self,
        assignment: &[Vec<MemberId>],
        mut factor: Option<usize>,
    ) -> Result<(), CommandError> {
        let error = |message: String| Err(CommandError::new(INVALID_REPLICA_ASSIGNMENT, message));
        for replicas in assignment {
            if replicas.is_empty() {
                return error("The manual partition assignment includes an empty replica list.".to_owned());
            }
            if let Some(at) = (1..replicas.len()).find(|at| replicas[..*at].contains(&replicas[*at])) {
                let twice = replicas[at];
                return error(format!(
                    "The manual partition assignment includes the broker {twice} more than once."
                ));
            }
            if let Some(unknown) = replicas.iter().find(|id| !self.members.contains_key(id)) {
                return error(format!(
                    "The manual partition assignment includes broker {unknown}, but no such broker is registered."
                ));
            }
            let expected = *factor.get_or_insert(replicas.len());
            if replicas.len() != expected {
                return error(format!(
                    "The manual partition assignment includes a partition with {} replica(s), but this is not consistent with \
                     previous partitions, which have {expected} replica(s).",
                    replicas.len()
                ));
            }
        }
        Ok(())
    }

    fn new_partition(&self, replicas: Vec<MemberId>) -> Partition {
        let live: Vec<MemberId> =
            replicas.iter().filter(|id| self.members.get(id).is_some_and(|m| m.live)).copied().collect();
        Partition { leader: live.first().copied(), isr: live, replicas, ..Partition::default() }
    }

    pub(crate) fn create_partitions(
        &self,
        name: &str,
        total: i32,
        assignment: Option<&[Vec<MemberId>]>,
    ) -> Prepared {
        let topic = self.named(name)?;
        let current = topic.partitions.len();
        let wanted = usize::try_from(total).unwrap_or(0);
        let refused = |message: String| Err(CommandError::new(INVALID_PARTITIONS, message));
        if wanted == current {
            return refused(format!("Topic already has {current} partition(s)."));
        }
        if wanted < current {
            return refused(format!(
                "The topic {name} currently has {current} partition(s); {total} would not be an increase."
            ));
        }
        check_count(wanted)?;
        let factor = topic.partitions.first().map_or(1, |p| p.replicas.len() - p.adding.len());
        let added = match assignment {
            None => {
                let mut loads = Loads::registered(self);
                let factor = factor.min(loads.replicas.len());
                self.placed(&mut loads, wanted - current, factor)?
            }
            Some(chosen) if chosen.len() != wanted - current => {
                let message = format!(
                    "Attempted to add {} additional partition(s), but only {} assignment(s) were specified.",
                    wanted - current,
                    chosen.len()
                );
                return Err(CommandError::new(INVALID_REPLICA_ASSIGNMENT, message));
            }
            Some(chosen) => {
                self.check_assignment(chosen, Some(factor))?;
                chosen.to_vec()
            }
        };
        let mut next = Topic::clone(topic);
        next.partitions.extend(added.into_iter().map(|replicas| self.new_partition(replicas)));
        next.begin_unacknowledged(current);
        Ok((vec![Delta::PutTopic(next)], Outcome::Done))
    }

    pub(crate) fn alter_configs(&self, name: &str, changes: &BTreeMap<String, Option<String>>) -> Prepared {
        let before = self.named(name)?;
        let mut topic = Topic::clone(before);
        for (key, value) in changes {
            match value {
                Some(value) => {
                    check_topic(key, value.trim())?;
                    topic.configs.insert(key.clone(), value.trim().to_owned());
                }
                None => {
                    topic.configs.remove(key);
                }
            }
        }
        topic.follow_min_insync(before.min_insync());
        Ok((vec![Delta::PutTopic(topic)], Outcome::Done))
    }

    fn named(&self, name: &str) -> Result<&Topic, CommandError> {
        let unknown = || {
            CommandError::new(UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.")
        };
        self.topics.get(name).map(|topic| &**topic).ok_or_else(unknown)
    }
}

fn check_count(partitions: usize) -> Result<(), CommandError> {
    if partitions <= usize::try_from(TOPIC_PARTITIONS_MAX).unwrap_or(usize::MAX) {
        return Ok(());
    }
    let message =
        format!("{partitions} partitions are more than the {TOPIC_PARTITIONS_MAX} that a topic may have.");
    Err(CommandError::new(INVALID_PARTITIONS, message))
}
