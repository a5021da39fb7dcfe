//! What the servers' processes use, as Linux tells it in /proc. CPU and memory per unit of work are what stays comparable when the
//! machine is not quiet.
//!
//! Read first: [`Usage`].

use std::fs;

use anyhow::{Context, Result};

/// A snapshot of some processes together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// User and system time, seconds.
    pub(crate) cpu_seconds: f64,
    /// Resident memory, bytes.
    pub(crate) resident_bytes: u64,
    /// Bytes handed to the block layer, page cache included when it was dirtied.
    pub(crate) written_bytes: u64,
}

impl Usage {
    /// Adds up what the processes have used so far.
    ///
    /// # Errors
    /// A process is gone, or belongs to somebody else.
    pub(crate) fn of(pids: &[u32]) -> Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            let read = |name: &str| {
                let path = format!("/proc/{pid}/{name}");
                fs::read_to_string(&path).with_context(|| format!("{path}: is the server still there?"))
            };
            sum.cpu_seconds += cpu_seconds(&read("stat")?).context("/proc/PID/stat")?;
            sum.resident_bytes += field(&read("status")?, "VmRSS:").unwrap_or(0) * 1024;
            sum.written_bytes += field(&read("io")?, "write_bytes:").unwrap_or(0);
        }
        Ok(sum)
    }

    /// What was used since an earlier snapshot; memory as it is now.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - earlier.cpu_seconds,
            resident_bytes: self.resident_bytes,
            written_bytes: self.written_bytes.saturating_sub(earlier.written_bytes),
        }
    }
}

/// utime and stime, fields 14 and 15; the name before them may hold blanks.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    #[allow(clippy::cast_precision_loss, reason = "a hundred ticks")]
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    Some((ticks()? + ticks()?) / per_second)
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 100 0 0";
        assert_eq!(cpu_seconds(stat), Some(200.0 / rustix::param::clock_ticks_per_second() as f64));
        assert_eq!(field("a: 1\nVmRSS:\t  2048 kB\n", "VmRSS:"), Some(2048));
    }

    #[test]
    fn the_own_process_is_there() {
        let usage = Usage::of(&[std::process::id()]).expect("a process may read its own counters");
        assert!(usage.resident_bytes > 0);
        assert!(Usage::of(&[u32::MAX]).is_err());
    }
}
