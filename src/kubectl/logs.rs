//! `logs`: the logs of the agents, each line behind the name of its pod.
//!
//! Read first: [`logs`].

use anyhow::{Result, anyhow, bail};
use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use tokio::task::JoinSet;

use super::fetch::{Cluster, causes};
use super::pods::PodFact;
use crate::terminal::{complain, say};

/// Which lines.
pub(super) struct Options {
    /// Only this member.
    pub(super) member: Option<i32>,
    /// Go on with what is written from now.
    pub(super) follow: bool,
    /// Of each agent at most, the last ones.
    pub(super) tail: Option<i64>,
    /// Of the container before the last restart.
    pub(super) previous: bool,
}

/// Prints the logs of all agents of an ensemble, or of one member.
///
/// # Errors
/// There is no such ensemble or member, or none of the logs can be read.
pub(super) async fn logs(cluster: &Cluster, ensemble: &str, options: &Options) -> Result<()> {
    cluster.ensemble(ensemble).await?;
    let pods = chosen(cluster.pods_of(ensemble).await?, ensemble, options.member)?;
    // Without --follow one after the other: a pod's lines stay together.
    let mut failed = 0;
    let mut following = JoinSet::new();
    let count = pods.len();
    for pod in pods {
        let prefix = if options.member.is_some() { String::new() } else { format!("{} | ", pod.name) };
        let parameters = LogParams {
            container: Some("agent".to_owned()),
            follow: options.follow,
            tail_lines: options.tail,
            previous: options.previous,
            ..LogParams::default()
        };
        let one = one(cluster.pods(), pod.name, prefix, parameters);
        if options.follow {
            following.spawn(one);
        } else if let Err(error) = one.await {
            failed += 1;
            complain(&format!("{error:#}"));
        }
    }
    while let Some(ended) = following.join_next().await {
        if let Err(error) = ended? {
            failed += 1;
            complain(&format!("{error:#}"));
        }
    }
    if failed == count {
        bail!("none of the {count} logs can be read");
    }
    Ok(())
}

fn chosen(pods: Vec<PodFact>, ensemble: &str, member: Option<i32>) -> Result<Vec<PodFact>> {
    let there: Vec<String> = pods.iter().map(|pod| pod.member.to_string()).collect();
    let chosen: Vec<PodFact> =
        pods.into_iter().filter(|pod| member.is_none_or(|id| pod.member == id)).collect();
    match (chosen.is_empty(), member) {
        (false, _) => Ok(chosen),
        (true, Some(member)) if !there.is_empty() => {
            bail!("ensemble {ensemble} has no member {member}; it has {}", there.join(", "))
        }
        (true, _) => bail!("ensemble {ensemble} has no pods: kubectl streamkeeper explain {ensemble}"),
    }
}

async fn one(pods: Api<Pod>, name: String, prefix: String, parameters: LogParams) -> Result<()> {
    let failed =
        |error: &dyn std::error::Error| anyhow!("pod {name}: its log cannot be read: {}", causes(error));
    let mut lines = pods.log_stream(&name, &parameters).await.map_err(|error| failed(&error))?.lines();
    while let Some(line) = lines.try_next().await.map_err(|error| failed(&error))? {
        say(&format!("{prefix}{line}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubectl::testing::pods;

    #[test]
    fn a_member_that_there_is_not_is_named_with_those_that_there_are() {
        let names = |member| chosen(pods(&[true, false]), "main", member).map(|pods| pods.len());
        assert_eq!((names(None).expect("all"), names(Some(1)).expect("one")), (2, 1));
        let error = names(Some(7)).expect_err("no such member").to_string();
        assert_eq!(error, "ensemble main has no member 7; it has 0, 1");
        let error = chosen(Vec::new(), "main", Some(0)).expect_err("no pods").to_string();
        assert_eq!(error, "ensemble main has no pods: kubectl streamkeeper explain main");
    }
}
