//! Rules of topic names, defaults of topics.

use streamkeeper_base::PartitionEpoch;
use streamkeeper_base::limits::TOPIC_NAME_CHARS_MAX;

use crate::command::CommandError;
use crate::configs::MIN_INSYNC_OF_THREE;
use crate::image::{Partition, Topic};

const INVALID_TOPIC: i16 = 17;

/// Refuses a name that Kafka refuses.
///
/// # Errors
/// INVALID_TOPIC_EXCEPTION with Kafka's words.
pub fn check_topic_name(name: &str) -> Result<(), CommandError> {
    let message = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.chars().count() > TOPIC_NAME_CHARS_MAX {
        format!("the length of '{name}' is longer than the max allowed length {TOPIC_NAME_CHARS_MAX}")
    } else if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
        format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
    } else {
        return Ok(());
    };
    Err(CommandError::new(INVALID_TOPIC, format!("Topic name is invalid: {message}")))
}

/// The name as metrics see it: `.` and `_` are the same there, so two topics must not differ by them alone.
pub(crate) fn metric_name(name: &str) -> String {
    name.replace('.', "_")
}

impl Topic {
    /// How many members must have a record on disk before it is acknowledged to acks=all producers: what the topic set, else 2
    /// with three replicas or more, else 1.
    pub fn min_insync(&self) -> usize {
        let set = self.configs.get("min.insync.replicas").and_then(|v| v.parse().ok());
        set.unwrap_or_else(|| self.default_min_insync())
    }

    /// What it is for topics that do not set it.
    pub fn default_min_insync(&self) -> usize {
        // During a reassignment the smaller of what there is and what there will be.
        let replicas = |p: &Partition| {
            let stand = p.replicas.len() - p.adding.len().min(p.replicas.len());
            stand.min(p.target().count())
        };
        if self.partitions.iter().map(replicas).max().unwrap_or(1) >= 3 { MIN_INSYNC_OF_THREE } else { 1 }
    }

    /// True if records of acks=all are flushed before they are acknowledged: always, unless the topic turns it off.
    pub fn is_flushed(&self) -> bool {
        true
    }

    /// Partitions from a number on are new: nothing is acknowledged in them yet.
    pub(crate) fn begin_unacknowledged(&mut self, from: usize) {
        let min_insync = self.min_insync();
        for partition in self.partitions.iter_mut().skip(from) {
            partition.flushed_by = partition.needed_insync(min_insync);
        }
    }

    /// Lets every partition follow a change of min.insync.replicas. The new state's epoch fences what leaders propose by the old.
    pub(crate) fn follow_min_insync(&mut self, before: usize) {
        let min_insync = self.min_insync();
        if min_insync == before {
            return;
        }
        for partition in &mut self.partitions {
            partition.normalize(min_insync);
            partition.partition_epoch = PartitionEpoch(partition.partition_epoch.0 + 1);
        }
    }
}
