"""A real headless Chromium, driven over its DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/ has the commands. One WebSocket and no driver process.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.support.wait import DEADLINE_SECONDS, until

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)


class Browser:
    """One tab of one Chromium with an empty profile, in ``with Browser() as browser``."""

    def __enter__(self) -> Browser:
        """Start it."""
        program = next(filter(None, map(shutil.which, NAMES)), None)
        if program is None:
            pytest.fail("no Chromium: install it with `apt-get install chromium`, or see .ci/run")
        self.events: list[dict[str, Any]] = []
        self._ids = itertools.count(1)
        self._session: str | None = None
        with contextlib.ExitStack() as parts:
            profile = parts.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            process = parts.enter_context(
                subprocess.Popen(
                    [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
            parts.callback(process.terminate)
            port, path = _wait_for_port(process, Path(profile) / "DevToolsActivePort")
            self._socket = parts.enter_context(
                connect(f"ws://127.0.0.1:{port}{path}", max_size=None, open_timeout=DEADLINE_SECONDS)
            )
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                self.call(f"{domain}.enable")
            self._parts = parts.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, and every process that it started."""
        self._parts.close()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; events that come meanwhile are kept in ``events``."""
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            reply = json.loads(self._socket.recv(timeout=DEADLINE_SECONDS))
            if reply.get("id") == number:
                assert "error" not in reply, f"{method}: {reply['error']}"
                result: dict[str, Any] = reply["result"]
                return result
            self.events.append(reply)

    def call_all(self, commands: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Send commands one after the other, then wait until all are done: a hand waits for no screen."""
        numbers = set()
        for method, parameters in commands:
            number = next(self._ids)
            message = {"id": number, "method": method, "params": parameters, "sessionId": self._session}
            self._socket.send(json.dumps(message))
            numbers.add(number)
        while numbers:
            reply = json.loads(self._socket.recv(timeout=DEADLINE_SECONDS))
            if "id" in reply:
                assert "error" not in reply, reply
                numbers.remove(reply["id"])
            else:
                self.events.append(reply)

    def open(self, url: str) -> None:
        """Load a page, and wait until its scripts have run."""
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page; promises are awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> Any:
        """Wait until an expression in the page is true, and return its value."""
        return until(lambda: self.evaluate(condition), condition)

    def wait_for_event(self, method: str) -> dict[str, Any]:
        """Wait for an event, and return its parameters."""
        while True:
            for event in self.events:
                if event["method"] == method:
                    parameters: dict[str, Any] = event["params"]
                    return parameters
            self.events.append(json.loads(self._socket.recv(timeout=DEADLINE_SECONDS)))

    def text(self, selector: str) -> str:
        """Return the text of an element."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).textContent"))

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Return where an element is: left, top, width and height in the window."""
        rectangle = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        return tuple(self.evaluate(f"(({{x, y, width, height}}) => [x, y, width, height])({rectangle})"))

    def mouse(self, kind: str, x: float, y: float, *, pressed: bool = True) -> None:
        """Move, press or release the mouse: kind is mouseMoved, mousePressed or mouseReleased."""
        self.call_all([_mouse(kind, x, y, pressed=pressed)])

    def draw(self, points: Sequence[tuple[float, float]]) -> None:
        """Draw a line with the mouse."""
        moves = [_mouse("mouseMoved", *point) for point in points[1:]]
        self.call_all([_mouse("mousePressed", *points[0]), *moves, _mouse("mouseReleased", *points[-1])])

    def click(self, selector: str) -> None:
        """Click on the middle of an element."""
        left, top, width, height = self.box(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, left + width / 2, top + height / 2)

    def key(self, key: str, *, modifiers: int = 0) -> None:
        """Press and release a key; modifiers: 1 Alt, 2 Control, 4 Meta, 8 Shift."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, modifiers=modifiers)

    def window(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """Give the page a size in CSS pixels, two device pixels each, and a colour scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2,
            mobile=phone,
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)
        features = {"color-scheme": "dark" if dark else "light", "reduced-motion": "reduce"}
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": f"prefers-{name}", "value": value} for name, value in features.items()],
        )

    def screenshot(self, path: Path) -> None:
        """Write what the window shows as a PNG file."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def console_messages(self) -> list[str]:
        """Return what is in the page's console: errors, warnings and blocked resources."""
        self.call("Runtime.evaluate", expression="0")
        found = []
        for event in self.events:
            if event["method"] == "Log.entryAdded":
                found.append(event["params"]["entry"]["text"])
            elif event["method"] in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
                found.append(json.dumps(event["params"]))
        return found

    def requested(self) -> list[str]:
        """Return the address of every request so far."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]


def _mouse(kind: str, x: float, y: float, *, pressed: bool = True) -> tuple[str, dict[str, Any]]:
    button, buttons = ("left" if pressed else "none"), int(pressed and kind != "mouseReleased")
    clicks = int(kind != "mouseMoved")
    return "Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "button": button} | {
        "buttons": buttons,
        "clickCount": clicks,
    }


def _wait_for_port(process: subprocess.Popen[bytes], announced: Path) -> list[str]:
    def read() -> list[str]:
        assert process.poll() is None, "Chromium ended"
        lines = announced.read_text().splitlines() if announced.exists() else []
        return lines if len(lines) == 2 else []

    return until(read, "Chromium has started")
