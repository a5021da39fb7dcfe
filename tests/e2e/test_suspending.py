"""A suspended ensemble has no pods and all its volumes; resumed it has everything that it had. A paused one is left alone."""

import time

from kubernetes import eventually
from test_nodes import wait_recovered


def test_suspend_and_resume(quickstart):
    quickstart.run_client("producer", "produce", "--kafka=main-kafka:9092", "--topic=orders", "--count=500")
    claims = {claim["metadata"]["name"]: claim["metadata"]["uid"] for claim in quickstart.get("persistentvolumeclaims")}
    quickstart.patch("ensemble/main", {"spec": {"suspended": True}})
    eventually("no agent runs", 120, lambda: not quickstart.pods())
    quickstart.patch("ensemble/main", {"spec": {"suspended": False}})
    wait_recovered(quickstart)
    assert claims == {claim["metadata"]["name"]: claim["metadata"]["uid"] for claim in quickstart.get("persistentvolumeclaims")}
    assert quickstart.run_client("consumer", "consume", "--kafka=main-kafka:9092", "--topic=orders", "--count=500") == {"consumed": 500}


def test_a_paused_ensemble_is_left_alone(quickstart):
    quickstart.patch("ensemble/main", {"spec": {"paused": True, "replicas": 4}})
    quickstart.wait_observed("ensemble/main")
    time.sleep(10)
    assert len(quickstart.pods()) == 3
    quickstart.patch("ensemble/main", {"spec": {"paused": False}})
    eventually("the fourth pod", 60, lambda: len(quickstart.pods()) == 4)
