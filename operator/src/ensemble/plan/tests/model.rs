//! An ensemble as the plan needs it: processes, disks, membership, partitions; each step changes it as the real thing would, or is
//! refused, and what must never happen is asserted at every step.

use std::collections::{BTreeMap, BTreeSet};

use streamkeeper_proto::settings_digest;

use super::super::Step;
use crate::chance::Chance;
use crate::crd::TopicSpec;
use crate::desired::Desired;
use crate::ensemble::observed::*;

#[derive(Clone, Debug, Default)]
pub(super) struct Member {
    pub(super) runs: bool,
    pub(super) leaving: bool,
    pub(super) revision: u32,
    /// The disk's identity.
    disk: u32,
    votes: bool,
    in_ensemble: bool,
    cordoned: bool,
    resting: bool,
    synced: bool,
    /// The digest of its broker's settings.
    pub(super) settings: String,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) members: BTreeMap<i32, Member>,
    /// Known to the ensemble, without a process: it asked to be let in once more while it was retired.
    pub(super) strays: BTreeSet<i32>,
    pub(super) topics: BTreeMap<String, TopicSpec>,
    /// Replicas of every partition.
    pub(super) partitions: Vec<Vec<i32>>,
    /// The configuration that started processes get.
    pub(super) revision: u32,
    /// The digest of the broker's settings in the file that started processes read; it may be an old file.
    pub(super) file: String,
    auto: bool,
    max_bytes_per_second: i64,
    leader: i32,
    disks: u32,
    removed_disks: BTreeSet<u32>,
    formed: bool,
}

impl Model {
    pub(super) fn observe(&self, desired: &Desired) -> Observed {
        let leads = self.leads();
        let mut observed = Observed {
            members: self.members.iter().map(|(id, m)| (*id, self.member(*id, m, leads))).collect(),
            quorum: leads.then(|| self.quorum()),
            ..Observed::default()
        };
        for id in &self.strays {
            let agent = Agent { in_ensemble: true, ..Agent::default() };
            observed.members.insert(*id, ObservedMember { agent: Some(agent), ..ObservedMember::default() });
        }
        if !leads {
            return observed;
        }
        let counts: Vec<i32> = self.eligible().iter().map(|id| self.held(*id)).collect();
        let (most, least) =
            (counts.iter().max().copied().unwrap_or(0), counts.iter().min().copied().unwrap_or(0));
        let balanced = self.next_move().is_none();
        let activity = match (balanced, self.auto) {
            (true, _) => Activity::Idle,
            (false, true) => Activity::Moving,
            (false, false) => Activity::Unasked,
        };
        observed.rebalance = Rebalance {
            balanced,
            activity,
            replicas: (most, least),
            auto: self.auto,
            max_bytes_per_second: self.max_bytes_per_second,
            ..Rebalance::default()
        };
        let topic = |topic: &TopicSpec| ObservedTopic {
            partitions: topic.partitions,
            replication_factor: topic.replication_factor,
            config: topic.config.iter().filter_map(|(k, v)| Some((k.clone(), v.clone()?))).collect(),
            known_everywhere: true,
            ..ObservedTopic::default()
        };
        observed.topics = self.topics.iter().map(|(name, t)| (name.clone(), topic(t))).collect();
        observed.scale_in = Some(self.removal(&observed.surplus(desired.ensemble.replicas)));
        observed
    }

    fn member(&self, id: i32, m: &Member, leads: bool) -> ObservedMember {
        let process = Process {
            kept: true,
            runs: m.runs,
            outdated: m.runs && m.revision != self.revision,
            lost: false,
            leaving: m.leaving,
            name: String::new(),
            ..Process::default()
        };
        let agent = Agent {
            in_ensemble: m.in_ensemble,
            live: m.runs && m.synced,
            cordoned: m.cordoned,
            resting: m.resting,
            leader: leads && self.leader == id,
            synced: m.runs && m.synced,
            replicas: self.held(id),
            led: if m.resting { 0 } else { self.led(id) },
            ..Agent::default()
        };
        let blocked = self.members.values().any(|m| !m.runs || !m.synced);
        let blocker = Blocker { lasting: false, message: "another member is down".to_owned() };
        ObservedMember {
            answers: m.runs,
            ready: m.runs && m.synced && leads,
            restart: process.outdated.then(|| Restart {
                blockers: if blocked { vec![blocker] } else { vec![] },
                unavoidable: vec![],
            }),
            agent: (leads && m.in_ensemble).then_some(agent),
            settings: m.runs.then(|| m.settings.clone()),
            process,
        }
    }

    fn quorum(&self) -> Quorum {
        let voters: Vec<i32> = self.voters();
        let synced: Vec<i32> =
            voters.iter().copied().filter(|id| self.members[id].runs && self.members[id].synced).collect();
        Quorum { leader: self.leader, voters, synced, ..Quorum::default() }
    }

    fn removal(&self, surplus: &[(i32, &ObservedMember)]) -> Removal {
        let leaving: Vec<i32> = surplus.iter().map(|(id, _)| *id).collect();
        let staying = i32::try_from(self.members.len() - leaving.len()).unwrap_or(0);
        let copies = self.topics.values().map(|t| t.replication_factor).max().unwrap_or(0);
        let blocker = |lasting| Blocker { lasting, message: "stays".to_owned() };
        let busy = leaving.iter().any(|id| self.held(*id) > 0 || self.members[id].votes);
        Removal {
            blockers: if copies > staying { vec![blocker(true)] } else { vec![] },
            remaining: if busy { vec![blocker(false)] } else { vec![] },
        }
    }

    pub(super) fn voters(&self) -> Vec<i32> {
        self.members.iter().filter(|(_, m)| m.in_ensemble && m.votes).map(|(id, _)| *id).collect()
    }

    /// A majority of the voters runs and has the history.
    pub(super) fn leads(&self) -> bool {
        let voters = self.voters();
        let up = voters.iter().filter(|id| self.members[id].runs && self.members[id].synced).count();
        self.formed && up * 2 > voters.len()
    }

    fn eligible(&self) -> Vec<i32> {
        let able = |(_, m): &(&i32, &Member)| m.in_ensemble && m.runs && m.synced && !m.cordoned;
        self.members.iter().filter(able).map(|(id, _)| *id).collect()
    }

    fn held(&self, id: i32) -> i32 {
        i32::try_from(self.partitions.iter().filter(|p| p.contains(&id)).count()).unwrap_or(0)
    }

    fn led(&self, id: i32) -> i32 {
        i32::try_from(self.partitions.iter().filter(|p| p.first() == Some(&id)).count()).unwrap_or(0)
    }

    /// The partition that moves next, from whom, to whom.
    fn next_move(&self) -> Option<(usize, i32, i32)> {
        let eligible = self.eligible();
        for (index, replicas) in self.partitions.iter().enumerate() {
            let from = replicas.iter().find(|id| self.members.get(id).is_some_and(|m| m.cordoned));
            let to = eligible.iter().filter(|id| !replicas.contains(id)).min_by_key(|id| self.held(**id));
            if let (Some(from), Some(to)) = (from, to) {
                return Some((index, *from, *to));
            }
        }
        let from = eligible.iter().max_by_key(|id| self.held(**id))?;
        let to = eligible.iter().min_by_key(|id| self.held(**id))?;
        let movable = |p: &Vec<i32>| p.contains(from) && !p.contains(to);
        let index = self.partitions.iter().position(movable)?;
        (self.held(*from) > self.held(*to) + 1).then_some((index, *from, *to))
    }

    /// Time passes: processes join and catch up, one replica moves.
    pub(super) fn tick(&mut self, chance: &mut Chance) {
        let leads = self.leads();
        for m in self.members.values_mut().filter(|m| m.runs) {
            if chance.below(2) == 0 {
                continue;
            }
            if !self.formed || m.in_ensemble {
                m.synced = true;
            } else if leads {
                m.in_ensemble = true;
            }
        }
        self.formed |= !self.members.is_empty() && self.members.values().all(|m| m.runs && m.synced);
        if self.auto
            && self.leads()
            && let Some((index, from, to)) = self.next_move()
        {
            self.partitions[index].retain(|id| *id != from);
            self.partitions[index].push(to);
        }
        self.elect();
    }

    fn elect(&mut self) {
        let able = |id: &i32| {
            self.members.get(id).is_some_and(|m| m.in_ensemble && m.votes && m.runs && m.synced && !m.resting)
        };
        if !able(&self.leader)
            && let Some(id) = self.voters().into_iter().find(able)
        {
            self.leader = id;
        }
    }

    /// Carries a step out; false if it is refused.
    pub(super) fn apply(&mut self, step: &Step) -> bool {
        let led = self.leads();
        let done = self.change(step);
        self.elect();
        // One or two voters survive no restart, whatever the plan does.
        assert!(
            !led || self.leads() || matches!(step, Step::Stop(_)) || self.voters().len() <= 2,
            "{step:?} took the quorum away: {self:?}"
        );
        done
    }

    fn change(&mut self, step: &Step) -> bool {
        match step {
            Step::Start(id) => self.start(*id),
            Step::Restart(id) => {
                let others = self.members.iter().filter(|(other, m)| *other != id && !(m.runs && m.synced));
                let (revision, file) = (self.revision, self.file.clone());
                assert!(others.count() == 0 || !self.members[id].synced, "two down at once: {self:?}");
                self.on(*id, |m| {
                    (m.synced, m.resting, m.revision, m.settings) = (false, false, revision, file)
                })
            }
            Step::Stop(id) => self.on(*id, |m| (m.runs, m.synced) = (false, false)),
            Step::MarkLeaving(id) => {
                assert!(self.held(*id) == 0 && !self.members[id].votes, "{id} is needed: {self:?}");
                self.on(*id, |m| m.leaving = true)
            }
            Step::Retire(id) => {
                assert!(self.held(*id) == 0, "{id} holds replicas: {self:?}");
                assert!(self.members[id].leaving && !self.members[id].in_ensemble, "{self:?}");
                let gone = self.members.remove(id).unwrap_or_default();
                self.removed_disks.insert(gone.disk)
            }
            Step::HandOver(id) => {
                // Zab gives the lead to any voter that has the history, one that rests too.
                let takes =
                    |other: &i32| other != id && self.members[other].runs && self.members[other].synced;
                if self.leader == *id
                    && let Some(other) = self.voters().into_iter().find(takes)
                {
                    self.leader = other;
                }
                self.on(*id, |m| m.resting = true)
            }
            Step::Cordon(id) if self.strays.contains(id) => true,
            Step::Cordon(id) => self.on(*id, |m| m.cordoned = true),
            Step::Uncordon(id) => self.on(*id, |m| (m.cordoned, m.resting) = (false, false)),
            Step::Drain(id) => {
                while let Some((index, from, to)) = self.next_move().filter(|(_, from, _)| from == id) {
                    self.partitions[index].retain(|held| *held != from);
                    self.partitions[index].push(to);
                }
                true
            }
            Step::Promote(id) => {
                assert!(self.members[id].synced, "{id} does not have the history: {self:?}");
                self.on(*id, |m| m.votes = true)
            }
            Step::Demote(id) => self.on(*id, |m| m.votes = false),
            Step::Remove(id) if self.strays.remove(id) => true,
            Step::Remove(id) => {
                let empty = self.held(*id) == 0 && !self.members[id].votes;
                empty && self.on(*id, |m| m.in_ensemble = false)
            }
            Step::ConfigureRebalance { auto, max_bytes_per_second } => {
                (self.auto, self.max_bytes_per_second) = (*auto, *max_bytes_per_second);
                true
            }
            Step::ConfigureBroker { member, settings } => {
                let told = settings_digest(settings);
                self.on(*member, |m| m.settings = told)
            }
            Step::ApplyTopic(topic) => {
                let eligible = self.eligible();
                let copies = usize::try_from(topic.replication_factor).unwrap_or(0);
                if eligible.len() < copies {
                    return false;
                }
                let before = self.topics.get(&topic.name).map_or(0, |t| t.partitions);
                assert!(before <= topic.partitions, "partitions shrink");
                for _ in before..topic.partitions {
                    self.partitions.push(eligible.iter().copied().take(copies).collect());
                }
                let config = topic.config.iter().map(|(k, v)| (k.clone(), Some(v.clone()))).collect();
                let spec = TopicSpec {
                    ensemble_ref: crate::crd::Reference { name: "main".to_owned() },
                    topic_name: None,
                    partitions: topic.partitions,
                    replication_factor: topic.replication_factor,
                    config,
                    deletion_policy: crate::crd::DeletionPolicy::Retain,
                };
                self.topics.insert(topic.name.clone(), spec);
                true
            }
        }
    }

    fn start(&mut self, id: i32) -> bool {
        let first = !self.formed;
        if !self.members.contains_key(&id) {
            self.disks += 1;
            assert!(!self.removed_disks.contains(&self.disks), "a disk came back");
            // The first members vote from the beginning; later ones ask to be let in.
            let member = Member { disk: self.disks, in_ensemble: first, votes: first, ..Member::default() };
            self.members.insert(id, member);
        }
        let (revision, file) = (self.revision, self.file.clone());
        self.on(id, |m| {
            (m.runs, m.revision, m.resting, m.settings) = (true, revision, false, file);
        })
    }

    fn on(&mut self, id: i32, change: impl FnOnce(&mut Member)) -> bool {
        self.members.get_mut(&id).map(change).is_some()
    }
}
