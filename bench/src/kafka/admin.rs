//! Set-up with one request at a time: topics, leaders, offsets, producer ids.
//!
//! Versions are fixed at ones that Kafka 2.8 to 4.x and Streamkeeper all serve. Read first: [`Caller`], [`open_topic`].

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use streamkeeper_wire::kafka::generated::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use streamkeeper_wire::kafka::generated::create_topics_response::CreateTopicsResponse;
use streamkeeper_wire::kafka::generated::init_producer_id_request::InitProducerIdRequest;
use streamkeeper_wire::kafka::generated::init_producer_id_response::InitProducerIdResponse;
use streamkeeper_wire::kafka::generated::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use streamkeeper_wire::kafka::generated::list_offsets_response::ListOffsetsResponse;
use streamkeeper_wire::kafka::generated::metadata_request::{MetadataRequest, MetadataRequestTopic};
use streamkeeper_wire::kafka::generated::metadata_response::MetadataResponse;
use streamkeeper_wire::kafka::{Decoder, Encoder, api, frame};

use super::{TopicArgs, check};

/// API keys with the version that is spoken.
pub(super) const PRODUCE: (i16, i16) = (0, 9);
pub(super) const FETCH: (i16, i16) = (1, 12);
const LIST_OFFSETS: (i16, i16) = (2, 6);
const METADATA: (i16, i16) = (3, 9);
const CREATE_TOPICS: (i16, i16) = (19, 5);
const INIT_PRODUCER_ID: (i16, i16) = (22, 2);

/// How long a server may take to answer while a run is set up.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
const TOPIC_ALREADY_EXISTS: i16 = 36;
/// How long a topic may take until all its partitions are led and in sync.
const TOPIC_PATIENCE: Duration = Duration::from_secs(60);

/// A frame of a request.
pub(super) fn request(
    (key, version): (i16, i16),
    correlation: i32,
    body: impl FnOnce(&mut Encoder, i16),
) -> Vec<Bytes> {
    let mut encoder = Encoder::new();
    api::encode_request_header(&mut encoder, key, version, correlation, "streamkeeper-bench");
    body(&mut encoder, version);
    let pieces = frame::finish(encoder).expect("a request is far below 2 GiB");
    pieces.into_iter().map(|piece| piece.read_all().expect("it is in memory")).collect()
}

/// The correlation id of a reply; the body follows.
pub(super) fn reply((key, version): (i16, i16), frame: Bytes) -> Result<(i32, Decoder)> {
    let mut decoder = Decoder(frame);
    let correlation = api::decode_response_header(&mut decoder, key, version)?;
    Ok((correlation, decoder))
}

/// A connection for one request at a time.
pub(super) struct Caller {
    stream: TcpStream,
}

impl Caller {
    /// Connects to the first address that answers.
    pub(super) fn connect(bootstrap: &str, patience: Duration) -> Result<Self> {
        let mut last = anyhow::anyhow!("no address is given");
        for address in bootstrap.split(',') {
            match connect(address, patience) {
                Ok(stream) => return Ok(Self { stream }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn call(&mut self, api: (i16, i16), body: impl FnOnce(&mut Encoder, i16)) -> Result<Decoder> {
        for piece in request(api, 0, body) {
            self.stream.write_all(&piece)?;
        }
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).context("the server closed the connection or is silent")?;
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length))?];
        self.stream.read_exact(&mut answer)?;
        Ok(reply(api, answer.into())?.1)
    }
}

/// Connects within a time, and gives up on later reads and writes after the same.
pub(super) fn connect(address: &str, patience: Duration) -> Result<TcpStream> {
    use std::net::ToSocketAddrs;
    let resolved = address.to_socket_addrs().with_context(|| address.to_owned())?.next();
    let resolved = resolved.with_context(|| format!("{address} has no address"))?;
    let stream = TcpStream::connect_timeout(&resolved, patience).with_context(|| address.to_owned())?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

/// Where a topic's partitions are led.
#[derive(Clone, Debug)]
pub(super) struct Leaders {
    /// By partition: the leader's address, empty while it has none.
    pub(super) addresses: Vec<String>,
    /// Why the topic is not whole, if it is not.
    missing: Option<String>,
}

impl Leaders {
    /// The different addresses, sorted.
    pub(super) fn brokers(&self) -> Vec<String> {
        let mut brokers: Vec<String> = self.addresses.iter().filter(|a| !a.is_empty()).cloned().collect();
        brokers.sort();
        brokers.dedup();
        brokers
    }
}

/// The topic's leaders; the topic is made if it is missing, and waited for until every replica is in sync.
pub(super) fn open_topic(args: &TopicArgs) -> Result<Leaders> {
    let mut caller = Caller::connect(&args.bootstrap, PATIENCE)?;
    create_topic(&mut caller, args)?;
    let give_up = Instant::now() + TOPIC_PATIENCE;
    loop {
        let leaders = leaders(&mut caller, &args.topic)?;
        match &leaders.missing {
            None => return Ok(leaders),
            Some(reason) if Instant::now() > give_up => bail!("topic {} is not ready: {reason}", args.topic),
            Some(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn create_topic(caller: &mut Caller, args: &TopicArgs) -> Result<()> {
    let configs = args
        .configs
        .iter()
        .map(|(name, value)| CreatableTopicConfig { name: name.clone(), value: Some(value.clone()) });
    let topic = CreatableTopic {
        name: args.topic.clone(),
        num_partitions: args.partitions,
        replication_factor: args.replication_factor,
        configs: configs.collect(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 15_000, validate_only: false };
    let mut answer = caller.call(CREATE_TOPICS, |e, v| request.encode(e, v))?;
    for topic in CreateTopicsResponse::decode(&mut answer, CREATE_TOPICS.1)?.topics {
        if topic.error_code != TOPIC_ALREADY_EXISTS {
            check(topic.error_message.as_deref().unwrap_or("the topic is not made"), topic.error_code)?;
        }
    }
    Ok(())
}

/// Where the partitions are led now, as far as the server knows.
pub(super) fn leaders(caller: &mut Caller, topic: &str) -> Result<Leaders> {
    let named = MetadataRequestTopic { name: Some(topic.to_owned()), ..MetadataRequestTopic::default() };
    let request = MetadataRequest { topics: Some(vec![named]), ..MetadataRequest::default() };
    let mut answer = caller.call(METADATA, |e, v| request.encode(e, v))?;
    let mut metadata = MetadataResponse::decode(&mut answer, METADATA.1)?;
    let mut topic = metadata.topics.pop().context("Metadata: the server does not mention the topic")?;
    topic.partitions.sort_by_key(|partition| partition.partition_index);
    let mut leaders = Leaders { addresses: Vec::new(), missing: None };
    if topic.error_code != 0 || topic.partitions.is_empty() {
        leaders.missing = Some(format!("Kafka's error {}", topic.error_code));
    }
    for partition in &topic.partitions {
        let index = partition.partition_index;
        let broker = metadata.brokers.iter().find(|b| b.node_id == partition.leader_id);
        if broker.is_none() {
            leaders.missing = Some(format!("partition {index} has no leader"));
        } else if partition.isr_nodes.len() < partition.replica_nodes.len() {
            leaders.missing = Some(format!("replicas of partition {index} are not in sync"));
        }
        leaders.addresses.push(broker.map(|b| format!("{}:{}", b.host, b.port)).unwrap_or_default());
    }
    Ok(leaders)
}

/// First and end offset of every partition.
pub(super) fn offsets(leaders: &Leaders, topic: &str) -> Result<Vec<(i64, i64)>> {
    const EARLIEST: i64 = -2;
    const LATEST: i64 = -1;
    let mut offsets = vec![(0, 0); leaders.addresses.len()];
    for broker in leaders.brokers() {
        let mut caller = Caller::connect(&broker, PATIENCE)?;
        for timestamp in [EARLIEST, LATEST] {
            let led = leaders.addresses.iter().enumerate().filter(|(_, address)| **address == broker);
            let partitions = led.map(|(partition, _)| ListOffsetsPartition {
                partition_index: i32::try_from(partition).unwrap_or(i32::MAX),
                current_leader_epoch: -1,
                timestamp,
            });
            let topics = vec![ListOffsetsTopic { name: topic.to_owned(), partitions: partitions.collect() }];
            let request = ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() };
            let mut answer = caller.call(LIST_OFFSETS, |e, v| request.encode(e, v))?;
            let answer = ListOffsetsResponse::decode(&mut answer, LIST_OFFSETS.1)?;
            for partition in answer.topics.iter().flat_map(|t| &t.partitions) {
                check("ListOffsets", partition.error_code)?;
                let at = usize::try_from(partition.partition_index)?;
                let range = offsets.get_mut(at).context("ListOffsets: a partition that was not asked for")?;
                if timestamp == EARLIEST { range.0 = partition.offset } else { range.1 = partition.offset }
            }
        }
    }
    Ok(offsets)
}

/// A producer id with its epoch.
pub(super) fn producer_id(bootstrap: &str) -> Result<(i64, i16)> {
    let mut caller = Caller::connect(bootstrap, PATIENCE)?;
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 60_000,
        ..InitProducerIdRequest::default()
    };
    let mut answer = caller.call(INIT_PRODUCER_ID, |e, v| request.encode(e, v))?;
    let answer = InitProducerIdResponse::decode(&mut answer, INIT_PRODUCER_ID.1)?;
    check("InitProducerId", answer.error_code)?;
    Ok((answer.producer_id, answer.producer_epoch))
}
