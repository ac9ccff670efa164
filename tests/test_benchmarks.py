"""The benchmarks: real bodies, a server that answers right, and tables that say what was measured."""

from __future__ import annotations

import email
import importlib.util
import io
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from benchmarks import against, contenders, footprint, parts, report, tracing
from benchmarks.__main__ import WEIGHTS, parse, section
from benchmarks.ablated import PIECES, client_library_metrics
from benchmarks.against import checked_out
from benchmarks.bodies import BODIES, encoded, load_digits
from benchmarks.check import answered_labels, expected_digits, read_label
from benchmarks.contenders import Contender, running
from benchmarks.drive import Load, drive, write_bodies
from benchmarks.footprint import Footprint
from benchmarks.harness import Harness
from benchmarks.measure import cpu_seconds, pss_bytes, rss_bytes, tree
from benchmarks.paired import Pair, rate_at, ratio
from benchmarks.photos import FIELD, form_body, photo_files, photo_workload
from benchmarks.results import Results, Run
from benchmarks.targets import verdicts
from benchmarks.workload import Workload
from service.api import app
from tests.support.server import Server

HERE = Path(report.README).parent
SERVICE, *_, ECHO = contenders.DIGITS
MOSEC_IS_MISSING = importlib.util.find_spec("mosec") is None
needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
needs_two_cores = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="the server and its client need a core each"
)


def test_bodies_are_made_of_256_different_test_images() -> None:
    digits = load_digits()

    bodies = {name: {body.encode(image) for image in digits.images} for name, body in BODIES.items()}

    assert {name: len(some) for name, some in bodies.items()} == {"json": 256, "octet": 256}
    assert list(digits.labels[:5]) == [7, 2, 1, 0, 4]
    for image in digits.images[:5]:
        pixels = json.loads(BODIES["json"].encode(image))["image"]
        assert len(pixels) == 784
        assert np.abs(np.array(pixels) * 255 - image.reshape(784)).max() < 0.02
        assert np.array_equal(np.frombuffer(BODIES["octet"].encode(image), np.uint8), image.reshape(784))


@pytest.fixture(scope="module")
def expected() -> list[int]:
    """What the bundled weights answer to the first images, by PyTorch in another process."""
    return expected_digits(WEIGHTS, load_digits().images[:20])


def test_the_service_answers_what_the_weights_file_says(expected: list[int]) -> None:
    images = load_digits().images[:20]

    with running(SERVICE, weights=WEIGHTS, cores=sorted(os.sched_getaffinity(0))) as server:
        given = {name: answered_labels(server.url, encoded(name, images)) for name in BODIES}
        processes, size, seconds = tree(server.pid), pss_bytes(server.pid), cpu_seconds(server.pid)
        resident = rss_bytes(server.pid)

    assert given == {"json": expected, "octet": expected}
    assert 50e6 < size <= resident < 2e9
    assert seconds > 0
    assert not any(Path("/proc", str(pid)).exists() for pid in processes)


@pytest.mark.parametrize("piece", PIECES)
def test_the_service_without_a_piece_answers_what_it_answers_with_it(
    piece: str, start_server: Callable[..., Server], expected: list[int]
) -> None:
    bodies = encoded("json", load_digits().images[:5])

    server = start_server("benchmarks.ablated", piece)

    assert answered_labels(f"{server.url}/predict", bodies) == expected[:5]


def test_a_request_is_answered_without_each_of_its_parts() -> None:
    command = [sys.executable, "-m", "benchmarks.parts", "--rounds", "1", "--seconds", "0.001"]

    printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    names = [line.split(" | ")[0].removeprefix("| ") for line in printed.stdout.splitlines()]
    assert {parts.WHOLE, parts.REST, *parts.WAYS, "the forward pass", "JSON to pixels"} <= set(names)
    assert "Traceback" not in printed.stderr  # an answer that a part does not give would end there


def test_the_metrics_of_the_client_library_count_what_ours_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "Metrics", app.Metrics)  # put back after
    client_library_metrics()
    counted = app.Metrics(lambda: 0)

    counted.batch(labels=[7], confidences=[0.9], mean_pixels=[0.1], waits=[0.0], seconds=0.001, outliers=1)

    value = counted.registry.get_sample_value
    assert value("a_predictions_total", {"digit": "7"}) == value("a_batch_size_count") == 1
    assert value("a_outliers_total") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "package"), [("fastapi", "fastapi"), ("litserve", "litserve"), ("mosec", "mosec")]
)
def test_the_other_servers_of_digits_answer_what_the_weights_file_says(
    name: str, package: str, expected: list[int]
) -> None:
    pytest.importorskip(package, reason="it is in the extra `benchmark`")
    images = load_digits().images[:5]
    contender = next(one for one in contenders.DIGITS if one.name == name)

    with running(contender, weights=WEIGHTS, cores=sorted(os.sched_getaffinity(0))) as server:
        given = answered_labels(server.url, encoded("json", images))

    assert given == expected[:5]


def test_photos_are_different_jpeg_files_and_a_form_holds_one() -> None:
    files = photo_files()

    assert {Image.open(io.BytesIO(file)).size for file in files} == {(500, 375)}
    assert all(20_000 < len(file) < 120_000 for file in files)
    assert len(set(files)) == len(files)
    assert photo_files() == files
    content_type = "multipart/form-data; boundary=7ab61b9c8cb34c5e"
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    (part,) = email.message_from_bytes(head + form_body(files[0])).get_payload()
    assert part.get_payload(decode=True) == files[0]
    assert part.get_param("name", header="content-disposition") == FIELD


@pytest.fixture(scope="module")
def resnet18() -> Iterator[Workload]:
    """ResNet-18, made once for all tests of it."""
    has_archiver = importlib.util.find_spec("model_archiver") is not None
    with photo_workload(archive=has_archiver) as workload:
        yield workload


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "packages"),
    [
        ("service", []),
        ("torchserve", ["ts", "captum", "model_archiver"]),
        ("litserve", ["litserve"]),
        ("bentoml", ["bentoml"]),
        ("mosec", ["mosec"]),
    ],
)
def test_every_server_of_photos_gives_the_label_that_pytorch_gives(
    name: str, packages: list[str], resnet18: Workload
) -> None:
    for package in packages:
        pytest.importorskip(package, reason="it is in the extra `benchmark`")
    if name == "torchserve" and shutil.which("java") is None:
        pytest.skip("Java is not installed")
    contender = next(one for one in contenders.PHOTOS if one.name == name)
    quick_to_start = replace(contender, environment={"MAX_BATCH_SIZE": "1"})

    with running(quick_to_start, weights=resnet18.weights, cores=sorted(os.sched_getaffinity(0))) as server:
        given = answered_labels(server.url, resnet18.bodies[contender.bodies[0]])

    assert given == resnet18.expected
    assert len(set(given)) == len(given)


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ({"digit": 0, "confidence": 0.9}, 0),
        ({"label": "cat", "confidence": 0.5, "probabilities": [0.5, 0.5]}, "cat"),
        ({"cat": 0.2, "dog": 0.7, "horse": 0.1}, "dog"),
        ([{"cat": 0.2, "dog": 0.7}], "dog"),
    ],
)
def test_the_label_is_found_in_each_kind_of_answer(answer: object, label: object) -> None:
    assert read_label(answer) == label


def test_processor_time_is_that_of_the_whole_tree() -> None:
    program = (
        "import sys, time\nfor _ in sys.stdin: sum(range(100_000)); print(time.process_time(), flush=True)"
    )
    python = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def ask() -> float:
        python.stdin.write("\n")
        python.stdin.flush()
        return float(python.stdout.readline())

    with python:
        before, own, of_tree, after = ask(), cpu_seconds(python.pid), cpu_seconds(os.getpid()), ask()
        python.stdin.close()

    assert before <= own <= after
    assert of_tree >= own


@pytest.mark.skipif(MOSEC_IS_MISSING, reason="it is in the extra `benchmark`")
def test_a_number_that_arrives_in_two_parts_is_read_whole() -> None:
    from benchmarks.contenders.mosec_reads import WholeReads

    writer, reader = socket.socketpair()
    with writer, WholeReads(fileno=reader.detach()) as whole:
        whole.settimeout(5)
        writer.sendall(b"ab")
        thread = Thread(target=lambda: writer.sendall(b"cdef"))
        thread.start()
        assert (whole.recv(4), whole.recv(2)) == (b"abcd", b"ef")
        thread.join()
        writer.close()
        assert whole.recv(4) == b""


@needs_wrk
@needs_two_cores
def test_a_run_measures_every_contender_at_every_number_of_connections() -> None:
    workload = Workload(WEIGHTS, {"json": encoded("json", load_digits().images[:3])}, [7, 2, 1], {})

    results = Harness("mnist", workload, rounds=1, seconds=1, connections=[2]).run([ECHO])

    (run,) = results.runs
    (load,) = run.loads
    assert (run.contender, load.body, load.connections, load.errors) == ("echo", "json", 2, 0)
    assert 0 < load.cpu_seconds < 5
    assert results.method["bytes per body"].startswith("json 3")
    assert "| echo, no model |" in report.markdown(results)


@needs_two_cores
def test_the_footprint_is_measured_at_few_requests() -> None:
    workload = Workload(WEIGHTS, {"json": encoded("json", load_digits().images[:3])}, [7, 2, 1], {})

    line = footprint.measure(workload, [ECHO], rounds=1, seconds=1).splitlines()[-1]

    title, ready, first_answer, rss, pss, cpu = line.strip("| ").split(" | ")
    assert title == "echo, no model"
    assert 0 < float(ready) <= float(first_answer)
    assert 0 < float(pss) <= float(rss)
    assert 0 < float(cpu) < 100


def test_the_footprint_shows_medians_of_the_rounds() -> None:
    found = [
        Footprint("echo", ready, ready + 0.5, 40_000_000, 30_000_000, cpu)
        for ready, cpu in ((1.0, 0.001), (3.0, 0.002), (1.5, 0.0015))
    ]

    assert footprint.table([ECHO], found).splitlines()[-1] == (
        "| echo, no model | 1.50 | 2.00 | 40 | 30 | 1.50 |"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--contender", "echo"], "echo: resnet18 has service, torchserve, litserve, bentoml, mosec"),
        (["--ablations"], "--ablations and --tracing are of mnist"),
    ],
)
def test_what_a_model_does_not_have_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(["--model", "resnet18", *arguments])

    assert message in capsys.readouterr().err


def test_a_commit_is_checked_out_and_removed() -> None:
    with checked_out("HEAD") as folder:
        assert (folder / "service" / "__main__.py").exists()
    assert not folder.exists()

    with pytest.raises(RuntimeError, match="git worktree failed"), checked_out("no-such-commit"):
        pass


def test_pairs_are_divided_within_each_round() -> None:
    pairs = [
        Pair(Run(0, "json", 2.0, 1, 0, [_load(64, 500)]), Run(0, "service", 1.0, 2, 0, [_load(64, 1000)])),
        Pair(Run(1, "json", 2.0, 1, 0, [_load(64, 900)]), Run(1, "service", 1.0, 2, 0, [_load(64, 1000)])),
        Pair(Run(2, "json", 2.0, 1, 0, [_load(64, 700)]), Run(2, "service", 1.0, 2, 0, [_load(64, 500)])),
    ]

    assert str(ratio(pairs, rate_at(64).of)) == "0.90 (0.50 to 1.40)"
    rows = against.table("abc", pairs, [64]).splitlines()
    assert rows[2] == "| requests/s at 64 | 1,000 | 700 | 0.90 (0.50 to 1.40) |"


def test_the_cost_of_traces_is_a_ratio_for_each_share() -> None:
    without = Run(0, "service", 1.0, 400, 0, [_load(count, 1000) for count in tracing.CONNECTIONS])
    rates = dict(zip(tracing.SHARES, (900, 800, 100), strict=True))
    pairs = [
        Pair(Run(0, share, 2.0, 440, 0, [_load(count, rate) for count in tracing.CONNECTIONS]), without)
        for share, rate in rates.items()
    ]

    rows = tracing.table(pairs).splitlines()

    assert rows[2].startswith("| 0 % | 0.90 | 0.90 | 0.90 | 1.11 |")
    assert rows[4].startswith("| 100 % | 0.10 | 0.10 | 0.10 | 10.00 |")
    assert rows[4].endswith("| 2.00 | 1.10 |")


@needs_wrk
def test_wrk_sends_the_bodies_in_turn(tmp_path: Path) -> None:
    bodies = [b"first", b"second", b"third"]
    received: list[tuple[bytes, str | None]] = []

    class Recorder(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((body, self.headers["Content-Type"]))
            self.send_response(503 if body == b"third" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

        def finish(self) -> None:
            """Let wrk hang up as it does, in the middle of an answer."""
            with suppress(ConnectionError):
                super().finish()

        def handle(self) -> None:
            """Let wrk hang up here, too."""
            with suppress(ConnectionError):
                super().handle()

    write_bodies(tmp_path / "words", bodies)
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        load = drive(
            f"http://127.0.0.1:{server.server_port}/anything",
            tmp_path / "words",
            "text/plain",
            connections=1,
            seconds=1,
            cores=sorted(os.sched_getaffinity(0)),
        )
        server.shutdown()
        thread.join()

    sent = [body for body, _ in received]
    assert set(sent) == set(bodies)
    assert all(bodies.index(one) == (bodies.index(other) + 1) % 3 for other, one in pairwise(sent))
    assert {content_type for _, content_type in received} == {"text/plain"}
    assert (load.body, load.connections) == ("words", 1)
    assert 0 < load.requests <= len(received)
    assert abs(load.errors - load.requests / 3) <= 1
    assert 0 < load.p50 <= load.p99


def test_a_contender_that_ends_says_what_it_printed() -> None:
    broken = Contender("broken", "broken", "benchmarks.contenders.no_such_server")

    with (
        pytest.raises(RuntimeError, match=r"(?s)broken ended with exit status 1:.*No module named"),
        running(broken, weights=Path("unused"), cores=sorted(os.sched_getaffinity(0))),
    ):
        raise AssertionError("it is not running")


def test_ratios_are_taken_within_each_round() -> None:
    results = _results({"service": [4000, 9000], "fastapi": [1000, 1000], "echo": [10000, 10000]})

    judged = {verdict.target.title: verdict for verdict in verdicts(results)}

    fastapi = judged["requests/s, 64 connections, JSON, against FastAPI"]
    assert (fastapi.measured, fastapi.best, fastapi.word) == (6.5, 9.0, "met")
    assert judged["requests/s, 64 connections, JSON, against the echo"].word == "met"
    assert judged["memory against FastAPI"].word == "goal reached"
    assert "requests/s, 64 connections, JSON, against LitServe" not in judged


def test_photos_are_judged_against_the_best_of_the_others_in_each_round() -> None:
    runs = [
        Run(
            number,
            name,
            2.0,
            400_000_000,
            0,
            [replace(_load(count, rate), body=body) for count in (1, 8, 64)],
        )
        for name, body, rates in (
            ("service", "jpeg", (40, 40)),
            ("litserve", "form", (20, 40)),
            ("mosec", "jpeg", (25, 20)),
        )
        for number, rate in enumerate(rates)
    ]

    judged = {each.target.title: each for each in verdicts(Results({}, {}, runs, "resnet18"))}

    assert [each.measured for each in judged.values()] == pytest.approx([1.3, 1.3, 1.3, 0.8125])
    alone = Results({}, {}, [run for run in runs if run.contender == "service"], "resnet18")
    assert verdicts(alone) == []


def test_refused_requests_are_no_speed() -> None:
    results = _results({"service": [4000], "echo": [4000]})
    refusing = replace(results.runs[0], loads=[replace(load, refused=3000) for load in results.runs[0].loads])

    rows = report.table(replace(results, runs=[refusing, results.runs[1]])).splitlines()

    assert rows[2].startswith("| this service, JSON | 1,000 (1,000) |")
    assert rows[-1].startswith("| echo, no model | 4,000 (4,000) |")


def test_results_survive_a_file(tmp_path: Path) -> None:
    results = _results({"service": [4000], "echo": [10000]})

    results.write(tmp_path / "results.json")

    assert Results.read(tmp_path / "results.json") == results
    replace(results, model="resnet18").write(tmp_path / "others.json")
    assert Results.read(tmp_path / "others.json").model == "resnet18"


def test_the_readme_shows_the_results_that_are_kept() -> None:
    for file in HERE.glob("results*.json"):
        results = Results.read(file)
        assert file.stem == section("results", results.model)
        assert report.markdown(results) in report.README.read_text()


def test_the_readme_has_a_place_for_every_table() -> None:
    for model in contenders.BY_MODEL:
        for name in ("results", "footprint"):
            assert f"<!-- {section(name, model)} -->" in report.README.read_text()


def test_writing_one_section_leaves_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n<!-- one -->\n<!-- /one -->\nwords\n<!-- two -->\nold\n<!-- /two -->\nend\n")

    report.replace_section(page, "one", "first")
    report.replace_section(page, "two", "second")

    assert page.read_text() == (
        "# Page\n<!-- one -->\nfirst\n<!-- /one -->\nwords\n<!-- two -->\nsecond\n<!-- /two -->\nend\n"
    )
    with pytest.raises(ValueError, match="no marks for the section 'three'"):
        report.replace_section(page, "three", "third")


def _results(rates: dict[str, list[int]]) -> Results:
    runs = [
        Run(number, name, 2.0, 400_000_000, 0, [_load(count, rate) for count in (1, 8, 64)])
        for name, some in rates.items()
        for number, rate in enumerate(some)
    ]
    return Results({"processor": "one"}, {"rounds": "two"}, runs)


def _load(connections: int, rate: int) -> Load:
    return Load("json", connections, rate, 1.0, 1e6 * connections / rate, 2e6 * connections / rate, 0, 0.9)
