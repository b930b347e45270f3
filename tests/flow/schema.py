# SPDX-License-Identifier: Apache-2.0
"""Answers against the API's own description: what it calls for is there, and what is there it tells of."""

import json
import urllib.error
import urllib.request

from daemon import skip

try:
    import jsonschema
    import openapi_spec_validator
except ImportError:
    skip("build/venv has no openapi-spec-validator: run tests/run once")


def fetch(daemon, path, method="GET", **headers):
    asked = urllib.request.Request(f"http://{daemon.api}{path}", headers=headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def composed(schema):
    """Names of the components that others put together with members of their own."""
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    found = set().union(*map(composed, parts)) if parts else set()
    if isinstance(schema, dict):
        found |= {part["$ref"].rsplit("/", 1)[1] for part in schema.get("allOf", ()) if "$ref" in part}
    return found


def told_in_full(schema, open_ones, is_part=False):
    """The same, with no member allowed that it does not name."""
    if isinstance(schema, list):
        return [told_in_full(part, open_ones, is_part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    full = {key: told_in_full(part, open_ones, key == "allOf" or key in open_ones) for key, part in schema.items()}
    if full.get("type") == "object" and "properties" in full and not is_part and "allOf" not in full:
        full.setdefault("additionalProperties", False)
    return full


def description(daemon):
    document = json.loads(fetch(daemon, "/api/v1/openapi.json")[2])
    openapi_spec_validator.validate(document)
    return document


def fits(document, path, answered):
    """The answer's value; it must have the schema of the path's 200 or of its errors."""
    status, headers, body = answered
    answers = document["paths"][path]["get"]["responses"]
    assert str(status) in answers, (path, status, body)
    answer = answers[str(status)]
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rsplit("/", 1)[1]]
    schema = answer["content"][headers["Content-Type"].split(";")[0]]["schema"]
    value = json.loads(body)
    whole = dict(schema, components=document["components"])
    jsonschema.Draft202012Validator(told_in_full(whole, composed(whole))).validate(value)
    return value


def check_trace(daemon, document, trace_id):
    fits(document, "/api/v1/traces/{trace_id}", fetch(daemon, f"/api/v1/traces/{trace_id}?timeline=1"))
