//! What a log's batches do not tell: log start, durable end, epochs without records. Two files beside the
//! segments.
//!
//! `checkpoint` is replaced as a whole and durable; `checkpoint.next` is written over without a flush, for
//! what a process crash must not lose and a power cut may. The greater generation that reads back counts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use streamkeeper_base::{LeaderEpoch, Offset};

use super::Boot;
use crate::crc32c;
use crate::disk::{Access, Disk, is_full, read_file, replace_file};

const MAGIC: &[u8; 8] = b"SKLOGCP2";
/// As it was before the settled term, the boot and the clean close were written down.
const MAGIC_1: &[u8; 8] = b"SKLOGCP1";
const FIXED_BYTES_1: usize = 48;
const FIXED_BYTES: usize = 68;
const EPOCH_BYTES: usize = 12;
const DURABLE_NAME: &str = "checkpoint";
const NEXT_NAME: &str = "checkpoint.next";

/// What is written down. Ordered chain: `log start <= durable <= end`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) generation: u64,
    pub(super) log_start: Offset,
    /// Everything below was flushed: damage below is rot.
    pub(super) durable: Offset,
    /// Segments that end at or below were flushed with their indexes.
    pub(super) sealed: Offset,
    /// The log's end when this was written: epochs up to there are complete.
    pub(super) end: Offset,
    /// See [`super::PartitionLog::settled`].
    pub(super) settled: Option<LeaderEpoch>,
    /// The kernel boot under which the log was opened last.
    pub(super) boot: Option<Boot>,
    /// Set when the log was closed in good order: the size of its last segment, which begins at `sealed`, bytes.
    pub(super) closed: Option<u64>,
    pub(super) epochs: Vec<(LeaderEpoch, Offset)>,
}

impl Checkpoint {
    pub(super) fn load(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Self>> {
        let mut newest: Option<Self> = None;
        for name in [DURABLE_NAME, NEXT_NAME] {
            if let Some(found) = read_file(disk, &dir.join(name))?.and_then(|bytes| Self::decode(&bytes))
                && newest.as_ref().is_none_or(|known| known.generation < found.generation)
            {
                newest = Some(found);
            }
        }
        Ok(newest)
    }

    pub(super) fn write_durable(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        replace_file(disk, &dir.join(DURABLE_NAME), &self.encode())
    }

    pub(super) fn write_buffered(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let file = disk.open(&dir.join(NEXT_NAME), Access::Buffered)?;
        let bytes = self.encode();
        file.write_at(&bytes, 0)?;
        if file.len()? > bytes.len() as u64 { file.set_len(bytes.len() as u64) } else { Ok(()) }
    }

    /// Removes the buffered file: after a power cut it may hold parts of a generation that will be given
    /// again.
    pub(super) fn forget_buffered(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let path = dir.join(NEXT_NAME);
        if disk.exists(&path) {
            disk.remove_file(&path)?;
        }
        disk.sync_dir(dir)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + self.epochs.len() * EPOCH_BYTES + 4);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        for offset in [self.log_start, self.durable, self.end, self.sealed] {
            bytes.extend_from_slice(&offset.0.to_be_bytes());
        }
        bytes.extend_from_slice(&self.settled.map_or(-1, |epoch| epoch.0).to_be_bytes());
        bytes.extend_from_slice(&self.boot.map_or(0, |boot| boot.0).to_be_bytes());
        bytes.extend_from_slice(&self.closed.unwrap_or(u64::MAX).to_be_bytes());
        for (epoch, start) in &self.epochs {
            bytes.extend_from_slice(&epoch.0.to_be_bytes());
            bytes.extend_from_slice(&start.0.to_be_bytes());
        }
        let own = crc32c(&bytes);
        bytes.extend_from_slice(&own.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c(content) != u32::from_be_bytes(*crc) {
            return None;
        }
        let long = |at: usize| Some(i64::from_be_bytes(content.get(at..at + 8)?.try_into().ok()?));
        let (fixed, settled, boot, closed) = match content.first_chunk::<8>()? {
            MAGIC => {
                let settled = i32::from_be_bytes(content.get(48..52)?.try_into().ok()?);
                (FIXED_BYTES, settled, long(52)?.cast_unsigned(), long(60)?.cast_unsigned())
            }
            MAGIC_1 => (FIXED_BYTES_1, -1, 0, u64::MAX),
            _ => return None,
        };
        let epoch = |bytes: &[u8]| {
            let (epoch, start) = bytes.split_first_chunk::<4>()?;
            Some((
                LeaderEpoch(i32::from_be_bytes(*epoch)),
                Offset(i64::from_be_bytes(start.try_into().ok()?)),
            ))
        };
        Some(Self {
            generation: long(8)?.cast_unsigned(),
            log_start: Offset(long(16)?),
            durable: Offset(long(24)?),
            end: Offset(long(32)?),
            sealed: Offset(long(40)?),
            settled: (settled >= 0).then_some(LeaderEpoch(settled)),
            boot: (boot != 0).then_some(Boot(boot)),
            closed: (closed != u64::MAX).then_some(closed),
            epochs: content.get(fixed..)?.chunks(EPOCH_BYTES).map(epoch).collect::<Option<_>>()?,
        })
    }
}

/// The durable file of one open log. It is written by the log's owner, and by flushes that run elsewhere: what an older one of them
/// would write must not replace what a newer one wrote, nor bring back a log that is deleted.
pub(super) struct DurableCheckpoint {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The greatest generation on disk.
    generation: u64,
    is_deleted: bool,
    /// Why the last write of a flush elsewhere did not succeed.
    refusal: Option<io::Error>,
}

impl DurableCheckpoint {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path, generation: u64) -> Arc<Self> {
        let state = Mutex::new(State { generation, ..State::default() });
        Arc::new(Self { disk, dir: dir.to_owned(), state })
    }

    /// Writes a checkpoint unless a newer one is there.
    pub(super) fn write(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_deleted || state.generation >= checkpoint.generation {
            return Ok(());
        }
        checkpoint.write_durable(&*self.disk, &self.dir)?;
        state.generation = checkpoint.generation;
        Ok(())
    }

    /// Nothing is written any more: the log's directory goes.
    pub(super) fn delete(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_deleted = true;
    }

    /// Writes a checkpoint as the last step of a flush. A full disk passes; the owner asks for it ([`DurableCheckpoint::result`]) and
    /// tries again. What was flushed is none the worse.
    pub(super) fn write_in_flush(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        match self.write(checkpoint) {
            Err(error) if is_full(&error) => {
                self.state.lock().unwrap_or_else(PoisonError::into_inner).refusal = Some(error);
                Ok(())
            }
            other => other,
        }
    }

    /// Whether the last write of a flush succeeded.
    pub(super) fn result(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.refusal.take().map_or(Ok(()), Err)
    }
}
