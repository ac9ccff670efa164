"""Files that block, never end or can't be encoded are refused in time, and the next good one is served."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from service.inference import check
from tests.support import models, weights
from tests.support.http import ZEROS, post
from tests.support.metrics import reloads
from tests.support.paths import ROOT
from tests.support.wait import until
from tests.support.weights import golden, write_constant


def version(server):
    return post(server, {"image": ZEROS}).json()["model"]["version"]


def write_endless(path):
    """A weights file whose golden case keeps the module busy for ever."""
    ones = golden(
        images=np.full((1, 28, 28), 255, np.uint8),
        labels=np.zeros(1, np.uint8),
        logits=np.zeros((1, 10), np.float32),
    )
    return weights.write(path, models.FaultyModel(), golden=ones)


def put(path, new):
    """Put a file, or whatever it is, in place of another in one step."""
    new.rename(path)


@pytest.fixture
def server(start_server, tmp_path):
    path = write_constant(tmp_path / "weights.pt", 1)
    return start_server(MODEL_PATH=path, LOAD_TIMEOUT_SECONDS=3, RELOAD_INTERVAL_SECONDS=0.5, NUM_THREADS=1)


def test_a_module_that_never_ends_is_given_up_and_the_next_file_is_served(server, tmp_path):
    path = tmp_path / "weights.pt"

    for turn in (1, 2):
        put(path, write_endless(tmp_path / "new"))
        until(lambda turn=turn: reloads(server)[1] == turn, "the file is refused")
        assert server.messages("ERROR", count=turn)[-1].endswith(
            "the weights file took over 3 s to load and check (LOAD_TIMEOUT_SECONDS)"
        )
        put(path, write_constant(tmp_path / "new", turn + 1))
        until(lambda turn=turn: reloads(server)[0] == turn, "the next file is served")
        assert version(server) == f"digit {turn + 1}"

    put(path, write_endless(tmp_path / "new"))
    until(lambda: reloads(server)[1] == 3, "the third is refused")
    put(path, write_constant(tmp_path / "new", 4))
    until(lambda: reloads(server)[1] == 4, "no more threads are left behind")
    assert server.messages("ERROR", count=4)[-1].endswith("have taken too long to load; restart this replica")
    assert version(server) == "digit 3"
    assert server.terminate() == 0


def test_what_is_no_regular_file_is_refused_and_the_next_file_is_served(server, tmp_path, request):
    path, new = tmp_path / "weights.pt", tmp_path / "new"
    listener = socket.socket(socket.AF_UNIX)
    request.addfinalizer(listener.close)

    def make_fifo():
        os.mkfifo(new)

    def make_link_to_fifo():
        os.mkfifo(tmp_path / "fifo")
        new.symlink_to(tmp_path / "fifo")

    def make_link_to_device():
        new.symlink_to("/dev/zero")

    def make_socket():
        listener.bind(str(new))

    def make_link_to_folder():
        new.symlink_to(tmp_path)

    makers = (make_fifo, make_link_to_fifo, make_link_to_device, make_socket, make_link_to_folder)
    for turn, make in enumerate(makers, 1):
        make()
        put(path, new)
        until(lambda turn=turn: reloads(server)[1] == turn, f"{make.__name__} is refused")
        put(path, write_constant(new, turn + 1))
        until(lambda turn=turn: reloads(server)[0] == turn, "the next file is served")
        assert version(server) == f"digit {turn + 1}"

    refused = server.messages("ERROR", count=len(makers))
    assert len(refused) == len(makers)
    assert all("can't be read: " in line for line in refused)
    assert "it is not a regular file" in refused[0]
    assert server.terminate() == 0


CARDS = {
    "a lone surrogate": {"version": "\ud800"},
    "a name with a surrogate": {"name": "a\udfffb"},
    "NUL": {"version": "1\0"},
    "lines": {"version": "1\r\nSet-Cookie: a=b"},
    "an escape sequence": {"name": "\x1b[31mred"},
    "a separator of lines": {"name": "a\u2028b"},
    "an order of writing": {"name": "a\u202eb"},
}


@pytest.mark.parametrize("card", CARDS)
def test_a_card_that_can_not_be_shown_is_refused_by_the_check(tmp_path, capsys, card):
    document = {"format": 1, "name": "tiny", "version": "1"} | CARDS[card]
    path = weights.write(tmp_path / "weights.pt", card=json.dumps(document).encode())

    status = check.main([str(path)])

    printed, said = capsys.readouterr()
    assert (status, printed) == (1, "")
    assert "has a character that can't be printed" in said
    assert said.removesuffix("\n").isprintable()


def test_a_card_that_can_not_be_shown_is_refused_by_a_reload(server, tmp_path):
    path = tmp_path / "weights.pt"
    for turn, changes in enumerate(CARDS.values(), 1):
        document = {"format": 1, "name": "tiny", "version": "1"} | changes
        put(path, weights.write(tmp_path / "new", card=json.dumps(document).encode()))
        until(lambda turn=turn: reloads(server)[1] == turn, "the card is refused")

        assert version(server) == "digit 1"
        assert server.health() == 200

    assert len(server.messages("ERROR", count=len(CARDS))) == len(CARDS)


@pytest.mark.parametrize("module", ["service", "service.check"])
def test_a_file_that_never_ends_ends_the_command_with_a_sentence(tmp_path, free_tcp_port, module):
    path = write_endless(tmp_path / "weights.pt")
    settings = {"MODEL_PATH": str(path), "PORT": str(free_tcp_port), "LOAD_TIMEOUT_SECONDS": "2"}

    done = subprocess.run(
        [sys.executable, "-m", module, *([path] if module == "service.check" else [])],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode != 0
    assert "took over" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
