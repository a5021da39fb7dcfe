//! The chart and the plain manifests, as far as no Helm is needed: `tests/chart/run` renders what is read here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use streamkeeper_operator::manifest;

fn root() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The documents of a file of YAML.
fn documents(path: &Path) -> Vec<Value> {
    let text = read(path);
    let parts =
        text.split("\n---").map(str::trim).filter(|part| part.lines().any(|line| !line.starts_with('#')));
    parts
        .map(|part| {
            serde_saphyr::from_str(part).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect()
}

fn chart_file(name: &str) -> PathBuf {
    root().join("charts/streamkeeper").join(name)
}

fn files(directory: &str) -> Vec<PathBuf> {
    let listed =
        std::fs::read_dir(root().join(directory)).unwrap_or_else(|error| panic!("{directory}: {error}"));
    let mut files: Vec<PathBuf> = listed.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(!files.is_empty(), "{directory} has no manifests");
    files
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart = &documents(&chart_file("Chart.yaml"))[0];
    assert_eq!(
        (&chart["appVersion"], &chart["version"]),
        (&env!("CARGO_PKG_VERSION").into(), &env!("CARGO_PKG_VERSION").into())
    );
}

/// What is misspelt is refused, wherever it is. Open are only what others share (`global`) and maps whose keys are the user's.
#[test]
fn the_schema_of_the_values_is_closed() {
    fn walk(at: &str, schema: &Value, open: &mut Vec<String>) {
        if schema.get("properties").is_some() && schema["additionalProperties"] != Value::Bool(false) {
            open.push(at.to_owned());
        }
        if let Some(fields) = schema.as_object() {
            fields.iter().for_each(|(name, below)| walk(&format!("{at}/{name}"), below, open));
        }
    }
    let schema: Value = serde_json::from_str(&read(&chart_file("values.schema.json"))).expect("JSON");
    let mut open = Vec::new();
    walk("", &schema, &mut open);
    // The properties of the root are themselves an object with a member "properties" nowhere else.
    assert_eq!(open, ["/properties/global"]);
}

#[test]
fn the_schema_knows_the_values_and_no_others() {
    fn keys<'a>(at: &str, value: &'a Value, known: &'a Value, missing: &mut Vec<String>) {
        let names = |value: &'a Value| -> BTreeSet<&'a str> {
            value.as_object().map(|fields| fields.keys().map(String::as_str).collect()).unwrap_or_default()
        };
        let properties = &known["properties"];
        for name in names(value).union(&names(properties)) {
            let path = format!("{at}{name}");
            match (value.get(name), properties.get(name)) {
                (Some(below), Some(schema))
                    if schema.get("properties").is_some()
                        && !below.as_object().is_none_or(|b| b.is_empty()) =>
                {
                    keys(&format!("{path}."), below, schema, missing);
                }
                (Some(_), Some(_)) => {}
                (Some(_), None) => missing.push(format!("{path}: not in the schema")),
                (None, _) => missing.push(format!("{path}: not in values.yaml")),
            }
        }
    }
    let schema: Value = serde_json::from_str(&read(&chart_file("values.schema.json"))).expect("JSON");
    let values = &documents(&chart_file("values.yaml"))[0];
    let mut missing = Vec::new();
    keys("", values, &schema, &mut missing);
    // Fields of Kubernetes that have no default here, and the condition of a parent chart.
    let as_kubernetes = ["enabled", "podSecurityContext.", "securityContext.", "resources."];
    missing.retain(|path| !as_kubernetes.iter().any(|prefix| path.starts_with(prefix)));
    assert_eq!(missing, [""; 0]);
}

/// A field that Kubernetes does not know is lost on the way through its type.
#[test]
fn rendered_manifests_have_only_fields_that_kubernetes_knows() {
    fn through<T: DeserializeOwned + Serialize>(value: &Value) -> Value {
        let typed: T =
            serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value:#}"));
        serde_json::to_value(typed).expect("JSON")
    }
    let mut looked_at = BTreeSet::new();
    let paths = files("tests/chart/golden").into_iter().chain(files("examples/kubernetes"));
    for document in paths.flat_map(|path| documents(&path)) {
        let kind = document["kind"].as_str().expect("a kind").to_owned();
        let back = match kind.as_str() {
            "ClusterRole" => through::<ClusterRole>(&document),
            "ClusterRoleBinding" => through::<ClusterRoleBinding>(&document),
            "Deployment" => through::<Deployment>(&document),
            "Namespace" => through::<Namespace>(&document),
            "Pod" => through::<Pod>(&document),
            "Role" => through::<Role>(&document),
            "RoleBinding" => through::<RoleBinding>(&document),
            "Service" => through::<Service>(&document),
            "ServiceAccount" => through::<ServiceAccount>(&document),
            // Held against their own schema below, and by the Prometheus operator.
            "Ensemble" | "Topic" | "ServiceMonitor" => continue,
            other => panic!("{other}: a kind that this test does not know"),
        };
        let mut lost = Vec::new();
        compare("", &document, &back, &mut lost);
        assert_eq!(lost, [""; 0], "{kind} {}", document["metadata"]["name"]);
        looked_at.insert(kind);
    }
    assert_eq!(looked_at.len(), 9, "{looked_at:?}");
}

fn compare(at: &str, sent: &Value, back: &Value, lost: &mut Vec<String>) {
    match (sent, back) {
        (Value::Object(sent), _) => {
            for (name, value) in sent {
                match back.get(name) {
                    Some(back) => compare(&format!("{at}.{name}"), value, back, lost),
                    // Types leave empty maps and lists out.
                    None if value.as_object().is_some_and(|v| v.is_empty())
                        || value.as_array().is_some_and(Vec::is_empty) => {}
                    None => lost.push(format!("{at}.{name}")),
                }
            }
        }
        (Value::Array(sent), Value::Array(back)) if sent.len() == back.len() => {
            sent.iter()
                .zip(back)
                .enumerate()
                .for_each(|(i, (s, b))| compare(&format!("{at}[{i}]"), s, b, lost));
        }
        (sent, back) if sent == back => {}
        // Quantities may be numbers in YAML and are text in the types.
        (Value::Number(sent), Value::String(back)) if sent.to_string() == *back => {}
        (sent, back) => lost.push(format!("{at}: {sent} became {back}")),
    }
}

#[test]
fn operator_and_test_pods_fulfil_the_restricted_profile() {
    let mut pods = 0;
    for document in files("tests/chart/golden").iter().flat_map(|path| documents(path)) {
        let spec = match document["kind"].as_str() {
            Some("Deployment") => &document["spec"]["template"]["spec"],
            Some("Pod") => &document["spec"],
            _ => continue,
        };
        pods += 1;
        let pod = &spec["securityContext"];
        assert_eq!(
            (&pod["runAsNonRoot"], &pod["seccompProfile"]["type"]),
            (&true.into(), &"RuntimeDefault".into())
        );
        for container in spec["containers"].as_array().expect("containers") {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["capabilities"], serde_json::json!({"drop": ["ALL"]}));
        }
    }
    assert_eq!(pods, 6, "three sets of values, an operator and a test each");
}

#[test]
fn the_examples_are_valid() {
    let directory = root().join("examples/kubernetes");
    let desired = manifest::load(&[directory.join("five-members.yaml"), directory.join("topics.yaml")], None);
    let desired = desired.unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!((desired.ensemble.replicas, desired.topics.len()), (5, 2));
}
