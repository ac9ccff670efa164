"""``/metrics``: what each metric counts."""

from __future__ import annotations

import contextlib
import platform
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import service
from tests.support import weights
from tests.support.http import ZEROS, get, post, raw_get, read_answers
from tests.support.metrics import sample, scrape
from tests.support.models import SlowModel
from tests.support.pictures import enlarged, save


def test_a_prediction_is_counted_in_every_metric(start_server, digits):
    server = start_server()
    before = scrape(server)

    for _ in range(3):
        post(server, {"image": (digits[0] / 255).ravel().tolist()})

    after = scrape(server)
    moved = {key: after[key] - before.get(key, 0) for key in after}
    assert moved[sample("http_requests_total", route="/predict", method="POST", status="200")] == 3
    assert moved[sample("predictions_total", digit="7")] == 3
    for name in (
        "inference_queue_wait_seconds",
        "inference_batch_size",
        "inference_duration_seconds",
        "prediction_confidence",
        "input_mean_pixel",
    ):
        assert moved[(f"{name}_count",)] == 3, name
        assert moved[sample(f"{name}_bucket", le="+Inf")] == 3, name
        assert moved[(f"{name}_sum",)] > 0, name
    assert moved[sample("inference_batch_size_bucket", le="1.0")] == 3
    assert abs(moved[("input_mean_pixel_sum",)] / 3 - digits[0].mean() / 255) < 1e-6
    assert moved[sample("http_request_duration_seconds_count", route="/predict")] == 3
    assert after[("http_requests_in_flight",)] == 1  # the scrape itself
    assert after[("inference_queue_depth",)] == 0
    assert after[("process_resident_memory_bytes",)] > 0


def test_a_refusal_is_counted_by_its_reason_and_as_no_prediction(start_server):
    server = start_server()

    post(server, {"image": [2, *ZEROS[1:]]})
    post(server, b"{")
    post(server, {"image": ZEROS}, "text/plain")
    get(server, f"/secret/{'x' * 50}")

    figures = scrape(server)
    for reason in ("invalid-image", "invalid-body", "unsupported-media-type"):
        assert figures[sample("requests_rejected_total", reason=reason)] == 1
    assert figures[sample("http_requests_total", route="unknown", method="GET", status="404")] == 1
    assert sum(value for key, value in figures.items() if key[0] == "predictions_total") == 0
    assert figures[("input_mean_pixel_count",)] == 0


def test_the_model_that_serves_is_named(live_server):
    version = post(live_server, {"image": ZEROS}).json()["model"]["version"]

    assert scrape(live_server)[sample("model_info", name="mnist-cnn", version=version)] == 1


def test_the_build_is_named(live_server):
    build = sample(
        "rust_ml_api_build_info",
        version=service.__version__,
        python=platform.python_version(),
        torch=torch.__version__,
    )

    assert scrape(live_server)[build] == 1


def test_no_series_tells_when_another_one_was_created(live_server):
    post(live_server, b"{")

    names = {name for name, *_ in scrape(live_server)}
    assert {"requests_rejected_total", "model_reloads_total", "predictions_total"} <= names
    assert [name for name in names if name.endswith("_created")] == []


def test_the_gauges_follow_requests_in_and_out_of_the_queue(start_server, tmp_path):
    server = start_server(MODEL_PATH=weights.write(tmp_path / "slow.pt", SlowModel()), MAX_BATCH_SIZE=1)
    deepest = busiest = 0.0

    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(post, server, {"image": ZEROS}) for _ in range(64)]
        while not all(answer.done() for answer in answers):
            figures = scrape(server)
            deepest = max(deepest, figures[("inference_queue_depth",)])
            busiest = max(busiest, figures[("http_requests_in_flight",)])
            time.sleep(0.001)

    figures = scrape(server)
    assert 0 < deepest < busiest <= 17
    assert (figures[("inference_queue_depth",)], figures[("http_requests_in_flight",)]) == (0, 1)


@pytest.mark.parametrize("kind", ["one image", "many images", "a picture"])
def test_drafts_are_answered_and_counted_as_requests_and_no_predictions(live_server, digits, kind):
    pixels = [(digit / 255).ravel().tolist() for digit in digits[:2]]
    body, content_type = {
        "one image": ({"image": pixels[0]}, "application/json"),
        "many images": ({"images": pixels}, "application/json"),
        "a picture": (save(enlarged(digits[0], 0)), "image/png"),
    }[kind]
    before = scrape(live_server)

    draft = post(live_server, body, content_type, path="/predict?draft=true")
    between = scrape(live_server)
    counted = post(live_server, body, content_type, path="/predict?draft=false")

    after = scrape(live_server)
    images = 2 if kind == "many images" else 1
    assert draft.status_code == 200
    assert draft.json() == counted.json()
    requests = sample("http_requests_total", route="/predict", method="POST", status="200")
    for key, moved in {
        sample("predictions_total", digit="7"): (0, 1),
        ("prediction_confidence_count",): (0, images),
        ("input_mean_pixel_count",): (0, images),
        ("inference_queue_wait_seconds_count",): (images, images),
        requests: (1, 1),
    }.items():
        steps = between[key] - before.get(key, 0), after[key] - between[key]
        assert steps == moved, key


def test_a_draft_is_asked_for_in_so_many_words(live_server):
    problem = post(live_server, {"image": ZEROS}, path="/predict?draft=yes")

    assert problem.status_code == 422
    assert problem.json()["type"] == "urn:problem-type:invalid-option"
    assert problem.json()["detail"] == "draft is 'yes'; expected true or false"


def test_scrapes_that_wait_together_get_the_same_text(start_server):
    server = start_server()
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(20)]
        scrape(server)  # and so all connections are open
        server.process.send_signal(signal.SIGSTOP)
        for connection in connections:
            connection.sendall(raw_get("/metrics"))
        server.process.send_signal(signal.SIGCONT)
        answers = [read_answers(connection, 1)[0] for connection in connections]

    assert {status for status, _ in answers} == {200}
    assert len(set(answers)) <= 2  # each text counts the scrapes before it
    assert scrape(server)[sample("http_requests_total", route="/metrics", method="GET", status="200")] == 21
