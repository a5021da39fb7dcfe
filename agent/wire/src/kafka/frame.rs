//! Cutting a client's byte stream into frames, and putting a reply's frame together.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use streamkeeper_base::limits::KAFKA_FRAME_BYTES_MAX;

use super::codec::{Encoder, KafkaError};

/// Copies the next whole frame out of what was read, so that nothing keeps the read buffer; gives the bytes it took. `None` until
/// there is a whole one.
///
/// # Errors
/// A frame over the limit, or a negative length: the connection cannot go on.
pub fn cut(bytes: &[u8]) -> Result<Option<(usize, Bytes)>, KafkaError> {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(i32::from_be_bytes(*head)).unwrap_or(usize::MAX);
    if length > KAFKA_FRAME_BYTES_MAX {
        return Err(KafkaError("a frame is longer than socket.request.max.bytes"));
    }
    Ok(rest.get(..length).map(|body| (4 + length, Bytes::copy_from_slice(body))))
}

/// As [`cut`], off the front of a buffer.
///
/// # Errors
/// As [`cut`].
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Bytes>, KafkaError> {
    Ok(cut(buffer)?.map(|(taken, body)| {
        buffer.advance(taken);
        body
    }))
}

/// The pieces of a frame: its length, then what was written.
pub fn finish(encoder: Encoder) -> Vec<Bytes> {
    let mut length = BytesMut::with_capacity(4);
    length.put_u32(u32::try_from(encoder.len()).expect("a reply is bounded by its fetch size"));
    let mut pieces = vec![length.freeze()];
    pieces.extend(encoder.finish());
    pieces
}
