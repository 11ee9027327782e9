"""JSON that breaks decoders, for readings, MQTT requests and HTTP bodies."""

from __future__ import annotations

import json

#: Python raises ValueError when it converts an integer with more digits.
PYTHON_MAX_DIGITS = 4_300


def hostile_documents() -> dict[str, bytes]:
    """Return documents, by description, that no decoder should accept as a reading or a request."""
    digits = PYTHON_MAX_DIGITS + 1
    return {
        f"an integer of {digits:,} digits": b"1" * digits,
        f"readings of {digits:,} digits": b'{"readings": [1, %b]}' % (b"1" * digits),
        f"gap_kw of {digits:,} digits": b'{"ts": "2010-11-01T00:00:00Z", "gap_kw": %b}' % (b"9" * digits),
        f"ts of {digits:,} digits": b'{"ts": %b, "gap_kw": 1}' % (b"9" * digits),
        "an integer of 60,000 digits": b"-" + b"7" * 60_000,
        "readings of 60,000 digits": b'{"readings": [%b, 2]}' % (b"7" * 60_000),
        "arrays 100,000 deep": b"[" * 100_000,
        "closed arrays 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
        "objects 50,000 deep": b'{"a":' * 50_000,
        "readings 100,000 deep": b'{"readings": %b}' % (b"[" * 100_000 + b"]" * 100_000),
        "1e999": b'{"readings": [1e999, 1e999], "gap_kw": 1e999}',
        "-1e999": b"-1e999",
        "an exponent of 5,000 digits": b"1e" + b"9" * 5_000,
        "NaN": b'{"readings": [NaN, 1], "gap_kw": NaN}',
        "-Infinity": b"-Infinity",
        "invalid UTF-8": b'{"readings": [1, 2], "model": "\xff\xfe\xc0\x80"}',
        "UTF-16": '{"readings": [1, 2]}'.encode("utf-16"),
        "a lone surrogate": b'{"readings": [1, 2], "model": "\\ud800", "ts": "\\udfff"}',
        "NUL bytes": b"\x00" * 100,
        "a duplicate key": b'{"readings": [1, 2], "readings": ["a"], "gap_kw": 1, "gap_kw": "x"}',
        "a model name of 100 kB": b'{"readings": [1, 2], "model": "%b"}' % (b"a" * 100_000),
        "null": b"null",
        "an empty payload": b"",
        "a year of 40,000 digits": b'{"ts": "%b-01-01T00:00:00Z", "gap_kw": 1}' % (b"2" * 40_000),
        "a time in the year 0": b'{"ts": "0000-00-00T00:00:00+99:99", "gap_kw": 1}',
        "a ts of 1e308": b'{"ts": 1e308, "gap_kw": 1}',
        "a power of 1e308": b'{"ts": "2010-11-01T00:00:00Z", "gap_kw": 1e308}',
    }


def large_bodies(n_bytes: int) -> dict[str, bytes]:
    """Return bodies of ``n_bytes``, by description, that are much more expensive to validate than their size."""
    empty = b"{},"
    many = b'"a%06d":1,'
    return {
        "one readings list of numbers": b'{"readings":[%b1]}' % (b"1," * (n_bytes // 2)),
        "one readings list of empty objects": b'{"readings":[%b{}]}' % (empty * (n_bytes // len(empty))),
        "one readings list of empty arrays": b'{"readings":[%b[]]}' % (b"[]," * (n_bytes // 3)),
        "nested arrays": b'{"readings":%b}' % (b"[" * (n_bytes // 2) + b"]" * (n_bytes // 2)),
        "nested objects": b'{"a":' * (n_bytes // 6) + b"1" + b"}" * (n_bytes // 6),
        "one integer": b'{"readings":[1,%b]}' % (b"9" * n_bytes),
        "integers of 4,000 digits": b'{"readings":[%b1]}' % ((b"9" * 4_000 + b",") * (n_bytes // 4_001)),
        "unknown keys": b"{%b" % b"".join(many % index for index in range(n_bytes // 12)) + b'"readings":[1,2]}',
        "readings with unknown keys": json.dumps(
            {"readings": [{"ts": None, "gap_kw": "x", f"k{index}": index} for index in range(n_bytes // 50)]}
        ).encode(),
    }
