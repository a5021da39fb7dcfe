//! The only place of an agent that reads the system's clocks.

use std::time::{SystemTime, UNIX_EPOCH};

use streamkeeper_base::{Instant, WallMillis};
use streamkeeper_member::io::Clocks;

/// Both clocks; copies share one start, so that all threads of an agent see the same monotonic time.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    start: std::time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }

    pub(crate) fn read(&self) -> Clocks {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clocks {
            now: Instant::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)),
            wall: WallMillis(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)),
        }
    }
}
