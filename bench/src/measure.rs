//! The measured window: what completed in it, how long it took, what the servers used meanwhile.
//!
//! A closed loop counts what completes in the window, from when it was sent. An open loop counts what was due in the window, from
//! when it was due: a server that stalls cannot hide it by slowing its clients down (coordinated omission).
//! Read first: [`Measure`], [`Summary`].

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::process::Usage;

/// What of an open loop is not answered this long after the window counts as lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest time that is told apart from longer ones: an hour.
const MICROS_MAX: u64 = 3_600_000_000;

/// How long to run and whom to watch.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Window {
    /// Seconds before the measured window.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) warmup: f64,
    /// Seconds measured.
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// Measure exactly this many operations instead, without warm-up.
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// A process of the servers, to be watched; once per process.
    #[arg(long = "pid")]
    pub(crate) pids: Vec<u32>,
}

/// The window, as a run goes through it.
pub(crate) struct Measure {
    window: Window,
    start: Instant,
    end: Instant,
    before: Option<(Usage, Usage)>,
    after: Option<(Usage, Usage)>,
    kinds: Vec<Kind>,
    bytes: u64,
    last: Instant,
    silence: Duration,
}

struct Kind {
    name: &'static str,
    micros: Histogram<u64>,
    /// Due in the window; an open loop waits for all of them.
    due: u64,
}

impl Measure {
    /// A window that begins after the warm-up; `kinds` are the sorts of operations that are told apart.
    pub(crate) fn new(window: &Window, kinds: &[&'static str]) -> Result<Self> {
        let positive = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO);
        let warmup = if window.count.is_some() { Duration::ZERO } else { positive(window.warmup) };
        let seconds =
            if window.count.is_some() { Duration::from_secs(3600) } else { positive(window.seconds) };
        let start = Instant::now() + warmup;
        let kinds = kinds.iter().map(|name| Kind {
            name,
            micros: Histogram::new_with_bounds(1, MICROS_MAX, 3).expect("these bounds are supported"),
            due: 0,
        });
        Ok(Self {
            window: window.clone(),
            start,
            end: start + seconds,
            before: None,
            after: None,
            kinds: kinds.collect(),
            bytes: 0,
            last: start,
            silence: Duration::ZERO,
        })
    }

    /// True while operations count, or will.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        now < self.end && self.window.count.is_none_or(|count| self.operations() < count)
    }

    /// Notes the window's edges; call it every turn.
    pub(crate) fn turn(&mut self, now: Instant) -> Result<()> {
        if self.before.is_none() && now >= self.start {
            self.before = Some(self.usage()?);
            (self.start, self.last) = (now, now);
        }
        if self.after.is_none() && self.before.is_some() && !self.is_open(now) {
            self.after = Some(self.usage()?);
            self.end = now;
            self.silence = self.silence.max(now - self.last);
        }
        Ok(())
    }

    fn usage(&self) -> Result<(Usage, Usage)> {
        Ok((Usage::of(&self.window.pids)?, Usage::of(&[std::process::id()])?))
    }

    /// An operation of a closed loop is done.
    pub(crate) fn done(&mut self, kind: usize, sent: Instant, now: Instant, operations: u64, bytes: u64) {
        if now >= self.start && self.is_open(now) {
            self.completed(now);
            let taken = micros(now - sent);
            self.kinds[kind].micros.saturating_record_n(taken, operations);
            self.bytes += bytes;
        }
    }

    /// An operation of an open loop falls due; true if it counts.
    pub(crate) fn falls_due(&mut self, kind: usize, due: Instant) {
        if self.counts(due) {
            self.kinds[kind].due += 1;
        }
    }

    /// An operation of an open loop is done.
    pub(crate) fn done_late(&mut self, kind: usize, due: Instant, now: Instant, bytes: u64) {
        if now >= self.start && now <= self.end {
            self.completed(now);
        }
        if self.counts(due) {
            self.kinds[kind].micros.saturating_record(micros(now.saturating_duration_since(due)));
            self.bytes += bytes;
        }
    }

    fn counts(&self, due: Instant) -> bool {
        due >= self.start && due < self.end
    }

    fn completed(&mut self, now: Instant) {
        self.silence = self.silence.max(now.saturating_duration_since(self.last));
        self.last = now;
    }

    /// True when everything that was due in the window is answered.
    pub(crate) fn is_drained(&self, now: Instant) -> Result<bool> {
        let missing: u64 = self.kinds.iter().map(|kind| kind.due.saturating_sub(kind.micros.len())).sum();
        if missing > 0 && now > self.end + PATIENCE {
            bail!("{missing} operations were not answered {} s after they were due", PATIENCE.as_secs());
        }
        Ok(missing == 0)
    }

    fn operations(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.micros.len()).sum()
    }

    /// The figures of the window.
    pub(crate) fn summary(&self, name: &str) -> Result<Summary> {
        let (Some(before), Some(after)) = (&self.before, &self.after) else {
            bail!("the run ended before its window did");
        };
        let (servers, generator) = (after.0.since(&before.0), after.1.since(&before.1));
        let operations = self.operations();
        let seconds = (self.end - self.start).as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "figures to be shown")]
        let (count, bytes) = (operations as f64, self.bytes as f64);
        let per = |value: f64, unit: f64| (unit > 0.0).then(|| value / unit);
        let watched = !self.window.pids.is_empty();
        #[allow(clippy::cast_precision_loss, reason = "figures to be shown")]
        let servers = watched.then(|| Servers {
            processes: self.window.pids.len(),
            cpu_seconds: servers.cpu_seconds,
            cpu_seconds_per_gb: per(servers.cpu_seconds, bytes / 1e9),
            cpu_seconds_per_100k: per(servers.cpu_seconds, count / 1e5),
            resident_mb: servers.resident_bytes as f64 / 1e6,
            written_bytes_per_byte: per(servers.written_bytes as f64, bytes),
        });
        Ok(Summary {
            name: name.to_owned(),
            seconds,
            operations,
            operations_per_second: count / seconds,
            mb_per_second: bytes / 1e6 / seconds,
            latency: self.kinds.iter().filter(|kind| !kind.micros.is_empty()).map(Latency::of).collect(),
            silence_ms_max: self.silence.as_secs_f64() * 1e3,
            servers,
            generator_cpu_seconds: generator.cpu_seconds,
        })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The figures of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// What was run.
    pub(crate) name: String,
    /// The measured window.
    pub(crate) seconds: f64,
    /// Records or requests that were answered without an error.
    pub(crate) operations: u64,
    pub(crate) operations_per_second: f64,
    /// Of what users put in or get out: values of records, data of znodes.
    pub(crate) mb_per_second: f64,
    /// By kind of operation.
    pub(crate) latency: Vec<Latency>,
    /// The longest time in the window in which nothing completed.
    pub(crate) silence_ms_max: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) servers: Option<Servers>,
    pub(crate) generator_cpu_seconds: f64,
}

/// Milliseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) kind: &'static str,
    pub(crate) operations: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

impl Latency {
    fn of(kind: &Kind) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "figures to be shown")]
        let at = |quantile: f64| kind.micros.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            kind: kind.name,
            operations: kind.micros.len(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: at(1.0),
        }
    }
}

/// What the watched processes used in the window.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Servers {
    pub(crate) processes: usize,
    pub(crate) cpu_seconds: f64,
    pub(crate) cpu_seconds_per_gb: Option<f64>,
    pub(crate) cpu_seconds_per_100k: Option<f64>,
    /// Of all of them, at the window's end.
    pub(crate) resident_mb: f64,
    pub(crate) written_bytes_per_byte: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(count: Option<u64>) -> Window {
        Window { warmup: 0.0, seconds: 1.0, count, pids: Vec::new() }
    }

    #[test]
    fn an_open_loop_counts_from_when_it_was_due() {
        let mut measure = Measure::new(&window(None), &["write"]).expect("a window");
        measure.turn(measure.start).expect("own counters");
        let due = measure.start + Duration::from_millis(10);
        measure.falls_due(0, due);
        assert!(!measure.is_drained(due).expect("in time"));
        measure.done_late(0, due, due + Duration::from_millis(70), 5);
        assert!(measure.is_drained(due).expect("in time"));
        measure.turn(measure.end).expect("own counters");
        let summary = measure.summary("x").expect("a whole window");
        assert_eq!((summary.operations, summary.latency[0].max_ms.round()), (1, 70.0));
        assert_eq!(summary.silence_ms_max.round(), 920.0);
    }

    #[test]
    fn what_is_never_answered_is_an_error() {
        let mut measure = Measure::new(&window(None), &["write"]).expect("a window");
        measure.falls_due(0, measure.start);
        assert!(measure.is_drained(measure.end + PATIENCE + Duration::from_secs(1)).is_err());
    }

    #[test]
    fn a_count_ends_the_window() {
        let mut measure = Measure::new(&window(Some(2)), &["write"]).expect("a window");
        let now = Instant::now();
        measure.turn(now).expect("own counters");
        measure.done(0, now, now, 2, 7);
        assert!(!measure.is_open(now));
        measure.turn(now + Duration::from_millis(1)).expect("own counters");
        assert_eq!(measure.summary("x").expect("a whole window").operations, 2);
    }
}
