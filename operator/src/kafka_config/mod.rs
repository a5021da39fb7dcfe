//! Kafka's settings that manifests may have. `validate` judges without an agent, so the agents' catalogue (`agent/controller/src/configs`)
//! is written out once more in `catalogue`, by a test that fails when the two differ:
//! `UPDATE_KAFKA_CONFIG=1 cargo test -p streamkeeper-operator --lib kafka_config` writes it anew.
//!
//! Must not know: what a setting does. Read first: [`topic_error`], [`broker_error`].

mod catalogue;

use catalogue::{BROKER, READ_ONLY, TOPIC};

/// A setting: its name, which values it takes, and for a topic's the broker's setting that gives its default (empty without one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    name: &'static str,
    kind: Kind,
    rule: Rule,
    broker: &'static str,
}

const fn key(name: &'static str, kind: Kind, rule: Rule, broker: &'static str) -> Key {
    Key { name, kind, rule, broker }
}

/// Kafka's type of a setting (ConfigDef.Type).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Boolean,
    Text,
    Int,
    Long,
    Double,
    List,
}

/// Which values a setting takes, beyond its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Any,
    AtLeast(i64),
    /// A number that is neither less nor greater.
    Between(i64, i64),
    /// As before, or this one.
    BetweenOr(i64, i64, i64),
    /// A number from 0 to 1.
    Fraction,
    /// One of these; of a list each element.
    OneOf(&'static [&'static str]),
}

/// Settings of Kafka's brokers that follow from other fields or that the agents choose; with a full name, or a prefix that ends in a dot.
const OWNED: &[(&str, &str)] = &[
    ("advertised.listeners", "the addresses follow from where the agent runs"),
    ("broker.id", "an agent's id is its number in the ensemble"),
    ("broker.rack", "it follows from spec.scheduling.zoneKey"),
    ("controller.", "there are no separate controllers"),
    ("control.plane.", "there are no separate controllers"),
    ("early.start.listeners", "the listeners follow from where the agent runs"),
    ("inter.broker.", "agents speak to each other in a protocol of their own"),
    ("listener.", "the listeners follow from where the agent runs"),
    ("listeners", "the listeners follow from where the agent runs"),
    ("log.dir", "each agent has one volume, spec.storage"),
    ("log.dirs", "each agent has one volume, spec.storage"),
    ("metadata.log.", "the ensemble keeps the metadata itself"),
    (
        "min.insync.replicas",
        "it is 2 for topics with three copies or more, else 1; set it for a topic instead",
    ),
    ("node.id", "an agent's id is its number in the ensemble"),
    ("process.roles", "every agent has all roles"),
    ("zookeeper.", "an agent is a member of the ensemble itself"),
];

/// Agents read this setting of brokers when they start, and never again; they are told of the others while they run.
pub(crate) fn is_read_only(name: &str) -> bool {
    READ_ONLY.contains(&name)
}

/// Why a topic cannot have this setting; `None` if it can. Without a value only the name is judged.
pub fn topic_error(name: &str, value: Option<&str>) -> Option<String> {
    let Some(key) = TOPIC.iter().find(|key| key.name == name) else {
        return Some(unknown("topic", name, TOPIC));
    };
    value.and_then(|value| wrong_value(key, value))
}

/// Why brokers cannot have this setting; `None` if they can.
pub fn broker_error(name: &str, value: &str) -> Option<String> {
    let owns =
        |owned: &&(&str, &str)| name == owned.0 || (owned.0.ends_with('.') && name.starts_with(owned.0));
    if let Some((_, why)) = OWNED.iter().find(owns) {
        return Some(format!("cannot be set: {why}; remove it"));
    }
    if let Some(key) = BROKER.iter().find(|key| key.name == name) {
        return wrong_value(key, value);
    }
    match TOPIC.iter().find(|key| key.name == name) {
        Some(key) if key.broker.is_empty() => {
            Some("is a setting of topics without a default for all of them; set it in a Topic".to_owned())
        }
        Some(key) => Some(format!("is a setting of topics; brokers call its default {}", key.broker)),
        None => Some(unknown("broker", name, BROKER)),
    }
}

fn unknown(whose: &str, name: &str, known: &[Key]) -> String {
    const SIMILAR: f64 = 0.85;
    let similar = known
        .iter()
        .map(|key| (strsim::jaro_winkler(name, key.name), key.name))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let hint = similar.map(|(_, key)| format!("; did you mean {key}?")).unwrap_or_default();
    format!("is not a {whose} setting that is known here{hint}")
}

fn wrong_value(key: &Key, value: &str) -> Option<String> {
    let value = value.trim();
    let number = match key.kind {
        Kind::Int => value.parse::<i32>().ok().map(i64::from),
        Kind::Long => value.parse::<i64>().ok(),
        Kind::Boolean | Kind::Text | Kind::Double | Kind::List => Some(0),
    };
    let good = number.is_some_and(|number| match (key.kind, key.rule) {
        (Kind::Boolean, Rule::Any) => matches!(value, "true" | "false"),
        (Kind::Double, _) => value.parse::<f64>().is_ok_and(|fraction| (0.0..=1.0).contains(&fraction)),
        (Kind::List, Rule::OneOf(allowed)) => value.split(',').all(|part| allowed.contains(&part.trim())),
        (_, Rule::OneOf(allowed)) => allowed.contains(&value),
        (_, Rule::AtLeast(least)) => number >= least,
        (_, Rule::Between(least, most)) => (least..=most).contains(&number),
        (_, Rule::BetweenOr(least, most, other)) => number == other || (least..=most).contains(&number),
        (_, Rule::Any | Rule::Fraction) => true,
    });
    (!good).then(|| format!("{value:?} is not possible; {} is", allowed(key)))
}

fn allowed(key: &Key) -> String {
    match (key.kind, key.rule) {
        (_, Rule::OneOf(allowed)) => allowed.join(" or "),
        (Kind::Boolean, _) => "true or false".to_owned(),
        (Kind::Double, _) | (_, Rule::Fraction) => "a number from 0 to 1".to_owned(),
        (_, Rule::AtLeast(least)) => format!("a whole number, at least {least},"),
        (_, Rule::Between(least, most)) => format!("a whole number from {least} to {most}"),
        (_, Rule::BetweenOr(least, most, other)) => {
            format!("a whole number from {least} to {most}, or {other},")
        }
        (Kind::Int | Kind::Long, Rule::Any) => "a whole number".to_owned(),
        (Kind::Text | Kind::List, Rule::Any) => "text".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use streamkeeper_controller::{
        BROKER_CONFIGS, ConfigKey, ConfigType, Rule as TheirRule, TOPIC_CONFIGS, UpdateMode,
    };

    use super::*;

    fn line(key: &ConfigKey) -> String {
        let kind = match key.kind {
            ConfigType::Boolean => "Boolean",
            ConfigType::Text => "Text",
            ConfigType::Int => "Int",
            ConfigType::Long => "Long",
            ConfigType::Double => "Double",
            ConfigType::List => "List",
        };
        let broker = key.broker.first().map_or("", |(name, _)| name);
        let rule = match key.rule {
            TheirRule::Any => "Any".to_owned(),
            TheirRule::AtLeast(least) => format!("AtLeast({least})"),
            TheirRule::Between(least, most) => format!("Between({least}, {most})"),
            TheirRule::BetweenOr(least, most, other) => format!("BetweenOr({least}, {most}, {other})"),
            TheirRule::Fraction => "Fraction".to_owned(),
            TheirRule::OneOf(allowed) => format!("OneOf(&{allowed:?})"),
        };
        format!("    key({:?}, Kind::{kind}, Rule::{rule}, {broker:?}),\n", key.name)
    }

    #[test]
    fn the_catalogue_is_that_of_the_agents() {
        let read_only = BROKER_CONFIGS.iter().filter(|key| key.update == UpdateMode::ReadOnly);
        let read_only: Vec<&str> = read_only.map(|key| key.name).collect();
        let lines = |keys: &[ConfigKey]| keys.iter().map(line).collect::<String>();
        let expected = format!(
            "//! Made from the agents' catalogue; see the parent module. Not edited by hand.\n\n\
             use super::{{Key, Kind, Rule, key}};\n\n\
             /// What a topic may set.\n#[rustfmt::skip]\npub(super) const TOPIC: &[Key] = &[\n{}];\n\n\
             /// What the broker may be told.\n#[rustfmt::skip]\npub(super) const BROKER: &[Key] = &[\n{}];\n\n\
             /// What it reads when it starts, and never again.\n#[rustfmt::skip]\npub(super) const READ_ONLY: &[&str] = &{read_only:?};\n",
            lines(TOPIC_CONFIGS),
            lines(BROKER_CONFIGS)
        );
        let path = &format!(
            "{}/src/kafka_config/catalogue.rs",
            std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")
        );
        if std::env::var_os("UPDATE_KAFKA_CONFIG").is_some() {
            std::fs::write(path, &expected).expect("the file can be written");
        }
        assert!(
            std::fs::read_to_string(path).expect("the file is there") == expected,
            "the agents' catalogue changed; run UPDATE_KAFKA_CONFIG=1 cargo test -p streamkeeper-operator --lib kafka_config"
        );
    }

    #[test]
    fn settings_are_judged_by_name_and_value() {
        let topic = |name, value| topic_error(name, Some(value)).unwrap_or_default();
        assert_eq!(topic("retention.ms", "1000"), "");
        assert_eq!(topic_error("retention.ms", None), None);
        assert_eq!(
            topic("retention.ms", "long"),
            "\"long\" is not possible; a whole number, at least -1, is"
        );
        assert_eq!(topic("cleanup.policy", "compact,delete"), "");
        assert_eq!(topic("cleanup.policy", "shred"), "\"shred\" is not possible; compact or delete is");
        assert_eq!(topic("preallocate", "perhaps"), "\"perhaps\" is not possible; true or false is");
        assert_eq!(
            topic("retention.msec", "1"),
            "is not a topic setting that is known here; did you mean retention.ms?"
        );
        let broker = |name, value| broker_error(name, value).unwrap_or_default();
        assert_eq!(broker("log.retention.hours", "168"), "");
        assert_eq!(broker("log.retention.ms", "1"), "");
        assert_eq!(
            broker("retention.ms", "1"),
            "is a setting of topics; brokers call its default log.retention.ms"
        );
        assert_eq!(
            broker("broker.id", "1"),
            "cannot be set: an agent's id is its number in the ensemble; remove it"
        );
        assert!(broker("listener.name.x.y", "1").starts_with("cannot be set: the listeners"));
        assert!(broker("min.insync.replicas", "1").contains("set it for a topic"));
        assert_eq!(broker("colour", "blue"), "is not a broker setting that is known here");
    }
}
