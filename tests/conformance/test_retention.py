"""Old records go on every replica, not only on the one that leads."""

import time

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic


def test_followers_delete_old_records_too(own_cluster, figures):
    admin = AdminClient({"bootstrap.servers": own_cluster.kafka})
    config = {"retention.ms": "1000", "segment.ms": "500"}
    admin.create_topics([NewTopic("short", num_partitions=1, replication_factor=3, config=config)])["short"].result(20)
    producer = Producer({"bootstrap.servers": own_cluster.kafka})
    for _ in range(3):
        for number in range(10):
            producer.produce("short", str(number).encode(), partition=0)
        assert producer.flush(20) == 0
        time.sleep(0.7)

    def first_segments():
        """Where the topic's log begins on each member: it is the only topic whose logs have rolled."""
        found = {}
        for member in own_cluster.members:
            topics = own_cluster.data / f"member-{member['id']}" / "data" / "topics"
            for partition in topics.glob("*/0"):
                bases = sorted(int(path.stem) for path in partition.glob("*.log"))
                found.setdefault(partition.parent.name, {})[member["id"]] = bases
        rolled = [logs for logs in found.values() if any(bases and bases[-1] > 0 for bases in logs.values())]
        return {member: bases[0] for member, bases in rolled[0].items()} if rolled else {}

    begun = time.monotonic()
    # Retention is looked at every 30 s.
    while True:
        firsts = first_segments()
        if len(firsts) == 3 and all(first == 30 for first in firsts.values()):
            break
        assert time.monotonic() - begun < 75, firsts
        time.sleep(0.5)
    figures.append(f"retention: gone on all three replicas {time.monotonic() - begun:.0f} s after the last record")
