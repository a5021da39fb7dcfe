"""Load on a cluster that is being hurt: producers, a consumer in a group, writers of znodes. Each keeps its history."""

import threading
import time
from collections import defaultdict

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError, KazooException
from kazoo.handlers.threading import KazooTimeoutError

# A client that waits ten seconds before it dials again would be all that is measured.
IMPATIENT = {
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "retry.backoff.ms": 20,
    "retry.backoff.max.ms": 200,
    "topic.metadata.refresh.fast.interval.ms": 50,
    "socket.timeout.ms": 5000,
}


class Worker(threading.Thread):
    """A thread that works until it is told to stop; what it died of is raised by `finish`."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster = cluster
        self.stopping = threading.Event()
        self.error = None

    def run(self):
        try:
            self.work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test's own thread must raise it.
            self.error = error

    def finish(self, timeout):
        self.stopping.set()
        self.join(timeout)
        assert not self.is_alive(), f"{type(self).__name__} does not come to an end"
        if self.error:
            raise self.error


class Producing(Worker):
    """An idempotent producer with acks=all to several partitions, round robin; the value is the partition's own count."""

    def __init__(self, cluster, topic, partitions, pause=0.002):
        super().__init__(cluster)
        self.topic, self.partitions, self.pause = topic, partitions, pause
        self.sent = defaultdict(int)
        self.acknowledged = defaultdict(list)
        # When each acknowledgement of a partition came: gaps are silences.
        self.times = defaultdict(list)
        self.failed = []

    def work(self):
        producer = Producer(
            {
                "bootstrap.servers": self.cluster.kafka,
                "enable.idempotence": True,
                "linger.ms": 1,
                "message.timeout.ms": 60000,
                "request.timeout.ms": 5000,
                **IMPATIENT,
            }
        )
        while not self.stopping.is_set():
            for partition in range(self.partitions):
                value = str(self.sent[partition]).encode()
                try:
                    producer.produce(self.topic, value, partition=partition, on_delivery=self.delivered)
                    self.sent[partition] += 1
                except BufferError:
                    pass  # All that may wait does wait: an outage. It is acknowledged later, or fails.
            producer.poll(self.pause)
        assert producer.flush(60) == 0, "the producer did not get everything out"

    def delivered(self, error, message):
        if error:
            self.failed.append(error)
        else:
            self.acknowledged[message.partition()].append(message.value())
            self.times[message.partition()].append(time.monotonic())

    @property
    def total(self):
        return sum(len(values) for values in self.acknowledged.values())

    def silence(self, since, until):
        """The longest time between two acknowledgements of one partition that touches the interval."""
        longest = 0
        for times in list(self.times.values()):
            inside = [t for t in times if since - 1 <= t <= until]
            longest = max([longest, *(b - a for a, b in zip(inside, inside[1:]) if b >= since)])
        return longest

    def quiet(self, since):
        """Partitions that were not acknowledged anything since."""
        return [p for p in range(self.partitions) if not self.times[p] or self.times[p][-1] < since]


class Consuming(Worker):
    """The one member of a group; it commits now and then."""

    def __init__(self, cluster, topic, group):
        super().__init__(cluster)
        self.topic, self.group = topic, group
        self.seen = defaultdict(list)
        self.last = time.monotonic()

    def work(self):
        consumer = Consumer(
            {
                "bootstrap.servers": self.cluster.kafka,
                "group.id": self.group,
                "auto.offset.reset": "error",
                "enable.auto.commit": True,
                "auto.commit.interval.ms": 500,
                "session.timeout.ms": 10000,
                "heartbeat.interval.ms": 500,
                **IMPATIENT,
            }
        )
        start = [TopicPartition(self.topic, p, 0) for p in range(len(self.partitions(consumer)))]
        consumer.commit(offsets=start, asynchronous=False)
        consumer.subscribe([self.topic])
        while not self.stopping.is_set():
            for message in consumer.consume(500, timeout=0.1):
                if message.error() is None:
                    self.seen[message.partition()].append((message.offset(), message.value()))
                    self.last = time.monotonic()
                elif message.error().fatal() or message.error().code() == KafkaError._AUTO_OFFSET_RESET:
                    raise KafkaException(message.error())
        consumer.close()

    def partitions(self, consumer):
        return consumer.list_topics(self.topic, timeout=20).topics[self.topic].partitions

    def wait_for(self, acknowledged, timeout):
        """Waits until the newest of each partition was seen."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self.error is None:
            newest = {p: values[-1] for p, values in acknowledged.items() if values}
            if all(any(value == last for _, value in self.seen[p][-1000:]) for p, last in newest.items()):
                return
            time.sleep(0.2)


class WritingZnodes(Worker):
    """Sequential znodes, and setData with versions on a znode that all writers share."""

    def __init__(self, cluster, name, shared="/kills/shared"):
        super().__init__(cluster)
        self.name, self.shared = name, shared
        self.created, self.versions, self.unknown, self.times = [], [], [], []

    def work(self):
        client = KazooClient(hosts=self.cluster.zookeeper, timeout=4, randomize_hosts=True)
        client.start(timeout=30)
        client.ensure_path("/kills")
        client.ensure_path(self.shared)
        count = 0
        while not self.stopping.is_set():
            count += 1
            try:
                self.created.append(client.create(f"/kills/{self.name}-", b"", sequence=True).rsplit("/", 1)[1])
                self.write_shared(client, f"{self.name}:{count}")
                self.times.append(time.monotonic())
            except (KazooException, KazooTimeoutError):
                time.sleep(0.02)  # What was under way may have been done or not.
            time.sleep(0.01)
        client.stop()
        client.close()

    def write_shared(self, client, value):
        _, stat = client.get(self.shared)
        try:
            self.versions.append((client.set(self.shared, value.encode(), version=stat.version).version, value))
        except BadVersionError:
            pass  # Another writer was faster, and nothing was written.
        except (KazooException, KazooTimeoutError):
            self.unknown.append(value)
            raise

    def silence(self, since, until):
        inside = [t for t in list(self.times) if since - 1 <= t <= until]
        return max([0, *(b - a for a, b in zip(inside, inside[1:]) if b >= since)])


def committed(consumer, partitions, timeout=20):
    """What a group committed. After a restart leads go to the preferred replicas, and with them coordinators: librdkafka finds the new
    one, but leaves it to its user to ask again."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return consumer.committed(partitions, timeout=timeout)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NOT_COORDINATOR or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def read_partitions(cluster, partitions, timeout=60):
    """(offset, value) of everything in each (topic, partition)."""
    consumer = Consumer({"bootstrap.servers": cluster.kafka, "group.id": "reader", "enable.auto.commit": False, **IMPATIENT})
    deadline = time.monotonic() + timeout
    ends = {}
    for topic, partition in partitions:
        while (topic, partition) not in ends:
            try:
                ends[topic, partition] = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=5)[1]
            except KafkaException:
                assert time.monotonic() < deadline, f"{topic}/{partition} has no leader"
    consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in partitions])
    logs = {key: [] for key in ends}
    left = {key for key, end in ends.items() if end > 0}
    while left and time.monotonic() < deadline:
        for message in consumer.consume(1000, timeout=0.2):
            if message.error() is None:
                key = (message.topic(), message.partition())
                logs[key].append((message.offset(), message.value()))
                if message.offset() + 1 >= ends[key]:
                    left.discard(key)
    consumer.close()
    assert not left, f"not read to their ends: {left}"
    return logs
