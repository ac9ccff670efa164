"""A TorchScript model behind FastAPI, as tutorials write it: one pydantic model, one tensor per request."""

from __future__ import annotations

import os

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = torch.jit.load(os.environ["MODEL_PATH"], map_location="cpu")  # type: ignore[no-untyped-call]
model.eval()


class PredictRequest(BaseModel):
    """What the client sends."""

    image: list[float]


class PredictResponse(BaseModel):
    """What the client gets."""

    digit: int
    confidence: float
    probabilities: list[float]


@app.get("/healthz")
async def healthz() -> str:
    """Say that the server is up."""
    return "OK"


@app.post("/predict")
def predict(request: PredictRequest) -> PredictResponse:
    """Classify one image, in a thread of FastAPI's pool: its documentation's way with what blocks."""
    return classify(request)


@app.post("/predict-async")
async def predict_async(request: PredictRequest) -> PredictResponse:
    """Classify one image in the event loop, where all others wait meanwhile."""
    return classify(request)


def classify(request: PredictRequest) -> PredictResponse:
    """Make a tensor of the numbers, call the model, and read its answer."""
    image = torch.tensor(request.image, dtype=torch.float32).reshape(1, 1, 28, 28)
    with torch.no_grad():
        probabilities = torch.softmax(model(image), dim=1)[0]
    digit = int(probabilities.argmax())
    return PredictResponse(
        digit=digit, confidence=float(probabilities[digit]), probabilities=probabilities.tolist()
    )


if __name__ == "__main__":
    uvicorn.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]), access_log=False)
