//! Who leads a partition that nobody is known to be safe for: all its replicas lost power, or those in sync are gone.
//!
//! Each acknowledged record is on the disks of at least [`Partition::flushed_by`] of the n replicas. So of any `n - flushed_by + 1`
//! disks at least one holds it, and the one that reaches furthest holds all of them: among replicas that have everything with
//! which a term began ([`LogReport::settled`]), and then follow one leader, the longer log contains the shorter one; a later
//! term began with all that was acknowledged before it. Disks that were replaced hold nothing and are not asked.
//!
//! Must not know: time. Reports are part of the image, so a new quorum leader goes on where the old one stopped. Read first:
//! [`recovery`], [`Recovery`].

use std::fmt;

use streamkeeper_base::MemberId;

use crate::election::candidate;
use crate::image::{ClusterImage, LogReport, Partition};

/// What becomes of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It is led, or somebody in sync can lead it.
    Led,
    /// Of those that reported this one holds everything that was acknowledged.
    Elect(MemberId),
    /// Somebody must come back first.
    Wait(Wait),
}

/// Why a partition has no leader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// Replicas that must report what their disks hold.
    pub needed: usize,
    /// Those that did, and are here.
    pub reported: Vec<MemberId>,
    /// Those that are here and have not yet.
    pub expected: Vec<MemberId>,
    /// Those that are away.
    pub away: Vec<MemberId>,
    /// Those whose disk was replaced: it holds nothing that counts.
    pub lost: Vec<MemberId>,
    /// Those that were in sync when they left: if one comes back with its disk as it was, it leads at once.
    pub in_sync: Vec<MemberId>,
}

/// Decides. Members that were in sync are waited for even when enough others reported, unless `is_patient` is false: records that were
/// acknowledged by the leader alone (acks=1) are on their disks only.
pub fn recovery(image: &ClusterImage, partition: &Partition, is_patient: bool) -> Recovery {
    if partition.leader.is_some() || candidate(image, partition, None).is_some() {
        return Recovery::Led;
    }
    let is_live = |id: &MemberId| image.members.get(id).is_some_and(|member| member.live);
    let reported: Vec<&LogReport> = partition
        .replicas
        .iter()
        .filter(|id| is_live(id) && !partition.lost.contains(id))
        .filter_map(|id| partition.reports.iter().find(|report| report.member == *id))
        .collect();
    let needed = (partition.replicas.len() + 1).saturating_sub(partition.flushed_by.max(1));
    let in_sync: Vec<MemberId> = partition.isr.iter().chain(&partition.elr).copied().collect();
    // The first among equals is the preferred replica.
    let best = reported.iter().rev().max_by_key(|report| (report.settled, report.end));
    if reported.len() >= needed
        && (in_sync.is_empty() || !is_patient)
        && let Some(best) = best
    {
        return Recovery::Elect(best.member);
    }
    let mut wait = Wait {
        needed,
        reported: reported.iter().map(|report| report.member).collect(),
        lost: partition.lost.clone(),
        in_sync,
        ..Wait::default()
    };
    for id in &partition.replicas {
        if !wait.lost.contains(id) && !wait.reported.contains(id) {
            if is_live(id) { &mut wait.expected } else { &mut wait.away }.push(*id);
        }
    }
    Recovery::Wait(wait)
}

impl ClusterImage {
    /// Partitions without a leader and why, one sentence each, as many as are asked for.
    pub fn leaderless(&self, at_most: usize) -> Vec<String> {
        let waiting = |partition: &Partition| match recovery(self, partition, true) {
            Recovery::Wait(wait) => Some(wait),
            Recovery::Led | Recovery::Elect(_) => None,
        };
        self.partitions()
            .filter(|(_, _, partition)| partition.leader.is_none())
            .filter_map(|(tp, topic, partition)| {
                Some(format!("{}-{} has no leader: {}", topic.name, tp.partition, waiting(partition)?))
            })
            .take(at_most)
            .collect()
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |ids: &[MemberId]| ids.iter().map(MemberId::to_string).collect::<Vec<_>>().join(", ");
        let reachable = self.reported.len() + self.expected.len() + self.away.len();
        if reachable < self.needed && self.in_sync.is_empty() {
            return write!(
                f,
                "of {} disks that may hold acknowledged records {} are needed; those of {} were replaced. Put one of them back",
                reachable + self.lost.len(),
                self.needed,
                list(&self.lost)
            );
        }
        write!(f, "{} of {} replicas reported what their disks hold", self.reported.len(), self.needed)?;
        if !self.away.is_empty() {
            write!(f, "; away: {}", list(&self.away))?;
        }
        if !self.lost.is_empty() {
            write!(f, "; disk replaced: {}", list(&self.lost))?;
        }
        if !self.in_sync.is_empty() {
            write!(f, "; last in sync: {}", list(&self.in_sync))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use streamkeeper_base::{LeaderEpoch, Offset};

    use super::*;
    use crate::image::Member;

    fn ids(list: &[i32]) -> Vec<MemberId> {
        list.iter().map(|id| MemberId(*id)).collect()
    }

    struct Case {
        what: &'static str,
        flushed_by: usize,
        live: &'static [i32],
        isr: &'static [i32],
        elr: &'static [i32],
        lost: &'static [i32],
        /// Member, settled term, durable end.
        reports: &'static [(i32, i32, i64)],
        is_patient: bool,
        /// The member elected, or `None`.
        elected: Option<i32>,
        /// A piece of the sentence that says why nobody is.
        says: &'static str,
    }

    const USUAL: Case = Case {
        what: "",
        flushed_by: 2,
        live: &[0, 1, 2],
        isr: &[],
        elr: &[],
        lost: &[],
        reports: &[],
        is_patient: true,
        elected: None,
        says: "",
    };

    #[test] // broker.md, Replication 5
    fn the_rule_as_a_table() {
        let cases = [
            Case { what: "nobody reported", says: "0 of 2 replicas reported", ..USUAL },
            Case {
                what: "one report may lack what the two others flushed",
                reports: &[(0, 3, 50)],
                live: &[0, 1],
                says: "1 of 2 replicas reported what their disks hold; away: 2",
                ..USUAL
            },
            Case {
                what: "two of three meet every pair that flushed",
                reports: &[(0, 3, 50), (1, 3, 60)],
                elected: Some(1),
                ..USUAL
            },
            Case {
                what: "a later term began with all that was acknowledged before it",
                reports: &[(0, 4, 50), (1, 3, 60)],
                elected: Some(0),
                ..USUAL
            },
            Case {
                what: "the preferred replica is the first among equals",
                reports: &[(2, 3, 50), (1, 3, 50)],
                elected: Some(1),
                ..USUAL
            },
            Case {
                what: "acknowledged by one flush: every disk is needed",
                flushed_by: 1,
                reports: &[(0, 3, 50), (1, 3, 60)],
                says: "2 of 3",
                ..USUAL
            },
            Case {
                what: "acknowledged by all flushes: any disk will do",
                flushed_by: 3,
                reports: &[(2, 3, 50)],
                elected: Some(2),
                ..USUAL
            },
            Case {
                what: "who reported and went away again cannot lead, nor be passed over",
                live: &[0, 2],
                reports: &[(0, 3, 50), (1, 3, 60)],
                says: "1 of 2 replicas reported what their disks hold; away: 1",
                ..USUAL
            },
            Case {
                what: "a replaced disk holds nothing that counts",
                lost: &[1],
                reports: &[(0, 3, 50), (1, 9, 99)],
                says: "1 of 2 replicas reported what their disks hold; disk replaced: 1",
                ..USUAL
            },
            Case {
                what: "two disks of three are gone for good: what both flushed may be gone with them",
                lost: &[1, 2],
                reports: &[(0, 3, 50)],
                says: "of 3 disks that may hold acknowledged records 2 are needed; those of 1, 2 were replaced. Put one of them back",
                ..USUAL
            },
            Case {
                what: "the last in sync may come back: its acks=1 records are waited for",
                live: &[0, 1],
                isr: &[2],
                reports: &[(0, 3, 50), (1, 3, 60)],
                says: "2 of 2 replicas reported what their disks hold; away: 2; last in sync: 2",
                ..USUAL
            },
            Case {
                what: "but not for ever",
                live: &[0, 1],
                elr: &[2],
                reports: &[(0, 3, 50), (1, 3, 60)],
                is_patient: false,
                elected: Some(1),
                ..USUAL
            },
            Case {
                what: "patience does not make fewer reports enough",
                live: &[0, 1],
                elr: &[2],
                reports: &[(0, 3, 50)],
                is_patient: false,
                says: "1 of 2",
                ..USUAL
            },
        ];
        for case in cases {
            let mut image = ClusterImage::default();
            for id in 0..3 {
                let member = Member { live: case.live.contains(&id), ..Member::default() };
                image.members.insert(MemberId(id), member);
            }
            let report = |(id, settled, end): &(i32, i32, i64)| LogReport {
                member: MemberId(*id),
                settled: LeaderEpoch(*settled),
                end: Offset(*end),
            };
            let partition = Partition {
                replicas: ids(&[0, 1, 2]),
                isr: ids(case.isr),
                elr: ids(case.elr),
                lost: ids(case.lost),
                flushed_by: case.flushed_by,
                reports: case.reports.iter().map(report).collect(),
                ..Partition::default()
            };
            match (recovery(&image, &partition, case.is_patient), case.elected) {
                (Recovery::Elect(found), Some(expected)) => {
                    assert_eq!(found, MemberId(expected), "{}", case.what)
                }
                (Recovery::Wait(wait), None) => {
                    assert!(wait.to_string().contains(case.says), "{}: {wait}", case.what);
                }
                (found, expected) => panic!("{}: {found:?} instead of {expected:?}", case.what),
            }
        }
    }

    #[test] // KIP-966: a live member of ISR or ELR leads at once
    fn who_is_in_sync_needs_no_reports() {
        let mut image = ClusterImage::default();
        image.members.insert(MemberId(1), Member { live: true, ..Member::default() });
        for (isr, elr) in [(ids(&[1]), ids(&[])), (ids(&[]), ids(&[1]))] {
            let partition =
                Partition { replicas: ids(&[0, 1, 2]), isr, elr, flushed_by: 2, ..Partition::default() };
            assert_eq!(recovery(&image, &partition, true), Recovery::Led);
        }
    }
}
