//! The znode tree: transactions, sessions, watches, ACLs, snapshots.
