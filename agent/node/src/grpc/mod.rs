//! The agent's gRPC services: health, membership, rebalancing, topics, reflection. Plaintext: on anything but a loopback address only where
//! the network is trusted, as in pods behind a NetworkPolicy, until mutual TLS comes.
//!
//! One file per service. Must not know: the rules; those are in `agent/member/src/control` and below. Read first: [`agent::Agent`] (how a
//! service asks the coordination thread), [`serve`].

mod agent;
mod answers;
mod early;
mod health;
mod membership;
mod rebalance;
mod settings;
mod topics;

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use streamkeeper_proto::v1alpha1::membership_server::MembershipServer;
use streamkeeper_proto::v1alpha1::rebalance_server::RebalanceServer;
use streamkeeper_proto::v1alpha1::topics_server::TopicsServer;
use streamkeeper_proto::{CLUSTER_ID, DESCRIPTORS};
use tokio::net::TcpListener;
use tonic::service::InterceptorLayer;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};

pub(crate) use agent::{Agent, Facing, View};
pub(crate) use early::Early;
pub(crate) use health::{Health, OnReady};
pub(crate) use settings::BrokerSettings;

/// Requests of one connection at once.
const CONCURRENT_REQUESTS_MAX: usize = 64;
/// Streams of one connection at once: followed progress counts as long as it is followed.
const CONCURRENT_STREAMS_MAX: u32 = 128;
/// A request, or the begin of a stream, takes no longer.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
/// A silent connection is asked whether anybody is there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The control thread: serves until the process ends.
///
/// # Errors
/// The runtime, the listener or the descriptors cannot be used.
pub(crate) fn serve(
    listener: StdListener,
    http: StdListener,
    agent: Arc<Agent>,
    on_ready: Option<OnReady>,
) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the control thread has no runtime: {error}"))?;
    runtime.spawn(serve_http(http, agent.clone()));
    runtime.block_on(run(listener, agent, on_ready))
}

/// A caller that says which cluster it means is not answered by another one's agent: addresses of pods are given again. It is UNAVAILABLE,
/// because the caller has the wrong address, and goes on with the next.
fn of_this_cluster(request: Request<()>, cluster: &str) -> Result<Request<()>, Status> {
    match request.metadata().get(CLUSTER_ID) {
        Some(meant) if meant.as_bytes() != cluster.as_bytes() => {
            let meant = String::from_utf8_lossy(meant.as_bytes());
            Err(Status::unavailable(format!("this agent belongs to cluster {cluster}, not to {meant}")))
        }
        Some(_) | None => Ok(request),
    }
}

async fn serve_http(listener: StdListener, agent: Arc<Agent>) {
    if let Err(reason) = crate::http::serve(listener, agent).await {
        // Nothing of the ensemble depends on it; whoever scrapes it sees that it is gone.
        tracing::error!("{reason}");
    }
}

async fn run(listener: StdListener, agent: Arc<Agent>, on_ready: Option<OnReady>) -> Result<(), String> {
    let listener = TcpListener::from_std(listener).map_err(|error| error.to_string())?;
    let (reporter, health) = tonic_health::server::health_reporter();
    tokio::spawn(health::report(agent.clone(), reporter, on_ready));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Tools of before 2023 know the alpha version only.
    let reflection_v1 = reflection().build_v1().map_err(|error| error.to_string())?;
    let reflection_alpha = reflection().build_v1alpha().map_err(|error| error.to_string())?;
    let cluster = agent.cluster_id.clone();
    Server::builder()
        .layer(InterceptorLayer::new(move |request| of_this_cluster(request, &cluster)))
        .concurrency_limit_per_connection(CONCURRENT_REQUESTS_MAX)
        .max_concurrent_streams(CONCURRENT_STREAMS_MAX)
        .timeout(REQUEST_TIME_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .add_service(health)
        .add_service(reflection_v1)
        .add_service(reflection_alpha)
        .add_service(MembershipServer::new(membership::Service(agent.clone())))
        .add_service(RebalanceServer::new(rebalance::Service(agent.clone())))
        .add_service(TopicsServer::new(topics::Service(agent)))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await
        .map_err(|error| format!("the gRPC server ended: {error}"))
}
