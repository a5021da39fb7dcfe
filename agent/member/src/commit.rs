//! Group commit without its thread: appends of both machines into one log, one flush, both told how far they are.
//!
//! Must not know: who drives it (the shell's commit thread, or the simulator), what a record means. Read first: [`Committer`].

use std::collections::VecDeque;

use bytes::Bytes;
use streamkeeper_base::{Durable, Lsn};
use streamkeeper_storage::wal::{Wal, WalError};

use crate::io::Ticket;
use crate::record::Owner;

/// For each owner, which log position holds which ticket, so that a release of both can be turned into one of the log.
#[derive(Default)]
struct Positions {
    coordination: VecDeque<(Ticket, Lsn)>,
    broker: VecDeque<(Ticket, Lsn)>,
}

impl Positions {
    fn record(&mut self, owner: Owner, ticket: Ticket, lsn: Lsn) {
        let queue = self.of(owner);
        debug_assert!(queue.back().is_none_or(|(last, _)| *last < ticket), "tickets rise");
        queue.push_back((ticket, lsn));
    }

    fn of(&mut self, owner: Owner) -> &mut VecDeque<(Ticket, Lsn)> {
        match owner {
            Owner::Coordination => &mut self.coordination,
            Owner::Broker => &mut self.broker,
        }
    }

    fn release(&mut self, owner: Owner, below: Ticket) {
        let queue = self.of(owner);
        while queue.front().is_some_and(|(ticket, _)| *ticket < below) {
            queue.pop_front();
        }
    }

    /// The first log position that any owner still needs; `end` when none does.
    fn first_needed(&self, end: Lsn) -> Lsn {
        [&self.coordination, &self.broker]
            .into_iter()
            .filter_map(|queue| queue.front().map(|(_, lsn)| *lsn))
            .min()
            .unwrap_or(end)
    }
}

/// What a commit made durable: for each machine its last ticket, if it had appended anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Coordination's.
    pub coordination: Option<Durable<Ticket>>,
    /// The broker's.
    pub broker: Option<Durable<Ticket>>,
}

/// The write-ahead log and who wrote what into it.
pub struct Committer {
    wal: Wal,
    positions: Positions,
    /// The last ticket of each machine in the group that is being built.
    last: [Option<Ticket>; 2],
    released: Lsn,
}

impl Committer {
    /// Goes on with a log whose replayed records, in order, belong to these machines.
    pub(crate) fn new(wal: Wal, replayed: impl Iterator<Item = (Owner, Lsn)>) -> Self {
        let mut positions = Positions::default();
        let mut tickets = [Ticket::default(); 2];
        for (owner, lsn) in replayed {
            let ticket = &mut tickets[owner as usize];
            *ticket = ticket.next();
            positions.record(owner, *ticket, lsn);
        }
        Self { wal, positions, last: [None, None], released: Lsn(0) }
    }

    /// Puts a record into the group that is being built.
    pub fn append(&mut self, owner: Owner, ticket: Ticket, kind: u8, payload: &[Bytes]) {
        let pieces: Vec<&[u8]> = payload.iter().map(AsRef::as_ref).collect();
        let lsn = self.wal.append(kind, &pieces);
        self.positions.record(owner, ticket, lsn);
        self.last[owner as usize] = Some(ticket);
    }

    /// Records of a machine below the ticket are not needed any more; the log learns it with the next commit.
    pub fn release(&mut self, owner: Owner, below: Ticket) {
        self.positions.release(owner, below);
    }

    /// One step of what makes later commits fast, for the time in which nothing waits for one; true if there is more to do.
    ///
    /// # Errors
    /// As [`Committer::commit`].
    pub fn prepare(&mut self) -> Result<bool, WalError> {
        self.wal.prepare()
    }

    /// Flushes the group and forgets what nobody needs.
    ///
    /// # Errors
    /// The flush failed: nothing may be acknowledged any more (never retried and trusted, storage.md 5).
    pub fn commit(&mut self) -> Result<Committed, WalError> {
        let mut committed = Committed::default();
        if self.last.iter().any(Option::is_some) {
            self.wal.commit()?;
            committed.coordination = self.last[Owner::Coordination as usize].take().map(Durable::flushed);
            committed.broker = self.last[Owner::Broker as usize].take().map(Durable::flushed);
        }
        let needed = self.positions.first_needed(self.wal.next_lsn());
        if needed > self.released {
            self.released = needed;
            self.wal.release(needed)?;
        }
        Ok(committed)
    }
}
