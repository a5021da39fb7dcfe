//! What is remembered of the members beyond pods and volumes: who was begun with, which disk each has, who leaves.
//!
//! It is kept in the ConfigMap that the agents read; each change of it is a pure function here. Must not know: Kubernetes. Read
//! first: [`Record`], [`Volumes`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::plant::{Plant, is_planted};

/// `members.yaml`: who there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Record {
    /// Those that the ensemble began with and that have their first disk still.
    pub founders: Vec<i32>,
    /// By number.
    pub members: Vec<Member>,
}

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Member {
    /// Its number.
    pub id: i32,
    /// Which of the disks that the number has had is its own.
    pub place: u32,
    /// It served once: from then on a member without its disk is one that lost it.
    pub served: bool,
    /// It was decided that it leaves for good.
    pub leaving: bool,
    /// The failure domain, where the pod cannot know it.
    pub zone: String,
}

/// `claims.json`: which volume each member served with, and how many disks its number has had. Kept when a member is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volumes(pub BTreeMap<i32, Volume>);

/// What is remembered of a member's volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Volume {
    /// Disks that the number has had.
    pub places: u32,
    /// The UID of the claim that it served with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
}

/// Deletions of topics count together with those of this time.
pub const WINDOW_SECONDS: i64 = 300;

/// `deletions.json`: topics that went lately without a word, by id: when, in seconds since 1970. Few: more wait for a word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletions(pub BTreeMap<String, i64>);

impl Deletions {
    /// How many others than `ids` went within [`WINDOW_SECONDS`] before `now`. One that is tried again counts once.
    pub fn besides(&self, ids: &BTreeSet<String>, now: i64) -> usize {
        let counts = |(id, at): &(&String, &i64)| **at + WINDOW_SECONDS > now && !ids.contains(*id);
        self.0.iter().filter(counts).count()
    }

    /// Notes that `ids` go at `now`, and forgets those that do not count any more.
    fn note(&mut self, ids: &BTreeSet<String>, now: i64) {
        self.0.retain(|_, at| *at + WINDOW_SECONDS > now);
        self.0.extend(ids.iter().map(|id| (id.clone(), now)));
    }
}

/// All together: they change in one write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Who there is.
    pub record: Record,
    /// Their volumes.
    pub volumes: Volumes,
    /// Topics that went.
    pub deletions: Deletions,
}

impl Record {
    /// The member of this number.
    pub fn member(&self, id: i32) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// One more than the greatest number, without `except`.
    pub fn size_without(&self, except: Option<i32>) -> i32 {
        let ids = self.members.iter().map(|member| member.id).filter(|id| Some(*id) != except);
        ids.max().map_or(0, |id| id + 1)
    }
}

impl Memory {
    /// Entries for all of `replicas` members that have none, each with a disk that nobody had. The first of all are founders, as
    /// many as vote.
    pub fn place(&mut self, replicas: i32, voters: i32) {
        let begins = self.record.members.is_empty() && self.volumes.0.is_empty();
        if begins {
            self.record.founders = (0..voters.min(replicas)).collect();
        }
        for id in 0..replicas {
            if self.record.member(id).is_some() {
                continue;
            }
            let place = self.next_place(id);
            self.record.members.push(Member { id, place, ..Member::default() });
        }
        self.record.members.sort_by_key(|member| member.id);
    }

    /// The member's disk is lost: it begins with another one, and joins like a new member.
    pub fn replace_disk(&mut self, id: i32) {
        let place = self.next_place(id);
        self.record.founders.retain(|founder| *founder != id);
        for member in self.record.members.iter_mut().filter(|member| member.id == id) {
            (member.place, member.served) = (place, false);
        }
    }

    /// Notes deletions of topics before they are carried out; false, and nothing is noted, if more than `most` would have gone.
    pub fn note_deletions(&mut self, ids: &BTreeSet<String>, now: i64, most: usize) -> bool {
        let fits = self.deletions.besides(ids, now) + ids.len() <= most;
        if fits {
            self.deletions.note(ids, now);
        }
        fits
    }

    /// It was decided that the member leaves for good.
    pub fn mark_leaving(&mut self, id: i32) {
        self.record.members.iter_mut().filter(|m| m.id == id).for_each(|m| m.leaving = true);
    }

    /// The member is gone. Whoever gets its number next is no founder, and gets another disk.
    pub fn forget(&mut self, id: i32) {
        self.record.founders.retain(|founder| *founder != id);
        self.record.members.retain(|member| member.id != id);
        if let Some(volume) = self.volumes.0.get_mut(&id) {
            volume.claim = None;
        }
    }

    /// The member serves with this volume.
    pub fn note_served(&mut self, id: i32, claim: &str) {
        let Some(member) = self.record.members.iter_mut().find(|member| member.id == id) else { return };
        member.served = true;
        self.volumes.0.entry(id).or_default().claim = Some(claim.to_owned());
    }

    fn next_place(&mut self, id: i32) -> u32 {
        let volume = self.volumes.0.entry(id).or_default();
        volume.claim = None;
        volume.places += u32::from(volume.places == 0 || !is_planted(Plant::ReusedDisk));
        volume.places - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(memory: &Memory) -> Vec<(i32, u32)> {
        memory.record.members.iter().map(|m| (m.id, m.place)).collect()
    }

    #[test]
    fn the_first_voters_are_founders_and_later_ones_join() {
        let mut memory = Memory::default();
        memory.place(4, 3);
        assert_eq!((memory.record.founders.as_slice(), places(&memory).len()), ([0, 1, 2].as_slice(), 4));
        memory.place(6, 5);
        assert_eq!((memory.record.founders.len(), places(&memory).len()), (3, 6));
    }

    #[test]
    fn a_number_never_gets_a_disk_again_that_it_had() {
        let mut memory = Memory::default();
        memory.place(4, 3);
        memory.note_served(3, "claim");
        memory.mark_leaving(3);
        assert!(memory.record.member(3).is_some_and(|m| m.leaving && m.served));
        memory.forget(3);
        assert_eq!(memory.volumes.0[&3], Volume { places: 1, claim: None });
        memory.place(4, 3);
        assert_eq!(places(&memory), [(0, 0), (1, 0), (2, 0), (3, 1)]);
        memory.replace_disk(3);
        memory.replace_disk(0);
        assert_eq!(places(&memory), [(0, 1), (1, 0), (2, 0), (3, 2)]);
        assert_eq!(memory.record.founders, [1, 2]);
    }

    #[test]
    fn deletions_of_minutes_count_together_and_each_once() {
        let mut memory = Memory::default();
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<String>>();
        assert!(memory.note_deletions(&ids(&["a", "b", "c"]), 1000, 5));
        assert!(memory.note_deletions(&ids(&["a", "b", "c", "d"]), 1001, 5), "tried again");
        assert!(!memory.note_deletions(&ids(&["e", "f"]), 1002, 5));
        assert_eq!(memory.deletions.0.len(), 4, "nothing is noted of what does not go");
        assert_eq!(memory.deletions.besides(&ids(&["d", "e"]), 1002), 3);
        assert!(memory.note_deletions(&ids(&["e", "f"]), 1001 + WINDOW_SECONDS, 5));
        assert_eq!(memory.deletions.0.len(), 2, "what does not count any more is forgotten");
    }

    #[test]
    fn sizes_count_numbers_and_not_members() {
        let mut memory = Memory::default();
        memory.place(5, 5);
        memory.forget(2);
        assert_eq!(memory.record.size_without(None), 5);
        assert_eq!(memory.record.size_without(Some(4)), 4);
        assert_eq!(Record::default().size_without(None), 0);
    }
}
