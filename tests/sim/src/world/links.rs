//! Links between members: dialled, made, cut, broken; frames in pieces, late, never twice.
//!
//! Must not know: what a frame means. Read first: `World::carry`.

use bytes::{Bytes, BytesMut};
use streamkeeper_base::{MemberId, limits};
use streamkeeper_member::io::{Input, Link};
use streamkeeper_member::record::Owner;
use streamkeeper_wire::peer;

use super::{Event, World};
use crate::network::{Connection, End};
use crate::trace;

const PEER_MISSED_US: u64 = limits::PEER_MISSED.as_micros() as u64;

impl World {
    /// Dials whom this member should have a link with and has not.
    pub(super) fn dial(&mut self, member: MemberId, life: u64) {
        let now_us = self.now_us;
        let Some(process) = &mut self.host_mut(member).process else { return };
        let mut wanted = Vec::new();
        for peer in process.peers.clone() {
            // The greater id dials for quorum traffic, or the smaller that misses it; the leader of partitions dials its followers.
            for link in [Link::Quorum, Link::ReplicationOut] {
                if process.links.contains_key(&(peer, link)) {
                    if link == Link::Quorum {
                        process.missed_us.remove(&peer);
                    }
                    continue;
                }
                let dials = link == Link::ReplicationOut
                    || member > peer
                    || now_us - *process.missed_us.entry(peer).or_insert(now_us) >= PEER_MISSED_US;
                if dials && process.dialling.insert((peer, link)) {
                    wanted.push((peer, link));
                }
            }
        }
        for (to, link) in wanted {
            let delay = self.network_us() * 2;
            self.after(delay, Event::Linked { from: member, life, to, link });
        }
    }

    pub(super) fn network_us(&mut self) -> u64 {
        let mean = self.options.network_us;
        mean / 4 + self.random.below(mean * 3 / 2 + 1)
    }

    pub(super) fn linked(&mut self, from: MemberId, life: u64, to: MemberId, link: Link) {
        if self.life(from) != Some(life) {
            return;
        }
        if let Some(process) = &mut self.host_mut(from).process {
            process.dialling.remove(&(to, link));
        }
        let Some(other_life) = self.life(to) else { return };
        if !self.links.can_connect(from, to) || self.host(to).is_paused {
            return;
        }
        self.links.next += 1;
        let id = self.links.next;
        let there = if link == Link::Quorum { Link::Quorum } else { Link::ReplicationIn };
        let end = |member, life, link| End { member, life, link, buffer: BytesMut::new(), is_open: true };
        let connection = Connection {
            ends: [end(from, life, link), end(to, other_life, there)],
            last_arrival_us: [self.now_us; 2],
            held: [Vec::new(), Vec::new()],
        };
        self.links.connections.insert(id, connection);
        self.link_up(id, from, to, link);
        self.link_up(id, to, from, there);
    }

    pub(super) fn link_up(&mut self, id: u64, member: MemberId, peer: MemberId, link: Link) {
        let incarnation = self.host(peer).process.as_ref().map(|p| p.coordination.incarnation());
        let Some(process) = &mut self.host_mut(member).process else { return };
        if let Some(old) = process.links.insert((peer, link), id) {
            self.break_link(old);
            feed!(self, member, machine_of(link), Input::LinkDown { peer, link });
        }
        // A peer that dies while it greets is no peer.
        let Some(incarnation) = incarnation else { return };
        feed!(self, member, machine_of(link), Input::LinkUp { peer, incarnation, link });
    }

    pub(super) fn peer_send(
        &mut self,
        member: MemberId,
        peer: MemberId,
        link: Link,
        kind: u8,
        body: &[Bytes],
    ) {
        let Some(id) = self.host(member).process.as_ref().and_then(|p| p.links.get(&(peer, link)).copied())
        else {
            return;
        };
        let mut bytes = BytesMut::from(&peer::encode_header(kind, body.iter().map(AsRef::as_ref))[..]);
        body.iter().for_each(|piece| bytes.extend_from_slice(piece));
        let mut bytes = bytes.freeze();
        if bytes.len() > 1 && self.random.percent(5) {
            // A frame arrives in pieces.
            let at = 1 + usize::try_from(self.random.below(bytes.len() as u64 - 1)).unwrap_or(0);
            let first = bytes.split_to(at);
            self.carry(id, member, first);
        }
        self.carry(id, member, bytes);
    }

    pub(super) fn carry(&mut self, id: u64, from: MemberId, bytes: Bytes) {
        let delay = self.network_us();
        let Some(connection) = self.links.connections.get_mut(&id) else { return };
        let Some(sender) = connection.ends.iter().position(|e| e.member == from) else { return };
        let end = 1 - sender;
        let to = connection.ends[end].member;
        if self.links.cut.contains(&(from, to)) {
            return connection.held[end].push(bytes);
        }
        let arrival = connection.last_arrival_us[end].max(self.now_us + delay);
        connection.last_arrival_us[end] = arrival;
        self.at(arrival, Event::LinkBytes { connection: id, end, bytes });
    }

    pub(super) fn link_bytes(&mut self, id: u64, end: usize, bytes: &Bytes) {
        let Some(connection) = self.links.connections.get_mut(&id) else { return };
        let (from, at) = (connection.ends[1 - end].member, &mut connection.ends[end]);
        let (member, life, link) = (at.member, at.life, at.link);
        at.buffer.extend_from_slice(bytes);
        loop {
            let current = self.life(member) == Some(life)
                && self
                    .host(member)
                    .process
                    .as_ref()
                    .is_some_and(|p| p.links.get(&(from, link)) == Some(&id));
            let Some(connection) = self.links.connections.get_mut(&id).filter(|_| current) else { return };
            let frame = peer::decode(&mut connection.ends[end].buffer).expect("frames arrive undamaged");
            let Some(peer::Frame { kind, body }) = frame else { return };
            trace::frame(self.now_us, from, member, link, kind, &body);
            feed!(self, member, machine_of(link), Input::PeerFrame { peer: from, link, kind, body });
        }
    }

    /// A connection breaks; what is under way may still arrive, up to a point.
    pub(crate) fn break_link(&mut self, id: u64) {
        for end in 0..2 {
            let delay = self.random.below(4_000);
            self.after(delay, Event::LinkLost { connection: id, end });
        }
    }

    pub(super) fn link_lost(&mut self, id: u64, end: usize) {
        let Some(connection) = self.links.connections.get_mut(&id) else { return };
        connection.ends[end].is_open = false;
        let (peer, at) = (connection.ends[1 - end].member, &connection.ends[end]);
        let (member, life, link) = (at.member, at.life, at.link);
        if connection.ends.iter().all(|e| !e.is_open) {
            self.links.connections.remove(&id);
        }
        if self.life(member) != Some(life) {
            return;
        }
        let Some(process) = &mut self.host_mut(member).process else { return };
        if process.links.get(&(peer, link)) == Some(&id) {
            process.links.remove(&(peer, link));
            feed!(self, member, machine_of(link), Input::LinkDown { peer, link });
        }
    }

    pub(crate) fn uncut(&mut self, from: MemberId, to: MemberId) {
        if !self.links.cut.remove(&(from, to)) {
            return;
        }
        let ids: Vec<u64> = self.links.connections.keys().copied().collect();
        for id in ids {
            let Some(connection) = self.links.connections.get_mut(&id) else { continue };
            let Some(end) = connection.ends.iter().position(|e| e.member == to) else { continue };
            if connection.ends[1 - end].member == from {
                let held = std::mem::take(&mut connection.held[end]);
                held.into_iter().for_each(|bytes| self.carry(id, from, bytes));
            }
        }
    }
}

/// The machine that a link belongs to.
fn machine_of(link: Link) -> Owner {
    match link {
        Link::Quorum => Owner::Coordination,
        Link::ReplicationOut | Link::ReplicationIn => Owner::Broker,
    }
}
