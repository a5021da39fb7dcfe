//! Sessions: what is replicated of them, how a client proves one is its own, and when the leader lets one expire.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use streamkeeper_base::{ClusterId, Instant, SessionId};

/// Bytes of the key that passwords come from.
pub const SESSION_KEY_BYTES: usize = 32;

/// The replicated part of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) timeout_ms: i32,
    pub(crate) ephemerals: BTreeSet<String>,
}

/// A session's password: a keyed MAC that every member can verify and nobody can guess. (ZooKeeper derives it from a constant.)
pub fn password(key: &[u8; SESSION_KEY_BYTES], session: SessionId) -> [u8; 16] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(&session.0.to_be_bytes());
    let tag = mac.finalize().into_bytes();
    std::array::from_fn(|i| tag[i])
}

/// The identity of an ensemble that has no other: derived from its key, which its first leader made from random bytes.
pub fn cluster_id(key: &[u8; SESSION_KEY_BYTES]) -> ClusterId {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(b"cluster");
    let tag = mac.finalize().into_bytes();
    ClusterId(std::array::from_fn(|i| tag[i]))
}

/// When sessions expire. Only the quorum leader has one, and a new leader grants every session a full timeout.
#[derive(Debug, Default)]
pub struct Expiry {
    deadlines: BTreeMap<SessionId, (Instant, Duration)>,
    by_time: BTreeSet<(Instant, SessionId)>,
}

impl Expiry {
    /// Starts to watch a session, or starts anew.
    pub fn add(&mut self, session: SessionId, timeout_ms: i32, now: Instant) {
        self.remove(session);
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        self.deadlines.insert(session, (now + timeout, timeout));
        self.by_time.insert((now + timeout, session));
    }

    /// The client was heard.
    pub fn touch(&mut self, session: SessionId, now: Instant) {
        if let Some((deadline, timeout)) = self.deadlines.get_mut(&session) {
            self.by_time.remove(&(*deadline, session));
            *deadline = now + *timeout;
            self.by_time.insert((*deadline, session));
        }
    }

    /// The session is gone.
    pub fn remove(&mut self, session: SessionId) {
        if let Some((deadline, _)) = self.deadlines.remove(&session) {
            self.by_time.remove(&(deadline, session));
        }
    }

    /// A session whose time is up; it is not watched any more.
    pub fn pop_expired(&mut self, now: Instant) -> Option<SessionId> {
        let (deadline, session) = *self.by_time.first()?;
        if deadline > now {
            return None;
        }
        self.remove(session);
        Some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touched_session_lives_on() {
        let mut expiry = Expiry::default();
        let at = |ms: u64| Instant::from_micros(ms * 1000);
        expiry.add(SessionId(1), 100, at(0));
        expiry.add(SessionId(2), 100, at(0));
        expiry.touch(SessionId(1), at(50));
        assert_eq!(expiry.pop_expired(at(99)), None);
        assert_eq!(expiry.pop_expired(at(100)), Some(SessionId(2)));
        assert_eq!(expiry.pop_expired(at(149)), None);
        assert_eq!(expiry.pop_expired(at(150)), Some(SessionId(1)));
        expiry.touch(SessionId(1), at(150));
        assert_eq!(expiry.pop_expired(at(999)), None, "gone is gone");
    }

    #[test]
    fn a_password_depends_on_key_and_session() {
        let one = password(&[1; SESSION_KEY_BYTES], SessionId(1));
        assert_eq!(one, password(&[1; SESSION_KEY_BYTES], SessionId(1)));
        assert_ne!(one, password(&[1; SESSION_KEY_BYTES], SessionId(2)));
        assert_ne!(one, password(&[2; SESSION_KEY_BYTES], SessionId(1)));
        assert_ne!(cluster_id(&[1; SESSION_KEY_BYTES]), cluster_id(&[2; SESSION_KEY_BYTES]));
        assert!(!cluster_id(&[1; SESSION_KEY_BYTES]).is_zero());
    }
}
