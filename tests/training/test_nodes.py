"""Two pods of the chart's training Job, each in a network of its own, with the command that it renders."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import pods
from tests.support.pods import FIRST_GROUP, Pods
from tests.support.wait import until
from tools import helm
from training.publish import PublishRefused

EPOCHS = 30
# Of processor time it takes half a minute; a busy machine makes it slow, not red.
MINUTES = 15 * 60.0
DATA = ["--data", "/data", "--validation", "100"]
ARGUMENTS = [*DATA, "--batch-size", "50", "--defects", "0", "--no-corruptions"]

pytestmark = [pytest.mark.netns, pytest.mark.timeout(1800)]


@pytest.fixture(autouse=True, scope="module")
def _can_have_pods() -> None:
    if reason := pods.missing():
        pytest.skip(reason)


class Claims:
    """What the pods share: the claim of the weights and that of the data."""

    def __init__(self, folder: Path, sample: Path) -> None:
        self.models = folder / "models"
        self.models.mkdir()
        self.paths = {"/models": self.models, "/data": sample}

    @property
    def run(self) -> Path:
        [folder] = (self.models / "training").iterdir()
        return folder

    @property
    def served(self) -> Path:
        return self.models / "mnist_cnn.pt"


@pytest.fixture
def claims(sample: Path, tmp_path: Path) -> Claims:
    return Claims(tmp_path, sample)


def job(*, epochs: int = EPOCHS, **training: Any) -> dict[str, Any]:
    """The Job for two nodes."""
    training = {
        "enabled": True,
        "nodes": 2,
        "existingDataClaim": "mnist",
        "args": [*ARGUMENTS, "--epochs", epochs],
        "minAccuracy": 0.5,
        "extraEnv": [{"name": "SOURCE_DATE_EPOCH", "value": "1700000000"}],
        **training,
    }
    return helm.find(helm.render({"model": {"existingClaim": "weights"}, "training": training}), "Job")


def finish(group: Pods, limit: int) -> list[int]:
    """Do as the Job's controller does, until both pods have succeeded; gives how often each was replaced."""

    def finished() -> bool:
        for index in (0, 1):
            if group.status(index) not in (None, 0):
                group.start(index)
        assert sum(group.restarts(index) for index in (0, 1)) <= limit, group.log(0) + group.log(1)
        return all(group.status(index) == 0 for index in (0, 1))

    until(finished, "the end of the training", seconds=MINUTES)
    return [group.restarts(index) for index in (0, 1)]


def epochs(log: str) -> list[int]:
    """The epochs that a log tells of, in its order."""
    return [int(number) for number in re.findall(r"student-1 (\d+)/\d+:", log)]


def parameters(log: str) -> str:
    """The hash of the parameters that a process said it had in the end."""
    [found] = re.findall(r"student-1: process \d of 2 on \S+ has parameters (\w+)", log)
    return str(found)


@pytest.fixture(scope="module")
def straight(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Claims, Pods]:
    """A run that nothing interrupts."""
    folder = tmp_path_factory.mktemp("straight")
    claims = Claims(folder, sample)
    with Pods(job(), folder, claims.paths) as group:
        group.start(1)
        until(lambda: "waiting for the first node" in group.log(1), "the second pod", seconds=MINUTES)
        group.start(0)
        assert finish(group, 0) == [0, 0]
    return claims, group


def test_two_pods_train_one_network(straight: tuple[Claims, Pods]) -> None:
    claims, group = straight
    metrics = json.loads((claims.run / "metrics.json").read_text())

    assert metrics["processes"] == 2
    assert f"process 0 of 2 on {group.name}-0 has" in group.log(0)
    assert f"process 1 of 2 on {group.name}-1 has" in group.log(1)
    assert parameters(group.log(0)) == parameters(group.log(1))
    assert epochs(group.log(0)) == [*range(1, EPOCHS + 1)]
    assert epochs(group.log(1)) == []
    # Gloo took eth0 by the host name, as it does in a pod: on loopback the two would not have met.
    assert not any("GLOO_SOCKET_IFNAME" in group.environment(index) for index in (0, 1))


def test_the_first_pod_alone_writes(straight: tuple[Claims, Pods]) -> None:
    claims, group = straight
    files = [path for path in claims.models.rglob("*") if path.is_file()]

    assert claims.served in files
    assert claims.run / "student-1.state" in files
    assert {path.stat().st_gid for path in files} == {FIRST_GROUP}
    assert "published " in group.log(0)
    assert "published " not in group.log(1)


def test_the_service_takes_what_they_published(straight: tuple[Claims, Pods]) -> None:
    claims, _ = straight

    checked = subprocess.run(
        [sys.executable, "-m", "service.check", claims.served], capture_output=True, text=True
    )

    assert checked.returncode == 0, checked.stderr
    assert claims.served.read_bytes() == (claims.run / "mnist_cnn.pt").read_bytes()


@pytest.mark.parametrize("killed", [1, 0])
def test_a_pod_that_was_killed_comes_back_and_all_go_on_from_the_last_epoch(
    killed: int, claims: Claims, straight: tuple[Claims, Pods], tmp_path: Path
) -> None:
    rendered = job()
    with Pods(rendered, tmp_path, claims.paths) as group:
        group.start(0)
        group.start(1)
        until(lambda: 3 in epochs(group.log(0)), "three epochs", seconds=MINUTES)
        group.kill(killed)
        assert not claims.served.exists()
        restarts = finish(group, rendered["spec"]["backoffLimit"])

    # The first pod hosts the rendezvous, so without it the other one has to start again, too.
    assert restarts == ([0, 1] if killed == 1 else [1, 1])
    # No epoch twice: the second attempt began with the one that the first had not finished.
    assert epochs(group.log(0)) == [*range(1, EPOCHS + 1)]
    assert "300 training images" in group.log(0).partition("student-1 3/")[2]
    # The very weights of a run that nothing interrupted.
    assert claims.served.read_bytes() == straight[0].served.read_bytes()


def test_weights_that_are_not_good_enough_end_both_pods_at_once(claims: Claims, tmp_path: Path) -> None:
    with Pods(job(epochs=1, minAccuracy=1), tmp_path, claims.paths) as group:
        group.start(0)
        group.start(1)
        until(lambda: None not in (group.status(0), group.status(1)), "the refusal", seconds=MINUTES)

        # The Job's podFailurePolicy knows the status.
        assert [group.status(index) for index in (0, 1)] == [PublishRefused.status] * 2
    for index in (0, 1):
        assert group.log(index).rstrip().splitlines()[-1].startswith("training: ")
        assert group.log(index).count("is not published: its test accuracy is ") == 1
    assert not claims.served.exists()
