//! One table for people, or one JSON object.

use crate::measure::{Latency, Servers, Summary};

/// The table: a line of heads, a line of values.
pub(crate) fn text(summary: &Summary) -> String {
    let mut columns = vec![
        ("run".to_owned(), summary.name.clone()),
        ("ops/s".to_owned(), format!("{:.0}", summary.operations_per_second)),
        ("MB/s".to_owned(), format!("{:.2}", summary.mb_per_second)),
    ];
    let several = summary.latency.len() > 1;
    for latency in &summary.latency {
        columns.extend(latencies(latency, if several { latency.kind } else { "" }));
    }
    columns.push(("silence ms".to_owned(), format!("{:.0}", summary.silence_ms_max)));
    columns.extend(summary.servers.iter().flat_map(servers));
    columns.push(("own CPU s".to_owned(), format!("{:.2}", summary.generator_cpu_seconds)));
    let line = |cell: fn(&(String, String)) -> &str| {
        let padded: Vec<String> = columns
            .iter()
            .map(|column| format!("{:>width$}", cell(column), width = column.0.len().max(column.1.len())))
            .collect();
        padded.join("  ")
    };
    format!("{}\n{}", line(|column| &column.0), line(|column| &column.1))
}

fn latencies(latency: &Latency, kind: &str) -> [(String, String); 4] {
    let column = |name: &str, value: f64| (format!("{kind} {name}").trim().to_owned(), format!("{value:.2}"));
    [
        column("p50 ms", latency.p50_ms),
        column("p99 ms", latency.p99_ms),
        column("p99.9 ms", latency.p999_ms),
        column("max ms", latency.max_ms),
    ]
}

fn servers(servers: &Servers) -> [(String, String); 4] {
    let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"));
    [
        ("CPU s/GB".to_owned(), shown(servers.cpu_seconds_per_gb)),
        ("CPU s/100k".to_owned(), shown(servers.cpu_seconds_per_100k)),
        ("RSS MB".to_owned(), format!("{:.0}", servers.resident_mb)),
        ("written/byte".to_owned(), shown(servers.written_bytes_per_byte)),
    ]
}
