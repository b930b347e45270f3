# SPDX-License-Identifier: Apache-2.0
"""Clients that mean harm or are broken, on both OTLP ports: each is got rid of by the limit that is there for it, a good
client is served all the while, memory stays bounded and the log short."""

import gzip
import http.client
import struct
import threading
import time

import hpack

from daemon import PATIENCE_S, Daemon, export, one_span, request, run, trace_id, wait_for
from frames import PREFACE, Peer, call_fields, frame, message
from good_client import HEAD, GoodClient, dial

SETTINGS = frame(4, 0, 0)
CROWD = 1500
PLACES = 200


def request_headers(path, content):
    return hpack.Encoder().encode([(":method", "POST"), (":path", path), (":scheme", "http"), (":authority", "x"),
                                   ("content-type", content)])


def is_closed(client):
    client.setblocking(False)
    try:
        while True:
            if not client.recv(65536):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def slow_ones(daemon):
    """What each says before it falls silent; all must be closed by a timeout."""
    half_headers = frame(1, 0, 1, request_headers("/v1/traces", "application/x-protobuf")[:10])
    said = {
        "nothing": b"", "half a preface": PREFACE[:9], "a preface": PREFACE, "half a line": HEAD[:10],
        "half a header": HEAD, "half a body": HEAD + b"Content-Length: 1000\r\n\r\nabc",
        "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\nabc",
        "half the headers": PREFACE + SETTINGS + half_headers, "empty lines": b"\r\n" * 20,
    }
    clients = {}
    for address in (daemon.grpc, daemon.http):
        for what, text in said.items():
            clients[address, what] = dial(address)
            clients[address, what].sendall(text)
    return clients


def dribble(daemon, text, closed):
    """A byte now and then: never silent for long, and never done."""
    client = dial(daemon.http)
    try:
        client.sendall(text)
        while not is_closed(client):
            client.setblocking(True)
            client.sendall(b"a")
            time.sleep(0.2)
    except OSError:
        pass
    closed.append(text)


def last_words(daemon, said):
    with dial(daemon.http) as client:
        client.sendall(said)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    return answer


def told_why(daemon):
    """An exporter drops what is answered 408; a body that got stuck may come again."""
    assert last_words(daemon, HEAD).startswith(b"HTTP/1.1 408 ")
    answer = last_words(daemon, HEAD + b"Content-Length: 1000\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 503 ") and b"\r\nRetry-After: 1\r\n" in answer, answer


def patience(daemon, good):
    clients = slow_ones(daemon)
    told_why(daemon)
    closed = []
    dribblers = [threading.Thread(target=dribble, args=(daemon, text, closed), daemon=True)
                 for text in (HEAD + b"X: ", HEAD + b"Content-Length: 100000\r\n\r\n")]
    for each in dribblers:
        each.start()
    good.has_sent_more()
    for what, client in clients.items():
        wait_for(lambda client=client: is_closed(client), f"the one to be closed who said {what}")
    for each in dribblers:
        each.join(timeout=PATIENCE_S)
    assert len(closed) == 2
    good.has_sent_more()


def crowd(daemon, good):
    """Idle connections, many more than there are places: whoever comes later takes a stranger's."""
    clients = []
    for i in range(CROWD):
        try:
            clients.append(dial((daemon.grpc, daemon.http)[i % 2]))
        except OSError:
            break
        if i % 100 == 0:
            good.has_sent_more()
    with daemon.channel() as channel:
        export(channel, request([one_span(1)]), wait_for_ready=True)
    assert daemon.trace(trace_id(1))
    assert daemon.metric("spanwise_receiver_connections_total", 'result="evicted"') > 0
    for client in clients:
        client.close()
    good.has_sent_more()


def zstd_bomb(blocks):
    """A frame of blocks that each repeat one byte 128 KiB long."""
    head = struct.pack("<IBB", 0xFD2FB528, 0, 0x58)
    block = ((128 << 10) << 3) | 1 << 1
    return head + b"".join(struct.pack("<I", block | (i == blocks - 1))[:3] + b"\n" for i in range(blocks))


def bombs(daemon, good):
    host, port = daemon.http.rsplit(":", 1)
    cases = [("gzip", gzip.compress(b"\n" * (64 << 20))), ("zstd", zstd_bomb(16000)),
             ("gzip", gzip.compress(b"\n" * (8 << 20), 9))]
    for coding, bomb in cases:
        clients = [http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S) for _ in range(8)]
        for client in clients:
            client.request("POST", "/v1/traces", bomb, {"Content-Type": "application/x-protobuf",
                                                        "Content-Encoding": coding})
        for client in clients:
            status = client.getresponse().status
            assert status == 413, (coding, len(bomb), status)
            client.close()
        with Peer(daemon.grpc) as peer:
            for stream in range(1, 17, 2):
                peer.large_call(stream, message(bomb, 1), call_fields(grpc_encoding=coding))
            for stream in range(1, 17, 2):
                assert peer.finish(stream).status() == ("200", "8"), (coding, peer.answer(stream).fields())
        good.has_sent_more()


def half_sent(daemon, good):
    """Bodies that are announced and begun on many connections at once: the budget refuses, nobody waits."""
    clients = []
    for _ in range(60):
        client = dial(daemon.http)
        client.sendall(HEAD + b"Content-Length: 4000000\r\n\r\n" + b"\n" * 900000)
        clients.append(client)
    good.has_sent_more()
    for client in clients:
        wait_for(lambda client=client: is_closed(client), "a half-sent body to be given up")
    good.has_sent_more()


def h2_crowd(daemon, good):
    """Streams opened and left open on plain HTTP/2, more than are allowed."""
    client = dial(daemon.http)
    block = request_headers("/v1/traces", "application/x-protobuf")
    client.sendall(PREFACE + SETTINGS + b"".join(frame(1, 4, 2 * i + 1, block) for i in range(3000)))
    good.has_sent_more()
    client.close()


def peers():
    daemon = Daemon("--probe=off", "--max-connections-per-peer=2", "--max-connection-age-s=2")
    first = [dial(daemon.grpc), dial(daemon.http)]
    third = dial(daemon.http)
    wait_for(lambda: is_closed(third), "the third of one peer to be closed")
    assert daemon.metric("spanwise_receiver_connections_total", 'result="peer_limit"') == 1
    first.pop(0).close()
    client = first.pop()
    client.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
    assert client.recv(1000).startswith(b"HTTP/1.1 200")
    wait_for(lambda: is_closed(client), "a connection to be asked to leave for its age")
    assert daemon.stop() == 0, daemon.log()


def main():
    daemon = Daemon("--probe=off", "--first-byte-timeout-s=3", "--header-timeout-s=3", "--body-timeout-s=3",
                    "--request-timeout-s=5", f"--max-connections={PLACES}", "--memory-limit-mib=128",
                    "--max-request-mib=8", environment={"ASAN_OPTIONS": "quarantine_size_mb=1:malloc_context_size=1"})
    good = GoodClient(daemon)
    for attack in (patience, crowd, bombs, half_sent, h2_crowd):
        began = time.monotonic()
        attack(daemon, good)
        good.judge(attack, began)
    good.leave(100)
    peers()


run(main)
