"""Every stock Kafka client produces to and consumes from a topic in a group, with every compression."""

import asyncio
import subprocess
import uuid

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Consumer, Producer
from kafka import KafkaConsumer, KafkaProducer

from cluster import kafka_tool

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
TOPICS = ["orders", "events"]


def values(count=200):
    tag = uuid.uuid4().hex
    return [f"{tag}-{i}".encode() for i in range(count)]


def drain(poll, wanted, tries=150):
    """Polls until every wanted value came; other tests' values are passed over."""
    left, got = set(wanted), []
    for _ in range(tries):
        for value in poll():
            if value in left:
                left.discard(value)
                got.append(value)
        if not left:
            break
    assert not left, f"{len(left)} of {len(wanted)} values did not come"
    assert len(got) == len(wanted), "a value came twice"


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("codec", CODECS)
def test_confluent_kafka(cluster, codec, topic):
    wanted = values()
    failures = []
    producer = Producer({"bootstrap.servers": cluster.kafka, "compression.type": codec, "enable.idempotence": True})
    for value in wanted:
        producer.produce(topic, value, key=value[-3:], on_delivery=lambda e, m: failures.append(e) if e else None)
    assert producer.flush(20) == 0 and not failures
    consumer = Consumer(
        {"bootstrap.servers": cluster.kafka, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])

    def poll():
        messages = consumer.consume(500, timeout=0.3)
        assert not [m.error() for m in messages if m.error()]
        return [m.value() for m in messages]

    drain(poll, wanted)
    consumer.commit(asynchronous=False)
    consumer.close()


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("codec", CODECS)
def test_kafka_python(cluster, codec, topic):
    wanted = values()
    servers = cluster.kafka.split(",")
    producer = KafkaProducer(bootstrap_servers=servers, compression_type=None if codec == "none" else codec, acks="all")
    for future in [producer.send(topic, value) for value in wanted]:
        future.get(timeout=20)
    producer.close()
    consumer = KafkaConsumer(
        topic, bootstrap_servers=servers, group_id=uuid.uuid4().hex, auto_offset_reset="earliest"
    )
    drain(lambda: [r.value for rs in consumer.poll(timeout_ms=300).values() for r in rs], wanted)
    consumer.commit()
    consumer.close()


@pytest.mark.parametrize("codec", CODECS)
def test_aiokafka(cluster, codec):
    wanted = values()

    async def run():
        producer = AIOKafkaProducer(
            bootstrap_servers=cluster.kafka, compression_type=None if codec == "none" else codec, acks="all"
        )
        await producer.start()
        for value in wanted:
            await producer.send("orders", value)
        await producer.stop()
        consumer = AIOKafkaConsumer(
            "orders", bootstrap_servers=cluster.kafka, group_id=uuid.uuid4().hex, auto_offset_reset="earliest"
        )
        await consumer.start()
        left = set(wanted)
        for _ in range(100):
            for records in (await consumer.getmany(timeout_ms=300)).values():
                left -= {record.value for record in records}
            if not left:
                break
        await consumer.commit()
        await consumer.stop()
        assert not left

    asyncio.run(asyncio.wait_for(run(), 60))


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_kcat(cluster, codec):
    wanted = values(50)
    text = b"\n".join(wanted) + b"\n"
    subprocess.run(
        ["kcat", "-P", "-b", cluster.kafka, "-t", "orders", "-z", codec], input=text, check=True, timeout=30
    )
    read = subprocess.run(
        ["kcat", "-C", "-b", cluster.kafka, "-t", "orders", "-e", "-q"], capture_output=True, check=True, timeout=30
    )
    assert set(wanted) <= set(read.stdout.split(b"\n"))


def test_console_tools(cluster):
    wanted = [v.decode() for v in values(20)]
    kafka_tool("console-producer", "--bootstrap-server", cluster.kafka, "--topic", "events", stdin="\n".join(wanted) + "\n")
    read = kafka_tool(
        "console-consumer",
        *("--bootstrap-server", cluster.kafka, "--topic", "events", "--from-beginning", "--timeout-ms", "8000"),
        *("--group", uuid.uuid4().hex),
    )
    assert set(wanted) <= set(read.split("\n"))
