"""Traces of requests, if a receiver for them is set; OpenTelemetry is imported only then."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING

from service.settings import Settings

if TYPE_CHECKING:
    from service.otel import Trace, Tracing

logger = logging.getLogger(__name__)

# W3C Trace Context: the version ff and ids of zeros are none.
TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
NO_STEP = nullcontext()

current_trace: ContextVar[Trace | None] = ContextVar("current_trace", default=None)


def step(name: str) -> AbstractContextManager[None]:
    """Record a step of the current request as a span, if the request is traced."""
    trace = current_trace.get()
    return NO_STEP if trace is None else trace.step(name)


@asynccontextmanager
async def open_tracing(settings: Settings, *, version: str, replica: str) -> AsyncIterator[Tracing | None]:
    """Give what traces requests, and send what is left at the end; None where no receiver is set."""
    endpoint = settings.traces_endpoint
    tracing = _start(endpoint, version, replica) if endpoint else None
    try:
        yield tracing
    finally:
        if tracing is not None:
            await asyncio.to_thread(tracing.stop)


def _start(endpoint: str, version: str, replica: str) -> Tracing | None:
    try:
        from service.otel import Tracing
    except ModuleNotFoundError as error:
        logger.warning(
            "no traces: a receiver for them is set, but %s is not installed; pip install 'rust-ml-api[otel]'",
            error.name,
        )
        return None
    tracing = Tracing(endpoint, version=version, replica=replica)
    if not tracing.enabled:
        return None
    logger.info("traces go to %s", endpoint)
    return tracing
