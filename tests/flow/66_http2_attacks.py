# SPDX-License-Identifier: Apache-2.0
"""Attacks by frames of HTTP/2, on both ports: each ends its own connection, or is refused call by call; a good client is served all the
while, memory grows by less than 64 MiB, and the log stays short."""

import gzip
import struct
import time

import hpack

from daemon import Daemon, run
from frames import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, Peer,
                    call_fields, frame, literal, message)
from good_client import GoodClient

CALL = literal(call_fields())
CALM, FLOW_CONTROL, FRAME_SIZE, PROTOCOL = 11, 3, 6, 1
STREAMS = 128


def open_call(stream, ends=False):
    return frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream, CALL)


def ended(peer, code=None, reason=None):
    """The daemon has ended the connection, and said why."""
    peer.read_to_end()
    assert peer.goaways, "no GOAWAY"
    _, said, text = peer.goaways[-1]
    assert code is None or said == code, (said, text)
    assert reason is None or reason in text, (said, text)


def rapid_reset(peer, _):
    peer.send(b"".join(open_call(2 * i + 1) + frame(RST_STREAM, 0, 2 * i + 1, b"\0\0\0\x08") for i in range(50000)))
    ended(peer)


def made_to_reset(peer, _):
    """Bodies that are not as long as they say: each makes us reset a stream."""
    block = literal(call_fields(content_length="1"))
    peer.send(b"".join(frame(HEADERS, END_HEADERS, 2 * i + 1, block) + frame(DATA, END_STREAM, 2 * i + 1, bytes(5)) for i in range(20000)))
    ended(peer, CALM)


def continuations(peer, _):
    peer.send(frame(HEADERS, 0, 1, CALL) + 200000 * frame(CONTINUATION, 0, 1))
    ended(peer)


def large_continuations(peer, _):
    """A header that never ends, and is never empty."""
    field = literal([("x", "y" * 16000)])
    peer.send(frame(HEADERS, 0, 1, CALL) + 2000 * frame(CONTINUATION, 0, 1, field))
    ended(peer)


def settings(peer, _):
    peer.send(50000 * frame(SETTINGS, 0, 0, b"\0\4\0\0\0\1"))
    ended(peer, CALM)


def settings_with_many_entries(peer, _):
    peer.send(frame(SETTINGS, 0, 0, 2700 * b"\0\4\0\0\0\1"))
    ended(peer, CALM)


def pings(peer, _):
    peer.send(50000 * frame(PING, 0, 0, b"12345678"))
    ended(peer, CALM, "too_many_pings")


def priorities(peer, _):
    """A tree of streams that never open."""
    peer.send(b"".join(frame(PRIORITY, 0, 2 * i + 3, struct.pack(">IB", 2 * i + 1, 7)) for i in range(100000)))
    peer.call(300001)
    assert peer.finish(300001).status() == ("200", "0")


def hpack_bomb(peer, _):
    """One entry of the table, and a byte for each time it is wanted."""
    large = hpack.Encoder().encode([("x", "y" * 4000)])
    peer.send(frame(HEADERS, 0, 1, CALL + large) + frame(CONTINUATION, END_HEADERS, 1, b"\xbe" * 16000))
    ended(peer, CALM, "too_many_headers")


def empty_data(peer, _):
    peer.send(open_call(1) + 50000 * frame(DATA, 0, 1))
    ended(peer, CALM, "too_many_empty_frames")


def padded_data(peer, _):
    peer.send(open_call(1) + 5000 * frame(DATA, 8, 1, b"\xff" + bytes(255)))
    ended(peer, CALM, "too_many_empty_frames")


def window_overflow(peer, _):
    peer.send(2 * frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"))
    ended(peer, FLOW_CONTROL)


def stream_window_overflows(peer, _):
    for i in range(2000):
        peer.send(open_call(2 * i + 1) + frame(WINDOW_UPDATE, 0, 2 * i + 1, b"\x7f\xff\xff\xff"))
    ended(peer, CALM)


def half_messages(peer, _):
    """128 messages of 16 MiB, begun and not ended, whatever the windows say: what exceeds the memory for them is refused."""
    peer.send(b"".join(open_call(2 * i + 1) + frame(DATA, 0, 2 * i + 1, b"\0\0\xff\xff\xff") for i in range(STREAMS)))
    for i in range(STREAMS * 70):
        peer.send(frame(DATA, 0, 2 * (i % STREAMS) + 1, bytes(16384)))
    peer.read_until(lambda: len(peer.streams) == STREAMS and all(answer.is_over() for answer in peer.streams.values()), "every stream's end")
    statuses = {answer.status()[1] for answer in peer.streams.values()}
    assert "14" in statuses and statuses <= {"4", "14"}, statuses


def ten_thousand_streams(peer, _):
    peer.send(b"".join(open_call(2 * i + 1) for i in range(10000)))
    ended(peer, CALM)


def zero_window(peer, _):
    """Nobody takes the replies: they are given up."""
    peer.send(frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0") + b"".join(open_call(2 * i + 1) + frame(DATA, END_STREAM, 2 * i + 1, message(b""))
                                                             for i in range(STREAMS)))
    peer.read_until(lambda: len(peer.streams) == STREAMS and all(answer.reset == 8 for answer in peer.streams.values()), "every stream's end")


def tiny_windows(peer, _):
    """A byte at a time is slow, and allowed."""
    peer.send(frame(SETTINGS, 0, 0, b"\0\4\0\0\0\1"))
    peer.call(1)
    for i in range(5):
        peer.read_until(lambda i=i: len(peer.answer(1).data) > i, f"byte {i}")
        peer.send(frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"))
    assert peer.finish(1).status() == ("200", "0")


def slow_bodies(peer, _):
    """Every stream gets a byte now and then, and none is ever whole."""
    streams = [2 * i + 1 for i in range(STREAMS)]
    peer.send(b"".join(open_call(stream) + frame(DATA, 0, stream, b"\0\0\x0f\xff\xff") for stream in streams))
    deadline = time.monotonic() + 60
    while len(peer.streams) < STREAMS or not all(answer.is_over() for answer in peer.streams.values()):
        assert time.monotonic() < deadline and not peer.is_closed, peer.goaways
        peer.send(b"".join(frame(DATA, 0, stream, b"x") for stream in streams if not peer.answer(stream).is_over()))
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            peer.poll(0.1)
    assert all(answer.status() == ("200", "4") for answer in peer.streams.values())


def nested(*numbers, count=1000000):
    """A million empty messages, within others."""
    body = count * (bytes([numbers[-1] << 3 | 2]) + b"\0")
    for number in reversed(numbers[:-1]):
        length, head = len(body), b""
        while length >= 128:
            head, length = head + bytes([length & 127 | 128]), length >> 7
        body = bytes([number << 3 | 2]) + head + bytes([length]) + body
    return body


def empty_messages(peer, daemon):
    """Two megabytes of empty messages: resources, scopes, spans; attributes, events, links; the same packed."""
    stream = 1
    for path, status in (((1,), "8"), ((1, 2), "8"), ((1, 2, 2), "8"), ((1, 2, 2, 9), "0"), ((1, 2, 2, 11), "0"), ((1, 2, 2, 13), "0"),
                         ((1, 1, 1), "0"), ((1, 2, 1, 3), "0")):
        body = nested(*path)
        for packed in (False, True):
            data = message(gzip.compress(body), 1) if packed else message(body)
            fields = call_fields(grpc_encoding="gzip") if packed else call_fields()
            peer.large_call(stream, data, fields)
            answer = peer.finish(stream)
            assert answer.status()[1] == status or packed and answer.status()[1] == "8", (path, packed, answer.fields())
            stream += 2
    assert daemon.metric("spanwise_receiver_rejected_spans_total") >= 3


def goaway_and_go_on(peer, _):
    """Who says goodbye is still answered what he asked before, and then closed."""
    peer.send(open_call(1) + frame(GOAWAY, 0, 0, bytes(8)) + frame(DATA, END_STREAM, 1, message(b"")))
    assert peer.finish(1).status() == ("200", "0")
    peer.read_to_end()


def half_said(peer, _):
    """Left open in the middle of headers; the timeouts end it."""
    peer.read_until(lambda: peer.settings, "SETTINGS")
    peer.send(frame(HEADERS, 0, 1, CALL[:20]))
    ended(peer, CALM, "slow_headers")


ON_ONE_CONNECTION = (rapid_reset, made_to_reset, continuations, large_continuations, settings, settings_with_many_entries, pings, priorities,
                     hpack_bomb, empty_data, padded_data, window_overflow, stream_window_overflows, half_messages, ten_thousand_streams,
                     zero_window, tiny_windows, slow_bodies, empty_messages, goaway_and_go_on, half_said)


def deaf(daemon, good):
    """Clients that ask for ever and never read: what waits for them is bounded."""
    peers = [Peer(daemon.grpc, answers=False, receive_buffer=2048) for _ in range(8)]
    for peer in peers:
        peer.send(frame(SETTINGS, ACK, 0))
        peer.socket.settimeout(1)  # by then nobody takes what we say any more
        for i in range(3000):
            if not peer.send(open_call(2 * i + 1) + frame(DATA, END_STREAM, 2 * i + 1, message(b""))):
                break
    good.has_sent_more()
    for peer in peers:
        peer.socket.close()


def large_heads(daemon, good):
    """Streams of which no body ever comes, each with 12 KiB of headers that take three bytes on the wire, from many connections."""
    large = hpack.Encoder().encode([("x", "y" * 3900)])
    block = literal(call_fields(path="/v1/traces", content="application/x-protobuf"))
    peers = [Peer(daemon.http, answers=False) for _ in range(120)]
    for peer in peers:
        peer.send(frame(SETTINGS, ACK, 0) + frame(HEADERS, END_HEADERS, 1, block + large + b"\xbe\xbe") +
                  b"".join(frame(HEADERS, END_HEADERS, 2 * i + 3, block + b"\xbe\xbe\xbe") for i in range(STREAMS - 1)))
    good.has_sent_more()
    for peer in peers:
        peer.socket.close()


def main():
    daemon = Daemon("--probe=off", "--header-timeout-s=2", "--body-timeout-s=1", "--memory-limit-mib=128", environment={
        "ASAN_OPTIONS": "quarantine_size_mb=1:malloc_context_size=1"})
    good = GoodClient(daemon)
    for attack in ON_ONE_CONNECTION:
        for address in (daemon.grpc, daemon.http)[:1 if attack is slow_bodies else 2]:
            began = time.monotonic()
            with Peer(address) as peer:
                attack(peer, daemon)
            good.judge(attack, began)
    for attack in (deaf, large_heads):
        began = time.monotonic()
        attack(daemon, good)
        good.judge(attack, began)
    good.leave(60)


run(main)
