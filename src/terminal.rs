//! What the command line says to people: lines, tables, errors, progress on a terminal.
//!
//! Standard output carries what was asked for, standard error everything else. Colours and moving lines only on a terminal, and colours
//! not where NO_COLOR is set. Read first: [`say`], [`table`].

use std::io::{IsTerminal, Write};

use serde_json::Value;

use crate::page::Page;

/// Says what was asked for. A reader that is gone (`| head`) is no error.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Says what went wrong.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "streamkeeper: {text}");
}

/// Says what goes on, aside from the answer.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Whether lines may be drawn anew: people look, and nothing records.
pub(crate) fn is_interactive() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// A word in a colour that says how good it is; plain off a terminal and with NO_COLOR (no-color.org: set and not empty).
pub(crate) fn coloured(word: &str, colour: Colour) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if plain || !is_interactive() {
        return word.to_owned();
    }
    format!("\u{1b}[{}m{word}\u{1b}[0m", colour as u8)
}

/// How good a word is.
#[derive(Clone, Copy)]
pub(crate) enum Colour {
    Good = 32,
    Doubtful = 33,
    Bad = 31,
}

/// Columns under their names, as wide as their widest cell. Each row has a cell per column.
pub(crate) fn table(columns: &[&str], rows: &[Vec<String>]) {
    let mut page = Page::default();
    page.table(columns, rows);
    say(page.text());
}

/// A value in a cell.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// Bytes as people read them: `1.5 GiB`.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn bytes(count: i64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A duration as people read it: `850 ms`, `2.5 s`, `3m 20s`.
pub(crate) fn duration(millis: i64) -> String {
    match millis {
        ..1000 => format!("{} ms", millis.max(0)),
        1000..60_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        60_000..3_600_000 => format!("{}m {}s", millis / 60_000, millis % 60_000 / 1000),
        3_600_000.. => format!("{}h {}m", millis / 3_600_000, millis % 3_600_000 / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0, 1023, 1536, 5 << 30].map(bytes), ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]);
        assert_eq!(
            [-1, 850, 2500, 200_000, 7_260_000].map(duration),
            ["0 ms", "850 ms", "2.5 s", "3m 20s", "2h 1m"]
        );
    }
}
