"""Converged, the operator writes nothing; with a thousand Topics it is still quick and small."""

import json
import os
import time
from pathlib import Path

import pytest

from kubernetes import OWN, SYSTEM, eventually, kubectl, metrics
from test_operator_down import operators

# Ten minutes are the promise; each second of them looks the same.
QUIET_SECONDS = int(os.environ.get("QUIET_SECONDS", "60"))
TOPICS = 1000
# The process tells its CPU in hundredths of a second: enough looks for that in each round.
ROUNDS, LOOKS = 4, 60
LOOK_SECONDS_MAX = 0.006
WRITTEN = "ensembles,topics,statefulsets,configmaps,services,poddisruptionbudgets,serviceaccounts,networkpolicies,persistentvolumeclaims,events"


def versions(namespace):
    """The resource version of everything that the operator writes: another one, and something was written."""
    found = json.loads(namespace.kubectl("get", WRITTEN, "-o", "json"))["items"]
    return {(item["kind"], item["metadata"]["name"]): item["metadata"]["resourceVersion"] for item in found}


def test_nothing_is_written_once_all_is_as_wanted(quickstart):
    quickstart.wait("topic/events", "condition=Ready")

    def settled():
        before = versions(quickstart)
        time.sleep(10)
        return versions(quickstart) == before

    eventually("ten quiet seconds", 120, settled)
    before = versions(quickstart)
    time.sleep(QUIET_SECONDS)
    after = versions(quickstart)
    written = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert not written, written


def test_a_look_at_what_is_as_wanted_is_cheap(quickstart, figures):
    """An annotation that means nothing to it makes the operator look. Other work on the machine makes it dearer: the cheapest round counts."""
    quickstart.wait("topic/events", "condition=Ready")
    rounds = sorted(look_again_and_again(quickstart, number) for number in range(ROUNDS))
    figures.append("a look that changes nothing, all CPU of the operator: " + ", ".join(f"{1000 * cost:.2f} ms" for cost in rounds))
    # The goal is 2 ms and is missed so far (CONTRIBUTING.md): this finds what is dearer by far, on slower machines too.
    assert rounds[0] < LOOK_SECONDS_MAX, rounds


def look_again_and_again(namespace, number):
    """Seconds of CPU per look."""
    before = spent()
    for look in range(LOOKS):
        namespace.kubectl("annotate", "ensemble/main", "--overwrite", f"example.org/look={number}-{look}")
    eventually("it has looked", 30, lambda: spent()[1] >= before[1] + LOOKS // 3)
    cpu, looks = (after - earlier for after, earlier in zip(spent(), before))
    return cpu / looks


def spent():
    """Seconds of CPU that the operator has used, and how often it looked."""
    (pod,) = kubectl(f"--namespace={SYSTEM}", "get", "pods", "-l", "app.kubernetes.io/component=operator", "-o", "name").split()
    told = metrics(SYSTEM, pod.rpartition("/")[2], 8080)
    return told["process_cpu_seconds_total"], told['controller_runtime_reconcile_time_seconds_count{controller="ensemble"}']


@pytest.mark.skipif(not OWN, reason="the operator's memory is seen on the cluster of tests/kube only")
def test_a_thousand_topics(quickstart, figures):
    topics = [
        {
            "apiVersion": "streamkeeper.dev/v1alpha1",
            "kind": "Topic",
            "metadata": {"name": f"topic-{number}"},
            "spec": {"ensembleRef": {"name": "main"}, "partitions": 1, "replicationFactor": 1},
        }
        for number in range(TOPICS)
    ]
    started = time.monotonic()
    quickstart.kubectl("create", "-f", "-", input={"apiVersion": "v1", "kind": "List", "items": topics}, timeout=300)
    made = time.monotonic()
    eventually(f"{TOPICS} topics are ready", 240, lambda: ready_topics(quickstart) == TOPICS + 2)
    ended = time.monotonic()
    (operator,) = operators()
    memory = int(Path(f"/proc/{operator}/status").read_text().split("VmRSS:")[1].split()[0]) / 1000
    figures.append(
        f"{TOPICS} topics: made in {made - started:.1f} s, ready {ended - started:.1f} s after the first, operator {memory:.0f} MB"
    )
    assert ended - started < 60 + made - started, "a minute after the last was made each must be ready"
    assert memory < 60


def ready_topics(namespace):
    conditions = namespace.kubectl("get", "topics", "-o", 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}').split()
    return conditions.count("True")
