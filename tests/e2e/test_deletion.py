"""Deleting never hangs: not an ensemble, not its topics, not the namespace, whatever goes first."""

import re
import time

import pytest

from images import ROOT
from kubernetes import Namespace, eventually
from test_nodes import wait_recovered
from test_topics import topic

QUICKSTART = (ROOT / "examples/quickstart.yaml").read_text()
# With what a finalizer holds until the topic is gone.
DELETING = QUICKSTART.replace("replicationFactor: 3", "replicationFactor: 3\n  deletionPolicy: Delete")


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_an_ensemble_goes_and_its_policy_says_what_stays(quickstart, policy):
    quickstart.patch("ensemble/main", {"spec": {"deletionPolicy": policy}})
    quickstart.wait_ready()
    quickstart.kubectl("delete", "ensemble/main", "--timeout=120s", timeout=150)
    eventually("no pod is left", 90, lambda: not quickstart.pods())
    if policy == "Retain":
        assert len(quickstart.get("persistentvolumeclaims")) == 3
    else:
        eventually("no volume is left", 60, lambda: not quickstart.get("persistentvolumeclaims"))
    # What referred to it can still be deleted.
    quickstart.kubectl("delete", "topics", "--all", "--timeout=60s", timeout=90)


def test_an_ensemble_made_anew_has_the_data_of_its_kept_volumes(quickstart):
    kafka = "--kafka=main-kafka:9092"
    quickstart.run_client("producer", "produce", kafka, "--count=500")
    identity = cluster(quickstart)
    quickstart.kubectl("delete", "ensemble/main", "--timeout=120s", timeout=150)
    eventually("no pod is left", 90, lambda: not quickstart.pods())
    quickstart.apply(QUICKSTART)
    wait_recovered(quickstart)
    assert cluster(quickstart) == identity
    assert quickstart.run_client("consumer", "consume", kafka, "--count=500") == {"consumed": 500}


def cluster(namespace):
    """The identity of the data, as the volumes have it."""
    claims = namespace.get("persistentvolumeclaims")
    (identity,) = {claim["metadata"]["annotations"]["streamkeeper.dev/cluster-id"] for claim in claims}
    return identity


def test_many_topics_go_only_after_a_word(quickstart):
    """Retained topics may go at once; six of eight whose data goes with them look like an accident."""
    names = [f"doomed-{number}" for number in range(8)]
    for name in names:
        quickstart.apply(topic(name, partitions=1, replicationFactor=1, deletionPolicy="Delete"))
    for name in names:
        quickstart.wait(f"topic/{name}", "condition=Ready", 60)
    quickstart.kubectl("delete", "--wait=false", *(f"topic/{name}" for name in names))
    said = eventually("a condition says why it waits", 60, lambda: held(quickstart, names[0]))
    command = re.search(r"kubectl (annotate .*)", said)[1]
    time.sleep(5)
    assert len(quickstart.get("topics")) == 2 + len(names)
    quickstart.kubectl(*command.split())
    quickstart.kubectl("wait", "--for=delete", *(f"topic/{name}" for name in names), "--timeout=60s", timeout=90)


def held(namespace, name):
    """What the topic says of its deletion, if it says that it waits for a word."""
    message = namespace.condition(f"topic/{name}", "Ready")["message"]
    return message if "if that is meant" in message else ""


def test_a_namespace_goes_with_everything_in_it(operator):
    namespace = Namespace("e2e-going").create()
    namespace.apply(DELETING)
    namespace.wait_ready()
    namespace.delete(timeout=120)


def test_a_namespace_goes_before_anything_is_ready(operator):
    namespace = Namespace("e2e-early").create()
    namespace.apply(QUICKSTART)
    namespace.delete(timeout=120)

