//! ZooKeeper's vocabulary: what its protocol and the tree both speak of.
//!
//! Must not know: how it is encoded, how it is stored. Read first: [`Write`], [`Stat`], [`ErrorCode`].

use std::fmt;

use bytes::Bytes;

/// One of ZooKeeper's error numbers (KeeperException.Code).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub i32);

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// The code's name; its number for one that is not known.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    _ => "UNKNOWN",
                }
            }
        }
    };
}

error_codes! {
    /// Success.
    OK = 0;
    /// An operation of a failed multi after the one that failed.
    RUNTIME_INCONSISTENCY = -2;
    /// The record of a request cannot be decoded.
    MARSHALLING_ERROR = -5;
    /// The request's type is not served.
    UNIMPLEMENTED = -6;
    /// A path or an argument breaks a rule.
    BAD_ARGUMENTS = -8;
    /// Too few voters of the new configuration are up to date.
    NEW_CONFIG_NO_QUORUM = -13;
    /// Another reconfiguration is under way.
    RECONFIG_IN_PROGRESS = -14;
    /// The node is missing.
    NO_NODE = -101;
    /// The identity has no permission.
    NO_AUTH = -102;
    /// The version differs.
    BAD_VERSION = -103;
    /// An ephemeral node cannot have children.
    NO_CHILDREN_FOR_EPHEMERALS = -108;
    /// The node is there already.
    NODE_EXISTS = -110;
    /// The node has children.
    NOT_EMPTY = -111;
    /// The session has expired.
    SESSION_EXPIRED = -112;
    /// The ACL is malformed, or names nobody.
    INVALID_ACL = -114;
    /// The credentials are refused.
    AUTH_FAILED = -115;
    /// The session is served by another member now.
    SESSION_MOVED = -118;
    /// The member serves reads alone at the moment.
    NOT_READ_ONLY = -119;
    /// No such watch.
    NO_WATCHER = -121;
    /// `reconfigEnabled` is off.
    RECONFIG_DISABLED = -123;
    /// The client must authenticate before anything else.
    SESSION_CLOSED_REQUIRE_SASL_AUTH = -124;
    /// A quota would be exceeded.
    QUOTA_EXCEEDED = -125;
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

/// Permission bits of an ACL entry.
pub mod perms {
    /// Data and children may be read.
    pub const READ: i32 = 1;
    /// Data may be set.
    pub const WRITE: i32 = 2;
    /// Children may be created.
    pub const CREATE: i32 = 4;
    /// Children may be deleted.
    pub const DELETE: i32 = 8;
    /// The ACL may be set.
    pub const ADMIN: i32 = 16;
    /// Everything.
    pub const ALL: i32 = 31;
}

/// Whom an ACL entry names, or who a connection is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// `world`, `auth`, `digest`, `ip`, `super`.
    pub scheme: String,
    /// In the scheme's own form.
    pub id: String,
}

impl Identity {
    /// An identity.
    pub fn new(scheme: &str, id: &str) -> Self {
        Self { scheme: scheme.to_owned(), id: id.to_owned() }
    }
}

/// One entry of an ACL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acl {
    /// Bits of [`perms`].
    pub perms: i32,
    /// Whom it names.
    pub who: Identity,
}

impl Acl {
    /// Everything to everyone, as most nodes have it.
    pub fn open() -> Self {
        Self { perms: perms::ALL, who: Identity::new("world", "anyone") }
    }
}

/// A node's metadata as clients see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The transaction that created it.
    pub czxid: i64,
    /// The transaction that last set its data.
    pub mzxid: i64,
    /// When it was created, milliseconds since 1970.
    pub ctime: i64,
    /// When its data was last set, milliseconds since 1970.
    pub mtime: i64,
    /// Changes of data.
    pub version: i32,
    /// Changes of children.
    pub cversion: i32,
    /// Changes of the ACL.
    pub aversion: i32,
    /// The owning session of an ephemeral node, else 0.
    pub ephemeral_owner: i64,
    /// Bytes of data.
    pub data_length: i32,
    /// Children.
    pub num_children: i32,
    /// The transaction that last created or deleted a child.
    pub pzxid: i64,
}

/// When a node goes without being deleted by a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// Never.
    #[default]
    Persistent,
    /// With its session.
    Ephemeral,
    /// Some time after its last child went (ZOOKEEPER-2163).
    Container,
    /// Once it has no children and was not changed for so many milliseconds (ZOOKEEPER-2169).
    Ttl(i64),
}

impl Lifetime {
    /// The longest time that a node can be given, milliseconds (EphemeralType.TTL).
    pub const TTL_MS_MAX: i64 = (1 << 40) - 1;
}

/// How a node is created (flags 0 to 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreateMode {
    /// When it goes by itself.
    pub lifetime: Lifetime,
    /// The parent's counter is appended to its name.
    pub sequential: bool,
}

impl CreateMode {
    /// A node that lasts.
    pub const PERSISTENT: Self = Self { lifetime: Lifetime::Persistent, sequential: false };
    /// A node that goes with its session.
    pub const EPHEMERAL: Self = Self { lifetime: Lifetime::Ephemeral, sequential: false };

    /// The flags of a create request (CreateMode.toFlag).
    pub fn flags(self) -> i32 {
        match (self.lifetime, self.sequential) {
            (Lifetime::Persistent, sequential) => 2 * i32::from(sequential),
            (Lifetime::Ephemeral, sequential) => 1 + 2 * i32::from(sequential),
            (Lifetime::Container, _) => 4,
            (Lifetime::Ttl(_), sequential) => 5 + i32::from(sequential),
        }
    }

    /// Reads the flags; a TTL node's time comes beside them. `None` for flags that mean nothing.
    pub fn from_flags(flags: i32, ttl_ms: i64) -> Option<Self> {
        let (lifetime, sequential) = match flags {
            0 | 2 => (Lifetime::Persistent, flags == 2),
            1 | 3 => (Lifetime::Ephemeral, flags == 3),
            4 => (Lifetime::Container, false),
            5 | 6 => (Lifetime::Ttl(ttl_ms), flags == 6),
            _ => return None,
        };
        Some(Self { lifetime, sequential })
    }
}

/// A request that changes the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// create, create2, createContainer and createTTL.
    Create {
        /// Where.
        path: String,
        /// Null and empty data differ.
        data: Option<Bytes>,
        /// Who may do what.
        acl: Vec<Acl>,
        /// How.
        mode: CreateMode,
        /// All but create: the answer carries the stat.
        with_stat: bool,
    },
    /// delete.
    Delete {
        /// Where.
        path: String,
        /// -1 for any.
        version: i32,
    },
    /// setData.
    SetData {
        /// Where.
        path: String,
        /// Null and empty data differ.
        data: Option<Bytes>,
        /// -1 for any.
        version: i32,
    },
    /// setACL.
    SetAcl {
        /// Where.
        path: String,
        /// Who may do what.
        acl: Vec<Acl>,
        /// The expected ACL version; -1 for any.
        version: i32,
    },
    /// check, only inside a multi.
    Check {
        /// Where.
        path: String,
        /// -1 for any: the node must just exist.
        version: i32,
    },
    /// multi: all or nothing.
    Multi(Vec<Write>),
}

/// What happened to a node (EventType).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// It was created.
    Created = 1,
    /// It was deleted.
    Deleted = 2,
    /// Its data was set.
    DataChanged = 3,
    /// A child was created or deleted.
    ChildrenChanged = 4,
}

/// Which watches of a path are meant (WatcherType).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchKind {
    /// Child watches.
    Children,
    /// Data and exists watches.
    Data,
    /// All of them.
    Any,
    /// The persistent watch.
    Persistent,
    /// The recursive watch.
    PersistentRecursive,
}
