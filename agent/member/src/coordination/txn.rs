//! The bytes that Zab orders: which state machine they are for, who asked, and when the leader decided.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use streamkeeper_base::codec::{Get, Malformed, put_bytes};
use streamkeeper_base::{MemberId, WallMillis};
use streamkeeper_controller::Delta;
use streamkeeper_tree as tree;

/// What a transaction changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// The znode tree.
    Tree(tree::Txn),
    /// The cluster image; the answer goes to whoever asked.
    Controller { answer: Bytes, deltas: Vec<Delta> },
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    /// Who asked: a member and the number of its request; number 0 for nobody.
    pub(super) origin: MemberId,
    pub(super) request: u64,
    /// The leader's wall clock: the same stamp on all members.
    pub(super) time: WallMillis,
    pub(super) body: Body,
}

impl Envelope {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(128);
        out.put_i32(self.origin.0);
        out.put_u64(self.request);
        out.put_i64(self.time.0);
        match &self.body {
            Body::Tree(txn) => {
                out.put_u8(1);
                txn.encode(&mut out);
            }
            Body::Controller { answer, deltas } => {
                out.put_u8(2);
                put_bytes(&mut out, answer);
                Delta::encode_all(deltas, &mut out);
            }
        }
        out.freeze()
    }

    pub(super) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut get = Get(bytes);
        let origin = MemberId(get.i32()?);
        let request = get.u64()?;
        let time = WallMillis(get.i64()?);
        let body = match get.u8()? {
            1 => {
                let txn = tree::Txn::decode(&mut get.0).map_err(|_| Malformed)?;
                if get.0.has_remaining() {
                    return Err(Malformed);
                }
                Body::Tree(txn)
            }
            2 => Body::Controller { answer: get.bytes()?, deltas: Delta::decode_all(get.0.clone())? },
            _ => return Err(Malformed),
        };
        Ok(Self { origin, request, time, body })
    }
}
