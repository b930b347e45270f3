# SPDX-License-Identifier: Apache-2.0
"""Requests of many spans with names of their own, encoded by hand: the messages' classes would take longer than the daemon."""

import struct
import time

NOW = time.time_ns()


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def attribute(key, value):
    return field(1, key) + field(2, field(1, value))


def span(number, name, *attributes):
    times = struct.pack("<BQBQ", 7 << 3 | 1, NOW, 8 << 3 | 1, NOW + 1_000_000)
    return field(2, field(1, number.to_bytes(16, "big")) + field(2, number.to_bytes(8, "big")) + field(5, name) + times
                 + b"".join(field(9, one) for one in attributes))


def resource(service, spans):
    return field(1, field(1, field(1, attribute(b"service.name", service))) + field(2, spans))


def operations(numbers):
    return resource(b"many-operations", b"".join(span(n, b"GET /item/%d" % n) for n in numbers))


def keys(numbers):
    return resource(b"many-keys", b"".join(span(n, b"GET /", attribute(b"key.%d" % n, b"x")) for n in numbers))


def services(numbers):
    return b"".join(resource(b"service-%d" % n, span(n, b"GET /")) for n in numbers)
