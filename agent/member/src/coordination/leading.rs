//! What only the quorum leader decides: writes against the speculative state, sessions, commands, who is alive.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use streamkeeper_base::codec::Get;
use streamkeeper_base::znode::ErrorCode;
use streamkeeper_base::{Instant, MemberId, SessionId, Zxid};
use streamkeeper_controller::{
    ClusterImage, Command, CommandError, Delta, Operation, encode_answer, next_command,
};
use streamkeeper_tree::{Expiry, Prep, Prepared, Txn};
use streamkeeper_wire::jute;
use streamkeeper_zab::{Event, ProposeError};

use super::Coordination;
use super::forward::{self, Request, Response};
use super::recovering::Recovering;
use super::survey::Survey;
use super::txn::{Body, Envelope};

use super::reconfig::Reconfiguration;
use crate::settings::Settings;

/// A member that is out of contact longer leads nothing and leaves its ISRs.
const MEMBER_SILENCE_MAX: Duration = Duration::from_millis(1500);
/// A broken link may come back within this time.
const LINK_GRACE: Duration = Duration::from_millis(300);
/// A new leader gives members this long to come.
const FIRST_CONTACT: Duration = Duration::from_millis(700);
/// Even an unchanged image is looked at this often for something to do.
const CONTROL_EVERY: Duration = Duration::from_millis(500);
/// Steps of a rebalance decided in one tick.
const STEPS_PER_TICK: usize = 8;

/// What waits for a round that confirms the lead.
pub(super) enum Confirm {
    /// A client's sync.
    Sync { origin: MemberId, number: u64 },
    /// Somebody asks how the ensemble stands.
    Survey { origin: MemberId, number: u64, with_sizes: bool },
}

/// The quorum leader's own state; gone with the role.
pub(super) struct Leading {
    pub(super) prep: Prep,
    pub(super) expiry: Expiry,
    /// Which member serves a session: a late write through another one must fail (-118).
    owners: BTreeMap<SessionId, MemberId>,
    /// The image as it will be once everything outstanding is applied.
    pub(super) speculative: ClusterImage,
    pub(super) survey: Survey,
    /// The lead of the quorum goes to another once this is applied.
    pub(super) give_lead_after: Option<Zxid>,
    pub(super) image_changed: bool,
    pub(super) reconfiguration: Option<Reconfiguration>,
    /// When containers and TTL nodes are looked at next.
    pub(super) expire_nodes_at: Instant,
    control_at: Instant,
    since: Instant,
    /// Since when a registered member is out of contact.
    missing: BTreeMap<MemberId, Instant>,
    /// Who waits for a sync round.
    syncs: BTreeMap<u64, Confirm>,
    next_sync: u64,
    pub(super) recovering: Recovering,
}

impl Leading {
    pub(super) fn new(now: Instant, image: ClusterImage, settings: &Settings) -> Self {
        Self {
            prep: Prep::new(settings.extended_types),
            expiry: Expiry::default(),
            owners: BTreeMap::new(),
            speculative: image,
            survey: Survey::default(),
            give_lead_after: None,
            image_changed: true,
            reconfiguration: None,
            expire_nodes_at: now + settings.container_check,
            control_at: now,
            since: now,
            missing: BTreeMap::new(),
            syncs: BTreeMap::new(),
            next_sync: 0,
            recovering: Recovering::default(),
        }
    }
}

impl Coordination {
    /// A request from any member, this one included.
    pub(super) fn lead_request(&mut self, origin: MemberId, number: u64, request: Request) {
        if self.leading.is_none() {
            if let (Request::Join { member, .. }, Some(leader)) = (&request, self.zab.leader())
                && *member == origin
            {
                // Whoever joins may have no link with the leader, which does not know it yet: its wish is passed on, once.
                return self.send(leader, forward::REQUEST, forward::encode_request(0, &request));
            }
            return self.respond(origin, number, Response::Lost);
        }
        match request {
            Request::Write { session, who, op, record } => {
                self.lead_write(origin, number, session, &who, op, record);
            }
            Request::OpenSession { session, timeout_ms } => {
                let prepared = Prep::create_session(session, timeout_ms);
                self.own(session, origin);
                self.order(origin, number, prepared);
            }
            Request::Reattach { session } => self.lead_reattach(origin, number, session),
            Request::CloseSession { session } => self.lead_close(origin, number, session),
            Request::Sync => self.confirm_lead(Confirm::Sync { origin, number }),
            Request::Command(bytes) => match Command::decode(&mut Get(bytes)) {
                Ok(command) => self.lead_command(origin, number, &command),
                Err(error) => {
                    self.refuse(origin, number, CommandError { code: 42, message: error.to_string() })
                }
            },
            Request::Change { guard, change } => self.lead_change(origin, number, &guard, change),
            Request::Survey { with_sizes } => {
                self.confirm_lead(Confirm::Survey { origin, number, with_sizes });
            }
            Request::Join { member, disk, address } => self.lead_join(member, disk, &address),
        }
    }

    /// Asks for a round that confirms this member's lead; what waits for it is answered then.
    fn confirm_lead(&mut self, waiting: Confirm) {
        let Some(leading) = &mut self.leading else { return };
        leading.next_sync += 1;
        let token = leading.next_sync;
        leading.syncs.insert(token, waiting);
        self.zab_event(Event::SyncRequested { token });
    }

    pub(super) fn respond(&mut self, origin: MemberId, number: u64, response: Response) {
        if number == 0 {
            return;
        }
        if origin == self.config.member {
            self.responded(number, response);
        } else {
            self.send(origin, forward::RESPONSE, forward::encode_response(number, &response));
        }
    }

    fn own(&mut self, session: SessionId, origin: MemberId) {
        if let Some(leading) = &mut self.leading {
            leading.owners.insert(session, origin);
        }
    }

    fn lead_write(
        &mut self,
        origin: MemberId,
        number: u64,
        session: SessionId,
        who: &[streamkeeper_base::znode::Identity],
        op: i32,
        record: Bytes,
    ) {
        let Some(leading) = &mut self.leading else { return };
        if *leading.owners.entry(session).or_insert(origin) != origin {
            // Session moved: its client is elsewhere, and this write came late.
            return self.respond(origin, number, Response::Lost);
        }
        leading.expiry.touch(session, self.clocks.now);
        let decided = match jute::Request::decode(op, &mut jute::Reader::new(record)) {
            Ok(jute::Request::Write(write)) => leading.prep.write(&self.tree, session, who, &write),
            Ok(jute::Request::Reconfig(wanted)) if leading.prep.session_is_live(&self.tree, session) => {
                return self.lead_reconfig(origin, number, who, &wanted);
            }
            Ok(jute::Request::Reconfig(_)) => Err(vec![ErrorCode::SESSION_EXPIRED]),
            Ok(_) | Err(_) => Err(vec![ErrorCode::MARSHALLING_ERROR]),
        };
        match decided {
            Ok(prepared) => self.order(origin, number, prepared),
            Err(codes) => {
                let after = self.zab.last_logged();
                self.respond(origin, number, Response::Rejected { after, codes });
            }
        }
    }

    /// Gives a decision its place in the order.
    pub(super) fn order(&mut self, origin: MemberId, number: u64, prepared: Prepared) {
        let body = Body::Tree(prepared.txn.clone());
        match self.propose(origin, number, body) {
            Ok(zxid) => {
                if let Some(leading) = &mut self.leading {
                    leading.prep.proposed(prepared, zxid);
                }
            }
            Err(_) => self.respond(origin, number, Response::Lost),
        }
    }

    pub(super) fn propose(
        &mut self,
        origin: MemberId,
        request: u64,
        body: Body,
    ) -> Result<Zxid, ProposeError> {
        let envelope = Envelope { origin, request, time: self.clocks.wall, body };
        let mut actions = Vec::new();
        let zxid = self.zab.propose(envelope.encode(), &mut actions)?;
        self.carry_out(actions);
        Ok(zxid)
    }

    fn lead_reattach(&mut self, origin: MemberId, number: u64, session: SessionId) {
        let Some(leading) = &mut self.leading else { return };
        let known = leading.prep.session_is_live(&self.tree, session);
        if known {
            leading.owners.insert(session, origin);
            leading.expiry.touch(session, self.clocks.now);
        }
        let after = self.zab.last_logged();
        self.respond(origin, number, Response::Reattached { after, known });
    }

    fn lead_close(&mut self, origin: MemberId, number: u64, session: SessionId) {
        let Some(leading) = &mut self.leading else { return };
        match leading.prep.close_session(&self.tree, session) {
            Some(prepared) => self.order(origin, number, prepared),
            None => {
                let after = self.zab.last_logged();
                self.respond(
                    origin,
                    number,
                    Response::Rejected { after, codes: vec![ErrorCode::SESSION_EXPIRED] },
                );
            }
        }
    }

    pub(super) fn lead_command(&mut self, origin: MemberId, number: u64, command: &Command) {
        self.lead_noted(origin, number, command, Vec::new());
    }

    /// As [`Self::lead_command`], with what the write's guard leaves behind.
    pub(super) fn lead_noted(&mut self, origin: MemberId, number: u64, command: &Command, noted: Vec<Delta>) {
        let Some(leading) = &mut self.leading else { return };
        let (mut deltas, outcome) = match leading.speculative.prepare(command) {
            Ok(decided) => decided,
            Err(error) => return self.refuse(origin, number, error),
        };
        deltas.extend(noted);
        let answer = encode_answer(&Ok(outcome));
        if deltas.is_empty() {
            let after = self.zab.last_logged();
            return self.respond(origin, number, Response::Answered { after, answer });
        }
        if self.order_deltas(origin, number, answer, deltas).is_err() {
            self.respond(origin, number, Response::Lost);
        }
    }

    /// Gives changes of the image their place in the order; the answer goes to whoever asked once they are applied.
    pub(super) fn order_deltas(
        &mut self,
        origin: MemberId,
        number: u64,
        answer: Bytes,
        deltas: Vec<Delta>,
    ) -> Result<(), ProposeError> {
        self.propose(origin, number, Body::Controller { answer, deltas: deltas.clone() })?;
        if let Some(leading) = &mut self.leading {
            deltas.iter().for_each(|delta| leading.speculative.apply(delta));
        }
        Ok(())
    }

    pub(super) fn refuse(&mut self, origin: MemberId, number: u64, error: CommandError) {
        let after = self.zab.last_logged();
        self.respond(origin, number, Response::Answered { after, answer: encode_answer(&Err(error)) });
    }

    pub(super) fn sync_done(&mut self, token: u64, zxid: Option<Zxid>) {
        let waiting = self.leading.as_mut().and_then(|l| l.syncs.remove(&token));
        match (waiting, zxid) {
            (Some(Confirm::Sync { origin, number }), Some(after)) => {
                self.respond(origin, number, Response::Synced { after });
            }
            (Some(Confirm::Survey { origin, number, with_sizes }), Some(_)) => {
                self.surveyed(origin, number, with_sizes);
            }
            (Some(Confirm::Sync { origin, number } | Confirm::Survey { origin, number, .. }), None) => {
                self.respond(origin, number, Response::Lost);
            }
            (None, _) => {}
        }
    }

    pub(super) fn touched_at(&mut self, origin: MemberId, sessions: &[SessionId]) {
        let Some(leading) = &mut self.leading else { return };
        for session in sessions {
            leading.owners.entry(*session).or_insert(origin);
            leading.expiry.touch(*session, self.clocks.now);
        }
    }

    /// The leader's bookkeeping after a transaction of the tree.
    pub(super) fn note_applied(&mut self, zxid: Zxid, txn: &Txn) {
        let Some(leading) = &mut self.leading else { return };
        leading.prep.applied(zxid);
        match txn {
            Txn::CreateSession { session, timeout_ms } => {
                leading.expiry.add(*session, *timeout_ms, self.clocks.now);
            }
            Txn::CloseSession { session, .. } => {
                leading.expiry.remove(*session);
                leading.owners.remove(session);
            }
            Txn::SessionKey(_)
            | Txn::Create { .. }
            | Txn::Delete { .. }
            | Txn::SetData { .. }
            | Txn::SetAcl { .. }
            | Txn::Check
            | Txn::Multi(_) => {}
        }
    }

    /// The first leader of an ensemble makes the key that session passwords come from.
    pub(super) fn make_session_key(&mut self) {
        if self.tree.session_key().is_none() {
            let body = Body::Tree(Txn::SessionKey(self.config.session_key));
            // A failure means that the role is gone again; the next leader does it.
            let _ = self.propose(self.config.member, 0, body);
        }
        if self.config.is_broker {
            let policy = Operation::SetPolicy {
                auto: Some(self.config.auto_rebalance),
                bytes_per_second_max: Some(self.config.moves_bytes_per_second_max),
                initial: true,
            };
            self.lead_command(self.config.member, 0, &Command::Operate(policy));
        }
    }

    pub(super) fn lead_tick(&mut self) {
        let now = self.clocks.now;
        while let Some(session) = self.leading.as_mut().and_then(|l| l.expiry.pop_expired(now)) {
            self.lead_close(self.config.member, 0, session);
        }
        self.continue_reconfig();
        self.expire_nodes();
        self.note_synced();
        self.fence_silent();
        self.control();
        self.maybe_give_lead();
    }

    fn fence_silent(&mut self) {
        let now = self.clocks.now;
        let heard = self.zab.heard_within(MEMBER_SILENCE_MAX);
        let own = self.config.member;
        let Some(leading) = &mut self.leading else { return };
        if now.since(leading.since) < FIRST_CONTACT {
            return;
        }
        let silent: Vec<MemberId> =
            leading.speculative.live_members().filter(|id| *id != own && !heard.contains(id)).collect();
        leading.missing.retain(|id, _| silent.contains(id));
        let mut fenced = Vec::new();
        for id in silent {
            let since = *leading.missing.entry(id).or_insert(now);
            if now.since(since) >= LINK_GRACE {
                fenced.push(id);
            }
        }
        fenced.into_iter().for_each(|id| self.lead_command(own, 0, &Command::Fence(id)));
    }

    /// Moves the cluster towards balance, a few steps at a time.
    fn control(&mut self) {
        let now = self.clocks.now;
        let Some(leading) = &mut self.leading else { return };
        if !leading.image_changed && now < leading.control_at {
            return;
        }
        leading.image_changed = false;
        leading.control_at = now + CONTROL_EVERY;
        self.recover();
        for _ in 0..STEPS_PER_TICK {
            let at = self.clocks.wall;
            let next = self.leading.as_ref().and_then(|leading| {
                let image = &leading.speculative;
                let bytes = |tp| image.partition(tp).map_or(0, |p| leading.survey.bytes_of(tp, p));
                next_command(image, at, bytes)
            });
            let Some(command) = next else { return };
            self.lead_command(self.config.member, 0, &command);
        }
    }
}
