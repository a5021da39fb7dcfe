//! Ports: the fixed ones, free ones, and who sits on a port that is taken.
//!
//! Read first: [`Ports`], [`check`].

use std::net::TcpListener;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// Everything local listens here.
pub(crate) const HOST: &str = "127.0.0.1";

/// The fixed ports of member 0; member N has these plus N.
const FIRST: Ports = Ports { zookeeper: 2181, kafka: 9092, peer: 7301, grpc: 7401, http: 8401 };

/// The ports of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) zookeeper: u16,
    pub(crate) kafka: u16,
    pub(crate) peer: u16,
    pub(crate) grpc: u16,
    pub(crate) http: u16,
}

impl Ports {
    /// The fixed ports of a member.
    pub(crate) fn fixed(id: i32) -> Result<Self> {
        let n = u16::try_from(id)?;
        Ok(Self {
            zookeeper: FIRST.zookeeper + n,
            kafka: FIRST.kafka + n,
            peer: FIRST.peer + n,
            grpc: FIRST.grpc + n,
            http: FIRST.http + n,
        })
    }

    fn named(self) -> [(&'static str, u16); 5] {
        [
            ("ZooKeeper", self.zookeeper),
            ("Kafka", self.kafka),
            ("peer", self.peer),
            ("gRPC", self.grpc),
            ("HTTP", self.http),
        ]
    }
}

/// A port in use is one clear sentence here, not a riddle in an agent's log.
///
/// # Errors
/// The first port that is in use, with the process that has it where that can be seen.
pub(crate) fn check(id: i32, ports: Ports) -> Result<()> {
    for (what, port) in ports.named() {
        if TcpListener::bind((HOST, port)).is_ok() {
            continue;
        }
        let whose = owner(port).map(|owner| format!(" by {owner}")).unwrap_or_default();
        bail!(
            "port {port} ({what} of member {id}) is in use{whose}; stop what uses it, or take free ports with \
             `streamkeeper up --any-port --data DIR` on another data directory"
        );
    }
    Ok(())
}

/// The process that listens on a port, as `process 4711 (java)`; `None` where the system does not tell.
fn owner(port: u16) -> Option<String> {
    let sockets = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .find_map(|table| listening_socket(&table, port))?;
    let wanted = format!("socket:[{sockets}]");
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let holds = |file: std::fs::DirEntry| {
            std::fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str())
        };
        if files.flatten().any(holds) {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("process {pid} ({})", name.trim()));
        }
    }
    None
}

/// The number of the socket that listens on `port`, by a table in the form of proc(5) net/tcp.
fn listening_socket(table: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    let suffix = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let matches = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == LISTEN;
        matches.then(|| fields.get(9)?.parse().ok()).flatten()
    })
}

/// Ports that nobody listens on, below the range that outgoing connections take theirs from: an agent's own outgoing connection
/// must not sit on the port that another one is about to bind.
pub(crate) struct FreePorts {
    next: u16,
}

impl FreePorts {
    const RANGE: std::ops::Range<u16> = 15_000..32_000;

    pub(crate) fn new() -> Self {
        let width = u128::from(Self::RANGE.end - Self::RANGE.start);
        let random = u16::try_from(uuid::Uuid::new_v4().as_u128() % width).unwrap_or(0);
        Self { next: Self::RANGE.start + random }
    }

    fn take(&mut self) -> Result<u16> {
        for _ in Self::RANGE {
            let port = self.next;
            self.next = if port + 1 < Self::RANGE.end { port + 1 } else { Self::RANGE.start };
            if TcpListener::bind((HOST, port)).is_ok() {
                return Ok(port);
            }
        }
        bail!("no port between {} and {} is free", Self::RANGE.start, Self::RANGE.end)
    }

    /// Five of them.
    pub(crate) fn ports(&mut self) -> Result<Ports> {
        Ok(Ports {
            zookeeper: self.take()?,
            kafka: self.take()?,
            peer: self.take()?,
            grpc: self.take()?,
            http: self.take()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listener_is_found_in_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:2384 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 111 1 0\n\
            1: 0100007F:2384 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0\n";
        assert_eq!(listening_socket(table, 9092), Some(222));
        assert_eq!(listening_socket(table, 9093), None);
    }

    #[test]
    fn a_port_in_use_names_its_process() {
        let taken = TcpListener::bind((HOST, 0)).expect("a port");
        let port = taken.local_addr().expect("an address").port();
        let ports = Ports { zookeeper: port, ..FreePorts::new().ports().expect("free ports") };
        let error = check(2, ports).expect_err("it is in use").to_string();
        let process =
            format!("port {port} (ZooKeeper of member 2) is in use by process {} (", std::process::id());
        assert!(error.starts_with(&process) && error.contains("--any-port"), "{error}");
    }
}
