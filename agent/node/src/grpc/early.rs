//! gRPC of an agent that does not serve yet: it opens its disk, or waits to be told what to do. The process is healthy, nothing is ready,
//! and every other question is answered with UNAVAILABLE and why, so that whoever asks goes on to another agent.
//!
//! Without it the kubelet would kill a pod whose logs take long to replay, or that waits for a hand. Read first: [`Early`].

use std::net::TcpListener as StdListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::Result;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

use super::health::SERVICES;

/// Answers on a thread of its own until it is ended.
pub(crate) struct Early {
    why: Arc<Mutex<String>>,
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Early {
    /// Answers on a listener, which stays open for those who come after.
    ///
    /// # Errors
    /// There is no thread or socket for it.
    pub(crate) fn start(listener: &StdListener, why: &str) -> Result<Self> {
        let listener = listener.try_clone()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let why = Arc::new(Mutex::new(why.to_owned()));
        let (end, ended) = oneshot::channel();
        let reason = why.clone();
        let thread = std::thread::Builder::new().name("early".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    result = serve(listener, reason) => {
                        if let Err(error) = result {
                            // The disk is opened without it; the services that come after it say more.
                            tracing::warn!(error, "health is not answered during the start");
                        }
                    }
                    _ = ended => {}
                }
            });
            // Connections end here, and whoever held one dials again.
            runtime.shutdown_background();
        })?;
        Ok(Self { why, end, thread })
    }

    /// What others are told from now on.
    pub(crate) fn say(&self, why: &str) {
        why.clone_into(&mut self.why.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Ends the answers; the listener belongs to the caller alone then.
    pub(crate) fn end(self) {
        // A thread that has ended already does not listen.
        let _ = self.end.send(());
        let _ = self.thread.join();
    }
}

async fn serve(listener: StdListener, why: Arc<Mutex<String>>) -> Result<(), String> {
    let listener = TcpListener::from_std(listener).map_err(|error| error.to_string())?;
    let (reporter, health) = tonic_health::server::health_reporter();
    for service in SERVICES {
        let status = if service.is_empty() { ServingStatus::Serving } else { ServingStatus::NotServing };
        reporter.set_service_status(service, status).await;
    }
    let unavailable = move || {
        let why = why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        std::future::ready(Status::unavailable(why).into_http::<Body>())
    };
    let routes = Routes::from(Routes::new(health).into_axum_router().fallback(unavailable));
    Server::builder()
        .add_routes(routes)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use streamkeeper_proto::v1alpha1 as proto;
    use streamkeeper_proto::v1alpha1::membership_client::MembershipClient;
    use tonic::Code;
    use tonic::transport::Endpoint;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn an_early_agent_is_alive_not_ready_and_says_why() {
        let listener = StdListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let early = Early::start(&listener, "it opens its disk").expect("a thread");
        early.say("its data is gone");
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let channel = endpoint.connect().await.expect("a connection");
        for (service, expected) in [("", 1), ("ready", 2), ("kafka", 2), ("zookeeper", 2)] {
            let request = HealthCheckRequest { service: service.to_owned() };
            let answer = HealthClient::new(channel.clone()).check(request).await.expect("an answer");
            assert_eq!(answer.into_inner().status, expected, "{service:?}");
        }
        let refused = MembershipClient::new(channel).describe(proto::DescribeRequest::default()).await;
        let status = refused.expect_err("nothing to describe");
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "its data is gone"));
        early.end();
        drop(listener);
        assert!(std::net::TcpStream::connect(address).is_err(), "the port is free again");
    }
}
