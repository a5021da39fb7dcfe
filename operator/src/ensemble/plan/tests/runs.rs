//! Whole runs: random wishes, a crash after any step, and always the same end.

use streamkeeper_proto::settings_digest;

use super::super::{Plan, plan};
use super::model::Model;
use crate::chance::Chance;
use crate::crd::{RebalanceMode, Reference, TopicSpec};
use crate::desired::Desired;
use crate::manifest;

/// Looks until nothing is left to do; more than this is a plan that goes in circles.
const LOOKS_MAX: usize = 2000;

fn wish(chance: &mut Chance, before: Option<&Desired>) -> Desired {
    let text = "apiVersion: streamkeeper.dev/v1alpha1\nkind: Ensemble\nmetadata: {name: main}\nspec: {replicas: 3}\n";
    let fresh = || manifest::parse(&[("m.yaml".into(), text.to_owned())], None).expect("a manifest");
    let mut desired = before.cloned().unwrap_or_else(fresh);
    let random = |chance: &mut Chance, bound| i32::try_from(chance.below(bound)).unwrap_or(0);
    let copies = desired.topics.values().map(|t| t.replication_factor).max().unwrap_or(1);
    desired.ensemble.replicas = copies + random(chance, u64::try_from(8 - copies).unwrap_or(1));
    let odd = 1 + 2 * random(chance, 3);
    desired.ensemble.voters = (odd <= desired.ensemble.replicas && chance.below(2) == 0).then_some(odd);
    desired.ensemble.rebalance.mode =
        if chance.below(4) == 0 { RebalanceMode::Manual } else { RebalanceMode::Auto };
    let partitions = (1 + chance.below(3)).to_string();
    desired.ensemble.broker.config.insert("num.partitions".to_owned(), partitions);
    let topic = TopicSpec {
        ensemble_ref: Reference { name: "main".to_owned() },
        topic_name: None,
        partitions: 1 + random(chance, 6),
        replication_factor: 1 + random(chance, u64::try_from(desired.ensemble.replicas.min(3)).unwrap_or(1)),
        config: [("retention.ms".to_owned(), Some(chance.below(3).to_string()))].into(),
        deletion_policy: crate::crd::DeletionPolicy::Retain,
    };
    let name = format!("t{}", chance.below(3));
    let grown = |old: &mut TopicSpec| {
        old.partitions += 1;
        old.config = topic.config.clone();
    };
    desired.topics.entry(name).and_modify(grown).or_insert_with(|| topic.clone());
    desired
}

/// One look: what is planned is carried out, up to the first step that is refused or to a crash.
fn look(model: &mut Model, desired: &Desired, chance: &mut Chance, crashes: bool) -> Plan {
    // What processes read at their start is brought to them late.
    if model.file.is_empty() || chance.below(2) == 0 {
        model.file = settings_digest(&desired.ensemble.settings());
    }
    let planned = plan(desired, &model.observe(desired));
    for step in &planned.steps {
        if (crashes && chance.below(4) == 0) || !model.apply(&step.step) {
            break;
        }
    }
    model.tick(chance);
    planned
}

fn settle(model: &mut Model, desired: &Desired, chance: &mut Chance, crashes: bool, seed: u64) {
    let mut planned = Plan::default();
    for _ in 0..LOOKS_MAX {
        planned = look(model, desired, chance, crashes);
        if planned.is_converged() {
            break;
        }
    }
    assert!(planned.is_converged(), "seed {seed}: no end: {planned:?}\n{desired:?}\n{model:?}");
    // What is converged stays so, with no write at all.
    for _ in 0..5 {
        let again = look(model, desired, chance, false);
        assert!(again.is_converged(), "seed {seed}: writes again: {again:?}\n{model:?}");
    }
    check(model, desired, seed);
}

/// The end is the same whatever happened on the way.
fn check(model: &Model, desired: &Desired, seed: u64) {
    let spec = &desired.ensemble;
    let wanted: Vec<i32> = (0..spec.replicas).collect();
    assert_eq!(model.members.keys().copied().collect::<Vec<_>>(), wanted, "seed {seed}");
    assert!(
        model.members.values().all(|m| m.runs && !m.leaving && m.revision == model.revision),
        "seed {seed}"
    );
    let told = settings_digest(&spec.settings());
    assert!(model.members.values().all(|m| m.settings == told), "seed {seed}: {model:?}");
    assert_eq!(model.voters().len(), usize::try_from(spec.voters()).unwrap_or(0), "seed {seed}");
    assert!(model.strays.is_empty(), "seed {seed}");
    for (name, topic) in &desired.topics {
        let there = &model.topics[name];
        assert_eq!(
            (there.partitions, &there.config),
            (topic.partitions, &topic.config),
            "seed {seed}: {name}"
        );
    }
    let partitions: i32 = desired.topics.values().map(|t| t.partitions).sum();
    assert_eq!(model.partitions.len(), usize::try_from(partitions).unwrap_or(0), "seed {seed}");
    assert!(
        model.partitions.iter().flatten().all(|id| wanted.contains(id)),
        "seed {seed}: a replica on a member that is gone: {model:?}"
    );
}

#[test]
fn any_wish_is_reached_through_crashes_and_changes_of_mind() {
    for seed in 1..=250 {
        let mut chance = Chance(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut model = Model::default();
        let mut desired = wish(&mut chance, None);
        settle(&mut model, &desired, &mut chance, true, seed);
        for _ in 0..6 {
            desired = wish(&mut chance, Some(&desired));
            model.revision += u32::try_from(chance.below(2)).unwrap_or(0);
            if chance.below(3) == 0 {
                // Minds change before the last wish is fulfilled: what was begun is taken back or ended.
                for _ in 0..chance.below(12) {
                    look(&mut model, &desired, &mut chance, true);
                }
                let surplus = model.members.len().try_into().unwrap_or(0);
                if chance.below(4) == 0 && model.leads() {
                    model.strays.insert(100 + surplus);
                }
                continue;
            }
            settle(&mut model, &desired, &mut chance, true, seed);
        }
        settle(&mut model, &desired, &mut chance, true, seed);
    }
}

#[test]
fn a_suspended_ensemble_stops_and_comes_back_with_all_it_had() {
    for seed in 1..=100 {
        let mut chance = Chance(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut model = Model::default();
        let mut desired = wish(&mut chance, None);
        settle(&mut model, &desired, &mut chance, true, seed);
        let before = model.partitions.clone();
        desired.ensemble.suspended = true;
        for _ in 0..LOOKS_MAX {
            if look(&mut model, &desired, &mut chance, true).is_converged() {
                break;
            }
        }
        assert!(model.members.values().all(|m| !m.runs), "seed {seed}: {model:?}");
        assert_eq!(model.partitions, before, "seed {seed}");
        desired.ensemble.suspended = false;
        settle(&mut model, &desired, &mut chance, true, seed);
    }
}
