//! A topic that was there before its resource: the settings that it has stay, as far as the resource does not name them.
//!
//! Nobody who writes a resource for a topic of somebody else asks for its retention to be reset, and records with it. Must not know: how
//! the resource is read. Read first: [`kept`].

use crate::crd::{TopicSpec, TopicStatus};
use crate::ensemble::observed::ObservedTopic;

/// Settings that are left alone: those that the topic has when its id is not the noted one yet, afterwards those that were noted with it.
/// One that the resource names once is its own from then on.
pub fn kept(spec: &TopicSpec, there: Option<&ObservedTopic>, previous: &TopicStatus) -> Vec<String> {
    let mut keys: Vec<String> = match there {
        Some(there) if previous.topic_id.as_ref() != Some(&there.id) => {
            there.config.keys().cloned().collect()
        }
        Some(_) | None => previous.kept_config.clone(),
    };
    keys.retain(|key| !spec.config.contains_key(key));
    keys
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Review: `retention.ms: -1` of a topic was reset by a resource without settings, and old records went.
    #[test]
    fn what_a_topic_had_before_its_resource_stays() {
        let mut spec: TopicSpec = serde_json::from_value(json!({
            "ensembleRef": {"name": "main"}, "partitions": 1, "replicationFactor": 1, "config": {"segment.ms": "5"},
        }))
        .expect("a specification");
        let config = [("retention.ms", "-1"), ("segment.ms", "9")];
        let there = ObservedTopic {
            id: "7".to_owned(),
            config: config.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..ObservedTopic::default()
        };
        let mut status = TopicStatus::default();
        let keep = |spec: &TopicSpec, status: &TopicStatus| kept(spec, Some(&there), status);
        assert_eq!(keep(&spec, &status), ["retention.ms"]);
        status.topic_id = Some("7".to_owned());
        assert_eq!(
            keep(&spec, &status),
            [""; 0],
            "the topic is its own: what it does not name has the default"
        );
        status.kept_config = vec!["retention.ms".to_owned()];
        assert_eq!(keep(&spec, &status), ["retention.ms"]);
        assert_eq!(kept(&spec, None, &status), ["retention.ms"], "also while nobody answers");
        spec.config.insert("retention.ms".to_owned(), Some("1".to_owned()));
        assert_eq!(keep(&spec, &status), [""; 0], "from then on it is the resource's");
        status.topic_id = Some("6".to_owned());
        spec.config.clear();
        assert_eq!(keep(&spec, &status), ["retention.ms", "segment.ms"], "a client made it anew");
    }
}
