//! The head of a frame between agents, made without joining its pieces.

use bytes::Bytes;
use streamkeeper_wire::peer;

/// The bytes that go before the pieces of a frame: length, type and the CRC32C of type and pieces.
pub(crate) fn header(kind: u8, body: &[Bytes]) -> Bytes {
    peer::encode_header(kind, body.iter().map(AsRef::as_ref))
}
