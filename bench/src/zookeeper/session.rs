//! One client's session: opened anew at another member when its connection ends, requests in order.
//!
//! Read first: [`Session`], [`Operation`].

use std::collections::VecDeque;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::{BufMut, Bytes};
use streamkeeper_wire::jute::{ConnectResponse, Request};

use super::setup::greeting;
use crate::engine::Net;

/// A session that says nothing for so long sends a ping.
const PING_AFTER: Duration = Duration::from_secs(8);
/// Between two attempts to connect.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// The number of pings and of their answers.
const PING_XID: i32 = -2;

/// Something a session was told to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    /// 0 for a write, 1 for a read.
    pub(super) kind: usize,
    /// Which of the frames to send: what it means is known to the load.
    pub(super) number: u64,
    /// When it was sent, or was due.
    pub(super) since: Instant,
}

/// A client.
pub(super) struct Session {
    addresses: Vec<String>,
    turn: usize,
    connection: Option<usize>,
    is_open: bool,
    id: i64,
    password: [u8; 16],
    zxid: i64,
    xid: i32,
    pub(super) under_way: VecDeque<(i32, Operation)>,
    last_sent: Instant,
    retry_at: Option<Instant>,
}

/// What a frame from the server means.
pub(super) enum Heard {
    /// The session is open.
    Opened,
    /// The oldest request is answered, with ZooKeeper's error number.
    Answer(Operation, i32),
    /// Nothing that concerns the load.
    Nothing,
}

impl Session {
    /// A session that begins with the address at `turn`.
    pub(super) fn new(addresses: Vec<String>, turn: usize, now: Instant) -> Self {
        Self {
            addresses,
            turn,
            connection: None,
            is_open: false,
            id: 0,
            password: [0; 16],
            zxid: 0,
            xid: 0,
            under_way: VecDeque::new(),
            last_sent: now,
            retry_at: Some(now),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Connects if it is time to; gives the new connection's number.
    pub(super) fn connect(&mut self, net: &mut Net, now: Instant) -> Result<Option<usize>> {
        if self.retry_at.is_none_or(|at| at > now) {
            return Ok(None);
        }
        let address = &self.addresses[self.turn % self.addresses.len()];
        self.retry_at = None;
        let Ok(stream) = TcpStream::connect(address) else {
            self.lost(now);
            return Ok(None);
        };
        let at = net.add(stream)?;
        net.send(at, greeting(self.id, &self.password, self.zxid));
        self.connection = Some(at);
        Ok(Some(at))
    }

    /// The connection is gone: the next member is tried after a moment. What was under way may have happened or not.
    pub(super) fn lost(&mut self, now: Instant) {
        (self.connection, self.is_open) = (None, false);
        self.turn += 1;
        self.retry_at = Some(now + RETRY_AFTER);
    }

    /// Sends a request's frame under the next number.
    pub(super) fn send(&mut self, net: &mut Net, frame: &[u8], operation: Operation) {
        let Some(at) = self.connection.filter(|_| self.is_open) else { return };
        self.xid = self.xid.checked_add(1).unwrap_or(1);
        let xid = self.xid;
        net.send_small(at, |out| {
            out.put_slice(&frame[..4]);
            out.put_i32(xid);
            out.put_slice(&frame[8..]);
        });
        self.under_way.push_back((xid, operation));
        self.last_sent = operation.since;
    }

    /// Keeps a quiet session alive.
    pub(super) fn ping(&mut self, net: &mut Net, now: Instant) {
        if let Some(at) = self.connection.filter(|_| self.is_open)
            && now.saturating_duration_since(self.last_sent) > PING_AFTER
        {
            net.send(at, Request::Ping.encode(PING_XID));
            self.last_sent = now;
        }
    }

    /// A frame came.
    pub(super) fn hear(&mut self, frame: Bytes) -> Result<Heard> {
        if !self.is_open {
            let answer = ConnectResponse::decode(frame)?;
            ensure!(answer.session != 0, "the session is refused or has expired");
            (self.id, self.password, self.is_open) = (answer.session, answer.password, true);
            return Ok(Heard::Opened);
        }
        let head: &[u8; 16] = frame.first_chunk().context("a reply is cut off")?;
        let word = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (xid, error) = (word(0), word(12));
        if xid < 0 {
            return Ok(Heard::Nothing);
        }
        let zxid = (i64::from(word(4)) << 32) | i64::from(word(8).cast_unsigned());
        self.zxid = self.zxid.max(zxid);
        match self.under_way.pop_front() {
            Some((expected, operation)) if expected == xid => Ok(Heard::Answer(operation, error)),
            _ => bail!("an answer to another request: {xid}"),
        }
    }
}
