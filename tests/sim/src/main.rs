//! `streamkeeper-sim`: many seeds, or one again.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use streamkeeper_base::plant::Plant;
use streamkeeper_sim::options::Options;
use streamkeeper_sim::run::{Report, run};

/// Violations that are told one by one.
const SHOWN: usize = 10;

/// Runs whole clusters on a simulated clock, network and disks; every violation comes with the command that repeats it.
#[derive(Parser)]
#[command(name = "streamkeeper-sim", version)]
struct Arguments {
    /// Runs this one seed, twice, and prints its options.
    #[arg(long)]
    seed: Option<u64>,
    /// With --seed: runs it once and tells on standard error what happens.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Seeds to run.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Ends early, in good order, after that many seconds.
    #[arg(long, default_value_t = 600)]
    budget_seconds: u64,
    /// Plants a known bug: the run succeeds if a seed finds it.
    #[arg(long, value_parser = parse_plant)]
    plant: Option<Plant>,
    /// Plants every known bug in turn: each must be found within the seeds.
    #[arg(long, conflicts_with_all = ["plant", "seed"])]
    all_plants: bool,
    /// Runs each seed twice and compares the hashes of all events.
    #[arg(long)]
    twice: bool,
}

fn parse_plant(name: &str) -> Result<Plant, String> {
    Plant::ALL.iter().find(|plant| plant.name() == name).copied().ok_or_else(|| {
        let names: Vec<&str> = Plant::ALL.iter().map(|plant| plant.name()).collect();
        format!("there is no such bug to plant; there are {}", names.join(", "))
    })
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.all_plants {
        return plant_all(&arguments);
    }
    match arguments.seed {
        Some(seed) if arguments.trace => traced(seed, arguments.plant),
        Some(seed) => one(seed, arguments.plant),
        None => many(&arguments),
    }
}

#[allow(clippy::print_stdout, reason = "a command line speaks on standard output")]
fn one(seed: u64, plant: Option<Plant>) -> ExitCode {
    println!("{}", Options::of(seed));
    let first = run(seed, plant);
    match (&first, run(seed, plant)) {
        (Ok(report), Ok(again)) if report.hash == again.hash => {
            println!("seed {seed}: {report:#?}");
            ExitCode::SUCCESS
        }
        (Err(violation), Err(again)) if *violation == again => {
            println!("seed {seed}: {violation}");
            ExitCode::FAILURE
        }
        (_, again) => {
            println!("seed {seed} is not deterministic: {first:?}, then {again:?}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "a command line speaks on standard output")]
fn traced(seed: u64, plant: Option<Plant>) -> ExitCode {
    match streamkeeper_sim::run::trace(seed, plant) {
        Ok(report) => {
            println!("seed {seed}: {report:#?}");
            ExitCode::SUCCESS
        }
        Err(violation) => {
            println!("seed {seed}: {violation}");
            ExitCode::FAILURE
        }
    }
}

/// How many seeds each planted bug takes: the suite's power of detection.
#[allow(clippy::print_stdout, reason = "a command line speaks on standard output")]
fn plant_all(arguments: &Arguments) -> ExitCode {
    let mut missed = 0;
    for plant in Plant::ALL {
        let found = (arguments.from..arguments.from + arguments.seeds).find_map(|seed| {
            let violation = run(seed, Some(*plant)).err()?;
            // The bug itself must be what is found.
            run(seed, None).is_ok().then_some((seed, violation))
        });
        match found {
            Some((seed, violation)) => {
                let after = seed - arguments.from + 1;
                println!("{}: found after {after} seeds: {}", plant.name(), kind(&violation));
            }
            None => {
                println!("{}: not found in {} seeds", plant.name(), arguments.seeds);
                missed += 1;
            }
        }
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Progress {
    next: AtomicU64,
    done: AtomicU64,
    stop: AtomicBool,
    failures: Mutex<Vec<(u64, String)>>,
    total: Mutex<Report>,
}

#[allow(clippy::print_stdout, reason = "a command line speaks on standard output")]
fn many(arguments: &Arguments) -> ExitCode {
    let started = Instant::now();
    let deadline = started + Duration::from_secs(arguments.budget_seconds);
    let progress = Progress {
        next: AtomicU64::new(arguments.from),
        done: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        failures: Mutex::new(Vec::new()),
        total: Mutex::new(Report::default()),
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| work(arguments, deadline, &progress));
        }
    });
    let mut failures = progress.failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort();
    let mut kinds: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (seed, violation) in &failures {
        kinds.entry(kind(violation)).or_insert((0, *seed)).0 += 1;
    }
    for (kind, (count, seed)) in kinds.iter().filter(|_| failures.len() > SHOWN) {
        println!("{count} times, first with seed {seed}: {kind}");
    }
    for (seed, violation) in failures.iter().take(SHOWN) {
        let plant = arguments.plant.map(|p| format!(" --plant {}", p.name())).unwrap_or_default();
        println!(
            "seed {seed}: {violation}\n  repeat it: cargo run --profile sim -p streamkeeper-sim -- --seed {seed}{plant}"
        );
    }
    let total = progress.total.into_inner().unwrap_or_else(PoisonError::into_inner);
    let done = progress.done.into_inner();
    println!(
        "{done} seeds in {:.0} s, {} violations; {total:?}",
        started.elapsed().as_secs_f64(),
        failures.len()
    );
    if done < arguments.seeds && arguments.plant.is_none() {
        println!(
            "the budget of {} s ended after {done} of {} seeds",
            arguments.budget_seconds, arguments.seeds
        );
    }
    match arguments.plant {
        Some(plant) if failures.is_empty() => {
            println!("the planted bug {} was not found", plant.name());
            ExitCode::FAILURE
        }
        Some(_) => ExitCode::SUCCESS,
        None if failures.is_empty() => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    }
}

/// A violation without its numbers, to tell one kind from another.
fn kind(violation: &str) -> String {
    const WORDS: usize = 12;
    let words = violation.lines().next().unwrap_or_default().split(' ');
    let plain = words.filter(|word| !word.contains(|c: char| c.is_ascii_digit()) || word.ends_with(':'));
    plain.take(WORDS).collect::<Vec<&str>>().join(" ")
}

fn work(arguments: &Arguments, deadline: Instant, progress: &Progress) {
    loop {
        let seed = progress.next.fetch_add(1, Ordering::Relaxed);
        let over = seed >= arguments.from + arguments.seeds || Instant::now() >= deadline;
        if over || progress.stop.load(Ordering::Relaxed) {
            return;
        }
        let mut result = run(seed, arguments.plant);
        if arguments.twice
            && let Ok(first) = &result
        {
            match run(seed, arguments.plant) {
                Ok(again) if again.hash == first.hash => {}
                again => result = Err(format!("not deterministic: {again:?}")),
            }
        }
        progress.done.fetch_add(1, Ordering::Relaxed);
        match result {
            Ok(report) => add(&mut progress.total.lock().unwrap_or_else(PoisonError::into_inner), &report),
            Err(violation) => {
                progress.failures.lock().unwrap_or_else(PoisonError::into_inner).push((seed, violation));
                if arguments.plant.is_some() {
                    progress.stop.store(true, Ordering::Relaxed);
                }
            }
        }
    }
}

fn add(total: &mut Report, report: &Report) {
    total.counts.events += report.counts.events;
    total.counts.kills += report.counts.kills;
    total.counts.power_cuts += report.counts.power_cuts;
    total.counts.cuts += report.counts.cuts;
    total.counts.full_disks += report.counts.full_disks;
    total.counts.full_ends += report.counts.full_ends;
    total.counts.read_later += report.counts.read_later;
    total.counts.simulated_us += report.counts.simulated_us;
    total.acknowledged += report.acknowledged;
    total.read += report.read;
    total.znode_answers += report.znode_answers;
    total.watches += report.watches;
    total.expired += report.expired;
    total.committed += report.committed;
    total.epochs += report.epochs;
    total.terms += report.terms;
    total.offsets += report.offsets;
}
