"""Groups as stock clients see them: rebalances, static members, committed metadata, descriptions, deletion."""

import time
import uuid

from confluent_kafka import Consumer, ConsumerGroupState, TopicPartition
from confluent_kafka.admin import AdminClient

import batches

TOPIC = "orders"


def consumer(cluster, group, **config):
    settings = {
        "bootstrap.servers": cluster.kafka,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": 10000,
        "heartbeat.interval.ms": 500,
    }
    return Consumer({**settings, **config})


def settle(consumers, done, timeout=40):
    """Polls all of them until `done` holds of their assignments."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for one in consumers:
            one.poll(0.1)
        owned = [{(p.topic, p.partition) for p in one.assignment()} for one in consumers]
        if done(owned):
            return owned
    raise AssertionError(f"assignments after {timeout} s: {owned}")


def partitions(one):
    return {(TOPIC, p) for p in one.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions}


def shared_by_all(everything):
    """Everyone owns something, nobody owns what another owns, nothing is left over."""
    return lambda owned: all(owned) and sum(map(len, owned)) == len(everything) and set().union(*owned) == everything


def share(cluster, strategy):
    group = uuid.uuid4().hex
    both = [consumer(cluster, group, **{"partition.assignment.strategy": strategy}) for _ in range(2)]
    everything = partitions(both[0])
    for one in both:
        one.subscribe([TOPIC])
    settle(both, shared_by_all(everything))
    both.pop().close()
    settle(both, lambda owned: owned == [everything])
    both.pop().close()


def test_members_share_and_inherit(cluster):
    share(cluster, "range")


def test_cooperative_members_share_and_inherit(cluster):
    share(cluster, "cooperative-sticky")


def test_a_static_member_comes_back_to_its_partitions(cluster):  # KIP-345
    group = uuid.uuid4().hex
    both = [consumer(cluster, group, **{"group.instance.id": name}) for name in ("a", "b")]
    everything = partitions(both[0])
    rebalances = []
    both[0].subscribe([TOPIC], on_revoke=lambda *_: rebalances.append("revoked"))
    both[1].subscribe([TOPIC])
    before = settle(both, shared_by_all(everything))
    both[1].close()
    rebalances.clear()
    both[1] = consumer(cluster, group, **{"group.instance.id": "b"})
    both[1].subscribe([TOPIC])
    assert settle(both, shared_by_all(everything)) == before
    assert rebalances == [], "the other member must not notice"
    for one in both:
        one.close()


def test_commits_keep_metadata_and_groups_are_described_and_deleted(cluster):
    group = uuid.uuid4().hex
    one = consumer(cluster, group)
    one.subscribe([TOPIC])
    settle([one], lambda owned: bool(owned[0]))
    wanted = TopicPartition(TOPIC, 0, 7, metadata="where I was")
    one.commit(offsets=[wanted], asynchronous=False)
    admin = AdminClient({"bootstrap.servers": cluster.kafka})
    described = admin.describe_consumer_groups([group])[group].result(10)
    assert described.state == ConsumerGroupState.STABLE
    assert [m.host for m in described.members] == ["/127.0.0.1"]
    assert group in {g.group_id for g in admin.list_consumer_groups().result(10).valid}
    one.close()
    found = consumer(cluster, group).committed([TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)], timeout=10)
    assert [(p.offset, p.metadata or "") for p in found] == [(7, "where I was"), (-1001, "")]
    admin.delete_consumer_groups([group])[group].result(10)
    assert group not in {g.group_id for g in admin.list_consumer_groups().result(10).valid}


def test_clients_write_no_commits_by_themselves(cluster):
    """What stands in __consumer_offsets is believed: only coordinators write it (INVALID_TOPIC_EXCEPTION)."""
    one = consumer(cluster, f"group-{uuid.uuid4()}")
    one.commit(offsets=[TopicPartition(TOPIC, 0, 0)], asynchronous=False)
    one.close()
    assert batches.produce(cluster.kafka.split(","), "__consumer_offsets", 0, 8, -1, batches.good()) == "17"
