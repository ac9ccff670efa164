"""New weights without a restart: notice, load aside, check, swap.

The file is checked when its folder reports a change, at each interval (network file systems report none), and
on SIGHUP. Kubernetes updates a mounted ConfigMap by renaming a symbolic link, ``..data``, beside the
file: the folder is therefore what is watched, and the file that the path leads to is what is compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable
from typing import TypeAlias

from watchfiles import awatch

from service.errors import InvalidModel
from service.inference.batcher import Batcher
from service.inference.load_thread import LoadThread
from service.inference.loading import load_served_model
from service.inference.model import Model
from service.inference.weights import file_sha256, find_file
from service.metrics import Metrics
from service.settings import Settings

logger = logging.getLogger(__name__)

Signature: TypeAlias = tuple[int, ...]

# A change is acted on once the folder has been quiet for so long: a file is seldom written in one go.
QUIET_MS, LONGEST_WAIT_MS = 100, 2000
EVENTS_SECONDS = 1.0


class Reloader:
    """Keeps a batcher on the weights that the file holds.

    Use it as ``async with Reloader(...)`` inside of the batcher's own context. Weights that can't be served
    change nothing but a metric and one log line, however often they are checked.
    """

    def __init__(
        self,
        model: Model,
        batcher: Batcher,
        metrics: Metrics,
        settings: Settings,
        *,
        thread: LoadThread,
        rehearse: Callable[[Model], None] = lambda _: None,
    ) -> None:
        """Take what serves, the thread to load in, and what is done with a model before it is served."""
        self._batcher = batcher
        self._thread = thread
        self._rehearse = rehearse
        self._metrics = metrics
        self._settings = settings
        self._path = settings.model_path
        self._folder = self._path if self._path.is_dir() else self._path.parent
        self._model = model
        self._seen: Signature | None = None
        self._refused = ""  # the digest of the content that was refused last, or why it could not be read
        self._wake = asyncio.Event()
        self._requested = False
        self._tasks: list[asyncio.Task[None]] = []
        self._announce(model)

    async def __aenter__(self) -> Reloader:
        """Start to watch the file, and check whether it has changed since it was loaded."""
        await self.check()
        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():  # signals arrive nowhere else
            loop.add_signal_handler(signal.SIGHUP, self.request_check)
        self._tasks = [loop.create_task(self._listen()), loop.create_task(self._follow())]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop watching; a reload under way is given up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def request_check(self) -> None:
        """Check the file at once, and try it even if it was refused before."""
        self._requested = True
        self._wake.set()

    async def check(self, *, requested: bool = False) -> None:
        """Serve what the file holds, if that is new; a check that was requested is logged in any case."""
        content = ""
        try:
            signature = await self._thread.run(self._signature)
            if signature == self._seen and not requested:
                return
            self._seen = None  # until the content is known
            content = await self._thread.run(lambda: file_sha256(self._path, self._settings.max_model_bytes))
            self._seen = signature
            if content == self._model.sha256:
                self._refused = ""
                if requested:
                    logger.info("%s holds what is being served, %s", self._path, self._name)
            elif content != self._refused or requested:
                await self._swap()
        except Exception as error:
            self._refuse(content, error, requested=requested)

    async def _listen(self) -> None:
        """Have the file checked whenever its folder reports a change."""
        try:
            async for _ in awatch(
                self._folder, watch_filter=None, step=QUIET_MS, debounce=LONGEST_WAIT_MS, recursive=False
            ):
                self._wake.set()
        except (OSError, RuntimeError) as error:  # the errors of watchfiles itself are RuntimeErrors
            interval = self._settings.reload_interval_seconds
            logger.warning("no file events (%s); the weights file is checked every %g s", error, interval)

    async def _follow(self) -> None:
        # It takes a moment until events arrive: what changed meanwhile is found by an early check.
        interval = min(EVENTS_SECONDS, self._settings.reload_interval_seconds)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._wake.wait()
            interval = self._settings.reload_interval_seconds
            self._wake.clear()
            requested, self._requested = self._requested, False
            await self.check(requested=requested)

    async def _swap(self) -> None:
        settings = self._settings
        model = await self._thread.run(lambda: load_served_model(settings))
        if model.card.takes != self._model.card.takes:
            raise InvalidModel(
                f"{self._path} takes or gives something else than what is served; restart to serve it"
            )
        self._rehearse(model)
        await self._batcher.warm_up(model)
        self._batcher.serve(model)
        before, self._model, self._refused = self._name, model, ""
        self._announce(model)
        self._metrics.reloads["success"] += 1
        logger.info("serving %s from %s, after %s", self._name, self._path, before)

    def _announce(self, model: Model) -> None:
        card = model.card
        self._metrics.serving(card.name, card.version, card.target, card.classes)
        self._metrics.computing(model.batch_sizes[-1], model.num_threads)

    def _refuse(self, content: str, error: Exception, *, requested: bool) -> None:
        known = isinstance(error, InvalidModel)
        reason = str(error) if known else f"{self._path} can't be loaded: {error!r}"
        refused = content or reason
        if refused == self._refused and not requested:
            return
        self._refused = refused
        self._metrics.reloads["failure"] += 1
        logger.error("still serving %s: %s", self._name, reason, exc_info=None if known else error)

    @property
    def _name(self) -> str:
        return f"{self._model.card.name} {self._model.card.version}"

    def _signature(self) -> Signature:
        """Return what changes with the file, however it is replaced; nothing if no file is there."""
        try:
            status = find_file(self._path).stat()
        except (OSError, InvalidModel):
            return ()
        return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
