# SPDX-License-Identifier: Apache-2.0
"""Random requests, right and bent, are read as the official implementation of protobuf reads them: taken or refused alike, the same spans
rejected, and what comes back from storage is the same message, in both encodings. Merged messages, fields in any order and twice, groups,
unknown fields, numbers longer than they need be, wrong wire types; a third of the requests have bytes changed."""

import http.client
import random
import struct

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from daemon import PATIENCE_S, Daemon, run
from otlp_json import from_otlp_json

REQUESTS, SEED = 600, 4
VARINT, FIXED64, BYTES, GROUP, GROUP_END, FIXED32 = range(6)
UNKNOWN = (17, 18, 99, 1000, 2**29 - 1)
TEXTS = (b"", b"x", b"abc", "ü€".encode(), b"service.name", b"y" * 200)
DOUBLES = (0, 1, 2**63, 0x3ff8 << 48, 0x7ff0 << 48, 0xfff0 << 48, 0x7ff8 << 48)  # JSON has one NaN only
PROTOBUF = "application/x-protobuf"


class Writer:
    """Messages of OTLP, each in one of the ways that are allowed."""

    def __init__(self, random_numbers):
        self.random, self.spans = random_numbers, 0

    def varint(self, value):
        out, value = b"", value & (2**64 - 1)
        while value >= 128:
            out, value = out + bytes([value & 127 | 128]), value >> 7
        out += bytes([value])
        longer = self.random.choice((0,) * 20 + (1, 2))
        if longer and len(out) + longer <= 5:
            out = out[:-1] + bytes([out[-1] | 128]) + b"\x80" * (longer - 1) + b"\0"
        return out

    def field(self, number, kind, value):
        return self.varint(number << 3 | kind) + value

    def bytes(self, number, value):
        return self.field(number, BYTES, self.varint(len(value)) + value)

    def number(self, number, *choices):
        return self.field(number, VARINT, self.varint(self.random.choice(choices)))

    def fixed(self, number, *choices):
        return self.field(number, FIXED64, struct.pack("<Q", self.random.choice(choices)))

    def text(self, number):
        return self.bytes(number, self.random.choice(TEXTS))

    def some(self, make, *counts):
        return [make() for _ in range(self.random.choice(counts))]

    def unknown(self, depth=0):
        number, noise = self.random.choice(UNKNOWN), self.random.randbytes
        kind = self.random.choice((VARINT, FIXED64, BYTES, FIXED32, GROUP))
        if kind == GROUP:
            inside = b"".join(self.unknown(depth + 1) for _ in range(self.random.randrange(3))) if depth < 3 else b""
            return self.field(number, GROUP, inside) + self.field(number, GROUP_END, b"")
        return {VARINT: lambda: self.number(number, self.random.getrandbits(63)), FIXED64: lambda: self.field(number, FIXED64, noise(8)),
                BYTES: lambda: self.bytes(number, noise(4)), FIXED32: lambda: self.field(number, FIXED32, noise(4))}[kind]()

    def mix(self, pieces):
        pieces = [piece for each in pieces for piece in ([self.unknown(), each] if self.random.random() < 0.15 else [each])]
        if self.random.random() < 0.3:
            self.random.shuffle(pieces)
        return b"".join(pieces)

    def value(self, depth=0):
        kinds = [lambda: self.text(1), lambda: self.number(2, 0, 1, 2**64 - 1), lambda: self.number(3, 7, 2**63, 2**64 - 1),
                 lambda: self.fixed(4, *DOUBLES), lambda: self.bytes(7, self.random.randbytes(3))]
        if depth < 4:
            kinds += [lambda: self.bytes(5, self.mix(self.some(lambda: self.bytes(1, self.value(depth + 1)), 0, 1, 2))),
                      lambda: self.bytes(6, self.mix(self.some(lambda: self.bytes(1, self.attribute(depth + 1)), 0, 1, 2)))]
        return self.mix(self.some(lambda: self.random.choice(kinds)(), 1, 1, 1, 0, 2, 3))

    def attribute(self, depth=0):
        return self.mix(self.some(lambda: self.text(1), 1, 1, 0, 2) + self.some(lambda: self.bytes(2, self.value(depth)), 1, 1, 0, 2))

    def attributes(self, number):
        return self.some(lambda: self.bytes(number, self.attribute()), 0, 1, 2, 3)

    def event(self):
        return self.mix([self.fixed(1, 0, 5, 2**64 - 1), self.text(2), *self.attributes(3), self.number(4, 0, 2**32 - 1)])

    def link(self):
        return self.mix([self.bytes(1, self.random.randbytes(16)), self.bytes(2, self.random.randbytes(8)), self.text(3), *self.attributes(4)])

    def status(self):
        return self.mix(self.some(lambda: self.text(2), 0, 1, 2) + self.some(lambda: self.number(3, 0, 1, 2, 3, 2**40), 0, 1))

    def span(self):
        self.spans += 1
        trace_id = self.bytes(1, struct.pack(">QQ", SEED, self.spans))
        times = 0, 1, 2**64 - 1, 1_700_000_000_000_000_000
        pieces = [trace_id, self.bytes(2, struct.pack(">Q", self.spans)), self.text(5), self.number(6, 0, 2, 5, 99, 2**31, 2**64 - 1),
                  self.fixed(7, *times), self.fixed(8, *times), *self.attributes(9), *self.some(lambda: self.text(3), 0, 1),
                  *self.some(lambda: self.bytes(4, self.random.choice((b"", bytes(8), b"parentid"))), 0, 1),
                  *self.some(lambda: self.bytes(11, self.event()), 0, 1, 2), *self.some(lambda: self.bytes(13, self.link()), 0, 1),
                  *self.some(lambda: self.bytes(15, self.status()), 0, 1, 2), *self.some(lambda: self.field(16, FIXED32, b"\1\3\0\0"), 0, 1),
                  *self.some(lambda: trace_id, 0, 0, 0, 1)]
        if self.random.random() < 0.1:  # a known field of another type is an unknown one
            pieces.append(self.number(self.random.choice((1, 5, 7, 9, 15)), 1, 300))
        return self.mix(pieces)

    def resource(self):
        entity = self.bytes(1, b"url") + self.bytes(2, b"type") + self.bytes(3, b"key") + self.bytes(4, b"other")
        return self.mix([*self.attributes(1), *self.some(lambda: self.number(2, 7), 0, 1), *self.some(lambda: self.bytes(3, entity), 0, 0, 1)])

    def scope(self):
        return self.mix([self.text(1), self.text(2), *self.attributes(3)])

    def scope_spans(self):
        return self.mix(self.some(lambda: self.bytes(1, self.scope()), 1, 1, 0, 2) + self.some(lambda: self.bytes(2, self.span()), 0, 1, 2, 3)
                        + self.some(lambda: self.text(3), 0, 1))

    def request(self):
        groups = self.some(lambda: self.bytes(1, self.mix(
            self.some(lambda: self.bytes(1, self.resource()), 1, 1, 0, 2) + self.some(lambda: self.bytes(2, self.scope_spans()), 0, 1, 2)
            + self.some(lambda: self.text(3), 0, 1))), 0, 1, 2)
        return self.mix(groups)

    def bend(self, body):
        body = bytearray(body)
        for _ in range(self.random.randrange(1, 4) if body else 0):
            at = self.random.randrange(len(body))
            way = self.random.randrange(3)
            if way == 0:
                body[at] ^= 1 << self.random.randrange(8)
            elif way == 1:
                body[at] = self.random.choice((0, 1, 0x7f, 0x80, 0xff))
            elif len(body) > 3:
                del body[at:at + 2]
        return bytes(body)


def has_long_number(body):
    """Longer than the official reader takes a tag or length to be, or beyond 64 bits: there readers differ."""
    return any(body[at:at + 4].translate(None, bytes(range(128))) == body[at:at + 4] for at in range(len(body) - 3))


def is_taken(span):
    return (len(span.trace_id) == 16 and any(span.trace_id) and len(span.span_id) == 8 and any(span.span_id) and len(span.parent_span_id) in (0, 8)
            and all(len(link.trace_id) in (0, 16) and len(link.span_id) in (0, 8) for link in span.links))


def pieces(message):
    """(group, scope, span) of each span."""
    return [(group, scope, span) for group in message.resource_spans for scope in group.scope_spans for span in scope.spans]


def meaning(group, scope, span):
    return [part.SerializeToString(deterministic=True) for part in (group.resource, scope.scope, span)] + [group.schema_url, scope.schema_url]


class Client:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.http = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)

    def ask(self, method, path, body=None, **headers):
        self.http.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = self.http.getresponse()
        return answer.status, answer.read()


def send(client, body, expected):
    try:
        message = ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        message = None
        if "UTF-8" in str(error) or has_long_number(body):
            return  # strings are mended; numbers that are too long are taken, as most do
    status, answer = client.ask("POST", "/v1/traces", body, Content_Type=PROTOBUF)
    if has_long_number(body) and status != 200:
        return
    assert (status == 200) == (message is not None), (status, answer, body.hex())
    if message:
        rejected = sum(not is_taken(span) for _, _, span in pieces(message))
        told = ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans
        assert told == rejected, (told, rejected, body.hex())
        expected.update({span.trace_id + span.span_id: meaning(group, scope, span) for group, scope, span in pieces(message) if is_taken(span)})


def look(client, key, expected):
    path = f"/api/v1/traces/{key[:16].hex()}?format=otlp"
    status, body = client.ask("GET", path, Accept=PROTOBUF)
    assert status == 200, (key.hex(), body)
    back = TracesData.FromString(body)
    found = {span.trace_id + span.span_id: meaning(group, scope, span) for group, scope, span in pieces(back)}
    assert found[key] == expected, (key.hex(), found[key], expected)
    as_json = from_otlp_json(client.ask("GET", path, Accept="application/json")[1])
    back.DiscardUnknownFields()
    assert as_json.SerializeToString(deterministic=True) == back.SerializeToString(deterministic=True), (str(back), str(as_json))


def main():
    writer, expected = Writer(random.Random(SEED)), {}
    daemon = Daemon("--probe=off")
    receiver, api = Client(daemon.http), Client(daemon.api)
    for number in range(REQUESTS):
        body = writer.request()
        send(receiver, writer.bend(body) if number % 3 == 0 else body, expected)
    assert len(expected) > REQUESTS / 2, len(expected)
    for key, wanted in expected.items():
        look(api, key, wanted)
    print(f"{REQUESTS} requests, {len(expected)} spans")
    assert daemon.stop() == 0, daemon.log()


run(main)
