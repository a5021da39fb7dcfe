//! `explain`: why something waits. What, for whom, since when, and what to do about it.
//!
//! Everything is read from the resource and the pods; the operator wrote down why it does nothing. Read first: [`Reasoning`].

use anyhow::{Result, bail};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use streamkeeper_operator::crd::{Condition, Ensemble, Reason, Topic};

use super::fetch::Cluster;
use super::pods::PodFact;
use super::status::condition;
use crate::describe::{Form, print};
use crate::page::Page;
use crate::terminal::{duration, say};

/// Something that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Why {
    /// What is the matter.
    what: String,
    /// Who it depends on.
    who: String,
    /// Since when, where it is known.
    since: Option<String>,
    /// What to do; what is not for the reader to do ends by itself.
    next: String,
}

/// Everything that waits, of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reasoning {
    /// `Ensemble` or `Topic`.
    kind: &'static str,
    name: String,
    /// What the condition Ready says, for a resource that waits for nothing.
    ready: String,
    whys: Vec<Why>,
}

/// Explains an ensemble or a topic: `NAME`, `ensemble/NAME` or `topic/NAME`.
///
/// # Errors
/// There is none of that name, or the cluster does not answer.
pub(super) async fn explain(cluster: &Cluster, name: &str, form: Form) -> Result<()> {
    let (kind, bare) = name.split_once('/').map_or((None, name), |(kind, bare)| (Some(kind), bare));
    let reasoning = match kind {
        Some("ensemble" | "ensembles" | "ens") => of_ensemble(cluster, bare).await?,
        Some("topic" | "topics" | "ktopic") => reason_topic(&cluster.topic(bare).await?),
        Some(other) => bail!("{other} is neither ensemble nor topic: give NAME, ensemble/NAME or topic/NAME"),
        None if cluster.has_ensemble(bare).await? => of_ensemble(cluster, bare).await?,
        None if cluster.has_topic(bare).await? => reason_topic(&cluster.topic(bare).await?),
        None => bail!("there is neither an ensemble nor a topic {bare} in namespace {}", cluster.namespace),
    };
    match form {
        Form::Text => say(page(&reasoning, Timestamp::now()).text()),
        Form::Json | Form::Yaml => print(&value(&reasoning), form)?,
    }
    Ok(())
}

async fn of_ensemble(cluster: &Cluster, name: &str) -> Result<Reasoning> {
    Ok(reason_ensemble(&cluster.ensemble(name).await?, &cluster.pods_of(name).await?))
}

fn reason_topic(topic: &Topic) -> Reasoning {
    let status = topic.status.clone().unwrap_or_default();
    let name = topic.metadata.name.clone().unwrap_or_default();
    let mut whys = unseen("topic", topic.metadata.generation, status.observed_generation);
    if whys.is_empty() {
        whys.extend(impossible("topic", &name, &status.conditions));
    }
    if whys.is_empty() {
        let unready = condition(&status.conditions, "Ready").filter(|ready| ready.status != "True");
        whys.extend(unready.map(|ready| Why {
            what: ready.message.clone(),
            who: format!("ensemble {}", topic.spec.ensemble_ref.name),
            since: Some(ready.last_transition_time.0.to_string()),
            next: next_of_topic(topic, &name, &status.conditions),
        }));
    }
    Reasoning { kind: "Topic", name, ready: ready(&status.conditions), whys }
}

/// What to do about a topic that is not ready.
fn next_of_topic(topic: &Topic, name: &str, conditions: &[Condition]) -> String {
    let stalled = condition(conditions, "Stalled").is_some_and(|stalled| stalled.status == "True");
    if topic.metadata.deletion_timestamp.is_some() && stalled {
        return format!(
            "it does not pass by itself: do what the line above says, or keep the topic and let only the resource go: \
             kubectl patch topics.streamkeeper.dev {name} --type merge -p '{{\"spec\":{{\"deletionPolicy\":\"Retain\"}}}}'"
        );
    }
    format!(
        "it goes on by itself; why the ensemble waits: kubectl streamkeeper explain ensemble/{}",
        topic.spec.ensemble_ref.name
    )
}

fn reason_ensemble(ensemble: &Ensemble, pods: &[PodFact]) -> Reasoning {
    let status = ensemble.status.clone().unwrap_or_default();
    let name = ensemble.metadata.name.clone().unwrap_or_default();
    let mut whys = unseen("ensemble", ensemble.metadata.generation, status.observed_generation);
    whys.extend(held_back(ensemble, &name));
    whys.extend(impossible("ensemble", &name, &status.conditions));
    let stalled = condition(&status.conditions, "Stalled").filter(|c| c.status == "True");
    for wait in &status.waiting {
        let line = format!("{}: {}", wait.who, wait.what);
        let lasting = stalled.is_some_and(|stalled| stalled.message.contains(&line));
        whys.push(Why {
            what: wait.what.clone(),
            who: wait.who.clone(),
            since: Some(wait.since.clone()),
            next: if lasting {
                format!("it does not pass by itself: remove what it names, or take the change back (kubectl edit ensemble {name})")
            } else {
                "it goes on by itself; the operator looks again within seconds".to_owned()
            },
        });
    }
    for pod in pods {
        whys.extend(pod.trouble.as_ref().map(|trouble| Why {
            what: trouble.clone(),
            who: format!("pod {}", pod.name),
            since: None,
            next: format!(
                "kubectl describe pod {}; kubectl streamkeeper logs {name} --member {}",
                pod.name, pod.member
            ),
        }));
    }
    whys.extend(unbalanced(&name, &status.conditions));
    if whys.is_empty() {
        let unready = condition(&status.conditions, "Ready").filter(|ready| ready.status != "True");
        whys.extend(unready.map(|ready| Why {
            what: ready.message.clone(),
            who: "the members".to_owned(),
            since: Some(ready.last_transition_time.0.to_string()),
            next: format!("kubectl streamkeeper logs {name}"),
        }));
    }
    Reasoning { kind: "Ensemble", name, ready: ready(&status.conditions), whys }
}

fn ready(conditions: &[Condition]) -> String {
    condition(conditions, "Ready").map(|ready| ready.message.clone()).unwrap_or_default()
}

/// The operator did not see the newest specification, or none.
fn unseen(kind: &str, generation: Option<i64>, seen: Option<i64>) -> Vec<Why> {
    let what = match (seen, generation) {
        (None, _) => format!("the operator has not looked at this {kind} yet"),
        (Some(seen), Some(generation)) if seen < generation => {
            format!(
                "the operator has seen generation {seen} of the specification, this is generation {generation}"
            )
        }
        (Some(_), _) => return Vec::new(),
    };
    let labels = "app.kubernetes.io/part-of=streamkeeper,app.kubernetes.io/component=operator";
    vec![Why {
        what,
        who: "the operator".to_owned(),
        since: None,
        next: format!(
            "if it stays so: does the operator run, and does it watch this namespace? kubectl get pods --all-namespaces -l {labels}"
        ),
    }]
}

/// Somebody said that nothing shall be done.
fn held_back(ensemble: &Ensemble, name: &str) -> Vec<Why> {
    let patch = |field: &str| {
        format!("kubectl patch ensemble {name} --type merge -p '{{\"spec\":{{\"{field}\":false}}}}'")
    };
    let why = |field: &str, what: &str| Why {
        what: what.to_owned(),
        who: format!("spec.{field}"),
        since: None,
        next: patch(field),
    };
    let paused =
        ensemble.spec.paused.then(|| why("paused", "nothing is changed, only the status is kept up to date"));
    let suspended =
        ensemble.spec.suspended.then(|| why("suspended", "all members are stopped, their data is kept"));
    paused.into_iter().chain(suspended).collect()
}

/// What was asked for cannot be.
fn impossible(kind: &str, name: &str, conditions: &[Condition]) -> Vec<Why> {
    let invalid = conditions.iter().find(|c| c.reason == Reason::InvalidSpec.name() && !c.message.is_empty());
    let why = |condition: &Condition| Why {
        what: condition.message.clone(),
        who: "the specification".to_owned(),
        since: Some(condition.last_transition_time.0.to_string()),
        next: format!("nothing was changed because of it; correct it: kubectl edit {kind} {name}"),
    };
    invalid.map(why).into_iter().collect()
}

/// Replicas lie uneven, and nobody asked to move them.
fn unbalanced(name: &str, conditions: &[Condition]) -> Option<Why> {
    let skewed =
        condition(conditions, "Balanced").filter(|balanced| balanced.reason == Reason::Skewed.name())?;
    Some(Why {
        what: skewed.message.clone(),
        who: "spec.rebalance.mode, or a rebalance that was cancelled".to_owned(),
        since: Some(skewed.last_transition_time.0.to_string()),
        next: format!("kubectl streamkeeper rebalance start {name}"),
    })
}

fn page(reasoning: &Reasoning, now: Timestamp) -> Page {
    let Reasoning { kind, name, ready, whys } = reasoning;
    let mut page = Page::default();
    if whys.is_empty() {
        page.line(&format!("{kind} {name} waits for nothing: {ready}"));
        return page;
    }
    page.line(&format!("{kind} {name} waits for {}", things(whys.len())));
    for why in whys {
        page.section(&why.who);
        page.line(&format!("  {}", why.what));
        if let Some(since) = &why.since {
            page.line(&format!("  since  {since}{}", ago(since, now)));
        }
        page.line(&format!("  next   {}", why.next));
    }
    page
}

fn things(count: usize) -> String {
    if count == 1 { "one thing".to_owned() } else { format!("{count} things") }
}

/// ` (2m 5s ago)`; nothing for what is no time.
fn ago(since: &str, now: Timestamp) -> String {
    let since: Option<Timestamp> = since.parse().ok();
    since.map_or_else(String::new, |since| {
        format!(" ({} ago)", duration(now.as_millisecond().saturating_sub(since.as_millisecond())))
    })
}

fn value(reasoning: &Reasoning) -> Value {
    let why = |why: &Why| json!({"what": why.what, "who": why.who, "since": why.since, "next": why.next});
    json!({
        "kind": reasoning.kind,
        "name": reasoning.name,
        "ready": reasoning.ready,
        "waiting": reasoning.whys.iter().map(why).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubectl::testing::{ensemble, golden, pods, topic};

    fn explained(ensemble: &Ensemble, pods: &[PodFact]) -> String {
        let now: Timestamp = "2026-11-27T12:02:05Z".parse().expect("a time");
        page(&reason_ensemble(ensemble, pods), now).text().to_owned()
    }

    #[test]
    fn one_that_is_ready_waits_for_nothing() {
        let text = explained(&ensemble("three"), &pods(&[true, true, true]));
        assert_eq!(text, "Ensemble main waits for nothing: 3 of 3 members serve");
    }

    #[test]
    fn waits_say_who_since_when_and_what_to_do() {
        golden("explain-scale-in", &explained(&ensemble("scale-in"), &pods(&[true, true, true])));
        golden("explain-blocked", &explained(&ensemble("blocked-scale-in"), &pods(&[true, true, true])));
    }

    #[test]
    fn an_operator_that_is_away_is_the_first_thing_to_look_at() {
        let mut behind = ensemble("three");
        behind.metadata.generation = Some(9);
        golden("explain-unseen", &explained(&behind, &pods(&[true, true, false])));
        behind.status = None;
        let text = explained(&behind, &[]);
        assert!(text.contains("the operator has not looked at this ensemble yet"), "{text}");
    }

    #[test]
    fn what_somebody_asked_for_is_named_with_the_way_back() {
        let mut held = ensemble("three");
        held.spec.paused = true;
        let text = explained(&held, &pods(&[true, true, true]));
        let patch = r#"kubectl patch ensemble main --type merge -p '{"spec":{"paused":false}}'"#;
        assert!(text.contains("spec.paused:") && text.contains(patch), "{text}");
        let text = explained(&ensemble("skewed"), &pods(&[true, true, true]));
        assert!(text.contains("next   kubectl streamkeeper rebalance start main"), "{text}");
    }

    #[test]
    fn topics_are_explained_too() {
        let now: Timestamp = "2026-11-27T12:02:05Z".parse().expect("a time");
        golden("explain-topic", page(&reason_topic(&topic("impossible")), now).text());
        golden("explain-growing-topic", page(&reason_topic(&topic("growing")), now).text());
    }

    /// Review: a deletion raises the generation, and what was said of it was taken for old.
    #[test]
    fn a_topic_that_goes_says_what_it_waits_for() {
        let mut going = topic("growing");
        let now: Timestamp = "2026-11-27T12:02:05Z".parse().expect("a time");
        going.metadata.deletion_timestamp = serde_json::from_value(json!(now.to_string())).expect("a time");
        going.metadata.generation = Some(2);
        let status = going.status.get_or_insert_default();
        status.observed_generation = Some(2);
        let of = |kind, holds| {
            streamkeeper_operator::crd::condition(
                kind,
                holds,
                Reason::Held,
                "if that is meant: kubectl annotate",
                None,
                now,
            )
        };
        status.conditions = vec![
            of(streamkeeper_operator::crd::ConditionType::Ready, Some(false)),
            of(streamkeeper_operator::crd::ConditionType::Stalled, Some(true)),
        ];
        let text = page(&reason_topic(&going), now).text().to_owned();
        assert!(text.contains("  if that is meant: kubectl annotate\n"), "{text}");
        assert!(text.contains("it does not pass by itself") && text.contains("Retain"), "{text}");
        assert!(!text.contains("generation"), "{text}");
    }

    #[test]
    fn programs_get_the_same() {
        let value = value(&reason_ensemble(&ensemble("scale-in"), &[]));
        assert_eq!((&value["kind"], &value["name"]), (&json!("Ensemble"), &json!("main")));
        let first = &value["waiting"][0];
        assert_eq!(
            (&first["who"], &first["what"]),
            (&json!("member 2"), &json!("4 replicas still move away"))
        );
        assert_eq!(first["since"], "2026-11-27T12:00:00Z");
    }
}
