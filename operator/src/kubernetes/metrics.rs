//! The operator's metrics, under the names of controller-runtime where it has one, so that dashboards fit.
//!
//! Read first: [`Metrics`].

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bounds of the histogram of reconcile times, in seconds, as controller-runtime has them (a part of them).
const BOUNDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// The labels of the queue.
const QUEUE: &str = "name=\"ensemble\",controller=\"ensemble\"";

/// How a look ended; a label of `controller_runtime_reconcile_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// Nothing is to be done.
    Success,
    /// Something is awaited; it is looked at again soon.
    RequeueAfter,
    /// It failed.
    Error,
}

impl Ended {
    fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::RequeueAfter => "requeue_after",
            Self::Error => "error",
        }
    }
}

/// How an ensemble is, for alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Its newest generation cannot be reached without help.
    pub stalled: bool,
    /// `spec.paused`.
    pub paused: bool,
    /// Another installation acts for it.
    pub left: bool,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    seconds: f64,
    count: u64,
}

impl Histogram {
    fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.seconds += seconds;
        self.count += 1;
        for (bucket, bound) in self.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
    }

    /// `labels` without their braces.
    fn push(&self, text: &mut String, (name, help): (&str, &str), labels: &str) {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
        for (count, bound) in self.buckets.iter().zip(BOUNDS) {
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
        }
        let (count, seconds) = (self.count, self.seconds);
        let _ = writeln!(
            text,
            "{name}_bucket{{{labels},le=\"+Inf\"}} {count}\n{name}_sum{{{labels}}} {seconds}\n{name}_count{{{labels}}} {count}"
        );
    }
}

#[derive(Debug, Default)]
struct Numbers {
    looks: BTreeMap<Ended, u64>,
    times: Histogram,
    waits: Histogram,
    depth: u64,
    retries: u64,
    states: BTreeMap<(String, String), State>,
    writes: BTreeMap<(&'static str, String), u64>,
    failures: BTreeMap<&'static str, u64>,
    events: BTreeMap<&'static str, u64>,
    queued: u64,
    active: u64,
    leads: BTreeMap<String, bool>,
    resources: u64,
    namespaces: BTreeMap<String, bool>,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    numbers: Mutex<Numbers>,
}

impl Metrics {
    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        // Counters stay good whatever another thread died of.
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look at an ensemble begins.
    pub fn begins(&self) {
        self.numbers().active += 1;
    }

    /// A look at an ensemble is over.
    pub fn ends(&self, ended: Ended, took: Duration) {
        let mut numbers = self.numbers();
        numbers.active = numbers.active.saturating_sub(1);
        *numbers.looks.entry(ended).or_default() += 1;
        numbers.times.add(took);
    }

    /// A look that was asked for this long ago begins.
    pub fn waited(&self, wait: Duration) {
        self.numbers().waits.add(wait);
    }

    /// A look failed and is done again.
    pub fn retried(&self) {
        self.numbers().retries += 1;
    }

    /// So many ensembles wait for a look.
    pub fn depth(&self, count: usize) {
        self.numbers().depth = u64::try_from(count).unwrap_or(u64::MAX);
    }

    /// How an ensemble is; `None` once it is gone.
    pub fn state(&self, (namespace, name): (&str, &str), state: Option<State>) {
        let key = (namespace.to_owned(), name.to_owned());
        match state {
            Some(state) => drop(self.numbers().states.insert(key, state)),
            None => drop(self.numbers().states.remove(&key)),
        }
    }

    /// Something changed that asks for a look.
    pub fn queued(&self) {
        self.numbers().queued += 1;
    }

    /// A write to the API server.
    pub fn write(&self, verb: &'static str, kind: &str) {
        *self.numbers().writes.entry((verb, kind.to_owned())).or_default() += 1;
    }

    /// A call to the API server failed.
    pub fn failure(&self, label: &'static str) {
        *self.numbers().failures.entry(label).or_default() += 1;
    }

    /// An event was written.
    pub fn event(&self, reason: &'static str) {
        *self.numbers().events.entry(reason).or_default() += 1;
    }

    /// Whether this operator acts: it holds the lease of that name.
    pub fn leads(&self, lease: &str, leads: bool) {
        self.numbers().leads.insert(lease.to_owned(), leads);
    }

    /// How many ensembles are looked after.
    pub fn resources(&self, count: usize) {
        self.numbers().resources = u64::try_from(count).unwrap_or(u64::MAX);
    }

    /// The namespaces that are watched by name, and whether everything in each was listed.
    pub fn namespaces<'a>(&self, namespaces: impl Iterator<Item = (&'a str, bool)>) {
        self.numbers().namespaces = namespaces.map(|(name, known)| (name.to_owned(), known)).collect();
    }

    /// Everything in Prometheus' text format.
    pub fn text(&self) -> String {
        let numbers = self.numbers();
        let mut text = String::new();
        reconciles(&numbers, &mut text);
        counters(&numbers, &mut text);
        gauges(&numbers, &mut text);
        process(&mut text);
        text
    }
}

/// A metric with its rows of labels and values.
fn metric(text: &mut String, kind: &str, (name, help): (&str, &str), rows: &[(String, u64)]) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in rows {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

fn counters(numbers: &Numbers, text: &mut String) {
    let writes =
        numbers.writes.iter().map(|((verb, kind), n)| (format!("{{verb=\"{verb}\",kind=\"{kind}\"}}"), *n));
    let by_reason = |counts: &BTreeMap<&'static str, u64>| -> Vec<(String, u64)> {
        counts.iter().map(|(reason, n)| (format!("{{reason=\"{reason}\"}}"), *n)).collect()
    };
    let mut counter = |name, help, rows: &[(String, u64)]| metric(text, "counter", (name, help), rows);
    counter("streamkeeper_api_writes_total", "Writes to the API server.", &writes.collect::<Vec<_>>());
    counter(
        "streamkeeper_api_failures_total",
        "Calls to the API server that failed.",
        &by_reason(&numbers.failures),
    );
    counter("streamkeeper_events_total", "Events by reason.", &by_reason(&numbers.events));
    counter(
        "workqueue_adds_total",
        "Changes that asked for a look.",
        &[(format!("{{{QUEUE}}}"), numbers.queued)],
    );
    counter(
        "workqueue_retries_total",
        "Looks that failed and are done again.",
        &[(format!("{{{QUEUE}}}"), numbers.retries)],
    );
    let (name, help) =
        ("workqueue_queue_duration_seconds", "How long a look that was asked for was waited for.");
    numbers.waits.push(text, (name, help), QUEUE);
}

fn gauges(numbers: &Numbers, text: &mut String) {
    let mut gauge = |name, help, rows: &[(String, u64)]| metric(text, "gauge", (name, help), rows);
    let one = |labels: &str, value: u64| [(labels.to_owned(), value)];
    gauge(
        "controller_runtime_active_workers",
        "Looks that go on.",
        &one("{controller=\"ensemble\"}", numbers.active),
    );
    gauge("streamkeeper_ensembles", "Ensembles that are looked after.", &one("", numbers.resources));
    gauge("workqueue_depth", "Ensembles that wait for a look.", &one(&format!("{{{QUEUE}}}"), numbers.depth));
    let states = |of: fn(&State) -> bool| -> Vec<(String, u64)> {
        let labels = |(namespace, name): &(String, String)| {
            format!("{{namespace=\"{namespace}\",ensemble=\"{name}\"}}")
        };
        numbers.states.iter().map(|(key, state)| (labels(key), u64::from(of(state)))).collect()
    };
    gauge(
        "streamkeeper_ensemble_stalled",
        "1 for an ensemble whose condition Stalled is true: it needs help.",
        &states(|state| state.stalled),
    );
    gauge(
        "streamkeeper_ensemble_paused",
        "1 for an ensemble with spec.paused.",
        &states(|state| state.paused),
    );
    gauge(
        "streamkeeper_ensemble_left_to_another",
        "1 for an ensemble for which another installation acts.",
        &states(|state| state.left),
    );
    let namespaces = numbers
        .namespaces
        .iter()
        .map(|(namespace, known)| (format!("{{namespace=\"{namespace}\"}}"), u64::from(*known)));
    gauge(
        "streamkeeper_namespace_watched",
        "1 if a namespace of watchNamespaces can be listed; 0 if it is gone or rights are missing.",
        &namespaces.collect::<Vec<_>>(),
    );
    let leads =
        numbers.leads.iter().map(|(lease, leads)| (format!("{{name=\"{lease}\"}}"), u64::from(*leads)));
    gauge("leader_election_master_status", "1 for the operator that acts.", &leads.collect::<Vec<_>>());
}

fn reconciles(numbers: &Numbers, text: &mut String) {
    let name = "controller_runtime_reconcile";
    let _ = writeln!(text, "# HELP {name}_total Looks at an ensemble.\n# TYPE {name}_total counter");
    for ended in [Ended::Success, Ended::RequeueAfter, Ended::Error] {
        let count = numbers.looks.get(&ended).copied().unwrap_or(0);
        let _ =
            writeln!(text, "{name}_total{{controller=\"ensemble\",result=\"{}\"}} {count}", ended.label());
    }
    let errors = numbers.looks.get(&Ended::Error).copied().unwrap_or(0);
    let _ = writeln!(
        text,
        "# HELP {name}_errors_total Looks that failed.\n# TYPE {name}_errors_total counter\n\
         {name}_errors_total{{controller=\"ensemble\"}} {errors}"
    );
    let name = format!("{name}_time_seconds");
    numbers.times.push(text, (&name, "How long a look took."), "controller=\"ensemble\"");
}

/// What Prometheus' clients say of the process, as far as `/proc` has it.
fn process(text: &mut String) {
    // Ticks and pages of Linux on every machine we are built for.
    const TICKS_PER_SECOND: f64 = 100.0;
    const PAGE_BYTES: u64 = 4096;
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return };
    // The name in parentheses may have spaces.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    let cpu = (field(11) + field(12)) as f64 / TICKS_PER_SECOND;
    let _ = writeln!(
        text,
        "# HELP process_cpu_seconds_total Time on processors.\n# TYPE process_cpu_seconds_total counter\n\
         process_cpu_seconds_total {cpu}\n\
         # HELP process_resident_memory_bytes Memory.\n# TYPE process_resident_memory_bytes gauge\n\
         process_resident_memory_bytes {}",
        field(21) * PAGE_BYTES
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_counted_under_the_names_that_dashboards_know() {
        let metrics = Metrics::default();
        metrics.begins();
        metrics.ends(Ended::Success, Duration::from_millis(7));
        metrics.begins();
        metrics.ends(Ended::Error, Duration::from_secs(3));
        metrics.write("apply", "ConfigMap");
        metrics.waited(Duration::from_millis(3));
        metrics.retried();
        metrics.state(("n", "main"), Some(State { stalled: true, ..State::default() }));
        metrics.state(("n", "gone"), Some(State::default()));
        metrics.state(("n", "gone"), None);
        metrics.namespaces([("a", true), ("b", false)].into_iter());
        let text = metrics.text();
        for line in [
            "controller_runtime_reconcile_total{controller=\"ensemble\",result=\"success\"} 1",
            "controller_runtime_reconcile_errors_total{controller=\"ensemble\"} 1",
            "controller_runtime_reconcile_time_seconds_bucket{controller=\"ensemble\",le=\"0.01\"} 1",
            "controller_runtime_reconcile_time_seconds_bucket{controller=\"ensemble\",le=\"+Inf\"} 2",
            "streamkeeper_api_writes_total{verb=\"apply\",kind=\"ConfigMap\"} 1",
            "controller_runtime_active_workers{controller=\"ensemble\"} 0",
            "workqueue_retries_total{name=\"ensemble\",controller=\"ensemble\"} 1",
            "workqueue_depth{name=\"ensemble\",controller=\"ensemble\"} 0",
            "workqueue_queue_duration_seconds_bucket{name=\"ensemble\",controller=\"ensemble\",le=\"0.005\"} 1",
            "streamkeeper_ensemble_stalled{namespace=\"n\",ensemble=\"main\"} 1",
            "streamkeeper_ensemble_paused{namespace=\"n\",ensemble=\"main\"} 0",
            "streamkeeper_namespace_watched{namespace=\"a\"} 1",
            "streamkeeper_namespace_watched{namespace=\"b\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(text.contains("process_resident_memory_bytes") && !text.contains("gone\""));
    }
}
