//! Zab's invariants: one order, one leader per epoch, commits that a quorum has on disk, the same state at the same zxid.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use crc_fast::{CrcAlgorithm, checksum};
use streamkeeper_base::{MemberId, ZabEpoch, Zxid};
use streamkeeper_controller::ClusterImage;
use streamkeeper_member::coordination::Coordination;
use streamkeeper_member::io::{Output, Ticket};
use streamkeeper_member::message::FromCoordination;
use streamkeeper_member::record;
use streamkeeper_zab::{Entry, LogRecord, Membership, Payload, RoleName};

use crate::host::Host;

/// What one member's disk is known to hold.
#[derive(Default)]
struct Durable {
    promised: ZabEpoch,
    current: ZabEpoch,
    /// Everything up to here is in a snapshot.
    base: Zxid,
    entries: BTreeMap<Zxid, u64>,
    /// Appended, not flushed.
    pending: VecDeque<(Ticket, LogRecord)>,
}

/// What one member was last seen with.
#[derive(Default)]
struct Seen {
    /// Its committed prefix is checked up to here.
    checked: Zxid,
    delivered: Zxid,
    image: Option<Arc<ClusterImage>>,
    image_hash: u64,
}

/// The checker.
#[derive(Default)]
pub(crate) struct Ensemble {
    /// The one order of committed entries.
    order: BTreeMap<Zxid, u64>,
    leaders: BTreeMap<ZabEpoch, MemberId>,
    /// The state's digest at a zxid, and who had it first.
    digests: BTreeMap<Zxid, (u64, u64, MemberId)>,
    durable: BTreeMap<MemberId, Durable>,
    seen: BTreeMap<MemberId, Seen>,
    /// The membership of the newest committed configuration.
    membership: (Zxid, Membership),
}

impl Ensemble {
    pub(crate) fn committed(&self) -> usize {
        self.order.len()
    }

    /// The newest committed entry.
    pub(crate) fn last_committed(&self) -> Zxid {
        self.order.keys().next_back().copied().unwrap_or(Zxid::ZERO)
    }

    pub(crate) fn epochs_led(&self) -> usize {
        self.leaders.len()
    }

    /// A member came up: its promises are kept (Z10), what it had on disk is there.
    pub(crate) fn started(&mut self, host: &Host) {
        let Some(process) = &host.process else { return };
        let zab = process.coordination.zab();
        let durable = self.durable.entry(host.id).or_default();
        assert!(
            zab.promised() >= durable.promised,
            "Z10: {} forgets the promise {}",
            host.id,
            durable.promised
        );
        assert!(zab.epoch() >= durable.current, "Z10: {} forgets the epoch {}", host.id, durable.current);
        let base = zab.log_base();
        let entries: BTreeMap<Zxid, u64> = zab.logged_after(base).map(|e| (e.zxid, hash(e))).collect();
        for (zxid, known) in durable.entries.range((Excluded(base), Unbounded)) {
            // A cut that was appended and not reported may have reached the disk as well.
            let cut = durable.pending.iter().any(|(_, r)| matches!(r, LogRecord::Truncate(to) if zxid > to));
            let reset =
                durable.pending.iter().any(|(_, r)| matches!(r, LogRecord::Base { resets: true, .. }));
            assert!(
                entries.get(zxid) == Some(known) || cut || reset,
                "Z9: {} lost {zxid:?}, which was flushed",
                host.id
            );
        }
        *durable = Durable {
            promised: zab.promised(),
            current: zab.epoch(),
            base,
            entries,
            pending: VecDeque::new(),
        };
        let seen = Seen { checked: base, delivered: Zxid::ZERO, image: None, image_hash: 0 };
        self.seen.insert(host.id, seen);
    }

    /// Appends reached the disk.
    pub(crate) fn persisted(&mut self, member: MemberId, ticket: Ticket) {
        let durable = self.durable.entry(member).or_default();
        while let Some((_, record)) = durable.pending.pop_front_if(|(at, _)| *at <= ticket) {
            match record {
                LogRecord::Promise(epoch) => durable.promised = durable.promised.max(epoch),
                LogRecord::NewLeader(epoch) => durable.current = durable.current.max(epoch),
                LogRecord::Entry(entry) => {
                    durable.entries.insert(entry.zxid, hash(&entry));
                }
                LogRecord::Truncate(to) => durable.entries.retain(|zxid, _| *zxid <= to),
                LogRecord::Base { snapshot, resets, .. } => {
                    if resets {
                        durable.entries.clear();
                        durable.base = snapshot.zxid;
                    }
                }
            }
        }
    }

    pub(crate) fn after(
        &mut self,
        member: MemberId,
        coordination: &Coordination,
        outputs: &[Output<FromCoordination>],
    ) {
        self.appended(member, outputs);
        let zab = coordination.zab();
        assert!(zab.last_delivered() <= zab.last_logged().max(zab.log_base()), "Z12: {member}");
        self.extend_order(member, coordination);
        if zab.role() == RoleName::Leading {
            self.leads(member, zab.epoch(), zab.last_committed());
        }
        self.compare_state(member, coordination);
    }

    fn appended(&mut self, member: MemberId, outputs: &[Output<FromCoordination>]) {
        let durable = self.durable.entry(member).or_default();
        for output in outputs {
            let Output::Append { ticket, kind: record::ZAB, payload } = output else { continue };
            let bytes: bytes::Bytes = payload.concat().into();
            let decoded = LogRecord::decode(bytes).expect("our own record");
            if let LogRecord::Truncate(to) = decoded {
                for (zxid, _) in self.order.range((Excluded(to), Unbounded)) {
                    let held = durable.entries.get(zxid) == self.order.get(zxid);
                    assert!(!held, "Z15: {member} cuts {zxid:?}, which is committed");
                }
            }
            durable.pending.push_back((*ticket, decoded));
        }
    }

    /// What a member knows to be committed is the one order (Z2, Z4, Z5, Z7, Z11, Z16), and a quorum has it on disk (Z9, Z21).
    fn extend_order(&mut self, member: MemberId, coordination: &Coordination) {
        let zab = coordination.zab();
        let seen = self.seen.entry(member).or_default();
        if zab.log_base() > seen.checked {
            // Installed from a snapshot, or trimmed from memory: the digest speaks for it.
            seen.checked = zab.log_base();
        }
        if zab.last_committed() <= seen.checked {
            return;
        }
        let (mut previous, committed) = (seen.checked, zab.last_committed());
        let entries: Vec<Entry> =
            zab.logged_after(previous).take_while(|e| e.zxid <= committed).cloned().collect();
        seen.checked = committed;
        for entry in entries {
            let follows = entry.zxid == previous.next()
                || (entry.zxid.epoch() > previous.epoch() && entry.zxid.counter() == 1);
            assert!(follows, "Z11: {member} has {:?} after {previous:?}", entry.zxid);
            previous = entry.zxid;
            self.commit(member, &entry);
        }
    }

    fn commit(&mut self, member: MemberId, entry: &Entry) {
        let content = hash(entry);
        if let Some(known) = self.order.get(&entry.zxid) {
            assert_eq!(*known, content, "Z4, Z16: {member} has another entry at {:?}", entry.zxid);
            return;
        }
        if let Some((last, _)) = self.order.last_key_value() {
            assert!(*last < entry.zxid, "Z5, Z7: {member} commits {:?} after {last:?}", entry.zxid);
        }
        self.order.insert(entry.zxid, content);
        if let Payload::Config(membership) = &entry.payload {
            self.membership = (entry.zxid, membership.clone());
        }
        let on_disk: BTreeSet<MemberId> = self
            .durable
            .iter()
            .filter(|(_, d)| d.base >= entry.zxid || d.entries.get(&entry.zxid) == Some(&content))
            .map(|(id, _)| *id)
            .collect();
        if !self.membership.1.members.is_empty() {
            assert!(
                self.membership.1.is_quorum(&on_disk),
                "Z9, Z21: {:?} is committed, but only {on_disk:?} have it on disk",
                entry.zxid
            );
        }
    }

    /// Who votes at the begin.
    pub(crate) fn bootstrap(&mut self, membership: Membership) {
        self.membership = (Zxid::ZERO, membership);
    }

    fn leads(&mut self, member: MemberId, epoch: ZabEpoch, committed: Zxid) {
        if let Some(known) = self.leaders.get(&epoch) {
            assert_eq!(*known, member, "Z1: two leaders in epoch {epoch}");
            return;
        }
        self.leaders.insert(epoch, member);
        let earlier = self.order.range(..Zxid::new(epoch, 0)).next_back();
        if let Some((zxid, _)) = earlier {
            assert!(committed >= *zxid, "Z8: {member} leads epoch {epoch} without {zxid:?}");
        }
    }

    /// The same zxid, the same state (Z17), the same sessions and ephemerals (Z18).
    fn compare_state(&mut self, member: MemberId, coordination: &Coordination) {
        if !coordination.zab().role().serves() {
            // A state that was sent whole counts from when it is on disk; until then nobody is served from the old one.
            return;
        }
        let zxid = coordination.zab().last_delivered();
        let seen = self.seen.entry(member).or_default();
        if zxid == seen.delivered {
            return;
        }
        seen.delivered = zxid;
        let image = coordination.image();
        if seen.image.as_ref().is_none_or(|known| !Arc::ptr_eq(known, image)) {
            seen.image = Some(image.clone());
            seen.image_hash = checksum(CrcAlgorithm::Crc32Iscsi, &image.encode());
        }
        let tree = coordination.tree();
        let owned: usize = tree.sessions().map(|(id, _)| tree.ephemerals(id).count()).sum();
        assert_eq!(owned, tree.ephemeral_count(), "Z18: {member} has ephemerals without a live session");
        let state = (tree.digest(), seen.image_hash);
        let (tree, image, who) = *self.digests.entry(zxid).or_insert((state.0, state.1, member));
        assert_eq!((tree, image), state, "Z17: {member} and {who} differ at {zxid:?}");
    }
}

fn hash(entry: &Entry) -> u64 {
    match &entry.payload {
        Payload::Txn(txn) => checksum(CrcAlgorithm::Crc32Iscsi, txn) | 1 << 32,
        Payload::Config(membership) => {
            let text = format!("{membership:?}");
            checksum(CrcAlgorithm::Crc32Iscsi, text.as_bytes()) | 1 << 33
        }
    }
}
