//! One client connection: requests may be answered in any order inside, replies leave in the order the requests came.

use std::collections::VecDeque;

use streamkeeper_base::Piece;
use streamkeeper_wire::kafka::api;
use streamkeeper_wire::kafka::codec::{Decoder, Encoder};
use streamkeeper_wire::kafka::frame;

use super::serves;
use crate::broker::Broker;
use crate::io::{ClientFrame, ConnectionId, Output};

/// Requests of one client that may be under way at once.
const UNDER_WAY_MAX: usize = 1000;
/// Fetches of one client that may wait for records at once: all of them may be answered by the same append.
const PARKED_MAX: usize = 4;

/// One client connection.
#[derive(Default)]
pub(crate) struct KafkaClient {
    /// Slot number and, once it is there, the reply; an empty one means that no reply is due (acks=0).
    slots: VecDeque<(u64, Option<Vec<Piece>>)>,
    /// Where it comes from.
    pub(crate) remote: Option<std::net::IpAddr>,
    /// Its fetches that wait for records.
    pub(crate) parked: usize,
}

impl KafkaClient {
    /// A connection that was just accepted.
    pub(crate) fn new(remote: std::net::IpAddr) -> Self {
        Self { remote: Some(remote), ..Self::default() }
    }
}

/// One request on its way to its reply.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) connection: ConnectionId,
    pub(crate) slot: u64,
    pub(crate) key: i16,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: String,
}

impl Broker {
    /// True if another request of this client may be handed in now. A driver asks before each, and reads no more from the client
    /// while it is false, so that memory does not follow what one client asks for.
    ///
    /// Nothing is answered before the image of the cluster is there and names this member, as Apache Kafka's broker processes no request
    /// before it has caught up and is unfenced: librdkafka drops every broker that an early, empty Metadata response leaves out, for good.
    pub fn takes(&self, connection: ConnectionId) -> bool {
        let under = |c: &KafkaClient| c.slots.len() < UNDER_WAY_MAX && c.parked < PARKED_MAX;
        self.is_serving && self.clients.get(&connection).is_none_or(under)
    }

    pub(crate) fn client_frame(&mut self, connection: ConnectionId, frame: ClientFrame) {
        let ClientFrame::Frame(body) = frame else { return self.close_client(connection) };
        let mut decoder = Decoder(body);
        let Ok(header) = api::decode_request_header(&mut decoder) else {
            return self.close_client(connection);
        };
        let slot = self.number();
        let Some(client) = self.clients.get_mut(&connection) else { return };
        if client.slots.len() >= UNDER_WAY_MAX {
            return self.close_client(connection);
        }
        client.slots.push_back((slot, None));
        let exchange = Exchange {
            connection,
            slot,
            key: header.request_api_key,
            version: header.request_api_version,
            correlation_id: header.correlation_id,
            client_id: header.client_id.unwrap_or_default(),
        };
        if !serves(exchange.key, exchange.version) {
            if exchange.key == api::API_VERSIONS {
                return self.api_versions_too_new(&exchange);
            }
            return self.close_client(connection);
        }
        if self.dispatch(exchange, decoder).is_err() {
            self.close_client(connection);
        }
    }

    pub(crate) fn close_client(&mut self, connection: ConnectionId) {
        if self.clients.remove(&connection).is_some() {
            self.fetches.retain(|_, fetch| fetch.connection != connection);
            self.out.push(Output::Close { connection });
        }
    }

    /// Answers a request.
    pub(crate) fn reply(&mut self, exchange: &Exchange, body: impl FnOnce(&mut Encoder)) {
        let mut encoder = Encoder::new();
        api::encode_response_header(&mut encoder, exchange.key, exchange.version, exchange.correlation_id);
        body(&mut encoder);
        match frame::finish(encoder) {
            Ok(pieces) => self.fill(exchange, pieces),
            Err(error) => {
                let (key, connection) = (exchange.key, exchange.connection);
                let text = format!("connection {} is closed: API {key}: {}", connection.0, error.0);
                self.out.push(Output::Warn { text });
                self.close_client(connection);
            }
        }
    }

    /// A request that gets no answer (acks=0).
    pub(crate) fn reply_nothing(&mut self, exchange: &Exchange) {
        self.fill(exchange, Vec::new());
    }

    fn fill(&mut self, exchange: &Exchange, pieces: Vec<Piece>) {
        let connection = exchange.connection;
        let Some(client) = self.clients.get_mut(&connection) else { return };
        if let Some((_, reply)) = client.slots.iter_mut().find(|(slot, _)| *slot == exchange.slot) {
            *reply = Some(pieces);
        }
        while client.slots.front().is_some_and(|(_, reply)| reply.is_some()) {
            let Some((_, Some(pieces))) = client.slots.pop_front() else { return };
            self.out.extend(pieces.into_iter().map(|piece| Output::Send { connection, piece }));
        }
    }
}
