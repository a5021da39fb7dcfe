"""`streamkeeper agent --zoo-cfg`: ensembles from unmodified zoo.cfg files, with kazoo and zkCli, through kills and changed files."""

import signal
import subprocess
import time

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionLoss, NoAuthError, OperationTimeoutError, SessionExpiredError
from kazoo.security import make_acl

from cluster import ROOT, STREAMKEEPER
from zoo_ensemble import Server, ZooEnsemble, four, free_ports

SUPER = "-Dzookeeper.DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU="


@pytest.fixture
def ensemble():
    running = ZooEnsemble(flags=SUPER)
    running.extra.append("reconfigEnabled=true")
    running.write().start()
    yield running
    running.close()


def client_of(hosts, **options):
    client = KazooClient(hosts=hosts, timeout=8, **options)
    client.start(timeout=20)
    return client


def done(client):
    client.stop()
    client.close()


def zkcli(hosts, *command):
    result = subprocess.run(
        [str(ROOT / "bench/peers/zookeeper/zookeeper"), "cli", "-server", hosts, *command],
        capture_output=True,
        text=True,
        timeout=90,
    )
    return result.stdout + result.stderr


def test_stock_clients_create_and_read(ensemble):
    client = client_of(ensemble.hosts)
    client.create("/kazoo", b"one")
    done(client)
    assert "one" in zkcli(ensemble.hosts, "get", "/kazoo")
    assert "Created /container" in zkcli(ensemble.hosts, "create", "-c", "/container")
    config = zkcli(ensemble.hosts, "config")
    for server in ensemble.servers:
        assert server.line in config, config
    assert "version=" in config


def test_what_was_acknowledged_survives_kill_9_of_the_leader(ensemble):
    client = client_of(ensemble.hosts)
    client.create("/written")
    acknowledged = []
    for round_number in range(3):
        for number in range(20):
            acknowledged.append(client.create(f"/written/{round_number}-{number}", b"x"))
        leader = ensemble.leader()
        leader.kill()
        deadline = time.monotonic() + 30
        while True:
            try:
                acknowledged.append(client.create(f"/written/{round_number}-after", b"x"))
                break
            except (ConnectionLoss, SessionExpiredError, OperationTimeoutError):
                assert time.monotonic() < deadline, "no write is taken after the leader died"
        leader.start(ensemble.flags)
        ensemble.wait()
    client.sync("/written")
    assert set(acknowledged) <= {f"/written/{name}" for name in client.get_children("/written")}
    done(client)


def test_a_changed_file_is_taken_up_on_the_same_data(ensemble):
    client = client_of(ensemble.hosts)
    client.create("/before", b"kept")
    done(client)
    for server in ensemble.servers:
        server.kill()
    for server in ensemble.servers:
        server.client, server.quorum, server.election = free_ports(3)
    ensemble.extra.append("maxClientCnxns=7")
    ensemble.write(tick=500).start()
    client = client_of(ensemble.hosts)
    assert client.get("/before")[0] == b"kept"
    client.create("/after", b"")
    done(client)


def test_sigterm_ends_a_server_within_10_seconds(ensemble):
    leader = ensemble.leader()
    followers = [server for server in ensemble.servers if server is not leader]
    for server in [followers[0], leader]:
        status, seconds = server.kill(signal.SIGTERM)
        assert status == 0 and seconds < 10, f"{status} after {seconds:.1f} s: {server.output()}"


def test_a_client_changes_the_ensemble_by_reconfig(ensemble):
    client = client_of(ensemble.hosts)
    joining = Server(ensemble.servers[0].directory.parent, 4)
    line = f"{joining.line};127.0.0.1:{joining.client}"
    with pytest.raises(NoAuthError):
        client.reconfig(joining=line, leaving=None, new_members=None)
    ensemble.servers.append(joining)
    ensemble.write()
    joining.start(ensemble.flags)
    client.add_auth("digest", "super:test")
    data, _ = client.reconfig(joining=line, leaving=None, new_members=None)
    assert line.encode() in data
    client.create("/joined", b"seen")
    ensemble.wait()
    other = client_of(joining.address)
    other.sync("/joined")
    assert other.get("/joined")[0] == b"seen"
    assert other.get("/zookeeper/config")[0] == data
    done(other)
    data, _ = client.reconfig(joining=None, leaving="4", new_members=None)
    assert line.encode() not in data
    done(client)


def test_an_observer_serves_and_does_not_vote():
    ensemble = ZooEnsemble(size=2)
    observer = ensemble.add(3, role="observer")
    try:
        ensemble.write().start()
        assert observer.mode() == "observer"
        client = client_of(observer.address)
        client.create("/through-the-observer", b"")
        done(client)
        follower = next(server for server in ensemble.servers if server.mode() == "follower")
        follower.kill()
        deadline = time.monotonic() + 20
        while observer.mode() is not None:
            assert time.monotonic() < deadline, "one of two voters and an observer are no quorum"
            time.sleep(0.1)
    finally:
        ensemble.close()


def test_a_standalone_server_keeps_its_nodes(tmp_path):
    server = Server(tmp_path, 1)
    (server.data / "myid").unlink()
    server.cfg.write_text(f"dataDir={server.data}\nclientPort={server.client}\ntickTime=500\n4lw.commands.whitelist=ruok, srvr\n")
    ensemble = ZooEnsemble(size=0)
    ensemble.servers = [server]
    try:
        ensemble.start()
        assert (server.mode(), four(server.client, "ruok")) == ("standalone", "imok")
        assert "not in the whitelist" in four(server.client, "mntr")
        client = client_of(server.address)
        acl = make_acl("ip", "127.0.0.1", all=True)
        client.create("/kept", b"1", acl=[acl])
        done(client)
        server.kill()
        ensemble.start()
        client = client_of(server.address)
        assert client.get("/kept")[0] == b"1"
        assert client.get_acls("/kept")[0] == [acl]
        done(client)
    finally:
        ensemble.close()


@pytest.mark.parametrize(
    "change, reason",
    [
        (["tickTime=soon"], "tickTime=soon is not a number"),
        (["sslQuorum=true"], "sslQuorum=true is not served"),
        (["server.1=localhost:1"], "server.1: "),
        (["server.2=localhost:1:2"], "there is no server.1"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(tmp_path, change, reason):
    server = Server(tmp_path, 1)
    lines = [f"dataDir={server.data}", f"clientPort={server.client}", "initLimit=5", "syncLimit=2"]
    server.cfg.write_text("\n".join(lines + change) + "\n")
    result = subprocess.run(
        [STREAMKEEPER, "agent", "--zoo-cfg", str(server.cfg)], capture_output=True, text=True, timeout=30
    )
    assert result.returncode == 2, result.stderr
    assert reason in result.stderr, result.stderr
    assert "zoo.cfg" in result.stderr
    assert not (server.data / "streamkeeper").exists(), "nothing was changed"


def test_apache_zookeepers_own_data_is_not_passed_over(tmp_path):
    server = Server(tmp_path, 1)
    (server.data / "version-2").mkdir()
    (server.data / "version-2/snapshot.0").write_bytes(b"ZKSN")
    server.cfg.write_text(f"dataDir={server.data}\nclientPort={server.client}\n")
    result = subprocess.run(
        [STREAMKEEPER, "agent", "--zoo-cfg", str(server.cfg)], capture_output=True, text=True, timeout=30
    )
    assert result.returncode == 1
    assert "version-2: Apache ZooKeeper's data" in result.stderr
