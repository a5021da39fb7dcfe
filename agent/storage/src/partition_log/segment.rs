//! One segment: `<base offset>.log` with whole batches, and `<base offset>.idx` once it is closed.
//!
//! The index is a help, never trusted without its CRC, and rebuilt from the log when it is missing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use streamkeeper_base::Offset;
use streamkeeper_base::batch::{self, BATCH_CRC_START, BATCH_HEADER_BYTES, BatchHeader};

use super::{INDEX_INTERVAL, IndexEntry, LogConfig, Trust};
use crate::crc32c;
use crate::disk::{Access, Disk, DiskFile};

/// Bytes read at once while a segment is walked through.
const WALK_BYTES: usize = 256 * 1024;

pub(super) struct Segment {
    pub(super) base: Offset,
    pub(super) end: Offset,
    pub(super) size: u64,
    pub(super) max_timestamp: i64,
    first_timestamp: Option<i64>,
    file: Arc<dyn DiskFile>,
    index: Vec<IndexEntry>,
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

fn path(dir: &Path, base: Offset, extension: &str) -> PathBuf {
    dir.join(format!("{:020}.{extension}", base.0))
}

impl Segment {
    pub(super) fn create(disk: &dyn Disk, dir: &Path, base: Offset) -> io::Result<Self> {
        let file = disk.open(&path(dir, base, "log"), Access::Buffered)?;
        file.set_len(0)?;
        Ok(Self {
            base,
            end: base,
            size: 0,
            max_timestamp: -1,
            first_timestamp: None,
            file,
            index: Vec::new(),
        })
    }

    /// Walks through the file; `seen` gets every batch's head. The first batch that is cut off, out of order or, without trust,
    /// damaged ends the segment, and the file is cut there.
    pub(super) fn open(
        disk: &dyn Disk,
        dir: &Path,
        base: Offset,
        trust: Trust,
        mut seen: impl FnMut(&BatchHeader),
    ) -> io::Result<Self> {
        let file = disk.open(&path(dir, base, "log"), Access::Buffered)?;
        let length = file.len()?;
        let mut segment = Self {
            base,
            end: base,
            size: 0,
            max_timestamp: -1,
            first_timestamp: None,
            file,
            index: Vec::new(),
        };
        let mut position = 0;
        while let Some(header) = read_header(&*segment.file, position, length)? {
            let good = header.base_offset == segment.end
                && (trust == Trust::PageCache || crc_is_good(&*segment.file, position, &header)?);
            if !good {
                break;
            }
            seen(&header);
            segment.note(&header, position);
            position += header.size as u64;
        }
        if position < length {
            segment.file.set_len(position)?;
        }
        Ok(segment)
    }

    pub(super) fn file(&self) -> Arc<dyn DiskFile> {
        self.file.clone()
    }

    pub(super) fn is_full(&self, next: &BatchHeader, config: LogConfig) -> bool {
        let relative = next.end().0 - self.base.0;
        self.size > 0
            && (self.size + next.size as u64 > config.segment_bytes
                || relative > i64::from(i32::MAX)
                || self.first_timestamp.is_some_and(|first| next.max_timestamp - first > config.segment_ms))
    }

    pub(super) fn append(&mut self, bytes: &[u8], header: &BatchHeader) -> io::Result<()> {
        let position = self.size;
        if let Err(error) = self.file.write_at(bytes, position) {
            // Part of it may be there: cut it, so that the file ends where the log does.
            self.file.set_len(position)?;
            return Err(error);
        }
        self.note(header, position);
        Ok(())
    }

    fn note(&mut self, header: &BatchHeader, position: u64) {
        if self.index.last().is_none_or(|last| position - last.position >= INDEX_INTERVAL) {
            self.index.push(IndexEntry::of(header, position));
        }
        self.end = header.end();
        self.size = position + header.size as u64;
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
        self.first_timestamp.get_or_insert(header.base_timestamp);
    }

    /// The position to begin a walk for an offset.
    fn position_before(&self, offset: Offset) -> u64 {
        let next = self.index.partition_point(|entry| entry.offset <= offset);
        next.checked_sub(1).and_then(|i| self.index.get(i)).map_or(0, |entry| entry.position)
    }

    /// The position of the first batch that ends above an offset; the segment's size if there is none.
    fn locate(&self, offset: Offset) -> io::Result<u64> {
        let mut position = self.position_before(offset);
        while let Some(header) = read_header(&*self.file, position, self.size)? {
            if header.end() > offset {
                return Ok(position);
            }
            position += header.size as u64;
        }
        Ok(self.size)
    }

    /// Whole batches from the one that holds `from` on, none that begins at or above `to`.
    pub(super) fn read(
        &self,
        from: Offset,
        to: Offset,
        bytes_max: usize,
        at_least_one: bool,
    ) -> io::Result<Option<Bytes>> {
        let start = self.locate(from)?;
        let Some(first) = read_header(&*self.file, start, self.size)? else { return Ok(None) };
        if first.base_offset >= to || (first.size > bytes_max && !at_least_one) {
            return Ok(None);
        }
        let available = usize::try_from(self.size - start).unwrap_or(usize::MAX);
        let mut buffer = vec![0; bytes_max.max(first.size).min(available)];
        self.file.read_at(&mut buffer, start)?;
        let whole = batch::headers(&buffer)
            .take_while(|(_, header)| header.base_offset < to)
            .last()
            .map_or(0, |(at, header)| at + header.size);
        buffer.truncate(whole);
        Ok((whole > 0).then(|| Bytes::from(buffer)))
    }

    /// The first batch from an offset on that fulfils a condition on its head.
    pub(super) fn find(
        &self,
        from: Offset,
        wanted: impl Fn(&BatchHeader) -> bool,
    ) -> io::Result<Option<Bytes>> {
        let mut position = self.locate(from)?;
        while let Some(header) = read_header(&*self.file, position, self.size)? {
            if wanted(&header) {
                let mut buffer = vec![0; header.size];
                self.file.read_at(&mut buffer, position)?;
                return Ok(Some(Bytes::from(buffer)));
            }
            position += header.size as u64;
        }
        Ok(None)
    }

    pub(super) fn truncate(&mut self, to: Offset) -> io::Result<()> {
        let position = self.locate(to.max(self.base))?;
        // A batch that holds `to` in its middle goes as a whole.
        let end = read_header(&*self.file, position, self.size)?.map_or(self.end, |h| h.base_offset);
        if position < self.size {
            self.file.set_len(position)?;
            self.size = position;
            self.end = end;
            self.index.retain(|entry| entry.position < position);
            self.max_timestamp = self.recompute_max_timestamp()?;
            if position == 0 {
                self.first_timestamp = None;
            }
        }
        Ok(())
    }

    fn recompute_max_timestamp(&self) -> io::Result<i64> {
        let (mut max, mut position) = (-1, 0);
        while let Some(header) = read_header(&*self.file, position, self.size)? {
            max = max.max(header.max_timestamp);
            position += header.size as u64;
        }
        Ok(max)
    }

    /// Writes the index beside the closed segment.
    pub(super) fn seal(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(self.index.len() * 12 + 4);
        for entry in &self.index {
            let relative = u32::try_from(entry.offset.0 - self.base.0).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&relative.to_be_bytes());
            bytes.extend_from_slice(&entry.position.to_be_bytes());
        }
        bytes.extend_from_slice(&crc32c(&bytes).to_be_bytes());
        disk.open(&path(dir, self.base, "idx"), Access::Buffered)?.write_at(&bytes, 0)
    }
}

fn read_header(file: &dyn DiskFile, position: u64, length: u64) -> io::Result<Option<BatchHeader>> {
    if length.saturating_sub(position) < BATCH_HEADER_BYTES as u64 {
        return Ok(None);
    }
    let mut head = [0; BATCH_HEADER_BYTES];
    file.read_at(&mut head, position)?;
    Ok(BatchHeader::parse(&head).filter(|header| header.size as u64 <= length - position))
}

fn crc_is_good(file: &dyn DiskFile, position: u64, header: &BatchHeader) -> io::Result<bool> {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    let mut at = BATCH_CRC_START;
    let mut buffer = vec![0; WALK_BYTES.min(header.size)];
    while at < header.size {
        let length = buffer.len().min(header.size - at);
        file.read_at(&mut buffer[..length], position + at as u64)?;
        digest.update(&buffer[..length]);
        at += length;
    }
    Ok(digest.finalize() as u32 == header.crc)
}
