"""An ensemble grows and shrinks under load: replicas and leaders move by themselves, nothing is lost and nothing comes twice."""

import json
import re
import time
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from cluster import ROOT, Cluster
from histories import check_log, check_sequence
from load import Producing, WritingZnodes, read_partitions


def manifest(cluster, tmp_path, replicas, change=lambda text: text):
    path = tmp_path / f"{replicas}.yaml"
    path.write_text(change(re.sub(r"replicas: \d+", f"replicas: {replicas}", cluster.manifest.read_text())))
    return str(path)


def scale(cluster, tmp_path, replicas, change=lambda text: text):
    cluster.cli("apply", "-f", manifest(cluster, tmp_path, replicas, change), "--wait", "--timeout", "120s", timeout=150)
    (ensemble,) = json.loads(cluster.cli("get", "ensembles", "-o", "json").stdout)
    assert (ensemble["members"], ensemble["ready"], ensemble["balanced"]) == (f"{replicas}/{replicas}", True, True), ensemble
    assert ensemble["replicasMax"] <= 1.2 * ensemble["replicasMin"], ensemble
    members = json.loads(cluster.cli("get", "members", "-o", "json").stdout)
    assert [m["id"] for m in members] == list(range(replicas)) and all(m["partitions"] > 0 for m in members), members
    cluster.members = members
    return members


class Load:
    """Producers with acks=all to every partition of a topic, and a writer of znodes, all along."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.producing, self.writing = Producing(cluster, "orders", 6), WritingZnodes(cluster, "scale")
        self.producing.start()
        self.writing.start()

    def finish(self):
        """Nothing failed, everything that was acknowledged is there once and in order."""
        self.producing.finish(90)
        self.writing.finish(60)
        assert not self.producing.failed, self.producing.failed[:3]
        for partition in range(6):
            assert len(self.producing.acknowledged[partition]) == self.producing.sent[partition] > 0
        self.check()

    def check(self):
        logs = read_partitions(self.cluster, [("orders", partition) for partition in range(6)])
        for partition in range(6):
            check_log(self.producing.acknowledged[partition], logs["orders", partition])
        zookeeper = KazooClient(hosts=self.cluster.zookeeper)
        zookeeper.start(timeout=20)
        zookeeper.sync("/kills")
        check_sequence(self.writing.created, set(zookeeper.get_children("/kills")))
        zookeeper.stop()
        zookeeper.close()


def events(cluster, name):
    return [event for event in cluster.events if event["event"] == name]


def test_members_come_and_go_under_load(own_cluster, tmp_path):
    load = Load(own_cluster)
    members = scale(own_cluster, tmp_path, 5)
    assert [m["role"] for m in members].count("observer") == 0, "from five members on five vote"
    progress = events(own_cluster, "rebalancing")
    assert progress and all(event["movesTotal"] >= event["movesDone"] for event in progress)
    own_cluster.wait_event("balanced")
    first = {m["id"]: m["incarnation"] for m in members}

    scale(own_cluster, tmp_path, 3)
    retired = [Path(event["retired"]) for event in events(own_cluster, "member-stopped")]
    assert [path.name for path in retired] == ["member-4.1", "member-3.1"] and all(path.exists() for path in retired)

    # The same numbers again, while their old disks lie beside: members with those numbers are new ones.
    members = scale(own_cluster, tmp_path, 5)
    again = {m["id"]: m["incarnation"] for m in members}
    assert [id for id in first if first[id] == again[id]] == [0, 1, 2]
    load.finish()

    joined = KazooClient(hosts=members[4]["zookeeper"])
    joined.start(timeout=15)
    joined.sync("/kills")
    check_sequence(load.writing.created, set(joined.get_children("/kills")))
    joined.create("/from-a-later-member", b"through the leader")
    joined.stop()
    joined.close()


def test_a_disk_that_lies_where_a_member_begins_is_put_aside(own_cluster, tmp_path):
    stale = own_cluster.data / "member-3/data"
    stale.mkdir(parents=True)
    (stale / "superblock").write_bytes(b"of another time")
    scale(own_cluster, tmp_path, 4)
    (event,) = events(own_cluster, "old-disk")
    assert event["id"] == 3 and (Path(event["retired"]) / "data/superblock").read_bytes() == b"of another time"


def test_fewer_members_than_a_topic_has_copies_are_waited_for_not_forced(own_cluster, tmp_path):
    from confluent_kafka.admin import AdminClient, NewTopic

    scale(own_cluster, tmp_path, 4)
    admin = AdminClient({"bootstrap.servers": own_cluster.kafka})
    admin.create_topics([NewTopic("four", 1, 4)])["four"].result(20)
    result = own_cluster.cli("apply", "-f", manifest(own_cluster, tmp_path, 3), "--wait", "--timeout", "30s", check=False)
    assert result.returncode == 1 and "member" in result.stderr and "four" in result.stderr, result
    described = json.loads(own_cluster.cli("describe", "ensemble", "main", "-o", "json").stdout)["status"]
    conditions = {c["type"]: c for c in described["conditions"]}
    assert conditions["ScaleAllowed"]["status"] == "False" and "four" in conditions["ScaleAllowed"]["message"]
    assert described["waiting"] and len(described["members"]) == 4
    # The way out: the topic goes, and what was asked for goes on by itself.
    own_cluster.cli("delete", "topic", "four")
    scale(own_cluster, tmp_path, 3)


@pytest.mark.parametrize("replicas", [2, 4])
def test_numbers_that_are_not_odd_work_too(tmp_path, replicas):
    text = (ROOT / "examples/quickstart.yaml").read_text()
    text = text.replace("replicas: 3", f"replicas: {replicas}").replace("replicationFactor: 3", "replicationFactor: 2")
    path = tmp_path / "m.yaml"
    path.write_text(text)
    cluster = Cluster(path).start()
    try:
        roles = [m["role"] for m in json.loads(cluster.cli("get", "members", "-o", "json").stdout)]
        assert roles.count("observer") == 1 and roles.count("leader") == 1
        assert cluster.cli("status").stdout == "healthy\n"
    finally:
        cluster.close()


def test_one_member_becomes_three(tmp_path):
    text = (ROOT / "examples/quickstart.yaml").read_text()
    path = tmp_path / "one.yaml"
    path.write_text(text.replace("replicas: 3", "replicas: 1").replace("replicationFactor: 3", "replicationFactor: 1"))
    cluster = Cluster(path).start()
    try:
        load = Load(cluster)
        members = scale(cluster, tmp_path, 3)
        assert sorted(m["role"] for m in members) == ["follower", "follower", "leader"]
        scale(cluster, tmp_path, 1)
        load.finish()
    finally:
        cluster.close()


def test_a_new_configuration_is_rolled_out_under_load(own_cluster, tmp_path):
    load = Load(own_cluster)
    time.sleep(1)
    before = {m["id"]: m["pid"] for m in own_cluster.members}
    leader = next(m["id"] for m in json.loads(own_cluster.cli("get", "members", "-o", "json").stdout) if m["role"] == "leader")
    mark = len(own_cluster.events)
    # Read at the start: broker settings would restart nobody (test_settings.py).
    changed = lambda text: text.replace("replicas: 3", "replicas: 3\n  coordination: {maxClientCnxns: 500}", 1)
    members = scale(own_cluster, tmp_path, 3, changed)
    restarted = [e["id"] for e in own_cluster.events[mark:] if e["event"] == "member-started" and e.get("reason") == "config-changed"]
    assert sorted(restarted) == [0, 1, 2] and restarted[-1] == leader, "each once, the quorum leader last"
    assert all(m["pid"] != before[m["id"]] for m in members)
    load.finish()


def test_a_suspended_ensemble_keeps_everything(own_cluster, tmp_path):
    load = Load(own_cluster)
    time.sleep(2)
    load.finish()
    pids = [m["pid"] for m in own_cluster.members]
    suspended = lambda text: text.replace("replicas: 3", "replicas: 3\n  suspended: true")
    own_cluster.cli("apply", "-f", manifest(own_cluster, tmp_path, 3, suspended), "--wait", "--timeout", "60s")
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert own_cluster.cli("status", check=False).returncode == 1
    scale(own_cluster, tmp_path, 3)
    load.check()
