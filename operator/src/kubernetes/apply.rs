//! Writes the objects that are not as they shall be, and only those; deletes objects of the ensemble that nobody wants any more.
//!
//! Each write names the state that was read, so that one that relies on an old picture is refused. An object that somebody else owns
//! is never touched. Must not know: members and plans. Read first: [`apply`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde_json::Value;
use tokio::time::Instant;

use super::api::{Api, ApiError, Identity, Object, Part, identity};
use super::build::{Kind, Parts, Wanted, config_map, objects, stateful_set, volume};
use super::cache::is_labelled;
use super::differs::differs;
use super::names;
use super::read::{Found, Live, owns};
use crate::crd::{DeletionPolicy, Ensemble};
use crate::ensemble::observed::Obstacles;
use crate::plant::{Plant, is_planted};

/// What was written, for people.
pub type Written = Vec<String>;

/// What came of an object.
enum Outcome {
    /// It was as it shall be.
    Good,
    /// It was written.
    Written(String),
    /// Somebody else has its name.
    Taken,
}

/// Brings the objects to what they shall be. An object under whose name somebody else has another one is left out, and the others are
/// written all the same.
///
/// # Errors
/// One of them cannot be written; those before it are.
pub async fn apply<A: Api>(api: &A, parts: &Parts, found: &Found) -> Result<(Written, Obstacles), ApiError> {
    let (mut written, mut obstacles) = (Written::new(), Obstacles::default());
    let wanted = objects(parts);
    for object in &wanted {
        let live = found.objects.get(&(object.kind, object.name.clone()));
        match one(api, parts, object, live).await? {
            Outcome::Good => {}
            Outcome::Written(what) => written.push(what),
            Outcome::Taken => {
                obstacles.objects.insert(format!("{:?} {}", object.kind, object.name));
                obstacles.holds_members |= matches!(object.kind, Kind::ConfigMap | Kind::StatefulSet);
            }
        }
    }
    let names: BTreeSet<(Kind, &str)> = wanted.iter().map(|o| (o.kind, o.name.as_str())).collect();
    for ((kind, name), live) in &found.objects {
        let ours = is_ours(&live.metadata, parts) && live.metadata.deletion_timestamp.is_none();
        if ours && !names.contains(&(*kind, name.as_str())) {
            delete(api, *kind, &parts.namespace, name, &identity(&live.metadata)).await?;
            written.push(format!("delete {kind:?} {name}: it is not wanted any more"));
        }
    }
    Ok((written, obstacles))
}

async fn one<A: Api>(
    api: &A,
    parts: &Parts,
    wanted: &Wanted,
    live: Option<&Live>,
) -> Result<Outcome, ApiError> {
    let (kind, name) = (wanted.kind, wanted.name.clone());
    let Some(live) = live else {
        return match get(api, kind, &parts.namespace, &name).await? {
            // Somebody took the labels by which the caches find it, and so they never tell of it. They are given back; the rest is
            // another look's.
            Some(fresh) if is_ours(&fresh.metadata, parts) && !is_labelled(&fresh.metadata, &parts.name) => {
                write(api, kind, &parts.namespace, &name, &relabelled(parts, wanted, &fresh)?).await?;
                let (what, message) = (format!("label {kind:?} {name}"), "it had lost its labels".to_owned());
                tracing::warn!(ensemble = parts.name, "{what}: {message}");
                Err(ApiError::Conflict { what, message })
            }
            // The picture is older than the object, and what is wanted was made from the picture: a record without members, no pods.
            // Another look will see it (Sieve's stale state).
            Some(fresh) if is_ours(&fresh.metadata, parts) => {
                let (what, message) = (format!("make {kind:?} {name}"), "it is there already".to_owned());
                Err(ApiError::Conflict { what, message })
            }
            Some(_) if !is_planted(Plant::TakesForeign) => Ok(Outcome::Taken),
            Some(_) | None => {
                write(api, kind, &parts.namespace, &name, &wanted.body).await?;
                Ok(Outcome::Written(format!("make {kind:?} {name}")))
            }
        };
    };
    if !is_ours(&live.metadata, parts) {
        return Ok(Outcome::Taken);
    }
    let Some(field) = differs(&wanted.body, &live.value) else { return Ok(Outcome::Good) };
    write(api, kind, &parts.namespace, &name, &pinned(&wanted.body, &identity(&live.metadata))).await?;
    Ok(Outcome::Written(format!("apply {kind:?} {name}: {field}")))
}

/// What the API server refused of volumes, by member. It is asked for the same again only after a while: this is a pace, and decides
/// nothing.
#[derive(Debug, Default)]
pub struct Refusals(BTreeMap<i32, Refused>);

#[derive(Debug)]
struct Refused {
    asked: Value,
    why: String,
    at: Instant,
}

/// A refused change of a volume is asked for again after this time: somebody may have allowed its class to grow.
const ASK_AGAIN: Duration = Duration::from_secs(300);

impl Refusals {
    /// What was refused of each member's volume.
    pub fn all(&self) -> impl Iterator<Item = (i32, &str)> {
        self.0.iter().map(|(id, refused)| (*id, refused.why.as_str()))
    }

    /// What was refused of this member's volume.
    pub fn of(&self, id: i32) -> Option<&str> {
        self.0.get(&id).map(|refused| refused.why.as_str())
    }

    fn is_fresh(&self, id: i32, body: &Value) -> bool {
        self.0.get(&id).is_some_and(|refused| refused.asked == *body && refused.at.elapsed() < ASK_AGAIN)
    }
}

/// The object as it is wanted, with what only the object itself tells: an emptied record of members or number of pods must not come of a
/// label that is missing.
fn relabelled(parts: &Parts, wanted: &Wanted, fresh: &Live) -> Result<Value, ApiError> {
    let unreadable = |message: String| ApiError::Refused {
        what: format!("read {:?} {}", wanted.kind, wanted.name),
        message,
    };
    let body = match wanted.kind {
        Kind::ConfigMap => {
            let map: ConfigMap =
                serde_json::from_value(fresh.value.clone()).map_err(|e| unreadable(e.to_string()))?;
            let memory = config_map::memory(&map).map_err(unreadable)?;
            let cluster_id = config_map::cluster_id(&map).unwrap_or_else(|| parts.cluster_id.clone());
            config_map::wanted(&Parts { memory, cluster_id, ..parts.clone() }).body
        }
        Kind::StatefulSet => {
            let set: StatefulSet =
                serde_json::from_value(fresh.value.clone()).map_err(|e| unreadable(e.to_string()))?;
            let replicas = set.spec.replicas.unwrap_or(0);
            let template = stateful_set::template_of(&set).unwrap_or_else(|| parts.template.clone());
            stateful_set::wanted(&Parts { replicas, template, ..parts.clone() }).body
        }
        Kind::ServiceAccount | Kind::Service | Kind::NetworkPolicy | Kind::PodDisruptionBudget => {
            wanted.body.clone()
        }
    };
    Ok(pinned(&body, &identity(&fresh.metadata)))
}

/// Brings the volumes to what they shall be. A volume that cannot grow is told of and holds nothing up.
///
/// # Errors
/// The API server gives no answer.
pub async fn volumes<A: Api>(
    api: &A,
    parts: &Parts,
    found: &Found,
    refusals: &mut Refusals,
) -> Result<Written, ApiError> {
    let mut written = Written::new();
    refusals.0.retain(|id, _| found.claims.contains_key(id));
    let mut confirmed = false;
    for (id, claim) in &found.claims {
        let annotations = claim.metadata.annotations.as_ref();
        let cluster = annotations.and_then(|annotations| annotations.get(names::CLUSTER));
        let known = parts.memory.record.member(*id).is_some() && cluster.is_none();
        if claim.metadata.deletion_timestamp.is_some() || !(known || cluster == Some(&parts.cluster_id)) {
            continue;
        }
        let body = volume::build(parts, *id, claim);
        let live = serde_json::to_value(claim.as_ref()).unwrap_or_default();
        let Some(field) = differs(&body, &live) else {
            refusals.0.remove(id);
            continue;
        };
        if refusals.is_fresh(*id, &body) {
            continue;
        }
        if !std::mem::replace(&mut confirmed, true) {
            confirm_record(api, parts).await?;
            confirm_policy(api, parts).await?;
        }
        let name = claim.metadata.name.clone().unwrap_or_default();
        let asked = pinned(&body, &identity(&claim.metadata));
        match api.apply::<PersistentVolumeClaim>(&parts.namespace, &name, &asked, Part::Main).await {
            Ok(()) => {
                refusals.0.remove(id);
                written.push(format!("apply volume {name}: {field}"));
            }
            Err(ApiError::Refused { message, .. }) => {
                refusals.0.insert(*id, Refused { asked: body, why: message, at: Instant::now() });
            }
            Err(error @ (ApiError::Conflict { .. } | ApiError::Unavailable { .. })) => return Err(error),
        }
    }
    Ok(written)
}

/// What volumes say of their members outlives the record, so it must not come from an old picture of it (Sieve's stale state): a volume
/// that names a disk which was given up would bring that back once the record is gone.
///
/// # Errors
/// The record is another one by now, or the API server gives no answer.
pub async fn confirm_record<A: Api>(api: &A, parts: &Parts) -> Result<(), ApiError> {
    let name = names::agents(&parts.name);
    let fresh = api.get::<ConfigMap>(&parts.namespace, &name).await?;
    let is_known =
        fresh.is_some_and(|map| config_map::memory(&map).is_ok_and(|memory| memory == parts.memory));
    if is_known {
        return Ok(());
    }
    let (what, message) =
        (format!("read ConfigMap {name}"), "the caches have told of another one".to_owned());
    Err(ApiError::Conflict { what, message })
}

/// A volume that has the Ensemble as its owner goes with it. That must not come from an old picture of the policy: data that were to be
/// deleted can be kept still, and those that were to be kept are gone.
async fn confirm_policy<A: Api>(api: &A, parts: &Parts) -> Result<(), ApiError> {
    if parts.spec.deletion_policy == DeletionPolicy::Retain || is_planted(Plant::CachedPolicy) {
        return Ok(());
    }
    let fresh = api.get::<Ensemble>(&parts.namespace, &parts.name).await?;
    let still = |fresh: &Ensemble| {
        fresh.metadata.uid.as_deref() == Some(&parts.uid)
            && fresh.spec.deletion_policy == DeletionPolicy::Delete
    };
    if fresh.is_some_and(|fresh| still(&fresh)) {
        return Ok(());
    }
    let (what, message) =
        (format!("read Ensemble {}", parts.name), "the caches have told of another policy".to_owned());
    Err(ApiError::Conflict { what, message })
}

/// A body that is only taken by the object that was read.
pub fn pinned(body: &Value, identity: &Identity) -> Value {
    let mut body = body.clone();
    body["metadata"]["uid"] = Value::String(identity.uid.clone());
    body["metadata"]["resourceVersion"] = Value::String(identity.resource_version.clone());
    body
}

/// The ensemble is the object's owner, by its UID: an ensemble of the same name that is gone is another one.
fn is_ours(metadata: &ObjectMeta, parts: &Parts) -> bool {
    owns(&parts.uid, metadata)
}

async fn get<A: Api>(api: &A, kind: Kind, namespace: &str, name: &str) -> Result<Option<Live>, ApiError> {
    match kind {
        Kind::ConfigMap => fresh::<A, ConfigMap>(api, namespace, name).await,
        Kind::ServiceAccount => fresh::<A, ServiceAccount>(api, namespace, name).await,
        Kind::Service => fresh::<A, Service>(api, namespace, name).await,
        Kind::NetworkPolicy => fresh::<A, NetworkPolicy>(api, namespace, name).await,
        Kind::PodDisruptionBudget => fresh::<A, PodDisruptionBudget>(api, namespace, name).await,
        Kind::StatefulSet => fresh::<A, StatefulSet>(api, namespace, name).await,
    }
}

async fn fresh<A: Api, K: Object>(api: &A, namespace: &str, name: &str) -> Result<Option<Live>, ApiError> {
    let object = api.get::<K>(namespace, name).await?;
    Ok(object.map(|object| Live {
        metadata: Resource::meta(&object).clone(),
        value: serde_json::to_value(&object).unwrap_or_default(),
    }))
}

/// Applies an object.
///
/// # Errors
/// The API server did not do it.
pub async fn write<A: Api>(
    api: &A,
    kind: Kind,
    namespace: &str,
    name: &str,
    body: &Value,
) -> Result<(), ApiError> {
    match kind {
        Kind::ConfigMap => api.apply::<ConfigMap>(namespace, name, body, Part::Main).await,
        Kind::ServiceAccount => api.apply::<ServiceAccount>(namespace, name, body, Part::Main).await,
        Kind::Service => api.apply::<Service>(namespace, name, body, Part::Main).await,
        Kind::NetworkPolicy => api.apply::<NetworkPolicy>(namespace, name, body, Part::Main).await,
        Kind::PodDisruptionBudget => {
            api.apply::<PodDisruptionBudget>(namespace, name, body, Part::Main).await
        }
        Kind::StatefulSet => api.apply::<StatefulSet>(namespace, name, body, Part::Main).await,
    }
}

async fn delete<A: Api>(
    api: &A,
    kind: Kind,
    namespace: &str,
    name: &str,
    identity: &Identity,
) -> Result<(), ApiError> {
    match kind {
        Kind::ConfigMap => api.delete::<ConfigMap>(namespace, name, identity).await,
        Kind::ServiceAccount => api.delete::<ServiceAccount>(namespace, name, identity).await,
        Kind::Service => api.delete::<Service>(namespace, name, identity).await,
        Kind::NetworkPolicy => api.delete::<NetworkPolicy>(namespace, name, identity).await,
        Kind::PodDisruptionBudget => api.delete::<PodDisruptionBudget>(namespace, name, identity).await,
        Kind::StatefulSet => api.delete::<StatefulSet>(namespace, name, identity).await,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;

    use futures::FutureExt;
    use serde_json::json;

    use super::super::api::Which;
    use super::super::record::Memory;
    use super::*;
    use crate::crd::EnsembleSpec;

    /// An API server whose caches have told nothing yet.
    #[derive(Default)]
    struct Server {
        there: Vec<Wanted>,
        written: RefCell<Vec<String>>,
        bodies: RefCell<BTreeMap<String, Value>>,
    }

    impl Api for Server {
        async fn list<K: Object>(&self, _: &str, _: Which<'_>) -> Result<Vec<Arc<K>>, ApiError> {
            Ok(Vec::new())
        }

        async fn list_now<K: Object>(&self, _: &str, _: Which<'_>) -> Result<Vec<Arc<K>>, ApiError> {
            Ok(Vec::new())
        }

        async fn get<K: Object>(&self, _: &str, name: &str) -> Result<Option<K>, ApiError> {
            let kind = K::kind(&());
            let of_kind = |o: &&Wanted| o.body["kind"].as_str() == Some(&*kind) && o.name == name;
            let found = self.there.iter().find(of_kind);
            Ok(found.map(|object| serde_json::from_value(object.body.clone()).expect("an object")))
        }

        async fn create<K: Object>(&self, _: &str, _: &K) -> Result<K, ApiError> {
            panic!("nothing is created")
        }

        async fn replace<K: Object>(&self, _: &str, _: &K) -> Result<K, ApiError> {
            panic!("nothing is replaced")
        }

        async fn apply<K: Object>(&self, _: &str, name: &str, body: &Value, _: Part) -> Result<(), ApiError> {
            self.bodies.borrow_mut().insert(format!("{} {name}", K::kind(&())), body.clone());
            self.written.borrow_mut().push(format!("{} {name}", K::kind(&())));
            Ok(())
        }

        async fn delete<K: Object>(&self, _: &str, _: &str, _: &Identity) -> Result<(), ApiError> {
            panic!("nothing is deleted")
        }

        async fn namespace_goes(&self, _: &str) -> Result<bool, ApiError> {
            Ok(false)
        }
    }

    fn parts(memory: Memory, replicas: i32) -> Parts {
        let spec: EnsembleSpec = serde_json::from_value(json!({"replicas": 3})).expect("a specification");
        Parts {
            name: "main".to_owned(),
            namespace: "n".to_owned(),
            uid: "uid".to_owned(),
            cluster_id: "0".repeat(32),
            template: (spec.storage.size.clone(), None),
            spec,
            restarted_at: None,
            memory,
            replicas,
            image: "image".to_owned(),
            operator_namespace: None,
        }
    }

    fn apply_blindly(server: &Server) -> Result<(Written, Obstacles), ApiError> {
        let (parts, found) = (parts(Memory::default(), 0), Found::default());
        let applied = apply(server, &parts, &found);
        applied.now_or_never().expect("nothing is waited for")
    }

    #[test]
    fn what_is_not_there_is_made() {
        let server = Server::default();
        assert_eq!(apply_blindly(&server).expect("all is made").0.len(), 8);
        assert_eq!(server.written.borrow().len(), 8);
    }

    /// One name that somebody else has once stopped everything.
    #[test]
    fn what_somebody_else_has_is_left_alone_and_the_others_are_made() {
        for (kind, holds_members) in [(Kind::Service, false), (Kind::StatefulSet, true)] {
            let mut there = objects(&parts(Memory::default(), 0));
            there.retain(|object| object.kind == kind);
            for object in &mut there {
                object.body["metadata"]["ownerReferences"][0]["uid"] = json!("another's");
            }
            let (count, server) = (there.len(), Server { there, ..Server::default() });
            let (written, obstacles) = apply_blindly(&server).expect("the others are made");
            assert_eq!((written.len(), obstacles.objects.len()), (8 - count, count), "{obstacles:?}");
            assert_eq!(obstacles.holds_members, holds_members);
            assert!(server.written.borrow().iter().all(|w| !w.starts_with(&format!("{kind:?} "))));
        }
    }

    /// Seed 20 of the model: an operator whose ConfigMap was of long ago named a disk on a volume that was given up, and with the
    /// ConfigMap gone that disk was the member's again.
    #[test]
    fn volumes_are_not_told_what_an_old_record_says() {
        let mut old = Memory::default();
        old.place(3, 3);
        let mut new = old.clone();
        new.replace_disk(0);
        let there =
            |memory| objects(&parts(memory, 3)).into_iter().filter(|o| o.kind == Kind::ConfigMap).collect();
        let claim = json!({"metadata": {"name": "data-main-0", "uid": "claim"}, "spec": {}});
        let claim: PersistentVolumeClaim = serde_json::from_value(claim).expect("a claim");
        let found = Found { claims: [(0, Arc::new(claim))].into(), ..Found::default() };
        for (there, is_taken) in [(there(old.clone()), true), (there(new), false), (Vec::new(), false)] {
            let server = Server { there, ..Server::default() };
            let parts = parts(old.clone(), 3);
            let mut refusals = Refusals::default();
            let written = volumes(&server, &parts, &found, &mut refusals)
                .now_or_never()
                .expect("nothing is waited for");
            assert_eq!(written.is_ok(), is_taken, "{written:?}");
            assert_eq!(server.written.borrow().len(), usize::from(is_taken));
        }
    }

    /// `kubectl label --overwrite` took an object from all caches: it was read as wanted by hand and missed by the picture, again and again.
    #[test]
    fn labels_that_were_taken_are_given_back_and_nothing_else_is_changed() {
        let mut memory = Memory::default();
        memory.place(3, 3);
        for kind in [Kind::ConfigMap, Kind::StatefulSet, Kind::Service] {
            let mut there: Vec<Wanted> =
                objects(&parts(memory.clone(), 3)).into_iter().filter(|o| o.kind == kind).collect();
            for object in &mut there {
                object.body["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("somebody");
            }
            let told = there.clone();
            let server = Server { there, ..Server::default() };
            let error = apply_blindly(&server).expect_err("another look sees them");
            assert!(matches!(error, ApiError::Conflict { .. }), "{error}");
            let bodies = server.bodies.borrow();
            for before in told.iter().take(1) {
                let after = bodies.get(&format!("{kind:?} {}", before.name)).expect("a write");
                assert_eq!(after["metadata"]["labels"]["app.kubernetes.io/managed-by"], "streamkeeper");
                assert_eq!((&after["data"], &after["spec"]), (&before.body["data"], &before.body["spec"]));
            }
        }
    }

    /// It once took the picture for the truth: the record of members was emptied, and the StatefulSet went to no pods.
    #[test]
    fn what_the_caches_have_not_told_of_is_not_made_anew() {
        let mut memory = Memory::default();
        memory.place(3, 3);
        for kind in [Kind::ConfigMap, Kind::StatefulSet] {
            let there = objects(&parts(memory.clone(), 3)).into_iter().filter(|o| o.kind == kind).collect();
            let server = Server { there, ..Server::default() };
            let error = apply_blindly(&server).expect_err("another look is needed");
            assert!(matches!(error, ApiError::Conflict { .. }), "{error}");
            assert!(server.written.borrow().iter().all(|w| !w.starts_with(&format!("{kind:?} "))));
        }
    }
}
