//! Replication's invariants: what was shown stays, whoever leads has it, enough disks hold what is acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use streamkeeper_base::batch::{BatchHeader, headers};
use streamkeeper_base::{LeaderEpoch, MemberId, Offset, TopicPartition, Zxid};
use streamkeeper_controller::ClusterImage;
use streamkeeper_member::broker::Broker;
use streamkeeper_storage::disk::Crash;
use streamkeeper_storage::partition_log::PartitionLog;

use crate::host::Host;

/// A committed batch, as far as it tells one from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Batch {
    end: Offset,
    crc: u32,
    leader_epoch: LeaderEpoch,
}

/// What is known of one partition.
#[derive(Default)]
struct Committed {
    /// By base offset.
    batches: BTreeMap<Offset, Batch>,
    end: Offset,
    /// The newest term that was seen leading, and who leads it.
    term: Option<(LeaderEpoch, MemberId)>,
    /// The next sequence number of each idempotent producer.
    sequences: BTreeMap<(i64, i16), i32>,
}

/// What one replica claimed last; a crash must not take what it allows.
#[derive(Clone, Copy, Debug, Default)]
struct Claim {
    end: Offset,
    durable: Offset,
    /// The claim is from before the last crash and was not compared yet.
    crashed: Option<Crash>,
}

/// The checker.
pub(crate) struct Replication {
    min_insync: usize,
    partitions: BTreeMap<TopicPartition, Committed>,
    claims: BTreeMap<(MemberId, TopicPartition), Claim>,
    newest: Option<(Zxid, Arc<ClusterImage>)>,
    pub(crate) terms: u64,
}

impl Replication {
    pub(crate) fn new(min_insync: usize) -> Self {
        Self { min_insync, partitions: BTreeMap::new(), claims: BTreeMap::new(), newest: None, terms: 0 }
    }

    pub(crate) fn newest_image(&self) -> Option<Arc<ClusterImage>> {
        self.newest.as_ref().map(|(_, image)| image.clone())
    }

    pub(crate) fn started(&mut self, _member: MemberId) {}

    pub(crate) fn crashed(&mut self, member: MemberId, crash: Crash) {
        for ((of, _), claim) in &mut self.claims {
            if *of == member {
                // A power cut before the comparison of a kill takes what the kill would have left.
                let power = crash == Crash::Power || claim.crashed == Some(Crash::Power);
                claim.crashed = Some(if power { Crash::Power } else { Crash::Process });
            }
        }
    }

    /// A committed image: epochs rise, nobody outside the replicas is in sync or leads (K11, K17, K18).
    pub(crate) fn image(&mut self, zxid: Zxid, image: &Arc<ClusterImage>) {
        if let Some((newest, known)) = &self.newest {
            if *newest >= zxid || Arc::ptr_eq(known, image) {
                return;
            }
            for (tp, _, before) in known.partitions() {
                let Some(now) = image.partition(tp) else { continue };
                assert!(now.leader_epoch >= before.leader_epoch, "K11: the term of {tp} falls");
                assert!(now.partition_epoch >= before.partition_epoch, "K17: the epoch of {tp} falls");
                let changed = now.isr != before.isr || now.leader != before.leader;
                assert!(
                    !changed || now.partition_epoch > before.partition_epoch,
                    "K17: {tp} changes without a new partition epoch"
                );
                assert!(
                    now.leader == before.leader || now.leader_epoch > before.leader_epoch,
                    "K11: {tp} changes its leader within a term"
                );
                let factor = before.replicas.len() - before.adding.len();
                assert!(
                    now.replicas.len() >= factor.min(before.replicas.len() - before.removing.len()),
                    "K18: {tp} has {} replicas, before {factor}",
                    now.replicas.len()
                );
            }
        }
        for (tp, _, now) in image.partitions() {
            assert!(now.isr.iter().all(|id| now.replicas.contains(id)), "K18: {tp}: {now:?}");
            assert!(
                now.leader.is_none_or(|id| now.isr.contains(&id)),
                "K1: {tp} is led from outside: {now:?}"
            );
        }
        self.newest = Some((zxid, image.clone()));
    }

    /// After any event of a member's broker.
    pub(crate) fn after(&mut self, member: MemberId, broker: &Broker, hosts: &[Host]) {
        // A replica that was moved away is gone with its files; one that was not opened since a crash is still to come.
        self.claims.retain(|(of, tp), claim| {
            let image = broker.image().partition(*tp);
            let may_come = claim.crashed.is_some() && image.is_none_or(|p| p.replicas.contains(&member));
            *of != member || broker.replica(*tp).is_some() || may_come
        });
        for (tp, partition, log) in broker.replicas() {
            let (high_watermark, progress) = (partition.high_watermark(), partition.progress());
            assert!(
                log.log_start() <= high_watermark,
                "K10: {member} {tp}: log start above the high watermark"
            );
            assert!(
                high_watermark <= log.end(),
                "K10: {member} {tp}: high watermark {high_watermark} above the end"
            );
            let claim = self.claims.entry((member, tp)).or_default();
            if let Some(crash) = claim.crashed.take() {
                reopened(member, tp, *claim, crash, log);
            }
            *claim = Claim { end: log.end(), durable: progress.durable, crashed: None };
            if partition.leads() {
                let epoch = partition.assignment().leader_epoch;
                self.led(member, tp, epoch, log);
                let isr = partition.maximal_isr();
                self.shown(member, tp, epoch, partition.visible_end(), log, &isr, hosts);
            }
        }
    }

    /// A new term's leader has everything that was ever shown or acknowledged (K1).
    fn led(&mut self, member: MemberId, tp: TopicPartition, epoch: LeaderEpoch, log: &PartitionLog) {
        let committed = self.partitions.entry(tp).or_default();
        if let Some((known, leader)) = committed.term {
            if known == epoch {
                assert_eq!(leader, member, "K11: two leaders of {tp} in term {epoch}");
            }
            if known >= epoch {
                return;
            }
        }
        committed.term = Some((epoch, member));
        self.terms += 1;
        assert!(
            log.end() >= committed.end,
            "K1: {member} leads {tp} in term {epoch} up to {}, {} were committed",
            log.end(),
            committed.end
        );
        compare(member, tp, committed, log);
        check_epochs(member, tp, log);
    }

    #[allow(clippy::too_many_arguments, reason = "one look at one replica")]
    fn shown(
        &mut self,
        member: MemberId,
        tp: TopicPartition,
        epoch: LeaderEpoch,
        visible: Option<Offset>,
        log: &PartitionLog,
        isr: &[MemberId],
        hosts: &[Host],
    ) {
        let Some(visible) = visible else { return };
        let committed = self.partitions.entry(tp).or_default();
        if visible < committed.end {
            let is_newest = committed.term.is_some_and(|(known, _)| known == epoch);
            assert!(
                !is_newest,
                "K9: {member} shows {tp} up to {visible}, {} were shown before",
                committed.end
            );
            return;
        }
        if visible == committed.end {
            return;
        }
        let from = committed.end;
        for header in batches(log, from, visible) {
            assert_eq!(header.base_offset, committed.end, "K13: {member} {tp}: a gap or an overlap");
            follow_sequence(&mut committed.sequences, tp, &header);
            let batch = Batch { end: header.end(), crc: header.crc, leader_epoch: header.leader_epoch };
            committed.batches.insert(header.base_offset, batch);
            committed.end = header.end();
        }
        assert_eq!(committed.end, visible, "K13: {member} {tp}: the high watermark is inside a batch");
        self.held(member, tp, visible, isr, hosts);
    }

    /// Enough replicas have it on disk (K16), every member in sync has it at all (K2).
    fn held(&self, leader: MemberId, tp: TopicPartition, end: Offset, isr: &[MemberId], hosts: &[Host]) {
        let claim = |id: MemberId| self.claims.get(&(id, tp)).copied().unwrap_or_default();
        let on_disk = isr.iter().filter(|id| claim(**id).durable >= end).count();
        let topic = self.newest.as_ref().and_then(|(_, image)| image.topic_by_id(tp.topic).cloned());
        let needed = topic.map_or(self.min_insync, |t| t.min_insync());
        assert!(
            on_disk >= needed,
            "K16: {leader} shows {tp} up to {end}, which {on_disk} of {isr:?} have on disk, {needed} are needed"
        );
        let Some(partition) = self.newest.as_ref().and_then(|(_, image)| image.partition(tp)) else { return };
        for id in &partition.isr {
            let is_lossy = hosts.iter().any(|h| h.id == *id && h.is_lossy);
            assert!(
                claim(*id).end >= end || is_lossy,
                "K2: {id} is in sync and has {tp} up to {}, {end} is committed",
                claim(*id).end
            );
        }
    }

    /// What was committed of each partition.
    pub(crate) fn committed_end(&self, tp: TopicPartition) -> Offset {
        self.partitions.get(&tp).map_or(Offset::ZERO, |c| c.end)
    }

    /// At the end every replica has what was committed, the same everywhere (K4, K7).
    pub(crate) fn verify(&self, member: MemberId, tp: TopicPartition, log: &PartitionLog) {
        if let Some(committed) = self.partitions.get(&tp) {
            assert!(log.end() >= committed.end, "K7: {member} lacks what was committed of {tp}");
            compare(member, tp, committed, log);
            check_epochs(member, tp, log);
        }
    }
}

/// A log that was opened again has what its last run relied on.
fn reopened(member: MemberId, tp: TopicPartition, claim: Claim, crash: Crash, log: &PartitionLog) {
    let kept = match crash {
        Crash::Process => claim.end,
        Crash::Power => claim.durable,
    };
    assert!(
        log.end() >= kept,
        "{member} has {tp} up to {} after a crash ({crash:?}) that must keep {kept}",
        log.end()
    );
}

fn compare(member: MemberId, tp: TopicPartition, committed: &Committed, log: &PartitionLog) {
    let from = log.log_start();
    for header in batches(log, from, committed.end) {
        let batch = Batch { end: header.end(), crc: header.crc, leader_epoch: header.leader_epoch };
        let known = committed.batches.get(&header.base_offset);
        assert_eq!(known, Some(&batch), "K4: {member} holds another batch of {tp} at {}", header.base_offset);
    }
}

/// The epochs that a log knows are those of its batches (K12).
fn check_epochs(member: MemberId, tp: TopicPartition, log: &PartitionLog) {
    let mut derived: Vec<(LeaderEpoch, Offset)> = Vec::new();
    for header in batches(log, log.log_start(), log.end()) {
        if derived.last().is_none_or(|(epoch, _)| *epoch < header.leader_epoch) {
            derived.push((header.leader_epoch, header.base_offset));
        }
    }
    for (epoch, start) in &derived {
        let known = log.epochs().iter().find(|(e, _)| e == epoch);
        assert!(
            known.is_some_and(|(_, s)| s <= start),
            "K12: {member} {tp}: epoch {epoch} begins at {start}, its log says {:?}",
            log.epochs()
        );
    }
}

fn batches(log: &PartitionLog, from: Offset, to: Offset) -> Vec<BatchHeader> {
    let mut found = Vec::new();
    let mut at = from;
    while at < to {
        let chunk = log.read(at, to, 1 << 20).expect("a readable log");
        let before = at;
        for piece in &chunk.pieces {
            let piece: &Bytes = piece;
            for (_, header) in headers(piece) {
                at = header.end();
                found.push(header);
            }
        }
        assert!(at > before, "a log that ends at {to} gives nothing at {at}");
    }
    found
}

/// An idempotent producer's batches follow one another (K14).
fn follow_sequence(sequences: &mut BTreeMap<(i64, i16), i32>, tp: TopicPartition, header: &BatchHeader) {
    if !header.is_idempotent() {
        return;
    }
    let next = sequences.entry((header.producer_id.0, header.producer_epoch.0)).or_default();
    assert_eq!(
        header.base_sequence, *next,
        "K14: {tp} has sequence {} of producer {} where {next} follows",
        header.base_sequence, header.producer_id
    );
    *next = header.last_sequence() + 1;
}
