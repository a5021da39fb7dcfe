"""Topics: grown, altered, kept or removed with their resource, never fought over; a bad one says why and goes on once it is good."""

from kubernetes import eventually

TOPIC = {
    "apiVersion": "streamkeeper.dev/v1alpha1",
    "kind": "Topic",
    "metadata": {"name": "extra"},
    "spec": {"ensembleRef": {"name": "main"}, "partitions": 2, "replicationFactor": 3},
}
KAFKA = "--kafka=main-kafka:9092"


def topic(name="extra", **spec):
    return {**TOPIC, "metadata": {"name": name}, "spec": {**TOPIC["spec"], **spec}}


def test_a_topic_grows(quickstart):
    quickstart.apply(topic())
    quickstart.wait("topic/extra", "condition=Ready", 60)
    quickstart.patch("topic/extra", {"spec": {"partitions": 4, "config": {"retention.ms": "60000"}}})
    eventually("four partitions", 60, lambda: quickstart.get("topic/extra")["status"]["partitions"] == 4)
    quickstart.wait("topic/extra", "condition=Ready", 60)


def test_retain_keeps_the_data_and_delete_removes_it(quickstart):
    for name, policy in (("kept", "Retain"), ("gone", "Delete")):
        quickstart.apply(topic(name, deletionPolicy=policy))
        quickstart.wait(f"topic/{name}", "condition=Ready", 60)
        quickstart.run_client(f"fill-{name}", "produce", KAFKA, f"--topic={name}", "--count=100")
        quickstart.kubectl("delete", f"topic/{name}", "--timeout=60s")
    assert quickstart.run_client("read-kept", "consume", KAFKA, "--topic=kept", "--count=100") == {"consumed": 100}
    # Adopted again, it is what it was; made again, it is empty.
    for name in ("kept", "gone"):
        quickstart.apply(topic(name))
        quickstart.wait(f"topic/{name}", "condition=Ready", 60)
    read = ["consume", KAFKA, "--group=again", "--count=100"]
    assert quickstart.run_client("read-again", *read, "--topic=kept") == {"consumed": 100}
    quickstart.run_client("fill-again", "produce", KAFKA, "--topic=gone", "--count=100")
    assert quickstart.run_client("count-gone", "count", KAFKA, "--topic=gone") == {"records": 100}


def test_the_second_resource_for_a_topic_says_so(quickstart):
    quickstart.apply(topic("other", topicName="orders", partitions=6))
    quickstart.wait_observed("topic/other")
    condition = quickstart.condition("topic/other", "Ready")
    assert condition["status"] == "False" and "orders" in condition["message"], condition
    assert quickstart.condition("topic/orders", "Ready")["status"] == "True"
    quickstart.kubectl("delete", "topic/other", "--timeout=30s")
    assert quickstart.condition("topic/orders", "Ready")["status"] == "True"


def test_a_bad_topic_is_explained_and_does_not_block_its_correction(quickstart):
    quickstart.apply(topic(config={"retention.ms": "soon"}))
    quickstart.wait_observed("topic/extra")
    condition = quickstart.condition("topic/extra", "Ready")
    assert condition["status"] == "False" and "retention.ms" in condition["message"], condition
    quickstart.patch("topic/extra", {"spec": {"config": {"retention.ms": "60000"}}})
    quickstart.wait("topic/extra", "condition=Ready", 60)


def test_a_bad_ensemble_changes_nothing_and_is_explained(quickstart):
    before = {name: pod["metadata"]["uid"] for name, pod in quickstart.pods().items()}
    quickstart.patch("ensemble/main", {"spec": {"broker": {"config": {"no.such.setting": "1"}}}})
    quickstart.wait_observed("ensemble/main")
    said = eventually("a condition names the setting", 60, lambda: explained(quickstart, "no.such.setting"))
    assert said
    assert before == {name: pod["metadata"]["uid"] for name, pod in quickstart.pods().items()}
    quickstart.patch("ensemble/main", {"spec": {"broker": {"config": {"no.such.setting": None}}}})
    quickstart.wait_ready()
    assert before == {name: pod["metadata"]["uid"] for name, pod in quickstart.pods().items()}


def explained(namespace, word):
    conditions = namespace.get("ensemble/main")["status"]["conditions"]
    return [condition for condition in conditions if word in condition["message"]]


