# SPDX-License-Identifier: Apache-2.0
"""Who may connect: TLS, client certificates, bearer tokens and unix sockets on every listener; certificates and tokens
are read again while the daemon serves; what does not fit together is said at the start."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess

import grpc

from certificates import make_ca, make_certificate
from daemon import BINARY, PATIENCE_S, Daemon, expect_error, export, one_span, request, run, temporary_folder, wait_for

FOLDER = temporary_folder()
TOKENS = ["first-token-0123456789", "second-token-0123456789"]


def path(name):
    return os.path.join(FOLDER, name)


def write(name, text, mode=0o600):
    with open(path(name + ".new"), "w") as file:
        file.write(text)
    os.chmod(path(name + ".new"), mode)
    os.rename(path(name + ".new"), path(name))
    return path(name)


def read(name):
    with open(path(name), "rb") as file:
        return file.read()


def guards(listener, client_ca=None, tokens=None):
    options = [f"--{listener}-tls-cert={path('server.pem')}", f"--{listener}-tls-key={path('server.key')}"]
    options += [f"--{listener}-tls-client-ca={path(client_ca)}"] if client_ca else []
    return options + ([f"--{listener}-tokens={tokens}"] if tokens else [])


def tls(ca="ca.pem", client=None, alpn=None, **options):
    context = ssl.create_default_context(cafile=path(ca))
    if client:
        context.load_cert_chain(path(client + ".pem"), path(client + ".key"))
    if alpn:
        context.set_alpn_protocols(alpn)
    for key, value in options.items():
        setattr(context, key, value)
    return context


def dial(address, context):
    host, port = address.rsplit(":", 1)
    return context.wrap_socket(socket.create_connection((host, int(port)), timeout=PATIENCE_S), server_hostname=host)


def ask(address, method, target, body=None, token=None, context=None, content="application/x-protobuf"):
    host, port = address.rsplit(":", 1)
    if context:
        client = http.client.HTTPSConnection(host, int(port), timeout=PATIENCE_S, context=context)
    else:
        client = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
    headers = {"Content-Type": content, **({"Authorization": "Bearer " + token} if token else {})}
    client.request(method, target, body, headers)
    answer = client.getresponse()
    status = answer.status, answer.read()
    client.close()
    return status


def body_of(number):
    return request([one_span(number)]).SerializeToString()


def grpc_over_tls(daemon, number, client=None, token=None):
    credentials = grpc.ssl_channel_credentials(
        read("ca.pem"), read(client + ".key") if client else None, read(client + ".pem") if client else None)
    with grpc.secure_channel(daemon.grpc, credentials, [("grpc.enable_retries", 0)]) as channel:
        metadata = [("authorization", "Bearer " + token)] if token else []
        return export(channel, request([one_span(number)]), metadata=metadata)


def serial(address, context):
    with dial(address, context) as client:
        return client.getpeercert()["serialNumber"]


def everything(tokens):
    """gRPC with mTLS, HTTP with TLS and tokens, the API with TLS and tokens; certificates and tokens are read again for all threads."""
    daemon = Daemon("--probe=off", "--network-threads=3", *guards("grpc", client_ca="ca.pem"), *guards("http", tokens=tokens),
                    *guards("api", tokens=tokens))
    grpc_over_tls(daemon, 1, client="client")
    for client in (None, "stranger"):
        expect_error(grpc.StatusCode.UNAVAILABLE, lambda client=client: grpc_over_tls(daemon, 2, client=client))
    for token, status in ((TOKENS[0], 200), (None, 401), ("wrong-token-0123456789", 401), (TOKENS[0][:-1], 401)):
        got, body = ask(daemon.http, "POST", "/v1/traces", body_of(3), token, tls())
        assert got == status, (token, got)
    got, body = ask(daemon.http, "POST", "/v1/traces", b"{}", None, tls(), "application/json")
    assert (got, json.loads(body)["code"]) == (401, 16), body
    assert ask(daemon.api, "GET", "/api/v1/status", None, None, tls())[0] == 401
    assert ask(daemon.api, "GET", "/healthz", None, None, tls())[0] == 200
    got, body = ask(daemon.api, "GET", "/api/v1/status", None, TOKENS[0], tls())
    assert got == 200 and json.loads(body)["storage"]["spans"] == 2, body

    with dial(daemon.http, tls(alpn=["h2", "http/1.1"])) as client:
        assert client.selected_alpn_protocol() == "h2" and client.version() == "TLSv1.3"
    with dial(daemon.http, tls(alpn=["http/1.1"])) as client:
        assert client.selected_alpn_protocol() == "http/1.1"
    old = tls(maximum_version=ssl.TLSVersion.TLSv1_2)
    with dial(daemon.http, old) as client:
        assert client.version() == "TLSv1.2"
    for broken in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05" + b"\xff" * 5):
        with socket.create_connection(daemon.http.rsplit(":", 1), timeout=PATIENCE_S) as client:
            client.sendall(broken)
            while client.recv(4096):
                pass

    before = serial(daemon.http, tls())
    make_certificate(FOLDER, "server", "ca")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: serial(daemon.http, tls()) != before, "the new certificate")
    grpc_over_tls(daemon, 4, client="client")
    write("tokens", TOKENS[1] + "\n")
    wait_for(lambda: ask(daemon.http, "POST", "/v1/traces", body_of(5), TOKENS[0], tls())[0] == 401,
             "the old token to be worth nothing")
    assert ask(daemon.http, "POST", "/v1/traces", body_of(5), TOKENS[1], tls())[0] == 200
    write("server.key", "no key")
    wait_for(lambda: daemon.has_logged("are not used, the old ones stay"), "a complaint about the key")
    assert serial(daemon.http, tls())
    assert daemon.stop() == 0, daemon.log()


def tokens_alone(tokens):
    daemon = Daemon("--probe=off", "--grpc-tokens=" + tokens, "--http-tokens=" + tokens)
    message = request([one_span(1)])
    with daemon.channel() as channel:
        expect_error(grpc.StatusCode.UNAUTHENTICATED, lambda: export(channel, message))
        export(channel, message, metadata=[("authorization", "bearer " + TOKENS[1])])
    assert ask(daemon.http, "POST", "/v1/traces", body_of(2), TOKENS[1])[0] == 200
    assert ask(daemon.http, "POST", "/v1/traces", body_of(2))[0] == 401
    assert daemon.stop() == 0, daemon.log()


def unix_sockets():
    names = {name: "unix:" + path(name + ".sock") for name in ("grpc", "http", "api")}
    left_behind = socket.socket(socket.AF_UNIX)
    left_behind.bind(path("grpc.sock"))
    left_behind.close()
    daemon = Daemon("--probe=off", *(f"--{name}={address}" for name, address in names.items()))
    assert (daemon.grpc, daemon.http, daemon.api) == tuple(names.values())
    with grpc.insecure_channel(names["grpc"], [("grpc.default_authority", "localhost")]) as channel:
        export(channel, request([one_span(1)]))
    body = body_of(2)
    for name, target in (("http", b"POST /v1/traces"), ("api", b"GET /api/v1/status")):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60)
            client.connect(path(name + ".sock"))
            client.sendall(target + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nConnection: close"
                           b"\r\nContent-Length: %d\r\n\r\n" % (len(body) if name == "http" else 0))
            client.sendall(body if name == "http" else b"")
            answer = b""
            while piece := client.recv(65536):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 200 OK"), answer
    status = subprocess.run([BINARY, "status", "--api", names["api"]], capture_output=True, text=True)
    assert status.returncode == 0 and names["grpc"] in json.dumps(json.loads(answer.split(b"\r\n\r\n", 1)[1])), status
    assert daemon.stop() == 0, daemon.log()
    assert not any(os.path.exists(path(name + ".sock")) for name in names)


def refusals():
    def check(*arguments):
        done = subprocess.run([BINARY, "serve", "--probe=off", "--data=" + path("unused"), *arguments],
                              capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode != 0, arguments
        return done.stderr

    make_certificate(FOLDER, "server", "ca")
    assert "grpc_tokens" in check("--grpc=0.0.0.0:0")
    assert "without encryption" in check("--api=0.0.0.0:0")
    assert "one without the other" in check("--http-tls-cert=" + path("server.pem"))
    assert "needs http_tls_cert" in check("--http-tls-client-ca=" + path("ca.pem"))
    assert "No such file" in check("--grpc=0.0.0.0:0", "--grpc-tokens=" + path("missing"))
    assert "does not belong" in check("--http-tls-cert=" + path("server.pem"), "--http-tls-key=" + path("client.key"))
    assert "cannot be used" in check("--http-tls-cert=" + path("server.key"), "--http-tls-key=" + path("server.key"))
    assert "can be guessed" in check("--http-tokens=" + write("short", "hello\n"))
    assert "everybody can read" in check("--http-tokens=" + write("open", TOKENS[0], 0o644))
    assert "no token" in check("--http-tokens=" + write("none", "# none\n"))


def main():
    make_ca(FOLDER, "ca")
    make_ca(FOLDER, "other")
    make_certificate(FOLDER, "server", "ca")
    make_certificate(FOLDER, "client", "ca")
    make_certificate(FOLDER, "stranger", "other")
    everything(write("tokens", "# ours\n" + "\n".join(TOKENS) + "\n"))
    tokens_alone(write("tokens", "\n".join(TOKENS)))
    unix_sockets()
    refusals()


run(main)
