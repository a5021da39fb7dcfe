"""Data directories that a member must not use: one clear sentence with the next step, an exit code, and nothing changed."""

import json
import socket
import subprocess
import time

import pytest

from cluster import STREAMKEEPER, Cluster


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    [one.close() for one in sockets]
    return ports


class Member:
    """The only member of an ensemble, laid out by a first `up`, run here as `streamkeeper agent`."""

    def __init__(self, root, tmp_path):
        manifest = tmp_path / "one.yaml"
        manifest.write_text(
            "apiVersion: streamkeeper.dev/v1alpha1\nkind: Ensemble\nmetadata: {name: one}\nspec: {replicas: 1}\n"
        )
        root.mkdir()
        first = Cluster(manifest=manifest, data=root).start()
        first.stop()
        self.config = json.loads((root / "member-0" / "agent.yaml").read_text())
        self.path = tmp_path / "agent.json"
        self.data = root / "member-0" / "data"
        self.tmp_path = tmp_path

    def write(self, **changes):
        names = ["peerPort", "zookeeperPort", "kafkaPort", "grpcPort", "httpPort"]
        own = {**self.config["members"][0], **dict(zip(names, free_ports(len(names))))}
        config = {**self.config, "members": [own], "logFile": None, **changes}
        self.path.write_text(json.dumps(config))
        return own

    def command(self):
        return [STREAMKEEPER, "agent", "--config", str(self.path)]

    def refused(self, prefix=(), **changes):
        """The one sentence with which it does not start."""
        self.write(**changes)
        result = subprocess.run([*prefix, *self.command()], capture_output=True, text=True, timeout=30)
        assert result.returncode == 1, (result.returncode, result.stderr)
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        assert len(lines) == 1 and lines[0].startswith("streamkeeper: "), result.stderr
        return lines[0]

    def files(self):
        return {path: path.read_bytes() for path in sorted(self.data.rglob("*")) if path.is_file() and path.name != "lock"}


@pytest.fixture
def member(tmp_path):
    return Member(tmp_path / "root", tmp_path)


def test_a_second_process_on_one_directory_is_refused(member):
    own = member.write()
    with subprocess.Popen(member.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        try:
            deadline = time.monotonic() + 20
            while True:
                try:
                    socket.create_connection(("127.0.0.1", own["kafkaPort"]), 1).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline and first.poll() is None
                    time.sleep(0.05)
            # On other ports: nothing but the directory tells the two apart.
            sentence = member.refused()
            assert "another process works on this data directory; stop it, or use another directory" in sentence
            assert str(member.data) in sentence and first.poll() is None
        finally:
            first.terminate()
    with subprocess.Popen(member.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as again:
        time.sleep(2)
        assert again.poll() is None, "the end of the first process lets the directory go"
        again.terminate()


def test_a_second_up_on_one_directory_is_refused(cluster):
    before = (cluster.data / "ensemble.json").read_bytes()
    result = subprocess.run(
        [STREAMKEEPER, "up", "--any-port", "--data", str(cluster.data)], capture_output=True, text=True, timeout=30
    )
    assert result.returncode == 1
    assert "another `streamkeeper up` runs on this data directory; stop it, or use another --data" in result.stderr
    assert len(result.stderr.splitlines()) == 1 and (cluster.data / "ensemble.json").read_bytes() == before
    assert cluster.process.poll() is None


def test_a_directory_that_cannot_be_written_is_refused(member):
    mount = 'mount -t tmpfs none "$0" && mount -o remount,ro "$0" && exec "$@"'
    prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(member.data)]
    sentence = member.refused(prefix)
    assert "the data directory cannot be written; make it writable, or use another" in sentence
    (member.tmp_path / "file").write_text("")
    sentence = member.refused(dataDir=str(member.tmp_path / "file" / "below"))
    assert "the data directory cannot be written; make it writable, or use another" in sentence


def test_disks_of_others_are_refused_and_left_alone(member):
    before = member.files()
    sentence = member.refused(clusterId="f" * 32)
    assert "belongs to cluster" in sentence and "use another" in sentence
    moved = {**member.config["members"][0], "id": 7}
    names = ["peerPort", "zookeeperPort", "kafkaPort", "grpcPort", "httpPort"]
    moved.update(zip(names, free_ports(len(names))))
    sentence = member.refused(memberId=7, bootstrapVoters=[7], members=[moved])
    assert "belongs to member 0, this is member 7" in sentence and "use another" in sentence
    assert member.files() == before, "nothing is changed"


def test_a_damaged_or_unknown_superblock_is_refused_and_left_alone(member):
    meta = member.data / "meta"
    good = meta.read_bytes()
    meta.write_bytes(bytes(len(good)))
    before = member.files()
    sentence = member.refused()
    assert "both copies are damaged; restore the file, or remove the data directory" in sentence
    assert member.files() == before, "nothing is changed"
    meta.write_bytes(good)
