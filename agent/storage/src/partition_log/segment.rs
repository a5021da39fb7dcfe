//! One segment: `<base offset>.log` with whole batches, and `<base offset>.idx` beside it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use streamkeeper_base::batch::{self, BATCH_CRC_START, BatchHeader};
use streamkeeper_base::limits::INDEX_INTERVAL_BYTES;
use streamkeeper_base::piece::Later;
use streamkeeper_base::{LeaderEpoch, Offset, Piece};

use super::LogConfig;
use super::index::{Entry, Index};
use super::later::{Batches, Findings};
use super::read_buffer::ReadBuffer;
use super::walk::Walk;
use crate::crc32c;
use crate::disk::{Access, Disk, DiskFile, is_full};

/// Bytes read at once while a segment is checked.
const CHECK_BYTES: usize = 256 * 1024;
/// Bytes read at once while one batch is looked for.
const LOOK_BYTES: usize = 8 * 1024;
/// What ends the names of a segment's files: its batches, its index.
const NAMES: [&str; 2] = ["log", "idx"];
const PREPARED_NAMES: [&str; 2] = ["log.new", "idx.new"];

pub(super) struct Segment {
    pub(super) base: Offset,
    pub(super) end: Offset,
    pub(super) size: u64,
    /// The greatest timestamp, milliseconds; -1 for none.
    pub(super) max_timestamp: i64,
    /// The greatest timestamp of the first batch, if it has any: from there the segment's age counts (LogSegment's
    /// loadFirstBatchTimestamp). The first record of a batch may be much older.
    first_timestamp: Option<i64>,
    /// The epochs of the first and the last batch.
    pub(super) epoch_span: Option<(LeaderEpoch, LeaderEpoch)>,
    log: Arc<dyn DiskFile>,
    index: Index,
    stride: Option<Stride>,
    /// Every batch from here on was written by this process, or checked when it opened the segment.
    own_from: u64,
    findings: Arc<Findings>,
}

/// The batches since the last index entry.
struct Stride {
    first: Offset,
    start: u64,
    epoch: LeaderEpoch,
    digest: Digest,
}

/// How much of a segment is believed at open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// The index's word is taken for what it covers; the rest is checked batch by batch.
    Tail,
    /// Every batch is checked, and the index is made anew.
    All,
}

/// The base offsets of a directory's segments, ascending.
pub(super) fn bases(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<Offset>> {
    let base_of = |path: &PathBuf| {
        let digits = path.file_name()?.to_str()?.strip_suffix(".log")?;
        digits.parse().ok().map(Offset)
    };
    let mut bases: Vec<Offset> = disk.list(dir)?.iter().filter_map(base_of).collect();
    bases.sort();
    Ok(bases)
}

/// Deletes a segment's files.
pub(super) fn remove(disk: &dyn Disk, dir: &Path, base: Offset) -> io::Result<()> {
    let index = path(dir, base, "idx");
    if disk.exists(&index) {
        disk.remove_file(&index)?;
    }
    disk.remove_file(&path(dir, base, "log"))
}

/// Bytes in a segment's file.
pub(super) fn length(disk: &dyn Disk, dir: &Path, base: Offset) -> io::Result<u64> {
    disk.open(&path(dir, base, "log"), Access::Read)?.len()
}

fn path(dir: &Path, base: Offset, extension: &str) -> PathBuf {
    dir.join(format!("{:020}.{extension}", base.0))
}

impl Segment {
    pub(super) fn create(disk: &dyn Disk, dir: &Path, base: Offset) -> io::Result<Self> {
        Self::make(disk, dir, base, NAMES)
    }

    /// As [`Segment::create`], under names that no opening looks at: what must not fail half-way finds out whether the disk has room
    /// before it begins.
    pub(super) fn prepare(disk: &dyn Disk, dir: &Path, base: Offset) -> io::Result<Self> {
        Self::make(disk, dir, base, PREPARED_NAMES)
    }

    /// Gives a prepared segment its names. They stand where others were removed, so they need no room.
    pub(super) fn take_names(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let mut names = PREPARED_NAMES.iter().zip(NAMES);
        names.try_for_each(|(from, to)| disk.rename(&path(dir, self.base, from), &path(dir, self.base, to)))
    }

    fn make(disk: &dyn Disk, dir: &Path, base: Offset, names: [&str; 2]) -> io::Result<Self> {
        let made = Self::empty(disk, dir, base, names).and_then(|mut segment| {
            segment.log.set_len(0)?;
            segment.index.truncate(0)?;
            Ok(segment)
        });
        if made.as_ref().is_err_and(is_full) {
            // Half of a segment that was never begun would end the one before it at the next opening.
            for path in names.map(|extension| path(dir, base, extension)) {
                if disk.exists(&path) {
                    disk.remove_file(&path)?;
                }
            }
        }
        made
    }

    fn empty(disk: &dyn Disk, dir: &Path, base: Offset, [log, index]: [&str; 2]) -> io::Result<Self> {
        Ok(Self {
            base,
            end: base,
            size: 0,
            max_timestamp: -1,
            first_timestamp: None,
            epoch_span: None,
            log: disk.open(&path(dir, base, log), Access::Buffered)?,
            index: Index::open(disk, &path(dir, base, index))?,
            stride: None,
            own_from: 0,
            findings: Arc::default(),
        })
    }

    /// Opens a segment up to its first batch that is cut off, out of order or damaged. True if something
    /// follows it there.
    pub(super) fn open(disk: &dyn Disk, dir: &Path, base: Offset, check: Check) -> io::Result<(Self, bool)> {
        let mut segment = Self::empty(disk, dir, base, NAMES)?;
        let length = segment.log.len()?;
        if check == Check::All || !segment.index_is_good(length)? {
            segment.index.truncate(0)?;
        }
        segment.own_from = length;
        let damaged = segment.rewind(length)?;
        Ok((segment, damaged))
    }

    /// The last entry tells whether the index belongs to this file; the others are checked when they are
    /// used.
    fn index_is_good(&self, length: u64) -> io::Result<bool> {
        Ok(match self.index.last()? {
            Some(last) => u64::from(last.end_position) <= length && last.first < last.end,
            None => self.index.len() == 0,
        })
    }

    /// Takes the state from the index, then from the batches behind it. True if no whole, good batch stands
    /// at the end found.
    fn rewind(&mut self, length: u64) -> io::Result<bool> {
        let last = self.index.last()?;
        self.size = last.map_or(0, |entry| u64::from(entry.end_position));
        self.end = self.base.plus(last.map_or(0, |entry| i64::from(entry.end)));
        self.max_timestamp = last.map_or(-1, |entry| entry.max_timestamp);
        self.stride = None;
        self.own_from = self.own_from.min(self.size);
        self.findings.cut(self.size);
        let log = self.log.clone();
        let first = Walk::new(&*log, 0, self.size, LOOK_BYTES).peek()?;
        self.first_timestamp = first.and_then(|header| known_timestamp(&header));
        self.epoch_span = first.zip(last).map(|(header, entry)| (header.leader_epoch, entry.epoch));
        let mut walk = Walk::new(&*log, self.size, length, CHECK_BYTES);
        while let Some(header) = walk.peek()? {
            // Epochs never fall along a log: what was cut and came back ends it, too.
            if header.base_offset != self.end || self.epoch_span.is_some_and(|(_, e)| header.leader_epoch < e)
            {
                break;
            }
            self.open_stride(&header)?;
            let Some(stride) = &mut self.stride else { break };
            let mut digest = stride.digest;
            if !walk.digest(&header, &mut digest)? {
                break;
            }
            stride.digest = digest;
            self.note(&header);
            walk.skip(&header);
        }
        // A stride that was opened for a batch which is not good holds nothing.
        if self.stride.as_ref().is_some_and(|stride| stride.start == self.size) {
            self.stride = None;
        }
        Ok(self.size < length)
    }

    /// Removes what stands behind the last good batch.
    pub(super) fn cut(&mut self) -> io::Result<()> {
        self.log.set_len(self.size)
    }

    /// The epoch of each stride with its first offset and the one after its last; an epoch's first batch
    /// begins a stride.
    pub(super) fn epochs(&self, mut seen: impl FnMut(LeaderEpoch, Offset, Offset)) -> io::Result<()> {
        for number in 0..self.index.len() {
            match self.index.get(number)? {
                Some(entry) => {
                    let at = |relative: u32| self.base.plus(i64::from(relative));
                    seen(entry.epoch, at(entry.first), at(entry.end));
                }
                None => return self.epochs_of_batches(seen),
            }
        }
        if let Some(stride) = &self.stride {
            seen(stride.epoch, stride.first, self.end);
        }
        Ok(())
    }

    fn epochs_of_batches(&self, mut seen: impl FnMut(LeaderEpoch, Offset, Offset)) -> io::Result<()> {
        let mut walk = Walk::new(&*self.log, 0, self.size, CHECK_BYTES);
        while let Some(header) = walk.peek()? {
            seen(header.leader_epoch, header.base_offset, header.end());
            walk.skip(&header);
        }
        Ok(())
    }

    /// What a flush of this segment must cover.
    pub(super) fn files(&self) -> [Arc<dyn DiskFile>; 2] {
        [self.log.clone(), self.index.file()]
    }

    /// The file of the batches.
    pub(super) fn log(&self) -> Arc<dyn DiskFile> {
        self.log.clone()
    }

    /// True if a batch belongs into another segment, with `before` bytes going into this one ahead of it.
    pub(super) fn is_full(&self, before: u64, next: &BatchHeader, config: LogConfig) -> bool {
        let size = self.size + before + next.size as u64;
        let old = self
            .first_timestamp
            .is_some_and(|first| next.max_timestamp.saturating_sub(first) > config.segment_ms);
        let relative = next.end().0 - self.base.0;
        self.size + before > 0
            && (size > config.segment_bytes
                || old
                || size > u64::from(u32::MAX)
                || relative > i64::from(i32::MAX))
    }

    /// Appends batches that follow each other, with one write.
    pub(super) fn append(&mut self, bytes: &[u8], headers: &[(usize, BatchHeader)]) -> io::Result<()> {
        if let Err(error) = self.log.write_at(bytes, self.size) {
            // Part of it may be there: cut it, so that the file ends where the log does.
            self.log.set_len(self.size)?;
            return Err(error);
        }
        let start = headers.first().map_or(0, |(at, _)| *at);
        for (at, header) in headers {
            self.open_stride(header)?;
            if let Some(stride) = &mut self.stride {
                stride.digest.update(&bytes[at - start..at - start + header.size]);
            }
            self.note(header);
        }
        Ok(())
    }

    /// Makes sure that a stride is open for the next batch: its own one if the last is long enough or of
    /// another epoch.
    fn open_stride(&mut self, next: &BatchHeader) -> io::Result<()> {
        let complete = self.stride.as_ref().is_some_and(|stride| {
            self.size - stride.start >= INDEX_INTERVAL_BYTES as u64 || stride.epoch != next.leader_epoch
        });
        if complete {
            self.close_stride()?;
        }
        if self.stride.is_none() {
            let digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
            self.stride =
                Some(Stride { first: next.base_offset, start: self.size, epoch: next.leader_epoch, digest });
        }
        Ok(())
    }

    fn close_stride(&mut self) -> io::Result<()> {
        let Some(stride) = self.stride.take() else { return Ok(()) };
        let relative = |offset: Offset| u32::try_from(offset.0 - self.base.0).map_err(io::Error::other);
        self.index.push(Entry {
            first: relative(stride.first)?,
            end: relative(self.end)?,
            end_position: u32::try_from(self.size).map_err(io::Error::other)?,
            max_timestamp: self.max_timestamp,
            epoch: stride.epoch,
            crc: stride.digest.finalize() as u32,
        })
    }

    fn note(&mut self, header: &BatchHeader) {
        if self.size == 0 {
            self.first_timestamp = known_timestamp(header);
        }
        self.end = header.end();
        self.size += header.size as u64;
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
        let (first, _) = self.epoch_span.unwrap_or((header.leader_epoch, header.leader_epoch));
        self.epoch_span = Some((first, header.leader_epoch));
    }

    /// Completes the index of a segment that gets no more batches.
    pub(super) fn seal(&mut self) -> io::Result<()> {
        self.close_stride()?;
        self.index.flush()
    }

    /// The position and head of the first batch that ends above an offset.
    fn locate(&self, offset: Offset) -> io::Result<Option<(u64, BatchHeader)>> {
        let relative = offset.0 - self.base.0;
        let before = self.index.partition_point(|entry| i64::from(entry.end) <= relative)?;
        self.first_from(self.index.start_of(before)?, |header| header.end() > offset)
    }

    fn first_from(
        &self,
        position: u64,
        wanted: impl Fn(&BatchHeader) -> bool,
    ) -> io::Result<Option<(u64, BatchHeader)>> {
        let mut walk = Walk::new(&*self.log, position, self.size, LOOK_BYTES);
        while let Some(header) = walk.peek()? {
            if wanted(&header) {
                return Ok(Some((walk.position, header)));
            }
            walk.skip(&header);
        }
        Ok(None)
    }

    /// Whole batches from the one that holds `from` on, none that begins at or above `to`, and the offset after them.
    /// `Err(InvalidData)` if the first one is damaged; a damaged one behind good ones ends the piece.
    pub(super) fn read(
        &self,
        from: Offset,
        to: Offset,
        bytes_max: usize,
        at_least_one: bool,
    ) -> io::Result<Option<(Bytes, Offset)>> {
        let Some(at) = self.find(from)? else { return Ok(None) };
        self.read_at(at, to, bytes_max, at_least_one)
    }

    /// As [`Segment::read`], but whole strides are promised by the index and read later; where none fits, what there is is read now.
    pub(super) fn read_later(
        &self,
        from: Offset,
        to: Offset,
        bytes_max: usize,
        at_least_one: bool,
    ) -> io::Result<Option<(Piece, Offset)>> {
        let Some(at) = self.find(from)? else { return Ok(None) };
        if let Some((later, end)) = self.promise(at.0, to, bytes_max)? {
            return Ok(Some((Piece::Later(later), end)));
        }
        let read = self.read_at(at, to, bytes_max, at_least_one)?;
        Ok(read.map(|(bytes, end)| (bytes.into(), end)))
    }

    /// As [`Segment::locate`]; `Err(InvalidData)` if the segment should hold the offset and no batch with it reads back.
    fn find(&self, from: Offset) -> io::Result<Option<(u64, BatchHeader)>> {
        let found = self.locate(from)?;
        if found.is_none() && from < self.end {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(found)
    }

    fn read_at(
        &self,
        (start, first): (u64, BatchHeader),
        to: Offset,
        bytes_max: usize,
        at_least_one: bool,
    ) -> io::Result<Option<(Bytes, Offset)>> {
        if first.base_offset >= to || (first.size > bytes_max && !at_least_one) {
            return Ok(None);
        }
        let available = usize::try_from(self.size - start).unwrap_or(usize::MAX);
        let mut buffer = ReadBuffer::take(bytes_max.max(first.size).min(available));
        self.log.read_at(buffer.as_mut(), start)?;
        let bytes = buffer.as_ref();
        let last = batch::headers(bytes)
            .take_while(|(at, header)| {
                header.base_offset < to && is_good(&bytes[*at..at + header.size], header)
            })
            .last();
        let (at, last) = last.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Some((buffer.freeze(at + last.size), last.end())))
    }

    /// The strides from the batch at `start` on that end at or below `to`, with the offset after them; `None` if none fits.
    fn promise(&self, start: u64, to: Offset, bytes_max: usize) -> io::Result<Option<(Later, Offset)>> {
        if self.findings.has_doubt() {
            return Ok(None);
        }
        let limit = start.saturating_add(bytes_max as u64);
        let at = |entry: &Entry| self.base.plus(i64::from(entry.end));
        let fits = |entry: &Entry| u64::from(entry.end_position) <= limit && at(entry) <= to;
        let fitting = self.index.partition_point(fits)?;
        let last = fitting.checked_sub(1).map_or(Ok(None), |number| self.index.get(number))?;
        let Some(last) = last.filter(|entry| u64::from(entry.end_position) > start) else { return Ok(None) };
        let end = u64::from(last.end_position);
        let good_below = self.findings.good_below();
        let known_good = end <= good_below || start.max(good_below) >= self.own_from;
        let batches =
            Batches { file: self.log.clone(), start, end, known_good, findings: self.findings.clone() };
        let length = usize::try_from(end - start).map_err(io::Error::other)?;
        Ok(Some((Later::new(Arc::new(batches), length), at(&last))))
    }

    /// The first batch whose greatest timestamp is at least that, among those that end above an offset.
    pub(super) fn find_timestamp(&self, from: Offset, timestamp: i64) -> io::Result<Option<Bytes>> {
        let before = self.index.partition_point(|entry| entry.max_timestamp < timestamp)?;
        let wanted = |header: &BatchHeader| header.max_timestamp >= timestamp && header.end() > from;
        let Some((position, header)) = self.first_from(self.index.start_of(before)?, wanted)? else {
            return Ok(None);
        };
        let mut buffer = vec![0; header.size];
        self.log.read_at(&mut buffer, position)?;
        if is_good(&buffer, &header) {
            Ok(Some(Bytes::from(buffer)))
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    /// Where the batch that holds an offset begins; the offset itself if none in this segment does.
    pub(super) fn boundary(&self, offset: Offset) -> io::Result<Offset> {
        let found = if offset < self.base { None } else { self.locate(offset)? };
        Ok(found.map_or(offset, |(_, header)| header.base_offset))
    }

    /// Cuts every batch that ends above an offset; the segment takes appends again.
    pub(super) fn truncate(&mut self, to: Offset) -> io::Result<()> {
        if let Some((position, _)) = self.locate(to.max(self.base))? {
            self.log.set_len(position)?;
            let kept = self.index.partition_point(|entry| u64::from(entry.end_position) <= position)?;
            self.index.truncate(kept)?;
            self.rewind(position)?;
        }
        Ok(())
    }
}

fn known_timestamp(header: &BatchHeader) -> Option<i64> {
    (header.max_timestamp >= 0).then_some(header.max_timestamp)
}

/// True if a whole batch is what its CRC says.
pub(super) fn is_good(bytes: &[u8], header: &BatchHeader) -> bool {
    crc32c(&bytes[BATCH_CRC_START..]) == header.crc
}
