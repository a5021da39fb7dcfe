"""What Apache Kafka's tools print, step by step, so that it can be compared between Apache Kafka and us.

A scenario is a function that takes a `Recorder` and runs tools in a fixed order on a fresh cluster of three members. What it
records is text with only that taken out which must differ between any two clusters: ids, ports, times, placement by chance.
"""

import re
import sys
import time
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove

import batches
import wire
from tools import Tools

GOLDEN = Path(__file__).parent / "golden"


@dataclass
class Target:
    """A cluster of three: its members' Kafka addresses, their ids, and where a partition's first segment lies on the first."""

    addresses: list
    ids: list
    segment: object

    @property
    def bootstrap(self):
        return self.addresses[0]


class Recorder:
    """Runs tools against a target and keeps what they printed."""

    def __init__(self, target, tools):
        self.target, self.tools, self.steps = target, tools, []

    def run(self, tool, *arguments, clean=lambda lines: lines, server="--bootstrap-server"):
        """Runs a tool. `{0}` to `{2}` in an argument stand for the members' ids."""
        filled = [re.sub(r"\{(\d)\}", lambda m: str(self.target.ids[int(m[1])]), str(a)) for a in arguments]
        ran = self.tools.run(tool, *filled, *([server, self.target.bootstrap] if server else []))
        lines = [*said(ran.out), *complained(ran.err)]
        lines = [line.rstrip() for line in clean([self.normalise(line) for line in lines])]
        text = "\n".join(lines)
        shown = re.sub(r"/\S*/", "", " ".join(map(str, arguments)))
        self.steps.append((f"kafka-{tool} {shown}", f"{text}\nexit {ran.status}".lstrip("\n")))
        return ran

    def normalise(self, line):
        for number, address in enumerate(self.target.addresses):
            line = line.replace(address, f"member{number}:kafka")
        member = {str(id): f"n{number}" for number, id in enumerate(self.target.ids)}

        def named(match):
            return match[1] + re.sub(r"\d+", lambda m: member.get(m[0], m[0]), match[2])

        line = re.sub(r"((?:Leader|Replicas|Isr|Elr|LastKnownElr): )([\d,]+)", named, line)
        line = re.sub(r"(member\d:kafka +\()(\d+\))", named, line)
        line = re.sub(r"(\(id: )(\d+)", named, line)
        line = re.sub(r"(for broker |duplicate entries: |replication factor: \[)(\d+)", named, line)
        line = re.sub(r"TopicId: \S+", "TopicId: ID", line)
        line = re.sub(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UUID", line)
        return line


def said(text):
    return text.strip("\n").split("\n") if text.strip() else []


def complained(text):
    """Of standard error the first line of each complaint: no stack traces, no help, no log."""
    kept = []
    for line in said(text):
        if line.startswith("Option ") or line.startswith("usage:"):
            break
        if line.strip() and not re.match(r"\s+at |\s*\.\.\. |Caused by|\[\d{4}-", line):
            kept.append(f"stderr: {line}")
    return kept


# --- what must differ --------------------------------------------------------------------------------------------------------


def columns(lines):
    """Tables are padded to their widest entry, and addresses have any length."""
    return [re.sub(r" +", " ", line) for line in lines]


def rows(lines):
    """A table whose rows come in any order."""
    head, *rest = columns(lines) or [""]
    return [head, *sorted(rest)]


def placed_by_chance(lines):
    """Where replicas are put is the cluster's own choice: that there are as many, led by the first, is not."""
    result = []
    for line in lines:
        found = re.search(r"Leader: (\S+)\tReplicas: (\S+)\tIsr: (\S+)", line)
        if found:
            leader, replicas, isr = found[1], found[2].split(","), found[3].split(",")
            assert leader == replicas[0] and sorted(isr) == sorted(replicas), line
            line = line.replace(found[0], f"Leader: the first\tReplicas: {len(replicas)}\tIsr: all of them")
        result.append(line)
    return result


# --- scenarios ---------------------------------------------------------------------------------------------------------------


def topics(r):
    create, describe = ("--create", "--topic"), ("--describe", "--topic")
    r.run("topics", *create, "made", "--partitions", 3, "--replication-factor", 3)
    r.run("topics", *create, "by-default")
    set_isr = ("--config", "min.insync.replicas=2")  # Our default for two replicas is 1.
    r.run("topics", *create, "placed", "--replica-assignment", "{0}:{1},{1}:{2},{2}:{0}", *set_isr)
    r.run("topics", *create, "with.configs", "--config", "retention.ms=60000", "--config", "cleanup.policy=compact,delete")
    settle(r, "placed", 3)
    r.run("topics", "--list")
    r.run("topics", "--list", "--exclude-internal", "--topic", "ma.*")
    r.run("topics", *describe, "made", clean=placed_by_chance)
    r.run("topics", *describe, "by-default", clean=placed_by_chance)
    r.run("topics", *describe, "placed")
    r.run("topics", *describe, "with.configs", clean=placed_by_chance)
    r.run("topics", "--describe", clean=placed_by_chance)
    for only in ("--under-replicated-partitions", "--unavailable-partitions", "--under-min-isr-partitions"):
        r.run("topics", "--describe", only)
    r.run("topics", "--describe", "--at-min-isr-partitions")
    r.run("topics", "--describe", "--topics-with-overrides", clean=placed_by_chance)

    # Refused.
    r.run("topics", *create, "made")
    r.run("topics", *create, "made", "--if-not-exists")
    r.run("topics", *create, "big", "--replication-factor", 4)
    r.run("topics", *create, "none", "--replication-factor", 0)
    r.run("topics", *create, "empty", "--partitions", 0)
    r.run("topics", *create, "bad", "--config", "no.such.config=1")
    r.run("topics", *create, "bad", "--config", "retention.ms=soon")
    r.run("topics", *create, "bad", "--config", "retention.ms=-2")
    r.run("topics", *create, "bad", "--config", "cleanup.policy=keep")
    r.run("topics", *create, "bad", "--config", "segment.bytes=1")
    r.run("topics", *create, "bad", "--config", "min.insync.replicas=0")
    r.run("topics", *create, "bad", "--config", "compression.type=rar")
    r.run("topics", *create, "bad", "--config", "message.timestamp.type=Never")
    r.run("topics", *create, "bad", "--config", "min.cleanable.dirty.ratio=2")
    r.run("topics", *create, "bad", "--config", "preallocate=maybe")
    r.run("topics", *create, "two words")
    r.run("topics", *create, "x" * 250)
    r.run("topics", *create, "..")
    r.run("topics", *create, "with_configs")
    r.run("topics", *create, "bad", "--replica-assignment", "{0}:{0}")
    r.run("topics", *create, "bad", "--replica-assignment", "{0}:77")
    r.run("topics", *create, "bad", "--replica-assignment", "{0}:{1},{2}")
    r.run("topics", *describe, "nobody")
    r.run("topics", *describe, "nobody", "--if-exists")
    r.run("topics", "--describe", "--topic-id", "AAAAAAAAAAAAAAAAAAAAAw")
    r.run("topics")
    r.run("topics", "--create")

    # More partitions, never fewer.
    r.run("topics", "--alter", "--topic", "made", "--partitions", 4)
    settle(r, "made", 4)
    r.run("topics", *describe, "made", clean=placed_by_chance)
    r.run("topics", "--alter", "--topic", "made", "--partitions", 2)
    r.run("topics", "--alter", "--topic", "made", "--partitions", 4)
    r.run("topics", "--alter", "--topic", "nobody", "--partitions", 4)
    r.run("topics", "--alter", "--topic", "nobody", "--partitions", 4, "--if-exists")
    assignment = "{0}:{1},{1}:{2},{2}:{0},{1}:{0}"
    r.run("topics", "--alter", "--topic", "placed", "--partitions", 4, "--replica-assignment", assignment)
    settle(r, "placed", 4)
    r.run("topics", *describe, "placed")
    r.run("topics", "--alter", "--topic", "placed", "--partitions", 6, "--replica-assignment", assignment)
    bad = assignment + ",{1}:{1}"
    r.run("topics", "--alter", "--topic", "placed", "--partitions", 5, "--replica-assignment", bad)

    r.run("topics", "--delete", "--topic", "placed")
    r.run("topics", "--delete", "--topic", "nobody")
    r.run("topics", "--delete", "--topic", "nobody", "--if-exists")
    r.run("topics", "--delete", "--topic", "by-.*")
    gone(r, "by-default")
    r.run("topics", "--list")


def settle(r, topic, partitions, timeout=20):
    """Waits until every member says that the first replicas lead: a tool may ask any, and the first to know is not the last."""
    deadline = time.monotonic() + timeout
    while True:
        counts = []
        for address in r.target.addresses:
            known = Producer({"bootstrap.servers": address}).list_topics(topic, timeout=5).topics[topic].partitions
            counts.append(sum(p.leader == p.replicas[0] and len(p.isrs) == len(p.replicas) for p in known.values()))
        if counts == [partitions] * 3:
            return
        assert time.monotonic() < deadline, f"{topic}: {counts} of {partitions} partitions lead"
        time.sleep(0.1)


def gone(r, topic, timeout=20):
    deadline = time.monotonic() + timeout
    while any(topic in Producer({"bootstrap.servers": a}).list_topics(timeout=5).topics for a in r.target.addresses):
        assert time.monotonic() < deadline, f"{topic} is still there"
        time.sleep(0.1)


def configs(r):
    r.run("topics", "--create", "--topic", "plain")
    set_ones = {"retention.ms": 3600000, "cleanup.policy": "compact", "min.insync.replicas": 1, "max.message.bytes": 2000000}
    r.run("topics", "--create", "--topic", "tuned", *[w for k, v in set_ones.items() for w in ("--config", f"{k}={v}")])
    settle(r, "tuned", 1)
    for topic in ("plain", "tuned", "events"):
        r.run("configs", "--describe", "--topic", topic)
        r.run("configs", "--describe", "--topic", topic, "--all")
    r.run("configs", "--describe", "--entity-type", "topics", "--entity-name", "tuned")
    r.run("configs", "--describe", "--topic", "nobody")
    r.run("configs", "--describe", "--topic", "nobody", "--all")
    r.run("configs", "--describe", "--entity-type", "topics", clean=sorted)
    r.run("configs", "--describe", "--broker", "{0}")
    r.run("configs", "--describe", "--broker", "{0}", "--all", clean=brokers_own)
    r.run("configs", "--describe", "--broker", "77")
    r.run("configs", "--describe", "--broker-defaults")
    r.run("configs", "--describe", "--entity-type", "brokers")
    r.run("configs", "--describe")


def brokers_own(lines):
    """A broker's number, place and ports are its own."""
    own = ("advertised.listeners", "listeners", "log.dir", "log.dirs", "controller.quorum.bootstrap.servers")
    lines = [re.sub(r"((?:broker|node)\.id=)\d+", r"\1OWN", line) for line in lines]
    return [re.sub(r"=[^ }]+(?=[ }])", "=OWN", line) if line.strip().split("=")[0] in own else line for line in lines]


def config_types(r):
    """What no tool shows: each config's type, and whether it is secret and explained."""
    for kind, name in ((2, "orders"), (4, str(r.target.ids[0]))):
        of = wire.describe_configs(r.target.bootstrap, kind, name)
        lines = [f"  {c} type={type} sensitive={secret} explained={doc}" for c, type, _, secret, doc in sorted(of)]
        r.steps.append((f"DescribeConfigs {'topic' if kind == 2 else 'broker'}", "\n".join(lines)))


# The records' times are fixed, and long past.
KEPT = ("--config", "retention.ms=-1")


def produce(r, topic, partition, values):
    producer = Producer({"bootstrap.servers": r.target.bootstrap, "linger.ms": 100, "enable.idempotence": False})
    for value in values:
        producer.produce(topic, value, key=f"k{value}", partition=partition, timestamp=1_700_000_000_000 + int(value))
    assert producer.flush(20) == 0


def offsets(r):
    r.run("topics", "--create", "--topic", "counted", "--partitions", 3, *KEPT)
    settle(r, "counted", 3)
    produce(r, "counted", 0, [str(n) for n in range(5)])
    produce(r, "counted", 1, ["7", "9"])
    topic = ("--topic", "counted")
    r.run("get-offsets", *topic)
    for when in ("earliest", "latest", "max-timestamp", "earliest-local", "latest-tiered", "earliest-pending-upload", -1, -2, 1_700_000_000_003):
        r.run("get-offsets", *topic, "--time", when)
    r.run("get-offsets", *topic, "--time", 1_800_000_000_000)
    r.run("get-offsets", *topic, "--partitions", "0,2")
    r.run("get-offsets", "--topic-partitions", "counted:0-2,orders:0")
    r.run("get-offsets", "--topic", "coun.*|orders", "--exclude-internal-topics")
    r.run("get-offsets", "--topic", "nobody")
    r.run("get-offsets", *topic, "--partitions", "7")
    r.run("get-offsets", *topic, "--time", "yesterday")


def groups(r):
    r.run("consumer-groups", "--list")
    r.run("topics", "--create", "--topic", "read", "--partitions", 3, *KEPT)
    settle(r, "read", 3)
    for partition in range(3):
        produce(r, "read", partition, [str(n) for n in range(10)])
    reader = Consumer(
        {
            "bootstrap.servers": r.target.bootstrap,
            "group.id": "readers",
            "client.id": "reader",
            "group.instance.id": "first",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "partition.assignment.strategy": "range",
        }
    )
    reader.subscribe(["read"])
    deadline = time.monotonic() + 60
    while len(reader.assignment()) < 3:
        assert time.monotonic() < deadline, "the group does not form"
        reader.poll(0.2)
    committed = [TopicPartition("read", 0, 4), TopicPartition("read", 1, 10)]
    reader.commit(offsets=committed, asynchronous=False)
    live(r)
    reader.close()
    # A static member stays until its session ends; leaving by its name is what an operator would do.
    remove_static_member(r, "readers", "first")
    empty(r)


def live(r):
    group = ("--describe", "--group", "readers")
    r.run("consumer-groups", "--list")
    r.run("consumer-groups", "--list", "--state", clean=columns)
    r.run("consumer-groups", "--list", "--state", "Empty", clean=columns)
    r.run("consumer-groups", "--list", "--type", clean=columns)
    r.run("groups", "--list", clean=columns)
    r.run("consumer-groups", *group, clean=rows)
    r.run("consumer-groups", *group, "--offsets", "--verbose", clean=rows)
    r.run("consumer-groups", *group, "--members", clean=columns)
    r.run("consumer-groups", *group, "--members", "--verbose", clean=columns)
    r.run("consumer-groups", *group, "--state", clean=coordinator)
    r.run("consumer-groups", *group, "--state", "--verbose", clean=coordinator)
    r.run("consumer-groups", "--describe", "--all-groups", "--state", clean=coordinator)
    r.run("consumer-groups", "--delete", "--group", "readers")
    reset = ("--reset-offsets", "--group", "readers", "--topic", "read")
    r.run("consumer-groups", *reset, "--to-earliest", "--execute")


def empty(r):
    group = ("--describe", "--group", "readers")
    r.run("consumer-groups", "--list", "--state", clean=columns)
    r.run("consumer-groups", *group, clean=rows)
    r.run("consumer-groups", *group, "--members", clean=columns)
    r.run("consumer-groups", *group, "--state", clean=coordinator)
    reset = ("--reset-offsets", "--group", "readers", "--topic", "read")
    r.run("consumer-groups", *reset, "--to-latest", "--dry-run", clean=rows)
    r.run("consumer-groups", *reset, "--shift-by", "-2", "--execute", clean=rows)
    r.run("consumer-groups", *group, clean=rows)
    r.run("consumer-groups", *reset, "--to-datetime", "2023-11-14T22:13:20.005Z", "--execute", clean=rows)
    r.run("consumer-groups", "--describe", "--group", "nobody")
    r.run("consumer-groups", "--describe", "--group", "nobody", "--members")
    r.run("consumer-groups", "--describe", "--group", "nobody", "--state")
    r.run("consumer-groups", "--delete", "--group", "nobody")
    r.run("consumer-groups", "--delete", "--group", "readers")
    segment = r.target.segment("__consumer_offsets", java_hash("readers") % 50)
    r.run("dump-log", "--files", segment, "--offsets-decoder", clean=stored, server=None)
    r.run("consumer-groups", "--list")


def java_hash(text):
    """String.hashCode, made positive as Kafka does, by which a group finds its partition."""
    number = 0
    for character in text:
        number = (31 * number + ord(character)) & 0xFFFFFFFF
    return number & 0x7FFFFFFF


def stored(lines):
    """Keys and values of __consumer_offsets in order, but within one commit in any. How they are batched is the broker's affair, and
    so is a group's first record, before it has members."""
    kept = []
    for line in lines:
        found = re.search(r"key: (.*) payload: (.*)", line)
        if found and '"generation":0' not in found[2]:
            value = re.sub(r'(Timestamp":)\d+|("topicId":)"[^"]*"', lambda m: (m[1] or m[2]) + "X", found[2])
            kept.append(f"{found[1]} {value}")
    return [line for _, group in groupby(kept, key=lambda line: '"type":"1"' in line) for line in sorted(group)]


def coordinator(lines):
    """Which member coordinates a group follows from where the partitions of __consumer_offsets were put."""
    return [re.sub(r"member\d:kafka \(n\d\)", "COORDINATOR", line) for line in columns(lines)]


def remove_static_member(r, group, instance):
    admin = KafkaAdminClient(bootstrap_servers=r.target.addresses)
    admin.remove_group_members(group, [MemberToRemove(group_instance_id=instance)])
    admin.close()


def api_versions(r):
    r.run("broker-api-versions", clean=by_member)
    r.run("cluster", "cluster-id", clean=lambda lines: [re.sub(r"Cluster ID: \S{22}$", "Cluster ID: ID", lines[0])])


def by_member(lines):
    """Members come in any order; each has the same versions."""
    blocks = "\n".join(lines).replace("\n)\n", "\n)\f").split("\f")
    return "\n".join(sorted(blocks)).split("\n")


def dump_log(r):
    r.run("topics", "--create", "--topic", "dumped", "--replica-assignment", "{0}:{1}:{2}", *KEPT)
    settle(r, "dumped", 1)
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        producer = Producer(
            {
                "bootstrap.servers": r.target.bootstrap,
                "linger.ms": 200,
                "compression.type": codec,
                "enable.idempotence": codec == "gzip",
            }
        )
        for n in range(3):
            producer.produce("dumped", f"{codec} {n}" * 20, key=f"k{n}", headers={"h": "v"}, timestamp=1_700_000_000_000 + n)
        assert producer.flush(20) == 0
    segment = str(r.target.segment("dumped", 0))
    files = ("--files", segment)
    r.run("dump-log", *files, clean=dumped, server=None)
    r.run("dump-log", *files, "--print-data-log", clean=dumped, server=None)
    r.run("dump-log", *files, "--deep-iteration", "--skip-record-metadata", "--print-data-log", clean=dumped, server=None)
    r.run("dump-log", *files, "--max-bytes", 200, clean=dumped, server=None)


def dumped(lines):
    """What a producer was numbered is its own affair; so is where a file lies, and how often a busy machine elected."""
    lines = [re.sub(r"Dumping \S*/", "Dumping ", line) for line in lines]
    lines = [re.sub(r"partitionLeaderEpoch: \d+", "partitionLeaderEpoch: X", line) for line in lines]
    return [re.sub(r"producerId: \d+", "producerId: ID", line) for line in lines]


def bad_batches(r):
    """What a broker says to batches that are not as they shall be."""
    r.run("topics", "--create", "--topic", "battered", "--replica-assignment", "{0}:{1}:{2}")
    r.run("topics", "--create", "--topic", "compacted", "--replica-assignment", "{0}:{1}:{2}", "--config", "cleanup.policy=compact")
    settle(r, "battered", 1)
    settle(r, "compacted", 1)
    now = int(time.time() * 1000)
    log_time = batches.put(batches.good(timestamp=now), (batches.ATTRIBUTES, ">h", 8))
    cases = {what: ("battered", 0, *case) for what, case in batches.bad().items()}
    cases["no key, compacted"] = ("compacted", 0, 8, -1, batches.good(key=None))
    stamped, old = now - 2 * 3_600_000, now - 10_000
    for topic, config in BATTERED.items():
        r.run("topics", "--create", "--topic", topic, "--replica-assignment", "{0}:{1}:{2}", "--config", config, *KEPT)
        settle(r, topic, 1)
        cases[f"{topic}: plain"] = (topic, 0, 8, -1, batches.good(timestamp=now))
        cases[f"{topic}: gzip"] = (topic, 0, 8, -1, batches.good(codec=1, timestamp=now))
        cases[f"{topic}: ten seconds old"] = (topic, 0, 8, -1, batches.good(timestamp=old))
        cases[f"{topic}: hours old"] = (topic, 0, 8, -1, batches.good(codec=1, timestamp=stamped))
        cases[f"{topic}: time type of the log"] = (topic, 0, 8, -1, log_time)
    of_a_producer = batches.put(batches.good(timestamp=now), (batches.PRODUCER, ">q", 900_004), (batches.EPOCH, ">hi", 0, 0))
    for time_of in ("first", "second"):
        cases[f"stamped: of a producer, the {time_of} time"] = ("stamped", 0, 8, -1, of_a_producer)
    cases["no such topic"] = ("nobody", 0, 8, -1, batches.good())
    cases["no such partition"] = ("battered", 9, 8, -1, batches.good())
    for what, case in cases.items():
        r.steps.append((f"Produce: {what}", batches.produce(r.target.addresses, *case)))
    r.run("get-offsets", "--topic", "battered|compacted|" + "|".join(BATTERED).replace(".", "[.]"))
    for topic in BATTERED:
        segment = str(r.target.segment(topic, 0))
        r.run("dump-log", "--files", segment, "--print-data-log", clean=heads, server=None)
    for codec, levels in {"gzip": (-2, 0, 10), "lz4": (0, 18), "zstd": (-131073, 23)}.items():
        for level in levels:
            config = ("--config", f"compression.{codec}.level={level}")
            r.run("topics", "--create", "--topic", "levels", *config)


# Topics by the config that concerns their batches.
BATTERED = {
    "stamped": "message.timestamp.type=LogAppendTime",
    "bounded": "message.timestamp.before.max.ms=60000",
    "plainest": "compression.type=uncompressed",
    "zipped": "compression.type=gzip",
    "snapped": "compression.type=snappy",
    "lz4ed": "compression.type=lz4",
    "zstded": "compression.type=zstd",
}


def heads(lines):
    """Of each batch what its head says, but for what follows from times and from how well a codec packs; and its records, which shows
    that Java's codecs read what was packed anew."""
    lines = [re.sub(r"Dumping \S*/", "Dumping ", line) for line in lines]
    return [re.sub(r"((?:Time|LeaderEpoch|position|size|crc): )\d+", r"\1X", line) for line in lines]


SCENARIOS = [topics, configs, config_types, offsets, groups, api_versions, dump_log, bad_batches]

# --- golden files ------------------------------------------------------------------------------------------------------------


def golden_path(scenario):
    return GOLDEN / f"{scenario.__name__}.txt"


def write_golden(scenario, steps):
    GOLDEN.mkdir(exist_ok=True)
    golden_path(scenario).write_text("".join(f"$ {command}\n{text}\n\n" for command, text in steps))


def read_golden(scenario):
    steps = golden_path(scenario).read_text().strip("\n").split("\n\n$ ")
    return [tuple(step.removeprefix("$ ").split("\n", 1)) for step in steps]


def record(addresses, ids, data):
    """Records what an Apache Kafka prints; `data` is the first node's data directory."""
    target = Target(addresses, ids, lambda topic, partition: Path(data) / f"{topic}-{partition}" / f"{0:020}.log")
    tools = Tools()
    tools.run("topics", "--bootstrap-server", addresses[0], "--create", "--topic", "orders", "--partitions", "6")
    events = ("--topic", "events", "--partitions", "3", "--config", "retention.ms=86400000")
    tools.run("topics", "--bootstrap-server", addresses[0], "--create", *events)
    for scenario in SCENARIOS:
        print(f"recording {scenario.__name__}", file=sys.stderr)
        recorder = Recorder(target, tools)
        scenario(recorder)
        write_golden(scenario, recorder.steps)
    tools.close()


if __name__ == "__main__":
    record(sys.argv[1].split(","), [1, 2, 3], sys.argv[2])
