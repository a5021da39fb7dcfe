"""A full disk: nothing is lost, nothing is acknowledged that was not written, and room is all that it takes to go on.

The disk of member 0 is a small tmpfs that only `up` and its agents see: a user and a mount namespace of their own, so no rights are
needed. A kernel that refuses such namespaces fails these tests, and says so.
"""

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from kazoo.client import KazooClient

import batches
from cluster import Cluster
from histories import check_log
from load import Producing, read_partitions

KAFKA_STORAGE_ERROR = "56"
ONE = """apiVersion: streamkeeper.dev/v1alpha1
kind: Ensemble
metadata:
  name: one
spec:
  replicas: 1
---
apiVersion: streamkeeper.dev/v1alpha1
kind: Topic
metadata:
  name: orders
spec:
  ensembleRef: {name: one}
  partitions: 1
  replicationFactor: 1
"""


class SmallDisk(Cluster):
    """An `up` whose member 0 keeps its data on a disk of 160 MiB."""

    def start(self, timeout=60):
        # A first run lays the directory out; its member is then moved to the small disk.
        super().start(timeout)
        self.stop()
        small = self.data / "member-0" / "data"
        shutil.move(small, kept := self.data / "member-0" / "kept")
        small.mkdir()
        mount = 'mount -t tmpfs -o size=160m none "$0" && cp -a "$1"/. "$0" && shift && exec "$@"'
        self.prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, small, kept]
        self.events.clear()
        super().start(timeout)
        # The small disk, as this process reaches it.
        self.small = Path(f"/proc/{self.process.pid}/root{small}")
        return self

    def free(self):
        return shutil.disk_usage(self.small).free

    def fill(self):
        """Somebody else's file takes all that is left."""
        with open(self.small / "fill", "ab", buffering=0) as file:
            while free := self.free():
                try:
                    file.write(bytes(min(free, 1 << 20)))
                except OSError:
                    return

    def empty(self):
        (self.small / "fill").unlink()

    def log(self):
        return (self.data / "member-0" / "agent.log").read_text()

    def said(self, words):
        return [line for line in self.log().splitlines() if words in line]


FULL, ROOM = "is full: this member appends no records", "has room again"


@pytest.fixture(scope="module", autouse=True)
def namespaces():
    probe = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"]
    result = subprocess.run(probe, capture_output=True, text=True)
    assert result.returncode == 0, (
        f"these tests mount a tmpfs in a user namespace of their own, which this kernel refuses ({result.stderr.strip()}); "
        "allow it (sysctl kernel.unprivileged_userns_clone=1, or a container that may), or run as root"
    )


def wait_until(true, what, timeout=40):
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


def partitions(cluster, topic="orders"):
    """By number: leader and ISR, as clients are told."""
    found = AdminClient({"bootstrap.servers": cluster.kafka}).list_topics(topic, timeout=10).topics[topic]
    return {number: (p.leader, sorted(p.isrs)) for number, p in found.partitions.items()}


def test_a_member_with_a_full_disk_stands_back_and_comes_back(tmp_path, figures):
    cluster = SmallDisk(data=tmp_path).start()
    try:
        pid = cluster.pid(0)
        wait_until(lambda: 0 in {leader for leader, _ in partitions(cluster).values()}, lambda: "member 0 leads nothing")
        producing = Producing(cluster, "orders", 6)
        producing.start()
        wait_until(lambda: producing.total > 500, lambda: f"{producing.total} acknowledged")
        since = time.monotonic()
        cluster.fill()
        standing = lambda: all(leader != 0 and isr == [1, 2] for leader, isr in partitions(cluster).values())  # noqa: E731
        wait_until(standing, lambda: f"{partitions(cluster)}; {cluster.log()[-2000:]}")
        before = producing.total
        wait_until(lambda: producing.total > before + 500, lambda: f"{producing.total - before} with one disk full")
        silence = producing.silence(since, time.monotonic())
        freed = time.monotonic()
        cluster.empty()
        back = lambda: all(isr == [0, 1, 2] for _, isr in partitions(cluster).values())  # noqa: E731
        wait_until(back, lambda: f"{partitions(cluster)}; {cluster.log()[-2000:]}")
        back_after = time.monotonic() - freed
        wait_until(lambda: 0 in {leader for leader, _ in partitions(cluster).values()}, lambda: "it leads nothing again")
        producing.finish(90)
        assert not producing.failed, producing.failed[:3]
        assert cluster.pid(0) == pid, "its process went on"
        assert len(cluster.said(FULL)) == len(cluster.said(ROOM)) == 1, cluster.log()[-3000:]
        logs = read_partitions(cluster, [("orders", number) for number in range(6)])
        for number in range(6):
            check_log(producing.acknowledged[number], logs["orders", number])
        figures.append(f"full disk: longest silence of a partition {silence:.2f} s; in sync again {back_after:.2f} s after room was made")
    finally:
        cluster.close()


def test_the_only_member_serves_and_refuses_until_there_is_room(tmp_path):
    manifest = tmp_path / "one.yaml"
    manifest.write_text(ONE)
    cluster = SmallDisk(manifest=manifest, data=tmp_path / "data")
    cluster.data.mkdir()
    cluster.start()
    try:
        produced, value = 0, b"v" * 50_000
        produce = lambda: batches.produce([cluster.kafka], "orders", 0, 8, -1, batches.good(count=1, value=value))  # noqa: E731
        for _ in range(20):
            assert produce() == "0"
            produced += 1
        cluster.fill()
        for _ in range(40):
            error = produce()
            if error != "0":
                break
            produced += 1
        assert error == KAFKA_STORAGE_ERROR
        assert len(cluster.said(FULL)) == 1 and "retention.ms" in cluster.said(FULL)[0]
        assert len(read_partitions(cluster, [("orders", 0)])["orders", 0]) == produced, "consumers are served"
        zookeeper = KazooClient(hosts=cluster.zookeeper)
        zookeeper.start(20)
        for number in range(50):
            zookeeper.create(f"/made-{number}", b"while the disk was full")
        assert produce() == KAFKA_STORAGE_ERROR

        # A process that dies meanwhile starts again: on a full disk, or when there is room.
        cluster.kill(0, signal.SIGKILL)
        time.sleep(2)
        cluster.empty()
        wait_until(lambda: produce() == "0", lambda: cluster.log()[-3000:], timeout=60)
        produced += 1
        assert len(read_partitions(cluster, [("orders", 0)])["orders", 0]) == produced
        assert zookeeper.retry(lambda: len(zookeeper.get_children("/"))) >= 51, "no znode is lost"
        zookeeper.stop()
        zookeeper.close()
    finally:
        cluster.close()
