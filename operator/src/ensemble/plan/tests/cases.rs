//! Given what is wanted and what is there: exactly these steps, with these reasons, or these waits.

use std::collections::BTreeMap;

use streamkeeper_proto::settings_digest;

use super::super::{Plan, Step, WaitFor, Why, plan};
use k8s_openapi::jiff::Timestamp;

use crate::crd::{ConditionType, EnsembleStatus, Reason, condition};
use crate::desired::Desired;
use crate::ensemble::observed::*;
use crate::ensemble::status::{Moment, status};
use crate::manifest;

fn desired(spec: &str) -> Desired {
    let text = format!(
        "apiVersion: streamkeeper.dev/v1alpha1\nkind: Ensemble\nmetadata: {{name: main}}\nspec: {spec}\n---\n\
         apiVersion: streamkeeper.dev/v1alpha1\nkind: Topic\nmetadata: {{name: t}}\n\
         spec: {{ensembleRef: {{name: main}}, partitions: 4, replicationFactor: 2, config: {{retention.ms: '5', segment.ms: null}}}}\n"
    );
    manifest::parse(&[("m.yaml".into(), text)], None).expect("a manifest")
}

/// `n` members that serve, vote (up to five), hold alike, and have topic t as wanted.
fn healthy(n: i32) -> Observed {
    let member = |id: i32| ObservedMember {
        process: Process { kept: true, runs: true, ..Process::default() },
        agent: Some(Agent {
            in_ensemble: true,
            live: true,
            synced: true,
            leader: id == 1,
            replicas: 3,
            led: 1,
            ..Agent::default()
        }),
        answers: true,
        ready: true,
        settings: Some(settings_digest(&BTreeMap::new())),
        restart: None,
    };
    let voters: Vec<i32> = (0..crate::crd::voters_by_default(n)).collect();
    let topic = ObservedTopic {
        partitions: 4,
        replication_factor: 2,
        config: [("retention.ms", "5"), ("segment.ms", "9")].map(|(k, v)| (k.into(), v.into())).into(),
        known_everywhere: true,
        ..ObservedTopic::default()
    };
    Observed {
        members: (0..n).map(|id| (id, member(id))).collect(),
        quorum: Some(Quorum { leader: 1, synced: voters.clone(), voters, margin: 1, ..Quorum::default() }),
        rebalance: Rebalance {
            balanced: true,
            auto: true,
            max_bytes_per_second: 50 << 20,
            replicas: (3, 3),
            ..Rebalance::default()
        },
        topics: [("t".to_owned(), topic)].into(),
        scale_in: Some(Removal::default()),
        ..Observed::default()
    }
}

fn steps(plan: &Plan) -> Vec<(Step, Why)> {
    plan.steps.iter().map(|planned| (planned.step.clone(), planned.why)).collect()
}

fn waits(plan: &Plan) -> Vec<String> {
    plan.waits.iter().map(ToString::to_string).collect()
}

fn agent(observed: &mut Observed, id: i32) -> &mut Agent {
    observed.members.get_mut(&id).and_then(|m| m.agent.as_mut()).expect("a member")
}

#[test]
fn converged_is_nothing_at_all() {
    assert_eq!(plan(&desired("{replicas: 3}"), &healthy(3)), Plan::default());
}

#[test]
fn members_start_together_and_are_waited_for() {
    let wanted = desired("{replicas: 3}");
    let planned = plan(&wanted, &Observed::default());
    assert_eq!(steps(&planned), [0, 1, 2].map(|id| (Step::Start(id), Why::Missing)));
    let mut observed = healthy(3);
    observed.quorum = None;
    for m in observed.members.values_mut() {
        (m.agent, m.ready) = (None, false);
    }
    assert_eq!(
        waits(&plan(&wanted, &observed)),
        ["members 0, 1, 2: 0 of 3 members serve", "the voters: nobody leads the quorum yet"]
    );
}

#[test]
fn a_new_member_joins_then_votes_when_it_has_the_history() {
    let wanted = desired("{replicas: 5}");
    let mut observed = healthy(3);
    assert_eq!(steps(&plan(&wanted, &observed)), [3, 4].map(|id| (Step::Start(id), Why::Missing)));
    let mut grown = healthy(5);
    grown.quorum = observed.quorum.take();
    agent(&mut grown, 3).synced = false;
    assert_eq!(steps(&plan(&wanted, &grown)), [(Step::Promote(4), Why::Voters)]);
    agent(&mut grown, 4).synced = false;
    assert_eq!(waits(&plan(&wanted, &grown)), ["member 3: shall vote once it has the ensemble's history"]);
    grown.quorum.as_mut().expect("a quorum").changing = true;
    assert_eq!(waits(&plan(&wanted, &grown)), ["member 1: a change of the ensemble is not committed yet"]);
}

#[test]
fn fewer_voters_are_demoted_one_by_one_the_leader_last() {
    let wanted = desired("{replicas: 5, voters: 1}");
    let mut observed = healthy(5);
    for expected in [4, 3, 2, 0] {
        assert_eq!(steps(&plan(&wanted, &observed)), [(Step::Demote(expected), Why::Voters)]);
        observed.quorum.as_mut().expect("a quorum").voters.retain(|id| *id != expected);
    }
    assert!(plan(&wanted, &observed).is_converged());
}

#[test]
fn scale_in_cordons_drains_demotes_marks_removes_and_retires() {
    let wanted = desired("{replicas: 3}");
    let mut observed = healthy(5);
    let reason = |step| (step, Why::ScaleIn);
    observed.scale_in = Some(Removal { blockers: vec![], remaining: vec![] });
    assert_eq!(steps(&plan(&wanted, &observed)), [4, 3].map(|id| reason(Step::Cordon(id))));
    agent(&mut observed, 4).cordoned = true;
    agent(&mut observed, 3).cordoned = true;
    observed.rebalance.activity = Activity::Moving;
    assert_eq!(waits(&plan(&wanted, &observed)), ["members 3, 4: 6 replicas still move away"]);
    observed.rebalance.activity = Activity::Cancelled;
    assert_eq!(steps(&plan(&wanted, &observed)), [4, 3].map(|id| reason(Step::Drain(id))));
    observed.rebalance.activity = Activity::Idle;
    agent(&mut observed, 4).replicas = 0;
    agent(&mut observed, 3).replicas = 0;
    assert_eq!(steps(&plan(&wanted, &observed)), [reason(Step::Demote(4))]);
    observed.quorum.as_mut().expect("a quorum").voters.retain(|id| *id != 4);
    assert_eq!(steps(&plan(&wanted, &observed)), [reason(Step::MarkLeaving(4))]);
    observed.members.get_mut(&4).expect("4").process.leaving = true;
    assert_eq!(steps(&plan(&wanted, &observed)), [Step::Remove(4), Step::Retire(4)].map(reason));
    observed.members.get_mut(&4).expect("4").agent = None;
    assert_eq!(steps(&plan(&wanted, &observed)), [reason(Step::Retire(4))]);
    observed.members.remove(&4);
    assert_eq!(steps(&plan(&wanted, &observed)), [reason(Step::Demote(3))]);
}

#[test]
fn scale_in_waits_for_what_the_agents_forbid_and_for_their_answer() {
    let wanted = desired("{replicas: 3}");
    let mut observed = healthy(5);
    let blocker = Blocker { lasting: true, message: "topic big has 5 copies".to_owned() };
    observed.scale_in = Some(Removal { blockers: vec![blocker], remaining: vec![] });
    let planned = plan(&wanted, &observed);
    assert_eq!(waits(&planned), ["members 3, 4: cannot leave: topic big has 5 copies"]);
    assert!(planned.waits[0].what.is_lasting());
    observed.scale_in = None;
    assert_eq!(plan(&wanted, &observed).waits[0].what, WaitFor::ScaleInAllowed(vec![]));
}

#[test]
fn a_scale_in_is_taken_back_until_the_mark() {
    let wanted = desired("{replicas: 5}");
    let mut observed = healthy(5);
    agent(&mut observed, 4).cordoned = true;
    assert_eq!(steps(&plan(&wanted, &observed)), [(Step::Uncordon(4), Why::ScaleInTakenBack)]);
    observed.members.get_mut(&4).expect("4").process.leaving = true;
    assert_eq!(
        steps(&plan(&wanted, &observed)),
        [(Step::Drain(4), Why::ScaleIn)],
        "let in once more, it was given replicas"
    );
    agent(&mut observed, 4).replicas = 0;
    observed.quorum.as_mut().expect("a quorum").voters = vec![0, 1, 2, 3, 4];
    assert_eq!(
        steps(&plan(&wanted, &observed)),
        [(Step::Demote(4), Why::ScaleIn)],
        "seed 103 of the model: promoted from an old picture, the agents refused to remove it for ever"
    );
    observed.quorum.as_mut().expect("a quorum").voters = vec![0, 1, 2];
    assert_eq!(
        steps(&plan(&wanted, &observed)),
        [Step::Remove(4), Step::Retire(4)].map(|step| (step, Why::ScaleIn)),
        "a disk that was marked is not used again"
    );
}

#[test]
fn a_member_that_nobody_runs_is_removed_from_the_ensemble() {
    let mut observed = healthy(3);
    let stray = ObservedMember { agent: Some(Agent::default()), ..ObservedMember::default() };
    observed.members.insert(7, stray);
    assert_eq!(
        steps(&plan(&desired("{replicas: 3}"), &observed)),
        [Step::Cordon(7), Step::Remove(7)].map(|step| (step, Why::ScaleIn))
    );
}

#[test]
fn a_new_configuration_restarts_one_proven_member_after_the_other_the_leader_last() {
    let wanted = desired("{replicas: 3}");
    let mut observed = healthy(3);
    for m in observed.members.values_mut() {
        m.process.outdated = true;
        m.restart = Some(Restart::default());
    }
    let reason = |step| (step, Why::ConfigChanged);
    let done = |observed: &mut Observed, id: i32| {
        let m = observed.members.get_mut(&id).expect("a member");
        (m.process.outdated, m.restart) = (false, None);
        agent(observed, id).resting = false;
    };
    for id in [0, 2] {
        assert_eq!(steps(&plan(&wanted, &observed)), [reason(Step::HandOver(id))]);
        agent(&mut observed, id).resting = true;
        assert_eq!(steps(&plan(&wanted, &observed)), [reason(Step::HandOver(id))], "it leads one still");
        agent(&mut observed, id).led = 0;
        assert_eq!(steps(&plan(&wanted, &observed)), [reason(Step::Restart(id))]);
        done(&mut observed, id);
    }
    let blocker = Blocker { lasting: false, message: "member 2 has not caught up".to_owned() };
    observed.members.get_mut(&1).expect("1").restart =
        Some(Restart { blockers: vec![blocker.clone()], unavoidable: vec![] });
    assert_eq!(
        waits(&plan(&wanted, &observed)),
        ["member 1: cannot be restarted now: member 2 has not caught up"]
    );
    // What only this member can lead is interrupted whenever it is done, and does not hold the restart up.
    observed.members.get_mut(&1).expect("1").restart =
        Some(Restart { blockers: vec![], unavoidable: vec![blocker] });
    agent(&mut observed, 1).resting = true;
    agent(&mut observed, 1).leader = false;
    assert_eq!(steps(&plan(&wanted, &observed)), [reason(Step::Restart(1))]);
    done(&mut observed, 1);
    assert!(plan(&wanted, &observed).is_converged());
}

#[test] // KIP-226
fn members_are_told_other_broker_settings_and_not_restarted() {
    let wanted =
        desired("{replicas: 3, broker: {config: {num.partitions: '4', connections.max.idle.ms: '9'}}}");
    let settings: BTreeMap<String, String> = [("num.partitions".to_owned(), "4".to_owned())].into();
    let mut observed = healthy(3);
    let tell = |member| (Step::ConfigureBroker { member, settings: settings.clone() }, Why::SettingsChanged);
    assert_eq!(
        steps(&plan(&wanted, &observed)),
        [0, 1, 2].map(tell),
        "what is read at the start is not told"
    );
    let mut member = |id: i32, change: fn(&mut ObservedMember)| {
        change(observed.members.get_mut(&id).expect("a member"));
        observed.clone()
    };
    let restarted = member(0, |m| {
        (m.process.outdated, m.restart) = (true, Some(Restart::default()));
    });
    assert_eq!(steps(&plan(&wanted, &restarted)), [1, 2].map(tell), "it has them when it is restarted");
    // An agent of before has no digest, and would not know the call.
    let old = member(1, |m| m.settings = Some(String::new()));
    assert_eq!(steps(&plan(&wanted, &old)), [tell(2)]);
    let told = settings_digest(&settings);
    let mut told_all = healthy(3);
    told_all.members.values_mut().for_each(|m| m.settings = Some(told.clone()));
    assert!(plan(&wanted, &told_all).is_converged());
    told_all.members.get_mut(&2).expect("2").settings = None;
    let planned = plan(&wanted, &told_all);
    assert_eq!(waits(&planned), ["member 2: did not say yet which broker settings it has"]);
    // A member that does not serve is waited for as ever, and told later.
    told_all.members.get_mut(&2).expect("2").ready = false;
    assert_eq!(waits(&plan(&wanted, &told_all)), ["members 2: 2 of 3 members serve"]);
}

#[test]
fn a_member_that_dies_of_its_configuration_gets_the_new_one_first() {
    let wanted = desired("{replicas: 3}");
    let mut observed = healthy(3);
    let broken = observed.members.get_mut(&2).expect("2");
    (broken.process.outdated, broken.ready) = (true, false);
    broken.answers = false;
    agent(&mut observed, 2).live = false;
    assert_eq!(steps(&plan(&wanted, &observed)), [(Step::Restart(2), Why::ConfigChanged)]);
}

#[test] // A voter without its history must not vote: Zab's election counts on what a voter has acknowledged.
fn a_voter_without_its_disk_observes_before_it_starts_again() {
    let wanted = desired("{replicas: 3}");
    let mut observed = healthy(3);
    let lost = observed.members.get_mut(&2).expect("2");
    (lost.process.runs, lost.process.lost, lost.ready, lost.answers) = (false, true, false, false);
    agent(&mut observed, 2).live = false;
    assert_eq!(steps(&plan(&wanted, &observed)), [(Step::Demote(2), Why::DiskLost)]);
    observed.quorum.as_mut().expect("a quorum").voters.retain(|id| *id != 2);
    assert_eq!(steps(&plan(&wanted, &observed)), [(Step::Start(2), Why::DiskLost)]);
    observed.quorum = None;
    let planned = plan(&wanted, &observed);
    assert_eq!((planned.steps.len(), planned.waits[0].what.clone()), (0, WaitFor::DiskBack));
}

/// Seed 350 of the model: the record was lost with the disk, and an empty one began where the quorum counts on a voter's.
#[test]
fn a_number_that_the_record_does_not_have_may_be_a_voters() {
    let wanted = desired("{replicas: 3}");
    let mut observed = healthy(3);
    observed.members.get_mut(&2).expect("2").process = Process::default();
    assert_eq!(steps(&plan(&wanted, &observed)), [(Step::Demote(2), Why::DiskLost)]);
    let quorum = observed.quorum.take();
    assert_eq!(steps(&plan(&wanted, &observed)), [], "nobody can say it");
    observed.quorum = quorum.map(|quorum| Quorum { voters: vec![0, 1], ..quorum });
    assert_eq!(steps(&plan(&wanted, &observed))[0].0, Step::Start(2));
}

#[test]
fn the_policy_is_set_and_a_rebalance_waited_for_unless_nobody_asked() {
    let mut observed = healthy(3);
    observed.rebalance.auto = false;
    let set = Step::ConfigureRebalance { auto: true, max_bytes_per_second: 50 << 20 };
    assert_eq!(steps(&plan(&desired("{replicas: 3}"), &observed)), [(set, Why::PolicyChanged)]);
    observed.rebalance.balanced = false;
    observed.rebalance.activity = Activity::Unasked;
    let manual = desired("{replicas: 3, rebalance: {mode: Manual}}");
    assert!(plan(&manual, &observed).is_converged(), "a skew that nobody shall repair");
    observed.rebalance.auto = true;
    observed.rebalance.activity = Activity::Moving;
    observed.rebalance.replicas = (9, 4);
    observed.rebalance.moving = 2;
    assert_eq!(
        waits(&plan(&desired("{replicas: 3}"), &observed)),
        ["the rebalance: 2 partitions move; members hold 4 to 9 replicas"]
    );
}

#[test]
fn topics_are_made_grown_and_altered() {
    let wanted = desired("{replicas: 3}");
    let mut observed = healthy(3);
    let why = |observed: &Observed| {
        steps(&plan(&wanted, observed)).into_iter().map(|(_, why)| why).collect::<Vec<_>>()
    };
    let topic = |observed: &mut Observed, change: fn(&mut ObservedTopic)| {
        change(observed.topics.get_mut("t").expect("t"));
    };
    topic(&mut observed, |t| t.partitions = 2);
    assert_eq!(why(&observed), [Why::TopicGrows]);
    topic(&mut observed, |t| t.partitions = 4);
    // segment.ms is others' business; anything else that nobody asked for goes.
    topic(&mut observed, |t| drop(t.config.insert("flush.ms".into(), "1".into())));
    let Step::ApplyTopic(step) = &plan(&wanted, &observed).steps[0].step else { panic!("no topic") };
    assert_eq!((step.config.len(), step.unmanaged.as_slice()), (1, ["segment.ms".to_owned()].as_slice()));
    assert_eq!(why(&observed), [Why::TopicConfig]);
    topic(&mut observed, |t| drop(t.config.remove("flush.ms")));
    topic(&mut observed, |t| t.under_replicated = 1);
    assert_eq!(waits(&plan(&wanted, &observed)), ["topic t: 3 of 4 partitions in sync"]);
    observed.topics.clear();
    assert_eq!(why(&observed), [Why::TopicMissing]);
    agent(&mut observed, 0).live = false;
    agent(&mut observed, 1).cordoned = true;
    let planned = plan(&wanted, &observed);
    assert!(
        waits(&planned).contains(&"topic t: needs 2 members for its copies, 1 serve".to_owned()),
        "{planned:?}"
    );
}

#[test] // With no answer every topic looks missing; a thousand would be made anew whenever members are slow.
fn a_topic_that_nobody_was_asked_about_is_not_missing() {
    let wanted = desired("{replicas: 3}");
    let mut observed = healthy(3);
    observed.topics.clear();
    observed.members.values_mut().for_each(|m| m.ready = false);
    let planned = plan(&wanted, &observed);
    assert!(planned.steps.is_empty() && !planned.waits.is_empty(), "{planned:?}");
}

#[test]
fn a_topic_that_cannot_become_what_is_wanted_says_so_and_is_left_alone() {
    let wanted = desired("{replicas: 3}");
    let mut observed = healthy(3);
    observed.topics.get_mut("t").expect("t").partitions = 9;
    let planned = plan(&wanted, &observed);
    let why = "topic t: has 9 partitions, 4 are wanted; partitions may grow, never shrink";
    assert_eq!((waits(&planned), planned.steps.len()), (vec![why.to_owned()], 0));
    observed.topics.get_mut("t").expect("t").replication_factor = 3;
    let why = "topic t: has 3 copies of each partition, 2 are wanted; that cannot be changed";
    assert_eq!(waits(&plan(&wanted, &observed)), [why]);
}

#[test]
fn suspension_stops_one_after_the_other_the_highest_first_and_pause_does_nothing() {
    let wanted = desired("{replicas: 3, suspended: true}");
    let mut observed = healthy(3);
    for id in [2, 1, 0] {
        let mut expected = vec![(Step::Stop(id), Why::Suspended)];
        if id == 1 {
            // It leads the quorum, and member 0 can take the lead.
            expected.insert(0, (Step::HandOver(id), Why::Suspended));
        }
        assert_eq!(steps(&plan(&wanted, &observed)), expected);
        observed.members.get_mut(&id).expect("a member").process.runs = false;
    }
    assert!(plan(&wanted, &observed).is_converged());
    assert!(plan(&desired("{replicas: 9, paused: true}"), &healthy(3)).is_converged());
}

/// The node of member 2 is gone, and its pod is told to end for ever: restarting it was all that was planned, again and again.
#[test]
fn a_member_that_ends_already_is_waited_for_and_holds_up_nothing_else() {
    let mut observed = healthy(4);
    observed.rebalance.auto = false;
    let gone = observed.members.get_mut(&2).expect("member 2");
    (gone.process.ending, gone.process.outdated, gone.answers, gone.ready) = (true, true, false, false);
    let planned = plan(&desired("{replicas: 4}"), &observed);
    assert_eq!(waits(&planned), ["members 2: 3 of 4 members serve"]);
    assert_eq!(steps(&planned).len(), 1, "the policy is brought: {planned:?}");
    let planned = plan(&desired("{replicas: 3}"), &observed);
    assert_eq!(steps(&planned), [(Step::Cordon(3), Why::ScaleIn)]);
}

#[test]
fn a_volume_that_grows_is_waited_for_and_holds_nothing_up() {
    let mut observed = healthy(3);
    let growth = |lasting| Growth { lasting, message: "its volume grows from 1Gi to 2Gi".to_owned() };
    observed.members.get_mut(&1).expect("member 1").process.growth = Some(growth(false));
    let planned = plan(&desired("{replicas: 3}"), &observed);
    assert_eq!(waits(&planned), ["member 1: its volume grows from 1Gi to 2Gi"]);
    assert!(!planned.waits[0].what.is_lasting());
    let planned = plan(&desired("{replicas: 4}"), &observed);
    assert_eq!(steps(&planned), [(Step::Start(3), Why::Missing)]);
    observed.members.get_mut(&1).expect("member 1").process.growth = Some(growth(true));
    assert!(plan(&desired("{replicas: 3}"), &observed).waits[0].what.is_lasting());
}

/// The condition Ready, after a status that said `before` of it.
fn ready(observed: &Observed, before: &str) -> (String, String, String) {
    let wanted = desired("{replicas: 3}");
    let moment = Moment { now: Timestamp::UNIX_EPOCH, next: Timestamp::UNIX_EPOCH, generation: None };
    let said = condition(ConditionType::Ready, before.parse().ok(), Reason::Converged, "", None, moment.now);
    let previous = EnsembleStatus { conditions: vec![said], ..EnsembleStatus::default() };
    let next = status(&wanted, observed, &plan(&wanted, observed), &previous, None, &moment);
    let ready = next.conditions.into_iter().find(|c| c.type_ == "Ready").expect("a condition");
    (ready.status, ready.reason, ready.message)
}

/// Producers with acks=all were refused, and the ensemble was called ready.
#[test]
fn an_ensemble_that_refuses_writes_is_not_ready() {
    let mut observed = healthy(3);
    assert_eq!(ready(&observed, "true").0, "True");
    observed.partitions = Partitions { total: 9, under_min_insync: 2, under_replicated: 2, offline: 0 };
    let (holds, reason, message) = ready(&observed, "true");
    assert_eq!((holds.as_str(), reason.as_str()), ("False", "PartitionsUnhealthy"));
    assert!(message.starts_with("2 of 9 partitions refuse writes with acks=all"), "{message}");
}

/// Each restart of a rollout called the ensemble not ready, and an alert went off.
#[test]
fn a_rollout_is_no_fault_as_long_as_one_member_is_exchanged_in_time() {
    let mut observed = healthy(3);
    let down = |observed: &mut Observed, id: i32, renewed: bool| {
        let member = observed.members.get_mut(&id).expect("a member");
        (member.ready, member.process.renewed) = (false, renewed);
    };
    down(&mut observed, 2, true);
    let (holds, reason, message) = ready(&observed, "true");
    assert_eq!((holds.as_str(), reason.as_str()), ("True", "Changing"));
    assert_eq!(message, "2 of 3 members serve, the others are started anew");
    assert_eq!(ready(&observed, "false").0, "False", "what was not ready does not become so");
    observed.members.get_mut(&2).expect("a member").process.lost = true;
    assert_eq!(ready(&observed, "true").0, "False", "a disk that is gone is a fault");
    observed.members.get_mut(&2).expect("a member").process.lost = false;
    down(&mut observed, 2, false);
    assert_eq!(ready(&observed, "true").1, "MemberDown");
    down(&mut observed, 2, true);
    observed.quorum.as_mut().expect("a quorum").margin = -1;
    assert_eq!(ready(&observed, "true").0, "False");
    observed.quorum.as_mut().expect("a quorum").margin = 1;
    down(&mut observed, 1, true);
    assert_eq!(ready(&observed, "true").0, "False", "two at once are no rollout");
    // Seed 71 of the model: more members were wanted meanwhile, and were not there yet.
    let mut fewer = healthy(2);
    down(&mut fewer, 0, true);
    fewer.quorum.as_mut().expect("a quorum").margin = 0;
    assert_eq!(ready(&fewer, "true").0, "False", "1 of 3 serve");
}
