"""Three times what it can take: as much as ever is served, and the rest is refused at once."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from benchmarks.drive import Load, drive, write_bodies
from service.server.throttle import REFUSALS_PER_INTERVAL
from tests.support import weights
from tests.support.http import HEALTHZ, PREDICT, PREDICT_BODY, PREDICT_GENERAL, read_statuses
from tests.support.load import Connection, Latencies, predict_at_rate, predictions_per_second
from tests.support.metrics import is_computing, queue_depth
from tests.support.models import FaultyModel, SlowModel
from tests.support.process import pin_to_one_core, resident_bytes
from tests.support.soak import OVERLOAD_SECONDS, SOAK
from tests.support.wait import until

QUEUE, QUEUE_TIMEOUT_SECONDS = 32, 2.0
# More connections than the queue has room for, and few enough that all of them are served.
CROWD, CROWD_QUEUE, FEW = 1024, 256, 64
# More refusals on one connection than are answered without a pause.
MANY = REFUSALS_PER_INTERVAL + 1


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(120 + 5 * OVERLOAD_SECONDS)
def test_the_real_model_serves_while_a_thousand_connections_never_pause(start_server, tmp_path):
    """They ask again the moment they have their answer, four times what there is room for.

    That is far more than the service can even refuse. Beside them, one client comes with a new connection
    now and then, as a client does that waits as it was told.
    """
    server = start_server(MAX_QUEUE_SIZE=CROWD_QUEUE, QUEUE_TIMEOUT_SECONDS=QUEUE_TIMEOUT_SECONDS)
    core = pin_to_one_core(server.process.pid)
    write_bodies(tmp_path / "bodies", [PREDICT_BODY])

    def load(connections: int, seconds: float) -> Load:
        return drive(
            f"{server.url}/predict",
            tmp_path / "bodies",
            "application/json",
            connections=connections,
            seconds=seconds,
            cores=[core],
        )

    async def ask_once(latencies: Latencies, request: bytes) -> None:
        connection = Connection(server.address)
        await latencies.ask(connection, request)
        connection.close()

    async def run() -> tuple[Load, int, Latencies, Latencies]:
        predictions, health = Latencies(), Latencies()
        crowd = asyncio.create_task(asyncio.to_thread(load, CROWD, OVERLOAD_SECONDS))
        await asyncio.sleep(min(1, OVERLOAD_SECONDS / 3))  # they need a while to connect
        memory = resident_bytes(server.process.pid)
        while not crowd.done():
            await ask_once(predictions, PREDICT)
            await ask_once(health, HEALTHZ)
            await asyncio.sleep(0.02)
        return await crowd, resident_bytes(server.process.pid) - memory, predictions, health

    before = load(FEW, 1)
    crowd, growth, predictions, health = asyncio.run(run())
    after = load(FEW, 1)

    peak = (before.rate + after.rate) / 2
    served, refused = (crowd.requests - crowd.errors) / crowd.seconds, crowd.errors / crowd.seconds
    print(
        f"peak {peak:.0f}/s; {CROWD} connections for {OVERLOAD_SECONDS:g} s: {served:.0f}/s served "
        f"({served / peak:.0%}), {refused:.0f}/s refused; a new client is refused after "
        f"{predictions.milliseconds(503, 50):.0f} ms, p99 {predictions.milliseconds(503, 99):.0f} ms, "
        f"served after {predictions.milliseconds(200, 50):.0f} ms, p99 "
        f"{predictions.milliseconds(200, 99):.0f} ms; "
        f"health p99 {health.milliseconds(200, 99):.0f} ms; memory {growth / 1024:+.0f} KiB"
    )
    assert before.errors == after.errors == 0
    assert crowd.errors > 0
    assert predictions.seconds.keys() <= {200, 503}
    assert predictions.without_retry_after == 0
    assert health.seconds.keys() == {200}
    assert growth < 32 << 20
    if SOAK:
        assert served > 0.5 * peak  # a third and less, before refusals had a bound
        assert predictions.milliseconds(503, 50) < 500
        assert predictions.milliseconds(200, 99) < 1000 * (QUEUE_TIMEOUT_SECONDS + 1)


@pytest.mark.parametrize(
    "request_",
    [PREDICT, PREDICT_GENERAL, PREDICT.replace(b"/predict", b"/v2/models/tiny/infer")],
    ids=["prediction", "general path", "open inference"],
)
def test_requests_after_a_refusal_are_answered_in_order(start_server, tmp_path, request_):
    server = start_server(
        MODEL_PATH=weights.write(tmp_path / "faulty.pt", FaultyModel()),
        MAX_QUEUE_SIZE=1,
        QUEUE_TIMEOUT_SECONDS=60,
        SHUTDOWN_TIMEOUT_SECONDS=1,
    )
    hang = PREDICT.replace(PREDICT_BODY, PREDICT_BODY.replace(b"0", b"1"))
    large = request_.replace(b"Host: x", b"Host: x\r\nX-Long: " + b"a" * 40_000)

    with ExitStack() as connections:
        running, waiting, refused = (connections.enter_context(server.connect()) for _ in range(3))
        running.sendall(hang)
        until(lambda: is_computing(server), "the model hangs")
        waiting.sendall(PREDICT)
        until(lambda: queue_depth(server) == 1, "the queue is full")
        for _ in range(2):
            refused.sendall(request_ * MANY)  # from here on nothing is read of it for a while
            assert read_statuses(refused, MANY) == [503] * MANY
            refused.sendall(HEALTHZ + request_ + large + HEALTHZ)
            assert read_statuses(refused, 4) == [200, 503, 503, 200]
        refused.sendall(request_ * MANY)
        assert read_statuses(refused, MANY) == [503] * MANY
        refused.sendall(request_)
        server.process.terminate()
        assert read_statuses(refused, 1) == [503]


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(120 + 5 * OVERLOAD_SECONDS)
def test_a_slow_model_serves_its_peak_and_the_rest_is_refused_at_once(start_server, tmp_path):
    server = start_server(
        MODEL_PATH=weights.write(tmp_path / "slow.pt", SlowModel()),
        MAX_BATCH_SIZE=8,
        NUM_THREADS=1,
        MAX_QUEUE_SIZE=QUEUE,
        QUEUE_TIMEOUT_SECONDS=QUEUE_TIMEOUT_SECONDS,
    )

    async def check_health(health: Latencies, stop: asyncio.Event) -> None:
        while not stop.is_set():
            connection = Connection(server.address)
            await health.ask(connection, HEALTHZ)
            connection.close()
            await asyncio.sleep(0.1)

    async def run() -> tuple[float, Latencies, float, Latencies, int, float]:
        peak = await predictions_per_second(server.address, OVERLOAD_SECONDS, QUEUE)
        await predict_at_rate(server.address, 3 * peak, 1, 4 * QUEUE)
        memory = resident_bytes(server.process.pid)
        health, stop = Latencies(), asyncio.Event()
        prober = asyncio.create_task(check_health(health, stop))
        began = asyncio.get_running_loop().time()
        answers = await predict_at_rate(server.address, 3 * peak, OVERLOAD_SECONDS, 4 * QUEUE)
        seconds = asyncio.get_running_loop().time() - began
        stop.set()
        await prober
        growth = resident_bytes(server.process.pid) - memory
        await asyncio.sleep(1)
        after = await predictions_per_second(server.address, 1, QUEUE)
        return peak, answers, seconds, health, growth, after

    peak, answers, seconds, health, growth, after = asyncio.run(run())

    served = answers.count(200) / seconds
    print(
        f"peak {peak:.0f}/s; offered 3x for {OVERLOAD_SECONDS:g} s: {served:.0f}/s served "
        f"({served / peak:.0%}), {answers.count(503)} refused, p50 {answers.milliseconds(503, 50):.1f} ms, "
        f"p99 {answers.milliseconds(503, 99):.1f} ms; accepted p99 {answers.milliseconds(200, 99):.0f} ms; "
        f"health p99 {health.milliseconds(200, 99):.1f} ms; "
        f"memory {growth / 1024:+.0f} KiB; after {after:.0f}/s"
    )
    assert answers.seconds.keys() == {200, 503}
    assert answers.without_retry_after == 0
    assert health.seconds.keys() == {200}
    assert growth < 16 << 20
    if SOAK:  # the client shares the machine with the service
        assert served > 0.3 * peak
        assert answers.milliseconds(503, 99) < 1000
        assert answers.milliseconds(200, 99) < 1000 * (QUEUE_TIMEOUT_SECONDS + 1)
        assert after > 0.3 * peak
