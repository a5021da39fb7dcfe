"""Record batches, good and bad, and Produce requests that carry them as they are."""

import gzip
import struct
import time

from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c

import wire

NOT_LEADER = "6"

# Offsets of fields in a batch (magic 2).
LENGTH, MAGIC, CRC, ATTRIBUTES, LAST_DELTA, PRODUCER, EPOCH, SEQUENCE, COUNT, RECORDS = 8, 16, 17, 21, 23, 43, 51, 53, 57, 61
FIRST_TIME, MAX_TIME = 27, 35


def good(codec=0, count=3, key=b"k", value=b"value", timestamp=None):
    timestamp = timestamp or int(time.time() * 1000)
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=False, producer_id=-1, producer_epoch=-1, base_sequence=-1, batch_size=1 << 20
    )
    for n in range(count):
        builder.append(n, timestamp=timestamp, key=key, value=value + str(n).encode(), headers=[])
    return bytes(builder.build())


def record(offset=0, key=b"k", value=b"value"):
    """One record as it stands in a batch; lengths below 64 only."""
    fields = [0, 0, 2 * offset, *([1] if key is None else [2 * len(key), *key]), 2 * len(value), *value, 0]
    return bytes([2 * len(fields), *fields])


def packed(codec, count, records):
    """A batch of records that are packed already."""
    head = bytearray(good(count=1)[:RECORDS])
    head[LENGTH : LENGTH + 4] = struct.pack(">i", RECORDS - 12 + len(records))
    return put(bytes(head) + records, (ATTRIBUTES, ">h", codec), (LAST_DELTA, ">i", count - 1), (COUNT, ">i", count))


def put(batch, *changes, crc=True):
    """The batch with fields changed: (offset, struct format, values); its CRC made right again unless told otherwise."""
    changed = bytearray(batch)
    for at, form, *values in changes:
        struct.pack_into(form, changed, at, *values)
    if crc:
        struct.pack_into(">I", changed, CRC, calc_crc32c(bytes(changed[ATTRIBUTES:])))
    return bytes(changed)


def bad():
    """{what is wrong: (Produce version, acks, records)}."""
    plain, gzip = good(), good(codec=1)
    hour = 3_600_000
    now = int(time.time() * 1000)
    cases = {
        "nothing wrong": plain,
        "nothing wrong, gzip": gzip,
        "no bytes": b"",
        "ten bytes": plain[:10],
        "cut off by one byte": plain[:-1],
        "cut off in its head": plain[:40],
        "a byte more than it says": plain + b"\0",
        "wrong checksum": put(plain, (CRC, ">I", 1), crc=False),
        "a flipped bit in a record": put(plain, (RECORDS + 4, ">B", 0xFF), crc=False),
        "length 0": put(plain, (LENGTH, ">i", 0)),
        "negative length": put(plain, (LENGTH, ">i", -1)),
        "length of 2 GiB": put(plain, (LENGTH, ">i", 2**31 - 1)),
        "magic 1": put(plain, (MAGIC, ">b", 1)),
        "magic 0": put(plain, (MAGIC, ">b", 0)),
        "magic 3": put(plain, (MAGIC, ">b", 3)),
        "magic -1": put(plain, (MAGIC, ">b", -1)),
        "two batches": plain + plain,
        "count 0": put(plain, (COUNT, ">i", 0)),
        "count -1": put(plain, (COUNT, ">i", -1)),
        "count of 2 GiB": put(plain, (COUNT, ">i", 2**31 - 1)),
        "count and delta of 2 GiB": put(plain, (COUNT, ">i", 2**31 - 1), (LAST_DELTA, ">i", 2**31 - 2)),
        "count one too high": put(plain, (COUNT, ">i", 4), (LAST_DELTA, ">i", 3)),
        "count one too low": put(plain, (COUNT, ">i", 2), (LAST_DELTA, ">i", 1)),
        "gzip, count one too high": put(gzip, (COUNT, ">i", 4), (LAST_DELTA, ">i", 3)),
        "gzip, count one too low": put(gzip, (COUNT, ">i", 2), (LAST_DELTA, ">i", 1)),
        "last delta does not fit the count": put(plain, (LAST_DELTA, ">i", 7)),
        "negative last delta": put(plain, (LAST_DELTA, ">i", -1)),
        "gzip that is none": put(plain, (ATTRIBUTES, ">h", 1)),
        "snappy that is none": put(plain, (ATTRIBUTES, ">h", 2)),
        "lz4 that is none": put(plain, (ATTRIBUTES, ">h", 3)),
        "zstd that is none": put(plain, (ATTRIBUTES, ">h", 4)),
        "an unknown codec": put(plain, (ATTRIBUTES, ">h", 5)),
        "a control batch": put(plain, (ATTRIBUTES, ">h", 0x20)),
        "a record with a wrong length": put(plain, (RECORDS, ">B", 0x7E)),
        "a record with a wrong offset delta": put(plain, (RECORDS + 3, ">B", 0x08)),
        "too large": good(count=1, value=b"x" * 1_100_000),
        "an hour and more ahead": good(timestamp=now + 2 * hour),
        "idempotent, from the middle, unknown producer": put(plain, (PRODUCER, ">q", 900_001), (EPOCH, ">h", 0), (SEQUENCE, ">i", 7)),
        "idempotent, negative sequence": put(plain, (PRODUCER, ">q", 900_002), (EPOCH, ">h", 0), (SEQUENCE, ">i", -1)),
        "idempotent, negative epoch": put(plain, (PRODUCER, ">q", 900_003), (EPOCH, ">h", -1), (SEQUENCE, ">i", 0)),
    }
    three = b"".join(record(n) for n in range(3))
    cases |= {
        "a base offset": put(plain, (0, ">q", 1)),
        "a batch and the begin of another": plain + plain[:30],
        "a batch and 20 bytes of nothing": plain + bytes(20),
        "greatest time too low in its head": put(plain, (MAX_TIME, ">q", 5)),
        "greatest time too high in its head": put(plain, (MAX_TIME, ">q", now + 2 * hour)),
        "time type of the log": put(plain, (ATTRIBUTES, ">h", 8)),
        "no time": put(good(timestamp=now), (FIRST_TIME, ">q", -1), (MAX_TIME, ">q", -1)),
        "gzip, nothing": packed(1, 3, b""),
        "gzip, cut off": packed(1, 3, gzip_of(three)[:-9]),
        "gzip of two members": packed(1, 3, gzip_of(three[:20]) + gzip_of(three[20:])),
        "offset deltas that go back": packed(0, 3, record(2) + record(1) + record(0)),
        "a header count that does not fit": packed(0, 1, bytes([2 * 7, 0, 0, 0, 1, 1, 200, 1])),
        "snappy without Java's framing": packed(2, 3, bytes([len(three), 4 * (len(three) - 1)]) + three),
        "snappy that claims 2 GiB": packed(2, 1, b"\xff\xff\xff\xff\x07\x00\x00"),
    }
    result = {what: (8, -1, records) for what, records in cases.items()}
    result["acks 2"] = (8, 2, plain)
    result["zstd before version 7"] = (6, -1, good(codec=4))
    result["zstd"] = (7, -1, good(codec=4))
    return result


def gzip_of(data):
    return gzip.compress(data, mtime=0)


def produce(addresses, topic, partition, version, acks, records):
    """The error number of the leader's answer, with what else it says of the records, or "closed", or "no answer"."""
    body = struct.pack(">hhii", -1, acks, 5000, 1) + struct.pack(">h", len(topic)) + topic.encode()
    body += struct.pack(">ii", 1, partition)
    body += struct.pack(">i", -1) if records is None else struct.pack(">i", len(records)) + records
    deadline = time.monotonic() + 20
    while True:
        told = [ask(address, version, topic, partition, body) for address in addresses]
        leaders = [answer for answer in told if answer != NOT_LEADER]
        if leaders or time.monotonic() > deadline:
            return leaders[0] if leaders else NOT_LEADER
        time.sleep(0.05)


def ask(address, version, topic, partition, body):
    with wire.Connection(address) as connection:
        connection.send(wire.frame(wire.header(0, version, False) + body))
        try:
            answer = connection.receive()
        except TimeoutError:
            return "no answer"
    if answer is None:
        return "closed"
    correlation, topics, length = struct.unpack_from(">iih", answer)
    assert (correlation, topics, length) == (7, 1, len(topic))
    partitions, index, error = struct.unpack_from(">iih", answer, 10 + length)
    assert (partitions, index) == (1, partition)
    said, at = [str(error)], 20 + length
    _, append_time = struct.unpack_from(">qq", answer, at)
    said += ["at the log's time"] if append_time != -1 else []
    if version >= 8:
        (count,) = struct.unpack_from(">i", answer, at + 24)
        at += 28
        for _ in range(count):
            number, text = struct.unpack_from(">ih", answer, at)
            said.append(f"record {number}")
            at += 6 + max(text, 0)
    return ", ".join(said)
