//! What a run does, line by line, on standard error: for whoever reads a failing seed.
//!
//! Read first: [`event`].

use std::cell::Cell;

use streamkeeper_base::MemberId;
use streamkeeper_base::codec::Get;
use streamkeeper_member::io::{Link, Output};
use streamkeeper_member::message::{FromCoordination, ToBroker};
use streamkeeper_member::record;
use streamkeeper_replica as replica;
use streamkeeper_zab as zab;

use crate::world::Event;

thread_local! {
    static IS_ON: Cell<bool> = const { Cell::new(false) };
}

/// Bytes of a partition's name in front of a replication message.
const PARTITION_PREFIX_BYTES: usize = 20;
/// The kind of a frame between coordinations that holds a message of Zab.
const ZAB_FRAME: u8 = 1;

/// Turns the trace of this thread on or off.
pub(crate) fn set(is_on: bool) {
    IS_ON.set(is_on);
}

#[allow(clippy::print_stderr, reason = "a trace is asked for on the command line")]
fn line(now_us: u64, text: &str) {
    eprintln!("{:>9}.{:03} ms  {text}", now_us / 1000, now_us % 1000);
}

/// An event is about to happen.
pub(crate) fn event(now_us: u64, event: &Event) {
    if !IS_ON.get() {
        return;
    }
    let text = match event {
        Event::Tick { .. } | Event::Wake { .. } | Event::LinkBytes { .. } => return,
        Event::ToServer { .. } | Event::ToClient { .. } | Event::ClientArrived { .. } => return,
        Event::ServerLost { .. } | Event::ClientLost { .. } | Event::Nemesis => return,
        Event::Commit { member, .. } => format!("{member} commits"),
        Event::FilesSynced { member, token, .. } => format!("{member} flushed files {token}"),
        Event::Snapshot { member, zxid, .. } => format!("{member} wrote snapshot {zxid:x}"),
        Event::ToCoordination { member, message, .. } => format!("{member} coordination is told {message:?}"),
        Event::ToBroker {
            member, message: ToBroker::Coordination(FromCoordination::Image(image)), ..
        } => {
            let states: Vec<String> = image
                .partitions()
                .map(|(_, topic, p)| {
                    format!("{}: {:?} {:?} {:?}", topic.name, p.leader, p.leader_epoch, p.isr)
                })
                .collect();
            format!("{member} broker is told an image: {states:?}")
        }
        Event::ToBroker { member, message, .. } => format!("{member} broker is told {message:?}"),
        Event::Start { member } => format!("{member} starts"),
        Event::Linked { from, to, link, .. } => format!("{from} dialled {to} for {link:?}"),
        Event::LinkLost { connection, end } => format!("link {connection} ends at its end {end}"),
        Event::Resume { member } => format!("{member} resumes"),
        Event::Freed { member } => format!("{member} has room on its disk again"),
        Event::Uncut { from, to } => format!("{from} to {to} is whole again"),
    };
    line(now_us, &text);
}

/// A frame of a peer reaches a machine.
pub(crate) fn frame(now_us: u64, from: MemberId, to: MemberId, link: Link, kind: u8, body: &bytes::Bytes) {
    if !IS_ON.get() {
        return;
    }
    let text = match link {
        Link::Quorum if kind == ZAB_FRAME => match zab::Message::decode(body.clone()) {
            Ok(zab::Message::Ping { .. } | zab::Message::Pong { .. }) => return,
            Ok(message) => format!("{message:?}"),
            Err(error) => error.to_string(),
        },
        Link::Quorum => format!("frame {kind} of {} bytes", body.len()),
        Link::ReplicationIn | Link::ReplicationOut => {
            let mut get = Get(body.slice(PARTITION_PREFIX_BYTES.min(body.len())..));
            let partition = body.get(..PARTITION_PREFIX_BYTES).map(|p| (p[0], p[PARTITION_PREFIX_BYTES - 1]));
            format!("{partition:?} {:?}", replica::Message::decode(&mut get))
        }
    };
    line(now_us, &format!("{from} -> {to}: {text}"));
}

/// A machine wants something done.
pub(crate) fn output<N>(now_us: u64, member: MemberId, output: &Output<N>) {
    if !IS_ON.get() {
        return;
    }
    let text = match output {
        Output::Append { ticket, kind: record::ZAB, payload } => {
            let decoded = zab::LogRecord::decode(payload.concat().into());
            format!("appends {ticket:?} {decoded:?}")
        }
        Output::Append { ticket, kind, payload } => {
            let size: usize = payload.iter().map(bytes::Bytes::len).sum();
            format!("appends {ticket:?} of kind {kind}, {size} bytes")
        }
        Output::Release { below } => format!("releases below {below:?}"),
        Output::SyncFiles { token, files } => format!("flushes files {token} ({})", files.len()),
        Output::WriteSnapshot { zxid, .. } => format!("writes snapshot {zxid:x}"),
        Output::PeerReset { peer, link } => format!("resets {link:?} to {peer}"),
        Output::Warn { text } => format!("says: {text}"),
        Output::Fatal { reason } => format!("gives up: {reason}"),
        Output::Send { .. } | Output::Close { .. } | Output::PeerSend { .. } | Output::Tell(_) => return,
    };
    line(now_us, &format!("{member} {text}"));
}

/// Something happens to a member from outside.
pub(crate) fn fault(now_us: u64, text: impl FnOnce() -> String) {
    if IS_ON.get() {
        line(now_us, &text());
    }
}
