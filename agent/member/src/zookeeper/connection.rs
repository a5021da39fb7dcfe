//! One client connection: its session, its identities, and the queue that keeps its replies in order.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use bytes::Bytes;
use streamkeeper_base::SessionId;
use streamkeeper_base::znode::Identity;
use streamkeeper_wire::jute::Request;

use super::sasl::Exchange;

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The connect request has not come.
    New,
    /// The leader was asked for a session, or about one.
    Opening,
    /// Requests are served for this session.
    Open(SessionId),
}

/// A place in the order of replies.
#[derive(Debug)]
pub(crate) enum Slot {
    /// Waits for a decision or a transaction with this request number.
    Waiting { request: u64, xid: i32, kind: WaitKind },
    /// Waits for its turn: it must see the writes before it.
    Deferred { xid: i32, request: Request },
    /// Waits for its turn to leave.
    Ready(Bytes),
}

/// What a waiting slot answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WaitKind {
    /// A write; for each operation, whether its answer carries a stat (create2).
    Write { is_multi: bool, with_stat: Vec<bool> },
    /// A sync of a path.
    Sync { path: String },
    /// A change of the ensemble.
    Reconfig,
    /// The end of the session.
    Close,
}

/// How many connections each address has (`maxClientCnxns`).
#[derive(Debug, Default)]
pub(crate) struct Addresses(BTreeMap<IpAddr, usize>);

impl Addresses {
    /// Counts a connection; false if the address has as many as it may. A limit of 0 is none.
    pub(crate) fn enter(&mut self, remote: IpAddr, limit: usize) -> bool {
        let count = self.0.entry(remote).or_default();
        if limit > 0 && *count >= limit {
            return false;
        }
        *count += 1;
        true
    }

    /// A counted connection is gone.
    pub(crate) fn leave(&mut self, remote: IpAddr) {
        if let Some(count) = self.0.get_mut(&remote) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&remote);
            }
        }
    }
}

/// One client connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) remote: IpAddr,
    pub(crate) stage: Stage,
    /// Who the client is: its address, and what it proved.
    pub(crate) who: Vec<Identity>,
    pub(crate) queue: VecDeque<Slot>,
    /// Whether the client's connect request had the read-only field; echoed.
    pub(crate) read_only: Option<bool>,
    /// A SASL exchange that waits for the client's answer.
    pub(crate) sasl: Option<Exchange>,
}

impl Client {
    pub(crate) fn new(remote: IpAddr) -> Self {
        Self {
            remote,
            stage: Stage::New,
            who: vec![Identity::new("ip", &remote.to_canonical().to_string())],
            queue: VecDeque::new(),
            read_only: None,
            sasl: None,
        }
    }

    pub(crate) fn session(&self) -> Option<SessionId> {
        match self.stage {
            Stage::Open(session) => Some(session),
            Stage::New | Stage::Opening => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // NettyServerCnxnFactory: maxClientCnxns per address, 0 for no limit
    fn an_address_has_a_limit_of_its_own() {
        let mut addresses = Addresses::default();
        let (one, other) = (IpAddr::from([1, 1, 1, 1]), IpAddr::from([2, 2, 2, 2]));
        assert!(addresses.enter(one, 2) && addresses.enter(one, 2) && !addresses.enter(one, 2));
        assert!(addresses.enter(other, 2), "another address is not affected");
        addresses.leave(one);
        assert!(addresses.enter(one, 2) && addresses.enter(one, 0), "0 is no limit");
    }
}
