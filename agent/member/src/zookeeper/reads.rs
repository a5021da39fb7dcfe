//! Reads of the local, committed tree, and the watches they leave.

use bytes::Bytes;
use streamkeeper_base::SessionId;
use streamkeeper_base::znode::{ErrorCode, EventKind, Identity, WatchKind, perms};
use streamkeeper_tree::{Tree, WatcherId, Watches, is_valid, may};
use streamkeeper_wire::jute::{
    MultiOutcome, Read, ReplyHeader, SetWatches, put_acls, put_stat, put_string, put_strings, watch_event,
};

/// Who reads.
pub(crate) struct Reader<'a> {
    pub(crate) watcher: WatcherId,
    pub(crate) session: SessionId,
    pub(crate) who: &'a [Identity],
}

/// Notifications that go first, then the reply.
pub(crate) fn execute(
    tree: &Tree,
    watches: &mut Watches,
    reader: &Reader<'_>,
    xid: i32,
    zxid: i64,
    read: &Read,
) -> Vec<Bytes> {
    if let Read::SetWatches(wanted) = read {
        let mut frames = catch_up(tree, watches, reader, wanted);
        frames.push(ReplyHeader { xid, zxid, error: ErrorCode::OK }.frame(|_| {}));
        return frames;
    }
    let reply = match answer(tree, watches, reader, xid, zxid, read) {
        Ok(frame) => frame,
        Err(error) => ReplyHeader { xid, zxid, error }.frame(|_| {}),
    };
    vec![reply]
}

fn answer(
    tree: &Tree,
    watches: &mut Watches,
    reader: &Reader<'_>,
    xid: i32,
    zxid: i64,
    read: &Read,
) -> Result<Bytes, ErrorCode> {
    let header = ReplyHeader { xid, zxid, error: ErrorCode::OK };
    let (watcher, who) = (reader.watcher, reader.who);
    Ok(match read {
        Read::Exists { path, watch } => {
            check_path(path)?;
            let stat = tree.exists(path, who);
            // A missing node is watched as well: the watch fires when it is created.
            if *watch && stat != Err(ErrorCode::NO_AUTH) {
                watches.watch_data(watcher, path);
            }
            let stat = stat?;
            header.frame(|out| put_stat(out, &stat))
        }
        Read::GetData { path, watch } => {
            check_path(path)?;
            let (data, stat) = tree.data(path, who)?;
            if *watch {
                watches.watch_data(watcher, path);
            }
            header.frame(|out| {
                streamkeeper_wire::jute::put_buffer(out, data.as_deref());
                put_stat(out, &stat);
            })
        }
        Read::GetAcl { path } => {
            check_path(path)?;
            let (acl, stat) = tree.acl_and_stat(path, who)?;
            header.frame(|out| {
                put_acls(out, &acl);
                put_stat(out, &stat);
            })
        }
        Read::GetChildren { path, watch, with_stat } => {
            check_path(path)?;
            let (names, stat) = tree.children(path, who)?;
            if *watch {
                watches.watch_children(watcher, path);
            }
            header.frame(|out| {
                put_strings(out, names.iter().copied());
                if *with_stat {
                    put_stat(out, &stat);
                }
            })
        }
        other => answer_about(tree, watches, reader, header, other)?,
    })
}

/// Questions about the session, its watches and whole subtrees.
fn answer_about(
    tree: &Tree,
    watches: &mut Watches,
    reader: &Reader<'_>,
    header: ReplyHeader,
    read: &Read,
) -> Result<Bytes, ErrorCode> {
    let (watcher, who) = (reader.watcher, reader.who);
    Ok(match read {
        Read::GetEphemerals { prefix } => {
            let paths: Vec<&str> =
                tree.ephemerals(reader.session).filter(|p| p.starts_with(prefix)).collect();
            header.frame(|out| put_strings(out, paths.iter().copied()))
        }
        Read::GetAllChildrenNumber { path } => {
            check_path(path)?;
            let count = tree.descendants(path, who)?;
            header.frame(|out| bytes::BufMut::put_i32(out, count))
        }
        Read::WhoAmI => header.frame(|out| {
            bytes::BufMut::put_i32(out, i32::try_from(who.len()).unwrap_or(i32::MAX));
            for identity in who {
                put_string(out, &identity.scheme);
                put_string(out, identity.id.split_once(':').map_or(&identity.id, |(user, _)| user));
            }
        }),
        Read::AddWatch { path, recursive } => {
            check_path(path)?;
            watches.watch_persistently(watcher, path, *recursive);
            // ErrorResponse with code 0.
            header.frame(|out| bytes::BufMut::put_i32(out, 0))
        }
        Read::CheckWatches { path, kind } => {
            if !watches.has(watcher, path, *kind) {
                return Err(ErrorCode::NO_WATCHER);
            }
            header.frame(|_| {})
        }
        Read::RemoveWatches { path, kind } => {
            if !watches.remove(watcher, path, *kind) {
                return Err(ErrorCode::NO_WATCHER);
            }
            header.frame(|_| {})
        }
        Read::Multi(reads) => {
            let outcomes: Vec<MultiOutcome> = reads.iter().map(|read| one_of_many(tree, who, read)).collect();
            header.frame(|out| MultiOutcome::put_all(&outcomes, out))
        }
        Read::SetWatches(_)
        | Read::Exists { .. }
        | Read::GetData { .. }
        | Read::GetAcl { .. }
        | Read::GetChildren { .. } => return Err(ErrorCode::UNIMPLEMENTED),
    })
}

/// One read of a multiRead: it sets no watch, and its failure fails no other (ZOOKEEPER-1962).
fn one_of_many(tree: &Tree, who: &[Identity], read: &Read) -> MultiOutcome {
    let outcome = match read {
        Read::GetData { path, .. } => check_path(path)
            .and_then(|()| tree.data(path, who))
            .map(|(data, stat)| MultiOutcome::Data(data, stat)),
        Read::GetChildren { path, .. } => check_path(path)
            .and_then(|()| tree.children(path, who))
            .map(|(names, _)| MultiOutcome::Children(names.into_iter().map(str::to_owned).collect())),
        _ => Err(ErrorCode::UNIMPLEMENTED),
    };
    outcome.unwrap_or_else(MultiOutcome::Failed)
}

fn check_path(path: &str) -> Result<(), ErrorCode> {
    if is_valid(path, false) { Ok(()) } else { Err(ErrorCode::BAD_ARGUMENTS) }
}

/// What a reconnecting client missed fires at once, filtered by READ like every event; the rest is armed again.
fn catch_up(tree: &Tree, watches: &mut Watches, reader: &Reader<'_>, wanted: &SetWatches) -> Vec<Bytes> {
    // Catch-up events carry no zxid of their own.
    const NO_ZXID: i64 = -1;
    let mut frames = Vec::new();
    let relative = wanted.relative_zxid;
    let mut fire = |kind: EventKind, path: &str| {
        let acl = tree.acl_of_path(path);
        if kind == EventKind::Deleted || may(acl, perms::READ, reader.who) {
            frames.push(watch_event(kind, path, NO_ZXID));
        }
    };
    for path in &wanted.data {
        match tree.stat(path) {
            None => fire(EventKind::Deleted, path),
            Some(stat) if stat.mzxid > relative => fire(EventKind::DataChanged, path),
            Some(_) => watches.watch_data(reader.watcher, path),
        }
    }
    for path in &wanted.exist {
        match tree.stat(path) {
            Some(_) => fire(EventKind::Created, path),
            None => watches.watch_data(reader.watcher, path),
        }
    }
    for path in &wanted.child {
        match tree.stat(path) {
            None => fire(EventKind::Deleted, path),
            Some(stat) if stat.pzxid > relative => fire(EventKind::ChildrenChanged, path),
            Some(_) => watches.watch_children(reader.watcher, path),
        }
    }
    wanted.persistent.iter().for_each(|path| watches.watch_persistently(reader.watcher, path, false));
    wanted.recursive.iter().for_each(|path| watches.watch_persistently(reader.watcher, path, true));
    debug_assert!(wanted.persistent.iter().all(|p| watches.has(reader.watcher, p, WatchKind::Persistent)));
    frames
}
