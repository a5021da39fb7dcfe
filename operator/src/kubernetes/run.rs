//! `streamkeeper operator`: watches, the lease, and one task per ensemble that looks again and again.
//!
//! Everything runs on one thread. A look at an ensemble is asked for by any change of what belongs to it, and by time. Must not know:
//! what a look does. Read first: [`run`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use futures::FutureExt;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::watcher;
use kube::{Client, Resource};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::spawn_local;

use super::api::Object;
use super::cache::{Cache, Caches, Feed, instance};
use super::client::Server;
use super::events::Events;
use super::filling::Filling;
use super::follow::{Listener, follow};
use super::lease::{Leadership, Seat, campaign, release};
use super::metrics::{Ended, Metrics};
use super::read::{self, Found, Key};
use super::reconcile::{Kept, Look, LookError, Operator, look};
use super::{http, names, topics};
use crate::agents::Clients;
use crate::crd::{Ensemble, Topic};

/// Looks at one ensemble are at least this far apart: changes come in bursts.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// After a failure: the first pause, and the longest.
const FAILED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long the last things may take.
const FAREWELL: Duration = Duration::from_secs(15);
/// How often it is looked whether the lease is held.
const IDLE: Duration = Duration::from_millis(500);

/// What a namespace that cannot be listed needs.
const UNKNOWN: &str = "give the operator its Role there, or take the namespace out of watchNamespaces (--namespace); \
     apply the definitions if they are missing";

/// What the verb is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The namespaces that are looked after; empty for all.
    pub namespaces: Vec<String>,
    /// The agents' image where a specification has none.
    pub image: String,
    /// Where `/livez`, `/readyz` and `/metrics` are answered.
    pub http: SocketAddr,
    /// What this operator is called among others: its pod.
    pub instance: String,
    /// Where it runs, and its lease is, if in a cluster.
    pub namespace: Option<String>,
    /// The name of the lease: of two operators with the same lease one acts.
    pub lease: String,
}

/// Why the operator cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No cluster is known.
    #[error("no cluster: {0}; run it in a pod with a ServiceAccount, or name a kubeconfig in KUBECONFIG")]
    NoCluster(#[source] Box<kube::Error>),
    /// The address for HTTP cannot be used.
    #[error("--http {0}: {1}; give another address")]
    Http(SocketAddr, #[source] std::io::Error),
}

/// What asks for a look at one ensemble.
#[derive(Default)]
struct Asked {
    notify: Notify,
    /// The first change that no look has seen yet.
    since: Cell<Option<Instant>>,
}

struct Shared {
    options: Options,
    server: Server,
    leadership: Rc<Leadership>,
    metrics: Rc<Metrics>,
    events: Events,
    /// Who is looked after, with what asks for a look.
    asked: RefCell<BTreeMap<Key, Rc<Asked>>>,
    /// What was listed so far.
    filling: RefCell<Filling>,
}

/// Runs until `stop` is over. Needs a `LocalSet`.
///
/// # Errors
/// There is no cluster, or the address for HTTP cannot be used.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    let client = Client::try_default().await.map_err(|error| RunError::NoCluster(Box::new(error)))?;
    let http = TcpListener::bind(options.http).await.map_err(|error| RunError::Http(options.http, error))?;
    let mut seat = Seat { lease: options.lease.clone(), ..Seat::default() };
    seat.namespace = options.namespace.clone().unwrap_or(seat.namespace);
    let (metrics, leadership) = (Rc::new(Metrics::default()), Rc::new(Leadership::of(seat)));
    let mut caches = Caches::default();
    let kinds = Kinds::new(&mut caches);
    let caches = Rc::new(caches);
    let server = |leadership: Option<Rc<Leadership>>| {
        Server::new(client.clone(), Rc::clone(&caches), Rc::clone(&metrics), leadership)
    };
    let shared = Rc::new(Shared {
        server: server(Some(Rc::clone(&leadership))),
        leadership: Rc::clone(&leadership),
        metrics: Rc::clone(&metrics),
        events: Events::new(&options.instance),
        asked: RefCell::default(),
        filling: RefCell::default(),
        options,
    });
    spawn_local(http::serve(http, Rc::clone(&shared) as Rc<dyn http::Answers>));
    kinds.watch(&client, &shared);
    let election = server(None);
    let me = shared.options.instance.clone();
    let ends = async {
        stop.await;
        tracing::info!("stopping");
        // The lease is held meanwhile.
        if tokio::time::timeout(FAREWELL, farewell(&shared)).await.is_err() {
            tracing::warn!("some Topics of a namespace that goes may be held still");
        }
    };
    tokio::select! {
        () = ends => {}
        () = campaign(&election, &me, &leadership) => {}
    }
    release(&election, &me, &leadership).await;
    Ok(())
}

impl http::Answers for Shared {
    fn is_ready(&self) -> bool {
        self.filling.borrow().is_ready()
    }

    fn metrics(&self) -> String {
        self.metrics.leads(&self.options.lease, self.leadership.token().is_some());
        let asked = self.asked.borrow();
        self.metrics.resources(asked.len());
        self.metrics.depth(asked.values().filter(|asked| asked.since.get().is_some()).count());
        self.metrics.namespaces(self.filling.borrow().namespaces());
        self.metrics.text()
    }
}

/// The caches of everything that is watched.
struct Kinds {
    ensembles: Rc<Cache<Ensemble>>,
    topics: Rc<Cache<Topic>>,
    maps: Rc<Cache<ConfigMap>>,
    sets: Rc<Cache<StatefulSet>>,
    pods: Rc<Cache<Pod>>,
    claims: Rc<Cache<PersistentVolumeClaim>>,
    services: Rc<Cache<Service>>,
    accounts: Rc<Cache<ServiceAccount>>,
    policies: Rc<Cache<NetworkPolicy>>,
    budgets: Rc<Cache<PodDisruptionBudget>>,
}

impl Kinds {
    fn new(caches: &mut Caches) -> Self {
        Self {
            ensembles: caches.of(),
            topics: caches.of(),
            maps: caches.of(),
            sets: caches.of(),
            pods: caches.of(),
            claims: caches.of(),
            services: caches.of(),
            accounts: caches.of(),
            policies: caches.of(),
            budgets: caches.of(),
        }
    }

    fn watch(&self, client: &Client, shared: &Rc<Shared>) {
        let all = watcher::Config::default();
        let ours = all.clone().labels(&format!("{}={}", names::MANAGED_BY, names::MANAGER));
        let named = |ensemble: &Ensemble| ensemble.metadata.name.clone();
        watch(client, shared, &self.ensembles, &all, named);
        watch(client, shared, &self.topics, &all, |topic: &Topic| Some(topic.spec.ensemble_ref.name.clone()));
        watch(client, shared, &self.maps, &ours, of_ensemble);
        watch(client, shared, &self.sets, &ours, of_ensemble);
        watch(client, shared, &self.pods, &ours, of_ensemble);
        watch(client, shared, &self.claims, &ours, of_ensemble);
        watch(client, shared, &self.services, &ours, of_ensemble);
        watch(client, shared, &self.accounts, &ours, of_ensemble);
        watch(client, shared, &self.policies, &ours, of_ensemble);
        watch(client, shared, &self.budgets, &ours, of_ensemble);
    }
}

fn of_ensemble<K: Object>(object: &K) -> Option<String> {
    instance(object).map(str::to_owned)
}

/// Watches a kind in every namespace that is looked after.
fn watch<K: Object>(
    client: &Client,
    shared: &Rc<Shared>,
    cache: &Rc<Cache<K>>,
    config: &watcher::Config,
    ensemble: fn(&K) -> Option<String>,
) {
    let namespaces: Vec<Option<String>> = match shared.options.namespaces.as_slice() {
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    };
    for namespace in namespaces {
        let api: kube::Api<K> = match &namespace {
            Some(namespace) => kube::Api::namespaced(client.clone(), namespace),
            None => kube::Api::all(client.clone()),
        };
        shared.filling.borrow_mut().begins(&namespace);
        let feed = Feed::new(Rc::clone(cache), namespace.clone());
        let watch = Watch { shared: Rc::clone(shared), namespace, ensemble };
        spawn_local(follow(api, config.clone(), feed, watch));
    }
}

/// What becomes of one watch.
struct Watch<K> {
    shared: Rc<Shared>,
    namespace: Option<String>,
    ensemble: fn(&K) -> Option<String>,
}

impl<K: Object> Listener<K> for Watch<K> {
    fn filled(&self) {
        self.shared.filling.borrow_mut().filled(&self.namespace);
    }

    fn refused(&self) {
        if self.shared.filling.borrow_mut().failed(&self.namespace) {
            let namespace = self.namespace.as_deref().unwrap_or("all");
            tracing::error!(namespace, "nothing is looked after here: {UNKNOWN}");
        }
    }

    fn touched(&self, object: &K) {
        let namespace = Resource::meta(object).namespace.clone().unwrap_or_default();
        if let Some(name) = (self.ensemble)(object) {
            self.shared.ask(Key { namespace, name });
        }
    }
}

impl Shared {
    fn knows(&self, key: &Key) -> bool {
        self.filling.borrow().is_known(&key.namespace)
    }

    /// Asks for a look; the first time, somebody begins to look.
    fn ask(self: &Rc<Self>, key: Key) {
        self.metrics.queued();
        let known = self.asked.borrow().get(&key).map(Rc::clone);
        if let Some(known) = known {
            known.since.set(known.since.get().or_else(|| Some(Instant::now())));
            known.notify.notify_one();
            return;
        }
        let asked = Rc::new(Asked::default());
        asked.since.set(Some(Instant::now()));
        self.asked.borrow_mut().insert(key.clone(), Rc::clone(&asked));
        spawn_local(look_after(Rc::clone(self), key, asked));
    }
}

/// Looks again and again while this operator acts, until there is nothing to look at.
async fn look_after(shared: Rc<Shared>, key: Key, asked: Rc<Asked>) {
    let mut kept = Kept::new(Clients::new(&BTreeMap::new(), 0));
    let mut failures: u32 = 0;
    loop {
        let Some(token) = shared.leadership.token().filter(|_| shared.knows(&key)) else {
            tokio::time::sleep(IDLE).await;
            continue;
        };
        if let Some(since) = asked.since.take() {
            shared.metrics.waited(since.elapsed());
        }
        let result = Box::pin(one_look(&shared, &key, token, &mut kept)).await;
        let pause = match result {
            // What came during the look is looked at as well: after that, a change finds nobody here and begins anew.
            Ok(Look::Gone) if !was_asked(&asked.notify) => {
                shared.asked.borrow_mut().remove(&key);
                return;
            }
            Ok(Look::Gone) => Duration::ZERO,
            Ok(Look::Again(pause, _)) => {
                failures = 0;
                pause
            }
            Err(error) if error.is_conflict() => {
                shared.metrics.retried();
                PAUSE_MIN
            }
            Err(error) => {
                shared.metrics.retried();
                tracing::warn!(ensemble = %key, "{error}");
                failures += 1;
                FAILED.0.saturating_mul(1 << failures.min(6).saturating_sub(1)).min(FAILED.1)
            }
        };
        tokio::time::sleep(PAUSE_MIN).await;
        tokio::select! {
            () = asked.notify.notified() => {}
            () = tokio::time::sleep(pause.saturating_sub(PAUSE_MIN)) => {}
        }
    }
}

/// Whether a look was asked for since the last one began.
fn was_asked(notify: &Notify) -> bool {
    notify.notified().now_or_never().is_some()
}

/// The operator's own pod ends as others do when its namespace goes, and nobody is there afterwards to let go of what goes with it.
async fn farewell(shared: &Shared) {
    let Some(token) = shared.leadership.token() else { return };
    let keys: Vec<Key> = shared.asked.borrow().keys().cloned().collect();
    let operator = operator(shared, token);
    for key in keys {
        let left = async {
            let found = Found { topics: read::topics(&shared.server, &key).await?, ..Found::default() };
            topics::leave::<_, Clients>(&operator, &key, &found).await
        };
        match left.await {
            Ok(true) => tracing::info!(ensemble = %key, "the namespace goes, and its Topics are let go"),
            Ok(false) => {}
            Err(error) => tracing::warn!(ensemble = %key, %error, "Topics may be held still"),
        }
    }
}

fn operator(shared: &Shared, token: i64) -> Operator<'_, Server> {
    Operator {
        api: &shared.server,
        events: &shared.events,
        metrics: &shared.metrics,
        image: &shared.options.image,
        operator_namespace: shared.options.namespace.as_deref(),
        token,
        leadership: &shared.leadership,
        wall: SystemTime::now,
    }
}

async fn one_look(
    shared: &Shared,
    key: &Key,
    token: i64,
    kept: &mut Kept<Clients>,
) -> Result<Look, LookError> {
    let operator = operator(shared, token);
    shared.metrics.begins();
    let began = Instant::now();
    let result = Box::pin(look(&operator, key, kept)).await;
    let ended = match &result {
        Ok(Look::Again(_, true)) => Ended::RequeueAfter,
        Ok(Look::Again(_, false) | Look::Gone) => Ended::Success,
        Err(_) => Ended::Error,
    };
    shared.metrics.ends(ended, began.elapsed());
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An Ensemble that was made while the last look found none waited for its next change.
    #[test]
    fn what_came_during_the_last_look_is_not_lost() {
        let notify = Notify::new();
        assert!(!was_asked(&notify));
        notify.notify_one();
        assert!(was_asked(&notify), "it is looked at");
        assert!(!was_asked(&notify), "once");
    }
}
