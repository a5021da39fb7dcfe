//! What Kafka's clients were told: every offset has one value for ever, nothing acknowledged is lost, nothing comes twice.

use std::collections::BTreeMap;

/// What was sent, acknowledged and read.
#[derive(Default)]
pub(crate) struct History {
    /// By partition and offset: the value, whoever told it.
    content: BTreeMap<(i32, i64), String>,
    /// One past the greatest acknowledged offset, by partition.
    acknowledged_ends: BTreeMap<i32, i64>,
    acknowledged: BTreeMap<(i32, i64), String>,
    /// Values sent so far, by producer.
    sent: BTreeMap<u64, u64>,
    pub(crate) acknowledged_records: u64,
    pub(crate) read_records: u64,
    pub(crate) offsets_verified: u64,
}

impl History {
    /// A producer is about to send values.
    pub(crate) fn sent(&mut self, producer: u64, first: u64, count: u64) {
        self.sent.insert(producer, first + count);
    }

    /// A producer's batch is acknowledged at an offset, with acks=all.
    pub(crate) fn acknowledged(
        &mut self,
        partition: i32,
        offset: i64,
        producer: u64,
        first: u64,
        count: u64,
    ) {
        for i in 0..count {
            let at = offset + i64::try_from(i).unwrap_or(0);
            let value = format!("{producer}-{}", first + i);
            self.tell(partition, at, &value);
            self.acknowledged.insert((partition, at), value);
            self.acknowledged_records += 1;
        }
        let end = self.acknowledged_ends.entry(partition).or_default();
        *end = (*end).max(offset + i64::try_from(count).unwrap_or(0));
    }

    /// A consumer read a record.
    pub(crate) fn read(&mut self, partition: i32, offset: i64, value: &[u8]) {
        let value = text(value);
        let (producer, number) = parse(&value);
        let sent = self.sent.get(&producer).copied().unwrap_or(0);
        assert!(number < sent, "partition {partition} holds {value} at {offset}, which nobody sent");
        self.tell(partition, offset, &value);
        self.read_records += 1;
    }

    fn tell(&mut self, partition: i32, offset: i64, value: &str) {
        let known = self.content.entry((partition, offset)).or_insert_with(|| value.to_owned());
        assert_eq!(known, value, "K6: offset {offset} of partition {partition} has two values");
    }

    /// One past the greatest acknowledged offset.
    pub(crate) fn acknowledged_end(&self, partition: i32) -> i64 {
        self.acknowledged_ends.get(&partition).copied().unwrap_or(0)
    }

    /// The whole content of a partition at the end: everything acknowledged is there, an idempotent producer's values come
    /// once and in order.
    pub(crate) fn verify(&self, partition: i32, records: &[(i64, Vec<u8>)], idempotent_producers: u64) {
        let mut next: BTreeMap<u64, u64> = BTreeMap::new();
        let mut found: BTreeMap<i64, String> = BTreeMap::new();
        for (offset, value) in records {
            let value = text(value);
            let (producer, number) = parse(&value);
            if producer < idempotent_producers {
                let expected = next.entry(producer).or_default();
                assert_eq!(
                    number, *expected,
                    "K14: partition {partition} holds {value} at {offset}, expected value {expected} of this producer"
                );
                *expected += 1;
            }
            found.insert(*offset, value);
        }
        for ((of, offset), value) in &self.acknowledged {
            if *of == partition {
                assert_eq!(
                    found.get(offset),
                    Some(value),
                    "K7: acknowledged at offset {offset} of partition {partition} and lost"
                );
            }
        }
    }
}

/// A value without the padding of large batches.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('.').to_owned()
}

fn parse(value: &str) -> (u64, u64) {
    let parsed = value.split_once('-').and_then(|(p, n)| Some((p.parse().ok()?, n.parse().ok()?)));
    parsed.unwrap_or_else(|| panic!("a record holds {value}, which nobody sent"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejects(expected: &str, history: impl FnOnce(&mut History) + std::panic::UnwindSafe) {
        let result = std::panic::catch_unwind(|| {
            let mut h = History::default();
            h.sent(0, 0, 10);
            h.sent(9, 0, 10);
            history(&mut h);
        });
        let payload = result.expect_err("a known-bad history is rejected");
        let text = payload.downcast_ref::<String>().cloned().unwrap_or_default();
        let text = text.trim_start_matches("assertion `left == right` failed: ");
        assert!(text.starts_with(expected), "{text}");
    }

    fn record(offset: i64, value: &str) -> (i64, Vec<u8>) {
        (offset, value.as_bytes().to_vec())
    }

    #[test]
    fn known_bad_histories_are_rejected() {
        rejects("K6", |h| {
            h.read(0, 0, b"0-0");
            h.read(0, 0, b"0-1");
        });
        rejects("K6", |h| {
            h.acknowledged(0, 0, 0, 0, 1);
            h.read(0, 0, b"9-0");
        });
        rejects("partition 0 holds 0-10", |h| h.read(0, 0, b"0-10"));
        rejects("K7", |h| {
            h.acknowledged(0, 0, 0, 0, 2);
            h.verify(0, &[record(0, "0-0")], 1);
        });
        rejects("K14", |h| h.verify(0, &[record(0, "0-0"), record(1, "0-0")], 1));
        rejects("K14", |h| h.verify(0, &[record(0, "0-1"), record(1, "0-0")], 1));
    }

    #[test]
    fn a_good_history_passes() {
        let mut h = History::default();
        h.sent(0, 0, 3);
        h.sent(9, 0, 1);
        h.acknowledged(0, 0, 0, 0, 2);
        h.read(0, 1, b"0-1....");
        h.verify(0, &[record(0, "0-0"), record(1, "0-1"), record(2, "9-0"), record(3, "9-0")], 1);
    }
}
