"""uvicorn's server, with a drain that loses no request and a check on clients that keep it waiting."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import time
from functools import partial
from typing import Any

import uvicorn
from starlette.applications import Starlette

from service.api.state import Service
from service.memory import release_memory
from service.server.parsing_turns import ParsingTurns
from service.server.protocol import PredictProtocol
from service.server.throttle import Throttle
from service.server.traced import TracedProtocol
from service.settings import Settings

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1  # uvicorn's own
CHECK_TICKS = 5
RELEASE_TICKS = 100
QUIET_SECONDS = 0.5
# Of the time that the whole drain may take: what is left is for the requests in flight at its end.
LISTENING_SHARE = 0.4
# Options of Linux, ip(7) and ipv6(7), that Python has no names for. No system sends packets with the highest
# TTL unless it is asked to.
MIN_TTL = ((socket.IPPROTO_IP, 21), (socket.IPPROTO_IPV6, 73))
ANY_TTL, NO_TTL = 0, 255


class Server(uvicorn.Server):
    """Serves until SIGTERM or SIGINT, then drains.

    uvicorn's own drain begins by closing the listener and every idle connection, and a client that was about
    to use one of them gets a reset. Here the drain begins with notice: ``/healthz`` fails, and each answer is
    the last of its connection. Requests that still come are served, until none has come for half a second.
    """

    def __init__(self, app: Starlette, settings: Settings) -> None:
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            loop="uvloop",
            http=self._connect,  # type: ignore[arg-type]
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            reset_contextvars=True,  # no request runs in the context of the one before it
            timeout_keep_alive=settings.keep_alive_seconds,
            timeout_graceful_shutdown=settings.shutdown_timeout_seconds,
        )
        super().__init__(config)
        self._app = app
        self._shared: dict[str, Any] = {"turns": ParsingTurns(), "throttle": Throttle()}

    def _connect(self, *args: Any, **kwargs: Any) -> PredictProtocol:
        """Make what serves a connection; uvicorn calls this with arguments of its own."""
        tracing = self._service.tracing
        if tracing is None:
            return PredictProtocol(*args, **self._shared, **kwargs)
        return TracedProtocol(*args, **self._shared, tracing=tracing, **kwargs)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, and log the address, with the port that a 0 has become."""
        await super().startup(sockets)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            logger.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)

    async def on_tick(self, counter: int) -> bool:
        """Check the time limits of every connection; the hot path keeps no timers for them."""
        if counter % CHECK_TICKS == 0:
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                if isinstance(connection, PredictProtocol):
                    connection.check_timeouts(now)
        if counter % RELEASE_TICKS == 0 and not self._service.tracker.in_flight:
            release_memory()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then end as uvicorn does."""
        allowed = float(self.config.timeout_graceful_shutdown or 0)
        began = time.perf_counter()
        tracker = self._service.tracker
        tracker.draining, tracker.last_served = True, began
        logger.info("draining: the health check fails, and connections end with their next answer")
        await self._quiet_by(began + allowed * LISTENING_SHARE)
        # Where clients come without a pause, as nothing sends them elsewhere, it has to end all the same.
        # Those that are connected by then get the time for one more request.
        await self._stop_listening(sockets or [])
        await self._quiet_by(began + 2 * allowed * LISTENING_SHARE)
        rest = allowed - (time.perf_counter() - began)
        self.config.timeout_graceful_shutdown = max(1, int(rest))
        await super().shutdown(sockets)

    async def _stop_listening(self, sockets: list[socket.socket]) -> None:
        """Close the listeners, and take the connections that the kernel had accepted for them by then."""
        loop = asyncio.get_running_loop()
        make_protocol: Any = self.config.http_protocol_class
        protocol = partial(
            make_protocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        # Their queues would go with the last descriptor, and clients that wait in them get a reset. So nobody
        # joins a queue from now on; who tries to asks again after a second, and is refused.
        for listener in sockets:
            _set_min_ttl(listener, NO_TTL)
        queues = [listener.dup() for listener in sockets]
        for server in self.servers:
            server.close()
        waiting = []
        for queue in queues:
            with queue, contextlib.suppress(OSError):
                queue.setblocking(False)
                while True:
                    waiting.append(queue.accept()[0])
        for connection in waiting:
            _set_min_ttl(connection, ANY_TTL)  # its handshake may have ended a moment ago
            connection.setblocking(False)
            await loop.connect_accepted_socket(protocol, connection)

    async def _quiet_by(self, deadline: float) -> None:
        """Serve until no request has been served for a while, or to the deadline."""
        tracker = self._service.tracker
        counter = 0
        while not self.force_exit and time.perf_counter() < deadline:
            await asyncio.sleep(TICK_SECONDS)
            counter += 1
            await self.on_tick(counter)
            if not tracker.in_flight and time.perf_counter() - tracker.last_served > QUIET_SECONDS:
                return

    @property
    def _service(self) -> Service:
        service: Service = self._app.state.service
        return service


def _set_min_ttl(connection: socket.socket, least: int) -> None:
    """Have the kernel drop packets with a lower TTL, or hop limit, where it can (RFC 5082)."""
    for option in MIN_TTL if sys.platform == "linux" else ():
        with contextlib.suppress(OSError):  # a socket may have either, or both
            connection.setsockopt(*option, least)


def bind(host: str, port: int) -> socket.socket:
    """Take a port without listening on it: connections are refused until the model is ready.

    Raises:
        OSError: the address is taken, or is none of this machine; the message says which.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {host} port {port}: {error}") from None
    return listener
