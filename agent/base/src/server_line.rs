//! `server.N=host:port:port[:role][;[host:]port]`: one server of an ensemble, as `zoo.cfg`, dynamic files, `reconfig` and the
//! node `/zookeeper/config` write it (QuorumPeer.QuorumServer).
//!
//! Must not know: who reads the line. Read first: [`ServerLine`].

use std::fmt;

use crate::{Address, MemberId};

/// One server of an ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLine {
    /// Its number.
    pub id: MemberId,
    /// The host that peers reach it by.
    pub host: String,
    /// Traffic between members.
    pub quorum_port: u16,
    /// ZooKeeper's port for elections; elections of ours use the quorum port, so it is only kept.
    pub election_port: u16,
    /// True for a server that never votes.
    pub observer: bool,
    /// The address that clients use; `None` if the line has no client part.
    pub client: Option<ClientPart>,
}

/// What follows `;` in a server line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPart {
    /// The address that the client port is bound to.
    pub host: String,
    /// ZooKeeper's client port.
    pub port: u16,
}

/// The address that a client part without one means.
const ANY_HOST: &str = "0.0.0.0";

impl ServerLine {
    /// Reads `server.N=…`.
    ///
    /// # Errors
    /// What is wrong and what is allowed.
    pub fn parse(line: &str) -> Result<Self, String> {
        let (key, value) = line.split_once('=').ok_or_else(|| format!("{line:?} is not server.N=address"))?;
        let id = key.trim().strip_prefix("server.").ok_or_else(|| format!("{key:?} is not server.N"))?;
        Self::parse_value(Self::parse_id(id)?, value)
    }

    /// Reads the number of a server, which is also what `myid` holds.
    ///
    /// # Errors
    /// It is no number, or negative.
    pub fn parse_id(text: &str) -> Result<MemberId, String> {
        let id: Option<i32> = text.trim().parse().ok().filter(|id| *id >= 0);
        id.map(MemberId).ok_or_else(|| format!("{text:?} is not the number of a server"))
    }

    /// True if a server may have this number: a session id has one byte for it, and 255 marks TTL nodes.
    pub fn may_be(id: MemberId) -> bool {
        (0..=Self::ID_MAX).contains(&id.0)
    }

    /// The greatest number that a server may have.
    pub const ID_MAX: i32 = 254;

    /// Reads what follows `server.N=`.
    ///
    /// # Errors
    /// What is wrong and what is allowed.
    pub fn parse_value(id: MemberId, value: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!("{value:?}: {what}; the form is host:port:port[:participant|:observer][;[host:]port]")
        };
        let value = value.trim();
        if value.contains('|') {
            return Err(wrong("several addresses for one server are not served"));
        }
        let (server, client) = value.split_once(';').map_or((value, None), |(s, c)| (s, Some(c)));
        let parts = split(server.trim()).ok_or_else(|| wrong("a bracket is not closed"))?;
        let (host, quorum, election, role) = match parts[..] {
            [host, quorum, election] => (host, quorum, election, "participant"),
            [host, quorum, election, role] => (host, quorum, election, role),
            _ => return Err(wrong("it does not have 3 or 4 parts")),
        };
        let port =
            |text: &str| text.trim().parse::<u16>().map_err(|_| wrong(&format!("{text:?} is not a port")));
        if host.is_empty() {
            return Err(wrong("the host is missing"));
        }
        let observer = match role.trim().to_ascii_lowercase().as_str() {
            "participant" => false,
            "observer" => true,
            other => return Err(wrong(&format!("{other:?} is not a role"))),
        };
        let client = match client.map(|text| (text, split(text.trim()))) {
            None => None,
            Some((_, Some(parts))) => match parts[..] {
                [client_port] => Some(ClientPart { host: ANY_HOST.to_owned(), port: port(client_port)? }),
                [host, client_port] => Some(ClientPart { host: host.to_owned(), port: port(client_port)? }),
                _ => return Err(wrong("the client part does not have 1 or 2 parts")),
            },
            Some((_, None)) => return Err(wrong("a bracket is not closed")),
        };
        let (quorum_port, election_port) = (port(quorum)?, port(election)?);
        Ok(Self { id, host: host.to_owned(), quorum_port, election_port, observer, client })
    }

    /// The line of a member as the ensemble knows it.
    pub fn of(id: MemberId, address: &Address, observer: bool) -> Self {
        let host = if address.client_host.is_empty() { ANY_HOST } else { &address.client_host };
        let client = ClientPart { host: host.to_owned(), port: address.zookeeper_port };
        let election_port =
            if address.election_port == 0 { address.peer_port } else { address.election_port };
        Self {
            id,
            host: address.host.clone(),
            quorum_port: address.peer_port,
            election_port,
            observer,
            client: (address.zookeeper_port != 0).then_some(client),
        }
    }

    /// Where the ensemble reaches the server.
    pub fn address(&self) -> Address {
        Address {
            host: self.host.clone(),
            peer_port: self.quorum_port,
            election_port: self.election_port,
            zookeeper_port: self.client.as_ref().map_or(0, |client| client.port),
            client_host: self.client.as_ref().map(|client| client.host.clone()).unwrap_or_default(),
            ..Address::default()
        }
    }
}

impl fmt::Display for ServerLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = if self.observer { "observer" } else { "participant" };
        let (host, quorum, election) = (bracketed(&self.host), self.quorum_port, self.election_port);
        write!(f, "server.{}={host}:{quorum}:{election}:{role}", self.id)?;
        match &self.client {
            Some(client) => write!(f, ";{}:{}", bracketed(&client.host), client.port),
            None => Ok(()),
        }
    }
}

/// An IPv6 address goes in brackets where a port follows it.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Splits at colons outside brackets; `None` if a bracket stays open.
fn split(text: &str) -> Option<Vec<&str>> {
    match text.strip_prefix('[') {
        None => Some(text.split(':').collect()),
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            let mut parts = vec![host];
            parts.extend(rest.strip_prefix(':').into_iter().flat_map(|rest| rest.split(':')));
            Some(parts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_back() {
        let cases = [
            ("server.1=localhost:2888:3888", "server.1=localhost:2888:3888:participant"),
            ("server.2 = h:1:2:observer;2181", "server.2=h:1:2:observer;0.0.0.0:2181"),
            ("server.3=h:1:2:PARTICIPANT;10.0.0.1:9", "server.3=h:1:2:participant;10.0.0.1:9"),
            ("server.4=[fe80::1]:1:2;[::]:5", "server.4=[fe80::1]:1:2:participant;[::]:5"),
        ];
        for (text, shown) in cases {
            let line = ServerLine::parse(text).expect(text);
            assert_eq!(line.to_string(), shown);
            assert_eq!(ServerLine::parse(shown), Ok(line.clone()));
            assert_eq!(ServerLine::of(line.id, &line.address(), line.observer), line);
        }
    }

    #[test] // QuorumPeer.QuorumServer: each wrong line is refused
    fn wrong_lines_say_what_is_wrong() {
        let cases = [
            ("some thing", "not server.N="),
            ("other.1=h:1:2", "not server.N"),
            ("server.-1=h:1:2", "not the number of a server"),
            ("server.x=h:1:2", "not the number of a server"),
            ("server.1=h:1", "3 or 4 parts"),
            ("server.1=h:1:2:3:4", "3 or 4 parts"),
            ("server.1=:1:2", "host is missing"),
            ("server.1=h:99999:2", "not a port"),
            ("server.1=h:1:2:leader", "not a role"),
            ("server.1=[::1:1:2", "bracket"),
            ("server.1=h:1:2;a:b:c", "1 or 2 parts"),
            ("server.1=a:1:2|b:1:2", "several addresses"),
        ];
        for (text, reason) in cases {
            let error = ServerLine::parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
