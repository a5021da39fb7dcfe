"""A running `streamkeeper up`, and what tests do to it: wait, apply, kill, read its events."""

import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STREAMKEEPER = os.environ.get("STREAMKEEPER", str(ROOT / "target/release/streamkeeper"))


def resident(pid):
    """Bytes of a process in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


class Cluster:
    """One `up` process with its agents, on ports of its own choice."""

    def __init__(self, manifest=ROOT / "examples/quickstart.yaml", data=None):
        self.manifest = Path(manifest)
        self._temporary = None
        if data is None:
            data = self._temporary = tempfile.mkdtemp(prefix="streamkeeper-test-")
        self.data = Path(data)
        self.events = []
        self._queue = queue.Queue()
        self.process = None
        self.members = []
        # What `up` is started with: a namespace of its own, say.
        self.prefix = []

    def start(self, timeout=60):
        command = [*self.prefix, STREAMKEEPER, "up", "-f", str(self.manifest), "--data", str(self.data), "--any-port", "-o", "json"]
        self.errors = open(self.data / "up.stderr", "ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()
        try:
            ready = self.wait_event("ready", timeout)
        except BaseException:
            self.close()
            raise
        self.members = ready["members"]
        return self

    def _read(self, stream):
        for line in stream:
            event = json.loads(line)
            self.events.append(event)
            self._queue.put(event)

    def wait_event(self, name, timeout=60):
        """The next event of that name; events before it are passed over."""
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            assert left > 0, f"no {name!r} event within {timeout} s; stderr: {self.stderr()}; events: {self.events[-5:]}"
            try:
                event = self._queue.get(timeout=min(left, 0.5))
            except queue.Empty:
                assert self.process.poll() is None, f"up ended with {self.process.returncode}: {self.stderr()}"
                continue
            if event["event"] == "member-started":
                for member in self.members:
                    if member["id"] == event.get("id"):
                        member["pid"] = event.get("pid", member["pid"])
            if event["event"] == name:
                return event

    def stderr(self):
        path = self.data / "up.stderr"
        return path.read_text()[-2000:] if path.exists() else ""

    @property
    def kafka(self):
        return ",".join(member["kafka"] for member in self.members)

    @property
    def zookeeper(self):
        return ",".join(member["zookeeper"] for member in self.members)

    def cli(self, *arguments, check=True, timeout=120):
        result = subprocess.run(
            [STREAMKEEPER, *arguments, "--data", str(self.data)], capture_output=True, text=True, timeout=timeout
        )
        if check:
            assert result.returncode == 0, f"{arguments}: {result.returncode}: {result.stdout}{result.stderr}"
        return result

    def pid(self, member):
        """The process id of a member now: `up` starts a dead member again under a new one."""
        return json.loads((self.data / "processes.json").read_text())[str(member)]["pid"]

    def kill(self, member, how=signal.SIGKILL):
        os.kill(self.pid(member), how)

    def stop(self, timeout=30):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout)
        if self.process:
            self.errors.close()

    def close(self):
        try:
            self.stop()
        finally:
            if self.process and self.process.poll() is None:
                self.process.kill()
            # With KEEP it stays, to be looked at after a failure.
            if self._temporary and not os.environ.get("KEEP"):
                shutil.rmtree(self._temporary)
