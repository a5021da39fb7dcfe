//! Kubernetes Events: what the operator did and what it could not do, with reasons from one enum that is also a label of metrics.
//!
//! The same thing about the same object is said once in a while. Must not know: when something happens. Read first: [`Happening`],
//! [`Events`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use tokio::time::Instant;

use super::api::{Api, Object};
use super::metrics::Metrics;
use crate::ensemble::plan::Step;

/// What cannot be done is not said again for this long.
const SILENCE: Duration = Duration::from_secs(600);
/// A step may be repeated until it is seen to be done, which is one happening; later it is another one.
const STEP_SILENCE: Duration = Duration::from_secs(20);
/// What is so until somebody changes it is said once, as far as that goes: where all is as wanted, nothing is written.
const FACT_SILENCE: Duration = Duration::from_secs(24 * 3600);
/// At most this many things are remembered as said.
const SAID_MAX: usize = 4096;
/// Kubernetes' limit of a note, in bytes.
const NOTE_BYTES_MAX: usize = 1024;

/// Something that happened. The names are a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happening {
    /// A member is made to run.
    MemberStarted,
    /// A member is started anew with another configuration or image.
    MemberRestarted,
    /// A member is stopped, its volume kept.
    MemberStopped,
    /// A member leaves for good.
    MemberLeaves,
    /// A member is gone.
    MemberRetired,
    /// A member gave its leads away.
    LeadsHandedOver,
    /// A member is being emptied.
    MemberCordoned,
    /// A member is used again.
    MemberUncordoned,
    /// The number of voters changes.
    VotersChanged,
    /// The policy of rebalances changes.
    RebalancePolicyChanged,
    /// A member's broker has other settings, without a restart.
    SettingsChanged,
    /// A topic is made or altered.
    TopicApplied,
    /// A topic and its data are deleted.
    TopicDeleted,
    /// A topic stays with its data, though the policy of the resource that went says otherwise.
    TopicKept,
    /// Deletions of topics wait for a word.
    DeletionHeld,
    /// The deletion of a topic waits for something else.
    DeletionWaits,
    /// The specification cannot be carried out.
    InvalidSpec,
    /// The API server does not take what the specification asks for.
    Refused,
    /// Somebody else has the name of an object that is needed.
    NameTaken,
    /// A volume cannot be grown.
    VolumeNotGrown,
    /// A volume is larger than the specification.
    VolumeLarger,
    /// A step failed and is tried again.
    StepFailed,
    /// Another installation acts for the ensemble.
    LeftToAnother,
    /// The installation that acted is gone.
    TakenOver,
    /// The agents refuse the operator's changes: they have seen a newer one.
    Fenced,
}

impl Happening {
    /// The event's reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::MemberStarted => "MemberStarted",
            Self::MemberRestarted => "MemberRestarted",
            Self::MemberStopped => "MemberStopped",
            Self::MemberLeaves => "MemberLeaves",
            Self::MemberRetired => "MemberRetired",
            Self::LeadsHandedOver => "LeadsHandedOver",
            Self::MemberCordoned => "MemberCordoned",
            Self::MemberUncordoned => "MemberUncordoned",
            Self::VotersChanged => "VotersChanged",
            Self::RebalancePolicyChanged => "RebalancePolicyChanged",
            Self::SettingsChanged => "SettingsChanged",
            Self::TopicApplied => "TopicApplied",
            Self::TopicDeleted => "TopicDeleted",
            Self::TopicKept => "TopicKept",
            Self::DeletionHeld => "DeletionHeld",
            Self::DeletionWaits => "DeletionWaits",
            Self::InvalidSpec => "InvalidSpec",
            Self::Refused => "Refused",
            Self::NameTaken => "NameTaken",
            Self::VolumeNotGrown => "VolumeNotGrown",
            Self::VolumeLarger => "VolumeLarger",
            Self::StepFailed => "StepFailed",
            Self::LeftToAnother => "LeftToAnother",
            Self::TakenOver => "TakenOver",
            Self::Fenced => "Fenced",
        }
    }

    /// How long the same is not said again.
    fn silence(self) -> Duration {
        match self {
            Self::VolumeNotGrown | Self::VolumeLarger => FACT_SILENCE,
            Self::DeletionHeld
            | Self::DeletionWaits
            | Self::InvalidSpec
            | Self::Refused
            | Self::NameTaken
            | Self::StepFailed
            | Self::LeftToAnother
            | Self::Fenced => SILENCE,
            Self::MemberStarted
            | Self::MemberRestarted
            | Self::MemberStopped
            | Self::MemberLeaves
            | Self::MemberRetired
            | Self::LeadsHandedOver
            | Self::MemberCordoned
            | Self::MemberUncordoned
            | Self::VotersChanged
            | Self::RebalancePolicyChanged
            | Self::SettingsChanged
            | Self::TopicApplied
            | Self::TopicDeleted
            | Self::TopicKept
            | Self::TakenOver => STEP_SILENCE,
        }
    }

    /// What is so for longer than a step takes is a warning, and that a topic stayed whose resource went.
    fn is_warning(self) -> bool {
        self == Self::TopicKept || self.silence() > STEP_SILENCE
    }
}

impl From<&Step> for Happening {
    fn from(step: &Step) -> Self {
        match step {
            Step::Start(_) => Self::MemberStarted,
            Step::Restart(_) => Self::MemberRestarted,
            Step::Stop(_) => Self::MemberStopped,
            Step::MarkLeaving(_) | Step::Remove(_) => Self::MemberLeaves,
            Step::Retire(_) => Self::MemberRetired,
            Step::HandOver(_) => Self::LeadsHandedOver,
            Step::Cordon(_) | Step::Drain(_) => Self::MemberCordoned,
            Step::Uncordon(_) => Self::MemberUncordoned,
            Step::Promote(_) | Step::Demote(_) => Self::VotersChanged,
            Step::ConfigureRebalance { .. } => Self::RebalancePolicyChanged,
            Step::ConfigureBroker { .. } => Self::SettingsChanged,
            Step::ApplyTopic(_) => Self::TopicApplied,
        }
    }
}

/// Tells of happenings.
#[derive(Debug)]
pub struct Events {
    instance: String,
    said: RefCell<BTreeMap<(String, Happening, String), Instant>>,
}

impl Events {
    /// Events of the operator that is called `instance`.
    pub fn new(instance: &str) -> Self {
        Self { instance: instance.to_owned(), said: RefCell::default() }
    }

    /// Says at `now` what happened to an object. An event that cannot be written is lost: it is for people.
    pub async fn tell<A: Api, K: Object>(
        &self,
        api: &A,
        metrics: &Metrics,
        object: &K,
        (happening, note): (Happening, &str),
        now: Timestamp,
    ) {
        let meta = Resource::meta(object);
        let uid = meta.uid.clone().unwrap_or_default();
        if !self.is_new((uid, happening, note.to_owned()), Instant::now()) {
            return;
        }
        metrics.event(happening.reason());
        let name = meta.name.as_deref().unwrap_or_default();
        tracing::info!(object = name, reason = happening.reason(), "{note}");
        let event = event(object, happening, note, &self.instance, now);
        let namespace = meta.namespace.clone().unwrap_or_default();
        if let Err(error) = api.create::<Event>(&namespace, &event).await {
            tracing::debug!(%error, "an event is lost");
        }
    }

    fn is_new(&self, what: (String, Happening, String), now: Instant) -> bool {
        let mut said = self.said.borrow_mut();
        let is_fresh = |of: Happening, at: &Instant| now.duration_since(*at) < of.silence();
        if said.get(&what).is_some_and(|at| is_fresh(what.1, at)) {
            return false;
        }
        if said.len() >= SAID_MAX {
            said.retain(|(_, of, _), at| is_fresh(*of, at));
        }
        if said.len() >= SAID_MAX {
            said.clear();
        }
        said.insert(what, now);
        true
    }
}

fn event<K: Object>(object: &K, happening: Happening, note: &str, instance: &str, now: Timestamp) -> Event {
    let meta = Resource::meta(object);
    let name = meta.name.clone().unwrap_or_default();
    let mut note = note.to_owned();
    while note.len() > NOTE_BYTES_MAX {
        note.pop();
    }
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{:x}", now.as_nanosecond())),
            namespace: meta.namespace.clone(),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        regarding: Some(ObjectReference {
            api_version: Some(K::api_version(&()).into_owned()),
            kind: Some(K::kind(&()).into_owned()),
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            uid: meta.uid.clone(),
            resource_version: meta.resource_version.clone(),
            ..ObjectReference::default()
        }),
        action: Some("Reconcile".to_owned()),
        reason: Some(happening.reason().to_owned()),
        note: Some(note),
        type_: Some(if happening.is_warning() { "Warning" } else { "Normal" }.to_owned()),
        reporting_controller: Some("streamkeeper.dev/operator".to_owned()),
        reporting_instance: Some(instance.chars().take(128).collect()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_thing_is_said_once_in_a_while() {
        let (events, now) = (Events::new("o"), Instant::now());
        let what = |note: &str| ("uid".to_owned(), Happening::StepFailed, note.to_owned());
        assert!(events.is_new(what("a"), now) && !events.is_new(what("a"), now));
        assert!(events.is_new(what("b"), now));
        assert!(events.is_new(what("a"), now + SILENCE));
        // The second restart of an hour was not told of, and not counted.
        let restart = || ("uid".to_owned(), Happening::MemberRestarted, "restart member 1".to_owned());
        assert!(events.is_new(restart(), now) && !events.is_new(restart(), now + Duration::from_secs(5)));
        assert!(events.is_new(restart(), now + Duration::from_secs(60)));
        // A volume that is larger than wanted was told of every ten minutes, for ever.
        let larger = || ("uid".to_owned(), Happening::VolumeLarger, "volume".to_owned());
        assert!(events.is_new(larger(), now) && !events.is_new(larger(), now + 2 * SILENCE));
    }
}
