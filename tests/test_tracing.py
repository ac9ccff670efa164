"""Traces: what a receiver of OTLP gets of a request, and what a service without one does."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

import service
from service.server.throttle import REFUSAL_BYTES, REFUSALS_PER_INTERVAL
from service.settings import Settings
from service.tracing import open_tracing
from tests.support import weights
from tests.support.http import (
    ONES,
    PREDICT_BODY,
    PREDICT_HEAD,
    SEVEN,
    ZEROS,
    get,
    post,
    read_statuses,
)
from tests.support.metrics import is_computing, queue_depth
from tests.support.models import FaultyModel, SlowModel
from tests.support.otlp import receive
from tests.support.paths import ROOT
from tests.support.pictures import enlarged, save
from tests.support.server import Server
from tests.support.wait import until

STEPS = {"decode", "queue", "batch", "encode"}
SOON = {"OTEL_BSP_SCHEDULE_DELAY": 50}


@pytest.fixture(scope="module")
def receiver():
    with receive() as receiver:
        yield receiver


def traced(folder, receiver, **settings):
    """A service that sends traces to the receiver."""
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, **SOON, "ACCESS_LOG_SAMPLE": 1, **settings}
    return Server(folder / "server.log", settings).wait_until_ready()


@pytest.fixture
def start(start_server, receiver):
    """Return a function that starts a service of its own that sends traces to the receiver."""
    return lambda **settings: start_server(
        **({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url} | SOON | settings)
    )


@pytest.fixture(scope="module")
def slow_server(tmp_path_factory, receiver):
    folder = tmp_path_factory.mktemp("slow")
    model = weights.write(folder / "slow.pt", SlowModel())
    server = traced(folder, receiver, MODEL_PATH=model, NUM_THREADS=1, MAX_BATCH_SIZE=4)
    yield server
    server.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory, receiver):
    server = traced(tmp_path_factory.mktemp("traced"), receiver, MAX_BATCH_SIZE=8, MAX_BODY_BYTES=1 << 23)
    yield server
    server.kill()


UNTRACED = {"traceparent": f"00-{'1' * 32}-{'1' * 16}-00"}


def new_parent(flags="01"):
    """A trace's id, and a header that goes on with it."""
    trace_id = secrets.token_hex(16)
    return trace_id, f"00-{trace_id}-00f067aa0ba902b7-{flags}"


def test_a_prediction_is_a_span_with_a_child_for_each_step(server, receiver):
    trace_id, parent = new_parent()

    answer = post(server, SEVEN, traceparent=parent, tracestate="vendor=1")

    spans = receiver.of_trace(trace_id, 5)
    assert answer.json()["digit"] == 7
    assert answer.headers["traceparent"] == parent
    assert spans.keys() == {"POST /predict", *STEPS}
    [request] = spans["POST /predict"]
    assert (request.kind, request.parent_id, request.status) == ("SERVER", "00f067aa0ba902b7", "UNSET")
    assert request.state == "vendor=1"
    host, port = server.address
    assert request.attributes.pop("client.port") > 0
    assert request.attributes.pop("user_agent.original").startswith("python-requests/")
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": 200,
        "http.response.header.x-request-id": [answer.headers["X-Request-ID"]],
        "url.path": "/predict",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "client.address": "127.0.0.1",
        "server.address": host,
        "server.port": port,
    }
    for step in STEPS:
        [span] = spans[step]
        assert (span.kind, span.parent_id, span.status) == ("INTERNAL", request.span_id, "UNSET"), step
        assert request.started <= span.started <= span.ended, step
    [decode], [queue], [batch], [encode] = (spans[name] for name in ("decode", "queue", "batch", "encode"))
    assert decode.ended <= queue.started
    assert encode.started <= encode.ended <= request.ended
    assert batch.links == []
    model = answer.json()["model"]
    assert batch.attributes == {
        "inference.batch_size": 1,
        "inference.images": 1,
        "model.name": model["name"],
        "model.version": model["version"],
    }
    assert request.resource == {
        "service.name": "rust-ml-api",
        "service.version": service.__version__,
        "service.instance.id": answer.headers["X-Served-By"],
    }


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("digits.example:80", {"server.address": "digits.example", "server.port": 80}),
        *(
            (host, {"server.address": host})
            for host in ("x", "x:", ":80", "x:http", "x:²", "x:" + 5000 * "9")
        ),
    ],
    ids=lambda value: value[:8] if isinstance(value, str) else "",
)
def test_any_host_is_an_address(server, receiver, host, address):
    trace_id, parent = new_parent()

    answer = post(server, SEVEN, traceparent=parent, Host=host.encode("latin-1"))

    assert answer.status_code == 200
    [request] = receiver.of_trace(trace_id, 5)["POST /predict"]
    found = {name: value for name, value in request.attributes.items() if name.startswith("server.")}
    assert found == address


def test_a_request_without_a_parent_begins_a_trace_that_its_answer_and_its_log_line_name(server, receiver):
    answer = post(server, SEVEN)

    _, trace_id, span_id, flags = answer.headers["traceparent"].split("-")
    [request] = receiver.of_trace(trace_id, 5)["POST /predict"]
    assert (request.span_id, request.parent_id) == (span_id, "")
    assert int(flags, 16) & 1
    lines = until(
        lambda: [line for line in server.lines() if line.get("trace_id") == trace_id], "the log line"
    )
    assert [line["request_id"] for line in lines] == [answer.headers["X-Request-ID"]]


def test_a_traced_answer_is_the_same_as_another(server):
    _, parent = new_parent()

    traced, other = (post(server, SEVEN, **headers) for headers in ({"traceparent": parent}, UNTRACED))

    assert traced.content == other.content


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/predict", "image/png"),
        ("/predictions/{name}", "image/png"),
        ("/v2/models/{name}/infer", "application/json"),
    ],
)
def test_whatever_is_predicted_has_all_steps(server, receiver, digits, path, content_type):
    picture = save(enlarged(digits[0], 1))
    tensor = {"name": "image", "datatype": "FP32", "shape": [1, 784], "data": ZEROS}
    body = picture if content_type == "image/png" else {"inputs": [tensor]}
    trace_id, parent = new_parent()

    answer = post(server, body, content_type, path=path.replace("{name}", "mnist-cnn"), traceparent=parent)

    assert answer.status_code == 200
    spans = receiver.of_trace(trace_id, 5)
    assert spans.keys() == {f"POST {path}", *STEPS}
    assert spans[f"POST {path}"][0].attributes["http.route"] == path


def test_images_of_a_request_are_in_several_batches(server, receiver):
    trace_id, parent = new_parent()

    post(server, {"images": 20 * [ZEROS]}, traceparent=parent)

    spans = receiver.of_trace(trace_id, 7)
    [queue] = spans["queue"]
    batches = sorted(spans["batch"], key=lambda span: span.started)
    assert [span.attributes["inference.images"] for span in batches] == [8, 8, 4]
    assert queue.ended == batches[0].started


def test_the_requests_of_a_batch_lead_to_each_other(slow_server, receiver):
    def batches_of(trace_id, images):
        """The batches that a request's images were in, once all are known."""

        def found():
            spans = [span for span in receiver.spans if (span.name, span.trace_id) == ("batch", trace_id)]
            return spans if sum(span.attributes["inference.images"] for span in spans) == images else []

        return until(found, "the batches of a request")

    def shared_batches():
        """The spans of each batch that several requests were in."""
        counts = [16, *8 * [1]]
        trace_ids, parents = zip(*(new_parent() for _ in counts), strict=True)
        with ThreadPoolExecutor(len(counts)) as pool:
            bodies = [{"images": count * [ZEROS]} for count in counts]
            list(pool.map(lambda body, parent: post(slow_server, body, traceparent=parent), bodies, parents))
        batches = defaultdict(list)
        for trace_id, count in zip(trace_ids, counts, strict=True):
            for span in batches_of(trace_id, count):
                batches[span.started, span.ended].append(span)
        return [spans for spans in batches.values() if len(spans) > 2]

    for spans in until(shared_batches, "requests that share a batch"):
        [first] = [span for span in spans if len(span.links) > 1]
        others = [span for span in spans if span is not first]
        assert sorted(first.links) == sorted(span.parent_id for span in others)
        assert [span.links for span in others] == len(others) * [[first.span_id]]
        [size] = {span.attributes["inference.batch_size"] for span in spans}
        assert sum(span.attributes["inference.images"] for span in spans) == size


def test_an_unsampled_request_is_not_traced(server, receiver):
    trace_id, parent = new_parent("00")

    answer = post(server, SEVEN, traceparent=parent)

    assert answer.headers["traceparent"] == parent
    assert_untraced(server, receiver, trace_id)


def assert_untraced(server, receiver, *trace_ids):
    """What has been sent before another request's spans has arrived with them, or never will."""
    other_id, parent = new_parent()
    post(server, SEVEN, traceparent=parent)
    receiver.of_trace(other_id, 5)
    assert [span.name for span in receiver.spans if span.trace_id in trace_ids] == []


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/ping", "/v2/health/live", "/v2/health/ready"])
def test_probes_and_scrapes_are_not_traced(server, receiver, path):
    trace_id, parent = new_parent()

    answer = get(server, path, traceparent=parent)

    assert answer.status_code == 200
    assert_untraced(server, receiver, trace_id)


def test_a_request_behind_a_traced_one_is_not_part_of_its_trace(server, receiver):
    trace_id, parent = new_parent()
    other_id, unsampled = new_parent("00")
    length = b"Content-Length: %d\r\n\r\n" % len(PREDICT_BODY)
    first, second = (
        PREDICT_HEAD + f"traceparent: {each}\r\n".encode() + length + PREDICT_BODY
        for each in (parent, unsampled)
    )

    with server.connect() as connection:
        # More than is parsed while earlier requests wait: the rest is parsed when the first is answered.
        connection.sendall(12 * first + 12 * second)
        assert read_statuses(connection, 24) == 24 * [200]

    spans = receiver.of_trace(trace_id, 12 * 5)
    assert {name: len(found) for name, found in spans.items()} == dict.fromkeys(["POST /predict", *STEPS], 12)
    assert_untraced(server, receiver, other_id)


def test_a_request_that_waits_behind_a_refused_one_is_not_part_of_its_trace(server, receiver):
    trace_id, parent = new_parent()
    other_id, unsampled = new_parent("00")
    # To read so much and refuse it pauses the connection: the throttle has the next request parsed.
    large = b"x" * (REFUSALS_PER_INTERVAL + 1) * REFUSAL_BYTES

    with server.connect() as connection:
        for each, body, status in ((parent, large, 400), (unsampled, PREDICT_BODY, 200)):
            head = f"traceparent: {each}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            connection.sendall(PREDICT_HEAD + head + body)
            assert read_statuses(connection, 1) == [status]

    assert_untraced(server, receiver, other_id)
    assert receiver.of_trace(trace_id, 2).keys() == {"POST /predict", "decode"}


def test_a_refusal_says_what_was_wrong_and_is_no_failure(server, receiver):
    trace_id, parent = new_parent()

    assert post(server, b"{", traceparent=parent).status_code == 400

    spans = receiver.of_trace(trace_id, 2)
    [request], [decode] = spans["POST /predict"], spans["decode"]
    assert (request.status, request.attributes["http.response.status_code"]) == ("UNSET", 400)
    assert "error.type" not in request.attributes
    assert (decode.status, decode.attributes) == ("UNSET", {"error.type": "invalid-body"})


def test_a_path_that_is_not_there_has_no_route(server, receiver):
    trace_id, parent = new_parent()

    requests.request("PROPFIND", f"{server.url}/nowhere?a=b", headers={"traceparent": parent}, timeout=20)

    [request] = receiver.of_trace(trace_id, 1)["HTTP"]
    assert "http.route" not in request.attributes
    assert {
        key: value for key, value in request.attributes.items() if key.startswith(("http.re", "url"))
    } == {
        "http.request.method": "_OTHER",
        "http.request.method_original": "PROPFIND",
        "http.response.status_code": 404,
        "http.response.header.x-request-id": request.attributes["http.response.header.x-request-id"],
        "url.path": "/nowhere",
        "url.scheme": "http",
        "url.query": "a=b",
    }


def test_what_fails_in_the_model_is_a_failure(tmp_path, receiver, start):
    model = weights.write(tmp_path / "faulty.pt", FaultyModel())
    server = start(MODEL_PATH=model, QUEUE_TIMEOUT_SECONDS=1.5)
    (failed, hung, late, gone), parents = zip(*(new_parent() for _ in range(4)), strict=True)
    abandoned = PREDICT_HEAD + f"traceparent: {parents[3]}\r\nContent-Length: {len(SEVEN)}\r\n\r\n".encode()

    assert post(server, {"image": 784 * [0.5]}, traceparent=parents[0]).status_code == 503
    with ThreadPoolExecutor(2) as pool:
        hanging = pool.submit(post, server, {"image": ONES}, traceparent=parents[1])
        until(lambda: is_computing(server))
        with server.connect() as connection:
            connection.sendall(abandoned + SEVEN)
            until(lambda: queue_depth(server) == 1)
        waiting = pool.submit(post, server, {"image": ZEROS}, traceparent=parents[2])
        assert [each.result().status_code for each in (hanging, waiting)] == [504, 504]

    spans = receiver.of_trace(failed, 4)
    assert spans.keys() == {"POST /predict", "decode", "queue", "batch"}
    assert {name: span.status for name, [span] in spans.items()} == {
        "POST /predict": "ERROR",
        "decode": "UNSET",
        "queue": "UNSET",
        "batch": "ERROR",
    }
    assert spans["POST /predict"][0].attributes["error.type"] == "503"
    for trace_id in (hung, late):
        spans = receiver.of_trace(trace_id, 3)
        assert spans.keys() == {"POST /predict", "decode", "queue"}
        assert spans["POST /predict"][0].attributes["error.type"] == "504"
    [queue] = spans["queue"]
    assert queue.ended - queue.started >= 1.5e9
    [request] = receiver.of_trace(gone, 3)["POST /predict"]
    assert request.attributes["error.type"] == "client_disconnected"
    assert "http.response.status_code" not in request.attributes


def test_the_sampler_decides_for_requests_without_a_parent(receiver, start):
    server = start(OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG=0.5)

    answers = [post(server, SEVEN).headers for _ in range(100)]
    trace_id, parent = new_parent()
    post(server, SEVEN, traceparent=parent)

    begun = [headers["traceparent"].split("-")[1] for headers in answers if "traceparent" in headers]
    assert 20 < len(begun) < 80  # further off than once in a hundred million times
    for each in [*begun, trace_id]:
        receiver.of_trace(each, 5)


def test_other_settings_of_opentelemetry_hold_and_what_is_left_is_sent_at_the_end(receiver, start):
    server = start(
        OTEL_TRACES_SAMPLER="always_on",  # it asks no parent
        OTEL_SERVICE_NAME="other",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
        OTEL_BSP_SCHEDULE_DELAY=3_600_000,
    )
    trace_id, parent = new_parent("00")
    post(server, SEVEN, traceparent=parent)

    assert server.terminate() == 0

    [request] = receiver.of_trace(trace_id, 5)["POST /predict"]
    assert request.resource["service.name"] == "other"
    assert request.resource["deployment.environment.name"] == "test"


def test_a_receiver_that_is_away_keeps_nobody(start, free_tcp_port):
    server = start(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://127.0.0.1:{free_tcp_port}/v1/traces")

    assert post(server, SEVEN).json()["digit"] == 7
    assert server.messages("WARNING", "Transient error")
    assert server.terminate() == 0


def test_without_a_receiver_no_trace_begins(live_server):
    assert "traceparent" not in post(live_server, SEVEN).headers


def test_what_disables_opentelemetry_is_heeded(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    settings = Settings(otel_exporter_otlp_endpoint="http://127.0.0.1:4318")

    async def scenario():
        async with open_tracing(settings, version="1", replica="here") as tracing:
            return tracing

    assert asyncio.run(scenario()) is None
    assert caplog.messages == []


def test_opentelemetry_is_not_imported_unless_it_is_asked_for():
    code = "import sys, service.__main__; print([name for name in sys.modules if 'opentelemetry' in name])"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert ran.stdout.strip() == "[]"


def test_without_the_extra_a_warning_names_it(start_server, tmp_path):
    # It hides the one that is installed.
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").touch()

    server = start_server(
        fresh=True, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318", PYTHONPATH=tmp_path
    )

    assert post(server, SEVEN).json()["digit"] == 7
    assert server.messages("WARNING") == [
        "no traces: a receiver for them is set, but opentelemetry.context is not installed; "
        "pip install 'rust-ml-api[otel]'"
    ]
