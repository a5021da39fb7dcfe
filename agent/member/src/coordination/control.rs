//! What the quorum leader does with changes from outside: judged by their guard, then by the rules, then ordered like everything else.
//!
//! Must not know: gRPC. Read first: [`Coordination::lead_change`].

use std::collections::BTreeSet;

use streamkeeper_base::{Address, DiskId, MemberId};
use streamkeeper_controller::{
    Admitted, Answer, Command, CommandError, Delta, Guard, Operation, Outcome, Verdict, encode_answer,
};
use streamkeeper_zab::{Event, MembershipChange, ProposeError};

use super::forward::Response;
use super::{Coordination, NOT_CONTROLLER};
use crate::control::{Change, verdict};

/// Kafka's INVALID_REQUEST: asking again does not help until something else changes.
const INVALID_REQUEST: i16 = 42;
/// Kafka's BROKER_ID_NOT_REGISTERED.
const UNKNOWN_MEMBER: i16 = 102;

impl Coordination {
    pub(super) fn lead_change(&mut self, origin: MemberId, number: u64, guard: &Guard, change: Change) {
        let Some(leading) = &self.leading else { return self.respond(origin, number, Response::Lost) };
        let noted = match leading.speculative.admit(guard) {
            Ok(Admitted::Now(deltas)) => deltas,
            Ok(Admitted::Before) => return self.settled(origin, number, &Ok(Outcome::Done)),
            Err(error) => return self.refuse(origin, number, error),
        };
        let at = self.clocks.wall;
        match change {
            Change::Command(command) => self.lead_noted(origin, number, &command, noted),
            Change::StartRebalance => self.operate(origin, number, Operation::StartRebalance { at }, noted),
            Change::CancelRebalance => self.operate(origin, number, Operation::CancelRebalance { at }, noted),
            Change::Drain(member) => {
                let facts = self.survey_facts(true);
                let verdict = verdict::draining(&self.image, &facts, &BTreeSet::from([member]));
                match refusal(&verdict) {
                    Some(error) => self.refuse(origin, number, error),
                    None => self.operate(origin, number, Operation::Drain(member), noted),
                }
            }
            Change::HandOver(member) => self.lead_hand_over(origin, number, member, noted),
            Change::Ensemble(change) => self.lead_ensemble(origin, number, &change, noted),
            Change::Remove(member) => self.lead_removal(origin, number, member, noted),
            Change::Admit => {
                self.note(noted);
                self.settled(origin, number, &Ok(Outcome::Done));
            }
        }
    }

    fn operate(&mut self, origin: MemberId, number: u64, operation: Operation, noted: Vec<Delta>) {
        self.lead_noted(origin, number, &Command::Operate(operation), noted);
    }

    /// Answers once everything that is ordered now is applied where it was asked.
    fn settled(&mut self, origin: MemberId, number: u64, answer: &Answer) {
        let after = self.zab.last_logged();
        self.respond(origin, number, Response::Answered { after, answer: encode_answer(answer) });
    }

    /// Partitions' leads first; the lead of the quorum once that is committed.
    fn lead_hand_over(&mut self, origin: MemberId, number: u64, member: MemberId, noted: Vec<Delta>) {
        let is_broker = self.leading.as_ref().is_some_and(|l| l.speculative.members.contains_key(&member));
        if is_broker || !self.zab.membership().members.contains_key(&member) {
            self.operate(origin, number, Operation::Rest(member), noted);
        } else {
            self.note(noted);
            self.settled(origin, number, &Ok(Outcome::Done));
        }
        let last = self.zab.last_logged();
        if member == self.config.member
            && let Some(leading) = &mut self.leading
        {
            leading.give_lead_after = Some(last);
        }
    }

    pub(super) fn maybe_give_lead(&mut self) {
        let applied = self.applied;
        if let Some(leading) = &mut self.leading
            && leading.give_lead_after.take_if(|after| *after <= applied).is_some()
        {
            self.zab_event(Event::GiveLead);
        }
    }

    fn lead_ensemble(&mut self, origin: MemberId, number: u64, change: &MembershipChange, noted: Vec<Delta>) {
        match self.change_ensemble(change) {
            Ok(()) => {
                self.note(noted);
                self.settled(origin, number, &Ok(Outcome::Done));
            }
            Err(error) => self.refuse(origin, number, error),
        }
    }

    /// What a write leaves behind, where no command of the controller carries it. After the change itself: what is cut off between is
    /// done again and changes nothing.
    fn note(&mut self, noted: Vec<Delta>) {
        if !noted.is_empty() {
            let answer = encode_answer(&Ok(Outcome::Done));
            // A failure means that the role is gone again; whoever waits is told so.
            let _ = self.order_deltas(self.config.member, 0, answer, noted);
        }
    }

    fn change_ensemble(&mut self, change: &MembershipChange) -> Result<(), CommandError> {
        let mut actions = Vec::new();
        let result = self.zab.change_membership(change, &mut actions);
        self.carry_out(actions);
        result.map(drop).map_err(|error| {
            let code = match error {
                ProposeError::NotLeading | ProposeError::NotReady | ProposeError::ChangeInProgress => {
                    NOT_CONTROLLER
                }
                ProposeError::UnknownMember => UNKNOWN_MEMBER,
                ProposeError::NotCaughtUp | ProposeError::LastVoter | ProposeError::NoMajority => {
                    INVALID_REQUEST
                }
            };
            CommandError { code, message: error.to_string() }
        })
    }

    /// Nothing is lost by a removal: a member that holds replicas or votes stays.
    fn lead_removal(&mut self, origin: MemberId, number: u64, member: MemberId, noted: Vec<Delta>) {
        let unregister = Command::Unregister(member);
        let Some(leading) = &self.leading else { return };
        if let Err(error) = leading.speculative.prepare(&unregister) {
            return self.refuse(origin, number, error);
        }
        if self.zab.membership().is_voter(member) {
            let message = format!("member {member} votes; demote it first");
            return self.refuse(origin, number, CommandError { code: INVALID_REQUEST, message });
        }
        if self.zab.membership().members.contains_key(&member)
            && let Err(error) = self.change_ensemble(&MembershipChange::Remove(member))
        {
            return self.refuse(origin, number, error);
        }
        self.lead_noted(origin, number, &unregister, noted);
    }

    /// A member asks to be let in: nobody waits for an answer, the membership itself is the answer.
    pub(super) fn lead_join(&mut self, member: MemberId, disk: DiskId, address: &Address) {
        let Some(leading) = &self.leading else { return };
        if leading.speculative.removed.get(&member) == Some(&disk) {
            return;
        }
        let data = address.encode();
        // Refused while another change is under way; it asks again.
        let _ = self.change_ensemble(&MembershipChange::AddObserver { member, data });
    }
}

/// The reasons of a verdict as one refusal.
fn refusal(verdict: &Verdict) -> Option<CommandError> {
    let reasons: Vec<&str> = verdict.blockers.iter().map(|b| b.message.as_str()).collect();
    (!reasons.is_empty()).then(|| CommandError { code: INVALID_REQUEST, message: reasons.join("; ") })
}
