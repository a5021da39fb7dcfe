//! What ends a node by itself, in the one field that ZooKeeper has for it (EphemeralType).
//!
//! Read first: [`Owner`].

use streamkeeper_base::SessionId;
use streamkeeper_base::znode::{ErrorCode, Lifetime};

/// A session, a mark for containers, or a mark with a time; 0 for a node that lasts. The high byte of a session is its member's
/// number, so that no member may be number 255.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner(pub i64);

const CONTAINER: i64 = i64::MIN;
const TTL_MARK: i64 = 0xFF << 56;

impl Owner {
    /// The owner of a node that lasts.
    pub const NONE: Self = Self(0);

    /// The owner of a new node.
    ///
    /// # Errors
    /// `BAD_ARGUMENTS` for a time that no node may have.
    pub(crate) fn of(lifetime: Lifetime, session: SessionId) -> Result<Self, ErrorCode> {
        match lifetime {
            Lifetime::Persistent => Ok(Self::NONE),
            Lifetime::Ephemeral => Ok(Self(session.0)),
            Lifetime::Container => Ok(Self(CONTAINER)),
            Lifetime::Ttl(ms) if (1..=Lifetime::TTL_MS_MAX).contains(&ms) => Ok(Self(TTL_MARK | ms)),
            Lifetime::Ttl(_) => Err(ErrorCode::BAD_ARGUMENTS),
        }
    }

    pub(crate) fn lifetime(self) -> Lifetime {
        match self.0 {
            0 => Lifetime::Persistent,
            CONTAINER => Lifetime::Container,
            mark if mark & TTL_MARK == TTL_MARK => Lifetime::Ttl(mark & Lifetime::TTL_MS_MAX),
            _ => Lifetime::Ephemeral,
        }
    }

    /// The session whose end ends the node.
    pub(crate) fn session(self) -> Option<SessionId> {
        (self.lifetime() == Lifetime::Ephemeral).then_some(SessionId(self.0))
    }

    /// True if the member must look from time to time whether the node's time has come.
    pub(crate) fn expires(self) -> bool {
        matches!(self.lifetime(), Lifetime::Container | Lifetime::Ttl(_))
    }

    /// What clients see: the session of an ephemeral node, else 0 (DataNode.copyStat).
    pub(crate) fn shown(self) -> i64 {
        self.session().map_or(0, |session| session.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_read_back() {
        let session = SessionId(0x0100_0000_0000_0001);
        for lifetime in [
            Lifetime::Persistent,
            Lifetime::Ephemeral,
            Lifetime::Container,
            Lifetime::Ttl(1),
            Lifetime::Ttl(Lifetime::TTL_MS_MAX),
        ] {
            let owner = Owner::of(lifetime, session).expect("a good time");
            assert_eq!(owner.lifetime(), lifetime);
            assert_eq!(owner.session().is_some(), lifetime == Lifetime::Ephemeral);
            assert_eq!(owner.shown(), if lifetime == Lifetime::Ephemeral { session.0 } else { 0 });
        }
        for ms in [-1, 0, Lifetime::TTL_MS_MAX + 1] {
            assert_eq!(Owner::of(Lifetime::Ttl(ms), session), Err(ErrorCode::BAD_ARGUMENTS));
        }
    }
}
