"""A member's volume is deleted with its pod: it comes back under a new disk and is filled from its peers; nothing is lost."""

from kubernetes import eventually
from test_nodes import wait_recovered


def incarnation(namespace, member):
    return next(m["incarnation"] for m in namespace.get("ensemble/main")["status"]["members"] if m["id"] == member)


def test_a_volume_is_deleted_with_its_pod(quickstart, load, figures):
    leader = quickstart.get("ensemble/main")["status"]["quorum"]["leader"]
    for member in ((leader + 1) % 3, leader):
        lose(quickstart, member)
    load.start()
    lose(quickstart, (leader + 2) % 3)
    load.phase("after", seconds=5)
    assert load.finish()["failedCount"] == 0
    figures.append("volumes lost: " + load.figures()[0])


def lose(namespace, member):
    before = incarnation(namespace, member)
    claim = namespace.get(f"persistentvolumeclaim/data-main-{member}")["metadata"]["uid"]
    namespace.kubectl("delete", f"persistentvolumeclaim/data-main-{member}", "--wait=false")
    namespace.kubectl("delete", f"pod/main-{member}", "--grace-period=0", "--force")
    other = lambda: namespace.get(f"persistentvolumeclaim/data-main-{member}")["metadata"]["uid"] != claim  # noqa: E731
    eventually("another volume", 90, other)
    eventually("another disk", 180, lambda: incarnation(namespace, member) not in (before, ""))
    wait_recovered(namespace)
