//! The template of the agents' pods, under the restricted Pod Security profile.
//!
//! Read first: [`template`].

use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EnvVar, EnvVarSource,
    GRPCAction, ObjectFieldSelector, PodAffinityTerm, PodAntiAffinity, PodSecurityContext, PodSpec,
    PodTemplateSpec, Probe, SeccompProfile, SecurityContext, TopologySpreadConstraint, Volume, VolumeMount,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::json;

use super::Parts;
use crate::kubernetes::names;

/// The volume with the member's disk.
pub const DATA: &str = "data";
/// Where it is mounted.
const DATA_PATH: &str = "/var/lib/streamkeeper";
const CONFIG: &str = "config";
/// Where the ConfigMap is mounted.
const CONFIG_PATH: &str = "/etc/streamkeeper";
/// The user and group of the image.
const USER: i64 = 65532;
/// How long an agent may take to hand over what it leads and to stop in good order.
const GRACE_SECONDS: i64 = 60;
/// Labels that Kubernetes copies from the node to the pod, from 1.35 on; no other label of a node can be read in a pod.
const ZONE_LABELS: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

/// The template, with an annotation that changes when a pod must be started anew to have what it says.
pub fn template(parts: &Parts) -> PodTemplateSpec {
    let spec = spec(parts);
    let mut made_from = json!({"settings": parts.spec.revision(), "pod": spec});
    if let Some(at) = &parts.restarted_at {
        made_from["restartedAt"] = json!(at);
    }
    let revision = super::digest(&made_from);
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(names::labels(&parts.name)),
            annotations: Some([(names::REVISION.to_owned(), revision)].into()),
            ..ObjectMeta::default()
        }),
        spec: Some(spec),
    }
}

/// The revision that pods of this template have.
pub fn revision(parts: &Parts) -> String {
    let annotations = template(parts).metadata.and_then(|metadata| metadata.annotations);
    annotations.and_then(|mut annotations| annotations.remove(names::REVISION)).unwrap_or_default()
}

fn spec(parts: &Parts) -> PodSpec {
    let scheduling = &parts.spec.scheduling;
    let constraints = scheduling.topology_spread_constraints.clone();
    PodSpec {
        service_account_name: Some(names::agents(&parts.name)),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            seccomp_profile: Some(seccomp()),
            ..PodSecurityContext::default()
        }),
        containers: vec![container(parts)],
        volumes: Some(vec![Volume {
            name: CONFIG.to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: names::agents(&parts.name),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        }]),
        affinity: Some(scheduling.affinity.clone().unwrap_or_else(|| apart(parts))),
        tolerations: Some(scheduling.tolerations.clone()).filter(|tolerations| !tolerations.is_empty()),
        topology_spread_constraints: if constraints.is_empty() {
            over_zones(parts)
        } else {
            Some(constraints)
        },
        priority_class_name: scheduling.priority_class_name.clone(),
        ..PodSpec::default()
    }
}

fn container(parts: &Parts) -> Container {
    Container {
        name: "agent".to_owned(),
        image: Some(parts.spec.image.clone().unwrap_or_else(|| parts.image.clone())),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        args: Some(["agent", "--pod", CONFIG_PATH].map(str::to_owned).to_vec()),
        env: Some(environment(parts)),
        ports: Some(ports()),
        resources: parts.spec.resources.clone(),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            seccomp_profile: Some(seccomp()),
            ..SecurityContext::default()
        }),
        // An hour: a log of many gigabytes is read before the agent answers.
        startup_probe: Some(probe("", 2, 1800)),
        // The process, never the quorum: a member without a quorum must not be killed for it.
        liveness_probe: Some(probe("", 10, 6)),
        readiness_probe: Some(probe("ready", 2, 2)),
        volume_mounts: Some(vec![
            VolumeMount { name: DATA.to_owned(), mount_path: DATA_PATH.to_owned(), ..VolumeMount::default() },
            VolumeMount {
                name: CONFIG.to_owned(),
                mount_path: CONFIG_PATH.to_owned(),
                read_only: Some(true),
                ..VolumeMount::default()
            },
        ]),
        ..Container::default()
    }
}

fn environment(parts: &Parts) -> Vec<EnvVar> {
    let field = |name: &str, path: String| EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector { field_path: path, ..ObjectFieldSelector::default() }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    };
    let mut environment = vec![
        field("POD_NAME", "metadata.name".to_owned()),
        field("POD_NAMESPACE", "metadata.namespace".to_owned()),
    ];
    let zone = parts.spec.scheduling.zone_key.as_deref().filter(|key| ZONE_LABELS.contains(key));
    environment.extend(zone.map(|key| field("STREAMKEEPER_ZONE", format!("metadata.labels['{key}']"))));
    environment
}

fn ports() -> Vec<ContainerPort> {
    let port = |(name, number): (&str, u16)| ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(number),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    names::PORTS.into_iter().map(port).collect()
}

fn probe(service: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        grpc: Some(GRPCAction {
            port: i32::from(names::GRPC),
            service: Some(service.to_owned()),
            ..GRPCAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(period_seconds.clamp(2, 5)),
        failure_threshold: Some(failure_threshold),
        ..Probe::default()
    }
}

fn seccomp() -> SeccompProfile {
    SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }
}

fn of_this_ensemble(parts: &Parts) -> Option<LabelSelector> {
    Some(LabelSelector { match_labels: Some(names::selector(&parts.name)), ..LabelSelector::default() })
}

/// Members go to different nodes where there are enough.
fn apart(parts: &Parts) -> Affinity {
    let term = PodAffinityTerm {
        label_selector: of_this_ensemble(parts),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..PodAffinityTerm::default()
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
                weight: 100,
                pod_affinity_term: term,
            }]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

/// Members go to different zones where there are enough.
fn over_zones(parts: &Parts) -> Option<Vec<TopologySpreadConstraint>> {
    let key = parts.spec.scheduling.zone_key.clone()?;
    Some(vec![TopologySpreadConstraint {
        label_selector: of_this_ensemble(parts),
        max_skew: 1,
        topology_key: key,
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        ..TopologySpreadConstraint::default()
    }])
}
