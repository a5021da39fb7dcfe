//! Sessions spread over the members that create, set, read, or mix.
//!
//! A closed loop keeps `--depth` requests of each session under way. An open loop (`--rate`) gives the sessions requests in turn, each
//! counted from when it was due. Read first: [`Load`], [`LoadArgs`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use streamkeeper_base::Random;
use streamkeeper_base::znode::Write;
use streamkeeper_wire::jute::{Read, Request};

use super::session::{Heard, Operation, Session};
use super::setup::{Setup, create};
use crate::engine::{self, Net, run};
use crate::measure::{Measure, Summary, Window};
use crate::schedule::Schedule;

/// What sessions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum What {
    /// Create new nodes, each session below a parent of its own.
    Create,
    /// Set data of the keys.
    Set,
    /// Read data of the keys.
    Get,
    /// Set or read, as `--writes` says.
    Mix,
}

/// How to load an ensemble.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// Addresses of the members, HOST:PORT, separated by commas; sessions are spread evenly.
    #[arg(long, short)]
    pub(crate) connect: String,
    #[command(flatten)]
    pub(crate) window: Window,
    /// What to do.
    #[arg(value_enum)]
    pub(crate) what: What,
    /// Sessions.
    #[arg(long, default_value_t = 64)]
    pub(crate) sessions: usize,
    /// Requests of one session under way.
    #[arg(long, default_value_t = 1)]
    pub(crate) depth: usize,
    /// Percent of writes in a mix.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=100))]
    pub(crate) writes: u64,
    /// Bytes of data per node.
    #[arg(long, default_value_t = 128)]
    pub(crate) data_bytes: usize,
    /// Nodes to set and read.
    #[arg(long, default_value_t = 1000)]
    pub(crate) keys: u64,
    /// Open loop: requests per second in all, each counted from when it was due.
    #[arg(long, conflicts_with = "count")]
    pub(crate) rate: Option<f64>,
    /// Open loop: go on when a member ends, on another one; what was under way is sent again.
    #[arg(long, requires = "rate")]
    pub(crate) survive: bool,
    /// After creates: fail unless exactly those nodes are there that were acknowledged.
    #[arg(long)]
    pub(crate) verify: bool,
}

const WRITE: usize = 0;
const READ: usize = 1;
/// Quiet sessions are looked for this often.
const PINGS_EVERY: Duration = Duration::from_secs(1);
/// How long all sessions may take to open.
const OPENING_PATIENCE: Duration = Duration::from_secs(60);

/// A run.
pub(crate) struct Load {
    args: LoadArgs,
    addresses: Vec<String>,
    root: String,
    data: Bytes,
    sessions: Vec<Session>,
    /// By connection number: whose it is.
    owners: Vec<usize>,
    /// Frames by key, with an empty number.
    sets: Vec<Bytes>,
    gets: Vec<Bytes>,
    random: Random,
    /// `None` while sessions are opened.
    measure: Option<Measure>,
    schedule: Option<Schedule>,
    /// Open loop: what fell due and waits for a session.
    waiting: VecDeque<Operation>,
    /// Whose turn it is.
    turn: usize,
    /// Requests that may still be sent, with `--count`.
    left: u64,
    created: u64,
    acknowledged: u64,
    pings_at: Instant,
    give_up: Instant,
}

impl Load {
    /// Runs until the window is over and everything is answered.
    pub(crate) fn run(args: LoadArgs) -> Result<Summary> {
        ensure!(
            args.sessions > 0 && args.depth > 0 && args.keys > 0,
            "sessions, depth and keys are at least 1"
        );
        let now = Instant::now();
        let nanos =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let mut random = Random::new(nanos as u64);
        let addresses: Vec<String> = args.connect.split(',').map(str::to_owned).collect();
        let mut load = Self {
            root: format!("/bench-{:08x}", random.next_u64() as u32),
            data: (0..args.data_bytes).map(|_| random.next_u64() as u8).collect(),
            sessions: (0..args.sessions).map(|i| Session::new(addresses.clone(), i, now)).collect(),
            addresses,
            owners: Vec::new(),
            sets: Vec::new(),
            gets: Vec::new(),
            random,
            measure: None,
            schedule: None,
            waiting: VecDeque::new(),
            turn: 0,
            left: args.window.count.unwrap_or(u64::MAX),
            created: 0,
            acknowledged: 0,
            pings_at: now,
            give_up: now + OPENING_PATIENCE,
            args,
        };
        load.set_up()?;
        run(&mut Net::new()?, &mut load)?;
        if load.args.verify && load.args.what == What::Create {
            load.verify()?;
        }
        let name = format!("{:?}", load.args.what).to_lowercase();
        load.measure.map_or_else(|| bail!("no session was opened"), |measure| measure.summary(&name))
    }

    fn set_up(&mut self) -> Result<()> {
        let mut setup = Setup::connect(&self.addresses[0])?;
        setup.make(std::iter::once(self.root.clone()), &Bytes::new())?;
        let root = &self.root;
        if self.args.what == What::Create {
            setup.make((0..self.args.sessions).map(|i| format!("{root}/s{i}")), &Bytes::new())?;
        } else {
            let keys: Vec<String> = (0..self.args.keys).map(|i| format!("{root}/k{i}")).collect();
            setup.make(keys.iter().cloned(), &self.data)?;
            let data = Some(self.data.clone());
            let set = |path: &String| Write::SetData { path: path.clone(), data: data.clone(), version: -1 };
            self.sets = keys.iter().map(|path| Request::Write(set(path)).encode(0)).collect();
            let get = |path: &String| Read::GetData { path: path.clone(), watch: false };
            self.gets = keys.iter().map(|path| Request::Read(get(path)).encode(0)).collect();
        }
        // Members that lag would not know the nodes yet.
        self.addresses.iter().try_for_each(|address| Setup::connect(address)?.sync(root))
    }

    /// Exactly the acknowledged nodes are there, on every member.
    fn verify(&self) -> Result<()> {
        let expected = self.acknowledged + self.args.sessions as u64;
        for address in &self.addresses {
            let mut setup = Setup::connect(address)?;
            setup.sync(&self.root)?;
            let found = setup.count_below(&self.root)?;
            ensure!(
                found == expected,
                "{address}: {found} nodes below {}, {expected} were acknowledged",
                self.root
            );
        }
        Ok(())
    }

    fn next_operation(&mut self, since: Instant) -> Operation {
        let kind = match self.args.what {
            What::Create | What::Set => WRITE,
            What::Get => READ,
            What::Mix if self.random.next_u64() % 100 < self.args.writes => WRITE,
            What::Mix => READ,
        };
        let number = if self.args.what == What::Create {
            self.created += 1;
            self.created
        } else {
            self.random.next_u64() % self.args.keys
        };
        Operation { kind, number, since }
    }

    fn send(&mut self, net: &mut Net, session: usize, operation: Operation) {
        let key = usize::try_from(operation.number).unwrap_or(0);
        let made;
        let frame = match (self.args.what, operation.kind) {
            (What::Create, _) => {
                let path = format!("{}/s{session}/n{:09}", self.root, operation.number);
                made = create(path, &self.data).encode(0);
                &made
            }
            (What::Set | What::Get | What::Mix, WRITE) => &self.sets[key],
            (What::Set | What::Get | What::Mix, _) => &self.gets[key],
        };
        self.sessions[session].send(net, frame, operation);
    }

    /// Closed loop: keeps the session busy.
    fn fill(&mut self, net: &mut Net, session: usize, now: Instant) {
        while self.left > 0
            && self.sessions[session].is_open()
            && self.sessions[session].under_way.len() < self.args.depth
        {
            self.left -= 1;
            let operation = self.next_operation(now);
            self.send(net, session, operation);
        }
    }

    /// Open loop: hands out what is due.
    fn hand_out(&mut self, net: &mut Net) {
        while !self.waiting.is_empty() {
            let count = self.sessions.len();
            let open =
                (0..count).map(|step| (self.turn + step) % count).find(|i| self.sessions[*i].is_open());
            let Some(session) = open else { return };
            self.turn = session + 1;
            let Some(operation) = self.waiting.pop_front() else { return };
            self.send(net, session, operation);
        }
    }

    fn connect(&mut self, net: &mut Net, now: Instant) -> Result<()> {
        for session in 0..self.sessions.len() {
            if let Some(at) = self.sessions[session].connect(net, now)? {
                debug_assert_eq!(at, self.owners.len(), "connections are numbered in order");
                self.owners.push(session);
            }
        }
        Ok(())
    }

    /// Begins to measure once all sessions are open.
    fn begin(&mut self, now: Instant) -> Result<()> {
        if self.sessions.iter().all(Session::is_open) {
            self.measure = Some(Measure::new(&self.args.window, &["write", "read"])?);
            self.schedule = self.args.rate.map(|rate| Schedule::new(rate, now));
        }
        ensure!(now < self.give_up, "not all sessions were opened in {} s", OPENING_PATIENCE.as_secs());
        Ok(())
    }

    fn fall_due(&mut self, now: Instant) -> Instant {
        let (Some(mut schedule), Some(mut measure)) = (self.schedule, self.measure.take()) else {
            return now;
        };
        while measure.is_open(now)
            && let Some(due) = schedule.pop(now)
        {
            let operation = self.next_operation(due);
            measure.falls_due(operation.kind, due);
            self.waiting.push_back(operation);
        }
        (self.schedule, self.measure) = (Some(schedule), Some(measure));
        schedule.peek()
    }
}

impl engine::Load for Load {
    fn frame(&mut self, net: &mut Net, at: usize, frame: Bytes, now: Instant) -> Result<()> {
        let session = self.owners[at];
        let (operation, error) = match self.sessions[session].hear(frame)? {
            Heard::Answer(operation, error) => (operation, error),
            Heard::Opened | Heard::Nothing => return Ok(()),
        };
        if error != 0 {
            ensure!(self.args.survive, "ZooKeeper's error {error}");
            self.waiting.push_front(operation);
            return Ok(());
        }
        self.acknowledged += 1;
        let (is_open_loop, bytes) = (self.schedule.is_some(), self.data.len() as u64);
        let Some(measure) = &mut self.measure else { return Ok(()) };
        if is_open_loop {
            measure.done_late(operation.kind, operation.since, now, bytes);
        } else {
            measure.done(operation.kind, operation.since, now, 1, bytes);
            if measure.is_open(now) {
                self.fill(net, session, now);
            }
        }
        Ok(())
    }

    fn closed(&mut self, _net: &mut Net, at: usize, reason: &str) -> Result<()> {
        let session = self.owners[at];
        if self.measure.is_some() {
            ensure!(self.args.survive, "a session's connection ended: {reason}");
        }
        let now = Instant::now();
        self.sessions[session].lost(now);
        for (_, operation) in std::mem::take(&mut self.sessions[session].under_way).into_iter().rev() {
            self.waiting.push_front(operation);
        }
        Ok(())
    }

    fn turn(&mut self, net: &mut Net, now: Instant) -> Result<Option<Instant>> {
        let soon = now + Duration::from_millis(10);
        if self.measure.is_none() || self.args.survive {
            self.connect(net, now)?;
        }
        if self.measure.is_none() {
            self.begin(now)?;
        }
        if now >= self.pings_at {
            self.pings_at = now + PINGS_EVERY;
            self.sessions.iter_mut().for_each(|session| session.ping(net, now));
        }
        let Some(measure) = &mut self.measure else { return Ok(Some(soon)) };
        measure.turn(now)?;
        let (is_open, is_drained) = (measure.is_open(now), measure.is_drained(now)?);
        let idle = self.waiting.is_empty() && self.sessions.iter().all(|s| s.under_way.is_empty());
        if !is_open && is_drained && idle {
            return Ok(None);
        }
        let mut wake = if is_open { self.pings_at } else { soon };
        if self.schedule.is_some() {
            wake = wake.min(self.fall_due(now));
            self.hand_out(net);
        } else if is_open {
            (0..self.sessions.len()).for_each(|session| self.fill(net, session, now));
        }
        Ok(Some(if self.args.survive { wake.min(soon) } else { wake }))
    }
}
