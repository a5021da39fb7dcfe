"""Load on an ensemble from a pod in its cluster, and what it tells at the end: the verdict, and latencies by phase.

Read first: `Load`. The program in the pod is clients/under_load.py.
"""

import json
import time
from collections import Counter

from images import CLIENTS_COMMAND
from kubernetes import eventually


class Load:
    """Producers, a consumer and writers of znodes, from `start` to `finish`; phases have names of the test's choice."""

    def __init__(self, namespace, ensemble="main", topic="orders", partitions=6):
        self.namespace, self.ensemble, self.topic, self.partitions = namespace, ensemble, topic, partitions
        self.marks = []
        self.verdict = None

    def start(self, node=None):
        services = [f"--kafka={self.ensemble}-kafka:9092", f"--zookeeper={self.ensemble}-zookeeper:2181"]
        what = [f"--topic={self.topic}", f"--partitions={self.partitions}", "--group=under-load"]
        self.namespace.client("load", "under-load", *services, *what, node=node)
        eventually("the load begins", 90, lambda: any(line["event"] == "begun" for line in self.lines()) or self.fail_if_over())
        return self

    def lines(self):
        """What the pod printed, of its own lines only: librdkafka writes to the log, too."""
        printed = self.namespace.kubectl("logs", "load").splitlines()
        return [json.loads(line) for line in printed if line.startswith('{"event"')]

    def fail_if_over(self):
        if self.namespace.phase("load") == "Failed":
            raise RuntimeError("the load ended by itself:\n" + self.namespace.kubectl("logs", "load"))
        return False

    def phase(self, name, seconds=0):
        """From now on it is the phase of that name; nothing else happens for so long."""
        self.marks.append((time.time(), name))
        time.sleep(seconds)

    def finish(self):
        """Ends the load and raises what is wrong with what it saw; gives the verdict."""
        self.marks.append((time.time(), None))
        self.fail_if_over()
        self.namespace.kubectl("exec", "load", "--", *CLIENTS_COMMAND, "stop")
        eventually("the load ends", 300, lambda: self.namespace.phase("load") in ("Succeeded", "Failed"))
        self.verdict = self.lines()[-1]
        assert "error" not in self.verdict, self.verdict["error"]
        assert self.verdict["acknowledged"] > 1000, self.verdict["acknowledged"]
        return self.verdict

    def silence(self, name):
        """The longest time in seconds between two acknowledgements of a partition that touches a phase."""
        begin, end = self.interval(name)
        return max([b - a for a, b in self.verdict["silences"] if a < end and b > begin], default=0)

    def interval(self, name):
        position = next(index for index, (_, phase) in enumerate(self.marks) if phase == name)
        return self.marks[position][0], self.marks[position + 1][0]

    def figures(self):
        """One line per phase."""
        lines = [f"{self.verdict['acknowledged']} records acknowledged, 0 lost, {self.verdict['znodes']} znode writes, 0 lost"]
        for _, name in self.marks[:-1]:
            begin, end = self.interval(name)
            counts = Counter()
            for second, latencies in self.verdict["latencies"].items():
                if begin <= int(second) < end:
                    counts.update({float(latency): count for latency, count in latencies.items()})
            at = {share: quantile(counts, share) for share in (0.5, 0.99)}
            lines.append(
                f"  {name:<16}{end - begin:6.1f} s  {sum(counts.values()):>7} records  p50 {at[0.5]:.1f} ms  p99 {at[0.99]:.1f} ms"
                f"  longest silence {self.silence(name):.2f} s"
            )
        return lines


def quantile(counts, share):
    left = share * sum(counts.values())
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    return float("nan")
