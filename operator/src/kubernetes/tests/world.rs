//! The world of one seed: the API server's objects, the agents, chance, and what was seen to be wrong.
//!
//! Read first: [`World`], [`Options`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::time::Instant;

use super::client::Life;
use super::ensemble::Ensemble;
use super::laws::Laws;
use super::store::{Name, Store, name};
use crate::chance::Chance;
use crate::ensemble::status::timestamp;
use crate::kubernetes::names;
use crate::kubernetes::record::Record;

/// The namespace of everything but the lease.
pub(super) const NAMESPACE: &str = "n";
/// Where the operators run.
pub(super) const OPERATORS: &str = "operators";
/// The ensemble that is always wished for.
pub(super) const NAME: &str = "main";
/// Another one beside it: its name is that of a pod of the first.
pub(super) const OTHER: &str = "main-2";

thread_local! { static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) }; }

/// The system's clock: simulated, as all time here is.
pub(super) fn wall() -> SystemTime {
    let began = BEGAN.with(Cell::get);
    let since = began.map_or(Duration::ZERO, |began| Instant::now().saturating_duration_since(began));
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + since
}

/// A time as Kubernetes writes it.
pub(super) fn stamp(time: SystemTime) -> String {
    timestamp(time).to_string()
}

/// Which faults a seed has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
pub(super) struct Options {
    /// Caches tell late, each kind by itself, and skip states.
    pub(super) lags: bool,
    /// A cache stands still for many seconds.
    pub(super) freezes: bool,
    /// An operator that begins anew is told of a world of long ago.
    pub(super) old_beginnings: bool,
    /// Writes are refused for a version that is another one by now, though it is not.
    pub(super) conflicts: bool,
    /// The API server does not answer, with the write done or not.
    pub(super) unavailable: bool,
    /// The operator dies at a write, before it is done or after.
    pub(super) crashes: bool,
    /// The operator does not reach the agents for a while.
    pub(super) cut: bool,
    /// Agents die and are started anew by the kubelet; pods vanish.
    pub(super) kills: bool,
    /// Volumes vanish with their pods.
    pub(super) losses: bool,
    /// Two operators run.
    pub(super) two: bool,
    /// The two are of two installations: each has a lease of its own.
    pub(super) rivals: bool,
    /// This operator does not come back.
    pub(super) gone: Option<usize>,
}

impl Options {
    /// A subset of all faults that follows from the seed: what never happens together hides what happens alone.
    pub(super) fn of_seed(seed: u64) -> Self {
        let mut chance = Chance::of_seed(seed ^ 0x5EED);
        for _ in 0..8 {
            chance.below(2);
        }
        let mut flag = || chance.below(2) == 0;
        Self {
            lags: flag(),
            freezes: flag(),
            old_beginnings: flag(),
            conflicts: flag(),
            unavailable: flag(),
            crashes: flag(),
            cut: flag(),
            kills: flag(),
            losses: flag(),
            two: flag(),
            ..Self::none()
        }
    }

    /// No faults.
    pub(super) fn none() -> Self {
        Self::default()
    }
}

/// The agents of each ensemble, by its name.
#[derive(Debug, Default)]
pub(super) struct Ensembles(BTreeMap<String, Ensemble>);

impl Index<&str> for Ensembles {
    type Output = Ensemble;

    fn index(&self, name: &str) -> &Ensemble {
        &self.0[name]
    }
}

impl IndexMut<&str> for Ensembles {
    fn index_mut(&mut self, name: &str) -> &mut Ensemble {
        self.0.get_mut(name).expect("an ensemble of this world")
    }
}

/// Everything.
pub(super) struct World {
    /// The API server.
    pub(super) store: Store,
    /// The ensembles' names.
    pub(super) names: Vec<&'static str>,
    /// Their agents.
    pub(super) ensembles: Ensembles,
    /// What must hold.
    pub(super) laws: Laws,
    /// What happens by chance.
    pub(super) chance: Chance,
    /// Which faults happen.
    pub(super) options: Options,
    /// No faults from here on.
    pub(super) quiet: bool,
    /// Faults so far: what was checked before one need not hold after it.
    pub(super) faults: u64,
    /// Writes of operators, leases apart.
    pub(super) writes: u64,
    /// Operators do not reach agents until then.
    pub(super) cut_until: Option<Instant>,
    /// This operator's calls about the lease are not answered until then.
    pub(super) silent: Option<(usize, Instant)>,
    /// The operators' processes.
    pub(super) lives: BTreeMap<usize, Rc<Life>>,
    /// Objects of somebody else, as they were made.
    pub(super) strangers: BTreeMap<Name, Value>,
    /// Volumes that outlive their Ensemble, with their UIDs.
    pub(super) kept: BTreeMap<Name, Value>,
    /// The namespace is being deleted: its pods first.
    pub(super) namespace_goes: bool,
    /// The operator's rights in the namespace went with it.
    pub(super) rights_gone: bool,
    /// What happened lately, for people.
    pub(super) trace: Vec<String>,
    began: Instant,
}

/// The world as all that happens in it has it.
pub(super) type Shared = Rc<RefCell<World>>;

impl World {
    /// An empty cluster, for ensembles of these names.
    pub(super) fn new(seed: u64, options: Options, names: Vec<&'static str>) -> Shared {
        // Every world begins at the same time.
        BEGAN.with(|began| began.set(Some(Instant::now())));
        Rc::new(RefCell::new(Self {
            store: Store::default(),
            ensembles: Ensembles(
                names.iter().map(|name| ((*name).to_owned(), Ensemble::default())).collect(),
            ),
            names,
            laws: Laws::default(),
            chance: Chance::of_seed(seed),
            options,
            quiet: false,
            faults: 0,
            writes: 0,
            cut_until: None,
            silent: None,
            lives: BTreeMap::new(),
            strangers: BTreeMap::new(),
            kept: BTreeMap::new(),
            namespace_goes: false,
            rights_gone: false,
            trace: Vec::new(),
            began: Instant::now(),
        }))
    }

    /// A fault that is switched on happens now, in one of `n` cases.
    pub(super) fn strikes(&mut self, is_on: impl Fn(&Options) -> bool, n: u64) -> bool {
        !self.quiet && is_on(&self.options) && self.chance.one_in(n)
    }

    /// Operators do not reach agents.
    pub(super) fn is_cut(&self) -> bool {
        !self.quiet && self.cut_until.is_some_and(|until| Instant::now() < until)
    }

    /// Notes what happens.
    pub(super) fn tell(&mut self, what: impl Into<String>) {
        let at = self.began.elapsed().as_millis();
        let line = format!("{:>4}.{:03} {}", at / 1000, at % 1000, what.into());
        if super::is_loud() {
            super::print(&line);
        }
        self.trace.push(line);
    }

    /// The wanted ensemble.
    pub(super) fn resource(&self, of: &str) -> Option<&Value> {
        self.store.get(&name("Ensemble", NAMESPACE, of)).map(AsRef::as_ref)
    }

    /// The record of its members, as the API server has it.
    pub(super) fn record(&self, of: &str) -> Option<Record> {
        let map = self.store.get(&record_name(of))?;
        serde_json::from_str(map["data"]["members.yaml"].as_str()?).ok()
    }

    /// The ensemble that an object is labelled with, if it is one of this world.
    pub(super) fn instance(&self, value: &Value) -> Option<&'static str> {
        let labels = &value["metadata"]["labels"];
        let ours = labels[names::MANAGED_BY] == names::MANAGER;
        self.names.iter().copied().find(|name| ours && labels[names::INSTANCE] == **name)
    }
}

/// The name of the ConfigMap of an ensemble.
pub(super) fn record_name(of: &str) -> Name {
    name("ConfigMap", NAMESPACE, &names::agents(of))
}
