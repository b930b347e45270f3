# SPDX-License-Identifier: Apache-2.0
"""Attacks that 61 and 66 do not have: frames that cost nothing to send and are of no use, smuggled and endless HTTP/1 requests, answers that
nobody takes, TLS that is bent, packed bodies of nothing, numbers and messages at the edge. A good client is served all the while, memory
grows by less than 64 MiB, and the log stays short."""

import gzip
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import time

import zlib

import grpc

from certificates import make_ca, make_certificate
from daemon import PATIENCE_S, Daemon, export, one_span, request, run, temporary_folder, trace_id, wait_for
from frames import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS,
                    WINDOW_UPDATE, Peer, call_fields, frame, literal, message)
from good_client import HEAD, GoodClient, dial

CALL = literal(call_fields())
JSON_HEAD = HEAD.replace(b"x-protobuf", b"json")


def open_call(stream):
    return frame(HEADERS, END_HEADERS, stream, CALL)


def is_served(peer, stream):
    peer.call(stream)
    assert peer.finish(stream).status() == ("200", "0"), (peer.goaways, peer.answer(stream).fields())


def has_ended(peer, reason=""):
    """Closed, and before that it was said why."""
    peer.read_to_end()
    assert peer.goaways and reason in peer.goaways[-1][2], peer.goaways


# Frames that are of no use, and no offence: they cost their sender as much as us.

def window_updates(peer):
    peer.send(open_call(1) + b"".join(frame(WINDOW_UPDATE, 0, i % 2, b"\0\0\0\1") for i in range(100000)) + frame(DATA, END_STREAM, 1, message(b"")))
    assert peer.finish(1).status() == ("200", "0")


def unknown_frames(peer):
    for kind in (0x0a, 0x0c, 0x10, 0xbe):
        peer.send(500 * frame(kind, 0xff, 0, bytes(16000)) + 20000 * frame(kind, 0, 1, b""))
    is_served(peer, 1)


def priorities_of_one(peer):
    peer.send(b"".join(frame(PRIORITY, 0, 1, struct.pack(">IB", 3 + 2 * (i % 50), i % 256)) for i in range(100000)))
    is_served(peer, 1)


def table_sizes(peer):
    """A header block that changes the size of its table again and again."""
    block = 5000 * b"\x20\x3f\xe1\x1f" + CALL
    peer.send(frame(HEADERS, 0, 1, block[:16384]) + frame(CONTINUATION, END_HEADERS, 1, block[16384:]) + frame(DATA, END_STREAM, 1, message(b"")))
    peer.read_until(lambda: peer.is_closed or peer.answer(1).is_over(), "an end")


# Frames that end the connection.

def goaways(peer):
    peer.send(open_call(1) + 20000 * frame(GOAWAY, 0, 0, bytes(8) + b"x" * 100))
    peer.read_to_end()


def zero_increments(peer):
    for i in range(2000):
        peer.send(open_call(2 * i + 1) + frame(WINDOW_UPDATE, 0, 2 * i + 1, bytes(4)))
    has_ended(peer)


def pushed(peer):
    peer.send(open_call(1) + frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + CALL))
    has_ended(peer)


def even_stream(peer):
    peer.send(open_call(2))
    has_ended(peer)


def left_out_stream(peer):
    """Ids that were passed over, of late and long ago, and data for one."""
    peer.call(9)
    peer.finish(9)
    peer.call(2 ** 31 - 1)
    peer.send(open_call(7))
    has_ended(peer, "stream_id_too_small")


def data_of_none(peer):
    peer.call(9)
    peer.finish(9)
    peer.send(frame(DATA, 0, 7, message(b"")))
    has_ended(peer, "stream_closed")


def lone_continuation(peer):
    peer.send(frame(CONTINUATION, END_HEADERS, 1, CALL))
    has_ended(peer)


def interleaved(peer):
    peer.send(frame(HEADERS, 0, 1, CALL[:20]) + frame(PING, 0, 0, bytes(8)) + frame(CONTINUATION, END_HEADERS, 1, CALL[20:]))
    has_ended(peer)


def tiny_frames_asked_for(peer):
    peer.send(frame(SETTINGS, 0, 0, b"\0\5\0\0\0\1"))
    has_ended(peer)


def long_frame(peer):
    peer.send(struct.pack(">I", 1 << 20)[1:] + bytes([DATA, 0]) + struct.pack(">I", 1) + bytes(1 << 20))
    has_ended(peer)


def many_trailers(peer):
    """A message, and then trailers without end."""
    peer.call(1, message(b""), ends=False)
    fields = literal([("x", "")] * 3000)
    peer.send(frame(HEADERS, END_STREAM, 1, fields) + 2000 * frame(CONTINUATION, 0, 1, fields))
    has_ended(peer)


def slow_trailers(peer):
    peer.read_until(lambda: peer.settings, "SETTINGS")
    peer.call(1, message(b""), ends=False)
    peer.send(frame(HEADERS, END_STREAM, 1, literal([("x", "y")])))
    has_ended(peer, "slow_headers")


def pings_unread(peer):
    """SETTINGS and PINGs in turn with calls, so that no rule on pings holds; the answers are never read."""
    peer.socket.settimeout(1)
    for i in range(20000):
        if not peer.send(open_call(2 * i + 1) + frame(RST_STREAM, 0, 2 * i + 1, b"\0\0\0\x08") + frame(PING, 0, 0, bytes(8))):
            break


ON_HTTP2 = (window_updates, unknown_frames, priorities_of_one, table_sizes, goaways, zero_increments, pushed, even_stream, left_out_stream,
            data_of_none, lone_continuation, interleaved, tiny_frames_asked_for, long_frame, many_trailers, slow_trailers, pings_unread)


def half_calls_everywhere(daemon):
    """As many connections as there may be, nearly, each with as many calls as it may have, of which nothing more comes: all memory for
    what is not whole is taken. A large request passes sooner or later, too: whoever stands still makes room for it."""
    size = 128
    peers = [Peer(daemon.grpc, answers=False) for _ in range(450)]
    for peer in peers:
        peer.send(frame(SETTINGS, ACK, 0) + b"".join(open_call(2 * i + 1) for i in range(size)))
    large = request([one_span(8000 + i, "x" * 1000) for i in range(400)])
    with daemon.channel() as channel:
        def is_taken():
            try:
                return export(channel, large)
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.UNAVAILABLE, error

        wait_for(lambda: is_taken() is not None, "the large request to pass")
    for peer in peers:
        peer.socket.close()


def answer_to(daemon, text):
    """All that is answered until the daemon closes."""
    with dial(daemon.http) as client:
        try:
            client.sendall(text)
        except OSError:
            pass
        answer = b""
        try:
            while piece := client.recv(65536):
                answer += piece
        except OSError:
            pass
        return answer


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


def smuggling(daemon):
    """Two readings of where a request ends: there must be no second request."""
    chunked, length = b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n"
    for lines, body in (
            (chunked + length, b"0\r\n\r\n"), (length + chunked, b"0\r\n\r\n"), (length + b"Content-Length: 6\r\n", b"abcde"),
            (length + length, b"abcde"), (b"Content-Length: 5, 5\r\n", b"abcde"), (b"Content-Length: +5\r\n", b"abcde"),
            (b"Content-Length: 0x5\r\n", b"abcde"), (b"Content-Length: -1\r\n", b""), (b"Content-Length: 5 5\r\n", b"abcde"),
            (b"Content-Length:\r\n", b""), (b"Content-Length: 99999999999999999999\r\n", b""), (b"Content-Length : 5\r\n", b"abcde"),
            (b" Content-Length: 5\r\n", b"abcde"), (b"X: y\r\n Content-Length: 5\r\n", b"abcde"), (b"X: y\nContent-Length: 5\r\n", b"abcde"),
            (b"X: y\rContent-Length: 5\r\n", b"abcde"), (b"X: \0\r\n", b""), (b": y\r\n", b""), (b"X\r\n", b""), (b"X y: z\r\n", b""),
            (b"Transfer-Encoding: identity\r\n", b""), (b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
            (b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), (chunked + chunked, b"0\r\n\r\n"), (b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
            (b"Transfer-Encoding: chunked,\r\n", b"0\r\n\r\n"), (b"Transfer_Encoding: chunked\r\n" + chunked + length, b"0\r\n\r\n"),
            (chunked, b"0x1\r\na\r\n0\r\n\r\n"), (chunked, b"-1\r\n\r\n"), (chunked, b"+1\r\na\r\n0\r\n\r\n"), (chunked, b"1 \nx\r\n0\r\n\r\n"),
            (chunked, b"10000000000000001\r\na\r\n0\r\n\r\n"), (chunked, b"1\r\nab\r\n0\r\n\r\n"), (chunked, b"1;\na\r\n0\r\n\r\n"),
            (chunked, b"1\na\n0\n\n"), (chunked, b"0\r\nX: y\n\r\n"), (chunked, b"\r\n0\r\n\r\n")):
        answer = answer_to(daemon, HEAD + lines + b"\r\n" + body + SMUGGLED)
        assert re.match(rb"HTTP/1.1 (400|413|431|501) ", answer) and len(re.findall(rb"HTTP/1.1 \d\d\d ", answer)) == 1, (lines, body, answer)
    for line in (b"POST /v1/traces HTTP/1.1", b"POST /v1/traces  HTTP/1.1", b"POST /v1/traces", b"POST /v1/traces http/1.1", b"POST /v1/traces HTTP/2.0",
                 b"POST /v1/traces HTTP/1.10", b"POST\t/v1/traces HTTP/1.1", b"P\x00ST /v1/traces HTTP/1.1", b"POST /v1/\x80 HTTP/1.1"):
        separator = b"\n" if line.endswith(b"HTTP/1.1") and line.startswith(b"POST /v1/traces HTTP") else b"\r\n"
        answer = answer_to(daemon, line + separator + b"Host: x\r\nContent-Length: 0\r\n\r\n" + SMUGGLED)
        assert not answer or re.match(rb"HTTP/1.1 (400|505) ", answer) and len(re.findall(rb"HTTP/1.1 \d\d\d ", answer)) == 1, (line, answer)


def endless_requests(daemon):
    """Chunk extensions, trailers, empty lines and headers without end."""
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    for text, status in ((chunked + b"1;" + b"x" * 1000000, b"400"), (chunked + b"0\r\n" + b"X: y\r\n" * 100000, b"431"),
                         (chunked + b"0\r\nX: " + b"y" * 1000000, b"400"), (HEAD + b"X: y\r\n" * 100000, b"431"),
                         (chunked + b"1;a=b\r\nx\r\n" * 100000 + b"0\r\n\r\n" + b"G /\r\n\r\n", b"200")):
        answer = answer_to(daemon, text)
        assert not answer or answer.startswith(b"HTTP/1.1 " + status), (text[:200], answer[:200])


def unread_answers(daemon):
    """Many requests, of which nobody takes the answers: they are not answered either, beyond what fits somewhere."""
    ask = {"health": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "refused": HEAD.replace(b"/v1/traces", b"/v1/logs") + b"Content-Length: 0\r\n\r\n",
           "stored": HEAD + b"Content-Length: 0\r\n\r\n"}
    for address in (daemon.http, daemon.api):
        for text in ask.values():
            clients = [dial(address) for _ in range(4)]
            for client in clients:
                client.settimeout(0.3)
                try:
                    for _ in range(200):
                        client.sendall(4000 * text)
                except OSError:
                    pass
            for client in clients:
                client.close()
    # Who reads later gets them all.
    with dial(daemon.http) as client:
        client.settimeout(1)
        sent = b""
        try:
            for _ in range(200):
                sent += ask["health"]
                client.sendall(1000 * ask["health"])
        except OSError:
            pass
        client.settimeout(60)
        client.setblocking(False)
        answers, deadline = b"", time.monotonic() + 60
        while len(answers) < 1 << 20 and time.monotonic() < deadline:
            try:
                answers += client.recv(1 << 16)
            except BlockingIOError:
                time.sleep(0.01)
    assert len(answers) >= 1 << 20 and answers.startswith(b"HTTP/1.1 200 ") and answers.count(b"HTTP/1.1 200 ") > 1000


def zstd_frames(count):
    """Frames of nothing; one that skips; one whose window is 2 GiB."""
    empty = struct.pack("<IBB", 0xFD2FB528, 0x20, 0) + b"\1\0\0"
    return {"empty": count * empty, "skipped": count * struct.pack("<II", 0x184D2A50, 0), "window": struct.pack("<IBB", 0xFD2FB528, 0, 0xa8) + b"\1\0\0"}


def packed_nothing(daemon):
    """Sixteen MiB of packed pieces, each of which is empty: they are gone through, or refused, within one request's time."""
    bodies = [("gzip", 50000 * gzip.compress(b"")), ("deflate", zlib.compress(b"") * 3), ("gzip", gzip.compress(b"")[:10] + b"\xff" * 1000),
              ("gzip", gzip.compress(b"\n" * 8)[:-4] + b"\xff\xff\xff\x7f")]
    bodies += [("zstd", body) for body in zstd_frames(100000).values()]
    for coding, body in bodies:
        head = HEAD + b"Connection: close\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (coding.encode(), len(body))
        answer = answer_to(daemon, head + body)
        assert re.match(rb"HTTP/1.1 (200|400|413) ", answer), (coding, body[:40], answer)
        assert (b"window" in answer) == (body == zstd_frames(1)["window"]), answer
        with Peer(daemon.grpc) as peer:
            if coding == "deflate":
                continue
            peer.large_call(1, message(body, 1), call_fields(grpc_encoding=coding))
            assert peer.finish(1).status()[1] in ("0", "8", "13"), (coding, body[:40], peer.answer(1).fields())


def field(number, body):
    length, head = len(body), b""
    while length >= 128:
        head, length = head + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + head + bytes([length]) + body


def wire_edges(daemon):
    """Protobuf at its edges: what is legal is stored, the rest is refused, nothing else happens."""
    one = request([one_span(7)]).SerializeToString()
    span = request([one_span(8)]).resource_spans[0].scope_spans[0].spans[0].SerializeToString()

    def of_span(extra):
        return field(1, field(2, field(2, span + extra)))

    deep = b"\x0b" * 2000000
    cases = ((one, "0"), (one + b"\xa2\x06\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", "0"),  # a length that is too long by nine bytes
             (one + b"\xa2\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "3"), (one + b"\xa0\x06" + b"\xff" * 9 + b"\x01", "0"),
             (one + b"\xa0\x06" + b"\xff" * 10 + b"\x01", "3"), (one + b"\x07", "3"), (one + b"\x06", "3"), (one + b"\x00\x00", "3"), (deep, "3"),
             (one + b"\x8b\x06\x8c\x06", "0"), (one + b"\x8b\x06", "3"), (one + b"\x8c\x06", "3"), (one + field(15, bytes(1000000)), "0"),
             (of_span(field(5, b"first") + field(5, b"last")), "0"), (of_span(1000 * (field(15, b"\x18\x01") + field(15, b"\x12\x01m"))), "0"),
             (of_span(b"\x38" + b"\x80" * 9 + b"\x01"), "0"), (of_span(b"\x3a\x05hello"), "0"), (of_span(b"\x31" + bytes(8)), "0"),
             (of_span(b"\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "0"), (field(1, field(2, field(2, b"\x0a\xff"))), "3"))
    with Peer(daemon.grpc) as peer:
        for i, (body, status) in enumerate(cases):
            peer.large_call(2 * i + 1, message(body), call_fields())
            assert peer.finish(2 * i + 1).status()[1] == status, (i, body[:60], peer.answer(2 * i + 1).fields())
    assert daemon.trace(trace_id(7)) and daemon.trace(trace_id(8))


def json_edges(daemon):
    def post(text):
        return answer_to(daemon, JSON_HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(text) + text)

    def number(name, value):
        return (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%032x","spanId":"%016x","name":"n","attributes":[{"key":"k","value":{"%s":%s}}]}]}]}]}'
                % (9, 9, name, value))

    wrong = []
    for name, value, status in (
            (b"intValue", b"1e1000000000", 400), (b"intValue", b"9223372036854775808", 200), (b"intValue", b"-9223372036854775808", 200),
            (b"intValue", b"1" * 100000, 400), (b"intValue", b'"' + b"9" * 100000 + b'"', 400), (b"intValue", b"0.0e-999999999", 200),
            (b"doubleValue", b"1e-1000000000", 200), (b"doubleValue", b"1e309", 400), (b"doubleValue", b"0." + b"1" * 100000, 400),
            (b"doubleValue", b"01", 400), (b"doubleValue", b"1.", 400), (b"doubleValue", b".5", 400), (b"doubleValue", b"0x1p3", 400),
            (b"doubleValue", b"+1", 400), (b"doubleValue", b"NaN", 400), (b"doubleValue", b"-0", 200), (b"boolValue", b"1", 400),
            (b"stringValue", b'"\\ud800"', 200), (b"stringValue", b'"\\u12"', 400), (b"stringValue", b'"\\x41"', 400), (b"stringValue", b'"\\u0000"', 200),
            (b"bytesValue", b'"***"', 400), (b"unknownValue", b"[" * 100 + b"]" * 100, 200)):
        if not post(number(name, value)).startswith(b"HTTP/1.1 %d " % status):
            wrong.append((name, value[:60], status))
    for text, status in ((b'{"a":' * 100000, 400), (b"[" * 1000000, 400), (b'{"resourceSpans":' + b"[" * 100000, 400),
                         (b'{"x":[' + b"[]," * 500000 + b"[]]}", 200), (b"{" + b",".join(b'"k%d":0' % i for i in range(200000)) + b"}", 200),
                         (b'{"resourceSpans":[' + b"{}," * 500000 + b"{}]}", 413), (b'{"resourceSpans":null,"resourceSpans":[],"resourceSpans":null}', 200),
                         (b'"' + b"x" * 1000000, 400), (b'{"' + b"\\u0061" * 100000 + b'":1}', 200), (b"\xff\xfe{\0}\0", 400)):
        if not post(text).startswith(b"HTTP/1.1 %d " % status):
            wrong.append((text[:60], status))
    assert not wrong, wrong


ON_BYTES = (half_calls_everywhere, smuggling, endless_requests, unread_answers, packed_nothing, wire_edges, json_edges)


def secure_client(daemon, folder, **options):
    context = ssl.create_default_context(cafile=os.path.join(folder, "ca.pem"))
    for key, value in options.items():
        setattr(context, key, value)
    return context.wrap_socket(dial(daemon.http), server_hostname="127.0.0.1")


def half_closed_tls(daemon, folder):
    """Says close_notify behind its request, and still gets the answer."""
    context = ssl.create_default_context(cafile=os.path.join(folder, "ca.pem"))
    context.set_alpn_protocols(["http/1.1"])
    with dial(daemon.http) as client:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")

        def until(step):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    client.sendall(outgoing.read())
                    piece = client.recv(65536)
                    assert piece, "closed before the answer"
                    incoming.write(piece)

        until(session.do_handshake)
        body = request([one_span(77)]).SerializeToString()
        session.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        try:
            session.unwrap()  # says good-bye, and would wait for theirs
        except ssl.SSLError:
            pass
        client.sendall(outgoing.read())
        records = 0
        while piece := client.recv(65536):
            records += len(piece)
        assert records > 150, records  # an answer, and not just good-bye
    assert daemon.trace(trace_id(77))


def renegotiation(daemon):
    """A client of TLS 1.2 that wants to begin anew, and one of 1.3 that changes keys without end."""
    if not shutil.which("openssl"):
        return
    for version, command in (("-tls1_2", "R\n"), ("-tls1_3", "k\n" * 300)):
        done = subprocess.run(["openssl", "s_client", version, "-connect", daemon.http], input=command, capture_output=True, text=True, timeout=PATIENCE_S)
        assert "CONNECTED" in done.stdout, done
        assert version != "-tls1_2" or "no renegotiation" in done.stderr or "RENEGOTIATING" in done.stdout + done.stderr, done


def half_tls(daemon, folder):
    """Handshakes that stop, records that lie, and a cut without good-bye in the middle of a request."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)
    waiting = [dial(daemon.http) for _ in range(30)]
    for i, client in enumerate(waiting):
        client.sendall(hello[:i + 1])
    for text in (b"\x16\x03\x01\xff\xff" + bytes(65535), b"\x17\x03\x03\x00\x10" + bytes(16), b"\x15\x03\x01\x00\x02\x02\x28", 2000 * b"\x16\x03\x01\x00\x00"):
        assert b"HTTP" not in answer_to(daemon, text)
    for _ in range(20):
        client = secure_client(daemon, folder)
        client.sendall(HEAD + b"Content-Length: 100\r\n\r\nabc")
        socket.socket.close(client)
    for client in waiting:
        client.settimeout(60)
        try:
            while client.recv(4096):
                pass
        except ConnectionResetError:
            pass
        client.close()


def over_tls():
    folder = temporary_folder()
    make_ca(folder, "ca")
    make_certificate(folder, "server", "ca")
    daemon = Daemon("--probe=off", "--first-byte-timeout-s=2", "--network-threads=2", f"--http-tls-cert={folder}/server.pem", f"--http-tls-key={folder}/server.key")
    half_closed_tls(daemon, folder)
    renegotiation(daemon)
    half_tls(daemon, folder)
    half_closed_tls(daemon, folder)
    assert len(daemon.lines) < 30, daemon.log()
    assert daemon.stop() == 0, daemon.log()


def main():
    daemon = Daemon("--probe=off", "--header-timeout-s=2", "--body-timeout-s=3", "--memory-limit-mib=128", environment={
        "ASAN_OPTIONS": "quarantine_size_mb=1:malloc_context_size=1"})
    good = GoodClient(daemon)
    for attack in ON_HTTP2:
        for address in (daemon.grpc, daemon.http):
            began = time.monotonic()
            with Peer(address) as peer:
                attack(peer)
            good.judge(attack, began)
    for attack in ON_BYTES:
        began = time.monotonic()
        attack(daemon)
        good.judge(attack, began)
    good.leave(60)
    over_tls()


run(main)
