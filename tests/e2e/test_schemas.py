"""The API server accepts every example and both definitions, and refuses what is illegal with our words."""

import copy

import pytest

from images import ROOT
from kubernetes import Namespace, Refused, kubectl

STRICT = ["apply", "--dry-run=server", "--validate=strict", "-f"]
MANIFESTS = sorted([*ROOT.glob("examples/**/*.yaml"), *ROOT.glob("crds/*.yaml")])

ENSEMBLE = {
    "apiVersion": "streamkeeper.dev/v1alpha1",
    "kind": "Ensemble",
    "metadata": {"name": "legal"},
    # Paused: nothing is made of it, whoever reads it.
    "spec": {"replicas": 3, "paused": True, "storage": {"size": "2Gi", "class": "fast"}},
}
TOPIC = {
    "apiVersion": "streamkeeper.dev/v1alpha1",
    "kind": "Topic",
    "metadata": {"name": "legal"},
    "spec": {"ensembleRef": {"name": "main"}, "topicName": "Orders", "partitions": 6, "replicationFactor": 3},
}


@pytest.fixture(scope="module")
def resources(operator):
    """A namespace in which both are; nothing here changes them, for all else is a dry run."""
    namespace = Namespace("e2e-schemas").create()
    for manifest in (ENSEMBLE, TOPIC):
        namespace.kubectl("create", "-f", "-", input=manifest)
    yield namespace
    namespace.delete()


def changed(manifest, path, value):
    """The manifest with one field of its specification set, or removed by None."""
    manifest = copy.deepcopy(manifest)
    *parents, last = path.split(".")
    inner = manifest["spec"]
    for parent in parents:
        inner = inner.setdefault(parent, {})
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return manifest


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_strict_dry_run_accepts(resources, manifest):
    if "\n  namespace: " in manifest.read_text():
        kubectl("apply", "-f", ROOT / "examples/kubernetes/namespace.yaml")
        kubectl(*STRICT, manifest)
    elif "\nkind: CustomResourceDefinition" in manifest.read_text():
        kubectl(*STRICT, manifest)
    else:
        resources.kubectl(*STRICT, manifest)


def short(value):
    """What a parameter is called in the name of its test."""
    return value["kind"] if isinstance(value, dict) and "kind" in value else str(value)[:24]


@pytest.mark.parametrize(
    "manifest, path, value, words",
    [
        (ENSEMBLE, "replicas", 0, "should be greater than or equal to 1"),
        (ENSEMBLE, "replicas", 100, "should be less than or equal to 99"),
        (ENSEMBLE, "replicas", "three", "must be of type integer"),
        (ENSEMBLE, "replicas", None, "spec.replicas: Required value"),
        (ENSEMBLE, "voters", 2, "the number of voters must be odd: an even one survives no more failures"),
        (ENSEMBLE, "voters", 5, "5 voters are not possible with 3 replicas; at most as many vote as there are"),
        (ENSEMBLE, "storage.size", "20GB", "should match"),
        (ENSEMBLE, "coordination", {"minSessionTimeoutMs": 2, "maxSessionTimeoutMs": 1}, "minSessionTimeoutMs must be at most maxSessionTimeoutMs"),
        (ENSEMBLE, "rebalance.mode", "Sometimes", 'supported values: "Auto", "Manual"'),
        (ENSEMBLE, "deletionPolicy", "Shred", 'supported values: "Retain", "Delete"'),
        (ENSEMBLE, "replica", 3, 'unknown field "spec.replica"'),
        (TOPIC, "partitions", 0, "should be greater than or equal to 1"),
        (TOPIC, "replicationFactor", 0, "should be greater than or equal to 1"),
        (TOPIC, "topicName", "no spaces", "should match"),
        (TOPIC, "topicName", "..", "a topic cannot be called . or .."),
        (TOPIC, "topicName", "__consumer_offsets", "the agents keep this topic themselves"),
        (TOPIC, "ensembleRef", None, "spec.ensembleRef: Required value"),
    ],
    ids=short,
)
def test_an_illegal_value_is_refused(resources, manifest, path, value, words):
    with pytest.raises(Refused) as refusal:
        resources.kubectl(*STRICT, "-", input={**changed(manifest, path, value), "metadata": {"name": "new"}})
    assert words.lower() in str(refusal.value).lower()


@pytest.mark.parametrize(
    "manifest, path, value, words",
    [
        (ENSEMBLE, "storage.size", "1Gi", "1Gi is less than the 2Gi there are; storage may grow, never shrinks"),
        (ENSEMBLE, "storage.class", "slow", "the storage class of existing volumes cannot be changed"),
        (TOPIC, "partitions", 5, "5 is fewer than the 6 there are; partitions may grow, never shrink"),
        (TOPIC, "replicationFactor", 2, "the topic has 3 copies of each partition; that cannot be changed"),
        (TOPIC, "ensembleRef.name", "other", "a topic cannot move to another ensemble"),
        (TOPIC, "topicName", "Others", "the topic's name in Kafka cannot be changed; make another Topic"),
        (TOPIC, "topicName", None, "the topic's name in Kafka cannot be changed; make another Topic"),
    ],
    ids=short,
)
def test_an_illegal_change_is_refused(resources, manifest, path, value, words):
    with pytest.raises(Refused) as refusal:
        resources.kubectl("replace", "--dry-run=server", "-f", "-", input=changed(manifest, path, value))
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    "manifest, path, value",
    [(ENSEMBLE, "storage.size", "3Gi"), (ENSEMBLE, "replicas", 5), (TOPIC, "partitions", 7)],
    ids=["storage", "replicas", "partitions"],
)
def test_a_legal_change_is_taken(resources, manifest, path, value):
    resources.kubectl("replace", "--dry-run=server", "-f", "-", input=changed(manifest, path, value))


def test_a_new_resource_says_that_nobody_looked_at_it_yet(resources):
    """kstatus and `kubectl wait` need a condition from the first moment on."""
    first = resources.get("ensemble/legal")["status"]["conditions"][0]
    assert first["type"] == "Ready" and first["status"] in ("Unknown", "False")
