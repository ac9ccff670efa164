"""The command that checks a weights file: what it prints, and how it ends."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys

from service.inference import check
from service.settings import BUNDLED_MODEL
from tests.support.paths import ROOT


def test_inspecting_the_bundled_weights_prints_the_card_the_proof_and_the_times(model, capsys):
    assert check.main([str(BUNDLED_MODEL)]) == 0

    printed = capsys.readouterr().out
    card, end = json.JSONDecoder().raw_decode(printed)
    digest, proof, times = printed[end:].strip().splitlines()
    assert card["name"] == "mnist-cnn"
    assert card == model.card.details
    assert printed[:end].count("\n") == len(card) + 1, "a field a line"
    assert digest == f"sha256: {hashlib.sha256(BUNDLED_MODEL.read_bytes()).hexdigest()}"
    # How large batches may be is measured.
    sizes = re.findall(r"\d at batch (\d+)", times)
    assert sizes == ["1", "2", "4", "8", "16", "32", "64"][: len(sizes)]
    assert len(sizes) > 2
    assert proof.startswith(f"golden cases: 20 agree at batch sizes {', '.join(sizes)}")
    assert times.startswith("µs per image, one thread: ")
    assert times.endswith("; with oneDNN's graph fusion")


def test_inspecting_another_file_than_the_pinned_one_fails(capsys):
    assert check.main([str(BUNDLED_MODEL), "--sha256", "0" * 64]) == 1

    assert capsys.readouterr().err.endswith(f", but {'0' * 64} is pinned\n")


def test_the_command_fails_with_one_line(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "service.check", "setup.cfg"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "setup.cfg is not a TorchScript archive\n"
