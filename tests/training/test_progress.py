"""A bar on a terminal, lines in a log."""

from __future__ import annotations

import io

import pytest

from training import progress
from training.progress import Progress


class Terminal(io.StringIO):
    """A stderr that a person looks at."""

    def isatty(self) -> bool:
        return True


def test_a_log_gets_one_line_for_each_stage(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("epoch 1/2", 3, "batches") as shows:
        for _ in range(3):
            shows.update()
            shows.show(loss="0.5", accuracy="90.00%")
    with Progress("soft labels", 20, "images") as shows:
        shows.update(20)

    assert capsys.readouterr().err == "epoch 1/2: loss=0.5, accuracy=90.00% (0 s)\nsoft labels: done (0 s)\n"


def test_a_log_hears_from_a_long_stage_before_it_ends(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SILENCE_SECONDS", 0)

    with Progress("soft labels", 3000, "images") as shows:
        shows.update(1500)

    assert capsys.readouterr().err == "soft labels: 1,500 of 3,000 images\nsoft labels: done (0 s)\n"


def test_a_stage_that_fails_gets_no_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), Progress("epoch 1/2", 3, "batches") as shows:
        shows.show(loss="0.5")
        raise KeyboardInterrupt

    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)

    with Progress("epoch 1/2", 3, "batches") as shows:
        shows.update(3)
        shows.show(loss="0.5")

    last = terminal.getvalue().rpartition("\r")[2].rstrip()
    assert last.startswith("epoch 1/2: 100%|")
    assert " 3/3 [" in last
    assert last.endswith("loss=0.5]")


def test_what_only_the_first_process_says_is_not_said_by_others(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("epoch 1/2", 3, "batches", shown=False) as shows:
        shows.update(3)

    assert capsys.readouterr().err == ""
