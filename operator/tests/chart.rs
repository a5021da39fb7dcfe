//! The parts of the chart that follow from the code: the definitions of the resources, and what the operator may do. Written anew with
//! `UPDATE_CHART=1 cargo test -p streamkeeper-operator --test chart`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use streamkeeper_operator::crd;
use streamkeeper_operator::kubernetes::lease;
use streamkeeper_operator::kubernetes::rbac::{LEASE, NAMESPACED, Rule};

const HOW: &str = "UPDATE_CHART=1 cargo test -p streamkeeper-operator --test chart";

fn templates() -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"))
        .join("../charts/streamkeeper/templates")
}

/// Holds a file against what it shall be, or writes it.
fn check(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_CHART").is_some() {
        std::fs::write(path, text).expect("the chart can be written");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == text, "{} differs from what the code gives; run {HOW}", path.display());
}

/// Helm neither upgrades nor deletes what is in a chart's `crds/`, so the definitions are templates.
#[test]
fn the_definitions_are_templates_of_the_chart() {
    for definition in crd::definitions() {
        let name = definition.metadata.name.clone().expect("a name");
        let text = crd::to_yaml(&definition).expect("a definition is YAML");
        let (_, spec) = text.split_once("\nspec:\n").expect("a specification");
        assert!(!text.contains("{{"), "{name}: Helm would take it for a template of its own");
        let mut template = format!("{{{{- /* Made from operator/src/crd; not edited by hand: {HOW} */}}}}\n");
        template.push_str("{{- if .Values.crds.create }}\n");
        template.push_str("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n");
        let _ = writeln!(template, "  name: {name}");
        template.push_str("  labels: {{- include \"streamkeeper.labels\" . | nindent 4 }}\n");
        template.push_str("  {{- if .Values.crds.keep }}\n");
        template.push_str("  annotations:\n    helm.sh/resource-policy: keep\n  {{- end }}\n");
        let _ = write!(template, "spec:\n{}\n{{{{- end }}}}\n", spec.trim_end());
        check(&templates().join("crds").join(crd::file_name(&definition)), &template);
    }
}

#[test]
fn no_definition_is_left_of_a_kind_that_is_gone() {
    let expected: Vec<String> = crd::definitions().iter().map(crd::file_name).collect();
    for entry in std::fs::read_dir(templates().join("crds")).expect("the chart has definitions") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        assert!(expected.contains(&name), "charts/streamkeeper/templates/crds/{name}: no type gives it");
    }
}

#[test]
fn the_rules_are_those_that_the_operator_needs() {
    let mut text =
        format!("{{{{/* Made from operator/src/kubernetes/rbac.rs; not edited by hand: {HOW} */}}}}\n");
    for (name, rules) in [("watched", NAMESPACED), ("lease", LEASE)] {
        let _ = writeln!(text, "{{{{- define \"streamkeeper.rules.{name}\" -}}}}");
        rules.iter().for_each(|rule| push(&mut text, rule));
        text.push_str("{{- end -}}\n");
    }
    check(&templates().join("_rules.tpl"), &text);
}

fn push(text: &mut String, rule: &Rule) {
    let list = |items: &[&str]| {
        let quoted = |item: &&str| if item.is_empty() { "\"\"".to_owned() } else { (*item).to_owned() };
        items.iter().map(quoted).collect::<Vec<_>>().join(", ")
    };
    let _ = writeln!(text, "- apiGroups: [{}]", list(rule.api_groups));
    let _ = writeln!(text, "  resources: [{}]", list(rule.resources));
    if !rule.resource_names.is_empty() {
        // The name that the operator has by itself; a release gives its own.
        let names =
            list(rule.resource_names).replace(lease::LEASE, "{{ include \"streamkeeper.operator\" . }}");
        let _ = writeln!(text, "  resourceNames: [{names}]");
    }
    let _ = writeln!(text, "  verbs: [{}]", list(rule.verbs));
}
