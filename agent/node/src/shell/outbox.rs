//! What waits to be written to one socket: pieces are written at once while the socket takes them, and by a task when it does not.
//!
//! Who does not read what it is sent is not read from any more: see [`Outbox::hold`].

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Pieces handed to one `writev` at most.
const PIECES_PER_WRITE: usize = 64;

/// With more than this waiting, nothing more is begun for the receiver.
const BACKLOG_BYTES: usize = 1024 * 1024;

/// A socket and the bytes that are due on it, in order.
pub(crate) struct Outbox {
    stream: Rc<TcpStream>,
    queue: RefCell<VecDeque<Bytes>>,
    queued_bytes: Cell<usize>,
    queued_bytes_max: usize,
    more: Notify,
    closing: Cell<bool>,
    closed: Cell<bool>,
    /// True while the sender on the other side is not read from.
    held: Cell<bool>,
    /// Frames of the other side that are read, but that the hub has not taken yet.
    untaken: Cell<usize>,
    /// Told when reading may go on: after a hold, or because all that was read is taken.
    released: Notify,
    /// Told when the backlog is gone.
    owner: Rc<Notify>,
}

impl Outbox {
    pub(crate) fn new(stream: Rc<TcpStream>, queued_bytes_max: usize, owner: Rc<Notify>) -> Rc<Self> {
        Rc::new(Self {
            stream,
            queue: RefCell::new(VecDeque::new()),
            queued_bytes: Cell::new(0),
            queued_bytes_max,
            more: Notify::new(),
            closing: Cell::new(false),
            closed: Cell::new(false),
            held: Cell::new(false),
            untaken: Cell::new(0),
            released: Notify::new(),
            owner,
        })
    }

    /// True if something may be begun for this receiver: it is there, and takes what was sent before.
    pub(crate) fn is_ready(&self) -> bool {
        !self.closing.get() && !self.is_backlogged()
    }

    fn is_backlogged(&self) -> bool {
        self.queued_bytes.get() > BACKLOG_BYTES
    }

    /// Nothing more is read from the other side, until [`Outbox::release`].
    pub(crate) fn hold(&self) {
        self.held.set(true);
    }

    /// Reading goes on.
    pub(crate) fn release(&self) {
        self.held.set(false);
        self.released.notify_one();
    }

    /// A frame of the other side was put into the hub's inbox.
    pub(crate) fn read_one(&self) {
        self.untaken.set(self.untaken.get() + 1);
    }

    /// The hub has taken a frame out of its inbox.
    pub(crate) fn took_one(&self) {
        let left = self.untaken.get().saturating_sub(1);
        self.untaken.set(left);
        if left == 0 {
            self.released.notify_one();
        }
    }

    /// Lets others run, and the hub take all that was read: its inbox never holds more of one connection than one read gives.
    pub(crate) async fn taken(&self) {
        if self.untaken.get() == 0 {
            // Only a piece of a frame came.
            return tokio::task::yield_now().await;
        }
        while self.untaken.get() > 0 && !self.closed.get() {
            self.released.notified().await;
        }
    }

    /// True while nothing is read from the other side.
    pub(crate) fn is_held(&self) -> bool {
        self.held.get() && !self.closed.get()
    }

    /// Waits while reading is held.
    pub(crate) async fn free(&self) {
        while self.is_held() {
            self.released.notified().await;
        }
    }

    /// Queues a piece. A receiver that lets more than the limit pile up is cut off, so memory stays bounded.
    pub(crate) fn push(&self, piece: Bytes) {
        if self.closing.get() || piece.is_empty() {
            return;
        }
        let queued = self.queued_bytes.get() + piece.len();
        if queued > self.queued_bytes_max {
            tracing::warn!(queued, "a receiver does not read what it is sent; its connection is closed");
            self.shut();
            return;
        }
        self.queued_bytes.set(queued);
        self.queue.borrow_mut().push_back(piece);
    }

    /// Writes what the socket takes now; the writer task goes on with the rest.
    pub(crate) fn flush(&self) {
        match self.write_some() {
            Ok(true) => self.finish_if_closing(),
            Ok(false) => self.more.notify_one(),
            Err(_) => self.shut(),
        }
    }

    /// Closes the connection once what was queued is written.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.flush();
    }

    /// Closes the connection now and drops what was queued.
    pub(crate) fn shut(&self) {
        self.closing.set(true);
        self.closed.set(true);
        self.queue.borrow_mut().clear();
        self.queued_bytes.set(0);
        // The peer may have gone already; then there is nothing to shut down.
        let _ = SockRef::from(&*self.stream).shutdown(std::net::Shutdown::Both);
        self.more.notify_one();
        self.released.notify_one();
    }

    /// Writes whenever the socket becomes writable, until the connection is closed.
    pub(crate) async fn drain(self: Rc<Self>) {
        while !self.closed.get() {
            self.more.notified().await;
            while !self.closed.get() && !self.queue.borrow().is_empty() {
                if self.stream.writable().await.is_err() {
                    return self.shut();
                }
                let was_backlogged = self.is_backlogged();
                match self.write_some() {
                    Ok(true) => self.finish_if_closing(),
                    Ok(false) => {}
                    Err(_) => return self.shut(),
                }
                if was_backlogged && !self.is_backlogged() {
                    self.owner.notify_one();
                }
            }
        }
    }

    fn finish_if_closing(&self) {
        if self.closing.get() {
            self.shut();
        }
    }

    /// True when nothing is left, false when the socket takes no more now.
    fn write_some(&self) -> io::Result<bool> {
        let mut queue = self.queue.borrow_mut();
        while !queue.is_empty() {
            let written = {
                let slices: Vec<IoSlice<'_>> =
                    queue.iter().take(PIECES_PER_WRITE).map(|piece| IoSlice::new(piece)).collect();
                match self.stream.try_write_vectored(&slices) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => written,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                }
            };
            self.queued_bytes.set(self.queued_bytes.get().saturating_sub(written));
            consume(&mut queue, written);
        }
        Ok(true)
    }
}

fn consume(queue: &mut VecDeque<Bytes>, mut written: usize) {
    while written > 0 {
        let Some(front) = queue.front_mut() else { return };
        if front.len() > written {
            front.advance(written);
            return;
        }
        written -= front.len();
        queue.pop_front();
    }
}
