"""The one layer around the router: a context for each request, and an answer to each error."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.body import announced_bytes
from service.api.request_context import CLOSE, RequestContext, RequestTracker
from service.errors import InvalidModel, QueueFull, RequestAbandoned, ServiceError


class RequestMiddleware:
    """Identifies, counts and times each request, and turns what is raised into a response."""

    def __init__(self, app: ASGIApp, tracker: RequestTracker) -> None:
        self._app = app
        self._tracker = tracker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with ``scope["state"]["request_id"]`` set."""
        if scope["type"] != "http":
            await self._app(scope, receive, _with_short_failure(send))
            return
        context = RequestContext(self._tracker, scope["headers"])
        scope.setdefault("state", {})["request_id"] = context.request_id
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += context.headers
                if self._tracker.draining:
                    message["headers"].append(CLOSE)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except RequestAbandoned as error:
            status = error.status
        except Exception as error:
            if status:
                raise
            if isinstance(error, ServiceError) and "pause_after_rejection" in scope["state"]:
                full = isinstance(error, QueueFull)
                size = scope["state"].get("body_bytes", announced_bytes(scope))
                scope["state"]["pause_after_rejection"](size, full=full)
            response = context.error_response(scope["path"], scope["method"], error)
            if any(name == b"expect" for name, _ in scope["headers"]):
                response.raw_headers.append(CLOSE)  # whether the body comes all the same is up to the client
            await response(scope, receive, send_with_headers)
        finally:
            # The route's template, never the raw path: labels must stay few.
            context.finish(scope["route"].path if "route" in scope else "unknown", scope["method"], status)


def _with_short_failure(send: Send) -> Send:
    """Report a start that fails for want of good weights in one line; the traceback would say no more."""

    async def send_short(message: Message) -> None:
        _, known, sentence = message.get("message", "").rstrip().rpartition(f"{InvalidModel.__qualname__}: ")
        await send({**message, "message": sentence} if known else message)

    return send_short
