//! What is known of idempotent producers, from a snapshot and the log behind it.
//!
//! State follows from the log (rule 31), so a snapshot only saves reading: without one the whole log is read. Must not know: what the
//! state says. Read first: [`rebuild_producers`].

use streamkeeper_base::{Offset, batch};
use streamkeeper_replica::Producers;
use streamkeeper_storage::partition_log::{LogError, PartitionLog};

use super::Replica;

/// Bytes of the log that are read at once.
const WALK_BYTES: usize = 4 * 1024 * 1024;

/// The state after all records of a log, and how many bytes had to be read for it.
///
/// # Errors
/// The log cannot be read. A state without the rest of it would take old batches for new ones, and the next snapshot would keep it.
pub(super) fn rebuild_producers(log: &PartitionLog) -> Result<(Producers, u64), LogError> {
    let (mut producers, mut from) = from_snapshot(log).unwrap_or((Producers::default(), log.log_start()));
    let mut read = 0;
    while from < log.end() {
        let chunk = log.read(from, log.end(), WALK_BYTES)?;
        let mut next = from;
        // A chunk begins with the batch that holds the offset: in its middle, if the log begins there.
        for header in chunk.pieces.iter().flat_map(|piece| batch::headers(piece).map(|(_, header)| header)) {
            producers.record(&header);
            next = header.end();
        }
        read += chunk.size as u64;
        if next == from {
            break;
        }
        from = next;
    }
    Ok((producers, read))
}

/// The newest snapshot that stands for no more than the log holds, and where it was taken. One from before the log's begin says nothing
/// of the records that were deleted since.
fn from_snapshot(log: &PartitionLog) -> Option<(Producers, Offset)> {
    let (at, state) = log.producer_snapshots().load(log.end()).ok()??;
    let producers = Producers::decode(state).ok()?;
    (at >= log.log_start()).then_some((producers, at))
}

impl Replica {
    /// The producers' state, if it is time to keep it.
    pub(super) fn due_snapshot(&self, snapshot_bytes: u64) -> Option<Vec<u8>> {
        (self.unsnapped_bytes > snapshot_bytes).then(|| self.producers.encode())
    }

    /// Keeps the state at a stop in good order, when everything is flushed, so that the next start reads nothing.
    pub(super) fn save_snapshot(&mut self, snapshot_bytes: u64) -> Result<(), LogError> {
        if let Some(state) = self.due_snapshot(snapshot_bytes) {
            self.log.save_producers(&state)?;
            self.unsnapped_bytes = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use bytes::{Bytes, BytesMut};
    use streamkeeper_base::LeaderEpoch;
    use streamkeeper_storage::disk::{Access, Disk, SimulatedDisk};
    use streamkeeper_storage::partition_log::{LogConfig, Trust};
    use streamkeeper_wire::record::Builder;

    use super::*;

    /// One record of an idempotent producer.
    fn one(offset: i64, producer: i64, sequence: i32) -> Bytes {
        let mut builder = Builder::new(0);
        builder.push(None, Some(b"v"));
        let mut bytes = BytesMut::from(&builder.finish()[..]);
        bytes[43..51].copy_from_slice(&producer.to_be_bytes());
        bytes[51..53].copy_from_slice(&0_i16.to_be_bytes());
        bytes[53..57].copy_from_slice(&sequence.to_be_bytes());
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[21..]) as u32;
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        batch::assign(&mut bytes, Offset(offset), LeaderEpoch(0));
        bytes.freeze()
    }

    #[test]
    fn a_snapshot_and_the_log_behind_it_give_what_the_whole_log_gives() {
        let disk = Arc::new(SimulatedDisk::new(1));
        let mut log =
            PartitionLog::open(disk, Path::new("/data/t/0"), LogConfig::default(), Trust::PageCache)
                .expect("a disk");
        for i in 0..30 {
            log.append(&one(i, i % 4, (i / 4) as i32)).expect("a good disk");
            if i == 20 {
                let (so_far, read) = rebuild_producers(&log).expect("a good disk");
                assert_eq!(read, log.size(), "without a snapshot all of it is read");
                log.save_producers(&so_far.encode()).expect("a good disk");
            }
        }
        let (producers, read) = rebuild_producers(&log).expect("a good disk");
        assert!(read > 0 && read < log.size() / 2, "{read} of {} bytes", log.size());
        // Without the snapshot.
        log.producer_snapshots().prune(Offset(-1), 0).expect("a good disk");
        assert_eq!(rebuild_producers(&log).expect("a good disk"), (producers.clone(), log.size()));
        log.save_producers(&producers.encode()).expect("a good disk");
        log.truncate(Offset(25)).expect("a good disk");
        let (cut, read) = rebuild_producers(&log).expect("a good disk");
        assert_eq!(read, log.size(), "it stood for more than there is");
        assert_ne!(cut, producers);
    }

    /// Found by reading: what could not be read was taken for the log's end.
    #[test]
    fn a_log_that_does_not_read_back_gives_no_state() {
        let (disk, dir) = (SimulatedDisk::new(1), Path::new("/data/t/0"));
        let mut log = PartitionLog::open(Arc::new(disk.clone()), dir, LogConfig::default(), Trust::PageCache)
            .expect("a disk");
        for i in 0..3 {
            log.append(&one(i, 1, i as i32)).expect("a good disk");
        }
        log.drop_tail();
        let file = disk.open(&dir.join(format!("{:020}.log", 0)), Access::Buffered).expect("a segment");
        file.write_at(&[0xff; 4], log.size() - 4).expect("a good disk");
        assert!(matches!(rebuild_producers(&log), Err(LogError::Damaged { offset: Offset(2), .. })));
    }
}
