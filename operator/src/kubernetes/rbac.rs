//! What the operator may do: the rules of its Role (or ClusterRole), which the chart and the plain manifests repeat.
//!
//! No wildcard, no Secret, nothing that could give rights away. Must not know: where the rules are bound. Read first: [`NAMESPACED`].

use super::lease;

/// A rule of a Role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// API groups; empty text for the core group.
    pub api_groups: &'static [&'static str],
    /// Resources and subresources.
    pub resources: &'static [&'static str],
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// Only these names; empty for all.
    pub resource_names: &'static [&'static str],
}

const fn rule(
    api_groups: &'static [&'static str],
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
) -> Rule {
    Rule { api_groups, resources, verbs, resource_names: &[] }
}

const OWN: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// In every namespace that is watched. `patch` beside `create` is server-side apply.
pub const NAMESPACED: &[Rule] = &[
    rule(&["streamkeeper.dev"], &["ensembles"], &["get", "list", "watch"]),
    // Finalizers are set and released by applying the metadata.
    rule(&["streamkeeper.dev"], &["topics"], &["get", "list", "watch", "patch"]),
    rule(&["streamkeeper.dev"], &["ensembles/status", "topics/status"], &["patch"]),
    // Owner references that block a deletion need it where OwnerReferencesPermissionEnforcement is on.
    rule(&["streamkeeper.dev"], &["ensembles/finalizers"], &["update"]),
    rule(&[""], &["configmaps", "services", "serviceaccounts"], OWN),
    rule(&["apps"], &["statefulsets"], OWN),
    rule(&["policy"], &["poddisruptionbudgets"], OWN),
    rule(&["networking.k8s.io"], &["networkpolicies"], OWN),
    // A member is restarted by deleting its pod; its volume is grown, never made or deleted here.
    rule(&[""], &["pods"], &["get", "list", "watch", "delete"]),
    rule(&[""], &["persistentvolumeclaims"], &["get", "list", "watch", "patch"]),
    rule(&["events.k8s.io"], &["events"], &["create"]),
    // Whether the namespace is being deleted. A Role of a namespace gives it for this namespace alone.
    rule(&[""], &["namespaces"], &["get"]),
];

/// In the operator's own namespace: the lease of the one that acts. The chart gives each release a lease of its own name.
pub const LEASE: &[Rule] = &[
    rule(&["coordination.k8s.io"], &["leases"], &["create"]),
    Rule {
        api_groups: &["coordination.k8s.io"],
        resources: &["leases"],
        verbs: &["get", "update"],
        resource_names: &[lease::LEASE],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference: reliability, "operator privilege".
    #[test]
    fn nothing_is_a_wildcard_or_gives_rights_away() {
        for rule in NAMESPACED.iter().chain(LEASE) {
            let all = [rule.api_groups, rule.resources, rule.verbs].concat();
            for word in all {
                assert!(!word.contains('*'), "{rule:?}");
                assert!(
                    !["escalate", "bind", "impersonate", "secrets", "pods/exec"].contains(&word),
                    "{rule:?}"
                );
            }
            assert!(!rule.resources.is_empty() && !rule.verbs.is_empty(), "{rule:?}");
        }
    }

    /// An Ensemble's specification is its user's: the operator writes its status and nothing else of it.
    #[test]
    fn ensembles_are_only_read() {
        let of_ensembles = NAMESPACED.iter().filter(|rule| rule.resources.contains(&"ensembles"));
        let verbs: Vec<&str> = of_ensembles.flat_map(|rule| rule.verbs.iter().copied()).collect();
        assert_eq!(verbs, ["get", "list", "watch"]);
    }
}
