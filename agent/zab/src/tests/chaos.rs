//! Seeded chaos: crashes, power cuts, cut links, slow disks; safety is checked at each delivery, convergence after the heal.

use std::time::Duration;

use streamkeeper_base::MemberId;

use super::harness::{Net, m};

const SEEDS: u64 = 400;

#[test]
fn no_seed_loses_or_diverges() {
    let first = std::env::var("ZAB_SEED").ok().and_then(|s| s.parse().ok());
    let (from, to) = first.map_or((0, SEEDS), |seed: u64| (seed, seed + 1));
    for seed in from..to {
        let result = std::panic::catch_unwind(|| run(seed));
        assert!(result.is_ok(), "seed {seed} failed; repeat it alone with ZAB_SEED={seed}");
    }
}

fn run(seed: u64) {
    let voters = if seed.is_multiple_of(3) { 5 } else { 3 };
    let mut net = Net::new(voters, 0, seed);
    let power_cuts = seed.is_multiple_of(2);
    for _ in 0..600 {
        chaos_step(&mut net, voters, power_cuts);
    }
    net.cut.clear();
    let down: Vec<MemberId> = net.nodes.iter().filter(|(_, n)| n.peer.is_none()).map(|(id, _)| *id).collect();
    down.into_iter().for_each(|id| net.start(id));
    net.run(Duration::from_secs(4));
    let leader = net.leader().expect("a healed ensemble has a leader");
    net.propose(leader).expect("it leads");
    net.run(Duration::from_millis(500));
    net.assert_converged();
}

fn chaos_step(net: &mut Net, voters: i32, power_cuts: bool) {
    let any = m(net.random.below(voters as u64) as i32);
    let other = m(net.random.below(voters as u64) as i32);
    match net.random.below(100) {
        0..=1 => {
            if net.nodes[&any].peer.is_some() {
                let power = power_cuts && net.random.percent(50);
                net.crash(any, power);
            }
        }
        2..=5 => {
            if net.nodes[&any].peer.is_none() {
                net.start(any);
            }
        }
        6..=7 if any != other => net.set_cut(any, other, true),
        8..=11 if any != other => net.set_cut(any, other, false),
        12..=14 => net.snapshot(any),
        15..=39 => {
            if let Some(leader) = net.leader() {
                // A deposed leader may refuse; that is its right.
                let _ = net.propose(leader);
            }
        }
        40..=59 => net.flush(any),
        60..=63 => net.run(Duration::from_millis(20)),
        64 => {
            if let Some(leader) = net.leader() {
                net.feed(leader, crate::Event::GiveLead);
            }
        }
        _ => {
            net.now = net.now + Duration::from_micros(net.random.below(3000));
            for (from, to) in net.links.keys().copied().collect::<Vec<_>>() {
                if net.random.percent(60) {
                    net.deliver_one(from, to);
                }
            }
            net.feed(any, crate::Event::Tick);
        }
    }
}
