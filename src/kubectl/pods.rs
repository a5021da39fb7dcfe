//! What the pods of an ensemble say: they are newer than any status if the operator is away.
//!
//! Must not know: where pods come from. Read first: [`PodFact`].

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// The container that is the agent.
const CONTAINER: &str = "agent";

/// A pod of an ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodFact {
    /// The member that it is; pods without a number are no members.
    pub(super) member: i32,
    pub(super) name: String,
    /// Kubernetes calls it ready.
    pub(super) ready: bool,
    /// Why it is not; nothing if it runs and is only not ready yet.
    pub(super) trouble: Option<String>,
}

impl PodFact {
    /// What a pod says; nothing if its name has no number.
    pub(super) fn of(pod: &Pod) -> Option<Self> {
        let name = pod.metadata.name.clone()?;
        let member = name.rsplit_once('-')?.1.parse().ok()?;
        let ready = condition(pod, "Ready").is_some_and(|(status, _)| status == "True");
        Some(Self { member, name, ready, trouble: trouble(pod).filter(|_| !ready) })
    }
}

/// The pods that are members, in the order of their numbers.
pub(super) fn facts(pods: &[Pod]) -> Vec<PodFact> {
    let mut facts: Vec<PodFact> = pods.iter().filter_map(PodFact::of).collect();
    facts.sort_by_key(|fact| fact.member);
    facts
}

fn condition(pod: &Pod, kind: &str) -> Option<(String, String)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|c| c.type_ == kind)?;
    Some((found.status.clone(), found.message.clone().unwrap_or_default()))
}

fn trouble(pod: &Pod) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Some("is being deleted".to_owned());
    }
    if let Some((_, why)) = condition(pod, "PodScheduled").filter(|(status, _)| status == "False") {
        return Some(format!("finds no node: {why}"));
    }
    let status = pod.status.as_ref()?;
    let all = status.container_statuses.as_ref()?;
    let agent: &ContainerStatus = all.iter().find(|c| c.name == CONTAINER)?;
    let waiting = agent.state.as_ref().and_then(|state| state.waiting.as_ref());
    let begins = ["ContainerCreating", "PodInitializing"];
    if let Some(waiting) = waiting
        && let Some(reason) = waiting.reason.as_deref().filter(|reason| !begins.contains(reason))
    {
        let message = waiting.message.as_deref().unwrap_or("no message");
        return Some(format!("{reason}: {message}{}", ended_last(agent)));
    }
    (agent.restart_count > 0)
        .then(|| format!("was started {} times{}", agent.restart_count + 1, ended_last(agent)))
}

fn ended_last(agent: &ContainerStatus) -> String {
    let ended = agent.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    ended.map_or_else(String::new, |ended| {
        let reason = ended.reason.as_deref().unwrap_or("an unknown reason");
        format!("; it ended last with {reason}, exit status {}", ended.exit_code)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A pod with this status.
    pub(in crate::kubectl) fn pod(name: &str, status: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": name}, "status": status})).expect("a pod")
    }

    fn trouble_of(status: Value) -> Option<String> {
        PodFact::of(&pod("main-2", status)).expect("a member").trouble
    }

    #[test]
    fn a_ready_pod_has_no_trouble_even_if_it_was_restarted() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let agent = json!([{"name": "agent", "image": "", "imageID": "", "ready": true, "restartCount": 3}]);
        let fact = PodFact::of(&pod("my-main-12", json!({"conditions": ready, "containerStatuses": agent})));
        let expected = PodFact { member: 12, name: "my-main-12".to_owned(), ready: true, trouble: None };
        assert_eq!(fact, Some(expected));
        assert_eq!(PodFact::of(&pod("main-operator", json!({}))), None);
    }

    #[test]
    fn why_a_pod_is_not_ready_is_said() {
        let unscheduled =
            json!([{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]);
        let finds_none = trouble_of(json!({"conditions": unscheduled}));
        assert_eq!(finds_none.as_deref(), Some("finds no node: 0/3 nodes are available"));
        let agent = |state: Value, last: Value, restarts: i32| {
            let agent = json!({
                "name": "agent", "image": "", "imageID": "", "ready": false, "restartCount": restarts,
                "state": state, "lastState": last,
            });
            trouble_of(json!({"containerStatuses": [agent]}))
        };
        let crash = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}});
        let killed = json!({"terminated": {"reason": "OOMKilled", "exitCode": 137}});
        assert_eq!(
            agent(crash, killed.clone(), 4).as_deref(),
            Some("CrashLoopBackOff: back-off 10s; it ended last with OOMKilled, exit status 137")
        );
        let again = agent(json!({"running": {}}), killed, 1);
        assert_eq!(
            again.as_deref(),
            Some("was started 2 times; it ended last with OOMKilled, exit status 137")
        );
        assert_eq!(agent(json!({"waiting": {"reason": "ContainerCreating"}}), json!({}), 0), None);
        assert_eq!(agent(json!({"running": {}}), json!({}), 0), None);
    }
}
