//! From the member's words to those of the .proto files: errors, blockers, addresses, loads; and back for what a request carries.
//!
//! Must not know: what is asked. Read first: [`refused`], [`guard`].

use std::collections::BTreeSet;

use streamkeeper_base::MemberId;
use streamkeeper_base::limits::MEMBERS_MAX;
use streamkeeper_member::control::progress::{Loads, SizedMove};
use streamkeeper_member::control::{Blocker, BlockerKind, CommandError, Guard};
use streamkeeper_proto::v1alpha1 as proto;
use tonic::Status;

use super::agent::{Agent, Found};

/// A refusal as a gRPC status: retriable ones are UNAVAILABLE, those that another state would allow FAILED_PRECONDITION.
pub(super) fn refused(error: CommandError) -> Status {
    match error.code {
        // NOT_CONTROLLER.
        41 => Status::unavailable(error.message),
        // UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, BROKER_ID_NOT_REGISTERED.
        3 | 100 | 102 => Status::not_found(error.message),
        // INVALID_TOPIC, INVALID_PARTITIONS, INVALID_REPLICATION_FACTOR, INVALID_REPLICA_ASSIGNMENT, INVALID_CONFIG.
        17 | 37..=40 => Status::invalid_argument(error.message),
        // TOPIC_ALREADY_EXISTS.
        36 => Status::already_exists(error.message),
        _ => Status::failed_precondition(error.message),
    }
}

/// How the ensemble stands, or that nobody can say.
pub(super) async fn survey(agent: &Agent, with_sizes: bool) -> Result<Found, Status> {
    agent
        .survey(with_sizes)
        .await
        .ok_or_else(|| Status::unavailable("there is no quorum leader at the moment; try again"))
}

/// What goes with a write.
pub(super) fn guard(write: Option<proto::Write>) -> Guard {
    let write = write.unwrap_or_default();
    Guard { request: write.request_id, fencing_token: write.fencing_token }
}

/// The members that a question names: one at least, not more than there can be.
pub(super) fn members(ids: &[i32]) -> Result<BTreeSet<MemberId>, Status> {
    if ids.is_empty() || ids.len() > MEMBERS_MAX {
        return Err(Status::invalid_argument(format!("members: name 1 to {MEMBERS_MAX} members")));
    }
    Ok(ids.iter().map(|id| MemberId(*id)).collect())
}

pub(super) fn blockers(list: Vec<Blocker>) -> Vec<proto::Blocker> {
    list.into_iter().map(blocker).collect()
}

fn blocker(blocker: Blocker) -> proto::Blocker {
    use proto::blocker::Kind;
    let kind = match blocker.kind {
        BlockerKind::UnknownMember => Kind::UnknownMember,
        BlockerKind::Quorum => Kind::Quorum,
        BlockerKind::PartitionOffline => Kind::PartitionOffline,
        BlockerKind::PartitionUnderMinInsync => Kind::PartitionUnderMinInsync,
        BlockerKind::ReplicationFactor => Kind::ReplicationFactor,
        BlockerKind::HoldsReplicas => Kind::HoldsReplicas,
        BlockerKind::Votes => Kind::Votes,
        BlockerKind::LeadsQuorum => Kind::LeadsQuorum,
        BlockerKind::MemberNotReady => Kind::MemberNotReady,
        BlockerKind::DiskSpace => Kind::DiskSpace,
        BlockerKind::ChangeInProgress => Kind::ChangeInProgress,
    };
    proto::Blocker {
        kind: kind.into(),
        member: blocker.member.map(|id| id.0),
        topic: blocker.topic.unwrap_or_default(),
        partition: blocker.partition.map(|p| p.0),
        message: blocker.message,
        more: long(blocker.more),
    }
}

pub(super) fn skew(loads: &Loads) -> proto::Skew {
    let load = |(id, (replicas, preferred)): (&MemberId, &(usize, usize))| proto::MemberLoad {
        member: id.0,
        replicas: int(*replicas),
        preferred: int(*preferred),
    };
    proto::Skew {
        replicas_max: int(loads.replicas_max),
        replicas_min: int(loads.replicas_min),
        members: loads.members.iter().map(load).collect(),
    }
}

pub(super) fn moves(list: Vec<SizedMove>) -> Vec<proto::Move> {
    let step = |step: SizedMove| proto::Move {
        topic: step.topic,
        partition: step.tp.partition.0,
        replicas_before: ids(&step.before),
        replicas_after: ids(&step.after),
        bytes: long(step.bytes),
    };
    list.into_iter().map(step).collect()
}

pub(super) fn ids(list: &[MemberId]) -> Vec<i32> {
    list.iter().map(|id| id.0).collect()
}

/// A count, for a field that holds less than a machine word.
pub(super) fn int(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Bytes or milliseconds, for a signed field.
pub(super) fn long(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn refusals_say_whether_to_ask_again() {
        let code = |code| refused(CommandError { code, message: "why".to_owned() }).code();
        assert_eq!(code(41), Code::Unavailable);
        assert_eq!(code(42), Code::FailedPrecondition);
        assert_eq!(code(11), Code::FailedPrecondition);
        assert_eq!(code(40), Code::InvalidArgument);
        assert_eq!(code(102), Code::NotFound);
    }

    #[test]
    fn a_question_names_members_and_not_too_many() {
        assert!(members(&[]).is_err());
        assert!(members(&[0; MEMBERS_MAX + 1]).is_err());
        assert_eq!(members(&[2, 2, 1]).map(|set| set.len()).ok(), Some(2));
    }
}
