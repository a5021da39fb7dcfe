//! Who a client is: credentials, SASL, and what a client may do before it has proved anything.

use streamkeeper_base::SessionId;
use streamkeeper_base::znode::{ErrorCode, Identity};
use streamkeeper_tree::{authenticate, password};
use streamkeeper_wire::jute::{ReplyHeader, put_buffer};

use super::Coordination;
use crate::io::ConnectionId;
use crate::zookeeper::sasl::Exchange;

/// The zxid of replies that tell of no state.
const NO_ZXID: i64 = 0;

impl Coordination {
    /// addAuth. The digest of the super user makes its client the super user as well (DigestAuthenticationProvider).
    pub(super) fn authenticate(
        &mut self,
        connection: ConnectionId,
        xid: i32,
        scheme: &str,
        credentials: &[u8],
    ) {
        // The address is known without asking; a scheme that has an exchange of its own, like SASL, is no credential here.
        let identity = match scheme {
            "ip" => return self.answer(connection, xid, ErrorCode::OK),
            _ => authenticate(scheme, credentials),
        };
        match identity {
            Ok(identity) => {
                let is_super = self.config.zookeeper.super_digest.as_ref() == Some(&identity.id);
                self.now_also(connection, identity);
                if is_super {
                    self.now_also(connection, Identity::new("super", ""));
                }
                self.answer(connection, xid, ErrorCode::OK);
            }
            Err(error) => self.turn_away(connection, xid, error),
        }
    }

    /// One step of SASL DIGEST-MD5: an empty token begins, the answer to the challenge ends it.
    pub(super) fn sasl(&mut self, connection: ConnectionId, xid: i32, token: &[u8]) {
        let settings = &self.config.zookeeper;
        let Some(client) = self.clients.get_mut(&connection) else { return };
        let answer = match client.sasl.take() {
            // The key is random and lives as long as this process, in which a connection's number never comes twice.
            None if token.is_empty() && !settings.sasl_users.is_empty() => {
                let number = i64::try_from(connection.0).unwrap_or_default();
                let exchange = Exchange::begin(password(&self.config.session_key, SessionId(number)));
                let challenge = exchange.challenge();
                client.sasl = Some(exchange);
                Some(challenge)
            }
            None => None,
            Some(exchange) => match exchange.judge(&settings.sasl_users, token) {
                Ok((user, proof)) => {
                    let is_super = settings.super_user.as_ref() == Some(&user);
                    self.now_also(connection, Identity::new("sasl", &user));
                    if is_super {
                        self.now_also(connection, Identity::new("super", ""));
                    }
                    Some(proof)
                }
                Err(_) => None,
            },
        };
        match answer {
            Some(token) => {
                let header = ReplyHeader { xid, zxid: NO_ZXID, error: ErrorCode::OK };
                let frame = header.frame(|out| put_buffer(out, Some(token.as_bytes())));
                self.send_client(connection, frame);
            }
            None if self.config.zookeeper.required_schemes.is_empty() => {
                self.turn_away(connection, xid, ErrorCode::AUTH_FAILED);
            }
            None => self.turn_away(connection, xid, ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH),
        }
    }

    /// True unless the client must authenticate first (AuthenticationHelper.enforceAuthentication); then it is turned away.
    pub(super) fn may_ask(&mut self, connection: ConnectionId, xid: i32) -> bool {
        let required = &self.config.zookeeper.required_schemes;
        let Some(client) = self.clients.get(&connection) else { return false };
        let is_proved = client.who.iter().any(|identity| required.contains(&identity.scheme));
        if required.is_empty() || is_proved {
            return true;
        }
        self.turn_away(connection, xid, ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH);
        false
    }

    fn now_also(&mut self, connection: ConnectionId, identity: Identity) {
        if let Some(client) = self.clients.get_mut(&connection)
            && !client.who.contains(&identity)
        {
            client.who.push(identity);
        }
    }

    fn answer(&mut self, connection: ConnectionId, xid: i32, error: ErrorCode) {
        self.send_client(connection, ReplyHeader { xid, zxid: NO_ZXID, error }.frame(|_| {}));
    }

    fn turn_away(&mut self, connection: ConnectionId, xid: i32, error: ErrorCode) {
        self.answer(connection, xid, error);
        self.drop_client(connection);
    }
}
