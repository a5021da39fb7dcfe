//! The agents as one ensemble: disks, processes, who votes, who leads, partitions and who holds them. Time passes in [`Ensemble::tick`].
//!
//! It keeps to what agents promise (agent/node/src/pod/begin.rs, agent/member/src/control): nobody votes or leads with an empty disk where
//! a filled one was, unless it is told to. Must not know: Kubernetes beyond the UIDs of claims and pods. Read first: [`Ensemble`].

use std::collections::{BTreeMap, BTreeSet};

use crate::chance::Chance;

/// A disk: the claim's UID and the place on it.
pub(super) type Disk = (String, u32);

/// What is on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// The disk's identity.
    pub(super) incarnation: u64,
    /// The cluster whose data it has.
    pub(super) cluster: String,
}

/// A founder that has not begun yet.
const UNKNOWN: u64 = 0;

/// A running agent.
#[derive(Clone, Debug)]
pub(super) struct Process {
    /// Its pod's UID.
    pub(super) pod: String,
    /// Its pod's address.
    pub(super) ip: String,
    /// The identity of its disk; `None` while it waits to be let in.
    pub(super) incarnation: Option<u64>,
    /// It has the ensemble's history, and serves.
    pub(super) synced: bool,
    /// It was told that it is no member any more; it asks to be let in again only when it begins anew.
    pub(super) removed: bool,
    /// Its broker's settings, as far as they may change while it runs.
    pub(super) settings: BTreeMap<String, String>,
}

/// A member as the ensemble knows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Member {
    /// The identity of its disk.
    pub(super) incarnation: u64,
    /// It votes.
    pub(super) votes: bool,
    /// It is being emptied.
    pub(super) cordoned: bool,
    /// It gave its leads away.
    pub(super) resting: bool,
}

/// A partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Partition {
    /// Who holds it.
    pub(super) replicas: Vec<i32>,
    /// Whose disks have all of it.
    pub(super) in_sync: BTreeSet<i32>,
    /// Who leads it.
    pub(super) leader: Option<i32>,
}

/// A topic.
#[derive(Clone, Debug, Default)]
pub(super) struct Topic {
    /// Its id.
    pub(super) id: u64,
    /// Copies.
    pub(super) replication_factor: i32,
    /// What was set.
    pub(super) config: BTreeMap<String, String>,
    /// Its partitions.
    pub(super) partitions: Vec<Partition>,
}

/// The ensemble.
#[derive(Clone, Debug, Default)]
pub(super) struct Ensemble {
    /// Founders met once.
    pub(super) formed: bool,
    /// By number.
    pub(super) members: BTreeMap<i32, Member>,
    /// By number.
    pub(super) processes: BTreeMap<i32, Process>,
    /// Formatted disks with their identities.
    pub(super) disks: BTreeMap<Disk, Format>,
    /// Identities that were removed for good.
    pub(super) removed: BTreeSet<u64>,
    /// By name.
    pub(super) topics: BTreeMap<String, Topic>,
    /// Who leads the quorum.
    pub(super) leader: Option<i32>,
    /// Zab's epoch.
    pub(super) epoch: u32,
    /// The greatest fencing token.
    pub(super) token: i64,
    /// Replicas move by themselves.
    pub(super) auto: bool,
    /// What moves may use.
    pub(super) bytes_per_second: i64,
    /// Members that were told to give everything away now.
    pub(super) draining: BTreeSet<i32>,
    /// Topics that were made once.
    pub(super) made: BTreeSet<String>,
    /// The broker's settings that a kubelet brought last: the next agent may still read them when there are others.
    pub(super) brought: BTreeMap<String, String>,
    /// Agents that ended so far.
    pub(super) ends: u64,
    /// What must not have happened.
    pub(super) broken: Vec<String>,
    ids: u64,
}

impl Ensemble {
    /// Another number that nobody had.
    pub(super) fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// Who votes.
    pub(super) fn voters(&self) -> Vec<i32> {
        self.members.iter().filter(|(_, m)| m.votes).map(|(id, _)| *id).collect()
    }

    /// The process runs with the disk that the ensemble knows.
    fn runs(&self, id: i32) -> bool {
        let known = self.members.get(&id).map(|m| m.incarnation);
        known.is_some() && self.processes.get(&id).and_then(|p| p.incarnation) == known
    }

    /// The member has the history and is in contact.
    pub(super) fn is_synced(&self, id: i32) -> bool {
        self.runs(id) && self.processes.get(&id).is_some_and(|p| p.synced)
    }

    /// A majority of the voters is in contact, and one leads.
    pub(super) fn leads(&self) -> bool {
        self.formed && self.has_quorum_without(None) && self.leader.is_some_and(|id| self.is_synced(id))
    }

    /// A majority of the voters would have the history and be in contact.
    pub(super) fn has_quorum_without(&self, without: Option<i32>) -> bool {
        let voters = self.voters();
        voters.iter().filter(|id| Some(**id) != without && self.is_synced(**id)).count() * 2 > voters.len()
    }

    /// The agent serves clients.
    pub(super) fn is_ready(&self, id: i32) -> bool {
        self.leads() && self.is_synced(id)
    }

    /// The member may lead and hold partitions.
    pub(super) fn is_live(&self, id: i32) -> bool {
        self.is_ready(id)
    }

    /// Members that new replicas may be placed on.
    pub(super) fn eligible(&self) -> Vec<i32> {
        let able = |(id, m): &(&i32, &Member)| !m.cordoned && self.is_live(**id);
        self.members.iter().filter(able).map(|(id, _)| *id).collect()
    }

    /// All partitions.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.topics.values().flat_map(|topic| &topic.partitions)
    }

    fn partitions_mut(&mut self) -> impl Iterator<Item = &mut Partition> {
        self.topics.values_mut().flat_map(|topic| &mut topic.partitions)
    }

    /// Replicas that a member holds.
    pub(super) fn held(&self, id: i32) -> i32 {
        count(self.partitions().filter(|p| p.replicas.contains(&id)).count())
    }

    /// Partitions that a member leads.
    pub(super) fn led(&self, id: i32) -> i32 {
        count(self.partitions().filter(|p| p.leader == Some(id)).count())
    }

    /// A process begins with a disk, empty ones formatted before.
    pub(super) fn begin(&mut self, id: i32, disk: &Disk, cluster: &str, founders: &[i32]) {
        let is_new = !self.disks.contains_key(disk);
        let incarnation = match self.disks.get(disk) {
            Some(there) => there.incarnation,
            None => {
                let incarnation = self.next_id();
                self.disks.insert(disk.clone(), Format { incarnation, cluster: cluster.to_owned() });
                incarnation
            }
        };
        let known = self.members.get(&id).filter(|m| m.incarnation != incarnation);
        if is_new && known.is_some_and(|m| m.votes && m.incarnation != UNKNOWN) {
            // Zab counts on what a voter acknowledged.
            self.broken.push(format!("O5: an empty disk begins in the place of voter {id}"));
        }
        if is_new && founders.contains(&id) {
            if self.formed && self.members.get(&id).is_none_or(|m| m.incarnation != UNKNOWN) {
                self.broken.push(format!("O5: member {id} founds an ensemble that is there"));
            }
            // All founders vote from the first one's beginning on.
            for founder in founders {
                let unknown = Member { votes: true, ..Member::default() };
                self.members.entry(*founder).or_insert(unknown);
            }
            self.members.entry(id).and_modify(|m| m.incarnation = incarnation);
        }
        if let Some(process) = self.processes.get_mut(&id) {
            process.incarnation = Some(incarnation);
        }
    }

    /// A process is gone, in good order or not.
    pub(super) fn end(&mut self, id: i32) {
        self.processes.remove(&id);
        self.ends += 1;
        self.elect();
        self.lead();
    }

    /// The disks of a claim are gone; with the last one everything is, and this is true.
    pub(super) fn lose(&mut self, claim: &str) -> bool {
        let lost: BTreeSet<u64> = self
            .disks
            .iter()
            .filter(|(disk, _)| disk.0 == claim)
            .map(|(_, there)| there.incarnation)
            .collect();
        self.disks.retain(|disk, _| disk.0 != claim);
        let whose: Vec<i32> =
            self.members.iter().filter(|(_, m)| lost.contains(&m.incarnation)).map(|(id, _)| *id).collect();
        for partition in self.partitions_mut() {
            for id in &whose {
                partition.in_sync.remove(id);
            }
        }
        let is_all = self.disks.is_empty() && !lost.is_empty();
        if is_all {
            *self = Self { ids: self.ids, processes: std::mem::take(&mut self.processes), ..Self::default() };
        }
        is_all
    }

    /// Time passes: leaders are elected, members join and catch up, replicas follow and move.
    pub(super) fn tick(&mut self, chance: &mut Chance) {
        self.elect();
        let leads = self.leads();
        let joining: Vec<i32> = self.processes.keys().copied().collect();
        for id in joining {
            if leads && !chance.one_in(3) {
                self.join(id);
            }
        }
        if self.leads() {
            self.move_one();
        }
        self.lead();
    }

    /// A majority of the voters that runs has a leader, and all that run have the history.
    fn elect(&mut self) {
        let voters = self.voters();
        let up: Vec<i32> = voters.iter().copied().filter(|id| self.runs(*id)).collect();
        if up.len() * 2 <= voters.len() {
            self.leader = None;
            self.processes.values_mut().for_each(|p| p.synced = false);
            return;
        }
        let stays = self.leader.is_some_and(|id| up.contains(&id) && self.is_synced(id));
        if stays && self.leads() {
            return;
        }
        let rested = up.iter().copied().find(|id| !self.members[id].resting);
        self.leader = rested.or_else(|| up.first().copied());
        self.epoch += 1;
        self.formed = true;
        for id in up {
            if let Some(process) = self.processes.get_mut(&id) {
                process.synced = true;
            }
        }
    }

    /// A process that is not in the ensemble asks to be let in; one that is catches up.
    fn join(&mut self, id: i32) {
        let asks = self.processes.get(&id).filter(|p| !p.removed);
        let Some(incarnation) = asks.and_then(|p| p.incarnation) else { return };
        match self.members.get(&id).cloned() {
            Some(member) if member.incarnation == incarnation => {
                let was = self.is_synced(id);
                if let Some(process) = self.processes.get_mut(&id) {
                    process.synced = true;
                }
                // A start ends the rest.
                if !was && let Some(member) = self.members.get_mut(&id) {
                    member.resting = false;
                }
            }
            Some(member) if member.votes => {
                self.broken.push(format!("O5: another disk asks to be voter {id}"));
            }
            Some(_) | None => {
                for partition in self.partitions_mut() {
                    partition.in_sync.remove(&id);
                }
                self.members.insert(id, Member { incarnation, ..Member::default() });
            }
        }
    }

    /// Leaders and who is in sync, by who is live.
    pub(super) fn lead(&mut self) {
        let live: BTreeSet<i32> = self.members.keys().copied().filter(|id| self.is_live(*id)).collect();
        let resting: BTreeSet<i32> =
            self.members.iter().filter(|(_, m)| m.resting).map(|(id, _)| *id).collect();
        for partition in self.partitions_mut() {
            let able = |id: &&i32| live.contains(id) && partition.in_sync.contains(id);
            let stays = partition.leader.filter(|id| able(&id) && !resting.contains(id));
            let rested = partition.replicas.iter().filter(able).find(|id| !resting.contains(id)).copied();
            partition.leader = stays.or(rested).or_else(|| partition.replicas.iter().find(able).copied());
            if partition.leader.is_some() {
                let replicas = partition.replicas.iter().copied();
                partition.in_sync = replicas.filter(|id| live.contains(id)).collect();
            }
        }
    }

    /// What moves next: topic, partition, from whom, to whom.
    pub(super) fn next_move(&self) -> Option<(String, usize, i32, i32)> {
        let eligible = self.eligible();
        let all = || {
            let of = |(name, topic): (&String, &Topic)| {
                let partitions = topic.partitions.clone().into_iter().enumerate();
                partitions.map(|(at, p)| (name.clone(), at, p)).collect::<Vec<_>>()
            };
            self.topics.iter().flat_map(of)
        };
        for (name, at, partition) in all() {
            let cordoned = |id: &&i32| self.members.get(id).is_some_and(|m| m.cordoned);
            let from = partition.replicas.iter().find(cordoned);
            let to = eligible.iter().filter(|id| !partition.replicas.contains(id));
            if let (Some(from), Some(to)) = (from, to.min_by_key(|id| self.held(**id))) {
                return Some((name, at, *from, *to));
            }
        }
        let from = eligible.iter().max_by_key(|id| self.held(**id))?;
        let to = eligible.iter().min_by_key(|id| self.held(**id))?;
        if self.held(*from) <= self.held(*to) + 1 {
            return None;
        }
        let movable = |p: &Partition| p.replicas.contains(from) && !p.replicas.contains(to);
        all().find(|(_, _, p)| movable(p)).map(|(name, at, _)| (name, at, *from, *to))
    }

    /// One replica moves, if somebody wants it to.
    fn move_one(&mut self) {
        self.draining.retain(|id| self.members.get(id).is_some_and(|m| m.cordoned));
        let Some((name, at, from, to)) = self.next_move() else { return };
        if !self.auto && !self.draining.contains(&from) {
            return;
        }
        let Some(partition) = self.topics.get_mut(&name).and_then(|t| t.partitions.get_mut(at)) else {
            return;
        };
        // Copied from whoever leads; without a leader nothing moves.
        if partition.leader.is_none() {
            return;
        }
        partition.replicas.retain(|id| *id != from);
        partition.replicas.push(to);
        partition.in_sync.remove(&from);
        partition.in_sync.insert(to);
        if partition.leader == Some(from) {
            partition.leader = Some(to);
        }
    }
}

/// A number of things.
pub(super) fn count(things: usize) -> i32 {
    i32::try_from(things).unwrap_or(i32::MAX)
}

/// The least number of replicas in sync that acknowledges.
pub(super) fn min_in_sync(topic: &Topic) -> usize {
    topic.config.get("min.insync.replicas").and_then(|text| text.parse().ok()).unwrap_or(1)
}
