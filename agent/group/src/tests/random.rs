//! Members, timeouts and leader changes at random; the group contract and the log's word hold at every step.

use std::collections::{BTreeMap, BTreeSet};

use streamkeeper_base::Random;

use super::*;

const PARTITIONS: u8 = 6;
type Log = Vec<(Bytes, Option<Bytes>)>;

/// A client as far as this test needs one.
#[derive(Default)]
struct Client {
    id: String,
    generation: i32,
    instance: Option<String>,
    waits: Option<u64>,
}

struct World {
    c: Coordinator,
    random: Random,
    log: Log,
    appends: Vec<(u64, Log)>,
    clients: Vec<Client>,
    asked: BTreeMap<u64, usize>,
    commits: BTreeMap<u64, i64>,
    next: u64,
    now_ms: u64,
    /// What each generation's members were given; a new coordinator may repeat one, never differ.
    owners: BTreeMap<i32, BTreeMap<u8, String>>,
    members: BTreeMap<i32, BTreeSet<String>>,
    /// The last acknowledged commit, and all that the log may hold after it.
    acknowledged: i64,
    lives: u64,
    synced: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let clients = (0..4)
            .map(|n| Client { instance: (n == 0).then(|| "static".to_owned()), ..Client::default() })
            .collect();
        let mut c = Coordinator::new(config(), random.next_u64());
        c.loaded(Instant::ZERO);
        Self {
            c,
            random,
            log: Vec::new(),
            appends: Vec::new(),
            clients,
            asked: BTreeMap::new(),
            commits: BTreeMap::new(),
            next: 0,
            now_ms: 0,
            owners: BTreeMap::new(),
            members: BTreeMap::new(),
            acknowledged: -1,
            lives: 0,
            synced: 0,
        }
    }

    fn step(&mut self) {
        let n = usize::try_from(self.random.below(self.clients.len() as u64)).expect("small");
        match self.random.below(100) {
            0..40 => self.client(n),
            40..55 => self.commit(n),
            55..75 => self.append(),
            75..97 => self.time(),
            97 => {
                self.clients[n] = Client { instance: self.clients[n].instance.clone(), ..Client::default() }
            }
            98 => self.leave(n),
            _ => self.change_leader(),
        }
        self.answers();
    }

    fn client(&mut self, n: usize) {
        if self.clients[n].waits.is_some() {
            return;
        }
        let (id, instance) = (self.clients[n].id.clone(), self.clients[n].instance.clone());
        if self.clients[n].generation > 0 {
            let generation = self.clients[n].generation;
            let error = self.c.heartbeat("g", generation, &id, instance.as_deref());
            if error != error::NONE {
                self.refused(n, error);
            }
            return;
        }
        self.next += 1;
        let request = self.next;
        self.clients[n].waits = Some(request);
        self.asked.insert(request, n);
        self.c.join(request, Join { rebalance_timeout_ms: 300, ..join(&id, instance.as_deref()) });
    }

    fn commit(&mut self, n: usize) {
        let client = &self.clients[n];
        if client.generation <= 0 || client.waits.is_some() {
            return;
        }
        self.next += 1;
        let offset = i64::try_from(self.next).expect("small");
        self.commits.insert(self.next, offset);
        let mut commit = commit(client.generation, &client.id, offset, "");
        commit.instance.clone_from(&client.instance);
        self.c.commit(self.next, commit);
    }

    fn append(&mut self) {
        if self.appends.is_empty() {
            return;
        }
        let (token, records) = self.appends.remove(0);
        // The log keeps what timed out, too.
        self.log.extend(records);
        let acknowledged = !self.random.percent(5);
        self.c.appended(token, acknowledged);
    }

    fn time(&mut self) {
        self.now_ms += self.random.below(120);
        at(&mut self.c, self.now_ms);
    }

    fn leave(&mut self, n: usize) {
        let leave = Leave { member: self.clients[n].id.clone(), instance: self.clients[n].instance.clone() };
        if self.c.leave("g", &[leave]).is_ok_and(|errors| errors == [error::NONE]) {
            self.refused(n, error::UNKNOWN_MEMBER_ID);
        }
    }

    fn change_leader(&mut self) {
        let before = self.c.fetch("g", None);
        self.c.resign();
        self.answers();
        assert!(self.asked.is_empty() && self.commits.is_empty(), "everyone was told");
        // Of what was under way some is in the log, some is not, in order.
        let survive = usize::try_from(self.random.below(self.appends.len() as u64 + 1)).expect("small");
        let kept: Vec<_> = self.appends.drain(..).take(survive).collect();
        kept.into_iter().for_each(|(_, records)| self.log.extend(records));
        self.lives += 1;
        let mut next = Coordinator::new(config(), self.random.next_u64());
        self.log.iter().for_each(|(key, value)| next.replay(key.clone(), value.clone()));
        next.loaded(Instant::from_micros(self.now_ms * 1000));
        let offset = |found: &Result<Vec<crate::Committed>, i16>| {
            found.as_ref().expect("loaded").first().and_then(|(.., o)| o.as_ref()).map_or(-1, |o| o.offset)
        };
        let after = next.fetch("g", None);
        assert!(offset(&after) >= self.acknowledged, "an acknowledged commit is lost");
        assert!(offset(&after) >= offset(&before), "a committed offset fell");
        self.c = next;
    }

    fn refused(&mut self, n: usize, error: i16) {
        let client = &mut self.clients[n];
        client.generation = 0;
        if matches!(error, error::UNKNOWN_MEMBER_ID | error::FENCED_INSTANCE_ID) {
            client.id.clear();
        }
    }

    fn answers(&mut self) {
        for action in self.c.take_actions() {
            match action {
                Action::Append { token, records } => self.appends.push((token, records)),
                Action::Reply { request, reply } => self.answered(request, reply),
            }
        }
    }

    fn answered(&mut self, request: u64, reply: Reply) {
        if let Some(offset) = self.commits.remove(&request) {
            if matches!(reply, Reply::Committed { error: error::NONE, .. }) {
                self.acknowledged = self.acknowledged.max(offset);
            }
            return;
        }
        let n = self.asked.remove(&request).expect("every request is answered once");
        if self.clients[n].waits != Some(request) {
            return; // The client restarted meanwhile.
        }
        self.clients[n].waits = None;
        match reply {
            Reply::Joined { error: error::MEMBER_ID_REQUIRED, member, .. } => self.clients[n].id = member,
            Reply::Joined { error: error::NONE, generation, member, members, .. } => {
                self.clients[n].id = member;
                self.sync(n, generation, &members);
            }
            Reply::Synced { error: error::NONE, assignment, .. } => self.owns(n, &assignment),
            Reply::Joined { error, .. } | Reply::Synced { error, .. } => self.refused(n, error),
            other => panic!("{other:?}"),
        }
    }

    fn sync(&mut self, n: usize, generation: i32, members: &[(String, Option<String>, Bytes)]) {
        let count = u8::try_from(members.len()).expect("few");
        let part = |k: u8| Bytes::from((0..PARTITIONS).filter(|p| p % count == k).collect::<Vec<u8>>());
        let assignments: Vec<_> =
            members.iter().zip(0..).map(|((id, ..), k)| (id.clone(), part(k))).collect();
        if count > 0 {
            self.members.insert(generation, members.iter().map(|(id, ..)| id.clone()).collect());
        }
        self.next += 1;
        let client = &mut self.clients[n];
        client.generation = generation;
        client.waits = Some(self.next);
        self.asked.insert(self.next, n);
        let (member, instance) = (client.id.clone(), client.instance.clone());
        let group = "g".into();
        self.c.sync(self.next, Sync { group, generation, member, instance, assignments, ..Sync::default() });
    }

    /// The group contract: within a generation a partition has at most one owner. A static name owns, not its id.
    fn owns(&mut self, n: usize, assignment: &Bytes) {
        self.synced += 1;
        let client = &self.clients[n];
        let name = client.instance.clone().unwrap_or_else(|| client.id.clone());
        let owners = self.owners.entry(client.generation).or_default();
        for partition in assignment {
            let owner = owners.entry(*partition).or_insert_with(|| name.clone());
            assert_eq!(*owner, name, "two owners of {partition} in generation {}", client.generation);
        }
    }
}

#[test]
fn the_group_contract_holds_at_random() {
    let mut synced = 0;
    for seed in 0..150 {
        let mut world = World::new(seed);
        (0..1500).for_each(|_| world.step());
        synced += world.synced;
        // Then calm: without faults everyone gets in, and the partitions are all owned.
        for _ in 0..600 {
            (0..world.clients.len()).for_each(|n| world.client(n));
            world.answers();
            while !world.appends.is_empty() {
                let (token, records) = world.appends.remove(0);
                world.log.extend(records);
                world.c.appended(token, true);
                world.answers();
            }
            world.now_ms += 50;
            at(&mut world.c, world.now_ms);
            world.answers();
        }
        let described = world.c.describe("g");
        assert_eq!((described.state, described.members.len()), ("Stable", 4), "seed {seed}");
        let owned: BTreeSet<u8> = described.members.iter().flat_map(|m| m.assignment.to_vec()).collect();
        assert_eq!(owned, (0..PARTITIONS).collect(), "seed {seed}: the union is all partitions");
        let mut after = Coordinator::new(config(), seed);
        world.log.iter().for_each(|(key, value)| after.replay(key.clone(), value.clone()));
        after.loaded(Instant::ZERO);
        assert_eq!(after.describe("g"), described, "seed {seed}");
    }
    assert!(synced > 1000, "the run must reach assignments often: {synced}");
}
