//! A way to the agents' gRPC: a port of this machine's loopback, forwarded through the API server to a pod, as `kubectl port-forward` does.
//!
//! Needs the right to create `pods/portforward`. Read first: [`agents`].

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use streamkeeper_operator::agents::Clients;
use streamkeeper_operator::kubernetes::names;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::fetch::{Cluster, causes};
use crate::terminal::note;

/// Clients of the agents of an ensemble whose pods are ready. The forwarding ends with the program.
///
/// # Errors
/// No pod is ready, or no port can be listened on.
pub(super) async fn agents(cluster: &Cluster, ensemble: &str) -> Result<Clients> {
    cluster.ensemble(ensemble).await?;
    let pods = cluster.pods_of(ensemble).await?;
    let mut addresses = BTreeMap::new();
    for pod in pods.iter().filter(|pod| pod.ready) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("a port for the forwarding")?;
        addresses.insert(pod.member, listener.local_addr()?.to_string());
        tokio::spawn(forward(listener, cluster.pods(), pod.name.clone()));
    }
    if addresses.is_empty() {
        bail!("no pod of ensemble {ensemble} is ready: kubectl streamkeeper explain {ensemble}");
    }
    Ok(Clients::new(&addresses, 0))
}

async fn forward(listener: TcpListener, pods: Api<Pod>, name: String) {
    while let Ok((connection, _)) = listener.accept().await {
        let (pods, name) = (pods.clone(), name.clone());
        tokio::spawn(async move {
            if let Err(error) = carry(connection, &pods, &name).await {
                note(&format!("pod {name}: {error:#}"));
            }
        });
    }
}

async fn carry(mut connection: TcpStream, pods: &Api<Pod>, name: &str) -> Result<()> {
    let forwarder = pods.portforward(name, &[names::GRPC]).await;
    let mut forwarder =
        forwarder.map_err(|error| anyhow::anyhow!("cannot be reached: {}", causes(&error)))?;
    let mut stream = forwarder.take_stream(names::GRPC).context("the port was not forwarded")?;
    // A connection that either side ends is over; what it carried is judged by gRPC.
    let _ = copy_bidirectional(&mut connection, &mut stream).await;
    Ok(())
}
