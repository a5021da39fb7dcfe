//! The write-ahead log, partition logs, superblock and snapshot files.
