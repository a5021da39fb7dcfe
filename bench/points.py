"""What is measured, and which ratio is the goal (ours to the peer's).

A goal is (figure, at least or at most, ratio). Figures are paths into the load generator's JSON object.
"""

from dataclasses import dataclass, field

RATE = "operations_per_second"
MB = "mb_per_second"
P50, P99, P999 = "p50_ms", "p99_ms", "p999_ms"
CPU_GB, CPU_OPS = "servers.cpu_seconds_per_gb", "servers.cpu_seconds_per_100k"
WRITTEN, RSS = "servers.written_bytes_per_byte", "servers.resident_mb"

TITLES = {
    RATE: "ops/s", MB: "MB/s", P50: "p50 ms", P99: "p99 ms", P999: "p99.9 ms",
    CPU_GB: "CPU s/GB", CPU_OPS: "CPU s/100k", WRITTEN: "written/byte", RSS: "RSS MB",
    "cpu_percent": "CPU % of a core", "rss_mb": "RSS MB", "gap_ms": "gap ms",
}
# Figures of which less is better: a ratio below 1 is then ours being better.
LESS = {P50, P99, P999, CPU_GB, CPU_OPS, WRITTEN, RSS, "cpu_percent", "rss_mb", "gap_ms"}


@dataclass
class Point:
    """One run of the load generator: its name, its arguments, what of it is shown, what is wanted."""
    name: str
    load: str
    arguments: list[str]
    shown: list[str]
    goals: dict[str, float] = field(default_factory=dict)
    # Kafka is run twice: with an fsync per batch, and without.
    both_flushes: bool = False
    # Points with the same one use the same topic.
    topic: str = ""
    # Seconds of this load that a peer gets after its start, before anything is measured.
    warm_up: int = 1


def produce(name, topic, warm_up, partitions, arguments, goals, shown=(MB, P50, P99, CPU_GB, WRITTEN, RSS)):
    arguments = ["--partitions", str(partitions), *arguments]
    return Point(name, "produce", arguments, list(shown), goals, both_flushes=True, topic=topic, warm_up=warm_up)


KAFKA = [
    produce("produce, 64 partitions, 1 KiB records, 16 KiB batches", "large", 25, 64,
            ["--batch-records", "16", "--request-batches", "8"], {MB: 4.0, CPU_GB: 0.2, WRITTEN: 2.2}),
    produce("produce, 64 partitions, 1 KiB records, one per batch", "single", 10, 64,
            ["--batch-records", "1", "--request-batches", "8"], {MB: 4.0, CPU_GB: 0.2}),
    produce("produce, 64 partitions, 100 B records, 5 kB batches", "short", 8, 64,
            ["--batch-records", "50", "--request-batches", "8", "--record-bytes", "100"], {MB: 4.0, CPU_GB: 0.2}),
    produce("produce, 1 partition, 1 KiB records, 64 KiB batches", "one", 5, 1,
            ["--batch-records", "64", "--request-batches", "1"], {MB: 4.0, CPU_GB: 0.2, WRITTEN: 1.1}),
    produce("open loop, 1,000/s of 1 KiB, 64 partitions", "single", 3, 64, ["--rate", "1000"], {P99: 0.25},
            shown=(P50, P99, P999, CPU_OPS)),
    Point("consume, 1 KiB records, 64 partitions, warm", "consume", [], [MB, CPU_GB], {MB: 1.0, CPU_GB: 0.7},
          topic="large", warm_up=3),
]


def znodes(name, arguments, goals, shown=(RATE, P50, P99, CPU_OPS, RSS)):
    return Point(name, "znodes", arguments, list(shown), goals)


ZOOKEEPER = [
    znodes("create 128 B, 1 session", ["create", "--sessions", "1"], {RATE: 1.1, CPU_OPS: 0.3}),
    znodes("create 128 B, 16 sessions", ["create", "--sessions", "16"], {RATE: 2.0, CPU_OPS: 0.3}),
    znodes("create 128 B, 64 sessions", ["create", "--sessions", "64"], {RATE: 3.0, CPU_OPS: 0.3}),
    znodes("set 128 B, 64 sessions", ["set", "--sessions", "64"], {RATE: 3.0, CPU_OPS: 0.3}),
    znodes("set 1 KiB, 256 sessions", ["set", "--sessions", "256", "--data-bytes", "1024"], {RATE: 3.0, CPU_OPS: 0.3}),
    znodes("set 128 B, 64 sessions, 16 under way each", ["set", "--sessions", "64", "--depth", "16"], {RATE: 3.0}),
    znodes("get 128 B, 64 sessions", ["get", "--sessions", "64"], {RATE: 2.0}),
    znodes("90 % get, 10 % set, 1 KiB, 64 sessions", ["mix", "--sessions", "64", "--data-bytes", "1024"], {RATE: 2.0},
           shown=(RATE, CPU_OPS)),
    znodes("open loop, 1,000/s set of 128 B, 64 sessions", ["set", "--sessions", "64", "--rate", "1000"], {P99: 0.25},
           shown=(P50, P99, P999, CPU_OPS)),
]
