//! What is wanted, after every rule held: the specifications that `up` remembers and that the plan works towards.
//!
//! Only [`crate::manifest`] makes one out of files. Read first: [`Desired`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::crd::{EnsembleSpec, TopicSpec};

/// An ensemble and its topics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Desired {
    /// The ensemble's name.
    pub name: String,
    /// The ensemble.
    pub ensemble: EnsembleSpec,
    /// Its topics by the names of their resources.
    pub topics: BTreeMap<String, TopicSpec>,
}

impl Desired {
    /// The topics by their names in Kafka. No two resources have the same one.
    pub fn kafka_topics(&self) -> BTreeMap<&str, &TopicSpec> {
        self.topics.iter().map(|(resource, topic)| (topic.name_in_kafka(resource), topic)).collect()
    }
}

impl TopicSpec {
    /// The topic's name in Kafka: the resource's unless the specification has another.
    pub fn name_in_kafka<'a>(&'a self, resource: &'a str) -> &'a str {
        self.topic_name.as_deref().unwrap_or(resource)
    }
}
