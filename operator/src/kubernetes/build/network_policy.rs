//! The NetworkPolicy: everybody reaches the two client protocols and HTTP (`/metrics`, `/readyz`: Prometheus may be anywhere), agents each
//! other, and the operator their gRPC, which is plaintext. Everything else is refused; the kubelet's probes are always let through.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Parts, metadata};
use crate::kubernetes::names;

/// The object.
pub fn build(parts: &Parts) -> NetworkPolicy {
    let agents =
        NetworkPolicyPeer { pod_selector: Some(labels(names::selector(&parts.name))), ..Default::default() };
    let mut callers = vec![agents.clone()];
    callers.extend(parts.operator_namespace.as_deref().map(operator));
    let rule = |from: Option<Vec<NetworkPolicyPeer>>, ports: &[u16]| NetworkPolicyIngressRule {
        from,
        ports: Some(ports.iter().copied().map(port).collect()),
    };
    let ingress = vec![
        rule(None, &[names::ZOOKEEPER, names::KAFKA, names::HTTP]),
        rule(Some(vec![agents]), &[names::PEER]),
        rule(Some(callers), &[names::GRPC]),
    ];
    let spec = NetworkPolicySpec {
        pod_selector: Some(labels(names::selector(&parts.name))),
        policy_types: Some(vec!["Ingress".to_owned()]),
        ingress: Some(ingress),
        ..NetworkPolicySpec::default()
    };
    NetworkPolicy { metadata: metadata(parts, parts.name.clone()), spec: Some(spec) }
}

fn operator(namespace: &str) -> NetworkPolicyPeer {
    let label = |key: &str, value: &str| labels([(key.to_owned(), value.to_owned())].into());
    NetworkPolicyPeer {
        namespace_selector: Some(label("kubernetes.io/metadata.name", namespace)),
        pod_selector: Some(label(names::COMPONENT, "operator")),
        ..NetworkPolicyPeer::default()
    }
}

fn labels(match_labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(match_labels), ..LabelSelector::default() }
}

fn port(number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(number))),
        protocol: Some("TCP".to_owned()),
        ..NetworkPolicyPort::default()
    }
}
