//! Where a member is reached, as the ensemble knows it.

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::{Get, Malformed, put_text};

/// Where a member is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// The host that peers and clients use.
    pub host: String,
    /// Traffic between agents.
    pub peer_port: u16,
    /// ZooKeeper's client protocol.
    pub zookeeper_port: u16,
    /// Kafka's client protocol.
    pub kafka_port: u16,
    /// gRPC.
    pub grpc_port: u16,
    /// HTTP.
    pub http_port: u16,
    /// The failure domain; empty when there is none.
    pub zone: String,
    /// ZooKeeper's election port, kept for `/zookeeper/config`; 0 when there is none.
    pub election_port: u16,
    /// The address that ZooKeeper's client port is bound to; empty for any.
    pub client_host: String,
}

impl Address {
    /// Where peers reach the member: `host:port`, a literal IPv6 address in brackets.
    pub fn peer_authority(&self) -> String {
        let (host, port) = (&self.host, self.peer_port);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// The address as bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        put_text(&mut out, &self.host);
        for port in [self.peer_port, self.zookeeper_port, self.kafka_port, self.grpc_port, self.http_port] {
            out.put_u16(port);
        }
        put_text(&mut out, &self.zone);
        out.put_u16(self.election_port);
        put_text(&mut out, &self.client_host);
        out.freeze()
    }

    /// Reads what [`Address::encode`] wrote.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut get = Get(bytes);
        let address = Self {
            host: get.text()?,
            peer_port: get.u16()?,
            zookeeper_port: get.u16()?,
            kafka_port: get.u16()?,
            grpc_port: get.u16()?,
            http_port: get.u16()?,
            zone: get.text()?,
            election_port: get.u16()?,
            client_host: get.text()?,
        };
        get.end()?;
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back() {
        let address =
            Address { host: "::1".into(), peer_port: 7, client_host: "c".into(), ..Address::default() };
        assert_eq!(Address::decode(address.encode()), Ok(address.clone()));
        assert_eq!(address.peer_authority(), "[::1]:7");
        assert!(Address::decode(address.encode().slice(1..)).is_err());
    }
}
