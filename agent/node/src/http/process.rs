//! What the kernel says of this process, under the names of Prometheus' client libraries. What cannot be read is left out.
//!
//! Read first: [`read`].

use std::fs;

/// Figures of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) start_time_seconds: Option<f64>,
    pub(super) threads: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
}

/// Reads `/proc/self`.
pub(super) fn read() -> Process {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
    let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    Process {
        open_fds: fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64),
        max_fds: limits.current,
        ..parse(&stat, &boot, rustix::param::clock_ticks_per_second(), rustix::param::page_size() as u64)
    }
}

/// `stat` as in proc_pid_stat(5), `boot` as in proc_stat(5).
fn parse(stat: &str, boot: &str, ticks_per_second: u64, page_bytes: u64) -> Process {
    // The name in parentheses may hold anything, spaces and parentheses included; fields count from 3 behind it.
    let Some((_, rest)) = stat.rsplit_once(')') else { return Process::default() };
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let seconds = |ticks: u64| ticks as f64 / ticks_per_second as f64;
    let booted = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok());
    Process {
        cpu_seconds: field(14).zip(field(15)).map(|(user, system)| seconds(user + system)),
        start_time_seconds: field(22).zip(booted).map(|(ticks, booted)| booted + seconds(ticks)),
        threads: field(20),
        virtual_bytes: field(23),
        resident_bytes: field(24).map(|pages| pages * page_bytes),
        ..Process::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 120 0 0 0 250 50 0 0 20 0 9 0 1000 8192000 300 18446744073709551615";
        let found = parse(stat, "cpu 1 2\nbtime 1700000000\n", 100, 4096);
        assert_eq!(found.cpu_seconds, Some(3.0));
        assert_eq!(found.start_time_seconds, Some(1_700_000_010.0));
        assert_eq!(
            (found.threads, found.virtual_bytes, found.resident_bytes),
            (Some(9), Some(8_192_000), Some(1_228_800))
        );
        assert_eq!(parse("", "", 100, 4096), Process::default());
    }

    #[test]
    fn the_kernel_says_something_of_this_process() {
        let own = read();
        assert!(own.resident_bytes.is_some_and(|bytes| bytes > 1 << 20), "{own:?}");
        assert!(
            own.open_fds.is_some_and(|fds| fds >= 3) && own.threads.is_some_and(|threads| threads > 0),
            "{own:?}"
        );
    }
}
