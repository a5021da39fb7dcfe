//! Clients' connections: their bytes reach a member's machines in frames, and answers come back in order.
//!
//! Must not know: what a client wants. Read first: `World::act`.

use std::net::{IpAddr, Ipv4Addr};

use bytes::{Bytes, BytesMut};
use streamkeeper_base::{MemberId, Piece};
use streamkeeper_member::io::{ClientFrame, ConnectionId, Input};
use streamkeeper_member::record::Owner;
use streamkeeper_wire::{jute, kafka};

use super::{CONNECT_US, Event, World};
use crate::network::ClientConnection;
use crate::workload::{Actor, Effect};

impl World {
    /// Lets a client act, then does what it asks for.
    pub(crate) fn act(
        &mut self,
        client: usize,
        action: impl FnOnce(&mut Actor, &mut crate::workload::Context<'_>),
    ) {
        let Some(mut actor) = self.workload.actors.get_mut(client).and_then(Option::take) else { return };
        let mut effects = Vec::new();
        let members = i32::try_from(self.hosts.len()).unwrap_or(1);
        let mut context = crate::workload::Context {
            now_us: self.now_us,
            members,
            healing: self.healing,
            random: &mut self.random,
            history: &mut self.checkers.history,
            znodes: &mut self.checkers.znodes,
            next_connection: &mut self.clients.next,
            effects: &mut effects,
        };
        action(&mut actor, &mut context);
        self.workload.actors[client] = Some(actor);
        effects.into_iter().for_each(|effect| self.effect(client, effect));
    }

    pub(super) fn effect(&mut self, client: usize, effect: Effect) {
        match effect {
            Effect::Connect { connection, member, machine } => {
                // What is sent on it comes after it is made.
                let arrival = self.now_us + self.network_us().min(CONNECT_US);
                let entry = ClientConnection {
                    client,
                    member,
                    life: 0,
                    machine,
                    buffer: BytesMut::new(),
                    last_arrival_us: [arrival; 2],
                    server_open: false,
                    client_open: true,
                };
                self.clients.connections.insert(connection, entry);
                self.at(arrival, Event::ClientArrived { connection });
            }
            Effect::Send { connection, bytes } => {
                let delay = self.network_us();
                let Some(entry) = self.clients.connections.get_mut(&connection) else { return };
                let arrival = entry.last_arrival_us[0].max(self.now_us + delay);
                entry.last_arrival_us[0] = arrival;
                self.at(arrival, Event::ToServer { connection, bytes });
            }
            Effect::Close { connection } => {
                if let Some(entry) = self.clients.connections.get_mut(&connection) {
                    entry.client_open = false;
                }
                let delay = self.network_us();
                self.after(delay, Event::ServerLost { connection });
            }
            Effect::WakeAfter { us } => self.after(us, Event::Wake { client }),
        }
    }

    pub(super) fn client_arrived(&mut self, id: u64) {
        let Some(member) = self.clients.connections.get(&id).map(|c| c.member) else { return };
        let life = self.life(member);
        let Some(connection) = self.clients.connections.get_mut(&id) else { return };
        let Some(life) = life else { return self.client_lost(id) };
        connection.life = life;
        connection.server_open = true;
        let machine = connection.machine;
        let (connection, remote) = (ConnectionId(id), IpAddr::V4(Ipv4Addr::LOCALHOST));
        feed!(self, member, machine, Input::Opened { connection, remote });
    }

    /// What had to wait for the machines of a member, if it need not any more.
    pub(super) fn feed_held(&mut self, member: MemberId) {
        let held = |c: &ClientConnection| c.member == member && c.server_open && !c.buffer.is_empty();
        let ids: Vec<u64> =
            self.clients.connections.iter().filter(|(_, c)| held(c)).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.server_bytes(id, &Bytes::new()));
    }

    fn takes(&self, member: MemberId, machine: Owner, id: u64) -> bool {
        let Some(process) = &self.host(member).process else { return false };
        match machine {
            Owner::Broker => process.broker.takes(ConnectionId(id)),
            Owner::Coordination => process.coordination.takes(ConnectionId(id)),
        }
    }

    pub(super) fn server_bytes(&mut self, id: u64, bytes: &Bytes) {
        let Some(connection) = self.clients.connections.get_mut(&id) else { return };
        connection.buffer.extend_from_slice(bytes);
        loop {
            let Some(connection) = self.clients.connections.get_mut(&id) else { return };
            let (member, life, machine) = (connection.member, connection.life, connection.machine);
            if !connection.server_open || !self.takes(member, machine, id) {
                return;
            }
            let Some(connection) = self.clients.connections.get_mut(&id) else { return };
            let frame = match machine {
                Owner::Broker => {
                    kafka::frame::decode(&mut connection.buffer).map(|f| f.map(ClientFrame::Frame)).ok()
                }
                Owner::Coordination => jute::frame::decode(&mut connection.buffer)
                    .map(|unit| {
                        unit.map(|u| match u {
                            jute::frame::Unit::Word(word) => ClientFrame::Word(word),
                            jute::frame::Unit::Frame(frame) => ClientFrame::Frame(frame),
                        })
                    })
                    .ok(),
            };
            let Some(frame) = frame.expect("clients of ours send whole frames") else { return };
            if self.life(member) != Some(life) {
                return;
            }
            let connection = ConnectionId(id);
            feed!(self, member, machine, Input::Frame { connection, frame });
        }
    }

    pub(super) fn send_to_client(&mut self, id: u64, piece: Piece) {
        let delay = self.network_us();
        let Some(connection) = self.clients.connections.get_mut(&id) else { return };
        if !connection.server_open {
            return;
        }
        let arrival = connection.last_arrival_us[1].max(self.now_us + delay);
        connection.last_arrival_us[1] = arrival;
        self.at(arrival, Event::ToClient { connection: id, piece });
    }

    /// What a member reads only when its client takes it is read now: files may have changed since it was promised.
    pub(super) fn client_bytes(&mut self, id: u64, piece: Piece) {
        let Some(connection) = self.clients.connections.get(&id).filter(|c| c.client_open) else { return };
        let client = connection.client;
        self.counts.read_later += u64::from(matches!(piece, Piece::Later(_)));
        let Ok(bytes) = piece.read_all() else { return self.break_client(id) };
        self.act(client, |actor, context| actor.received(context, id, &bytes));
    }

    /// The member closes a connection after what it sent before.
    pub(super) fn close_client(&mut self, id: u64) {
        let Some(connection) = self.clients.connections.get_mut(&id) else { return };
        let arrival = connection.last_arrival_us[1].max(self.now_us) + 1;
        let (member, machine, was_open) = (connection.member, connection.machine, connection.server_open);
        connection.server_open = false;
        if !was_open {
            return;
        }
        self.at(arrival, Event::ClientLost { connection: id });
        let connection = ConnectionId(id);
        feed!(self, member, machine, Input::Closed { connection });
    }

    /// Breaks a client's connection on both sides.
    pub(crate) fn break_client(&mut self, connection: u64) {
        let delay = self.random.below(4_000);
        self.after(delay, Event::ServerLost { connection });
        let delay = self.random.below(4_000);
        self.after(delay, Event::ClientLost { connection });
    }

    pub(super) fn server_lost(&mut self, id: u64) {
        let Some(connection) = self.clients.connections.get_mut(&id) else { return };
        let (member, life, machine) = (connection.member, connection.life, connection.machine);
        let was_open = std::mem::replace(&mut connection.server_open, false);
        if !connection.client_open {
            self.clients.connections.remove(&id);
        }
        if !was_open || self.life(member) != Some(life) {
            return;
        }
        let connection = ConnectionId(id);
        feed!(self, member, machine, Input::Closed { connection });
    }

    pub(super) fn client_lost(&mut self, id: u64) {
        let Some(connection) = self.clients.connections.get_mut(&id) else { return };
        let was_open = std::mem::replace(&mut connection.client_open, false);
        let client = connection.client;
        if !connection.server_open {
            self.clients.connections.remove(&id);
        }
        if was_open {
            self.act(client, |actor, context| actor.lost(context, id));
        }
    }
}
