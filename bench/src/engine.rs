//! One thread, one epoll: length-prefixed frames over many connections, with as little work per frame as it takes.
//!
//! Both protocols frame alike (a 32-bit length, then the body). Must not know: what a frame means. Read first: [`Load`], [`Net`].

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::{Buf, Bytes, BytesMut};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

/// Bytes taken off a socket at once.
const READ_BYTES: usize = 512 * 1024;
/// A longer frame than any server may send, bytes.
const FRAME_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Pieces handed to one `writev` at most.
const PIECES_PER_WRITE: usize = 64;
/// Without anything to do the load is asked this often whether it is done.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What decides what is sent.
pub(crate) trait Load {
    /// A whole frame came, without its length.
    fn frame(&mut self, net: &mut Net, at: usize, frame: Bytes, now: Instant) -> Result<()>;

    /// A connection ended. By default that ends the run.
    fn closed(&mut self, _net: &mut Net, at: usize, reason: &str) -> Result<()> {
        bail!("connection {at} to the server ended: {reason}")
    }

    /// Sends what is due. Gives when to be called again, `None` when the run is over.
    fn turn(&mut self, net: &mut Net, now: Instant) -> Result<Option<Instant>>;
}

/// The connections of a run.
pub(crate) struct Net {
    epoll: OwnedFd,
    connections: Vec<Option<Connection>>,
    scratch: Vec<u8>,
    /// Connections with something to write.
    dirty: Vec<usize>,
}

struct Connection {
    stream: TcpStream,
    input: BytesMut,
    output: VecDeque<Bytes>,
    /// Small pieces, joined.
    open: BytesMut,
    dirty: bool,
}

impl Net {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC).context("epoll")?,
            connections: Vec::new(),
            scratch: vec![0; READ_BYTES],
            dirty: Vec::new(),
        })
    }

    /// Takes a connected socket; gives its number.
    pub(crate) fn add(&mut self, stream: TcpStream) -> Result<usize> {
        let at = self.connections.len();
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &stream, EventData::new_u64(at as u64), flags).context("epoll")?;
        self.connections.push(Some(Connection {
            stream,
            input: BytesMut::new(),
            output: VecDeque::new(),
            open: BytesMut::new(),
            dirty: false,
        }));
        Ok(at)
    }

    /// Sends a piece as it is; nothing if the connection has ended.
    pub(crate) fn send(&mut self, at: usize, piece: Bytes) {
        if let Some(connection) = self.marked(at) {
            connection.close_open();
            connection.output.push_back(piece);
        }
    }

    /// Sends a copy of a small piece.
    pub(crate) fn send_small(&mut self, at: usize, fill: impl FnOnce(&mut BytesMut)) {
        if let Some(connection) = self.marked(at) {
            fill(&mut connection.open);
        }
    }

    /// Ends a connection without a word to the load.
    pub(crate) fn drop(&mut self, at: usize) {
        self.connections[at] = None;
    }

    fn marked(&mut self, at: usize) -> Option<&mut Connection> {
        let connection = self.connections[at].as_mut()?;
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(at);
        }
        Some(connection)
    }

    fn has_output(&self, at: usize) -> bool {
        self.connections[at].as_ref().is_some_and(|connection| !connection.output.is_empty())
    }

    fn flush(&mut self) -> Vec<(usize, String)> {
        let mut failed = Vec::new();
        for at in std::mem::take(&mut self.dirty) {
            let Some(connection) = &mut self.connections[at] else { continue };
            connection.dirty = false;
            if let Err(error) = connection.write() {
                failed.push((at, error.to_string()));
            }
        }
        failed
    }
}

impl Connection {
    fn close_open(&mut self) {
        if !self.open.is_empty() {
            self.output.push_back(self.open.split().freeze());
        }
    }

    /// Writes what the socket takes; the rest waits until epoll says that it takes more.
    fn write(&mut self) -> io::Result<()> {
        self.close_open();
        while !self.output.is_empty() {
            let pieces: Vec<IoSlice<'_>> =
                self.output.iter().take(PIECES_PER_WRITE).map(|piece| IoSlice::new(piece)).collect();
            let mut written = match self.stream.write_vectored(&pieces) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            while let Some(front) = self.output.front_mut() {
                if front.len() > written {
                    front.advance(written);
                    break;
                }
                written -= front.len();
                self.output.pop_front();
            }
        }
        Ok(())
    }

    /// Takes the next whole frame off what was read.
    fn next_frame(&mut self) -> Result<Option<Bytes>> {
        let Some(head) = self.input.first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(i32::from_be_bytes(*head)).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            bail!("the server announces a frame of {length} bytes; is this the right port?");
        }
        if self.input.len() < 4 + length {
            self.input.reserve(4 + length - self.input.len());
            return Ok(None);
        }
        self.input.advance(4);
        Ok(Some(self.input.split_to(length).freeze()))
    }
}

/// Runs a load until it is over.
pub(crate) fn run(net: &mut Net, load: &mut impl Load) -> Result<()> {
    let mut events: Vec<epoll::Event> = Vec::with_capacity(1024);
    loop {
        let now = Instant::now();
        let Some(next) = load.turn(net, now)? else { return Ok(()) };
        for (at, reason) in net.flush() {
            net.drop(at);
            load.closed(net, at, &reason)?;
        }
        let wait = next.min(now + LOOK_EVERY).saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(wait.subsec_nanos()) };
        events.clear();
        match epoll::wait(&net.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("epoll"),
        }
        for event in &events {
            let (data, flags) = (event.data, event.flags);
            let at = usize::try_from(data.u64()).unwrap_or(usize::MAX);
            if flags.contains(EventFlags::OUT) && net.has_output(at) {
                net.marked(at);
            }
            if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
                read(net, load, at)?;
            }
        }
    }
}

/// Reads until the socket is empty: epoll tells only of changes.
fn read(net: &mut Net, load: &mut impl Load, at: usize) -> Result<()> {
    loop {
        let Some(connection) = &mut net.connections[at] else { return Ok(()) };
        let ended = match connection.stream.read(&mut net.scratch) {
            Ok(0) => Some("closed by the server".to_owned()),
            Ok(read) => {
                connection.input.extend_from_slice(&net.scratch[..read]);
                None
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(reason) = ended {
            net.drop(at);
            return load.closed(net, at, &reason);
        }
        let now = Instant::now();
        while let Some(connection) = &mut net.connections[at]
            && let Some(frame) = connection.next_frame()?
        {
            load.frame(net, at, frame, now)?;
        }
    }
}
