//! Log lines: readable in a terminal or a file, JSON in a pod.
//!
//! A JSON line has the keys `ts` (RFC 3339, UTC), `level` (`error` to `trace`), `msg`, `target` (the module), `member` (this agent's number),
//! and what the event names besides (`zab_epoch`, `zxid`, `topic`, `partition`, `peer`, `error` ...). `RUST_LOG` chooses what is told.
//! Must not know: who says what. Read first: [`init`], [`init_json`].

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Sets up readable log lines: to a file, or to standard error.
///
/// # Errors
/// The file cannot be opened.
pub fn init(log_file: Option<&Path>) -> Result<()> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter()).with_ansi(false);
    match log_file {
        Some(path) => {
            let file = std::fs::File::options().create(true).append(true).open(path);
            let file = file.with_context(|| format!("{}: the log file cannot be opened", path.display()))?;
            builder.with_writer(Arc::new(file)).init();
        }
        None => builder.with_writer(std::io::stderr).init(),
    }
    Ok(())
}

/// Sets up JSON lines on standard error, panics included. `member` is this agent's number, if it is known.
pub fn init_json(member: Option<i32>) {
    tracing_subscriber::fmt()
        .with_env_filter(filter())
        .event_format(JsonLines { member })
        .with_writer(std::io::stderr)
        .init();
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"))
}

struct JsonLines {
    member: Option<i32>,
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut ts = String::new();
        SystemTime.format_time(&mut Writer::new(&mut ts))?;
        let metadata = event.metadata();
        let mut said = Said::default();
        event.record(&mut said);
        let level = metadata.level().as_str().to_ascii_lowercase();
        writeln!(writer, "{}", said.line(&ts, &level, metadata.target(), self.member))
    }
}

/// What an event says.
#[derive(Default)]
struct Said {
    msg: String,
    fields: Vec<(&'static str, Value)>,
}

impl Said {
    fn line(self, ts: &str, level: &str, target: &str, member: Option<i32>) -> String {
        let keys = [("ts", ts), ("level", level), ("msg", &self.msg), ("target", target)];
        let mut all: Vec<(&str, Value)> = keys.map(|(key, text)| (key, Value::from(text))).to_vec();
        all.extend(member.map(|id| ("member", Value::from(id))));
        let own = all.len();
        for (key, value) in self.fields {
            // A line never has a key twice, whatever an event calls its fields.
            if !all[..own].iter().any(|(known, _)| *known == key) {
                all.push((key, value));
            }
        }
        let pairs: Vec<String> =
            all.iter().map(|(key, value)| format!("{}:{value}", Value::from(*key))).collect();
        format!("{{{}}}", pairs.join(","))
    }

    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.msg = text,
            ("message", other) => self.msg = other.to_string(),
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Said {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object_with_every_key_once() {
        let said = Said {
            msg: "the log \"ends\"\nhere".to_owned(),
            fields: vec![("zxid", 7.into()), ("target", "elsewhere".into()), ("peer", "2".into())],
        };
        let line = said.line("2026-01-02T03:04:05.000006Z", "warn", "node::pod", Some(3));
        assert!(
            line.starts_with("{\"ts\":\"2026-01-02T03:04:05.000006Z\",\"level\":\"warn\",\"msg\":"),
            "{line}"
        );
        assert!(!line.contains('\n'));
        let read: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(read["msg"], "the log \"ends\"\nhere");
        assert_eq!((&read["member"], &read["zxid"], &read["peer"]), (&3.into(), &7.into(), &"2".into()));
        assert_eq!(read["target"], "node::pod");
        assert_eq!(line.matches("\"target\"").count(), 1);
    }
}
