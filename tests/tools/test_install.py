"""`make tools` says what it installs, and its check installs nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "install.sh"
EVERY_PROGRAM = ("chromium", "faketime", "haproxy", "node", "npm", "wrk")


@pytest.fixture
def install(tmp_path):
    """Return a function that runs the script where only some programs exist; its apt-get writes a log."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "env").symlink_to(shutil.which("env"))
    log = tmp_path / "apt-get.log"

    def run(*arguments, programs, apt_get=True):
        scripts = dict.fromkeys(programs, "")
        scripts["sudo"] = 'while [[ $1 = -* ]]; do shift; done; "$@"'
        if apt_get:
            scripts["apt-get"] = f'echo "$@" >>{log}'
        for name, script in scripts.items():
            (folder / name).write_text(f"#!{shutil.which('bash')}\n{script}\n")
            (folder / name).chmod(0o755)
        command = [shutil.which("bash"), SCRIPT, *arguments]
        done = subprocess.run(command, env=os.environ | {"PATH": str(folder)}, capture_output=True, text=True)
        return done, log.read_text().splitlines() if log.exists() else []

    return run


def test_what_is_missing_is_named_and_installed(install):
    done, calls = install(programs=("faketime", "haproxy", "node", "npm"))

    assert (done.returncode, done.stdout) == (0, "Installing with apt-get: chromium wrk\n")
    assert calls == ["update -qq", "install --yes --no-install-recommends -qq chromium wrk"]


@pytest.mark.parametrize("browser", ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"])
def test_nothing_is_installed_where_nothing_is_missing(install, browser):
    done, calls = install(programs=(browser, *EVERY_PROGRAM[1:]))

    assert (done.returncode, done.stdout) == (
        0,
        "Installed already: chromium faketime haproxy nodejs npm wrk\n",
    )
    assert calls == []


def test_the_check_names_what_is_missing_and_installs_nothing(install):
    done, calls = install("--check", programs=("faketime", "haproxy", "node", "npm"))

    assert (done.returncode, done.stdout, calls) == (1, "", [])
    assert "not installed: chromium wrk." in done.stderr
    assert "Run `make tools`" in done.stderr


def test_the_check_says_nothing_where_nothing_is_missing(install):
    done, calls = install("--check", programs=EVERY_PROGRAM)

    assert (done.returncode, done.stdout, done.stderr, calls) == (0, "", "", [])


def test_without_apt_get_the_missing_programs_are_named(install):
    done, _ = install(programs=("faketime", "haproxy", "node", "npm"), apt_get=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "There is no apt-get here. Install these programs another way: chromium wrk\n"
