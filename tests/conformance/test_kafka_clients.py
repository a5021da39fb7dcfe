"""Every stock Kafka client produces to and consumes from a topic in a group, with every compression."""

import asyncio
import json
import os
import random
import subprocess
import uuid

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Consumer, Producer, TopicPartition
from kafka import KafkaConsumer, KafkaProducer

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


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("codec", CODECS)
def test_aiokafka(cluster, codec, topic):
    wanted = values()

    async def run():
        producer = AIOKafkaProducer(
            bootstrap_servers=cluster.kafka, compression_type=None if codec == "none" else codec, acks="all"
        )
        await producer.start()
        for value in wanted:
            await producer.send(topic, value)
        await producer.stop()
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=cluster.kafka, group_id=uuid.uuid4().hex, auto_offset_reset="earliest"
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


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("codec", CODECS)
def test_kcat(cluster, codec, topic):
    wanted = values(50)
    text = b"\n".join(wanted) + b"\n"
    to = ("kcat", "-b", cluster.kafka)
    subprocess.run([*to, "-P", "-t", topic, "-z", codec], input=text, check=True, timeout=30)
    group = ("-G", uuid.uuid4().hex, "-X", "auto.offset.reset=earliest", "-e", "-q", topic)
    read = subprocess.run([*to, *group], capture_output=True, check=True, timeout=60)
    got = [line for line in read.stdout.split(b"\n") if line in set(wanted)]
    assert sorted(got) == sorted(wanted)


OTHERS = {
    "rdkafka": ["rdkafka"],
    "franz-go": ["go-clients", "franz-go"],
    "sarama": ["go-clients", "sarama"],
    "kafka-go": ["go-clients", "kafka-go"],
    "kafkajs": ["node", "main.js"],
}


@pytest.mark.parametrize("client", OTHERS)
def test_clients_in_other_languages(cluster, client):
    """Programs under clients/: each prints every value that it read back as TOPIC CODEC VALUE."""
    directory = os.environ["CLIENTS"]
    program, *arguments = OTHERS[client]
    program = program if program == "node" else f"{directory}/{program}"
    tag, count = uuid.uuid4().hex, 30
    ran = subprocess.run(
        [program, *arguments, cluster.kafka, ",".join(TOPICS), ",".join(CODECS), str(count), tag],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    wanted = [f"{topic} {codec} {tag}-{codec}-{n}" for topic in TOPICS for codec in CODECS for n in range(count)]
    assert sorted(ran.stdout.split("\n")[:-1]) == sorted(wanted), "each value comes once"


def in_all(cluster, topic):
    """How many records a topic has."""
    consumer = Consumer({"bootstrap.servers": cluster.kafka, "group.id": "counter"})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    ends = [consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10) for p in partitions]
    consumer.close()
    return sum(high - low for low, high in ends)


@pytest.mark.parametrize("topic", TOPICS)
def test_java_verifiable_clients(cluster, tools, topic, tmp_path):
    wanted = []
    for codec in CODECS:
        config = tmp_path / f"{codec}.properties"
        config.write_text(f"compression.type={codec}\n")
        prefix = random.randrange(10**9)
        to = ("--bootstrap-server", cluster.kafka, "--topic", topic, "--max-messages", 100, "--value-prefix", prefix)
        ran = tools.run("verifiable-producer", *to, "--acks", "-1", "--command-config", config)
        events = [json.loads(line) for line in ran.out.split("\n") if line.startswith("{")]
        sent = [event["value"] for event in events if event["name"] == "producer_send_success"]
        assert len(sent) == 100 and ran.status == 0, ran.out[-1000:] + ran.err[-1000:]
        wanted += sent
    ran = tools.run(
        "verifiable-consumer",
        *("--bootstrap-server", cluster.kafka, "--topic", topic, "--group-id", uuid.uuid4().hex, "--verbose"),
        *("--reset-policy", "earliest", "--max-messages", in_all(cluster, topic)),
    )
    events = [json.loads(line) for line in ran.out.split("\n") if line.startswith("{")]
    got = [event["value"] for event in events if event["name"] == "record_data"]
    mine = set(wanted)
    assert sorted(value for value in got if value in mine) == sorted(wanted)


@pytest.mark.parametrize("codec", CODECS)
def test_console_tools(cluster, tools, codec):
    wanted = [v.decode() for v in values(20)]
    to = ("--bootstrap-server", cluster.kafka, "--topic", "events")
    ran = tools.run("console-producer", *to, "--compression-codec", codec, stdin="\n".join(wanted) + "\n")
    assert ran.status == 0, ran.err
    count = in_all(cluster, "events")
    read = tools.run("console-consumer", *to, "--from-beginning", "--max-messages", count, "--group", uuid.uuid4().hex)
    lines = read.out.split("\n")
    assert sorted(line for line in lines if line in set(wanted)) == sorted(wanted)
