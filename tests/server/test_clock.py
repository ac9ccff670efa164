"""The time of day jumps, in a real process under libfaketime: nothing that is timed takes note."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support import weights
from tests.support.http import ONES, PREDICT, PREDICT_BODY, ZEROS, post, read_statuses
from tests.support.metrics import is_computing
from tests.support.models import FaultyModel
from tests.support.wait import until

# Debian's package faketime; `make tools` installs it.
LIBRARY = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
HEADER_SECONDS, QUEUE_SECONDS = 1.5, 1.0
DAY = 24 * 60 * 60


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["a day on and back", "a day back and on"])
def test_a_jump_of_the_clock_changes_no_deadline(start_server, tmp_path, jump):
    clock = tmp_path / "clock"
    clock.write_text("+0")
    server = start_server(
        fresh=True,
        MODEL_PATH=weights.write(tmp_path / "faulty.pt", FaultyModel()),
        QUEUE_TIMEOUT_SECONDS=QUEUE_SECONDS,
        HEADER_TIMEOUT_SECONDS=HEADER_SECONDS,
        LD_PRELOAD=LIBRARY[0],
        FAKETIME_TIMESTAMP_FILE=clock,
        FAKETIME_NO_CACHE=1,
        FAKETIME_DONT_FAKE_MONOTONIC=1,
    )
    kept = HTTPConnection(*server.address, timeout=30)

    def ask(path: str = "/healthz", body: bytes | None = None) -> tuple[int, float]:
        """Ask on the connection that is kept; return the status, and how far the clock there is ahead."""
        kept.request("GET" if body is None else "POST", path, body, {"Content-Type": "application/json"})
        answer = kept.getresponse()
        answer.read()
        return answer.status, parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()

    def wait_for(image: list[int]) -> tuple[int, float]:
        began = time.monotonic()
        return post(server, {"image": image}).status_code, time.monotonic() - began

    with closing(kept), ThreadPoolExecutor(2) as pool:
        assert ask()[0] == 200
        connection = kept.sock
        clock.write_text(f"{jump:+d}")
        until(lambda: abs(ask()[1] - jump) < DAY / 2)
        assert ask("/predict", PREDICT_BODY)[0] == 200

        began = time.monotonic()
        with server.connect() as half:
            half.sendall(PREDICT[:30])
            hangs = pool.submit(wait_for, ONES)
            until(lambda: is_computing(server))
            waits = pool.submit(wait_for, ZEROS)

            clock.write_text("+0")
            until(lambda: abs(ask()[1]) < DAY / 2)

            for status, seconds in (hangs.result(), waits.result()):
                assert status == 504
                assert seconds >= QUEUE_SECONDS
            assert read_statuses(half, 1) == [408]
            assert time.monotonic() - began >= HEADER_SECONDS
        assert kept.sock is connection
