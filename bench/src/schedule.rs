//! When the operations of an open loop are due: at a fixed rate, whatever the servers do.

use std::time::{Duration, Instant};

/// Evenly spaced due times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    start: Instant,
    interval: Duration,
    next: u32,
}

impl Schedule {
    /// A rate per second, from now on.
    pub(crate) fn new(per_second: f64, start: Instant) -> Self {
        let interval = Duration::try_from_secs_f64(1.0 / per_second).unwrap_or(Duration::from_secs(3600));
        Self { start, interval, next: 0 }
    }

    /// The next due time, if it has come; each is given once.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Instant> {
        let due = self.peek();
        (due <= now).then(|| {
            self.next += 1;
            due
        })
    }

    /// The next due time.
    pub(crate) fn peek(&self) -> Instant {
        self.start + self.interval * self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_caller_gets_every_due_time() {
        let start = Instant::now();
        let mut schedule = Schedule::new(1000.0, start);
        let now = start + Duration::from_millis(3);
        let due: Vec<Instant> = std::iter::from_fn(|| schedule.pop(now)).collect();
        assert_eq!(due.len(), 4);
        assert_eq!(due[3], now);
        assert_eq!(schedule.peek(), start + Duration::from_millis(4));
    }
}
