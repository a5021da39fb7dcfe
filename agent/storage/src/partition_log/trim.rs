//! What makes a log shorter: cuts at its end after a change of leader, deletion at its start by retention or
//! by order.
//!
//! What goes is told to the disk first, durably: a crash in the middle then finds garbage, not a hole.

use std::io;

use streamkeeper_base::Offset;

use super::flush::Flushing;
use super::segment::{self, Segment};
use super::{LogConfig, LogError, PartitionLog};

impl PartitionLog {
    /// Cuts every batch that ends above `to`; durable when this returns.
    ///
    /// # Errors
    /// As the disk.
    pub fn truncate(&mut self, to: Offset) -> Result<(), LogError> {
        if to >= self.end() {
            // Epochs that began at the end without a record go, too: the cache may not know more than the log
            // (K12).
            let cut = |log: &mut Self| log.epochs.retain(|(_, start)| *start < to);
            return self.change(cut, Self::checkpoint_buffered).map_err(|error| self.io(error));
        }
        // A batch that holds `to` in its middle goes as a whole.
        let index = self.segments.partition_point(|s| s.base <= to).saturating_sub(1);
        let boundary = self.segments.get(index).map_or(Ok(to), |s| s.boundary(to));
        boundary.and_then(|to| self.truncate_files(to)).map_err(|error| self.io(error))
    }

    fn truncate_files(&mut self, to: Offset) -> io::Result<()> {
        let cut = |log: &mut Self| {
            log.durable = log.durable.min(to);
            log.sealed = log.sealed.min(to);
            log.log_start = log.log_start.min(to);
            log.epochs.retain(|(_, start)| *start < to);
        };
        // The cut may be below all there is. A full disk then leaves the log as it was.
        let is_below = self.segments.front().is_some_and(|first| first.base > to);
        let fresh = is_below.then(|| Segment::prepare(&*self.disk, &self.dir, to)).transpose()?;
        // Before anything goes: a crash must not find less than what the disk says to be durable, nor believe
        // epochs of records that others replaced.
        self.change(cut, |log| log.checkpoint_durable_at(to))?;
        self.flushing.truncations += 1;
        self.snapshots.cut(to)?;
        while self.segments.len() > 1
            && let Some(last) = self.segments.pop_back_if(|last| last.base >= to)
        {
            segment::remove(&*self.disk, &self.dir, last.base)?;
        }
        if let Some(fresh) = fresh {
            let base = self.active().base;
            segment::remove(&*self.disk, &self.dir, base)?;
            self.segments.clear();
            fresh.take_names(&*self.disk, &self.dir)?;
            self.add_segment(fresh)?;
        } else {
            self.active().truncate(to)?;
            self.sealed = self.sealed.min(self.active().base);
        }
        while let Some((_, piece)) = self.tail.pop_back_if(|(base, _)| *base >= to) {
            self.tail_bytes -= piece.len();
        }
        self.check();
        // A cut stays cut: what was removed must not come back, neither alone nor behind what is appended
        // from now on.
        self.active().log().sync_data()?;
        self.disk.sync_dir(&self.dir)?;
        self.checkpoint_if_room()
    }

    /// Drops everything and begins anew at an offset: for a follower whose leader no longer has what comes
    /// next.
    ///
    /// # Errors
    /// As the disk.
    pub fn restart_at(&mut self, offset: Offset) -> Result<(), LogError> {
        self.restart_files(offset).map_err(|error| self.io(error))
    }

    fn restart_files(&mut self, offset: Offset) -> io::Result<()> {
        let restart = |log: &mut Self| {
            log.epochs.clear();
            (log.log_start, log.durable, log.sealed) = (offset, offset, offset);
        };
        // A full disk leaves the log as it was.
        let fresh = Segment::prepare(&*self.disk, &self.dir, offset)?;
        self.change(restart, |log| log.checkpoint_durable_at(offset))?;
        self.flushing = Flushing { truncations: self.flushing.truncations + 1, ..Flushing::default() };
        self.drop_tail();
        // Nothing of what was there counts, wherever it stood.
        self.snapshots.cut(Offset(-1))?;
        while let Some(segment) = self.segments.pop_back() {
            segment::remove(&*self.disk, &self.dir, segment.base)?;
        }
        self.disk.sync_dir(&self.dir)?;
        fresh.take_names(&*self.disk, &self.dir)?;
        self.add_segment(fresh)
    }

    /// Deletes closed segments by age and size, none that holds records at or above `limit`. True if the log
    /// start moved.
    ///
    /// # Errors
    /// As the disk.
    pub fn enforce_retention(&mut self, now_ms: i64, limit: Offset) -> Result<bool, LogError> {
        let before = self.log_start;
        let oldest_ms = now_ms.saturating_sub(self.config.retention_ms);
        // Records without timestamps are not known to be old.
        let is_old = |s: &Segment, c: &LogConfig| {
            c.retention_ms >= 0 && s.max_timestamp >= 0 && s.max_timestamp < oldest_ms && s.end <= limit
        };
        let config = self.config;
        if self.active().size > 0 && self.segments.iter().all(|s| is_old(s, &config)) {
            // All of it is too old, the last segment included (Kafka rolls it first, too).
            self.roll()?;
        }
        let (mut start, mut rest) = (self.log_start, self.size());
        for segment in self.segments.iter().take(self.segments.len() - 1) {
            rest -= segment.size;
            let too_big = config.retention_bytes >= 0 && rest >= config.retention_bytes.cast_unsigned();
            if !(is_old(segment, &config) || (too_big && segment.end <= limit)) {
                break;
            }
            start = segment.end;
        }
        self.move_log_start(start)?;
        Ok(self.log_start != before)
    }

    /// Makes `offset` the first readable one and deletes the segments wholly below it.
    ///
    /// # Errors
    /// As the disk.
    pub fn move_log_start(&mut self, offset: Offset) -> Result<(), LogError> {
        let start = self.log_start.max(offset.min(self.end()));
        // A segment that took appends when the start moved to its end is closed by now, perhaps.
        let is_below = self.segments.len() > 1 && self.segments.front().is_some_and(|s| s.end <= start);
        if start == self.log_start && !is_below {
            return Ok(());
        }
        self.remove_below(start).map_err(|error| self.io(error))
    }

    fn remove_below(&mut self, start: Offset) -> io::Result<()> {
        let last = self.segments.len() - 1;
        let gone = self.segments.iter().take(last).take_while(|s| s.end <= start).count();
        let advance = |log: &mut Self| {
            log.log_start = start;
            // There is nothing below that could be lost.
            log.durable = log.durable.max(start);
            let kept = log.epochs.partition_point(|(_, s)| *s <= start).saturating_sub(1);
            log.epochs.drain(..kept);
        };
        if gone == 0 {
            return self.change(advance, Self::checkpoint_buffered);
        }
        // Before anything goes: names come back in any order after a power cut, and must then be known to be
        // garbage.
        let end = self.end();
        self.change(advance, |log| log.checkpoint_durable_at(end))?;
        for segment in self.segments.drain(..gone) {
            segment::remove(&*self.disk, &self.dir, segment.base)?;
        }
        Ok(())
    }
}
