"""Starts and stops what is measured: our agents, and the real Apache Kafka and ZooKeeper of bench/peers."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
MANIFEST = """apiVersion: streamkeeper.dev/v1alpha1
kind: Ensemble
metadata: {name: bench}
spec: {replicas: 3}
"""


def free_base(offsets, first):
    """The first base from `first` on at which all ports base+offset can be bound."""
    for base in range(first, 32000, 17):
        try:
            for offset in offsets:
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", base + offset))
            return base
        except OSError:
            continue
    raise SystemExit("bench: no free ports below 32000")


def word(address, command):
    """The answer of a ZooKeeper 4-letter word; empty if the member does not answer."""
    host, port = address.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=2) as s:
            s.sendall(command)
            answer = b""
            while piece := s.recv(65536):
                answer += piece
            return answer.decode(errors="replace")
    except OSError:
        return ""


def leader_index(addresses):
    """Which of the addresses is the quorum's leader."""
    for _ in range(100):
        for index, address in enumerate(addresses):
            if "Mode: leader" in word(address, b"srvr"):
                return index
        time.sleep(0.1)
    raise RuntimeError("no member of the ensemble says that it leads")


class Ours:
    """Three agents under `streamkeeper up`."""
    name = "ours"

    def __init__(self, base, target):
        self.data, self.binary = base / "ours", target / "release" / "streamkeeper"
        self.process = None

    def start(self):
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(parents=True)
        manifest = self.data / "bench.yaml"
        manifest.write_text(MANIFEST)
        command = [self.binary, "up", "-f", manifest, "--data", self.data / "data", "--any-port", "-o", "json"]
        self.events = open(self.data / "events", "w+")
        self.process = subprocess.Popen(command, stdout=self.events, stderr=open(self.data / "errors", "w"),
                                        stdin=subprocess.DEVNULL)
        self._await_ready()

    def _await_ready(self):
        for _ in range(600):
            for line in (self.data / "events").read_text().splitlines():
                event = json.loads(line)
                if event["event"] == "ready":
                    self.members = event["members"]
                    return
            if self.process.poll() is not None:
                raise RuntimeError(f"`up` ended; see {self.data}/errors")
            time.sleep(0.05)
        raise RuntimeError(f"the agents are not ready after 30 s; see {self.data}/errors")

    @property
    def kafka(self):
        return [m["kafka"] for m in self.members]

    @property
    def zookeeper(self):
        return [m["zookeeper"] for m in self.members]

    def pids(self):
        return [m["pid"] for m in self.members]

    def kill(self, index):
        """kill -9 of one agent; `up` starts it again."""
        os.kill(self.members[index]["pid"], signal.SIGKILL)

    def recover(self, index):
        """Waits for the process that replaces the killed one, and until it serves."""
        member = self.members[index]
        for _ in range(300):
            for line in (self.data / "events").read_text().splitlines():
                event = json.loads(line)
                if event["event"] == "member-started" and event["id"] == member["id"]:
                    member["pid"] = event["pid"]
            if "Mode:" in word(member["zookeeper"], b"srvr"):
                return
            time.sleep(0.1)
        raise RuntimeError("the killed agent does not serve again after 30 s")

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        shutil.rmtree(self.data, ignore_errors=True)


class Peer:
    """A real server by its script."""

    def __init__(self, script, environment):
        self.script, self.environment = script, os.environ | environment

    def run(self, *arguments, check=True):
        done = subprocess.run([self.script, *arguments], env=self.environment, check=check, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL)
        return done.stdout.strip()

    def pids(self):
        return [int(self.run("pid", str(n))) for n in (1, 2, 3)]

    def kill(self, index):
        self.run("kill", str(index + 1))


class Kafka(Peer):
    """Three nodes of Apache Kafka."""
    name = "Kafka"

    def __init__(self, base):
        port = free_base([0, 1, 2, 100, 101, 102], 19092)
        super().__init__(HERE / "peers/kafka/kafka", {"KAFKA_PEER_STATE": str(base / "kafka"), "KAFKA_PEER_PORT": str(port)})
        self.kafka = [f"127.0.0.1:{port + n}" for n in range(3)]

    def start(self):
        self.stop()
        self.run("up", "--nodes", "3")

    def recover(self, index):
        self.run("start", str(index + 1))
        time.sleep(5)

    def stop(self):
        self.run("down", "--wipe", check=False)


class ZooKeeper(Peer):
    """Three members of Apache ZooKeeper."""
    name = "ZooKeeper"

    def __init__(self, base):
        port = free_base([o + n for o in (0, 100, 200, 300, 400) for n in (1, 2, 3)], 21810)
        super().__init__(HERE / "peers/zookeeper/zookeeper",
                         {"ZK_RUN": str(base / "zookeeper"), "ZK_PORT_BASE": str(port), "ZK_LOG_LEVEL": "WARN"})
        (base / "zookeeper").mkdir(parents=True, exist_ok=True)
        self.zookeeper = [f"127.0.0.1:{port + n}" for n in (1, 2, 3)]

    def start(self):
        self.stop()
        self.run("up", "--nodes", "3")

    def recover(self, index):
        self.run("start", str(index + 1))
        self.run("wait", "30", "1", "2", "3")

    def stop(self):
        self.run("down", check=False)
