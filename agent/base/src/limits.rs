//! Every bound of the system in one place; relations between them are checked at compile time.

use std::time::Duration;

/// Longest Kafka request frame after its length field, in bytes (Kafka's `socket.request.max.bytes`).
pub const KAFKA_FRAME_BYTES_MAX: usize = 100 * 1024 * 1024;
/// Most bytes of records in one answer, but for its first batch (Kafka's `fetch.max.bytes`): a fetch may ask for 2 GiB.
pub const FETCH_BYTES_MAX: usize = 55 * 1024 * 1024;
/// Longest ZooKeeper request frame in bytes (`jute.maxbuffer`).
pub const JUTE_FRAME_BYTES_MAX: usize = 0x000F_FFFF;
/// Longest frame between two agents, in bytes; snapshots travel in chunks below it.
pub const PEER_FRAME_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Bytes of one snapshot chunk on the wire and on disk, before compression.
pub const SNAPSHOT_CHUNK_BYTES: usize = 1024 * 1024;
/// Zab transactions kept in memory to bring a lagging peer up by DIFF.
pub const COMMITTED_WINDOW_TXNS_MAX: usize = 20_000;
/// Bytes that these transactions may have; a peer that lags behind by more gets a snapshot.
pub const COMMITTED_WINDOW_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Zab transactions between two snapshots of the tree.
pub const SNAPSHOT_EVERY_TXNS: u64 = 50_000;
/// Bytes of transactions between two snapshots of a tree that has half of that; of a larger tree twice its size. Until there is a
/// snapshot they stay in memory and in the log.
pub const SNAPSHOT_EVERY_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes that the broker puts into the write-ahead log between two checkpoints.
pub const CHECKPOINT_BYTES: u64 = 48 * 1024 * 1024;
/// Bytes that a member holds on its disk, to be let go when it is full: what makes room must find some. A file of the write-ahead log may
/// take a part of it.
pub const DISK_RESERVE_BYTES: u64 = 24 * 1024 * 1024;
/// Size of one write-ahead log file, in bytes.
pub const WAL_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Files of the write-ahead log that are kept for use again. A file that is deleted is soon missed, and making it anew writes all of it
/// once more.
pub const WAL_FILES_MIN: usize = 10;
/// A synced batch below this many bytes goes into the write-ahead log whole; a larger one is flushed in its segment.
pub const WAL_INLINE_BATCH_BYTES_MAX: usize = 64 * 1024;
/// Bytes of log between two index entries at least (Kafka's `log.index.interval.bytes`).
pub const INDEX_INTERVAL_BYTES: usize = 4096;
/// Kafka's default of `segment.bytes`.
pub const SEGMENT_BYTES_DEFAULT: u64 = 1024 * 1024 * 1024;
/// Kafka's default of `max.message.bytes`: one batch, as compressed.
pub const MESSAGE_BYTES_MAX_DEFAULT: usize = 1_048_588;
/// Bytes that a batch's records may have when they are uncompressed. Kafka has no such bound; here it bounds the time, a fraction of a
/// second, that one batch may take of its thread. A client that is told MESSAGE_TOO_LARGE splits its batch.
pub const INFLATED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Batches remembered per producer to recognise a retry (Kafka's ProducerStateEntry).
pub const PRODUCER_BATCHES_MAX: usize = 5;
/// A replica behind for longer leaves the ISR (`replica.lag.time.max.ms`).
pub const REPLICA_LAG_MAX: Duration = Duration::from_secs(1);
/// A snapshot of a partition's producers is taken at the next checkpoint or stop when an opening would have to read more of its log, bytes.
pub const PRODUCER_SNAPSHOT_BYTES: u64 = 1024 * 1024;
/// Producer ids handed to an agent at once.
pub const PRODUCER_ID_BLOCK: i64 = 1000;
/// Longest topic name in characters (Kafka).
pub const TOPIC_NAME_CHARS_MAX: usize = 249;
/// Most partitions of one topic that one request may ask for.
pub const TOPIC_PARTITIONS_MAX: i32 = 10_000;
/// Most members of an ensemble.
pub const MEMBERS_MAX: usize = 64;
/// Bits of a zxid that hold the counter; the rest hold the epoch.
pub const ZXID_COUNTER_BITS: u32 = 40;

/// Who should dial may not know whom to dial, or where: a peer that was missed for so long is dialled by the other side.
pub const PEER_MISSED: Duration = Duration::from_secs(2);

const _: () =
    assert!(JUTE_FRAME_BYTES_MAX < PEER_FRAME_BYTES_MAX, "a forwarded request must fit a peer frame");
const _: () =
    assert!(KAFKA_FRAME_BYTES_MAX < PEER_FRAME_BYTES_MAX, "a replicated batch must fit a peer frame");
const _: () = assert!(SNAPSHOT_CHUNK_BYTES < PEER_FRAME_BYTES_MAX, "a snapshot chunk must fit a peer frame");
const _: () =
    assert!((WAL_INLINE_BATCH_BYTES_MAX as u64) < WAL_FILE_BYTES / 16, "a WAL file holds many groups");
const _: () =
    assert!(DISK_RESERVE_BYTES > WAL_FILE_BYTES, "a file of the log must not take all of the reserve");
const _: () = assert!(
    2 * CHECKPOINT_BYTES <= (WAL_FILES_MIN as u64 - 1) * WAL_FILE_BYTES,
    "what is appended between two checkpoints, and while one is under way, fits the files that are kept"
);
