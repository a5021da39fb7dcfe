//! The API server as one operator has it: caches that lag, writes that are refused or not answered, and an end of the operator at any
//! of them. The rules of the real client (`kubernetes/client.rs`) hold: nothing is written without the lease.
//!
//! Read first: [`Client`], [`Life`].

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::laws::{Looker, Verb, Write};
use super::store::{Name, Store, name};
use super::world::{OPERATORS, Shared};
use crate::kubernetes::api::{Api, ApiError, Identity, Object, Part, Which};
use crate::kubernetes::cache::{instance, is_of};
use crate::kubernetes::lease::{Leadership, Seat};
use crate::kubernetes::names;

/// One process of an operator, from its start to its end.
pub(super) struct Life {
    /// Which operator.
    pub(super) who: usize,
    /// Its lease.
    pub(super) leadership: Leadership,
    /// It dies.
    pub(super) dies: Notify,
    /// It died: what it still had to say is not heard.
    pub(super) dead: Cell<bool>,
    /// It dies at the so-manieth write from now; before the write is done, or after.
    pub(super) dies_at: Cell<Option<(u64, bool)>>,
    caches: RefCell<BTreeMap<String, Cache>>,
}

/// What one process knows of a kind.
#[derive(Default)]
struct Cache {
    /// How much of the kind's history it has heard.
    heard: usize,
    objects: BTreeMap<Name, Cached>,
    frozen_until: Option<Instant>,
}

/// An object, and what it was read as.
type Cached = (Arc<Value>, Option<Rc<dyn Any>>);

impl Life {
    /// A process that begins.
    pub(super) fn new(who: usize, lease: &str) -> Self {
        Self {
            who,
            leadership: Leadership::of(Seat { namespace: OPERATORS.to_owned(), lease: lease.to_owned() }),
            dies: Notify::new(),
            dead: Cell::new(false),
            dies_at: Cell::new(None),
            caches: RefCell::default(),
        }
    }

    /// True at the write at which the process shall die: before it is done, or after.
    pub(super) fn dies_now(&self) -> Option<bool> {
        let (writes, before) = self.dies_at.get()?;
        self.dies_at.set(Some((writes.saturating_sub(1), before)));
        (writes == 0).then_some(before)
    }

    /// The process ends here.
    pub(super) async fn end(&self) {
        self.dead.set(true);
        self.dies.notify_one();
        std::future::pending::<()>().await;
    }
}

/// The API server for one process.
pub(super) struct Client {
    /// The world.
    pub(super) world: Shared,
    /// The process.
    pub(super) life: Rc<Life>,
    /// The ensemble that it is asked about.
    pub(super) of: &'static str,
    /// For writes that decide who holds the lease.
    pub(super) election: bool,
}

impl Client {
    fn looker(&self) -> Looker {
        (self.life.who, self.of)
    }

    /// How long a call takes.
    async fn pass(&self) {
        let ms = self.world.borrow_mut().chance.below(20);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Leases are elsewhere.
    fn is_allowed(&self, what: &str) -> Result<(), ApiError> {
        match self.world.borrow().rights_gone && !self.election {
            true => Err(ApiError::Refused { what: what.to_owned(), message: "forbidden".to_owned() }),
            false => Ok(()),
        }
    }

    /// What the caches of the kind hear now.
    fn hear(&self, kind: &str) {
        let mut world = self.world.borrow_mut();
        let mut caches = self.life.caches.borrow_mut();
        let all = world.store.history.get(kind).map_or(0, Vec::len);
        let is_new = !caches.contains_key(kind);
        let cache = caches.entry(kind.to_owned()).or_default();
        let bound = |count: usize| u64::try_from(count).unwrap_or(u64::MAX) + 1;
        let mut until = all;
        if is_new && world.strikes(|o| o.old_beginnings, 2) {
            until = usize::try_from(world.chance.below(bound(all))).unwrap_or(0);
            cache.frozen_until = Some(Instant::now() + Duration::from_millis(world.chance.below(8000)));
            world.tell(format!("operator {} begins with {kind} of {until}/{all}", self.life.who));
        } else if world.quiet {
            cache.frozen_until = None;
        } else if cache.frozen_until.is_some_and(|until| Instant::now() < until) {
            until = cache.heard;
        } else if world.strikes(|o| o.freezes, 60) {
            cache.frozen_until = Some(Instant::now() + Duration::from_millis(world.chance.below(8000)));
            world.faults += 1;
            until = cache.heard;
        } else if world.strikes(|o| o.lags, 2) {
            let more = world.chance.below(bound(all.saturating_sub(cache.heard)));
            until = cache.heard + usize::try_from(more).unwrap_or(0);
        }
        let until = until.max(cache.heard);
        let news = world.store.history.get(kind).map_or(&[][..], |history| &history[cache.heard..until]);
        for (name, value) in news {
            match value {
                Some(value) => drop(cache.objects.insert(name.clone(), (Arc::clone(value), None))),
                None => drop(cache.objects.remove(name)),
            }
        }
        cache.heard = until;
    }

    /// A write: refused, unanswered, the last that this process does, or done.
    async fn write<T>(
        &self,
        what: Write<'_>,
        effect: impl FnOnce(&mut Store) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let told = || format!("{:?} {} {}", what.verb, what.name.0, what.name.2);
        let unavailable = |message: &str| ApiError::Unavailable { what: told(), message: message.to_owned() };
        if !self.election && self.life.leadership.token().is_none() {
            return Err(unavailable("this operator does not hold the lease"));
        }
        self.pass().await;
        self.is_allowed(&told())?;
        if self.election {
            let mut world = self.world.borrow_mut();
            let is_silent =
                world.silent.is_some_and(|(who, until)| who == self.life.who && Instant::now() < until);
            return if is_silent && !world.quiet {
                Err(unavailable("no answer"))
            } else {
                effect(&mut world.store)
            };
        }
        let end = self.life.dies_now();
        if end == Some(true) {
            self.world.borrow_mut().tell(format!("operator {} dies before: {}", self.life.who, told()));
            self.life.end().await;
        }
        let result = {
            let mut world = self.world.borrow_mut();
            if world.strikes(|o| o.conflicts, 25) {
                let message = "the fault of the test".to_owned();
                return Err(ApiError::Conflict { what: told(), message });
            }
            if world.strikes(|o| o.unavailable, 25) {
                return Err(unavailable("no answer, and nothing done"));
            }
            let before = world.store.get(what.name).cloned();
            let result = effect(&mut world.store);
            let after = world.store.get(what.name).cloned();
            let outcome = if result.is_ok() { "done" } else { "refused" };
            world.tell(format!("operator {}: {} {outcome}", self.life.who, told()));
            if what.name.0 != "Event" {
                world.writes += 1;
            }
            if result.is_ok() {
                let what = Write { before: before.as_deref(), after: after.as_deref(), ..what };
                super::laws::check_write(&mut world, self.looker(), &what);
            }
            result
        };
        if end == Some(false) {
            self.world.borrow_mut().tell(format!("operator {} dies after: {}", self.life.who, told()));
            self.life.end().await;
        }
        if self.world.borrow_mut().strikes(|o| o.unavailable, 25) {
            return Err(unavailable("no answer, though it is done"));
        }
        result
    }
}

impl Api for Client {
    async fn list<K: Object>(&self, namespace: &str, which: Which<'_>) -> Result<Vec<Arc<K>>, ApiError> {
        let kind = K::kind(&()).into_owned();
        self.hear(&kind);
        let mut caches = self.life.caches.borrow_mut();
        let mut listed = Vec::new();
        for (name, (value, parsed)) in caches.entry(kind.clone()).or_default().objects.iter_mut() {
            if name.1 != namespace || !is_watched(&kind, value) {
                continue;
            }
            if parsed.is_none() {
                *parsed = Some(Rc::new(read::<K>(value)?) as Rc<dyn Any>);
            }
            let object = parsed.as_ref().and_then(|parsed| parsed.downcast_ref::<Arc<K>>());
            listed.extend(object.cloned().filter(|object| match which {
                Which::All => true,
                Which::Of(ensemble) => instance(object.as_ref()) == Some(ensemble),
            }));
        }
        if kind == "Ensemble" {
            let asked = listed.iter().find(|object| object.meta().name.as_deref() == Some(self.of));
            let served = asked.and_then(|object| serde_json::to_value(object.as_ref()).ok());
            super::laws::look_begins(&mut self.world.borrow_mut(), self.looker(), served);
        }
        Ok(listed)
    }

    async fn list_now<K: Object>(&self, namespace: &str, which: Which<'_>) -> Result<Vec<Arc<K>>, ApiError> {
        self.pass().await;
        let all = self.world.borrow().store.of_kind(&K::kind(&()));
        let objects: Result<Vec<Arc<K>>, ApiError> =
            all.iter().filter(|(name, _)| name.1 == namespace).map(|(_, value)| read::<K>(value)).collect();
        let is_meant = |object: &Arc<K>| match which {
            Which::All => true,
            Which::Of(ensemble) => is_of(object.as_ref(), ensemble),
        };
        Ok(objects?.into_iter().filter(is_meant).collect())
    }

    async fn get<K: Object>(&self, namespace: &str, object: &str) -> Result<Option<K>, ApiError> {
        self.pass().await;
        let name = name(&K::kind(&()), namespace, object);
        self.is_allowed(&format!("get {} {}", name.0, name.2))?;
        let mut world = self.world.borrow_mut();
        if !self.election && world.strikes(|o| o.unavailable, 50) {
            let what = format!("get {} {}", name.0, name.2);
            return Err(ApiError::Unavailable { what, message: "no answer".to_owned() });
        }
        let found = world.store.get(&name).cloned();
        super::laws::fresh_read(&mut world, self.looker(), &name, found.as_deref());
        drop(world);
        found.map(|value| read::<K>(&value).map(Arc::unwrap_or_clone)).transpose()
    }

    async fn create<K: Object>(&self, namespace: &str, object: &K) -> Result<K, ApiError> {
        let value = serde_json::to_value(object).unwrap_or_default();
        let name = named::<K>(namespace, object.meta().name.as_deref());
        let what = Write::new(Verb::Create, &name, &value);
        let made = self.write(what, |store| store.create(&name, value.clone())).await?;
        Ok(Arc::unwrap_or_clone(read::<K>(&made)?))
    }

    async fn replace<K: Object>(&self, namespace: &str, object: &K) -> Result<K, ApiError> {
        let value = serde_json::to_value(object).unwrap_or_default();
        let name = named::<K>(namespace, object.meta().name.as_deref());
        let what = Write::new(Verb::Replace, &name, &value);
        let made = self.write(what, |store| store.replace(&name, value.clone())).await?;
        Ok(Arc::unwrap_or_clone(read::<K>(&made)?))
    }

    async fn apply<K: Object>(
        &self,
        namespace: &str,
        object: &str,
        body: &Value,
        part: Part,
    ) -> Result<(), ApiError> {
        let name = named::<K>(namespace, Some(object));
        let verb = if part == Part::Status { Verb::ApplyStatus } else { Verb::Apply };
        self.write(Write::new(verb, &name, body), |store| store.apply(&name, body, part)).await
    }

    async fn delete<K: Object>(
        &self,
        namespace: &str,
        object: &str,
        identity: &Identity,
    ) -> Result<(), ApiError> {
        let name = named::<K>(namespace, Some(object));
        let what = Write { identity: Some(identity), ..Write::new(Verb::Delete, &name, &Value::Null) };
        self.write(what, |store| store.delete(&name, Some(identity))).await
    }

    async fn namespace_goes(&self, namespace: &str) -> Result<bool, ApiError> {
        self.is_allowed("get Namespace")?;
        let world = self.world.borrow();
        Ok(world.namespace_goes || world.store.goes == Some(namespace))
    }
}

/// Of the kinds that are not its own an operator only watches what it labelled (`kubernetes/run.rs`).
fn is_watched(kind: &str, value: &Value) -> bool {
    matches!(kind, "Ensemble" | "Topic") || value["metadata"]["labels"][names::MANAGED_BY] == names::MANAGER
}

fn named<K: Object>(namespace: &str, object: Option<&str>) -> Name {
    name(&K::kind(&()), namespace, object.unwrap_or_default())
}

fn read<K: Object>(value: &Value) -> Result<Arc<K>, ApiError> {
    let object = serde_json::from_value(value.clone());
    object.map(Arc::new).map_err(|error| ApiError::Unavailable {
        what: format!("read {}", K::kind(&())),
        message: format!("{error}: {value}"),
    })
}
