"""The micro-batcher around the real model: equal answers in any batch, and bounds that hold."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack

import numpy as np
import pytest
import torch

from service.errors import InvalidImage, ModelUnavailable, QueueFull, QueueTimeout, RequestAbandoned
from service.inference.batcher import SWEEP_SECONDS, Batcher
from service.metrics import Metrics
from tests.support.wait import until_async

MAX_BATCH_SIZE = 32
LIMITS = {"max_queue_size": 16, "queue_timeout_seconds": 30}


class GatedModel:
    """The real model behind a gate: a batch says that it has begun, and waits until it may go on."""

    def __init__(self, model):
        self.card = model.card
        self.batch_sizes = model.batch_sizes
        self.inline_size = 0
        self.warm_up = model.warm_up
        self.sizes = []
        self.begun = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)
        self._model = model

    def logits(self, images):
        self.sizes.append(len(images))
        self.begun.release()
        self.gate.acquire()
        return self._model.logits(images)

    def open(self):
        self.gate.release(1000)


class InlineModel(GatedModel):
    """A model that is quick up to a batch size, and says in which threads it ran."""

    def __init__(self, model, inline_size):
        super().__init__(model)
        self.inline_size = inline_size
        self.threads = []

    def logits(self, images):
        self.threads.append((len(images), threading.current_thread().name))
        assert torch.is_inference_mode_enabled()
        return self._model.logits(images)


class FailingModel(GatedModel):
    """A model that fails on its first batch, and works from then on."""

    def logits(self, images):
        self.sizes.append(len(images))
        if len(self.sizes) == 1:
            raise RuntimeError("no memory left for a batch")
        return self._model.logits(images)


class DyingModel(GatedModel):
    """A model that ends its thread."""

    def logits(self, images):
        raise SystemExit


async def begun(model):
    await asyncio.to_thread(model.begun.acquire)


def pixels(image):
    return image.ravel().astype(np.float64) / 255


def batcher_of(model, metrics=None, **limits):
    return Batcher(model, metrics or Metrics(), **(LIMITS | limits))


@pytest.fixture
def alone(model, digits):
    """Each image's probabilities when it has the model to itself."""
    with torch.inference_mode():
        rows = [model.logits(pixels(image).astype(np.float32).reshape(1, 784)) for image in digits[:32]]
    return torch.from_numpy(np.concatenate(rows)).softmax(dim=1).numpy()


@pytest.mark.parametrize("count", range(1, MAX_BATCH_SIZE + 1))
def test_an_answer_is_the_same_alone_and_in_any_batch(model, digits, alone, count):
    async def predict():
        async with batcher_of(model, max_queue_size=count) as batcher:
            return await asyncio.gather(*(batcher.submit(pixels(image)) for image in digits[:count]))

    predictions = asyncio.run(predict())

    np.testing.assert_allclose([p.probabilities for p in predictions], alone[:count], atol=1e-6)
    assert [p.label for p in predictions] == alone[:count].argmax(axis=1).tolist()
    assert [p.confidence for p in predictions] == pytest.approx(alone[:count].max(axis=1), abs=1e-6)


@pytest.mark.parametrize("inline_size", [0, 4, 32])
def test_batches_that_are_over_soon_run_in_the_event_loop(model, digits, alone, inline_size):
    inline = InlineModel(model, inline_size)

    async def predict():
        async with batcher_of(inline) as batcher:
            few = [batcher.submit(pixels(image)) for image in digits[:3]]
            await asyncio.gather(*few)
            many = [batcher.submit(pixels(image)) for image in digits[3:16]]
            return [*(await asyncio.gather(*few)), *(await asyncio.gather(*many))]

    answers = asyncio.run(predict())

    assert [size for size, _ in inline.threads] == [4, 16]
    for size, thread in inline.threads:
        assert thread == ("MainThread" if size <= inline_size else "model")
    np.testing.assert_allclose([one.probabilities for one in answers], alone[:16], atol=1e-6)
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("inline_size", [0, 32])
def test_a_batch_that_fails_fails_no_other(model, digits, caplog, inline_size):
    failing = FailingModel(model)
    failing.inline_size = inline_size

    async def predict():
        async with batcher_of(failing) as batcher:
            with pytest.raises(ModelUnavailable, match="the model failed on this batch"):
                await batcher.submit(pixels(digits[0]))
            return (await batcher.submit(pixels(digits[0]))).label

    assert asyncio.run(predict()) == 7
    assert "a batch of 1 failed" in caplog.text


def test_requests_that_wait_while_the_model_is_busy_share_the_next_batch(model, digits):
    gated = GatedModel(model)

    async def predict():
        async with batcher_of(gated) as batcher:
            first = batcher.submit(pixels(digits[0]))
            await begun(gated)
            rest = [batcher.submit(pixels(image)) for image in digits[1:8]]
            gated.open()
            await asyncio.gather(first, *rest)

    asyncio.run(predict())

    assert gated.sizes == [1, 8]


def test_an_image_that_comes_alone_waits_for_the_batch_in_hand_and_no_more(model, digits):
    gated = GatedModel(model)

    async def predict():
        async with batcher_of(gated, max_queue_size=200) as batcher:
            many = batcher.submit_all(np.stack([pixels(image) for image in digits[:128]]))
            await begun(gated)
            alone = batcher.submit(pixels(digits[0]))
            gated.gate.release(2)
            answer = await asyncio.wait_for(alone, 30)
            assert not many.done()
            gated.open()
            return answer, await many

    answer, answers = asyncio.run(predict())

    assert answer.label == answers[0].label == 7
    assert len(answers) == 128


def test_many_images_leave_room_for_those_that_come_alone(model, digits):
    gated = GatedModel(model)
    image = pixels(digits[0])

    async def run():
        async with batcher_of(gated, max_queue_size=64) as batcher:
            reserved = ExitStack()
            with batcher.reserve(64):  # alone, they may have it all
                pass
            for _ in range(6):
                reserved.enter_context(batcher.reserve(10))
            with pytest.raises(QueueFull, match="no room for 2 more"):
                reserved.enter_context(batcher.reserve(2))
            alone = [batcher.submit(image) for _ in range(4)]
            gated.open()
            answers = await asyncio.gather(*alone)
            reserved.close()
            return [answer.label for answer in answers]

    assert asyncio.run(run()) == [7] * 4


def test_a_full_queue_refuses_and_recovers(model, digits):
    gated = GatedModel(model)
    image = pixels(digits[0])

    async def overload():
        async with batcher_of(gated) as batcher:
            running = batcher.submit(image)
            await begun(gated)
            waiting = [batcher.submit(image) for _ in range(LIMITS["max_queue_size"])]
            with pytest.raises(
                QueueFull, match="the queue has no room for 1 more now; try again in a second"
            ):
                batcher.submit(image)
            with pytest.raises(QueueFull):
                batcher.check_room()
            full_depth = batcher.depth
            gated.open()
            answers = await asyncio.gather(
                running, *waiting, batcher.submit(image) if batcher.depth < 16 else running
            )
            return full_depth, batcher.depth, len(answers), (await batcher.submit(image)).label

    assert asyncio.run(overload()) == (16, 0, 18, 7)


def test_a_bad_image_fails_alone(model, digits, alone):
    bad = pixels(digits[1])
    bad[5] = np.nan

    async def predict():
        async with batcher_of(model) as batcher:
            futures = [batcher.submit(image) for image in (pixels(digits[0]), bad, pixels(digits[2]))]
            return await asyncio.gather(*futures, return_exceptions=True)

    first, refusal, last = asyncio.run(predict())

    assert isinstance(refusal, InvalidImage)
    assert refusal.detail == "image[5] is nan; pixels are finite numbers in 0..1"
    np.testing.assert_allclose([first.probabilities, last.probabilities], alone[[0, 2]], atol=1e-6)


def test_a_request_that_waits_too_long_is_answered(model, digits):
    gated = GatedModel(model)
    image = pixels(digits[0])

    async def wait():
        async with batcher_of(gated, queue_timeout_seconds=2 * SWEEP_SECONDS) as batcher:
            running = batcher.submit(image)
            await begun(gated)
            outcomes = await asyncio.gather(running, batcher.submit(image), return_exceptions=True)
            depth = batcher.depth
            gated.open()
            return outcomes, depth, (await batcher.submit(image)).label

    outcomes, depth, digit = asyncio.run(wait())

    assert [type(outcome) for outcome in outcomes] == [QueueTimeout, QueueTimeout]
    assert (depth, digit) == (0, 7)


def test_a_client_that_goes_away_frees_its_place(model, digits):
    gated = GatedModel(model)
    image = pixels(digits[0])

    async def leave():
        gone = asyncio.Event()
        async with batcher_of(gated, max_queue_size=1) as batcher:
            running = batcher.submit(image)
            await begun(gated)
            leaver = batcher.submit(image, abandoned=gone.wait)
            with pytest.raises(QueueFull):
                batcher.submit(image)
            gone.set()
            with pytest.raises(RequestAbandoned):
                await leaver
            await until_async(lambda: batcher.depth == 0)
            successor = batcher.submit(image)
            gated.open()
            return (await running).label, (await successor).label

    assert asyncio.run(leave()) == (7, 7)


def test_metrics_that_fail_stop_no_answer(model, digits, caplog):
    class FailingMetrics(Metrics):
        def batch(self, **_):
            raise OSError("no room for metrics")

    async def predict():
        one_by_one = GatedModel(model)
        one_by_one.batch_sizes = (1,)
        one_by_one.open()
        async with batcher_of(one_by_one, FailingMetrics()) as batcher:
            return await asyncio.gather(*(batcher.submit(pixels(image)) for image in digits[:3]))

    assert [prediction.label for prediction in asyncio.run(predict())] == [7, 2, 1]
    assert "no room for metrics" in caplog.text


def test_a_dead_thread_is_noticed_and_no_request_waits_for_it(model, digits, caplog):
    async def predict():
        async with batcher_of(DyingModel(model)) as batcher:
            with pytest.raises(ModelUnavailable, match="the model's thread has stopped"):
                await batcher.submit(pixels(digits[0]))
            with pytest.raises(ModelUnavailable, match="the model's thread has stopped"):
                batcher.submit(pixels(digits[0]))
            return batcher.alive

    assert asyncio.run(predict()) is False
    assert "the model's thread has died" in caplog.text


def test_a_new_model_serves_from_the_next_batch_on(model, digits):
    gated = GatedModel(model)

    async def swap():
        async with batcher_of(gated) as batcher:
            running = batcher.submit(pixels(digits[0]))
            await begun(gated)
            batcher.serve(model)
            gated.open()
            await running
            later = await batcher.submit(pixels(digits[0]))
            return len(gated.sizes), later.label, batcher.model is model

    assert asyncio.run(swap()) == (1, 7, True)


def test_requests_that_wait_at_the_end_are_refused(model, digits):
    gated = GatedModel(model)

    async def leave():
        async with batcher_of(gated, queue_timeout_seconds=1) as batcher:
            running = batcher.submit(pixels(digits[0]))
            await begun(gated)
            waiting = batcher.submit(pixels(digits[0]))
            gated.open()
        return await asyncio.gather(running, waiting, return_exceptions=True)

    assert [type(outcome) for outcome in asyncio.run(leave())] == [ModelUnavailable, ModelUnavailable]
