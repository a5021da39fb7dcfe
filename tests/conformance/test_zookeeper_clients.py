"""kazoo and zkCli: create, watch, list; sessions that survive a move."""

import subprocess
import threading
import time

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError, NodeExistsError, NoNodeError, NotEmptyError
from kazoo.recipe.lock import Lock

from cluster import ROOT


@pytest.fixture
def client(cluster):
    client = KazooClient(hosts=cluster.zookeeper, timeout=10)
    client.start(timeout=15)
    client.ensure_path("/conformance")
    yield client
    client.delete("/conformance", recursive=True)
    client.stop()
    client.close()


def test_create_read_and_delete(client):
    assert client.create("/conformance/a", b"one") == "/conformance/a"
    with pytest.raises(NodeExistsError):
        client.create("/conformance/a", b"two")
    data, stat = client.get("/conformance/a")
    assert (data, stat.version, stat.dataLength, stat.numChildren) == (b"one", 0, 3, 0)
    assert client.set("/conformance/a", b"three").version == 1
    with pytest.raises(BadVersionError):
        client.set("/conformance/a", b"four", version=0)
    client.create("/conformance/a/b", b"")
    with pytest.raises(NotEmptyError):
        client.delete("/conformance/a")
    client.delete("/conformance/a/b")
    client.delete("/conformance/a")
    with pytest.raises(NoNodeError):
        client.get("/conformance/a")


def test_sequence_nodes_rise(client):
    names = [client.create("/conformance/n-", sequence=True) for _ in range(5)]
    assert names == [f"/conformance/n-{i:010d}" for i in range(5)]
    assert sorted(client.get_children("/conformance")) == [n.rsplit("/", 1)[1] for n in names]


def test_a_watch_fires_once_and_before_the_new_data(client, cluster):
    other = KazooClient(hosts=cluster.zookeeper)
    other.start()
    fired = threading.Event()
    events = []
    client.create("/conformance/w", b"old")
    client.get("/conformance/w", watch=lambda event: (events.append(event), fired.set()))
    other.set("/conformance/w", b"new")
    other.set("/conformance/w", b"newer")
    assert fired.wait(5)
    time.sleep(0.2)
    assert [(e.type, e.path) for e in events] == [("CHANGED", "/conformance/w")]
    other.stop()
    other.close()


def test_an_ephemeral_goes_with_its_session(client, cluster):
    other = KazooClient(hosts=cluster.zookeeper)
    other.start()
    other.create("/conformance/e", ephemeral=True)
    assert client.exists("/conformance/e").ephemeralOwner == other.client_id[0]
    gone = threading.Event()
    client.exists("/conformance/e", watch=lambda event: gone.set())
    other.stop()
    other.close()
    assert gone.wait(5)
    assert client.exists("/conformance/e") is None


def test_a_transaction_is_all_or_nothing(client):
    transaction = client.transaction()
    transaction.create("/conformance/t", b"1")
    transaction.check("/conformance/t", 0)
    transaction.set_data("/conformance/t", b"2")
    assert [getattr(r, "version", r) for r in transaction.commit()] == ["/conformance/t", True, 1]
    transaction = client.transaction()
    transaction.create("/conformance/u", b"1")
    transaction.delete("/conformance/missing")
    transaction.commit()
    assert client.exists("/conformance/u") is None


def test_a_lock_is_exclusive(client, cluster):
    other = KazooClient(hosts=cluster.zookeeper)
    other.start()
    mine, theirs = Lock(client, "/conformance/lock"), Lock(other, "/conformance/lock")
    assert mine.acquire(timeout=5)
    assert not theirs.acquire(blocking=False)
    mine.release()
    assert theirs.acquire(timeout=5)
    theirs.release()
    other.stop()
    other.close()


def test_a_write_is_seen_on_every_member_after_sync(client, cluster):
    client.create("/conformance/s", b"synced")
    for member in cluster.members:
        reader = KazooClient(hosts=member["zookeeper"])
        reader.start()
        reader.sync("/conformance/s")
        assert reader.get("/conformance/s")[0] == b"synced"
        reader.stop()
        reader.close()


def test_zkcli_lists_and_creates(cluster):
    def run(*command):
        result = subprocess.run(
            [str(ROOT / "bench/peers/zookeeper/zookeeper"), "cli", "-server", cluster.zookeeper, *command],
            capture_output=True,
            text=True,
            timeout=60,
        )
        return result.stdout + result.stderr

    assert "Created /from-zkcli" in run("create", "/from-zkcli", "hello")
    assert "hello" in run("get", "/from-zkcli")
    assert "from-zkcli" in run("ls", "/")
    run("delete", "/from-zkcli")


def test_four_letter_words(cluster):
    for member in cluster.members:
        kazoo = KazooClient(hosts=member["zookeeper"])
        kazoo.start()
        assert kazoo.command(b"ruok") == "imok"
        assert "Mode: " in kazoo.command(b"srvr")
        assert "zk_server_state" in kazoo.command(b"mntr")
        kazoo.stop()
        kazoo.close()
