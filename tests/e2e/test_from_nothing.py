"""From nothing: one manifest, the same that `up` takes, gives an ensemble that stock clients use through its Services."""

import json

from installation import RELEASE, helm
from kubernetes import RESTRICTED_CONTAINER


def test_helm_says_that_the_operator_can_act(operator):
    assert "Succeeded" in helm("test", RELEASE, "--timeout=90s")


def test_clients_work_through_the_services(quickstart):
    kafka, zookeeper = "--kafka=main-kafka:9092", "--zookeeper=main-zookeeper:2181"
    assert quickstart.run_client("producer", "produce", kafka, "--topic=orders", "--count=2000") == {"acknowledged": 2000}
    assert quickstart.run_client("consumer", "consume", kafka, "--topic=orders", "--count=2000") == {"consumed": 2000}
    quickstart.run_client("znodes", "znodes", zookeeper)


def test_the_status_says_what_there_is(quickstart):
    ensemble = quickstart.get("ensemble/main")
    status = ensemble["status"]
    assert status["observedGeneration"] == ensemble["metadata"]["generation"]
    assert (status["replicas"], status["readyReplicas"], status["membersReady"]) == (3, 3, "3/3")
    assert status["quorum"]["leader"] in (0, 1, 2) and status["quorum"]["margin"] == 1
    assert [member["id"] for member in status["members"]] == [0, 1, 2]
    assert all(member["ready"] and member["pod"] == f"main-{member['id']}" for member in status["members"])
    conditions = {condition["type"]: condition["status"] for condition in status["conditions"]}
    assert (conditions["Ready"], conditions["QuorumHealthy"], conditions["Balanced"]) == ("True", "True", "True"), conditions
    row = quickstart.kubectl("get", "ensemble/main").splitlines()[1].split()
    assert row[:3] == ["main", "True", "3/3"], row
    topic = quickstart.get("topic/orders")["status"]
    assert (topic["partitions"], topic["replicationFactor"], topic["underReplicated"]) == (6, 3, 0)


def test_every_object_is_ours_and_the_pods_are_restricted(quickstart):
    uid = quickstart.get("ensemble/main")["metadata"]["uid"]
    kinds = "statefulsets,configmaps,services,poddisruptionbudgets,serviceaccounts,networkpolicies"
    found = json.loads(quickstart.kubectl("get", kinds, "-l", "app.kubernetes.io/instance=main", "-o", "json"))["items"]
    assert {(item["kind"], item["metadata"]["name"]) for item in found} >= {
        ("StatefulSet", "main"),
        ("ConfigMap", "main-agents"),
        ("Service", "main-agents"),
        ("Service", "main-zookeeper"),
        ("Service", "main-kafka"),
        ("PodDisruptionBudget", "main"),
        ("ServiceAccount", "main-agents"),
        ("NetworkPolicy", "main"),
    }
    for item in found:
        owner = item["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("Ensemble", uid, True), item["metadata"]
    for pod in quickstart.pods().values():
        assert pod["spec"]["automountServiceAccountToken"] is False
        for container in pod["spec"]["containers"]:
            assert container["securityContext"] == container["securityContext"] | RESTRICTED_CONTAINER
