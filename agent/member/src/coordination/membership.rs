//! How a member comes to belong to the cluster, says how it stands, and leaves it in good order.
//!
//! Read first: [`Coordination::register`], [`Coordination::stop`].

use std::sync::Arc;
use std::time::Duration;

use streamkeeper_controller::{Command, Guard, leads};
use streamkeeper_zab::Event;

use super::forward::{self, Request};
use super::{Coordination, Pending, TOUCH_EVERY, addresses};
use crate::control::Change;
use crate::io::Output;
use crate::message::{FromCoordination, Status};

/// A member that is not registered asks again this often.
const REGISTER_EVERY: Duration = Duration::from_millis(250);
/// Partitions without a leader that are told with the reason why.
const LEADERLESS_SHOWN: usize = 20;
/// A member that stops waits this long for others to take what it leads.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

impl Coordination {
    /// A member that the ensemble does not know asks every peer to be let in as an observer; the quorum leader does it.
    pub(super) fn ask_to_join(&mut self) {
        let now = self.clocks.now;
        let known = self.zab.membership().members.contains_key(&self.config.member);
        if !self.config.joining || known || now < self.register_at {
            return;
        }
        self.register_at = now + REGISTER_EVERY;
        let join = Request::Join {
            member: self.config.member,
            disk: self.config.disk,
            address: self.config.address.clone(),
        };
        // Number 0: nobody waits for an answer, the membership itself is the answer.
        let frame = forward::encode_request(0, &join);
        for peer in self.linked.clone() {
            self.send(peer, forward::REQUEST, frame.clone());
        }
    }

    /// Makes this member part of the cluster image, and live, as often as it is not.
    pub(super) fn register(&mut self) {
        let now = self.clocks.now;
        if !self.config.is_broker || self.zab.leader().is_none() || now < self.register_at {
            return;
        }
        self.register_at = now + REGISTER_EVERY;
        let known = self.image.members.get(&self.config.member);
        let current = known.is_some_and(|m| {
            m.live && m.incarnation == self.config.incarnation && m.address == self.config.address
        });
        if current && self.registered {
            return;
        }
        let started = !self.registered;
        let command = Command::Register {
            member: self.config.member,
            disk: self.config.disk,
            incarnation: self.config.incarnation,
            address: self.config.address.clone(),
            started,
        };
        let mut bytes = bytes::BytesMut::new();
        command.encode(&mut bytes);
        self.ask(Pending::Registering, Request::Command(bytes.freeze()));
    }

    pub(super) fn report(&mut self) {
        if self.clocks.now < self.report_at {
            return;
        }
        self.report_at = self.clocks.now + TOUCH_EVERY;
        let membership = self.zab.membership();
        let known = addresses(membership);
        let status = Status {
            member: self.config.member,
            role: self.zab.role(),
            quorum_leader: self.zab.leader(),
            zab_epoch: self.zab.epoch().0,
            zxid: self.applied,
            members: known
                .into_iter()
                .map(|(id, address)| (id, (membership.is_voter(id), address)))
                .collect(),
            synced: self.zab.synced_learners(),
            znodes: self.tree.node_count(),
            connections: self.clients.len(),
            sessions: self.attached.keys().copied().collect(),
            leaderless: self.image.leaderless(LEADERLESS_SHOWN),
        };
        if self.reported.as_deref() != Some(&status) {
            let status = Arc::new(status);
            self.reported = Some(status.clone());
            self.out.push(Output::Tell(FromCoordination::Status(status)));
        }
    }

    /// SIGTERM. Leads of partitions go first, while the quorum is there to move them; then the lead of the quorum.
    pub(super) fn stop(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = Some(self.clocks.now + STOP_PATIENCE);
        if !self.may_leave() {
            let (guard, change) = (Guard::default(), Change::HandOver(self.config.member));
            self.ask(Pending::Stopping, Request::Change { guard, change });
        }
        self.continue_stop();
    }

    pub(super) fn continue_stop(&mut self) {
        if self.stopping.is_some_and(|until| self.clocks.now >= until || self.may_leave()) {
            self.leave_ensemble();
        }
    }

    /// True once this member leads no partition that another one could lead.
    fn may_leave(&self) -> bool {
        let (led, stuck) = leads(&self.image, self.config.member);
        led == stuck
    }

    pub(super) fn leave_ensemble(&mut self) {
        self.stopping = None;
        self.zab_event(Event::HandOver);
    }
}
