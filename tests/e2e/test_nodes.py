"""A node is cut off, loses its power or its kubelet, is drained; a pod is killed for its memory: the ensemble recovers without a hand and loses nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from kubernetes import OWN, eventually, kube, processes
from kubernetes import kubectl as cluster_kubectl

# Where the load runs: the node that no test hurts.
SAFE = "n1"
needs_machines = pytest.mark.skipif(not OWN, reason="faults of machines need the cluster of tests/kube, and KUBECONFIG names another")


def member_on(namespace, *nodes):
    """A member on one of these nodes, and the node."""
    placed = {name: pod["spec"]["nodeName"] for name, pod in namespace.pods().items()}
    found = [(name, node) for name, node in sorted(placed.items()) if node in nodes]
    assert found, f"no member is on {nodes}: {placed}"
    return found[0]


def recovered(namespace):
    namespace.wait_ready(timeout=180)
    namespace.wait("ensemble/main", "condition=QuorumHealthy", 60)
    status = namespace.get("ensemble/main")["status"]
    assert status["membersReady"] == "3/3", status
    topic = namespace.get("topic/orders")["status"]
    assert topic["underReplicated"] == 0, topic
    return True


def wait_recovered(namespace, seconds=240):
    eventually("everything is whole again", seconds, lambda: recovered(namespace))


def fault_of_a_node(namespace, load, begin, end):
    """The node of a member has a fault for 20 s, and nothing is lost. `begin` and `end` are verbs of tests/kube."""
    _, node = member_on(namespace, "n2", "n3")
    load.start(node=SAFE)
    load.phase("before", seconds=5)
    kube(begin, node)
    try:
        load.phase("fault", seconds=20)
    finally:
        kube(end, node)
    load.phase("after")
    wait_recovered(namespace)
    assert load.finish()["failedCount"] == 0


@needs_machines
def test_a_node_is_partitioned(quickstart, load, figures):
    fault_of_a_node(quickstart, load, "partition", "heal")
    assert load.silence("fault") < 20
    figures.extend(["a node partitioned: " + load.figures()[0], *load.figures()[1:]])


@needs_machines
def test_two_nodes_do_not_hear_each_other(quickstart, load):
    load.start(node=SAFE)
    kube("partition", "n2", "n3")
    try:
        load.phase("cut off", seconds=20)
    finally:
        kube("heal", "n2")
    wait_recovered(quickstart)
    assert load.finish()["failedCount"] == 0


@needs_machines
def test_a_node_loses_its_power(quickstart, load, figures):
    """Its pods' volumes are bound to it: they come back with it."""
    fault_of_a_node(quickstart, load, "stop", "start")
    figures.extend(["a node without power: " + load.figures()[0], *load.figures()[1:]])


@needs_machines
def test_a_kubelet_stops(quickstart, load):
    """For longer than pods are tolerated on a silent node: they run on, are evicted once it answers again, and come back."""
    _, node = member_on(quickstart, "n2", "n3")
    load.start(node=SAFE)
    kube("exec", node, "pkill", "-STOP", "-x", "kubelet")
    try:
        load.phase("stopped", seconds=45)
    finally:
        kube("exec", node, "pkill", "-CONT", "-x", "kubelet")
    wait_recovered(quickstart)
    assert load.finish()["failedCount"] == 0


def test_a_node_is_drained(quickstart, load):
    """The disruption budget lets one member go at a time; a drain of its node comes to its end."""
    member, node = member_on(quickstart, "n2", "n3")
    load.start(node=SAFE if OWN else None)
    drain = ["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s"]
    try:
        cluster_kubectl(*drain, f"--pod-selector=app.kubernetes.io/instance=main", timeout=150)
        load.phase("drained", seconds=5)
        budget = quickstart.get("poddisruptionbudget/main")["status"]
        assert budget["disruptionsAllowed"] == 0, f"{member} is out: no other may follow: {budget}"
    finally:
        cluster_kubectl("uncordon", node)
    wait_recovered(quickstart)
    assert load.finish()["failedCount"] == 0


# Fills the memory of the group that it puts itself into until the kernel kills somebody, with pages that nobody can take back: they are a
# file's, so that the member is the greater process.
HOG = """
import os, sys
open(sys.argv[1], "w").write(str(os.getpid()))
file = os.memfd_create("hog")
while True:
    os.write(file, bytes(1 << 20))
"""


@needs_machines
def test_a_member_is_killed_for_its_memory(quickstart, load):
    """At the limit of its container, by the kernel; the others serve."""
    quickstart.patch("ensemble/main", {"spec": {"resources": {"limits": {"memory": "256Mi"}}}})
    limits = lambda: {str(pod["spec"]["containers"][0].get("resources", {}).get("limits")) for pod in quickstart.pods().values()}  # noqa: E731
    eventually("every pod has the limit", 180, lambda: limits() == {"{'memory': '256Mi'}"})
    wait_recovered(quickstart)
    member, _ = member_on(quickstart, "n2", "n3")
    load.start(node=SAFE)
    (agent,) = processes("agent", POD_NAME=member, POD_NAMESPACE=quickstart.name)
    group = memory_group(agent)
    assert (group / "memory.limit_in_bytes").read_text().strip() == str(256 << 20)
    # What the kubelet does to a pod without requests, where it may.
    Path(f"/proc/{agent}/oom_score_adj").write_text("1000")
    load.phase("killed", seconds=1)
    subprocess.run([sys.executable, "-c", HOG, group / "cgroup.procs"], timeout=60)
    state = lambda: quickstart.pods()[member]["status"]["containerStatuses"][0]  # noqa: E731
    eventually(f"{member} is started again", 60, lambda: state()["restartCount"] == 1)
    assert state()["lastState"]["terminated"]["reason"] == "OOMKilled", state()
    wait_recovered(quickstart)
    assert load.finish()["failedCount"] == 0


def memory_group(process):
    """Where the limit of the process's container is."""
    lines = Path(f"/proc/{process}/cgroup").read_text().splitlines()
    return Path("/sys/fs/cgroup/memory" + next(line.split(":", 2)[2] for line in lines if line.split(":")[1] == "memory"))
