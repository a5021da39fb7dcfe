//! The topics of a `consumer` subscription: all that a coordinator ever reads of what members send.
//!
//! Must not know: assignors. Read first: [`topics`].

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::records::{get_i16, get_i32, get_text};

/// The topics that a member of a group of type `consumer` subscribes to; `None` if the bytes are not such a subscription.
///
/// Every version begins alike: version, count, names. What follows (user data, owned partitions, rack) is the assignor's.
pub(crate) fn topics(subscription: &Bytes) -> Option<BTreeSet<String>> {
    let input = &mut subscription.clone();
    if get_i16(input)? < 0 {
        return None;
    }
    let mut topics = BTreeSet::new();
    for _ in 0..get_i32(input)? {
        topics.insert(get_text(input)??);
    }
    Some(topics)
}
