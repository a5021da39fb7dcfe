"""Load on an ensemble until SIGTERM, then the verdict: was anything that was acknowledged lost, repeated or out of order.

Prints `{"event": "begun"}` when every partition was written to, and at the end one line `{"event": "verdict", ...}`.
"""

import json
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from types import SimpleNamespace

from kazoo.client import KazooClient

from histories import check_consumer, check_log, check_sequence, check_versions
from load import Consuming, Producing, WritingZnodes, read_partitions

# Between two acknowledgements of one partition; shorter ones are not worth a line.
SILENCE_SECONDS = 0.25


class Measured(Producing):
    """Remembers how long each acknowledgement took, by the wall clock's second."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.latencies = defaultdict(Counter)

    def delivered(self, error, message):
        super().delivered(error, message)
        if not error:
            milliseconds = message.latency() * 1000
            self.latencies[int(time.time())][round(milliseconds, 1) if milliseconds < 100 else round(milliseconds)] += 1


def under_load(options):
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    ensemble = SimpleNamespace(kafka=options.kafka, zookeeper=options.zookeeper)
    consuming = Consuming(ensemble, options.topic, options.group)
    producing = Measured(ensemble, options.topic, options.partitions, pause=0.01)
    writers = [WritingZnodes(ensemble, f"writer{number}") for number in range(2)]
    workers = [consuming, producing, *writers]
    for worker in workers:
        worker.start()
    begun = False
    while not stopping.wait(0.1):
        if not begun and not producing.quiet(0) and all(writer.created for writer in writers):
            begun = True
            print(json.dumps({"event": "begun"}))
        if died := [f"{type(worker).__name__}: {worker.error!r}" for worker in workers if worker.error]:
            tell_and_exit({"error": f"a worker died: {died}"})
    try:
        tell_and_exit(verdict(ensemble, options, producing, consuming, writers))
    except Exception as error:  # noqa: BLE001 - whatever went wrong is the verdict.
        tell_and_exit({"error": f"{type(error).__name__}: {error}"})


def tell_and_exit(found):
    print(json.dumps({"event": "verdict", **found}), flush=True)
    sys.exit(1 if "error" in found else 0)


def verdict(ensemble, options, producing, consuming, writers):
    producing.finish(90)
    consuming.wait_for(producing.acknowledged, 60)
    consuming.finish(30)
    for writer in writers:
        writer.finish(60)
    logs = read_partitions(ensemble, [(options.topic, partition) for partition in range(options.partitions)])
    for partition in range(options.partitions):
        check_log(producing.acknowledged[partition], logs[options.topic, partition])
    check_consumer(producing.acknowledged, consuming.seen)
    check_znodes(ensemble, writers)
    return {
        "acknowledged": producing.total,
        "failed": [str(error) for error in producing.failed[:5]],
        "failedCount": len(producing.failed),
        "consumed": sum(len(values) for values in consuming.seen.values()),
        "znodes": sum(len(writer.created) + len(writer.versions) for writer in writers),
        "latencies": {second: counts for second, counts in producing.latencies.items()},
        "silences": silences(producing.times),
        "znodeSilences": silences({number: writer.times for number, writer in enumerate(writers)}),
    }


def check_znodes(ensemble, writers):
    client = KazooClient(hosts=ensemble.zookeeper)
    client.start(timeout=30)
    client.sync("/kills")
    present = set(client.get_children("/kills"))
    for writer in writers:
        check_sequence(writer.created, present)
    value, stat = client.get("/kills/shared")
    acknowledged = [entry for writer in writers for entry in writer.versions]
    unknown = [entry for writer in writers for entry in writer.unknown]
    check_versions(acknowledged, unknown, (stat.version, value.decode()))
    client.stop()


def silences(times):
    """(from, to) in the wall clock's seconds, of every partition or writer together."""
    to_wall = time.time() - time.monotonic()
    pairs = [(a, b) for moments in times.values() for a, b in zip(moments, moments[1:]) if b - a > SILENCE_SECONDS]
    return sorted((a + to_wall, b + to_wall) for a, b in pairs)
