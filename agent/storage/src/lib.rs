//! The durable side of a member: the write-ahead log, partition logs, superblock and snapshot files.
//!
//! Must not know: what a record or a snapshot means. Everything goes through [`disk::Disk`]; nothing here
//! waits, spawns or reads a clock. One flush that fails is final: it is reported, never retried and trusted.
//! Read first: [`disk::Disk`], [`wal::Wal`], [`partition_log::PartitionLog`].
#![forbid(unsafe_code)]

pub mod disk;
pub mod partition_log;
pub mod snapshot_file;
pub mod superblock;
pub mod wal;

/// CRC32C of bytes: the one checksum of every format here.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    // A 32-bit algorithm's result fits.
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}
