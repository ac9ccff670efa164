"""What nobody may learn from the service, reach in it or slip into it."""

from __future__ import annotations

import re

import pytest
import requests

from tests.support.http import ZEROS, get, post, read_answers
from tests.support.paths import ROOT

ROUTES = ("/", "/docs", "/static/style.css", "/healthz", "/metrics", "/openapi.json", "/v2", "/nowhere")
KEY = "a-key-that-nobody-may-see"


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "TRACE"])
def test_every_answer_forbids_guessing_and_names_no_software(live_server, method, path):
    answer = requests.request(method, f"{live_server.url}{path}", timeout=10)

    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in answer.headers
    assert "X-Powered-By" not in answer.headers
    assert not re.search(
        r"uvicorn|starlette|python/|traceback", answer.text.lower().split("<!doctype")[0][:2000]
    )


@pytest.mark.parametrize(
    "request_", [b"rubbish\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000], ids=["rubbish", "too large"]
)
def test_so_does_an_answer_to_what_is_no_request(live_server, request_):
    with live_server.connect() as connection:
        connection.sendall(request_)
        answer = connection.recv(1 << 16).lower()

    assert b"\r\nx-content-type-options: nosniff\r\n" in answer
    assert b"\r\ncontent-type: application/problem+json\r\n" in answer
    assert b"\r\nserver:" not in answer


def test_pages_allow_no_script_but_their_own(live_server):
    for path in ("/", "/docs"):
        policy = get(live_server, path).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_keys_are_in_no_log_and_no_answer(start_server, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"{KEY}\n")
    server = start_server(API_KEYS_FILE=keys, ACCESS_LOG_SAMPLE=1, LOG_LEVEL="debug")

    answers = [
        post(server, {"image": ZEROS}, Authorization=f"Bearer {KEY}"),
        post(server, {"image": ZEROS}, Authorization=f"Bearer {KEY}x"),
        post(server, b"rubbish", **{"X-API-Key": KEY}),
        get(server, "/nowhere", **{"X-API-Key": KEY}),
        get(server, "/metrics", **{"X-API-Key": KEY}),
    ]

    assert [answer.status_code for answer in answers] == [200, 401, 400, 404, 200]
    assert all(KEY not in answer.text and KEY not in str(answer.headers) for answer in answers)
    assert KEY not in server.log_text()


# What is often left open, and every way to walk out of a folder; test_openapi.py says what there is.
NOWHERE = """
/debug /debug/pprof/ /admin /admin/ /console /shell /server-status /status /info /env /actuator /actuator/env
/.env /.git/config /.git/HEAD /.aws/credentials /.ssh/id_rsa /.htaccess /.well-known/security.txt /robots.txt
/wp-login.php /phpinfo.php /index.php /index.html /docs.html /redoc /swagger /swagger.json /openapi.yaml
/graphql /api /api/v1 /v1 /v1/models /v2/ /v2/models /v2/models/mnist-cnn/unload
/config /settings /reload /shutdown /quit /stop /train /upload /weights /weights/mnist_cnn.pt /model
/service/app.py /app.py /__init__.py /metrics/ /healthz/ /predict/ /docs/ /PREDICT /Metrics /metrics.json
/static /static/ /static/../app.py /static/%2e%2e/app.py /static/..%2fapp.py /static/..\\app.py
/static/style.css/ /static//style.css /static/style.css%00 /static/....//app.py /docs/../ /docs/../metrics
/docs/..;/metrics /./metrics //metrics /..%2f..%2fetc/passwd //etc/passwd /../../../../etc/passwd
/%2e%2e/%2e%2e/etc/passwd /etc/passwd /proc/self/environ
"""


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_nothing_is_anywhere_else(live_server, method):
    with live_server.connect() as connection:
        for path in NOWHERE.split():
            connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
            status, body = read_answers(connection, 1)[0]
            assert status == 404, path
            assert len(body) < 500


def test_no_deadline_depends_on_the_time_of_day():
    """The clock may jump: only time.monotonic and time.perf_counter measure, on every path that there is.

    Two modules tell the time: one compares it with a file's, and one says when the last batch was.
    """
    modules = list((ROOT / "service").rglob("*.py"))
    assert len(modules) > 20
    for module in modules:
        found = re.findall(
            r"time\.time\(|datetime\.now|time\.localtime|time\.gmtime|utcnow", module.read_text()
        )
        assert found == [] or module.name in ("auth.py", "metrics.py"), module
