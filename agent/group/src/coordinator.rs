//! The coordinator itself: loading, appends under way, resigning.
//!
//! Must not know: the steps of the protocol, which are in the files named after them. Read first: [`Coordinator`].

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use streamkeeper_base::{Instant, Random};

use crate::api::{Action, Commit, Config, Reply, RequestId};
use crate::error;
use crate::group::Group;
use crate::join::refused;
use crate::offsets::Stored;
use crate::records::{self, Key};
use crate::sync::unsynced;

/// Bytes of a client's own name that its member id keeps.
const MEMBER_ID_NAME_BYTES_MAX: usize = 1024;

/// What an append under way will answer.
#[derive(Debug)]
pub(crate) enum Appending {
    Commit { request: RequestId, commit: Commit, too_long: Vec<usize> },
    Assignment { group: String },
    Join { request: RequestId, reply: Reply },
    Delete { request: RequestId, group: String, keys: BTreeSet<(String, i32)> },
    Forget { group: String, keys: BTreeSet<(String, i32)>, with_group: bool },
    Other,
}

/// How far a coordinator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Loading,
    Serving,
    Resigned,
}

/// The groups of one partition.
#[derive(Debug)]
pub struct Coordinator {
    pub(crate) config: Config,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) appending: BTreeMap<u64, Appending>,
    /// Begins at random: an append of an earlier life of this partition's coordinator must not be taken for one of this.
    last_token: u64,
    random: Random,
    life: Life,
    pub(crate) now: Instant,
    pub(crate) wall_ms: i64,
    /// Nothing is due before; may be early, never late.
    pub(crate) next_due: Option<Instant>,
    pub(crate) next_expiry: Option<Instant>,
    out: Vec<Action>,
}

/// The partition of `__consumer_offsets` that a group belongs to: Java's hash of its name.
pub fn partition_for(group: &str, partitions: i32) -> i32 {
    let hash =
        group.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & i32::MAX) % partitions.max(1)
}

impl Coordinator {
    /// A coordinator that has loaded nothing yet. `salt` differs for every coordinator there ever is: member ids and
    /// tokens come from it.
    pub fn new(config: Config, salt: u64) -> Self {
        let mut random = Random::new(salt);
        Self {
            config,
            groups: BTreeMap::new(),
            appending: BTreeMap::new(),
            last_token: random.next_u64() >> 1,
            random,
            life: Life::Loading,
            now: Instant::ZERO,
            wall_ms: 0,
            next_due: None,
            next_expiry: None,
            out: Vec::new(),
        }
    }

    /// Other times and bounds from here on; what runs already keeps its time.
    pub fn set_config(&mut self, config: Config) {
        if config.offsets_retention != self.config.offsets_retention {
            // The last look was by the other time.
            self.next_expiry = None;
        }
        self.config = config;
    }

    /// Times and bounds.
    pub fn config(&self) -> Config {
        self.config
    }

    /// The clocks, before each request.
    pub fn set_time(&mut self, now: Instant, wall_ms: i64) {
        self.now = now;
        self.wall_ms = wall_ms;
    }

    /// One record of the partition, in order.
    pub fn replay(&mut self, key: Bytes, value: Option<Bytes>) {
        assert_eq!(self.life, Life::Loading, "records are replayed before anything is served");
        match (records::decode_key(key), value) {
            (Some(Key::Offset { group, topic, partition }), Some(value)) => {
                if let Some(value) = records::decode_offset(value) {
                    let stored = Stored { value, token: 0 };
                    self.groups.entry(group).or_default().offsets.insert((topic, partition), stored);
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
                if let Some(known) = self.groups.get_mut(&group) {
                    known.forget_members();
                }
            }
            (None, _) => {}
        }
    }

    /// Everything was replayed: requests are served from now on, and every member has a full session from now.
    pub fn loaded(&mut self, now: Instant) {
        assert_eq!(self.life, Life::Loading, "a coordinator loads once");
        self.now = now;
        self.life = Life::Serving;
        self.groups.retain(|_, g| g.generation > 0 || !g.offsets.is_empty());
        for group in self.groups.values_mut() {
            group.renew_sessions(now);
            group.check();
        }
        self.next_due = self.groups.values().filter_map(Group::due).min();
    }

    /// True once everything was replayed.
    pub fn is_loaded(&self) -> bool {
        self.life == Life::Serving
    }

    /// The error of every request while this does not coordinate.
    pub(crate) fn unavailable(&self) -> Option<i16> {
        match self.life {
            Life::Loading => Some(error::COORDINATOR_LOAD_IN_PROGRESS),
            Life::Serving => None,
            Life::Resigned => Some(error::NOT_COORDINATOR),
        }
    }

    /// What is to be done since the last call.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.out)
    }

    /// A member id that no coordinator gave out before: a name and a random UUID, as Kafka's.
    pub(crate) fn member_id(&mut self, name: &str) -> String {
        let name = if name.is_empty() { "member" } else { name };
        let name = &name[..name.floor_char_boundary(MEMBER_ID_NAME_BYTES_MAX)];
        let bits = u128::from_be_bytes(self.random.bytes16());
        // RFC 9562: version 4, variant 10.
        let bits = (bits & !(0xF << 76) & !(0b11 << 62)) | (0x4 << 76) | (0b10 << 62);
        let hex = format!("{bits:032x}");
        let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        format!("{name}-{a}-{b}-{c}-{d}-{e}")
    }

    /// The token that the next append will have.
    pub(crate) fn next_token(&self) -> u64 {
        self.last_token + 1
    }

    pub(crate) fn append(&mut self, records: Vec<(Bytes, Option<Bytes>)>, appending: Appending) {
        assert!(!records.is_empty(), "an append of nothing is never acknowledged");
        self.last_token += 1;
        self.appending.insert(self.last_token, appending);
        self.out.push(Action::Append { token: self.last_token, records });
    }

    pub(crate) fn reply(&mut self, request: RequestId, reply: Reply) {
        self.out.push(Action::Reply { request, reply });
    }

    /// After each step: a group's invariants hold, and its next deadline is not slept through.
    pub(crate) fn settle(&mut self, name: &str) {
        let Some(group) = self.groups.get(name) else { return };
        group.check();
        self.next_due = self.next_due.into_iter().chain(group.due()).min();
    }

    /// An append of [`Action::Append`] is acknowledged, or will not be. Tokens that are not this coordinator's are ignored.
    pub fn appended(&mut self, token: u64, acknowledged: bool) {
        let error = if acknowledged { error::NONE } else { error::COORDINATOR_NOT_AVAILABLE };
        match self.appending.remove(&token) {
            Some(Appending::Commit { request, commit, too_long }) => {
                self.commit_appended(token, request, commit, too_long, acknowledged);
            }
            Some(Appending::Assignment { group }) => self.assignment_appended(token, &group, acknowledged),
            Some(Appending::Join { request, reply }) => {
                self.reply(request, if acknowledged { reply } else { refused(error, "") });
            }
            Some(Appending::Delete { request, group, keys }) => {
                if acknowledged {
                    self.forgotten(token, &group, &keys, true);
                }
                self.reply(request, Reply::Deleted { error });
            }
            Some(Appending::Forget { group, keys, with_group }) => {
                if acknowledged {
                    self.forgotten(token, &group, &keys, with_group);
                }
            }
            Some(Appending::Other) | None => {}
        }
    }

    /// This member does not coordinate any more: everyone who waits looks elsewhere.
    pub fn resign(&mut self) {
        self.life = Life::Resigned;
        let error = error::NOT_COORDINATOR;
        let mut replies = Vec::new();
        for group in std::mem::take(&mut self.groups).into_values() {
            for member in group.members.into_values() {
                replies.extend(member.joining.map(|request| (request, refused(error, ""))));
                replies.extend(member.syncing.map(|request| (request, unsynced(error))));
            }
        }
        for appending in std::mem::take(&mut self.appending).into_values() {
            match appending {
                Appending::Commit { request, .. } => {
                    replies.push((request, Reply::Committed { error, too_long: Vec::new() }));
                }
                Appending::Join { request, .. } => replies.push((request, refused(error, ""))),
                Appending::Delete { request, .. } => replies.push((request, Reply::Deleted { error })),
                Appending::Assignment { .. } | Appending::Forget { .. } | Appending::Other => {}
            }
        }
        replies.into_iter().for_each(|(request, reply)| self.reply(request, reply));
    }
}
