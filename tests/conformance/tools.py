"""Apache Kafka's own tools, many in one JVM."""

import struct
import subprocess
import threading
from dataclasses import dataclass

from cluster import ROOT

KAFKA = str(ROOT / "bench/peers/kafka/kafka")


@dataclass
class Ran:
    """What a tool gave."""

    status: int
    out: str
    err: str


class Tools:
    """A JVM that runs one tool after the other (bench/peers/kafka/Batch.java)."""

    def __init__(self):
        self.jvm = subprocess.Popen(
            [KAFKA, "batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.classes = {}

    def run(self, tool, *arguments, stdin="", timeout=60):
        if tool not in self.classes:
            named = subprocess.run([KAFKA, "class", tool], capture_output=True, text=True, check=True)
            self.classes[tool] = named.stdout.strip()
        words = [self.classes[tool], *map(str, arguments)]
        packed = struct.pack(">i", len(words)) + b"".join(text(word) for word in [*words, stdin])
        # A tool that hangs is an answer too: the JVM goes, and reading from it fails.
        watchdog = threading.Timer(timeout, self.jvm.kill)
        watchdog.start()
        try:
            self.jvm.stdin.write(packed)
            self.jvm.stdin.flush()
            status = self.number()
            return Ran(status, self.text(), self.text())
        except (struct.error, BrokenPipeError) as error:
            raise AssertionError(f"{tool} {arguments}: no answer within {timeout} s") from error
        finally:
            watchdog.cancel()

    def number(self):
        return struct.unpack(">i", self.jvm.stdout.read(4))[0]

    def text(self):
        return self.jvm.stdout.read(self.number()).decode()

    def close(self):
        self.jvm.stdin.close()
        self.jvm.stdout.close()
        self.jvm.wait(10)


def text(value):
    encoded = value.encode()
    return struct.pack(">i", len(encoded)) + encoded
