//! What must hold at every write of an operator: the invariants of the design, each a small function under its number. What they hold a
//! write against is the truth of the world, not what the operator believes.
//!
//! Read first: [`check_write`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio::time::Instant;

use super::controllers::text;
use super::ensemble::{Ensemble, min_in_sync};
use super::store::{Name, name};
use super::world::{NAMESPACE, World, record_name};
use crate::crd;
use crate::kubernetes::api::Identity;
use crate::kubernetes::names;
use crate::kubernetes::record::Record;
use crate::kubernetes::validate::validate;

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// It is made.
    Create,
    /// It is replaced.
    Replace,
    /// It is applied.
    Apply,
    /// Its status is applied.
    ApplyStatus,
    /// It is deleted.
    Delete,
}

/// Which operator looks, and at which ensemble.
pub(super) type Looker = (usize, &'static str);

/// A write with what was there before it and after it.
#[derive(Clone, Copy)]
pub(super) struct Write<'a> {
    /// What is done.
    pub(super) verb: Verb,
    /// To what.
    pub(super) name: &'a Name,
    /// What was sent.
    pub(super) body: &'a Value,
    /// What a deletion was pinned to.
    pub(super) identity: Option<&'a Identity>,
    /// The object before.
    pub(super) before: Option<&'a Value>,
    /// The object after.
    pub(super) after: Option<&'a Value>,
}

impl<'a> Write<'a> {
    /// A write that was not done yet.
    pub(super) fn new(verb: Verb, name: &'a Name, body: &'a Value) -> Self {
        Self { verb, name, body, identity: None, before: None, after: None }
    }
}

/// What an operator has seen in the look that it is in.
#[derive(Clone, Debug, Default)]
struct Sight {
    /// The ensemble that is looked at.
    of: &'static str,
    /// The Ensemble that its cache gave it.
    ensemble: Option<Value>,
    /// Nothing but the status may be written: the specification is refused, or reconciling is paused.
    hands_off: bool,
    /// Quorum reads: UIDs.
    fresh: BTreeMap<Name, String>,
    /// A quorum read said that volumes go with their Ensemble.
    volumes_go: bool,
    /// Members that the agents allowed to be restarted, with the number of faults until then.
    proved: BTreeMap<i32, u64>,
    /// The number of faults when it began, and of agents that had ended.
    began: (u64, u64),
}

/// What is remembered to judge by.
#[derive(Debug, Default)]
pub(super) struct Laws {
    sights: BTreeMap<Looker, Sight>,
    /// By ensemble: disks that were given up, number and place.
    given_up: BTreeMap<&'static str, BTreeSet<(i32, u32)>>,
    /// By ensemble: members that an operator took down and that do not serve again yet.
    disrupted: BTreeMap<&'static str, BTreeSet<i32>>,
    /// Topics that went without a word, and when.
    went: Vec<Instant>,
    /// What did not hold.
    pub(super) violations: Vec<String>,
}

impl Laws {
    /// All disks of an ensemble are gone: numbers are given from the start.
    pub(super) fn begin_anew(&mut self, of: &str) {
        self.given_up.remove(of);
    }

    fn is_disrupted(&self, of: &str, id: i32) -> bool {
        self.disrupted.get(of).is_some_and(|ids| ids.contains(&id))
    }
}

/// A look begins: with this Ensemble.
pub(super) fn look_begins(world: &mut World, who: Looker, ensemble: Option<Value>) {
    let hands_off = ensemble.as_ref().is_some_and(|value| {
        serde_json::from_value::<crd::Ensemble>(value.clone()).is_ok_and(|ensemble| {
            ensemble.spec.paused || !validate(&ensemble, [].into_iter(), 0).findings.is_empty()
        })
    });
    let sight = Sight {
        of: who.1,
        ensemble,
        hands_off,
        began: (world.faults, world.ensembles[who.1].ends),
        ..Sight::default()
    };
    world.laws.sights.insert(who, sight);
}

/// An object was read by a quorum read.
pub(super) fn fresh_read(world: &mut World, who: Looker, name: &Name, found: Option<&Value>) {
    let uid = found.map(|value| text(&value["metadata"]["uid"])).unwrap_or_default();
    let sight = world.laws.sights.entry(who).or_default();
    sight.fresh.insert(name.clone(), uid);
    if name.0 == "Ensemble" {
        sight.volumes_go = found.is_some_and(|value| value["spec"]["deletionPolicy"] == "Delete");
    }
}

/// The agents allow that the member is restarted.
pub(super) fn proved(world: &mut World, who: Looker, member: i32) {
    let faults = world.faults;
    world.laws.sights.entry(who).or_default().proved.insert(member, faults);
}

/// Time passes: who serves again is not disrupted any more.
pub(super) fn tick(world: &mut World) {
    for of in world.names.clone() {
        let ensemble = &mut world.ensembles[of];
        let broken = std::mem::take(&mut ensemble.broken);
        if let Some(disrupted) = world.laws.disrupted.get_mut(of) {
            disrupted.retain(|id| ensemble.members.contains_key(id) && !ensemble.is_ready(*id));
        }
        world.laws.violations.extend(broken);
    }
}

/// Something that must not be.
pub(super) fn violated(world: &mut World, what: String) {
    world.tell(format!("VIOLATED {what}"));
    world.laws.violations.push(what);
}

/// Holds a write that was done against everything.
pub(super) fn check_write(world: &mut World, who: Looker, write: &Write<'_>) {
    if matches!(write.name.0.as_str(), "Event" | "Lease") {
        return;
    }
    let mut sight = world.laws.sights.get(&who).cloned().unwrap_or_default();
    sight.of = who.1;
    let laws: [Law; 12] = [
        o1_deletes_what_it_just_read,
        o1_gives_volumes_away_by_the_policy_of_now,
        o2_takes_down_what_was_proved_safe,
        o3_one_disruption_at_a_time,
        o4_removes_only_the_empty,
        o5_gives_up_disks_for_good,
        o6_one_acts,
        o11_keeps_hands_off,
        o13_owns_what_it_makes,
        o14_says_what_is_true,
        o18_touches_its_own,
        o18_starts_nobody_on_a_volume_of_somebody_else,
    ];
    for (number, law) in
        ["O1", "O1", "O2", "O3", "O4", "O5", "O6", "O11", "O13", "O14", "O18", "O18"].iter().zip(laws)
    {
        if let Some(why) = law(world, &sight, write) {
            let what = format!("{number}: {:?} {} {}: {why}", write.verb, write.name.0, write.name.2);
            violated(world, what);
        }
    }
    let stopped = stopped(world, &sight, write);
    world.laws.disrupted.entry(who.1).or_default().extend(stopped);
    note_given_up(world, &sight, write);
}

type Law = fn(&World, &Sight, &Write<'_>) -> Option<String>;

/// O1: no pod, claim or secret is deleted without a quorum read whose UID it names.
fn o1_deletes_what_it_just_read(_: &World, sight: &Sight, write: &Write<'_>) -> Option<String> {
    let precious = matches!(write.name.0.as_str(), "Pod" | "PersistentVolumeClaim" | "Secret");
    if write.verb != Verb::Delete || !precious {
        return None;
    }
    let uid = &write.identity?.uid;
    let read = sight.fresh.get(write.name);
    (uid.is_empty() || read != Some(uid)).then(|| format!("{uid} was not read now, {read:?} was"))
}

/// O1: a volume that is given to its Ensemble is deleted with it, and so only by a quorum read of the policy.
fn o1_gives_volumes_away_by_the_policy_of_now(_: &World, sight: &Sight, write: &Write<'_>) -> Option<String> {
    let owned = |value: Option<&Value>| {
        let owners = value.and_then(|value| value["metadata"]["ownerReferences"].as_array());
        owners.is_some_and(|owners| !owners.is_empty())
    };
    let is_given = write.name.0 == "PersistentVolumeClaim" && !owned(write.before) && owned(write.after);
    (is_given && !sight.volumes_go).then(|| "nobody said now that volumes go with their ensemble".to_owned())
}

/// O2: nobody is taken down who is needed for a quorum or for min.insync.replicas, by a check of now.
fn o2_takes_down_what_was_proved_safe(world: &World, sight: &Sight, write: &Write<'_>) -> Option<String> {
    if write.verb != Verb::Delete {
        return None;
    }
    let id = *stopped(world, sight, write).first()?;
    if !world.ensembles[sight.of].members.contains_key(&id) || is_given_up(world, sight.of, id) {
        return None;
    }
    let Some(faults) = sight.proved.get(&id) else {
        return Some(format!("nobody allowed that member {id} goes down"));
    };
    (*faults == world.faults).then(|| needed(&world.ensembles[sight.of], id))?
}

/// O3: one member at a time.
fn o3_one_disruption_at_a_time(world: &World, sight: &Sight, write: &Write<'_>) -> Option<String> {
    if write.verb != Verb::Delete {
        return None;
    }
    let id = *stopped(world, sight, write).first()?;
    let disrupted = world.laws.disrupted.get(sight.of).into_iter().flatten();
    let others: Vec<&i32> = disrupted.filter(|other| **other != id).collect();
    (!others.is_empty()).then(|| format!("member {id} goes down while {others:?} are not back"))
}

/// O4, O5: whoever loses its pod for good holds nothing, does not vote and has left the ensemble.
fn o4_removes_only_the_empty(world: &World, sight: &Sight, write: &Write<'_>) -> Option<String> {
    if write.name.0 != "StatefulSet" || flag(sight.ensemble.as_ref(), "suspended") {
        return None;
    }
    let replicas = |value: Option<&Value>| value.and_then(|value| value["spec"]["replicas"].as_i64());
    let (before, after) = (replicas(write.before)?, replicas(write.after).unwrap_or(0));
    let dropped = (after..before).filter_map(|id| i32::try_from(id).ok());
    let needed = |id: &i32| {
        let member = world.ensembles[sight.of].members.get(id);
        let stray = member.is_some_and(|m| world.ensembles[sight.of].removed.contains(&m.incarnation));
        (member.is_some() && !stray).then(|| {
            let held = world.ensembles[sight.of].held(*id);
            format!("member {id} is in the ensemble, with {held} replicas")
        })
    };
    dropped.into_iter().find_map(|id| needed(&id))
}

/// O5: a disk that was given up is never a member's again.
fn o5_gives_up_disks_for_good(world: &World, sight: &Sight, write: &Write<'_>) -> Option<String> {
    let of = sight.of;
    let (before, after) = (record_of(of, write, write.before), record_of(of, write, write.after)?);
    let known = disks(before.as_ref());
    let back = disks(Some(&after)).into_iter().find(|disk| {
        let given_up = world.laws.given_up.get(of).is_some_and(|disks| disks.contains(disk));
        !known.contains(disk) && given_up && has_its_disk(world, of, disk.0, disk.1)
    });
    if let Some((id, place)) = back {
        return Some(format!("disk {place} of member {id} was given up"));
    }
    let before = before?;
    let replaced = before.members.iter().filter(|m| after.member(m.id).is_some_and(|a| a.place != m.place));
    if let Some(member) = replaced.into_iter().find(|m| m.served && has_its_disk(world, of, m.id, m.place)) {
        return Some(format!("member {} has its disk, and is given another", member.id));
    }
    let forgotten = before.members.iter().filter(|m| after.member(m.id).is_none());
    let still = |id: i32| {
        let member = world.ensembles[of].members.get(&id)?;
        (!world.ensembles[of].removed.contains(&member.incarnation))
            .then(|| format!("member {id} is in the ensemble"))
    };
    forgotten.into_iter().find_map(|m| still(m.id))
}

/// O6: whoever writes holds the lease, and nobody else does.
fn o6_one_acts(world: &World, _: &Sight, _: &Write<'_>) -> Option<String> {
    let holders = world.lives.values().filter(|life| !life.dead.get() && life.leadership.token().is_some());
    let mut leases = BTreeSet::new();
    let twice =
        holders.map(|life| life.leadership.seat().to_string()).find(|seat| !leases.insert(seat.clone()));
    twice.map(|seat| format!("two operators hold the lease {seat}"))
}

/// O11: a specification that is refused, or paused, changes nothing but the status.
fn o11_keeps_hands_off(_: &World, sight: &Sight, write: &Write<'_>) -> Option<String> {
    // Letting go of a Topic that goes changes nothing but the resource.
    let lets_go = write.name.0 == "Topic"
        && write.before.is_some_and(|topic| !topic["metadata"]["deletionTimestamp"].is_null());
    let allowed = write.verb == Verb::ApplyStatus || lets_go;
    (sight.hands_off && !allowed).then(|| "the specification forbids it".to_owned())
}

/// O13: whatever is made belongs to the Ensemble that it is made for, by its UID.
fn o13_owns_what_it_makes(_: &World, sight: &Sight, write: &Write<'_>) -> Option<String> {
    if write.verb != Verb::Apply || !is_owned_kind(&write.name.0) {
        return None;
    }
    let uid = text(&sight.ensemble.as_ref()?["metadata"]["uid"]);
    (!has_owner(write.after?, &uid)).then(|| format!("it does not belong to {uid}"))
}

/// O14: a status is of a generation that there is, all of it, and says Ready of the newest one only if its members serve.
fn o14_says_what_is_true(world: &World, sight: &Sight, write: &Write<'_>) -> Option<String> {
    if write.verb != Verb::ApplyStatus {
        return None;
    }
    let (status, after) = (&write.body["status"], write.after?);
    let seen = status["observedGeneration"].as_i64().unwrap_or(0);
    let newest = after["metadata"]["generation"].as_i64().unwrap_or(0);
    if seen > newest {
        return Some(format!("generation {seen} of {newest}"));
    }
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    if write.name.0 != "Ensemble" {
        return None;
    }
    if conditions.iter().any(|c| c["observedGeneration"].as_i64() != Some(seen)) {
        return Some("its conditions are of several generations".to_owned());
    }
    let ready = conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
    let wanted = after["spec"]["replicas"].as_i64().unwrap_or(0);
    // What it took down itself in this look served when it was observed.
    let served =
        |id: &&i32| world.ensembles[sight.of].is_ready(**id) || world.laws.is_disrupted(sight.of, **id);
    let serving = world.ensembles[sight.of].members.keys().filter(served).count();
    // A rollout is no fault: one member may be exchanged.
    let rollout = conditions.iter().any(|c| c["type"] == "Ready" && c["reason"] == "Changing");
    let exchanged = world.ensembles[sight.of].members.keys().filter(|id| !served(id)).count();
    let serving = serving + usize::from(rollout && exchanged == 1);
    let lies = ready && seen == newest && sight.began == (world.faults, world.ensembles[sight.of].ends);
    (lies && i64::try_from(serving).unwrap_or(0) < wanted)
        .then(|| format!("Ready, and {serving} of {wanted} members serve"))
}

/// O18: nothing in another namespace, and nothing of somebody else.
fn o18_touches_its_own(world: &World, sight: &Sight, write: &Write<'_>) -> Option<String> {
    if write.name.1 != NAMESPACE {
        return Some(format!("namespace {}", write.name.1));
    }
    if world.strangers.contains_key(write.name) {
        return Some("it is somebody else's".to_owned());
    }
    let before = write.before?;
    let uid = sight.ensemble.as_ref().map(|ensemble| text(&ensemble["metadata"]["uid"]))?;
    let ours = match write.name.0.as_str() {
        "Ensemble" => write.name.2 == sight.of,
        "Topic" => before["spec"]["ensembleRef"]["name"] == sight.of,
        "Pod" | "PersistentVolumeClaim" => before["metadata"]["labels"][names::INSTANCE] == sight.of,
        _ => has_owner(before, &uid),
    };
    (!ours).then(|| "it is not the ensemble's".to_owned())
}

/// O18: the StatefulSet takes whatever has the name of a member's volume, so nobody is started before the name was seen to be free.
fn o18_starts_nobody_on_a_volume_of_somebody_else(
    world: &World,
    sight: &Sight,
    write: &Write<'_>,
) -> Option<String> {
    if write.name.0 != "StatefulSet" {
        return None;
    }
    let replicas = |value: Option<&Value>| value.and_then(|value| value["spec"]["replicas"].as_i64());
    let (before, after) = (replicas(write.before).unwrap_or(0), replicas(write.after)?);
    let started = (before..after).filter_map(|id| i32::try_from(id).ok());
    let mut claims = started.map(|id| name("PersistentVolumeClaim", NAMESPACE, &names::claim(sight.of, id)));
    let taken = claims.find(|claim| match sight.fresh.get(claim) {
        None => true,
        Some(uid) => world.strangers.get(claim).is_some_and(|stranger| stranger["metadata"]["uid"] == **uid),
    });
    taken.map(|claim| format!("{} was not seen to be free", claim.2))
}

/// What is said once nothing is done any more: whatever of somebody else is in the way (O18, and that it blocks nothing in silence).
pub(super) fn check_rest(world: &mut World) {
    for of in world.names.clone() {
        let unsaid = world.resource(of).and_then(|resource| unsaid(world, of, resource));
        if let Some(what) = unsaid {
            violated(world, format!("O18: {what} is in the way of {of}, and no condition says so"));
        }
    }
}

fn unsaid(world: &World, of: &str, resource: &Value) -> Option<String> {
    let spec = &resource["spec"];
    let conditions = resource["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let stalled = conditions.iter().find(|c| c["type"] == "Stalled")?;
    if spec["paused"] == true || spec["suspended"] == true || stalled["reason"] == "InvalidSpec" {
        return None;
    }
    let said = text(&stalled["message"]);
    let shared = |kind: &str, name: &str| match kind {
        "ConfigMap" | "ServiceAccount" => name == names::agents(of),
        "Service" => [names::agents(of), names::zookeeper(of), names::kafka(of)].iter().any(|n| n == name),
        "NetworkPolicy" | "PodDisruptionBudget" | "StatefulSet" => name == of,
        _ => false,
    };
    let replicas = spec["replicas"].as_i64().unwrap_or(0);
    let of_member = |name: &Name| {
        let id = match name.0.as_str() {
            "Pod" => names::member_of_pod(of, &name.2),
            "PersistentVolumeClaim" => names::member_of_claim(of, &name.2),
            _ => None,
        };
        // A pod that Kubernetes gave the volume to before anybody could look has it.
        let has_pod = |id: i32| {
            world
                .store
                .get(&self::name("Pod", NAMESPACE, &names::pod(of, id)))
                .is_some_and(|pod| world.instance(pod) == Some(of))
        };
        id.is_some_and(|id| i64::from(id) < replicas && !has_pod(id))
    };
    let mut in_the_way = world.strangers.keys().filter(|name| shared(&name.0, &name.2) || of_member(name));
    in_the_way
        .find(|name| !said.contains(&format!("{} {}", name.0, name.2)))
        .map(|name| format!("{} {}", name.0, name.2))
}

/// A topic is deleted only with a resource that goes, whose policy says so, and that has this very topic.
pub(super) fn t1_a_topic_goes_with_its_own_resource(
    world: &World,
    of: &str,
    topic: &str,
    id: &str,
) -> Option<String> {
    let Some(resource) = world.store.get(&super::user::topic(of, topic)) else {
        return Some(format!("topic {topic} is deleted, and has no resource"));
    };
    let goes = !resource["metadata"]["deletionTimestamp"].is_null();
    let (policy, noted) = (text(&resource["spec"]["deletionPolicy"]), text(&resource["status"]["topicId"]));
    (!goes || policy != "Delete" || noted != id).then(|| {
        format!(
            "topic {topic} with id {id} is deleted: its resource goes: {goes}, {policy}, it has {noted:?}"
        )
    })
}

/// More than a handful of topics within five minutes go only after a word that was given for them.
pub(super) fn t2_many_topics_go_after_a_word(world: &mut World, of: &str, topic: &str) -> Option<String> {
    let resource = world.store.get(&super::user::topic(of, topic))?;
    let asked = text(&resource["metadata"]["deletionTimestamp"]);
    let word = world.resource(of).map(|e| text(&e["metadata"]["annotations"][names::CONFIRM_DELETIONS]));
    if word.is_some_and(|word| asked <= word) {
        return None;
    }
    // A little less: it counts from when it was noted, moments before.
    world.laws.went.retain(|went| went.elapsed().as_secs() < 290);
    world.laws.went.push(Instant::now());
    let went = world.laws.went.len();
    (went > 5).then(|| format!("{went} topics went within five minutes, unasked"))
}

/// Why a member is needed now.
pub(super) fn needed(ensemble: &Ensemble, id: i32) -> Option<String> {
    let voters = ensemble.voters();
    if voters.contains(&id) && voters.len() > 2 && !ensemble.has_quorum_without(Some(id)) {
        return Some(format!("there is no quorum without member {id}"));
    }
    for (name, topic) in &ensemble.topics {
        for partition in topic.partitions.iter().filter(|p| p.leader.is_some() && p.in_sync.contains(&id)) {
            let least = min_in_sync(topic);
            let left =
                partition.in_sync.iter().filter(|other| **other != id && ensemble.is_live(**other)).count();
            if left < least && partition.replicas.len() > least {
                return Some(format!(
                    "topic {name} has {left} replicas in sync without member {id}, {least} are needed"
                ));
            }
        }
    }
    None
}

/// Members that run and serve, and that the write stops. One that the kubelet does not hear is down to Kubernetes: with an old
/// configuration, and unheard by the operator as well, it may be started anew unasked, because the configuration may be what it dies of.
fn stopped(world: &World, sight: &Sight, write: &Write<'_>) -> Vec<i32> {
    if write.name.0 != "Pod" || write.verb != Verb::Delete {
        return Vec::new();
    }
    let Some(before) = write.before.filter(|pod| pod["status"]["conditions"][0]["status"] == "True") else {
        return Vec::new();
    };
    let id = names::member_of_pod(sight.of, &write.name.2);
    let uid = text(&before["metadata"]["uid"]);
    let runs = |id: &i32| world.ensembles[sight.of].processes.get(id).is_some_and(|p| p.pod == uid);
    id.filter(|id| runs(id) && world.ensembles[sight.of].is_ready(*id)).into_iter().collect()
}

/// The member was removed for good, and asked to be let in again meanwhile.
fn is_given_up(world: &World, of: &str, id: i32) -> bool {
    let member = world.ensembles[of].members.get(&id);
    member.is_some_and(|member| world.ensembles[of].removed.contains(&member.incarnation))
}

fn note_given_up(world: &mut World, sight: &Sight, write: &Write<'_>) {
    let record = |value| record_of(sight.of, write, value);
    let (Some(before), Some(after)) = (record(write.before), record(write.after)) else { return };
    let there = disks(Some(&after));
    world.laws.given_up.entry(sight.of).or_default().extend(disks(Some(&before)).difference(&there));
}

fn disks(record: Option<&Record>) -> BTreeSet<(i32, u32)> {
    record.into_iter().flat_map(|record| record.members.iter().map(|m| (m.id, m.place))).collect()
}

fn record_of(of: &str, write: &Write<'_>, value: Option<&Value>) -> Option<Record> {
    if write.name != &record_name(of) {
        return None;
    }
    serde_json::from_str(value?["data"]["members.yaml"].as_str()?).ok()
}

/// The member's volume is there with the disk that it served with.
fn has_its_disk(world: &World, of: &str, id: i32, place: u32) -> bool {
    let claim = world.store.get(&name("PersistentVolumeClaim", NAMESPACE, &names::claim(of, id)));
    let uid = claim.map(|claim| text(&claim["metadata"]["uid"])).unwrap_or_default();
    world.ensembles[of].disks.contains_key(&(uid, place))
}

fn is_owned_kind(kind: &str) -> bool {
    !matches!(kind, "Ensemble" | "Topic" | "Pod" | "PersistentVolumeClaim")
}

fn has_owner(value: &Value, uid: &str) -> bool {
    let owners = value["metadata"]["ownerReferences"].as_array();
    owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == uid))
}

fn flag(ensemble: Option<&Value>, field: &str) -> bool {
    ensemble.is_some_and(|ensemble| ensemble["spec"][field] == true)
}
