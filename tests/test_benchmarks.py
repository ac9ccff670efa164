"""The benchmarks: real bodies, a server that answers right, and tables that say what was measured."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from benchmarks import against, contenders, report, tracing
from benchmarks.__main__ import WEIGHTS
from benchmarks.ablated import PIECES
from benchmarks.against import checked_out
from benchmarks.bodies import BODIES, load_digits
from benchmarks.check import answered_digits, expected_digits
from benchmarks.contenders import Contender, running
from benchmarks.drive import Load, drive, write_bodies
from benchmarks.measure import cpu_seconds, pss_bytes, tree
from benchmarks.paired import Pair, rate_at, ratio
from benchmarks.results import Results, Run
from benchmarks.targets import verdicts

HERE = Path(report.README).parent


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


def test_the_service_answers_what_the_weights_file_says() -> None:
    images = load_digits().images[:20]
    service = next(contender for contender in contenders.ALL if contender.name == "service")

    with running(service, weights=WEIGHTS, cores=sorted(os.sched_getaffinity(0))) as server:
        given = {
            name: answered_digits(server.url, [body.encode(image) for image in images], body.content_type)
            for name, body in BODIES.items()
        }
        processes, size, seconds = tree(server.pid), pss_bytes(server.pid), cpu_seconds(server.pid)

    expected = expected_digits(WEIGHTS, images)
    assert given == {"json": expected, "octet": expected}
    assert 50e6 < size < 2e9
    assert seconds > 0
    assert not any(Path("/proc", str(pid)).exists() for pid in processes)


@pytest.mark.slow
@pytest.mark.parametrize("piece", PIECES)
def test_the_service_without_a_piece_answers_what_it_answers_with_it(piece: str) -> None:
    images = load_digits().images[:5]
    without = Contender(piece, piece, "benchmarks.ablated", arguments=(piece,))
    body = BODIES["json"]

    with running(without, weights=WEIGHTS, cores=sorted(os.sched_getaffinity(0))) as server:
        given = answered_digits(server.url, [body.encode(image) for image in images], body.content_type)

    assert given == expected_digits(WEIGHTS, images)


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


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
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


def test_results_survive_a_file(tmp_path: Path) -> None:
    results = _results({"service": [4000], "echo": [10000]})

    results.write(tmp_path / "results.json")

    assert Results.read(tmp_path / "results.json") == results


def test_the_readme_shows_the_results_that_are_kept() -> None:
    results = Results.read(HERE / "results.json")

    assert report.markdown(results) in report.README.read_text()


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
