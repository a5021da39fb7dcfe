//! 4-letter words: answered also without a quorum, because that is when people ask.

use std::fmt::Write;

/// What the words report.
pub(crate) struct Facts {
    pub(crate) member: i32,
    pub(crate) mode: &'static str,
    pub(crate) serves: bool,
    pub(crate) zxid: i64,
    pub(crate) znodes: usize,
    pub(crate) data_bytes: u64,
    pub(crate) watches: usize,
    pub(crate) sessions: usize,
    pub(crate) ephemerals: usize,
    pub(crate) connections: usize,
    pub(crate) outstanding: usize,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) learners: Option<usize>,
    pub(crate) clients: Vec<String>,
}

/// The form of version that clients parse (`srvr`, `mntr`).
const VERSION: &str =
    concat!("3.9.5-streamkeeper-", env!("CARGO_PKG_VERSION"), ", built on 2026-11-24 00:00 UTC");

/// The answer to a word; a word outside the whitelist says so, as ZooKeeper does.
pub(crate) fn answer(word: [u8; 4], facts: &Facts, whitelist: &[String]) -> String {
    let name = String::from_utf8_lossy(&word).into_owned();
    if !whitelist.iter().any(|allowed| allowed == "*" || *allowed == name) {
        return format!("{name} is not executed because it is not in the whitelist.\n");
    }
    match &word {
        b"ruok" => "imok".to_owned(),
        b"isro" => "rw".to_owned(),
        b"srvr" if facts.serves => server(facts),
        b"stat" if facts.serves => {
            let mut text = format!("Zookeeper version: {VERSION}\nClients:\n");
            facts.clients.iter().for_each(|client| {
                let _ = writeln!(text, " {client}");
            });
            text.push('\n');
            text.push_str(server(facts).split_once('\n').map_or("", |(_, rest)| rest));
            text
        }
        b"mntr" if facts.serves => monitor(facts),
        b"srvr" | b"stat" | b"mntr" => {
            "This ZooKeeper instance is not currently serving requests\n".to_owned()
        }
        b"envi" => format!("Environment:\nzookeeper.version={VERSION}\n"),
        b"conf" => format!("serverId={}\n", facts.member),
        b"wchs" => format!("{} connections watching\nTotal watches:{}\n", facts.connections, facts.watches),
        _ => format!("{name} is not built yet.\n"),
    }
}

fn server(facts: &Facts) -> String {
    format!(
        "Zookeeper version: {VERSION}\nLatency min/avg/max: 0/0.0/0\nReceived: {}\nSent: {}\nConnections: {}\nOutstanding: {}\n\
         Zxid: 0x{:x}\nMode: {}\nNode count: {}\n",
        facts.received,
        facts.sent,
        facts.connections,
        facts.outstanding,
        facts.zxid,
        facts.mode,
        facts.znodes
    )
}

fn monitor(facts: &Facts) -> String {
    let mut text = format!("zk_version\t{VERSION}\nzk_server_state\t{}\n", facts.mode);
    let numbers = [
        ("zk_packets_received", facts.received),
        ("zk_packets_sent", facts.sent),
        ("zk_num_alive_connections", facts.connections as u64),
        ("zk_outstanding_requests", facts.outstanding as u64),
        ("zk_znode_count", facts.znodes as u64),
        ("zk_watch_count", facts.watches as u64),
        ("zk_ephemerals_count", facts.ephemerals as u64),
        ("zk_approximate_data_size", facts.data_bytes),
        ("zk_global_sessions", facts.sessions as u64),
    ];
    for (name, value) in numbers {
        let _ = writeln!(text, "{name}\t{value}");
    }
    if let Some(learners) = facts.learners {
        let _ = writeln!(text, "zk_learners\t{learners}\nzk_synced_followers\t{learners}");
    }
    text
}
