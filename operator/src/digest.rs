//! 16 digits that stand for a text: another text has others.
//!
//! Read first: [`digest`].

use sha2::{Digest, Sha256};

/// The first eight bytes of the text's SHA-256, as hexadecimal digits.
pub(crate) fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
