//! Consumers: each connection has one fetch under way for the partitions that its broker leads, as Kafka's clients do.
//!
//! Read first: [`Consume`], [`ConsumeArgs`].

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use streamkeeper_base::batch::headers;
use streamkeeper_wire::kafka::generated::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use streamkeeper_wire::kafka::generated::fetch_response::{FetchResponse, PartitionData};

use super::admin::{self, FETCH, PATIENCE};
use super::{TopicArgs, check};
use crate::engine::{Load, Net, run};
use crate::measure::{Measure, Summary, Window};

/// How to consume.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ConsumeArgs {
    #[command(flatten)]
    pub(crate) topic: TopicArgs,
    #[command(flatten)]
    pub(crate) window: Window,
    /// Bytes that a fetch may bring (fetch.max.bytes).
    #[arg(long, default_value_t = 50 * 1024 * 1024)]
    pub(crate) max_bytes: i32,
    /// Bytes of one partition that a fetch may bring (max.partition.fetch.bytes).
    #[arg(long, default_value_t = 1024 * 1024)]
    pub(crate) partition_max_bytes: i32,
    /// Read what is there exactly once and check that every offset comes once, instead of reading again and again.
    #[arg(long)]
    pub(crate) once: bool,
    /// With --once: fail unless there are exactly this many records.
    #[arg(long, requires = "once")]
    pub(crate) expect: Option<u64>,
}

/// Consumers of a topic.
pub(crate) struct Consume {
    args: ConsumeArgs,
    measure: Measure,
    partitions: Vec<Partition>,
    /// By connection: its partitions.
    brokers: Vec<Vec<usize>>,
    /// When the fetch under way was sent.
    sent: Vec<Instant>,
    seen: u64,
}

struct Partition {
    first: i64,
    next: i64,
    end: i64,
}

impl Consume {
    /// Runs until the window is over, or all is read once.
    pub(crate) fn run(args: ConsumeArgs) -> Result<Summary> {
        let leaders = admin::open_topic(&args.topic)?;
        let offsets = admin::offsets(&leaders, &args.topic.topic)?;
        let there: i64 = offsets.iter().map(|(first, end)| end - first).sum();
        if there == 0 {
            bail!("topic {} holds nothing to consume", args.topic.topic);
        }
        let mut window = args.window.clone();
        if args.once {
            window.count = Some(u64::try_from(there)?);
        }
        let mut net = Net::new()?;
        let mut brokers = Vec::new();
        for address in leaders.brokers() {
            net.add(admin::connect(&address, PATIENCE)?)?;
            let led = leaders.addresses.iter().enumerate().filter(|(_, a)| **a == address);
            brokers.push(led.map(|(partition, _)| partition).collect());
        }
        let mut load = Self {
            measure: Measure::new(&window, &["record"])?,
            partitions: offsets
                .iter()
                .map(|(first, end)| Partition { first: *first, next: *first, end: *end })
                .collect(),
            sent: vec![Instant::now(); brokers.len()],
            brokers,
            seen: 0,
            args,
        };
        load.measure.turn(Instant::now())?;
        (0..load.brokers.len()).for_each(|at| load.fetch(&mut net, at));
        run(&mut net, &mut load)?;
        if let Some(expected) = load.args.expect.filter(|expected| *expected != load.seen) {
            bail!("{} records were consumed, {expected} were expected", load.seen);
        }
        load.measure.summary("consume")
    }

    /// Asks for more of the partitions of a connection.
    fn fetch(&mut self, net: &mut Net, at: usize) {
        let mut wanted = Vec::new();
        for index in &self.brokers[at] {
            let partition = &mut self.partitions[*index];
            if partition.next >= partition.end {
                if self.args.once || partition.first == partition.end {
                    continue;
                }
                partition.next = partition.first;
            }
            wanted.push(FetchPartition {
                partition: i32::try_from(*index).unwrap_or(i32::MAX),
                current_leader_epoch: -1,
                fetch_offset: partition.next,
                last_fetched_epoch: -1,
                log_start_offset: -1,
                partition_max_bytes: self.args.partition_max_bytes,
                ..FetchPartition::default()
            });
        }
        if wanted.is_empty() {
            return;
        }
        let topic =
            FetchTopic { topic: self.args.topic.topic.clone(), partitions: wanted, ..FetchTopic::default() };
        let request = FetchRequest {
            replica_id: -1,
            max_wait_ms: 500,
            min_bytes: 1,
            max_bytes: self.args.max_bytes,
            session_epoch: -1,
            topics: vec![topic],
            ..FetchRequest::default()
        };
        self.sent[at] = Instant::now();
        for piece in admin::request(FETCH, 0, |e, v| request.encode(e, v)) {
            net.send(at, piece);
        }
    }

    /// Moves on over what came for a partition; gives records and bytes of it.
    fn take(&mut self, data: &PartitionData) -> Result<(u64, u64)> {
        check("Fetch", data.error_code)?;
        let index = usize::try_from(data.partition_index)?;
        let partition =
            self.partitions.get_mut(index).context("Fetch: a partition that was not asked for")?;
        let (mut records, mut bytes) = (0, 0);
        // What is cut off at the end is asked for again.
        for (_, header) in headers(&data.records.clone().unwrap_or_default().joined()?) {
            if header.end().0 <= partition.next {
                continue;
            }
            if header.base_offset.0 > partition.next {
                bail!("partition {index}: offset {} is missing", partition.next);
            }
            records += u64::try_from(header.end().0 - partition.next)?;
            bytes += header.size as u64;
            partition.next = header.end().0;
        }
        Ok((records, bytes))
    }
}

impl Load for Consume {
    fn frame(&mut self, net: &mut Net, at: usize, frame: Bytes, now: Instant) -> Result<()> {
        let (_, mut body) = admin::reply(FETCH, frame)?;
        let response = FetchResponse::decode(&mut body, FETCH.1)?;
        check("Fetch", response.error_code)?;
        let (mut records, mut bytes) = (0, 0);
        for data in response.responses.iter().flat_map(|topic| &topic.partitions) {
            let taken = self.take(data)?;
            (records, bytes) = (records + taken.0, bytes + taken.1);
        }
        self.seen += records;
        self.measure.done(0, self.sent[at], now, records, bytes);
        if self.measure.is_open(now) {
            self.fetch(net, at);
        }
        Ok(())
    }

    fn turn(&mut self, _net: &mut Net, now: Instant) -> Result<Option<Instant>> {
        self.measure.turn(now)?;
        Ok(self.measure.is_open(now).then(|| now + Duration::from_millis(50)))
    }
}
