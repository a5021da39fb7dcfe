//! Opening a log: what a crash may leave, and what it may not.
//!
//! Segments wholly below the log start are garbage of an interrupted deletion. Behind the first batch that
//! does not read back, or the first gap, nothing counts; if that is below the durable end, it is damage and
//! nothing is touched (the PAR rule).

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

use streamkeeper_base::{LeaderEpoch, Offset};

use super::checkpoint::{Checkpoint, DurableCheckpoint};
use super::segment::{self, Check, Segment};
use super::{Boot, Flushing, LogConfig, LogError, PartitionLog, ProducerSnapshots, Trust, note_epoch};
use crate::disk::{Disk, create_dir_durable};

pub(super) fn open(
    disk: Arc<dyn Disk>,
    dir: &Path,
    config: LogConfig,
    trust: Trust,
) -> Result<PartitionLog, LogError> {
    let io = |source| LogError::Io { path: dir.to_owned(), source };
    let (checkpoint, bases) = prepare(&*disk, dir).map_err(io)?;
    let (trust, boot) = judge(&*disk, dir, trust, &checkpoint, &bases).map_err(io)?;
    let is_marked = checkpoint.boot == boot;
    let (start, durable) = (checkpoint.log_start, checkpoint.durable.max(checkpoint.log_start));
    let mut found = load(&*disk, dir, &bases, checkpoint.sealed, trust).map_err(io)?;
    let first = found.segments.front().map_or(start, |s| s.base);
    let mut end = found.segments.back().map_or(start, |s| s.end);
    if durable > start && (first > start || end < durable) {
        let offset = if first > start { start } else { end };
        return Err(LogError::Damaged { path: dir.to_owned(), offset, durable });
    }
    if first > start || end < start {
        // A restart elsewhere, or a cut below the log start, wrote down its new start and went no further.
        found = Found { segments: VecDeque::new(), is_cut: true };
        end = start;
    }
    found.is_cut |= end < checkpoint.end;
    // Epochs without records at the end tell about an end that is not there any more, if anything was cut.
    let is_kept = |epoch_start: Offset| epoch_start < end || (epoch_start == end && !found.is_cut);
    let epochs = checkpoint.epochs.iter().filter(|(_, start)| is_kept(*start)).copied().collect();
    let mut log = PartitionLog {
        durable_file: DurableCheckpoint::new(disk.clone(), dir, checkpoint.generation),
        snapshots: Arc::new(ProducerSnapshots::new(disk.clone(), dir)),
        disk,
        dir: dir.to_owned(),
        config,
        segments: found.segments,
        log_start: start,
        durable,
        sealed: checkpoint.sealed,
        settled: checkpoint.settled,
        boot,
        epochs,
        told: checkpoint.durable,
        checkpoint,
        tail: VecDeque::new(),
        tail_bytes: 0,
        flushing: Flushing::default(),
    };
    // A checkpoint that no flush covered may tell epochs of records that did not survive as it did.
    let known_to = match trust {
        _ if found.is_cut => Offset::ZERO,
        Trust::PageCache => log.checkpoint.end,
        Trust::Nothing | Trust::Boot(_) => log.checkpoint.end.min(log.sealed),
    };
    repair(&mut log, &bases, found.is_cut, known_to).map_err(io)?;
    log.snapshots.cut(log.end()).map_err(io)?;
    if found.is_cut || trust == Trust::Nothing {
        settle(&mut log, trust).map_err(io)?;
    } else if !is_marked {
        log.checkpoint_buffered().map_err(io)?;
    }
    Ok(log)
}

/// Makes what was found durable: later recoveries must believe neither epochs of records that are gone nor records that were removed.
fn settle(log: &mut PartitionLog, trust: Trust) -> io::Result<()> {
    let end = log.end();
    log.active().log().sync_data()?;
    if trust == Trust::Nothing {
        // What reads back now came from the disk.
        let sealed = log.sealed;
        for segment in log.segments.iter().filter(|s| s.end > sealed) {
            segment.log().sync_data()?;
        }
        log.disk.sync_dir(&log.dir)?;
        log.durable = end;
    }
    log.checkpoint_durable_at(end)?;
    Checkpoint::forget_buffered(&*log.disk, &log.dir)
}

/// What to believe, and the boot that is written down from now on.
fn judge(
    disk: &dyn Disk,
    dir: &Path,
    trust: Trust,
    checkpoint: &Checkpoint,
    bases: &[Offset],
) -> io::Result<(Trust, Option<Boot>)> {
    let Trust::Boot(boot) = trust else { return Ok((trust, None)) };
    if bases.is_empty() || checkpoint.boot == Some(boot) {
        return Ok((Trust::PageCache, Some(boot)));
    }
    // Whatever was written since the close makes the last segment longer, or begins another.
    let is_closed = match (checkpoint.closed, bases.last()) {
        (Some(size), Some(last)) => *last == checkpoint.sealed && segment::length(disk, dir, *last)? == size,
        (None, _) | (_, None) => false,
    };
    Ok((if is_closed { Trust::PageCache } else { Trust::Nothing }, Some(boot)))
}

/// Makes the directory, and removes segments wholly below the log start.
fn prepare(disk: &dyn Disk, dir: &Path) -> io::Result<(Checkpoint, Vec<Offset>)> {
    create_dir_durable(disk, dir)?;
    let checkpoint = Checkpoint::load(disk, dir)?;
    let mut bases = segment::bases(disk, dir)?;
    let Some(checkpoint) = checkpoint else {
        let start = bases.first().copied().unwrap_or(Offset::ZERO);
        return Ok((Checkpoint { log_start: start, durable: start, ..Checkpoint::default() }, bases));
    };
    let garbage = bases.iter().skip(1).take_while(|next| **next <= checkpoint.log_start).count();
    if garbage > 0 {
        // The log start may have been read from a file that no flush covered; nothing goes before it is
        // durable.
        checkpoint.write_durable(disk, dir)?;
    }
    for base in bases.drain(..garbage) {
        segment::remove(disk, dir, base)?;
    }
    Ok((checkpoint, bases))
}

struct Found {
    segments: VecDeque<Segment>,
    /// Something stands behind the end that was found.
    is_cut: bool,
}

/// Opens segments up to the first that is not whole or does not follow; changes no batch.
fn load(disk: &dyn Disk, dir: &Path, bases: &[Offset], sealed: Offset, trust: Trust) -> io::Result<Found> {
    let mut segments: VecDeque<Segment> = VecDeque::new();
    for (index, base) in bases.iter().enumerate() {
        if segments.back().is_some_and(|last| last.end != *base) {
            return Ok(Found { segments, is_cut: true });
        }
        let is_sealed = bases.get(index + 1).is_some_and(|next| *next <= sealed);
        let check = if trust == Trust::Nothing && !is_sealed { Check::All } else { Check::Tail };
        let (segment, is_damaged) = Segment::open(disk, dir, *base, check)?;
        // Epochs never fall along a log: a segment that was cut off came back behind what replaced it.
        let before = segments.iter().rev().find_map(|s| s.epoch_span).map(|(_, last)| last);
        if before.zip(segment.epoch_span).is_some_and(|(before, (first, _))| first < before) {
            return Ok(Found { segments, is_cut: true });
        }
        segments.push_back(segment);
        if is_damaged {
            return Ok(Found { segments, is_cut: true });
        }
    }
    Ok(Found { segments, is_cut: false })
}

/// Removes what does not count, completes the epochs, and remembers what no flush is known to cover.
fn repair(log: &mut PartitionLog, bases: &[Offset], is_cut: bool, known_to: Offset) -> io::Result<()> {
    for base in bases.iter().skip(log.segments.len()).rev() {
        segment::remove(&*log.disk, &log.dir, *base)?;
    }
    if is_cut && let Some(last) = log.segments.back_mut() {
        last.cut()?;
    }
    if log.segments.is_empty() {
        log.start_segment(log.log_start)?;
    }
    let mut epochs: Vec<(LeaderEpoch, Offset)> = std::mem::take(&mut log.epochs);
    for segment in log.segments.iter().filter(|s| s.end > known_to || known_to == Offset::ZERO) {
        segment.epochs(|epoch, first, end| {
            // Records are the truth: a later epoch cannot have begun among those of an earlier one (it began
            // behind a cut that a power cut undid).
            epochs.retain(|(known, start)| *known <= epoch || *start < first || *start >= end);
            note_epoch(&mut epochs, epoch, first);
        })?;
    }
    let start = log.log_start;
    let below = epochs.partition_point(|(_, s)| *s <= start).saturating_sub(1);
    epochs.drain(..below);
    log.epochs = epochs;
    // What a killed process wrote can be read though no flush covered it: the next flush must.
    log.flushing.names = true;
    let sealed = log.sealed;
    let last = log.segments.len() - 1;
    for segment in log.segments.iter_mut().take(last).filter(|s| s.end > sealed) {
        segment.seal()?;
        log.flushing.closed.extend(segment.files());
    }
    Ok(())
}
