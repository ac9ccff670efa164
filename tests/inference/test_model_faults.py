"""A model that hangs, dies or fails: every request is answered, and the health check says so."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import weights
from tests.support.http import ONES, SEVEN, ZEROS, get, post
from tests.support.metrics import is_computing, queue_depth
from tests.support.models import FaultyModel
from tests.support.soak import SOAK
from tests.support.wait import until


@pytest.fixture(scope="module")
def faulty_model(tmp_path_factory):
    return weights.write(tmp_path_factory.mktemp("faulty") / "faulty.pt", FaultyModel())


def test_a_model_that_hangs_fails_the_health_check_and_answers_every_request(start_server, faulty_model):
    server = start_server(MODEL_PATH=faulty_model, QUEUE_TIMEOUT_SECONDS=1.5, STALL_TIMEOUT_SECONDS=2)
    assert post(server, {"image": ZEROS}).status_code == 200

    with ThreadPoolExecutor(8) as pool:
        hung = pool.submit(post, server, {"image": ONES})
        until(lambda: is_computing(server))
        waiting = [pool.submit(post, server, {"image": ZEROS}) for _ in range(7)]
        answers = [future.result().json() for future in (hung, *waiting)]

    assert {(answer["status"], answer["type"]) for answer in answers} == {
        (504, "urn:problem-type:queue-timeout")
    }
    until(lambda: server.health() == 503)
    assert get(server, "/metrics").status_code == 200
    assert server.terminate() == 0


def test_a_model_whose_thread_dies_fails_the_health_check_and_answers_every_request(start_server, tmp_path):
    server = start_server("tests.support.dying_model", DIE_FILE=tmp_path / "die")
    assert post(server, SEVEN).json()["digit"] == 7

    with ThreadPoolExecutor(8) as pool:
        last = pool.submit(post, server, {"image": ONES})
        until(lambda: is_computing(server))
        waiting = [pool.submit(post, server, {"image": ZEROS}) for _ in range(7)]
        until(lambda: queue_depth(server) == 7)
        (tmp_path / "die").touch()
        died = time.monotonic()
        answers = [future.result() for future in (last, *waiting)]
        seconds = time.monotonic() - died
    until(lambda: server.health() == 503)

    print(f"all were answered {seconds * 1000:.0f} ms after the thread's end")
    assert not SOAK or seconds < 0.1
    answers.append(post(server, SEVEN))
    assert {(answer.status_code, answer.headers["Retry-After"]) for answer in answers} == {(503, "1")}
    assert {answer.json()["detail"] for answer in answers} == {
        "the model's thread has stopped; this replica needs a restart"
    }
    assert server.messages("CRITICAL") == ["the model's thread has died; this process needs a restart"]
    assert server.terminate() == 0


def test_a_batch_that_fails_is_answered_and_the_next_one_runs(start_server, faulty_model):
    server = start_server(MODEL_PATH=faulty_model)

    answers = [post(server, {"image": [[value] * 28] * 28}) for value in (0, 0.5, 0)]

    assert [answer.status_code for answer in answers] == [200, 503, 200]
    assert answers[1].json()["detail"] == "the model failed on this batch; the log says why"
    assert "Traceback" not in answers[1].text
    assert server.messages("ERROR") == ["a batch of 1 failed"]
    assert server.health() == 200
