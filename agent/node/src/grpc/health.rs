//! grpc.health.v1: "" (the process), `zookeeper` (this member serves ZooKeeper's clients), `kafka` (it is registered with this disk and
//! follows the cluster image), `ready` (both). Liveness is the process alone: a member without a quorum must not be killed for it.
//!
//! Read first: [`report`], [`Health`].

use std::sync::Arc;

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::agent::{Agent, View};

/// What is done once, when the agent serves for the first time.
pub(crate) type OnReady = Box<dyn FnOnce() + Send>;

/// What health is asked of, by name.
pub(super) const SERVICES: [&str; 4] = ["", "zookeeper", "kafka", "ready"];

/// What is told, by service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    /// It runs, and was not told to stop.
    pub(crate) process: bool,
    /// It serves ZooKeeper's clients.
    pub(crate) zookeeper: bool,
    /// It serves Kafka's clients.
    pub(crate) kafka: bool,
}

impl Health {
    /// As it is now.
    pub(crate) fn now(agent: &Agent) -> Self {
        Self::of(agent, &agent.view().borrow())
    }

    /// Nothing is claimed that coordination has not said.
    fn of(agent: &Agent, view: &View) -> Self {
        let serves = view.status.as_ref().is_some_and(|status| status.role.serves());
        let registered = view.image.members.get(&agent.member);
        let is_known = registered.is_some_and(|m| m.live && m.incarnation == agent.incarnation);
        let goes_on = !view.is_stopping;
        Self { process: goes_on, zookeeper: serves && goes_on, kafka: serves && is_known && goes_on }
    }

    fn is_ready(self) -> bool {
        self.zookeeper && self.kafka
    }

    /// As [`SERVICES`].
    fn serving(self) -> [bool; 4] {
        [self.process, self.zookeeper, self.kafka, self.is_ready()]
    }
}

/// Keeps the health service true for as long as the process runs. `on_ready` is called on a thread of its own once the agent serves.
pub(super) async fn report(agent: Arc<Agent>, reporter: HealthReporter, mut on_ready: Option<OnReady>) {
    let mut view = agent.view();
    let mut told = None;
    loop {
        let now = Health::of(&agent, &view.borrow_and_update());
        if told != Some(now) {
            told = Some(now);
            for (service, serving) in SERVICES.into_iter().zip(now.serving()) {
                let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
                reporter.set_service_status(service, status).await;
            }
        }
        if let Some(task) = on_ready.take_if(|_| now.is_ready()) {
            drop(tokio::task::spawn_blocking(task));
        }
        if view.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use streamkeeper_base::{Incarnation, MemberId, Zxid};
    use streamkeeper_member::control::{ClusterImage, RegisteredMember, RoleName};
    use streamkeeper_member::message::Status;

    use super::super::settings::BrokerSettings;
    use super::*;

    fn view(role: RoleName, member: Option<RegisteredMember>) -> View {
        let status = Status {
            member: MemberId(1),
            role,
            quorum_leader: None,
            zab_epoch: 0,
            zxid: Zxid::ZERO,
            members: BTreeMap::new(),
            synced: Vec::new(),
            znodes: 0,
            connections: 0,
            sessions: Vec::new(),
            leaderless: Vec::new(),
        };
        let mut image = ClusterImage::default();
        image.members.extend(member.map(|m| (MemberId(1), m)));
        View { status: Some(Arc::new(status)), image: Arc::new(image), is_stopping: false }
    }

    #[test]
    fn health_claims_nothing_that_is_not_so() {
        let (sender, _receiver) = tokio::sync::mpsc::unbounded_channel();
        let (to_broker, _broker) = tokio::sync::mpsc::unbounded_channel();
        let settings = BrokerSettings::new(&BTreeMap::new(), to_broker);
        let agent = Agent::new(MemberId(1), Incarnation([7; 16]), String::new(), sender, settings);
        let registered = |disk: u8, live| RegisteredMember {
            incarnation: Incarnation([disk; 16]),
            live,
            ..RegisteredMember::default()
        };
        let ready = |view: &View| Health::of(&agent, view).serving();
        assert_eq!(ready(&View::default()), [true, false, false, false], "nothing was said yet");
        let cases = [
            (RoleName::Following, Some(registered(7, true)), [true, true, true, true]),
            (RoleName::Observing, Some(registered(7, true)), [true, true, true, true]),
            (RoleName::Leading, None, [true, true, false, false]),
            (RoleName::Leading, Some(registered(7, false)), [true, true, false, false]),
            (RoleName::Leading, Some(registered(8, true)), [true, true, false, false]),
            (RoleName::Looking, Some(registered(7, true)), [true, false, false, false]),
            (RoleName::Preparing, Some(registered(7, true)), [true, false, false, false]),
        ];
        for (role, member, expected) in cases {
            assert_eq!(ready(&view(role, member.clone())), expected, "{role:?} {member:?}");
        }
        let mut stopping = view(RoleName::Following, Some(registered(7, true)));
        stopping.is_stopping = true;
        assert_eq!(ready(&stopping), [false; 4]);
    }
}
