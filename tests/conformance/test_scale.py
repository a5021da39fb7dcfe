"""Three agents become five under load: replicas and leaders move by themselves, nothing is lost."""

import json
import time

from kazoo.client import KazooClient

from histories import check_log, check_sequence
from load import Producing, WritingZnodes, read_partitions


def wait_balanced(cluster, members, timeout):
    """The ensemble once every member serves and holds its share. The rebalance may be over before anyone looks."""
    deadline = time.monotonic() + timeout
    while True:
        (ensemble,) = json.loads(cluster.cli("get", "ensembles", "-o", "json").stdout)
        if (ensemble["members"], ensemble["balanced"]) == (members, True):
            return ensemble
        assert time.monotonic() < deadline, f"not balanced within {timeout} s: {ensemble}"
        time.sleep(0.2)


def test_scale_out_rebalances_by_itself(own_cluster, tmp_path):
    load, writer = Producing(own_cluster, "orders", 6), WritingZnodes(own_cluster, "scale")
    load.start()
    writer.start()
    manifest = tmp_path / "five.yaml"
    manifest.write_text(own_cluster.manifest.read_text().replace("replicas: 3", "replicas: 5"))
    own_cluster.cli("apply", "-f", str(manifest))
    ensemble = wait_balanced(own_cluster, "5/5", 90)
    load.finish(90)
    writer.finish(60)
    assert not load.failed, load.failed[:3]
    logs = read_partitions(own_cluster, [("orders", partition) for partition in range(6)])
    for partition in range(6):
        assert len(load.acknowledged[partition]) == load.sent[partition] > 0
        check_log(load.acknowledged[partition], logs["orders", partition])

    assert ensemble["replicasMax"] <= 1.2 * ensemble["replicasMin"], ensemble
    members = json.loads(own_cluster.cli("get", "members", "-o", "json").stdout)
    assert len(members) == 5 and all(m["partitions"] > 0 for m in members)
    assert [m["role"] for m in members].count("observer") == 2, "later members observe"
    joined = KazooClient(hosts=members[4]["zookeeper"])
    joined.start(timeout=15)
    joined.sync("/kills")
    check_sequence(writer.created, set(joined.get_children("/kills")))
    joined.create("/from-an-observer", b"forwarded to the leader")
    joined.stop()
    joined.close()


def test_scale_in_is_refused_and_changes_nothing(cluster, tmp_path):
    manifest = tmp_path / "one.yaml"
    text = cluster.manifest.read_text().replace("replicas: 3", "replicas: 1").replace("replicationFactor: 3", "replicationFactor: 1")
    manifest.write_text(text)
    result = cluster.cli("apply", "-f", str(manifest), check=False)
    assert result.returncode == 2
    assert "spec.replicas: 1 is fewer than the 3 there are; scale-in is not built yet" in result.stderr
