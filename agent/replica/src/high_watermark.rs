//! The high watermark: what may be acknowledged to acks=all producers and shown to consumers.
//!
//! Must not know: how progress arrives, what an ISR change costs. Read first: [`Progress`], [`high_watermark`].

use streamkeeper_base::Offset;
use streamkeeper_base::plant::{Plant, is_planted};

/// How far one replica is; offsets are exclusive ends, `durable <= received`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The write to its segment returned: a process crash keeps everything below.
    pub received: Offset,
    /// A flush covers everything below: a power cut keeps it.
    pub durable: Offset,
}

/// `min(least received end over the maximal ISR, m-th greatest durable end over it)`.
///
/// The maximal ISR includes members of a change that is proposed but not committed (KIP-497), because the controller may elect
/// any of them. `progress` holds one entry per member of it, the leader's own included. `None`: fewer members than
/// `min_insync`, nothing may be acknowledged.
pub fn high_watermark(progress: &[Progress], min_insync: usize) -> Option<Offset> {
    let received = progress.iter().map(|p| p.received).min()?;
    let mut durable: Vec<Offset> = progress.iter().map(|p| p.durable).collect();
    durable.sort_unstable_by(|a, b| b.cmp(a));
    let flushed = *durable.get(min_insync.checked_sub(1)?)?;
    if is_planted(Plant::NoFlush) {
        return Some(received);
    }
    Some(received.min(flushed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_as_a_table() {
        let p = |received, durable| Progress { received: Offset(received), durable: Offset(durable) };
        let cases: [(&[Progress], usize, Option<i64>); 7] = [
            (&[p(10, 10), p(10, 10), p(10, 10)], 2, Some(10)),
            (&[p(10, 10), p(10, 4), p(10, 10)], 2, Some(10)),
            (&[p(10, 10), p(10, 4), p(10, 6)], 2, Some(6)),
            (&[p(10, 10), p(7, 7), p(10, 10)], 2, Some(7)),
            (&[p(10, 0), p(10, 0)], 2, Some(0)),
            (&[p(10, 10)], 2, None),
            (&[], 1, None),
        ];
        for (progress, min_insync, expected) in cases {
            assert_eq!(high_watermark(progress, min_insync), expected.map(Offset), "{progress:?}");
        }
    }
}
