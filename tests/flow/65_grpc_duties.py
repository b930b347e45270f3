# SPDX-License-Identifier: Apache-2.0
"""What a gRPC server owes its clients, looked at frame by frame: the order in which a call is judged, statuses, deadlines, half-closed
streams, early replies, PING and SETTINGS, and how a connection ends."""

import gzip
import os
import time

from daemon import Daemon, one_span, request, run, temporary_folder, trace_id
from frames import (ACK, END_HEADERS, END_STREAM, EXPORT, GOAWAY, HEADERS, DATA, PING, SETTINGS, RST_STREAM, WINDOW_UPDATE, Peer, call_fields, frame, literal,
                    message)

ACCEPTED = "identity,gzip,zstd"
OK = ("200", "0")


def body_of(number):
    return request([one_span(number)]).SerializeToString()


def ask(daemon, body=message(b""), **fields):
    """One call on a connection of its own."""
    with Peer(daemon.grpc) as peer:
        peer.call(1, body, **fields)
        return peer.finish(1)


def expect(daemon, wanted, text=None, **call):
    answer = ask(daemon, **call)
    assert answer.status() == wanted, (call, answer.status(), answer.fields())
    if wanted != OK:
        assert len(answer.blocks) == 1 and not answer.data, (call, "an error is trailers alone")
        assert text is None or text in answer.fields()["grpc-message"], (call, answer.fields())
    else:
        assert len(answer.blocks) == 2 and answer.data[:1] == b"\0", (call, "success carries a message")
    assert answer.fields()["grpc-accept-encoding"] == ACCEPTED, call
    assert answer.fields()["content-type"] == "application/grpc", call


def judged_in_order(daemon):
    """What is wrong first is what is said."""
    expect(daemon, ("405", "13"), **{":method": "GET"}, content="text/plain", path="/x", grpc_timeout="x", grpc_encoding="br")
    expect(daemon, ("415", "3"), content="text/plain", path="/x", grpc_timeout="x", grpc_encoding="br")
    expect(daemon, ("415", "3"), content=None)
    expect(daemon, ("415", "3"), content="application/grpc-web")
    expect(daemon, ("200", "12"), "grpc+proto", content="application/grpc+json", path="/x", grpc_timeout="x")
    expect(daemon, ("200", "12"), "unknown service a.B", path="/a.B/C", grpc_timeout="x", grpc_encoding="br")
    expect(daemon, ("200", "12"), "unknown method Import", path=EXPORT.replace("Export", "Import"))
    expect(daemon, ("200", "12"), path=EXPORT.lower())
    expect(daemon, ("200", "12"), path="/opentelemetry.proto.collector.logs.v1.LogsService/Export")
    expect(daemon, ("200", "13"), "grpc-timeout", grpc_timeout="10", grpc_encoding="br")
    expect(daemon, ("200", "12"), "grpc-encoding", grpc_encoding="snappy", body=b"\2")
    expect(daemon, ("200", "13"), "flag", body=message(b"", 2))
    for content in ("application/grpc", "Application/gRPC+proto", "application/grpc;charset=utf-8"):
        expect(daemon, OK, content=content)
    for timeout in ("1H", "99999999H", "10S", "5000m"):
        expect(daemon, OK, grpc_timeout=timeout)
    for timeout in ("", "S", "123456789S", "-1S", "1s", "1.5S"):
        expect(daemon, ("200", "13"), grpc_timeout=timeout)


def odd_clients(daemon):
    """Headers that are seldom and right, and such as only nghttp2 could forbid."""
    expect(daemon, OK, te=None)
    expect(daemon, OK, **{":authority": None}, host="x")
    expect(daemon, OK, **{":scheme": "https"})
    expect(daemon, OK, x_bin="AAEC,AAE=", y_bin="AAE", grpc_novel="x", user_agent="OTel OTLP Exporter Go/1.0 \xff")
    expect(daemon, OK, grpc_encoding="")
    for fields in (call_fields(te="gzip"), call_fields() + [("X-Upper", "a")], call_fields(connection="close"),
                   call_fields() + [(":path", "/x")], call_fields(**{":authority": None}) + [("host", "a"), ("host", "b")]):
        answer = ask(daemon, fields=fields)
        assert answer.reset == 1 and not answer.blocks, (fields, answer.blocks, answer.reset)


def messages(daemon):
    packed = gzip.compress(body_of(1))
    two = gzip.compress(body_of(2)[:20]) + gzip.compress(body_of(2)[20:])
    for body in (packed, two):
        expect(daemon, OK, body=message(body, 1), grpc_encoding="gzip")
    expect(daemon, OK, body=message(body_of(3)), grpc_encoding="gzip")  # announced, not used
    for broken in (packed + b"x", packed[:-1], packed[:-8] + b"12345678", b""):
        expect(daemon, ("200", "13"), body=message(broken, 1), grpc_encoding="gzip")
    expect(daemon, ("200", "13"), body=message(packed, 1))
    expect(daemon, ("200", "13"), body=message(packed, 1), grpc_encoding="identity")
    expect(daemon, ("200", "12"), "no message", body=b"")
    expect(daemon, ("200", "12"), "more than one", body=2 * message(b""))
    expect(daemon, ("200", "13"), body=message(b"abc")[:-1])
    expect(daemon, ("200", "13"), body=b"\0\0\0")
    expect(daemon, ("200", "3"), body=message(b"\xff\xff"))
    expect(daemon, ("200", "8"), body=b"\0\xff\xff\xff\xff", ends=False)  # 4 GiB: nobody waits for them
    for number in (1, 2, 3):
        assert daemon.trace(trace_id(number)), number


def half_closed_and_early(daemon):
    with Peer(daemon.grpc) as peer:
        # Refused before its end: the reply, then NO_ERROR, and the rest of the body may cross it.
        peer.call(1, b"\2\0\0\0\0", ends=False)
        answer = peer.finish(1)
        assert answer.status() == ("200", "13")
        peer.read_until(lambda: answer.reset is not None, "RST_STREAM")
        assert answer.reset == 0, answer.reset
        peer.send(frame(DATA, 0, 1, b"x" * 1000) + frame(DATA, END_STREAM, 1))
        # The end comes alone, in an empty frame, or as trailers.
        peer.call(3, message(b""), ends=False)
        peer.send(frame(DATA, END_STREAM, 3))
        assert peer.finish(3).status() == OK
        peer.call(5, message(b""), ends=False)
        peer.send(frame(HEADERS, END_STREAM | END_HEADERS, 5, literal([("grpc-encoding", "snappy"), ("x", "y")])))
        assert peer.finish(5).status() == OK
        # A message in pieces, with padding, between those of another call.
        body = message(body_of(10))
        peer.send(frame(HEADERS, END_HEADERS, 7, literal(call_fields())) + frame(HEADERS, END_HEADERS, 9, literal(call_fields())))
        for i, byte in enumerate(body):
            peer.send(frame(DATA, 8, 7, b"\3" + bytes([byte]) + b"\0\0\0"))
            if i % 10 == 0:
                peer.send(frame(DATA, 0, 9, message(b"")[i // 10:i // 10 + 1]))
        peer.send(frame(DATA, END_STREAM, 7) + frame(DATA, END_STREAM, 9))
        assert peer.finish(7).status() == OK and peer.finish(9).status() == OK
        # Cancelled by the client: nothing comes back, and the connection goes on.
        peer.call(11, b"\0\0\0\1\0", ends=False)
        peer.send(frame(RST_STREAM, 0, 11, b"\0\0\0\x08"))
        peer.call(13)
        assert peer.finish(13).status() == OK and not peer.answer(11).blocks and not peer.goaways
    assert daemon.trace(trace_id(10))


def deadlines(daemon):
    """A call that is not whole when its client's time is over: not a second later."""
    with Peer(daemon.grpc) as peer:
        began = time.monotonic()
        for stream, timeout in ((1, "300m"), (3, "1n"), (5, "10S")):
            peer.send(frame(HEADERS, END_HEADERS, stream, literal(call_fields(grpc_timeout=timeout))) + frame(DATA, 0, stream, b"\0\0"))
        for stream in (3, 1):
            assert peer.finish(stream).status() == ("200", "4"), peer.answer(stream).fields()
            peer.read_until(lambda stream=stream: peer.answer(stream).reset is not None, "RST_STREAM")
        assert time.monotonic() - began < 9 and not peer.answer(5).is_over()


def pings_and_settings(daemon):
    with Peer(daemon.grpc) as peer:
        peer.call(1)
        peer.finish(1)
        assert peer.settings[3] == 128 and peer.settings[6] == 16384, peer.settings
        peer.send(frame(PING, 0, 0, b"12345678"))
        peer.read_until(lambda: peer.pongs == [b"12345678"], "PING's answer")
        # Unknown frames, settings and flags are none of our business.
        peer.send(frame(0xbe, 0xff, 0, b"novel") + frame(SETTINGS, 0, 0, b"\xab\xcd\0\0\0\1") + frame(PING, ACK, 0, b"unasked!"))
        peer.call(3)
        assert peer.finish(3).status() == OK
        for _ in range(4):
            peer.send(frame(PING, 0, 0, b"12345678"))
        peer.read_to_end()
        assert peer.goaways[-1][1:] == (11, "too_many_pings"), peer.goaways
    with Peer(daemon.grpc) as peer:  # pings between calls are how clients measure
        for i in range(10):
            peer.call(2 * i + 1)
            peer.send(frame(PING, 0, 0, b"12345678"))
            assert peer.finish(2 * i + 1).status() == OK
        peer.read_until(lambda: len(peer.pongs) == 10, "ten answers")
        assert not peer.goaways


def health(daemon):
    with Peer(daemon.grpc) as peer:
        peer.call(1, path="/grpc.health.v1.Health/Check")
        assert peer.finish(1).data == message(b"\x08\x01")
        peer.call(3, message(b"\x0a\x01x"), path="/grpc.health.v1.Health/Check")
        assert peer.finish(3).status() == ("200", "5")
        peer.call(5, path="/grpc.health.v1.Health/Watch")
        peer.read_until(lambda: peer.answer(5).data == message(b"\x08\x01"), "the first answer to Watch")
        peer.call(7, path="/grpc.health.v1.Health/List")
        listed = peer.finish(7)
        assert listed.status() == OK and EXPORT.split("/")[1].encode() in listed.data, listed.data
        return peer.answer(5)


REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
LIST = message(b"\x3a\x01*")


def reflection(daemon):
    """Off by default; then a stream on which each question is answered when it comes; behind the token as all else."""
    expect(daemon, ("200", "12"), body=LIST, path=REFLECTION)
    token = "a-token-of-some-length-0123456789"
    path = os.path.join(temporary_folder(), "tokens")
    with open(path, "w") as file:
        file.write(token + "\n")
    os.chmod(path, 0o600)
    other = Daemon("--probe=off", "--grpc-reflection=on", "--grpc-tokens=" + path)
    for version in ("v1", "v1alpha"):
        where = REFLECTION.replace("v1", version)
        assert ask(other, LIST, path=where).status() == ("200", "16")
        with Peer(other.grpc) as peer:
            peer.call(1, LIST, path=where, authorization="Bearer " + token, ends=False)
            peer.read_until(lambda: b"TraceService" in peer.answer(1).data, "the list of services")
            peer.send(frame(DATA, END_STREAM, 1, message(b"\x22\x27opentelemetry.proto.trace.v1.Span.Event")))
            answer = peer.finish(1)
            assert answer.status() == OK and b"opentelemetry/proto/common/v1/common.proto" in answer.data
    assert other.stop() == 0, other.log()


def shutdown(daemon):
    """Two GOAWAYs; what runs is answered, what comes later is not served; watchers are told."""
    with Peer(daemon.grpc, answers=False) as peer:
        peer.send(frame(SETTINGS, ACK, 0))
        peer.call(1, path="/grpc.health.v1.Health/Watch")
        peer.read_until(lambda: peer.answer(1).data, "the first answer to Watch")
        peer.call(3, message(body_of(20))[:-3], ends=False)
        peer.send(frame(PING, 0, 0, b"are read"))
        peer.read_until(lambda: peer.pongs, "the answer to PING")
        daemon.process.terminate()
        peer.read_until(lambda: peer.goaways, "the first GOAWAY")
        assert peer.goaways[0][:2] == (0x7fffffff, 0), peer.goaways
        peer.call(5)  # it may have crossed the announcement
        assert peer.finish(5).status() == OK
        peer.send(frame(PING, ACK, 0, b"goodbye\0"))
        peer.read_until(lambda: len(peer.goaways) == 2, "the second GOAWAY")
        assert peer.goaways[1] == (5, 0, ""), peer.goaways
        assert peer.finish(1).data.endswith(message(b"\x08\x02")) and peer.answer(1).status() == OK
        peer.send(frame(HEADERS, END_HEADERS, 7, literal(call_fields())) + frame(DATA, END_STREAM, 7, message(b"")))
        peer.send(frame(DATA, END_STREAM, 3, message(body_of(20))[-3:]))
        assert peer.finish(3).status() == OK
        peer.read_to_end()
        assert not peer.answer(7).blocks
    assert daemon.wait() == 0, daemon.log()


def ages():
    daemon = Daemon("--probe=off", "--max-connection-age-s=2", "--max-connection-age-grace-s=2")
    with Peer(daemon.grpc) as peer:
        peer.call(1, b"\0", ends=False)
        peer.read_until(lambda: len(peer.goaways) == 2, "GOAWAYs for the age")
        assert peer.goaways[1] == (1, 0, "max_age"), peer.goaways
        peer.read_to_end()  # the call never ends: its grace does
    assert daemon.stop() == 0, daemon.log()
    daemon = Daemon("--probe=off", "--idle-timeout-s=1")
    for noise in (b"", frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1")):  # who only makes noise is idle, too
        with Peer(daemon.grpc) as peer:
            peer.call(1)
            peer.finish(1)
            deadline = time.monotonic() + 60
            while not peer.is_closed and time.monotonic() < deadline:
                peer.send(noise)
                peer.poll(0.2)
            assert peer.goaways[-1:] == [(1, 0, "max_idle")], peer.goaways
    assert daemon.stop() == 0, daemon.log()
    daemon = Daemon("--probe=off", "--keepalive-s=1", "--keepalive-timeout-s=1")
    with Peer(daemon.grpc, answers=False) as peer:
        peer.send(frame(SETTINGS, ACK, 0))
        peer.call(1, path="/grpc.health.v1.Health/Watch")
        peer.read_to_end()  # it seems dead: no byte came for two seconds
    assert daemon.stop() == 0, daemon.log()


def main():
    daemon = Daemon("--probe=off")
    for part in (judged_in_order, odd_clients, messages, half_closed_and_early, deadlines, pings_and_settings, health, reflection):
        part(daemon)
    shutdown(daemon)
    ages()


run(main)
