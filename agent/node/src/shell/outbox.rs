//! What waits to be written to one socket: pieces are written at once while the socket takes them, and by a task when it does not.
//! What is in files is read just before the socket takes it, or not at all: the kernel sends it from there.
//!
//! Who does not read what it is sent is not read from any more: see [`Outbox::hold`].

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;

use bytes::Buf;
use socket2::SockRef;
use streamkeeper_base::Piece;
use streamkeeper_base::piece::Later;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Pieces handed to one `writev` at most.
const PIECES_PER_WRITE: usize = 64;

/// Bytes that are read of files for one `writev`, about: few enough to be in the cache of a core still when the socket copies them, many
/// enough that system calls cost little.
const READ_BYTES: usize = 512 * 1024;

/// Less than this is not worth a system call of its own: it is read, to leave with what stands around it.
const SEND_FROM_FILE_BYTES_MIN: usize = 64 * 1024;

/// Bytes that one socket is given before others of this thread have their turn: who reads fast what is on disk would keep them waiting else.
const WRITE_BYTES_PER_TURN: usize = 1024 * 1024;

/// With more than this waiting, nothing more is begun for the receiver.
const BACKLOG_BYTES: usize = 1024 * 1024;

/// A socket and the bytes that are due on it, in order.
pub(crate) struct Outbox {
    stream: Rc<TcpStream>,
    queue: RefCell<VecDeque<Piece>>,
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
    pub(crate) fn push(&self, piece: Piece) {
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
                tokio::task::yield_now().await;
            }
        }
    }

    fn finish_if_closing(&self) {
        if self.closing.get() {
            self.shut();
        }
    }

    /// True when nothing is left, false when the socket takes no more now, or has had its turn.
    fn write_some(&self) -> io::Result<bool> {
        let mut queue = self.queue.borrow_mut();
        let mut left = WRITE_BYTES_PER_TURN;
        while !queue.is_empty() {
            if left == 0 {
                return Ok(false);
            }
            let written = match queue.front() {
                Some(Piece::Later(later)) if leaves_from_file(later) => self.send_from_file(later),
                _ => self.write_ready(&mut queue),
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.queued_bytes.set(self.queued_bytes.get().saturating_sub(written));
                    consume(&mut queue, written);
                    left = left.saturating_sub(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn send_from_file(&self, later: &Later) -> io::Result<usize> {
        let Some((file, position)) = later.in_file() else { return Ok(0) };
        self.stream.try_io(Interest::WRITABLE, || {
            let mut position = position;
            Ok(rustix::fs::sendfile(&*self.stream, file, Some(&mut position), later.len())?)
        })
    }

    /// Writes what is in memory, and what is read for it.
    fn write_ready(&self, queue: &mut VecDeque<Piece>) -> io::Result<usize> {
        read_ahead(queue)?;
        let ready = queue.iter().map_while(|piece| match piece {
            Piece::Ready(bytes) => Some(IoSlice::new(bytes)),
            Piece::Later(_) => None,
        });
        let slices: Vec<IoSlice<'_>> = ready.take(PIECES_PER_WRITE).collect();
        // The head of a partition's part leaves in one packet with what comes out of the file.
        let flags = if slices.len() < queue.len() { libc::MSG_MORE } else { 0 };
        let socket = SockRef::from(&*self.stream);
        self.stream.try_io(Interest::WRITABLE, || {
            socket.send_vectored_with_flags(&slices, flags | libc::MSG_NOSIGNAL)
        })
    }
}

/// What the socket took only a part of goes on from the file, however little is left: it cannot be read from there on, see [`Later::read`].
fn leaves_from_file(later: &Later) -> bool {
    (later.is_begun() || later.len() >= SEND_FROM_FILE_BYTES_MIN) && later.in_file().is_some()
}

/// Reads what one write may take.
fn read_ahead(queue: &mut VecDeque<Piece>) -> io::Result<()> {
    let (mut at, mut ready) = (0, 0);
    while at < queue.len().min(PIECES_PER_WRITE) && ready < READ_BYTES {
        if let Piece::Later(later) = &mut queue[at] {
            if leaves_from_file(later) {
                return Ok(());
            }
            let bytes = later.read(READ_BYTES - ready).inspect_err(|error| {
                tracing::warn!(
                    "what was promised to a client cannot be read, its connection is closed: {error}"
                );
            })?;
            if later.is_empty() {
                queue[at] = bytes.into();
            } else {
                queue.insert(at, bytes.into());
            }
        }
        ready += queue[at].len();
        at += 1;
    }
    Ok(())
}

/// Takes away what was written.
fn consume(queue: &mut VecDeque<Piece>, mut written: usize) {
    while written > 0 {
        let Some(front) = queue.front_mut() else { return };
        let taken = written.min(front.len());
        match front {
            Piece::Ready(bytes) => bytes.advance(taken),
            Piece::Later(later) => later.skip(taken),
        }
        written -= taken;
        if front.is_empty() {
            queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::{AsFd, BorrowedFd};
    use std::sync::Arc;

    use bytes::Bytes;
    use streamkeeper_base::piece::{Later, Source};
    use tokio::net::TcpListener;

    use super::*;

    /// Counts up to the byte at which it fails, in steps that are not the reader's.
    struct Counting(usize);

    impl Source for Counting {
        fn read(&self, at: usize, bytes_max: usize) -> io::Result<Bytes> {
            let end = self.0.min(at + (bytes_max * 2 / 3).max(1));
            if at == end {
                return Err(io::ErrorKind::InvalidData.into());
            }
            Ok((at..end).map(|i| (i % 251) as u8).collect())
        }
    }

    const LEN: usize = 9_000_000;

    /// What a client gets that begins to read after all was pushed.
    fn received(pieces: impl FnOnce() -> Vec<Piece>) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let mut client = std::net::TcpStream::connect(address).expect("a connection");
            let (stream, _) = listener.accept().await.expect("the client");
            let outbox = Outbox::new(Rc::new(stream), usize::MAX, Rc::default());
            tokio::task::spawn_local(outbox.clone().drain());
            pieces().into_iter().for_each(|piece| outbox.push(piece));
            outbox.flush();
            outbox.close();
            let all = tokio::task::spawn_blocking(move || {
                let mut all = Vec::new();
                // A connection that is cut off gives what came before.
                let _ = client.read_to_end(&mut all);
                all
            });
            all.await.expect("it reads")
        })
    }

    #[test]
    fn what_is_read_later_keeps_its_place() {
        let later = |len| Piece::Later(Later::new(Arc::new(Counting(len)), len));
        let got = received(|| {
            vec![Bytes::from_static(b"a").into(), later(LEN), later(3), Bytes::from_static(b"z").into()]
        });
        let counted = |len: usize| (0..len).map(|i| (i % 251) as u8);
        let expected: Vec<u8> =
            [b'a'].into_iter().chain(counted(LEN)).chain(counted(3)).chain([b'z']).collect();
        assert!(got == expected, "{} bytes of {}", got.len(), expected.len());
    }

    /// A file that may leave as it is.
    struct InFile(std::fs::File);

    impl Source for InFile {
        fn read(&self, _at: usize, _bytes_max: usize) -> io::Result<Bytes> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn in_file(&self, at: usize) -> Option<(BorrowedFd<'_>, u64)> {
            Some((self.0.as_fd(), at as u64))
        }
    }

    fn file(len: usize) -> std::fs::File {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(&(0..len).map(|i| (i % 251) as u8).collect::<Vec<u8>>()).expect("room for it");
        file
    }

    #[test]
    fn what_is_in_a_file_leaves_without_being_read() {
        let later = || Piece::Later(Later::new(Arc::new(InFile(file(LEN))), LEN));
        let head = || Piece::from(Bytes::from_static(b"a"));
        let got = received(|| vec![head(), later(), head(), later(), head()]);
        let counted: Vec<u8> = (0..LEN).map(|i| (i % 251) as u8).collect();
        let expected = [b"a", &counted[..], b"a", &counted, b"a"].concat();
        assert!(got == expected, "{} bytes of {}", got.len(), expected.len());
    }

    /// What the socket leaves of a piece is less than is worth sending from a file, and it must.
    #[test]
    fn the_rest_of_a_piece_leaves_from_its_file() {
        const LEN: usize = SEND_FROM_FILE_BYTES_MIN + 1000;
        let got = received(|| {
            let later = || Piece::Later(Later::new(Arc::new(InFile(file(LEN))), LEN));
            (0..200).map(|_| later()).collect()
        });
        let counted: Vec<u8> = (0..LEN).map(|i| (i % 251) as u8).collect();
        assert!(got == counted.repeat(200), "{} bytes of {}", got.len(), 200 * LEN);
    }

    #[test]
    fn a_file_that_was_cut_ends_the_connection() {
        let got = received(|| {
            let cut = Later::new(Arc::new(InFile(file(LEN / 2))), LEN);
            vec![Piece::Later(cut), Bytes::from_static(b"z").into()]
        });
        assert!(got.len() <= LEN / 2 && got.iter().enumerate().all(|(i, byte)| *byte == (i % 251) as u8));
    }

    #[test]
    fn what_cannot_be_read_ends_the_connection_and_nothing_follows_it() {
        let got = received(|| {
            let cut = Later::new(Arc::new(Counting(LEN / 2)), LEN);
            vec![Piece::Later(cut), Bytes::from_static(b"z").into()]
        });
        assert!(got.len() <= LEN / 2 && got.iter().enumerate().all(|(i, byte)| *byte == (i % 251) as u8));
    }
}
