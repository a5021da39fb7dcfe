//! What goes with a write from outside: it counts once, and only under the newest operator.
//!
//! Read first: [`Guard`].

use bytes::{BufMut, BytesMut};
use streamkeeper_base::codec::{Get, Malformed, put_text};

use crate::command::CommandError;
use crate::image::{ClusterImage, Delta};

/// Longest id of a request, in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 64;
/// Kafka's STALE_CONTROLLER_EPOCH: the one who asks was succeeded by another.
const STALE_CONTROLLER_EPOCH: i16 = 11;
const INVALID_REQUEST: i16 = 42;

/// What goes with a write from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// The request's id, the same whenever it is sent again; empty for none.
    pub request: String,
    /// The term of the operator's lease; 0 for none.
    pub fencing_token: i64,
}

impl Guard {
    /// The guard as bytes.
    pub fn encode(&self, out: &mut BytesMut) {
        put_text(out, &self.request);
        out.put_i64(self.fencing_token);
    }

    /// Reads what [`Guard::encode`] wrote.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(get: &mut Get) -> Result<Self, Malformed> {
        Ok(Self { request: get.text()?, fencing_token: get.i64()? })
    }
}

/// What a guard says about a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It may be done; these changes go with it, so that it is not done twice and the token is remembered.
    Now(Vec<Delta>),
    /// It was done before.
    Before,
}

impl ClusterImage {
    /// Judges a write by its guard. Two operators cannot act at once: the greatest token wins for good.
    ///
    /// # Errors
    /// A greater token was seen, or the guard is malformed.
    pub fn admit(&self, guard: &Guard) -> Result<Admitted, CommandError> {
        if guard.request.len() > REQUEST_ID_BYTES_MAX || guard.fencing_token < 0 {
            let message = format!(
                "request_id: {REQUEST_ID_BYTES_MAX} bytes at most; fencing_token: 0 or the term of a lease"
            );
            return Err(CommandError::new(INVALID_REQUEST, message));
        }
        if guard.fencing_token > 0 && guard.fencing_token < self.fencing_token {
            let message = format!(
                "fencing_token {} is older than {}: another operator took over; stop this one",
                guard.fencing_token, self.fencing_token
            );
            return Err(CommandError::new(STALE_CONTROLLER_EPOCH, message));
        }
        if !guard.request.is_empty() && self.requests.contains(&guard.request) {
            return Ok(Admitted::Before);
        }
        let mut deltas = Vec::new();
        if guard.fencing_token > self.fencing_token {
            deltas.push(Delta::FencingToken(guard.fencing_token));
        }
        if !guard.request.is_empty() {
            deltas.push(Delta::Request(guard.request.clone()));
        }
        Ok(Admitted::Now(deltas))
    }
}
