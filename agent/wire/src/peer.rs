//! Frames between agents: length, type, CRC32C of type and payload. A bad CRC closes the link.
//!
//! Must not know: what a frame carries. Read first: [`decode`], [`Hello`].

use bytes::{Buf, BufMut, Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest};
use streamkeeper_base::limits::PEER_FRAME_BYTES_MAX;
use streamkeeper_base::{ClusterId, Incarnation, MemberId};

/// Bytes before a frame's payload.
const HEADER_BYTES: usize = 9;
/// The version of everything agents say to each other.
pub const PROTOCOL_VERSION: u16 = 1;
/// The type of the first frame on a connection.
pub const HELLO: u8 = 0;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the payload is.
    pub kind: u8,
    /// The payload.
    pub body: Bytes,
}

/// Why a frame or a greeting is refused; the connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Longer than any agent sends.
    #[error("a frame of {0} bytes is over the limit")]
    TooLong(u32),
    /// Damaged on the way.
    #[error("a frame's checksum is wrong")]
    Checksum,
    /// Not a greeting.
    #[error("the first frame is not a greeting")]
    NotHello,
    /// An agent of another version.
    #[error(
        "the peer speaks version {0} of the protocol between agents, this agent speaks {PROTOCOL_VERSION}"
    )]
    Version(u16),
}

/// The bytes before the pieces of a frame.
pub fn encode_header<'a>(kind: u8, pieces: impl Iterator<Item = &'a [u8]>) -> Bytes {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&[kind]);
    let mut length = 0;
    for piece in pieces {
        digest.update(piece);
        length += piece.len();
    }
    let mut out = BytesMut::with_capacity(HEADER_BYTES);
    out.put_u32(u32::try_from(length).expect("a frame's pieces are bounded"));
    out.put_u8(kind);
    // A 32-bit algorithm's result fits.
    out.put_u32(digest.finalize() as u32);
    out.freeze()
}

/// Copies the next whole frame out of what was read, so that nothing keeps the read buffer; gives the bytes it took. `None` until
/// there is a whole one.
///
/// # Errors
/// A frame over the limit or damaged.
pub fn cut(bytes: &[u8]) -> Result<Option<(usize, Frame)>, PeerError> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    let crc = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    let kind = head[4];
    if length as usize > PEER_FRAME_BYTES_MAX {
        return Err(PeerError::TooLong(length));
    }
    let Some(body) = rest.get(..length as usize) else { return Ok(None) };
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&[kind]);
    digest.update(body);
    if digest.finalize() as u32 != crc {
        return Err(PeerError::Checksum);
    }
    let frame = Frame { kind, body: Bytes::copy_from_slice(body) };
    Ok(Some((HEADER_BYTES + length as usize, frame)))
}

/// As [`cut`], off the front of a buffer.
///
/// # Errors
/// As [`cut`].
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Frame>, PeerError> {
    Ok(cut(buffer)?.map(|(taken, frame)| {
        buffer.advance(taken);
        frame
    }))
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// Zab and forwarded requests.
    Quorum,
    /// Appends from the leader of partitions, the dialler, to a follower.
    Replication,
}

/// The first frame in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Agents of different clusters never talk.
    pub cluster: ClusterId,
    /// Who speaks.
    pub member: MemberId,
    /// Its disk.
    pub incarnation: Incarnation,
    /// What the connection is for.
    pub kind: LinkKind,
    /// Which shard's partitions, on a replication link.
    pub shard: u16,
}

impl Hello {
    /// The whole frame.
    pub fn encode(&self) -> BytesMut {
        let mut body = BytesMut::with_capacity(48);
        body.put_u16(PROTOCOL_VERSION);
        body.put_slice(&self.cluster.0);
        body.put_i32(self.member.0);
        body.put_slice(&self.incarnation.0);
        body.put_u8(match self.kind {
            LinkKind::Quorum => 0,
            LinkKind::Replication => 1,
        });
        body.put_u16(self.shard);
        let mut frame = BytesMut::from(&encode_header(HELLO, std::iter::once(&body[..]))[..]);
        frame.put_slice(&body);
        frame
    }

    /// Reads a greeting.
    ///
    /// # Errors
    /// It is something else, or of another version.
    pub fn decode(frame: &Frame) -> Result<Self, PeerError> {
        let body: &[u8; 41] = frame.body.as_ref().try_into().map_err(|_| PeerError::NotHello)?;
        if frame.kind != HELLO {
            return Err(PeerError::NotHello);
        }
        let version = u16::from_be_bytes([body[0], body[1]]);
        if version != PROTOCOL_VERSION {
            return Err(PeerError::Version(version));
        }
        let id = |at: usize| -> [u8; 16] { std::array::from_fn(|i| body[at + i]) };
        let kind = match body[38] {
            0 => LinkKind::Quorum,
            1 => LinkKind::Replication,
            _ => return Err(PeerError::NotHello),
        };
        Ok(Self {
            cluster: ClusterId(id(2)),
            member: MemberId(i32::from_be_bytes([body[18], body[19], body[20], body[21]])),
            incarnation: Incarnation(id(22)),
            kind,
            shard: u16::from_be_bytes([body[39], body[40]]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_reads_back_and_damage_is_found() {
        let hello = Hello {
            cluster: ClusterId([1; 16]),
            member: MemberId(-2),
            incarnation: Incarnation([3; 16]),
            kind: LinkKind::Replication,
            shard: 4,
        };
        let mut bytes = hello.encode();
        let mut damaged = bytes.clone();
        let frame = decode(&mut bytes).expect("whole").expect("whole");
        assert_eq!(Hello::decode(&frame), Ok(hello));
        damaged[20] ^= 1;
        assert_eq!(decode(&mut damaged), Err(PeerError::Checksum));
        assert_eq!(decode(&mut BytesMut::from(&[0xFF; 9][..])), Err(PeerError::TooLong(u32::MAX)));
    }
}
