//! `streamkeeper up`: the operator's plan on local processes.
//!
//! Stays in the foreground, starts an agent again that dies, stops all in order on Ctrl-C; agents end by themselves when this
//! process is killed. Read first: [`run`], `state` (what is remembered), `agents` (the processes).

mod agents;
mod events;
mod state;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use streamkeeper_node::admin;
use streamkeeper_operator::plan::{Observed, ObservedTopic, Step, plan, refuse_change};

pub(crate) use agents::Agents;
use events::Events;
pub(crate) use state::{MemberState, State};

/// The plan is looked at this often while something is missing, and when nothing is.
const BUSY: Duration = Duration::from_millis(50);
const QUIET: Duration = Duration::from_secs(5);
/// Whether an agent died, or a change was left, is looked at this often.
const WATCH: Duration = Duration::from_millis(50);

/// Runs until Ctrl-C or SIGTERM.
pub(crate) fn run(files: &[PathBuf], data: &Path, any_port: bool, json: bool) -> Result<ExitCode> {
    let events = Events::new(json);
    std::fs::create_dir_all(data).with_context(|| {
        format!("{}: the data directory cannot be made; use another --data", data.display())
    })?;
    let _lock = lock(data)?;
    let before = State::load(data)?;
    let desired = match crate::desired(files, before.as_ref().map(|state| &state.desired)) {
        Ok(desired) => desired,
        Err(status) => return Ok(status),
    };
    let state = State::with(before, desired, any_port)?;
    state.save(data)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(supervise(state, data, &events));
    if let Err(error) = &result {
        events.error(&format!("{error:#}"));
    }
    result.map(|()| ExitCode::SUCCESS)
}

fn lock(data: &Path) -> Result<std::fs::File> {
    let path = data.join("up.lock");
    let file = std::fs::File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("{}: cannot be written; use another --data", path.display()))?;
    if file.try_lock().is_err() {
        bail!(
            "{}: another `streamkeeper up` runs on this data directory; stop it, or use another --data",
            data.display()
        );
    }
    Ok(file)
}

async fn supervise(mut state: State, data: &Path, events: &Events) -> Result<()> {
    let mut agents = Agents::start(&state, data)?;
    agents.write_pids(data)?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let started = Instant::now();
    let mut ready = false;
    let mut last_wait = String::new();
    let mut rebalancing = None;
    let mut plan_at = started;
    loop {
        for exited in agents.restart_dead(&state, data)? {
            events.member_exited(exited.id, &exited.status);
            events.member_started(exited.id, exited.pid);
            agents.write_pids(data)?;
        }
        if let Some(changed) = State::take_applied(data, &state)? {
            state = changed;
            for (id, pid) in agents.start_missing(&state, data)? {
                events.member_started(id, pid);
            }
            agents.write_pids(data)?;
            events.applied(&state.desired);
            ready = false;
            plan_at = Instant::now();
        }
        if Instant::now() >= plan_at {
            let now = state.clone();
            match tokio::task::spawn_blocking(move || converge(&now)).await? {
                Ok(Progress::Rebalancing(now)) => {
                    if rebalancing != Some(now) {
                        events.rebalancing(now.0, now.1, now.2);
                    }
                    rebalancing = Some(now);
                }
                Ok(Progress::Done) if rebalancing.take().is_some() => events.balanced(),
                Ok(Progress::Done) if !ready => {
                    ready = true;
                    events.ready(&state, data, &agents.pids(), started.elapsed());
                }
                Ok(Progress::Waiting(what)) if what != last_wait => {
                    events.waiting(&what);
                    last_wait = what;
                }
                Ok(_) => {}
                Err(error) if format!("{error:#}") != last_wait => {
                    last_wait = format!("{error:#}");
                    events.error(&last_wait);
                }
                Err(_) => {}
            }
            plan_at = Instant::now() + if ready && rebalancing.is_none() { QUIET } else { BUSY };
        }
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
            () = tokio::time::sleep(WATCH) => {}
        }
    }
    events.stopping();
    agents.stop().await
}

/// How near what is there is to what is wanted.
enum Progress {
    Done,
    Waiting(String),
    /// Replicas on the fullest and the emptiest member, partitions that move.
    Rebalancing((usize, usize, usize)),
}

/// Carries the next steps out.
fn converge(state: &State) -> Result<Progress> {
    let observed = observe(state);
    let mut progress = Progress::Done;
    for step in plan(&state.desired, &observed) {
        let kafka = state.members.first().map(MemberState::kafka).ok_or_else(|| anyhow!("no members"))?;
        progress = match step {
            Step::CreateTopic { name, topic } => {
                let config =
                    topic.config.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
                let copies = i16::try_from(topic.replication_factor)?;
                admin::create_topic(&kafka, &name, topic.partitions, copies, &config)?;
                Progress::Waiting(format!("topic {name} is made"))
            }
            Step::GrowTopic { name, partitions } => {
                admin::grow_topic(&kafka, &name, partitions)?;
                Progress::Waiting(format!("topic {name} grows to {partitions} partitions"))
            }
            Step::Wait(what) => Progress::Waiting(what),
            Step::Rebalancing { replicas_max, replicas_min, moving } => {
                Progress::Rebalancing((replicas_max, replicas_min, moving))
            }
        };
    }
    Ok(progress)
}

/// What the agents say: only what all of them agree on counts as there.
fn observe(state: &State) -> Observed {
    let mut observed = Observed::default();
    let mut serving = 0;
    for member in &state.members {
        let Ok(cluster) = admin::observe(&member.kafka()) else { continue };
        let serves_zookeeper = admin::four_letter_word(&member.zookeeper(), "srvr")
            .is_ok_and(|answer| answer.contains("Mode: "));
        if serves_zookeeper && cluster.brokers.len() == state.members.len() {
            serving += 1;
        }
        let ids: Vec<i32> = state.members.iter().map(|m| m.id).collect();
        observed.replicas = cluster.fullest_and_emptiest(&ids);
        observed.moving = moving(&cluster, state);
        for (name, topic) in cluster.topics {
            let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
            let unready =
                topic.partitions.iter().filter(|p| p.leader < 0 || p.isr.len() < p.replicas.len()).count();
            let unready = i32::try_from(unready).unwrap_or(i32::MAX);
            let known = observed.topics.entry(name).or_insert(ObservedTopic { partitions, unready });
            known.partitions = known.partitions.min(partitions);
            known.unready = known.unready.max(unready);
        }
    }
    observed.brokers = serving;
    observed
}

/// Partitions of wanted topics that hold more replicas than they shall: a move adds before it removes.
fn moving(cluster: &admin::Cluster, state: &State) -> usize {
    let wanted = state.desired.kafka_topics();
    let of = |(name, topic): (&String, &admin::Topic)| {
        let wanted = wanted
            .get(name.as_str())
            .map_or(usize::MAX, |t| usize::try_from(t.replication_factor).unwrap_or(0));
        topic.partitions.iter().filter(|p| p.replicas.len() > wanted).count()
    };
    cluster.topics.iter().map(of).sum()
}

/// Hands a change to the running `up`, which takes it from the data directory.
pub(crate) fn apply(files: &[PathBuf], data: &Path) -> Result<ExitCode> {
    let state = running(data)?;
    let desired = match crate::desired(files, Some(&state.desired)) {
        Ok(desired) => desired,
        Err(status) => return Ok(status),
    };
    if let Err(reason) = refuse_change(&state.desired, &desired) {
        crate::complain(&reason);
        return Ok(ExitCode::from(crate::USAGE));
    }
    state::hand_over(data, &desired)?;
    crate::read::say(&format!("applied to Ensemble {}", desired.name));
    Ok(ExitCode::SUCCESS)
}

/// Deletes a topic, and forgets that it was wanted.
pub(crate) fn delete_topic(data: &Path, name: &str) -> Result<()> {
    let state = running(data)?;
    let kafka = state.members.first().map(MemberState::kafka).ok_or_else(|| anyhow!("no members"))?;
    let mut desired = state.desired.clone();
    let wanted = desired.topics.len();
    desired.topics.retain(|resource, topic| topic.name_in_kafka(resource) != name);
    if desired.topics.len() < wanted {
        state::hand_over(data, &desired)?;
        // The running `up` must forget the topic before it is gone, or it would make it anew.
        state::wait_taken(data, Duration::from_secs(5))?;
    }
    admin::delete_topic(&kafka, name)?;
    crate::read::say(&format!("topic {name} deleted"));
    Ok(())
}

/// The state of the `up` that runs on a data directory.
pub(crate) fn running(data: &Path) -> Result<State> {
    if lock(data).is_ok() {
        bail!(
            "{}: no `streamkeeper up` runs on this data directory; start one, or name another with --data",
            data.display()
        );
    }
    State::load(data)?.ok_or_else(|| anyhow!("{}: has no ensemble", data.display()))
}

/// Where a member keeps its things.
pub(crate) fn member_dir(data: &Path, id: i32) -> PathBuf {
    data.join(format!("member-{id}"))
}
