//! Requests that wait: for acknowledgements, for records, for the controller.

use std::collections::BTreeMap;

use streamkeeper_base::{Instant, TopicPartition};
use streamkeeper_wire::kafka::generated::create_partitions_response::CreatePartitionsResponse;
use streamkeeper_wire::kafka::generated::create_topics_response::CreateTopicsResponse;
use streamkeeper_wire::kafka::generated::delete_topics_response::DeleteTopicsResponse;
use streamkeeper_wire::kafka::generated::fetch_request::FetchRequest;
use streamkeeper_wire::kafka::generated::produce_response::ProduceResponse;

use super::client::Exchange;
use crate::broker::Unproven;
use crate::io::ConnectionId;

/// A produce request whose partitions are not all acknowledged.
pub(crate) struct PendingProduce {
    pub(crate) exchange: Exchange,
    pub(crate) response: ProduceResponse,
    pub(crate) waiting: usize,
}

/// Where the acknowledgement of one partition goes.
pub(crate) enum ProduceSlot {
    /// A client's request.
    Client { produce: u64, topic: usize, partition: usize },
    /// A coordinator's append.
    Coordinator { partition: streamkeeper_base::PartitionId, token: u64 },
}

/// A fetch that waits for records.
pub(crate) struct ParkedFetch {
    pub(crate) connection: ConnectionId,
    pub(crate) exchange: Exchange,
    pub(crate) request: FetchRequest,
    pub(crate) partitions: Vec<TopicPartition>,
    pub(crate) deadline: Instant,
}

/// What a controller's answer is for.
pub(crate) enum PendingCommand {
    /// A partition's ISR proposal, by its number.
    Isr(TopicPartition, u64),
    /// What this member holds of partitions that nobody can lead; told again if it was lost.
    Report,
    /// Whether this member's disk is full; told again while the image does not say it.
    Space,
    /// A proof that what this member knows is current, and the request that waits for it.
    Proof {
        asked: Instant,
        waiting: Option<Box<Unproven>>,
    },
    /// A block of producer ids; these clients wait for one.
    ProducerIds(Exchange),
    /// The making of a topic that nobody waits for.
    AutoCreate,
    /// One topic of a request; the rest of the answer is collected with it.
    CreateTopic {
        batch: u64,
        index: usize,
        /// What it sets, for the answer.
        configs: BTreeMap<String, String>,
    },
    DeleteTopic {
        batch: u64,
        index: usize,
    },
    CreatePartitions {
        batch: u64,
        index: usize,
    },
}

/// Answers that are collected topic by topic.
pub(crate) struct AdminBatch {
    pub(crate) exchange: Exchange,
    pub(crate) response: AdminResponse,
    pub(crate) waiting: usize,
}

pub(crate) enum AdminResponse {
    CreateTopics(CreateTopicsResponse),
    DeleteTopics(DeleteTopicsResponse),
    CreatePartitions(CreatePartitionsResponse),
}
