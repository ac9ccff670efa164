"""`python -m service.smoke`, which `helm test` runs, against a real server."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from service import smoke
from service.settings import BUNDLED_MODEL
from tests.support.weights import golden, write


@pytest.fixture
def weights(live_server, tmp_path):
    """A weights file whose golden cases carry the labels that this server gives them."""
    images = np.zeros((3, 28, 28), np.uint8)
    images[1, 4:24, 13:16] = 255
    images[2, 8:20, 8:20] = 128
    pixels = images.reshape(-1, 784) / 255
    labels = np.array([smoke.predict(live_server.url, image, "digit") for image in pixels], np.uint8)
    return write(tmp_path / "mnist_cnn.pt", golden=golden(images=images, labels=labels))


def test_the_bundled_weights_see_their_own_golden_cases_right(live_server, capsys):
    assert smoke.main([live_server.url]) == 0
    assert capsys.readouterr().out == "20 of 20 answers are right\n"


def test_a_service_that_sees_every_digit_right_passes(live_server, weights, capsys):
    assert smoke.main([live_server.url, "--model", str(weights)]) == 0
    assert capsys.readouterr().out == "3 of 3 answers are right\n"


def test_one_wrong_digit_fails(live_server, weights, tmp_path, capsys):
    _, cases = smoke.read_cases(weights)
    labels = cases.labels.copy()
    labels[1] = (labels[1] + 1) % 10
    images = np.rint(cases.images * 255).astype(np.uint8).reshape(-1, 28, 28)
    wrong = write(tmp_path / "wrong.pt", golden=golden(images=images, labels=labels))

    assert smoke.main([live_server.url, "--model", str(wrong)]) == 1
    assert capsys.readouterr().out == (
        f"case 1: expected {labels[1]}, got {cases.labels[1]}\n2 of 3 answers are right\n"
    )


def test_a_service_that_is_not_there_fails_with_a_line(weights, free_tcp_port, capsys):
    assert smoke.main([f"http://127.0.0.1:{free_tcp_port}", "--model", str(weights)]) == 1
    assert "Connection refused" in capsys.readouterr().err


def test_a_refusal_is_told(live_server, weights, capsys):
    assert smoke.main([f"{live_server.url}/nowhere", "--model", str(weights)]) == 1
    assert f"POST {live_server.url}/nowhere/predict gave 404: " in capsys.readouterr().err


def test_a_file_without_golden_cases_is_told(live_server, tmp_path, capsys):
    (tmp_path / "x.pt").write_bytes(b"not a ZIP archive")

    assert smoke.main([live_server.url, "--model", str(tmp_path / "x.pt")]) == 1
    assert capsys.readouterr().err == f"{tmp_path}/x.pt is not a TorchScript archive\n"


def test_the_first_key_of_a_file_is_shown(start_server, weights, tmp_path, capsys):
    keys = tmp_path / "keys"
    keys.write_text("# the old one leaves on Friday\n\nfirst\nsecond\n")
    server = start_server(API_KEYS_FILE=keys)

    assert smoke.main([server.url, "--model", str(weights)]) == 1
    assert "gave 401" in capsys.readouterr().err
    assert smoke.main([server.url, "--model", str(weights), "--api-keys", str(keys)]) == 0


def test_a_file_without_a_key_is_told(live_server, weights, tmp_path, capsys):
    keys = tmp_path / "keys"
    keys.write_text("# none\n")

    assert smoke.main([live_server.url, "--model", str(weights), "--api-keys", str(keys)]) == 1
    assert capsys.readouterr().err == f"{keys}: there is no API key in it; write one on each line\n"


def test_a_file_larger_than_the_memory_of_the_test_pod_is_judged(live_server, tmp_path):
    """Only the golden cases of it are needed, and a weights file may have a GiB."""
    path, size = tmp_path / "large.pt", 256 << 20
    path.write_bytes(BUNDLED_MODEL.read_bytes())
    with zipfile.ZipFile(path, "a") as archive, archive.open("large", "w", force_zip64=True) as member:
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    script = (
        "import sys; from pathlib import Path; from service import smoke;"
        "status = smoke.main(sys.argv[1:]); print(Path('/proc/self/status').read_text()); sys.exit(status)"
    )
    command = [sys.executable, "-c", script, live_server.url, "--model", str(path)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "20 of 20 answers are right")
    [highest_kib] = re.findall(r"VmHWM:\s+(\d+) kB", done.stdout)
    assert int(highest_kib) << 10 < size / 2


@pytest.mark.parametrize("limit", [BUNDLED_MODEL.stat().st_size, BUNDLED_MODEL.stat().st_size - 1])
def test_a_file_may_have_as_many_bytes_as_the_service_takes(live_server, monkeypatch, capsys, limit):
    monkeypatch.setenv("MAX_MODEL_BYTES", str(limit))

    fits = smoke.main([live_server.url]) == 0

    assert fits is (limit == BUNDLED_MODEL.stat().st_size)
    assert ("(MAX_MODEL_BYTES)" in capsys.readouterr().err) is not fits


def test_it_starts_without_pytorch(live_server, weights):
    script = (
        "import sys; from service import smoke; sys.exit(smoke.main(sys.argv[1:]) or 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", script, live_server.url, "--model", str(weights)]

    assert subprocess.run(command, timeout=60).returncode == 0
