//! A small client of our own agents, for whoever runs them: what is there, make a topic. Blocking, with a deadline.
//!
//! Must not know: plans. Read first: [`observe`].

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::BytesMut;
use streamkeeper_wire::kafka::codec::{Decoder, Encoder};
use streamkeeper_wire::kafka::generated::create_partitions_request::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use streamkeeper_wire::kafka::generated::create_partitions_response::CreatePartitionsResponse;
use streamkeeper_wire::kafka::generated::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use streamkeeper_wire::kafka::generated::create_topics_response::CreateTopicsResponse;
use streamkeeper_wire::kafka::generated::delete_topics_request::DeleteTopicsRequest;
use streamkeeper_wire::kafka::generated::delete_topics_response::DeleteTopicsResponse;
use streamkeeper_wire::kafka::generated::metadata_request::MetadataRequest;
use streamkeeper_wire::kafka::generated::metadata_response::MetadataResponse;
use streamkeeper_wire::kafka::{api, frame};

const DEADLINE: Duration = Duration::from_secs(2);
const TOPIC_ALREADY_EXISTS: i16 = 36;

/// What one agent sees of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// Agents that serve Kafka's clients, by id.
    pub brokers: Vec<i32>,
    /// Topics, internal ones left out.
    pub topics: BTreeMap<String, Topic>,
    /// Replicas of every partition, internal topics included.
    pub replicas: Vec<Vec<i32>>,
}

/// A topic as one agent sees it.
#[derive(Clone, Debug, Default)]
pub struct Topic {
    /// Partitions.
    pub partitions: Vec<Partition>,
}

/// A partition as one agent sees it.
#[derive(Clone, Debug, Default)]
pub struct Partition {
    /// Its leader; -1 for none.
    pub leader: i32,
    /// Who holds it.
    pub replicas: Vec<i32>,
    /// Who is in sync.
    pub isr: Vec<i32>,
}

impl Cluster {
    /// Replicas on the fullest and on the emptiest of these agents.
    pub fn fullest_and_emptiest(&self, members: &[i32]) -> (usize, usize) {
        let held = |id: &i32| self.replicas.iter().filter(|r| r.contains(id)).count();
        let counts: Vec<usize> = members.iter().map(held).collect();
        (counts.iter().max().copied().unwrap_or(0), counts.iter().min().copied().unwrap_or(0))
    }
}

/// Asks an agent what it sees.
///
/// # Errors
/// The agent does not answer, or not as one of ours.
pub fn observe(kafka: &str) -> Result<Cluster> {
    const VERSION: i16 = 12;
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    let mut answer = call(kafka, 3, VERSION, |e| request.encode(e, VERSION))?;
    let response = MetadataResponse::decode(&mut answer, VERSION)?;
    let partition =
        |p: &streamkeeper_wire::kafka::generated::metadata_response::MetadataResponsePartition| Partition {
            leader: p.leader_id,
            replicas: p.replica_nodes.clone(),
            isr: p.isr_nodes.clone(),
        };
    let replicas =
        response.topics.iter().flat_map(|t| &t.partitions).map(|p| p.replica_nodes.clone()).collect();
    let topics = response.topics.into_iter().filter(|t| !t.is_internal);
    Ok(Cluster {
        brokers: response.brokers.iter().map(|b| b.node_id).collect(),
        replicas,
        topics: topics
            .filter_map(|t| {
                Some((t.name?, Topic { partitions: t.partitions.iter().map(partition).collect() }))
            })
            .collect(),
    })
}

/// Makes a topic; one that is there already is left alone.
///
/// # Errors
/// The agent does not answer, or refuses; the text is its own.
pub fn create_topic(
    kafka: &str,
    name: &str,
    partitions: i32,
    replication_factor: i16,
    configs: &BTreeMap<String, String>,
) -> Result<()> {
    const VERSION: i16 = 7;
    let config = |(name, value): (&String, &String)| CreatableTopicConfig {
        name: name.clone(),
        value: Some(value.clone()),
    };
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor,
        configs: configs.iter().map(config).collect(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    let mut answer = call(kafka, 19, VERSION, |e| request.encode(e, VERSION))?;
    let response = CreateTopicsResponse::decode(&mut answer, VERSION)?;
    let result = response.topics.first().ok_or_else(|| anyhow!("the agent said nothing about the topic"))?;
    check(name, result.error_code, result.error_message.as_deref(), TOPIC_ALREADY_EXISTS)
}

/// Gives a topic more partitions.
///
/// # Errors
/// The agent does not answer, or refuses; the text is its own.
pub fn grow_topic(kafka: &str, name: &str, partitions: i32) -> Result<()> {
    const VERSION: i16 = 3;
    let topic = CreatePartitionsTopic { name: name.to_owned(), count: partitions, assignments: None };
    let request = CreatePartitionsRequest { topics: vec![topic], ..CreatePartitionsRequest::default() };
    let mut answer = call(kafka, 37, VERSION, |e| request.encode(e, VERSION))?;
    let response = CreatePartitionsResponse::decode(&mut answer, VERSION)?;
    let result = response.results.first().ok_or_else(|| anyhow!("the agent said nothing about the topic"))?;
    check(name, result.error_code, result.error_message.as_deref(), 0)
}

/// Deletes a topic and its data.
///
/// # Errors
/// The agent does not answer, or refuses; the text is its own.
pub fn delete_topic(kafka: &str, name: &str) -> Result<()> {
    const VERSION: i16 = 5;
    let request =
        DeleteTopicsRequest { topic_names: vec![name.to_owned()], ..DeleteTopicsRequest::default() };
    let mut answer = call(kafka, 20, VERSION, |e| request.encode(e, VERSION))?;
    let response = DeleteTopicsResponse::decode(&mut answer, VERSION)?;
    let result =
        response.responses.first().ok_or_else(|| anyhow!("the agent said nothing about the topic"))?;
    check(name, result.error_code, result.error_message.as_deref(), 0)
}

fn check(name: &str, code: i16, message: Option<&str>, allowed: i16) -> Result<()> {
    if code == 0 || code == allowed {
        return Ok(());
    }
    let error = streamkeeper_wire::kafka::ErrorCode(code);
    bail!("topic {name}: {} ({})", message.unwrap_or("refused"), error.name());
}

fn call(address: &str, key: i16, version: i16, body: impl FnOnce(&mut Encoder)) -> Result<Decoder> {
    let mut encoder = Encoder::new();
    api::encode_request_header(&mut encoder, key, version, 1, "streamkeeper");
    body(&mut encoder);
    let mut stream = connect(address)?;
    for piece in frame::finish(encoder) {
        stream.write_all(&piece)?;
    }
    let mut buffer = BytesMut::new();
    loop {
        let mut chunk = [0; 16 * 1024];
        let read = stream.read(&mut chunk).with_context(|| format!("{address} does not answer"))?;
        if read == 0 {
            bail!("{address} closed the connection");
        }
        buffer.extend_from_slice(&chunk[..read]);
        if let Some(answer) = frame::decode(&mut buffer)? {
            let mut decoder = Decoder(answer);
            api::decode_response_header(&mut decoder, key, version)?;
            return Ok(decoder);
        }
    }
}

/// What a member says to a ZooKeeper 4-letter word.
///
/// # Errors
/// It does not answer.
pub fn four_letter_word(zookeeper: &str, word: &str) -> Result<String> {
    let mut stream = connect(zookeeper)?;
    stream.write_all(word.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn connect(address: &str) -> Result<TcpStream> {
    let resolved = address.parse().with_context(|| format!("{address} is not an address"))?;
    let stream = TcpStream::connect_timeout(&resolved, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}
