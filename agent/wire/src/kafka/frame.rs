//! Cutting a client's byte stream into frames, and putting a reply's frame together.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use streamkeeper_base::limits::KAFKA_FRAME_BYTES_MAX;

use super::codec::{Encoder, KafkaError};

/// Takes the next whole frame off the front; `None` until there is one.
///
/// # Errors
/// A frame over the limit, or a negative length: the connection cannot go on.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Bytes>, KafkaError> {
    let Some(head) = buffer.first_chunk::<4>().copied() else { return Ok(None) };
    let length = usize::try_from(i32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if length > KAFKA_FRAME_BYTES_MAX {
        return Err(KafkaError("a frame is longer than socket.request.max.bytes"));
    }
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    buffer.advance(4);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// The pieces of a frame: its length, then what was written.
pub fn finish(encoder: Encoder) -> Vec<Bytes> {
    let mut length = BytesMut::with_capacity(4);
    length.put_u32(u32::try_from(encoder.len()).expect("a reply is bounded by its fetch size"));
    let mut pieces = vec![length.freeze()];
    pieces.extend(encoder.finish());
    pieces
}
