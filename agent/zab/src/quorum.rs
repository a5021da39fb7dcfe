//! The ensemble's members and what a quorum of them is, during a change of two configurations at once.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use streamkeeper_base::MemberId;

/// Whether a member counts in quorums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRole {
    /// Votes and acknowledges.
    Voter,
    /// Receives everything, never counts (invariant Z21).
    Observer,
}

/// One member as the ensemble knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Whether it counts.
    pub role: MemberRole,
    /// The owner's description (addresses), opaque to Zab.
    pub data: Bytes,
}

/// The ensemble's members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// By id.
    pub members: BTreeMap<MemberId, Member>,
}

impl Membership {
    /// An ensemble of voters, each with the owner's description.
    pub fn of_voters(voters: impl IntoIterator<Item = (MemberId, Bytes)>) -> Self {
        let member = |data| Member { role: MemberRole::Voter, data };
        Self { members: voters.into_iter().map(|(id, data)| (id, member(data))).collect() }
    }

    /// The members that count.
    pub fn voters(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.members.iter().filter(|(_, m)| m.role == MemberRole::Voter).map(|(id, _)| *id)
    }

    /// True if the member counts.
    pub fn is_voter(&self, id: MemberId) -> bool {
        self.members.get(&id).is_some_and(|m| m.role == MemberRole::Voter)
    }

    /// How many members vote if nobody says otherwise: 1 of 1 or 2, 3 of 3 or 4, 5 of 5 and more. More than 5 make writes slower and
    /// survive hardly more.
    pub fn voters_by_default(members: usize) -> usize {
        match members {
            0..=2 => 1,
            3..=4 => 3,
            _ => 5,
        }
    }

    /// How many of the set's voters may fail before the set is no quorum; `None` if it is none now.
    pub fn margin(&self, set: &BTreeSet<MemberId>) -> Option<usize> {
        let needed = self.voters().count() / 2 + 1;
        self.voters().filter(|id| set.contains(id)).count().checked_sub(needed)
    }

    /// True if more than half of the voters are in the set. Never true without voters.
    pub fn is_quorum(&self, set: &BTreeSet<MemberId>) -> bool {
        let total = self.voters().count();
        let present = self.voters().filter(|id| set.contains(id)).count();
        present * 2 > total
    }
}

/// The configurations that must each agree: the committed one, and a proposed one until it is committed (invariant Z20).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quorums<'a> {
    pub(crate) committed: &'a Membership,
    pub(crate) proposed: Option<&'a Membership>,
}

impl Quorums<'_> {
    pub(crate) fn hold(&self, set: &BTreeSet<MemberId>) -> bool {
        self.committed.is_quorum(set) && self.proposed.is_none_or(|p| p.is_quorum(set))
    }

    /// The greatest value that a quorum has reached, given what each voter has reached.
    pub(crate) fn reached<T: Ord + Copy>(&self, progress: &BTreeMap<MemberId, T>) -> Option<T> {
        let mut values: Vec<T> = progress.values().copied().collect();
        values.sort_unstable_by(|a, b| b.cmp(a));
        values.into_iter().find(|value| {
            let set = progress.iter().filter(|(_, v)| *v >= value).map(|(id, _)| *id).collect();
            self.hold(&set)
        })
    }

    pub(crate) fn is_voter(&self, id: MemberId) -> bool {
        self.committed.is_voter(id) || self.proposed.is_some_and(|p| p.is_voter(id))
    }

    /// Whether the member may lead: the newest configuration that the log holds says so, committed or not, as members with the same log
    /// may differ in what they know as committed.
    pub(crate) fn may_lead(&self, id: MemberId) -> bool {
        self.proposed.unwrap_or(self.committed).is_voter(id)
    }

    pub(crate) fn voters(&self) -> BTreeSet<MemberId> {
        self.committed.voters().chain(self.proposed.into_iter().flat_map(Membership::voters)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ensemble(ids: &[i32]) -> Membership {
        Membership::of_voters(ids.iter().map(|i| (MemberId(*i), Bytes::new())))
    }

    fn set(ids: &[i32]) -> BTreeSet<MemberId> {
        ids.iter().map(|i| MemberId(*i)).collect()
    }

    #[test]
    fn a_quorum_is_more_than_half() {
        assert!(ensemble(&[1, 2, 3]).is_quorum(&set(&[1, 3])));
        assert!(!ensemble(&[1, 2, 3]).is_quorum(&set(&[1])));
        assert!(!ensemble(&[1, 2]).is_quorum(&set(&[1])));
        assert!(!ensemble(&[1, 2, 3]).is_quorum(&set(&[1, 7, 8])), "strangers do not count");
        assert!(!Membership::default().is_quorum(&set(&[1])));
    }

    #[test]
    fn the_margin_is_what_may_fail() {
        let five = ensemble(&[1, 2, 3, 4, 5]);
        assert_eq!(five.margin(&set(&[1, 2, 3, 4, 5])), Some(2));
        assert_eq!(five.margin(&set(&[1, 2, 3, 9])), Some(0));
        assert_eq!(five.margin(&set(&[1, 2])), None);
        assert_eq!([1, 2, 3, 4, 5, 9].map(Membership::voters_by_default), [1, 1, 3, 3, 5, 5]);
    }

    #[test]
    fn a_change_needs_both_quorums() {
        let (old, new) = (ensemble(&[1, 2, 3]), ensemble(&[1, 2, 3, 4, 5]));
        let joint = Quorums { committed: &old, proposed: Some(&new) };
        assert!(!joint.hold(&set(&[1, 2])));
        assert!(!joint.hold(&set(&[1, 4, 5])));
        assert!(joint.hold(&set(&[1, 2, 4])));
        let progress = [(1, 9), (2, 7), (3, 1), (4, 8), (5, 0)].map(|(i, v)| (MemberId(i), v)).into();
        assert_eq!(joint.reached(&progress), Some(7));
    }
}
