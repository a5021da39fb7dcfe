//! Which APIs there are, in which versions, and the headers around their bodies.

use super::codec::{Decoder, Encoder, Result};
use super::generated::APIS;
use super::generated::request_header::RequestHeader;

/// Key of ApiVersions, whose response header never changes.
pub const API_VERSIONS: i16 = 18;

/// The versions of an API that its schema has: least, greatest.
pub fn versions(key: i16) -> Option<(i16, i16)> {
    APIS.iter().find(|api| api.0 == key).map(|api| (api.2, api.3))
}

/// An API's name.
pub fn name(key: i16) -> &'static str {
    APIS.iter().find(|api| api.0 == key).map_or("Unknown", |api| api.1)
}

/// True if the version has compact encodings and tagged fields.
pub fn is_flexible(key: i16, version: i16) -> bool {
    APIS.iter().any(|api| api.0 == key && version >= api.4)
}

/// Reads a request's header; the body follows.
///
/// # Errors
/// The frame is too short, or a field is malformed.
pub fn decode_request_header(decoder: &mut Decoder) -> Result<RequestHeader> {
    let mut peek = decoder.clone();
    let (key, version) = (peek.i16()?, peek.i16()?);
    RequestHeader::decode(decoder, if is_flexible(key, version) { 2 } else { 1 })
}

/// Writes a request's header, as a client.
pub fn encode_request_header(
    encoder: &mut Encoder,
    key: i16,
    version: i16,
    correlation_id: i32,
    client: &str,
) {
    let header = RequestHeader {
        request_api_key: key,
        request_api_version: version,
        correlation_id,
        client_id: Some(client.to_owned()),
    };
    header.encode(encoder, if is_flexible(key, version) { 2 } else { 1 });
}

/// Writes a reply's header. That of ApiVersions stays at version 0, so that a client of any age can read it (KIP-511).
pub fn encode_response_header(encoder: &mut Encoder, key: i16, version: i16, correlation_id: i32) {
    encoder.i32(correlation_id);
    if key != API_VERSIONS && is_flexible(key, version) {
        encoder.no_tags();
    }
}

/// Reads a reply's header, as a client; gives the correlation id.
///
/// # Errors
/// The frame is too short.
pub fn decode_response_header(decoder: &mut Decoder, key: i16, version: i16) -> Result<i32> {
    let correlation_id = decoder.i32()?;
    if key != API_VERSIONS && is_flexible(key, version) {
        decoder.tagged(|_, _| Ok(false))?;
    }
    Ok(correlation_id)
}
