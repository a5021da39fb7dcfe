//! Producers: one connection per broker and `--connections`, requests of several partitions' batches, as Kafka's clients send them.
//!
//! A closed loop keeps `--in-flight` requests of full batches under way. An open loop (`--rate`) lets records fall due one by one; what
//! fell due while a connection was busy leaves in the next request as one batch per partition, which is what a producer with
//! `linger.ms=0` does. Read first: [`Produce`], [`ProduceArgs`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use streamkeeper_wire::kafka::Records;
use streamkeeper_wire::kafka::generated::produce_request::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use streamkeeper_wire::kafka::generated::produce_response::{PartitionProduceResponse, ProduceResponse};

use super::admin::{self, Caller, Leaders, PATIENCE, PRODUCE};
use super::batches::Batches;
use super::{TopicArgs, check};
use crate::engine::{Load, Net, run};
use crate::measure::{Measure, Summary, Window};
use crate::schedule::Schedule;

/// How to produce.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ProduceArgs {
    #[command(flatten)]
    pub(crate) topic: TopicArgs,
    #[command(flatten)]
    pub(crate) window: Window,
    /// Bytes of one record's value.
    #[arg(long, default_value_t = 1024)]
    pub(crate) record_bytes: usize,
    /// Records of one batch; in an open loop at most.
    #[arg(long, default_value_t = 16)]
    pub(crate) batch_records: usize,
    /// Batches, each of another partition, in one request; in an open loop at most.
    #[arg(long, default_value_t = 8)]
    pub(crate) request_batches: usize,
    /// Requests of one connection under way (max.in.flight.requests.per.connection).
    #[arg(long, default_value_t = 5)]
    pub(crate) in_flight: usize,
    /// Connections to each broker; each has partitions of its own.
    #[arg(long, default_value_t = 1)]
    pub(crate) connections: usize,
    /// Acknowledgements: 1 (the leader's) or all.
    #[arg(long, default_value = "all", value_parser = acks)]
    pub(crate) acks: i16,
    /// Number the batches as an idempotent producer does.
    #[arg(long)]
    pub(crate) idempotent: bool,
    /// Open loop: records per second in all, each counted from when it was due.
    #[arg(long, conflicts_with = "count")]
    pub(crate) rate: Option<f64>,
    /// Open loop: go on when a broker ends, with the new leaders; what was under way is sent again.
    #[arg(long, requires = "rate")]
    pub(crate) survive: bool,
}

fn acks(text: &str) -> Result<i16, String> {
    match text {
        "all" | "-1" => Ok(-1),
        "1" => Ok(1),
        _ => Err("1 or all is wanted".to_owned()),
    }
}

/// Errors after which a client looks for the leader and tries again: unknown partition, no leader, not the leader, timed out, broker
/// or replica not available, network, too few replicas (before and after the append).
const RETRIABLE: [i16; 9] = [3, 5, 6, 7, 8, 9, 13, 19, 20];
/// Leaders are asked for this often while some are unknown.
const REFRESH_EVERY: Duration = Duration::from_millis(20);

/// Producers of a topic.
pub(crate) struct Produce {
    args: ProduceArgs,
    measure: Measure,
    batches: Batches,
    partitions: Vec<Partition>,
    /// By connection number.
    connections: Vec<Connection>,
    schedule: Option<Schedule>,
    /// Records that may still be sent, with `--count`.
    left: u64,
    /// The partition of the next record of an open loop.
    turn: usize,
    refresh_at: Option<Instant>,
    correlation: i32,
}

struct Partition {
    /// Which connection it is sent on; `None` while its leader is unknown.
    connection: Option<usize>,
    /// Records that wait to be sent, by when they were due.
    due: VecDeque<Instant>,
    sequence: i32,
    /// What the next acknowledgement must say, once there was one.
    next_offset: Option<i64>,
}

struct Connection {
    address: String,
    partitions: Vec<usize>,
    /// Where in `partitions` the next request begins.
    turn: usize,
    under_way: VecDeque<Request>,
}

struct Request {
    correlation: i32,
    sent: Instant,
    parts: Vec<Part>,
}

struct Part {
    partition: usize,
    records: usize,
    /// In an open loop: when each of them was due.
    due: Vec<Instant>,
}

impl Produce {
    /// Runs until the window is over and all that counts is answered.
    pub(crate) fn run(args: ProduceArgs) -> Result<Summary> {
        ensure!(
            args.batch_records > 0 && args.request_batches > 0 && args.in_flight > 0 && args.connections > 0
        );
        let leaders = admin::open_topic(&args.topic)?;
        let producer = args.idempotent.then(|| admin::producer_id(&args.topic.bootstrap)).transpose()?;
        let mut load = Self {
            measure: Measure::new(&args.window, &["record"])?,
            batches: Batches::new(args.record_bytes, producer),
            partitions: Vec::new(),
            connections: Vec::new(),
            schedule: args.rate.map(|rate| Schedule::new(rate, Instant::now())),
            left: args.window.count.unwrap_or(u64::MAX),
            turn: 0,
            refresh_at: None,
            correlation: 0,
            args,
        };
        load.partitions.resize_with(leaders.addresses.len(), || Partition {
            connection: None,
            due: VecDeque::new(),
            sequence: 0,
            next_offset: None,
        });
        let mut net = Net::new()?;
        load.place(&mut net, &leaders, PATIENCE)?;
        run(&mut net, &mut load)?;
        load.measure.summary("produce")
    }

    /// Gives each partition without a connection one to its leader.
    fn place(&mut self, net: &mut Net, leaders: &Leaders, patience: Duration) -> Result<()> {
        for partition in 0..self.partitions.len() {
            let address = &leaders.addresses[partition];
            if self.partitions[partition].connection.is_some() || address.is_empty() {
                continue;
            }
            let open = self.connections.iter().enumerate().filter(|(_, c)| c.address == *address);
            let (count, least) = (open.clone().count(), open.min_by_key(|(_, c)| c.partitions.len()));
            let at = match least {
                Some((at, _)) if count >= self.args.connections => at,
                _ => {
                    let at = net.add(admin::connect(address, patience)?)?;
                    let (address, under_way) = (address.clone(), VecDeque::new());
                    self.connections.push(Connection { address, partitions: Vec::new(), turn: 0, under_way });
                    at
                }
            };
            self.partitions[partition].connection = Some(at);
            self.connections[at].partitions.push(partition);
        }
        Ok(())
    }

    /// Sends requests on a connection until enough are under way.
    fn fill(&mut self, net: &mut Net, at: usize, now: Instant) {
        while self.connections[at].under_way.len() < self.args.in_flight {
            let parts = self.gather(at);
            if parts.is_empty() {
                return;
            }
            let data = parts.iter().map(|part| {
                let partition = &mut self.partitions[part.partition];
                let batch = self.batches.batch(part.records, partition.sequence);
                partition.sequence += i32::try_from(part.records).unwrap_or(i32::MAX);
                let index = i32::try_from(part.partition).unwrap_or(i32::MAX);
                PartitionProduceData { index, records: Some(Records(vec![batch.into()])) }
            });
            let topic = TopicProduceData {
                name: self.args.topic.topic.clone(),
                partition_data: data.collect(),
                ..TopicProduceData::default()
            };
            let request = ProduceRequest {
                transactional_id: None,
                acks: self.args.acks,
                timeout_ms: 30_000,
                topic_data: vec![topic],
            };
            self.correlation += 1;
            for piece in admin::request(PRODUCE, self.correlation, |e, v| request.encode(e, v)) {
                net.send(at, piece);
            }
            let request = Request { correlation: self.correlation, sent: now, parts };
            self.connections[at].under_way.push_back(request);
        }
    }

    /// What the next request of a connection carries: its partitions in turn.
    fn gather(&mut self, at: usize) -> Vec<Part> {
        let connection = &mut self.connections[at];
        let (count, first) = (connection.partitions.len(), connection.turn);
        let mut parts = Vec::new();
        for step in 0..count {
            if parts.len() == self.args.request_batches {
                break;
            }
            let partition = connection.partitions[(first + step) % count];
            let due = &mut self.partitions[partition].due;
            let waiting = if self.schedule.is_some() { due.len() as u64 } else { self.left };
            let records = usize::try_from(waiting.min(self.args.batch_records as u64)).unwrap_or(0);
            if records == 0 {
                continue;
            }
            let due = if self.schedule.is_some() { due.drain(..records).collect() } else { Vec::new() };
            self.left -= records as u64;
            parts.push(Part { partition, records, due });
            connection.turn = (first + step + 1) % count;
        }
        parts
    }

    /// One partition's answer.
    fn answered(
        &mut self,
        part: Part,
        answer: &PartitionProduceResponse,
        sent: Instant,
        now: Instant,
    ) -> Result<()> {
        // Of a new topic Apache Kafka tells the leaders before they know of it.
        let is_new = self.partitions[part.partition].next_offset.is_none();
        if (self.args.survive || is_new) && RETRIABLE.contains(&answer.error_code) {
            self.put_back(part, now);
            return Ok(());
        }
        check("Produce", answer.error_code)?;
        let records = i64::try_from(part.records)?;
        let partition = &mut self.partitions[part.partition];
        let expected = partition.next_offset.replace(answer.base_offset + records);
        if let Some(expected) =
            expected.filter(|expected| *expected != answer.base_offset && !self.args.survive)
        {
            bail!(
                "partition {}: acknowledged at offset {}, not {expected}",
                part.partition,
                answer.base_offset
            );
        }
        let bytes = self.batches.value_bytes(part.records);
        if self.schedule.is_none() {
            self.measure.done(0, sent, now, part.records as u64, bytes);
        }
        for due in &part.due {
            self.measure.done_late(0, *due, now, bytes / part.records as u64);
        }
        Ok(())
    }

    /// Records that must be sent again, to whoever leads then.
    fn put_back(&mut self, part: Part, now: Instant) {
        let partition = &mut self.partitions[part.partition];
        part.due.into_iter().rev().for_each(|due| partition.due.push_front(due));
        if let Some(at) = partition.connection.take() {
            self.connections[at].partitions.retain(|p| *p != part.partition);
        }
        self.refresh_at.get_or_insert(now);
    }

    /// Looks for leaders while some are unknown.
    fn refresh(&mut self, net: &mut Net, now: Instant) {
        const PATIENCE: Duration = Duration::from_millis(200);
        if self.refresh_at.is_none_or(|at| at > now) {
            return;
        }
        self.refresh_at = Some(now + REFRESH_EVERY);
        let found = Caller::connect(&self.args.topic.bootstrap, PATIENCE)
            .and_then(|mut caller| admin::leaders(&mut caller, &self.args.topic.topic))
            .and_then(|leaders| self.place(net, &leaders, PATIENCE));
        // A failure is the reason to try again; the time that goes by is what is measured.
        if found.is_ok() && self.partitions.iter().all(|p| p.connection.is_some()) {
            self.refresh_at = None;
        }
    }
}

impl Load for Produce {
    fn frame(&mut self, net: &mut Net, at: usize, frame: Bytes, now: Instant) -> Result<()> {
        let (correlation, mut body) = admin::reply(PRODUCE, frame)?;
        let response = ProduceResponse::decode(&mut body, PRODUCE.1)?;
        let request = self.connections[at].under_way.pop_front().context("an answer to no request")?;
        ensure!(correlation == request.correlation, "an answer to another request");
        // In any order: Apache Kafka answers out of a map.
        let answers = || response.responses.iter().flat_map(|topic| &topic.partition_responses);
        for part in request.parts {
            let is_of = |index: i32| usize::try_from(index).is_ok_and(|i| i == part.partition);
            let answer =
                answers().find(|a| is_of(a.index)).context("Produce: a partition is not answered")?;
            self.answered(part, answer, request.sent, now)?;
        }
        if self.measure.is_open(now) || self.schedule.is_some() {
            self.fill(net, at, now);
        }
        Ok(())
    }

    fn closed(&mut self, _net: &mut Net, at: usize, reason: &str) -> Result<()> {
        let address = self.connections[at].address.clone();
        ensure!(self.args.survive, "{address}: {reason}");
        let now = Instant::now();
        // A new leader elsewhere, or the same one again on a new connection: this number is never used again.
        self.connections[at].address.clear();
        for request in std::mem::take(&mut self.connections[at].under_way).into_iter().rev() {
            request.parts.into_iter().for_each(|part| self.put_back(part, now));
        }
        for partition in std::mem::take(&mut self.connections[at].partitions) {
            self.partitions[partition].connection = None;
        }
        self.refresh_at.get_or_insert(now);
        Ok(())
    }

    fn turn(&mut self, net: &mut Net, now: Instant) -> Result<Option<Instant>> {
        self.measure.turn(now)?;
        self.refresh(net, now);
        let mut wake = self.refresh_at.unwrap_or(now + Duration::from_secs(1));
        if let Some(mut schedule) = self.schedule {
            while self.measure.is_open(now)
                && let Some(due) = schedule.pop(now)
            {
                self.measure.falls_due(0, due);
                self.partitions[self.turn].due.push_back(due);
                self.turn = (self.turn + 1) % self.partitions.len();
            }
            wake = wake.min(schedule.peek());
            self.schedule = Some(schedule);
        }
        let over = !self.measure.is_open(now);
        if over && (self.schedule.is_none() || self.measure.is_drained(now)?) {
            return Ok(None);
        }
        (0..self.connections.len()).for_each(|at| self.fill(net, at, now));
        Ok(Some(if over { now + Duration::from_millis(1) } else { wake }))
    }
}
