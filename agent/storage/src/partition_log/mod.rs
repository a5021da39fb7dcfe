//! One partition's log on one disk: segments of record batches exactly as consumers get them, so stock tools read the files.
//!
//! Must not know: who leads, what is committed. Read first: [`PartitionLog`], [`segment`].

mod segment;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use streamkeeper_base::batch::{self, BatchHeader};
use streamkeeper_base::limits::{INDEX_INTERVAL_BYTES, SEGMENT_BYTES_DEFAULT};
use streamkeeper_base::{LeaderEpoch, Offset};

use crate::disk::{Disk, DiskFile};
use segment::Segment;

/// Bytes of recent appends that are kept as they came, so that tail reads cost no system call.
const TAIL_BYTES_MAX: usize = 512 * 1024;

/// Sizes and times of one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A segment is closed before it grows beyond this, bytes (`segment.bytes`).
    pub segment_bytes: u64,
    /// A segment is closed when its first record is older, milliseconds (`segment.ms`).
    pub segment_ms: i64,
    /// Closed segments whose newest record is older are deleted, milliseconds; -1 keeps them (`retention.ms`).
    pub retention_ms: i64,
    /// Closed segments are deleted while the rest is at least this large, bytes; -1 keeps them (`retention.bytes`).
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

/// How far the files can be trusted at open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The process died or stopped under the same kernel: what was written is there; only the tail may be half a batch.
    PageCache,
    /// Power may have gone: the last segment is checked batch by batch.
    Nothing,
}

/// A log. Ordered chain: `log start <= flushed end <= end`, each an exclusive offset.
pub struct PartitionLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    config: LogConfig,
    segments: VecDeque<Segment>,
    log_start: Offset,
    /// Where each leader epoch begins, ascending in both.
    epochs: Vec<(LeaderEpoch, Offset)>,
    tail: VecDeque<(Offset, Bytes)>,
    tail_bytes: usize,
    /// Files written since the last flush, and closed ones among them.
    unflushed: Vec<Arc<dyn DiskFile>>,
}

/// What a read gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Whole batches, in order, each piece holding one or more.
    pub pieces: Vec<Bytes>,
    /// Bytes of all pieces.
    pub size: usize,
}

impl PartitionLog {
    /// Opens the log in a directory, making it if needed.
    ///
    /// # Errors
    /// The disk refuses. A damaged tail is cut, never an error.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, config: LogConfig, trust: Trust) -> io::Result<Self> {
        crate::disk::create_dir_durable(&*disk, dir)?;
        let mut log = Self {
            disk,
            dir: dir.to_owned(),
            config,
            segments: VecDeque::new(),
            log_start: Offset::ZERO,
            epochs: Vec::new(),
            tail: VecDeque::new(),
            tail_bytes: 0,
            unflushed: Vec::new(),
        };
        for base in segment::bases(&*log.disk, dir)? {
            let contiguous = log.segments.back().is_none_or(|last: &Segment| last.end == base);
            if !contiguous {
                // A segment behind a cut tail holds nothing that was confirmed.
                segment::remove(&*log.disk, dir, base)?;
                continue;
            }
            let segment = Segment::open(&*log.disk, dir, base, trust, |header| {
                note_epoch(&mut log.epochs, header.leader_epoch, header.base_offset);
            })?;
            log.segments.push_back(segment);
        }
        if log.segments.is_empty() {
            log.start_segment(Offset::ZERO)?;
        }
        log.log_start = log.segments.front().map_or(Offset::ZERO, |s| s.base);
        Ok(log)
    }

    /// The first offset that can be read.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// The offset after the last record.
    pub fn end(&self) -> Offset {
        self.segments.back().map_or(self.log_start, |s| s.end)
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|s| s.size).sum()
    }

    /// The epoch of the last batch.
    pub fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.last().map(|(epoch, _)| *epoch)
    }

    /// Where each leader epoch begins, ascending.
    pub fn epochs(&self) -> &[(LeaderEpoch, Offset)] {
        &self.epochs
    }

    /// Where a log of this content ends for an epoch: the largest known epoch that is not above it, and where the next one
    /// begins (KIP-101, KIP-279). `None` if every known epoch is above it.
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

    /// Notes that an epoch begins at the log's end, though no record of it exists yet.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) {
        let end = self.end();
        note_epoch(&mut self.epochs, epoch, end);
    }

    /// Appends whole batches whose offsets follow the end; they are in the page cache when this returns.
    ///
    /// # Errors
    /// The disk refuses (out of space, most often). The log then ends where it ended.
    pub fn append(&mut self, batches: &Bytes) -> io::Result<()> {
        for (at, header) in batch::headers(batches) {
            assert_eq!(header.base_offset, self.end(), "a batch leaves a gap in {}", self.dir.display());
            let piece = batches.slice(at..at + header.size);
            if self.segments.back().is_none_or(|s| s.is_full(&header, self.config)) {
                self.start_segment(header.base_offset)?;
            }
            let Some(segment) = self.segments.back_mut() else { return Err(io::ErrorKind::NotFound.into()) };
            segment.append(&piece, &header)?;
            note_epoch(&mut self.epochs, header.leader_epoch, header.base_offset);
            self.remember(header.base_offset, piece);
        }
        Ok(())
    }

    /// Whole batches from the one that holds `from` on, up to about `bytes_max`; at least one if there is any below `to`.
    ///
    /// # Errors
    /// As the disk, or `InvalidInput` for an offset outside the log.
    pub fn read(&self, from: Offset, to: Offset, bytes_max: usize) -> io::Result<Chunk> {
        if from < self.log_start || from > self.end() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("offset {from} is outside the log"),
            ));
        }
        let mut chunk = Chunk::default();
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
            if let Some(piece) = segment.read(next, to, bytes_max - chunk.size, chunk.size == 0)? {
                chunk.size += piece.len();
                next = batch::headers(&piece).last().map_or(next, |(_, h)| h.end());
                chunk.pieces.push(piece);
            }
            if next < segment.end {
                break;
            }
        }
        Ok(chunk)
    }

    fn read_tail(&self, from: Offset, to: Offset, bytes_max: usize, chunk: &mut Chunk) {
        let start = self.tail.partition_point(|(base, _)| *base <= from).saturating_sub(1);
        for (base, piece) in self.tail.range(start..) {
            if *base >= to || (chunk.size > 0 && chunk.size + piece.len() > bytes_max) {
                return;
            }
            chunk.size += piece.len();
            chunk.pieces.push(piece.clone());
        }
    }

    /// Cuts every batch that ends above `to`.
    ///
    /// # Errors
    /// As the disk.
    pub fn truncate(&mut self, to: Offset) -> io::Result<()> {
        while let Some(last) = self.segments.back() {
            if last.base < to || (self.segments.len() == 1 && last.base <= to) {
                break;
            }
            let base = last.base;
            self.segments.pop_back();
            segment::remove(&*self.disk, &self.dir, base)?;
        }
        match self.segments.back_mut() {
            Some(segment) => segment.truncate(to)?,
            None => self.start_segment(to)?,
        }
        let end = self.end();
        self.log_start = self.log_start.min(end);
        self.epochs.retain(|(_, start)| *start < end);
        while self.tail.back().is_some_and(|(base, _)| *base >= end) {
            if let Some((_, piece)) = self.tail.pop_back() {
                self.tail_bytes -= piece.len();
            }
        }
        Ok(())
    }

    /// Drops everything and begins anew at an offset: for a follower whose leader no longer has what comes next.
    ///
    /// # Errors
    /// As the disk.
    pub fn restart_at(&mut self, offset: Offset) -> io::Result<()> {
        for segment in std::mem::take(&mut self.segments) {
            segment::remove(&*self.disk, &self.dir, segment.base)?;
        }
        self.epochs.clear();
        self.tail.clear();
        self.tail_bytes = 0;
        self.log_start = offset;
        self.start_segment(offset)
    }

    /// The files to flush so that everything up to [`PartitionLog::end`] is durable; asked for once per change.
    pub fn take_unflushed(&mut self) -> Vec<Arc<dyn DiskFile>> {
        std::mem::take(&mut self.unflushed)
    }

    /// Deletes closed segments by age and size, none that holds records at or above `limit`. True if the log start moved.
    ///
    /// # Errors
    /// As the disk.
    pub fn enforce_retention(&mut self, now_ms: i64, limit: Offset) -> io::Result<bool> {
        let before = self.log_start;
        while self.segments.len() > 1 {
            let Some(first) = self.segments.front() else { break };
            let too_old =
                self.config.retention_ms >= 0 && first.max_timestamp < now_ms - self.config.retention_ms;
            let rest = i64::try_from(self.size() - first.size).unwrap_or(i64::MAX);
            let too_big = self.config.retention_bytes >= 0 && rest >= self.config.retention_bytes;
            if !(too_old || too_big) || first.end > limit {
                break;
            }
            let end = first.end;
            self.move_log_start(end)?;
        }
        Ok(self.log_start != before)
    }

    /// Makes `offset` the first readable one and deletes the segments wholly below it.
    ///
    /// # Errors
    /// As the disk.
    pub fn move_log_start(&mut self, offset: Offset) -> io::Result<()> {
        self.log_start = self.log_start.max(offset.min(self.end()));
        while self.segments.len() > 1 && self.segments.front().is_some_and(|s| s.end <= self.log_start) {
            if let Some(segment) = self.segments.pop_front() {
                segment::remove(&*self.disk, &self.dir, segment.base)?;
            }
        }
        let start = self.log_start;
        let kept = self.epochs.partition_point(|(_, s)| *s <= start).saturating_sub(1);
        self.epochs.drain(..kept);
        Ok(())
    }

    /// The first offset whose record's timestamp is at least `timestamp`, milliseconds, and that timestamp: at batch
    /// granularity the batch's head decides, so the caller looks inside the batch. Gives the batch.
    ///
    /// # Errors
    /// As the disk.
    pub fn batch_at_timestamp(&self, timestamp: i64) -> io::Result<Option<Bytes>> {
        for segment in &self.segments {
            if segment.max_timestamp >= timestamp && segment.end > self.log_start {
                let from = self.log_start.max(segment.base);
                if let Some(found) = segment.find(from, |h| h.max_timestamp >= timestamp)? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The batch with the greatest timestamp.
    ///
    /// # Errors
    /// As the disk.
    pub fn batch_of_max_timestamp(&self) -> io::Result<Option<Bytes>> {
        let newest = self.segments.iter().filter(|s| s.end > s.base).map(|s| s.max_timestamp).max();
        newest.map_or(Ok(None), |max| self.batch_at_timestamp(max))
    }

    /// Takes new sizes and times; they hold from the next append on.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    fn remember(&mut self, base: Offset, piece: Bytes) {
        self.tail_bytes += piece.len();
        self.tail.push_back((base, piece));
        while self.tail_bytes > TAIL_BYTES_MAX {
            let Some((_, piece)) = self.tail.pop_front() else { return };
            self.tail_bytes -= piece.len();
        }
    }

    fn start_segment(&mut self, base: Offset) -> io::Result<()> {
        if let Some(last) = self.segments.back() {
            last.seal(&*self.disk, &self.dir)?;
        }
        let segment = Segment::create(&*self.disk, &self.dir, base)?;
        self.unflushed.push(segment.file());
        self.segments.push_back(segment);
        Ok(())
    }

    /// The file that appends go to, for a flush.
    pub fn active_file(&self) -> Option<Arc<dyn DiskFile>> {
        self.segments.back().map(Segment::file)
    }
}

/// Epochs only rise; the first record of each is noted. An epoch without records gives way to the next one.
fn note_epoch(epochs: &mut Vec<(LeaderEpoch, Offset)>, epoch: LeaderEpoch, start: Offset) {
    if epochs.last().is_some_and(|(last, _)| *last >= epoch) {
        return;
    }
    epochs.retain(|(_, known)| *known < start);
    epochs.push((epoch, start));
}

/// One entry per this many bytes of log at least.
pub(crate) const INDEX_INTERVAL: u64 = INDEX_INTERVAL_BYTES as u64;

/// What an index entry remembers of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) offset: Offset,
    pub(crate) position: u64,
}

impl IndexEntry {
    pub(crate) fn of(header: &BatchHeader, position: u64) -> Self {
        Self { offset: header.base_offset, position }
    }
}
