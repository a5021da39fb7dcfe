//! One seed: the cluster, its users, its faults and its operators side by side in simulated time, then quiet, then the end that must be.
//!
//! Read first: [`run`], [`Outcome`].

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::agents::ModelAgents;
use super::client::{Client, Life};
use super::shape::{shape, unfinished};
use super::store::name;
use super::user::{self, Plan, Wish};
use super::world::{NAME, NAMESPACE, Options, Shared, World, wall};
use super::{controllers, laws};
use crate::kubernetes::events::Events;
use crate::kubernetes::lease::{LEASE, campaign};
use crate::kubernetes::metrics::Metrics;
use crate::kubernetes::names;
use crate::kubernetes::read::Key;
use crate::kubernetes::reconcile::{Kept, Look, LookError, Operator, look};

/// Half a second of the cluster.
const STEP: Duration = Duration::from_millis(500);
/// A quiet cluster is what is wanted after this time, or never will be.
const END: Duration = Duration::from_secs(1200);
/// Looks without a write, after which nothing comes any more (O12).
const STILL: u64 = 25;

/// How a seed ended.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What did not hold.
    pub(super) violations: Vec<String>,
    /// What there is at the end, without what may differ.
    pub(super) shape: BTreeMap<String, String>,
    /// The topics that were made once with their ensembles, and whether they are there, with or without a resource.
    pub(super) topics: Vec<(&'static str, String, bool)>,
    /// What happened.
    pub(super) trace: Vec<String>,
    /// Looks, writes and faults.
    pub(super) counts: (u64, u64, u64),
    /// The resources as they were wished for at last.
    pub(super) wished: Vec<serde_json::Value>,
}

/// Looks that came to their end, by ensemble.
#[derive(Debug, Default)]
struct Looks(RefCell<BTreeMap<&'static str, u64>>);

impl Looks {
    fn note(&self, of: &'static str) {
        *self.0.borrow_mut().entry(of).or_default() += 1;
    }

    /// How many there were at least at each of these.
    fn least(&self, names: &[&'static str]) -> u64 {
        let looks = self.0.borrow();
        names.iter().map(|name| looks.get(name).copied().unwrap_or(0)).min().unwrap_or(0)
    }
}

/// Runs a seed with its wishes and faults, in a runtime of its own.
pub(super) fn run(seed: u64, options: &Options, plan: &Plan) -> Outcome {
    let names: BTreeSet<&'static str> = plan.iter().map(|act| act.of).collect();
    let world = || World::new(seed, options.clone(), names.into_iter().collect());
    in_simulated_time(async { Box::pin(act(world(), plan)).await })
}

async fn act(world: Shared, plan: &Plan) -> Outcome {
    let looks = Looks::default();
    tokio::select! {
        biased;
        () = users(&world, plan, &looks) => {}
        () = cluster(&world) => {}
        () = operate(&world, 0, &looks) => {}
        () = operate_second(&world, &looks) => {}
    }
    let mut world = world.borrow_mut();
    let mut violations = std::mem::take(&mut world.laws.violations);
    if violations.is_empty() {
        violations.extend(unfinished(&world));
    }
    if !violations.is_empty() {
        for of in world.names.clone() {
            let status = world.resource(of).map_or(String::new(), |r| r["status"].to_string());
            let told = format!("{of}: {:?}\n{status}", world.ensembles[of]);
            world.tell(told);
        }
    }
    let wished = ["Ensemble", "Topic"].iter().flat_map(|kind| world.store.of_kind(kind));
    let wished = wished.filter(|(_, value)| value["metadata"]["deletionTimestamp"].is_null()).map(
        |(_, value)| json!({"kind": value["kind"], "name": value["metadata"]["name"], "spec": value["spec"]}),
    );
    Outcome {
        violations,
        shape: shape(&world),
        topics: world.names.iter().flat_map(|of| topics(&world, of)).collect(),
        wished: wished.collect(),
        counts: (looks.least(&world.names), world.writes, world.faults),
        trace: std::mem::take(&mut world.trace),
    }
}

fn topics(world: &World, of: &'static str) -> Vec<(&'static str, String, bool)> {
    let ensemble = &world.ensembles[of];
    ensemble.made.iter().map(|topic| (of, topic.clone(), ensemble.topics.contains_key(topic))).collect()
}

/// The wishes one after the other, then quiet until nothing is written any more.
async fn users(world: &Shared, plan: &Plan, looks: &Looks) {
    for act in plan {
        let began = Instant::now();
        let waits = || act.wish == Wish::Delete && !user::may_be_deleted(&world.borrow(), act.of);
        while waits() && began.elapsed() < END {
            sleep(STEP).await;
            if is_over(world) {
                return;
            }
        }
        if act.wish == Wish::Delete && !user::follows_policy(&world.borrow(), act.of) {
            let what = format!("O13: the volumes of {} do not follow the policy", act.of);
            laws::violated(&mut world.borrow_mut(), what);
        }
        // What is altered may not be there.
        user::fulfil(&mut world.borrow_mut(), act.of, &act.wish);
        match act.pause {
            0 => {
                if still(world, looks, Duration::from_secs(90)).await {
                    laws::check_rest(&mut world.borrow_mut());
                }
            }
            pause => sleep(Duration::from_millis(pause)).await,
        }
        if is_over(world) {
            return;
        }
    }
    {
        let mut world = world.borrow_mut();
        world.quiet = true;
        world.tell("quiet");
    }
    if !still(world, looks, END).await && !is_over(world) {
        laws::violated(&mut world.borrow_mut(), "O12: it writes on and on, or nobody looks".to_owned());
    }
}

fn is_over(world: &Shared) -> bool {
    !world.borrow().laws.violations.is_empty()
}

/// Until nothing is written any more, or the time is over; then false.
async fn still(world: &Shared, looks: &Looks, most: Duration) -> bool {
    let (began, names) = (Instant::now(), world.borrow().names.clone());
    let looks = || looks.least(&names);
    let (mut writes, mut since) = (world.borrow().writes, looks());
    while began.elapsed() < most && looks() < since + STILL {
        sleep(STEP).await;
        let now = world.borrow().writes;
        if now != writes {
            (writes, since) = (now, looks());
        }
        if is_over(world) {
            return false;
        }
    }
    looks() >= since + STILL
}

/// The cluster's own controllers, and its faults.
async fn cluster(world: &Shared) {
    loop {
        sleep(STEP).await;
        let mut world = world.borrow_mut();
        strike(&mut world);
        controllers::step(&mut world);
        laws::tick(&mut world);
    }
}

fn strike(world: &mut World) {
    if world.strikes(|o| o.cut, 80) {
        let ms = world.chance.below(20_000);
        world.cut_until = Some(Instant::now() + Duration::from_millis(ms));
        world.tell(format!("operators do not reach agents for {ms} ms"));
    }
    if world.strikes(|o| o.two, 120) {
        let who = usize::from(world.chance.one_in(2));
        world.silent = Some((who, Instant::now() + Duration::from_secs(40)));
        world.tell(format!("the lease is out of reach of operator {who}"));
    }
    let of = *world.chance.pick(&world.names.clone());
    let running: Vec<i32> = world.ensembles[of].processes.keys().copied().collect();
    if !running.is_empty() && world.strikes(|o| o.kills, 60) {
        let id = *world.chance.pick(&running);
        world.faults += 1;
        if world.chance.one_in(2) {
            world.tell(format!("agent {id} of {of} dies"));
            world.ensembles[of].end(id);
        } else {
            world.tell(format!("pod {id} of {of} is evicted"));
            // A pod that is gone already is what is wanted.
            let _ = world.store.delete(&name("Pod", NAMESPACE, &names::pod(of, id)), None);
        }
    }
    if !running.is_empty() && world.strikes(|o| o.losses, 100) {
        let id = *world.chance.pick(&running);
        if may_be_lost(world, of, id) {
            world.faults += 1;
            world.tell(format!("the volume of {id} of {of} is lost"));
            world.kept.remove(&name("PersistentVolumeClaim", NAMESPACE, &names::claim(of, id)));
            let _ =
                world.store.delete(&name("PersistentVolumeClaim", NAMESPACE, &names::claim(of, id)), None);
            let _ = world.store.delete(&name("Pod", NAMESPACE, &names::pod(of, id)), None);
        }
    }
}

/// What is lost must be there once more: otherwise nothing could be promised.
fn may_be_lost(world: &World, of: &str, id: i32) -> bool {
    let (Some(record), ensemble) = (world.record(of), &world.ensembles[of]) else { return false };
    let all_serve = record.members.iter().all(|m| m.served && ensemble.is_ready(m.id));
    let copied = ensemble.partitions().all(|p| !p.replicas.contains(&id) || p.in_sync.len() > 1);
    all_serve && copied && ensemble.voters().len() > 2
}

/// The second operator, where there is one: of the same installation or of another.
async fn operate_second(world: &Shared, looks: &Looks) {
    let is_there = {
        let options = &world.borrow().options;
        options.two || options.rivals
    };
    match is_there {
        true => operate(world, 1, looks).await,
        false => std::future::pending().await,
    }
}

/// One operator: process after process.
async fn operate(world: &Shared, who: usize, looks: &Looks) {
    for process in 0_u64.. {
        let lease = match world.borrow().options.rivals {
            true => format!("installation-{who}"),
            false => LEASE.to_owned(),
        };
        let life = Rc::new(Life::new(who, &lease));
        let me = {
            let mut world = world.borrow_mut();
            if !world.quiet && world.options.crashes && !world.chance.one_in(4) {
                life.dies_at.set(Some((world.chance.below(15), world.chance.one_in(2))));
            }
            world.lives.insert(who, Rc::clone(&life));
            // A container that is started anew has its pod's name; another pod has another.
            let pod = if world.chance.one_in(2) { 0 } else { process };
            format!("operator-{who}-{pod}")
        };
        let election = Client { world: Rc::clone(world), life: Rc::clone(&life), of: "", election: true };
        let names = world.borrow().names.clone();
        let ensembles = names.into_iter().map(|of| look_after(world, of, &life, looks));
        tokio::select! {
            biased;
            () = life.dies.notified() => {}
            () = campaign(&election, &me, &life.leadership) => {}
            _ = join_all(ensembles) => {}
        }
        if world.borrow().options.gone == Some(who) {
            std::future::pending::<()>().await;
        }
        let ms = world.borrow_mut().chance.below(20_000);
        sleep(Duration::from_millis(ms)).await;
    }
}

/// Looks at one ensemble again and again while this operator acts, as `kubernetes/run.rs` does.
async fn look_after(world: &Shared, of: &'static str, life: &Rc<Life>, looks: &Looks) {
    let api = &Client { world: Rc::clone(world), life: Rc::clone(life), of, election: false };
    let (events, metrics) = (Events::new("operator"), Metrics::default());
    let mut kept = Kept::new(ModelAgents::new(world, life, of));
    let key = Key { namespace: NAMESPACE.to_owned(), name: of.to_owned() };
    loop {
        let Some(token) = life.leadership.token() else {
            sleep(STEP).await;
            continue;
        };
        let operator = Operator {
            api,
            events: &events,
            metrics: &metrics,
            image: "image",
            operator_namespace: None,
            token,
            leadership: &life.leadership,
            wall,
        };
        let result = look(&operator, &key, &mut kept).await;
        let pause = match &result {
            Ok(Look::Gone) => Duration::from_secs(1),
            Ok(Look::Again(pause, _)) => *pause,
            Err(error) if error.is_conflict() => Duration::from_millis(200),
            Err(_) => Duration::from_secs(1),
        };
        note(world, life, &result);
        if result.is_ok() {
            looks.note(of);
        }
        sleep(pause.min(Duration::from_secs(2))).await;
    }
}

fn note(world: &Shared, life: &Life, result: &Result<Look, LookError>) {
    if let Err(error) = result {
        world.borrow_mut().tell(format!("operator {}: {error}", life.who));
    }
}

/// A cluster without faults, for tests that do something by hand.
pub(super) struct Drive<'a> {
    /// The cluster.
    pub(super) world: &'a Shared,
    looks: &'a Looks,
}

impl Drive<'_> {
    /// The operator is there no more.
    pub(super) fn end(&self, who: usize) {
        let mut world = self.world.borrow_mut();
        world.options.gone = Some(who);
        world.lives[&who].dead.set(true);
        world.lives[&who].dies.notify_one();
    }

    /// Until nothing is written any more, or the time is over; then false.
    pub(super) async fn still(&self, most: Duration) -> bool {
        still(self.world, self.looks, most).await
    }
}

/// Runs a cluster with two installations of the operator until `act` is over.
pub(super) fn drive_rivals(act: impl AsyncFnOnce(&Drive<'_>)) {
    drive_as(Options { rivals: true, ..Options::none() }, &[NAME], act);
}

/// Runs a cluster for ensembles of these names with one operator until `act` is over.
pub(super) fn drive(names: &[&'static str], act: impl AsyncFnOnce(&Drive<'_>)) {
    drive_as(Options::none(), names, act);
}

fn drive_as(options: Options, names: &[&'static str], act: impl AsyncFnOnce(&Drive<'_>)) {
    in_simulated_time(async {
        let (world, looks) = (World::new(1, options, names.to_vec()), Looks::default());
        let drive = Drive { world: &world, looks: &looks };
        tokio::select! {
            biased;
            () = act(&drive) => {}
            () = cluster(&world) => {}
            () = operate(&world, 0, &looks) => {}
            () = operate_second(&world, &looks) => {}
        }
    });
}

/// Runs something in a runtime of its own, whose time passes only while all wait.
pub(super) fn in_simulated_time<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(what)
}

/// What comes of the resources by themselves, without any history or fault: what every history must come to (O7, O8).
pub(super) fn direct(names: &[&'static str], wished: &[serde_json::Value]) -> Outcome {
    in_simulated_time(async {
        let world = World::new(1, Options::none(), names.to_vec());
        for resource in wished {
            let (kind, of) = (controllers::text(&resource["kind"]), controllers::text(&resource["name"]));
            let object = user::resource(&kind, &of, resource["spec"].clone());
            let made = world.borrow_mut().store.create(&name(&kind, NAMESPACE, &of), object);
            made.expect("an empty world takes everything");
        }
        Box::pin(act(world, &Vec::new())).await
    })
}
