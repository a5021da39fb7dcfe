"""What the tests' client pods run: one short program per verb, which prints what it saw as JSON and fails if that is not right."""

import argparse
import json
import os
import signal
import sys

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from kazoo.client import KazooClient

from under_load import under_load

VALUE = "record {}"


def produce(options):
    """Records with acks=all; every one must be acknowledged."""
    failed = []
    producer = Producer({"bootstrap.servers": options.kafka, "enable.idempotence": True, "message.timeout.ms": 60000})
    for number in range(options.count):
        while len(producer) >= 50_000:
            producer.poll(0.1)
        producer.produce(options.topic, VALUE.format(number), on_delivery=lambda error, _: error and failed.append(str(error)))
    left = producer.flush(70)
    assert left == 0 and not failed, f"{left} records are not answered, {len(failed)} failed: {failed[:3]}"
    print(json.dumps({"acknowledged": options.count}))


def consume(options):
    """A group's one member reads until every record came."""
    consumer = Consumer({"bootstrap.servers": options.kafka, "group.id": options.group, "auto.offset.reset": "earliest"})
    consumer.subscribe([options.topic])
    wanted, seen = {VALUE.format(number) for number in range(options.count)}, set()
    while wanted - seen:
        for message in consumer.consume(500, timeout=1):
            if message.error():
                raise KafkaException(message.error())
            seen.add(message.value().decode())
    consumer.close()
    print(json.dumps({"consumed": len(wanted)}))


def count(options):
    """How many records a topic has."""
    consumer = Consumer({"bootstrap.servers": options.kafka, "group.id": options.group})
    partitions = consumer.list_topics(options.topic, timeout=20).topics[options.topic].partitions
    ends = [consumer.get_watermark_offsets(TopicPartition(options.topic, partition), timeout=20) for partition in partitions]
    consumer.close()
    print(json.dumps({"records": sum(high - low for low, high in ends)}))


def znodes(options):
    """Writes, reads, is told of a change, and sees a session's nodes go with it."""
    first, second = (KazooClient(hosts=options.zookeeper) for _ in range(2))
    first.start(timeout=60)
    second.start(timeout=60)
    base = first.create("/e2e-", b"one", sequence=True)
    told = second.handler.event_object()
    second.sync(base)
    value, stat = second.get(base, watch=lambda event: told.set())
    assert (value, stat.version) == (b"one", 0), (value, stat)
    first.set(base, b"two")
    told.wait(20)
    assert told.is_set() and second.get(base)[0] == b"two"
    first.create(f"{base}/here", ephemeral=True)
    first.stop()
    second.sync(base)
    assert second.get_children(base) == []
    second.delete(base)
    second.stop()
    print(json.dumps({"znodes": "written, read, watched, deleted"}))


def stop(_):
    """Asks the program of this container, which is process 1, to come to its end."""
    os.kill(1, signal.SIGTERM)


def main():
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(required=True)
    for action in (produce, consume, count, znodes, under_load, stop):
        verb = verbs.add_parser(action.__name__.replace("_", "-"))
        verb.set_defaults(action=action)
        verb.add_argument("--kafka")
        verb.add_argument("--zookeeper")
        verb.add_argument("--topic", default="orders")
        verb.add_argument("--partitions", type=int, default=6)
        verb.add_argument("--group", default="e2e")
        verb.add_argument("--count", type=int, default=100)
    options = parser.parse_args()
    options.action(options)


if __name__ == "__main__":
    sys.exit(main())
