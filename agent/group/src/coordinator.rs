//! The coordinator: requests in, replies and appends out.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use streamkeeper_base::Instant;

use crate::classic::Group;
use crate::error;
use crate::offsets::OffsetAndMetadata;
use crate::records::{self, Key};

/// A request, as the owner numbers it.
pub type RequestId = u64;

/// Times and bounds.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// A group that begins waits this long for more members (`group.initial.rebalance.delay.ms`).
    pub initial_rebalance_delay: Duration,
    /// Session timeouts that members may ask for, milliseconds.
    pub session_timeout_ms: (i32, i32),
    /// Bytes of a commit's metadata (`offset.metadata.max.bytes`).
    pub metadata_bytes_max: usize,
}

/// A member wants to be in.
#[derive(Clone, Debug, Default)]
pub struct Join {
    /// The group.
    pub group: String,
    /// Empty for a new member.
    pub member: String,
    /// Its static name (KIP-345).
    pub instance: Option<String>,
    /// What it calls itself.
    pub client_id: String,
    /// Where it comes from.
    pub client_host: String,
    /// Milliseconds.
    pub session_timeout_ms: i32,
    /// Milliseconds.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, most often.
    pub protocol_type: String,
    /// By preference.
    pub protocols: Vec<(String, Bytes)>,
    /// False for old versions that cannot be told to come back with an id (before 4).
    pub can_require_id: bool,
}

/// A member brings, or asks for, assignments.
#[derive(Clone, Debug, Default)]
pub struct Sync {
    /// The group.
    pub group: String,
    /// The generation.
    pub generation: i32,
    /// The member.
    pub member: String,
    /// Its static name.
    pub instance: Option<String>,
    /// By member; only the leader brings any.
    pub assignments: Vec<(String, Bytes)>,
}

/// One member that leaves.
#[derive(Clone, Debug, Default)]
pub struct Leave {
    /// Its id; may be empty with a static name.
    pub member: String,
    /// Its static name.
    pub instance: Option<String>,
}

/// Offsets to be committed.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The group.
    pub group: String,
    /// -1 for a consumer without a membership.
    pub generation: i32,
    /// The member; empty without a membership.
    pub member: String,
    /// Its static name.
    pub instance: Option<String>,
    /// Topic, partition, what is committed.
    pub offsets: Vec<(String, i32, OffsetAndMetadata)>,
}

/// A committed offset that was asked for: topic, partition, the offset if there is one.
pub type Committed = (String, i32, Option<OffsetAndMetadata>);

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To a join.
    Joined {
        /// Kafka's error number.
        error: i16,
        /// The generation.
        generation: i32,
        /// The protocol's type.
        protocol_type: Option<String>,
        /// The protocol chosen.
        protocol: Option<String>,
        /// The leading member.
        leader: String,
        /// The member's id.
        member: String,
        /// For the leader: all members with their static names and subscriptions.
        members: Vec<(String, Option<String>, Bytes)>,
        /// True if the leader need not assign anew.
        skip_assignment: bool,
    },
    /// To a sync.
    Synced {
        /// Kafka's error number.
        error: i16,
        /// The protocol's type.
        protocol_type: Option<String>,
        /// The protocol chosen.
        protocol: Option<String>,
        /// What the member was given.
        assignment: Bytes,
    },
    /// To a commit: one error for all, and one for each whose metadata is too long.
    Committed {
        /// Kafka's error number.
        error: i16,
    },
    /// To the deletion of a group.
    Deleted {
        /// Kafka's error number.
        error: i16,
    },
}

/// What the owner must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answer.
    Reply {
        /// Whom.
        request: RequestId,
        /// What.
        reply: Reply,
    },
    /// Append records with acks=all, then [`Coordinator::appended`].
    Append {
        /// Comes back.
        token: u64,
        /// Key and value; no value deletes.
        records: Vec<(Bytes, Option<Bytes>)>,
    },
}

/// A group for `describe`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// Kafka's error number.
    pub error: i16,
    /// Kafka's name of the state.
    pub state: &'static str,
    /// The protocol's type.
    pub protocol_type: String,
    /// The protocol chosen.
    pub protocol: String,
    /// The members.
    pub members: Vec<DescribedMember>,
}

/// A member for `describe`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub id: String,
    /// Its static name.
    pub instance: Option<String>,
    /// What it calls itself.
    pub client_id: String,
    /// Where it comes from.
    pub client_host: String,
    /// What it subscribes to.
    pub subscription: Bytes,
    /// What it was given.
    pub assignment: Bytes,
}

/// A group for `list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The group.
    pub group: String,
    /// The protocol's type.
    pub protocol_type: String,
    /// Kafka's name of the state.
    pub state: &'static str,
}

/// What an append under way will answer.
#[derive(Debug)]
pub(crate) enum Appending {
    Commit { request: RequestId, commit: Commit },
    Assignment { group: String, generation: i32 },
    Delete { request: RequestId, group: String },
    Other,
}

/// The groups of one partition.
#[derive(Debug)]
pub struct Coordinator {
    pub(crate) config: Config,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) appending: BTreeMap<u64, Appending>,
    next_token: u64,
    next_member: u64,
    /// Makes member ids of one coordinator's life differ from another's.
    salt: u64,
    loaded: bool,
    pub(crate) now: Instant,
    pub(crate) wall_ms: i64,
    pub(crate) out: Vec<Action>,
}

/// The partition of `__consumer_offsets` that a group belongs to: Java's hash of its name.
pub fn partition_for(group: &str, partitions: i32) -> i32 {
    let hash =
        group.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & i32::MAX) % partitions.max(1)
}

impl Coordinator {
    /// A coordinator that has loaded nothing yet.
    pub fn new(config: Config, salt: u64) -> Self {
        Self {
            config,
            groups: BTreeMap::new(),
            appending: BTreeMap::new(),
            next_token: 0,
            next_member: 0,
            salt,
            loaded: false,
            now: Instant::ZERO,
            wall_ms: 0,
            out: Vec::new(),
        }
    }

    /// The clocks, before each request.
    pub fn set_time(&mut self, now: Instant, wall_ms: i64) {
        self.now = now;
        self.wall_ms = wall_ms;
    }

    /// One record of the partition, in order.
    pub fn replay(&mut self, key: Bytes, value: Option<Bytes>) {
        match (records::decode_key(key), value) {
            (Some(Key::Offset { group, topic, partition }), Some(value)) => {
                if let Some(offset) = records::decode_offset(value) {
                    self.groups.entry(group).or_default().offsets.insert((topic, partition), offset);
                }
            }
            (Some(Key::Offset { group, topic, partition }), None) => {
                if let Some(known) = self.groups.get_mut(&group) {
                    known.offsets.remove(&(topic, partition));
                }
            }
            (Some(Key::Group(group)), Some(value)) => {
                if let Some(record) = records::decode_group(value) {
                    self.groups.entry(group).or_default().restore(&record);
                }
            }
            (Some(Key::Group(group)), None) => {
                self.groups.remove(&group);
            }
            (None, _) => {}
        }
    }

    /// Everything was replayed: requests are served from now on, and every member has a full session from now.
    pub fn loaded(&mut self, now: Instant) {
        self.now = now;
        self.loaded = true;
        self.groups.values_mut().for_each(|group| group.renew_sessions(now));
    }

    /// True once everything was replayed.
    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// What is to be done since the last call.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.out)
    }

    pub(crate) fn member_id(&mut self, client_id: &str) -> String {
        self.next_member += 1;
        let client = if client_id.is_empty() { "member" } else { client_id };
        format!("{client}-{:016x}-{:08x}-0000-0000-0000", self.salt, self.next_member)
    }

    pub(crate) fn append(&mut self, records: Vec<(Bytes, Option<Bytes>)>, appending: Appending) {
        self.next_token += 1;
        self.appending.insert(self.next_token, appending);
        self.out.push(Action::Append { token: self.next_token, records });
    }

    pub(crate) fn reply(&mut self, request: RequestId, reply: Reply) {
        self.out.push(Action::Reply { request, reply });
    }

    /// An append of [`Action::Append`] is acknowledged, or will not be.
    pub fn appended(&mut self, token: u64, acknowledged: bool) {
        match self.appending.remove(&token) {
            Some(Appending::Commit { request, commit }) => {
                if acknowledged {
                    let group = self.groups.entry(commit.group).or_default();
                    for (topic, partition, offset) in commit.offsets {
                        group.offsets.insert((topic, partition), offset);
                    }
                }
                let error = if acknowledged { error::NONE } else { error::COORDINATOR_NOT_AVAILABLE };
                self.reply(request, Reply::Committed { error });
            }
            Some(Appending::Assignment { group, generation }) => {
                self.assignment_appended(&group, generation, acknowledged);
            }
            Some(Appending::Delete { request, group }) => {
                if acknowledged {
                    self.groups.remove(&group);
                }
                let error = if acknowledged { error::NONE } else { error::COORDINATOR_NOT_AVAILABLE };
                self.reply(request, Reply::Deleted { error });
            }
            Some(Appending::Other) | None => {}
        }
    }

    /// Commits offsets; answered by [`Reply::Committed`] when they are in the log.
    pub fn commit(&mut self, request: RequestId, commit: Commit) {
        let error = self.check_commit(&commit);
        if error != error::NONE {
            return self.reply(request, Reply::Committed { error });
        }
        if let Some(group) = self.groups.get_mut(&commit.group) {
            group.touch(&commit.member, self.now);
        }
        let record = |(topic, partition, offset): &(String, i32, OffsetAndMetadata)| {
            let key =
                Key::Offset { group: commit.group.clone(), topic: topic.clone(), partition: *partition };
            (records::encode_key(&key), Some(records::encode_offset(offset)))
        };
        let records: Vec<_> = commit.offsets.iter().map(record).collect();
        if records.is_empty() {
            return self.reply(request, Reply::Committed { error: error::NONE });
        }
        self.append(records, Appending::Commit { request, commit });
    }

    fn check_commit(&self, commit: &Commit) -> i16 {
        if !self.loaded {
            return error::COORDINATOR_LOAD_IN_PROGRESS;
        }
        let known = self.groups.get(&commit.group);
        let too_long =
            commit.offsets.iter().any(|(_, _, o)| o.metadata.len() > self.config.metadata_bytes_max);
        if too_long {
            return error::OFFSET_METADATA_TOO_LARGE;
        }
        match known {
            None if commit.generation >= 0 => error::ILLEGAL_GENERATION,
            None => error::NONE,
            Some(group) => group.check_commit(commit),
        }
    }

    /// Committed offsets: of the wanted partitions, or all.
    pub fn fetch(&self, group: &str, wanted: Option<&[(String, i32)]>) -> Result<Vec<Committed>, i16> {
        if !self.loaded {
            // Never "no offset" from a coordinator that does not know yet (rule 43).
            return Err(error::COORDINATOR_LOAD_IN_PROGRESS);
        }
        let known = self.groups.get(group);
        let offset_of = |key: &(String, i32)| known.and_then(|g| g.offsets.get(key)).cloned();
        Ok(match wanted {
            Some(keys) => keys.iter().map(|key| (key.0.clone(), key.1, offset_of(key))).collect(),
            None => known
                .into_iter()
                .flat_map(|g| g.offsets.iter().map(|(key, o)| (key.0.clone(), key.1, Some(o.clone()))))
                .collect(),
        })
    }

    /// Groups for `list`.
    pub fn list(&self) -> Vec<Listed> {
        let listed = |(name, group): (&String, &Group)| Listed {
            group: name.clone(),
            protocol_type: group.protocol_type.clone(),
            state: group.state_name(),
        };
        self.groups.iter().map(listed).collect()
    }

    /// Deletes a group without members; answered by [`Reply::Deleted`].
    pub fn delete(&mut self, request: RequestId, group: &str) {
        let error = match self.groups.get(group) {
            _ if !self.loaded => error::COORDINATOR_LOAD_IN_PROGRESS,
            None => error::GROUP_ID_NOT_FOUND,
            Some(known) if !known.members.is_empty() => error::NON_EMPTY_GROUP,
            Some(known) => {
                let mut records: Vec<(Bytes, Option<Bytes>)> = known
                    .offsets
                    .keys()
                    .map(|(topic, partition)| {
                        let key = Key::Offset {
                            group: group.to_owned(),
                            topic: topic.clone(),
                            partition: *partition,
                        };
                        (records::encode_key(&key), None)
                    })
                    .collect();
                records.push((records::encode_key(&Key::Group(group.to_owned())), None));
                return self.append(records, Appending::Delete { request, group: group.to_owned() });
            }
        };
        self.reply(request, Reply::Deleted { error });
    }

    /// This member does not coordinate any more: everyone who waits looks elsewhere.
    pub fn resign(&mut self) {
        let groups: Vec<String> = self.groups.keys().cloned().collect();
        groups.iter().for_each(|name| self.fail_waiting(name, error::NOT_COORDINATOR));
        for (_, appending) in std::mem::take(&mut self.appending) {
            match appending {
                Appending::Commit { request, .. } => {
                    self.reply(request, Reply::Committed { error: error::NOT_COORDINATOR });
                }
                Appending::Delete { request, .. } => {
                    self.reply(request, Reply::Deleted { error: error::NOT_COORDINATOR });
                }
                Appending::Assignment { .. } | Appending::Other => {}
            }
        }
    }
}
