//! Whether a member may begin, and where: the operator's record against what is on the volume. Pure.
//!
//! A voter that comes back without what it acknowledged could vote a quorum into forgetting it (Zab counts on the disks of a quorum). So
//! an empty disk begins only where the record says that none was filled before, and everything else waits for a new record.
//! Read first: [`judge`].

use std::collections::BTreeMap;

use super::files::Record;
use super::volume::Held;

/// Where a member begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which of the number's disks it is, from 0.
    pub number: u32,
    /// True for one that the ensemble begins with; others join it. It counts on an empty disk only.
    pub founds: bool,
}

impl Place {
    /// The directory on the volume.
    pub fn directory(self) -> String {
        directory(self.number)
    }
}

/// The directory of a place on the volume.
pub(super) fn directory(place: u32) -> String {
    format!("disk-{place}")
}

/// What a member does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It begins, or goes on, there.
    Begin(Place),
    /// It waits for another record, and this is why.
    Wait(String),
}

/// What the member does, by the record and by what the volume holds in each place.
pub fn judge(record: &Record, member: i32, held: &BTreeMap<u32, Held>) -> Verdict {
    let Some(own) = record.member(member) else {
        return Verdict::Wait(format!(
            "members.yaml has no entry for member {member}: the operator has not let it in, or it has left for good"
        ));
    };
    // Places only grow. A record that was lost and made anew must not make a member forget its disk.
    if let Some(newer) = held.keys().rev().find(|place| **place > own.place) {
        return Verdict::Wait(format!(
            "members.yaml says place {} for member {member}, and its volume holds {}: the record is older than the volume",
            own.place,
            directory(*newer)
        ));
    }
    let place = Place { number: own.place, founds: record.founders.contains(&member) };
    match held.get(&own.place) {
        Some(Held::Own) => Verdict::Begin(place),
        Some(Held::Foreign(whose)) => Verdict::Wait(format!(
            "{} {whose}; delete the volume claim and the pod if nobody needs that data, or give the member another place",
            place.directory()
        )),
        Some(Held::Damaged(why)) => Verdict::Wait(format!(
            "{}: {why}; restore it, or delete the volume claim and the pod to refill the member from its peers",
            place.directory()
        )),
        None if own.served => Verdict::Wait(format!(
            "the data of member {member} is gone: it served with {}, which its volume does not hold. An empty disk must not \
             take its place; the member waits until members.yaml gives it a new one",
            place.directory()
        )),
        None if own.leaving => Verdict::Wait(format!(
            "member {member} is to leave for good, and its disk is empty: it need not begin"
        )),
        None => Verdict::Begin(place),
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::MemberRecord;
    use super::*;

    fn record(own: MemberRecord, founders: &[i32]) -> Record {
        let other = MemberRecord { id: 9, ..MemberRecord::default() };
        Record { founders: founders.to_vec(), members: vec![other, own] }
    }

    fn member(place: u32) -> MemberRecord {
        MemberRecord { id: 2, place, ..MemberRecord::default() }
    }

    fn begins(number: u32, founds: bool) -> Verdict {
        Verdict::Begin(Place { number, founds })
    }

    fn waits(record: &Record, held: &[(u32, Held)], why: &str) {
        match judge(record, 2, &held.iter().cloned().collect()) {
            Verdict::Wait(text) => assert!(text.contains(why), "{text}"),
            Verdict::Begin(place) => panic!("it begins in {place:?}, and should wait: {why}"),
        }
    }

    #[test]
    fn a_member_without_an_entry_waits_even_with_a_disk() {
        let nobody = Record { founders: vec![], members: vec![] };
        waits(&nobody, &[], "has no entry for member 2");
        waits(&nobody, &[(0, Held::Own)], "has no entry for member 2");
    }

    #[test]
    fn a_new_member_begins_with_an_empty_disk() {
        assert_eq!(judge(&record(member(0), &[2, 9]), 2, &BTreeMap::new()), begins(0, true));
        assert_eq!(judge(&record(member(0), &[9]), 2, &BTreeMap::new()), begins(0, false));
        let older = BTreeMap::from([(0, Held::Own), (1, Held::Foreign("is another's".to_owned()))]);
        assert_eq!(
            judge(&record(member(2), &[9]), 2, &older),
            begins(2, false),
            "a number comes back with a new disk"
        );
    }

    #[test]
    fn a_member_goes_on_with_its_disk() {
        let held = BTreeMap::from([(1, Held::Own)]);
        for served in [false, true] {
            for leaving in [false, true] {
                let own = MemberRecord { served, leaving, ..member(1) };
                assert_eq!(judge(&record(own, &[9]), 2, &held), begins(1, false));
            }
        }
    }

    #[test] // Zab: what a voter acknowledged must be on its disk
    fn a_member_that_served_never_begins_with_an_empty_disk() {
        let served = |place| MemberRecord { served: true, ..member(place) };
        waits(&record(served(0), &[2, 9]), &[], "is gone");
        waits(&record(served(1), &[9]), &[(0, Held::Own)], "served with disk-1");
        assert_eq!(judge(&record(member(1), &[9]), 2, &BTreeMap::new()), begins(1, false), "let in anew");
    }

    #[test]
    fn disks_of_others_and_damaged_ones_are_left_alone() {
        let foreign = Held::Foreign("belongs to cluster 7".to_owned());
        waits(&record(member(0), &[2, 9]), &[(0, foreign)], "disk-0 belongs to cluster 7");
        let damaged = Held::Damaged("both copies are damaged".to_owned());
        waits(&record(member(0), &[2, 9]), &[(0, damaged)], "both copies are damaged");
    }

    #[test]
    fn a_record_that_is_older_than_the_volume_is_not_believed() {
        waits(&record(member(0), &[2, 9]), &[(1, Held::Own)], "older than the volume");
        waits(&record(member(0), &[2, 9]), &[(0, Held::Own), (3, Held::Own)], "disk-3");
    }

    #[test]
    fn a_member_that_leaves_need_not_begin() {
        let own = MemberRecord { leaving: true, ..member(0) };
        waits(&record(own, &[9]), &[], "need not begin");
    }
}
