"""New weights reach a running service: noticed, checked, swapped; bad ones change nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from service.inference.batcher import Batcher
from service.inference.load_thread import LoadThread
from service.inference.model import load_model
from service.inference.reloader import Reloader
from service.metrics import Metrics
from service.settings import BUNDLED_MODEL, Settings
from tests.support import models, weights
from tests.support.http import SEVEN, ZEROS, post
from tests.support.load import Load
from tests.support.metrics import reloads, scrape
from tests.support.wait import until, until_async
from tests.support.weights import write_constant


def version_and_digit(answer):
    """What a prediction says of the model that made it."""
    assert answer.status == 200
    document = json.loads(answer.body)
    return document["model"]["version"], document["digit"]


def version(server):
    return post(server, {"image": ZEROS}).json()["model"]["version"]


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


@pytest.mark.parametrize("mounted", [False, True], ids=["file", "config map"])
def test_ten_swaps_under_load_half_of_them_bad(start_server, tmp_path, mounted):
    if mounted:
        config_map = ConfigMap(tmp_path / "mount", "weights.pt")
        path, publish = config_map.path, config_map.publish
    else:
        path = tmp_path / "weights.pt"
        publish = lambda content: replace(path, content)  # noqa: E731
    files = [write_constant(tmp_path / f"{digit}.pt", digit).read_bytes() for digit in range(6)]
    off = weights.golden_cases(models.constant(9))
    bad = [
        b"",
        b"rubbish",
        files[1][:-1],
        weights.write(tmp_path / "bad.pt", models.constant(8), golden=weights.npz(**off)).read_bytes(),
        weights.write(tmp_path / "bad.pt", models.constant(7), card=b"[]").read_bytes(),
    ]
    publish(files[0])
    # The interval is too long to find anything in time: what is noticed comes from file events.
    server = start_server(MODEL_PATH=path, RELOAD_INTERVAL_SECONDS=3600, NUM_THREADS=1)

    with Load(server.address, version_and_digit) as load:
        for turn in range(1, 6):
            publish(files[turn])
            until(lambda turn=turn: reloads(server)[0] == turn, "the new weights are served")
            assert version(server) == f"digit {turn}"

            publish(bad[turn - 1])
            until(lambda turn=turn: reloads(server)[1] == turn, "the bad weights are refused")
            assert version(server) == f"digit {turn}"

    assert not load.failures
    for answers in load.results:
        assert answers
        assert all(version == f"digit {digit}" for version, digit in answers)
        assert answers == sorted(answers)  # never back to an older one
    assert reloads(server) == (5, 5)
    infos = [labels for name, *labels in scrape(server) if name == "model_info"]
    assert infos == [[("name", "tiny"), ("version", "digit 5")]]
    assert server.messages("INFO", "serving tiny", count=6) == [
        f"serving tiny digit 0 from {path}",
        *(f"serving tiny digit {digit} from {path}, after tiny digit {digit - 1}" for digit in range(1, 6)),
    ]
    assert server.messages("ERROR", count=5) == [
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
    path.symlink_to(write_constant(elsewhere / "weights.pt", 1))  # in whose folder nothing will happen
    server = start_server(MODEL_PATH=path, RELOAD_INTERVAL_SECONDS=3600, NUM_THREADS=1)

    def ask(answer):
        server.process.send_signal(signal.SIGHUP)
        until(answer, "an answer to the signal")

    def is_served(version):
        return server.messages("INFO", f"{path} holds what is being served, tiny {version}", count=0)

    ask(lambda: is_served("digit 1"))  # after this one, nothing but a signal makes it look
    replace(elsewhere / "weights.pt", write_constant(tmp_path / "2.pt", 2).read_bytes())
    ask(lambda: reloads(server) == (1, 0))
    assert version(server) == "digit 2"
    replace(elsewhere / "weights.pt", b"rubbish")
    ask(lambda: reloads(server) == (1, 1))
    ask(lambda: reloads(server) == (1, 2))
    assert version(server) == "digit 2"
    replace(elsewhere / "weights.pt", (tmp_path / "2.pt").read_bytes())
    ask(lambda: is_served("digit 2"))
    assert reloads(server) == (1, 2)


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
    async with Batcher(model, metrics, max_queue_size=8, queue_timeout_seconds=30) as batcher:
        thread = LoadThread(settings.load_timeout_seconds)
        yield Served(batcher, Reloader(model, batcher, metrics, settings, thread=thread), metrics)


@pytest.fixture
def path(tmp_path):
    return write_constant(tmp_path / "weights.pt", 1)


def test_the_same_content_is_no_news(path):
    async def scenario():
        async with serving(path) as served:
            replace(path, path.read_bytes())
            await served.reloader.check()
            os.utime(path)
            await served.reloader.check()
            return served.reloads

    assert asyncio.run(scenario()) == (0, 0)


def test_a_bad_file_is_told_once_however_often_it_is_looked_at(path, caplog):
    async def scenario():
        async with serving(path) as served:
            original = path.read_bytes()
            for content in [b"bad", b"bad", b"worse", original, b"bad"]:
                replace(path, content)
                await served.reloader.check()
                await served.reloader.check()
            return served.version, served.reloads

    assert asyncio.run(scenario()) == ("digit 1", (0, 3))
    assert caplog.messages == 3 * [f"still serving tiny digit 1: {path} is not a TorchScript archive"]


def test_a_file_that_goes_missing_is_told_once_and_taken_when_it_is_back(path, caplog):
    async def scenario():
        async with serving(path) as served:
            path.unlink()
            await served.reloader.check()
            await served.reloader.check()
            write_constant(path, 2)
            await served.reloader.check()
            return served.version, served.reloads

    assert asyncio.run(scenario()) == ("digit 2", (1, 1))
    assert caplog.messages == [
        f"still serving tiny digit 1: {path} can't be read: No such file or directory; "
        "set MODEL_PATH to a weights file"
    ]


def test_a_change_that_keeps_size_and_time_is_noticed(path):
    async def scenario():
        async with serving(path) as served:
            await served.reloader.check()
            before = path.stat()
            path.write_bytes(bytes(before.st_size))
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            await served.reloader.check()
            return served.reloads

    assert asyncio.run(scenario()) == (0, 1)


def test_weights_other_than_the_pinned_ones_are_refused(path, caplog):
    pinned = hashlib.sha256(path.read_bytes()).hexdigest()

    async def scenario():
        async with serving(path, model_sha256=pinned) as served:
            write_constant(path, 2)
            await served.reloader.check()
            return served.version, served.reloads

    assert asyncio.run(scenario()) == ("digit 1", (0, 1))
    assert caplog.messages[0].endswith(f", but {pinned} is pinned")


def test_weights_below_the_floor_are_refused_at_a_reload(path, caplog):
    def write(version, **card):
        card |= {"format": 1, "name": "tiny", "version": version}
        weights.write(path, models.constant(2), card=json.dumps(card).encode())

    async def scenario():
        async with serving(path, model_min_accuracy=0.97) as served:
            for version, metrics in [
                ("worse", {"test_accuracy": 0.96}),
                ("silent", {}),
                ("as good", {"test_accuracy": 0.97}),
            ]:
                write(version, metrics=metrics)
                await served.reloader.check()
            return served.version, served.reloads

    caplog.set_level("ERROR")
    assert asyncio.run(scenario()) == ("as good", (1, 2))
    assert caplog.messages == [
        f"still serving tiny digit 1: {path} has a test accuracy of 0.96; at least 0.97 is asked for "
        "(MODEL_MIN_ACCURACY)",
        f"still serving tiny digit 1: {path} has a model.json without a metrics.test_accuracy from 0 to 1, "
        "and at least 0.97 is asked for (MODEL_MIN_ACCURACY); `python -m training.package --accuracy` writes "
        "it",
    ]


def test_a_look_at_each_interval_finds_what_the_file_system_does_not_tell(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = tmp_path / "weights.pt"
    path.symlink_to(write_constant(elsewhere / "weights.pt", 1))

    async def scenario():
        async with serving(path, reload_interval_seconds=0.1) as served, served.reloader:
            replace(elsewhere / "weights.pt", write_constant(tmp_path / "2.pt", 2).read_bytes())
            await until_async(lambda: served.version == "digit 2", "the new weights are served")
            return served.reloads

    assert asyncio.run(scenario()) == (1, 0)


def test_without_file_events_the_interval_is_all_there_is(path, caplog):
    gone = path.with_name("folder")

    async def scenario():
        async with serving(path) as served:
            settings = Settings(model_path=gone / "weights.pt", reload_interval_seconds=0.1)
            reloader = Reloader(
                served.batcher.model, served.batcher, served.metrics, settings, thread=LoadThread(60)
            )
            async with reloader:
                await until_async(
                    lambda: any(message.startswith("no file events (") for message in caplog.messages)
                )
                assert served.reloads == (0, 1)
                gone.mkdir()
                write_constant(gone / "weights.pt", 2)
                await until_async(lambda: served.version == "digit 2", "the new weights are served")

    asyncio.run(scenario())


def test_a_batch_is_answered_by_the_model_it_began_on(path):
    async def scenario():
        async with serving(path) as served:
            write_constant(path, 2)
            looking = asyncio.create_task(served.reloader.check())
            answers = []
            while not looking.done():
                answers.append(await served.batcher.submit(np.zeros(784, np.float32)))
            answers.append(await served.batcher.submit(np.zeros(784, np.float32)))
            return [(answer.label, answer.model.version) for answer in answers]

    answers = asyncio.run(scenario())
    assert set(answers) == {(1, "digit 1"), (2, "digit 2")}
    assert answers == sorted(answers)


def test_leaving_stops_everything_even_a_reload_under_way(path):
    async def scenario():
        async with serving(path) as served:
            async with served.reloader:
                write_constant(path, 2)
                served.reloader.request_check()
                await asyncio.sleep(0)
            return len(asyncio.all_tasks())

    assert asyncio.run(scenario()) == 1


def test_weights_that_vanish_or_rot_change_nothing(start_server, tmp_path):
    path = tmp_path / "mnist_cnn.pt"
    path.write_bytes(BUNDLED_MODEL.read_bytes())
    server = start_server(MODEL_PATH=path, RELOAD_INTERVAL_SECONDS=0.1)
    before = post(server, SEVEN).json()

    path.unlink()
    until(lambda: "still serving" in server.log_text(), "the missing file is noticed")
    gone = post(server, SEVEN).json()
    path.write_bytes(BUNDLED_MODEL.read_bytes()[:-1000])
    until(lambda: "archive" in server.log_text(), "the damaged file is noticed")
    rotten = post(server, SEVEN).json()

    assert before["digit"] == gone["digit"] == rotten["digit"] == 7
    assert before["model"] == gone["model"] == rotten["model"]
    assert server.health() == 200


def test_a_folder_stands_for_the_one_weights_file_in_it(start_server, tmp_path):
    write_constant(tmp_path / "model.pt", 1)
    (tmp_path / "config.properties").touch()
    server = start_server(MODEL_PATH=tmp_path, RELOAD_INTERVAL_SECONDS=3600, NUM_THREADS=1)
    assert version(server) == "digit 1"

    write_constant(tmp_path / "model-2.pt", 2)
    until(lambda: reloads(server) == (0, 1), "two files are refused")
    assert version(server) == "digit 1"
    (tmp_path / "model.pt").unlink()
    until(lambda: reloads(server) == (1, 1), "the one that is left is served")
    assert version(server) == "digit 2"
    (tmp_path / "model-2.pt").unlink()
    until(lambda: reloads(server) == (1, 2), "an empty folder is refused")

    assert version(server) == "digit 2"
    assert server.messages("ERROR", count=2) == [
        f"still serving tiny digit 1: {tmp_path} is a folder with 2 weights files (model-2.pt, model.pt); "
        "set MODEL_PATH to one file, or leave one in it",
        f"still serving tiny digit 2: {tmp_path} is a folder with no weights file (*.pt) but "
        "config.properties, server-0.log; set MODEL_PATH to one file, or leave one in it",
    ]


def test_two_files_in_a_folder_are_told_each_time_they_are_there(path, caplog):
    async def scenario():
        async with serving(path.parent) as served:
            for _ in range(2):
                write_constant(path.with_name("z.pt"), 2)
                await served.reloader.check()
                await served.reloader.check()
                path.with_name("z.pt").unlink()
                await served.reloader.check()
            return served.version, served.reloads

    assert asyncio.run(scenario()) == ("digit 1", (0, 2))
    assert caplog.messages == 2 * [
        f"still serving tiny digit 1: {path.parent} is a folder with 2 weights files (weights.pt, z.pt); "
        "set MODEL_PATH to one file, or leave one in it"
    ]
