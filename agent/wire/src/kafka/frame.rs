//! Cutting a client's byte stream into frames, and putting a reply's frame together.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use streamkeeper_base::Piece;
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
///
/// # Errors
/// More was written than a frame's length can say: nobody could read it.
pub fn finish(encoder: Encoder) -> Result<Vec<Piece>, KafkaError> {
    let length = i32::try_from(encoder.len()).map_err(|_| KafkaError("a reply is longer than 2 GiB"))?;
    let mut head = BytesMut::with_capacity(4);
    head.put_i32(length);
    let mut pieces = vec![head.freeze().into()];
    pieces.extend(encoder.finish());
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::codec::Records;

    /// Its length was negative from 2 GiB on, and from 4 GiB on the member ended.
    #[test]
    fn a_reply_that_no_length_can_name_is_an_error() {
        const PIECE: usize = 1 << 20;
        let piece = Records(vec![Bytes::from(vec![0; PIECE]).into()]);
        let reply = |pieces: usize| {
            let mut encoder = Encoder::new();
            // The pieces are not copied.
            (0..pieces).for_each(|_| encoder.nullable_records(Some(&piece), false));
            finish(encoder)
        };
        let good = reply(3).expect("a short one");
        assert_eq!(good[0], Bytes::copy_from_slice(&(3 * (4 + PIECE as u32)).to_be_bytes()).into());
        assert!(reply((2 << 30) / PIECE).is_err());
        assert!(reply((5 << 30) / PIECE).is_err());
    }
}
