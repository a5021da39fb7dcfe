"""The data plane needs no operator, and an operator that was killed picks up where things are."""

import os
import random
import signal
import time

import pytest

from kubernetes import OWN, SYSTEM, eventually, kubectl, processes
from plugin import progress
from test_scale import check_even, scale

KILLS = int(os.environ.get("OPERATOR_KILLS", "50"))
SEED = int(os.environ.get("SEED", str(random.randrange(10**6))))


def operators():
    """The operators' processes."""
    return processes("operator", POD_NAMESPACE=SYSTEM)


def kill_operator():
    if OWN:
        for process in operators():
            os.kill(process, signal.SIGKILL)
    else:
        kubectl(f"--namespace={SYSTEM}", "delete", "pods", "-l", "app.kubernetes.io/component=operator", "--grace-period=0", "--force")


def test_kills_at_random_moments_of_a_scale_out(quickstart, load, figures):
    chance = random.Random(SEED)
    print(f"SEED={SEED}")
    load.start()
    quickstart.kubectl("scale", "ensemble/main", "--replicas=5")
    for _ in range(KILLS):
        eventually("an operator runs", 60, lambda: not OWN or operators())
        time.sleep(chance.uniform(0, 2))
        kill_operator()
    scale(quickstart, 5)
    check_even(quickstart, 5)
    assert load.finish()["failedCount"] == 0
    figures.append(f"operator: {KILLS} kills during a scale-out (SEED={SEED}), {load.figures()[0]}")


@pytest.fixture
def nobody_operates(operator):
    """No operator runs; afterwards one does again."""
    kubectl(f"--namespace={SYSTEM}", "scale", "deployment/streamkeeper-operator", "--replicas=0")
    kubectl(f"--namespace={SYSTEM}", "wait", "--for=delete", "pods", "-l", "app.kubernetes.io/component=operator", "--timeout=60s")
    yield
    operate(1)


def operate(count):
    kubectl(f"--namespace={SYSTEM}", "scale", "deployment/streamkeeper-operator", f"--replicas={count}")
    kubectl(f"--namespace={SYSTEM}", "rollout", "status", "deployment/streamkeeper-operator", "--timeout=120s", timeout=150)


def test_agents_fail_over_without_it(quickstart, load, nobody_operates):
    """The quorum leader's pod goes: another leads, the StatefulSet brings the pod back, and nobody misses the operator."""
    leader = f"main-{quickstart.get('ensemble/main')['status']['quorum']['leader']}"
    before = quickstart.pods()[leader]["metadata"]["uid"]
    load.start()
    load.phase("killed", seconds=1)
    quickstart.kubectl("delete", f"pod/{leader}", "--grace-period=0", "--force")
    eventually("another pod", 90, lambda: quickstart.pods()[leader]["metadata"]["uid"] != before)
    quickstart.wait(f"pod/{leader}", "condition=Ready", 90)
    load.phase("after", seconds=5)
    assert load.finish()["failedCount"] == 0
    assert load.silence("killed") < 30
    operate(1)
    quickstart.wait_ready()


def actors(namespace):
    """Who told of what was done to members."""
    done = {"MemberStarted", "MemberRestarted", "MemberStopped", "MemberLeaves", "MemberRetired", "MemberCordoned", "VotersChanged"}
    events = namespace.get("events.events.k8s.io")
    return {event["reportingInstance"] for event in events if event["reason"] in done}


def test_of_two_operators_one_acts(quickstart):
    operate(2)
    try:
        lease = kubectl(f"--namespace={SYSTEM}", "get", "lease/streamkeeper-operator", "-o", "jsonpath={.spec.holderIdentity}")
        pods = kubectl(f"--namespace={SYSTEM}", "get", "pods", "-l", "app.kubernetes.io/component=operator", "-o", "name").split()
        assert len(pods) == 2 and any(pod.rpartition("/")[2] in lease for pod in pods), (lease, pods)
        quickstart.kubectl("delete", "events", "--all")
        scale(quickstart, 4)
        told = actors(quickstart)
        assert len(told) == 1 and told.pop() in lease, (lease, told)
        kill_operator()
        scale(quickstart, 5)
    finally:
        operate(1)


def test_a_rebalance_ends_without_it(quickstart):
    """Members are there and replicas move slowly when the operator goes; they arrive all the same, and it finds them so."""
    quickstart.run_client("filler", "produce", "--kafka=main-kafka:9092", "--count=200000", timeout=180)
    quickstart.patch("ensemble/main", {"spec": {"rebalance": {"maxBytesPerSecond": "100k"}}})
    quickstart.wait_ready()
    quickstart.kubectl("scale", "ensemble/main", "--replicas=5")
    eventually("replicas move", 120, lambda: progress(quickstart)["moving"])
    operate(0)
    kubectl(f"--namespace={SYSTEM}", "wait", "--for=delete", "pods", "-l", "app.kubernetes.io/component=operator", "--timeout=60s")
    try:
        assert not progress(quickstart)["balanced"], "it was over before the operator was gone: give it more to move"
        eventually("replicas are spread", 240, lambda: progress(quickstart)["balanced"])
    finally:
        operate(1)
    scale(quickstart, 5)
    check_even(quickstart, 5)
