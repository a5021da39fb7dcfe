//! A few seeds of the simulator in every test run; `.ci/run` has thousands.

use streamkeeper_base::plant::Plant;
use streamkeeper_sim::options::Options;
use streamkeeper_sim::run::{Report, run};

const SEEDS: std::ops::Range<u64> = 0..24;

#[test]
fn seeds_hold_do_something_and_repeat() {
    let reports: Vec<Report> = SEEDS
        .map(|seed| {
            let first = run(seed, None)
                .unwrap_or_else(|violation| panic!("seed {seed}: {violation}\n{}", Options::of(seed)));
            let again = run(seed, None).expect("it held once");
            assert_eq!(first.hash, again.hash, "seed {seed} is not deterministic");
            first
        })
        .collect();
    let total = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let done: [(&str, u64); 11] = [
        ("kills", total(|r| r.counts.kills)),
        ("power cuts", total(|r| r.counts.power_cuts)),
        ("cuts of the network", total(|r| r.counts.cuts)),
        ("full disks", total(|r| r.counts.full_disks)),
        ("reads when a client takes them", total(|r| r.counts.read_later)),
        ("acknowledged records", total(|r| r.acknowledged)),
        ("records read", total(|r| r.read)),
        ("answers about znodes", total(|r| r.znode_answers)),
        ("watches", total(|r| r.watches)),
        ("terms of partition leaders", total(|r| r.terms)),
        ("offsets read back", total(|r| r.offsets)),
    ];
    for (what, count) in done {
        assert!(count > 10, "{count} {what}: the simulator does not do its work");
    }
}

#[test]
fn planted_bugs_are_found() {
    for plant in [Plant::NoFlush, Plant::AckProposalEarly] {
        let found = (0..40).find_map(|seed| run(seed, Some(plant)).err());
        assert!(found.is_some(), "{}", plant.name());
    }
}
