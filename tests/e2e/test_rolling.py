"""Configuration and image change under load: one proven member at a time, the quorum leader last, and writes go on."""

import json
import subprocess
import threading

import images
from kubernetes import Refused, eventually, metrics

# Longer than a hand-over of leads and the restart of one member can hold one partition's writes up on two busy cores.
SILENCE_SECONDS_MAX = 15
# The gauge of partitions that a member leads and that have too few replicas in sync.
SHORT = "kafka_server_replicamanager_underminisrpartitioncount"


class Watching(threading.Thread):
    """Looks at the pods again and again: how many members are not ready at once, in which order they were replaced, how many partitions
    are under min.insync.replicas as those who lead them tell, and what the ensemble says of itself."""

    def __init__(self, namespace):
        super().__init__(daemon=True)
        self.namespace, self.stopping = namespace, threading.Event()
        self.worst, self.order, self.looks, self.short, self.unready = 0, [], 0, set(), []
        self.known = {name: pod["metadata"]["uid"] for name, pod in namespace.pods().items()}

    def run(self):
        while not self.stopping.wait(0.2):
            pods = self.namespace.pods()
            ready = [name for name, pod in pods.items() if is_ready(pod)]
            self.worst = max(self.worst, len(self.known) - len(ready))
            for name, pod in pods.items():
                if self.known.get(name) != pod["metadata"]["uid"]:
                    self.known[name] = pod["metadata"]["uid"]
                    self.order.append(name)
            for name in ready:
                self.look_for_short_partitions(name)
            ready = self.namespace.condition("ensemble/main", "Ready")
            if ready["status"] != "True":
                self.unready.append(f"{ready['reason']}: {ready['message']}")

    def look_for_short_partitions(self, name):
        try:
            short = metrics(self.namespace.name, name, 8401)[SHORT]
        except (Refused, subprocess.TimeoutExpired):
            return  # It may end just now, and then tells nothing.
        self.looks += 1
        if short:
            self.short.add((name, short))

    def finish(self):
        self.stopping.set()
        self.join(30)
        return self


def is_ready(pod):
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def roll(namespace, load, change, done, figures, name):
    """`change` begins a rollout, and `done` tells of a pod that it has had it."""
    load.start()
    load.phase("before", seconds=5)
    leader = namespace.get("ensemble/main")["status"]["quorum"]["leader"]
    watching = Watching(namespace)
    watching.start()
    load.phase("rolling")
    change()
    eventually("every member has it", 300, lambda: all(done(pod) and is_ready(pod) for pod in namespace.pods().values()))
    namespace.wait_ready()
    load.phase("after", seconds=5)
    watching.finish()
    assert load.finish()["failedCount"] == 0
    assert watching.worst <= 1, f"{watching.worst} members were not ready at once"
    assert sorted(watching.order) == ["main-0", "main-1", "main-2"] and watching.order[-1] == f"main-{leader}", watching.order
    assert load.silence("rolling") < SILENCE_SECONDS_MAX
    assert watching.looks > 20 and not watching.short, (watching.looks, watching.short)
    # A moment without a quorum leader is told; that members are exchanged is no fault.
    assert len(watching.unready) <= 3, watching.unready
    figures.extend([f"{name}: {load.figures()[0]}", *load.figures()[1:], f"  not ready was said {watching.unready}"])


def test_an_image_is_rolled_out(quickstart, load, figures):
    done = lambda pod: pod["spec"]["containers"][0]["image"] == images.STREAMKEEPER_NEXT  # noqa: E731
    change = lambda: quickstart.patch("ensemble/main", {"spec": {"image": images.STREAMKEEPER_NEXT}})  # noqa: E731
    roll(quickstart, load, change, done, figures, "image change")


def replaced(namespace):
    """Whether a pod is another one than now."""
    before = {name: pod["metadata"]["uid"] for name, pod in namespace.pods().items()}
    return lambda pod: pod["metadata"]["uid"] != before[pod["metadata"]["name"]]


def test_a_configuration_is_rolled_out(quickstart, load, figures):
    change = lambda: quickstart.patch("ensemble/main", {"spec": {"coordination": {"tickTimeMs": 1500}}})  # noqa: E731
    roll(quickstart, load, change, replaced(quickstart), figures, "configuration change")


def test_members_are_restarted_when_asked(quickstart, load, figures):
    ask = ["annotate", "ensemble/main", "--overwrite", "streamkeeper.dev/restarted-at=now"]
    roll(quickstart, load, lambda: quickstart.kubectl(*ask), replaced(quickstart), figures, "restart")


def test_broker_settings_change_without_a_restart(quickstart):
    """Every agent is told, no pod is another one, and no container starts again. That they are in force: tests/conformance/test_settings.py."""
    before = {name: pod["metadata"]["uid"] for name, pod in quickstart.pods().items()}
    quickstart.patch("ensemble/main", {"spec": {"broker": {"config": {"num.partitions": "7"}}}})
    generation = quickstart.get("ensemble/main")["metadata"]["generation"]

    def settled():
        progressing = quickstart.condition("ensemble/main", "Progressing")
        return (progressing["status"], progressing["observedGeneration"]) == ("False", generation)

    eventually("every member has them", 60, settled)
    events = json.loads(quickstart.kubectl("get", "events", "-o", "json"))["items"]
    notes = {event["message"] for event in events if event["reason"] == "SettingsChanged"}
    assert notes == {f"tell member {id} its broker settings: other settings are wanted" for id in range(3)}, notes
    pods = quickstart.pods().values()
    assert {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods} == before
    assert not any(container["restartCount"] for pod in pods for container in pod["status"]["containerStatuses"])
