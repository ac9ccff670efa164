"""The ceiling: a Starlette route that reads the same body and answers a constant of an answer's size."""

from __future__ import annotations

import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

ANSWER = (
    b'{"digit":7,"confidence":0.999712,"probabilities":[0.000001,0.000003,0.000035,0.000124,0.000002,'
    b'0.000004,0.000001,0.999712,0.000008,0.00011],"outlier":false,'
    b'"model":{"name":"mnist-cnn","version":"0123456789ab"}}'
)


async def predict(request: Request) -> Response:
    """Read all of the body, look at none of it."""
    await request.body()
    return Response(ANSWER, media_type="application/json")


async def healthz(_: Request) -> Response:
    """Say that the server is up."""
    return PlainTextResponse("OK")


app = Starlette(routes=[Route("/predict", predict, methods=["POST"]), Route("/healthz", healthz)])

if __name__ == "__main__":
    uvicorn.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]), access_log=False)
