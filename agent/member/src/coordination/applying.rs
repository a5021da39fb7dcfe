//! What every member does with a committed transaction: change the state, fire watches, then answer.

use std::sync::Arc;

use bytes::Bytes;
use streamkeeper_base::znode::perms;
use streamkeeper_base::{WallMillis, Zxid};
use streamkeeper_controller::Delta;
use streamkeeper_tree::{Applied, Outcome, Trigger, Txn, may};
use streamkeeper_wire::jute::watch_event;

use super::forward::Response;
use super::txn::{Body, Envelope};
use super::{Coordination, Pending};
use crate::io::{ConnectionId, Output};
use crate::message::FromCoordination;

impl Coordination {
    pub(super) fn apply(&mut self, zxid: Zxid, txn: Bytes) {
        self.bytes_since_snapshot += txn.len() as u64;
        let envelope = match Envelope::decode(txn) {
            Ok(envelope) => envelope,
            Err(error) => {
                let reason =
                    format!("transaction {zxid} cannot be read ({error}); run one version on all members");
                return self.out.push(Output::Fatal { reason });
            }
        };
        self.applied = zxid;
        let mine =
            (envelope.origin == self.config.member && envelope.request > 0).then_some(envelope.request);
        match envelope.body {
            Body::Tree(txn) => self.apply_tree(zxid, envelope.time, &txn, mine),
            Body::Controller { answer, deltas } => {
                self.apply_deltas(zxid, &deltas);
                if let Some(number) = mine {
                    self.settle(number, Response::Answered { after: zxid, answer });
                }
            }
        }
        self.txns_since_snapshot += 1;
    }

    fn apply_deltas(&mut self, zxid: Zxid, deltas: &[Delta]) {
        let image = Arc::make_mut(&mut self.image);
        deltas.iter().for_each(|delta| image.apply(delta));
        self.telling.tell(FromCoordination::Image(self.image.clone()));
        if let Some(leading) = &mut self.leading {
            leading.image_changed = true;
            if zxid.epoch() != self.zab.epoch() {
                // Decided by the leader before, and delivered only after this one took over.
                deltas.iter().for_each(|delta| leading.speculative.apply(delta));
            }
        }
    }

    fn apply_tree(&mut self, zxid: Zxid, time: WallMillis, txn: &Txn, mine: Option<u64>) {
        let Applied { outcome, triggers } = self.tree.apply(zxid, time, txn);
        self.note_applied(zxid, txn);
        triggers.iter().for_each(|trigger| self.fire(zxid, trigger));
        if let Some(number) = mine {
            self.committed(number, &outcome);
        }
        if let Txn::SessionKey(_) = txn {
            self.out.extend(self.identified());
        }
        if let Txn::CloseSession { session, .. } = txn
            && let Some(connection) = self.attached.get(session).copied()
        {
            // Expired, or closed by its client through another member.
            self.drop_client(connection);
        }
    }

    /// Notifications leave before any reply that shows the change; each connection learns of a trigger once.
    pub(super) fn fire(&mut self, zxid: Zxid, trigger: &Trigger) {
        let receivers = self.watches.fire(trigger);
        if receivers.is_empty() {
            return;
        }
        let frame = watch_event(trigger.kind, &trigger.path, zxid.0);
        for watcher in receivers {
            let connection = ConnectionId(watcher);
            let allowed = self
                .clients
                .get(&connection)
                .is_some_and(|client| may(&trigger.acl, perms::READ, &client.who));
            if allowed {
                self.send_client(connection, frame.clone());
            }
        }
    }

    fn committed(&mut self, number: u64, outcome: &Outcome) {
        match self.pending.remove(&number) {
            Some(Pending::Slot(connection)) => self.slot_committed(connection, number, outcome),
            Some(Pending::Opening { connection, session, timeout_ms }) => {
                self.session_open(connection, session, timeout_ms);
            }
            Some(
                Pending::Reattaching { .. }
                | Pending::Asked { .. }
                | Pending::Surveying { .. }
                | Pending::Registering
                | Pending::Stopping,
            )
            | None => {}
        }
    }
}
