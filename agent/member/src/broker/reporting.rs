//! Partitions that nobody can lead: this member tells the controller what its disk holds of them (`controller::recovery`).
//!
//! Must not know: who is elected. Read first: [`Broker::report_logs`].

use std::time::Duration;

use streamkeeper_base::{LeaderEpoch, TopicPartition};
use streamkeeper_controller::{Command, LogReport};

use super::Broker;
use crate::kafka::pending::PendingCommand;

/// What the image does not show is told again after this time.
const REPORT_AGAIN: Duration = Duration::from_millis(500);
/// Partitions told of at once.
const REPORTS_AT_ONCE: usize = 1000;

impl Broker {
    /// Tells what the image does not know yet: at once when a partition has lost its leader, later again in case that it was lost.
    pub(super) fn report_logs(&mut self) {
        if self.leaderless.is_empty() || self.clocks.now < self.report_at {
            return;
        }
        self.report_at = self.clocks.now + REPORT_AGAIN;
        let mut logs = Vec::new();
        for tp in &self.leaderless {
            logs.extend(self.unknown_report(*tp));
        }
        let incarnation = self.config.incarnation;
        let member = self.config.member;
        for logs in logs.chunks(REPORTS_AT_ONCE).map(<[_]>::to_vec) {
            self.command(Command::ReportLogs { member, incarnation, logs }, PendingCommand::Report);
        }
    }

    fn unknown_report(&self, tp: TopicPartition) -> Option<(TopicPartition, LeaderEpoch, LogReport)> {
        let (leader_epoch, settled, end) = self.replicas.get(&tp)?.partition.report()?;
        let report = LogReport { member: self.config.member, settled, end };
        let known = self.image.partition(tp)?;
        let counts = !known.lost.contains(&report.member) && !known.reports.contains(&report);
        counts.then_some((tp, leader_epoch, report))
    }
}
