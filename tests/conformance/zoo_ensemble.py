"""An ensemble from zoo.cfg files, started by the launcher contract: `LAUNCHER start-foreground ZOO_CFG`."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from cluster import ROOT, STREAMKEEPER

LAUNCHER = ROOT / "tests/conformance/zookeeper-launcher"


def free_ports(count):
    """Ports that are free now; all are held until the last is found, so that none comes twice."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for held in sockets:
            held.bind(("127.0.0.1", 0))
        return [held.getsockname()[1] for held in sockets]
    finally:
        for held in sockets:
            held.close()


def four(port, word):
    """The answer to a 4-letter word; None when nothing listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
            connection.sendall(word.encode())
            answer = b""
            while piece := connection.recv(4096):
                answer += piece
            return answer.decode()
    except OSError:
        return None


class Server:
    """One server with its directory: zoo.cfg, dataDir, log."""

    def __init__(self, root, number, role="participant"):
        self.number = number
        self.role = role
        self.directory = Path(root) / str(number)
        self.data = self.directory / "data"
        self.data.mkdir(parents=True)
        (self.data / "myid").write_text(f"{number}\n")
        self.process = None
        self.client, self.quorum, self.election = free_ports(3)

    @property
    def cfg(self):
        return self.directory / "zoo.cfg"

    @property
    def line(self):
        return f"server.{self.number}=localhost:{self.quorum}:{self.election}:{self.role}"

    @property
    def address(self):
        return f"127.0.0.1:{self.client}"

    def output(self):
        return (self.directory / "out").read_text()[-3000:]

    def start(self, flags=""):
        environment = dict(os.environ, STREAMKEEPER=STREAMKEEPER, SERVER_JVMFLAGS=flags)
        with open(self.directory / "out", "ab") as out:
            self.process = subprocess.Popen(
                [str(LAUNCHER), "start-foreground", str(self.cfg)], stdout=out, stderr=out, env=environment
            )

    def kill(self, how=signal.SIGKILL):
        """Ends the process; its exit status, and how long that took."""
        started = time.monotonic()
        self.process.send_signal(how)
        return self.process.wait(timeout=15), time.monotonic() - started

    def mode(self):
        answer = four(self.client, "srvr") or ""
        return next((line.removeprefix("Mode: ") for line in answer.splitlines() if line.startswith("Mode: ")), None)


class ZooEnsemble:
    """Servers of one zoo.cfg ensemble."""

    def __init__(self, size=3, flags=""):
        self._root = tempfile.TemporaryDirectory(prefix="streamkeeper-zoo-")
        self.flags = flags
        self.extra = ["4lw.commands.whitelist=*"]
        self.servers = [Server(self._root.name, number + 1) for number in range(size)]

    def add(self, number, role="participant"):
        server = Server(self._root.name, number, role)
        self.servers.append(server)
        return server

    def write(self, tick=1000):
        lines = [server.line for server in self.servers]
        for server in self.servers:
            settings = [f"tickTime={tick}", "initLimit=10", "syncLimit=5", f"dataDir={server.data}"]
            settings += [f"clientPort={server.client}", "clientPortAddress=127.0.0.1"]
            server.cfg.write_text("\n".join(settings + self.extra + lines) + "\n")
        return self

    def start(self):
        for server in self.servers:
            server.start(self.flags)
        return self.wait()

    def wait(self, timeout=30):
        deadline = time.monotonic() + timeout
        for server in self.servers:
            while server.mode() is None:
                assert server.process.poll() is None, f"server {server.number} ended: {server.output()}"
                assert time.monotonic() < deadline, f"server {server.number} does not serve: {server.output()}"
                time.sleep(0.05)
        return self

    @property
    def hosts(self):
        return ",".join(server.address for server in self.servers)

    def leader(self, timeout=30):
        """The server that leads; there may be a moment without one."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for server in self.servers:
                if server.mode() == "leader":
                    return server
            time.sleep(0.05)
        raise AssertionError("no server leads")

    def close(self):
        for server in self.servers:
            if server.process and server.process.poll() is None:
                server.process.kill()
                server.process.wait()
        self._root.cleanup()
