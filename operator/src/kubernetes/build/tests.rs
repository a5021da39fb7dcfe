//! `tests/golden/` holds what the objects of two ensembles look like: one with every default, one with everything set.
//! `UPDATE_GOLDEN=1 cargo test -p streamkeeper-operator --lib kubernetes::build` writes the files anew.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;

fn parts(name: &str, spec: serde_json::Value) -> Parts {
    let spec: EnsembleSpec = serde_json::from_value(spec).expect("a specification");
    let mut memory = Memory::default();
    memory.place(spec.replicas, spec.voters());
    memory.note_served(0, "0b2f0f0e-0000-4000-8000-00000000c1a0");
    Parts {
        name: name.to_owned(),
        namespace: "prod".to_owned(),
        uid: "5d1f8a3e-0000-4000-8000-000000000001".to_owned(),
        cluster_id: "5d1f8a3e000040008000000000000001".to_owned(),
        replicas: spec.replicas,
        template: (spec.storage.size.clone(), spec.storage.class.clone()),
        spec,
        restarted_at: None,
        memory,
        image: "streamkeeper:1".to_owned(),
        operator_namespace: Some("streamkeeper".to_owned()),
    }
}

fn everything() -> serde_json::Value {
    json!({
        "replicas": 5,
        "voters": 3,
        "image": "registry.example/streamkeeper:2",
        "storage": {"size": "20Gi", "class": "fast"},
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        "coordination": {"tickTimeMs": 1000, "maxClientCnxns": 60},
        "broker": {"config": {"log.retention.hours": "24"}},
        "rebalance": {"mode": "Manual", "maxBytesPerSecond": "10Mi"},
        "scheduling": {
            "zoneKey": "topology.kubernetes.io/zone",
            "tolerations": [{"key": "dedicated", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]},
            ]}}},
            "priorityClassName": "high",
        },
        "deletionPolicy": "Delete",
    })
}

#[test]
fn a_restart_that_is_asked_for_makes_other_pods_and_nothing_else() {
    let before = parts("main", json!({"replicas": 3}));
    let asked = |at: &str| Parts { restarted_at: Some(at.to_owned()), ..before.clone() };
    let differ = |one: &Parts, other: &Parts| {
        let differ = objects(one).into_iter().zip(objects(other)).filter(|(one, other)| one != other);
        differ.map(|(one, _)| one.kind).collect::<Vec<_>>()
    };
    assert_eq!(differ(&before, &asked("now")), [Kind::StatefulSet]);
    assert_eq!(differ(&asked("now"), &asked("later")), [Kind::StatefulSet]);
    assert_eq!(differ(&asked("now"), &asked("now")), []);
}

fn golden() -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("tests/golden")
}

fn name_of(wanted: &Wanted) -> String {
    format!("{}-{}.yaml", format!("{:?}", wanted.kind).to_lowercase(), wanted.name)
}

fn check(directory: &Path, parts: &Parts) {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let objects = objects(parts);
    if update {
        std::fs::create_dir_all(directory).expect("the directory can be made");
    }
    for wanted in &objects {
        let path = directory.join(name_of(wanted));
        let text = serde_saphyr::to_string(&wanted.body).expect("YAML");
        if update {
            std::fs::write(&path, &text).expect("the file can be written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "{} differs; look at the difference, then UPDATE_GOLDEN=1", path.display());
    }
    let expected: Vec<String> = objects.iter().map(name_of).collect();
    for entry in std::fs::read_dir(directory).expect("the directory is there") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        assert!(expected.contains(&name), "{name}: nothing gives it");
    }
}

#[test]
fn the_objects_of_an_ensemble_with_every_default() {
    check(&golden().join("defaults"), &parts("main", json!({"replicas": 3})));
}

#[test]
fn the_objects_of_an_ensemble_with_everything_set() {
    check(&golden().join("everything"), &parts("big", everything()));
}

/// Pod Security Standards, profile "restricted".
#[test]
fn pods_are_restricted() {
    for (name, spec) in [("main", json!({"replicas": 3})), ("big", everything())] {
        let template = serde_json::to_value(pod::template(&parts(name, spec))).expect("JSON");
        let pod = &template["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(pod["automountServiceAccountToken"], false);
        for key in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(pod[key].is_null(), "{key}");
        }
        for container in pod["containers"].as_array().expect("containers") {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
        }
        let volumes = pod["volumes"].as_array().expect("volumes");
        assert!(volumes.iter().all(|volume| volume["hostPath"].is_null()));
    }
}

#[test]
fn only_what_a_pod_is_made_from_makes_another_revision() {
    let of = |spec| pod::revision(&parts("main", spec));
    let before = of(json!({"replicas": 3}));
    assert_eq!(
        before,
        of(json!({"replicas": 5, "rebalance": {"mode": "Manual"}, "storage": {"size": "99Gi"}}))
    );
    let told = json!({"replicas": 3, "broker": {"config": {"num.partitions": "3"}}});
    assert_eq!(before, of(told), "agents are told while they run");
    for changed in [
        json!({"replicas": 3, "image": "streamkeeper:2"}),
        json!({"replicas": 3, "broker": {"config": {"connections.max.idle.ms": "3"}}}),
        json!({"replicas": 3, "coordination": {"tickTimeMs": 1000}}),
        json!({"replicas": 3, "resources": {"limits": {"memory": "1Gi"}}}),
        json!({"replicas": 3, "scheduling": {"priorityClassName": "high"}}),
    ] {
        assert_ne!(before, of(changed.clone()), "{changed}");
    }
    let mut another = parts("main", json!({"replicas": 3}));
    another.image = "streamkeeper:2".to_owned();
    assert_ne!(before, pod::revision(&another), "the operator's own image");
}

#[test]
fn the_record_is_read_as_it_was_written() {
    let parts = parts("main", json!({"replicas": 3}));
    let map = config_map::build(&parts);
    assert_eq!(config_map::memory(&map), Ok(parts.memory.clone()));
    assert_eq!(config_map::cluster_id(&map).as_deref(), Some(parts.cluster_id.as_str()));
    let mut broken = map.clone();
    broken.data.as_mut().expect("data").insert(config_map::MEMBERS.to_owned(), "members: x".to_owned());
    let error = config_map::memory(&broken).expect_err("broken");
    assert!(
        error.starts_with("ConfigMap main-agents: members.yaml: ") && error.contains("put back"),
        "{error}"
    );
}

fn claim(size: &str) -> k8s_openapi::api::core::v1::PersistentVolumeClaim {
    serde_json::from_value(json!({
        "metadata": {"name": "data-main-0", "uid": "u"},
        "spec": {"resources": {"requests": {"storage": size}}},
    }))
    .expect("a claim")
}

#[test]
fn volumes_grow_and_never_shrink_and_go_with_the_ensemble_only_if_that_is_wanted() {
    let mut parts = parts("main", json!({"replicas": 3, "storage": {"size": "20Gi"}}));
    let size = |parts: &Parts, there| {
        volume::build(parts, 0, &claim(there))["spec"]["resources"]["requests"]["storage"].clone()
    };
    assert_eq!((size(&parts, "10Gi"), size(&parts, "30Gi")), (json!("20Gi"), json!("30Gi")));
    assert!(volume::build(&parts, 0, &claim("20Gi"))["metadata"]["ownerReferences"].is_null());
    parts.spec.deletion_policy = crate::crd::DeletionPolicy::Delete;
    let body = volume::build(&parts, 0, &claim("20Gi"));
    assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], parts.uid);
}

/// Seed 2 of the model: scaled in, deleted, made again and scaled out, a member began with the disk that it had been removed with.
#[test]
fn a_disk_of_a_member_that_left_is_counted_though_its_record_is_gone() {
    let mut parts = parts("main", json!({"replicas": 4}));
    let served = |parts: &mut Parts| parts.memory.note_served(3, "u");
    let told = |parts: &Parts| {
        let mut claim = claim("10Gi");
        let annotations = volume::build(parts, 3, &claim)["metadata"]["annotations"].clone();
        claim.metadata.annotations = serde_json::from_value(annotations).expect("annotations");
        std::sync::Arc::new(claim)
    };
    parts.memory.place(4, 3);
    parts.memory.replace_disk(3);
    served(&mut parts);
    let serving = told(&parts);
    let mut another = claim("10Gi");
    another.metadata.uid = Some("another".to_owned());
    let annotations = &volume::build(&parts, 3, &another)["metadata"]["annotations"];
    assert!(
        annotations[names::PLACE].is_null(),
        "seed 23: a new volume does not have the disk of the lost one"
    );
    parts.memory.mark_leaving(3);
    let place = |claim: &k8s_openapi::api::core::v1::PersistentVolumeClaim| {
        claim.metadata.annotations.clone().unwrap_or_default().remove(names::PLACE)
    };
    assert_eq!((place(&serving), place(&told(&parts))), (Some("1".to_owned()), None), "before it is removed");
    parts.memory.forget(3);
    let (left, mut other) = (told(&parts), serving.as_ref().clone());
    other.metadata.name = Some("data-main-0".to_owned());
    let claims = [(0, std::sync::Arc::new(other)), (3, left)];
    let (_, mut memory) = volume::remembered(&claims.into()).expect("one ensemble").expect("members");
    assert_eq!(memory.record.members.iter().map(|m| m.id).collect::<Vec<_>>(), [0]);
    memory.place(4, 3);
    assert_eq!(memory.record.member(3).map(|m| m.place), Some(2), "disks 0 and 1 were its predecessors'");
}

#[test]
fn members_are_known_again_from_their_volumes() {
    let parts = parts("main", json!({"replicas": 3}));
    let with = |id: i32, cluster: &str, place: Option<&str>| {
        let mut claim = claim("10Gi");
        let mut annotations =
            std::collections::BTreeMap::from([(names::CLUSTER.to_owned(), cluster.to_owned())]);
        annotations.extend(place.map(|place| (names::PLACE.to_owned(), place.to_owned())));
        claim.metadata.annotations = Some(annotations);
        (id, std::sync::Arc::new(claim))
    };
    let claims =
        [with(0, &parts.cluster_id, Some("0")), with(2, &parts.cluster_id, Some("3")), with(4, "gone", None)];
    let (cluster, memory) = volume::remembered(&claims.into()).expect("one ensemble").expect("members");
    assert_eq!(cluster, parts.cluster_id);
    let members: Vec<(i32, u32, bool)> =
        memory.record.members.iter().map(|m| (m.id, m.place, m.served)).collect();
    assert_eq!((members, memory.record.founders.len()), (vec![(0, 0, true), (2, 3, true)], 0));
    let two = [with(0, "a", Some("0")), with(1, "b", Some("0"))];
    assert!(volume::remembered(&two.into()).is_err_and(|why| why.contains("others have data of a")));
}
