//! `status`: one word, then the reasons, and an exit status for scripts.
//!
//! The operator's report and the pods together: where the operator is away, its report is old and the pods are not. Read first: [`judge`].

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};
use streamkeeper_operator::crd::{Condition, Ensemble, Reason};

use super::fetch::Cluster;
use super::pods::PodFact;
use crate::describe::{Form, print};
use crate::status::Verdict;
use crate::terminal::say;

/// What is said of one ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Report {
    name: String,
    verdict: Verdict,
    reasons: Vec<String>,
}

/// Says how one ensemble is, or all of the namespace: healthy (exit 0), failed (1), degraded (3); the worst decides.
///
/// # Errors
/// There is none of that name, or the cluster does not answer.
pub(super) async fn status(cluster: &Cluster, name: Option<&str>, form: Form) -> Result<ExitCode> {
    let ensembles = match name {
        Some(name) => vec![cluster.ensemble(name).await?],
        None => cluster.ensembles().await?,
    };
    let mut reports = Vec::new();
    for ensemble in &ensembles {
        let name = ensemble.metadata.name.clone().unwrap_or_default();
        let pods = cluster.pods_of(&name).await?;
        let (failed, degraded) = judge(ensemble, &pods);
        let verdict = Verdict::of(&failed, &degraded);
        reports.push(Report { name, verdict, reasons: failed.into_iter().chain(degraded).collect() });
    }
    match form {
        Form::Text => say(&text(&reports, name.is_some())),
        Form::Json | Form::Yaml => print(&value(&reports, name.is_some()), form)?,
    }
    let worst = reports.iter().map(|report| report.verdict).max();
    Ok(worst.map_or(ExitCode::FAILURE, Verdict::exit_code))
}

fn text(reports: &[Report], one: bool) -> String {
    let mut lines = Vec::new();
    for Report { name, verdict, reasons } in reports {
        let word = verdict.coloured();
        lines.push(if one { word } else { format!("{name}: {word}") });
        lines.extend(reasons.iter().map(|reason| format!("  {reason}")));
    }
    lines.join("\n")
}

fn value(reports: &[Report], one: bool) -> Value {
    let report = |report: &Report| json!({"name": report.name, "verdict": report.verdict.word(), "reasons": report.reasons});
    match reports {
        [only] if one => report(only),
        all => all.iter().map(report).collect(),
    }
}

/// A condition of a resource.
pub(super) fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Reasons to call an ensemble failed (some client cannot be served), and to call it degraded.
fn judge(ensemble: &Ensemble, pods: &[PodFact]) -> (Vec<String>, Vec<String>) {
    let (mut failed, mut degraded) = (Vec::new(), Vec::new());
    let status = ensemble.status.clone().unwrap_or_default();
    if ensemble.spec.suspended {
        failed.push("the ensemble is suspended; set spec.suspended to false".to_owned());
        return (failed, degraded);
    }
    if status.observed_generation.is_none() {
        failed.push(
            "the operator has not looked at it yet; does it run, and does it watch this namespace?"
                .to_owned(),
        );
        return (failed, degraded);
    }
    let ready = condition(&status.conditions, "Ready").filter(|c| c.status != "True");
    if let Some(quorum) = condition(&status.conditions, "QuorumHealthy").filter(|c| c.status != "True") {
        failed.push(quorum.message.clone());
    } else if let Some(ready) = ready.filter(|ready| ready.reason == Reason::PartitionsUnhealthy.name()) {
        failed.push(ready.message.clone());
    }
    if !pods.is_empty() && pods.iter().all(|pod| !pod.ready) {
        failed.push(format!("none of the {} pods is ready", pods.len()));
    }
    let mut members = 0;
    for member in status.members.iter().filter(|member| member.state != "leaving") {
        let pod = pods.iter().find(|pod| pod.member == member.id);
        let why = match pod {
            None => Some("has no pod".to_owned()),
            Some(pod) if pod.ready && member.ready => None,
            Some(PodFact { name, trouble: Some(trouble), .. }) => {
                Some(format!("does not serve: pod {name} {trouble}"))
            }
            Some(pod) if member.ready => {
                Some(format!("serves, and clients do not reach it yet: pod {} is not ready", pod.name))
            }
            Some(_) => Some(format!("does not serve yet: it is {}", member.state)),
        };
        if let Some(why) = why {
            members += 1;
            degraded.push(format!("member {} {why}", member.id));
        }
    }
    if let Some(ready) = ready.filter(|_| members == 0 && failed.is_empty()) {
        degraded.push(ready.message.clone());
    }
    if let Some(stalled) = condition(&status.conditions, "Stalled").filter(|c| c.status == "True") {
        degraded.push(stalled.message.clone());
    }
    (failed, degraded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubectl::testing::{ensemble, pods};

    fn verdict(ensemble: &Ensemble, pods: &[PodFact]) -> (Verdict, Vec<String>) {
        let (failed, degraded) = judge(ensemble, pods);
        (Verdict::of(&failed, &degraded), failed.into_iter().chain(degraded).collect())
    }

    #[test]
    fn all_members_serve() {
        assert_eq!(verdict(&ensemble("three"), &pods(&[true, true, true])), (Verdict::Healthy, vec![]));
    }

    #[test]
    fn the_pods_count_more_than_an_old_report() {
        let (word, reasons) = verdict(&ensemble("three"), &pods(&[true, true, false]));
        assert_eq!((word, reasons.len()), (Verdict::Degraded, 1));
        assert_eq!(reasons[0], "member 2 does not serve: pod main-2 finds no node: 0/3 nodes are available");
        let (word, reasons) = verdict(&ensemble("three"), &pods(&[true, true]));
        assert_eq!((word, reasons), (Verdict::Degraded, vec!["member 2 has no pod".to_owned()]));
        let (word, reasons) = verdict(&ensemble("three"), &pods(&[false, false, false]));
        assert_eq!((word, reasons[0].as_str()), (Verdict::Failed, "none of the 3 pods is ready"));
    }

    #[test]
    fn a_pod_that_is_only_not_ready_is_told_from_one_in_trouble() {
        let mut young = pods(&[true, true, true]);
        young[1].ready = false;
        let (word, reasons) = verdict(&ensemble("three"), &young);
        assert_eq!(word, Verdict::Degraded);
        assert_eq!(reasons, ["member 1 serves, and clients do not reach it yet: pod main-1 is not ready"]);
    }

    #[test]
    fn an_ensemble_that_nobody_looked_at_is_no_healthy_one() {
        let mut new = ensemble("three");
        new.status = None;
        let (word, reasons) = verdict(&new, &[]);
        assert_eq!(word, Verdict::Failed);
        assert!(reasons[0].starts_with("the operator has not looked at it yet"), "{reasons:?}");
    }

    #[test]
    fn no_quorum_is_a_failure_and_suspension_too() {
        let (word, reasons) = verdict(&ensemble("no-quorum"), &pods(&[true, false, false]));
        assert_eq!((word, reasons[0].as_str()), (Verdict::Failed, "nobody leads the quorum"));
        let mut suspended = ensemble("three");
        suspended.spec.suspended = true;
        assert_eq!(verdict(&suspended, &[]).0, Verdict::Failed);
    }

    #[test]
    fn what_does_not_pass_by_itself_degrades() {
        let (word, reasons) = verdict(&ensemble("blocked-scale-in"), &pods(&[true, true, true]));
        assert_eq!(word, Verdict::Degraded);
        assert_eq!(reasons, ["member 2: cannot leave: topic orders has 3 copies, 2 members would remain"]);
    }

    #[test]
    fn lists_name_each_ensemble_and_programs_get_objects() {
        let report = |name: &str, verdict, reasons: &[&str]| Report {
            name: name.to_owned(),
            verdict,
            reasons: reasons.iter().map(|&reason| reason.to_owned()).collect(),
        };
        let reports = [
            report("main", Verdict::Healthy, &[]),
            report("other", Verdict::Failed, &["nobody leads the quorum"]),
        ];
        assert_eq!(text(&reports, false), "main: healthy\nother: failed\n  nobody leads the quorum");
        assert_eq!(text(&reports[..1], true), "healthy");
        assert_eq!(value(&reports[..1], true), json!({"name": "main", "verdict": "healthy", "reasons": []}));
        assert_eq!(
            value(&reports[..1], false),
            json!([{"name": "main", "verdict": "healthy", "reasons": []}])
        );
    }
}
