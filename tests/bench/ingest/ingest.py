# SPDX-License-Identifier: Apache-2.0
"""What an acknowledged span costs the server: CPU ns, all its processes and threads together.

Batches of 512 spans with six attributes each, plain gRPC, fresh ids, eight in flight. `acknowledged`
counts until the last reply, so: receive, decode, store, commit; `settled` also the ledgers, which follow
when the traces settle, less what the idle daemon takes. Run it by `tests/bench/ingest/run`.
"""

import argparse
import sys
import time
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from daemon import RELEASE, Daemon  # noqa: E402
from span_source import EXPORT, SpanSource  # noqa: E402

IDLE_S, PATIENCE_S = 3, 60


def idle_cpu_share(daemon):
    start, cpu = time.monotonic(), daemon.cpu_ns()
    time.sleep(IDLE_S)
    return (daemon.cpu_ns() - cpu) / (time.monotonic() - start) / 1e9


def send(daemon, source, batches, in_flight):
    """Every batch is acknowledged when this returns. Returns how many were refused and sent again."""
    again = 0
    with grpc.insecure_channel(daemon.grpc) as channel:
        export = channel.unary_unary(EXPORT)
        pending = []
        for _ in range(batches):
            if len(pending) == in_flight:
                again += settle(export, *pending.pop(0))
            body = source.batch()
            pending.append((body, export.future(body, timeout=30)))
        for item in pending:
            again += settle(export, *item)
    return again


def settle(export, body, reply):
    try:
        reply.result()
        return 0
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.UNAVAILABLE:
            raise
        time.sleep(0.05)
        return 1 + settle(export, body, export.future(body, timeout=30))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=RELEASE)
    parser.add_argument("--batches", type=int, default=600)
    parser.add_argument("--spans", type=int, default=512, help="in each batch")
    parser.add_argument("--in-flight", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    source = SpanSource(arguments.spans)
    spans = arguments.batches * arguments.spans
    size = len(source.batch()) / arguments.spans
    print(f"{arguments.batches} batches of {arguments.spans} spans, {size:.0f} bytes a span on the wire")
    with Daemon(arguments.build) as daemon:
        send(daemon, source, 20, arguments.in_flight)  # warm: pages, pools, the first part
        for turn in range(arguments.rounds):
            wait_until_settled(daemon)
            idle = idle_cpu_share(daemon)
            start, cpu = time.monotonic(), daemon.cpu_ns()
            again = send(daemon, source, arguments.batches, arguments.in_flight)
            took, acknowledged = time.monotonic() - start, daemon.cpu_ns() - cpu
            wait_until_settled(daemon)
            settled = daemon.cpu_ns() - cpu - idle * (time.monotonic() - start) * 1e9
            print(f"round {turn + 1}: acknowledged {acknowledged / spans:6.0f} ns a span, settled {settled / spans:6.0f};"
                  f" {spans / took:,.0f} spans/s by this client, {again} batches sent again, idle {idle:.2%} of a CPU")


def wait_until_settled(daemon):
    deadline = time.monotonic() + PATIENCE_S
    while daemon.get("/api/v1/status")["correlator"]["traces_pending"] and time.monotonic() < deadline:
        time.sleep(0.5)


if __name__ == "__main__":
    main()
