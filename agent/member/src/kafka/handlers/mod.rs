//! One file per API key, or per family of them.

mod api_versions;
mod create_topics;
mod describe_configs;
mod describe_topic_partitions;
mod fetch;
mod groups;
mod list_offsets;
mod metadata;
mod offsets;
mod produce;
mod producer_ids;

use streamkeeper_wire::kafka::codec::{Decoder, Result};

pub(crate) use groups::GroupRequest;
pub(crate) use offsets::OFFSETS_TOPIC;

use super::client::Exchange;
use crate::broker::Broker;

impl Broker {
    /// Reads a request's body and serves it; an error closes the connection, because what follows cannot be understood.
    pub(crate) fn dispatch(&mut self, exchange: Exchange, mut d: Decoder) -> Result<()> {
        use streamkeeper_wire::kafka::generated as g;
        let v = exchange.version;
        let d = &mut d;
        match exchange.key {
            0 => self.produce(exchange, g::produce_request::ProduceRequest::decode(d, v)?),
            1 => self.fetch(exchange, g::fetch_request::FetchRequest::decode(d, v)?),
            2 => self.list_offsets(&exchange, g::list_offsets_request::ListOffsetsRequest::decode(d, v)?),
            3 => self.metadata(&exchange, g::metadata_request::MetadataRequest::decode(d, v)?),
            8 => self.offset_commit(&exchange, g::offset_commit_request::OffsetCommitRequest::decode(d, v)?),
            9 => self.offset_fetch(&exchange, g::offset_fetch_request::OffsetFetchRequest::decode(d, v)?),
            10 => self.find_coordinator(
                &exchange,
                &g::find_coordinator_request::FindCoordinatorRequest::decode(d, v)?,
            ),
            11 => self.join_group(&exchange, g::join_group_request::JoinGroupRequest::decode(d, v)?),
            12 => self.heartbeat(&exchange, &g::heartbeat_request::HeartbeatRequest::decode(d, v)?),
            13 => self.leave_group(&exchange, g::leave_group_request::LeaveGroupRequest::decode(d, v)?),
            14 => self.sync_group(&exchange, g::sync_group_request::SyncGroupRequest::decode(d, v)?),
            15 => self.describe_groups(
                &exchange,
                &g::describe_groups_request::DescribeGroupsRequest::decode(d, v)?,
            ),
            16 => self.list_groups(&exchange, &g::list_groups_request::ListGroupsRequest::decode(d, v)?),
            18 => {
                g::api_versions_request::ApiVersionsRequest::decode(d, v)?;
                self.api_versions(&exchange);
            }
            19 => self.create_topics(exchange, g::create_topics_request::CreateTopicsRequest::decode(d, v)?),
            20 => self.delete_topics(exchange, g::delete_topics_request::DeleteTopicsRequest::decode(d, v)?),
            22 => self.init_producer_id(
                exchange,
                &g::init_producer_id_request::InitProducerIdRequest::decode(d, v)?,
            ),
            23 => self.offset_for_leader_epoch(
                &exchange,
                g::offset_for_leader_epoch_request::OffsetForLeaderEpochRequest::decode(d, v)?,
            ),
            32 => self.describe_configs(
                &exchange,
                &g::describe_configs_request::DescribeConfigsRequest::decode(d, v)?,
            ),
            37 => self.create_partitions(
                exchange,
                g::create_partitions_request::CreatePartitionsRequest::decode(d, v)?,
            ),
            42 => {
                self.delete_groups(&exchange, &g::delete_groups_request::DeleteGroupsRequest::decode(d, v)?)
            }
            75 => self.describe_topic_partitions(
                &exchange,
                &g::describe_topic_partitions_request::DescribeTopicPartitionsRequest::decode(d, v)?,
            )?,
            _ => {
                g::describe_cluster_request::DescribeClusterRequest::decode(d, v)?;
                self.describe_cluster(&exchange);
            }
        }
        Ok(())
    }
}
