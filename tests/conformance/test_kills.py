"""kill -9 of members under load: nothing that was acknowledged is lost, nothing comes twice, order is kept."""

import os
import random
import threading
import time

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException

KILLS = int(os.environ.get("KILLS", "6"))


class Load(threading.Thread):
    """An idempotent producer to one partition and a writer of sequential znodes, each noting what was acknowledged."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster = cluster
        self.stopping = threading.Event()
        self.sent = 0
        self.acknowledged = []
        self.failed = []
        self.znodes = []

    def run(self):
        producer = Producer(
            {
                "bootstrap.servers": self.cluster.kafka,
                "enable.idempotence": True,
                "linger.ms": 2,
                "message.timeout.ms": 60000,
                "socket.timeout.ms": 5000,
            }
        )
        zookeeper = KazooClient(hosts=self.cluster.zookeeper, timeout=4)
        zookeeper.start(timeout=20)
        zookeeper.ensure_path("/kills")
        while not self.stopping.is_set():
            value = str(self.sent).encode()
            producer.produce("orders", value, partition=0, on_delivery=self.delivered)
            self.sent += 1
            producer.poll(0)
            if self.sent % 20 == 0:
                try:
                    self.znodes.append(zookeeper.create("/kills/n-", value, sequence=True))
                except KazooException:
                    pass  # Its outcome is unknown: it may or may not be there.
            time.sleep(0.002)
        assert producer.flush(60) == 0, "the producer did not get everything out"
        zookeeper.stop()
        zookeeper.close()

    def delivered(self, error, message):
        (self.failed if error else self.acknowledged).append(error or message.value())


def read_everything(cluster, topic, partition):
    consumer = Consumer({"bootstrap.servers": cluster.kafka, "group.id": "reader", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, partition, 0)])
    deadline = time.monotonic() + 60
    while True:
        try:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=5)
            break
        except KafkaException:
            assert time.monotonic() < deadline, "the partition has no leader"
    values, position = [], 0
    while position < end and time.monotonic() < deadline:
        for message in consumer.consume(1000, timeout=1):
            if message.error() is None:
                values.append(message.value())
                position = message.offset() + 1
    consumer.close()
    assert position >= end, f"read up to {position} of {end}"
    return values


def check(acknowledged, values):
    """Every acknowledged value once, and in the order of sending."""
    seen = set(values)
    lost = [v for v in acknowledged if v not in seen]
    assert not lost, f"{len(lost)} acknowledged records are lost: {lost[:5]}"
    assert len(values) == len(seen), "a record is there twice"
    numbers = [int(v) for v in values]
    assert numbers == sorted(numbers), "records changed their order"


def test_the_check_rejects_known_bad_histories():
    check([b"1", b"2"], [b"1", b"2", b"3"])
    for acknowledged, values in [([b"1", b"2"], [b"1"]), ([b"1"], [b"1", b"1"]), ([b"1", b"2"], [b"2", b"1"])]:
        with pytest.raises(AssertionError):
            check(acknowledged, values)


def test_kills_lose_nothing(own_cluster):
    random.seed(7)
    load = Load(own_cluster)
    load.start()
    time.sleep(1)
    for kill in range(KILLS):
        # One at a time, and all three at once in the end.
        victims = [0, 1, 2] if kill == KILLS - 1 else [random.randrange(3)]
        for victim in victims:
            own_cluster.kill(victim)
        time.sleep(3)
    load.stopping.set()
    load.join(90)
    assert not load.is_alive() and not load.failed, load.failed[:3]
    assert len(load.acknowledged) == load.sent > 500
    check(load.acknowledged, read_everything(own_cluster, "orders", 0))
    zookeeper = KazooClient(hosts=own_cluster.zookeeper)
    zookeeper.start(timeout=20)
    zookeeper.sync("/kills")
    there = set(zookeeper.get_children("/kills"))
    lost = [path for path in load.znodes if path.rsplit("/", 1)[1] not in there]
    assert len(load.znodes) > 10 and not lost, f"{len(lost)} acknowledged znodes are lost"
    zookeeper.stop()
    zookeeper.close()
