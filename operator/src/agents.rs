//! The agents as the operator knows them: gRPC, and nothing else.
//!
//! Any agent answers; what only the quorum leader knows it asks the leader for. So a call goes to the agent that answered last, and to
//! the others when it does not. Must not know: plans. Read first: [`Agents`], [`Clients`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use streamkeeper_proto::CLUSTER_ID;
use streamkeeper_proto::v1alpha1 as proto;
use streamkeeper_proto::v1alpha1::membership_client::MembershipClient;
pub use streamkeeper_proto::v1alpha1::progress::State as ProgressState;
use streamkeeper_proto::v1alpha1::rebalance_client::RebalanceClient;
use streamkeeper_proto::v1alpha1::topics_client::TopicsClient;
pub use streamkeeper_proto::v1alpha1::{
    Drain, MemberLoad, Move, Partition, PlanResponse, Progress, Skew, Topic,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// How long an agent may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// How long a question may take.
const QUESTION: Duration = Duration::from_secs(3);
/// How long a change may take: it goes through the quorum, and may have to wait for an election.
const CHANGE: Duration = Duration::from_secs(15);

/// Why an agent gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}: {message}")]
pub struct AgentError {
    /// The call.
    what: &'static str,
    message: String,
    /// gRPC's code.
    pub code: Code,
}

impl AgentError {
    /// An agent's refusal of the call `what`, or that it gave no answer.
    pub fn new(what: &'static str, code: Code, message: impl Into<String>) -> Self {
        Self { what, message: message.into(), code }
    }

    /// Another agent, or the same one later, may answer.
    pub fn may_pass(&self) -> bool {
        matches!(self.code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted)
    }
}

/// The agents of one ensemble: what the operator asks them and tells them, small enough to be modelled. Any of them answers; every
/// change carries the fencing token. Two implement it: [`Clients`], and models of an ensemble in tests.
#[allow(async_fn_in_trait, reason = "nobody needs these futures to move between threads")]
pub trait Agents {
    /// The agents are at these addresses (`host:port` of their gRPC) from now on.
    fn set_addresses(&mut self, addresses: &BTreeMap<i32, String>);
    /// Changes carry this token from now on: the term of the operator's lease, 0 for none.
    fn set_fencing_token(&mut self, fencing_token: i64);
    /// Only agents of this cluster answer from now on: an address that was one's yesterday may be another ensemble's today.
    fn set_cluster(&mut self, cluster_id: &str);
    /// Whether the agent itself says that it serves clients of both protocols; `None` if it does not answer.
    async fn is_ready(&self, member: i32) -> Option<bool>;
    /// The members, by the quorum leader.
    async fn describe(&self) -> Result<proto::DescribeResponse, AgentError>;
    /// May this member be restarted now?
    async fn check_restart(&self, member: i32) -> Result<proto::CheckRestartResponse, AgentError>;
    /// May these members leave?
    async fn check_remove(&self, members: &[i32]) -> Result<proto::CheckRemoveResponse, AgentError>;
    /// How evenly replicas are spread.
    async fn rebalance(&self) -> Result<proto::Progress, AgentError>;
    /// The topics that one agent knows, internal ones left out.
    async fn topics(&self, member: i32) -> Result<Vec<proto::Topic>, AgentError>;
    /// Makes or alters a topic.
    async fn apply_topic(
        &self,
        request: proto::ApplyTopicRequest,
    ) -> Result<proto::ApplyTopicResponse, AgentError>;
    /// Deletes the topic with this id, and its data; false if there is none of the name. Refused if that has another id by now; the
    /// id may be empty for whichever there is.
    async fn delete_topic(&self, name: &str, id: &str) -> Result<bool, AgentError>;
    /// Gives away what a member leads; true once it leads nothing that another could.
    async fn hand_over(&self, member: i32) -> Result<bool, AgentError>;
    /// Nothing new is placed on the member, and what it holds moves away.
    async fn cordon(&self, member: i32) -> Result<(), AgentError>;
    /// The member is used again.
    async fn uncordon(&self, member: i32) -> Result<(), AgentError>;
    /// What the member holds moves away now.
    async fn drain(&self, member: i32) -> Result<(), AgentError>;
    /// An observer votes.
    async fn promote(&self, member: i32) -> Result<(), AgentError>;
    /// A voter observes.
    async fn demote(&self, member: i32) -> Result<(), AgentError>;
    /// A member leaves for good.
    async fn remove(&self, member: i32) -> Result<(), AgentError>;
    /// The policy of rebalances.
    async fn configure_rebalance(&self, auto: bool, max_bytes_per_second: i64) -> Result<(), AgentError>;
    /// The digest of the broker settings that one agent has in force; `None` if it does not answer, empty if it cannot be told of others.
    async fn settings_digest(&self, member: i32) -> Option<String>;
    /// The broker of one agent has these settings from now on.
    async fn configure_broker(
        &self,
        member: i32,
        settings: &BTreeMap<String, String>,
    ) -> Result<(), AgentError>;
}

/// Clients of all agents of an ensemble.
pub struct Clients {
    channels: BTreeMap<i32, (String, Channel)>,
    answered_last: AtomicI32,
    fencing_token: i64,
    cluster: Option<MetadataValue<Ascii>>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.channels.iter().map(|(id, (address, _))| (id, address))).finish()
    }
}

impl Clients {
    /// Clients of agents at `addresses` (`host:port` of their gRPC). Nothing is connected yet.
    /// `fencing_token` goes with every change: the term of the operator's lease, 0 for none.
    pub fn new(addresses: &BTreeMap<i32, String>, fencing_token: i64) -> Self {
        let (channels, answered_last) = (BTreeMap::new(), AtomicI32::new(0));
        let mut agents = Self { channels, answered_last, fencing_token, cluster: None };
        agents.set_addresses(addresses);
        agents
    }

    /// Who there is.
    pub fn ids(&self) -> Vec<i32> {
        self.channels.keys().copied().collect()
    }

    /// Which moves a rebalance would make now. Changes nothing.
    pub async fn plan_rebalance(&self) -> Result<proto::PlanResponse, AgentError> {
        self.any("plan rebalance", QUESTION, async |channel, deadline| {
            let request = self.request(proto::PlanRequest { without: Vec::new() }, deadline);
            RebalanceClient::new(channel).plan(request).await
        })
        .await
    }

    /// Moves replicas until members hold alike; ends a cancel.
    pub async fn start_rebalance(&self) -> Result<proto::StartResponse, AgentError> {
        self.any("start rebalance", CHANGE, async |channel, deadline| {
            let request = proto::StartRequest { write: self.write() };
            RebalanceClient::new(channel).start(self.request(request, deadline)).await
        })
        .await
    }

    /// Stops a rebalance: moves under way are taken back, none is begun.
    pub async fn cancel_rebalance(&self) -> Result<proto::CancelResponse, AgentError> {
        self.any("cancel rebalance", CHANGE, async |channel, deadline| {
            let request = proto::CancelRequest { write: self.write() };
            RebalanceClient::new(channel).cancel(self.request(request, deadline)).await
        })
        .await
    }

    /// One topic with its partitions; `None` if there is none.
    pub async fn topic(&self, name: &str) -> Result<Option<proto::Topic>, AgentError> {
        let answer = self.any("get topic", QUESTION, async |channel, deadline| {
            let request = proto::GetTopicRequest { name: name.to_owned() };
            TopicsClient::new(channel).get(self.request(request, deadline)).await
        });
        match answer.await {
            Ok(topic) => Ok(Some(topic)),
            Err(error) if error.code == Code::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn request<T>(&self, message: T, deadline: Duration) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(deadline);
        if let Some(cluster) = self.cluster.clone() {
            request.metadata_mut().insert(CLUSTER_ID, cluster);
        }
        request
    }

    fn write(&self) -> Option<proto::Write> {
        Some(proto::Write { request_id: String::new(), fencing_token: self.fencing_token })
    }

    async fn change<T>(
        &self,
        what: &'static str,
        call: impl AsyncFn(Channel, Duration) -> Result<tonic::Response<T>, Status>,
    ) -> Result<(), AgentError> {
        self.any(what, CHANGE, call).await.map(|_| ())
    }

    /// Asks the agent that answered last, then the others, until one answers or refuses. All requests are idempotent, so one that was
    /// carried out and not answered may be sent again.
    async fn any<T>(
        &self,
        what: &'static str,
        deadline: Duration,
        call: impl AsyncFn(Channel, Duration) -> Result<tonic::Response<T>, Status>,
    ) -> Result<T, AgentError> {
        let last = self.answered_last.load(Ordering::Relaxed);
        let first = self.channels.get_key_value(&last);
        let others = self.channels.iter().filter(|(id, _)| **id != last);
        let mut error = failed(what, &Status::unavailable("the ensemble has no members"));
        for (id, (_, channel)) in first.into_iter().chain(others) {
            match call(channel.clone(), deadline).await {
                Ok(answer) => {
                    self.answered_last.store(*id, Ordering::Relaxed);
                    return Ok(answer.into_inner());
                }
                Err(status) => error = failed(what, &status),
            }
            if !error.may_pass() {
                self.answered_last.store(*id, Ordering::Relaxed);
                return Err(error);
            }
        }
        Err(error)
    }
}

impl Agents for Clients {
    fn set_addresses(&mut self, addresses: &BTreeMap<i32, String>) {
        self.channels.retain(|id, (address, _)| addresses.get(id) == Some(address));
        for (id, address) in addresses {
            if self.channels.contains_key(id) {
                continue;
            }
            if let Ok(endpoint) = Endpoint::from_shared(format!("http://{address}")) {
                let channel = endpoint.connect_timeout(CONNECT).connect_lazy();
                self.channels.insert(*id, (address.clone(), channel));
            }
        }
    }

    fn set_fencing_token(&mut self, fencing_token: i64) {
        self.fencing_token = fencing_token;
    }

    fn set_cluster(&mut self, cluster_id: &str) {
        // A cluster's id is hexadecimal.
        self.cluster = cluster_id.parse().ok();
    }

    async fn is_ready(&self, member: i32) -> Option<bool> {
        let (_, channel) = self.channels.get(&member)?;
        let request = HealthCheckRequest { service: "ready".to_owned() };
        match HealthClient::new(channel.clone()).check(self.request(request, QUESTION)).await {
            Ok(answer) => Some(answer.into_inner().status() == ServingStatus::Serving),
            Err(status) if failed("health", &status).may_pass() => None,
            Err(_) => Some(false),
        }
    }

    async fn describe(&self) -> Result<proto::DescribeResponse, AgentError> {
        self.any("describe", QUESTION, async |channel, deadline| {
            let request = self.request(proto::DescribeRequest::default(), deadline);
            MembershipClient::new(channel).describe(request).await
        })
        .await
    }

    async fn check_restart(&self, member: i32) -> Result<proto::CheckRestartResponse, AgentError> {
        self.any("check restart", QUESTION, async |channel, deadline| {
            let request = proto::CheckRestartRequest { members: vec![member] };
            MembershipClient::new(channel).check_restart(self.request(request, deadline)).await
        })
        .await
    }

    async fn check_remove(&self, members: &[i32]) -> Result<proto::CheckRemoveResponse, AgentError> {
        self.any("check remove", QUESTION, async |channel, deadline| {
            let request = proto::CheckRemoveRequest { members: members.to_vec() };
            MembershipClient::new(channel).check_remove(self.request(request, deadline)).await
        })
        .await
    }

    async fn rebalance(&self) -> Result<proto::Progress, AgentError> {
        self.any("rebalance", QUESTION, async |channel, deadline| {
            let request = self.request(proto::GetRequest { follow: false }, deadline);
            let mut progress = RebalanceClient::new(channel).get(request).await?.into_inner();
            let first = progress.message().await?;
            first.map(tonic::Response::new).ok_or_else(|| Status::unavailable("ended without an answer"))
        })
        .await
    }

    async fn topics(&self, member: i32) -> Result<Vec<proto::Topic>, AgentError> {
        let error = |status: Status| failed("list topics", &status);
        let (_, channel) =
            self.channels.get(&member).ok_or_else(|| error(Status::not_found("no such member")))?;
        let request = self.request(proto::ListTopicsRequest { internal: false }, QUESTION);
        let answer = TopicsClient::new(channel.clone()).list(request).await.map_err(error)?;
        Ok(answer.into_inner().topics)
    }

    async fn apply_topic(
        &self,
        request: proto::ApplyTopicRequest,
    ) -> Result<proto::ApplyTopicResponse, AgentError> {
        let request = proto::ApplyTopicRequest { write: self.write(), ..request };
        self.any("apply topic", CHANGE, async |channel, deadline| {
            TopicsClient::new(channel).apply(self.request(request.clone(), deadline)).await
        })
        .await
    }

    async fn delete_topic(&self, name: &str, id: &str) -> Result<bool, AgentError> {
        let answer = self.any("delete topic", CHANGE, async |channel, deadline| {
            let request =
                proto::DeleteTopicRequest { write: self.write(), name: name.to_owned(), id: id.to_owned() };
            TopicsClient::new(channel).delete(self.request(request, deadline)).await
        });
        Ok(answer.await?.deleted)
    }

    async fn hand_over(&self, member: i32) -> Result<bool, AgentError> {
        let answer = self.any("hand over", CHANGE, async |channel, deadline| {
            let request = proto::HandOverRequest { write: self.write(), member };
            MembershipClient::new(channel).hand_over(self.request(request, deadline)).await
        });
        Ok(answer.await?.done)
    }

    async fn cordon(&self, member: i32) -> Result<(), AgentError> {
        self.change("cordon", async |channel, deadline| {
            let request = proto::CordonRequest { write: self.write(), member };
            MembershipClient::new(channel).cordon(self.request(request, deadline)).await
        })
        .await
    }

    async fn uncordon(&self, member: i32) -> Result<(), AgentError> {
        self.change("uncordon", async |channel, deadline| {
            let request = proto::UncordonRequest { write: self.write(), member };
            MembershipClient::new(channel).uncordon(self.request(request, deadline)).await
        })
        .await
    }

    async fn drain(&self, member: i32) -> Result<(), AgentError> {
        self.change("drain", async |channel, deadline| {
            let request = proto::DrainRequest { write: self.write(), member };
            RebalanceClient::new(channel).drain(self.request(request, deadline)).await
        })
        .await
    }

    async fn promote(&self, member: i32) -> Result<(), AgentError> {
        self.change("promote", async |channel, deadline| {
            let request = proto::PromoteRequest { write: self.write(), member };
            MembershipClient::new(channel).promote(self.request(request, deadline)).await
        })
        .await
    }

    async fn demote(&self, member: i32) -> Result<(), AgentError> {
        self.change("demote", async |channel, deadline| {
            let request = proto::DemoteRequest { write: self.write(), member };
            MembershipClient::new(channel).demote(self.request(request, deadline)).await
        })
        .await
    }

    async fn remove(&self, member: i32) -> Result<(), AgentError> {
        self.change("remove", async |channel, deadline| {
            let request = proto::RemoveRequest { write: self.write(), member };
            MembershipClient::new(channel).remove(self.request(request, deadline)).await
        })
        .await
    }

    async fn configure_rebalance(&self, auto: bool, max_bytes_per_second: i64) -> Result<(), AgentError> {
        self.change("configure rebalance", async |channel, deadline| {
            let request = proto::ConfigureRequest {
                write: self.write(),
                auto: Some(auto),
                max_bytes_per_second: Some(max_bytes_per_second),
            };
            RebalanceClient::new(channel).configure(self.request(request, deadline)).await
        })
        .await
    }

    async fn settings_digest(&self, member: i32) -> Option<String> {
        let (_, channel) = self.channels.get(&member)?;
        let request = self.request(proto::DescribeRequest { itself: true }, QUESTION);
        let answer = MembershipClient::new(channel.clone()).describe(request).await;
        answer.ok().map(|answer| answer.into_inner().settings_digest)
    }

    async fn configure_broker(
        &self,
        member: i32,
        settings: &BTreeMap<String, String>,
    ) -> Result<(), AgentError> {
        let error = |status: Status| failed("configure broker", &status);
        let (_, channel) =
            self.channels.get(&member).ok_or_else(|| error(Status::not_found("no such member")))?;
        let settings = settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let request = proto::ConfigureBrokerRequest { write: self.write(), settings };
        let request = self.request(request, CHANGE);
        MembershipClient::new(channel.clone()).configure_broker(request).await.map(drop).map_err(error)
    }
}

fn failed(what: &'static str, status: &Status) -> AgentError {
    let message = if status.message().is_empty() { status.code().description() } else { status.message() };
    AgentError::new(what, status.code(), message)
}
