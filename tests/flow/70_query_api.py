# SPDX-License-Identifier: Apache-2.0
"""The query API is what its OpenAPI document says: valid by a published validator, complete, and every answer fits."""

import gzip
import json
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

from daemon import Daemon, export, request, run, trace_id, wait_for
from schema import description, fetch, fits

ROUTES = Path(__file__).parents[2] / "collector/query.def"
SECOND = 10**9


def message(now):
    """Forty spans of 1 to 40 ms, each its own trace; every tenth failed."""
    made = []
    for number in range(1, 41):
        name = "GET /a" if number % 2 else "GET /b"
        made.append((number.to_bytes(16, "big"), number.to_bytes(8, "big"), b"", name,
                     now - SECOND, now - SECOND + number * 10**6))
    whole = request(made, service="shop")
    for span in whole.resource_spans[0].scope_spans[0].spans[9::10]:
        span.status.code = 2
    return whole


def check_routes(document):
    routes = set(re.findall(r'^X\("([^"]+)"', ROUTES.read_text(), re.M))
    documented = {re.sub(r"\{[^}]*\}", "{}", path) for path in document["paths"]}
    own = {route for route in routes if route.startswith("/api/v1/")}
    assert own <= documented, f"not in openapi.json: {sorted(own - documented)}"
    assert documented <= routes, f"in openapi.json, but answered by nobody: {sorted(documented - routes)}"


def covered():
    """No more than 20,000 spans are read, and every answer says so."""
    daemon = Daemon("--probe=off", "--settle-ms=100")
    now = time.time_ns()
    with daemon.channel() as channel:
        for first in range(0, 21000, 1000):
            export(channel, request([((first + i + 1).to_bytes(16, "big"), (first + i + 1).to_bytes(8, "big"), b"", "GET /",
                                      now - SECOND, now - SECOND + 10**6) for i in range(1000)], service="many"))
    wait_for(lambda: daemon.get("/api/v1/operations")[1]["spans"] == 21000, "all spans to be in the rollups")
    some = {"spans": 20000, "of": 21000, "exact": True}
    assert daemon.get("/api/v1/waits?quantile=0")[1]["covered"] == {**some, "with_figures": 0}
    flame = daemon.get("/api/v1/flame?service=many")[1]
    assert flame["covered"] == some and "20000 read of 21000" in flame["title"], flame
    assert daemon.get("/api/v1/flame?service=many&quantile=0.5")[1]["covered"] == {"spans": 10500, "of": 10500, "exact": True}
    sides = daemon.get("/api/v1/compare?service=many&a=quantile%3D0.6&b=quantile%3D0.9")[1]
    assert sides["a"]["slowest"] == {"spans": 8400, "of": 8400, "exact": True}, sides
    assert daemon.stop() == 0, daemon.log()


def pages(daemon, now):
    """Spans that come in between two pages, of the very same start as well, neither repeat nor hide others."""
    def send(first, start):
        with daemon.channel() as channel:
            export(channel, request([(number.to_bytes(16, "big"), number.to_bytes(8, "big"), b"", "GET /page", start, start + 10**6)
                                     for number in range(first, first + 12)], service="pages"))

    send(2000, now - SECOND)
    for sort in "start", "wall":
        path, seen = f"/api/v1/spans?service=pages&limit=9&sort={sort}", []
        page = daemon.get(path)[1]
        before = {f"{number:016x}" for number in range(2000, 2012)}
        for first in range(3000, 9000, 1000):
            seen += [span["span_id"] for span in page["spans"]]
            if not page["next_cursor"]:
                break
            if first < 5000:
                send(first + (sort == "wall") * 10000, now - SECOND * (first % 2000 // 1000))
            page = daemon.get(f"{path}&cursor={page['next_cursor']}")[1]
        else:
            raise AssertionError(f"{sort}: no end of pages")
        assert len(seen) == len(set(seen)) and before <= set(seen), (sort, seen)


def cors():
    """Pages of the named origins may ask; others, and those that only claim our name, may not."""
    daemon = Daemon("--probe=off", "--api-cors-origins=https://a.example, https://b.example")
    ours, theirs = {"Origin": "https://b.example"}, {"Origin": "https://c.example"}
    status, headers, _ = fetch(daemon, "/api/v1/services", **ours)
    assert status == 200 and headers["Access-Control-Allow-Origin"] == "https://b.example", headers
    assert "Origin" in headers.get_all("Vary") and "etag" in headers["Access-Control-Expose-Headers"], headers
    assert fetch(daemon, "/api/v1/nothing", **ours)[1]["Access-Control-Allow-Origin"] == "https://b.example"
    status, headers, _ = fetch(daemon, "/api/v1/services", **theirs)
    assert status == 200 and "Access-Control-Allow-Origin" not in headers, headers

    wish = {"method": "OPTIONS", "Access-Control-Request-Method": "GET"}
    status, headers, body = fetch(daemon, "/api/v1/services", **ours, **wish)
    assert (status, body, headers["Content-Length"]) == (204, b"", None), (status, headers)
    assert headers["Access-Control-Allow-Origin"] == "https://b.example" and "GET" in headers["Access-Control-Allow-Methods"]
    assert "authorization" in headers["Access-Control-Allow-Headers"], headers
    status, headers, _ = fetch(daemon, "/api/v1/services", **theirs, **wish)
    assert status == 405 and "Access-Control-Allow-Origin" not in headers, headers
    assert fetch(daemon, "/api/v1/services", Host="a.example", **ours, **wish)[0] == 421
    assert daemon.stop() == 0, daemon.log()


def main():
    daemon = Daemon("--settle-ms=200")
    now = time.time_ns()
    with daemon.channel() as channel:
        export(channel, message(now))

    document = description(daemon)
    check_routes(document)

    def ask(path, query="", **ids):
        asked = path.format(**ids) + query
        return fits(document, path, fetch(daemon, asked))

    def operations():
        found = ask("/api/v1/operations", "?service=shop&from=-10m")
        return found if found["spans"] == 40 else None

    found = wait_for(operations, "all spans to be in the rollups")["operations"]
    assert {operation["name"] for operation in found} == {"GET /a", "GET /b"}, found
    even = next(operation for operation in found if operation["name"] == "GET /b")
    assert even["count"] == 20 and even["errors"] == 4, even
    # Nothing publishes tags here: these must not look like spans that wait.
    assert even["covered"] == 0 and even["ratio"] is None and even["shares"] is None, even
    assert abs(even["wall_ns"]["p50"] - 20e6) <= 20e6 / 128, even["wall_ns"]
    assert even["wall_ns"]["p50"] <= even["wall_ns"]["p90"] <= even["wall_ns"]["p99"] <= even["wall_ns"]["max"] == 40_000_000, even["wall_ns"]
    assert even["examples"]["slow"]["wall_ns"] == 40_000_000, even["examples"]

    slow = ask("/api/v1/waits", "?service=shop&quantile=0.9&from=-10m")
    assert slow["covered"] == {"spans": 4, "of": 4, "exact": True, "with_figures": 0}, slow
    # A time that cuts a minute: the share is that of the spans within, not of the minute.
    cut = ask("/api/v1/waits", f"?service=shop&quantile=0.75&from={now - SECOND}&to={now - SECOND + 1}")
    assert cut["covered"] == {"spans": 10, "of": 10, "exact": True, "with_figures": 0} and cut["threshold_ns"] == 31_000_000, cut
    none = ask("/api/v1/waits", f"?service=shop&quantile=0.75&from={now - SECOND + 1}&to={now}")
    assert none["covered"]["of"] == 0, none
    sides = ask("/api/v1/compare", "?service=shop&from=-10m&a=operation%3DGET%20/a&b=operation%3DGET%20/b")
    assert sides["a"]["count"] == 20 and sides["b"]["errors"] == 4, sides
    ask("/api/v1/compare", "?service=shop&a=quantile%3D0.5&b=quantile%3D0.95")

    page = ask("/api/v1/spans", "?service=shop&limit=7&min_wall_ms=10&grade=none")
    seen = [span["span_id"] for span in page["spans"]]
    while page["next_cursor"]:
        page = ask("/api/v1/spans", f"?service=shop&limit=7&min_wall_ms=10&grade=none&cursor={page['next_cursor']}")
        seen += [span["span_id"] for span in page["spans"]]
    assert len(seen) == len(set(seen)) == 31, seen
    for sort in "wall", "ratio", "blocked":
        path = f"?service=shop&limit=7&sort={sort}"
        page, seen = ask("/api/v1/spans", path), []
        while page["spans"]:
            seen += [span["span_id"] for span in page["spans"]]
            page = ask("/api/v1/spans", f"{path}&cursor={page['next_cursor']}") if page["next_cursor"] else {"spans": []}
        assert len(seen) == len(set(seen)) == 40, (sort, seen)
        if sort == "wall":
            assert seen == sorted(seen, reverse=True), seen
    trace = trace_id(7)
    assert [span["trace_id"] for span in ask("/api/v1/spans", f"?trace={trace[:31]}&sort=wall")["spans"]] == [
        trace_id(number) for number in range(15, 0, -1)]
    assert len(ask("/api/v1/spans", f"?trace={trace}")["spans"]) == 1
    assert ask("/api/v1/traces/{trace_id}", trace_id=trace)["settled"]
    ask("/api/v1/traces/{trace_id}", "?format=otlp", trace_id=trace)
    ask("/api/v1/traces/{trace_id}", trace_id="f" * 32)
    ask("/api/v1/traces/{trace_id}", trace_id="0")
    ask("/api/v1/spans/{trace_id}/{span_id}", "?timeline=1", trace_id=trace, span_id=f"{7:016x}")
    ask("/api/v1/services")
    ask("/api/v1/status")
    for wrong in ("?from=yesterday", "?limit=0", "?colour=red", "?from=-1m&to=-2m", "?cursor=1", "?service=", "?trace=12", "?trace=xyzw"):
        refused = ask("/api/v1/spans", wrong)
        assert refused["error"]["code"] == "bad_parameter", (wrong, refused)

    status, headers, body = fetch(daemon, "/api/v1/operations", **{"Accept-Encoding": "gzip"})
    assert status == 200 and headers["Content-Encoding"] == "gzip" and json.loads(gzip.decompress(body))
    assert fetch(daemon, "/api/v1/operations", **{"If-None-Match": headers["ETag"]})[0] == 304
    # No page of another origin may read it.
    assert not [name for name in headers if name.lower().startswith("access-control")], headers
    assert fetch(daemon, "/readyz")[0] == 200
    assert fetch(daemon, "/api/v1/nothing")[0] == 404
    pages(daemon, now)
    assert daemon.stop() == 0, daemon.log()
    cors()
    covered()


run(main)
