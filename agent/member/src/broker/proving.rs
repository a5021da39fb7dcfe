//! Answers that a deposed leader must not give: it may not have heard the news, while its clients have seen more than it knows of.
//!
//! OFFSET_OUT_OF_RANGE beyond the end makes a client begin anew elsewhere, and an old committed offset makes a group read again. Clients
//! that name a leader epoch are fenced by it (KIP-320); for others this member first proves that what it knows is current, by a round
//! through the quorum. Must not know: how the quorum proves it. Read first: [`Broker::is_proven`].

use std::time::Duration;

use streamkeeper_base::Instant;
use streamkeeper_controller::Answer;
use streamkeeper_wire::kafka::generated::offset_fetch_request::OffsetFetchRequest;

use super::Broker;
use crate::io::Output;
use crate::kafka::client::Exchange;
use crate::kafka::pending::PendingCommand;
use crate::message::ToCoordination;

/// For OFFSET_OUT_OF_RANGE a proof counts for this time from when it was asked for: less than the silence after which the controller
/// fences a member. A lead that was moved on purpose meanwhile is the exception; a committed offset is therefore proven each time.
const PROOF_HOLDS: Duration = Duration::from_millis(300);
/// An unanswered question is asked again after this time.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// A committed offset waits this long for a proof, as while the quorum elects: clients take NOT_COORDINATOR for the end of the matter.
const PATIENCE: Duration = Duration::from_secs(5);

/// When what this member knows was proven to be current.
#[derive(Default)]
pub(super) struct Proof {
    proven: Option<Instant>,
    asked: Option<Instant>,
    /// Requests whose question failed, and when it is asked again.
    again: Vec<(Instant, Box<Unproven>)>,
}

/// A request that waits for a proof.
pub(crate) struct Unproven {
    since: Instant,
    exchange: Exchange,
    request: OffsetFetchRequest,
}

impl Broker {
    /// True if what this member leads was its to lead a moment ago.
    pub(crate) fn is_proven(&self) -> bool {
        let now = self.clocks.now;
        self.proof.proven.is_some_and(|at| now.since(at) <= PROOF_HOLDS)
    }

    /// Asks for a proof, so that the next attempt of a client finds one.
    pub(crate) fn ask_for_proof(&mut self) {
        let now = self.clocks.now;
        if self.proof.asked.is_none_or(|at| now.since(at) > ASK_AGAIN) {
            self.proof.asked = Some(now);
            self.ask(None);
        }
    }

    /// Answers a request once there is a proof, or that there is none.
    pub(crate) fn prove_for(&mut self, exchange: Exchange, request: OffsetFetchRequest) {
        self.ask(Some(Box::new(Unproven { since: self.clocks.now, exchange, request })));
    }

    /// Asks again for those whose question failed a while ago.
    pub(super) fn prove_again(&mut self) {
        let now = self.clocks.now;
        let (due, later) = std::mem::take(&mut self.proof.again).into_iter().partition(|(at, _)| *at <= now);
        self.proof.again = later;
        let due: Vec<(Instant, Box<Unproven>)> = due;
        due.into_iter().for_each(|(_, waiting)| self.ask(Some(waiting)));
    }

    fn ask(&mut self, waiting: Option<Box<Unproven>>) {
        let token = self.number();
        self.commands.insert(token, PendingCommand::Proof { asked: self.clocks.now, waiting });
        self.out.push(Output::Tell(ToCoordination::Confirm { token }));
    }

    pub(super) fn proof_came(&mut self, asked: Instant, waiting: Option<Box<Unproven>>, answer: &Answer) {
        if answer.is_ok() {
            self.proof.proven = self.proof.proven.max(Some(asked));
        }
        let now = self.clocks.now;
        match waiting {
            Some(waiting) if answer.is_err() && now.since(waiting.since) < PATIENCE => {
                self.proof.again.push((now + ASK_AGAIN, waiting));
            }
            Some(waiting) => {
                let Unproven { exchange, request, .. } = *waiting;
                self.answer_offset_fetch(&exchange, request, answer.is_ok());
            }
            None => {}
        }
    }
}
