//! Committed offsets: commits, fetches, deletion, expiry (KIP-211).
//!
//! Must not know: how members came to be. Read first: [`OffsetAndMetadata`], [`Coordinator::commit`].

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use streamkeeper_base::TopicId;

use crate::api::{Commit, Committed, Reply, RequestId};
use crate::coordinator::{Appending, Coordinator};
use crate::error;
use crate::group::{Group, State};
use crate::records::{self, Key, TEXT_BYTES_MAX};

/// Between two looks for offsets to expire (Kafka's `offsets.retention.check.interval.ms`).
const EXPIRY_INTERVAL: Duration = Duration::from_secs(600);

/// What a consumer committed for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetAndMetadata {
    /// The next offset to read.
    pub offset: i64,
    /// The leader epoch of the record before it; -1 for none.
    pub leader_epoch: i32,
    /// The consumer's own words.
    pub metadata: String,
    /// When, milliseconds since 1970.
    pub timestamp: i64,
    /// The topic it was committed for; zero where an older record does not say.
    pub topic_id: TopicId,
    /// When it expires, milliseconds since 1970, if its client said so (`retention_time_ms` of OffsetCommit 2 to 4); else the retention of
    /// all offsets counts.
    pub expires: Option<i64>,
}

/// An offset that is in the log, and by which append: what the log holds last is what counts.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) value: OffsetAndMetadata,
    pub(crate) token: u64,
}

type PartitionKey = (String, i32);

fn tombstone(group: &str, (topic, partition): &PartitionKey) -> (Bytes, Option<Bytes>) {
    let key = Key::Offset { group: group.to_owned(), topic: topic.clone(), partition: *partition };
    (records::encode_key(&key), None)
}

fn group_tombstone(group: &str) -> (Bytes, Option<Bytes>) {
    (records::encode_key(&Key::Group(group.to_owned())), None)
}

impl Coordinator {
    /// Commits offsets; answered by [`Reply::Committed`] when they are in the log.
    pub fn commit(&mut self, request: RequestId, commit: Commit) {
        let error = self.check_commit(&commit);
        if error != error::NONE {
            return self.reply(request, Reply::Committed { error, too_long: Vec::new() });
        }
        if let Some(group) = self.groups.get_mut(&commit.group) {
            group.touch(&commit.member, self.now);
        }
        let longest = self.config.metadata_bytes_max;
        let is_long = |text: &str| text.len() > TEXT_BYTES_MAX || text.encode_utf16().count() > longest;
        let (mut entries, mut too_long) = (Vec::new(), Vec::new());
        for (index, (topic, partition, offset)) in commit.offsets.iter().enumerate() {
            if is_long(&offset.metadata) {
                too_long.push(index);
                continue;
            }
            let key =
                Key::Offset { group: commit.group.clone(), topic: topic.clone(), partition: *partition };
            entries.push((records::encode_key(&key), Some(records::encode_offset(offset))));
        }
        if entries.is_empty() {
            return self.reply(request, Reply::Committed { error: error::NONE, too_long });
        }
        self.append(entries, Appending::Commit { request, commit, too_long });
    }

    fn check_commit(&self, commit: &Commit) -> i16 {
        if let Some(error) = self.unavailable() {
            return error;
        }
        if commit.group.len() > TEXT_BYTES_MAX {
            return error::INVALID_GROUP_ID;
        }
        if commit.offsets.iter().any(|(topic, ..)| topic.len() > TEXT_BYTES_MAX) {
            return error::INVALID_REQUEST;
        }
        match self.groups.get(&commit.group) {
            None if commit.generation >= 0 => error::ILLEGAL_GENERATION,
            None => error::NONE,
            Some(group) => group.check_commit(commit),
        }
    }

    /// A commit's records are in the log, or will not be.
    pub(crate) fn commit_appended(
        &mut self,
        token: u64,
        request: RequestId,
        commit: Commit,
        too_long: Vec<usize>,
        acknowledged: bool,
    ) {
        if acknowledged {
            let group = self.groups.entry(commit.group).or_default();
            for (index, (topic, partition, value)) in commit.offsets.into_iter().enumerate() {
                let key = (topic, partition);
                // A later append may be acknowledged first: the log's order decides.
                let is_newer = group.offsets.get(&key).is_none_or(|known| known.token <= token);
                if is_newer && !too_long.contains(&index) {
                    group.offsets.insert(key, Stored { value, token });
                }
            }
        }
        let error = if acknowledged { error::NONE } else { error::COORDINATOR_NOT_AVAILABLE };
        self.reply(request, Reply::Committed { error, too_long });
    }

    /// Committed offsets: of the wanted partitions, or all.
    ///
    /// # Errors
    /// Kafka's error number if this is not the group's coordinator now: never "no offset" from one that does not know
    /// yet (rule 43).
    pub fn fetch(&self, group: &str, wanted: Option<&[PartitionKey]>) -> Result<Vec<Committed>, i16> {
        if let Some(error) = self.unavailable() {
            return Err(error);
        }
        let known = self.groups.get(group);
        let offset_of = |key: &PartitionKey| known.and_then(|g| g.offsets.get(key)).map(|s| s.value.clone());
        Ok(match wanted {
            Some(keys) => keys.iter().map(|key| (key.0.clone(), key.1, offset_of(key))).collect(),
            None => known
                .into_iter()
                .flat_map(|g| g.offsets.iter().map(|(key, s)| (key.0.clone(), key.1, Some(s.value.clone()))))
                .collect(),
        })
    }

    /// Deletes a group without members; answered by [`Reply::Deleted`].
    pub fn delete(&mut self, request: RequestId, group: &str) {
        let error = match (self.unavailable(), self.groups.get(group)) {
            (Some(error), _) => error,
            (None, None) => error::GROUP_ID_NOT_FOUND,
            (None, Some(known)) if known.state != State::Empty => error::NON_EMPTY_GROUP,
            (None, Some(known)) => {
                let mut keys: BTreeSet<PartitionKey> = known.offsets.keys().cloned().collect();
                keys.extend(self.committing(group));
                let mut entries: Vec<_> = keys.iter().map(|key| tombstone(group, key)).collect();
                entries.push(group_tombstone(group));
                let appending = Appending::Delete { request, group: group.to_owned(), keys };
                return self.append(entries, appending);
            }
        };
        self.reply(request, Reply::Deleted { error });
    }

    /// A topic is gone: so are the offsets in it, lest a new one of its name begins in the middle.
    pub fn topic_deleted(&mut self, topic: &str) {
        if self.unavailable().is_some() {
            return;
        }
        let names: Vec<String> = self.groups.keys().cloned().collect();
        for name in names {
            let stored = self.groups.get(&name).into_iter().flat_map(|g| g.offsets.keys().cloned());
            let keys: BTreeSet<PartitionKey> =
                stored.chain(self.committing(&name)).filter(|key| key.0 == topic).collect();
            self.forget(&name, keys, false);
        }
    }

    /// Partitions with a commit under way.
    fn committing(&self, group: &str) -> BTreeSet<PartitionKey> {
        let of = |appending: &Appending| match appending {
            Appending::Commit { commit, .. } if commit.group == group => {
                commit.offsets.iter().map(|(topic, partition, _)| (topic.clone(), *partition)).collect()
            }
            _ => Vec::new(),
        };
        self.appending.values().flat_map(of).collect()
    }

    fn forget(&mut self, group: &str, keys: BTreeSet<PartitionKey>, with_group: bool) {
        let mut entries: Vec<_> = keys.iter().map(|key| tombstone(group, key)).collect();
        entries.extend(with_group.then(|| group_tombstone(group)));
        if !entries.is_empty() {
            self.append(entries, Appending::Forget { group: group.to_owned(), keys, with_group });
        }
    }

    /// Deletions are in the log: what they cover is gone, what was committed or joined since is not.
    pub(crate) fn forgotten(
        &mut self,
        token: u64,
        name: &str,
        keys: &BTreeSet<PartitionKey>,
        with_group: bool,
    ) {
        let Some(group) = self.groups.get_mut(name) else { return };
        group.offsets.retain(|key, stored| stored.token > token || !keys.contains(key));
        let is_void = group.state == State::Empty && group.offsets.is_empty() && group.promised.is_empty();
        if is_void && (with_group || group.generation == 0) {
            self.groups.remove(name);
        }
    }

    /// KIP-211: now and then, offsets whose group is empty, or does not subscribe to their topic, for too long.
    pub(crate) fn expire_offsets(&mut self) {
        if self.next_expiry.is_some_and(|at| self.now < at) {
            return;
        }
        self.next_expiry = Some(self.now + EXPIRY_INTERVAL);
        let retention = i64::try_from(self.config.offsets_retention.as_millis()).unwrap_or(i64::MAX);
        let horizon = self.wall_ms.saturating_sub(retention);
        let names: Vec<String> = self.groups.keys().cloned().collect();
        for name in names {
            let (Some(group), committing) = (self.groups.get(&name), self.committing(&name)) else {
                continue;
            };
            let mut keys = expired(group, self.wall_ms, horizon);
            keys.retain(|key| !committing.contains(key));
            let is_bare = group.state == State::Empty
                && group.promised.is_empty()
                && committing.is_empty()
                && keys.len() == group.offsets.len();
            if is_bare && group.generation == 0 && keys.is_empty() {
                // Only an id was promised: there is nothing of it in the log.
                self.groups.remove(&name);
                continue;
            }
            let with_group = is_bare && group.generation > 0;
            self.forget(&name, keys, with_group);
        }
    }
}

/// Offsets that nobody used since `horizon`, or whose client wanted them kept until `now` at most, wall-clock milliseconds.
fn expired(group: &Group, now: i64, horizon: i64) -> BTreeSet<PartitionKey> {
    let subscribed = match group.state {
        State::Empty => Some(BTreeSet::new()),
        State::Stable => group.subscribed_topics(),
        State::Preparing | State::Completing => None,
    };
    let Some(subscribed) = subscribed else { return BTreeSet::new() };
    let emptied = if group.state == State::Empty { group.empty_since_ms } else { i64::MIN };
    // A time of its own counts as before KIP-211, whenever the group emptied (Kafka's OffsetExpirationConditionImpl).
    let is_old = |value: &OffsetAndMetadata| match value.expires {
        Some(expires) => expires <= now,
        None => value.timestamp.max(emptied) <= horizon,
    };
    let of = |(key, stored): (&PartitionKey, &Stored)| {
        (is_old(&stored.value) && !subscribed.contains(&key.0)).then(|| key.clone())
    };
    group.offsets.iter().filter_map(of).collect()
}
