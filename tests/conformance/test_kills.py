"""kill -9 of members under load: nothing that was acknowledged is lost, nothing comes twice, order is kept, consumers go on.

KILLS is the number of rounds, SEED the order of victims (printed). The figures are printed at the end of the session.
"""

import os
import random
import socket
import time
from collections import defaultdict

import pytest
from confluent_kafka.admin import AdminClient
from kazoo.client import KazooClient

from histories import check_consumer, check_log, check_sequence, check_versions
from load import Consuming, Producing, WritingZnodes, read_partitions

KILLS = int(os.environ.get("KILLS", "6"))
SEED = int(os.environ.get("SEED", str(random.randrange(10**6))))
TOPIC, PARTITIONS = "orders", 6
KINDS = ["member", "quorum leader", "partition leader", "all"]


def word(address, letters):
    host, port = address.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), 1) as connection:
            connection.sendall(letters)
            return connection.makefile("rb").read()
    except OSError:
        return b""


def victims(cluster, kind, chance):
    """Whom a round kills."""
    ids = [member["id"] for member in cluster.members]
    if kind == "all":
        return ids
    if kind == "quorum leader":
        leading = [m["id"] for m in cluster.members if b"Mode: leader" in word(m["zookeeper"], b"srvr")]
        return leading or [chance.choice(ids)]
    if kind == "partition leader":
        topic = AdminClient({"bootstrap.servers": cluster.kafka}).list_topics(TOPIC, timeout=10).topics[TOPIC]
        return [topic.partitions[chance.randrange(PARTITIONS)].leader]
    return [chance.choice(ids)]


def wait_whole(cluster, load, since, timeout=60):
    """Until every member serves, every partition has all its replicas in sync, and was written to since."""
    deadline = time.monotonic() + timeout
    admin = AdminClient({"bootstrap.servers": cluster.kafka, "reconnect.backoff.max.ms": 200})
    while True:
        modes = [word(m["zookeeper"], b"srvr") for m in cluster.members]
        short = "members"
        if all(b"Mode: leader" in mode or b"Mode: follower" in mode for mode in modes):
            short = in_sync_shortage(admin) or load.quiet(since)
        if not short:
            return
        assert time.monotonic() < deadline, f"not whole again after {timeout} s: {short}, {modes}"
        time.sleep(0.05)


def in_sync_shortage(admin):
    try:
        topics = admin.list_topics(timeout=5).topics.values()
    except Exception as error:  # noqa: BLE001 - librdkafka knows many words for "not now".
        return str(error)
    parts = [(t.topic, p) for t in topics for p in t.partitions.values()]
    return [(topic, p.id, p.leader, p.isrs) for topic, p in parts if len(p.isrs) < 3 or p.leader < 0]


def test_kills_lose_nothing(own_cluster, figures):
    chance = random.Random(SEED)
    producing = Producing(own_cluster, TOPIC, PARTITIONS)
    consuming = Consuming(own_cluster, TOPIC, "kills")
    writers = [WritingZnodes(own_cluster, f"w{n}") for n in range(2)]
    workers = [consuming, producing, *writers]
    for worker in workers:
        worker.start()
    wait_whole(own_cluster, producing, time.monotonic())
    silences = defaultdict(list)
    for round in range(KILLS):
        # Every kind comes, and the last round kills all.
        kind = KINDS[3] if round == KILLS - 1 else KINDS[round] if round < 3 else chance.choice(KINDS)
        who = victims(own_cluster, kind, chance)
        killed = time.monotonic()
        for victim in who:
            own_cluster.kill(victim)
        try:
            wait_whole(own_cluster, producing, killed)
        except AssertionError as error:
            raise AssertionError(f"SEED={SEED}, round {round}, {kind} ({who}): {error}") from error
        errors = [worker.error for worker in workers if worker.error]
        if errors:
            lost = sum(losses(own_cluster, producing).values(), [])
            raise AssertionError(f"SEED={SEED}, round {round}, {kind} ({who}): {errors}; acknowledged and lost: {lost}")
        # Kills come at any moment of a recovery's end.
        time.sleep(chance.random())
        now = time.monotonic()
        zookeeper = max(writer.silence(killed, now) for writer in writers)
        silences[kind].append((producing.silence(killed, now), zookeeper))
    producing.finish(90)
    assert not producing.failed, f"SEED={SEED}: {producing.failed[:3]}"
    consuming.wait_for(producing.acknowledged, 60)
    consuming.finish(30)
    for writer in writers:
        writer.finish(60)
    judge(own_cluster, producing, consuming, writers)
    report(figures, producing, consuming, writers, silences)


def losses(cluster, producing):
    """By partition the acknowledged values that are not there."""
    logs = read_partitions(cluster, [(TOPIC, partition) for partition in range(PARTITIONS)])
    there = {partition: {value for _, value in logs[TOPIC, partition]} for partition in range(PARTITIONS)}
    return {p: [value for value in producing.acknowledged[p] if value not in there[p]] for p in range(PARTITIONS)}


def judge(cluster, producing, consuming, writers):
    logs = read_partitions(cluster, [(TOPIC, partition) for partition in range(PARTITIONS)])
    for partition in range(PARTITIONS):
        assert len(producing.acknowledged[partition]) == producing.sent[partition] > 20
        check_log(producing.acknowledged[partition], logs[TOPIC, partition])
    check_consumer(producing.acknowledged, consuming.seen)
    zookeeper = KazooClient(hosts=cluster.zookeeper)
    zookeeper.start(timeout=20)
    zookeeper.sync("/kills")
    present = set(zookeeper.get_children("/kills"))
    for writer in writers:
        assert len(writer.created) > 10
        check_sequence(writer.created, present)
    value, stat = zookeeper.get("/kills/shared")
    acknowledged = [entry for writer in writers for entry in writer.versions]
    unknown = [entry for writer in writers for entry in writer.unknown]
    check_versions(acknowledged, unknown, (stat.version, value.decode()))
    zookeeper.stop()
    zookeeper.close()


def report(figures, producing, consuming, writers, silences):
    seen = sum(len(values) for values in consuming.seen.values())
    znodes = sum(len(writer.created) + len(writer.versions) for writer in writers)
    lines = [
        f"kills: {KILLS} rounds (SEED={SEED}): {producing.total} records acknowledged, {seen} consumed, {znodes} znode writes; "
        "0 lost, 0 twice, 0 out of order"
    ]
    for kind, rounds in silences.items():
        records, znode = (sorted(times) for times in zip(*rounds))
        middle = len(rounds) // 2
        lines.append(
            f"  {kind:<17}{len(rounds):>4} rounds; longest write silence: records {records[middle]:.2f} s median, "
            f"{records[-1]:.2f} s worst; znodes {znode[middle]:.2f} s median, {znode[-1]:.2f} s worst"
        )
    figures.extend(lines)


def rejected(check, *history):
    with pytest.raises(AssertionError):
        check(*history)


def test_checkers_reject_known_bad_histories():
    def log(*values):
        return list(enumerate(values))

    check_log([b"1", b"2"], log(b"1", b"2", b"3"))
    rejected(check_log, [b"1", b"2"], log(b"1"))  # lost
    rejected(check_log, [b"1"], log(b"1", b"1"))  # twice
    rejected(check_log, [b"1", b"2"], log(b"2", b"1"))  # order
    rejected(check_log, [b"1"], [(1, b"1"), (0, b"2")])  # offsets fall

    check_consumer({0: [b"1", b"2"]}, {0: [(0, b"1"), (0, b"1"), (1, b"2")]})
    rejected(check_consumer, {0: [b"1", b"2"]}, {0: [(0, b"1")]})  # never came
    rejected(check_consumer, {0: [b"1"]}, {0: [(0, b"1"), (0, b"2")]})  # two values for an offset
    rejected(check_consumer, {0: [b"1", b"2"]}, {0: [(0, b"1"), (2, b"2")]})  # skipped
    rejected(check_consumer, {0: [b"1"], 1: [b"1"]}, {0: [(0, b"1")]})  # a whole partition

    names = [f"w-{n:010}" for n in range(3)]
    check_sequence(names[:2], set(names))
    rejected(check_sequence, names, set(names[:2]))  # lost
    rejected(check_sequence, [names[1], names[0]], set(names))  # falls
    rejected(check_sequence, [names[0], names[0]], set(names))  # given twice

    check_versions([(1, "a"), (2, "b")], ["c"], (3, "c"))
    check_versions([(1, "a")], [], (1, "a"))
    rejected(check_versions, [(1, "a"), (1, "b")], [], (1, "a"))  # one version for two
    rejected(check_versions, [(1, "a"), (2, "b")], [], (1, "a"))  # went back
    rejected(check_versions, [(1, "a")], [], (1, "b"))  # another value
    rejected(check_versions, [(1, "a")], [], (2, "x"))  # nobody wrote it
    rejected(check_versions, [(1, "a")], ["b"], (3, "b"))  # more versions than writes

