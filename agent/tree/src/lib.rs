//! The znode tree: transactions, sessions, watches, ACLs, snapshots.
//!
//! Must not know: the wire, Zab, sockets. The quorum leader turns a [`streamkeeper_base::znode::Write`] into a [`Txn`] with
//! [`Prep`]; every member applies it with [`Tree::apply`]. Read first: [`Tree`], [`Txn`].
#![forbid(unsafe_code)]

mod acl;
mod apply;
mod config;
mod expiry;
mod owner;
mod path;
mod prep;
mod read;
mod session;
mod snapshot;
mod tree;
mod txn;
mod watch;

#[cfg(test)]
mod tests;

pub use acl::{authenticate, may};
pub use apply::{Applied, Outcome, Trigger};
pub use config::CONFIG_PATH;
pub use owner::Owner;
pub use path::{is_valid, parent};
pub use prep::{Prep, Prepared};
pub use session::{Expiry, SESSION_KEY_BYTES, cluster_id, password};
pub use snapshot::SnapshotError;
pub use tree::Tree;
pub use txn::{Txn, TxnDecodeError};
pub use watch::{WatcherId, Watches};
