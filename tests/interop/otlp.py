# SPDX-License-Identifier: Apache-2.0
"""Other people's OTLP software against `spanwise serve`. Run by tests/interop/otlp, which says what it needs.

    otlp.py BINARY [h2spec curl grpcurl ghz telemetrygen collector forwarding kills python go js java rust tokens tls]

Each check starts a daemon of its own, prints one line, and the run ends with 1 if one of them failed. What is not installed is built
into build/interop by the ordinary clients of the languages' registries; what cannot be built is said to be skipped.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc

from kit import BUILD, ROOT, Skipped, build, built, environment, run_checks, sh

os.environ["SPANWISE"] = str(Path(sys.argv[1]).resolve())
sys.path.insert(0, str(ROOT / "tests" / "flow"))
import certificates  # noqa: E402
import daemon as flow  # noqa: E402
import otelcol  # noqa: E402

TOKEN = "a-token-of-some-length-0123456789"
EXPORT = "opentelemetry.proto.collector.trace.v1.TraceService/Export"
GO_TOOLS = {
    "h2spec": "github.com/summerwind/h2spec/cmd/h2spec@latest",
    "grpcurl": "github.com/fullstorydev/grpcurl/cmd/grpcurl@latest",
    "ghz": "github.com/bojand/ghz/cmd/ghz@latest",
    "telemetrygen": "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@latest",
}
HEALTH = """syntax = "proto3"; package grpc.health.v1;
message HealthCheckRequest { string service = 1; }
message HealthCheckResponse { enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; SERVICE_UNKNOWN = 3; } ServingStatus status = 1; }
service Health { rpc Check(HealthCheckRequest) returns (HealthCheckResponse); rpc Watch(HealthCheckRequest) returns (stream HealthCheckResponse); }
"""


def go_tool(name):
    BUILD.mkdir(parents=True, exist_ok=True)
    if not (BUILD / name).exists():
        build("go", "install", GO_TOOLS[name], env=environment(GOBIN=str(BUILD), GOFLAGS="-buildvcs=false"))
    return BUILD / name


def collector():
    try:
        return otelcol.build()
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Skipped(str(error)) from error


def sdk(language, *commands):
    return built(f"otlp_sdk/{language}", language, *commands)


@contextlib.contextmanager
def flow_daemon(*arguments):
    daemon = flow.Daemon("--probe=off", "--settle-ms=200", *arguments)
    try:
        yield daemon
    finally:
        daemon.stop()


def attributes(item):
    return {entry["key"]: entry["value"] for entry in item.get("attributes", [])}


def check_trace(daemon, trace_id):
    """Every field that the programs of otlp_sdk set has arrived."""
    status, body = daemon.get(f"/api/v1/traces/{trace_id}?format=otlp")
    assert status == 200, (trace_id, status, body)
    spans, resources, scopes = {}, [], []
    for part in body["resourceSpans"]:
        resources.append(attributes(part["resource"]))
        for scope in part["scopeSpans"]:
            scopes.append(scope["scope"]["name"])
            spans.update((span["name"], span) for span in scope["spans"])
    assert resources[0]["service.name"] == {"stringValue": "interop"}, resources
    assert set(scopes) == {"interop"} and set(spans) == {"parent", "child"}, (scopes, set(spans))
    parent, child = spans["parent"], spans["child"]
    assert parent["kind"] == 2 and child["kind"] == 3
    assert child["parentSpanId"] == parent["spanId"] and child["traceId"] == trace_id
    found = attributes(parent)
    wanted = {"text": {"stringValue": "ü"}, "integer": {"intValue": "42"}, "double": {"doubleValue": 0.5}, "flag": {"boolValue": True},
              "list": {"arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": "b"}]}}}
    assert {key: found.get(key) for key in wanted} == wanted, found
    link = parent["links"][0]
    assert (link["traceId"], link["spanId"]) == ("0102030405060708090a0b0c0d0e0f10", "0102030405060708"), link
    assert child["events"][0]["name"] == "event" and attributes(child["events"][0])["n"] == {"intValue": "1"}
    assert child["status"] == {"message": "broken", "code": 2}, child["status"]
    assert int(parent["startTimeUnixNano"]) <= int(child["startTimeUnixNano"]) <= int(child["endTimeUnixNano"])


def sdk_environment(daemon, protocol, **more):
    endpoint = "http://" + (daemon.grpc if protocol == "grpc" else daemon.http)
    return environment(PROTOCOL=protocol, OTEL_SERVICE_NAME="interop", OTEL_EXPORTER_OTLP_INSECURE="true", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
                       OTEL_EXPORTER_OTLP_PROTOCOL={"grpc": "grpc", "json": "http/json"}.get(protocol, "http/protobuf"),
                       OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none", **more)


def check_sdk(daemon, command, protocols, **options):
    """Runs the program over each protocol, with and without gzip; returns what was tried."""
    tried = []
    for protocol in protocols:
        for name, more in ((protocol, {}), (protocol + "+gzip", {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"})):
            output = sh(*command, env=sdk_environment(daemon, protocol, **more), timeout=120, **options)
            trace_id = re.search(r"^[0-9a-f]{32}$", output, re.M)
            assert trace_id, output
            check_trace(daemon, trace_id[0])
            tried.append(name)
    return ", ".join(tried)


def accepted(daemon):
    return daemon.metric("spanwise_receiver_accepted_spans_total")


def h2spec(daemon):
    tool = go_tool("h2spec")
    host, port = daemon.http.rsplit(":", 1)
    output = sh(tool, "-h", host, "-p", port, "-P", "/healthz", "--strict", "-o", "3", ok=False)
    last = output.strip().splitlines()[-1]
    assert last.endswith(" 0 failed"), output[output.find("Failures"):]
    return last


def curl(daemon):
    """Each version of HTTP, a body that fits and one that does not, announced and in chunks."""
    if not shutil.which("curl"):
        raise Skipped("there is no curl")
    tried = []
    for version in ("--http1.0", "--http1.1", "--http2", "--http2-prior-knowledge"):
        for size, wanted in ((100, "200"), (1 << 20, "200"), (30 << 20, "413")):
            for more in ((), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect: 100-continue")):
                if more and version == "--http1.0":
                    continue
                found = sh("curl", "-s", "-m", "60", version, "-H", "Content-Type: application/json", *more, "--data-binary", "@-", "-o", "/dev/null",
                           "-w", "%{http_code}", f"http://{daemon.http}/v1/traces", input='{"resourceSpans":[]}' + " " * size)
                assert found == wanted, (version, size, more, found)
        tried.append(version.lstrip("-"))
    return "200 and 413 by " + ", ".join(tried)


def protoset(folder):
    from google.protobuf.descriptor_pb2 import FileDescriptorSet
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
    files, seen = FileDescriptorSet(), set()

    def add(file):
        if file.name not in seen:
            seen.add(file.name)
            for dependency in file.dependencies:
                add(dependency)
            file.CopyToProto(files.file.add())

    add(trace_service_pb2.DESCRIPTOR)
    path = Path(folder) / "otlp.protoset"
    path.write_bytes(files.SerializeToString())
    return path


REQUEST = {"resource_spans": [{"scope_spans": [{"spans": [{"trace_id": "AAECAwQFBgcICQoLDA0ODw==", "span_id": "AAECAwQFBgc=", "name": "x"}]}]}]}


def grpcurl(daemon):
    tool = go_tool("grpcurl")
    with tempfile.TemporaryDirectory() as folder:
        files = protoset(folder)
        (Path(folder) / "health.proto").write_text(HEALTH)
        health = ["-plaintext", "-import-path", folder, "-proto", "health.proto"]
        assert "SERVING" in sh(tool, *health, daemon.grpc, "grpc.health.v1.Health/Check")
        assert "NotFound" in sh(tool, *health, "-d", '{"service":"x"}', daemon.grpc, "grpc.health.v1.Health/Check", ok=False)
        assert "SERVING" in sh(tool, *health, "-max-time", "2", daemon.grpc, "grpc.health.v1.Health/Watch", ok=False)
        assert "does not support the reflection API" in sh(tool, "-plaintext", daemon.grpc, "list", ok=False)
        export = [tool, "-plaintext", "-protoset", files]
        answer = sh(*export, "-d", json.dumps(REQUEST), daemon.grpc, EXPORT)
        assert json.loads(answer) == {}, answer
        with flow_daemon("--grpc-reflection=on") as other:
            told = [tool, "-plaintext", other.grpc]
            assert EXPORT.split("/")[0] in sh(*told, "list").split(), "reflection lists the service"
            assert "start_time_unix_nano" in sh(*told, "describe", "opentelemetry.proto.trace.v1.Span")
            assert json.loads(sh(tool, "-plaintext", "-d", json.dumps(REQUEST), other.grpc, EXPORT)) == {}
            assert '"SERVING"' in sh(tool, "-plaintext", other.grpc, "grpc.health.v1.Health/List")
            assert not other.has_logged("was closed"), other.log()
        bad = json.loads(json.dumps(REQUEST))
        bad["resource_spans"][0]["scope_spans"][0]["spans"][0]["span_id"] = ""
        answer = json.loads(sh(*export, "-d", json.dumps(bad), daemon.grpc, EXPORT))
        assert answer["partial_success"]["rejected_spans"] == "1", answer
    return "health Check, List and Watch, Export, partial success; the same by reflection"


def ghz(daemon):
    tool = go_tool("ghz")
    with tempfile.TemporaryDirectory() as folder:
        output = sh(tool, "--insecure", "--protoset", protoset(folder), "--call", EXPORT.replace("/", "."), "-d", json.dumps(REQUEST), "-c", "50",
                    "-n", "20000", "-O", "json", daemon.grpc)
    report = json.loads(output)
    assert report["statusCodeDistribution"] == {"OK": 20000}, report["statusCodeDistribution"]
    return f"20000 requests, {report['rps']:.0f} a second, p99 {report['latencyDistribution'][-1]['latency'] / 1e6:.1f} ms"


def telemetrygen(daemon):
    tool = go_tool("telemetrygen")
    common = ["traces", "--otlp-insecure", "--traces", "500", "--workers", "2", "--rate", "0", "--child-spans", "2",
              "--batch=false"]  # batches overflow its queue, and it drops them
    sh(tool, *common, "--otlp-endpoint", daemon.grpc)
    grpc_spans = accepted(daemon)
    sh(tool, *common, "--otlp-http", "--otlp-endpoint", daemon.http)
    assert grpc_spans == 3000, grpc_spans
    http_spans = daemon.metric("spanwise_receiver_accepted_spans_total", "http") or accepted(daemon) - grpc_spans
    assert http_spans == 3000, http_spans
    return "3000 spans over gRPC, 3000 over HTTP"


COLLECTOR_GRPC, COLLECTOR_HTTP, OWN_GRPC = "127.0.0.1:24617", "127.0.0.1:24618", "127.0.0.1:24619"


@contextlib.contextmanager
def running_collector(exporter, where):
    """A Collector that takes OTLP on both its ports and sends it on by this exporter."""
    binary = collector()
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write(f"""
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "{COLLECTOR_GRPC}"}}, http: {{endpoint: "{COLLECTOR_HTTP}"}}}}}}}}
processors: {{batch: {{timeout: 100ms}}}}
exporters: {{{exporter}: {{endpoint: "{where}", tls: {{insecure: true}}}}}}
service: {{telemetry: {{metrics: {{level: none}}}}, pipelines: {{traces: {{receivers: [otlp], processors: [batch], exporters: [{exporter}]}}}}}}
""")
        config.flush()
        process = subprocess.Popen([binary, "--config", config.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def arrives(daemon, trace_id):
    flow.wait_for(lambda: daemon.trace(trace_id) and len(daemon.trace(trace_id)["spans"]) == 2, "the Collector's batch")
    check_trace(daemon, trace_id)


def through_collector(daemon):
    """An SDK sends to the Collector, which sends on to us, by both its exporters, with gzip."""
    tried = []
    for exporter, where in (("otlp", daemon.grpc), ("otlphttp", "http://" + daemon.http)):
        with running_collector(exporter, where):
            arrives(daemon, python_trace(COLLECTOR_GRPC))
            tried.append(exporter)
    return "gzip by " + ", ".join(tried)


def forwarding(daemon):
    """An SDK sends to us, we forward to a Collector, and what it received comes back to another daemon, field by field."""
    tried = []
    with running_collector("otlp", daemon.grpc):
        for scheme, where in (("grpc", COLLECTOR_GRPC), ("http", COLLECTOR_HTTP + "/v1/traces")):
            for gzip in ("on", "off"):
                with flow_daemon(f"--forward={scheme}://{where}", f"--forward-gzip={gzip}") as other:
                    arrives(daemon, python_trace(other.grpc))
                    assert not other.metric("spanwise_forward_dropped_spans_total"), other.get("/metrics")
                tried.append(scheme + ("+gzip" if gzip == "on" else ""))
    return "received by a Collector over " + ", ".join(tried)


def kills(daemon):
    """A Collector tries again what was not acknowledged: three times kill -9, and every span is there."""
    del daemon
    arguments, count = ("--probe=off", f"--grpc={OWN_GRPC}"), 3000
    target = flow.Daemon(*arguments)
    with running_collector("otlp", OWN_GRPC), grpc.insecure_channel(COLLECTOR_GRPC) as channel:
        for number in range(1, count + 1):
            flow.export(channel, flow.request([flow.one_span(number)]), wait_for_ready=True)
            if number % (count // 4) == 0 and number < count:
                target.kill()
                target = flow.Daemon(*arguments, data=target.data)
        flow.wait_for(lambda: target.status()["storage"]["spans"] >= count, "the Collector to be done")
    missing = [number for number in range(1, count + 1) if not target.trace(flow.trace_id(number))]
    assert not missing, missing
    assert target.stop() == 0, target.log()
    return f"{count} spans, each there"


def python_trace(endpoint):
    program = ROOT / "tests" / "interop" / "otlp_sdk" / "python" / "main.py"
    variables = environment(PROTOCOL="grpc", OTEL_EXPORTER_OTLP_ENDPOINT="http://" + endpoint, OTEL_EXPORTER_OTLP_INSECURE="true")
    deadline = time.monotonic() + 60
    while True:  # the Collector may not listen yet
        try:
            return sh(sys.executable, program, env=variables, timeout=120).strip().splitlines()[-1]
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


# How each SDK's program is built and run: (command, folder); over what, and over what with gzip too.
def python_program():
    return [sys.executable, ROOT / "tests" / "interop" / "otlp_sdk" / "python" / "main.py"], None


def go_program():
    folder = sdk("go", ["go", "mod", "tidy"], ["go", "build", "-o", "interop", "."])
    return [folder / "interop"], folder


def js_program():
    return ["node", "main.js"], sdk("js", ["npm", "install", "--silent", "--no-fund", "--no-audit"])


def java_program():
    folder = sdk("java", ["mvn", "-q", "-B", "package", "dependency:copy-dependencies"])
    return ["java", "-cp", "target/classes:target/dependency/*", "Main"], folder


def rust_program():
    folder = sdk("rust", ["cargo", "build", "--release"])
    return [folder / "target/release/spanwise-interop"], folder


SDKS = {"python": (python_program, ["grpc", "proto"]), "go": (go_program, ["grpc", "proto"]), "js": (js_program, ["grpc", "proto", "json"]),
        "java": (java_program, ["grpc", "proto"]), "rust": (rust_program, ["grpc", "proto", "json"])}


def sdk_check(name):
    def check(daemon):
        program, protocols = SDKS[name]
        command, folder = program()
        return check_sdk(daemon, command, protocols, cwd=folder)

    return check


def tokens(daemon):
    """Each exporter without a token, which it must not wait for, and with one."""
    del daemon
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokens"
        path.touch(mode=0o600)
        path.write_text(TOKEN + "\n")
        with flow_daemon(f"--grpc-tokens={path}", f"--http-tokens={path}") as guarded:
            for program, protocols in SDKS.values():
                command, where = program()
                for protocol in protocols:
                    before = accepted(guarded)
                    sh(*command, env=sdk_environment(guarded, protocol), cwd=where, ok=False, timeout=60)
                    assert accepted(guarded) == before, (command, protocol)
                    sh(*command, env=sdk_environment(guarded, protocol, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20" + TOKEN), cwd=where,
                       timeout=60)
                    assert accepted(guarded) == before + 2, (command, protocol)
    return "refused and taken: " + ", ".join(SDKS)


def tls(daemon):
    """Exporters over TLS, which choose their HTTP by ALPN, with a certificate of their own; and without it nothing comes in."""
    del daemon
    with tempfile.TemporaryDirectory() as folder:
        certificates.make_ca(folder, "ca")
        for name in ("server", "client"):
            certificates.make_certificate(folder, name, "ca")
        files = [f"--{port}-tls-{option}={folder}/server.{end}" for port in ("grpc", "http") for option, end in (("cert", "pem"), ("key", "key"))]
        own = {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": f"{folder}/client.pem", "OTEL_EXPORTER_OTLP_CLIENT_KEY": f"{folder}/client.key"}
        names = [name for name in SDKS if name != "rust"]  # ours is built without TLS
        files += [f"--{port}-tls-client-ca={folder}/ca.pem" for port in ("grpc", "http")]
        with flow_daemon(*files) as guarded:
            for name in names:
                program, _ = SDKS[name]
                command, where = program()
                for protocol in ("grpc", "proto"):
                    variables = sdk_environment(guarded, protocol, **own, NODE_EXTRA_CA_CERTS=f"{folder}/ca.pem",
                                                OTEL_EXPORTER_OTLP_CERTIFICATE=f"{folder}/ca.pem")
                    for key in ("OTEL_EXPORTER_OTLP_INSECURE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # the last two go before it in Python
                        variables.pop(key, None)
                    variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = variables["OTEL_EXPORTER_OTLP_ENDPOINT"].replace("http://127.0.0.1", "https://localhost")
                    before = accepted(guarded)
                    sh(*command, env=variables, cwd=where, timeout=60)
                    assert accepted(guarded) == before + 2, (name, protocol, guarded.log())
                    for key in own:
                        variables.pop(key)
                    sh(*command, env=variables, cwd=where, ok=False, timeout=60)
                    assert accepted(guarded) == before + 2, (name, protocol, "came in without a certificate")
    return "mTLS, by gRPC and HTTP: " + ", ".join(names)


CHECKS = {"h2spec": h2spec, "curl": curl, "grpcurl": grpcurl, "ghz": ghz, "telemetrygen": telemetrygen, "collector": through_collector,
          "forwarding": forwarding, "kills": kills, **{name: sdk_check(name) for name in SDKS}, "tokens": tokens, "tls": tls}
run_checks(CHECKS, sys.argv[2:], lambda: flow.Daemon("--probe=off", "--settle-ms=200"))
