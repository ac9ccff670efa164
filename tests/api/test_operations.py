"""The health check, paths that are not there, and the headers of every answer."""

from __future__ import annotations

import pytest

from tests.support.http import ZEROS, get, post


def test_health_is_plain_ok(live_server):
    response = get(live_server, "/healthz")

    assert (response.status_code, response.text) == (200, "OK")
    assert response.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("path", ["/nowhere", "/predict/", "/healthz/"])
def test_an_unknown_path_is_told_the_known_one(live_server, path):
    response = get(live_server, path)

    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["detail"] == f"nothing is at {path}; predictions are at POST /predict"


def test_a_request_id_is_kept_or_made(live_server):
    sent = get(live_server, "/healthz", **{"X-Request-ID": "abc-123"})
    too_long = get(live_server, "/healthz", **{"X-Request-ID": "x" * 200})
    made = [post(live_server, {"image": ZEROS}).headers["X-Request-ID"] for _ in range(2)]

    assert sent.headers["X-Request-ID"] == "abc-123"
    assert len(too_long.headers["X-Request-ID"]) == 32
    assert len(set(made)) == 2


def test_the_server_says_which_replica_it_is_and_nothing_of_its_software(live_server):
    headers = post(live_server, {"image": ZEROS}).headers

    assert headers["X-Served-By"]
    assert "Server" not in headers
