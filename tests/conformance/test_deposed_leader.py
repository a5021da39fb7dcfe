"""A leader that was deposed and has not heard it: what it says must not send clients without leader epochs astray.

The old leader is stopped (SIGSTOP) until another one leads; what is asked of it meanwhile waits in its socket, beside the news, and is
answered when it goes on.
"""

import signal
import struct
import time

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

import wire
from load import IMPATIENT

OFFSET_OUT_OF_RANGE, NOT_LEADER = 1, 6


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def fetch(topic, partition, offset):
    """Fetch version 4, from before clients named leader epochs."""
    body = struct.pack(">iiiib", -1, 100, 1, 1 << 20, 0)
    body += struct.pack(">i", 1) + text(topic) + struct.pack(">iiqi", 1, partition, offset, 1 << 20)
    return wire.frame(wire.header(1, 4, False) + body)


def fetch_error(answer, topic):
    return struct.unpack_from(">h", answer, 4 + 4 + 4 + 2 + len(topic) + 4 + 4)[0]


def offset_fetch(group, topic, partition):
    body = text(group) + struct.pack(">i", 1) + text(topic) + struct.pack(">ii", 1, partition)
    return wire.frame(wire.header(9, 1, False) + body)


def fetched_offset(answer, topic):
    """Offset and error of OffsetFetch version 1."""
    at = 4 + 4 + 2 + len(topic) + 4 + 4
    (offset, length) = struct.unpack_from(">qh", answer, at)
    return offset, struct.unpack_from(">h", answer, at + 10 + max(length, 0))[0]


def leader_of(cluster, topic, partition, addresses):
    client = AdminClient({"bootstrap.servers": ",".join(addresses), **IMPATIENT})
    return client.list_topics(topic, timeout=10).topics[topic].partitions[partition].leader


def others(cluster, member):
    return [m["kafka"] for m in cluster.members if m["id"] != member]


def address(cluster, member):
    return next(m["kafka"] for m in cluster.members if m["id"] == member)


class Stopped:
    """A member that stands still until it is let go."""

    def __init__(self, cluster, member):
        self.cluster, self.member = cluster, member

    def __enter__(self):
        self.cluster.kill(self.member, signal.SIGSTOP)
        return self

    def go_on(self):
        self.cluster.kill(self.member, signal.SIGCONT)

    def __exit__(self, *_):
        self.go_on()


def other_leader(cluster, topic, partition, old):
    deadline = time.monotonic() + 30
    while True:
        now = leader_of(cluster, topic, partition, others(cluster, old))
        if now not in (-1, old):
            return now
        assert time.monotonic() < deadline, f"{topic}/{partition} is led by {now}"
        time.sleep(0.1)


def produce(addresses, count):
    producer = Producer({"bootstrap.servers": ",".join(addresses), **IMPATIENT})
    for number in range(count):
        producer.produce("orders", str(number).encode(), partition=0)
    assert producer.flush(30) == 0


@pytest.mark.parametrize("round", range(3))
def test_it_does_not_say_that_an_offset_is_out_of_range(own_cluster, round):
    every = own_cluster.kafka.split(",")
    produce(every, 10)
    old = leader_of(own_cluster, "orders", 0, every)
    with wire.Connection(address(own_cluster, old)) as connection:
        connection.send(fetch("orders", 0, 0))
        assert fetch_error(connection.receive(), "orders") == 0
        with Stopped(own_cluster, old) as stopped:
            other_leader(own_cluster, "orders", 0, old)
            produce(others(own_cluster, old), 50)
            connection.send(fetch("orders", 0, 40))
            stopped.go_on()
            assert fetch_error(connection.receive(), "orders") != OFFSET_OUT_OF_RANGE


def test_what_is_out_of_range_is_said_to_be(own_cluster):
    every = own_cluster.kafka.split(",")
    produce(every, 10)
    leader = leader_of(own_cluster, "orders", 0, every)
    with wire.Connection(address(own_cluster, leader)) as connection:
        errors = []
        while OFFSET_OUT_OF_RANGE not in errors:
            assert len(errors) < 20, errors
            connection.send(fetch("orders", 0, 1000))
            errors.append(fetch_error(connection.receive(), "orders"))
            time.sleep(0.05)
    assert set(errors) <= {OFFSET_OUT_OF_RANGE, NOT_LEADER}


def test_it_does_not_give_an_old_committed_offset(own_cluster):
    every = own_cluster.kafka.split(",")
    produce(every, 20)
    commit(every, 5)
    groups = AdminClient({"bootstrap.servers": own_cluster.kafka, **IMPATIENT})
    old = groups.describe_consumer_groups(["g"])["g"].result(20).coordinator.id
    with wire.Connection(address(own_cluster, old)) as connection:
        connection.send(offset_fetch("g", "orders", 0))
        assert fetched_offset(connection.receive(), "orders") == (5, 0)
        # What was proven a moment ago still counts for a moment.
        time.sleep(0.5)
        with Stopped(own_cluster, old) as stopped:
            left = others(own_cluster, old)
            commit(left, 15)
            connection.send(offset_fetch("g", "orders", 0))
            stopped.go_on()
            offset, error = fetched_offset(connection.receive(), "orders")
            assert (offset, error) == (15, 0) or error != 0, (offset, error)


def commit(addresses, offset):
    consumer = Consumer({"bootstrap.servers": ",".join(addresses), "group.id": "g", **IMPATIENT})
    deadline = time.monotonic() + 40
    while True:
        try:
            consumer.commit(offsets=[TopicPartition("orders", 0, offset)], asynchronous=False)
            break
        except KafkaException:
            assert time.monotonic() < deadline, "no coordinator"
    consumer.close()
