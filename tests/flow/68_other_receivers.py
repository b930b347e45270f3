# SPDX-License-Identifier: Apache-2.0
"""Where other receivers were seen to fail, and what clients in the wild send: one bad thing takes nothing else along, what is wrong is
said in the right way, and what is kept is kept as sent. (Floods: 61, 66. Order of judging, statuses: 65, 46.)"""

import gzip
import http.client
import json

from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from daemon import PATIENCE_S, Daemon, one_span, request, run, trace_id
from frames import Peer, call_fields, message

JSON, PROTOBUF = "application/json", "application/x-protobuf"
numbers = iter(range(1, 1000000))


def post(daemon, body, content=JSON, **headers):
    """(status, body); what is a mistake of the client is never answered 5xx."""
    client = http.client.HTTPConnection(*daemon.http.rsplit(":", 1), timeout=PATIENCE_S)
    client.request("POST", "/v1/traces", body, {"Content-Type": content, **{name.replace("_", "-"): value for name, value in headers.items()}})
    answer = client.getresponse()
    result = answer.status, answer.read()
    client.close()
    assert result[0] < 500 and answer.headers["Content-Type"] == content, (body[:200], result)
    return result


def call(daemon, body):
    """(grpc-status, response)"""
    with Peer(daemon.grpc) as peer:
        peer.call(1, message(body))
        answer = peer.finish(1)
        return answer.status()[1], answer.data[5:]


def span(**members):
    number = next(numbers)
    return {"traceId": trace_id(number), "spanId": number.to_bytes(8, "big").hex(), "name": "x", "startTimeUnixNano": "1", "endTimeUnixNano": "2",
            **members}


def document(*spans, **members):
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}], **members}


def of(value):
    return [{"key": "k", "value": value}]


def stored(daemon, one):
    """The span as it comes back, or None."""
    status, body = daemon.get(f"/api/v1/traces/{one['traceId'].lower()}?format=otlp")
    return body["resourceSpans"][0]["scopeSpans"][0]["spans"][0] if status == 200 else None


def success_is_bare(daemon):
    assert call(daemon, request([one_span(next(numbers))]).SerializeToString()) == ("0", b"")
    assert call(daemon, b"") == ("0", b"")
    assert post(daemon, request([one_span(next(numbers))]).SerializeToString(), PROTOBUF) == (200, b"")
    assert post(daemon, json.dumps(document(span()))) == (200, b"{}")


def bad_spans(daemon):
    """Ids that are empty, zero, short or long, of the span, its parent, its links."""
    bad = ({"traceId": ""}, {"traceId": "00" * 16}, {"traceId": "01" * 15}, {"traceId": "01" * 17}, {"traceId": "zz" * 16}, {"spanId": ""},
           {"spanId": "00" * 8}, {"spanId": "01" * 7}, {"spanId": "01" * 9}, {"parentSpanId": "01" * 7}, {"parentSpanId": "01" * 16},
           {"links": [{"traceId": "01", "spanId": "01" * 8}]}, {"links": [{"traceId": "01" * 16, "spanId": "01" * 9}]})
    for members in bad:
        first, wrong, last = span(), span(**members), span()
        status, body = post(daemon, json.dumps(document(first, wrong, last)))
        answer = json.loads(body)["partialSuccess"]
        assert status == 200 and answer["rejectedSpans"] == "1" and "id" in answer["errorMessage"], (members, answer)
        assert stored(daemon, first) and stored(daemon, last), members
    for length, zero in ((0, False), (15, False), (17, False), (16, True)):
        wrong = (bytes(length) if zero else b"\1" * length, *one_span(next(numbers))[1:])
        status, response = call(daemon, request([wrong, one_span(next(numbers))]).SerializeToString())
        assert status == "0" and b"\x08\x01\x12" in response and b"trace id" in response, response
    for parent in ("", "00" * 8):  # a root
        assert post(daemon, json.dumps(document(span(parentSpanId=parent)))) == (200, b"{}")


def undecodable(daemon):
    for body in (b"\xff\xff", b"\x0a\x05\x01", b"\x0a\x02\x12\x05", b"{}", b"\x00"):
        assert call(daemon, body)[0] == "3", body
        assert post(daemon, body, PROTOBUF)[0] == 400, body


def json_that_is_refused(daemon):
    whole = json.dumps(document(span()))
    for body in (whole + "x", whole + whole, whole + ",", "\ufeff" + whole, "[" + whole + "]", "null", "", whole[:-1], whole.encode("utf-16"),
                 json.dumps(document(span(droppedAttributesCount=-1))), json.dumps(document(span(flags=2**32))),
                 json.dumps(document(span(name="a"))).replace('"a"', '"a\tb"'), json.dumps(document(span(events=[{"timeUnixNano": "-5"}]))),
                 json.dumps(document(span(attributes=of({"intValue": 1.5})))), json.dumps(document(span(attributes=of({"intValue": "1x"})))),
                 '{"a":' + "[" * 5000 + "]" * 5000 + "}"):
        status, answer = post(daemon, body if isinstance(body, bytes) else body.encode())
        assert status == 400 and json.loads(answer)["code"] == 3 and "at byte" in json.loads(answer)["message"], (body[:300], status, answer)
    assert post(daemon, whole + " \r\n\t") == (200, b"{}")


def json_that_is_taken(daemon):
    nothing = dict.fromkeys(("traceState", "parentSpanId", "kind", "attributes", "droppedAttributesCount", "events", "links", "status", "flags"))
    one = span(**nothing)
    assert post(daemon, json.dumps(document(one, unknown=[{"deep": None}]))) == (200, b"{}") and stored(daemon, one)
    for value, wanted in (({"bytesValue": "_-8="}, {"bytesValue": "/+8="}), ({"bytesValue": "_-8"}, {"bytesValue": "/+8="}),
                          ({"doubleValue": None}, {}), ({"doubleValue": "NaN"}, {"doubleValue": "NaN"}),
                          ({"doubleValue": "-Infinity"}, {"doubleValue": "-Infinity"}), ({"intValue": 5.0}, {"intValue": "5"}),
                          ({"intValue": 1e3}, {"intValue": "1000"}), ({"intValue": "-7"}, {"intValue": "-7"}),
                          ({"arrayValue": {"values": [None, {"boolValue": False}]}}, {"arrayValue": {"values": [{}, {"boolValue": False}]}})):
        one = span(attributes=of(value))
        assert post(daemon, json.dumps(document(one))) == (200, b"{}"), value
        assert stored(daemon, one)["attributes"][0].get("value", {}) == wanted, (value, stored(daemon, one))
    one = span(kind=4, startTimeUnixNano=1.5e18, flags="257")
    one["traceId"] = "ABCDEF" + one["traceId"][6:]
    assert post(daemon, json.dumps(document(one))) == (200, b"{}")
    assert {key: stored(daemon, one)[key] for key in ("kind", "startTimeUnixNano", "flags")} == {
        "kind": 4, "startTimeUnixNano": "1500000000000000000", "flags": 257}
    # Names are lowerCamelCase, and nothing else: an unknown member is passed over.
    one = span(start_time_unix_nano="77", trace_state="a=b")
    assert post(daemon, json.dumps(document(one))) == (200, b"{}")
    assert stored(daemon, one)["startTimeUnixNano"] == "1" and "traceState" not in stored(daemon, one)
    # A name that comes again: the last one counts, however often it does.
    one = span(attributes=of({"intValue": 1}))
    text = json.dumps(document(one)).replace('"attributes"', '"attributes": [{"key": "gone"}], "attributes"')
    again = ",".join(['"scopeSpans":[{"spans":[{"name":"gone"}]}]'] * 1000)
    assert post(daemon, text.replace('"scopeSpans"', again + ',"scopeSpans"')) == (200, b"{}") and stored(daemon, one)["attributes"] == of({"intValue": "1"})
    one = span()
    assert post(daemon, json.dumps({"resource_spans": document(one)["resourceSpans"]})) == (200, b"{}") and not stored(daemon, one)


def text_that_is_none(daemon):
    """Bytes that are not UTF-8 are mended, said, and harm nobody who reads."""
    one = span(name="A")
    status, answer = post(daemon, json.dumps(document(one)).encode().replace(b'"A"', b'"caf\xe9\xff"'))
    assert status == 200 and "mended" in json.loads(answer)["partialSuccess"]["errorMessage"], answer
    assert "rejectedSpans" not in json.loads(answer)["partialSuccess"] and stored(daemon, one)["name"] == "caf??"
    one = span(attributes=of({"stringValue": "B"}))
    status, answer = post(daemon, json.dumps(document(one)).replace('"B"', '"\\ud83d\\ude00 \\ude00"'))
    assert status == 200 and "mended" in json.loads(answer)["partialSuccess"]["errorMessage"], answer
    assert stored(daemon, one)["attributes"] == of({"stringValue": "\U0001f600 \ufffd"})
    number = next(numbers)
    body = request([one_span(number, "ABCD")]).SerializeToString().replace(b"ABCD", b"\xc3\x28\xed\xa0")
    status, response = call(daemon, body)
    assert status == "0" and b"mended" in response and not response.startswith(b"\x0a\x02\x08"), response
    assert daemon.trace(trace_id(number))["spans"][0]["name"] == "?(??"


def clients_in_the_wild(daemon):
    body = request([one_span(next(numbers))]).SerializeToString()
    with Peer(daemon.grpc) as peer:
        for stream, fields in ((1, {"te": None}), (3, {"x_bin": "AAEC,AAE=,_-8", "y_bin": ""}), (5, {"te": None, "content": "application/grpc+proto"})):
            peer.call(stream, message(body), **fields)
            assert peer.finish(stream).status() == ("200", "0"), fields
        peer.call(7, te="gzip")
        assert peer.finish(7).reset == 1
        peer.call(9, message(gzip.compress(body), 1), grpc_encoding="br")
        assert peer.finish(9).status() == ("200", "12") and "gzip" in peer.finish(9).fields()["grpc-accept-encoding"]
    for coding in ("gzip", "GZIP", "GZip"):
        assert post(daemon, gzip.compress(body), PROTOBUF, Content_Encoding=coding) == (200, b""), coding
    for content in (JSON + "; charset=utf-8", "Application/JSON"):
        client = http.client.HTTPConnection(*daemon.http.rsplit(":", 1), timeout=PATIENCE_S)
        client.request("POST", "/v1/traces", json.dumps(document(span())), {"Content-Type": content})
        assert client.getresponse().status == 200, content
        client.close()


def kept_as_sent(daemon):
    """Times that make no sense, links' trace state, schema urls, the order of events."""
    number = next(numbers)
    sent = request([(number.to_bytes(16, "big"), bytes([1 + i]) * 8, b"", f"s{i}", start, end)
                    for i, (start, end) in enumerate(((5, 5), (9, 3), (0, 0), (0, 7), (2**64 - 1, 1)))])
    part = sent.resource_spans[0]
    part.schema_url, part.scope_spans[0].schema_url = "https://r", "https://s"
    first = part.scope_spans[0].spans[0]
    first.links.add(trace_id=b"\7" * 16, span_id=b"\7" * 8, trace_state="a=1,b=2", flags=0x301)
    for name in "cab":
        first.events.add(name=name, time_unix_nano=ord(name))
    assert call(daemon, sent.SerializeToString()) == ("0", b"")
    client = http.client.HTTPConnection(*daemon.api.rsplit(":", 1), timeout=PATIENCE_S)
    client.request("GET", f"/api/v1/traces/{trace_id(number)}?format=otlp", headers={"Accept": PROTOBUF})
    back = TracesData.FromString(client.getresponse().read())
    client.close()
    found = {}
    for part in back.resource_spans:
        assert part.schema_url == "https://r" and part.scope_spans[0].schema_url == "https://s"
        found.update((one.name, one) for scope in part.scope_spans for one in scope.spans)
    assert found == {one.name: one for one in sent.resource_spans[0].scope_spans[0].spans}, found
    assert daemon.metric("spanwise_receiver_clamped_spans_total") >= 2


def main():
    daemon = Daemon("--probe=off", "--settle-ms=200")
    for part in (success_is_bare, bad_spans, undecodable, json_that_is_refused, json_that_is_taken, text_that_is_none, clients_in_the_wild,
                 kept_as_sent):
        part(daemon)
    assert len(daemon.lines) < 30, daemon.log()
    assert daemon.stop() == 0, daemon.log()


run(main)
