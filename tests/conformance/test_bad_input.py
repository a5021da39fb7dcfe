"""What nobody should send: each member survives it, answers with the protocol's own error or closes, and its memory stays."""

import json
import os
import random
import signal
import socket
import struct
import time

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from kazoo.client import KazooClient

import batches
import wire
from cluster import Cluster, resident
from load import read_partitions

# What an allocator may keep of a few thousand short connections; a claim of 2 GiB is far above it.
GROWTH_BYTES_MAX = 24 << 20


@pytest.fixture(scope="module")
def target():
    cluster = Cluster().start()
    yield cluster
    cluster.close()


@pytest.fixture
def unhurt(target):
    """Around a test: nobody restarts, memory does not grow, and the ensemble works as before."""
    pids = [target.pid(m["id"]) for m in target.members]
    before = [resident(pid) for pid in pids]
    yield
    assert [target.pid(m["id"]) for m in target.members] == pids, "a member was restarted"
    growth = [resident(pid) - bytes for pid, bytes in zip(pids, before)]
    assert max(growth) < GROWTH_BYTES_MAX, f"resident memory grew by {growth} bytes"
    works(target)


def works(cluster):
    producer = Producer({"bootstrap.servers": cluster.kafka, "enable.idempotence": True})
    told = []
    for partition in range(6):
        producer.produce("orders", b"fine", partition=partition, on_delivery=lambda error, _: told.append(error))
    assert producer.flush(20) == 0 and told == [None] * 6
    client = KazooClient(hosts=cluster.zookeeper)
    client.start(timeout=15)
    client.create("/fine-", b"", sequence=True)
    client.stop()
    client.close()


def ports(cluster):
    """Every port of every member: {what: [address, ...]}."""
    found = {"kafka": [], "zookeeper": [], "peer": [], "grpc": [], "http": []}
    for member in cluster.members:
        # YAML that holds JSON.
        config = json.loads((cluster.data / f"member-{member['id']}/agent.yaml").read_text())
        own = next(m for m in config["members"] if m["id"] == member["id"])
        for what in found:
            found[what].append(f"{own['host']}:{own[f'{what}Port']}")
    return found


def settled(connection, correlation=7):
    """The other side closed, or answered this request."""
    connection.socket.settimeout(5)
    answer = connection.receive()
    assert answer is None or struct.unpack_from(">i", answer)[0] == correlation
    return answer


CLAIMS = {
    "int": [struct.pack(">i", n) for n in (2**31 - 1, -2, -(2**31))],
    "short": [struct.pack(">h", n) for n in (2**15 - 1, -2, -(2**15))],
    "varint": [b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x07", b"\xff\xff\xff\xff\xff\xff"],
    "tags": [b"\xff\xff\xff\xff\x0f", b"\x01\x00\xff\xff\xff\xff\x0f"],
}


def claims(schema, version):
    """Requests that end right after a length which claims up to 2 GiB, or is negative: one for each length of the schema."""
    encoder = wire.Encoder(schema, version)
    for at, piece in enumerate(encoder.pieces):
        for claim in CLAIMS.get(piece.length, []):
            yield b"".join(encoder.pieces[:at]) + claim


def test_claimed_lengths_cost_nothing(target, unhurt, figures):
    address = target.members[0]["kafka"]
    schemas = wire.messages()
    sent = 0
    for key, (least, greatest) in wire.served(address).items():
        assert key in schemas, f"no schema of API {key}"
        for version in range(least, greatest + 1):
            schema = schemas[key]._json
            flexible = wire.holds(schema["flexibleVersions"], version)
            for body in claims(schema, version):
                with wire.Connection(address) as connection:
                    connection.send(wire.frame(wire.header(key, version, flexible and key != 18 or flexible) + body))
                    answer = settled(connection)
                    sent += 1
                assert answer is None or key == 18, f"API {key} version {version} answers {body!r}"
    assert sent > 1500
    figures.append(f"bad input: {sent} requests with claimed lengths")


def test_frames_with_bad_lengths(target, unhurt):
    for what in ("kafka", "zookeeper", "peer"):
        for address in ports(target)[what]:
            for length in (-1, -(2**31), 2**31 - 1, 200 << 20):
                with wire.Connection(address) as connection:
                    connection.send(struct.pack(">i", length) + b"x" * 16)
                    connection.socket.settimeout(5)
                    assert connection.is_closed(), f"{what}: a frame of {length} bytes is awaited"


@pytest.mark.parametrize("payload", [b"", b"\0", b"\0\x03\0", b"\0\x03\0\x0c\0\0"], ids=len)
def test_frames_that_hold_no_request(target, unhurt, payload):
    with wire.Connection(target.members[0]["kafka"]) as connection:
        connection.send(wire.frame(payload))
        assert connection.receive() is None


def test_unknown_keys_and_versions(target, unhurt):
    address = target.members[0]["kafka"]
    served = wire.served(address)
    for key in [-1, 4, 93, 1000, 32767]:
        with wire.Connection(address) as connection:
            connection.send(wire.frame(wire.header(key, 0, False)))
            assert connection.receive() is None, f"API {key}"
    for key, (_, greatest) in served.items():
        for version in (-1, greatest + 1, 32767):
            with wire.Connection(address) as connection:
                connection.send(wire.frame(wire.header(key, version, False) + b"\0" * 8))
                answer = settled(connection)
            if key == 18:  # KIP-511: told in the oldest form which versions there are.
                assert struct.unpack_from(">ihihhh", answer) == (7, 35, 1, 18, 0, served[18][1])
            else:
                assert answer is None, f"API {key} version {version}"


def test_random_bytes_on_every_port(target, unhurt):
    chance = random.Random(4)
    for what, addresses in ports(target).items():
        for address in addresses:
            for size in (1, 7, 64, 5000, 70000):
                for head in (b"", struct.pack(">i", size), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
                    try:
                        with wire.Connection(address) as connection:
                            connection.send(head + chance.randbytes(size))
                            connection.socket.shutdown(socket.SHUT_WR)
                            connection.socket.settimeout(5)
                            assert connection.is_closed(), f"{what} at {address} keeps a closed connection"
                    except ConnectionRefusedError:
                        assert what in ("grpc", "http"), f"{what} at {address} is not listened to"
                    except OSError:
                        pass  # It was closed while the bytes were on their way.


def test_a_slow_sender_is_served(target, unhurt):
    """Byte by byte, while others are served at once."""
    request = wire.frame(wire.header(18, 0, False))
    with wire.Connection(target.members[0]["kafka"]) as slow:
        for byte in request:
            slow.send(bytes([byte]))
            time.sleep(0.01)
            begun = time.monotonic()
            wire.served(target.members[0]["kafka"])
            assert time.monotonic() - begun < 2
        assert struct.unpack_from(">ih", slow.receive()) == (7, 0)


def test_half_open_connections(target, unhurt):
    """Hundreds that begin something and go silent or away keep nobody else out."""
    silent = []
    for what in ("kafka", "zookeeper", "peer"):
        for n in range(100 if what == "kafka" else 50):
            connection = wire.Connection(ports(target)[what][n % 3])
            connection.send([b"", b"\0", b"\0\0\0\x50\0", b"\0\0\xff\0"][n % 4])
            silent.append(connection)
    works(target)
    for connection in silent[::2]:
        # A reset instead of an orderly end.
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.socket.close()
    works(target)
    for connection in silent[1::2]:
        connection.socket.close()


def test_a_client_that_does_not_read_is_bounded(target):
    """It asks for more and more and takes nothing: what waits for it is bounded, and others are served."""
    value = os.urandom(900_000)
    producer = Producer({"bootstrap.servers": target.kafka, "message.max.bytes": 1_000_000, "compression.type": "none"})
    for _ in range(40):
        producer.produce("events", value, partition=0)
        producer.poll(0)
    assert producer.flush(60) == 0
    leader = producer.list_topics("events").topics["events"].partitions[0].leader
    address = next(m["kafka"] for m in target.members if m["id"] == leader)
    pid = target.pid(leader)
    before = resident(pid)
    # Fetch version 4: no session, everything from offset 0.
    body = struct.pack(">iiiib", -1, 100, 1, 50 << 20, 0) + struct.pack(">i", 1) + struct.pack(">h", 6) + b"events"
    body += struct.pack(">i", 1) + struct.pack(">iqi", 0, 0, 50 << 20)
    request = wire.frame(wire.header(1, 4, False) + body)
    highest = 0
    with wire.Connection(address) as deaf:
        deaf.socket.settimeout(1)
        try:
            for _ in range(2000):
                deaf.send(request)
        except OSError:
            pass  # Not read from any more, or cut off: both are bounds.
        for _ in range(20):
            highest = max(highest, resident(pid) - before)
            time.sleep(0.1)
        works(target)
    assert highest < 200 << 20, f"{highest >> 20} MiB wait for one client"
    assert len(read_partitions(target, [("events", 0)])["events", 0]) >= 40


def test_reads_behind_a_waiting_write_are_bounded(target):
    """A client sends reads without end behind a write that cannot be decided: they wait in its socket, and all are answered later."""
    members = json.loads(target.cli("get", "members", "-o", "json").stdout)
    leader = next(m["id"] for m in members if m["role"] == "leader")
    follower = next(m for m in target.members if m["id"] != leader)
    path = b"/" + b"n" * 10_000
    write = struct.pack(">ii", 1, 5) + struct.pack(">i", 1) + b"/" + struct.pack(">i", 1) + b"x" + struct.pack(">i", -1)
    read = wire.frame(struct.pack(">ii", 2, 3) + struct.pack(">i", len(path)) + path + b"\0")
    host, port = follower["zookeeper"].rsplit(":", 1)
    with socket.create_connection((host, int(port)), 10) as client:
        client.sendall(wire.frame(struct.pack(">iqiqi", 0, 0, 10_000, 0, 16) + bytes(16)))
        take(client)
        before = resident(target.pid(follower["id"]))
        os.kill(target.pid(leader), signal.SIGSTOP)
        try:
            client.sendall(wire.frame(write))
            client.settimeout(0.3)
            sent = 0
            try:
                while sent < 20_000:
                    at = 0
                    while at < len(read):
                        at += client.send(read[at:])
                    sent += 1
            except TimeoutError:
                pass
            grown = resident(target.pid(follower["id"])) - before
        finally:
            os.kill(target.pid(leader), signal.SIGCONT)
        assert 1000 < sent < 20_000 and grown < 48 << 20, f"{sent} reads of 10 kB sent, {grown} bytes more"
        client.settimeout(20)
        assert take(client)[:4] == struct.pack(">i", 1), "the write first"
        client.sendall(read[at:])
        for _ in range(sent + 1):
            assert take(client)[:4] == struct.pack(">i", 2)


def test_clients_that_go_while_they_are_held_are_let_go(target, unhurt):
    """With four reads that wait for ten minutes a client is not read from; when it goes, its descriptor goes."""
    leader = Producer({"bootstrap.servers": target.kafka}).list_topics("events").topics["events"].partitions[0].leader
    address, pid = next(m["kafka"] for m in target.members if m["id"] == leader), target.pid(leader)
    body = struct.pack(">iiiib", -1, 600_000, 1 << 30, 50 << 20, 0) + struct.pack(">i", 1) + struct.pack(">h", 6) + b"events"
    body += struct.pack(">i", 1) + struct.pack(">iqi", 0, latest(address, "events"), 1 << 20)
    request = wire.frame(wire.header(1, 4, False) + body)
    before = descriptors(pid)
    clients = [wire.Connection(address) for _ in range(50)]
    for client in clients:
        client.send(request * 6)
    time.sleep(1)
    for client in clients:
        # Nobody reads this one.
        client.send(request)
    held = descriptors(pid)
    for client in clients:
        client.socket.close()
    deadline = time.monotonic() + 10
    while descriptors(pid) > before + 5 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert held >= before + 45 and descriptors(pid) <= before + 5, f"{before} descriptors, {held}, now {descriptors(pid)}"


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def latest(address, topic):
    """The end of partition 0 (ListOffsets version 1)."""
    body = struct.pack(">ii", -1, 1) + struct.pack(">h", len(topic)) + topic.encode() + struct.pack(">iiq", 1, 0, -1)
    with wire.Connection(address) as connection:
        connection.send(wire.frame(wire.header(2, 1, False) + body))
        return struct.unpack(">q", connection.receive()[-8:])[0]


def test_answers_that_nobody_reads_are_bounded(target):
    """Requests of some bytes each, sent for two seconds: they wait in the client's socket, not in the member."""
    address, pid = target.members[0]["kafka"], target.pid(target.members[0]["id"])
    requests = wire.frame(wire.header(18, 0, False)) * 4000
    highest = 0
    with wire.Connection(address) as eager:
        eager.socket.settimeout(0.2)
        sent, before, deadline = 0, resident(pid), time.monotonic() + 2
        while time.monotonic() < deadline:
            try:
                sent += eager.socket.send(requests[sent % len(requests) :])
            except TimeoutError:
                pass
            highest = max(highest, resident(pid) - before)
        works(target)
    assert highest < 48 << 20, f"{sent} bytes of requests sent, {highest} bytes more"


def test_records_refused_by_name_are_bounded(target, unhurt):
    """One answer names a thousand records at most (KIP-467); a partition that a request repeats is refused (INVALID_REQUEST)."""
    hours_ahead = int(time.time() * 1000) + 7_200_000
    batch = batches.good(count=150, timestamp=hours_ahead)
    admin, repeats, count = AdminClient({"bootstrap.servers": target.kafka}), 1000, 60
    admin.create_topics([NewTopic("blamed", count, 1)])["blamed"].result(20)
    partitions = [*range(count), *[0] * repeats]
    body = struct.pack(">hhii", -1, -1, 5000, 1) + struct.pack(">h", 6) + b"blamed" + struct.pack(">i", len(partitions))
    body += b"".join(struct.pack(">ii", n, len(batch)) + batch for n in partitions)
    errors, named = {}, []
    for member in target.members:
        with wire.Connection(member["kafka"], timeout=20) as connection:
            connection.send(wire.frame(wire.header(0, 8, False) + body))
            reader = wire.Reader(connection.receive())
        reader.skip(4 + 4 + 2 + 6 + 4)
        seen, of_this_one = set(), 0
        for _ in partitions:
            index = struct.unpack(">i", reader.skip(4))[0]
            error = reader.short()
            reader.skip(8 + 8 + 8)
            for _ in range(struct.unpack(">i", reader.skip(4))[0]):
                reader.skip(4)
                reader.skip(reader.short())
                of_this_one += 1
            reader.skip(max(0, reader.short()))
            errors.setdefault("first" if index not in seen else "repeat", []).append(error)
            seen.add(index)
        named.append(of_this_one)
    # NOT_LEADER_OR_FOLLOWER where another leads, INVALID_TIMESTAMP where it is the leader.
    assert set(errors["first"]) == {6, 32} and errors["first"].count(32) == count
    assert errors["repeat"] == [42] * repeats * len(target.members)
    assert max(named) == 1000, f"{named} records are named"


def take(client):
    """One frame's body."""
    def exactly(count):
        held = b""
        while len(held) < count:
            piece = client.recv(count - len(held))
            assert piece, "the connection is closed"
            held += piece
        return held

    return exactly(struct.unpack(">i", exactly(4))[0])
