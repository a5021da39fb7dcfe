//! Members tell the quorum leader about themselves; the leader keeps it, and gathers the facts when somebody asks how things stand.
//!
//! Read first: [`Survey`] (the leader's side), [`Reporting`] (everyone's).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use streamkeeper_base::{Address, Instant, MemberId, TopicPartition};
use streamkeeper_controller::{ClusterImage, Partition};
use streamkeeper_zab as zab;

use super::Coordination;
use super::forward::{self, Response};
use crate::control::progress::copied_bytes;
use crate::control::{Facts, MemberFacts, Report, Said};
use crate::message::Holdings;

/// A member tells the quorum leader about itself this often.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// The rate of moves is measured over this time.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// What a member has to tell, and has told.
#[derive(Debug, Default)]
pub(super) struct Reporting {
    holdings: Holdings,
    told: BTreeMap<TopicPartition, u64>,
    /// Which leader was told, in which epoch; another one must be told everything.
    told_to: Option<(MemberId, u32)>,
    at: Instant,
}

/// What the quorum leader knows of the others.
#[derive(Debug, Default)]
pub(super) struct Survey {
    said: BTreeMap<MemberId, Said>,
    sizes: BTreeMap<MemberId, BTreeMap<TopicPartition, u64>>,
    synced_at: BTreeMap<MemberId, Instant>,
    /// What moves had copied, and when: the newest last.
    copied: VecDeque<(Instant, u64)>,
}

impl Survey {
    /// Bytes of one copy of a partition, as far as they are known.
    pub(super) fn bytes_of(&self, tp: TopicPartition, partition: &Partition) -> u64 {
        let on = |id: &MemberId| self.sizes.get(id).and_then(|sizes| sizes.get(&tp)).copied();
        let leader = partition.leader.as_ref().and_then(on);
        leader.or_else(|| partition.replicas.iter().filter_map(on).max()).unwrap_or(0)
    }

    fn reported(&mut self, from: MemberId, report: Report) {
        self.said.insert(from, report.said);
        let sizes = self.sizes.entry(from).or_default();
        if report.is_whole {
            sizes.clear();
        }
        for (tp, bytes) in report.sizes {
            match bytes {
                Some(bytes) => drop(sizes.insert(tp, bytes)),
                None => drop(sizes.remove(&tp)),
            }
        }
    }

    /// Notes how far moves are; a rebalance that began anew begins at nothing.
    fn note_copied(&mut self, now: Instant, copied: u64) {
        if self.copied.back().is_some_and(|(_, before)| *before > copied) {
            self.copied.clear();
        }
        self.copied.push_back((now, copied));
        while self.copied.front().is_some_and(|(at, _)| now.since(*at) > RATE_WINDOW) {
            self.copied.pop_front();
        }
    }

    fn copied_per_second(&self) -> u64 {
        let Some(((from, before), (to, after))) = self.copied.front().zip(self.copied.back()) else {
            return 0;
        };
        let ms = u64::try_from(to.since(*from).as_millis()).unwrap_or(u64::MAX);
        ((after - before).saturating_mul(1000)).checked_div(ms).unwrap_or(0)
    }
}

impl Coordination {
    /// The broker machine says what this member holds.
    pub(super) fn holds(&mut self, holdings: Holdings) {
        self.reporting.holdings = holdings;
    }

    /// Tells the quorum leader about this member, when it is time.
    pub(super) fn tell_report(&mut self) {
        let now = self.clocks.now;
        let Some(leader) = self.zab.leader().filter(|_| now >= self.reporting.at) else { return };
        self.reporting.at = now + REPORT_EVERY;
        let report = self.next_report(leader);
        if leader == self.config.member {
            self.reported_by(leader, report);
        } else {
            self.send(leader, forward::REPORT, report.encode());
        }
        let image = &self.image;
        if let Some(leading) = &mut self.leading {
            let copied = copied_bytes(image, &leading.survey.sizes);
            leading.survey.note_copied(now, copied);
        }
    }

    fn next_report(&mut self, leader: MemberId) -> Report {
        let zab_epoch = self.zab.epoch().0;
        let to = Some((leader, zab_epoch));
        let is_whole = self.reporting.told_to != to;
        let Reporting { holdings, told, told_to, .. } = &mut self.reporting;
        if is_whole {
            told.clear();
            *told_to = to;
        }
        let changed = holdings.sizes.iter().filter(|(tp, bytes)| told.get(tp) != Some(bytes));
        let mut sizes: Vec<_> = changed.map(|(tp, bytes)| (*tp, Some(*bytes))).collect();
        sizes.extend(told.keys().filter(|tp| !holdings.sizes.contains_key(tp)).map(|tp| (*tp, None)));
        told.clone_from(&holdings.sizes);
        let said = Said {
            zab_epoch,
            zxid: self.applied,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            bytes: holdings.sizes.values().sum(),
            disk_free_bytes: holdings.disk_free_bytes,
        };
        Report { said, is_whole, sizes }
    }

    /// A link that broke may have lost a report: the next one is whole.
    pub(super) fn forget_told(&mut self, peer: MemberId) {
        if self.reporting.told_to.is_some_and(|(leader, _)| leader == peer) {
            self.reporting.told_to = None;
        }
    }

    pub(super) fn reported_by(&mut self, from: MemberId, report: Report) {
        if let Some(leading) = &mut self.leading {
            leading.survey.reported(from, report);
        }
    }

    /// Who is synced now is remembered for when it is not any more.
    pub(super) fn note_synced(&mut self) {
        let now = self.clocks.now;
        let synced = self.zab.synced_learners();
        if let Some(leading) = &mut self.leading {
            leading.survey.synced_at.extend(synced.into_iter().map(|id| (id, now)));
        }
    }

    /// A round has confirmed that this member leads: what it knows now counts.
    pub(super) fn surveyed(&mut self, origin: MemberId, number: u64, with_sizes: bool) {
        let facts = self.survey_facts(with_sizes);
        self.respond(origin, number, Response::Surveyed { after: facts.zxid, facts: facts.encode() });
    }

    /// What the quorum leader knows; nothing on another member.
    pub(super) fn survey_facts(&self, with_sizes: bool) -> Facts {
        let Some(leading) = &self.leading else { return Facts::default() };
        let survey = &leading.survey;
        Facts {
            leader: self.config.member,
            zab_epoch: self.zab.epoch().0,
            zxid: self.applied,
            is_changing: self.zab.is_changing(),
            moved_bytes_per_second: survey.copied_per_second(),
            members: self.members(&self.image, survey),
            sizes: if with_sizes { survey.sizes.clone() } else { BTreeMap::new() },
        }
    }

    fn members(&self, image: &ClusterImage, survey: &Survey) -> BTreeMap<MemberId, MemberFacts> {
        let now = self.clocks.now;
        let synced = self.zab.synced_learners();
        let membership = self.zab.membership();
        let ids = membership.members.keys().chain(image.members.keys());
        ids.map(|id| {
            let known = membership.members.get(id);
            let is_synced = *id == self.config.member || synced.contains(id);
            let last = survey.synced_at.get(id).map(|at| now.since(*at).as_millis());
            let last_synced_ms = if is_synced { Some(0) } else { last.and_then(|ms| u64::try_from(ms).ok()) };
            let address = known.and_then(|m| Address::decode(m.data.clone()).ok());
            let member = MemberFacts {
                is_voter: known.map(|m| m.role == zab::MemberRole::Voter),
                address: address.or_else(|| Some(image.members.get(id)?.address.clone())).unwrap_or_default(),
                is_synced,
                last_synced_ms,
                said: survey.said.get(id).cloned(),
            };
            (*id, member)
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_measured_over_the_last_seconds() {
        let mut survey = Survey::default();
        assert_eq!(survey.copied_per_second(), 0);
        let at = |second: u64| Instant::from_micros(second * 1_000_000);
        for second in 0..30 {
            survey.note_copied(at(second), second * 500);
        }
        assert_eq!(survey.copied_per_second(), 500);
        assert!(survey.copied.len() <= 11, "memory is bounded");
        survey.note_copied(at(30), 10);
        assert_eq!(survey.copied_per_second(), 0, "another rebalance began");
    }

    #[test]
    fn reports_add_up_to_what_a_member_holds() {
        let mut survey = Survey::default();
        let tp = |partition| TopicPartition {
            partition: streamkeeper_base::PartitionId(partition),
            ..TopicPartition::default()
        };
        let report = |is_whole, sizes| Report { is_whole, sizes, ..Report::default() };
        let from = MemberId(1);
        survey.reported(from, report(true, vec![(tp(0), Some(5)), (tp(1), Some(6))]));
        survey.reported(from, report(false, vec![(tp(0), None), (tp(2), Some(7))]));
        assert_eq!(survey.sizes[&from], BTreeMap::from([(tp(1), 6), (tp(2), 7)]));
        survey.reported(from, report(true, vec![]));
        assert!(survey.sizes[&from].is_empty());
    }
}
