//! Partitions whose last members in sync stay away: the quorum leader waits for them, then lets those elect who reported enough.
//!
//! Who is safe to elect is `controller::recovery`'s to say; here is only for how long members are waited for that may come back with
//! records that nobody else has. Read first: [`Coordination::recover`].

use std::collections::BTreeMap;
use std::time::Duration;

use streamkeeper_base::{Instant, TopicPartition};
use streamkeeper_controller::{Command, Recovery, recovery};

use super::Coordination;

/// A member that was in sync has this long to come back: a reboot takes less.
const RETURN_PATIENCE: Duration = Duration::from_secs(120);

/// Since when partitions could be led by those who reported, but members in sync are waited for.
#[derive(Debug, Default)]
pub(super) struct Recovering(BTreeMap<TopicPartition, Instant>);

impl Recovering {
    /// Partitions that have waited for long enough, of those that wait now.
    fn due(&mut self, waiting: &[TopicPartition], now: Instant) -> Vec<TopicPartition> {
        self.0.retain(|tp, _| waiting.contains(tp));
        let mut since = |tp: &TopicPartition| *self.0.entry(*tp).or_insert(now);
        let due = waiting
            .iter()
            .map(|tp| (*tp, since(tp)))
            .filter(|(_, since)| now.since(*since) >= RETURN_PATIENCE);
        due.map(|(tp, _)| tp).collect()
    }
}

impl Coordination {
    pub(super) fn recover(&mut self) {
        let now = self.clocks.now;
        let Some(leading) = &mut self.leading else { return };
        let image = &leading.speculative;
        let waiting: Vec<TopicPartition> = image
            .partitions()
            .filter(|(_, _, partition)| partition.leader.is_none() && !partition.reports.is_empty())
            .filter(|(_, _, partition)| matches!(recovery(image, partition, false), Recovery::Elect(_)))
            .map(|(tp, _, _)| tp)
            .collect();
        for tp in leading.recovering.due(&waiting, now) {
            self.lead_command(self.config.member, 0, &Command::Recover(tp));
        }
    }
}

#[cfg(test)]
mod tests {
    use streamkeeper_base::{PartitionId, TopicId};

    use super::*;

    #[test]
    fn members_in_sync_are_waited_for_but_not_for_ever() {
        let tp = |number| TopicPartition { topic: TopicId([1; 16]), partition: PartitionId(number) };
        let mut recovering = Recovering::default();
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        assert!(recovering.due(&[tp(0)], at(0)).is_empty());
        assert!(recovering.due(&[tp(0), tp(1)], at(100)).is_empty());
        assert_eq!(recovering.due(&[tp(0), tp(1)], at(120)), [tp(0)]);
        assert!(recovering.due(&[tp(1)], at(121)).is_empty(), "partition 0 is led again");
        assert!(recovering.due(&[tp(0), tp(1)], at(122)).is_empty(), "and waits anew");
        assert_eq!(recovering.due(&[tp(0), tp(1)], at(230)), [tp(1)]);
    }
}
