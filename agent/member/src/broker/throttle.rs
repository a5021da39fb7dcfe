//! Moves must not starve clients: what goes to replicas that are being added has a byte rate (Kafka's leader.replication.throttled.rate,
//! set for all moves of a member at once).
//!
//! Followers that only catch up after a restart are not slowed down: redundancy comes first. Must not know: sockets. Read first: [`Throttle`].

use std::collections::VecDeque;
use std::time::Duration;

use streamkeeper_base::{Instant, MemberId, Offset, TopicPartition};

use super::Broker;

/// What a pause saves up, at most.
const BURST: Duration = Duration::from_millis(250);

/// A bucket of bytes, filled by time. It may go below zero: a batch is sent whole, and paid for afterwards.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    bytes: i64,
    filled: Instant,
    /// Reads that wait for the bucket, in order.
    waiting: VecDeque<(TopicPartition, MemberId, Offset)>,
}

impl Throttle {
    /// Fills the bucket up to now; a rate of 0 is no limit.
    fn fill(&mut self, now: Instant, bytes_per_second: u64) {
        let rate = i64::try_from(bytes_per_second).unwrap_or(i64::MAX);
        let micros = i64::try_from(now.since(self.filled).as_micros()).unwrap_or(i64::MAX);
        let full = rate.saturating_mul(BURST.as_millis() as i64) / 1000;
        // A shorter time than the clock's step adds less than a byte: it is not counted as passed.
        let more = rate.saturating_mul(micros) / 1_000_000;
        if more > 0 || bytes_per_second == 0 {
            self.filled = now;
            self.bytes = self.bytes.saturating_add(more).min(full.max(1));
        }
    }

    fn is_open(&self, bytes_per_second: u64) -> bool {
        bytes_per_second == 0 || self.bytes > 0
    }

    /// Bytes were sent.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

impl Broker {
    /// A follower wants to be fed from the log: at once, or, if it is being added, when the rate allows.
    pub(super) fn feed_follower(&mut self, tp: TopicPartition, to: MemberId, from: Offset) {
        let is_added = self.replicas.get(&tp).is_some_and(|r| r.adding.contains(&to));
        let rate = self.image.rebalance.policy.bytes_per_second_max;
        self.throttle.fill(self.clocks.now, rate);
        if is_added && !self.throttle.is_open(rate) {
            // A newer read of the same follower replaces one that a broken link made void.
            self.throttle.waiting.retain(|(of, id, _)| (*of, *id) != (tp, to));
            self.throttle.waiting.push_back((tp, to, from));
        } else {
            self.read_for_follower(tp, to, from);
        }
    }

    /// Feeds those that waited, as far as the rate allows.
    pub(super) fn feed_waiting(&mut self) {
        let rate = self.image.rebalance.policy.bytes_per_second_max;
        self.throttle.fill(self.clocks.now, rate);
        while self.throttle.is_open(rate)
            && let Some((tp, to, from)) = self.throttle.waiting.pop_front()
        {
            self.read_for_follower(tp, to, from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    #[test]
    fn the_rate_holds_over_time_whatever_is_sent_at_once() {
        let (mut throttle, rate, mut sent) = (Throttle::default(), 1_000_000, 0);
        for ms in (0..10_000).step_by(50) {
            throttle.fill(at(ms), rate);
            while throttle.is_open(rate) {
                throttle.spend(300_000);
                sent += 300_000;
            }
        }
        assert!((9_500_000..=10_600_000).contains(&sent), "{sent}");
    }

    #[test]
    fn a_pause_saves_up_no_more_than_a_burst() {
        let mut throttle = Throttle::default();
        throttle.fill(at(3_600_000), 1000);
        assert_eq!(throttle.bytes, 250);
        throttle.spend(100_000);
        assert!(!throttle.is_open(1000));
        assert!(throttle.is_open(0), "no limit");
        throttle.fill(at(3_600_001), 100);
        assert_eq!(throttle.filled, at(3_600_000), "less than a byte is saved for later");
    }
}
