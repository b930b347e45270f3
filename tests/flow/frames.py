# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand: frames as they are written here go out, right or wrong, and what comes back is noted as it came.

A Peer is one connection. It acknowledges nothing and opens no window by itself; only SETTINGS and PING are answered, unless told not to.
"""

import socket
import struct
import time

import hpack

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_BYTES = 16384
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def message(body, flag=0):
    """gRPC's framing."""
    return struct.pack(">BI", flag, len(body)) + body


def literal(fields):
    """HPACK without its table: the same bytes on every connection, and any name and value."""
    def text(value):
        value = value.encode("latin-1") if isinstance(value, str) else value
        length = bytes([len(value)]) if len(value) < 127 else b"\x7f" + _varint(len(value) - 127)
        return length + value

    return b"".join(b"\x00" + text(name) + text(value) for name, value in fields)


def _varint(value):
    out = b""
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def call_fields(path=EXPORT, content="application/grpc", **other):
    """The fields of a call; a value of None leaves one out, underscores in names are hyphens."""
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x", "te": "trailers", "content-type": content}
    fields.update((name.replace("_", "-") if not name.startswith(":") else name, value) for name, value in other.items())
    return [(name, value) for name, value in fields.items() if value is not None]


class Answer:
    """What came back on one stream."""

    def __init__(self):
        self.blocks, self.data, self.is_ended, self.reset = [], b"", False, None

    def is_over(self):
        return self.is_ended or self.reset is not None

    def fields(self):
        return dict(pair for block in self.blocks for pair in block)

    def status(self):
        """(:status, grpc-status)"""
        fields = self.fields()
        return fields.get(":status"), fields.get("grpc-status")


class Peer:
    def __init__(self, address, settings=b"", hello=True, answers=True, receive_buffer=None):
        host, port = address.rsplit(":", 1)
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(60)
        self.socket.connect((host, int(port)))
        self.streams, self.goaways, self.pongs, self.settings, self.is_closed = {}, [], [], {}, False
        self.answers, self.buffered, self.decoder, self.windows = answers, b"", hpack.Decoder(), {}
        if hello:
            self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """False: the other side has closed; what it said before can still be read."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def call(self, stream, body=message(b""), fields=None, ends=True, **other):
        """One call in two frames."""
        block = literal(fields if fields is not None else call_fields(**other))
        self.send(frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, END_STREAM if ends else 0, stream, body))
        return self.answer(stream)

    def large_call(self, stream, body, fields):
        """One call in as many frames as it takes, as the stream's window allows, unless it is answered before."""
        self.read_until(lambda: self.settings, "SETTINGS")
        answer = self.answer(stream)
        self.send(frame(HEADERS, END_HEADERS, stream, literal(fields)))
        for at in range(0, len(body), FRAME_BYTES):
            end = min(at + FRAME_BYTES, len(body))
            self.read_until(lambda end=end: answer.is_over() or end <= self.settings[4] + self.windows.get(stream, 0), "credit")
            if answer.is_over():
                break
            self.send(frame(DATA, END_STREAM if end == len(body) else 0, stream, body[at:end]))
        return answer

    def answer(self, stream):
        return self.streams.setdefault(stream, Answer())

    def _take_headers(self, answer, flags, payload):
        if flags & PADDED:
            payload = payload[1:len(payload) - payload[0]]
        if flags & 0x20:  # priority
            payload = payload[5:]
        answer.blocks.append([(_text(name), _text(value)) for name, value in self.decoder.decode(payload, raw=True)])

    def _take(self, kind, flags, stream, payload):
        if kind == HEADERS:
            self._take_headers(self.answer(stream), flags, payload)
        elif kind == DATA:
            self.answer(stream).data += payload
        elif kind == RST_STREAM:
            self.answer(stream).reset = struct.unpack(">I", payload)[0]
        elif kind == GOAWAY:
            last, code = struct.unpack(">II", payload[:8])
            self.goaways.append((last, code, payload[8:].decode()))
        elif kind == PING and flags & ACK:
            self.pongs.append(payload)
        elif kind == PING and self.answers:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == SETTINGS and not flags & ACK:
            self.settings.update(struct.iter_unpack(">HI", payload))
            if self.answers:
                self.send(frame(SETTINGS, ACK, 0))
        elif kind == WINDOW_UPDATE:
            self.windows[stream] = self.windows.get(stream, 0) + struct.unpack(">I", payload)[0]
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.answer(stream).is_ended = True

    def poll(self, patience_s):
        """What comes in this time, if anything does."""
        self.socket.settimeout(patience_s)
        self._receive()

    def _receive(self):
        try:
            piece = self.socket.recv(1 << 16)
        except socket.timeout:
            return
        except OSError:
            piece = b""
        self.is_closed = not piece
        self.buffered += piece
        while len(self.buffered) >= 9:
            length = int.from_bytes(self.buffered[:3], "big")
            if len(self.buffered) < 9 + length:
                break
            head, payload = self.buffered[:9], self.buffered[9:9 + length]
            self.buffered = self.buffered[9 + length:]
            self._take(head[3], head[4], int.from_bytes(head[5:], "big") & 0x7fffffff, payload)

    def read_until(self, condition, what, patience_s=60):
        """Reads until condition() is true; a connection that closes before fails the scenario."""
        deadline = time.monotonic() + patience_s
        while not condition():
            if self.is_closed or time.monotonic() > deadline:
                some = {stream: (answer.blocks, answer.data[:100], answer.reset) for stream, answer in list(self.streams.items())[-3:]}
                raise AssertionError(f"no {what}: closed={self.is_closed} goaways={self.goaways} streams={some}")
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            self._receive()

    def read_to_end(self, patience_s=60):
        """Reads until the other side closes."""
        self.read_until(lambda: self.is_closed, "end of the connection", patience_s)

    def finish(self, stream):
        """The whole answer of a stream."""
        answer = self.answer(stream)
        self.read_until(answer.is_over, f"end of stream {stream}")
        return answer


def _text(value):
    return value.decode("latin-1") if isinstance(value, bytes) else value
