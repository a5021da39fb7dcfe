//! `status.json`: what the running `up` saw last, in the shape of the resources' status. Other processes read it for the times at
//! which things began, and `apply --wait` for the end.
//!
//! Read first: [`StatusFile`].

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use streamkeeper_operator::crd::{Condition, Endpoints, EnsembleStatus, Reason, TopicStatus};
use streamkeeper_operator::ensemble::observed::Observed;
use streamkeeper_operator::ensemble::plan::Plan;
use streamkeeper_operator::ensemble::status::Moment;
use streamkeeper_operator::{ensemble, topic};

use crate::up::state::{MemberState, State};

/// Its name in the data directory.
pub(crate) const FILE: &str = "status.json";

/// The status of the ensemble and of its topics by resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct StatusFile {
    /// [`State::asked`] when this was looked at: what was seen before somebody asked again is no answer to them.
    #[serde(default)]
    pub(crate) asked: u64,
    pub(crate) ensemble: EnsembleStatus,
    pub(crate) topics: BTreeMap<String, TopicStatus>,
}

impl StatusFile {
    /// The status of now; `next` until it is looked at again.
    pub(crate) fn new(
        state: &State,
        observed: &Observed,
        plan: &Plan,
        previous: &Self,
        next: Duration,
    ) -> Self {
        let stamp = |time: SystemTime| ensemble::status::timestamp(time);
        let now = SystemTime::now();
        let moment = Moment { now: stamp(now), next: stamp(now + next), generation: Some(state.generation) };
        let join = |address: fn(&MemberState) -> String| {
            state.members.iter().map(address).collect::<Vec<_>>().join(",")
        };
        let endpoints =
            Endpoints { zookeeper: join(MemberState::zookeeper), kafka: join(MemberState::kafka) };
        let topics = state.desired.topics.iter().map(|(resource, spec)| {
            let name = spec.name_in_kafka(resource);
            let before = previous.topics.get(resource).cloned().unwrap_or_default();
            (resource.clone(), topic::status::status(name, spec, observed, plan, &before, &moment))
        });
        let ensemble = ensemble::status::status(
            &state.desired,
            observed,
            plan,
            &previous.ensemble,
            Some(endpoints),
            &moment,
        );
        Self { asked: state.asked, ensemble, topics: topics.collect() }
    }

    /// Whether a condition of the ensemble holds.
    pub(crate) fn holds(&self, condition: &str) -> bool {
        self.ensemble.conditions.iter().any(|c| c.type_ == condition && c.status == "True")
    }

    /// What a condition of the ensemble says.
    pub(crate) fn message(&self, condition: &str) -> String {
        let found = self.ensemble.conditions.iter().find(|c| c.type_ == condition);
        found.map(|c| c.message.clone()).unwrap_or_default()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.holds("Ready")
    }

    /// Nothing is left to do, and everything serves, or nothing as was asked for.
    pub(crate) fn is_settled(&self) -> bool {
        let suspended = |c: &&Condition| c.type_ == "Ready" && c.reason == Reason::Suspended.name();
        let as_wanted = self.is_ready() || self.ensemble.conditions.iter().any(|c| suspended(&c));
        as_wanted && !self.holds("Progressing")
    }
}
