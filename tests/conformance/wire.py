"""Kafka's protocol byte by byte: requests made from its schemas (as kafka-python carries them), sent over a plain socket."""

import importlib
import pkgutil
import socket
import struct

import kafka.protocol
from kafka.protocol.api_message import ApiMessage

PLAIN = {
    "bool": (">?", False), "int8": (">b", 0), "int16": (">h", 0), "uint16": (">H", 0), "int32": (">i", 0), "uint32": (">I", 0),
    "int64": (">q", 0), "float64": (">d", 0.0),
}  # fmt: skip


def messages():
    """The request classes of all APIs, by key."""
    for module in pkgutil.walk_packages(kafka.protocol.__path__, "kafka.protocol."):
        if ".old" not in module.name and "generate" not in module.name:
            importlib.import_module(module.name)

    def below(cls):
        for sub in cls.__subclasses__():
            yield sub
            yield from below(sub)

    return {cls.API_KEY: cls for cls in below(ApiMessage) if cls.is_request()}


def holds(versions, version):
    """True if a schema's version range ("0+", "1-3", "none") has the version."""
    if versions in (None, "none"):
        return False
    first, _, last = versions.replace("+", "-99").partition("-")
    return int(first) <= version <= int(last or first)


class Piece(bytes):
    """A part of a request; `length` says whether it is a length or count and in which encoding: short, int or varint."""

    length = None

    @classmethod
    def of(cls, data, length=None):
        piece = cls(data)
        piece.length = length
        return piece


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


class Encoder:
    """One request of a schema in one version. Lists get one element each, so that every field is there."""

    def __init__(self, schema, version):
        self.version = version
        self.flexible = holds(schema["flexibleVersions"], version)
        self.structs = {s["name"]: s["fields"] for s in schema.get("commonStructs", [])}
        self.pieces = []
        self.fields(schema["fields"], {})

    def put(self, data, length=None):
        self.pieces.append(Piece.of(data, length))

    def length(self, number, wide):
        if self.flexible:
            self.put(varint(number + 1), "varint")
        else:
            self.put(struct.pack(">i" if wide else ">h", number), "int" if wide else "short")

    def fields(self, fields, values):
        for field in fields:
            if holds(field["versions"], self.version) and not holds(field.get("taggedVersions"), self.version):
                self.field(field, values)
        if self.flexible:
            self.put(varint(0), "tags")

    def field(self, field, values):
        kind = field["type"]
        if kind.startswith("[]"):
            self.length(1, wide=True)
            self.value(kind[2:], field, values)
        else:
            self.value(kind, field, values)

    def value(self, kind, field, values):
        if kind in PLAIN:
            form, default = PLAIN[kind]
            self.put(struct.pack(form, values.get(field["name"], default)))
        elif kind == "uuid":
            self.put(bytes(16))
        elif kind == "string":
            text = values.get(field["name"], "x").encode()
            self.length(len(text), wide=False)
            self.put(text)
        elif kind in ("bytes", "records"):
            self.length(1, wide=True)
            self.put(b"x")
        else:
            if holds(field.get("nullableVersions"), self.version) and not field["type"].startswith("[]"):
                self.put(b"\1")
            self.fields(field.get("fields") or self.structs[kind], values)


def header(key, version, flexible, correlation=7, client=b"conformance"):
    fixed = struct.pack(">hhih", key, version, correlation, len(client)) + client
    return fixed + (b"\0" if flexible else b"")


def frame(payload):
    return struct.pack(">i", len(payload)) + payload


class Connection:
    """A plain socket to one address."""

    def __init__(self, address, timeout=5):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """The payload of the next frame; None when the other side closed."""
        head = self.exactly(4)
        return None if head is None else self.exactly(struct.unpack(">i", head)[0])

    def exactly(self, count):
        got = b""
        while len(got) < count:
            try:
                part = self.socket.recv(count - len(got))
            except (ConnectionResetError, BrokenPipeError):
                return None
            if not part:
                return None
            got += part
        return got

    def is_closed(self):
        """True once the other side closed; what it says before is passed over."""
        try:
            while self.socket.recv(65536):
                pass
            return True
        except (ConnectionResetError, BrokenPipeError):
            return True
        except TimeoutError:
            return False


def served(address):
    """The API versions that the member advertises: {key: (least, greatest)}."""
    with Connection(address) as connection:
        connection.send(frame(header(18, 0, False)))
        answer = connection.receive()
    _, error, count = struct.unpack_from(">ihi", answer)
    assert error == 0
    entries = struct.iter_unpack(">hhh", answer[10 : 10 + 6 * count])
    return {key: (least, greatest) for key, least, greatest in entries}


def init_producer_id(address):
    """A new producer's id."""
    with Connection(address) as connection:
        connection.send(frame(header(22, 0, False) + struct.pack(">hi", -1, 60000)))
        _, _, error, producer, epoch = struct.unpack(">iihqh", connection.receive())
    assert (error, epoch) == (0, 0), error
    return producer


def describe_configs(address, kind, name):
    """DescribeConfigs version 4 with documentation: (name, type, read only, sensitive, documented) of every config."""

    def compact(text):
        return varint(len(text) + 1) + text.encode()

    body = varint(2) + bytes([kind]) + compact(name) + varint(0) + b"\0" + b"\1\1" + b"\0"
    with Connection(address) as connection:
        connection.send(frame(header(32, 4, True) + body))
        answer = connection.receive()
    read = Reader(answer)
    read.skip(4 + 1 + 4)
    assert read.varint() == 2
    error, _, _, _ = read.short(), read.text(), read.skip(1), read.text()
    assert error == 0, error
    configs = []
    for _ in range(read.varint() - 1):
        config, _, read_only, _, sensitive = read.text(), read.text(), read.byte(), read.byte(), read.byte()
        for _ in range(read.varint() - 1):
            read.text(), read.text(), read.byte(), read.skip(1)
        kind, documentation, _ = read.byte(), read.text(), read.skip(1)
        configs.append((config, kind, bool(read_only), bool(sensitive), bool(documentation)))
    return configs


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def skip(self, count):
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self):
        return self.skip(1)[0]

    def short(self):
        return struct.unpack(">h", self.skip(2))[0]

    def varint(self):
        number = shift = 0
        while True:
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    def text(self):
        length = self.varint()
        return None if length == 0 else self.skip(length - 1).decode()
