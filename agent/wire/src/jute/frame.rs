//! Cutting a client's byte stream into frames and 4-letter words.

use bytes::{Buf, Bytes, BytesMut};
use streamkeeper_base::limits::JUTE_FRAME_BYTES_MAX;

use super::JuteError;

/// The words that may stand in place of a length (FourLetterCommands).
const WORDS: [&[u8; 4]; 18] = [
    b"conf", b"cons", b"crst", b"dirs", b"dump", b"envi", b"gtmk", b"ruok", b"stmk", b"srst", b"srvr",
    b"stat", b"wchc", b"wchp", b"wchs", b"mntr", b"isro", b"hash",
];

/// One unit of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A 4-letter word.
    Word([u8; 4]),
    /// A frame's body.
    Frame(Bytes),
}

/// Copies the next whole unit out of what was read, so that nothing keeps the read buffer; gives the bytes it took. `None` until
/// there is a whole one.
///
/// # Errors
/// A frame over the limit, or a negative length: the connection cannot go on.
pub fn cut(bytes: &[u8]) -> Result<Option<(usize, Unit)>, JuteError> {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    if WORDS.contains(&head) {
        return Ok(Some((4, Unit::Word(*head))));
    }
    let length = i32::from_be_bytes(*head);
    match usize::try_from(length) {
        Ok(length) if length <= JUTE_FRAME_BYTES_MAX => {
            Ok(rest.get(..length).map(|body| (4 + length, Unit::Frame(Bytes::copy_from_slice(body)))))
        }
        _ => Err(JuteError::TooLong(i64::from(length))),
    }
}

/// As [`cut`], off the front of a buffer.
///
/// # Errors
/// As [`cut`].
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Unit>, JuteError> {
    Ok(cut(buffer)?.map(|(taken, unit)| {
        buffer.advance(taken);
        unit
    }))
}
