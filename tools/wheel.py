"""Serve from an installed wheel, which has to bring all that the service needs.

    python -m tools.wheel build/wheel/bin/python

That Python has to be of an environment of its own, with nothing but the wheel and what it asks for. The
bundled weights are checked, the service is started on a free port, and asked for its golden cases and pages.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from tools.release import version

PAGES = ("/", "/docs", "/openapi.json", "/static/gallery.json", "/metrics")
WHERE = "import service, service.settings as s; print(service.__version__, service.__file__, s.BUNDLED_MODEL)"


def main(python: str) -> None:
    """Do all that; the error says what failed."""
    # Isolated and in another folder, so that no module comes from the source code.
    isolated = (str(Path(python).absolute()), "-I")
    with tempfile.TemporaryDirectory() as folder:
        where = subprocess.check_output((*isolated, "-c", WHERE), cwd=folder, text=True)
        installed, module, weights = where.split()
        if installed != version() or "site-packages" not in Path(module).parts:
            raise SystemExit(
                f"{python} imports {installed} from {module}, which is not the wheel of {version()}"
            )
        subprocess.run((*isolated, "-m", "service.check", weights), cwd=folder, check=True)

        served = subprocess.Popen(
            (*isolated, "-m", "service"),
            cwd=folder,
            env=os.environ | {"HOST": "127.0.0.1", "PORT": "0", "LOG_FORMAT": "json"},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            url = _address(served)
            subprocess.run((*isolated, "-m", "service.smoke", url), cwd=folder, check=True)
            for page in PAGES:
                with urllib.request.urlopen(url + page, timeout=10) as answer:
                    print(f"{page}: {answer.status}, {len(answer.read())} bytes")
        finally:
            served.terminate()
            served.communicate()
    if served.returncode:
        raise SystemExit(f"the service ended with {served.returncode} instead of 0")
    print(f"{installed} serves from {Path(module).parent}")


def _address(served: subprocess.Popen[str]) -> str:
    """Return what the log says that it listens on."""
    assert served.stdout
    lines = []
    for line in served.stdout:
        lines.append(line)
        message: str = json.loads(line)["message"]
        if message.startswith("listening on "):
            return message.removeprefix("listening on ")
    raise SystemExit("the service ended before it listened:\n" + "".join(lines))


if __name__ == "__main__":
    main(sys.argv[1])
