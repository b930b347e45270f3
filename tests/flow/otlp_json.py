# SPDX-License-Identifier: Apache-2.0
"""OTLP/JSON as the official classes read it."""

import base64
import json

from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData


def from_otlp_json(text):
    """It has ids in hex where protobuf's own JSON has base64."""
    def convert(value):
        if isinstance(value, dict):
            return {key: base64.b64encode(bytes.fromhex(item)).decode() if key in ("traceId", "spanId", "parentSpanId") else convert(item)
                    for key, item in value.items()}
        return [convert(item) for item in value] if isinstance(value, list) else value

    return json_format.ParseDict(convert(json.loads(text)), TracesData(), max_recursion_depth=200)
