//! What a manifest may say: good ones are read whole, and each mistake is named with its file, line and field, all of them at once.

use std::path::PathBuf;

use streamkeeper_operator::desired::Desired;
use streamkeeper_operator::manifest;

const GOOD: &str = "\
apiVersion: streamkeeper.dev/v1alpha1
kind: Ensemble
metadata: {name: main}
spec:
  replicas: 3
  voters: 3
  storage:
    size: 20Gi
    class: fast
  coordination:
    tickTimeMs: 2000
    minSessionTimeoutMs: 4000
  broker:
    config:
      log.retention.hours: \"168\"
---
# a comment
apiVersion: streamkeeper.dev/v1alpha1
kind: Topic
metadata: {name: orders}
spec:
  ensembleRef: {name: main}
  topicName: Orders
  partitions: 6
  replicationFactor: 3
  config:
    retention.ms: \"1000\"
    segment.ms: null
";

fn read(text: &str, current: Option<&Desired>) -> Result<Desired, Vec<String>> {
    let files = [(PathBuf::from("m.yaml"), text.to_owned())];
    manifest::parse(&files, current).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn good() -> Desired {
    read(GOOD, None).expect("a good manifest")
}

/// `GOOD` with one change, and what is said about it.
fn refused(from: &str, to: &str, current: Option<&Desired>) -> Vec<String> {
    assert!(GOOD.contains(from), "{from:?}");
    read(&GOOD.replacen(from, to, 1), current).expect_err(to)
}

#[test]
fn a_good_manifest_is_read_whole() {
    let desired = good();
    assert_eq!((desired.name.as_str(), desired.ensemble.replicas, desired.ensemble.voters()), ("main", 3, 3));
    let orders = &desired.topics["orders"];
    assert_eq!(orders.name_in_kafka("orders"), "Orders");
    assert_eq!(orders.config["retention.ms"].as_deref(), Some("1000"));
    assert_eq!(orders.config["segment.ms"], None, "null: hands off");
    assert_eq!(read(GOOD, Some(&desired)), Ok(desired), "the same again changes nothing");
}

#[test]
fn each_mistake_is_named_with_its_line_and_field() {
    let cases = [
        ("replicas: 3", "replicas: 0", "5: spec.replicas: 0 is not possible; a whole number from 1 to 99 is"),
        (
            "replicas: 3",
            "replicas: three",
            "5: spec.replicas: the text \"three\" is not possible; a whole number from 1 to 99 is",
        ),
        ("  replicas: 3\n", "", "4: spec.replicas: is missing; a whole number from 1 to 99 is needed"),
        (
            "voters: 3",
            "voters: 2",
            "6: spec.voters: the number of voters must be odd: an even one survives no more failures",
        ),
        (
            "voters: 3",
            "voters: 5",
            "6: spec.voters: 5 voters are not possible with 3 replicas; at most as many vote as there are",
        ),
        (
            "size: 20Gi",
            "size: 20GB",
            "8: spec.storage.size: \"20GB\" is not possible; it must match ^[0-9]+(\\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$",
        ),
        (
            "minSessionTimeoutMs: 4000",
            "minSessionTimeoutMs: 4000\n    maxSessionTimeoutMs: 3000",
            "12: spec.coordination.minSessionTimeoutMs: minSessionTimeoutMs must be at most maxSessionTimeoutMs",
        ),
        (
            "log.retention.hours",
            "log.retention.hour",
            "15: spec.broker.config[\"log.retention.hour\"]: is not a broker setting that is known here; did you mean log.retention.hours?",
        ),
        (
            "log.retention.hours",
            "advertised.listeners",
            "15: spec.broker.config[\"advertised.listeners\"]: cannot be set: the addresses follow from where the agent runs; remove it",
        ),
        (
            "\"168\"",
            "168",
            "15: spec.broker.config[\"log.retention.hours\"]: the number 168 is not possible; text is",
        ),
        (
            "metadata: {name: main}",
            "metadata: {name: Main}",
            "3: metadata.name: \"Main\" is not possible; it must match ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        ),
        ("kind: Topic", "kind: Topik", "19: kind: \"Topik\" is not known; Ensemble and Topic are"),
        (
            "v1alpha1\nkind: Topic",
            "v1\nkind: Topic",
            "18: apiVersion: \"streamkeeper.dev/v1\" is not known; streamkeeper.dev/v1alpha1 is",
        ),
        (
            "ensembleRef: {name: main}",
            "ensembleRef: {name: other}",
            "22: spec.ensembleRef.name: there is no Ensemble \"other\"; there is \"main\"",
        ),
        ("topicName: Orders", "topicName: ..", "23: spec.topicName: a topic cannot be called . or .."),
        (
            "topicName: Orders",
            "topicName: __consumer_offsets",
            "23: spec.topicName: the agents keep this topic themselves",
        ),
        (
            "partitions: 6",
            "partitions: 10001",
            "24: spec.partitions: 10001 is not possible; a whole number from 1 to 10000 is",
        ),
        (
            "partitions: 6",
            "partition: 6",
            "24: spec.partition: unknown field; did you mean partitions? \
             allowed: config, deletionPolicy, ensembleRef, partitions, replicationFactor, topicName",
        ),
        (
            "replicationFactor: 3",
            "replicationFactor: 5",
            "25: spec.replicationFactor: 5 copies are not possible with 3 agents; 1 to 3 are",
        ),
        (
            "retention.ms: \"1000\"",
            "retention.ms: \"long\"",
            "27: spec.config[\"retention.ms\"]: \"long\" is not possible; a whole number, at least -1, is",
        ),
        (
            "segment.ms",
            "segment.mb",
            "28: spec.config[\"segment.mb\"]: is not a topic setting that is known here; did you mean segment.ms?",
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(refused(from, to, None)[0], format!("m.yaml:{expected}"), "{to:?}");
    }
}

#[test]
fn a_long_resource_name_needs_a_name_for_kafka() {
    let long = "x".repeat(250);
    let text = GOOD.replace("{name: orders}", &format!("{{name: {long}}}"));
    assert!(read(&text, None).is_ok());
    let errors = read(&text.replace("  topicName: Orders\n", ""), None).expect_err("too long");
    let message = "a topic's name has at most 249 characters in Kafka; give a shorter one in spec.topicName";
    assert_eq!(errors, [format!("m.yaml:21: spec.topicName: {message}")]);
}

#[test]
fn what_may_only_grow_does_not_shrink() {
    let current = good();
    let cases = [
        (
            "size: 20Gi",
            "size: 2000Mi",
            "8: spec.storage.size: 2000Mi is less than the 20Gi there are; storage may grow, never shrinks",
        ),
        (
            "class: fast",
            "class: slow",
            "9: spec.storage.class: the storage class of existing volumes cannot be changed",
        ),
        (
            "topicName: Orders",
            "topicName: Others",
            "23: spec.topicName: the topic's name in Kafka cannot be changed; make another Topic",
        ),
        (
            "  topicName: Orders\n",
            "",
            "21: spec.topicName: the topic's name in Kafka cannot be changed; make another Topic",
        ),
        (
            "partitions: 6",
            "partitions: 5",
            "24: spec.partitions: 5 is fewer than the 6 there are; partitions may grow, never shrink",
        ),
        (
            "replicationFactor: 3",
            "replicationFactor: 2",
            "25: spec.replicationFactor: the topic has 3 copies of each partition; that cannot be changed",
        ),
        (
            "ensembleRef: {name: main}",
            "ensembleRef: {name: other}",
            "22: spec.ensembleRef.name: a topic cannot move to another ensemble",
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(refused(from, to, Some(&current)), [format!("m.yaml:{expected}")], "{to:?}");
    }
    let larger = GOOD.replace("20Gi", "1Ti").replace("partitions: 6", "partitions: 60");
    assert!(read(&larger, Some(&current)).is_ok());
}

#[test]
fn all_mistakes_are_said_at_once_in_all_files() {
    let text = GOOD
        .replace("replicas: 3", "replicas: 0")
        .replace("class: fast", "klass: fast")
        .replace("partitions: 6", "partitions: many");
    let other = "\
apiVersion: streamkeeper.dev/v1alpha1
kind: Topic
metadata: {name: events}
spec: {ensembleRef: {name: main}, partitions: [, replicationFactor: 1}
---
apiVersion: streamkeeper.dev/v1alpha1
kind: Topic
metadata: {name: events}
";
    let files = [("a.yaml".into(), text), ("b.yaml".into(), other.to_owned())];
    let errors = manifest::parse(&files, None).expect_err("mistakes");
    let places: Vec<String> = errors.iter().map(|e| format!("{}:{} {}", e.file, e.line, e.field)).collect();
    assert_eq!(
        places,
        [
            "a.yaml:5 spec.replicas",
            "a.yaml:9 spec.storage.klass",
            "a.yaml:24 spec.partitions",
            "b.yaml:4 ",
            "b.yaml:6 spec"
        ]
    );
}

#[test]
fn resources_are_held_against_each_other() {
    let two = format!("{GOOD}---\n{}", GOOD.split("---\n").nth(1).expect("a topic"));
    assert_eq!(
        read(&two, None),
        Err(vec!["m.yaml:33: metadata.name: Topic orders is given in m.yaml:20 already".to_owned()])
    );
    let alias = two.replacen("{name: orders}", "{name: zebra}", 1);
    assert_eq!(
        read(&alias, None),
        Err(vec![
            "m.yaml:23: spec.topicName: the topics of orders and zebra are both called Orders in Kafka"
                .to_owned()
        ])
    );
    let second = format!("{GOOD}---\n{}", GOOD.split("---\n").next().expect("an ensemble"));
    assert_eq!(
        read(&second, None),
        Err(vec!["m.yaml:32: metadata.name: a second Ensemble; there can be one".to_owned()])
    );
    let topics_only = GOOD.split("---\n").nth(1).expect("a topic");
    assert_eq!(
        read(topics_only, None),
        Err(vec!["m.yaml:1: kind: no Ensemble is given; exactly one is needed".to_owned()])
    );
}

#[test]
fn what_is_not_mentioned_stays() {
    let current = good();
    let mut parts = GOOD.split("---\n");
    let (ensemble, topic) = (parts.next().expect("an ensemble"), parts.next().expect("a topic"));
    let another = topic.replace("{name: orders}", "{name: events}").replace("Orders", "Events");
    let desired = read(&another, Some(&current)).expect("a topic alone");
    assert_eq!(desired.topics.keys().collect::<Vec<_>>(), ["events", "orders"]);
    assert_eq!(desired.ensemble, current.ensemble);
    let fewer = ensemble.replace("replicas: 3", "replicas: 1").replace("voters: 3", "voters: 1");
    assert_eq!(
        read(&fewer, Some(&desired)),
        Err(["events", "orders"]
            .map(|topic| format!(
                "m.yaml:5: spec.replicas: 1 agents are too few for the 3 copies of Topic {topic}; at least 3 are needed"
            ))
            .to_vec())
    );
    assert_eq!(
        read(&ensemble.replace("{name: main}", "{name: other}"), Some(&current)),
        Err(vec![
            "m.yaml:3: metadata.name: the ensemble that runs is called main; its name cannot be changed"
                .to_owned()
        ])
    );
}

#[test]
fn what_is_no_manifest_is_said_with_its_line() {
    let cases = [
        ("a: [", "m.yaml:1: "),
        ("a: 1\na: 2\n", "m.yaml:2: "),
        ("- a\n- b\n", "m.yaml:1: apiVersion: \"\" is not known; streamkeeper.dev/v1alpha1 is"),
        ("just text\n", "m.yaml:1: apiVersion: \"\" is not known; streamkeeper.dev/v1alpha1 is"),
        ("# nothing\n", "m.yaml:1: kind: no Ensemble is given; exactly one is needed"),
        ("a: &a [1, 2]\nb: [*a, *c]\n", "m.yaml:2: "),
    ];
    for (text, expected) in cases {
        let errors = read(text, None).expect_err(text);
        assert!(errors.len() == 1 && errors[0].starts_with(expected), "{text:?}: {errors:?}");
    }
    let errors = manifest::load(&[PathBuf::from("/no/such.yaml")], None).expect_err("no file");
    assert_eq!(
        errors[0].to_string(),
        "/no/such.yaml:0: cannot be read: No such file or directory (os error 2)"
    );
}

/// A few lines must not become gigabytes.
#[test]
fn aliases_do_not_multiply_without_end() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = level - 1;
        text += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{below}"); 10].join(", "));
    }
    let errors = read(&text, None).expect_err("a bomb");
    assert_eq!(errors.len(), 1, "{errors:?}");
}
