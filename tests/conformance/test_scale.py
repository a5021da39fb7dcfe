"""Three agents become five under load: replicas and leaders move by themselves, nothing is lost."""

import json
import time

from kazoo.client import KazooClient

from test_kills import Load, check, read_everything


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
    load = Load(own_cluster)
    load.start()
    manifest = tmp_path / "five.yaml"
    manifest.write_text(own_cluster.manifest.read_text().replace("replicas: 3", "replicas: 5"))
    own_cluster.cli("apply", "-f", str(manifest))
    ensemble = wait_balanced(own_cluster, "5/5", 90)
    load.stopping.set()
    load.join(90)
    assert not load.is_alive() and not load.failed, load.failed[:3]
    check(load.acknowledged, read_everything(own_cluster, "orders", 0))

    assert ensemble["replicasMax"] <= 1.2 * ensemble["replicasMin"], ensemble
    members = json.loads(own_cluster.cli("get", "members", "-o", "json").stdout)
    assert len(members) == 5 and all(m["partitions"] > 0 for m in members)
    assert [m["role"] for m in members].count("observer") == 2, "later members observe"
    joined = KazooClient(hosts=members[4]["zookeeper"])
    joined.start(timeout=15)
    joined.sync("/kills")
    assert len(joined.get_children("/kills")) >= len(load.znodes)
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
