//! What a leader and its followers say about one partition over a replication link.

use bytes::{BufMut, Bytes, BytesMut};
use streamkeeper_base::codec::{Get, Malformed, put_list};
use streamkeeper_base::{LeaderEpoch, Offset, PartitionEpoch};

/// What is said about one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Leader to follower, first on each link and in each term: tell me where your log stands.
    Hello {
        /// The term.
        leader_epoch: LeaderEpoch,
        /// The state that the leader saw: a follower that has not seen it may still hold a log that it must drop.
        partition_epoch: PartitionEpoch,
        /// Where the leader's log ended when the term began.
        epoch_start: Offset,
    },
    /// Follower to leader: where each epoch begins in its log, and where the log begins and ends.
    Position {
        /// The term it answers to.
        leader_epoch: LeaderEpoch,
        /// Ascending.
        epochs: Vec<(LeaderEpoch, Offset)>,
        /// The end.
        end: Offset,
        /// What is flushed and counts in the term.
        durable: Offset,
    },
    /// Leader to follower: cut the log there before anything else.
    Truncate {
        /// The term.
        leader_epoch: LeaderEpoch,
        /// The end to keep.
        to: Offset,
        /// True if the follower lacks what the leader has deleted: start anew there.
        restart: bool,
    },
    /// Leader to follower: whole batches that follow the follower's end; none just moves the high watermark.
    Append {
        /// The term.
        leader_epoch: LeaderEpoch,
        /// Where the batches begin.
        at: Offset,
        /// Record batches.
        batches: Bytes,
        /// What consumers may see.
        high_watermark: Offset,
        /// The leader's first offset.
        log_start: Offset,
    },
    /// Follower to leader: coalesced progress.
    Progress {
        /// The term.
        leader_epoch: LeaderEpoch,
        /// Written.
        received: Offset,
        /// Flushed; 0 before the follower has everything on disk that the term began with.
        durable: Offset,
    },
    /// Follower to leader: what was sent last could not be written, because the disk is full. Nothing more is taken until a greeting is
    /// answered.
    Stalled {
        /// The term.
        leader_epoch: LeaderEpoch,
    },
}

impl Message {
    /// The term the message belongs to.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        match self {
            Self::Hello { leader_epoch, .. }
            | Self::Position { leader_epoch, .. }
            | Self::Truncate { leader_epoch, .. }
            | Self::Append { leader_epoch, .. }
            | Self::Progress { leader_epoch, .. }
            | Self::Stalled { leader_epoch } => *leader_epoch,
        }
    }

    /// The message as pieces; the batches stay the slice they are.
    pub fn encode(&self, prefix: &[u8]) -> Vec<Bytes> {
        let mut out = BytesMut::with_capacity(64);
        out.put_slice(prefix);
        match self {
            Self::Hello { leader_epoch, partition_epoch, epoch_start } => {
                put(&mut out, 1, *leader_epoch);
                out.put_i32(partition_epoch.0);
                out.put_i64(epoch_start.0);
            }
            Self::Position { leader_epoch, epochs, end, durable } => {
                put(&mut out, 2, *leader_epoch);
                put_list(&mut out, epochs.iter(), |out, (epoch, start)| {
                    out.put_i32(epoch.0);
                    out.put_i64(start.0);
                });
                out.put_i64(end.0);
                out.put_i64(durable.0);
            }
            Self::Truncate { leader_epoch, to, restart } => {
                put(&mut out, 3, *leader_epoch);
                out.put_i64(to.0);
                out.put_u8(u8::from(*restart));
            }
            Self::Append { leader_epoch, at, batches, high_watermark, log_start } => {
                put(&mut out, 4, *leader_epoch);
                out.put_i64(at.0);
                out.put_i64(high_watermark.0);
                out.put_i64(log_start.0);
                out.put_u32(u32::try_from(batches.len()).expect("bounded by the frame"));
                return if batches.is_empty() {
                    vec![out.freeze()]
                } else {
                    vec![out.freeze(), batches.clone()]
                };
            }
            Self::Progress { leader_epoch, received, durable } => {
                put(&mut out, 5, *leader_epoch);
                out.put_i64(received.0);
                out.put_i64(durable.0);
            }
            Self::Stalled { leader_epoch } => put(&mut out, 6, *leader_epoch),
        }
        vec![out.freeze()]
    }

    /// Reads what [`Message::encode`] wrote behind its prefix.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(get: &mut Get) -> Result<Self, Malformed> {
        let tag = get.u8()?;
        let leader_epoch = LeaderEpoch(get.i32()?);
        let message = match tag {
            1 => {
                let partition_epoch = PartitionEpoch(get.i32()?);
                Self::Hello { leader_epoch, partition_epoch, epoch_start: Offset(get.i64()?) }
            }
            2 => Self::Position {
                leader_epoch,
                epochs: get.list(|g| Ok((LeaderEpoch(g.i32()?), Offset(g.i64()?))))?,
                end: Offset(get.i64()?),
                durable: Offset(get.i64()?),
            },
            3 => Self::Truncate { leader_epoch, to: Offset(get.i64()?), restart: get.bool()? },
            4 => {
                let (at, high_watermark, log_start) =
                    (Offset(get.i64()?), Offset(get.i64()?), Offset(get.i64()?));
                Self::Append { leader_epoch, at, batches: get.bytes()?, high_watermark, log_start }
            }
            5 => Self::Progress { leader_epoch, received: Offset(get.i64()?), durable: Offset(get.i64()?) },
            6 => Self::Stalled { leader_epoch },
            _ => return Err(Malformed),
        };
        get.end()?;
        Ok(message)
    }
}

fn put(out: &mut BytesMut, tag: u8, leader_epoch: LeaderEpoch) {
    out.put_u8(tag);
    out.put_i32(leader_epoch.0);
}
