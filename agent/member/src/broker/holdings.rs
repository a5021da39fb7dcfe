//! What this member holds, told to its coordination, which tells the quorum leader.

use std::time::Duration;

use super::Broker;
use crate::io::Output;
use crate::message::{Holdings, ToCoordination};

/// Looked at this often.
const HOLDINGS_EVERY: Duration = Duration::from_secs(1);
/// Free room that changed by less is no news.
const FREE_BYTES_STEP: u64 = 64 * 1024 * 1024;

impl Broker {
    pub(super) fn tell_holdings(&mut self) {
        if self.clocks.now < self.holdings_at {
            return;
        }
        self.holdings_at = self.clocks.now + HOLDINGS_EVERY;
        // A disk that does not say is judged as one without a limit.
        let free = self.disk.free_bytes(&self.config.data).ok();
        let disk_free_bytes = match (free, self.held.disk_free_bytes) {
            (Some(now), Some(before)) if now.abs_diff(before) < FREE_BYTES_STEP => Some(before),
            (now, _) => now,
        };
        let sizes = self.replicas.iter().map(|(tp, replica)| (*tp, replica.log.size())).collect();
        let holdings = Holdings { sizes, disk_free_bytes };
        if holdings != self.held {
            self.held = holdings.clone();
            self.out.push(Output::Tell(ToCoordination::Holdings(holdings)));
        }
    }
}
