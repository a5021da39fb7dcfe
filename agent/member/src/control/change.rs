//! What can be changed from outside, and its bytes on the way to the quorum leader.

use bytes::{BufMut, Bytes, BytesMut};
use streamkeeper_base::MemberId;
use streamkeeper_base::codec::{Get, Malformed, put_bytes};
use streamkeeper_controller::Command;
use streamkeeper_zab::MembershipChange;

/// What can be changed from outside. All of it may be asked again: what holds already changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Something for the controller.
    Command(Command),
    /// A member is let in, votes, or does not any more.
    Ensemble(MembershipChange),
    /// A member leaves for good, as a broker and as a part of the ensemble; refused while it holds replicas or votes.
    Remove(MemberId),
    /// A member gives away what it leads.
    HandOver(MemberId),
    /// A member is emptied; refused if the others cannot take what it holds.
    Drain(MemberId),
    /// Replicas move until members hold alike.
    StartRebalance,
    /// What moves is taken back.
    CancelRebalance,
    /// Nothing of the ensemble's: the guard alone is judged, and its token remembered, for something that the asked agent does by itself.
    Admit,
}

impl Change {
    /// The change as bytes.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Command(command) => {
                out.put_u8(1);
                command.encode(out);
            }
            Self::Ensemble(change) => {
                out.put_u8(2);
                put_ensemble(out, change);
            }
            Self::Remove(member) => put_member(out, 3, *member),
            Self::HandOver(member) => put_member(out, 4, *member),
            Self::Drain(member) => put_member(out, 5, *member),
            Self::StartRebalance => out.put_u8(6),
            Self::CancelRebalance => out.put_u8(7),
            Self::Admit => out.put_u8(8),
        }
    }

    /// Reads what [`Change::encode`] wrote.
    pub(crate) fn decode(get: &mut Get) -> Result<Self, Malformed> {
        Ok(match get.u8()? {
            1 => Self::Command(Command::decode(get)?),
            2 => Self::Ensemble(get_ensemble(get)?),
            3 => Self::Remove(MemberId(get.i32()?)),
            4 => Self::HandOver(MemberId(get.i32()?)),
            5 => Self::Drain(MemberId(get.i32()?)),
            6 => Self::StartRebalance,
            7 => Self::CancelRebalance,
            8 => Self::Admit,
            _ => return Err(Malformed),
        })
    }
}

fn put_member(out: &mut BytesMut, tag: u8, member: MemberId) {
    out.put_u8(tag);
    out.put_i32(member.0);
}

fn put_ensemble(out: &mut BytesMut, change: &MembershipChange) {
    let (tag, member, data) = match change {
        MembershipChange::AddObserver { member, data } => (1, member, data.clone()),
        MembershipChange::Promote(member) => (2, member, Bytes::new()),
        MembershipChange::Demote(member) => (3, member, Bytes::new()),
        MembershipChange::Remove(member) => (4, member, Bytes::new()),
    };
    put_member(out, tag, *member);
    put_bytes(out, &data);
}

fn get_ensemble(get: &mut Get) -> Result<MembershipChange, Malformed> {
    let tag = get.u8()?;
    let member = MemberId(get.i32()?);
    let data = get.bytes()?;
    Ok(match tag {
        1 => MembershipChange::AddObserver { member, data },
        2 => MembershipChange::Promote(member),
        3 => MembershipChange::Demote(member),
        4 => MembershipChange::Remove(member),
        _ => return Err(Malformed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_read_back() {
        let changes = [
            Change::Command(Command::Cordon(MemberId(4))),
            Change::Ensemble(MembershipChange::AddObserver {
                member: MemberId(5),
                data: Bytes::from_static(b"address"),
            }),
            Change::Ensemble(MembershipChange::Demote(MemberId(1))),
            Change::Remove(MemberId(2)),
            Change::HandOver(MemberId(-3)),
            Change::Drain(MemberId(0)),
            Change::StartRebalance,
            Change::CancelRebalance,
            Change::Admit,
        ];
        for change in changes {
            let mut bytes = BytesMut::new();
            change.encode(&mut bytes);
            let mut get = Get(bytes.freeze());
            assert_eq!(Change::decode(&mut get), Ok(change));
            assert_eq!(get.end(), Ok(()));
        }
        assert!(Change::decode(&mut Get(Bytes::from_static(&[9]))).is_err());
    }
}
