"""Attacks by the content of HTTP requests: bodies, ambiguous request heads, and cross-origin pages."""

from __future__ import annotations

import threading
from urllib.parse import quote

from bench.attacks.attack import Attack, AttackReport, Victim
from bench.attacks.http_wire import Answer, request_bytes, send_request
from bench.attacks.json_bodies import hostile_documents, large_bodies

_JSON = {"Content-Type": "application/json"}
_BODY_BYTES = 250_000
_INFER = "/v2/models/lstm/infer"
_EVIL = "http://evil.example"


def _is_client_error(answer: Answer) -> bool:
    return 400 <= answer.status < 500


def _check_rejected(report: AttackReport, answers: dict[str, Answer]) -> AttackReport:
    """Report each answer that is not a 4xx; closing the connection without an answer counts as a rejection."""
    for name, answer in answers.items():
        if answer.status and not _is_client_error(answer):
            report.problems.append(f"{name}: answered {answer.status}")
    return report


def post_tensor_lists(victim: Victim) -> AttackReport:
    """Post 2 MB of empty inputs, outputs and nested data, several at a time."""
    n_items = 2_000_000 // 3
    bodies = {
        "inputs": b'{"inputs":[%b{}]}' % (b"{}," * n_items),
        "outputs": b'{"inputs":[],"outputs":[%b{}]}' % (b"{}," * n_items),
        "nested data": b'{"inputs":[{"name":"window","datatype":"FP32","shape":[1,180,3],"data":%b}]}'
        % (b"[" * 500_000 + b"]" * 500_000),
        "shape": b'{"inputs":[{"name":"window","datatype":"FP32","shape":[%b1],"data":[1]}]}' % (b"1," * 500_000),
        "huge shape": b'{"inputs":[{"name":"window","datatype":"FP32","shape":[%b,180,3],"data":[1]}]}'
        % (b"9" * 4_301),
    }
    answers: dict[str, Answer] = {}

    def post(name: str, body: bytes) -> None:
        answers[name] = send_request(victim.target.http_port, request_bytes("POST", _INFER, _JSON, body))

    threads = [threading.Thread(target=post, args=item) for item in bodies.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _check_rejected(
        AttackReport('2 MB of {"inputs":[{},{},...]}, of outputs, of nested data and of shapes, at once'), answers
    )


def post_bodies(victim: Victim) -> AttackReport:
    """Post 250 kB of documents that are expensive to validate, and each hostile document."""
    bodies = large_bodies(_BODY_BYTES) | hostile_documents()
    answers = {
        name: send_request(victim.target.http_port, request_bytes("POST", "/predict", _JSON, body))
        for name, body in bodies.items()
        if body
    }
    answers.pop("a duplicate key", None)  # either is allowed, as long as one value is used consistently
    return _check_rejected(
        AttackReport(f"{len(bodies)} bodies to POST /predict: 250 kB of nested arrays, huge integers, long lists"),
        answers,
    )


def send_odd_heads(victim: Victim) -> AttackReport:
    """Send request heads that are not HTTP, or that parsers read differently."""
    host = b"Host: 127.0.0.1\r\n"
    chunked = host + b"Transfer-Encoding: chunked\r\n"
    body = b'{"readings":[1,2]}'
    heads = {
        "a body with two lengths": b"POST /predict HTTP/1.1\r\n%bContent-Length: 5\r\nContent-Length: 18\r\n\r\n%b"
        % (host, body),
        "a length and chunks": b"POST /predict HTTP/1.1\r\n%bContent-Length: 18\r\n\r\n0\r\n\r\nX" % chunked,
        "a negative length": b"POST /predict HTTP/1.1\r\n%bContent-Length: -1\r\n\r\n" % host,
        "a length of 4,301 digits": b"POST /predict HTTP/1.1\r\n%bContent-Length: %b\r\n\r\n" % (host, b"9" * 4_301),
        "a chunk of 2^80 bytes": b"POST /predict HTTP/1.1\r\n%b\r\nFFFFFFFFFFFFFFFFFFFF\r\n" % chunked,
        "a NUL in a header": b"GET /predict HTTP/1.1\r\n%bX: a\x00b\r\n\r\n" % host,
        "HTTP 9.9": b"GET /predict HTTP/9.9\r\n%b\r\n" % host,
        "a TLS hello": bytes.fromhex("160301020001000001fc0303") + b"\x00" * 500,
        "a URL of 60 kB": b"GET /%b HTTP/1.1\r\n%b\r\n" % (b"a" * 60_000, host),
        "10,000 parameters": b"GET /predict?%b HTTP/1.1\r\n%b\r\n" % (b"a=1&" * 10_000, host),
        "a limit of 4,301 digits": b"GET /devices?limit=%b HTTP/1.1\r\n%bConnection: close\r\n\r\n"
        % (b"9" * 4_301, host),
    }
    answers = {name: send_request(victim.target.http_port, head, 3.0) for name, head in heads.items()}
    answers.pop("10,000 parameters", None)  # depends on the limits of request heads
    paths = ("..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "%ff", "a" * 65, quote("\u202e"), quote("<b>"))
    for path in paths:
        for route in (f"/devices/{path}", f"/page/{path}", f"/docs/files/{path}", f"/v2/models/{path}"):
            answers[route] = send_request(victim.target.http_port, request_bytes("GET", route), 3.0)
    return _check_rejected(
        AttackReport(f"{len(answers)} heads: two lengths, 2^80 bytes, TLS, encoded paths, parameters"), answers
    )


def act_from_foreign_pages(victim: Victim) -> AttackReport:
    """Send what a page of another origin can make the owner's browser send."""
    port, device = victim.target.http_port, f"/devices/{victim.device}"
    body = b'{"readings":[1,2]}'
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    text = {"Content-Type": "text/plain;charset=UTF-8"}
    foreign = {"Origin": _EVIL, "Sec-Fetch-Site": "cross-site"}
    requests = {
        "DELETE with a foreign Origin": request_bytes("DELETE", device, {"Origin": _EVIL}),
        "DELETE with Origin: null": request_bytes("DELETE", device, {"Origin": "null"}),
        "DELETE across sites": request_bytes("DELETE", device, {"Sec-Fetch-Site": "cross-site"}),
        "DELETE with a rebound Host": request_bytes("DELETE", device, {"Host": "evil.example"}),
        "GET with a rebound Host": request_bytes("GET", "/devices", {"Host": "evil.example"}),
        "GET with a long Host": request_bytes("GET", "/devices", {"Host": "a" * 60_000}),
        "POST /predict as text": request_bytes("POST", "/predict", foreign | text, body),
        "POST /predict as a form": request_bytes("POST", "/predict", foreign | form, body),
        "POST /predict without a type": request_bytes("POST", "/predict", foreign, body),
        "POST /v2 as text": request_bytes("POST", _INFER, foreign | text, body),
    }
    answers = {name: send_request(port, content) for name, content in requests.items()}
    report = _check_rejected(
        AttackReport(f"{len(requests)} requests as pages of {_EVIL} can send them: DELETE, POST as text, rebound Host"),
        answers,
    )
    if not victim.target.json(device):
        report.problems.append(f"{victim.device} was deleted")
    for route in ("/", "/docs", "/predict", "/devices", "/metrics", "/openapi.json", "/nothing"):
        headers = send_request(port, request_bytes("GET", route)).headers
        if headers.get("x-content-type-options") != "nosniff":
            report.problems.append(f"GET {route}: no nosniff")
        if "access-control-allow-origin" in headers:
            report.problems.append(f"GET {route}: Access-Control-Allow-Origin")
    return report


ATTACKS = [
    Attack("http tensor lists", "http", post_tensor_lists),
    Attack("http hostile bodies", "http", post_bodies),
    Attack("http odd heads", "http", send_odd_heads),
    Attack("http foreign pages", "http", act_from_foreign_pages),
]
