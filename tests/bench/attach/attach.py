# SPDX-License-Identifier: Apache-2.0
"""What the Python writer adds: ns per attach + detach, per start_as_current_span (of a span that is recorded, and of one
that the sampler drops) and per switch of contextvars context (an asyncio callback), against the SDK alone. Least and
median of interleaved rounds, each in a fresh interpreter."""

import statistics
import subprocess
import sys

ROUNDS = 9
CASES = ("attach + detach", "start_as_current_span", "the same, dropped", "context switch")


def measure(with_writer):
    import contextvars
    import timeit

    if with_writer:
        import spanwise_context

        spanwise_context.install()
    from opentelemetry import context, trace
    from opentelemetry.sdk.trace import TracerProvider, sampling

    tracer = TracerProvider().get_tracer("bench")
    silent = TracerProvider(sampler=sampling.ALWAYS_OFF).get_tracer("bench")
    span = tracer.start_span("bench")
    with_span = trace.set_span_in_context(span)
    attach, detach = context.attach, context.detach

    def attach_detach():
        detach(attach(with_span))

    def whole_span():
        with tracer.start_as_current_span("bench"):
            pass

    def dropped_span():
        with silent.start_as_current_span("bench"):
            pass

    token = attach(with_span)
    captured = contextvars.copy_context()
    detach(token)

    def switch():
        captured.run(int)

    for call in (attach_detach, whole_span, dropped_span, switch):
        turns = 20000
        print(min(timeit.repeat(call, number=turns, repeat=7)) / turns * 1e9)


def main():
    if len(sys.argv) > 1:
        measure(sys.argv[1] == "with")
        return
    costs = {"with": [], "without": []}
    for _ in range(ROUNDS):
        for way, results in costs.items():
            out = subprocess.run([sys.executable, __file__, way], check=True, capture_output=True, text=True)
            results.append([float(line) for line in out.stdout.split()])
    print(f"Python {sys.version.split()[0]}, ns       SDK alone   added: least   median")
    for column, case in enumerate(CASES):
        alone = [row[column] for row in costs["without"]]
        added = [w[column] - a for w, a in zip((row for row in costs["with"]), alone)]
        print(f"{case:24}{min(alone):12.0f}{min(r[column] for r in costs['with']) - min(alone):15.0f}"
              f"{statistics.median(added):9.0f}")


if __name__ == "__main__":
    main()
