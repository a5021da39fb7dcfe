//! `describe`: everything about one ensemble or topic, for people, or as the resource that it is.
//!
//! Read first: [`ensemble_page`], [`topic_page`].

use anyhow::Result;
use streamkeeper_operator::crd::{Ensemble, Topic};

use super::fetch::Cluster;
use super::pods::PodFact;
use crate::describe::{
    Described, Form, conditions, ensemble_fields, members, name_of, print, under_way, wait,
};
use crate::page::Page;
use crate::terminal::say;

/// Describes an ensemble or a topic.
///
/// # Errors
/// There is none of that name, or the cluster does not answer.
pub(super) async fn describe(cluster: &Cluster, what: Described, name: &str, form: Form) -> Result<()> {
    let (value, page) = match what {
        Described::Ensemble => {
            let ensemble = cluster.ensemble(name).await?;
            let pods = cluster.pods_of(name).await?;
            (serde_json::to_value(&ensemble)?, ensemble_page(&ensemble, &pods)?)
        }
        Described::Topic => {
            let topic = cluster.topic(name).await?;
            (serde_json::to_value(&topic)?, topic_page(&topic)?)
        }
    };
    if form != Form::Text {
        return print(&value, form);
    }
    say(page.text());
    Ok(())
}

fn ensemble_page(ensemble: &Ensemble, pods: &[PodFact]) -> Result<Page> {
    let status = ensemble.status.clone().unwrap_or_default();
    let name = ensemble.metadata.name.clone().unwrap_or_default();
    let namespace = ensemble.metadata.namespace.clone().unwrap_or_default();
    let mut page = Page::default();
    page.fields(&ensemble_fields(&name, ("Namespace", namespace), ensemble.spec.voters(), &status));
    conditions(&mut page, &serde_json::to_value(&status)?);
    page.section("Members");
    members(&mut page, &status.members, ["pod", "version"], |m| [name_of(m), m.version.clone()]);
    let troubles: Vec<String> = pods
        .iter()
        .filter_map(|pod| pod.trouble.as_ref().map(|trouble| format!("  {} {trouble}", pod.name)))
        .collect();
    if !troubles.is_empty() {
        page.section("Pods in trouble");
        troubles.iter().for_each(|trouble| page.line(trouble));
    }
    under_way(&mut page, &status.waiting.iter().map(wait).collect::<Vec<_>>());
    page.section("Specification");
    page.line(&serde_saphyr::to_string(&ensemble.spec)?);
    Ok(page)
}

fn topic_page(topic: &Topic) -> Result<Page> {
    let status = topic.status.clone().unwrap_or_default();
    let resource = topic.metadata.name.clone().unwrap_or_default();
    let mut page = Page::default();
    page.fields(&[
        ("Name", topic.spec.name_in_kafka(&resource).to_owned()),
        ("Resource", resource.clone()),
        ("Namespace", topic.metadata.namespace.clone().unwrap_or_default()),
        ("Ensemble", topic.spec.ensemble_ref.name.clone()),
        ("Id", status.topic_id.clone().unwrap_or_else(|| "none yet".to_owned())),
        ("Partitions", status.partitions.to_string()),
        ("Replication factor", status.replication_factor.to_string()),
        ("Under-replicated", status.under_replicated.to_string()),
        ("Without leader", status.offline.to_string()),
    ]);
    conditions(&mut page, &serde_json::to_value(&status)?);
    page.section("Specification");
    page.line(&serde_saphyr::to_string(&topic.spec)?);
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubectl::testing::{ensemble, golden, pods, topic};

    #[test]
    fn an_ensemble_is_described() {
        let page = ensemble_page(&ensemble("scale-in"), &pods(&[true, true, false])).expect("a page");
        golden("describe-ensemble", page.text());
    }

    #[test]
    fn a_topic_is_described() {
        golden("describe-topic", topic_page(&topic("growing")).expect("a page").text());
        golden("describe-new-topic", topic_page(&topic("new")).expect("a page").text());
    }
}
