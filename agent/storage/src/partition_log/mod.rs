//! One partition's log on one disk: segments of record batches exactly as consumers get them, so stock tools
//! read the files.
//!
//! Must not know: who leads, what is committed. Read first: [`PartitionLog`], `segment::Segment`; then `open`
//! for what a crash may leave.

mod checkpoint;
mod error;
mod flush;
mod index;
mod later;
mod open;
mod producer_snapshot;
mod read_buffer;
mod segment;
mod trim;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use streamkeeper_base::batch::{self, BatchHeader};
use streamkeeper_base::limits::SEGMENT_BYTES_DEFAULT;
use streamkeeper_base::{Durable, LeaderEpoch, Offset, Piece};

use crate::disk::Disk;
use checkpoint::{Checkpoint, DurableCheckpoint};
pub use error::LogError;
pub use flush::FlushPoint;
use flush::Flushing;
pub use producer_snapshot::ProducerSnapshots;
use segment::Segment;

/// Bytes of recent appends that are kept as they came, so that tail reads cost no system call.
const TAIL_BYTES_MAX: usize = 512 * 1024;

/// What the directory of a log that is being deleted is called besides.
const GONE: &str = "gone";

/// Sizes and times of one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A segment is closed before it grows beyond this, bytes (`segment.bytes`).
    pub segment_bytes: u64,
    /// A segment is closed when its first record is older, milliseconds (`segment.ms`).
    pub segment_ms: i64,
    /// Closed segments whose newest record is older are deleted, milliseconds; -1 keeps them
    /// (`retention.ms`).
    pub retention_ms: i64,
    /// Closed segments are deleted while the rest is at least this large, bytes; -1 keeps them
    /// (`retention.bytes`).
    pub retention_bytes: i64,
}

impl Default for LogConfig {
    fn default() -> Self {
        const WEEK_MS: i64 = 7 * 24 * 3600 * 1000;
        Self {
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            segment_ms: WEEK_MS,
            retention_ms: WEEK_MS,
            retention_bytes: -1,
        }
    }
}

/// A start of the kernel, told apart from every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot(u64);

impl Boot {
    /// The start that the kernel gave this id.
    pub fn of(boot_id: &str) -> Self {
        Self(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, boot_id.as_bytes()).max(1))
    }
}

/// How far the files can be trusted at open. Damage below the durable end is an error in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// As the log itself tells: it is trusted if it was opened under this boot before, or closed in good order. A process that dies
    /// while it recovers from a power cut leaves logs behind that nobody has checked yet.
    Boot(Boot),
    /// The process died or stopped under the same kernel: what was written is there. Only what the index does
    /// not cover yet is read, so the time does not grow with the data.
    PageCache,
    /// Power may have gone: every batch above the durable end is checked, the log is cut at the first bad one,
    /// and what is left is durable.
    Nothing,
}

/// A log. Ordered chain: `log start <= durable end <= end`.
pub struct PartitionLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    config: LogConfig,
    /// Never empty; each begins where the one before ends, and the last takes appends.
    segments: VecDeque<Segment>,
    log_start: Offset,
    durable: Offset,
    /// Segments that end at or below are on disk with their indexes.
    sealed: Offset,
    /// What the disk says, or will once a flush in flight is done.
    checkpoint: Checkpoint,
    /// The durable end that the newest durable checkpoint tells, or will once a flush in flight is done.
    told: Offset,
    durable_file: Arc<DurableCheckpoint>,
    snapshots: Arc<ProducerSnapshots>,
    settled: Option<LeaderEpoch>,
    boot: Option<Boot>,
    /// Where each leader epoch begins, ascending in both.
    epochs: Vec<(LeaderEpoch, Offset)>,
    tail: VecDeque<(Offset, Bytes)>,
    tail_bytes: usize,
    flushing: Flushing,
}

/// What a read gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk<P = Bytes> {
    /// Whole batches, in order, each piece holding one or more.
    pub pieces: Vec<P>,
    /// Bytes of all pieces.
    pub size: usize,
}

impl PartitionLog {
    /// Opens the log in a directory, making it if needed.
    ///
    /// # Errors
    /// The disk refuses, or what was durable is damaged or gone. A torn tail above the durable end is cut,
    /// never an error.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, config: LogConfig, trust: Trust) -> Result<Self, LogError> {
        open::open(disk, dir, config, trust)
    }

    /// The first offset that can be read.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// The offset after the last record.
    pub fn end(&self) -> Offset {
        self.segments.back().map_or(self.log_start, |s| s.end)
    }

    /// Everything below is covered by a flush.
    pub fn durable_end(&self) -> Durable<Offset> {
        Durable::flushed(self.durable)
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|s| s.size).sum()
    }

    /// The log's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The current epoch: of the last batch, or of a later [`PartitionLog::begin_epoch`].
    pub fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.last().map(|(epoch, _)| *epoch)
    }

    /// Where each leader epoch begins, ascending.
    pub fn epochs(&self) -> &[(LeaderEpoch, Offset)] {
        &self.epochs
    }

    /// Where a log of this content ends for an epoch: the largest known epoch that is not above it, and where
    /// the next one begins (KIP-101, KIP-279). `None` if every known epoch is above it.
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let next = self.epochs.partition_point(|(known, _)| *known <= epoch);
        let (known, _) = self.epochs.get(next.checked_sub(1)?)?;
        Some((*known, self.epochs.get(next).map_or(self.end(), |(_, start)| *start)))
    }

    /// The epoch of the record at an offset.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let next = self.epochs.partition_point(|(_, start)| *start <= offset);
        self.epochs.get(next.checked_sub(1)?).map(|(epoch, _)| *epoch)
    }

    /// Notes that an epoch begins at the log's end, though no record of it exists yet. A process crash keeps
    /// it.
    ///
    /// # Errors
    /// As the disk.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) -> Result<(), LogError> {
        let end = self.end();
        let begin = |log: &mut Self| note_epoch(&mut log.epochs, epoch, end);
        self.change(begin, Self::checkpoint_buffered).map_err(|error| self.io(error))
    }

    /// The last term of which this log held, durably, everything that its leader began with; written down here for
    /// whoever decides by it.
    pub fn settled(&self) -> Option<LeaderEpoch> {
        self.settled
    }

    /// Notes a term of which this log holds, durably, everything that its leader began with. The next checkpoint
    /// tells it.
    pub fn note_settled(&mut self, epoch: LeaderEpoch) {
        self.settled = self.settled.max(Some(epoch));
    }

    /// Appends whole batches whose offsets follow the end, and whose epochs are not below those before;
    /// they are in the page cache when this returns. `batches` may span several segments.
    ///
    /// # Errors
    /// The bytes are not batches that follow the end, or the disk refuses (out of space, most often): the log
    /// then ends where [`PartitionLog::end`] says, at a whole batch.
    pub fn append(&mut self, batches: &Bytes) -> Result<(), LogError> {
        let headers: Vec<(usize, BatchHeader)> = batch::headers(batches).collect();
        let (mut expected, mut covered) = (self.end(), 0);
        let mut epoch = self.segments.iter().rev().find_map(|s| s.epoch_span).map(|(_, last)| last);
        let contiguous = headers.iter().all(|(at, header)| {
            let follows = header.base_offset == expected && epoch <= Some(header.leader_epoch);
            (expected, covered, epoch) = (header.end(), at + header.size, Some(header.leader_epoch));
            follows
        });
        if !contiguous || covered != batches.len() {
            return Err(LogError::NotContiguous { expected: self.end() });
        }
        self.append_all(batches, &headers).map_err(|error| self.io(error))
    }

    fn append_all(&mut self, batches: &Bytes, headers: &[(usize, BatchHeader)]) -> io::Result<()> {
        let mut rest = headers;
        while let Some((first_at, first)) = rest.first() {
            let config = self.config;
            if self.active().is_full(0, first, config) {
                self.start_segment(first.base_offset)?;
            }
            let segment = self.active();
            let fitting = rest.iter().take_while(|(at, header)| {
                let before = (at - first_at) as u64;
                before == 0 || !segment.is_full(before, header, config)
            });
            let (run, later) = rest.split_at(fitting.count());
            let end_at = run.last().map_or(*first_at, |(at, header)| at + header.size);
            segment.append(&batches[*first_at..end_at], run)?;
            for (at, header) in run {
                note_epoch(&mut self.epochs, header.leader_epoch, header.base_offset);
                self.remember(header.base_offset, batches.slice(*at..at + header.size));
            }
            rest = later;
        }
        self.check();
        Ok(())
    }

    fn check(&self) {
        let (start, durable, end) = (self.log_start, self.durable, self.end());
        assert!(start <= durable && durable <= end, "{}: {start} {durable} {end}", self.dir.display());
        assert!(self.epochs.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1), "{:?}", self.epochs);
    }

    /// Whole batches from the one that holds `from` on, up to about `bytes_max`; at least one if there is any
    /// below `to`. What comes from disk has its CRC checked.
    ///
    /// # Errors
    /// As the disk, `OutOfRange` for an offset outside the log, `Damaged` if the batch there does not read
    /// back.
    pub fn read(&self, from: Offset, to: Offset, bytes_max: usize) -> Result<Chunk, LogError> {
        self.read_with(from, to, bytes_max, |segment, from, bytes_max, at_least_one| {
            let read = segment.read(from, to, bytes_max, at_least_one)?;
            Ok(read.map(|(piece, end)| (piece.len(), end, piece)))
        })
    }

    /// As [`PartitionLog::read`], but most of what comes from disk is read, and checked, when it is taken. Where one batch does not read
    /// back then, the next call finds it.
    ///
    /// # Errors
    /// As [`PartitionLog::read`].
    pub fn read_later(&self, from: Offset, to: Offset, bytes_max: usize) -> Result<Chunk<Piece>, LogError> {
        self.read_with(from, to, bytes_max, |segment, from, bytes_max, at_least_one| {
            let read = segment.read_later(from, to, bytes_max, at_least_one)?;
            Ok(read.map(|(piece, end)| (piece.len(), end, piece)))
        })
    }

    /// `read` gives of one segment what there is from an offset on: its bytes, the offset after it, and itself.
    fn read_with<P: From<Bytes>>(
        &self,
        from: Offset,
        to: Offset,
        bytes_max: usize,
        read: impl Fn(&Segment, Offset, usize, bool) -> io::Result<Option<(usize, Offset, P)>>,
    ) -> Result<Chunk<P>, LogError> {
        if from < self.log_start || from > self.end() {
            return Err(LogError::OutOfRange { offset: from, start: self.log_start, end: self.end() });
        }
        let mut chunk = Chunk { pieces: Vec::new(), size: 0 };
        if from >= to {
            return Ok(chunk);
        }
        if self.tail.front().is_some_and(|(first, _)| *first <= from) {
            self.read_tail(from, to, bytes_max, &mut chunk);
            return Ok(chunk);
        }
        let start = self.segments.partition_point(|s| s.base <= from).saturating_sub(1);
        let mut next = from;
        for segment in self.segments.range(start..) {
            if chunk.size >= bytes_max || next >= to {
                break;
            }
            let piece = match read(segment, next, bytes_max - chunk.size, chunk.size == 0) {
                Err(_) if chunk.size > 0 => break,
                other => other.map_err(|error| self.damaged_at(next, error))?,
            };
            let Some((size, end, piece)) = piece else { break };
            chunk.size += size;
            chunk.pieces.push(piece);
            next = end;
            if next < segment.end {
                break;
            }
        }
        Ok(chunk)
    }

    fn read_tail<P: From<Bytes>>(&self, from: Offset, to: Offset, bytes_max: usize, chunk: &mut Chunk<P>) {
        let start = self.tail.partition_point(|(base, _)| *base <= from).saturating_sub(1);
        for (base, piece) in self.tail.range(start..) {
            if *base >= to || (chunk.size > 0 && chunk.size + piece.len() > bytes_max) {
                return;
            }
            chunk.size += piece.len();
            chunk.pieces.push(piece.clone().into());
        }
    }

    /// Lets go of the recent appends that are kept in memory; reads then go to the files.
    pub fn drop_tail(&mut self) {
        self.tail.clear();
        self.tail_bytes = 0;
    }

    /// The first batch that holds a record with a timestamp of at least `timestamp`, milliseconds; the caller
    /// looks for the record inside. In a batch with records below the log start, those do not count.
    ///
    /// # Errors
    /// As the disk; `Damaged` if the batch does not read back.
    pub fn batch_at_timestamp(&self, timestamp: i64) -> Result<Option<Bytes>, LogError> {
        for segment in self.segments.iter().filter(|s| s.max_timestamp >= timestamp && s.end > self.log_start)
        {
            let from = self.log_start.max(segment.base);
            let found =
                segment.find_timestamp(from, timestamp).map_err(|error| self.damaged_at(from, error))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The greatest timestamp, milliseconds; -1 if no record has one.
    pub fn max_timestamp(&self) -> i64 {
        self.segments.iter().map(|s| s.max_timestamp).max().unwrap_or(-1)
    }

    /// The first batch with the greatest timestamp.
    ///
    /// # Errors
    /// As [`PartitionLog::batch_at_timestamp`].
    pub fn batch_of_max_timestamp(&self) -> Result<Option<Bytes>, LogError> {
        match self.max_timestamp() {
            -1 => Ok(None),
            max => self.batch_at_timestamp(max),
        }
    }

    /// Takes new sizes and times; they hold from the next append on.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// Its sizes and times.
    pub fn config(&self) -> LogConfig {
        self.config
    }

    /// Closes the last segment, if it holds anything, and begins another.
    ///
    /// # Errors
    /// As the disk.
    pub fn roll(&mut self) -> Result<(), LogError> {
        if self.active().size == 0 {
            return Ok(());
        }
        let end = self.end();
        self.start_segment(end).map_err(|error| self.io(error))
    }

    /// Deletes the log with all its files. It is gone as a whole or not at all: a crash in the middle leaves
    /// garbage under another name, see [`remove_garbage`].
    ///
    /// # Errors
    /// As the disk.
    pub fn delete(self) -> Result<(), LogError> {
        self.remove_files().map_err(|error| self.io(error))
    }

    fn remove_files(&self) -> io::Result<()> {
        self.durable_file.delete();
        self.snapshots.void();
        let gone = self.dir.with_added_extension(GONE);
        if self.disk.exists(&gone) {
            self.disk.remove_dir_all(&gone)?;
        }
        self.disk.rename(&self.dir, &gone)?;
        if let Some(parent) = self.dir.parent() {
            self.disk.sync_dir(parent)?;
        }
        self.disk.remove_dir_all(&gone)
    }

    /// The snapshots of producer state that stand beside the segments.
    pub fn producer_snapshots(&self) -> &ProducerSnapshots {
        &self.snapshots
    }

    fn active(&mut self) -> &mut Segment {
        self.segments.back_mut().expect("a log has at least one segment")
    }

    fn remember(&mut self, base: Offset, piece: Bytes) {
        self.tail_bytes += piece.len();
        self.tail.push_back((base, piece));
        while self.tail_bytes > TAIL_BYTES_MAX
            && let Some((_, piece)) = self.tail.pop_front()
        {
            self.tail_bytes -= piece.len();
        }
    }

    fn start_segment(&mut self, base: Offset) -> io::Result<()> {
        if let Some(last) = self.segments.back_mut() {
            last.seal()?;
        }
        let segment = Segment::create(&*self.disk, &self.dir, base)?;
        self.add_segment(segment)
    }

    fn add_segment(&mut self, segment: Segment) -> io::Result<()> {
        if let Some(last) = self.segments.back() {
            self.flushing.closed.extend(last.files());
        }
        self.flushing.names = true;
        self.segments.push_back(segment);
        // Epochs of closed segments are then known without reading them.
        self.checkpoint_if_room()
    }

    /// What is answered for this log while its disk is known to be full.
    pub fn full(&self) -> LogError {
        self.io(io::ErrorKind::StorageFull.into())
    }

    fn io(&self, source: io::Error) -> LogError {
        LogError::Io { path: self.dir.clone(), source }
    }

    fn damaged_at(&self, offset: Offset, error: io::Error) -> LogError {
        if error.kind() == io::ErrorKind::InvalidData {
            return LogError::Damaged { path: self.dir.clone(), offset, durable: self.durable };
        }
        self.io(error)
    }
}

/// Removes what interrupted deletions left among the logs of a directory.
///
/// # Errors
/// As the disk.
pub fn remove_garbage(disk: &dyn Disk, parent: &Path) -> io::Result<()> {
    let is_garbage = |path: &PathBuf| path.extension().is_some_and(|extension| extension == GONE);
    disk.list(parent)?.iter().filter(|path| is_garbage(path)).try_for_each(|path| disk.remove_dir_all(path))
}

/// Epochs only rise; the first record of each is noted. An epoch without records gives way to the next one.
fn note_epoch(epochs: &mut Vec<(LeaderEpoch, Offset)>, epoch: LeaderEpoch, start: Offset) {
    if epochs.last().is_some_and(|(last, _)| *last >= epoch) {
        return;
    }
    epochs.retain(|(_, known)| *known < start);
    epochs.push((epoch, start));
}
