//! Replaying the broker's records: what still counts of them is appended to the logs that miss it.
//!
//! A cut is durable in its log before it is written down here, so it is not made again: it only voids what stood in the
//! write-ahead log above it. Must not know: who leads. Read first: [`replay`], [`Surviving`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use streamkeeper_base::codec::Get;
use streamkeeper_base::{LeaderEpoch, Offset, TopicPartition, batch};
use streamkeeper_storage::disk::Disk;
use streamkeeper_storage::partition_log::{Boot, LogConfig, LogError, PartitionLog, Trust, remove_garbage};
use streamkeeper_storage::wal::Replayed;

use super::replicas::read_prefix;
use crate::record;

/// Logs as they are after the write-ahead log was replayed.
pub struct RecoveredLogs {
    pub(super) logs: BTreeMap<TopicPartition, RecoveredLog>,
    /// Partitions whose files are gone while the write-ahead log still tells of them.
    pub(super) voided: BTreeSet<TopicPartition>,
    pub(super) records: u64,
    pub(super) boot: Boot,
}

/// One log, and how far it is on disk together with the write-ahead log.
pub(super) struct RecoveredLog {
    pub(super) log: PartitionLog,
    pub(super) durable: Offset,
}

/// Replays records.
///
/// # Errors
/// The disk refuses, or a log is damaged.
pub fn replay(
    disk: &Arc<dyn Disk>,
    data: &Path,
    boot: Boot,
    records: &[Replayed],
) -> Result<RecoveredLogs, LogError> {
    let topics = data.join("topics");
    let listed =
        disk.list(&topics).and_then(|found| found.iter().try_for_each(|t| remove_garbage(&**disk, t)));
    listed.map_err(|source| LogError::Io { path: topics, source })?;
    let mut surviving: BTreeMap<TopicPartition, Surviving> = BTreeMap::new();
    for replayed in records {
        let mut get = Get(replayed.payload.clone());
        if let Some(tp) = read_prefix(&mut get) {
            surviving.entry(tp).or_default().take(replayed.kind, &mut get);
        }
    }
    let (mut logs, mut voided) = (BTreeMap::new(), BTreeSet::new());
    for (tp, surviving) in surviving {
        let dir = data.join("topics").join(tp.topic.to_string()).join(tp.partition.to_string());
        if !disk.exists(&dir) {
            // The topic was deleted since, or the partition moved away.
            voided.insert(tp);
            continue;
        }
        let mut log = PartitionLog::open(disk.clone(), &dir, LogConfig::default(), Trust::Boot(boot))?;
        let durable = surviving.append_to(&mut log)?;
        logs.insert(tp, RecoveredLog { log, durable });
    }
    Ok(RecoveredLogs { logs, voided, records: records.len() as u64, boot })
}

/// What of one partition's records was not voided by a later one, in the order of offsets.
#[derive(Debug, Default)]
struct Surviving {
    /// Batches, and the offset up to which they count.
    appends: Vec<(Bytes, Offset)>,
    settled: Option<LeaderEpoch>,
}

impl Surviving {
    fn take(&mut self, kind: u8, get: &mut Get) {
        match kind {
            record::PARTITION_APPEND => {
                let mut headers = batch::headers(&get.0).map(|(_, header)| header);
                if let Some(first) = headers.next() {
                    let end = headers.last().unwrap_or(first).end();
                    self.void(first.base_offset);
                    self.appends.push((get.0.clone(), end));
                }
            }
            record::PARTITION_TRUNCATE => {
                if let (Ok(to), Ok(restart)) = (get.i64(), get.bool()) {
                    self.void(if restart { Offset::ZERO } else { Offset(to) });
                }
            }
            record::PARTITION_GONE => *self = Self::default(),
            record::PARTITION_SETTLED => self.settled = get.i32().ok().map(LeaderEpoch).max(self.settled),
            _ => {}
        }
    }

    /// Another history begins at an offset.
    fn void(&mut self, from: Offset) {
        while let Some((_, end)) = self.appends.last_mut().filter(|(_, end)| *end > from) {
            *end = from;
            let first = self.appends.last().and_then(|(bytes, _)| batch::headers(bytes).next());
            if first.is_some_and(|(_, header)| header.end() <= from) {
                return;
            }
            self.appends.pop();
        }
    }

    /// Appends what the log misses; gives the end of what is on disk without a hole.
    fn append_to(self, log: &mut PartitionLog) -> Result<Offset, LogError> {
        if let Some(term) = self.settled {
            log.note_settled(term);
        }
        let mut durable = log.durable_end().get();
        for (bytes, limit) in self.appends {
            let whole: Vec<_> =
                batch::headers(&bytes).take_while(|(_, header)| header.end() <= limit).collect();
            let (Some((_, first)), Some((last_at, last))) = (whole.first(), whole.last()) else { continue };
            // Part of what was one append may be in the segment already.
            if let Some((at, _)) = whole.iter().find(|(_, header)| header.base_offset == log.end()) {
                match log.append(&bytes.slice(*at..last_at + last.size)) {
                    // What does not continue the log stood behind a batch that was lost, and was never acknowledged.
                    Ok(()) | Err(LogError::NotContiguous { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            if first.base_offset <= durable && last.end() <= log.end() {
                durable = durable.max(last.end());
            }
        }
        Ok(durable)
    }
}

#[cfg(test)]
mod tests {
    use streamkeeper_base::{PartitionId, TopicId};
    use streamkeeper_storage::disk::{Crash, SimulatedDisk};
    use streamkeeper_wire::record::Builder;

    use super::super::replicas::prefix;
    use super::*;

    const TP: TopicPartition = TopicPartition { topic: TopicId([1; 16]), partition: PartitionId(0) };

    /// Batches of one record each, from an offset on.
    fn batches(from: i64, to: i64, epoch: i32) -> Bytes {
        let mut bytes = bytes::BytesMut::new();
        for offset in from..to {
            let mut builder = Builder::new(0);
            builder.push(Some(format!("{epoch}").as_bytes()), Some(b"v"));
            let mut one = bytes::BytesMut::from(&builder.finish()[..]);
            batch::assign(&mut one, Offset(offset), LeaderEpoch(epoch));
            bytes.extend_from_slice(&one);
        }
        bytes.freeze()
    }

    fn appended(from: i64, to: i64, epoch: i32) -> (u8, Bytes) {
        (record::PARTITION_APPEND, [&prefix(TP)[..], &batches(from, to, epoch)].concat().into())
    }

    fn cut(to: i64) -> (u8, Bytes) {
        (record::PARTITION_TRUNCATE, [&prefix(TP)[..], &to.to_be_bytes(), &[0]].concat().into())
    }

    struct Case {
        /// What the log's files hold: ranges and their epochs.
        log: &'static [(i64, i64, i32)],
        records: Vec<(u8, Bytes)>,
        /// The epochs of the records that must be there afterwards.
        expected: &'static [i32],
        durable: i64,
    }

    fn run(case: &Case, same_boot: bool) {
        let disk = SimulatedDisk::new(1);
        let dir = Path::new("/data/topics").join(TP.topic.to_string()).join("0");
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let (before, after) = (Boot::of("a"), Boot::of(if same_boot { "a" } else { "b" }));
        let mut log = PartitionLog::open(shared.clone(), &dir, LogConfig::default(), Trust::Boot(before))
            .expect("a good disk");
        for (from, to, epoch) in case.log {
            log.append(&batches(*from, *to, *epoch)).expect("a good disk");
        }
        if !same_boot {
            log.close().expect("a good disk");
        }
        drop(log);
        disk.crash(if same_boot { Crash::Process } else { Crash::Power });
        let records: Vec<Replayed> = (1..)
            .zip(&case.records)
            .map(|(lsn, (kind, payload))| Replayed {
                lsn: streamkeeper_base::Lsn(lsn),
                kind: *kind,
                payload: payload.clone(),
            })
            .collect();
        let mut recovered = replay(&shared, Path::new("/data"), after, &records).expect("a good disk");
        let RecoveredLog { log, durable } = recovered.logs.remove(&TP).expect("its records are there");
        let chunk = log.read(Offset::ZERO, log.end(), 1 << 20).expect("a good disk");
        let found: Vec<i32> = chunk
            .pieces
            .iter()
            .flat_map(|piece| batch::headers(piece).map(|(_, h)| h.leader_epoch.0).collect::<Vec<_>>())
            .collect();
        assert_eq!(found, case.expected);
        if same_boot {
            assert_eq!(durable, Offset(case.durable), "only what a flush or the write-ahead log covers");
        } else {
            assert_eq!(durable, log.end(), "what was read back after a power cut is on disk");
        }
    }

    #[test]
    fn what_still_counts_is_appended_once() {
        let cases = [
            // The segment was written back in part: one append of several batches goes on in its middle.
            Case { log: &[(0, 2, 1)], records: vec![appended(0, 4, 1)], expected: &[1; 4], durable: 4 },
            // Found by reading: an old cut was made again and took what came after it, unless it was small.
            Case {
                log: &[(0, 2, 1), (2, 6, 2)],
                records: vec![appended(0, 4, 1), cut(2)],
                expected: &[1, 1, 2, 2, 2, 2],
                durable: 2,
            },
            // A cut in the middle of an append keeps the front of it.
            Case {
                log: &[],
                records: vec![appended(0, 4, 1), cut(2), appended(2, 3, 2)],
                expected: &[1, 1, 2],
                durable: 3,
            },
            // A large batch is in the segment alone; it was lost, and what stood behind it was never acknowledged.
            Case {
                log: &[(0, 1, 1)],
                records: vec![appended(0, 1, 1), appended(5, 6, 1)],
                expected: &[1],
                durable: 1,
            },
            // It was not lost, but nothing says that it is on disk.
            Case {
                log: &[(0, 6, 1)],
                records: vec![appended(0, 1, 1), appended(5, 6, 1)],
                expected: &[1; 6],
                durable: 1,
            },
            // What an earlier life left behind a hole does not follow what fills the hole in a later term.
            Case { log: &[(0, 5, 3)], records: vec![appended(5, 6, 1)], expected: &[3; 5], durable: 0 },
            // The partition left this member and came back: what was written before is another life's.
            Case {
                log: &[],
                records: vec![appended(0, 4, 1), (record::PARTITION_GONE, prefix(TP)), appended(0, 1, 2)],
                expected: &[2],
                durable: 1,
            },
        ];
        for case in &cases {
            run(case, true);
            run(case, false);
        }
    }

    #[test]
    fn the_last_settled_term_comes_back_unless_the_partition_left() {
        let settled =
            |term: i32| (record::PARTITION_SETTLED, [&prefix(TP)[..], &term.to_be_bytes()].concat().into());
        let cases = [
            (vec![settled(3), settled(4)], Some(4)),
            (vec![settled(3), cut(0)], Some(3)),
            (vec![settled(3), (record::PARTITION_GONE, prefix(TP))], None),
        ];
        for (records, expected) in cases {
            let mut surviving = Surviving::default();
            for (kind, payload) in records {
                let mut get = Get(payload);
                read_prefix(&mut get).expect("a partition");
                surviving.take(kind, &mut get);
            }
            assert_eq!(surviving.settled, expected.map(LeaderEpoch));
        }
    }

    #[test]
    fn records_of_a_partition_that_is_gone_are_voided() {
        let shared: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
        let (kind, payload) = appended(0, 1, 1);
        let records = [Replayed { lsn: streamkeeper_base::Lsn(1), kind, payload }];
        let recovered = replay(&shared, Path::new("/data"), Boot::of("a"), &records).expect("a good disk");
        assert!(recovered.logs.is_empty() && recovered.voided.contains(&TP));
    }
}
