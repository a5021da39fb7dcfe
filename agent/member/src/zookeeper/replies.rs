//! What a write's outcome looks like on the wire.

use bytes::Bytes;
use streamkeeper_base::znode::{ErrorCode, Write};
use streamkeeper_tree::Outcome;
use streamkeeper_wire::jute::{MultiOutcome, ReplyHeader, put_stat, put_string};

/// Which creates of a write answer with a stat, in order: one entry for a plain write, one per operation of a multi.
pub(crate) fn stats_wanted(write: &Write) -> Vec<bool> {
    let wanted = |write: &Write| matches!(write, Write::Create { with_stat: true, .. });
    match write {
        Write::Multi(operations) => operations.iter().map(wanted).collect(),
        single => vec![wanted(single)],
    }
}

/// The reply to a write that was committed.
pub(crate) fn committed(xid: i32, zxid: i64, outcome: &Outcome, with_stat: &[bool]) -> Bytes {
    let header = ReplyHeader { xid, zxid, error: ErrorCode::OK };
    header.frame(|out| match outcome {
        Outcome::Created { path, stat } => {
            put_string(out, path);
            if with_stat.first() == Some(&true) {
                put_stat(out, stat);
            }
        }
        Outcome::Set(stat) => put_stat(out, stat),
        Outcome::Multi(outcomes) => {
            let outcomes: Vec<MultiOutcome> =
                outcomes.iter().enumerate().map(|(i, o)| multi(o, with_stat.get(i) == Some(&true))).collect();
            MultiOutcome::put_all(&outcomes, out);
        }
        Outcome::None | Outcome::Deleted | Outcome::Checked => {}
    })
}

/// The reply to a write that was refused. A failed multi's header says success; its body says which operation failed.
pub(crate) fn rejected(xid: i32, zxid: i64, codes: &[ErrorCode], is_multi: bool) -> Bytes {
    if is_multi && codes != [ErrorCode::SESSION_EXPIRED] {
        let outcomes: Vec<MultiOutcome> = codes.iter().map(|code| MultiOutcome::Failed(*code)).collect();
        let header = ReplyHeader { xid, zxid, error: ErrorCode::OK };
        return header.frame(|out| MultiOutcome::put_all(&outcomes, out));
    }
    let error = codes.first().copied().unwrap_or(ErrorCode::UNIMPLEMENTED);
    ReplyHeader { xid, zxid, error }.frame(|_| {})
}

fn multi(outcome: &Outcome, with_stat: bool) -> MultiOutcome {
    match outcome {
        Outcome::Created { path, stat } if with_stat => MultiOutcome::CreatedWithStat(path.clone(), *stat),
        Outcome::Created { path, .. } => MultiOutcome::Created(path.clone()),
        Outcome::Set(stat) => MultiOutcome::Set(*stat),
        Outcome::Deleted => MultiOutcome::Deleted,
        Outcome::Checked | Outcome::None | Outcome::Multi(_) => MultiOutcome::Checked,
    }
}
