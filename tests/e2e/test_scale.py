"""`kubectl scale` under load: members come and go, replicas move by themselves, nothing that was acknowledged is lost."""

from kubernetes import eventually


def scale(namespace, replicas, timeout=300):
    namespace.kubectl("scale", "ensemble/main", f"--replicas={replicas}")
    namespace.wait_observed("ensemble/main")
    ready = lambda: namespace.get("ensemble/main")["status"]["membersReady"] == f"{replicas}/{replicas}"  # noqa: E731
    eventually(f"{replicas} members serve", timeout, ready)
    namespace.wait("ensemble/main", "condition=Balanced", timeout)
    namespace.wait_ready(timeout=timeout)
    eventually(f"{replicas} pods are there", 60, lambda: len(namespace.pods()) == replicas)
    eventually(f"{replicas} members are there", 60, lambda: set(held(namespace)) == set(range(replicas)))


def held(namespace):
    """Replicas that each member holds."""
    return {member["id"]: member["partitions"] for member in namespace.get("ensemble/main")["status"]["members"]}


def check_even(namespace, members):
    """Each member holds as many replicas as any other, within the tenth that a rebalance leaves alone."""
    replicas = held(namespace)
    assert len(replicas) == members and max(replicas.values()) <= 1.2 * min(replicas.values()), replicas


def claims(namespace):
    return {claim["metadata"]["name"]: claim["metadata"]["uid"] for claim in namespace.get("persistentvolumeclaims")}


def test_three_five_three_five_under_load(quickstart, load, figures):
    load.start()
    load.phase("before", seconds=10)
    first = claims(quickstart)
    load.phase("3 -> 5")
    scale(quickstart, 5)
    check_even(quickstart, 5)
    five = claims(quickstart)
    load.phase("5 -> 3")
    scale(quickstart, 3)
    assert claims(quickstart) == five and first.items() <= five.items(), "volumes are kept"
    load.phase("3 -> 5 again")
    scale(quickstart, 5)
    check_even(quickstart, 5)
    load.phase("after", seconds=10)
    assert load.finish()["failedCount"] == 0
    figures.extend(["scale: " + load.figures()[0], *load.figures()[1:]])


def test_raising_the_number_midway_takes_a_departure_back(quickstart):
    scale(quickstart, 5)
    quickstart.kubectl("scale", "ensemble/main", "--replicas=3")
    cordoned = lambda: any(event["reason"] == "MemberCordoned" for event in quickstart.get("events.events.k8s.io"))  # noqa: E731
    eventually("a member is cordoned", 60, cordoned)
    quickstart.kubectl("scale", "ensemble/main", "--replicas=5")
    scale(quickstart, 5)
    check_even(quickstart, 5)
