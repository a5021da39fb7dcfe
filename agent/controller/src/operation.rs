//! What those who run the ensemble ask of the controller, and the steps that the rebalancer makes for them.
//!
//! Must not know: gRPC, who asked. Read first: [`Operation`], then `rebalance` for what comes of it.

use bytes::{BufMut, BytesMut};
use streamkeeper_base::codec::{Get, Malformed, put_option};
use streamkeeper_base::{MemberId, TopicPartition, WallMillis};

use crate::command::{CommandError, Outcome, get_ids, get_tp, put_id, put_ids, put_tp};
use crate::image::{ClusterImage, Delta, Member};
use crate::partitions::reassign;
use crate::rebalance::{Begun, Run};
use crate::resting::hand_over;

/// Kafka's BROKER_ID_NOT_REGISTERED.
const UNKNOWN_MEMBER: i16 = 102;

/// What can be asked. All of it may be asked again: what holds already changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The agent gives its leads away and takes none until it starts again or is uncordoned.
    Rest(MemberId),
    /// The agent's disk is full (true): it gives its leads away and takes none, until there is room again (false).
    NoteSpace {
        /// The agent.
        member: MemberId,
        /// Whether its disk is full.
        full: bool,
    },
    /// Nothing new is placed on the agent, and what it holds moves away, even if rebalancing was cancelled.
    Drain(MemberId),
    /// One step of a rebalance: a reassignment that counts in its progress.
    Move {
        /// The partition.
        tp: TopicPartition,
        /// The target.
        replicas: Vec<MemberId>,
        /// What it copies, bytes.
        bytes: u64,
        /// Now.
        at: WallMillis,
    },
    /// Replicas move until members hold alike.
    StartRebalance {
        /// Now.
        at: WallMillis,
    },
    /// What moves is taken back, and nothing is moved until the next start or drain.
    CancelRebalance {
        /// Now.
        at: WallMillis,
    },
    /// Nothing is left to move.
    EndRebalance {
        /// Now.
        at: WallMillis,
    },
    /// The rebalance policy; what is absent stays.
    SetPolicy {
        /// Whether a skew is repaired without a command.
        auto: Option<bool>,
        /// Bytes per second that a member sends to replicas that are being added; 0 for no limit.
        bytes_per_second_max: Option<u64>,
        /// True for what an agent's configuration says: it counts until somebody sets a policy.
        initial: bool,
    },
}

impl Operation {
    /// Tags go on where those of [`crate::Command`] end.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Rest(member) => put_id(out, 15, *member),
            Self::NoteSpace { member, full } => {
                put_id(out, 22, *member);
                out.put_u8(u8::from(*full));
            }
            Self::Drain(member) => put_id(out, 16, *member),
            Self::Move { tp, replicas, bytes, at } => {
                out.put_u8(17);
                put_tp(out, *tp);
                put_ids(out, replicas);
                out.put_u64(*bytes);
                out.put_i64(at.0);
            }
            Self::StartRebalance { at } => put_at(out, 18, *at),
            Self::CancelRebalance { at } => put_at(out, 19, *at),
            Self::EndRebalance { at } => put_at(out, 20, *at),
            Self::SetPolicy { auto, bytes_per_second_max, initial } => {
                out.put_u8(21);
                put_option(out, *auto, |out, auto| out.put_u8(u8::from(auto)));
                put_option(out, *bytes_per_second_max, |out, bytes| out.put_u64(bytes));
                out.put_u8(u8::from(*initial));
            }
        }
    }

    pub(crate) fn decode(tag: u8, get: &mut Get) -> Result<Self, Malformed> {
        let at = |get: &mut Get| Ok::<_, Malformed>(WallMillis(get.i64()?));
        Ok(match tag {
            15 => Self::Rest(MemberId(get.i32()?)),
            16 => Self::Drain(MemberId(get.i32()?)),
            17 => Self::Move { tp: get_tp(get)?, replicas: get_ids(get)?, bytes: get.u64()?, at: at(get)? },
            18 => Self::StartRebalance { at: at(get)? },
            19 => Self::CancelRebalance { at: at(get)? },
            20 => Self::EndRebalance { at: at(get)? },
            21 => Self::SetPolicy {
                auto: get.option(Get::bool)?,
                bytes_per_second_max: get.option(Get::u64)?,
                initial: get.bool()?,
            },
            22 => Self::NoteSpace { member: MemberId(get.i32()?), full: get.bool()? },
            _ => return Err(Malformed),
        })
    }
}

fn put_at(out: &mut BytesMut, tag: u8, at: WallMillis) {
    out.put_u8(tag);
    out.put_i64(at.0);
}

impl ClusterImage {
    pub(crate) fn operate(&self, operation: &Operation) -> Result<(Vec<Delta>, Outcome), CommandError> {
        let done = |deltas| Ok((deltas, Outcome::Done));
        match operation {
            Operation::Rest(id) => {
                let member = Member { resting: true, ..self.member(*id)?.clone() };
                done(hand_over(self, *id, member))
            }
            Operation::NoteSpace { member: id, full: true } => {
                let member = Member { full: true, ..self.member(*id)?.clone() };
                done(hand_over(self, *id, member))
            }
            Operation::NoteSpace { member: id, full: false } => {
                let member = Member { full: false, ..self.member(*id)?.clone() };
                let is_new = self.members.get(id) != Some(&member);
                done(is_new.then_some(Delta::PutMember(*id, member)).into_iter().collect())
            }
            Operation::Drain(member) => {
                let mut deltas = self.with_cordon(*member, true)?;
                if self.rebalance.run.held {
                    deltas.push(Delta::Run(Run { held: false, ..self.rebalance.run.clone() }));
                }
                done(deltas)
            }
            Operation::Move { tp, replicas, bytes, at } => {
                done(self.move_replicas(*tp, replicas, *bytes, *at)?)
            }
            Operation::StartRebalance { at } => {
                let run = &self.rebalance.run;
                if run.asked_for && run.is_active() {
                    return done(Vec::new());
                }
                let fresh = if run.is_active() { run.clone() } else { Run::begun(*at) };
                done(vec![Delta::Run(Run { asked_for: true, held: false, ..fresh })])
            }
            Operation::CancelRebalance { at } => self.cancel(*at),
            Operation::EndRebalance { at } => {
                let run = &self.rebalance.run;
                if !run.is_active() || !run.moving.is_empty() {
                    return done(Vec::new());
                }
                done(vec![Delta::Run(Run { ended: Some(*at), asked_for: false, ..run.clone() })])
            }
            Operation::SetPolicy { auto, bytes_per_second_max, initial } => {
                let old = self.rebalance.policy;
                if *initial && old.is_set {
                    return done(Vec::new());
                }
                let mut policy = old;
                policy.is_set = !*initial;
                policy.auto = auto.unwrap_or(old.auto);
                policy.bytes_per_second_max = bytes_per_second_max.unwrap_or(old.bytes_per_second_max);
                done(if policy == old { Vec::new() } else { vec![Delta::Policy(policy)] })
            }
        }
    }

    /// A member of the image, or the error that there is none.
    pub(crate) fn member(&self, id: MemberId) -> Result<&Member, CommandError> {
        let unknown = || CommandError::new(UNKNOWN_MEMBER, format!("there is no member {id}"));
        self.members.get(&id).ok_or_else(unknown)
    }

    fn move_replicas(
        &self,
        tp: TopicPartition,
        replicas: &[MemberId],
        bytes: u64,
        at: WallMillis,
    ) -> Result<Vec<Delta>, CommandError> {
        let (_, partition) = self.known(tp)?;
        let delta = self.reassigned(tp, replicas)?;
        let run = &self.rebalance.run;
        let mut run = if run.is_active() { run.clone() } else { Run::begun(at) };
        // A move that replaces another one goes back, if it must, to where the first began.
        let before =
            run.moving.remove(&tp).map_or_else(|| partition.target().collect(), |begun| begun.before);
        run.moving.insert(tp, Begun { before, bytes });
        if !reassign(self, partition, replicas)?.is_moving() {
            run.finished(tp);
        }
        Ok(vec![delta, Delta::Run(run)])
    }

    /// KIP-455's cancellation, for all moves of the rebalance: what was added goes, what was to be removed stays. Reassignments that a
    /// client asked for are its own.
    fn cancel(&self, at: WallMillis) -> Result<(Vec<Delta>, Outcome), CommandError> {
        let mut run = self.rebalance.run.clone();
        if run.held && run.moving.is_empty() {
            return Ok((Vec::new(), Outcome::TakenBack(0)));
        }
        let mut deltas = Vec::new();
        for (tp, begun) in std::mem::take(&mut run.moving) {
            deltas.push(self.reassigned(tp, &begun.before)?);
        }
        let moves = i32::try_from(deltas.len()).unwrap_or(i32::MAX);
        if run.is_active() {
            run.ended = Some(at);
        }
        deltas.push(Delta::Run(Run { held: true, asked_for: false, ..run }));
        Ok((deltas, Outcome::TakenBack(moves)))
    }
}
