"""What the system runs short of, disk, memory or descriptors, stops no request that needs none of it."""

from __future__ import annotations

import json
import resource
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.support.http import SEVEN, post, raw_post
from tests.support.paths import ROOT
from tests.support.pictures import bar, png
from tests.support.process import resident_bytes
from tests.support.wait import until


@pytest.mark.parametrize("output", ["/dev/full", "/dev/null"])
def test_neither_disk_nor_tmp_nor_room_for_logs_is_needed(start_server, free_tcp_port, output):
    """It runs in a folder that takes no files, has none for temporary ones, and can't write its log."""
    server = start_server(
        fresh=True,
        log=Path(output),
        folder=Path("/proc"),
        PORT=free_tcp_port,
        TMPDIR="/nowhere",
        HOME="/nowhere",
        PYTHONPATH=ROOT,
        PYTHONDONTWRITEBYTECODE=1,
        ACCESS_LOG_SAMPLE=1,
    )

    sent = [
        post(server, SEVEN),
        post(server, bar("png"), "image/png"),
        requests.post(f"{server.url}/predict", files={"image": bytes(300_000)}, timeout=10),
    ]

    assert [answer.status_code for answer in sent] == [200, 200, 400]
    assert server.terminate() == 0


def test_when_memory_is_short_requests_fail_alone(start_server):
    """With 8 MiB left, a picture that takes 16 is refused; small predictions beside it are answered."""
    server = start_server()
    assert post(server, bar("png"), "image/png").status_code == 200  # starts what pictures need
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    held = int(status.split("VmData:")[1].split()[0]) * 1024
    before = resource.prlimit(server.process.pid, resource.RLIMIT_DATA)
    resource.prlimit(server.process.pid, resource.RLIMIT_DATA, (held + (8 << 20), before[1]))
    large = png(2048, 2048, bytes(2048 * 8193), colour=6)
    stop = threading.Event()
    statuses: list[int] = []

    def send_large_pictures() -> None:
        while not stop.is_set():
            statuses.append(post(server, large, "image/png").status_code)

    threads = [threading.Thread(target=send_large_pictures) for _ in range(3)]
    for thread in threads:
        thread.start()
    answers = [post(server, SEVEN) for _ in range(100)]
    stop.set()
    for thread in threads:
        thread.join()

    assert [answer.json()["digit"] for answer in answers] == [7] * 100
    assert set(statuses) == {503}
    resource.prlimit(server.process.pid, resource.RLIMIT_DATA, before)
    assert post(server, large, "image/png").status_code == 200
    assert server.terminate() == 0


@pytest.mark.slow
def test_memory_goes_back_after_a_busy_moment(start_server):
    """Large bodies on two hundred connections, some of them unfinished; soon after it is as it was."""
    server = start_server()
    images = json.dumps({"images": [[0.1234] * 784] * 150}).encode()
    picture = png(1400, 1400, bytes(1400 * 5601), colour=6)
    for _ in range(20):
        assert post(server, SEVEN).status_code == post(server, bar("png"), "image/png").status_code == 200
    before = resident_bytes(server.process.pid)

    def send(number: int) -> None:
        with server.connect() as connection:
            connection.sendall(raw_post("/predict", "application/json", images + b" " * 20)[:-20])
            until(lambda: arrived.append(number) or len(arrived) >= 200)
        post(server, images)
        post(server, picture, "image/png")

    arrived: list[int] = []
    with ThreadPoolExecutor(200) as pool:
        list(pool.map(send, range(200)))

    until(lambda: resident_bytes(server.process.pid) <= 1.1 * before, seconds=60)
