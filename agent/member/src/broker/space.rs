//! A full disk: nothing is lost, nothing is acknowledged that was not written, and the member goes on with what needs no room.
//!
//! It appends nothing, gives its leads away, and answers producers KAFKA_STORAGE_ERROR where nobody else can lead; consumers are served.
//! As a follower it leaves the ISR. A reserve that it holds on its disk is let go, so that checkpoints, cuts and the deletion of old
//! records find room. When there is room again it goes on by itself. Must not know: how room is made. Read first:
//! [`Broker::disk_filled`], [`Broker::look_for_space`].

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use streamkeeper_base::{Instant, TopicPartition};
use streamkeeper_controller::{Command, Operation};
use streamkeeper_replica::Event;
use streamkeeper_storage::disk::{Access, Disk, is_full};

use super::Broker;
use crate::io::Output;
use crate::kafka::pending::PendingCommand;

/// A full disk is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Bytes of the reserve that are written at once.
const PIECE_BYTES: usize = 1024 * 1024;

/// What is known of the disk's room.
#[derive(Debug)]
pub(super) struct Space {
    full: bool,
    /// The reserve is on the disk.
    reserved: bool,
    look_at: Instant,
    /// Partitions whose logs found no room to be opened.
    unopened: BTreeSet<TopicPartition>,
}

impl Space {
    pub(super) fn new(now: Instant) -> Self {
        Self { full: false, reserved: false, look_at: now, unopened: BTreeSet::new() }
    }
}

fn reserve(data: &Path) -> PathBuf {
    data.join("reserve")
}

/// Lets the reserve go before a member opens its disk, if there is not even as much room besides: what a recovery writes must find
/// room. The broker takes it again.
///
/// # Errors
/// As the disk.
pub(crate) fn release_reserve_if_low(disk: &dyn Disk, data: &Path) -> io::Result<()> {
    let path = reserve(data);
    if disk.exists(&path) && disk.free_bytes(data)? < disk.open(&path, Access::Read)?.len()? {
        disk.remove_file(&path)?;
    }
    Ok(())
}

impl Broker {
    /// True while nothing is appended.
    pub(crate) fn is_disk_full(&self) -> bool {
        self.space.full
    }

    /// A write found no room.
    pub(super) fn disk_filled(&mut self) {
        if self.space.full {
            return;
        }
        self.space.full = true;
        self.space.look_at = self.clocks.now + LOOK_EVERY;
        // Old records that may go make room.
        self.retention_at = self.clocks.now;
        let path = reserve(&self.config.data);
        if self.space.reserved && self.disk.remove_file(&path).is_ok() {
            self.space.reserved = false;
        }
        let text = format!(
            "the disk of {} is full: this member appends no records and leads no partition that another can lead, until \
             there is room; make it by deleting topics or shortening their retention.ms, or enlarge the volume",
            self.config.data.display()
        );
        self.out.push(Output::Warn { text });
        self.tell_space();
    }

    /// Takes the reserve, and goes on when it is there: then there is room.
    pub(super) fn look_for_space(&mut self) {
        if self.clocks.now < self.space.look_at {
            return;
        }
        self.space.look_at = self.clocks.now + LOOK_EVERY;
        if !self.space.reserved {
            match self.take_reserve() {
                Ok(true) => self.space.reserved = true,
                Ok(false) => self.disk_filled(),
                // A disk that gives no figures is as good as one with room, until a write says otherwise.
                Err(_) => {}
            }
        }
        if self.space.full && self.space.reserved {
            self.space.full = false;
            let text =
                format!("the disk of {} has room again: records are taken", self.config.data.display());
            self.out.push(Output::Warn { text });
            let partitions: Vec<TopicPartition> = self.replicas.keys().copied().collect();
            for tp in partitions {
                self.step(tp, Event::DiskHasRoom);
                self.tell_durable_again(tp);
            }
        }
        if !self.space.full && !self.space.unopened.is_empty() {
            self.space.unopened.clear();
            let image = self.image.clone();
            self.follow_image(&image, &image);
        }
        self.tell_space();
    }

    /// A cut that the disk refused was told to the replica before it was tried: what stayed is made durable, and told, once more.
    fn tell_durable_again(&mut self, tp: TopicPartition) {
        let Some(replica) = self.replicas.get(&tp) else { return };
        if replica.partition.progress().durable < replica.log.end() {
            let durable = replica.log.durable_end();
            self.step(tp, Event::Persisted(durable));
            self.flush_segment(tp);
        }
    }

    /// A partition's log found no room to be opened: it is tried again.
    pub(super) fn unopened(&mut self, tp: TopicPartition) {
        self.space.unopened.insert(tp);
        self.disk_filled();
    }

    /// Level-triggered: told until the image says it.
    fn tell_space(&mut self) {
        let member = self.config.member;
        let full = self.space.full;
        if self.image.members.get(&member).is_some_and(|known| known.full != full) {
            let operation = Operation::NoteSpace { member, full };
            self.command(Command::Operate(operation), PendingCommand::Space);
        }
    }

    /// Writes the reserve; false if there is not as much room besides.
    fn take_reserve(&self) -> io::Result<bool> {
        let (bytes, path) = (self.config.reserve_bytes, reserve(&self.config.data));
        if self.disk.exists(&path) && self.disk.open(&path, Access::Read)?.len()? == bytes {
            return Ok(true);
        }
        if self.disk.free_bytes(&self.config.data)? < bytes.saturating_mul(2) {
            return Ok(false);
        }
        // Written, not only made long: a file with holes reserves nothing.
        let file = self.disk.open(&path, Access::Buffered)?;
        let zeros = vec![0; PIECE_BYTES];
        let mut at = 0;
        let written = file.set_len(0).and_then(|()| {
            while at < bytes {
                let length = usize::try_from(bytes - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
                file.write_at(&zeros[..length], at)?;
                at += length as u64;
            }
            Ok(())
        });
        match written {
            Ok(()) => Ok(true),
            Err(error) if is_full(&error) => {
                self.disk.remove_file(&path)?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}
