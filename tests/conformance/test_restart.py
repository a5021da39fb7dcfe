"""A second `up` on the same data directory shows all of it again: after Ctrl-C, and after everything died at once."""

import os
import signal
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from kazoo.client import KazooClient

import wire
from cluster import Cluster
from load import committed, read_partitions

TOPICS = {"orders": 6, "events": 3, "made": 2}


def started(data):
    cluster = Cluster(data=data)
    begun = time.monotonic()
    cluster.start()
    return cluster, time.monotonic() - begun


def stop(cluster):
    cluster.stop()


def die(cluster):
    """kill -9 of `up` and of all agents."""
    pids = [cluster.pid(member["id"]) for member in cluster.members]
    for pid in [cluster.process.pid, *pids]:
        os.kill(pid, signal.SIGKILL)
    cluster.process.wait(10)
    cluster.errors.close()
    deadline = time.monotonic() + 10
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


@pytest.mark.parametrize("end", [stop, die])
def test_a_second_up_shows_all_again(end, tmp_path, figures, tools, request):
    cluster, fresh = started(tmp_path)
    request.addfinalizer(cluster.close)
    tools.run("topics", "--bootstrap-server", cluster.kafka, "--create", "--topic", "made", "--partitions", "2")
    produce(cluster, "first")
    one = Consumer(group(cluster))
    one.commit(offsets=[TopicPartition("orders", 0, 3, metadata="here"), TopicPartition("made", 1, 2)], asynchronous=False)
    one.close()
    before = state(cluster, tools)
    ids = {wire.init_producer_id(address) for address in cluster.kafka.split(",")}
    znodes(cluster)
    tree = read_tree(cluster)
    end(cluster)

    cluster, again = started(tmp_path)
    request.addfinalizer(cluster.close)
    assert state(cluster, tools) == before
    assert read_tree(cluster) == tree
    # Kafka's promise: a producer id is never given out twice.
    assert not ids & {wire.init_producer_id(address) for address in cluster.kafka.split(",")}
    refused = tools.run("topics", "--bootstrap-server", cluster.kafka, "--create", "--topic", "orders")
    assert "Topic 'orders' already exists." in refused.out
    produce(cluster, "second")
    after = state(cluster, tools)
    for partition, log in after["records"].items():
        old = before["records"][partition]
        assert log[: len(old)] == old and len(log) == 2 * len(old), "what was there stays, what is new comes after it"
    cluster.stop()
    how = "Ctrl-C" if end is stop else "kill -9 of everything"
    figures.append(f"up: ready after {fresh:.2f} s on an empty directory, {again:.2f} s after {how}")


def group(cluster):
    return {"bootstrap.servers": cluster.kafka, "group.id": "kept", "enable.auto.commit": False}


def produce(cluster, tag):
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        producer = Producer({"bootstrap.servers": cluster.kafka, "enable.idempotence": True, "compression.type": codec})
        for topic, partitions in TOPICS.items():
            for partition in range(partitions):
                for n in range(4):
                    producer.produce(topic, f"{tag} {codec} {n}".encode(), partition=partition)
        assert producer.flush(30) == 0


def state(cluster, tools):
    """What a user sees of topics, records and groups; not when, and not where leaders are now."""
    one = Consumer(group(cluster))
    offsets = committed(one, [TopicPartition("orders", 0), TopicPartition("orders", 1), TopicPartition("made", 1)])
    one.close()
    topics = cluster.cli("get", "topics", "-o", "json").stdout
    described = tools.run("topics", "--bootstrap-server", cluster.kafka, "--describe").out
    return {
        "topics": topics,
        "identities": sorted(line.split("\tPartitionCount")[0] for line in described.split("\n") if "TopicId" in line),
        "records": read_partitions(cluster, [(topic, p) for topic, count in TOPICS.items() for p in range(count)]),
        "offsets": [(p.topic, p.partition, p.offset, p.metadata) for p in offsets],
    }


def znodes(cluster):
    client = KazooClient(hosts=cluster.zookeeper)
    client.start(timeout=15)
    client.create("/kept", b"data")
    for n in range(5):
        client.create("/kept/n-", str(n).encode(), sequence=True)
    client.set("/kept", b"newer")
    client.create("/kept/mine", b"", ephemeral=True)
    client.delete("/kept/n-0000000003")
    client.stop()
    client.close()


def read_tree(cluster):
    client = KazooClient(hosts=cluster.zookeeper)
    client.start(timeout=15)
    client.sync("/kept")
    names = ["/kept", *(f"/kept/{name}" for name in sorted(client.get_children("/kept")))]
    tree = {name: client.get(name) for name in names}
    client.stop()
    client.close()
    assert list(tree) == ["/kept", *(f"/kept/n-000000000{n}" for n in (0, 1, 2, 4))]
    return tree
