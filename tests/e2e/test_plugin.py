"""The plugin of kubectl: how an ensemble is, what it waits for and why, its logs, and rebalances by hand."""

import json

from kubernetes import eventually
from plugin import plugin, progress
from test_scale import scale


def test_it_says_how_an_ensemble_is_and_what_its_agents_log(quickstart):
    quickstart.wait("topic/events", "condition=Ready")
    # The kubelet hears an agent some seconds after the operator does.
    eventually("it is healthy", 30, lambda: plugin(quickstart, "status", "main").split()[0] == "healthy")
    described = plugin(quickstart, "describe", "ensemble", "main")
    assert all(f"main-{member}" in described for member in range(3)), described
    assert json.loads(plugin(quickstart, "describe", "topic", "orders", "-o", "json"))["status"]["partitions"] == 6
    assert "waits for nothing" in plugin(quickstart, "explain", "main")
    logs = plugin(quickstart, "logs", "main", "--member=1", "--tail=5")
    assert 0 < len(logs.splitlines()) <= 5 and '"member":1' in logs, logs
    assert "there is no ensemble nobody" in plugin(quickstart, "status", "nobody", status=1).lower()


def test_it_says_why_an_ensemble_waits(quickstart):
    """A fourth member that finds no node: what Kubernetes says of its pod is told, with what to do."""
    quickstart.patch("ensemble/main", {"spec": {"resources": {"requests": {"memory": "900Gi"}}}})
    said = lambda: plugin(quickstart, "explain", "main")  # noqa: E731
    explained = eventually("it names the pod", 90, lambda: "finds no node" in said() and said())
    assert "Insufficient memory" in explained and "kubectl describe pod main-" in explained, explained
    plugin(quickstart, "status", "main", status=3)
    # One pod alone was taken down for it, and the correction goes through at once.
    waiting = [name for name, pod in quickstart.pods().items() if pod["status"]["phase"] == "Pending"]
    assert len(waiting) == 1, waiting
    quickstart.patch("ensemble/main", {"spec": {"resources": None}})
    eventually("all serve again", 180, lambda: quickstart.get("ensemble/main")["status"]["membersReady"] == "3/3")
    eventually("it waits for nothing", 120, lambda: "waits for nothing" in said())


def test_rebalances_by_hand(quickstart):
    quickstart.patch("ensemble/main", {"spec": {"rebalance": {"mode": "Manual"}, "replicas": 4}})
    skewed = lambda: quickstart.condition("ensemble/main", "Balanced")["reason"] == "Skewed"  # noqa: E731
    eventually("nobody moves replicas to the fourth member", 180, skewed)
    assert json.loads(plugin(quickstart, "rebalance", "plan", "main", "-o", "json"))["moves"]
    assert not progress(quickstart)["balanced"]
    plugin(quickstart, "rebalance", "start", "main")
    eventually("replicas are spread", 120, lambda: progress(quickstart)["balanced"])
    scale(quickstart, 4)
    plugin(quickstart, "rebalance", "cancel", "main")
