//! What `up` remembers in its data directory: the cluster's id, what is wanted, each member's ports.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use streamkeeper_operator::desired::Desired;
use streamkeeper_operator::plan::refuse_change;

const HOST: &str = "127.0.0.1";
/// The fixed ports of member 0; member N has these plus N.
const FIRST_PORTS: Ports = Ports { zookeeper: 2181, kafka: 9092, peer: 7301, grpc: 7401, http: 8401 };

/// The ports of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) zookeeper: u16,
    pub(crate) kafka: u16,
    pub(crate) peer: u16,
    pub(crate) grpc: u16,
    pub(crate) http: u16,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberState {
    pub(crate) id: i32,
    pub(crate) ports: Ports,
}

impl MemberState {
    pub(crate) fn kafka(&self) -> String {
        format!("{HOST}:{}", self.ports.kafka)
    }

    pub(crate) fn zookeeper(&self) -> String {
        format!("{HOST}:{}", self.ports.zookeeper)
    }
}

/// What is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) cluster_id: String,
    pub(crate) desired: Desired,
    /// The members that the ensemble began with; later ones joined it.
    pub(crate) voters: Vec<i32>,
    pub(crate) members: Vec<MemberState>,
}

impl State {
    pub(crate) fn load(data: &Path) -> Result<Option<Self>> {
        let path = data.join("ensemble.json");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let state = serde_json::from_str(&text);
        state.map(Some).with_context(|| {
            format!(
                "{}: is not an ensemble of this version; use another --data, or move this one away",
                path.display()
            )
        })
    }

    /// The ensemble of before with what is wanted now, or a new one.
    pub(crate) fn with(before: Option<Self>, desired: Desired, any_port: bool) -> Result<Self> {
        if let Some(mut state) = before {
            refuse_change(&state.desired, &desired).map_err(|reason| anyhow::anyhow!(reason))?;
            state.desired = desired;
            state.grow()?;
            state.check_ports(&state.members)?;
            return Ok(state);
        }
        let mut free = FreePorts::new();
        let members = (0..desired.ensemble.replicas)
            .map(|id| Ok(MemberState { id, ports: if any_port { free.ports()? } else { fixed_ports(id)? } }))
            .collect::<Result<Vec<_>>>()?;
        let voters = (0..desired.ensemble.replicas).collect();
        let state = Self { cluster_id: uuid::Uuid::new_v4().simple().to_string(), desired, voters, members };
        state.check_ports(&state.members)?;
        Ok(state)
    }

    /// A port in use is one clear sentence here, not a riddle in an agent's log.
    fn check_ports(&self, members: &[MemberState]) -> Result<()> {
        for member in members {
            let p = member.ports;
            for (what, port) in [("ZooKeeper", p.zookeeper), ("Kafka", p.kafka), ("peer", p.peer)] {
                if TcpListener::bind((HOST, port)).is_err() {
                    let id = member.id;
                    bail!(
                        "port {port} ({what} of member {id}) is in use; stop what uses it, or use --any-port with another --data"
                    );
                }
            }
        }
        Ok(())
    }

    /// Adds the members that are wanted and not there, on ports like those of the others.
    fn grow(&mut self) -> Result<()> {
        let fixed =
            self.members.first().is_some_and(|m| fixed_ports(m.id).is_ok_and(|ports| ports == m.ports));
        let mut free = FreePorts::new();
        let first = i32::try_from(self.members.len())?;
        let added = (first..self.desired.ensemble.replicas)
            .map(|id| Ok(MemberState { id, ports: if fixed { fixed_ports(id)? } else { free.ports()? } }))
            .collect::<Result<Vec<_>>>()?;
        self.check_ports(&added)?;
        self.members.extend(added);
        Ok(())
    }

    pub(crate) fn save(&self, data: &Path) -> Result<()> {
        write_whole(&data.join("ensemble.json"), &serde_json::to_string_pretty(self)?)
    }

    /// What `apply` left for the running `up`, if it left something.
    pub(crate) fn take_applied(data: &Path, current: &Self) -> Result<Option<Self>> {
        let path = data.join("apply.json");
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
        let desired: Desired = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let changed = refuse_change(&current.desired, &desired).is_ok();
        let mut next = Self { desired, ..current.clone() };
        if changed {
            next.grow()?;
            next.save(data)?;
        }
        std::fs::remove_file(&path)?;
        Ok(changed.then_some(next))
    }
}

/// Leaves a change for the running `up`.
pub(crate) fn hand_over(data: &Path, desired: &Desired) -> Result<()> {
    write_whole(&data.join("apply.json"), &serde_json::to_string(desired)?)
}

/// Waits until the running `up` took what was left for it.
pub(crate) fn wait_taken(data: &Path, patience: Duration) -> Result<()> {
    let until = Instant::now() + patience;
    while data.join("apply.json").exists() {
        if Instant::now() > until {
            bail!("the running `streamkeeper up` does not take the change; look at its output");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The old file or the new one, never a half.
fn write_whole(path: &Path, text: &str) -> Result<()> {
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, text).with_context(|| temporary.display().to_string())?;
    std::fs::rename(&temporary, path).with_context(|| path.display().to_string())
}

fn fixed_ports(id: i32) -> Result<Ports> {
    let n = u16::try_from(id)?;
    let f = FIRST_PORTS;
    Ok(Ports {
        zookeeper: f.zookeeper + n,
        kafka: f.kafka + n,
        peer: f.peer + n,
        grpc: f.grpc + n,
        http: f.http + n,
    })
}

/// Ports that nobody listens on, below the range that outgoing connections take theirs from: an agent's own outgoing connection
/// must not sit on the port that another one is about to bind.
struct FreePorts {
    next: u16,
}

impl FreePorts {
    const RANGE: std::ops::Range<u16> = 15_000..32_000;

    fn new() -> Self {
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

    fn ports(&mut self) -> Result<Ports> {
        Ok(Ports {
            zookeeper: self.take()?,
            kafka: self.take()?,
            peer: self.take()?,
            grpc: self.take()?,
            http: self.take()?,
        })
    }
}
