# SPDX-License-Identifier: Apache-2.0
"""A small report service: Flask, the official OpenTelemetry SDK, PostgreSQL.

GET /report is the reference case: about 38 ms of Python, 540 ms of waiting for a query, 18 ms for a
lock. The other operations differ in where their time goes. Needs DATABASE_URL; spans go where
OTEL_EXPORTER_OTLP_ENDPOINT says. Prints `ready port=N` and stops on SIGTERM.
"""

import contextvars
import hashlib
import json
import os
import random
import signal
import tempfile
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import flask
import spanwise_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from werkzeug.serving import WSGIRequestHandler, make_server

import database

REPORT_QUERY_S, REPORT_PYTHON_S, PRICES_LOCKED_S = 0.540, 0.038, 0.036

app = flask.Flask("report-demo")
tracer = trace.get_tracer("report-demo")
prices_lock = threading.Lock()
pool = ThreadPoolExecutor(8, thread_name_prefix="fanout")
stopping = threading.Event()


def set_up_tracing():
    spanwise_context.install()
    provider = TracerProvider(resource=Resource.create({"service.name": "report-demo"}))
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(insecure=True), schedule_delay_millis=1000)
    )
    trace.set_tracer_provider(provider)
    return provider


def operation(method, path):
    """A route whose requests each have a server span."""

    def wrap(handle):
        def with_span(**arguments):
            with tracer.start_as_current_span(
                f"{method} {path}",
                kind=trace.SpanKind.SERVER,
                attributes={"http.request.method": method, "http.route": path},
            ):
                return handle(**arguments)

        app.add_url_rule(path, f"{method} {path}", with_span, methods=[method])
        return handle

    return wrap


def serialize(rows):
    """JSON and a checksum of it, as often as the size of a report asks for."""
    with tracer.start_as_current_span("serialize"):
        for _ in range(app.config["SERIALIZE_TURNS"]):
            text = json.dumps([dict(zip(("customer", "count", "sum", "note"), row)) for row in rows])
        return text


def current_prices():
    """Waits while the background job has the prices locked."""
    with tracer.start_as_current_span("prices lock"):
        with prices_lock:
            return random.random()


@operation("GET", "/report")
def report():
    factor = current_prices()
    rows = db.query("SELECT report", database.REPORT, app.config["REPORT_ROWS"])
    body = serialize(rows)
    return flask.Response(body, mimetype="application/json", headers={"X-Factor": f"{factor:.3f}"})


@operation("GET", "/items")
def items():
    first = random.randrange(database.ITEMS)
    rows = db.query("SELECT items", "SELECT * FROM items WHERE id BETWEEN %s AND %s", first, first + 20)
    return flask.jsonify(rows)


@operation("POST", "/order")
def order():
    """Few items are popular: their rows are locked by one order at a time."""
    item = random.randrange(1, database.HOT_ITEMS + 1)
    with db.transaction() as run:
        run("SELECT stock FOR UPDATE", "SELECT stock FROM items WHERE id = %s FOR UPDATE", item)
        run("SELECT fraud score", database.REPORT, 4000)
        run("UPDATE stock", "UPDATE items SET stock = stock - 1 WHERE id = %s", item)
    return flask.jsonify(item=item), 201


@operation("GET", "/thumbnail")
def thumbnail():
    """Scales a grey image of 960 x 720 down by four, in Python: CPU and nothing else."""
    width, height, scale = 960, 720, 4
    seed = hashlib.sha256(os.urandom(8)).digest()
    image = seed * (width * height // len(seed))
    with tracer.start_as_current_span("scale"):
        small = bytearray()
        for top in range(0, height, scale):
            lines = [image[(top + y) * width : (top + y + 1) * width] for y in range(scale)]
            for left in range(0, width, scale):
                small.append(sum(sum(line[left : left + scale]) for line in lines) // scale**2)
    with tracer.start_as_current_span("compress"):
        return flask.Response(zlib.compress(bytes(small), 9), mimetype="application/octet-stream")


@operation("GET", "/fanout")
def fanout():
    """Four queries at once, on four threads that carry this request's span."""

    def part(number):
        with tracer.start_as_current_span(f"shard {number}"):
            return db.query("SELECT shard", database.REPORT, 4000 * (number + 1))

    contexts = [contextvars.copy_context() for _ in range(4)]
    parts = [pool.submit(context.run, part, number) for number, context in enumerate(contexts)]
    return flask.jsonify(sum(len(part.result()) for part in parts))


@operation("POST", "/archive")
def archive():
    """Writes to the disk and waits until it is there."""
    with tempfile.TemporaryFile(dir=os.environ.get("ARCHIVE_DIR")) as file:
        with tracer.start_as_current_span("write and sync"):
            file.write(os.urandom(1 << 20))
            file.flush()
            os.fsync(file.fileno())
    return "", 204


def refresh_prices():
    """The background job: most of the time it has the prices locked, while it waits for the database."""
    while not stopping.wait(0.1):
        with tracer.start_as_current_span("job refresh prices", kind=trace.SpanKind.INTERNAL):
            for _ in range(20):
                with prices_lock:
                    db.query("SELECT prices", "SELECT price, pg_sleep(%s) FROM items WHERE id = 1",
                             PRICES_LOCKED_S)
                time.sleep(0.002)


def calibrate():
    """Sizes the report so that it takes here what it takes in the reference case."""
    app.config["REPORT_ROWS"] = db.rows_for(REPORT_QUERY_S)
    rows = db.query("SELECT report", database.REPORT, app.config["REPORT_ROWS"])
    app.config["SERIALIZE_TURNS"] = 20
    start = time.thread_time()
    serialize(rows)
    app.config["SERIALIZE_TURNS"] = max(1, round(20 * REPORT_PYTHON_S / (time.thread_time() - start)))


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_):
        pass


def main():
    global db
    db = database.from_environment()
    db.create()
    calibrate()
    provider = set_up_tracing()
    server = make_server("127.0.0.1", int(os.environ.get("PORT", "0")), app, threaded=True, request_handler=Quiet)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    job = threading.Thread(target=refresh_prices, name="refresh-prices")
    job.start()
    print(f"ready port={server.port}", flush=True)
    server.serve_forever()
    stopping.set()
    job.join()
    provider.shutdown()


if __name__ == "__main__":
    main()
