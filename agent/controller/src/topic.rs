//! Rules of topic names, defaults of topics.

use streamkeeper_base::limits::TOPIC_NAME_CHARS_MAX;

use crate::command::CommandError;
use crate::configs::MIN_INSYNC_OF_THREE;
use crate::image::Topic;

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
        let replicas =
            self.partitions.iter().map(|p| p.replicas.len() - p.adding.len().min(p.replicas.len())).max();
        if replicas.unwrap_or(1) >= 3 { MIN_INSYNC_OF_THREE } else { 1 }
    }

    /// True if records of acks=all are flushed before they are acknowledged: always, unless the topic turns it off.
    pub fn is_flushed(&self) -> bool {
        true
    }
}
