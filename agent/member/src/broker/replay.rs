//! Replaying the broker's records: appends that the logs miss are made again, cuts are made again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use streamkeeper_base::codec::Get;
use streamkeeper_base::{Offset, TopicPartition, batch};
use streamkeeper_storage::disk::Disk;
use streamkeeper_storage::partition_log::{LogConfig, LogError, PartitionLog, Trust};
use streamkeeper_storage::wal::Replayed;

use super::replicas::read_prefix;
use crate::record;

/// Logs as they are after the write-ahead log was replayed.
pub struct RecoveredLogs {
    pub(super) logs: BTreeMap<TopicPartition, PartitionLog>,
    pub(super) records: u64,
    pub(super) trust_page_cache: bool,
}

/// Replays records in order.
///
/// # Errors
/// The disk refuses, or a log is damaged.
pub fn replay(
    disk: &Arc<dyn Disk>,
    data: &Path,
    same_boot: bool,
    records: &[Replayed],
) -> Result<RecoveredLogs, LogError> {
    let trust = if same_boot { Trust::PageCache } else { Trust::Nothing };
    let mut logs: BTreeMap<TopicPartition, PartitionLog> = BTreeMap::new();
    for replayed in records {
        let mut get = Get(replayed.payload.clone());
        let Some(tp) = read_prefix(&mut get) else { continue };
        let log = match logs.entry(tp) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => {
                let dir = data.join("topics").join(tp.topic.to_string()).join(tp.partition.to_string());
                if !disk.exists(&dir) {
                    // The topic was deleted since.
                    continue;
                }
                free.insert(PartitionLog::open(disk.clone(), &dir, LogConfig::default(), trust)?)
            }
        };
        apply(log, replayed.kind, &mut get)?;
    }
    Ok(RecoveredLogs { logs, records: records.len() as u64, trust_page_cache: same_boot })
}

fn apply(log: &mut PartitionLog, kind: u8, get: &mut Get) -> Result<(), LogError> {
    if kind == record::PARTITION_APPEND {
        let first = batch::headers(&get.0).next().map(|(_, header)| header.base_offset);
        if first == Some(log.end()) {
            log.append(&get.0)?;
        }
    } else if kind == record::PARTITION_TRUNCATE
        && let (Ok(to), Ok(restart)) = (get.i64(), get.bool())
    {
        let to = Offset(to);
        if restart && (log.end() < to || log.log_start() > to) {
            log.restart_at(to)?;
        } else if !restart && log.end() > to && log.log_start() <= to {
            log.truncate(to)?;
        }
    }
    Ok(())
}
