//! Kafka's clients: their connections, their requests, one handler per API key.
//!
//! An API that is not listed in [`SERVED`] is neither advertised nor answered. Read first: [`client`], `handlers`.

pub(crate) mod client;
pub(crate) mod handlers;
pub(crate) mod pending;

/// APIs that are served: key, least and greatest version. Produce is advertised from 0, because old librdkafka otherwise turns
/// features off, and refused below 3 (KAFKA-18659); unstable versions are left out.
pub(crate) const SERVED: &[(i16, i16, i16)] = &[
    (0, 0, 13),
    (1, 4, 18),
    (2, 1, 11),
    (3, 0, 13),
    (8, 2, 10),
    (9, 1, 10),
    (10, 0, 6),
    (11, 0, 9),
    (12, 0, 4),
    (13, 0, 5),
    (14, 0, 5),
    (15, 0, 6),
    (16, 0, 5),
    (18, 0, 4),
    (19, 2, 7),
    (20, 1, 6),
    (22, 0, 5),
    (23, 2, 4),
    (32, 1, 4),
    (37, 0, 3),
    (42, 0, 2),
    (60, 0, 2),
    (75, 0, 0),
];

/// True if the version of an API is served.
pub(crate) fn serves(key: i16, version: i16) -> bool {
    let refused = key == 0 && version < 3;
    !refused && SERVED.iter().any(|(k, min, max)| *k == key && (*min..=*max).contains(&version))
}
