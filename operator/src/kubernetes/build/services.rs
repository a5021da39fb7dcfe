//! The Services: one that gives each pod its name, and one per protocol where clients connect.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Parts, metadata};
use crate::kubernetes::names;

/// What clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// ZooKeeper's.
    Zookeeper,
    /// Kafka's.
    Kafka,
}

/// The names of pods, also of those that are not ready: members find each other by them before anybody serves.
pub fn headless(parts: &Parts) -> Service {
    let spec = ServiceSpec {
        cluster_ip: Some("None".to_owned()),
        publish_not_ready_addresses: Some(true),
        ..spec(parts, &names::PORTS)
    };
    Service { metadata: metadata(parts, names::agents(&parts.name)), spec: Some(spec), ..Service::default() }
}

/// Where clients connect first: to any member that serves.
pub fn client(parts: &Parts, protocol: Protocol) -> Service {
    let (name, port) = match protocol {
        Protocol::Zookeeper => (names::zookeeper(&parts.name), ("zookeeper", names::ZOOKEEPER)),
        Protocol::Kafka => (names::kafka(&parts.name), ("kafka", names::KAFKA)),
    };
    let spec = ServiceSpec { type_: Some("ClusterIP".to_owned()), ..spec(parts, &[port]) };
    Service { metadata: metadata(parts, name), spec: Some(spec), ..Service::default() }
}

fn spec(parts: &Parts, ports: &[(&str, u16)]) -> ServiceSpec {
    let port = |(name, number): &(&str, u16)| ServicePort {
        name: Some((*name).to_owned()),
        port: i32::from(*number),
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String((*name).to_owned())),
        ..ServicePort::default()
    };
    ServiceSpec {
        selector: Some(names::selector(&parts.name)),
        ports: Some(ports.iter().map(port).collect()),
        ..ServiceSpec::default()
    }
}
