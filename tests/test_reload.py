"""New weights reach a running service: noticed, checked, swapped; bad ones change nothing."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
import threading
import time
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from service.batcher import Batcher
from service.metrics import Metrics
from service.model import load_model
from service.peers import Peers
from service.reload import Reloader
from service.settings import Settings
from tests import weights

DEADLINE_SECONDS = 30
IMAGE = bytes(784)


def until(condition, what):
    """Wait for a condition and return what it gave."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {DEADLINE_SECONDS} s: {what}"
        time.sleep(0.01)
    return found


def good(path, digit):
    """Weights of version "digit N" that see the digit N in every image."""
    return weights.write(path, weights.constant(digit), version=f"digit {digit}")


def replace(path, content):
    """Replace a file in one step."""
    new = path.with_name("new")
    new.write_bytes(content)
    new.replace(path)


class ConfigMap:
    """A mounted ConfigMap, updated as the kubelet does it (atomic_writer.go): ..data is a link that moves."""

    def __init__(self, folder, name):
        folder.mkdir()
        self.folder = folder
        self.path = folder / name
        self.path.symlink_to(Path("..data") / name)
        self.version = 0

    def publish(self, content):
        self.version += 1
        old = (self.folder / "..data").resolve()
        new = self.folder / f"..2026_11_23_{self.version}"
        new.mkdir()
        (new / self.path.name).write_bytes(content)
        (self.folder / "..data_tmp").symlink_to(new.name)
        (self.folder / "..data_tmp").rename(self.folder / "..data")
        if self.version > 1:
            shutil.rmtree(old)


def predict(session, url):
    return session.post(
        f"{url}/predict", IMAGE, headers={"content-type": "application/octet-stream"}, timeout=30
    )


class Load:
    """Four clients that ask without a pause; ``answers`` holds what each got, in order."""

    def __init__(self, url):
        self.url = url
        self.stop = threading.Event()
        self.answers = [[] for _ in range(4)]
        self.failures = []
        self.threads = [threading.Thread(target=self.ask, args=(answers,)) for answers in self.answers]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def ask(self, answers):
        with requests.Session() as session:
            while not self.stop.is_set():
                try:
                    response = predict(session, self.url)
                    response.raise_for_status()
                    answers.append((response.json()["model"]["version"], response.json()["digit"]))
                except requests.RequestException as error:
                    self.failures.append(error)


def samples(url):
    """The service's metrics: (name, labels) to value."""
    families = text_string_to_metric_families(requests.get(f"{url}/metrics", timeout=30).text)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def reloads(url):
    """How many reloads succeeded, and how many failed."""
    values = samples(url)
    return tuple(values["model_reloads_total", ("result", result)] for result in ("success", "failure"))


def messages(server, level, start):
    return [
        line["message"]
        for line in server.lines()
        if line["level"] == level and str(line["message"]).startswith(start)
    ]


@pytest.mark.parametrize("mounted", [False, True], ids=["file", "config map"])
def test_ten_swaps_under_load_half_of_them_bad(start_server, tmp_path, mounted):
    if mounted:
        config_map = ConfigMap(tmp_path / "mount", "weights.pt")
        path, publish = config_map.path, config_map.publish
    else:
        path = tmp_path / "weights.pt"
        publish = lambda content: replace(path, content)  # noqa: E731
    files = [good(tmp_path / f"{digit}.pt", digit).read_bytes() for digit in range(6)]
    off = weights.golden_cases(weights.constant(9))
    bad = [
        b"",
        b"rubbish",
        files[1][:-1],
        weights.write(tmp_path / "bad.pt", weights.constant(8), golden=weights.npz(**off)).read_bytes(),
        weights.write(tmp_path / "bad.pt", weights.constant(7), card=b"[]").read_bytes(),
    ]
    publish(files[0])
    # No look at the clock will find anything in time: what is noticed is told by the file system.
    server = start_server(MODEL_PATH=path, RELOAD_INTERVAL_SECONDS=3600, NUM_THREADS=1)

    with Load(server.url) as load:
        for turn in range(1, 6):
            publish(files[turn])
            until(lambda turn=turn: reloads(server.url)[0] == turn, "the new weights are served")
            assert predict(requests, server.url).json()["model"]["version"] == f"digit {turn}"

            publish(bad[turn - 1])
            until(lambda turn=turn: reloads(server.url)[1] == turn, "the bad weights are refused")
            assert predict(requests, server.url).json()["model"]["version"] == f"digit {turn}"

    assert load.failures == []
    for answers in load.answers:
        assert answers
        assert all(version == f"digit {digit}" for version, digit in answers)
        assert answers == sorted(answers)  # never back to an older one
    assert reloads(server.url) == (5, 5)
    infos = [labels for name, *labels in samples(server.url) if name == "model_info"]
    assert infos == [[("name", "tiny"), ("version", "digit 5")]]
    assert messages(server, "INFO", "serving tiny") == [
        f"serving tiny digit 0 from {path}",
        *(f"serving tiny digit {digit} from {path}, after tiny digit {digit - 1}" for digit in range(1, 6)),
    ]
    assert messages(server, "ERROR", "") == [
        f"still serving tiny digit 1: {path} is not a TorchScript archive",
        f"still serving tiny digit 2: {path} is not a TorchScript archive",
        f"still serving tiny digit 3: {path} is not a TorchScript archive, or it is cut short",
        f"still serving tiny digit 4: {path} disagrees with its golden cases: a logit is off by 5",
        f"still serving tiny digit 5: {path} has a model.json that is no object",
    ]
    assert server.terminate() == 0


def test_sighup_looks_at_once_and_always_answers(start_server, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = tmp_path / "weights.pt"
    path.symlink_to(good(elsewhere / "weights.pt", 1))  # in whose folder nothing will happen
    server = start_server(MODEL_PATH=path, RELOAD_INTERVAL_SECONDS=3600, NUM_THREADS=1)

    def ask(outcome):
        server.process.send_signal(signal.SIGHUP)
        until(lambda: reloads(server.url) == outcome, outcome)

    replace(elsewhere / "weights.pt", good(tmp_path / "2.pt", 2).read_bytes())
    ask((1, 0))
    assert predict(requests, server.url).json()["digit"] == 2
    replace(elsewhere / "weights.pt", b"rubbish")
    ask((1, 1))
    ask((1, 2))
    assert predict(requests, server.url).json()["digit"] == 2
    replace(elsewhere / "weights.pt", (tmp_path / "2.pt").read_bytes())
    server.process.send_signal(signal.SIGHUP)
    until(
        lambda: messages(server, "INFO", f"{path} holds what is being served, tiny digit 2"),
        "an answer in the log",
    )
    assert reloads(server.url) == (1, 2)


class Served:
    """A batcher with a reloader that looks when it is told to."""

    def __init__(self, batcher, reloader, metrics):
        self.batcher = batcher
        self.reloader = reloader
        self.metrics = metrics

    @property
    def version(self):
        return self.batcher.model.card.version

    @property
    def reloads(self):
        """How many succeeded, and how many failed."""
        value = self.metrics.registry.get_sample_value
        return tuple(value("model_reloads_total", {"result": result}) for result in ("success", "failure"))


@asynccontextmanager
async def serving(path, **options):
    settings = Settings(model_path=path, max_batch_size=2, **options)
    metrics = Metrics()
    model = load_model(path, batch_sizes=(1, 2))
    async with Batcher(
        model, metrics, max_batch_size=2, max_queue_size=8, queue_timeout_seconds=30
    ) as batcher:
        yield Served(batcher, Reloader(model, batcher, metrics, Peers.alone(), settings), metrics)


@pytest.fixture
def path(tmp_path):
    return good(tmp_path / "weights.pt", 1)


def test_the_same_content_is_no_news(path):
    async def scenario():
        async with serving(path) as served:
            replace(path, path.read_bytes())
            await served.reloader.look()
            os.utime(path)
            await served.reloader.look()
            return served.reloads

    assert asyncio.run(scenario()) == (0, 0)


def test_a_bad_file_is_told_once_however_often_it_is_looked_at(path, caplog):
    async def scenario():
        async with serving(path) as served:
            original = path.read_bytes()
            for content in [b"bad", b"bad", b"worse", original, b"bad"]:
                replace(path, content)
                await served.reloader.look()
                await served.reloader.look()
            return served.version, served.reloads

    assert asyncio.run(scenario()) == ("digit 1", (0, 3))
    assert caplog.messages == 3 * [f"still serving tiny digit 1: {path} is not a TorchScript archive"]


def test_a_file_that_goes_missing_is_told_once_and_taken_when_it_is_back(path, caplog):
    async def scenario():
        async with serving(path) as served:
            path.unlink()
            await served.reloader.look()
            await served.reloader.look()
            good(path, 2)
            await served.reloader.look()
            return served.version, served.reloads

    assert asyncio.run(scenario()) == ("digit 2", (1, 1))
    assert caplog.messages == [
        f"still serving tiny digit 1: {path} can't be read: No such file or directory; "
        "set MODEL_PATH to a weights file"
    ]


def test_a_change_that_keeps_size_and_time_is_noticed(path):
    async def scenario():
        async with serving(path) as served:
            await served.reloader.look()
            before = path.stat()
            path.write_bytes(bytes(before.st_size))
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            await served.reloader.look()
            return served.reloads

    assert asyncio.run(scenario()) == (0, 1)


def test_weights_other_than_the_pinned_ones_are_refused(path, caplog):
    pinned = hashlib.sha256(path.read_bytes()).hexdigest()

    async def scenario():
        async with serving(path, model_sha256=pinned) as served:
            good(path, 2)
            await served.reloader.look()
            return served.version, served.reloads

    assert asyncio.run(scenario()) == ("digit 1", (0, 1))
    assert caplog.messages[0].endswith(f", but {pinned} is pinned")


def test_a_look_at_each_interval_finds_what_the_file_system_does_not_tell(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = tmp_path / "weights.pt"
    path.symlink_to(good(elsewhere / "weights.pt", 1))

    async def scenario():
        async with serving(path, reload_interval_seconds=0.1) as served, served.reloader:
            replace(elsewhere / "weights.pt", good(tmp_path / "2.pt", 2).read_bytes())
            async with asyncio.timeout(DEADLINE_SECONDS):
                while served.version != "digit 2":
                    await asyncio.sleep(0.01)
            return served.reloads

    assert asyncio.run(scenario()) == (1, 0)


def test_without_file_events_the_interval_is_all_there_is(path, caplog):
    gone = path.with_name("folder")

    async def scenario():
        async with serving(path) as served:
            settings = Settings(model_path=gone / "weights.pt", reload_interval_seconds=0.1)
            reloader = Reloader(served.batcher.model, served.batcher, served.metrics, Peers.alone(), settings)
            async with reloader, asyncio.timeout(DEADLINE_SECONDS):
                while not any(message.startswith("no file events (") for message in caplog.messages):
                    await asyncio.sleep(0.01)
                assert served.reloads == (0, 1)
                gone.mkdir()
                good(gone / "weights.pt", 2)
                while served.version != "digit 2":
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_whoever_is_in_a_batch_gets_the_answer_of_the_model_it_began_on(path):
    async def scenario():
        async with serving(path) as served:
            good(path, 2)
            looking = asyncio.create_task(served.reloader.look())
            answers = []
            while not looking.done():
                answers.append(await served.batcher.submit(np.zeros(784, np.float32)))
            answers.append(await served.batcher.submit(np.zeros(784, np.float32)))
            return [(answer.digit, answer.model.version) for answer in answers]

    answers = asyncio.run(scenario())
    assert set(answers) == {(1, "digit 1"), (2, "digit 2")}
    assert answers == sorted(answers)


def test_leaving_stops_everything_even_a_reload_under_way(path):
    async def scenario():
        async with serving(path) as served:
            async with served.reloader:
                good(path, 2)
                served.reloader.ask()
                await asyncio.sleep(0)
            return len(asyncio.all_tasks())

    assert asyncio.run(scenario()) == 1
