//! Idempotent producers: per producer its epoch and last five batches, derived from the log on every replica.
//!
//! State follows from batch heads alone, so a leader change or a restart forgets nothing (Kafka's ProducerStateManager).
//! Read first: [`Producers::check`], [`Producers::record`].

use std::collections::{BTreeMap, VecDeque};

use bytes::{BufMut, Bytes, BytesMut};
use streamkeeper_base::batch::BatchHeader;
use streamkeeper_base::codec::{Get, Malformed, put_list};
use streamkeeper_base::limits::PRODUCER_BATCHES_MAX;
use streamkeeper_base::{Offset, ProducerEpoch, ProducerId};

/// The version of a state's bytes.
const VERSION: u8 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Producer {
    epoch: ProducerEpoch,
    /// First and last sequence, first offset of its latest batches.
    batches: VecDeque<(i32, i32, Offset)>,
    last_timestamp: i64,
}

/// What a batch is, seen from its producer's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It comes next.
    Next,
    /// It is there already, at this offset: success without an append.
    Duplicate(Offset),
    /// Something before it is missing.
    OutOfOrder,
    /// Its producer was replaced by a newer one.
    FencedEpoch,
}

/// The producers of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producers(BTreeMap<ProducerId, Producer>);

impl Producers {
    /// Judges a batch before it is appended.
    pub fn check(&self, batch: &BatchHeader) -> Verdict {
        if !batch.is_idempotent() {
            return Verdict::Next;
        }
        let Some(known) = self.0.get(&batch.producer_id) else {
            // Its state may have gone with old records: any sequence is accepted.
            return Verdict::Next;
        };
        if batch.producer_epoch < known.epoch {
            return Verdict::FencedEpoch;
        }
        if batch.producer_epoch > known.epoch {
            return if batch.base_sequence == 0 { Verdict::Next } else { Verdict::OutOfOrder };
        }
        let same = |b: &&(i32, i32, Offset)| b.0 == batch.base_sequence && b.1 == batch.last_sequence();
        if let Some((_, _, offset)) = known.batches.iter().find(same) {
            return Verdict::Duplicate(*offset);
        }
        match known.batches.back() {
            Some((_, last, _)) if batch.base_sequence != next_sequence(*last) => Verdict::OutOfOrder,
            Some(_) | None => Verdict::Next,
        }
    }

    /// Notes a batch that is in the log.
    pub fn record(&mut self, batch: &BatchHeader) {
        if !batch.is_idempotent() || batch.is_control() {
            return;
        }
        let fresh = || Producer { epoch: batch.producer_epoch, batches: VecDeque::new(), last_timestamp: -1 };
        let known = self.0.entry(batch.producer_id).or_insert_with(fresh);
        if known.epoch != batch.producer_epoch {
            *known = fresh();
        }
        known.last_timestamp = batch.max_timestamp;
        known.batches.push_back((batch.base_sequence, batch.last_sequence(), batch.base_offset));
        if known.batches.len() > PRODUCER_BATCHES_MAX {
            known.batches.pop_front();
        }
    }

    /// The state as bytes, to be kept beside the log: equal states give equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = BytesMut::new();
        out.put_u8(VERSION);
        put_list(&mut out, self.0.iter(), |out, (id, producer)| {
            out.put_i64(id.0);
            out.put_i16(producer.epoch.0);
            out.put_i64(producer.last_timestamp);
            put_list(out, producer.batches.iter(), |out, (first, last, offset)| {
                out.put_i32(*first);
                out.put_i32(*last);
                out.put_i64(offset.0);
            });
        });
        out.to_vec()
    }

    /// Reads what [`Producers::encode`] wrote.
    ///
    /// # Errors
    /// Anything else: the state is then rebuilt from the log.
    pub fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut get = Get(bytes);
        if get.u8()? != VERSION {
            return Err(Malformed);
        }
        let batch = |get: &mut Get| Ok((get.i32()?, get.i32()?, Offset(get.i64()?)));
        let producers = get.list(|get| {
            let id = ProducerId(get.i64()?);
            let epoch = ProducerEpoch(i16::from_be_bytes(get.array()?));
            let last_timestamp = get.i64()?;
            Ok((id, Producer { epoch, last_timestamp, batches: get.list(batch)?.into() }))
        })?;
        get.end()?;
        Ok(Self(producers.into_iter().collect()))
    }

    /// How many producers are known.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Sequences wrap at 2^31.
fn next_sequence(last: i32) -> i32 {
    if last == i32::MAX { 0 } else { last + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::header;

    #[test]
    fn a_state_comes_back_from_its_bytes() {
        let mut producers = Producers::default();
        for i in 0..20 {
            producers.record(&header(i64::from(i) * 2, 2, 7 + i64::from(i % 3), (i / 9) as i16, i * 2));
        }
        let bytes = producers.encode();
        assert_eq!(Producers::decode(bytes.clone().into()), Ok(producers));
        for cut in 0..bytes.len() {
            assert!(Producers::decode(bytes[..cut].to_vec().into()).is_err(), "{cut}");
        }
    }

    #[test]
    fn the_rules_of_sequences() {
        let mut producers = Producers::default();
        let batch = |epoch, sequence, offset| header(offset, 2, 7, epoch, sequence);
        assert_eq!(
            producers.check(&batch(0, 40, 0)),
            Verdict::Next,
            "an unknown producer may start anywhere"
        );
        producers.record(&batch(0, 0, 100));
        assert_eq!(producers.check(&batch(0, 2, 0)), Verdict::Next);
        assert_eq!(producers.check(&batch(0, 3, 0)), Verdict::OutOfOrder);
        assert_eq!(
            producers.check(&batch(0, 0, 0)),
            Verdict::Duplicate(Offset(100)),
            "with the original offset"
        );
        for i in 1..=5 {
            producers.record(&batch(0, i * 2, 100 + i64::from(i) * 2));
        }
        assert_eq!(producers.check(&batch(0, 2, 0)), Verdict::Duplicate(Offset(102)), "five are remembered");
        assert_eq!(producers.check(&batch(0, 0, 0)), Verdict::OutOfOrder, "the sixth is not");
        assert_eq!(producers.check(&batch(1, 0, 0)), Verdict::Next, "a new epoch starts at 0");
        assert_eq!(producers.check(&batch(1, 5, 0)), Verdict::OutOfOrder);
        producers.record(&batch(1, 0, 112));
        assert_eq!(producers.check(&batch(0, 12, 0)), Verdict::FencedEpoch);
        assert_eq!(next_sequence(i32::MAX), 0);
    }
}
