"""`make` takes PyTorch's CPU builds where there is no GPU, pip has no index of its own and theirs answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.paths import ROOT
from tests.support.ports import free_port


@pytest.fixture
def index(tmp_path):
    """The address of an index with PyTorch in it."""
    (tmp_path / "whl" / "torch").mkdir(parents=True)

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=tmp_path / "whl")

        def log_message(self, *arguments):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def chosen(tmp_path):
    """Return a function that runs the script where there are some programs, variables and settings of pip."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "env", "grep", "uname"):
        (programs / name).symlink_to(shutil.which(name))

    def run(index, *, gpu=False, pip_conf="", **variables):
        if gpu:
            (programs / "nvidia-smi").write_text(f"#!{shutil.which('bash')}\n")
            (programs / "nvidia-smi").chmod(0o755)
        (tmp_path / "pip.conf").write_text(pip_conf)
        kept = {name: text for name, text in os.environ.items() if not name.startswith("PIP_")}
        # The files of this machine and its user are out of the way.
        pip = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf") if pip_conf else os.devnull}
        pip |= {"XDG_CONFIG_DIRS": str(tmp_path), "HOME": str(tmp_path)}
        environment = kept | pip | {"PATH": str(programs), "TORCH_INDEX_URL": index} | variables
        done = subprocess.run(
            [ROOT / "tools" / "torch_index.sh", sys.executable],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_it_is_taken_where_there_is_no_gpu(chosen, index):
    assert chosen(index) == f"{index}\n"


def test_it_is_not_taken_beside_a_gpu(chosen, index):
    assert chosen(index, gpu=True) == ""


@pytest.mark.parametrize("name", ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"])
def test_it_is_not_taken_where_the_environment_names_another(chosen, index, name):
    assert chosen(index, **{name: "1"}) == ""


def test_it_is_not_taken_where_pips_own_file_names_another(chosen, index):
    assert chosen(index, pip_conf="[global]\nindex-url = https://mirror.example/simple\n") == ""


def test_it_is_not_taken_where_it_does_not_answer(chosen, index):
    assert chosen(f"{index}/other") == ""
    assert chosen(f"http://127.0.0.1:{free_port()}") == ""
    assert chosen("") == ""
