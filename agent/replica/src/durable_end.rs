//! How far a replica's log is on disk when batches take two ways there: small ones through the write-ahead log, large ones by a
//! flush of their segment.
//!
//! A small batch behind a large one that is not flushed yet proves nothing: a power cut would leave a hole in front of it. Must not
//! know: files, tickets. Read first: [`DurableEnd`].

use std::collections::VecDeque;

use streamkeeper_base::Offset;

/// The end of what is on disk without a hole, and what is known to be on disk behind one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DurableEnd {
    end: Offset,
    /// Ranges behind a hole, ascending, none touching the next: at most one for each large batch under way.
    islands: VecDeque<(Offset, Offset)>,
}

impl DurableEnd {
    pub(crate) fn new(end: Offset) -> Self {
        Self { end, islands: VecDeque::new() }
    }

    /// Everything below is on disk.
    pub(crate) fn end(&self) -> Offset {
        self.end
    }

    /// A flush of the log's files covers everything below.
    pub(crate) fn flushed(&mut self, to: Offset) {
        self.end = self.end.max(to);
        while let Some((_, end)) = self.islands.pop_front_if(|(start, _)| *start <= self.end) {
            self.end = self.end.max(end);
        }
    }

    /// The write-ahead log holds a range.
    pub(crate) fn logged(&mut self, from: Offset, to: Offset) {
        if from <= self.end {
            return self.flushed(to);
        }
        match self.islands.back_mut() {
            Some((_, end)) if *end >= from => *end = to.max(*end),
            Some(_) | None => self.islands.push_back((from, to)),
        }
    }

    /// The log was cut.
    pub(crate) fn cut(&mut self, to: Offset) {
        self.end = self.end.min(to);
        self.islands.retain(|(start, _)| *start < to);
        if let Some((_, end)) = self.islands.back_mut() {
            *end = to.min(*end);
        }
    }

    /// The log begins anew at an offset.
    pub(crate) fn restart(&mut self, at: Offset) {
        *self = Self::new(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Flushed(i64),
        Logged(i64, i64),
        Cut(i64),
        Restart(i64),
    }
    use Step::{Cut, Flushed, Logged, Restart};

    #[test] // found by reading: a small batch's commit was taken for a flush of the large one before it
    fn nothing_behind_a_hole_counts() {
        let cases: [(&[Step], i64); 9] = [
            (&[Logged(0, 5)], 5),
            (&[Logged(5, 6)], 0),
            (&[Logged(5, 6), Flushed(5)], 6),
            (&[Logged(5, 6), Logged(6, 9), Flushed(4)], 4),
            (&[Logged(5, 6), Logged(8, 9), Flushed(5)], 6),
            (&[Logged(5, 6), Logged(8, 9), Flushed(7), Flushed(8)], 9),
            (&[Logged(5, 9), Cut(7), Flushed(5)], 7),
            (&[Logged(5, 9), Cut(3), Logged(3, 4), Flushed(3)], 4),
            (&[Logged(5, 9), Restart(2), Logged(2, 3)], 3),
        ];
        for (steps, expected) in cases {
            let mut durable = DurableEnd::new(Offset::ZERO);
            for step in steps {
                match *step {
                    Flushed(to) => durable.flushed(Offset(to)),
                    Logged(from, to) => durable.logged(Offset(from), Offset(to)),
                    Cut(to) => durable.cut(Offset(to)),
                    Restart(at) => durable.restart(Offset(at)),
                }
            }
            assert_eq!(durable.end(), Offset(expected), "{steps:?}");
        }
    }
}
