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

/// Takes the next whole unit off the front; `None` until there is one.
///
/// # Errors
/// A frame over the limit, or a negative length: the connection cannot go on.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Unit>, JuteError> {
    let Some(head) = buffer.first_chunk::<4>().copied() else { return Ok(None) };
    if WORDS.contains(&&head) {
        buffer.advance(4);
        return Ok(Some(Unit::Word(head)));
    }
    let length = i32::from_be_bytes(head);
    match usize::try_from(length) {
        Ok(length) if length <= JUTE_FRAME_BYTES_MAX => {
            if buffer.len() < 4 + length {
                return Ok(None);
            }
            buffer.advance(4);
            Ok(Some(Unit::Frame(buffer.split_to(length).freeze())))
        }
        _ => Err(JuteError::TooLong(i64::from(length))),
    }
}
